//! Items to one lazy array `(time, band, y, x)`, from metadata alone: no file is opened.

mod assets;
mod grid;
mod group;
mod project;

use graticule_ops::{ArraySource, Grid, OnError, RasterStack, Resampling};
use graticule_plan::{ChunkGrid, DType};

use crate::{error::DataError, stac::Item, time::Timestamp};

pub use group::GroupBy;
pub use project::from_lonlat;

/// Rows and columns of a chunk where nothing else is asked for.
pub const TILE_DEFAULT: u64 = 1024;

/// How items are put on one grid.
#[derive(Debug, Clone, PartialEq)]
pub struct StackOptions {
    /// Width and height of a pixel in units of the coordinate reference system; the items' own by default.
    pub resolution: Option<[f64; 2]>,
    /// West, south, east and north of the output in the items' system, widened to whole pixels.
    pub bounds: Option<[f64; 4]>,
    /// The same in longitude and latitude. Not both.
    pub bbox: Option<[f64; 4]>,
    /// The output's EPSG code; must be the items' own.
    pub crs: Option<u32>,
    /// Which items share a time.
    pub groupby: GroupBy,
    /// The elements' type.
    pub dtype: StackDtype,
    /// What a file that cannot be read does.
    pub on_error: OnError,
    /// Lengths of chunks along time, band, y and x; by default one time, one band and [`TILE_DEFAULT`] squared.
    pub chunks: Option<[u64; 4]>,
}

/// The elements' type of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StackDtype {
    /// As the files have it, and no scale and offset applied; missing pixels have the nodata value, or 0, and
    /// [`Stack::validity`] tells them from others.
    Source,
    /// `float32` with scale and offset applied; missing pixels are NaN. Integers above 2^24 round.
    #[default]
    Float32,
    /// `float64` with scale and offset applied; missing pixels are NaN.
    Float64,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            resolution: None,
            bounds: None,
            bbox: None,
            crs: None,
            groupby: GroupBy::default(),
            dtype: StackDtype::default(),
            on_error: OnError::Raise,
            chunks: None,
        }
    }
}

/// A lazy array `(time, band, y, x)` and its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// What to read.
    pub source: ArraySource,
    /// The elements' dtype.
    pub dtype: DType,
    /// Shape and chunks.
    pub grid: ChunkGrid,
    /// One label for each time: the first item's.
    pub times: Vec<Timestamp>,
    /// One label for each band.
    pub bands: Vec<StackBand>,
    /// From pixel corners to the ground, in rasterio's order `(a, b, c, d, e, f)`.
    pub transform: [f64; 6],
    /// The coordinate reference system.
    pub epsg: Option<u32>,
    /// What became of the items.
    pub report: StackReport,
}

impl Stack {
    /// The stack's validity mask: the same array in `bool`, true where a pixel has a valid value.
    pub fn validity(&self) -> Self {
        Self {
            dtype: DType::Bool,
            bands: self
                .bands
                .iter()
                .map(|band| StackBand {
                    fill: 0.0,
                    ..band.clone()
                })
                .collect(),
            ..self.clone()
        }
    }
}

/// A band of a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct StackBand {
    /// The asset's key, with the band's name after a dot where the asset has several.
    pub name: String,
    /// The common name, such as `red`.
    pub common_name: Option<String>,
    /// The asset's title.
    pub title: Option<String>,
    /// The stored elements' dtype, if the items state it.
    pub stored: Option<DType>,
    /// The stored value that marks missing pixels, if the items state one.
    pub nodata: Option<f64>,
    /// What missing pixels have in this stack.
    pub fill: f64,
}

/// What became of the items of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StackReport {
    /// Items that were given.
    pub item_count: usize,
    /// Files that the stack reads from.
    pub asset_count: usize,
    /// For each time the ids of its items, in the order in which their pixels are taken.
    pub items: Vec<Vec<String>>,
    /// Items without one of the assets, with the asset's key.
    pub missing: Vec<(String, String)>,
    /// Whether all files share one grid, so that pixels are taken as they are.
    pub is_one_grid: bool,
}

/// Describes the array that the named assets of the items make up.
///
/// Where all assets share one grid, it is the output's, to the pixel. Else the output covers all footprints, its edges
/// at multiples of the resolution, and each of its pixels takes the file's pixel that holds its centre, as odc-stac
/// does. Where several items share a time, the first valid pixel wins, in the order of date and id.
///
/// An asset of several bands gives all of them; `asset.N` is its band `N`, from 1.
///
/// # Errors
/// [`DataError`]: no items, an unknown asset, missing `proj:` fields, several coordinate reference systems or another
/// one than asked for, bounds that touch no item.
pub fn stack<S: AsRef<str>>(
    items: &[Item],
    assets: &[S],
    options: &StackOptions,
) -> Result<Stack, DataError> {
    if items.is_empty() {
        return Err(DataError::NoItems);
    }
    let names: Vec<&str> = assets.iter().map(AsRef::as_ref).collect();
    let picks = assets::pick(items, &names)?;
    let layout = grid::layout(&picks, options)?;
    let order = group::date_order(items);
    let longitude = match options.groupby {
        GroupBy::SolarDay => group::longitude(&layout.grid, items)?,
        GroupBy::Id | GroupBy::Time => 0.0,
    };
    let groups = group::group(items, &order, options.groupby, longitude);
    let dtype = assets::dtype(&picks, options.dtype)?;
    let bands = assets::bands(&picks, dtype, options.dtype)?;

    let is_scaled = options.dtype != StackDtype::Source;
    let mut slots = Vec::with_capacity(groups.len() * picks.bands.len());
    for members in &groups {
        for band in &picks.bands {
            let found = members.iter().filter_map(|&item| band.files[item].as_ref());
            slots.push(
                found
                    .map(|file| file.raster_asset(is_scaled))
                    .collect::<Result<Vec<_>, _>>()?,
            );
        }
    }
    let Grid {
        transform,
        height,
        width,
        epsg,
    } = layout.grid;
    let shape = [groups.len() as u64, bands.len() as u64, height, width];
    let [time, band, rows, cols] = options.chunks.unwrap_or([1, 1, TILE_DEFAULT, TILE_DEFAULT]);
    let chunks = [
        time.min(shape[0]),
        band.min(shape[1]),
        rows.min(height),
        cols.min(width),
    ];
    let report = StackReport {
        item_count: items.len(),
        asset_count: slots.iter().map(Vec::len).sum(),
        items: groups
            .iter()
            .map(|g| g.iter().map(|&i| items[i].id.clone()).collect())
            .collect(),
        missing: picks.missing,
        is_one_grid: layout.is_one,
    };
    Ok(Stack {
        grid: ChunkGrid::regular(&shape, &chunks)?,
        dtype,
        times: groups.iter().map(|group| items[group[0]].datetime).collect(),
        transform,
        epsg,
        source: ArraySource::Raster(RasterStack {
            grid: layout.grid,
            band_count: bands.len() as u64,
            slots,
            fill: bands.iter().map(|band| band.fill).collect(),
            resampling: Resampling::Nearest,
            on_error: options.on_error,
        }),
        bands,
        report,
    })
}
