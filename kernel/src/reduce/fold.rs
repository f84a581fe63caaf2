//! The running state of each reduction: a few numbers for each result element.

use super::reducible::{Moments, Reducible};
use crate::{Element, KernelError, Tensor, TensorMut};

/// A part of a state: an element of a partial's tensor, or nothing.
pub(crate) trait Part: Copy + Default + Send + Sync + 'static {
    /// A tensor for such parts, if they are stored at all.
    fn open(shape: &[usize]) -> Result<Option<TensorMut>, KernelError>;
    /// Writes parts to such a tensor, from an element on.
    fn store(parts: &[Self], tensor: Option<&mut TensorMut>, at: usize);
    /// Takes the next tensor of a partial.
    fn load<'t>(parts: &mut std::slice::Iter<'t, Tensor>, len: usize)
    -> Option<std::borrow::Cow<'t, [Self]>>;
    /// The parts as positions, if they are.
    fn positions(parts: &mut Vec<Self>) -> Option<&mut Vec<i64>>;
}

impl Part for () {
    fn open(_: &[usize]) -> Result<Option<TensorMut>, KernelError> {
        Ok(None)
    }

    fn store(_: &[Self], _: Option<&mut TensorMut>, _: usize) {}

    fn load<'t>(_: &mut std::slice::Iter<'t, Tensor>, len: usize) -> Option<std::borrow::Cow<'t, [Self]>> {
        Some(vec![(); len].into())
    }

    fn positions(_: &mut Vec<Self>) -> Option<&mut Vec<i64>> {
        None
    }
}

impl<T: Element> Part for T {
    fn open(shape: &[usize]) -> Result<Option<TensorMut>, KernelError> {
        TensorMut::for_overwrite(T::DTYPE, shape).map(Some)
    }

    fn store(parts: &[Self], tensor: Option<&mut TensorMut>, at: usize) {
        let tensor = tensor.expect("it was opened for these parts");
        tensor.slice_mut::<T>()[at..at + parts.len()].copy_from_slice(parts);
    }

    fn load<'t>(
        parts: &mut std::slice::Iter<'t, Tensor>,
        len: usize,
    ) -> Option<std::borrow::Cow<'t, [Self]>> {
        parts
            .next()?
            .as_slice::<T>()
            .filter(|slice| slice.len() == len)
            .map(Into::into)
    }

    fn positions(parts: &mut Vec<Self>) -> Option<&mut Vec<i64>> {
        (parts as &mut dyn std::any::Any).downcast_mut()
    }
}

/// Why a state has no result.
pub(crate) enum Nothing {
    /// No element took part.
    Empty,
    /// Only NaN, which was left out.
    AllNan,
}

/// A reduction of elements of type `T`, element by element, with states that combine.
///
/// The parts of a state are those of a partial, in order. `SKIP` in the implementors leaves NaN out.
pub(crate) trait Fold<T: Reducible>: Copy {
    type A: Part;
    type B: Part;
    type C: Part;
    type Out: Element;
    /// Whether the elements of a block are passed over twice.
    const TWO_PASSES: bool = false;
    /// Whether [`combine`](Fold::combine) adds what elements have added before [`settle`](Fold::settle), too.
    const ADDS: bool = false;
    /// Whether the first part is a position.
    const HAS_POSITION: bool = false;

    /// The state of no elements.
    fn start(self) -> (Self::A, Self::B, Self::C);
    /// Takes one element.
    fn step(self, a: &mut Self::A, b: &mut Self::B, c: &mut Self::C, x: T, position: i64);
    /// Ends the first pass over `count` elements.
    fn settle(self, a: &mut Self::A, b: &mut Self::B, count: i64);
    /// Takes one element in the second pass.
    fn step_again(self, _: &mut Self::A, _: &mut Self::B, _: &mut Self::C, _: T) {}
    /// Takes the state of elements that come after.
    fn combine(self, state: (&mut Self::A, &mut Self::B, &mut Self::C), other: (Self::A, Self::B, Self::C));
    /// The result.
    fn finish(self, state: (Self::A, Self::B, Self::C)) -> Result<Self::Out, Nothing>;
}

/// `sum`.
#[derive(Clone, Copy)]
pub(crate) struct Sum<const SKIP: bool>;

impl<T: Reducible, const SKIP: bool> Fold<T> for Sum<SKIP> {
    type A = T::Total;
    type B = ();
    type C = ();
    type Out = T::SumOut;

    fn start(self) -> (T::Total, (), ()) {
        (T::Total::default(), (), ())
    }

