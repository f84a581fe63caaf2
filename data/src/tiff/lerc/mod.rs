//! Decodes LERC (limited error raster compression) blobs of versions 3 to 5, as TIFFs hold them.
//!
//! A blob has a header with a checksum, a mask of valid pixels, and the values of those pixels: one constant, raw,
//! Huffman coded (8 bits), or tile by tile quantised and bit-stuffed. Format: <https://github.com/Esri/lerc>, whose
//! encoder defines it; where a TIFF's samples and a blob's values differ, as in libtiff.
//!
//! Trusts nothing that a blob says: its shape must be that of the TIFF's block, so no memory is taken by its word.

mod bits;
mod header;
mod huffman;
mod mask;
mod sample;
#[cfg(test)]
mod tests;
mod tiles;

use header::Header;
use mask::Mask;
use sample::Sample;
pub(crate) use sample::SampleKind;

/// What a block must hold by the TIFF's directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Samples side by side in the block.
    pub(crate) samples: usize,
    pub(crate) kind: SampleKind,
    /// Whether the last sample is an alpha that the blob's mask may stand for.
    pub(crate) mask_is_alpha: bool,
}

impl Layout {
    fn pixel_count(&self) -> usize {
        self.rows * self.cols
    }

    /// Bytes of the decoded block.
    pub(crate) fn block_bytes(&self) -> usize {
        self.pixel_count() * self.samples * self.kind.size()
    }

    /// More bytes than the block's blobs can sensibly have: what is decompressed to before they are read.
    pub(crate) fn blob_bytes_max(&self) -> usize {
        let mask_bytes = self.pixel_count().div_ceil(8);
        self.block_bytes() / 3 * 4 + self.samples * (256 + 2 * mask_bytes)
    }
}

/// Why blobs were not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LercFault {
    /// They are sound, as far as could be seen.
    Unsupported(String),
    Damaged(String),
}

impl LercFault {
    fn damaged(reason: impl Into<String>) -> Self {
        LercFault::Damaged(reason.into())
    }
}

/// Decodes the blobs of one block into `out`: samples in native byte order, side by side.
///
/// Pixels that the mask leaves out are NaN; where `mask_is_alpha`, they are 0 and the last sample tells them apart.
///
/// # Panics
/// If `out` has another size than [`block_bytes`](Layout::block_bytes).
pub(crate) fn decode(blobs: &[u8], layout: &Layout, out: &mut [u8]) -> Result<(), LercFault> {
    assert_eq!(
        out.len(),
        layout.block_bytes(),
        "the caller makes room for the block"
    );
    match layout.kind {
        SampleKind::Int8 => decode_as::<i8>(blobs, layout, out),
        SampleKind::UInt8 => decode_as::<u8>(blobs, layout, out),
        SampleKind::Int16 => decode_as::<i16>(blobs, layout, out),
        SampleKind::UInt16 => decode_as::<u16>(blobs, layout, out),
        SampleKind::Int32 => decode_as::<i32>(blobs, layout, out),
        SampleKind::UInt32 => decode_as::<u32>(blobs, layout, out),
        SampleKind::Float32 => decode_as::<f32>(blobs, layout, out),
        SampleKind::Float64 => decode_as::<f64>(blobs, layout, out),
    }
}

fn decode_as<T: Sample>(blobs: &[u8], layout: &Layout, out: &mut [u8]) -> Result<(), LercFault> {
    let first = Header::parse(blobs)?;
    let alpha = layout.mask_is_alpha && layout.kind == SampleKind::UInt8 && first.depth + 1 == layout.samples;
    let blob_count = match first.depth {
        depth if depth == layout.samples || alpha => 1,
        // Bands whose missing pixels differ come as a blob each.
        1 if T::MISSING.is_some() => layout.samples,
        depth => {
            let samples = layout.samples;
            return Err(LercFault::damaged(format!(
                "its LERC blob has {depth} values per pixel, the image has {samples}"
            )));
        }
    };
    let mut rest = blobs;
    let mut mask = Mask::new(layout.pixel_count());
    for band in 0..blob_count {
        let header = Header::parse(rest)?;
        header.check(layout, first.depth)?;
        let (blob, after) = rest
            .split_at_checked(header.blob_bytes)
            .ok_or_else(|| LercFault::damaged("its LERC blob is cut off"))?;
        rest = after;
        let mut cursor = header.body(blob)?;
        mask.read(&mut cursor, header.valid_count)?;
        let mut grid = Grid {
            bytes: &mut *out,
            cols: layout.cols,
            depth: header.depth,
            stride: layout.samples,
            first: band,
        };
        grid.fill_missing::<T>(&mask, alpha)?;
        tiles::read_values::<T>(&mut cursor, &header, &mask, &mut grid)?;
        if alpha {
            grid.write_alpha(&mask);
        }
    }
    Ok(())
}

/// The decoded block, and which of its samples a blob's values are.
struct Grid<'a> {
    bytes: &'a mut [u8],
    cols: usize,
    /// Values per pixel in the blob.
    depth: usize,
    /// Samples per pixel in the block.
    stride: usize,
    /// The block's sample that is the blob's first value.
    first: usize,
}

impl Grid<'_> {
    fn at<T: Sample>(&self, pixel: usize, value: usize) -> usize {
        (pixel * self.stride + self.first + value) * T::KIND.size()
    }

    fn set<T: Sample>(&mut self, pixel: usize, value: usize, sample: T) {
        let at = self.at::<T>(pixel, value);
        sample.put(&mut self.bytes[at..]);
    }

    fn get<T: Sample>(&self, pixel: usize, value: usize) -> T {
        T::take(&self.bytes[self.at::<T>(pixel, value)..])
    }

    fn fill_missing<T: Sample>(&mut self, mask: &Mask, alpha: bool) -> Result<(), LercFault> {
        if mask.is_full() {
            return Ok(());
        }
        let missing = match T::MISSING {
            Some(missing) => missing,
            None if alpha => T::from_f64(0.0),
            None => {
                let what = "a mask of pixels beside integers without alpha, in LERC compression";
                return Err(LercFault::Unsupported(what.to_owned()));
            }
        };
        for pixel in (0..mask.len()).filter(|pixel| !mask.is_valid(*pixel)) {
            (0..self.depth).for_each(|value| self.set(pixel, value, missing));
        }
        Ok(())
    }

    /// Gives every valid pixel the values of `constant`, one per value of a pixel.
    fn fill_constant<T: Sample>(&mut self, mask: &Mask, constant: &[T]) {
        for pixel in (0..mask.len()).filter(|pixel| mask.is_valid(*pixel)) {
            for (value, sample) in constant.iter().enumerate() {
                self.set(pixel, value, *sample);
            }
        }
    }

    fn write_alpha(&mut self, mask: &Mask) {
        for pixel in 0..mask.len() {
            self.set(pixel, self.depth, if mask.is_valid(pixel) { 255u8 } else { 0 });
        }
    }
}
