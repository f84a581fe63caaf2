//! Files and catalogs, described by their metadata alone.

use graticule_array::ArrayError;
use graticule_client::{stack_array, zarr_array};
use graticule_data::DataError;
use graticule_data::{
    GroupBy, Stack, StackDtype, StackOptions, Timestamp,
    stac::{Condition, Interval, Item, ItemSet, Search, load_items, parse_items},
    stack,
    store::{Address, Stores},
    tiff::Tiff,
    zarr::{ZarrDescription, open_zarr_array, open_zarr_group, open_zarr_target},
};
use graticule_ops::OnError;
use pyo3::{prelude::*, types::PyDict};

use crate::{convert, error::Failure, expression::Expression, wait::wait};

fn address(text: &str) -> Result<Address, Failure> {
    Ok(Address::parse(text).map_err(DataError::from)?)
}

/// An array of a Zarr store: itself, its dimensions' names, its attributes as JSON, and its fill value as JSON.
type Zarr = (Expression, Option<Vec<Option<String>>>, String, String);

fn described(zarr: &ZarrDescription) -> Result<Zarr, Failure> {
    let attributes = serde_json::Value::Object(zarr.attributes.clone()).to_string();
    Ok((
        zarr_array(zarr)?.into(),
        zarr.dimension_names.clone(),
        attributes,
        zarr.fill_value.to_string(),
    ))
}

#[pyfunction]
fn open_zarr(py: Python<'_>, url: &str) -> Result<Zarr, Failure> {
    let address = address(url)?;
    let zarr = wait(
        py,
        async move { open_zarr_array(&Stores::default(), &address).await },
    )?;
    described(&zarr)
}

/// What writes an array into the Zarr array in a folder, from the element `start` on; none if workers cannot write it so:
/// stored in another way, of another dtype, or not by whole chunks.
#[pyfunction]
fn write_zarr(
    array: &Expression,
    path: &str,
    start: Vec<u64>,
    stores_empty: bool,
) -> Result<Option<Expression>, Failure> {
    let target = match open_zarr_target(&address(path)?, &start, stores_empty) {
        Err(DataError::Unsupported { .. }) => return Ok(None),
        other => other?,
    };
    match array.array.write_zarr(&target) {
        Err(ArrayError::Target { .. }) => Ok(None),
        other => Ok(Some(other?.into())),
    }
}

/// The addresses of the Zarr arrays that an array is computed from, as far as the core reads them.
#[pyfunction]
fn zarr_sources(array: &Expression) -> Vec<String> {
    array.array.zarr_sources().into_iter().collect()
}

/// The arrays of a Zarr group by name, those that cannot be read with the reason, and the group's attributes as JSON.
#[pyfunction]
fn open_group<'py>(
    py: Python<'py>,
    url: &str,
) -> Result<(Bound<'py, PyDict>, Bound<'py, PyDict>, String), Failure> {
    let address = address(url)?;
    let group = wait(
        py,
        async move { open_zarr_group(&Stores::default(), &address).await },
    )?;
    let (arrays, refused) = (PyDict::new(py), PyDict::new(py));
    for name in group.names() {
        match group.array(&name) {
            Ok(zarr) => arrays.set_item(&name, described(&zarr)?)?,
            Err(error) => refused.set_item(&name, error.to_string())?,
        }
    }
    let attributes = serde_json::Value::Object(group.attributes.clone()).to_string();
    Ok((arrays, refused, attributes))
}

/// What may be asked of a search, in the words of STAC's APIs.
fn search_of(
    bbox: Option<[f64; 4]>,
    datetime: Option<&str>,
    query: Option<Vec<String>>,
    max_cloud: Option<f64>,
) -> Result<Search, Failure> {
    let query = query.unwrap_or_default();
    Ok(Search {
        bbox,
        datetime: datetime.map(Interval::parse).transpose()?,
        query: query
            .iter()
            .map(|text| Condition::parse(text))
            .collect::<Result<_, _>>()?,
        max_cloud,
    })
}

/// Items that a search found.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct Items {
    items: Vec<Item>,
    duplicates: Vec<String>,
}

impl Items {
    fn found(search: &Search, set: ItemSet) -> Result<Self, Failure> {
        Ok(Self {
            items: search.apply(&set)?,
            duplicates: set.duplicates,
        })
    }
}

#[pymethods]
impl Items {
    /// Reads an item collection, an item or a static catalog, and keeps what fits.
    #[staticmethod]
    #[pyo3(signature = (url, bbox = None, datetime = None, query = None, max_cloud = None))]
    fn search(
        py: Python<'_>,
        url: &str,
        bbox: Option<[f64; 4]>,
        datetime: Option<&str>,
        query: Option<Vec<String>>,
        max_cloud: Option<f64>,
    ) -> Result<Self, Failure> {
        let search = search_of(bbox, datetime, query, max_cloud)?;
        let address = address(url)?;
        let set = wait(py, async move { load_items(&Stores::default(), &address).await })?;
        Self::found(&search, set)
    }

    /// As `search`, of a document that is at hand; relative links resolve against `base`.
    #[staticmethod]
    #[pyo3(signature = (text, base, bbox = None, datetime = None, query = None, max_cloud = None))]
    fn parse(
        text: &str,
        base: &str,
        bbox: Option<[f64; 4]>,
        datetime: Option<&str>,
        query: Option<Vec<String>>,
        max_cloud: Option<f64>,
    ) -> Result<Self, Failure> {
        let search = search_of(bbox, datetime, query, max_cloud)?;
        let document =
            serde_json::from_str(text).map_err(|error| Failure::value(format!("not JSON: {error}")))?;
        Self::found(&search, parse_items(&document, &address(base)?)?)
    }

