//! Makes Zarr arrays: their metadata, and no chunk.

use std::{fs, io};

use graticule_plan::{ChunkGrid, DType};
use serde_json::{Map, Value, json};

use crate::{DataError, store::Address};

use super::{
    Layout, LayoutError,
    target::{document, failed},
    write::replace,
};

/// How a new Zarr array, of version 3, is stored.
///
/// ```
/// use graticule_data::zarr::ZarrOptions;
///
/// let options = ZarrOptions { dimension_names: Some(vec!["y".into(), "x".into()]), overwrite: true, ..ZarrOptions::default() };
/// assert!(options.codecs.is_none(), "zstd, unless said otherwise");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ZarrOptions {
    /// Elements of a stored chunk along each axis; unless given, the longest of the array's own.
    pub chunks: Option<Vec<u64>>,
    /// The codecs, as the metadata writes them; unless given, little-endian bytes compressed by zstd.
    pub codecs: Option<Value>,
    /// What chunks hold that are not stored, as the metadata writes it; unless given, 0, and NaT for times.
    pub fill_value: Option<Value>,
    /// Names of the axes.
    pub dimension_names: Option<Vec<String>>,
    /// The array's attributes.
    pub attributes: Map<String, Value>,
    /// Whether an array that is there already is removed first, with all in its folder; else it is an error.
    pub overwrite: bool,
    /// Whether chunks are stored that hold nothing but the fill value.
    pub stores_empty: bool,
}

/// Makes a Zarr array in a folder. It blocks its thread.
///
/// # Errors
/// [`DataError::Document`] if there is something already (without [`ZarrOptions::overwrite`], or something that is no
/// array) or the options do not fit the array, [`DataError::Unsupported`] if the address is no file system's or nothing
/// writes such an array, [`DataError::Store`] if the file system fails.
pub fn create_zarr_array(
    address: &Address,
    dtype: DType,
    grid: &ChunkGrid,
    options: &ZarrOptions,
) -> Result<(), DataError> {
    let misfit = |why: String| DataError::Document {
        address: address.to_string(),
        why,
    };
    let unsupported = |what: String| DataError::Unsupported {
        address: address.to_string(),
        what,
    };
    let Address::Local(folder) = address else {
        return Err(unsupported("writing to what is no file system".into()));
    };
    let text = metadata(dtype, grid, options).to_string();
    Layout::parse(&text, false).map_err(|error| match error {
        LayoutError::Bad(why) => misfit(why),
        LayoutError::Unsupported(what) => unsupported(what),
    })?;
    match document(folder) {
        Ok((found, is_v2)) => {
            if !options.overwrite {
                return Err(misfit(
                    "there is a Zarr array already; remove it, or say that it is to be overwritten".into(),
                ));
            }
            if Layout::parse(&found, is_v2).is_err() {
                return Err(misfit(
                    "what is there is no Zarr array; remove it yourself".into(),
                ));
            }
            fs::remove_dir_all(folder).map_err(|error| failed(address, &error))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_free = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
            if !is_free {
                return Err(misfit(
                    "there are other files already; choose a new folder".into(),
                ));
            }
        }
        Err(error) => return Err(failed(address, &error)),
    }
    let made =
        fs::create_dir_all(folder).and_then(|()| replace(folder, &folder.join("zarr.json"), text.as_bytes()));
    made.map_err(|error| failed(address, &error))
}

fn metadata(dtype: DType, grid: &ChunkGrid, options: &ZarrOptions) -> Value {
    let chunks = options.chunks.clone().unwrap_or_else(|| {
        let longest = grid.axes().iter().map(|axis| axis.chunk_max().max(1));
        longest.collect()
    });
    let (data_type, fill) = data_type(dtype);
    let codecs = options.codecs.clone().unwrap_or_else(|| {
        json!([
            { "name": "bytes", "configuration": { "endian": "little" } },
            { "name": "zstd", "configuration": { "level": 0, "checksum": false } },
        ])
    });
    let mut document = json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": grid.shape(),
        "data_type": data_type,
        "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": chunks } },
        "chunk_key_encoding": { "name": "default", "configuration": { "separator": "/" } },
        "fill_value": options.fill_value.clone().unwrap_or(fill),
        "codecs": codecs,
        "attributes": options.attributes,
        "storage_transformers": [],
    });
    if let Some(names) = &options.dimension_names {
        document["dimension_names"] = json!(names);
    }
    document
}

/// A dtype as the metadata writes it, and a fill value for it.
fn data_type(dtype: DType) -> (Value, Value) {
    let text = dtype.name();
    if let Some((kind, unit)) = text.trim_end_matches(']').split_once('[') {
        let configuration = json!({ "unit": unit, "scale_factor": 1 });
        return (
            json!({ "name": format!("numpy.{kind}"), "configuration": configuration }),
            json!("NaT"),
        );
    }
    let fill = match dtype {
        DType::Bool => json!(false),
        DType::Complex64 | DType::Complex128 => json!([0.0, 0.0]),
        DType::Float16 | DType::Float32 | DType::Float64 => json!(0.0),
        _ => json!(0),
    };
    (json!(text), fill)
}
