//! Slices, single elements and lists of positions.

use graticule_ops::AxisSelection;
use graticule_plan::AxisChunks;

use crate::{
    Array, ArrayError, Axes,
    expression::Op,
    infer::{axis_index, from_lengths, slice_grid, with_axis},
};

/// One part of a NumPy index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Index {
    /// `start:stop:step`, each of which may be left out; negative positions count from the end.
    Slice {
        /// First position.
        start: Option<i64>,
        /// Position before which it ends.
        stop: Option<i64>,
        /// From one position to the next; not 0.
        step: i64,
    },
    /// One position; the axis goes away.
    At(i64),
    /// A new axis of length 1 (`None`, `np.newaxis`).
    NewAxis,
    /// All axes that are not indexed otherwise (`...`).
    Ellipsis,
    /// The whole axis (`:`).
    Full,
}

impl Index {
    /// `start:stop`.
    pub fn range(start: i64, stop: i64) -> Self {
        Index::Slice {
            start: Some(start),
            stop: Some(stop),
            step: 1,
        }
    }
}

impl From<i64> for Index {
    fn from(position: i64) -> Self {
        Index::At(position)
    }
}

impl From<std::ops::RangeFull> for Index {
    fn from(_: std::ops::RangeFull) -> Self {
        Index::Full
    }
}

impl From<std::ops::Range<i64>> for Index {
    fn from(range: std::ops::Range<i64>) -> Self {
        Index::range(range.start, range.end)
    }
}

impl From<std::ops::RangeFrom<i64>> for Index {
    fn from(range: std::ops::RangeFrom<i64>) -> Self {
        Index::Slice {
            start: Some(range.start),
            stop: None,
            step: 1,
        }
    }
}

impl From<std::ops::RangeTo<i64>> for Index {
    fn from(range: std::ops::RangeTo<i64>) -> Self {
        Index::Slice {
            start: None,
            stop: Some(range.end),
            step: 1,
        }
    }
}

impl Array {
    /// NumPy's basic indexing: slices, single positions, new axes and `...`, one after another.
    ///
    /// ```
    /// use graticule_array::{Array, Chunks, Index};
    /// use graticule_plan::DType;
    ///
    /// let stack = Array::zeros(&[24, 4, 100, 100], &[Chunks::Size(1), Chunks::Size(1), Chunks::Whole, Chunks::Whole],
    ///     DType::UInt16)?;
    /// assert_eq!(stack.slice(&[Index::Full, Index::At(-1)])?.shape(), [24, 100, 100]);
    /// # Ok::<(), graticule_array::ArrayError>(())
    /// ```
    ///
    /// # Errors
    /// [`ArrayError::TooManyIndices`], [`ArrayError::IndexOutOfRange`], [`ArrayError::ZeroStep`],
    /// [`ArrayError::SeveralEllipses`].
    pub fn slice(&self, index: &[Index]) -> Result<Array, ArrayError> {
        let (selections, views) = self.selections(index)?;
        let mut result = self.select(&selections);
        let mut axis = 0;
        for view in views {
            match view {
                View::Keep => axis += 1,
                View::Drop => result = result.squeeze_axis(axis),
                View::New => {
                    result = result.expand_dims(axis as i64)?;
                    axis += 1;
                }
            }
        }
        Ok(result)
    }

    /// What an index selects of each axis, and what becomes of the axes afterwards.
    pub(crate) fn selections(&self, index: &[Index]) -> Result<(Vec<AxisSelection>, Vec<View>), ArrayError> {
        let ndim = self.ndim();
        let taken = index
            .iter()
            .filter(|i| !matches!(i, Index::NewAxis | Index::Ellipsis))
            .count();
        if taken > ndim {
            return Err(ArrayError::TooManyIndices { given: taken, ndim });
        }
        if index.iter().filter(|i| matches!(i, Index::Ellipsis)).count() > 1 {
            return Err(ArrayError::SeveralEllipses);
        }
        let (mut selections, mut views) = (Vec::with_capacity(ndim), Vec::new());
        for part in index {
            let axis = selections.len();
            match part {
                Index::NewAxis => views.push(View::New),
                Index::Ellipsis => self.keep_axes(&mut selections, &mut views, ndim - taken),
                Index::Full => self.keep_axes(&mut selections, &mut views, 1),
                Index::At(position) => {
                    selections.push(self.position(axis, *position)?);
                    views.push(View::Drop);
                }
                Index::Slice { start, stop, step } => {
                    selections.push(slice_selection(self.shape()[axis], *start, *stop, *step)?);
                    views.push(View::Keep);
                }
            }
        }
        let rest = ndim - selections.len();
        self.keep_axes(&mut selections, &mut views, rest);
        Ok((selections, views))
    }

