//! Sums over windows that move along an axis, in a time that grows with the logarithm of how long the windows are.
//!
//! From the states of single elements follow those of every two neighbours, from these those of every four, and so on; a
//! window is put together from those that its length is the sum of. So a window's state is made of its own elements in an
//! order that depends on its length alone, never on where a block begins: its bits are the same however an array is cut or
//! sliced. Nothing is ever taken off, so nothing cancels, and what is NaN or infinite ends with its window. Fewer
//! operations (three for each element) would need blocks that windows cross, and with them sums whose last bits depend on
//! the cut.

use std::ops::Range;

use super::{
    drive::{SlicesOf, States, StatesOf},
    fold::Fold,
    moving::{Join, SlicesMut, single},
    reducible::Reducible,
};
use crate::simd::{Kernel, dispatch};

/// The states of some rows, for some columns.
pub(super) struct Doubling<T: Reducible, F: Fold<T>> {
    fold: F,
    window: usize,
    pub(super) width: usize,
    /// For each row what is made of it and of those after it, of a power of two in all.
    powers: StatesOf<T, F>,
    /// Room for those of twice as many.
    doubled: StatesOf<T, F>,
    /// For each window what is made of its first rows.
    windows: StatesOf<T, F>,
}

impl<T: Reducible, F: Fold<T>> Doubling<T, F> {
    /// Room for `count` windows at once.
    pub(super) fn new(fold: F, window: usize, count: usize, width: usize) -> Self {
        Self {
            fold,
            window,
            width,
            powers: States::new(fold.start(), (count + window - 1) * width),
            doubled: States::new(fold.start(), (count + window - 1) * width),
            windows: States::new(fold.start(), count * width),
        }
    }

    /// Takes whole rows of elements, from one on.
    pub(super) fn put(&mut self, row: usize, elements: &[T]) {
        let range = row * self.width..row * self.width + elements.len();
        dispatch(Singles::<T, F> {
            fold: self.fold,
            elements,
            states: (
                &mut self.powers.a[range.clone()],
                &mut self.powers.b[range.clone()],
                &mut self.powers.c[range],
            ),
        });
    }

    /// Makes the states of `count` windows of the rows that are there.
    pub(super) fn make(&mut self, count: usize) {
        let (mut taken, mut power, mut rows) = (0, 1, count + self.window - 1);
        loop {
            if self.window & power != 0 {
                self.take(count, taken);
                taken += power;
            }
            if taken == self.window {
                return;
            }
            rows -= power;
            self.double(rows, power);
            power *= 2;
        }
    }

    /// Adds to each window the rows from the one on that is `taken` behind its first.
    fn take(&mut self, count: usize, taken: usize) {
        let (own, other) = (
            0..count * self.width,
            taken * self.width..(taken + count) * self.width,
        );
        let (powers, windows) = (&self.powers, &mut self.windows);
        if taken == 0 {
            windows.a[own.clone()].copy_from_slice(&powers.a[other.clone()]);
            windows.b[own.clone()].copy_from_slice(&powers.b[other.clone()]);
            windows.c[own].copy_from_slice(&powers.c[other]);
            return;
        }
        dispatch(Append::<T, F> {
            fold: self.fold,
            states: (
                &mut windows.a[own.clone()],
                &mut windows.b[own.clone()],
                &mut windows.c[own],
            ),
            later: (
                &powers.a[other.clone()],
                &powers.b[other.clone()],
                &powers.c[other],
            ),
        });
    }

    /// Makes of each of the first rows, which stand for `power` rows, what stands for twice as many.
    fn double(&mut self, rows: usize, power: usize) {
        let (own, other) = (
            0..rows * self.width,
            power * self.width..(power + rows) * self.width,
        );
        let (powers, doubled) = (&self.powers, &mut self.doubled);
        dispatch(Join::<T, F> {
            fold: self.fold,
            earlier: (
                &powers.a[own.clone()],
                &powers.b[own.clone()],
                &powers.c[own.clone()],
            ),
            later: (
                &powers.a[other.clone()],
                &powers.b[other.clone()],
                &powers.c[other],
            ),
            both: (
                &mut doubled.a[own.clone()],
                &mut doubled.b[own.clone()],
                &mut doubled.c[own],
            ),
        });
        std::mem::swap(&mut self.powers, &mut self.doubled);
    }

    /// The states of windows that begin in neighbouring rows.
    pub(super) fn windows(&self, rows: Range<usize>) -> SlicesOf<'_, T, F> {
        let range = rows.start * self.width..rows.end * self.width;
        (
            &self.windows.a[range.clone()],
            &self.windows.b[range.clone()],
            &self.windows.c[range],
        )
    }
}

/// The states of single elements.
struct Singles<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    elements: &'a [T],
    states: SlicesMut<'a, F::A, F::B, F::C>,
}

impl<T: Reducible, F: Fold<T>> Kernel for Singles<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let states = self.states.0.iter_mut().zip(self.states.1).zip(self.states.2);
        for (((a, b), c), &x) in states.zip(self.elements) {
            (*a, *b, *c) = single(self.fold, x);
        }
    }
}

/// Combines states with those of what comes after.
struct Append<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    states: SlicesMut<'a, F::A, F::B, F::C>,
    later: SlicesOf<'a, T, F>,
}

impl<T: Reducible, F: Fold<T>> Kernel for Append<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let states = self.states.0.iter_mut().zip(self.states.1).zip(self.states.2);
        let later = self.later.0.iter().zip(self.later.1).zip(self.later.2);
        for (((a, b), c), ((&x, &y), &z)) in states.zip(later) {
            self.fold.combine((a, b, c), (x, y, z));
        }
    }
}
