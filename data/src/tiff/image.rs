//! One image of a file: its properties and the index of its blocks.

use std::ops::Range;
use std::sync::Arc;

use graticule_plan::DType;

use super::directory::{ByteOrder, Directory};
use super::error::TiffError;
use super::format::{
    ColorInterpretation, Compression, Interleave, LERC, Predictor, SampleFormat, Storage, band_color,
    decoded, lerc_kind,
};
use super::geo::{GeoKeys, Transform, parse_transform};
use super::metadata::{Item, parse_items, parse_number};
use super::tag::Tag;
use super::webp;
use super::{BAND_COUNT_MAX, BLOCK_BYTES_MAX, BLOCK_COUNT_MAX};

/// What an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageRole {
    /// Full-size pixels.
    Main,
    /// The main image made smaller.
    Overview,
    /// Which pixels of the main image are valid (not 0) or not (0).
    Mask,
    /// A mask made smaller.
    OverviewMask,
}

/// What is said of one band.
#[derive(Debug, Clone, PartialEq)]
pub struct BandInfo {
    /// Its name or description.
    pub description: Option<String>,
    /// Factor from stored to real values; 1 where the file says nothing.
    pub scale: f64,
    /// What is added after the factor; 0 where the file says nothing.
    pub offset: f64,
    /// The unit of the real values.
    pub unit: Option<String>,
    /// What the band shows.
    pub color: ColorInterpretation,
}

/// The properties of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageInfo {
    /// Index of the directory in the file.
    pub index: usize,
    /// What the image is for.
    pub role: ImageRole,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bands (samples per pixel).
    pub band_count: usize,
    /// Bits of a stored sample.
    pub bits: u16,
    /// What those bits mean.
    pub sample_format: SampleFormat,
    /// The dtype that pixels decode to (half floats to `float32`, packed bits to the next larger unsigned integer);
    /// `None` if they can't be decoded.
    pub dtype: Option<DType>,
    /// Rows of a block: a tile's height, or the rows of a strip (at most the image's).
    pub block_height: u32,
    /// Columns of a block: a tile's width, or the image's.
    pub block_width: u32,
    /// Whether blocks are tiles; else they are strips.
    pub tiled: bool,
    /// How bands lie to each other.
    pub interleave: Interleave,
    /// How blocks are compressed.
    pub compression: Compression,
    /// What was done to samples before compression.
    pub predictor: Predictor,
    /// The photometric interpretation's code.
    pub photometric: u16,
    /// One entry per band.
    pub bands: Vec<BandInfo>,
    /// The value that marks missing pixels. Overviews without one of their own have the main image's.
    pub nodata: Option<f64>,
    /// The nodata value as it is written in the file: exact where 64-bit integers don't fit a float.
    pub nodata_text: Option<String>,
    /// From pixels to the ground. An overview has the main image's, with larger pixels.
    pub transform: Option<Transform>,
    /// Ground control points, where the file has these in place of a transform.
    pub gcp_count: usize,
    /// The EPSG code of the coordinate reference system, if the file names one.
    pub epsg: Option<u32>,
    /// Every GeoKey.
    pub geo_keys: GeoKeys,
}

/// One image of a TIFF, ready to have windows of it read.
///
/// Holds no pixels and no source; a clone shares the block index.
#[derive(Debug, Clone)]
pub struct Image {
    info: ImageInfo,
    pub(crate) order: ByteOrder,
    pub(crate) reverse_bits: bool,
    /// Whether the last sample of a pixel is an alpha that is not multiplied into the colours.
    pub(crate) has_plain_alpha: bool,
    pub(crate) storage: Storage,
    pub(crate) blocks: BlockIndex,
    unsupported: Option<String>,
}

/// Where blocks lie in the file, row by row (and band by band where bands are apart).
#[derive(Debug, Clone)]
pub(crate) struct BlockIndex {
    pub(crate) across: u32,
    pub(crate) down: u32,
    /// Samples side by side in a block.
    pub(crate) samples: usize,
    /// Bytes of a row of a decoded, still packed block.
    pub(crate) row_bytes: usize,
    offsets: Arc<[u64]>,
    lens: Arc<[u64]>,
}

impl BlockIndex {
    /// The file's byte range of a block; `None` if the block is sparse.
    pub(crate) fn range(&self, block: usize) -> Option<Range<u64>> {
        let (offset, len) = (*self.offsets.get(block)?, *self.lens.get(block)?);
        (offset != 0 && len != 0).then(|| offset..offset.saturating_add(len))
    }
}

impl Image {
    /// The image's properties.
    pub fn info(&self) -> &ImageInfo {
        &self.info
    }

