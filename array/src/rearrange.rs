//! Elements and axes put elsewhere: rolled, turned, repeated, taken apart.

use graticule_ops::AxisSelection;

use crate::{
    Array, ArrayError, Axes, Index, concatenate,
    infer::{axis_index, from_lengths, with_axis},
};

/// How much longer than the longest chunk before a chunk may be that [`Array::shuffle`] puts groups into, in quarters.
const SHUFFLED_CHUNK_QUARTERS: u64 = 5;

impl Array {
    /// Moves the elements along axes by so many places; those that leave at one end come in at the other.
    ///
    /// One shift goes for all axes, and several for one axis add up, as in NumPy. Without axes the array is rolled as one
    /// axis in C order.
    ///
    /// # Errors
    /// [`ArrayError::ShiftCount`] if there are neither as many shifts as axes nor one of either,
    /// [`ArrayError::AxisOutOfRange`].
    pub fn roll(&self, shifts: &[i64], axes: Option<&[i64]>) -> Result<Array, ArrayError> {
        let Some(axes) = axes else {
            let shape: Vec<i64> = self.shape().iter().map(|&len| len as i64).collect();
            return self.ravel()?.roll(shifts, Some(&[0]))?.reshape(&shape);
        };
        let count = match (shifts.len(), axes.len()) {
            (a, b) if a == b || b == 1 => a,
            (1, b) => b,
            (shifts, axes) => return Err(ArrayError::ShiftCount { shifts, axes }),
        };
        let mut total = vec![0i128; self.ndim()];
        for k in 0..count {
            let axis = axis_index(axes[k.min(axes.len() - 1)], self.ndim())?;
            total[axis] += i128::from(shifts[k.min(shifts.len() - 1)]);
        }
        let mut rolled = self.clone();
        for (axis, shift) in total.into_iter().enumerate() {
            rolled = rolled.rolled(axis, shift)?;
        }
        Ok(rolled)
    }

    /// Takes the elements of groups along `axis`, group after group, so that no group is cut: each is a list of positions.
    ///
    /// Chunks hold as many whole groups as fit what the longest chunk was, and a quarter more, as Dask's `shuffle` does it;
    /// a longer group is a chunk for itself.
    ///
    /// # Errors
    /// As [`Array::take`].
    pub fn shuffle(&self, groups: &[Vec<i64>], axis: i64) -> Result<Array, ArrayError> {
        let place = axis_index(axis, self.ndim())?;
        let positions: Vec<i64> = groups.iter().flatten().copied().collect();
        let taken = self.take(&positions, axis)?;
        let longest = self.chunks().axes()[place].chunk_max();
        let len_max = longest.saturating_mul(SHUFFLED_CHUNK_QUARTERS) / 4;
        let mut lengths: Vec<u64> = Vec::new();
        for len in groups
            .iter()
            .map(|group| group.len() as u64)
            .filter(|len| *len > 0)
        {
            match lengths.last_mut() {
                Some(last) if *last + len <= len_max => *last += len,
                _ => lengths.push(len),
            }
        }
        if lengths.is_empty() {
            return Ok(taken);
        }
        let grid = with_axis(taken.chunks(), place, from_lengths(&lengths))?;
        Ok(taken.with_grid(&grid))
    }

    fn rolled(&self, axis: usize, shift: i128) -> Result<Array, ArrayError> {
        let len = self.shape()[axis];
        let shift = shift.rem_euclid(i128::from(len.max(1))) as u64;
        if shift == 0 {
            return Ok(self.clone());
        }
        let (first, last) = (
            self.part(axis, 0, len - shift),
            self.part(axis, len - shift, shift),
        );
        concatenate(&[last, first], axis as i64)
    }

    /// `len` elements along one axis from `start` on.
    pub(crate) fn part(&self, axis: usize, start: u64, len: u64) -> Array {
        let mut selections: Vec<_> = self.shape().into_iter().map(AxisSelection::whole).collect();
        let start = if len == 0 { 0 } else { start };
        selections[axis] = AxisSelection { start, step: 1, len };
        self.select(&selections)
    }

