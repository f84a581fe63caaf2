//! Reductions by groups of labels.

use std::collections::BTreeMap;

use graticule_ops::{ReduceKind, Reduction};

use crate::{
    Array, ArrayError, Chunks, Operand,
    cohorts::{Laid, Numbered, Strategy, is_positional},
    expression::{GroupReduce, Op, Reducing},
    infer::{axis_indices, with_axis},
    reduce::{fan_in, quantile_axis},
    times::nat,
    where_,
};
use graticule_plan::{AxisChunks, ChunkGrid};

/// About what one element of a partial takes: a count and a sum.
const PARTIAL_ELEMENT_BYTES: u64 = 16;

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

/// Which elements make a group, and what becomes of groups without enough of them.
#[derive(Debug, Clone)]
pub struct Grouping {
    /// The axes along which labels lie.
    pub axes: Vec<i64>,
    /// For each element over the axes, in rising order of the axes and C order, the number of its group; -1 for none.
    pub codes: Vec<i32>,
    /// Number of groups, whether they have elements or not.
    pub group_count: u64,
    /// Leave NaN out.
    pub skipna: bool,
    /// What groups get that have no element, or fewer valid ones than `min_count`; the result has a dtype that holds it.
    /// Of times NaN is NaT.
    /// Without it a group gets what the reduction gives for nothing, which for some is an error as the plan runs.
    pub fill: Option<Operand>,
    /// Elements that a group must have, of floats such that are not NaN; counts only with a `fill`.
    pub min_count: u64,
    /// How it is done.
    pub strategy: Strategy,
}

impl Grouping {
    /// Groups along axes by numbered labels; all elements count, and groups without any get what nothing reduces to.
    pub fn new(axes: impl Into<Vec<i64>>, codes: impl Into<Vec<i32>>, group_count: u64) -> Self {
        Self {
            axes: axes.into(),
            codes: codes.into(),
            group_count,
            skipna: false,
            fill: None,
            min_count: 0,
            strategy: Strategy::Cheapest,
        }
    }

    /// Leaves NaN out.
    #[must_use]
    pub fn skipna(self) -> Self {
        Self { skipna: true, ..self }
    }

    /// What groups without elements get.
    #[must_use]
    pub fn fill(self, fill: impl Into<Operand>) -> Self {
        Self {
            fill: Some(fill.into()),
            ..self
        }
    }

    /// Gives the fill, or NaN, to groups of fewer valid elements.
    #[must_use]
    pub fn min_count(self, min_count: u64) -> Self {
        Self {
            fill: self.fill.or_else(|| Some(f64::NAN.into())),
            min_count,
            ..self
        }
    }

