//! Elements taken by positions that are arrays, and elements replaced: each gives a new array.

use graticule_ops::{AxisSelection, OpsError, Scalar};
use graticule_plan::{AxisChunks, DType, Kind};

use crate::{
    Array, ArrayError, Index, Operand, Over, WORKING_SET_BYTES,
    chunking::shrink,
    concatenate,
    expression::Op,
    infer::{axis_index, broadcast_shape, grid_of, with_axis},
    selection::View,
    where_,
};

/// Whether a mask is one, and lies on the first axes of an array of this shape.
pub(crate) fn check_mask(mask: &Array, shape: &[u64]) -> Result<(), ArrayError> {
    if mask.dtype() != DType::Bool {
        let (operation, dtype, hint) = (
            "selecting by a mask",
            mask.dtype(),
            ": compare it, or convert it to bool",
        );
        return Err(OpsError::DType {
            operation,
            dtype,
            hint,
        }
        .into());
    }
    let mask = mask.shape();
    if mask.len() > shape.len() || mask != shape[..mask.len()] {
        let shape = shape.to_vec();
        return Err(ArrayError::MaskShape { mask, shape });
    }
    Ok(())
}

impl Array {
    /// Takes elements along an axis at positions that differ from row to row, as `argsort` gives them.
    ///
    /// The axis is brought into one chunk first, with the others cut so that a chunk takes
    /// [`WORKING_SET_BYTES`](crate::WORKING_SET_BYTES) at most; the positions may be cut along it. Shapes broadcast along the
    /// other axes.
    ///
    /// # Errors
    /// [`ArrayError::PositionDType`], [`ArrayError::PositionAxes`], [`ArrayError::Broadcast`],
    /// [`ArrayError::AxisOutOfRange`]. A position that is out of bounds fails its task.
    pub fn take_along_axis(&self, positions: &Array, axis: i64) -> Result<Array, ArrayError> {
        let dtype = positions.dtype();
        if !matches!(dtype.kind(), Kind::Signed | Kind::Unsigned) {
            return Err(ArrayError::PositionDType { dtype });
        }
        if positions.ndim() != self.ndim() {
            return Err(ArrayError::PositionAxes {
                positions: positions.ndim(),
                ndim: self.ndim(),
            });
        }
        let axis = axis_index(axis, self.ndim())?;
        let (mut own, mut taken) = (self.shape(), positions.shape());
        let (len, count) = (
            std::mem::replace(&mut own[axis], 1),
            std::mem::replace(&mut taken[axis], 1),
        );
        let mut shape = broadcast_shape(&[own, taken])?;
        shape[axis] = len;
        let x = self.broadcast_to(&shape)?;
        shape[axis] = count;
        let positions = positions.astype(DType::Int64)?.broadcast_to(&shape)?;
        // Cut as the array is along the other axes, or finer, and as the positions are along this one.
        let mut whole = x.chunks().axes().to_vec();
        whole[axis] = AxisChunks::whole(len);
        let others: Vec<usize> = (0..x.ndim()).filter(|other| *other != axis).collect();
        let item_bytes = self.dtype().size_bytes();
        shrink(
            &mut whole,
            &others,
            &x.0.origin.tile,
            item_bytes,
            WORKING_SET_BYTES,
        );
        let x = x.with_grid(&grid_of(whole));
        let grid = with_axis(x.chunks(), axis, positions.chunks().axes()[axis].clone())?;
        let operands = vec![x, positions.with_grid(&grid)];
        Ok(Array::new(Op::TakeAlong(axis), operands, self.dtype(), grid))
    }

    /// Takes the `offset`-th diagonals of the planes of two axes, along a new last axis: NumPy's `diagonal`.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`].
    pub fn diagonal(&self, offset: i64, rows: i64, columns: i64) -> Result<Array, ArrayError> {
        self.check_ndim("diagonal", 2)?;
        let planes = self.moveaxis([rows, columns], [-2, -1])?;
        let axis = planes.ndim() - 2;
        let (height, width) = (planes.shape()[axis], planes.shape()[axis + 1]);
        let outside = offset.unsigned_abs();
        let (low, left) = if offset < 0 { (outside, 0) } else { (0, outside) };
        let len = height.saturating_sub(low).min(width.saturating_sub(left));
        let kept = planes.part(axis, low.min(height - len), len);
        let kept = kept.part(axis + 1, left.min(width - len), len);
        let mut along = vec![1; planes.ndim()];
        along[axis] = -1;
        let column = Array::counter(&kept.chunks().axes()[axis]).reshape(&along)?;
        Ok(kept.take_along_axis(&column, -1)?.squeeze_axis(axis + 1))
    }

    /// Sums the `offset`-th diagonals of the planes of two axes.
    ///
    /// # Errors
    /// As [`Array::diagonal`].
    pub fn trace(&self, offset: i64, rows: i64, columns: i64) -> Result<Array, ArrayError> {
        self.diagonal(offset, rows, columns)?.sum(&Over::axis(-1))
    }