    /// Turns the plane of two axes by 90 degrees `count` times, from the first axis towards the second.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`].
    pub fn rot90(&self, count: i64, axes: [i64; 2]) -> Result<Array, ArrayError> {
        let [a, b] = axes;
        Axes::from(axes).indices(self.ndim())?;
        match count.rem_euclid(4) {
            0 => Ok(self.clone()),
            1 => self.flip(b)?.swapaxes(a, b),
            2 => self.flip(axes),
            _ => self.swapaxes(a, b)?.flip(b),
        }
    }

    /// Exchanges the last two axes.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`] of an array with fewer.
    pub fn matrix_transpose(&self) -> Result<Array, ArrayError> {
        self.check_ndim("matrix_transpose", 2)?;
        self.swapaxes(-1, -2)
    }

    /// Refuses an array with fewer axes than an operation needs.
    pub(crate) fn check_ndim(&self, operation: &'static str, needed: usize) -> Result<(), ArrayError> {
        if self.ndim() >= needed {
            return Ok(());
        }
        Err(ArrayError::TooFewAxes {
            operation,
            needed,
            ndim: self.ndim(),
        })
    }

    /// The array with at least one axis.
    ///
    /// # Errors
    /// As [`Array::expand_dims`].
    pub fn atleast_1d(&self) -> Result<Array, ArrayError> {
        if self.ndim() == 0 {
            self.expand_dims(0)
        } else {
            Ok(self.clone())
        }
    }

    /// The array with at least two axes: a row, if it has one.
    ///
    /// # Errors
    /// As [`Array::expand_dims`].
    pub fn atleast_2d(&self) -> Result<Array, ArrayError> {
        let row = self.atleast_1d()?;
        if row.ndim() == 1 {
            row.expand_dims(0)
        } else {
            Ok(row)
        }
    }

    /// The array with at least three axes, the last one new, as NumPy's function.
    ///
    /// # Errors
    /// As [`Array::expand_dims`].
    pub fn atleast_3d(&self) -> Result<Array, ArrayError> {
        let plane = self.atleast_2d()?;
        if plane.ndim() == 2 {
            plane.expand_dims(2)
        } else {
            Ok(plane)
        }
    }

    /// Repeats the array so often along each axis; missing counts, or missing axes, stand in front and are 1.
    ///
    /// # Errors
    /// [`ArrayError::Plan`] if the result is too large to count.
    pub fn tile(&self, counts: &[u64]) -> Result<Array, ArrayError> {
        let mut tiled = self.clone();
        while tiled.ndim() < counts.len() {
            tiled = tiled.expand_dims(0)?;
        }
        let first = tiled.ndim() - counts.len();
        for (axis, &count) in (first..).zip(counts) {
            tiled = match count {
                0 => tiled.part(axis, 0, 0),
                1 => tiled,
                _ => tiled.copied(axis, axis, count)?,
            };
        }
        Ok(tiled)
    }

    /// Copies along a new axis at `new`, which then becomes one with axis `axis`.
    fn copied(&self, axis: usize, new: usize, count: u64) -> Result<Array, ArrayError> {
        let mut shape = self.shape();
        shape.insert(new, count);
        let mut merged: Vec<i64> = self.shape().iter().map(|&len| len as i64).collect();
        merged[axis] = merged[axis].saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        self.expand_dims(new as i64)?
            .broadcast_to(&shape)?
            .reshape(&merged)
    }

    /// Repeats each element so often, along an axis or, without one, of the array in C order.
    ///
    /// One count goes for all elements; otherwise there is one for each.
    ///
    /// # Errors
    /// [`ArrayError::RepeatCount`], [`ArrayError::AxisOutOfRange`], [`ArrayError::Plan`] if the result is too large to
    /// count.
    pub fn repeat(&self, counts: &[u64], axis: Option<i64>) -> Result<Array, ArrayError> {
        let Some(axis) = axis else {
            return self.ravel()?.repeat(counts, Some(0));
        };
        let axis = axis_index(axis, self.ndim())?;
        let len = self.shape()[axis];
        match counts {
            [0] => Ok(self.part(axis, 0, 0)),
            [1] => Ok(self.clone()),
            [count] => self.copied(axis, axis + 1, *count),
            _ if counts.len() as u64 != len => Err(ArrayError::RepeatCount {
                got: counts.len(),
                want: len,
            }),
            _ => {
                let repeated = (0i64..).zip(counts);
                let positions: Vec<i64> = repeated
                    .flat_map(|(position, &count)| std::iter::repeat_n(position, count as usize))
                    .collect();
                self.take(&positions, axis as i64)
            }
        }
    }

