//! Distinct elements, round by round: their number is known only when they are seen.

use graticule_ops::DistinctPart;
use graticule_plan::{AxisChunks, DType};

use crate::{
    Array, ArrayError, WORKING_SET_BYTES, concatenate,
    expression::{Distinct, Op},
    infer::{from_lengths, grid_of},
    selected::check_lengths,
};

/// What is told of distinct elements beside their values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Where each stands first.
    pub positions: bool,
    /// How often each occurs.
    pub counts: bool,
    /// All that is NaN is one element, as NumPy's `unique` has it unless told otherwise; else each is one of its own, as the
    /// Array API standard has it.
    pub equal_nan: bool,
}

/// Blocks of elements of which the distinct ones are looked for: a step of a tree.
///
/// A client's `unique` takes the steps. In each, the distinct elements of each block are counted
/// ([`DistinctBlocks::lengths`]), one number a block; with these numbers they are arrays like any other
/// ([`DistinctBlocks::found`]), in which neighbours are joined to the blocks of the next step ([`DistinctBlocks::next`]).
/// So a task has in hand what a block has, or the distinct elements of several, and their number is known before it runs.
#[derive(Debug, Clone)]
pub struct DistinctBlocks {
    x: Array,
    positions: Option<Array>,
    counts: Option<Array>,
    wishes: Wishes,
}

/// What is found of distinct elements.
#[derive(Debug, Clone)]
pub struct Found {
    /// The elements: of each block the distinct ones, rising.
    pub values: Array,
    /// Where each stands first, int64, if that was wished for.
    pub positions: Option<Array>,
    /// How often each occurs, int64, if that was wished for.
    pub counts: Option<Array>,
}

/// The most blocks that are joined in one step.
const FAN_IN_MAX: u64 = 64;

/// The most bytes of blocks that are joined, unless two are larger.
const JOINED_BYTES: u64 = WORKING_SET_BYTES / 8;

impl Array {
    /// The blocks of the array as one axis, as the first step of a search for its distinct elements.
    ///
    /// # Errors
    /// As [`Array::reshape`].
    pub fn distinct_blocks(&self, wishes: Wishes) -> Result<DistinctBlocks, ArrayError> {
        Ok(DistinctBlocks {
            x: self.ravel()?,
            positions: None,
            counts: None,
            wishes,
        })
    }

    /// Finds of each element where it stands among the distinct ones, int64: NumPy's `inverse`.
    ///
    /// # Errors
    /// As [`Array::searchsorted`] and [`Array::reshape`].
    pub fn inverse_of(&self, distinct: &Array, equal_nan: bool) -> Result<Array, ArrayError> {
        let place = distinct.searchsorted(self, false)?;
        let last = distinct.size().max(1) as i64 - 1;
        if self.dtype().is_complex() || !self.dtype().is_float() || equal_nan {
            // NaN of a complex number may have another form than the one that stands for all.
            return place.clip(None, Some(last.into()));
        }
        // The n-th NaN of the array is the n-th of the distinct elements' NaN.
        let shape: Vec<i64> = self.shape().iter().map(|&len| len as i64).collect();
        let before = self.isnan()?.ravel()?;
        let before = before
            .astype(DType::Int64)?
            .cumsum(Some(0))?
            .subtract(1)?
            .reshape(&shape)?;
        crate::where_(self.isnan()?, place.add(&before)?, place)
    }
}

impl DistinctBlocks {
    /// How many distinct elements each block has, int64.
    pub fn lengths(&self) -> Array {
        let len = self.x.chunks().axes()[0].count();
        let cuts = AxisChunks::Regular { len, chunk: 1 };
        self.part(DistinctPart::Len, DType::Int64, cuts)
    }

    /// Whether there is one block, so that what is found is the end of the search.
    pub fn is_last(&self) -> bool {
        self.x.chunks().block_count() == 1
    }

