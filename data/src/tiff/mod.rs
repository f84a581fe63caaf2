//! Reads TIFF, BigTIFF, GeoTIFF and COG files by windows, and writes tiled GeoTIFFs.
//!
//! Opening reads the header and the block index of every image in the file, in few requests; the result is plain
//! data that can be kept and shared. Reading a window has two phases: fetch the byte ranges of the blocks that it
//! needs, however the caller likes to fetch, then decode each block into its part of the output.
//!
//! Reads blocks that are not compressed, or by LZW, deflate, PackBits, ZSTD, xz, LERC (alone, and with deflate or ZSTD
//! on top) or WebP. JPEG and the rest give [`TiffError::Unsupported`] with their name; so do samples that are complex,
//! and bands of different types.
//!
//! Knows nothing of object stores, threads or chunks: bytes come from a [`RangeSource`] or from the caller, pixels go
//! to byte buffers. Trusts nothing that a file says: sizes are checked against named limits, damage is a
//! [`TiffError`] that says which block of which offset is at fault.
//!
//! ```no_run
//! use bytes::Bytes;
//! use graticule_data::tiff::{Decoder, Tiff, Window};
//!
//! # async fn read() -> Result<(), Box<dyn std::error::Error>> {
//! let source = Bytes::from(std::fs::read("scene.tif")?);
//! let tiff = Tiff::open(&source).await?;
//! let info = tiff.main().info();
//! println!("{} x {} pixels of {:?}, EPSG {:?}", info.height, info.width, info.dtype, info.epsg);
//!
//! let read = tiff.main().window(Window { row: 0, col: 0, height: 64, width: 64 }, &[0])?;
//! let mut out = vec![0; read.out_bytes()];
//! let mut decoder = Decoder::new();
//! for (index, block) in read.blocks().iter().enumerate() {
//!     let encoded = match &block.range {
//!         Some(range) => source.slice(range.start as usize..range.end as usize),
//!         None => Bytes::new(),
//!     };
//!     read.decode_block(&mut decoder, index, &encoded, &mut out)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Writing goes row of tiles by row of tiles, in bounded memory; the file is there whole or not at all:
//!
//! ```
//! use graticule_data::tiff::{GeoTiffOptions, GeoTiffWriter};
//! use graticule_plan::DType;
//!
//! # let path = std::env::temp_dir().join(format!("graticule-doc-{}.tif", std::process::id()));
//! let mut options = GeoTiffOptions::new(300, 200, 1, DType::UInt16);
//! options.epsg = Some(32633);
//! options.transform = Some([10.0, 0.0, 600_000.0, 0.0, -10.0, 5_100_000.0]);
//! let mut writer = GeoTiffWriter::create(&path, options)?;
//! writer.write_tile_row(&vec![0; 300 * 200 * 2])?;
//! writer.finish()?;
//! # std::fs::remove_file(&path).unwrap();
//! # Ok::<(), graticule_data::tiff::TiffError>(())
//! ```

mod aside;
mod codec;
mod decode;
mod directory;
mod encode;
mod epsg;
mod error;
mod format;
mod geo;
mod head;
mod image;
mod lerc;
mod lzw;
mod metadata;
mod options;
mod predict;
mod source;
mod sum;
mod tag;
mod webp;
mod window;
mod writer;

use std::sync::Arc;

pub(crate) use aside::AsideFile;
pub use decode::Decoder;
pub use directory::ByteOrder;
pub use encode::BlockEncoder;
pub use error::{SourceError, TiffError};
pub use format::{ColorInterpretation, Compression, Interleave, Predictor, SampleFormat};
pub use geo::{GeoKeyValue, GeoKeys, Transform};
pub use image::{BandInfo, Image, ImageInfo, ImageRole};
pub use options::{BandLabel, BlockPlace, GeoTiffOptions, WriteColors, WriteCompression};
pub use source::{RangeSource, ReadFuture};
pub use window::{BlockRange, Window, WindowRead};
pub use writer::GeoTiffWriter;

/// Bytes read at once when a file is opened, and read ahead wherever else the header is looked up.
pub const READ_AHEAD_BYTES: u64 = 32 * 1024;
/// The most bytes of header (directories, block indices) that are taken from one file.
pub const HEADER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The most images that one file may hold.
pub const DIRECTORY_COUNT_MAX: usize = 1024;
/// The most tags that one directory may have.
pub const TAG_COUNT_MAX: u64 = 4096;
/// The most bytes that one tag's value may have.
pub const TAG_VALUE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The most blocks that a file may have, its images taken together.
pub const BLOCK_COUNT_MAX: u64 = 8 * 1024 * 1024;
/// The most bands that a file may have, its images taken together.
pub const BAND_COUNT_MAX: usize = 256 * 1024;
/// The most bytes that a compressed block may decode to.
pub const BLOCK_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// An opened file: its images and where their blocks lie. Holds no pixels and no source; clones share everything.
#[derive(Debug, Clone)]
pub struct Tiff {
    order: ByteOrder,
    big: bool,
    images: Vec<Arc<Image>>,
    main: usize,
    overviews: Vec<usize>,
}