    /// The array's parts along an axis, each without it.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`].
    pub fn unstack(&self, axis: i64) -> Result<Vec<Array>, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let part = |k| self.part(axis, k, 1).squeeze_axis(axis);
        Ok((0..self.shape()[axis]).map(part).collect())
    }

    /// Splits along an axis into parts whose lengths differ by at most 1, the longer ones first.
    ///
    /// # Errors
    /// [`ArrayError::Sections`] for no parts, [`ArrayError::AxisOutOfRange`].
    pub fn array_split(&self, count: u64, axis: i64) -> Result<Vec<Array>, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let len = self.shape()[axis];
        if count == 0 {
            return Err(ArrayError::Sections { len, count });
        }
        let (short, longer) = (len / count, len % count);
        let start = |k: u64| k * short + k.min(longer);
        let part = |k| self.part(axis, start(k), start(k + 1) - start(k));
        Ok((0..count).map(part).collect())
    }

    /// Splits along an axis into parts of one length, as NumPy's `split` does with a number.
    ///
    /// # Errors
    /// [`ArrayError::Sections`] if the axis has no such parts, [`ArrayError::AxisOutOfRange`].
    pub fn split_evenly(&self, count: u64, axis: i64) -> Result<Vec<Array>, ArrayError> {
        let len = self.shape()[axis_index(axis, self.ndim())?];
        match len.checked_rem(count) {
            Some(0) => self.array_split(count, axis),
            _ => Err(ArrayError::Sections { len, count }),
        }
    }

    /// Leaves out the elements at a list of positions along an axis; negative ones count from the end.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::IndexOutOfRange`].
    pub fn delete(&self, positions: &[i64], axis: i64) -> Result<Array, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let len = self.shape()[axis];
        let gone = crate::selection::wrap_all(positions, axis, len)?;
        let gone: std::collections::BTreeSet<u64> = gone.into_iter().collect();
        let (mut parts, mut start) = (Vec::new(), 0);
        for &position in &gone {
            parts.push(self.part(axis, start, position - start));
            start = position + 1;
        }
        parts.push(self.part(axis, start, len - start));
        concatenate(&parts, axis as i64)
    }

    /// Puts the elements of `values`, which broadcasts to one place along the axis, before position `position`.
    ///
    /// The result has this array's dtype, as in NumPy.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::IndexOutOfRange`], [`ArrayError::BroadcastTo`].
    pub fn insert(&self, position: i64, values: &Array, axis: i64) -> Result<Array, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let len = self.shape()[axis];
        // One may insert behind the last element too, but from the end only before it.
        let at = match u64::try_from(position) {
            Ok(position) if position == len => len,
            _ => crate::selection::wrap(position, axis, len)?,
        };
        let mut shape = self.shape();
        shape.remove(axis);
        let values = values
            .astype(self.dtype())?
            .broadcast_to(&shape)?
            .expand_dims(axis as i64)?;
        concatenate(
            &[self.part(axis, 0, at), values, self.part(axis, at, len - at)],
            axis as i64,
        )
    }

    /// Joins another array behind this one along an axis, or both in C order.
    ///
    /// # Errors
    /// As [`concatenate`].
    pub fn append(&self, values: &Array, axis: Option<i64>) -> Result<Array, ArrayError> {
        match axis {
            Some(axis) => concatenate(&[self.clone(), values.clone()], axis),
            None => concatenate(&[self.ravel()?, values.ravel()?], 0),
        }
    }

    /// Puts the elements below the `offset`-th diagonal of the last two axes to zero: the upper triangle.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`] of a 0-dimensional array.
    pub fn triu(&self, offset: i64) -> Result<Array, ArrayError> {
        let below = self.triangle("triu", offset.saturating_sub(1))?;
        crate::where_(
            below,
            Array::scalar(crate::creation::small(0, self.dtype())),
            self,
        )
    }

    /// Puts the elements above the `offset`-th diagonal of the last two axes to zero: the lower triangle.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`] of a 0-dimensional array.
    pub fn tril(&self, offset: i64) -> Result<Array, ArrayError> {
        let kept = self.triangle("tril", offset)?;
        crate::where_(kept, self, Array::scalar(crate::creation::small(0, self.dtype())))
    }

    /// Where the last two axes are on or below a diagonal. A single axis counts as both, as in NumPy.
    fn triangle(&self, operation: &'static str, offset: i64) -> Result<Array, ArrayError> {
        self.check_ndim(operation, 1)?;
        let axes = self.chunks().axes();
        let (rows, columns) = (&axes[axes.len().saturating_sub(2)], &axes[axes.len() - 1]);
        let (rows, columns) = (Array::counter(rows), Array::counter(columns));
        let rows = rows.add(crate::Operand::typed(offset))?;
        rows.slice(&[Index::Full, Index::NewAxis])?
            .greater_equal(&columns)
    }
}

