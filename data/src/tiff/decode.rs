//! The CPU phase: from a block's bytes to its part of the output.

use std::ops::Range;

use graticule_plan::DType;

use super::codec::Codecs;
use super::error::TiffError;
use super::format::{Compression, Predictor, Storage, lerc_kind};
use super::image::Image;
use super::lerc::{self, LercFault};
use super::predict::{BandOfRow, swap_bytes, undo_float, undo_horizontal};
use super::webp;
use super::window::{BlockPart, BlockRange, WindowRead};

/// Decompressors and scratch memory, to be kept from block to block; one per thread.
///
/// Holds the largest block decoded so far.
#[derive(Default)]
pub struct Decoder {
    codecs: Codecs,
    block: Vec<u8>,
    row: Vec<u8>,
    reversed: Vec<u8>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("scratch_bytes", &self.block.len())
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder that has decoded nothing yet and holds no memory.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn decode(
        &mut self,
        read: &WindowRead,
        block: &BlockRange,
        encoded: &[u8],
        out: &mut [u8],
    ) -> Result<(), TiffError> {
        let Some(range) = &block.range else {
            fill_part(read, &block.part, out);
            return Ok(());
        };
        let job = BlockJob::new(read, block, range);
        let want = range.end - range.start;
        let encoded = match usize::try_from(want).ok().and_then(|want| encoded.get(..want)) {
            Some(encoded) => encoded,
            None => return Err(job.truncated(want, encoded.len() as u64)),
        };
        if read.image().reverse_bits {
            let mut reversed = std::mem::take(&mut self.reversed);
            reversed.clear();
            reversed.extend(encoded.iter().map(|byte| byte.reverse_bits()));
            let result = self.decode_bytes(&job, &reversed, out);
            self.reversed = reversed;
            result
        } else {
            self.decode_bytes(&job, encoded, out)
        }
    }

    fn decode_bytes(&mut self, job: &BlockJob<'_>, encoded: &[u8], out: &mut [u8]) -> Result<(), TiffError> {
        if job.compression == Compression::None {
            return job.copy_uncompressed(encoded, out);
        }
        if let Some(place) = job.direct_place() {
            return self.decode_direct(job, encoded, &mut out[place]);
        }
        let room = job.room_bytes();
        if self.block.len() < room {
            // Not grown in place: the old content is of no use.
            self.block = Vec::new();
            self.block = vec![0; room];
        }
        let mut block = std::mem::take(&mut self.block);
        let result = self.decode_copied(job, encoded, &mut block[..room], out);
        self.block = block;
        result
    }

    /// Decompresses straight into the output, where the block's rows lie one after the other as in the block.
    fn decode_direct(
        &mut self,
        job: &BlockJob<'_>,
        encoded: &[u8],
        place: &mut [u8],
    ) -> Result<(), TiffError> {
        self.decompress(job, encoded, place)?;
        let rows = place.chunks_exact_mut(job.row_bytes);
        match job.predictor {
            Predictor::Float => {
                self.row.resize(job.row_bytes, 0);
                for row in rows {
                    undo_float(row, job.size, 1, &mut self.row);
                    row.copy_from_slice(&self.row);
                }
            }
            Predictor::Horizontal => {
                for row in rows {
                    job.swap(row);
                    undo_horizontal(row, job.size, 1);
                }
            }
            Predictor::None | Predictor::Other(_) => job.swap(place),
        }
        Ok(())
    }

    fn decode_copied(
        &mut self,
        job: &BlockJob<'_>,
        encoded: &[u8],
        block: &mut [u8],
        out: &mut [u8],
    ) -> Result<(), TiffError> {
        self.decompress(job, encoded, block)?;
        let wanted = job.wanted_rows_bytes();
        for (at, row) in block[wanted].chunks_exact_mut(job.row_bytes).enumerate() {
            match job.predictor {
                Predictor::Float => {
                    self.row.resize(job.row_bytes, 0);
                    undo_float(row, job.size, job.samples, &mut self.row);
                    job.copy_row(&self.row, at, false, out);
                }
                Predictor::Horizontal if job.read.image().storage == Storage::Half => {
                    job.swap(row);
                    undo_horizontal(row, job.size, job.samples);
                    job.copy_row(row, at, false, out);
                }
                Predictor::Horizontal | Predictor::None | Predictor::Other(_) => {
                    job.copy_row(row, at, job.foreign, out);
                }
            }
        }
        Ok(())
    }

