//! From pixels to a block's bytes.

use super::error::TiffError;
use super::format::Predictor;
use super::options::{BlockPlace, Blocks, GeoTiffOptions, WriteCompression};

/// Turns the pixels of blocks into their bytes in the file; knows no file, so that threads can share the work.
///
/// The same pixels always give the same bytes.
#[derive(Debug, Clone)]
pub struct BlockEncoder {
    blocks: Blocks,
    compression: WriteCompression,
    predictor: Predictor,
}

impl BlockEncoder {
    pub(crate) fn new(options: &GeoTiffOptions) -> Self {
        BlockEncoder {
            blocks: Blocks::of(options),
            compression: options.compression,
            predictor: options.used_predictor(),
        }
    }

    /// Number of blocks.
    pub fn block_count(&self) -> usize {
        self.blocks.count()
    }

    /// Where block number `turn` lies.
    ///
    /// # Panics
    /// If there is no block of that number.
    pub fn place(&self, turn: usize) -> BlockPlace {
        assert!(
            turn < self.block_count(),
            "block {turn} of {}",
            self.block_count()
        );
        self.blocks.place(turn).0
    }

    /// Encodes the pixels of block number `turn`: those of its window in (band, y, x) order and the machine's byte
    /// order, one band or all of them.
    ///
    /// Memory: two blocks beside the pixels.
    ///
    /// # Errors
    /// [`TiffError::BufferSize`] if there are more or fewer pixels than the window has.
    ///
    /// # Panics
    /// If there is no block of that number.
    pub fn encode(&self, turn: usize, pixels: &[u8]) -> Result<Vec<u8>, TiffError> {
        let place = self.place(turn);
        let want = self.blocks.given_bytes(place.window);
        if pixels.len() != want {
            return Err(TiffError::BufferSize {
                got: pixels.len(),
                want,
            });
        }
        let (width, height) = (place.window.width as usize, place.window.height as usize);
        let mut block = self.lay_out(pixels, width, height);
        self.predict(&mut block);
        self.compress(block)
    }

    /// The block in the file's order, its edges repeated where it reaches over the image.
    fn lay_out(&self, pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
        let Blocks {
            samples,
            size,
            tile_size,
            ..
        } = self.blocks;
        let row_bytes = tile_size as usize * samples * size;
        let mut block = vec![0; row_bytes * tile_size as usize];
        for (row, to) in block.chunks_exact_mut(row_bytes).enumerate().take(height) {
            for band in 0..samples {
                let start = (band * height + row) * width * size;
                let from = &pixels[start..start + width * size];
                if samples == 1 {
                    to[..from.len()].copy_from_slice(from);
                } else {
                    let places = to.chunks_exact_mut(size).skip(band).step_by(samples);
                    places
                        .zip(from.chunks_exact(size))
                        .for_each(|(to, from)| to.copy_from_slice(from));
                }
            }
            let pixel = samples * size;
            let used = width * pixel;
            for at in (used..row_bytes).step_by(pixel) {
                to.copy_within(used - pixel..used, at);
            }
        }
        for row in height..tile_size as usize {
            block.copy_within((height - 1) * row_bytes..height * row_bytes, row * row_bytes);
        }
        block
    }

    fn predict(&self, block: &mut [u8]) {
        let Blocks {
            samples,
            size,
            tile_size,
            ..
        } = self.blocks;
        let row_bytes = tile_size as usize * samples * size;
        let mut planes = vec![
            0;
            if self.predictor == Predictor::Float {
                row_bytes
            } else {
                0
            }
        ];
        for row in block.chunks_exact_mut(row_bytes) {
            match self.predictor {
                Predictor::Horizontal => {
                    match size {
                        1 => difference::<1>(row, samples),
                        2 => difference::<2>(row, samples),
                        _ => difference::<4>(row, samples),
                    }
                    to_little_endian(row, size);
                }
                Predictor::Float => {
                    split_bytes(row, size, &mut planes);
                    difference::<1>(&mut planes, samples);
                    row.copy_from_slice(&planes);
                }
                Predictor::None | Predictor::Other(_) => to_little_endian(row, size),
            }
        }
    }

    fn compress(&self, block: Vec<u8>) -> Result<Vec<u8>, TiffError> {
        let failed = |reason: String| TiffError::BadOption { reason };
        match self.compression {
            WriteCompression::None => Ok(block),
            WriteCompression::Deflate { level } => {
                let level = libdeflater::CompressionLvl::new(level)
                    .map_err(|_| failed(format!("there is no deflate level {level}")))?;
                let mut compressor = libdeflater::Compressor::new(level);
                let mut encoded = vec![0; compressor.zlib_compress_bound(block.len())];
                let len = compressor
                    .zlib_compress(&block, &mut encoded)
                    .map_err(|error| failed(format!("deflate failed: {error}")))?;
                encoded.truncate(len);
                Ok(encoded)
            }
            WriteCompression::Zstd { level } => zstd::bulk::compress(&block, level)
                .map_err(|error| failed(format!("ZSTD level {level} failed: {error}"))),
        }
    }
}

fn to_little_endian(row: &mut [u8], size: usize) {
    if cfg!(target_endian = "big") {
        row.chunks_exact_mut(size).for_each(|sample| sample.reverse());
    }
}

/// Replaces each sample by the difference to the one `samples` before it, wrapping.
fn difference<const N: usize>(row: &mut [u8], samples: usize) {
    let row = row.as_chunks_mut::<N>().0;
    for at in (samples..row.len()).rev() {
        row[at] = subtract(row[at], row[at - samples]);
    }
}

fn subtract<const N: usize>(a: [u8; N], b: [u8; N]) -> [u8; N] {
    let mut out = [0; N];
    let mut borrow = false;
    for place in 0..N {
        let at = if cfg!(target_endian = "big") {
            N - 1 - place
        } else {
            place
        };
        let (first, under) = a[at].overflowing_sub(b[at]);
        let (second, under_again) = first.overflowing_sub(u8::from(borrow));
        out[at] = second;
        borrow = under || under_again;
    }
    out
}

/// Writes first the highest byte of every sample, then the next, and so on.
fn split_bytes(row: &[u8], size: usize, planes: &mut [u8]) {
    let count = row.len() / size;
    for (at, sample) in row.chunks_exact(size).enumerate() {
        for (place, byte) in sample.iter().enumerate() {
            let plane = if cfg!(target_endian = "big") {
                place
            } else {
                size - 1 - place
            };
            planes[plane * count + at] = *byte;
        }
    }
}
