//! Operations on each element, as functions over slices.
//!
//! A function is looked up once for a dtype and then called for tile after tile, so the loops inside are monomorphic.
//! Operands are always as long as the result: a repeated value is written out for a tile first, which is cheap there and
//! spares every operation a loop for each way to repeat.

mod bessel;
mod binary;
mod calendar;
mod cast;
mod complex;
mod complex_functions;
mod number;
mod select;
mod time;
mod unary;

pub(crate) use binary::binary;
pub(crate) use cast::cast;
pub(crate) use number::Number;
pub(crate) use select::select;
pub(crate) use unary::unary;

use crate::{
    Element, KernelError,
    simd::{Kernel, dispatch},
};

pub(crate) type UnaryFn = fn(&[u8], &mut [u8]);
pub(crate) type BinaryFn = fn(&[u8], &[u8], &mut [u8]) -> Result<(), KernelError>;

struct Map<'a, T, U, F> {
    x: &'a [T],
    out: &'a mut [U],
    f: F,
}

impl<T: Copy, U, F: Fn(T) -> U> Kernel for Map<'_, T, U, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.out
            .iter_mut()
            .zip(self.x)
            .for_each(|(out, &x)| *out = (self.f)(x));
    }
}

/// `out[i] = f(x[i])`.
#[inline]
fn map<T: Element, U: Element>(x: &[u8], out: &mut [u8], f: impl Fn(T) -> U) {
    dispatch(Map {
        x: T::slice(x),
        out: U::slice_mut(out),
        f,
    });
}

/// [`map`] for a function that no instruction set makes faster.
#[inline]
fn map_each<T: Element, U: Element>(x: &[u8], out: &mut [u8], f: impl Fn(T) -> U) {
    Map {
        x: T::slice(x),
        out: U::slice_mut(out),
        f,
    }
    .run();
}

struct Zip<'a, T, U, F> {
    x: &'a [T],
    y: &'a [T],
    out: &'a mut [U],
    f: F,
}

impl<T: Copy, U, F: Fn(T, T) -> U> Kernel for Zip<'_, T, U, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let pairs = self.x.iter().zip(self.y);
        self.out
            .iter_mut()
            .zip(pairs)
            .for_each(|(out, (&x, &y))| *out = (self.f)(x, y));
    }
}

/// `out[i] = f(x[i], y[i])`.
#[inline]
fn zip<T: Element, U: Element>(x: &[u8], y: &[u8], out: &mut [u8], f: impl Fn(T, T) -> U) {
    dispatch(Zip {
        x: T::slice(x),
        y: T::slice(y),
        out: U::slice_mut(out),
        f,
    });
}

/// [`zip`] for a function that no instruction set makes faster.
#[inline]
fn zip_each<T: Element, U: Element>(x: &[u8], y: &[u8], out: &mut [u8], f: impl Fn(T, T) -> U) {
    Zip {
        x: T::slice(x),
        y: T::slice(y),
        out: U::slice_mut(out),
        f,
    }
    .run();
}