    /// Takes the elements along an axis where a list says so; it may end before the axis does.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::IndexOutOfRange`] for a truth beyond the axis.
    pub fn compress(&self, condition: &[bool], axis: i64) -> Result<Array, ArrayError> {
        let positions: Vec<i64> = (0i64..)
            .zip(condition)
            .filter(|(_, is_true)| **is_true)
            .map(|(position, _)| position)
            .collect();
        self.take(&positions, axis)
    }

    /// Replaces the elements that an index selects, as NumPy's `x[index] = value` does; `value` broadcasts to them.
    ///
    /// The result has this array's dtype, shape and chunks.
    ///
    /// # Errors
    /// As [`Array::slice`]; [`ArrayError::BroadcastTo`], [`ArrayError::Ops`] for a weak integer out of bounds.
    pub fn put_slice(&self, index: &[Index], value: impl Into<Operand>) -> Result<Array, ArrayError> {
        let (selections, views) = self.selections(index)?;
        let shape = self.slice(index)?.shape();
        let mut value = self.assigned(value.into())?;
        // NumPy drops leading axes of length 1 here, but where a single element is named.
        let is_element = shape.is_empty() && !index.contains(&Index::Ellipsis);
        while !is_element && value.ndim() > shape.len() && value.shape()[0] == 1 {
            value = value.squeeze_axis(0);
        }
        let mut value = value.broadcast_to(&shape)?;
        if value.size() == 0 {
            return Ok(self.clone());
        }
        let mut axis = 0;
        for view in views {
            match view {
                View::Keep => axis += 1,
                View::Drop => {
                    value = value.expand_dims(axis as i64)?;
                    axis += 1;
                }
                View::New => value = value.squeeze_axis(axis),
            }
        }
        Ok(self.replaced(&selections, 0, value)?.with_grid(self.chunks()))
    }

    /// Replaces the elements where `mask` is true, as NumPy's `x[mask] = value` does for a value that broadcasts.
    ///
    /// The mask lies on the array's first axes. The result has this array's dtype.
    ///
    /// # Errors
    /// [`ArrayError::MaskShape`], [`ArrayError::BroadcastTo`], [`ArrayError::Ops`] for a mask of another dtype than bool or a
    /// weak integer out of bounds.
    pub fn put_mask(&self, mask: &Array, value: impl Into<Operand>) -> Result<Array, ArrayError> {
        let shape = self.shape();
        check_mask(mask, &shape)?;
        let behind: Vec<i64> = (mask.ndim()..shape.len()).map(|axis| axis as i64).collect();
        let value = self.assigned(value.into())?.broadcast_to(&shape)?;
        Ok(where_(mask.expand_dims(behind)?, value, self)?.with_grid(self.chunks()))
    }

    /// A value in this array's dtype.
    fn assigned(&self, value: Operand) -> Result<Array, ArrayError> {
        match value {
            Operand::Array(array) => array.astype(self.dtype()),
            Operand::Typed(scalar) => Array::scalar(scalar).astype(self.dtype()),
            Operand::Float(value) => Array::scalar(Scalar::Float64(value)).astype(self.dtype()),
            Operand::Complex(value) => Array::scalar(Scalar::Complex128(value)).astype(self.dtype()),
            Operand::Bool(value) => Array::scalar(Scalar::Bool(value)).astype(self.dtype()),
            Operand::Int(value) => {
                let dtype = self.dtype();
                let scalar = match dtype {
                    DType::Bool => Scalar::Bool(value != 0),
                    _ => crate::operand::weak_int(value, dtype)?,
                };
                Ok(Array::scalar(scalar))
            }
        }
    }

    /// Replaces what is selected of the axes from `axis` on; of those before it everything is.
    fn replaced(&self, selections: &[AxisSelection], axis: usize, value: Array) -> Result<Array, ArrayError> {
        let whole = |axis: &usize| {
            let axis = *axis;
            !crate::selection::is_whole(&selections[axis..=axis], &self.shape()[axis..=axis])
        };
        let Some(axis) = (axis..self.ndim()).find(whole) else {
            return Ok(value);
        };
        let AxisSelection { start, step, len } = selections[axis];
        let size = step.unsigned_abs();
        let span = (len - 1) * size + 1;
        let low = if step > 0 { start } else { start - (span - 1) };
        let value = if step < 0 { value.flip(axis as i64)? } else { value };
        let region = self.part(axis, low, span);
        let inner = if size == 1 {
            region.replaced(selections, axis + 1, value)?
        } else {
            let mut others = selections.to_vec();
            others[axis] = AxisSelection::whole(span);
            let spread = value.repeat(&[size], Some(axis as i64))?.part(axis, 0, span);
            let put = region.replaced(&others, axis + 1, spread)?;
            let mut along = vec![1; self.ndim()];
            along[axis] = -1;
            let counter =
                Array::counter(&region.chunks().axes()[axis]).remainder(Operand::typed(size as i64))?;
            where_(counter.equal(0)?.reshape(&along)?, put, region)?
        };
        let end = low + span;
        let (before, after) = (
            self.part(axis, 0, low),
            self.part(axis, end, self.shape()[axis] - end),
        );
        concatenate(&[before, inner, after], axis as i64)
    }
}
