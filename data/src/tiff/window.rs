//! Which blocks a window needs, and which part of each goes where. Moves no bytes.

use std::ops::Range;
use std::sync::Arc;

use graticule_plan::DType;

use super::decode::Decoder;
use super::error::TiffError;
use super::format::{Compression, Interleave};
use super::image::Image;
use super::source::RangeSource;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// First row.
    pub row: u32,
    /// First column.
    pub col: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// A block that a window needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRange {
    /// Index of the block in the image.
    pub block: usize,
    /// The bytes to fetch; `None` for a sparse block, which has none and reads as nodata.
    ///
    /// Of an uncompressed block only the rows that the window needs.
    pub range: Option<Range<u64>>,
    pub(crate) part: BlockPart,
}

/// The part of a block that lies in the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockPart {
    /// The band of a block of one band; `None` where the block holds all of them.
    pub(crate) band: Option<usize>,
    /// First row of the block that the encoded bytes hold: not 0 only for uncompressed blocks.
    pub(crate) encoded_row: u32,
    /// Rows that the block holds inside the image (for tiles: all of the tile's).
    pub(crate) rows: u32,
    /// Rows of the block that are wanted.
    pub(crate) block_rows: Range<u32>,
    /// Columns of the block that are wanted.
    pub(crate) block_cols: Range<u32>,
    /// Row of the window where the first wanted row goes.
    pub(crate) out_row: u32,
    /// Column of the window where the first wanted column goes.
    pub(crate) out_col: u32,
}

/// A checked request for a window of some bands: the blocks it needs, and how to decode them.
///
/// Decoding has two phases. First fetch the [`range`](BlockRange::range)s of [`blocks`](WindowRead::blocks), all at
/// once or one by one, in any order; then hand each block's bytes to [`decode_block`](WindowRead::decode_block),
/// which writes its part of the output. The output holds the bands in the order asked for, each in rows, in the
/// machine's byte order.
#[derive(Debug, Clone)]
pub struct WindowRead {
    image: Arc<Image>,
    window: Window,
    bands: Vec<usize>,
    blocks: Vec<BlockRange>,
    dtype: DType,
    out_bytes: usize,
}

impl Image {
    /// Prepares to read `window` of `bands` (indices from 0, in the order of the output; one may come twice).
    ///
    /// # Errors
    /// [`TiffError::Unsupported`] if the pixels can't be decoded, [`TiffError::WindowOutside`] and
    /// [`TiffError::BandOutside`] if the image has no such pixels.
    pub fn window(self: &Arc<Image>, window: Window, bands: &[usize]) -> Result<WindowRead, TiffError> {
        let dtype = self.check_decodable()?;
        self.check_inside(window)?;
        let band_count = self.info().band_count;
        if let Some(&band) = bands.iter().find(|band| **band >= band_count) {
            return Err(TiffError::BandOutside { band, band_count });
        }
        let out_bytes = u64::from(window.height)
            .checked_mul(u64::from(window.width))
            .and_then(|n| n.checked_mul(bands.len() as u64))
            .and_then(|n| n.checked_mul(dtype.size_bytes()))
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n <= isize::MAX as usize)
            .ok_or(TiffError::LimitExceeded {
                what: "the size of a window in bytes",
                got: u64::MAX,
                limit: isize::MAX as u64,
            })?;
        let blocks = self.blocks_of(window, bands);
        Ok(WindowRead {
            image: Arc::clone(self),
            window,
            bands: bands.to_vec(),
            blocks,
            dtype,
            out_bytes,
        })
    }

    /// Prepares to read the whole image, all bands.
    ///
    /// # Errors
    /// [`TiffError::Unsupported`] if the pixels can't be decoded.
    pub fn whole(self: &Arc<Image>) -> Result<WindowRead, TiffError> {
        let info = self.info();
        let window = Window {
            row: 0,
            col: 0,
            height: info.height,
            width: info.width,
        };
        let bands: Vec<usize> = (0..info.band_count).collect();
        self.window(window, &bands)
    }

    fn check_inside(&self, window: Window) -> Result<(), TiffError> {
        let Window {
            row,
            col,
            height,
            width,
        } = window;
        let (image_height, image_width) = (self.info().height, self.info().width);
        let inside = |start: u32, len: u32, size: u32| start.checked_add(len).is_some_and(|end| end <= size);
        if inside(row, height, image_height) && inside(col, width, image_width) {
            Ok(())
        } else {
            Err(TiffError::WindowOutside {
                row,
                col,
                height,
                width,
                image_height,
                image_width,
            })
        }
    }

    fn blocks_of(&self, window: Window, bands: &[usize]) -> Vec<BlockRange> {
        if window.height == 0 || window.width == 0 || bands.is_empty() {
            return Vec::new();
        }
        let info = self.info();
        let covered = |start: u32, len: u32, block: u32| start / block..(start + len - 1) / block + 1;
        let block_rows = covered(window.row, window.height, info.block_height);
        let block_cols = covered(window.col, window.width, info.block_width);
        let planes: Vec<Option<usize>> = match info.interleave {
            Interleave::Pixel => vec![None],
            Interleave::Band => {
                let mut planes: Vec<_> = bands.iter().copied().map(Some).collect();
                planes.sort_unstable();
                planes.dedup();
                planes
            }
        };
        let mut found = Vec::with_capacity(planes.len() * block_rows.len() * block_cols.len());
        for plane in planes {
            for down in block_rows.clone() {
                for across in block_cols.clone() {
                    found.push(self.block_range(window, plane, down, across));
                }
            }
        }
        found
    }

    fn block_range(&self, window: Window, band: Option<usize>, down: u32, across: u32) -> BlockRange {
        let info = self.info();
        let index = &self.blocks;
        // Inside the image, so below its size, which is at most half of u32's range.
        let (first_row, first_col) = (down * info.block_height, across * info.block_width);
        let rows = if info.tiled {
            info.block_height
        } else {
            info.block_height.min(info.height - first_row)
        };
        let wanted = |start: u32, len: u32, first: u32, block: u32| {
            let low = start.max(first);
            let high = (start + len).min(first.saturating_add(block));
            (low - first..high - first, low - start)
        };
        let (block_rows, out_row) = wanted(window.row, window.height, first_row, info.block_height);
        let (block_cols, out_col) = wanted(window.col, window.width, first_col, info.block_width);
        let per_plane = index.across as usize * index.down as usize;
        let block = band.unwrap_or(0) * per_plane + down as usize * index.across as usize + across as usize;
        let mut encoded_row = 0;
        let mut range = index.range(block);
        if let (Compression::None, Some(range)) = (info.compression, &mut range) {
            let row_bytes = index.row_bytes as u64;
            let skip = u64::from(block_rows.start) * row_bytes;
            let end = u64::from(block_rows.end) * row_bytes;
            // A block that is too short keeps its range, so that decoding finds out.
            if end <= range.end - range.start {
                encoded_row = block_rows.start;
                *range = range.start + skip..range.start + end;
            }
        }
        let part = BlockPart {
            band,
            encoded_row,
            rows,
            block_rows,
            block_cols,
            out_row,
            out_col,
        };
        BlockRange { block, range, part }
    }
}

