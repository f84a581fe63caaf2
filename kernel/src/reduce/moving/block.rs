//! Rows of some columns, and what is made of their ends and beginnings.

use crate::{
    reduce::{
        drive::{SlicesOf, States, StatesOf},
        fold::Fold,
        reducible::Reducible,
    },
    simd::{Kernel, dispatch},
};

/// The elements of a block and its states, for some columns.
pub(super) struct Block<T: Reducible, F: Fold<T>> {
    fold: F,
    rows: usize,
    /// Columns, no more than there were at first.
    pub(super) width: usize,
    elements: Vec<T>,
    /// For each row what is made of it and of all after it.
    ends: StatesOf<T, F>,
    /// What is made of the first rows of the block that follows.
    beginning: StatesOf<T, F>,
    /// The states of a window.
    both: StatesOf<T, F>,
}

impl<T: Reducible, F: Fold<T>> Block<T, F> {
    pub(super) fn new(fold: F, rows: usize, width: usize) -> Self {
        let states = |len: usize| States::new(fold.start(), len);
        Self {
            fold,
            rows,
            width,
            elements: vec![T::default(); rows * width],
            ends: states(rows * width),
            beginning: states(width),
            both: states(width),
        }
    }

    fn of_row(&self, row: usize) -> std::ops::Range<usize> {
        row * self.width..(row + 1) * self.width
    }

    pub(super) fn put(&mut self, row: usize, elements: &[T]) {
        let range = self.of_row(row);
        self.elements[range].copy_from_slice(elements);
    }

    /// Makes the ends of the block whose elements are there, from row `first` on.
    pub(super) fn ends(&mut self, first: usize) {
        let range = first * self.width..self.rows * self.width;
        dispatch(Ends::<T, F> {
            fold: self.fold,
            width: self.width,
            elements: &self.elements[range.clone()],
            states: (
                &mut self.ends.a[range.clone()],
                &mut self.ends.b[range.clone()],
                &mut self.ends.c[range],
            ),
        });
    }

    /// Begins the next block.
    pub(super) fn begin(&mut self) {
        let start = self.fold.start();
        self.beginning.a[..self.width].fill(start.0);
        self.beginning.b[..self.width].fill(start.1);
        self.beginning.c[..self.width].fill(start.2);
    }

    /// Takes one more row into the beginning.
    pub(super) fn extend(&mut self, row: usize) {
        let (range, width) = (self.of_row(row), self.width);
        dispatch(Extend::<T, F> {
            fold: self.fold,
            elements: &self.elements[range],
            states: (
                &mut self.beginning.a[..width],
                &mut self.beginning.b[..width],
                &mut self.beginning.c[..width],
            ),
        });
    }

    /// The states of the window that starts in a row of the block.
    pub(super) fn window(&mut self, row: usize) -> SlicesOf<'_, T, F> {
        let (range, width) = (self.of_row(row), self.width);
        let ends = (
            &self.ends.a[range.clone()],
            &self.ends.b[range.clone()],
            &self.ends.c[range],
        );
        if row == 0 {
            return ends;
        }
        let both = (
            &mut self.both.a[..width],
            &mut self.both.b[..width],
            &mut self.both.c[..width],
        );
        dispatch(Join::<T, F> {
            fold: self.fold,
            earlier: ends,
            later: (
                &self.beginning.a[..width],
                &self.beginning.b[..width],
                &self.beginning.c[..width],
            ),
            both,
        });
        (
            &self.both.a[..width],
            &self.both.b[..width],
            &self.both.c[..width],
        )
    }
}

/// The state of one element.
#[inline(always)]
fn single<T: Reducible, F: Fold<T>>(fold: F, x: T) -> (F::A, F::B, F::C) {
    let (mut a, mut b, mut c) = fold.start();
    fold.step(&mut a, &mut b, &mut c, x, 0);
    fold.settle(&mut a, &mut b, 1);
    if F::TWO_PASSES {
        fold.step_again(&mut a, &mut b, &mut c, x);
    }
    (a, b, c)
}

type SlicesMut<'a, A, B, C> = (&'a mut [A], &'a mut [B], &'a mut [C]);

/// From the last row to the first, what is made of each and all after it.
struct Ends<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    width: usize,
    elements: &'a [T],
    states: SlicesMut<'a, F::A, F::B, F::C>,
}

impl<T: Reducible, F: Fold<T>> Kernel for Ends<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (width, len) = (self.width, self.elements.len());
        let (a, b, c) = self.states;
        for at in (len - width..len).rev() {
            (a[at], b[at], c[at]) = single(self.fold, self.elements[at]);
        }
        for first in (0..len - width).step_by(width).rev() {
            let (own_a, later_a) = a[first..first + 2 * width].split_at_mut(width);
            let (own_b, later_b) = b[first..first + 2 * width].split_at_mut(width);
            let (own_c, later_c) = c[first..first + 2 * width].split_at_mut(width);
            let elements = &self.elements[first..first + width];
            for j in 0..width {
                let (mut x, mut y, mut z) = single(self.fold, elements[j]);
                let later = (later_a[j], later_b[j], later_c[j]);
                self.fold.combine((&mut x, &mut y, &mut z), later);
                (own_a[j], own_b[j], own_c[j]) = (x, y, z);
            }
        }
    }
}

/// Takes one more row into states.
struct Extend<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    elements: &'a [T],
    states: SlicesMut<'a, F::A, F::B, F::C>,
}

impl<T: Reducible, F: Fold<T>> Kernel for Extend<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let states = self.states.0.iter_mut().zip(self.states.1).zip(self.states.2);
        for (((a, b), c), &x) in states.zip(self.elements) {
            self.fold.combine((a, b, c), single(self.fold, x));
        }
    }
}

/// Combines states with those of what comes after.
struct Join<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    earlier: SlicesOf<'a, T, F>,
    later: SlicesOf<'a, T, F>,
    both: SlicesMut<'a, F::A, F::B, F::C>,
}

impl<T: Reducible, F: Fold<T>> Kernel for Join<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let earlier = self.earlier.0.iter().zip(self.earlier.1).zip(self.earlier.2);
        let later = self.later.0.iter().zip(self.later.1).zip(self.later.2);
        let both = self.both.0.iter_mut().zip(self.both.1).zip(self.both.2);
        for ((((a, b), c), ((&p, &q), &r)), ((&x, &y), &z)) in both.zip(earlier).zip(later) {
            (*a, *b, *c) = (p, q, r);
            self.fold.combine((a, b, c), (x, y, z));
        }
    }
}
