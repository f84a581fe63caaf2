//! What a GeoTIFF to be written looks like, and how it is cut into blocks.

use graticule_plan::{DType, Kind};

use super::error::TiffError;
use super::format::{Interleave, Predictor};
use super::geo::Transform;
use super::window::Window;
use super::{BLOCK_BYTES_MAX, BLOCK_COUNT_MAX};

/// How a writer compresses blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCompression {
    /// Not at all.
    None,
    /// Deflate, from 1 (fast) to 12 (small); every reader has it.
    Deflate {
        /// The level.
        level: i32,
    },
    /// Zstandard, from 1 (fast) to 22 (small); faster both ways, needs a reader of 2017 or later.
    Zstd {
        /// The level.
        level: i32,
    },
}

/// What the bands of a written file show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteColors {
    /// Each band for itself.
    Gray,
    /// The first three bands are red, green and blue.
    Rgb,
    /// The first three bands are red, green and blue, the fourth is alpha.
    Rgba,
}

/// What is written about one band.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BandLabel {
    /// Its name or description.
    pub description: Option<String>,
    /// Factor from stored to real values.
    pub scale: Option<f64>,
    /// What is added after the factor.
    pub offset: Option<f64>,
    /// The unit of the real values.
    pub unit: Option<String>,
}

/// The properties of a GeoTIFF to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct GeoTiffOptions {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bands.
    pub band_count: usize,
    /// The pixels' dtype; booleans become bytes of 0 and 1.
    pub dtype: DType,
    /// Rows and columns of a tile, a multiple of 16.
    pub tile_size: u32,
    /// How tiles are compressed.
    pub compression: WriteCompression,
    /// Whether differences are stored where that helps: predictor 2 for integers up to 32 bits, 3 for floats.
    pub predictor: bool,
    /// Whether bands have tiles of their own or share them.
    pub interleave: Interleave,
    /// The EPSG code of the coordinate reference system, geographic 2D or projected.
    pub epsg: Option<u32>,
    /// From pixel corners to the ground.
    pub transform: Option<Transform>,
    /// The value that marks missing pixels.
    pub nodata: Option<f64>,
    /// What the bands show.
    pub colors: WriteColors,
    /// One label per band, or none.
    pub bands: Vec<BandLabel>,
    /// Whether to write a BigTIFF even where 4 GiB are enough.
    pub big: bool,
}

impl GeoTiffOptions {
    /// A file of bands apart in deflated tiles of 256 x 256 pixels with predictor, of no place on the ground.
    pub fn new(width: u32, height: u32, band_count: usize, dtype: DType) -> Self {
        GeoTiffOptions {
            width,
            height,
            band_count,
            dtype,
            tile_size: 256,
            compression: WriteCompression::Deflate { level: 6 },
            predictor: true,
            interleave: Interleave::Band,
            epsg: None,
            transform: None,
            nodata: None,
            colors: WriteColors::Gray,
            bands: Vec::new(),
            big: false,
        }
    }