impl Tiff {
    /// Reads the header of a file, [`READ_AHEAD_BYTES`] at once.
    ///
    /// # Errors
    /// [`TiffError::Source`] if the source fails; [`TiffError::NotTiff`], [`TiffError::Truncated`],
    /// [`TiffError::BadTag`] and the like if the file is at fault. What can be described but not decoded opens: see
    /// [`Image::check_decodable`].
    pub async fn open<S: RangeSource + ?Sized>(source: &S) -> Result<Tiff, TiffError> {
        Self::open_with(source, READ_AHEAD_BYTES).await
    }

    /// Reads the header of a file, at least `read_ahead_bytes` (and 1 KiB) a request.
    ///
    /// # Errors
    /// Those of [`open`](Tiff::open).
    pub async fn open_with<S: RangeSource + ?Sized>(
        source: &S,
        read_ahead_bytes: u64,
    ) -> Result<Tiff, TiffError> {
        let mut bytes = source::HeaderBytes::new(source, read_ahead_bytes, HEADER_BYTES_MAX);
        let (signature, directories) = directory::read_directories(&mut bytes).await?;
        let mut images = Vec::with_capacity(directories.len());
        let (mut block_count, mut band_count) = (0, 0);
        for directory in &directories {
            let image = Image::parse(directory, signature.order)?;
            block_count += image.block_count() as u64;
            band_count += image.info().band_count;
            within("the number of blocks in the file", block_count, BLOCK_COUNT_MAX)?;
            within(
                "the number of bands in the file",
                band_count as u64,
                BAND_COUNT_MAX as u64,
            )?;
            images.push(image);
        }
        Self::of_images(signature, images)
    }

    fn of_images(signature: directory::Signature, mut images: Vec<Image>) -> Result<Tiff, TiffError> {
        let is_main = |image: &Image| image.info().role == ImageRole::Main;
        let main = images.iter().position(is_main).unwrap_or(0);
        let main_info = images.get(main).ok_or(TiffError::NoImage)?.info().clone();
        let smaller = |info: &ImageInfo| info.width < main_info.width || info.height < main_info.height;
        let mut overviews = Vec::new();
        for (index, image) in images.iter_mut().enumerate() {
            let info = image.info();
            if info.role == ImageRole::Overview && info.band_count == main_info.band_count && smaller(info) {
                overviews.push(index);
            }
            if info.role != ImageRole::Main {
                image.inherit(&main_info);
            }
        }
        let pixels = |index: &usize| {
            let info = images[*index].info();
            std::cmp::Reverse(u64::from(info.width) * u64::from(info.height))
        };
        overviews.sort_by_key(pixels);
        let images = images.into_iter().map(Arc::new).collect();
        Ok(Tiff {
            order: signature.order,
            big: signature.big,
            images,
            main,
            overviews,
        })
    }

    /// The file's byte order.
    pub fn byte_order(&self) -> ByteOrder {
        self.order
    }

    /// Whether the file is a BigTIFF, with 64-bit offsets.
    pub fn is_big(&self) -> bool {
        self.big
    }

    /// Every image in the order of the file, overviews and masks among them.
    pub fn images(&self) -> &[Arc<Image>] {
        &self.images
    }

    /// The image at full size: the first that is neither overview nor mask.
    pub fn main(&self) -> &Arc<Image> {
        &self.images[self.main]
    }

    /// The main image's overviews, the largest first.
    pub fn overviews(&self) -> impl ExactSizeIterator<Item = &Arc<Image>> {
        self.overviews.iter().map(|index| &self.images[*index])
    }

    /// The mask of the main image, if the file has one: 0 where a pixel is missing.
    pub fn mask(&self) -> Option<&Arc<Image>> {
        self.mask_of(self.main())
    }

    /// The mask of the same size as `image` (the main image or an overview).
    pub fn mask_of(&self, image: &Image) -> Option<&Arc<Image>> {
        let info = image.info();
        self.images.iter().find(|mask| {
            let mask = mask.info();
            matches!(mask.role, ImageRole::Mask | ImageRole::OverviewMask)
                && (mask.width, mask.height) == (info.width, info.height)
        })
    }
}

fn within(what: &'static str, got: u64, limit: u64) -> Result<(), TiffError> {
    if got > limit {
        Err(TiffError::LimitExceeded { what, got, limit })
    } else {
        Ok(())
    }
}
