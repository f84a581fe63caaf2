use graticule_plan::{DType, Digest};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{BlockAxis, OpsError};

/// A window on an array outside the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Read {
    /// The side table that holds the [`ArraySource`].
    pub source: Digest,
    /// The dtype of the elements as they come out of the read (after scale, offset and nodata).
    pub dtype: DType,
    /// For each axis of the source the elements that this read sees as its own axis: slices moved into the read.
    pub selection: Vec<AxisSelection>,
    /// For each axis the elements, counted within the selection, that a block reads.
    pub axes: Vec<BlockAxis>,
}

/// The elements `start + step * k` for `k` in `0..len` of a source axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AxisSelection {
    /// Source element of the selection's element 0.
    pub start: u64,
    /// Source elements from one to the next; not 0, may be negative.
    pub step: i64,
    /// Elements selected.
    pub len: u64,
}

impl AxisSelection {
    /// The whole axis.
    pub fn whole(len: u64) -> Self {
        Self {
            start: 0,
            step: 1,
            len,
        }
    }

    /// The source element of the selection's element `k`.
    pub fn element(&self, k: u64) -> u64 {
        let element = i128::from(self.start) + i128::from(self.step) * i128::from(k);
        u64::try_from(element).expect("a selection lies within its axis")
    }

    /// This selection, of which `inner` then selects.
    pub fn then(&self, inner: AxisSelection) -> Self {
        let start = if inner.len == 0 {
            self.start
        } else {
            self.element(inner.start)
        };
        Self {
            start,
            step: self.step.saturating_mul(inner.step),
            len: inner.len,
        }
    }
}

/// Where an array outside the cluster lies and how its bytes become elements.
///
/// Addresses hold no secret: credentials are named, and are looked up where the read happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ArraySource {
    /// Elements sent along with the plan.
    Inline(InlineArray),
    /// Raster files placed on one grid: `(time, band, y, x)`.
    Raster(RasterStack),
    /// One Zarr array.
    Zarr(ZarrArray),
}

/// Elements sent along with the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InlineArray {
    /// The elements' dtype.
    pub dtype: DType,
    /// The array's shape.
    pub shape: Vec<u64>,
    /// The elements in C order, little endian; a boolean is a byte 0 or 1.
    pub data: Vec<u8>,
}

/// A Zarr array, version 2 or 3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZarrArray {
    /// The array's own address (of the folder with its metadata): a `file://` or `http(s)://` URL.
    pub url: String,
    /// The array's metadata document (`zarr.json`, or `.zarray`), so that workers need not read it again.
    pub metadata: String,
    /// Whether `metadata` is of Zarr version 2.
    pub is_v2: bool,
    /// The dtype of the stored elements.
    pub dtype: DType,
    /// The array's shape.
    pub shape: Vec<u64>,
    /// The stored chunks' (for sharded arrays the inner chunks') shape.
    pub chunks: Vec<u64>,
    /// What a chunk that cannot be read does.
    pub on_error: OnError,
}

/// A regular grid of pixels in some coordinate reference system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// GDAL's or rasterio's affine coefficients in rasterio's order `(a, b, c, d, e, f)`:
    /// `x = a * col + b * row + c`, `y = d * col + e * row + f`, of pixel corners.
    pub transform: [f64; 6],
    /// Rows.
    pub height: u64,
    /// Columns.
    pub width: u64,
    /// EPSG code of the coordinate reference system, if it has one.
    pub epsg: Option<u32>,
}

/// How a pixel's value is found where grids differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Resampling {
    /// The source pixel that holds the target pixel's centre.
    Nearest,
}

/// What a read does about a file or chunk that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OnError {
    /// The task fails, and with it the job; the error names item, asset, address and window.
    Raise,
    /// The pixels count as nodata, and the result's report names what is missing.
    Nodata,
    /// The item is left out of the read's blocks that touch it, and the result's report names it.
    SkipItem,
}

/// Raster assets of many items on one grid: an array `(time, band, y, x)`.
///
/// Read as `bool` it tells which pixels have a valid value, instead of their values; `fill` plays no part then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RasterStack {
    /// The target grid.
    pub grid: Grid,
    /// Number of bands.
    pub band_count: u64,
    /// For each time and band (time slower) the assets to fuse, in order: the first valid pixel wins.
    pub slots: Vec<Vec<RasterAsset>>,
    /// What a pixel without a valid value gets, for each band; in the read's dtype.
    pub fill: Vec<f64>,
    /// How pixels are found where an asset's grid is not the target's.
    pub resampling: Resampling,
    /// What a file that cannot be read does.
    pub on_error: OnError,
}

/// One band of one file of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RasterAsset {
    /// The file's address: `file://` or `http(s)://`.
    pub href: String,
    /// The item's id, for messages.
    pub item: String,
    /// The asset's key in its item, for messages.
    pub asset: String,
    /// Band of the file, from 0.
    pub band: u32,
    /// The file's grid as the item states it, used where the file itself states none.
    pub grid: Grid,
    /// The value that marks a pixel as not valid, before scale and offset. NaN is never valid in a float file.
    pub nodata: Option<f64>,
    /// Multiplied to each valid value (1 for none).
    pub scale: f64,
    /// Added after the scale (0 for none).
    pub offset: f64,
}

/// Writes a side table: an [`ArraySource`], a list of positions (`Vec<u64>`).
pub fn encode_table<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("tables encode into memory")
}

/// Reads a side table.
///
/// # Errors
/// [`OpsError::Decode`].
pub fn decode_table<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, OpsError> {
    let failed = |why: String| OpsError::Decode {
        what: "side table",
        why,
    };
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|e| failed(e.to_string()))?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(failed(format!("{} bytes left over", rest.len())))
    }
}
