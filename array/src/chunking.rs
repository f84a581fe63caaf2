//! Cutting an array otherwise.

use graticule_plan::{AxisChunks, ChunkGrid};

use crate::{
    Array, ArrayError,
    expression::Op,
    infer::{same_cuts, tidy, tidy_grid},
};

/// What `Chunks::Auto` aims at: bytes of one decoded chunk.
pub const AUTO_CHUNK_BYTES: u64 = 128 << 20;

/// How one axis shall be cut.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Chunks {
    /// As it is.
    Keep,
    /// Into one chunk (`-1` in Dask).
    Whole,
    /// Into chunks of so many elements, the last one shorter.
    Size(u64),
    /// Into chunks of these lengths, which add up to the axis. Empty ones are dropped.
    Lengths(Vec<u64>),
    /// So that chunks take about [`AUTO_CHUNK_BYTES`], in multiples of the stored tiles.
    Auto,
}

impl Array {
    /// Cuts the array otherwise; one [`Chunks`] for each axis.
    ///
    /// Where the array is read from a file and nothing else uses it, the read itself is cut so and nothing is copied.
    ///
    /// # Errors
    /// [`ArrayError::ChunkCount`], [`ArrayError::ChunksDoNotAddUp`], [`ArrayError::Plan`] for a chunk size of 0.
    pub fn rechunk(&self, chunks: &[Chunks]) -> Result<Array, ArrayError> {
        let (given, ndim) = (chunks.len(), self.ndim());
        if given != ndim {
            return Err(ArrayError::ChunkCount { given, ndim });
        }
        let mut axes = Vec::with_capacity(ndim);
        for (axis, (wanted, own)) in chunks.iter().zip(self.chunks().axes()).enumerate() {
            let len = own.len();
            axes.push(match wanted {
                Chunks::Keep => own.clone(),
                Chunks::Whole | Chunks::Auto => AxisChunks::whole(len),
                Chunks::Size(size) => tidy(&AxisChunks::regular(len, *size)?),
                Chunks::Lengths(lengths) => {
                    let cuts = AxisChunks::from_lengths(lengths)?;
                    if cuts.len() != len {
                        return Err(ArrayError::ChunksDoNotAddUp {
                            axis,
                            got: cuts.len(),
                            want: len,
                        });
                    }
                    tidy(&cuts)
                }
            });
        }
        let auto: Vec<usize> = (0..ndim).filter(|&axis| chunks[axis] == Chunks::Auto).collect();
        let tile = &self.0.origin.tile;
        shrink(
            &mut axes,
            &auto,
            tile,
            self.dtype().size_bytes(),
            AUTO_CHUNK_BYTES,
        );
        Ok(self.with_grid(&ChunkGrid::new(axes)?))
    }

    /// Cuts the array into chunks of about [`AUTO_CHUNK_BYTES`] along all axes.
    ///
    /// # Errors
    /// As [`Array::rechunk`].
    pub fn rechunk_auto(&self) -> Result<Array, ArrayError> {
        self.rechunk(&vec![Chunks::Auto; self.ndim()])
    }

    /// The same array in `grid`, which has its shape; the array itself if it is cut so already.
    pub(crate) fn with_grid(&self, grid: &ChunkGrid) -> Array {
        debug_assert_eq!(self.shape(), grid.shape());
        let mut cuts = self.chunks().axes().iter().zip(grid.axes());
        if cuts.all(|(a, b)| same_cuts(a, b)) {
            return self.clone();
        }
        Array::new(Op::Rechunk, vec![self.clone()], self.dtype(), tidy_grid(grid))
    }
}

/// Cuts `axes` finer along those of `free` until a chunk takes at most `limit_bytes`, as far as whole tiles allow, and
/// then, if it must be, through the tiles.
pub(crate) fn shrink(
    axes: &mut [AxisChunks],
    free: &[usize],
    tile: &[u64],
    item_bytes: u64,
    limit_bytes: u64,
) {
    let bytes = |axes: &[AxisChunks]| {
        axes.iter()
            .map(AxisChunks::chunk_max)
            .fold(item_bytes, |product, len| product.saturating_mul(len))
    };
    for through_tiles in [false, true] {
        let step = |axis: usize| if through_tiles { 1 } else { tile[axis].max(1) };
        while bytes(axes) > limit_bytes {
            // Halve where the most tiles lie side by side: chunks become square.
            let tiles = |axis: &usize| axes[*axis].chunk_max().div_ceil(step(*axis));
            let Some(&axis) = free
                .iter()
                .max_by_key(|axis| (tiles(axis), std::cmp::Reverse(**axis)))
            else {
                return;
            };
            if tiles(&axis) < 2 {
                break;
            }
            let chunk = tiles(&axis).div_ceil(2) * step(axis);
            axes[axis] = AxisChunks::Regular {
                len: axes[axis].len(),
                chunk,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_whole_tiles_while_it_can() {
        let mut axes = vec![
            AxisChunks::whole(24),
            AxisChunks::whole(10_000),
            AxisChunks::whole(10_000),
        ];
        shrink(&mut axes, &[1, 2], &[1, 512, 512], 2, 256 << 20);
        let chunks: Vec<u64> = axes.iter().map(AxisChunks::chunk_max).collect();
        assert_eq!(chunks[0], 24);
        assert!(chunks[1..].iter().all(|c| c % 512 == 0), "{chunks:?}");
        assert!(chunks.iter().product::<u64>() * 2 <= 256 << 20);
    }

    #[test]
    fn shrinking_goes_through_tiles_where_one_is_too_much() {
        let mut axes = vec![
            AxisChunks::whole(100_000),
            AxisChunks::whole(512),
            AxisChunks::whole(512),
        ];
        shrink(&mut axes, &[1, 2], &[1, 512, 512], 4, 256 << 20);
        assert!(axes.iter().map(AxisChunks::chunk_max).product::<u64>() * 4 <= 256 << 20);
    }
}