    /// The dtype that pixels decode to.
    ///
    /// # Errors
    /// [`TiffError::Unsupported`] if this image's pixels can't be decoded, naming why.
    pub fn check_decodable(&self) -> Result<DType, TiffError> {
        match (&self.unsupported, self.info.dtype) {
            (None, Some(dtype)) => Ok(dtype),
            (Some(what), _) => Err(TiffError::unsupported(what.clone())),
            (None, None) => Err(TiffError::unsupported("the sample type")),
        }
    }

    /// Number of blocks, sparse ones counted.
    pub fn block_count(&self) -> usize {
        self.blocks.offsets.len()
    }

    pub(crate) fn parse(directory: &Directory, order: ByteOrder) -> Result<Image, TiffError> {
        let width = dimension(directory, Tag::IMAGE_WIDTH)?;
        let height = dimension(directory, Tag::IMAGE_LENGTH)?;
        let band_count = usize::from(directory.short(Tag::SAMPLES_PER_PIXEL, 1)?);
        if band_count == 0 || band_count > BAND_COUNT_MAX {
            return Err(directory.bad(Tag::SAMPLES_PER_PIXEL, format!("{band_count} bands")));
        }
        let (bits, bits_mixed) = per_sample(directory, Tag::BITS_PER_SAMPLE, 1)?;
        let (format_code, format_mixed) = per_sample(directory, Tag::SAMPLE_FORMAT, 1)?;
        let sample_format = SampleFormat::from_code(format_code);
        if bits == 0 || bits > 128 {
            return Err(directory.bad(Tag::BITS_PER_SAMPLE, format!("{bits} bits")));
        }
        let decoded = decoded(sample_format, bits);
        let geo_keys = GeoKeys::parse(directory)?;
        let (transform, gcp_count) = parse_transform(directory, geo_keys.is_pixel_point());
        let photometric = directory.short(Tag::PHOTOMETRIC, 1)?;
        let nodata_text = directory
            .text(Tag::GDAL_NODATA)
            .map(|text| text.trim().to_owned());
        let mut info = ImageInfo {
            index: directory.index,
            role: role(directory)?,
            width,
            height,
            band_count,
            bits,
            sample_format,
            dtype: decoded.map(|(dtype, _)| dtype),
            block_height: 0,
            block_width: 0,
            tiled: directory.has(Tag::TILE_WIDTH),
            interleave: interleave(directory, band_count)?,
            compression: compression(directory)?,
            predictor: Predictor::from_code(directory.short(Tag::PREDICTOR, 1)?),
            photometric,
            bands: bands(directory, photometric, band_count)?,
            nodata: nodata_text.as_deref().and_then(parse_number),
            nodata_text,
            transform,
            gcp_count,
            epsg: geo_keys.epsg(),
            geo_keys,
        };
        (info.block_height, info.block_width) = block_shape(directory, &info)?;
        let blocks = block_index(directory, &info)?;
        let fill_order = directory.short(Tag::FILL_ORDER, 1)?;
        let unsupported = if bits_mixed || format_mixed {
            Some("bands of different sample types".to_owned())
        } else {
            why_unsupported(directory, &info)?
        };
        let storage = decoded.map_or(Storage::Plain, |(_, storage)| storage);
        Ok(Image {
            info,
            order,
            reverse_bits: fill_order == 2,
            has_plain_alpha: has_plain_alpha(directory)?,
            storage,
            blocks,
            unsupported,
        })
    }

    /// Takes from the main image what this one, a smaller version or a mask of it, does not say itself.
    pub(crate) fn inherit(&mut self, main: &ImageInfo) {
        let info = &mut self.info;
        if info.role == ImageRole::Overview && info.nodata.is_none() {
            info.nodata = main.nodata;
            info.nodata_text.clone_from(&main.nodata_text);
        }
        if info.transform.is_none() {
            let across = f64::from(main.width) / f64::from(info.width);
            let down = f64::from(main.height) / f64::from(info.height);
            info.transform = main
                .transform
                .map(|[a, b, c, d, e, f]| [a * across, b * down, c, d * across, e * down, f]);
        }
        if info.epsg.is_none() && info.geo_keys == GeoKeys::default() {
            info.epsg = main.epsg;
            info.geo_keys = main.geo_keys.clone();
        }
    }
}

fn dimension(directory: &Directory, tag: Tag) -> Result<u32, TiffError> {
    let value = directory
        .integer(tag)?
        .ok_or_else(|| directory.bad(tag, "missing"))?;
    match u32::try_from(value) {
        // Half the range, so that sums of two positions fit.
        Ok(value) if value > 0 && value <= u32::MAX / 2 => Ok(value),
        _ => Err(directory.bad(tag, format!("{value} is not a size that can be read"))),
    }
}

