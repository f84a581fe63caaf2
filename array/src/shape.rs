//! Axes moved, added and dropped; arrays repeated and joined.

use graticule_plan::{AxisChunks, ChunkGrid};

use crate::{
    Array, ArrayError, Axes,
    expression::Op,
    infer::{axis_index, axis_indices, broadcast_shape, concatenate_axis, grid_of, with_axis},
    operand::promote_all,
};

/// The shape that arrays of all `shapes` broadcast to; of none, that of a single number.
///
/// # Errors
/// [`ArrayError::Broadcast`].
pub fn broadcast_shapes(shapes: &[Vec<u64>]) -> Result<Vec<u64>, ArrayError> {
    broadcast_shape(shapes)
}

/// Joins arrays along an axis that they have.
///
/// # Errors
/// [`ArrayError::NoArrays`], [`ArrayError::ConcatenateDimension`], [`ArrayError::ConcatenateShape`],
/// [`ArrayError::AxisOutOfRange`].
pub fn concatenate(arrays: &[Array], axis: i64) -> Result<Array, ArrayError> {
    let first = arrays.first().ok_or(ArrayError::NoArrays {
        operation: "concatenate",
    })?;
    let ndim = first.ndim();
    let axis = axis_index(axis, ndim)?;
    for (index, array) in arrays.iter().enumerate() {
        if array.ndim() != ndim {
            return Err(ArrayError::ConcatenateDimension {
                first: ndim,
                index,
                ndim: array.ndim(),
            });
        }
        let differs = |&other: &usize| other != axis && array.shape()[other] != first.shape()[other];
        if let Some(axis) = (0..ndim).find(differs) {
            let (first, len) = (first.shape()[axis], array.shape()[axis]);
            return Err(ArrayError::ConcatenateShape {
                axis,
                first,
                index,
                len,
            });
        }
    }
    let dtype = promote_all(arrays.iter().map(Array::dtype).collect())?.expect("there is a first");
    let parts: Vec<&Array> = arrays.iter().filter(|a| a.shape()[axis] > 0).collect();
    let (Some(&largest), Some(&only)) = (parts.iter().max_by_key(|a| a.nbytes()), parts.first()) else {
        return first.astype(dtype);
    };
    if parts.len() == 1 {
        return only.astype(dtype);
    }
    let cuts: Vec<&AxisChunks> = parts.iter().map(|a| &a.chunks().axes()[axis]).collect();
    let grid = with_axis(largest.chunks(), axis, concatenate_axis(&cuts)?)?;
    let operands = parts.iter().map(|part| {
        let own = with_axis(largest.chunks(), axis, part.chunks().axes()[axis].clone())?;
        part.with_grid(&own).astype(dtype)
    });
    Ok(Array::new(
        Op::Concatenate(axis),
        operands.collect::<Result<_, _>>()?,
        dtype,
        grid,
    ))
}

/// Joins arrays of one shape along a new axis.
///
/// # Errors
/// [`ArrayError::NoArrays`], [`ArrayError::StackShape`], [`ArrayError::AxisOutOfRange`].
pub fn stack(arrays: &[Array], axis: i64) -> Result<Array, ArrayError> {
    let first = arrays
        .first()
        .ok_or(ArrayError::NoArrays { operation: "stack" })?;
    if let Some(other) = arrays.iter().find(|array| array.shape() != first.shape()) {
        return Err(ArrayError::StackShape {
            first: first.shape(),
            other: other.shape(),
        });
    }
    let expanded = arrays.iter().map(|array| array.expand_dims(axis));
    concatenate(&expanded.collect::<Result<Vec<_>, _>>()?, axis)
}

impl Array {
    /// Puts the axes in another order: axis `i` of the result is axis `axes[i]` of this array.
    ///
    /// # Errors
    /// [`ArrayError::Permutation`], [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`].
    pub fn permute_dims(&self, axes: &[i64]) -> Result<Array, ArrayError> {
        let ndim = self.ndim();
        if axes.len() != ndim {
            return Err(ArrayError::Permutation {
                axes: axes.to_vec(),
                ndim,
            });
        }
        axis_indices(axes, ndim)?;
        let order = axes
            .iter()
            .map(|&axis| axis_index(axis, ndim))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(self.permuted(order))
    }

    /// Reverses the order of the axes.
    pub fn transpose(&self) -> Array {
        self.permuted((0..self.ndim()).rev().collect())
    }

