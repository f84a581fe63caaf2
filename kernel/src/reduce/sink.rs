//! Where the states of a reduction go, tile by tile: to results, or to partials.

use graticule_ops::{Reduction, Stage};

use super::{
    drive::{SlicesOf, StatesOf},
    fold::{Fold, Nothing, Part},
    reducible::Reducible,
    stage::Empty,
};
use crate::{
    Chunk, KernelError, TensorMut,
    simd::{Kernel, dispatch},
};

/// Tensors that states are written to, one after the other in the results' order. So the states of a block are never in
/// memory together, which for many short reductions would be several times the block itself.
pub(crate) struct Sink<'a, F> {
    reduction: &'a Reduction,
    fold: F,
    empty: Empty,
    is_partial: bool,
    /// The result, or the parts that a partial has.
    tensors: [Option<TensorMut>; 3],
    /// States taken so far.
    taken: usize,
}

impl<'a, F> Sink<'a, F> {
    pub(crate) fn new<T: Reducible>(
        reduction: &'a Reduction,
        fold: F,
        stage: Stage,
        shape: &[usize],
        empty: Empty,
    ) -> Result<Self, KernelError>
    where
        F: Fold<T>,
    {
        let is_partial = matches!(stage, Stage::Partial | Stage::Combine);
        let tensors = if is_partial {
            [F::A::open(shape)?, F::B::open(shape)?, F::C::open(shape)?]
        } else {
            [F::Out::open(shape)?, None, None]
        };
        Ok(Self {
            reduction,
            fold,
            empty,
            is_partial,
            tensors,
            taken: 0,
        })
    }

    /// Writes the next states' results, or the states.
    pub(crate) fn take<T: Reducible>(&mut self, states: &StatesOf<T, F>) -> Result<(), KernelError>
    where
        F: Fold<T>,
    {
        let at = self.taken;
        self.taken += states.a.len();
        self.put::<T>(at, (&states.a, &states.b, &states.c))
    }

    /// Writes some states' results, or the states, where results from `at` on are.
    pub(crate) fn put<T: Reducible>(
        &mut self,
        at: usize,
        (a, b, c): SlicesOf<'_, T, F>,
    ) -> Result<(), KernelError>
    where
        F: Fold<T>,
    {
        let [first, second, third] = &mut self.tensors;
        if self.is_partial {
            F::A::store(a, first.as_mut(), at);
            F::B::store(b, second.as_mut(), at);
            F::C::store(c, third.as_mut(), at);
            return Ok(());
        }
        let out = first
            .as_mut()
            .expect("results are no units")
            .slice_mut::<F::Out>();
        let finish = Finish::<T, F> {
            fold: self.fold,
            states: (a, b, c),
            empty: self.empty,
            out: &mut out[at..],
        };
        dispatch(finish).map_err(|why| match why {
            Nothing::Empty => KernelError::Empty {
                name: self.reduction.name(),
            },
            Nothing::AllNan => KernelError::AllNan {
                name: self.reduction.name(),
            },
        })
    }

    /// What was made of all states.
    pub(crate) fn finish(self) -> Result<Chunk, KernelError> {
        let tensors = self.tensors.into_iter().flatten();
        Chunk::new(tensors.map(TensorMut::freeze).collect())
    }
}

/// Makes results of states.
struct Finish<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    states: SlicesOf<'a, T, F>,
    empty: Empty,
    out: &'a mut [F::Out],
}

impl<T: Reducible, F: Fold<T>> Kernel for Finish<'_, T, F> {
    type Output = Result<(), Nothing>;

    #[inline(always)]
    fn run(self) -> Result<(), Nothing> {
        let (a, b, c) = self.states;
        let states = a.iter().zip(b).zip(c);
        for (place, ((&a, &b), &c)) in self.out.iter_mut().zip(states) {
            *place = match self.fold.finish((a, b, c)) {
                Ok(result) => result,
                Err(why) => match nothing::<F::Out>(&why, self.empty) {
                    Some(result) => result,
                    None => return Err(why),
                },
            };
        }
        Ok(())
    }
}

#[cold]
fn nothing<T: crate::Element>(why: &Nothing, empty: Empty) -> Option<T> {
    use graticule_ops::{Complex, Scalar};
    let nan = Complex::new(f64::NAN, f64::NAN);
    match (why, empty) {
        (Nothing::Empty, Empty::IsNan) if T::DTYPE.is_complex() => {
            T::from_scalar(Scalar::from_complex(nan, T::DTYPE)?)
        }
        (Nothing::Empty, Empty::IsNan) => T::from_scalar(Scalar::from_float(nan.re, T::DTYPE)?),
        _ => None,
    }
}
