//! Fourier transforms of lines. Each line is transformed for itself, so that its bits do not depend on which others there
//! are.

use graticule_ops::{FourierKind, Transform};
use num_complex::Complex;
use realfft::RealFftPlanner;
use rustfft::{FftDirection, FftNum, FftPlanner};

/// The lines of a block and of what is made of it.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// Elements of a line that count, with zeros behind those that it has.
    pub read: usize,
    /// Elements of a line of the result.
    pub made: usize,
    /// Lines that are transformed side by side.
    pub side_by_side: usize,
    /// Elements of the axes before.
    pub outer: usize,
    /// Elements of a line.
    pub have: usize,
    /// Elements of the axes behind.
    pub inner: usize,
}

impl Lines {
    /// Makes each line: `one` makes it of its elements, and may write over them.
    fn each<I: Copy + Default, O: Copy + Default>(
        &self,
        x: &[I],
        out: &mut [O],
        mut one: impl FnMut(&mut [I], &mut [O]),
    ) {
        let (read, made, inner) = (self.read, self.made, self.inner);
        let side_by_side = self.side_by_side.min(inner);
        let mut taken = vec![I::default(); side_by_side * read];
        let mut results = vec![O::default(); side_by_side * made];
        let count = self.have.min(read);
        for outer in 0..self.outer {
            for first in (0..inner).step_by(side_by_side) {
                let width = side_by_side.min(inner - first);
                for k in 0..count {
                    let row = &x[(outer * self.have + k) * inner + first..][..width];
                    (row.iter().enumerate()).for_each(|(line, &x)| taken[line * read + k] = x);
                }
                for line in 0..width {
                    let taken = &mut taken[line * read..][..read];
                    taken[count..].fill(I::default());
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
pub trait Real: Sized + sealed::Sealed {
    /// Transforms lines of complex numbers, each of [`Lines::read`] elements.
    fn of_complex(x: &[Complex<Self>], out: &mut [Complex<Self>], transform: Transform, lines: &Lines);

    /// Transforms lines of real numbers: the first half of a transform, and the second half, which mirrors it, if the
    /// result has one.
    fn of_real(x: &[Self], out: &mut [Complex<Self>], transform: Transform, lines: &Lines);

    /// Makes lines of real numbers of the first halves of their transforms.
    fn backward(x: &[Complex<Self>], out: &mut [Self], transform: Transform, lines: &Lines);
}

mod sealed {
    pub trait Sealed {}
}

/// Functions of no type parameters, so that the algorithms are compiled here and not wherever they are used.
macro_rules! reals {
    ($($type:ident),*) => {$(
        impl sealed::Sealed for $type {}

        impl Real for $type {
            fn of_complex(
                x: &[Complex<Self>],
                out: &mut [Complex<Self>],
                transform: Transform,
                lines: &Lines,
            ) {
                let direction = match transform.kind {
                    FourierKind::Inverse => FftDirection::Inverse,
                    _ => FftDirection::Forward,
                };
                of_complex(x, out, direction, lines, transform.factor() as $type);
            }

            fn of_real(x: &[Self], out: &mut [Complex<Self>], transform: Transform, lines: &Lines) {
                of_real(x, out, transform, lines, transform.factor() as $type);
            }

            fn backward(x: &[Complex<Self>], out: &mut [Self], transform: Transform, lines: &Lines) {
                backward(x, out, transform, lines, transform.factor() as $type);
            }
        }
    )*};
}

reals!(f32, f64);

fn of_complex<T: FftNum + Default>(
    x: &[Complex<T>],
    out: &mut [Complex<T>],
    direction: FftDirection,
    lines: &Lines,
    factor: T,
) {
    let plan = FftPlanner::<T>::new().plan_fft(lines.read, direction);
    let mut scratch = vec![Complex::default(); plan.get_inplace_scratch_len()];
    lines.each(x, out, |taken, made| {
        plan.process_with_scratch(taken, &mut scratch);
        (made.iter_mut().zip(taken)).for_each(|(made, x)| *made = x.scale(factor));
    });
}

fn of_real<T: FftNum + Default>(
    x: &[T],
    out: &mut [Complex<T>],
    transform: Transform,
    lines: &Lines,
    factor: T,
) {
    let plan = RealFftPlanner::<T>::new().plan_fft_forward(lines.read);
    let mut scratch = plan.make_scratch_vec();
    let half_len = plan.complex_len();
    let is_inverse = transform.kind == FourierKind::Inverse;
    lines.each(x, out, |taken, made| {
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
    });
}

fn backward<T: FftNum + Default>(
    x: &[Complex<T>],
    out: &mut [T],
    transform: Transform,
    lines: &Lines,
    factor: T,
) {
    let plan = RealFftPlanner::<T>::new().plan_fft_inverse(lines.made);
    let mut scratch = plan.make_scratch_vec();
    let middle = transform.len.is_multiple_of(2).then_some(lines.read - 1);
    lines.each(x, out, |taken, made| {
        // Where a number is its own conjugate, its imaginary part counts for nothing, as in NumPy.
        taken[0].im = T::zero();
        if let Some(middle) = middle {
            taken[middle].im = T::zero();
        }
        let done = plan.process_with_scratch(taken, made, &mut scratch);
        done.expect("all lengths are the plan's own, and imaginary parts that must be 0 are");
        made.iter_mut().for_each(|x| *x = *x * factor);
    });
}