    /// The distinct elements of each block, given how many there are. A task fails that finds another number.
    ///
    /// Neighbours are joined as far as the next step takes them together.
    ///
    /// # Errors
    /// [`ArrayError::BlockLengths`] if these are not such numbers.
    pub fn found(&self, lengths: &[u64]) -> Result<Found, ArrayError> {
        check_lengths(lengths, &self.x.chunks().axes()[0])?;
        let cuts = AxisChunks::from_lengths(lengths)?;
        let joined = grid_of(vec![joined(lengths, self.item_bytes())]);
        let part = |part, dtype| self.part(part, dtype, cuts.clone()).with_grid(&joined);
        let wished = |is_wished: bool, of: DistinctPart| is_wished.then(|| part(of, DType::Int64));
        Ok(Found {
            values: part(DistinctPart::Values, self.x.dtype()),
            positions: wished(self.wishes.positions, DistinctPart::Positions),
            counts: wished(self.wishes.counts, DistinctPart::Counts),
        })
    }

    /// The next step: what was found in this one, as it is kept in the cluster.
    #[must_use]
    pub fn next(&self, found: Found) -> Self {
        Self {
            x: found.values,
            positions: found.positions,
            counts: found.counts,
            wishes: self.wishes,
        }
    }

    fn item_bytes(&self) -> u64 {
        let numbers = u64::from(self.wishes.positions) + u64::from(self.wishes.counts);
        self.x.dtype().size_bytes() + 8 * numbers
    }

    fn part(&self, part: DistinctPart, dtype: DType, cuts: AxisChunks) -> Array {
        let takes = |of| part == of;
        let positions = self.positions.as_ref().filter(|_| takes(DistinctPart::Positions));
        let counts = self.counts.as_ref().filter(|_| takes(DistinctPart::Counts));
        let distinct = Distinct {
            part,
            equal_nan: self.wishes.equal_nan,
            has_positions: positions.is_some(),
            has_counts: counts.is_some(),
        };
        let operands = [Some(&self.x), positions, counts].into_iter().flatten().cloned();
        Array::new(
            Op::Distinct(distinct),
            operands.collect(),
            dtype,
            grid_of(vec![cuts]),
        )
    }
}

impl Found {
    /// The arrays, the values first.
    pub fn arrays(&self) -> Vec<&Array> {
        let others = [&self.positions, &self.counts].into_iter().flatten();
        std::iter::once(&self.values).chain(others).collect()
    }

    /// The same with other arrays in place of [`Found::arrays`], such as those by which the cluster keeps them.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn replaced(&self, arrays: impl IntoIterator<Item = Array>) -> Self {
        let mut arrays = arrays.into_iter();
        let mut next = || arrays.next().expect("one for each");
        Self {
            values: next(),
            positions: self.positions.as_ref().map(|_| next()),
            counts: self.counts.as_ref().map(|_| next()),
        }
    }
}

/// Neighbouring blocks put together: two at least, and more as long as they are small.
fn joined(lengths: &[u64], item_bytes: u64) -> AxisChunks {
    let (mut joined, mut len, mut count): (Vec<u64>, u64, u64) = (Vec::new(), 0, 0);
    for &more in lengths {
        let is_full =
            count >= FAN_IN_MAX || len.saturating_add(more).saturating_mul(item_bytes) > JOINED_BYTES;
        if count >= 2 && is_full {
            joined.push(len);
            (len, count) = (0, 0);
        }
        (len, count) = (len + more, count + 1);
    }
    joined.push(len);
    from_lengths(&joined)
}

/// One array of the elements of two, whose distinct ones are NumPy's `union1d`.
///
/// # Errors
/// As [`Array::reshape`] and [`concatenate`].
pub fn joined_elements(first: &Array, second: &Array) -> Result<Array, ArrayError> {
    concatenate(&[first.ravel()?, second.ravel()?], 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_joined_by_twos_at_least_and_by_many_while_they_are_small() {
        assert_eq!(joined(&[5; 3], 8).lengths(), [15]);
        let large = JOINED_BYTES / 8;
        assert_eq!(
            joined(&[large, large, large, 7], 8).lengths(),
            [2 * large, large + 7]
        );
        assert_eq!(joined(&vec![1; 129], 8).lengths(), [64, 64, 1]);
        assert_eq!(joined(&[3], 8).lengths(), [3]);
    }
}
