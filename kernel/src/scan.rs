//! Scans along one axis: running sums, products and extremes, and the last valid element.
//!
//! Each line along the axis is taken from its first element to its last, so that a result's bits depend on the blocks
//! along the axis alone.

use std::ops::Range;

use graticule_ops::{Scan, ScanKind, ScanStep};

use crate::{
    Chunk, Element, KernelError, Tensor, TensorMut,
    element::with_element,
    lazy,
    program::{Task, Values, single},
    reduce::Reducible,
};

/// Lines that are scanned side by side: their states fit the nearest cache.
const STRIP_LEN: usize = 1024;

/// What a scan does with elements of type `T`.
trait Running<T: Reducible> {
    type State: Element + Copy;
    type Out: Element;

    /// The state before the first element.
    fn start() -> Self::State;
    /// The state after one more element.
    fn step(state: Self::State, x: T) -> Self::State;
    /// The state after all that another state stands for.
    fn join(state: Self::State, other: Self::State) -> Self::State;
    fn out(state: Self::State) -> Self::Out;
}

struct Sum<const SKIP: bool>;
struct Prod<const SKIP: bool>;
struct Extreme<const MAX: bool, const SKIP: bool>;
struct Last;

impl<T: Reducible, const SKIP: bool> Running<T> for Sum<SKIP> {
    type State = T::Total;
    type Out = T::SumOut;

    fn start() -> T::Total {
        T::Total::default()
    }

    #[inline(always)]
    fn step(state: T::Total, x: T) -> T::Total {
        if SKIP && x.is_nan() {
            state
        } else {
            T::total_add(state, x.widen())
        }
    }

    #[inline(always)]
    fn join(state: T::Total, other: T::Total) -> T::Total {
        T::total_add(state, other)
    }

    #[inline(always)]
    fn out(state: T::Total) -> T::SumOut {
        T::sum_out(state)
    }
}

impl<T: Reducible, const SKIP: bool> Running<T> for Prod<SKIP> {
    type State = T::Total;
    type Out = T::SumOut;

    fn start() -> T::Total {
        T::total_one()
    }

    #[inline(always)]
    fn step(state: T::Total, x: T) -> T::Total {
        if SKIP && x.is_nan() {
            state
        } else {
            T::total_multiply(state, x.widen())
        }
    }

    #[inline(always)]
    fn join(state: T::Total, other: T::Total) -> T::Total {
        T::total_multiply(state, other)
    }

    #[inline(always)]
    fn out(state: T::Total) -> T::SumOut {
        T::sum_out(state)
    }
}

impl<T: Reducible, const MAX: bool, const SKIP: bool> Running<T> for Extreme<MAX, SKIP> {
    type State = T;
    type Out = T;

    fn start() -> T {
        let worst = if MAX { T::LOWEST } else { T::HIGHEST };
        if SKIP {
            T::nothing().unwrap_or(worst)
        } else {
            worst
        }
    }

    /// NaN wins unless it is left out, then it loses.
    #[inline(always)]
    fn step(state: T, x: T) -> T {
        let is_better = if MAX { state.is_less(x) } else { x.is_less(state) };
        let takes = if SKIP { state.is_nan() } else { x.is_nan() };
        if is_better | takes { x } else { state }
    }

    #[inline(always)]
    fn join(state: T, other: T) -> T {
        Self::step(state, other)
    }

    #[inline(always)]
    fn out(state: T) -> T {
        state
    }
}

impl<T: Reducible> Running<T> for Last {
    type State = T;
    type Out = T;

    fn start() -> T {
        T::nothing().unwrap_or_default()
    }

    #[inline(always)]
    fn step(state: T, x: T) -> T {
        if x.is_nan() { state } else { x }
    }

    #[inline(always)]
    fn join(state: T, other: T) -> T {
        Self::step(state, other)
    }

    #[inline(always)]
    fn out(state: T) -> T {
        state
    }
}

/// The value of a `Scan` node.
pub(crate) fn node(
    task: &Task<'_>,
    node: usize,
    step: &ScanStep,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    for operand in step.operands() {
        lazy::force(task, values, operand.0 as usize)?;
    }
    let tensor = |x: &graticule_ops::NodeId| single(values.ready(x.0 as usize).expect("just forced"));
    let states = step.states.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    let x = step.x.as_ref().map(tensor).transpose()?;
    check(step, &states, x).map_err(|why| task.misfit(node, why))?;
    let Scan {
        kind,
        skipna,
        dtype,
        axis,
    } = step.scan;
    let lines = Lines {
        axis,
        states: &states,
        x,
        to_state: step.to_state,
    };
    let made = with_element!(dtype, T => match (kind, skipna) {
        (ScanKind::Sum, false) => lines.run::<T, Sum<false>>(),
        (ScanKind::Sum, true) => lines.run::<T, Sum<true>>(),
        (ScanKind::Prod, false) => lines.run::<T, Prod<false>>(),
        (ScanKind::Prod, true) => lines.run::<T, Prod<true>>(),
        (ScanKind::Min, false) => lines.run::<T, Extreme<false, false>>(),
        (ScanKind::Min, true) => lines.run::<T, Extreme<false, true>>(),
        (ScanKind::Max, false) => lines.run::<T, Extreme<true, false>>(),
        (ScanKind::Max, true) => lines.run::<T, Extreme<true, true>>(),
        (ScanKind::Last, _) => lines.run::<T, Last>(),
    });
    // Runs know of times, but not of their units.
    let dtype = match step.to_state {
        true => step.scan.state_dtype(),
        false => step.scan.result_dtype(),
    };
    Ok(made?.labelled(dtype).into())
}