/// The value that all bands share (the first band's if they differ), and whether they differ.
fn per_sample(directory: &Directory, tag: Tag, default: u16) -> Result<(u16, bool), TiffError> {
    let all = directory.integers(tag)?.unwrap_or_default();
    let Some(first) = all.first() else {
        return Ok((default, false));
    };
    let value =
        u16::try_from(*first).map_err(|_| directory.bad(tag, format!("{first} needs more than 16 bits")))?;
    Ok((value, all.iter().any(|other| other != first)))
}

fn role(directory: &Directory) -> Result<ImageRole, TiffError> {
    let flags = directory.integer(Tag::NEW_SUBFILE_TYPE)?.unwrap_or(0);
    Ok(match (flags & 4 != 0, flags & 1 != 0) {
        (false, false) => ImageRole::Main,
        (false, true) => ImageRole::Overview,
        (true, false) => ImageRole::Mask,
        (true, true) => ImageRole::OverviewMask,
    })
}

fn compression(directory: &Directory) -> Result<Compression, TiffError> {
    let code = directory.short(Tag::COMPRESSION, 1)?;
    // A version, then the compression on top; both are only there for LERC.
    let parameters = match code {
        LERC => directory.integers(Tag::LERC_PARAMETERS)?.unwrap_or_default(),
        _ => Vec::new(),
    };
    Ok(Compression::from_codes(
        code,
        parameters.get(1).copied().unwrap_or(0),
    ))
}

fn has_plain_alpha(directory: &Directory) -> Result<bool, TiffError> {
    let extra = directory.integers(Tag::EXTRA_SAMPLES)?.unwrap_or_default();
    Ok(extra.last() == Some(&2))
}

fn interleave(directory: &Directory, band_count: usize) -> Result<Interleave, TiffError> {
    match directory.short(Tag::PLANAR_CONFIGURATION, 1)? {
        1 => Ok(Interleave::Pixel),
        2 if band_count == 1 => Ok(Interleave::Pixel),
        2 => Ok(Interleave::Band),
        other => Err(directory.bad(Tag::PLANAR_CONFIGURATION, format!("{other} is neither 1 nor 2"))),
    }
}

fn bands(directory: &Directory, photometric: u16, band_count: usize) -> Result<Vec<BandInfo>, TiffError> {
    let extra = directory.integers(Tag::EXTRA_SAMPLES)?.unwrap_or_default();
    let mut bands: Vec<BandInfo> = (0..band_count)
        .map(|band| BandInfo {
            description: None,
            scale: 1.0,
            offset: 0.0,
            unit: None,
            color: band_color(photometric, band, band_count, &extra),
        })
        .collect();
    for item in parse_items(&directory.text(Tag::GDAL_METADATA).unwrap_or_default()) {
        if let Some(band) = item.sample.and_then(|sample| bands.get_mut(sample)) {
            describe(band, item);
        }
    }
    Ok(bands)
}

fn describe(band: &mut BandInfo, item: Item) {
    match item.role.as_deref() {
        Some("scale") => band.scale = parse_number(&item.value).unwrap_or(band.scale),
        Some("offset") => band.offset = parse_number(&item.value).unwrap_or(band.offset),
        Some("description") => band.description = Some(item.value),
        Some("unittype") => band.unit = Some(item.value),
        Some("colorinterp") => band.color = ColorInterpretation::from_name(&item.value),
        _ => {}
    }
}

fn block_shape(directory: &Directory, info: &ImageInfo) -> Result<(u32, u32), TiffError> {
    if info.tiled {
        Ok((
            dimension(directory, Tag::TILE_LENGTH)?,
            dimension(directory, Tag::TILE_WIDTH)?,
        ))
    } else {
        // Absent, or 2^32 - 1: one strip.
        let rows = directory
            .integer(Tag::ROWS_PER_STRIP)?
            .unwrap_or(u64::from(info.height));
        if rows == 0 {
            return Err(directory.bad(Tag::ROWS_PER_STRIP, "0 rows"));
        }
        Ok((
            u32::try_from(rows).unwrap_or(u32::MAX).min(info.height),
            info.width,
        ))
    }
}