    /// Moves axes to other places; the others keep their order.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`], [`ArrayError::AxisPairs`] if there are not as many
    /// places as axes.
    pub fn moveaxis(
        &self,
        source: impl Into<Axes>,
        destination: impl Into<Axes>,
    ) -> Result<Array, ArrayError> {
        let ndim = self.ndim();
        let (source, destination) = (source.into(), destination.into());
        let (from, to) = (source.indices(ndim)?, destination.indices(ndim)?);
        if from.len() != to.len() {
            return Err(ArrayError::AxisPairs {
                source_count: from.len(),
                destination_count: to.len(),
            });
        }
        let mut order: Vec<usize> = (0..ndim).filter(|axis| !from.contains(axis)).collect();
        let mut pairs: Vec<(usize, usize)> = to.into_iter().zip(from).collect();
        pairs.sort_unstable();
        pairs
            .into_iter()
            .for_each(|(place, axis)| order.insert(place, axis));
        Ok(self.permuted(order))
    }

    /// Exchanges two axes.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`].
    pub fn swapaxes(&self, a: i64, b: i64) -> Result<Array, ArrayError> {
        let ndim = self.ndim();
        let mut order: Vec<usize> = (0..ndim).collect();
        order.swap(axis_index(a, ndim)?, axis_index(b, ndim)?);
        Ok(self.permuted(order))
    }

    pub(crate) fn permuted(&self, order: Vec<usize>) -> Array {
        if order.iter().enumerate().all(|(place, &axis)| place == axis) {
            return self.clone();
        }
        let grid = grid_of(
            order
                .iter()
                .map(|&axis| self.chunks().axes()[axis].clone())
                .collect(),
        );
        Array::new(Op::Transpose(order), vec![self.clone()], self.dtype(), grid)
    }

    /// Adds axes of length 1 at the given positions of the result.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`], [`ArrayError::Plan`] above the largest number of
    /// axes.
    pub fn expand_dims(&self, axes: impl Into<Axes>) -> Result<Array, ArrayError> {
        let axes = axes.into();
        let Some(count) = axes.count() else {
            return Ok(self.clone());
        };
        let mut places = axes.indices(self.ndim() + count)?;
        places.sort_unstable();
        places
            .into_iter()
            .try_fold(self.clone(), |array, axis| array.expanded(axis))
    }

    fn expanded(&self, axis: usize) -> Result<Array, ArrayError> {
        let mut axes = self.chunks().axes().to_vec();
        axes.insert(axis, AxisChunks::whole(1));
        let grid = ChunkGrid::new(axes)?;
        Ok(Array::new(
            Op::ExpandDims(axis),
            vec![self.clone()],
            self.dtype(),
            grid,
        ))
    }

    /// Drops axes of length 1: the given ones, or all.
    ///
    /// # Errors
    /// [`ArrayError::Squeeze`] if a given axis has another length, [`ArrayError::AxisOutOfRange`],
    /// [`ArrayError::RepeatedAxis`].
    pub fn squeeze(&self, axes: Option<&[i64]>) -> Result<Array, ArrayError> {
        let shape = self.shape();
        let axes = match axes {
            Some(axes) => axis_indices(axes, self.ndim())?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        if let Some(&axis) = axes.iter().find(|&&axis| shape[axis] != 1) {
            return Err(ArrayError::Squeeze {
                axis,
                len: shape[axis],
            });
        }
        Ok(axes
            .iter()
            .rev()
            .fold(self.clone(), |array, &axis| array.squeeze_axis(axis)))
    }

    /// Repeats axes of length 1 and adds leading ones, without copying until somebody needs it.
    ///
    /// # Errors
    /// [`ArrayError::BroadcastTo`], [`ArrayError::Plan`] if the result is too large to count.
    pub fn broadcast_to(&self, shape: &[u64]) -> Result<Array, ArrayError> {
        let own = self.shape();
        let misfit = || ArrayError::BroadcastTo {
            from: own.clone(),
            to: shape.to_vec(),
        };
        let lead = shape.len().checked_sub(own.len()).ok_or_else(misfit)?;
        if own
            .iter()
            .zip(&shape[lead..])
            .any(|(&from, &to)| from != to && from != 1)
        {
            return Err(misfit());
        }
        if own == shape {
            return Ok(self.clone());
        }
        let kept = |(axis, &len): (usize, &u64)| match axis.checked_sub(lead) {
            Some(axis) if own[axis] == len => self.chunks().axes()[axis].clone(),
            _ => AxisChunks::whole(len),
        };
        let mut axes: Vec<AxisChunks> = shape.iter().enumerate().map(kept).collect();
        let repeated = |&axis: &usize| axis < lead || own[axis - lead] != shape[axis];
        let free: Vec<usize> = (0..shape.len()).filter(repeated).collect();
        let (tile, item_bytes) = (vec![1; shape.len()], self.dtype().size_bytes());
        crate::chunking::shrink(
            &mut axes,
            &free,
            &tile,
            item_bytes,
            crate::chunking::AUTO_CHUNK_BYTES,
        );
        Ok(Array::new(
            Op::BroadcastTo,
            vec![self.clone()],
            self.dtype(),
            ChunkGrid::new(axes)?,
        ))
    }
}