    fn keep_axes(&self, selections: &mut Vec<AxisSelection>, views: &mut Vec<View>, count: usize) {
        for _ in 0..count {
            selections.push(AxisSelection::whole(self.chunks().axes()[selections.len()].len()));
            views.push(View::Keep);
        }
    }

    fn position(&self, axis: usize, index: i64) -> Result<AxisSelection, ArrayError> {
        let len = self.chunks().axes()[axis].len();
        Ok(AxisSelection {
            start: wrap(index, axis, len)?,
            step: 1,
            len: 1,
        })
    }

    /// One selection for each axis; the array itself if all select everything.
    pub(crate) fn select(&self, selections: &[AxisSelection]) -> Array {
        if is_whole(selections, &self.shape()) {
            return self.clone();
        }
        let grid = slice_grid(self.chunks(), selections);
        Array::new(
            Op::Slice(selections.to_vec()),
            vec![self.clone()],
            self.dtype(),
            grid,
        )
    }

    /// Reverses the order of the elements along one axis or several.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`].
    pub fn flip(&self, axes: impl Into<Axes>) -> Result<Array, ArrayError> {
        let mut selections: Vec<_> = self.shape().into_iter().map(AxisSelection::whole).collect();
        for axis in axes.into().indices(self.ndim())? {
            let len = selections[axis].len;
            if len > 0 {
                selections[axis] = AxisSelection {
                    start: len - 1,
                    step: -1,
                    len,
                };
            }
        }
        Ok(self.select(&selections))
    }

    /// Takes the elements at a list of positions along `axis`; negative ones count from the end, any may be repeated.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::IndexOutOfRange`].
    pub fn take(&self, indices: &[i64], axis: i64) -> Result<Array, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let own = &self.chunks().axes()[axis];
        let positions = wrap_all(indices, axis, own.len())?;
        let chunks = take_axis(own, &positions);
        let grid = with_axis(self.chunks(), axis, chunks)?;
        let op = Op::Take {
            axis,
            positions: positions.into(),
        };
        Ok(Array::new(op, vec![self.clone()], self.dtype(), grid))
    }

    /// Drops an axis that is known to have length 1.
    pub(crate) fn squeeze_axis(&self, axis: usize) -> Array {
        let mut axes = self.chunks().axes().to_vec();
        let dropped = axes.remove(axis);
        debug_assert_eq!(dropped.len(), 1);
        Array::new(
            Op::Squeeze(axis),
            vec![self.clone()],
            self.dtype(),
            crate::infer::grid_of(axes),
        )
    }

    /// Splits along `axis` before each of `positions`, as NumPy's `split`.
    ///
    /// # Errors
    /// As [`Array::slice`].
    pub fn split(&self, positions: &[i64], axis: i64) -> Result<Vec<Array>, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let starts = std::iter::once(None).chain(positions.iter().copied().map(Some));
        let stops = positions.iter().copied().map(Some).chain([None]);
        let part = |(start, stop)| {
            let mut index = vec![Index::Full; axis];
            index.push(Index::Slice { start, stop, step: 1 });
            self.slice(&index)
        };
        starts.zip(stops).map(part).collect()
    }
}

/// What becomes of an axis that was selected from, or that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// It stays.
    Keep,
    /// It has one element and goes away.
    Drop,
    /// It is new, of length 1.
    New,
}

