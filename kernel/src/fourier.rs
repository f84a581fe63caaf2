//! Fourier transforms of lines, by the algorithms of `rustfft` and `realfft`.
//!
//! Each line is transformed for itself, so that its bits do not depend on which others a block has.

use graticule_ops::{Fourier, FourierKind, Transform};
use graticule_plan::DType;
use num_complex::Complex;
use realfft::RealFftPlanner;
use rustfft::{FftDirection, FftNum, FftPlanner};

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

/// The lines of a block and of what is made of it.
struct Lines {
    /// Elements of a line that count, with zeros behind those that it has.
    read: usize,
    /// Elements of a line of the result.
    made: usize,
    /// Lines that are transformed side by side.
    side_by_side: usize,
    /// Elements of the axes before.
    outer: usize,
    /// Elements of a line.
    have: usize,
    /// Elements of the axes behind.
    inner: usize,
}

impl Lines {
    /// Makes each line: `convert` takes the elements, `one` makes a line of them, and may write over them.
    fn each<I: Copy, B: Copy + Default, O: Copy + Default>(
        &self,
        x: &[I],
        out: &mut [O],
        convert: impl Fn(I) -> B,
        mut one: impl FnMut(&mut [B], &mut [O]),
    ) {
        let (read, made, inner) = (self.read, self.made, self.inner);
        let side_by_side = self.side_by_side.min(inner);
        let mut taken = vec![B::default(); side_by_side * read];
        let mut results = vec![O::default(); side_by_side * made];
        let count = self.have.min(read);
        for outer in 0..self.outer {
            for first in (0..inner).step_by(side_by_side) {
                let width = side_by_side.min(inner - first);
                for k in 0..count {
                    let row = &x[(outer * self.have + k) * inner + first..][..width];
                    (row.iter().enumerate()).for_each(|(line, &x)| taken[line * read + k] = convert(x));
                }
                for line in 0..width {
                    let taken = &mut taken[line * read..][..read];
                    taken[count..].fill(B::default());
                    one(taken, &mut results[line * made..][..made]);
                }
                for k in 0..made {
                    let row = &mut out[(outer * made + k) * inner + first..][..width];
                    (row.iter_mut().enumerate()).for_each(|(line, x)| *x = results[line * made + k]);
                }
            }
        }
    }
}

/// A type of real numbers whose transforms are there.
trait Real: Element + FftNum + Default {
    fn of_f64(value: f64) -> Self;
}

impl Real for f32 {
    fn of_f64(value: f64) -> Self {
        value as Self
    }
}

impl Real for f64 {
    fn of_f64(value: f64) -> Self {
        value
    }
}

fn transformed<T: Real>(x: &Tensor, transform: Transform, lines: &Lines, out: &mut TensorMut)
where
    Complex<T>: Element,
{
    let factor = T::of_f64(transform.factor());
    let bytes = x.bytes();
    match transform.kind {
        FourierKind::RealInverse => {
            backward(
                Complex::<T>::slice(bytes),
                out.slice_mut(),
                transform,
                lines,
                factor,
            );
        }
        FourierKind::RealForward => of_real::<T>(bytes, out, transform, lines, factor),
        FourierKind::Forward | FourierKind::Inverse if !x.dtype().is_complex() => {
            of_real::<T>(bytes, out, transform, lines, factor);
        }
        FourierKind::Forward => of_complex(bytes, out, FftDirection::Forward, lines, factor),
        FourierKind::Inverse => of_complex(bytes, out, FftDirection::Inverse, lines, factor),
    }
}

fn of_complex<T: Real>(x: &[u8], out: &mut TensorMut, direction: FftDirection, lines: &Lines, factor: T)
where
    Complex<T>: Element,
{
    let plan = FftPlanner::<T>::new().plan_fft(lines.read, direction);
    let mut scratch = vec![Complex::default(); plan.get_inplace_scratch_len()];
    lines.each(
        Complex::<T>::slice(x),
        out.slice_mut::<Complex<T>>(),
        |x| x,
        |taken, made| {
            plan.process_with_scratch(taken, &mut scratch);
            (made.iter_mut().zip(taken)).for_each(|(made, x)| *made = x.scale(factor));
        },
    );
}

/// The first half of a transform, and the second half, which mirrors it, if the result has one.
fn of_real<T: Real>(x: &[u8], out: &mut TensorMut, transform: Transform, lines: &Lines, factor: T)
where
    Complex<T>: Element,
{
    let plan = RealFftPlanner::<T>::new().plan_fft_forward(lines.read);
    let mut scratch = plan.make_scratch_vec();
    let half_len = plan.complex_len();
    let is_inverse = transform.kind == FourierKind::Inverse;
    lines.each(
        T::slice(x),
        out.slice_mut::<Complex<T>>(),
        |x| x,
        |taken, made| {
            let half = &mut made[..half_len];
            let done = plan.process_with_scratch(taken, half, &mut scratch);
            done.expect("all lengths are the plan's own");
            for x in half.iter_mut() {
                let scaled = x.scale(factor);
                *x = if is_inverse { scaled.conj() } else { scaled };
            }
            for k in half_len..made.len() {
                made[k] = made[made.len() - k].conj();
            }
        },
    );
}

fn backward<T: Real>(x: &[Complex<T>], out: &mut [T], transform: Transform, lines: &Lines, factor: T) {
    let plan = RealFftPlanner::<T>::new().plan_fft_inverse(lines.made);
    let mut scratch = plan.make_scratch_vec();
    let middle = transform.len.is_multiple_of(2).then_some(lines.read - 1);
    lines.each(
        x,
        out,
        |x| x,
        |taken, made| {
            // Where a number is its own conjugate, its imaginary part counts for nothing, as in NumPy.
            taken[0].im = T::zero();
            if let Some(middle) = middle {
                taken[middle].im = T::zero();
            }
            let done = plan.process_with_scratch(taken, made, &mut scratch);
            done.expect("all lengths are the plan's own, and imaginary parts that must be 0 are");
            made.iter_mut().for_each(|x| *x = *x * factor);
        },
    );
}
