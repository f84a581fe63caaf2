//! Arrays whose length depends on what is in them: elements where a mask is true.
//!
//! An [`Array`] knows its chunks, so these are none yet: a [`Selected`] remembers the array and the mask. What needs no
//! lengths is lazy as ever; the rest asks how many places of each block are true, one number a block, and then is an array
//! like any other.

use graticule_ops::Scalar;
use graticule_plan::{AxisChunks, ChunkGrid, DType};

use crate::{
    Array, ArrayError, Chunks, Operand, Over,
    assign::check_mask,
    creation::small,
    expression::Op,
    graph::Graph,
    infer::{axis_index, grid_of, tidy, with_axis},
    stack, where_,
};

/// The elements of an array along one axis where a mask is true: how many is not known yet.
///
/// A client's `sized` counts them, block by block, and gives the array; so does [`Selected::with_counts`] with counts from
/// elsewhere. The mask is computed twice by that, once to be counted; one that costs much, or is not the same each time, is
/// best persisted first.
///
/// ```
/// use graticule_array::{Array, Chunks};
///
/// let x = Array::from_slice(&[6], &[Chunks::Size(3)], &[4, -1, 7, 0, -2, 5])?;
/// let positive = x.take_mask(&x.greater(0)?)?;
/// // What needs no lengths is an array at once.
/// assert_eq!(positive.sum()?.ndim(), 0);
/// // The counts of both blocks, which `Client::sized` finds.
/// assert_eq!(positive.with_counts(&[2, 1])?.shape(), [3]);
/// # Ok::<(), graticule_array::ArrayError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Selected {
    array: Array,
    /// Of one axis, cut as the array is along the axis.
    mask: Array,
    axis: usize,
}

impl Array {
    /// Takes the elements where `mask` is true: NumPy's `x[mask]`. The mask lies on the array's first axes, which become one.
    ///
    /// Elements come in C order, so several axes are regrouped first, as by [`Array::reshape`].
    ///
    /// # Errors
    /// [`ArrayError::MaskShape`]; [`ArrayError::Ops`] for a mask of another dtype than bool; as [`Array::reshape`].
    pub fn take_mask(&self, mask: &Array) -> Result<Selected, ArrayError> {
        let shape = self.shape();
        check_mask(mask, &shape)?;
        let len = shape[..mask.ndim()].iter().product::<u64>() as i64;
        let behind = shape[mask.ndim()..].iter().map(|&len| len as i64);
        let array = self.reshape(&std::iter::once(len).chain(behind).collect::<Vec<_>>())?;
        Selected::new(array, mask.reshape(&[len])?, 0)
    }

    /// Takes the elements along an axis where a computed condition is true, as [`Array::compress`] by a list; it may end
    /// before the axis does.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::Dimension`] for a condition of more or fewer axes,
    /// [`ArrayError::MaskShape`] for one that is longer than the axis.
    pub fn compress_by(&self, condition: &Array, axis: i64) -> Result<Selected, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let (operation, ndim) = ("compress", condition.ndim());
        if ndim != 1 {
            let want = 1;
            return Err(ArrayError::Dimension {
                operation,
                ndim,
                want,
            });
        }
        let (len, mask) = (condition.shape()[0], condition.shape());
        if len > self.shape()[axis] {
            let shape = self.shape();
            return Err(ArrayError::MaskShape { mask, shape });
        }
        Selected::new(self.part(axis, 0, len), condition.astype(DType::Bool)?, axis)
    }

    /// Takes the elements where a condition of as many elements is not zero, both in C order: NumPy's `extract`.
    ///
    /// # Errors
    /// [`ArrayError::MaskShape`]; as [`Array::reshape`].
    pub fn extract(&self, condition: &Array) -> Result<Selected, ArrayError> {
        let (mask, shape) = (condition.shape(), self.shape());
        if condition.size() != self.size() {
            return Err(ArrayError::MaskShape { mask, shape });
        }
        Selected::new(self.ravel()?, condition.astype(DType::Bool)?.ravel()?, 0)
    }

    /// Finds where the elements are that are not zero, in C order: of each axis the positions along it, int64.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`] for a single number; as [`Array::reshape`].
    pub fn nonzero(&self) -> Result<Vec<Selected>, ArrayError> {
        self.check_ndim("nonzero", 1)?;
        let flat = self.flatnonzero()?;
        let along = |rest: Array| flat.map(|_| Ok::<_, ArrayError>(rest));
        split_positions(&flat.array, &self.shape())?
            .into_iter()
            .map(along)
            .collect()
    }

    /// Finds where the elements are that are not zero, in C order: a row for each, with its position along each axis,
    /// int64.
    ///
    /// # Errors
    /// As [`Array::nonzero`].
    pub fn argwhere(&self) -> Result<Selected, ArrayError> {
        self.check_ndim("argwhere", 1)?;
        let flat = self.flatnonzero()?;
        let rows = stack(&split_positions(&flat.array, &self.shape())?, 1)?;
        flat.map(|_| rows.rechunk(&[Chunks::Keep, Chunks::Whole]))
    }

    /// Finds where the elements are that are not zero in the array as one axis, int64.
    ///
    /// # Errors
    /// As [`Array::reshape`].
    pub fn flatnonzero(&self) -> Result<Selected, ArrayError> {
        let mask = self.astype(DType::Bool)?.ravel()?;
        Selected::new(Array::counter(&mask.chunks().axes()[0]), mask, 0)
    }
}