/// Checks operands; a sentence if they do not fit.
fn check(step: &ScanStep, states: &[&Tensor], x: Option<&Tensor>) -> Result<(), String> {
    let (axis, state) = (step.scan.axis, step.scan.state_dtype());
    if x.is_none() && (!step.to_state || states.is_empty()) {
        return Err("it has neither elements nor states to go over".into());
    }
    if let Some(x) = x.filter(|x| x.dtype() != step.scan.dtype) {
        return Err(format!("elements are {}, want {}", x.dtype(), step.scan.dtype));
    }
    if let Some(other) = states.iter().find(|other| other.dtype() != state) {
        return Err(format!("states are {}, want {state}", other.dtype()));
    }
    let mut shapes = states.iter().copied().chain(x).map(Tensor::shape);
    let first = shapes.next().expect("there is an operand");
    if axis >= first.len() {
        return Err(format!("axis {axis} of shape {first:?}"));
    }
    let differs = |shape: &[usize]| {
        shape.len() != first.len()
            || (0..first.len()).any(|other| other != axis && shape[other] != first[other])
    };
    match shapes.find(|shape| differs(shape)) {
        Some(other) => Err(format!("shapes {first:?} and {other:?} along axis {axis}")),
        None => Ok(()),
    }
}

/// The lines along an axis that a step goes over.
struct Lines<'a> {
    axis: usize,
    states: &'a [&'a Tensor],
    x: Option<&'a Tensor>,
    to_state: bool,
}

impl Lines<'_> {
    fn run<T: Reducible, F: Running<T>>(&self) -> Result<Tensor, KernelError> {
        if self.to_state {
            return self.write::<T, F, F::State>(|state| state);
        }
        self.write::<T, F, F::Out>(F::out)
    }

    /// Goes over every line and writes the state at each element, or the last one, as `out` shows it.
    fn write<T: Reducible, F: Running<T>, O: Element>(
        &self,
        out: impl Fn(F::State) -> O,
    ) -> Result<Tensor, KernelError> {
        let mut shape = self.x.unwrap_or_else(|| self.states[0]).shape().to_vec();
        if self.to_state {
            shape[self.axis] = 1;
        }
        let inner: usize = shape[self.axis + 1..].iter().product();
        let mut made = TensorMut::zeros(O::DTYPE, &shape)?;
        if made.shape().contains(&0) {
            return Ok(made.freeze());
        }
        let size = shape[self.axis] * inner;
        let mut strip: Vec<F::State> = Vec::with_capacity(STRIP_LEN.min(inner));
        for (line, target) in made.slice_mut::<O>().chunks_exact_mut(size).enumerate() {
            if inner == 1 {
                self.write_line::<T, F, O>(line, target, &out);
                continue;
            }
            for first in (0..inner).step_by(STRIP_LEN) {
                let columns = first..inner.min(first + STRIP_LEN);
                self.write_strip::<T, F, O>(line, (columns, inner), &mut strip, target, &out);
            }
        }
        Ok(made.freeze())
    }

    /// [`write`](Self::write) of a line whose elements are neighbours.
    fn write_line<T: Reducible, F: Running<T>, O: Element>(
        &self,
        line: usize,
        target: &mut [O],
        out: &impl Fn(F::State) -> O,
    ) {
        let mut state = F::start();
        for states in self.states {
            let states = elements::<F::State>(states, self.axis, line, 1);
            state = states.iter().fold(state, |state, &other| F::join(state, other));
        }
        let x = self.x.map_or(&[][..], |x| elements::<T>(x, self.axis, line, 1));
        if self.to_state {
            target[0] = out(x.iter().fold(state, |state, &x| F::step(state, x)));
            return;
        }
        for (place, &x) in target.iter_mut().zip(x) {
            state = F::step(state, x);
            *place = out(state);
        }
    }

    /// [`write`](Self::write) of neighbouring lines, whose elements at one place along the axis lie side by side.
    fn write_strip<T: Reducible, F: Running<T>, O: Element>(
        &self,
        line: usize,
        (columns, inner): (Range<usize>, usize),
        strip: &mut Vec<F::State>,
        target: &mut [O],
        out: &impl Fn(F::State) -> O,
    ) {
        strip.clear();
        strip.resize(columns.len(), F::start());
        for states in self.states {
            for row in elements::<F::State>(states, self.axis, line, inner).chunks_exact(inner) {
                let pairs = strip.iter_mut().zip(&row[columns.clone()]);
                pairs.for_each(|(state, &other)| *state = F::join(*state, other));
            }
        }
        let x = self
            .x
            .map_or(&[][..], |x| elements::<T>(x, self.axis, line, inner));
        if self.to_state {
            for row in x.chunks_exact(inner) {
                let pairs = strip.iter_mut().zip(&row[columns.clone()]);
                pairs.for_each(|(state, &x)| *state = F::step(*state, x));
            }
            let places = target[columns].iter_mut().zip(strip);
            places.for_each(|(place, state)| *place = out(*state));
            return;
        }
        for (row, places) in x.chunks_exact(inner).zip(target.chunks_exact_mut(inner)) {
            let pairs = strip.iter_mut().zip(&row[columns.clone()]);
            let pairs = pairs.zip(&mut places[columns.clone()]);
            pairs.for_each(|((state, &x), place)| {
                *state = F::step(*state, x);
                *place = out(*state);
            });
        }
    }
}

/// The elements at one position along the axes before a tensor's axis: rows of `inner` across it.
fn elements<T: Element>(tensor: &Tensor, axis: usize, line: usize, inner: usize) -> &[T] {
    let size = tensor.shape()[axis] * inner;
    &T::slice(tensor.bytes())[line * size..(line + 1) * size]
}
