//! Nodes that move elements and compute nothing.

use crate::{Chunk, KernelError, Tensor, TensorMut, program::check_ndim, view::View};

/// Every `step`-th element along each axis, from the first one, or from the last one backwards.
///
/// # Errors
/// [`KernelError::Window`] if a step is 0 or their number is not the axes'.
pub(crate) fn stride_box(x: &Tensor, steps: &[i64]) -> Result<Tensor, KernelError> {
    if steps.len() != x.ndim() || steps.contains(&0) {
        return Err(KernelError::Window(format!(
            "steps {steps:?} on shape {:?}",
            x.shape()
        )));
    }
    copy_view(x, &View::of(x).stepped(steps))
}

/// Axes in another order.
///
/// # Errors
/// [`KernelError::Window`] if `order` is no permutation.
pub(crate) fn transpose(x: &Tensor, order: &[usize]) -> Result<Tensor, KernelError> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..x.ndim()) {
        return Err(KernelError::Window(format!(
            "order {order:?} of {} axes",
            x.ndim()
        )));
    }
    copy_view(x, &View::of(x).permuted(order))
}

/// The windows of `len` neighbours along an axis, along a new last one.
///
/// # Errors
/// [`KernelError::Window`] if the axis is not there or shorter than a window.
pub(crate) fn sliding(x: &Tensor, axis: usize, len: u64) -> Result<Tensor, KernelError> {
    let fits = |have: &usize| u64::try_from(*have).is_ok_and(|have| (1..=have).contains(&len));
    if !x.shape().get(axis).is_some_and(fits) {
        let shape = x.shape();
        return Err(KernelError::Window(format!(
            "windows of {len} along axis {axis} of shape {shape:?}"
        )));
    }
    check_ndim(x.ndim() + 1).map_err(KernelError::Window)?;
    copy_view(x, &View::of(x).windowed(axis, len as usize))
}

/// The elements at `positions` along an axis.
pub(crate) fn take(x: &Tensor, axis: usize, positions: &[usize]) -> Result<Tensor, KernelError> {
    let mut shape = x.shape().to_vec();
    shape[axis] = positions.len();
    let mut out = TensorMut::zeros(x.dtype(), &shape)?;
    let (mut at, mut from) = (vec![0; shape.len()], vec![0; shape.len()]);
    shape[axis] = 1;
    for (k, &position) in positions.iter().enumerate() {
        (at[axis], from[axis]) = (k, position);
        out.copy_box(&at, x, &from, &shape)?;
    }
    Ok(out.freeze())
}

/// Applies `f` to each part.
pub(crate) fn each_part(
    chunk: &Chunk,
    f: impl FnMut(&Tensor) -> Result<Tensor, KernelError>,
) -> Result<Chunk, KernelError> {
    Chunk::new(chunk.parts().iter().map(f).collect::<Result<_, _>>()?)
}

fn copy_view(x: &Tensor, view: &View) -> Result<Tensor, KernelError> {
    if view.shape == x.shape() && view.is_contiguous() {
        return Ok(x.clone());
    }
    let mut out = TensorMut::zeros(x.dtype(), &view.shape)?;
    view.gather(
        x.bytes(),
        x.dtype().size_bytes() as usize,
        0,
        out.trusted_bytes_mut(),
    );
    Ok(out.freeze())
}