impl WindowRead {
    /// The image that is read.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// The bands, in the order of the output.
    pub fn bands(&self) -> &[usize] {
        &self.bands
    }

    /// The dtype of the output.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Bytes of the output: bands x rows x columns x the dtype's size.
    pub fn out_bytes(&self) -> usize {
        self.out_bytes
    }

    /// Every block that has a part in the window, in the file's order of blocks.
    pub fn blocks(&self) -> &[BlockRange] {
        &self.blocks
    }

    /// Bytes to fetch for all blocks together.
    pub fn fetch_bytes(&self) -> u64 {
        let len = |block: &BlockRange| block.range.as_ref().map_or(0, |range| range.end - range.start);
        self.blocks.iter().map(len).fold(0, u64::saturating_add)
    }

    /// Decodes block number `index` of [`blocks`](WindowRead::blocks) into its part of `out`; the rest of `out` stays
    /// as it is.
    ///
    /// `encoded` holds the bytes of the block's range, and is ignored for sparse blocks. `out` holds the whole
    /// window. Peak memory beside them: one decoded block, in `decoder`.
    ///
    /// # Errors
    /// [`TiffError::TruncatedBlock`] if bytes are missing, [`TiffError::CorruptBlock`] if they can't be decoded,
    /// [`TiffError::BufferSize`] if `out` has another size than [`out_bytes`](WindowRead::out_bytes). The block's
    /// part of `out` then holds anything.
    ///
    /// # Panics
    /// If there is no block of that number.
    pub fn decode_block(
        &self,
        decoder: &mut Decoder,
        index: usize,
        encoded: &[u8],
        out: &mut [u8],
    ) -> Result<(), TiffError> {
        if out.len() != self.out_bytes {
            return Err(TiffError::BufferSize {
                got: out.len(),
                want: self.out_bytes,
            });
        }
        decoder.decode(self, &self.blocks[index], encoded, out)
    }

    /// Fetches and decodes block by block, in order: at most one encoded and one decoded block is in memory.
    ///
    /// # Errors
    /// Those of [`decode_block`](WindowRead::decode_block), and [`TiffError::Source`] if the source fails.
    pub async fn read_into<S: RangeSource + ?Sized>(
        &self,
        source: &S,
        decoder: &mut Decoder,
        out: &mut [u8],
    ) -> Result<(), TiffError> {
        for (index, block) in self.blocks.iter().enumerate() {
            let encoded = match &block.range {
                None => bytes::Bytes::new(),
                Some(range) => source
                    .read(range.clone())
                    .await
                    .map_err(|source| TiffError::Source {
                        offset: range.start,
                        len: range.end - range.start,
                        source,
                    })?,
            };
            self.decode_block(decoder, index, &encoded, out)?;
        }
        Ok(())
    }
}
