//! From elements to partials or results, and from partials to one partial or a result.

use graticule_ops::{ReduceKind, Reduction, Stage};

use super::{
    Layout, Positions,
    drive::{Rows, States, StatesOf, columns, runs},
    fold::{Fold, Part},
    reducible::Reducible,
    sink::Sink,
    visit::{Visitor, visit},
    walked,
};
use crate::{
    Chunk, KernelError, Tensor,
    fused::{Group, TILE_LEN},
};

/// Stages `Whole` and `Partial` of a reduction that has partials.
pub(crate) fn elements(
    reduction: &Reduction,
    group: &Group,
    layout: &Layout,
    stage: Stage,
    shape: &[usize],
    positions: Option<&Positions>,
) -> Result<Chunk, KernelError> {
    let needs_some = matches!(
        reduction.kind,
        ReduceKind::Min
            | ReduceKind::Max
            | ReduceKind::ArgMin
            | ReduceKind::ArgMax
            | ReduceKind::First
            | ReduceKind::Last
    );
    // Partials cannot tell nothing from only NaN; elements can.
    if stage == Stage::Whole && needs_some && layout.rows == 0 && layout.columns > 0 {
        return Err(KernelError::Empty {
            name: reduction.name(),
        });
    }
    let rows = [Rows::All(layout.rows)];
    let empty = Empty::Raises;
    let elements = Elements {
        reduction,
        group,
        layout,
        rows: &rows,
        stage,
        shape,
        positions,
        empty,
    };
    visit(reduction, elements).expect("order statistics go another way")
}

/// What a reduction without elements gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    /// What the fold says; often an error.
    Raises,
    /// NaN where the dtype has it: a group that does not occur.
    IsNan,
}

/// Elements to partials or results: for each of several selections of rows, one after the other.
pub(crate) struct Elements<'a> {
    pub(crate) reduction: &'a Reduction,
    pub(crate) group: &'a Group,
    pub(crate) layout: &'a Layout,
    pub(crate) rows: &'a [Rows<'a>],
    pub(crate) stage: Stage,
    pub(crate) shape: &'a [usize],
    pub(crate) positions: Option<&'a Positions>,
    pub(crate) empty: Empty,
}

impl Visitor for Elements<'_> {
    type Output = Chunk;

    fn visit<T: Reducible, F: Fold<T>>(self, fold: F) -> Result<Chunk, KernelError> {
        let mut sink = Sink::new::<T>(self.reduction, fold, self.stage, self.shape, self.empty)?;
        let mut take = |states: &mut StatesOf<T, F>| {
            located::<T, F>(states, self.positions);
            sink.take::<T>(states)
        };
        for &rows in self.rows {
            if self.layout.is_runs {
                runs::<T, F>(self.group, fold, self.layout.columns, self.layout.rows, &mut take)?;
            } else {
                columns::<T, F>(self.group, fold, rows, self.layout.columns, &mut take)?;
            }
        }
        sink.finish()
    }
}

/// Has positions that are parts of states count along the whole array.
pub(crate) fn located<T: Reducible, F: Fold<T>>(states: &mut StatesOf<T, F>, positions: Option<&Positions>) {
    if let (true, Some(positions)) = (F::HAS_POSITION, positions) {
        let own = F::A::positions(&mut states.a).expect("the first part is a position");
        own.iter_mut()
            .filter(|at| **at >= 0)
            .for_each(|at| *at = positions.whole(*at));
    }
}

/// Stages `Combine` and `Final`: partials, in order along the reduced axes, to one, and maybe to the result.
pub(crate) fn combine(
    reduction: &Reduction,
    partials: &Chunk,
    layout: &Layout,
    stage: Stage,
    shape: &[usize],
) -> Result<Chunk, KernelError> {
    let combine = Combine {
        reduction,
        partials,
        layout,
        stage,
        shape,
        empty: Empty::Raises,
    };
    visit(reduction, combine).expect("order statistics have no partials")
}

/// See [`combine`].
pub(crate) struct Combine<'a> {
    pub(crate) reduction: &'a Reduction,
    pub(crate) partials: &'a Chunk,
    pub(crate) layout: &'a Layout,
    pub(crate) stage: Stage,
    pub(crate) shape: &'a [usize],
    pub(crate) empty: Empty,
}

impl Visitor for Combine<'_> {
    type Output = Chunk;

    fn visit<T: Reducible, F: Fold<T>>(self, fold: F) -> Result<Chunk, KernelError> {
        let (rows, width) = (self.layout.rows, self.layout.columns);
        let parts = self
            .partials
            .parts()
            .iter()
            .map(|part| walked(part, &self.layout.order));
        let parts: Vec<Tensor> = parts.collect::<Result<_, _>>()?;
        let mut parts = parts.iter();
        let len = rows * width;
        let (a, b, c) = (
            F::A::load(&mut parts, len),
            F::B::load(&mut parts, len),
            F::C::load(&mut parts, len),
        );
        let (Some(a), Some(b), Some(c)) = (a, b, c) else {
            return Err(KernelError::Window(format!(
                "these are no partials of {}",
                self.reduction.name()
            )));
        };
        let mut sink = Sink::new::<T>(self.reduction, fold, self.stage, self.shape, self.empty)?;
        for first in (0..width).step_by(TILE_LEN) {
            let of_row = |row: usize| row * width + first..row * width + width.min(first + TILE_LEN);
            let mut states = States::new(fold.start(), of_row(0).len());
            for row in 0..rows {
                let (a, b, c) = (&a[of_row(row)], &b[of_row(row)], &c[of_row(row)]);
                if row == 0 {
                    states.copy_from(a, b, c);
                } else {
                    states.combine_with::<T, F>(fold, a, b, c);
                }
            }
            sink.take::<T>(&states)?;
        }
        sink.finish()
    }
}