fn block_index(directory: &Directory, info: &ImageInfo) -> Result<BlockIndex, TiffError> {
    let across = info.width.div_ceil(info.block_width);
    let down = info.height.div_ceil(info.block_height);
    let (samples, planes) = match info.interleave {
        Interleave::Pixel => (info.band_count, 1),
        Interleave::Band => (1, info.band_count),
    };
    let count = u64::from(across) * u64::from(down);
    let count = count.saturating_mul(planes as u64);
    limit("the number of blocks", count, BLOCK_COUNT_MAX)?;
    let row_bits = u64::from(info.block_width)
        .checked_mul(samples as u64)
        .and_then(|n| n.checked_mul(u64::from(info.bits)))
        .unwrap_or(u64::MAX);
    let row_bytes = row_bits.div_ceil(8);
    let block_bytes = row_bytes.saturating_mul(u64::from(info.block_height));
    // An uncompressed block is never held as a whole.
    let max = if info.compression == Compression::None {
        u64::MAX / 2
    } else {
        BLOCK_BYTES_MAX
    };
    limit("the size of a block in bytes", block_bytes, max)?;
    limit(
        "the size of a row of a block in bytes",
        row_bytes,
        BLOCK_BYTES_MAX,
    )?;

    let (offsets, lens) = if info.tiled {
        (Tag::TILE_OFFSETS, Tag::TILE_BYTE_COUNTS)
    } else {
        (Tag::STRIP_OFFSETS, Tag::STRIP_BYTE_COUNTS)
    };
    let count = count as usize;
    let offset_list = block_numbers(directory, offsets, count)?;
    let len_list = if directory.has(lens) {
        block_numbers(directory, lens, count)?
    } else if info.compression == Compression::None {
        uncompressed_lens(info, row_bytes, across, down, count)
    } else {
        return Err(directory.bad(lens, "missing"));
    };
    Ok(BlockIndex {
        across,
        down,
        samples,
        row_bytes: row_bytes as usize,
        offsets: offset_list,
        lens: len_list,
    })
}

fn limit(what: &'static str, got: u64, limit: u64) -> Result<(), TiffError> {
    if got > limit {
        Err(TiffError::LimitExceeded { what, got, limit })
    } else {
        Ok(())
    }
}

fn block_numbers(directory: &Directory, tag: Tag, count: usize) -> Result<Arc<[u64]>, TiffError> {
    let mut all = directory
        .integers(tag)?
        .ok_or_else(|| directory.bad(tag, "missing"))?;
    if all.len() < count {
        return Err(directory.bad(
            tag,
            format!("{} entries, the image has {count} blocks", all.len()),
        ));
    }
    all.truncate(count);
    Ok(all.into())
}

fn uncompressed_lens(info: &ImageInfo, row_bytes: u64, across: u32, down: u32, count: usize) -> Arc<[u64]> {
    let per_plane = across as usize * down as usize;
    let len_of = |block: usize| {
        let row = (block % per_plane) as u32 / across * info.block_height;
        let rows = if info.tiled {
            info.block_height
        } else {
            info.block_height.min(info.height - row)
        };
        u64::from(rows) * row_bytes
    };
    (0..count).map(len_of).collect()
}

/// Why the pixels of a sound image can't be decoded by this reader.
fn why_unsupported(directory: &Directory, info: &ImageInfo) -> Result<Option<String>, TiffError> {
    if let Compression::Other(_) = info.compression {
        return Ok(Some(info.compression.to_string()));
    }
    let Some((_, storage)) = decoded(info.sample_format, info.bits) else {
        return Ok(Some(format!(
            "samples of {} bits, {}",
            info.bits, info.sample_format
        )));
    };
    match info.compression {
        Compression::Lerc | Compression::LercDeflate | Compression::LercZstd
            if lerc_kind(info.sample_format, info.bits).is_none() =>
        {
            let (bits, format, compression) = (info.bits, info.sample_format, info.compression);
            return Ok(Some(format!(
                "samples of {bits} bits, {format}, in {compression}"
            )));
        }
        Compression::WebP if !webp::is_decodable(info) => {
            let (bits, format, bands) = (info.bits, info.sample_format, info.band_count);
            return Ok(Some(format!(
                "{bands} samples of {bits} bits, {format}, in WebP compression"
            )));
        }
        _ => {}
    }
    if info.photometric == 6 {
        let sub = directory.integers(Tag::YCBCR_SUBSAMPLING)?.unwrap_or(vec![2, 2]);
        return Ok(Some(format!("YCbCr colours without JPEG (subsampling {sub:?})")));
    }
    Ok(match info.predictor {
        Predictor::None => None,
        Predictor::Horizontal if storage != Storage::Packed => None,
        Predictor::Horizontal => Some(format!("predictor 2 over samples of {} bits", info.bits)),
        Predictor::Float if info.sample_format == SampleFormat::Float => None,
        Predictor::Float => Some(format!("predictor 3 over {} samples", info.sample_format)),
        Predictor::Other(code) => Some(format!("predictor {code}")),
    })
}
