//! Functions over axes one by one, and of the places of elements.

use graticule_plan::DType;

use super::{BlockFunction, MapBlocks, map_blocks};
use crate::{Array, ArrayError, Axes, Chunks, infer::axis_index, rearrange::meshgrid};

/// Applies `reduce` to an array along each of these axes, one after the other. It is given the array and the axis, and
/// may leave the axis out, which then is put back with length 1. As NumPy's `apply_over_axes`.
///
/// ```
/// use graticule_array::{Array, Chunks, Over, apply_over_axes};
///
/// let x = Array::from_slice(&[2, 3], &[Chunks::Whole, Chunks::Whole], &[1_i64, 2, 3, 4, 5, 6])?;
/// let sum = apply_over_axes(|x, axis| x.sum(&Over::axis(axis)), &x, [0, 1])?;
/// assert_eq!(sum.shape(), [1, 1]);
/// # Ok::<(), graticule_array::ArrayError>(())
/// ```
///
/// # Errors
/// Those of `reduce`, [`ArrayError::AxisOutOfRange`], [`ArrayError::Dimension`] if it leaves out more than the axis.
pub fn apply_over_axes(
    reduce: impl Fn(&Array, i64) -> Result<Array, ArrayError>,
    array: &Array,
    axes: impl Into<Axes>,
) -> Result<Array, ArrayError> {
    let ndim = array.ndim();
    let mut made = array.clone();
    for axis in axes.into().in_order(ndim)? {
        let axis = axis_index(axis as i64, ndim)? as i64;
        let next = reduce(&made, axis)?;
        made = match next.ndim() == ndim {
            true => next,
            false => next.expand_dims(axis)?,
        };
        if made.ndim() != ndim {
            return Err(ArrayError::Dimension {
                operation: "apply_over_axes",
                ndim: made.ndim(),
                want: ndim,
            });
        }
    }
    Ok(made)
}

/// An array that a function makes of the places of its elements: it is given a block for each axis, of the result's
/// shape and of dtype `places`, that holds the elements' positions along it. As NumPy's `fromfunction`.
///
/// # Errors
/// As [`Array::rechunk`], [`ArrayError::Plan`].
pub fn fromfunction(
    function: &BlockFunction,
    shape: &[u64],
    chunks: &[Chunks],
    places: DType,
    dtype: DType,
) -> Result<Array, ArrayError> {
    let grid = Array::empty(shape, chunks, dtype)?.chunks().clone();
    let along = shape.iter().zip(grid.axes()).map(|(&len, cuts)| {
        let range = Array::arange(
            0.0,
            len as f64,
            1.0,
            DType::Int64,
            Chunks::Lengths(cuts.lengths()),
        )?;
        range.astype(places)
    });
    let along: Vec<Array> = along.collect::<Result<_, _>>()?;
    if along.is_empty() {
        let options = MapBlocks::new(dtype).chunks([]);
        return map_blocks(function, &[], &options);
    }
    let places = meshgrid(&along, false)?;
    let places: Vec<Array> = places.iter().map(|array| array.with_grid(&grid)).collect();
    map_blocks(
        function,
        &places.iter().collect::<Vec<_>>(),
        &MapBlocks::new(dtype),
    )
}
