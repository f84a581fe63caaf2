//! Reductions that pick an element: extremes, their positions, the first and the last.

use super::{
    fold::{Fold, Nothing},
    reducible::Reducible,
};

/// `min` and `max`: count and value.
#[derive(Clone, Copy)]
pub(crate) struct Extreme<const MAX: bool, const SKIP: bool>;

/// Whether `x` stands before `y` in the order whose first is wanted.
#[inline(always)]
fn beats<T: Reducible, const MAX: bool>(x: T, y: T) -> bool {
    if MAX { y.is_less(x) } else { x.is_less(y) }
}

impl<const MAX: bool, const SKIP: bool> Extreme<MAX, SKIP> {
    /// The better of two; NaN wins unless it is left out, then it loses.
    #[inline(always)]
    fn better<T: Reducible>(held: T, x: T) -> T {
        let takes = if SKIP { held.is_nan() } else { x.is_nan() };
        if beats::<T, MAX>(x, held) | takes { x } else { held }
    }
}

impl<T: Reducible, const MAX: bool, const SKIP: bool> Fold<T> for Extreme<MAX, SKIP> {
    type A = i64;
    type B = T;
    type C = ();
    type Out = T;

    fn start(self) -> (i64, T, ()) {
        let worst = if MAX { T::LOWEST } else { T::HIGHEST };
        (
            0,
            if SKIP {
                T::nothing().unwrap_or(worst)
            } else {
                worst
            },
            (),
        )
    }

    #[inline(always)]
    fn step(self, a: &mut i64, b: &mut T, _: &mut (), x: T, _: i64) {
        if SKIP {
            *a += i64::from(!x.is_nan());
        }
        *b = Self::better(*b, x);
    }

    #[inline(always)]
    fn settle(self, a: &mut i64, _: &mut T, count: i64) {
        if !SKIP {
            *a = count;
        }
    }

    #[inline(always)]
    fn combine(self, (count, value, ()): (&mut i64, &mut T, &mut ()), other: (i64, T, ())) {
        if other.0 > 0 {
            *value = if *count == 0 {
                other.1
            } else {
                Self::better(*value, other.1)
            };
        }
        *count = count.wrapping_add(other.0);
    }

    fn finish(self, (count, value, ()): (i64, T, ())) -> Result<T, Nothing> {
        if count > 0 {
            return Ok(value);
        }
        if SKIP {
            T::nothing().ok_or(Nothing::Empty)
        } else {
            Err(Nothing::Empty)
        }
    }
}

/// `argmin` and `argmax`: position and value.
#[derive(Clone, Copy)]
pub(crate) struct Place<const SKIP: bool> {
    /// Of the greatest element, not of the least.
    pub(crate) max: bool,
}

impl<const SKIP: bool> Place<SKIP> {
    /// Whether `x` stands before `y`; NaN stands before all others.
    #[inline(always)]
    fn beats<T: Reducible>(self, x: T, y: T) -> bool {
        (y.is_less(x) & self.max) | (x.is_less(y) & !self.max) | (x.is_nan() & !y.is_nan())
    }
}

impl<T: Reducible, const SKIP: bool> Fold<T> for Place<SKIP> {
    type A = i64;
    type B = T;
    type C = ();
    type Out = i64;
    const HAS_POSITION: bool = true;

    fn start(self) -> (i64, T, ()) {
        (-1, T::default(), ())
    }

    #[inline(always)]
    fn step(self, a: &mut i64, b: &mut T, _: &mut (), x: T, position: i64) {
        let takes = (self.beats(x, *b) | (*a < 0)) & !(SKIP && x.is_nan());
        *a = if takes { position } else { *a };
        *b = if takes { x } else { *b };
    }

    fn settle(self, _: &mut i64, _: &mut T, _: i64) {}

    /// Of equals the first by position, whichever state it stands in.
    #[inline(always)]
    fn combine(self, (position, value, ()): (&mut i64, &mut T, &mut ()), other: (i64, T, ())) {
        let (x, y) = (other.1, *value);
        let is_better = self.beats(x, y);
        let is_equal = (x == y) | (x.is_nan() & y.is_nan());
        if other.0 >= 0 && (*position < 0 || is_better || (is_equal && other.0 < *position)) {
            (*position, *value) = (other.0, other.1);
        }
    }

    fn finish(self, (position, _, ()): (i64, T, ())) -> Result<i64, Nothing> {
        match position {
            0.. => Ok(position),
            _ if SKIP && T::IS_FLOAT => Err(Nothing::AllNan),
            _ => Err(Nothing::Empty),
        }
    }
}

/// The first or the last element: position and value.
#[derive(Clone, Copy)]
pub(crate) struct End<const SKIP: bool> {
    pub(crate) last: bool,
}

impl<T: Reducible, const SKIP: bool> Fold<T> for End<SKIP> {
    type A = i64;
    type B = T;
    type C = ();
    type Out = T;
    const HAS_POSITION: bool = true;

    fn start(self) -> (i64, T, ()) {
        (-1, T::default(), ())
    }

    #[inline(always)]
    fn step(self, a: &mut i64, b: &mut T, _: &mut (), x: T, position: i64) {
        let takes = (self.last | (*a < 0)) & !(SKIP && x.is_nan());
        *a = if takes { position } else { *a };
        *b = if takes { x } else { *b };
    }

    fn settle(self, _: &mut i64, _: &mut T, _: i64) {}

    #[inline(always)]
    fn combine(self, (position, value, ()): (&mut i64, &mut T, &mut ()), other: (i64, T, ())) {
        let is_further = if self.last {
            other.0 > *position
        } else {
            other.0 < *position
        };
        if other.0 >= 0 && (*position < 0 || is_further) {
            (*position, *value) = (other.0, other.1);
        }
    }

    fn finish(self, (position, value, ()): (i64, T, ())) -> Result<T, Nothing> {
        match position {
            0.. => Ok(value),
            _ if SKIP => T::nothing().ok_or(Nothing::Empty),
            _ => Err(Nothing::Empty),
        }
    }
}