    /// Sets how it is done.
    #[must_use]
    pub fn strategy(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
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
    /// As [`Array::group_reduce`].
    pub fn reduce_groups(
        &self,
        axis: i64,
        codes: &[i32],
        group_count: u64,
        kind: ReduceKind,
        skipna: bool,
    ) -> Result<Array, ArrayError> {
        let grouping = Grouping {
            skipna,
            ..Grouping::new([axis], codes, group_count)
        };
        self.group_reduce(&grouping, kind)
    }

    /// Reduces the elements of each group along one or several axes. The first of them gets one element for each group, in
    /// the order of their numbers, and the others are dropped.
    ///
    /// How it is done, [`Strategy`] says: nothing is rechunked but for medians and quantiles of groups whose elements lie in
    /// several chunks, and where partials of each chunk would be larger than the elements.
    ///
    /// ```
    /// use graticule_array::{Array, Chunks, Grouping};
    /// use graticule_ops::ReduceKind;
    /// use graticule_plan::DType;
    ///
    /// // Means over the zones of a map, of which the third has no pixel; one pixel is in no zone.
    /// let stack = Array::ones(&[5, 2, 3], &[Chunks::Size(1), Chunks::Whole, Chunks::Size(2)], DType::Float32)?;
    /// let zones = Grouping::new([-2, -1], &[0, 0, 1, 1, -1, 0], 3).fill(f64::NAN);
    /// let means = stack.group_reduce(&zones, ReduceKind::Mean)?;
    /// assert_eq!(means.shape(), [5, 3]);
    /// # Ok::<(), graticule_array::ArrayError>(())
    /// ```
    ///
    /// # Errors
    /// [`ArrayError::LabelCount`], [`ArrayError::GroupCode`], [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`],
    /// [`ArrayError::AxisCount`] without an axis, [`ArrayError::Blockwise`], [`ArrayError::Ops`] for a dtype or a kind that
    /// cannot be grouped.
    pub fn group_reduce(&self, grouping: &Grouping, kind: ReduceKind) -> Result<Array, ArrayError> {
        let axes = self.checked_axes(grouping)?;
        let reduction = self.reduction(kind, grouping.skipna)?;
        let Some(fill) = &grouping.fill else {
            let groups = Numbered::new(&grouping.codes, grouping.group_count);
            return self.numbered_reduce(&axes, groups, reduction, grouping.strategy);
        };
        // Groups without an element are left out at first: there may be very many, and some reductions fail on nothing.
        let (occurring, numbers) = occurring(&grouping.codes, grouping.group_count);
        let counts = match grouping.min_count {
            0 => None,
            _ => Some(self.reduction(ReduceKind::Count, grouping.skipna)?),
        };
        let axis = axes[0] + usize::from(matches!(reduction.kind, ReduceKind::Quantile { .. }));
        let reduced = |reduction| {
            let groups = Numbered::new(&numbers, occurring.len() as u64);
            self.numbered_reduce(&axes, groups, reduction, grouping.strategy)
        };
        let mut result = reduced(reduction)?;
        let fill = &match fill {
            Operand::Float(fill) if fill.is_nan() && result.dtype().is_time() => {
                Operand::Typed(nat(result.dtype()))
            }
            fill => fill.clone(),
        };
        if let Some(counts) = counts {
            let least = i64::try_from(grouping.min_count).unwrap_or(i64::MAX);
            let is_enough = reduced(counts)?.greater_equal(least)?;
            result = where_(is_enough, result, fill.clone())?;
        }
        spread(&result, axis, &occurring, grouping.group_count, fill)
    }

    fn checked_axes(&self, grouping: &Grouping) -> Result<Vec<usize>, ArrayError> {
        let Grouping {
            codes, group_count, ..
        } = grouping;
        let axes = axis_indices(&grouping.axes, self.ndim())?;
        let first = *axes
            .first()
            .ok_or(ArrayError::AxisCount { first: 0, second: 1 })?;
        let want: u64 = axes.iter().map(|&axis| self.shape()[axis]).product();
        if codes.len() as u64 != want {
            return Err(ArrayError::LabelCount {
                axis: first,
                got: codes.len(),
                want,
            });
        }
        let count = i64::try_from(*group_count).unwrap_or(i64::MAX);
        let wrong = |code: i32| code < -1 || i64::from(code) >= count;
        match codes.iter().position(|&code| wrong(code)) {
            Some(position) => Err(ArrayError::GroupCode {
                code: codes[position],
                position,
                group_count: *group_count,
            }),
            None => Ok(axes),
        }
    }

    /// The node itself, by whatever strategy costs least or was asked for.
    fn numbered_reduce(
        &self,
        axes: &[usize],
        groups: Numbered<'_>,
        reduction: Reduction,
        strategy: Strategy,
    ) -> Result<Array, ArrayError> {
        let mut laid = self.lay(axes, &groups, &reduction, strategy)?;
        let mut together = None;
        if laid.is_none() {
            match strategy {
                Strategy::Cheapest => {
                    together = self.with_axes_together(axes, &groups, &reduction);
                    let needs_elements = reduction.partial_item_bytes().is_none();
                    if together.is_some() || needs_elements {
                        laid = self.in_cheaper_bands(axes, &groups, &reduction)?;
                    }
                }
                Strategy::Cohorts if !is_positional(&reduction) => laid = self.in_bands(axes, &groups)?,
                _ => {}
            }
        }
        let Some(laid) = laid else {
            let x = together.unwrap_or_else(|| self.for_reduction(&reduction, axes));
            let whole = AxisChunks::whole(groups.count);
            return x.grouped(axes, groups.codes.into(), whole, None, reduction);
        };
        let Laid {
            x,
            cohorts,
            places,
            is_blockwise,
        } = laid;
        let axis = axes[0] + usize::from(matches!(reduction.kind, ReduceKind::Quantile { .. }));
        let mut result = x.grouped(
            axes,
            cohorts.codes,
            cohorts.groups,
            Some(cohorts.of_block),
            reduction,
        )?;
        let is_sorted = places.iter().zip(0..).all(|(&place, group)| place == group);
        if !is_sorted {
            result = result.take(&places, axis as i64)?;
        }
        match is_blockwise {
            true => Ok(result),
            false => Ok(result.with_grid(&with_axis(
                result.chunks(),
                axis,
                AxisChunks::whole(groups.count),
            )?)),
        }
    }

    fn grouped(
        &self,
        axes: &[usize],
        codes: std::sync::Arc<[i32]>,
        groups: AxisChunks,
        cohorts: Option<std::sync::Arc<[u64]>>,
        reduction: Reduction,
    ) -> Result<Array, ArrayError> {
        let dtype = reduction.result_dtype()?;
        let elements = self.line_len_max(axes).saturating_mul(groups.len());
        let partial_bytes = elements.saturating_mul(PARTIAL_ELEMENT_BYTES);
        let mut result = self.chunks().axes().to_vec();
        result[axes[0]] = groups.clone();
        axes[1..].iter().rev().for_each(|&axis| drop(result.remove(axis)));
        let grid = ChunkGrid::new(quantile_axis(&reduction.kind).into_iter().chain(result).collect())?;
        let op = Op::GroupReduce(GroupReduce {
            reduction: Reducing(reduction),
            axes: axes.to_vec(),
            codes,
            groups,
            cohorts,
            split_every: fan_in(partial_bytes),
        });
        Ok(Array::new(op, vec![self.clone()], dtype, grid))
    }
}

/// The groups that have a label, rising, and the labels' numbers among those.
fn occurring(codes: &[i32], group_count: u64) -> (Vec<usize>, Vec<i32>) {
    let mut numbers = vec![-1; usize::try_from(group_count).unwrap_or(usize::MAX)];
    let labels = || codes.iter().filter_map(|&code| usize::try_from(code).ok());
    labels().for_each(|code| numbers[code] = 0);
    let groups: Vec<usize> = (0..numbers.len()).filter(|&group| numbers[group] == 0).collect();
    groups
        .iter()
        .zip(0..)
        .for_each(|(&group, number)| numbers[group] = number);
    let number = |&code: &i32| usize::try_from(code).map_or(-1, |code| numbers[code]);
    let codes = codes.iter().map(number).collect();
    (groups, codes)
}

/// All groups, where the array has those that occur; the others get the fill.
fn spread(
    x: &Array,
    axis: usize,
    occurring: &[usize],
    group_count: u64,
    fill: &Operand,
) -> Result<Array, ArrayError> {
    let mut is_there = vec![false; usize::try_from(group_count).unwrap_or(usize::MAX)];
    occurring.iter().for_each(|&group| is_there[group] = true);
    let mut next = 0;
    let positions: Vec<i64> = is_there
        .iter()
        .map(|&is_there| {
            let position = if is_there { next } else { 0 };
            next += i64::from(is_there);
            position
        })
        .collect();
    let mut mask = Array::from_slice(&[group_count], &[Chunks::Whole], &is_there)?;
    for _ in axis + 1..x.ndim() {
        mask = mask.expand_dims(-1)?;
    }
    if occurring.is_empty() {
        let mut shape = x.shape();
        shape[axis] = group_count;
        let chunks = x.chunks().axes().iter().enumerate();
        let chunks = chunks.map(|(other, chunks)| match other == axis {
            true => Chunks::Whole,
            false => Chunks::Lengths(chunks.lengths()),
        });
        let nothing = Array::zeros(&shape, &chunks.collect::<Vec<_>>(), x.dtype())?;
        return where_(mask, nothing, fill.clone());
    }
    if occurring.len() == is_there.len() {
        // The dtype does not depend on which groups there are.
        return where_(mask, x, fill.clone());
    }
    where_(mask, x.take(&positions, axis as i64)?, fill.clone())
}
