//! Nodes that move elements and compute nothing.

use crate::{Chunk, KernelError, Tensor, TensorMut, view::View};

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

/// The elements at `positions` along an axis.
pub(crate) fn take(x: &Tensor, axis: usize, positions: &[usize]) -> Result<Tensor, KernelError> {
    let mut shape = x.shape().to_vec();
    if positions.iter().copied().eq(0..shape[axis]) {
        return Ok(x.clone());
    }
    shape[axis] = positions.len();
    let mut out = TensorMut::for_overwrite(x.dtype(), &shape)?;
    let (mut at, mut from) = (vec![0; shape.len()], vec![0; shape.len()]);
    for run in positions.chunk_by(|before, after| *after == before + 1) {
        (from[axis], shape[axis]) = (run[0], run.len());
        out.copy_box(&at, x, &from, &shape)?;
        at[axis] += run.len();
    }
    Ok(out.freeze())
}

/// The elements at `positions`, other ones for each row: NumPy's `take_along_axis`.
///
/// # Errors
/// [`KernelError::IndexOutOfRange`]; [`KernelError::Window`] if the positions are not int64 or their shape differs along
/// another axis.
pub(crate) fn take_along(x: &Tensor, positions: &Tensor, axis: usize) -> Result<Tensor, KernelError> {
    let fits = |(k, (a, b)): (usize, (&usize, &usize))| k == axis || a == b;
    let same = axis < x.ndim()
        && x.ndim() == positions.ndim()
        && x.shape().iter().zip(positions.shape()).enumerate().all(fits);
    let Some(list) = positions.as_slice::<i64>().filter(|_| same) else {
        return Err(KernelError::Window(format!(
            "positions {} of shape {:?} along axis {axis} of shape {:?}",
            positions.dtype(),
            positions.shape(),
            x.shape()
        )));
    };
    let len = x.shape()[axis];
    let wrapped = |&index: &i64| {
        let from_end = if index < 0 {
            index.wrapping_add_unsigned(len as u64)
        } else {
            index
        };
        usize::try_from(from_end)
            .ok()
            .filter(|position| *position < len)
            .ok_or(KernelError::IndexOutOfRange { index, axis, len })
    };
    let places = list.iter().map(wrapped).collect::<Result<Vec<usize>, _>>()?;
    let mut out = TensorMut::zeros(x.dtype(), positions.shape())?;
    let inner: usize = x.shape()[axis + 1..].iter().product();
    let rows = Rows {
        inner,
        taken: positions.shape()[axis],
        len,
    };
    let (source, target) = (x.bytes(), out.trusted_bytes_mut());
    match x.dtype().size_bytes() {
        1 => rows.gather::<u8>(source, &places, target),
        2 => rows.gather::<u16>(source, &places, target),
        4 => rows.gather::<u32>(source, &places, target),
        8 => rows.gather::<u64>(source, &places, target),
        _ => rows.gather::<[u64; 2]>(source, &places, target),
    }
    Ok(out.freeze())
}

/// How rows lie beside an axis that is gathered from.
struct Rows {
    /// Elements behind one step along the axis.
    inner: usize,
    /// Positions along the axis of the result.
    taken: usize,
    /// Elements along the axis of the source.
    len: usize,
}

impl Rows {
    fn gather<T: bytemuck::Pod>(&self, source: &[u8], places: &[usize], target: &mut [u8]) {
        let (source, target): (&[T], &mut [T]) =
            (bytemuck::cast_slice(source), bytemuck::cast_slice_mut(target));
        for (k, (place, &position)) in target.iter_mut().zip(places).enumerate() {
            let (row, column) = (k / self.inner / self.taken, k % self.inner);
            *place = source[(row * self.len + position) * self.inner + column];
        }
    }
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
    let mut out = TensorMut::for_overwrite(x.dtype(), &view.shape)?;
    let item = x.dtype().size_bytes() as usize;
    view.collapsed()
        .gather_all(x.bytes(), item, out.trusted_bytes_mut());
    Ok(out.freeze())
}