    #[inline(always)]
    fn step(self, a: &mut T::Total, _: &mut (), _: &mut (), x: T, _: i64) {
        let x = if SKIP && x.is_nan() {
            T::Total::default()
        } else {
            x.widen()
        };
        *a = T::total_add(*a, x);
    }

    fn settle(self, _: &mut T::Total, _: &mut (), _: i64) {}

    #[inline(always)]
    fn combine(self, state: (&mut T::Total, &mut (), &mut ()), other: (T::Total, (), ())) {
        *state.0 = T::total_add(*state.0, other.0);
    }

    #[inline(always)]
    fn finish(self, state: (T::Total, (), ())) -> Result<T::SumOut, Nothing> {
        Ok(T::sum_out(state.0))
    }
}

/// `prod`.
#[derive(Clone, Copy)]
pub(crate) struct Prod<const SKIP: bool>;

impl<T: Reducible, const SKIP: bool> Fold<T> for Prod<SKIP> {
    type A = T::Total;
    type B = ();
    type C = ();
    type Out = T::SumOut;

    fn start(self) -> (T::Total, (), ()) {
        (T::total_one(), (), ())
    }

    #[inline(always)]
    fn step(self, a: &mut T::Total, _: &mut (), _: &mut (), x: T, _: i64) {
        let x = if SKIP && x.is_nan() {
            T::total_one()
        } else {
            x.widen()
        };
        *a = T::total_multiply(*a, x);
    }

    fn settle(self, _: &mut T::Total, _: &mut (), _: i64) {}

    #[inline(always)]
    fn combine(self, state: (&mut T::Total, &mut (), &mut ()), other: (T::Total, (), ())) {
        *state.0 = T::total_multiply(*state.0, other.0);
    }

    #[inline(always)]
    fn finish(self, state: (T::Total, (), ())) -> Result<T::SumOut, Nothing> {
        Ok(T::sum_out(state.0))
    }
}

/// `mean`: count and total.
#[derive(Clone, Copy)]
pub(crate) struct Mean<const SKIP: bool>;

impl<T: Moments, const SKIP: bool> Fold<T> for Mean<SKIP> {
    type A = i64;
    type B = T::Center;
    type C = ();
    type Out = T;
    const ADDS: bool = true;

    fn start(self) -> (i64, T::Center, ()) {
        (0, T::Center::default(), ())
    }

    #[inline(always)]
    fn step(self, a: &mut i64, b: &mut T::Center, _: &mut (), x: T, _: i64) {
        if SKIP {
            let is_nan = x.is_nan();
            *a += i64::from(!is_nan);
            *b = T::add(*b, if is_nan { T::Center::default() } else { x.center() });
        } else {
            *b = T::add(*b, x.center());
        }
    }

    #[inline(always)]
    fn settle(self, a: &mut i64, _: &mut T::Center, count: i64) {
        if !SKIP {
            *a = count;
        }
    }

    #[inline(always)]
    fn combine(self, state: (&mut i64, &mut T::Center, &mut ()), other: (i64, T::Center, ())) {
        *state.0 = state.0.wrapping_add(other.0);
        *state.1 = T::add(*state.1, other.1);
    }

    #[inline(always)]
    fn finish(self, (count, total, ()): (i64, T::Center, ())) -> Result<T, Nothing> {
        Ok(T::mean_out(T::divide(total, count as f64)))
    }
}

/// `mean` of elements whose number is known, since none is left out: their total.
#[derive(Clone, Copy)]
pub(crate) struct MeanOf {
    pub(crate) count: f64,
}

impl<T: Moments> Fold<T> for MeanOf {
    type A = T::Center;
    type B = ();
    type C = ();
    type Out = T;

    fn start(self) -> (T::Center, (), ()) {
        (T::Center::default(), (), ())
    }

    #[inline(always)]
    fn step(self, a: &mut T::Center, _: &mut (), _: &mut (), x: T, _: i64) {
        *a = T::add(*a, x.center());
    }

    fn settle(self, _: &mut T::Center, _: &mut (), _: i64) {}

    #[inline(always)]
    fn combine(self, state: (&mut T::Center, &mut (), &mut ()), other: (T::Center, (), ())) {
        *state.0 = T::add(*state.0, other.0);
    }

    #[inline(always)]
    fn finish(self, state: (T::Center, (), ())) -> Result<T, Nothing> {
        Ok(T::mean_out(T::divide(state.0, self.count)))
    }
}

/// `var` and `std`: count, mean and the sum of squared distances from it.
#[derive(Clone, Copy)]
pub(crate) struct Var<const SKIP: bool> {
    pub(crate) ddof: u32,
    pub(crate) is_std: bool,
}