    fn decompress(&mut self, job: &BlockJob<'_>, encoded: &[u8], to: &mut [u8]) -> Result<(), TiffError> {
        let want = job.part.rows as usize * job.row_bytes;
        let written = match job.compression {
            Compression::Lerc | Compression::LercDeflate | Compression::LercZstd => {
                let layout = job.lerc_layout()?;
                let decoded = self
                    .codecs
                    .decode_lerc(job.compression, encoded, &layout, &mut to[..want]);
                decoded.map(|()| want).map_err(|fault| match fault {
                    LercFault::Damaged(reason) => job.corrupt(reason),
                    LercFault::Unsupported(what) => TiffError::Unsupported { what },
                })?
            }
            Compression::WebP => {
                let shape = (job.part.rows, job.read.image().info().block_width);
                webp::decode(encoded, shape, job.samples, &mut to[..want])
                    .map(|()| want)
                    .map_err(|reason| job.corrupt(reason))?
            }
            _ => self
                .codecs
                .decompress(job.compression, encoded, to)
                .map_err(|reason| job.corrupt(reason))?,
        };
        if written < want {
            return Err(job.corrupt(format!("it decodes to {written} bytes, {want} are needed")));
        }
        Ok(())
    }
}

/// One block and where its part goes.
struct BlockJob<'a> {
    read: &'a WindowRead,
    part: &'a BlockPart,
    block: usize,
    offset: u64,
    compression: Compression,
    predictor: Predictor,
    /// Whether plain samples must have their bytes turned round.
    foreign: bool,
    /// Bytes of a stored sample; 0 where samples are packed.
    size: usize,
    /// Samples side by side in the block.
    samples: usize,
    row_bytes: usize,
}

impl<'a> BlockJob<'a> {
    fn new(read: &'a WindowRead, block: &'a BlockRange, range: &Range<u64>) -> Self {
        let image: &Image = read.image();
        let info = image.info();
        let predictor = match info.compression {
            // As in libtiff, where predictors belong to the codecs that have them.
            Compression::Lzw | Compression::Deflate | Compression::Zstd | Compression::Lzma => info.predictor,
            Compression::None
            | Compression::PackBits
            | Compression::Lerc
            | Compression::LercDeflate
            | Compression::LercZstd
            | Compression::WebP
            | Compression::Other(_) => Predictor::None,
        };
        let packed = image.storage == Storage::Packed;
        BlockJob {
            read,
            part: &block.part,
            block: block.block,
            offset: range.start,
            compression: info.compression,
            predictor,
            foreign: image.order.is_foreign() && !packed,
            size: if packed { 0 } else { usize::from(info.bits) / 8 },
            samples: image.blocks.samples,
            row_bytes: image.blocks.row_bytes,
        }
    }

    fn lerc_layout(&self) -> Result<lerc::Layout, TiffError> {
        let image: &Image = self.read.image();
        let info = image.info();
        let kind = lerc_kind(info.sample_format, info.bits)
            .ok_or_else(|| TiffError::unsupported(info.compression.to_string()))?;
        Ok(lerc::Layout {
            rows: self.part.rows as usize,
            cols: info.block_width as usize,
            samples: self.samples,
            kind,
            mask_is_alpha: image.has_plain_alpha,
        })
    }

    fn swap(&self, row: &mut [u8]) {
        if self.foreign {
            swap_bytes(row, self.size);
        }
    }

    /// Bytes of the whole decoded block, a last strip at its full height.
    fn room_bytes(&self) -> usize {
        self.read.image().info().block_height as usize * self.row_bytes
    }

    fn wanted_rows_bytes(&self) -> Range<usize> {
        let rows = &self.part.block_rows;
        rows.start as usize * self.row_bytes..rows.end as usize * self.row_bytes
    }

    /// The bytes of the output that the decompressed block can be written to as it is.
    fn direct_place(&self) -> Option<Range<usize>> {
        let part = self.part;
        let info = self.read.image().info();
        let whole = part.block_rows == (0..part.rows)
            && part.block_cols == (0..info.block_width)
            && self.read.window().width == info.block_width;
        if !whole || self.samples != 1 || self.read.image().storage != Storage::Plain {
            return None;
        }
        let mut slots = self.slots();
        let (slot, None) = (slots.next()?.0, slots.next()) else {
            return None;
        };
        let start = self.out_at(slot, 0);
        Some(start..start + part.rows as usize * self.row_bytes)
    }

