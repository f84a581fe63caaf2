//! Fourier transforms of a block's lines.

use graticule_numerics::fourier::{Lines, Real};
use graticule_ops::{Fourier, FourierKind, Transform};
use graticule_plan::DType;
use num_complex::Complex;

use crate::{
    Chunk, Element, KernelError, Tensor, TensorMut, lazy,
    program::{Task, Values, single},
};

/// The value of a `Fourier` node.
pub(crate) fn node(
    task: &Task<'_>,
    node: usize,
    step: &Fourier,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    lazy::force(task, values, step.x.0 as usize)?;
    let x = single(values.ready(step.x.0 as usize).expect("just forced"))?;
    let transform = step.transform;
    let dtype = transform.dtype(x.dtype());
    let (Some(dtype), true, true) = (dtype, transform.axis < x.ndim(), transform.len > 0) else {
        let Transform { axis, len, .. } = transform;
        let (have, shape) = (x.dtype(), x.shape());
        let why = format!("{len} elements along axis {axis} of {have} of shape {shape:?}");
        return Err(task.misfit(node, why));
    };
    let len =
        |len: u64| usize::try_from(len).map_err(|_| task.misfit(node, format!("lines of {len} elements")));
    let lines = Lines {
        read: len(transform.read_len())?,
        made: len(transform.made_len())?,
        side_by_side: transform.lines() as usize,
        outer: x.shape()[..transform.axis].iter().product(),
        have: x.shape()[transform.axis],
        inner: x.shape()[transform.axis + 1..].iter().product(),
    };
    let mut shape = x.shape().to_vec();
    shape[transform.axis] = lines.made;
    let mut out = TensorMut::for_overwrite(dtype, &shape)?;
    if shape.contains(&0) {
        return Ok(out.freeze().into());
    }
    match x.dtype() {
        DType::Float32 | DType::Complex64 => transformed::<f32>(x, transform, &lines, &mut out),
        _ => transformed::<f64>(x, transform, &lines, &mut out),
    }
    Ok(out.freeze().into())
}

fn transformed<T: Real + Element>(x: &Tensor, transform: Transform, lines: &Lines, out: &mut TensorMut)
where
    Complex<T>: Element,
{
    let bytes = x.bytes();
    if transform.kind == FourierKind::RealInverse {
        T::backward(Complex::<T>::slice(bytes), out.slice_mut(), transform, lines);
    } else if x.dtype().is_complex() {
        T::of_complex(Complex::<T>::slice(bytes), out.slice_mut(), transform, lines);
    } else {
        T::of_real(T::slice(bytes), out.slice_mut(), transform, lines);
    }
}