pub(crate) fn is_whole(selections: &[AxisSelection], shape: &[u64]) -> bool {
    // The direction of one element or none makes no difference.
    let whole = |s: &AxisSelection, len: u64| s.len == len && (len < 2 || (s.start == 0 && s.step == 1));
    selections.iter().zip(shape).all(|(s, &len)| whole(s, len))
}

/// Python's `slice.indices`.
fn slice_selection(
    len: u64,
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
) -> Result<AxisSelection, ArrayError> {
    if step == 0 {
        return Err(ArrayError::ZeroStep);
    }
    let count = i128::from(len);
    let (low, high) = if step > 0 { (0, count) } else { (-1, count - 1) };
    let clamp = |position: i64| {
        let position = i128::from(position);
        (if position < 0 { position + count } else { position }).clamp(low, high)
    };
    let start = start.map_or(if step > 0 { low } else { high }, clamp);
    let stop = stop.map_or(if step > 0 { high } else { low }, clamp);
    let (distance, size) = if step > 0 {
        (stop - start, step.into())
    } else {
        (start - stop, -i128::from(step))
    };
    let selected = if distance <= 0 {
        0
    } else {
        (distance + size - 1) / size
    };
    if selected == 0 {
        return Ok(AxisSelection {
            start: 0,
            step: 1,
            len: 0,
        });
    }
    // One element has no direction.
    let step = if selected == 1 { 1 } else { step };
    Ok(AxisSelection {
        start: start as u64,
        step,
        len: selected as u64,
    })
}

/// Positions along an axis, negative ones counted from the end.
pub(crate) fn wrap_all(indices: &[i64], axis: usize, len: u64) -> Result<Vec<u64>, ArrayError> {
    indices.iter().map(|&index| wrap(index, axis, len)).collect()
}

pub(crate) fn wrap(index: i64, axis: usize, len: u64) -> Result<u64, ArrayError> {
    let out = ArrayError::IndexOutOfRange { index, axis, len };
    let position = if index < 0 {
        i128::from(index) + i128::from(len)
    } else {
        index.into()
    };
    u64::try_from(position)
        .ok()
        .filter(|position| *position < len)
        .ok_or(out)
}

/// Pieces of less than one part of so many of the source's longest block are joined.
const SCRAP_PART: u64 = 4;

/// How a list of positions is cut: in chunks as long as the longest of the source's.
pub(crate) fn take_axis(source: &AxisChunks, positions: &[u64]) -> AxisChunks {
    let count = positions.len() as u64;
    let chunk = source.chunk_max().max(1).min(count.max(1));
    if source.count() == 1 {
        return AxisChunks::whole(count);
    }
    // Sorted lists keep the source's cuts, so that each block needs one source block where it can.
    if positions.is_sorted() && count > 0 {
        return from_lengths(&joined(&pieces(source, positions, chunk), source.chunk_max()));
    }
    crate::infer::tidy(&AxisChunks::Regular { len: count, chunk })
}

/// Lengths of what a sorted list takes of each block of the source, none longer than `len_max`.
fn pieces(source: &AxisChunks, positions: &[u64], len_max: u64) -> Vec<u64> {
    let mut lengths: Vec<u64> = Vec::new();
    let mut block = None;
    for &position in positions {
        let next = Some(source.block_of(position));
        match lengths.last_mut() {
            Some(last) if block == next && *last < len_max => *last += 1,
            _ => lengths.push(1),
        }
        block = next;
    }
    lengths
}

/// Neighbouring pieces of less than a [`SCRAP_PART`]th of the source's longest block become one as long as that: a list that
/// takes one element of each of many blocks would be as many tasks with one element each.
fn joined(pieces: &[u64], len_max: u64) -> Vec<u64> {
    let is_scrap = |len: u64| len * SCRAP_PART < len_max;
    let mut lengths: Vec<u64> = Vec::new();
    let mut before = None;
    for &len in pieces {
        match lengths.last_mut() {
            Some(last) if is_scrap(len) && before.is_some_and(is_scrap) && *last + len <= len_max => {
                *last += len
            }
            _ => lengths.push(len),
        }
        before = Some(len);
    }
    lengths
}