    /// The output's bands that this block has, each with the band's place among the block's samples.
    fn slots(&self) -> impl Iterator<Item = (usize, usize)> + 'a {
        let own = self.part.band;
        self.read
            .bands()
            .iter()
            .enumerate()
            .filter_map(move |(slot, &band)| match own {
                None => Some((slot, band)),
                Some(own) => (own == band).then_some((slot, 0)),
            })
    }

    /// The output's byte where wanted row `row` of this block begins in band `slot`.
    fn out_at(&self, slot: usize, row: usize) -> usize {
        let window = self.read.window();
        let row = slot * window.height as usize + self.part.out_row as usize + row;
        (row * window.width as usize + self.part.out_col as usize) * self.read.dtype().size_bytes() as usize
    }

    /// Copies the wanted part of `row`, the block's wanted row number `at`, to each band of the output.
    fn copy_row(&self, row: &[u8], at: usize, swap: bool, out: &mut [u8]) {
        let image: &Image = self.read.image();
        let cols = &self.part.block_cols;
        let len = cols.len() * self.read.dtype().size_bytes() as usize;
        for (slot, band) in self.slots() {
            let source = BandOfRow {
                storage: image.storage,
                size: self.size,
                bits: image.info().bits,
                samples: self.samples,
                band,
                first: cols.start as usize,
                swap,
                differences: self.predictor == Predictor::Horizontal && image.storage == Storage::Plain,
            };
            let start = self.out_at(slot, at);
            source.copy(row, &mut out[start..start + len]);
        }
    }

    fn copy_uncompressed(&self, encoded: &[u8], out: &mut [u8]) -> Result<(), TiffError> {
        let rows = &self.part.block_rows;
        let skip = (rows.start - self.part.encoded_row) as usize * self.row_bytes;
        let want = skip as u64 + rows.len() as u64 * self.row_bytes as u64;
        let Some(wanted) = usize::try_from(want)
            .ok()
            .and_then(|want| encoded.get(skip..want))
        else {
            return Err(self.truncated(want, encoded.len() as u64));
        };
        for (at, row) in wanted.chunks_exact(self.row_bytes).enumerate() {
            self.copy_row(row, at, self.foreign, out);
        }
        Ok(())
    }

    fn truncated(&self, want: u64, got: u64) -> TiffError {
        TiffError::TruncatedBlock {
            block: self.block,
            offset: self.offset,
            want,
            got,
        }
    }

    fn corrupt(&self, reason: String) -> TiffError {
        TiffError::CorruptBlock {
            block: self.block,
            offset: self.offset,
            reason,
        }
    }
}

/// Writes nodata (0 where the file has none) to the part of a sparse block.
fn fill_part(read: &WindowRead, part: &BlockPart, out: &mut [u8]) {
    let info = read.image().info();
    let element = fill_element(read.dtype(), info.nodata, info.nodata_text.as_deref());
    let size = read.dtype().size_bytes() as usize;
    let window = read.window();
    for (slot, &band) in read.bands().iter().enumerate() {
        if part.band.is_some_and(|own| own != band) {
            continue;
        }
        for row in 0..part.block_rows.len() {
            let row = slot * window.height as usize + part.out_row as usize + row;
            let start = (row * window.width as usize + part.out_col as usize) * size;
            let place = &mut out[start..start + part.block_cols.len() * size];
            place
                .chunks_exact_mut(size)
                .for_each(|to| to.copy_from_slice(&element[..size]));
        }
    }
}

/// The bytes of a missing pixel, as many as the dtype has; 0 if nodata is no value of the dtype.
fn fill_element(dtype: DType, nodata: Option<f64>, text: Option<&str>) -> [u8; 8] {
    let mut element = [0; 8];
    let mut set = |bytes: &[u8]| element[..bytes.len()].copy_from_slice(bytes);
    let Some(value) = nodata else { return element };
    let whole: i128 = match text.and_then(|text| text.parse().ok()) {
        Some(whole) => whole,
        None if value.fract() == 0.0 => value as i128,
        None => 0,
    };
    match dtype {
        DType::Float32 => set(&(value as f32).to_ne_bytes()),
        // No sample is decoded as a half (those become float32), a complex number or a time.
        DType::Float16
        | DType::Complex64
        | DType::Complex128
        | DType::DateTime64(_)
        | DType::TimeDelta64(_) => {}
        DType::Float64 => set(&value.to_ne_bytes()),
        DType::Bool | DType::UInt8 => set(&u8::try_from(whole).unwrap_or(0).to_ne_bytes()),
        DType::Int8 => set(&i8::try_from(whole).unwrap_or(0).to_ne_bytes()),
        DType::UInt16 => set(&u16::try_from(whole).unwrap_or(0).to_ne_bytes()),
        DType::Int16 => set(&i16::try_from(whole).unwrap_or(0).to_ne_bytes()),
        DType::UInt32 => set(&u32::try_from(whole).unwrap_or(0).to_ne_bytes()),
        DType::Int32 => set(&i32::try_from(whole).unwrap_or(0).to_ne_bytes()),
        DType::UInt64 => set(&u64::try_from(whole).unwrap_or(0).to_ne_bytes()),
        DType::Int64 => set(&i64::try_from(whole).unwrap_or(0).to_ne_bytes()),
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_pixel_is_nodata_where_the_dtype_has_it() {
        let element = |dtype, value: f64, text| fill_element(dtype, Some(value), Some(text));
        assert_eq!(
            element(DType::Int16, -9999.0, "-9999")[..2],
            (-9999i16).to_ne_bytes()
        );
        assert_eq!(element(DType::UInt8, -9999.0, "-9999"), [0; 8]);
        assert_eq!(
            element(DType::UInt64, 2f64.powi(64), "18446744073709551615"),
            [255; 8]
        );
        assert!(
            f32::from_ne_bytes(element(DType::Float32, f64::NAN, "nan")[..4].try_into().unwrap()).is_nan()
        );
        assert_eq!(fill_element(DType::Float64, None, None), [0; 8]);
    }
}