/// Joins arrays along their first axis, after making rows of those with one.
///
/// # Errors
/// As [`concatenate`].
pub fn vstack(arrays: &[Array]) -> Result<Array, ArrayError> {
    let rows: Result<Vec<_>, _> = arrays.iter().map(Array::atleast_2d).collect();
    concatenate(&rows?, 0)
}

/// Joins arrays along their second axis, or their only one.
///
/// # Errors
/// As [`concatenate`].
pub fn hstack(arrays: &[Array]) -> Result<Array, ArrayError> {
    let all: Vec<Array> = arrays.iter().map(Array::atleast_1d).collect::<Result<_, _>>()?;
    let axis = i64::from(all.first().is_some_and(|first| first.ndim() > 1));
    concatenate(&all, axis)
}

/// Joins arrays along their third axis, which those of fewer axes are given.
///
/// # Errors
/// As [`concatenate`].
pub fn dstack(arrays: &[Array]) -> Result<Array, ArrayError> {
    let all: Result<Vec<_>, _> = arrays.iter().map(Array::atleast_3d).collect();
    concatenate(&all?, 2)
}

/// Coordinates of a grid, as arrays of its shape: NumPy's `meshgrid`.
///
/// Each array gives one axis; it is taken as one axis in C order. With `is_cartesian` (`indexing="xy"`) the first two
/// axes are exchanged.
///
/// # Errors
/// [`ArrayError::Plan`] if the grid is too large to count.
pub fn meshgrid(arrays: &[Array], is_cartesian: bool) -> Result<Vec<Array>, ArrayError> {
    let open = open_grid(arrays, is_cartesian)?;
    crate::broadcast_arrays(&open)
}

/// As [`meshgrid`], with length 1 along all axes but each array's own (`sparse=True`).
///
/// # Errors
/// As [`meshgrid`].
pub fn open_grid(arrays: &[Array], is_cartesian: bool) -> Result<Vec<Array>, ArrayError> {
    let ndim = arrays.len();
    let place = |axis: usize| match axis {
        0 | 1 if is_cartesian && ndim > 1 => 1 - axis,
        _ => axis,
    };
    let along = |(axis, array): (usize, &Array)| {
        let mut shape = vec![1; ndim];
        shape[place(axis)] = -1;
        array.ravel()?.reshape(&shape)
    };
    arrays.iter().enumerate().map(along).collect()
}

/// The dtype that all `arrays` promote to.
///
/// # Errors
/// [`ArrayError::NoArrays`].
pub fn result_type(arrays: &[Array]) -> Result<graticule_plan::DType, ArrayError> {
    let dtypes = arrays.iter().map(Array::dtype).collect();
    crate::operand::promote_all(dtypes)?.ok_or(ArrayError::NoArrays {
        operation: "find a dtype for",
    })
}