    /// The predictor that these options come to.
    pub(crate) fn used_predictor(&self) -> Predictor {
        if !self.predictor || self.compression == WriteCompression::None {
            return Predictor::None;
        }
        match (self.dtype.kind(), self.dtype.size_bytes()) {
            (Kind::Float, _) => Predictor::Float,
            (Kind::Unsigned | Kind::Signed, 1..=4) => Predictor::Horizontal,
            _ => Predictor::None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), TiffError> {
        let bad = |reason: String| Err(TiffError::BadOption { reason });
        if self.width == 0 || self.height == 0 || self.width.max(self.height) > u32::MAX / 2 {
            return bad(format!("an image of {} x {} pixels", self.height, self.width));
        }
        if self.band_count == 0 || self.band_count > usize::from(u16::MAX) {
            return bad(format!("{} bands, there may be 1 to 65535", self.band_count));
        }
        if self.dtype.is_complex() {
            return bad(format!(
                "samples of {}: write the real and the imaginary part as bands",
                self.dtype
            ));
        }
        if self.dtype.is_time() {
            return bad(format!(
                "samples of {}: write a number of units as int64",
                self.dtype
            ));
        }
        if self.tile_size == 0 || !self.tile_size.is_multiple_of(16) || self.tile_size > 1 << 14 {
            return bad(format!(
                "tile size {}, it must be a multiple of 16 up to 16384",
                self.tile_size
            ));
        }
        if !self.bands.is_empty() && self.bands.len() != self.band_count {
            return bad(format!(
                "{} labels for {} bands",
                self.bands.len(),
                self.band_count
            ));
        }
        if let Some(code) = self.epsg.filter(|code| !(1024..32767).contains(code)) {
            return bad(format!(
                "EPSG code {code}: a GeoTIFF holds codes from 1024 to 32766"
            ));
        }
        if let Some(transform) = self.transform {
            let [a, b, _, d, e, _] = transform;
            if transform.iter().any(|v| !v.is_finite()) || a * e - b * d == 0.0 {
                return bad(format!("transform {transform:?}, which maps to no area"));
            }
        }
        let level_fits = match self.compression {
            WriteCompression::None => true,
            WriteCompression::Deflate { level } => (1..=12).contains(&level),
            WriteCompression::Zstd { level } => (1..=22).contains(&level),
        };
        if !level_fits {
            return bad(format!("compression {:?}: no such level", self.compression));
        }
        let color_count = match self.colors {
            WriteColors::Gray => 1,
            WriteColors::Rgb => 3,
            WriteColors::Rgba => 4,
        };
        if self.band_count < color_count {
            return bad(format!("{:?} with {} bands", self.colors, self.band_count));
        }
        self.check_blocks()
    }

    fn check_blocks(&self) -> Result<(), TiffError> {
        let blocks = Blocks::of(self);
        let count = u64::from(blocks.across) * u64::from(blocks.down);
        let limits = [
            (
                "the number of blocks",
                count.saturating_mul(blocks.planes as u64),
                BLOCK_COUNT_MAX,
            ),
            (
                "the size of a block in bytes",
                blocks.block_bytes(),
                BLOCK_BYTES_MAX,
            ),
        ];
        for (what, got, limit) in limits {
            if got > limit {
                return Err(TiffError::LimitExceeded { what, got, limit });
            }
        }
        Ok(())
    }
}

/// A block that a writer wants: which pixels of which bands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockPlace {
    /// The block's turn, from 0.
    pub turn: usize,
    /// Its pixels, those inside the image only.
    pub window: Window,
    /// The band, or `None` where a block holds all of them.
    pub band: Option<usize>,
}

/// How an image is cut into blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks {
    width: u32,
    height: u32,
    pub(crate) tile_size: u32,
    pub(crate) across: u32,
    pub(crate) down: u32,
    pub(crate) planes: usize,
    /// Samples side by side in a block.
    pub(crate) samples: usize,
    /// Bytes of a sample.
    pub(crate) size: usize,
}

impl Blocks {
    pub(crate) fn of(options: &GeoTiffOptions) -> Self {
        let (planes, samples) = match options.interleave {
            Interleave::Band => (options.band_count, 1),
            Interleave::Pixel => (1, options.band_count),
        };
        Blocks {
            width: options.width,
            height: options.height,
            tile_size: options.tile_size,
            across: options.width.div_ceil(options.tile_size),
            down: options.height.div_ceil(options.tile_size),
            planes,
            samples,
            size: options.dtype.size_bytes() as usize,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.across as usize * self.down as usize * self.planes
    }

    /// Bytes of a block before compression.
    pub(crate) fn block_bytes(&self) -> u64 {
        u64::from(self.tile_size) * u64::from(self.tile_size) * (self.samples * self.size) as u64
    }

    /// The block whose turn it is, and its index in the file: row of tiles by row of tiles, in it band by band.
    pub(crate) fn place(&self, turn: usize) -> (BlockPlace, usize) {
        let across = self.across as usize;
        let (down, rest) = (turn / (across * self.planes), turn % (across * self.planes));
        let (plane, column) = (rest / across, rest % across);
        // Below the counts of tiles, which are u32.
        let (row, col) = (down as u32 * self.tile_size, column as u32 * self.tile_size);
        let window = Window {
            row,
            col,
            height: self.tile_size.min(self.height - row),
            width: self.tile_size.min(self.width - col),
        };
        let band = (self.samples == 1).then_some(plane);
        let index = (plane * self.down as usize + down) * across + column;
        (BlockPlace { turn, window, band }, index)
    }

    /// Bytes that the caller gives for a block.
    pub(crate) fn given_bytes(&self, window: Window) -> usize {
        window.height as usize * window.width as usize * self.samples * self.size
    }
}