impl<T: Moments, const SKIP: bool> Fold<T> for Var<SKIP> {
    type A = i64;
    type B = T::Center;
    type C = f64;
    type Out = T::Spread;
    const TWO_PASSES: bool = true;

    fn start(self) -> (i64, T::Center, f64) {
        (0, T::Center::default(), 0.0)
    }

    #[inline(always)]
    fn step(self, a: &mut i64, b: &mut T::Center, _: &mut f64, x: T, position: i64) {
        Fold::<T>::step(Mean::<SKIP>, a, b, &mut (), x, position);
    }

    #[inline(always)]
    fn settle(self, a: &mut i64, b: &mut T::Center, count: i64) {
        Fold::<T>::settle(Mean::<SKIP>, a, b, count);
        *b = if *a == 0 {
            T::Center::default()
        } else {
            T::divide(*b, *a as f64)
        };
    }

    #[inline(always)]
    fn step_again(self, _: &mut i64, b: &mut T::Center, c: &mut f64, x: T) {
        let square = T::square(T::subtract(x.center(), *b));
        *c += if SKIP && x.is_nan() { 0.0 } else { square };
    }

    /// Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances (1979).
    #[inline(always)]
    fn combine(self, (count, mean, m2): (&mut i64, &mut T::Center, &mut f64), other: (i64, T::Center, f64)) {
        let (n, more) = (*count as f64, other.0 as f64);
        let delta = T::subtract(other.1, *mean);
        let both = T::add(*mean, T::scale(delta, more / (n + more)));
        let both_m2 = *m2 + (other.2 + T::square(delta) * (n * more / (n + more)));
        // Chosen when all is computed, which is as quick for several at once.
        let (is_first, is_nothing) = (*count == 0, other.0 == 0);
        *mean = match (is_nothing, is_first) {
            (true, _) => *mean,
            (false, true) => other.1,
            (false, false) => both,
        };
        *m2 = match (is_nothing, is_first) {
            (true, _) => *m2,
            (false, true) => other.2,
            (false, false) => both_m2,
        };
        *count = count.wrapping_add(other.0);
    }

    #[inline(always)]
    fn finish(self, (count, _, m2): (i64, T::Center, f64)) -> Result<T::Spread, Nothing> {
        let freedom = count.saturating_sub(i64::from(self.ddof));
        let var = if freedom <= 0 && SKIP {
            f64::NAN
        } else {
            m2 / freedom.max(0) as f64
        };
        Ok(T::spread_out(if self.is_std { var.sqrt() } else { var }))
    }
}

/// `count`: the elements that are not NaN.
#[derive(Clone, Copy)]
pub(crate) struct Count;

impl<T: Reducible> Fold<T> for Count {
    type A = i64;
    type B = ();
    type C = ();
    type Out = i64;

    fn start(self) -> (i64, (), ()) {
        (0, (), ())
    }

    #[inline(always)]
    fn step(self, a: &mut i64, _: &mut (), _: &mut (), x: T, _: i64) {
        *a += i64::from(!x.is_nan());
    }

    fn settle(self, _: &mut i64, _: &mut (), _: i64) {}

    #[inline(always)]
    fn combine(self, state: (&mut i64, &mut (), &mut ()), other: (i64, (), ())) {
        *state.0 = state.0.wrapping_add(other.0);
    }

    fn finish(self, state: (i64, (), ())) -> Result<i64, Nothing> {
        Ok(state.0)
    }
}

/// `any` and `all`; NaN is true, as in NumPy, unless it is left out.
#[derive(Clone, Copy)]
pub(crate) struct Truth<const ALL: bool, const SKIP: bool>;

impl<T: Reducible, const ALL: bool, const SKIP: bool> Fold<T> for Truth<ALL, SKIP> {
    type A = bool;
    type B = ();
    type C = ();
    type Out = bool;

    fn start(self) -> (bool, (), ()) {
        (ALL, (), ())
    }

    #[inline(always)]
    fn step(self, a: &mut bool, _: &mut (), _: &mut (), x: T, _: i64) {
        let is_true = x != T::default();
        if ALL {
            *a &= is_true;
        } else {
            *a |= is_true & !(SKIP && x.is_nan());
        }
    }

    fn settle(self, _: &mut bool, _: &mut (), _: i64) {}

    #[inline(always)]
    fn combine(self, state: (&mut bool, &mut (), &mut ()), other: (bool, (), ())) {
        if ALL {
            *state.0 &= other.0;
        } else {
            *state.0 |= other.0;
        }
    }

    fn finish(self, state: (bool, (), ())) -> Result<bool, Nothing> {
        Ok(state.0)
    }
}
