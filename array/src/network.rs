//! Sorting along an axis that no task can hold.
//!
//! Blocks are sorted, and then pairs of them are merged in the order of Batcher's merge exchange (Knuth, The Art of Computer
//! Programming 3, algorithm 5.2.2M), in which sorted blocks of one length take the place of elements: the lesser half stays in
//! the first block of a pair, the greater one in the second. Which pairs there are does not depend on the elements, so it is an
//! expression like any other, with a window for each block. Of `n` blocks it takes about `log2(n)^2 / 2` rounds, in each of
//! which all elements move once.
//!
//! The other way, splitters from samples and one exchange, moves elements once in all, but its windows depend on the elements,
//! for each line others: it needs a round trip, and works for arrays of one axis only.

use std::ops::Range;

use graticule_ops::{Complex, Sorting};
use graticule_plan::{AxisChunks, DType};

use crate::{
    Array, ArrayError, WORKING_SET_BYTES,
    chunking::shrink,
    expression::Op,
    infer::{axis_index, from_lengths, grid_of, with_axis},
};

/// The bits of an integer up to which a float64 holds them all.
const EXACT_BYTES_MAX: u64 = 4;

impl Array {
    /// As [`Array::sort`], by tasks that hold two blocks of `block` elements along the axis at once.
    ///
    /// [`Array::sort`] does so by itself where a line takes more than [`WORKING_SET_BYTES`].
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::Plan`] for blocks without elements.
    pub fn sort_by_blocks(&self, axis: i64, descending: bool, block: u64) -> Result<Array, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let blocks = AxisChunks::regular(self.shape()[axis], block)?;
        if blocks.count() < 2 {
            return self.sort(axis as i64, descending);
        }
        let mut axes = self.chunks().axes().to_vec();
        let pair = AxisChunks::regular(blocks.len(), block.saturating_mul(2).min(blocks.len()))?;
        axes[axis] = pair;
        let others: Vec<usize> = (0..axes.len()).filter(|&other| other != axis).collect();
        let item_bytes = self.0.origin.element_bytes.max(self.dtype().size_bytes());
        shrink(
            &mut axes,
            &others,
            &self.0.origin.tile,
            item_bytes,
            WORKING_SET_BYTES,
        );
        axes[axis] = blocks.clone();
        let sorting = Sorting {
            axis,
            descending,
            positions: false,
            count: None,
        };
        let x = self.with_grid(&grid_of(axes)).sorted_in_blocks(sorting)?;
        x.merged(&blocks, sorting)
    }

    /// As [`Array::argsort`], by tasks that hold two blocks of `block` elements along the axis at once; `None` for dtypes of
    /// which a float64 does not hold every element, since elements go beside their positions.
    ///
    /// # Errors
    /// As [`Array::sort_by_blocks`].
    pub fn argsort_by_blocks(
        &self,
        axis: i64,
        descending: bool,
        block: u64,
    ) -> Result<Option<Array>, ArrayError> {
        let at = axis_index(axis, self.ndim())?;
        let dtype = self.dtype();
        if !holds_elements(dtype) {
            return Ok(None);
        }
        // Complex numbers sort by their real parts and then by the imaginary ones: equal elements by where they stand.
        let sign = if descending { -1.0 } else { 1.0 };
        let places = self.positions(at)?.multiply(Complex::new(0.0, sign))?;
        let beside = self.astype(DType::Complex128)?.add(&places)?;
        let sorted = beside.sort_by_blocks(axis, descending, block)?;
        Ok(Some(sorted.imag()?.absolute()?.astype(DType::Int64)?))
    }

    /// The longest blocks of which a task can hold two, if it cannot hold a line along the axis.
    pub(crate) fn block_to_merge(&self, axis: usize, item_bytes: u64) -> Option<u64> {
        let cuts = &self.chunks().axes()[axis];
        let fits = WORKING_SET_BYTES / item_bytes.max(1);
        (cuts.count() > 1 && cuts.len() > fits).then_some((fits / 2).max(1))
    }

    fn sorted_in_blocks(&self, sorting: Sorting) -> Result<Array, ArrayError> {
        let grid = self.chunks().clone();
        Ok(Array::new(
            Op::Sort(sorting),
            vec![self.clone()],
            self.dtype(),
            grid,
        ))
    }

    /// Merges sorted blocks.
    fn merged(&self, blocks: &AxisChunks, sorting: Sorting) -> Result<Array, ArrayError> {
        let axis = sorting.axis;
        let lengths = blocks.lengths();
        // Where the elements of each block lie now.
        let mut places: Vec<Range<u64>> = (0..blocks.count()).map(|block| blocks.extent(block)).collect();
        let mut x = self.clone();
        for pairs in rounds(lengths.len()) {
            let order = in_pairs(&pairs, lengths.len());
            x = x.reordered(axis, &places, order.iter().flatten().copied())?;
            let mut start = 0;
            for &block in order.iter().flatten() {
                places[block] = start..start + lengths[block];
                start += lengths[block];
            }
            let joined: Vec<u64> = order
                .iter()
                .map(|blocks| blocks.iter().map(|&b| lengths[b]).sum())
                .collect();
            let grid = with_axis(x.chunks(), axis, from_lengths(&joined))?;
            x = x.with_grid(&grid).sorted_in_blocks(sorting)?;
        }
        x = x.reordered(axis, &places, 0..lengths.len())?;
        Ok(x.with_grid(&with_axis(x.chunks(), axis, blocks.clone())?))
    }

    /// The blocks that lie at `places`, in another order.
    fn reordered(
        &self,
        axis: usize,
        places: &[Range<u64>],
        order: impl Iterator<Item = usize>,
    ) -> Result<Array, ArrayError> {
        let mut intervals = vec![None; self.ndim()];
        intervals[axis] = Some(
            order
                .map(|block| (places[block].start, places[block].end))
                .collect(),
        );
        self.windows(intervals)
    }
}

/// Whether a float64 holds every element of a dtype.
fn holds_elements(dtype: DType) -> bool {
    !dtype.is_time() && !dtype.is_complex() && (dtype.is_float() || dtype.size_bytes() <= EXACT_BYTES_MAX)
}

/// The pairs that are merged in each round, none of which share a block.
fn rounds(count: usize) -> Vec<Vec<(usize, usize)>> {
    let top = count.next_power_of_two() / 2;
    let mut rounds = Vec::new();
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            let pairs: Vec<_> = (0..count.saturating_sub(d))
                .filter(|i| i & p == r)
                .map(|i| (i, i + d))
                .collect();
            if !pairs.is_empty() {
                rounds.push(pairs);
            }
            if q == p {
                break;
            }
            (d, q, r) = (q - p, q / 2, p);
        }
        p /= 2;
    }
    rounds
}

/// All blocks, those of a pair beside each other.
fn in_pairs(pairs: &[(usize, usize)], count: usize) -> Vec<Vec<usize>> {
    let mut of: Vec<Option<usize>> = vec![None; count];
    let mut is_second = vec![false; count];
    for &(first, second) in pairs {
        of[first] = Some(second);
        is_second[second] = true;
    }
    let firsts = (0..count).filter(|&block| !is_second[block]);
    firsts
        .map(|block| std::iter::once(block).chain(of[block]).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network sorts everything if it sorts zeros and ones.
    #[test]
    fn rounds_sort_all_zeros_and_ones() {
        for count in 2..=12 {
            let rounds = rounds(count);
            for bits in 0..1u32 << count {
                let mut x: Vec<bool> = (0..count).map(|at| bits >> at & 1 == 1).collect();
                for &(first, second) in rounds.iter().flatten() {
                    let pair = (x[first] & x[second], x[first] | x[second]);
                    (x[first], x[second]) = pair;
                }
                assert!(x.is_sorted(), "{count} blocks, {bits:b}");
            }
        }
    }

    #[test]
    fn a_round_names_each_block_once() {
        for count in 2..40 {
            for pairs in rounds(count) {
                let mut all: Vec<usize> = in_pairs(&pairs, count).concat();
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
                assert!(pairs.iter().all(|(first, second)| first < second));
            }
        }
        assert_eq!(rounds(64).len(), 21);
    }
}
