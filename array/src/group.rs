//! Reductions by groups of labels along an axis.

use std::collections::BTreeMap;

use graticule_ops::ReduceKind;

use crate::{
    Array, ArrayError,
    expression::{GroupReduce, Op, Reducing},
    infer::{axis_index, with_axis},
    reduce::{SPLIT_EVERY, quantile_axis},
};
use graticule_plan::{AxisChunks, ChunkGrid};

/// About what one element of a partial takes: a count and a sum.
const PARTIAL_ELEMENT_BYTES: u64 = 16;
/// Partials from this size on are combined few at a time: one has an element for each group, however few a chunk has.
const LARGE_PARTIAL_BYTES: u64 = 256 << 10;
const LARGE_SPLIT_EVERY: u64 = 4;

/// The groups that a list of labels makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups<L> {
    /// The labels that occur, rising: one for each group.
    pub labels: Vec<L>,
    /// For each element along the axis the index of its group, or -1 for an element of none.
    pub codes: Vec<i32>,
}

impl<L: Ord + Clone> Groups<L> {
    /// Sorts labels into groups; elements without a label are in none.
    ///
    /// # Errors
    /// [`ArrayError::TooManyGroups`] above 2^31 - 1 of them.
    pub fn new(labels: &[Option<L>]) -> Result<Self, ArrayError> {
        let mut codes: BTreeMap<&L, i32> = labels.iter().flatten().map(|label| (label, 0)).collect();
        let count = codes.len() as u64;
        if count > i32::MAX as u64 {
            return Err(ArrayError::TooManyGroups {
                count,
                limit: i32::MAX as u64,
            });
        }
        codes
            .values_mut()
            .zip(0..)
            .for_each(|(code, index)| *code = index);
        let code = |label: &Option<L>| label.as_ref().map_or(-1, |label| codes[label]);
        Ok(Self {
            codes: labels.iter().map(code).collect(),
            labels: codes.into_keys().cloned().collect(),
        })
    }
}

impl Array {
    /// Reduces the elements with equal labels along `axis`, which gets one element for each group, sorted by label.
    ///
    /// A group by month of a `(time, y, x)` array takes the months of its times:
    ///
    /// ```
    /// use graticule_array::{Array, Chunks};
    /// use graticule_ops::ReduceKind;
    /// use graticule_plan::DType;
    ///
    /// let stack = Array::ones(&[4, 8, 8], &[Chunks::Size(1), Chunks::Whole, Chunks::Whole], DType::Float32)?;
    /// let months = [Some(7), Some(1), Some(7), None];
    /// let (medians, groups) = stack.groupby_reduce(0, &months, ReduceKind::Median, true)?;
    /// assert_eq!(medians.shape(), [2, 8, 8]);
    /// assert_eq!(groups, [1, 7]);
    /// # Ok::<(), graticule_array::ArrayError>(())
    /// ```
    ///
    /// # Errors
    /// [`ArrayError::LabelCount`], [`ArrayError::TooManyGroups`]; as [`Array::reduce_groups`].
    pub fn groupby_reduce<L: Ord + Clone>(
        &self,
        axis: i64,
        labels: &[Option<L>],
        kind: ReduceKind,
        skipna: bool,
    ) -> Result<(Array, Vec<L>), ArrayError> {
        let groups = Groups::new(labels)?;
        let count = groups.labels.len() as u64;
        Ok((
            self.reduce_groups(axis, &groups.codes, count, kind, skipna)?,
            groups.labels,
        ))
    }

    /// As [`Array::groupby_reduce`] with groups that are numbered already, -1 for an element of none.
    ///
    /// A group without elements gives what the reduction gives for nothing. Quantiles get a leading axis, as those of
    /// [`Array::quantile`] do.
    ///
    /// # Errors
    /// [`ArrayError::LabelCount`], [`ArrayError::GroupCode`], [`ArrayError::AxisOutOfRange`], [`ArrayError::Ops`] for
    /// a dtype or a kind that cannot be grouped.
    pub fn reduce_groups(
        &self,
        axis: i64,
        codes: &[i32],
        group_count: u64,
        kind: ReduceKind,
        skipna: bool,
    ) -> Result<Array, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let want = self.shape()[axis];
        if codes.len() as u64 != want {
            return Err(ArrayError::LabelCount {
                axis,
                got: codes.len(),
                want,
            });
        }
        let wrong =
            |code: i32| code < -1 || i64::from(code) >= i64::try_from(group_count).unwrap_or(i64::MAX);
        if let Some(position) = codes.iter().position(|&code| wrong(code)) {
            return Err(ArrayError::GroupCode {
                code: codes[position],
                position,
                group_count,
            });
        }
        let reduction = self.reduction(kind, skipna)?;
        let dtype = reduction.result_dtype()?;
        let x = self.for_reduction(&reduction, &[axis]);
        let mut grid = with_axis(x.chunks(), axis, AxisChunks::whole(group_count))?;
        if let Some(quantiles) = quantile_axis(&reduction.kind) {
            let axes = std::iter::once(quantiles).chain(grid.axes().iter().cloned());
            grid = ChunkGrid::new(axes.collect())?;
        }
        let lens = x
            .chunks()
            .axes()
            .iter()
            .enumerate()
            .filter(|&(other, _)| other != axis);
        let partial_bytes = lens
            .map(|(_, chunks)| chunks.chunk_max())
            .fold(group_count, u64::saturating_mul)
            .saturating_mul(PARTIAL_ELEMENT_BYTES);
        let op = Op::GroupReduce(GroupReduce {
            reduction: Reducing(reduction),
            axis,
            codes: codes.into(),
            group_count,
            split_every: if partial_bytes < LARGE_PARTIAL_BYTES {
                SPLIT_EVERY
            } else {
                LARGE_SPLIT_EVERY
            },
        });
        Ok(Array::new(op, vec![x], dtype, grid))
    }
}