/// Positions in a flat array as one along each axis of `shape`.
fn split_positions(flat: &Array, shape: &[u64]) -> Result<Vec<Array>, ArrayError> {
    let (mut rest, mut positions) = (flat.clone(), Vec::new());
    for (axis, &len) in shape.iter().enumerate().rev() {
        let len = Operand::typed(len.max(1) as i64);
        // The first axis has what is left.
        let is_first = axis == 0;
        positions.push(if is_first {
            rest.clone()
        } else {
            rest.remainder(len.clone())?
        });
        rest = rest.floor_divide(len)?;
    }
    positions.reverse();
    Ok(positions)
}

impl Selected {
    /// `mask` has one axis, as long as that of the array.
    fn new(array: Array, mask: Array, axis: usize) -> Result<Self, ArrayError> {
        let cuts = ChunkGrid::new(vec![array.chunks().axes()[axis].clone()])?;
        let mask = mask.with_grid(&cuts);
        Ok(Self { array, mask, axis })
    }

    /// The dtype of the elements.
    pub fn dtype(&self) -> DType {
        self.array.dtype()
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.array.ndim()
    }

    /// The axis along which elements were left out.
    pub fn axis(&self) -> usize {
        self.axis
    }

    /// Works on the elements: what is made of each without regard to others may as well be made of all before the mask.
    ///
    /// `f` is given the array with all elements, and gives one with as many along the axis.
    ///
    /// # Errors
    /// Those of `f`; [`ArrayError::MaskShape`] if it gives another length or drops the axis.
    pub fn map<E: From<ArrayError>>(&self, f: impl FnOnce(&Array) -> Result<Array, E>) -> Result<Self, E> {
        let array = f(&self.array)?;
        let (mask, shape) = (self.mask.shape(), array.shape());
        if shape.get(self.axis) != Some(&mask[0]) {
            return Err(ArrayError::MaskShape { mask, shape }.into());
        }
        Ok(Self::new(array, self.mask.clone(), self.axis)?)
    }

    /// Works on the elements of two arrays at the same places, as [`Selected::map`] on those of one.
    ///
    /// # Errors
    /// Those of `f`; [`ArrayError::OtherMask`] unless both were selected by the same mask along the same axis.
    pub fn zip<E: From<ArrayError>>(
        &self,
        other: &Selected,
        f: impl FnOnce(&Array, &Array) -> Result<Array, E>,
    ) -> Result<Self, E> {
        let cuts = self.mask.chunks();
        let masks = [self.mask.clone(), other.mask.clone()];
        let is_same = self.axis == other.axis && masks[0].shape() == masks[1].shape() && {
            let graph = Graph::new(&[&masks[0], &masks[1].with_grid(cuts)], true);
            graph.outputs()[0] == graph.outputs()[1]
        };
        if !is_same {
            return Err(ArrayError::OtherMask.into());
        }
        self.map(|array| f(array, &other.array))
    }

    /// How many elements each block along the axis has, int64: what [`Selected::with_counts`] takes.
    pub fn counts(&self) -> Array {
        let blocks = self.mask.chunks().axes()[0].count();
        let cuts = AxisChunks::Regular {
            len: blocks,
            chunk: 1,
        };
        Array::new(
            Op::CountTrue,
            vec![self.mask.clone()],
            DType::Int64,
            grid_of(vec![cuts]),
        )
    }