    fn __len__(&self) -> usize {
        self.items.len()
    }

    /// Ids that came again and were dropped.
    #[getter]
    fn duplicates(&self) -> Vec<String> {
        self.duplicates.clone()
    }

    #[getter]
    fn ids(&self) -> Vec<String> {
        self.items.iter().map(|item| item.id.clone()).collect()
    }

    /// Microseconds since 1970.
    #[getter]
    fn times(&self) -> Vec<i64> {
        self.items.iter().map(|item| item.datetime.0).collect()
    }

    /// Of each item its properties, as JSON.
    #[getter]
    fn properties(&self) -> Vec<String> {
        let text = |item: &Item| serde_json::Value::Object(item.properties.clone()).to_string();
        self.items.iter().map(text).collect()
    }

    /// Names of the items' assets.
    #[getter]
    fn assets(&self) -> Vec<String> {
        let names = self.items.iter().flat_map(|item| item.assets.keys().cloned());
        names
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// The lazy array `(time, band, y, x)` and its labels.
    #[pyo3(signature = (assets, resolution, bounds, bbox, crs, groupby, dtype, on_error, chunks))]
    #[allow(clippy::too_many_arguments)] // Python gives them by name.
    fn stack<'py>(
        &self,
        py: Python<'py>,
        assets: Vec<String>,
        resolution: Option<[f64; 2]>,
        bounds: Option<[f64; 4]>,
        bbox: Option<[f64; 4]>,
        crs: Option<u32>,
        groupby: &str,
        dtype: &str,
        on_error: &str,
        chunks: Option<[u64; 4]>,
    ) -> Result<(Expression, Expression, Bound<'py, PyDict>), Failure> {
        let dtypes = [
            ("source", StackDtype::Source),
            ("float32", StackDtype::Float32),
            ("float64", StackDtype::Float64),
        ];
        let ways = [
            ("raise", OnError::Raise),
            ("nodata", OnError::Nodata),
            ("skip-item", OnError::SkipItem),
        ];
        let options = StackOptions {
            resolution,
            bounds,
            bbox,
            crs,
            groupby: groupby.parse::<GroupBy>()?,
            dtype: convert::one_of("dtype", dtype, &dtypes)?,
            on_error: convert::one_of("on_error", on_error, &ways)?,
            chunks,
        };
        let stacked = stack(&self.items, &assets, &options)?;
        let labels = labels(py, &stacked)?;
        Ok((
            stack_array(&stacked)?.into(),
            stack_array(&stacked.validity())?.into(),
            labels,
        ))
    }
}

fn labels<'py>(py: Python<'py>, stack: &Stack) -> PyResult<Bound<'py, PyDict>> {
    let labels = PyDict::new(py);
    let times: Vec<i64> = stack.times.iter().map(|Timestamp(micros)| *micros).collect();
    labels.set_item("time", times)?;
    labels.set_item("items", stack.report.items.clone())?;
    labels.set_item("missing", stack.report.missing.clone())?;
    labels.set_item("transform", stack.transform.to_vec())?;
    labels.set_item("epsg", stack.epsg)?;
    let bands = stack.bands.iter();
    labels.set_item(
        "band",
        bands.clone().map(|band| band.name.clone()).collect::<Vec<_>>(),
    )?;
    labels.set_item(
        "common_name",
        bands
            .clone()
            .map(|band| band.common_name.clone())
            .collect::<Vec<_>>(),
    )?;
    labels.set_item(
        "title",
        bands.clone().map(|band| band.title.clone()).collect::<Vec<_>>(),
    )?;
    labels.set_item("nodata", bands.map(|band| band.nodata).collect::<Vec<_>>())?;
    Ok(labels)
}

/// What the header of a GeoTIFF says.
#[pyfunction]
fn tiff_header<'py>(py: Python<'py>, url: &str) -> Result<Bound<'py, PyDict>, Failure> {
    let address = address(url)?;
    let href = address.to_string();
    let tiff = wait(py, async move {
        let object = Stores::default().object(&address).map_err(DataError::from)?;
        let opened = Tiff::open(&object).await;
        opened.map_err(|error| Failure::new("SourceError", format!("{address}: {error}")))
    })?;
    let image = tiff.main();
    let dtype = image
        .check_decodable()
        .map_err(|error| Failure::new("SourceError", format!("{href}: {error}")))?;
    let (info, header) = (image.info(), PyDict::new(py));
    header.set_item("href", href)?;
    header.set_item("dtype", dtype.name())?;
    header.set_item("shape", (info.height, info.width))?;
    header.set_item("block", (info.block_height, info.block_width))?;
    header.set_item("nodata", info.nodata)?;
    header.set_item("epsg", info.epsg)?;
    header.set_item("transform", info.transform.map(|transform| transform.to_vec()))?;
    let bands = info.bands.iter();
    let bands = bands.map(|band| {
        (
            band.description.clone(),
            band.scale,
            band.offset,
            band.unit.clone(),
        )
    });
    header.set_item("bands", bands.collect::<Vec<_>>())?;
    Ok(header)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Items>()?;
    module.add_function(wrap_pyfunction!(open_zarr, module)?)?;
    module.add_function(wrap_pyfunction!(write_zarr, module)?)?;
    module.add_function(wrap_pyfunction!(zarr_sources, module)?)?;
    module.add_function(wrap_pyfunction!(tiff_header, module)?)?;
    module.add_function(wrap_pyfunction!(open_group, module)?)
}