    /// The array, given how many elements each block has: a chunk for each block that has any.
    ///
    /// A task fails that finds another number.
    ///
    /// # Errors
    /// [`ArrayError::BlockLengths`] if these are not such numbers.
    pub fn with_counts(&self, counts: &[u64]) -> Result<Array, ArrayError> {
        let cuts = &self.mask.chunks().axes()[0];
        check_lengths(counts, cuts)?;
        let kept = AxisChunks::from_lengths(counts)?;
        let full = tidy(&kept);
        let grid = with_axis(self.array.chunks(), self.axis, kept)?;
        let (dtype, operands) = (self.dtype(), vec![self.array.clone(), self.mask.clone()]);
        if full.is_empty() {
            let grid = with_axis(self.array.chunks(), self.axis, full)?;
            return Ok(Array::full_grid(&grid, small(0, dtype)));
        }
        let is_compact = full.count() == cuts.count();
        let array = Array::new(Op::Compress(self.axis), operands, dtype, grid);
        if is_compact {
            return Ok(array);
        }
        let grid = with_axis(array.chunks(), self.axis, full)?;
        Ok(Array::new(Op::Compact(self.axis), vec![array], dtype, grid))
    }

    /// How many elements there are along the axis, int64.
    ///
    /// # Errors
    /// None that can happen to a selection that exists.
    pub fn count(&self) -> Result<Array, ArrayError> {
        self.mask.sum(&Over::all())
    }

    /// Sums along the axis, as [`Array::sum`].
    ///
    /// # Errors
    /// As [`Array::sum`].
    pub fn sum(&self) -> Result<Array, ArrayError> {
        self.or_else(small(0, self.dtype()))?.sum(&self.over())
    }

    /// Multiplies along the axis, as [`Array::prod`].
    ///
    /// # Errors
    /// As [`Array::prod`].
    pub fn prod(&self) -> Result<Array, ArrayError> {
        self.or_else(small(1, self.dtype()))?.prod(&self.over())
    }

    /// Averages along the axis, as [`Array::mean`]; NaN of nothing.
    ///
    /// # Errors
    /// As [`Array::mean`].
    pub fn mean(&self) -> Result<Array, ArrayError> {
        let dtype = self.dtype();
        let (wide, made) = match dtype {
            DType::Complex64 | DType::Complex128 => (DType::Complex128, dtype),
            DType::Float16 | DType::Float32 => (DType::Float64, dtype),
            _ => (DType::Float64, DType::Float64),
        };
        let wide = self.map(|array| array.astype(wide))?;
        wide.sum()?.divide(&self.count()?)?.astype(made)
    }

    /// Whether any element along the axis is not zero, as [`Array::any`].
    ///
    /// # Errors
    /// As [`Array::any`].
    pub fn any(&self) -> Result<Array, ArrayError> {
        self.or_else(small(0, self.dtype()))?.any(&self.over())
    }

    /// Whether all elements along the axis are not zero, as [`Array::all`].
    ///
    /// # Errors
    /// As [`Array::all`].
    pub fn all(&self) -> Result<Array, ArrayError> {
        self.or_else(small(1, self.dtype()))?.all(&self.over())
    }

    /// All elements, with this one where the mask is not true.
    fn or_else(&self, other: Scalar) -> Result<Array, ArrayError> {
        let behind = (1..=self.ndim() - 1 - self.axis).map(|place| place as i64);
        let mask = self.mask.expand_dims(behind.collect::<Vec<_>>())?;
        where_(mask, &self.array, Array::scalar(other))
    }

    fn over(&self) -> Over {
        Over::axis(self.axis as i64)
    }
}

/// Checks numbers of elements that are left of blocks.
pub(crate) fn check_lengths(lengths: &[u64], cuts: &AxisChunks) -> Result<(), ArrayError> {
    if lengths.len() as u64 != cuts.count() {
        let why = format!("{} lengths for {} blocks", lengths.len(), cuts.count());
        return Err(ArrayError::BlockLengths { why });
    }
    let too_long = lengths
        .iter()
        .zip(cuts.lengths())
        .position(|(made, own)| *made > own);
    match too_long {
        None => Ok(()),
        Some(block) => Err(ArrayError::BlockLengths {
            why: format!(
                "{} elements of block {block}, which has {}",
                lengths[block],
                cuts.lengths()[block]
            ),
        }),
    }
}
