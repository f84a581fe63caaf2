//! From elements to partials or results, and from partials to one partial or a result.

use graticule_ops::{ReduceKind, Reduction, Stage};

use super::{
    Layout, Positions,
    drive::{Rows, States, StatesOf, columns, runs},
    fold::{Fold, Nothing, Part},
    reducible::Reducible,
    visit::{Visitor, visit},
    walked,
};
use crate::{Chunk, KernelError, Tensor, fused::Group};

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
        let mut states: StatesOf<T, F> = States::new(fold.start(), 0);
        for &rows in self.rows {
            states.append(if self.layout.is_runs {
                runs::<T, F>(self.group, fold, self.layout.columns, self.layout.rows)?
            } else {
                columns::<T, F>(self.group, fold, rows, self.layout.columns)?
            });
        }
        if let (true, Some(positions)) = (F::HAS_POSITION, self.positions) {
            let own = F::A::positions(&mut states.a).expect("the first part is a position");
            own.iter_mut()
                .filter(|at| **at >= 0)
                .for_each(|at| *at = positions.whole(*at));
        }
        if self.stage == Stage::Partial {
            partial(&states, self.shape)
        } else {
            finish::<T, F>(self.reduction, fold, &states, self.shape, self.empty)
        }
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
        let mut states = States::new(fold.start(), width);
        for row in 0..rows {
            let at = row * width..(row + 1) * width;
            let (a, b, c) = (a[at.clone()].to_vec(), b[at.clone()].to_vec(), c[at].to_vec());
            let next = States { a, b, c };
            if row == 0 {
                states = next;
            } else {
                states.combine(fold, &next);
            }
        }
        if self.stage == Stage::Combine {
            partial(&states, self.shape)
        } else {
            finish::<T, F>(self.reduction, fold, &states, self.shape, self.empty)
        }
    }
}

fn partial<A: Part, B: Part, C: Part>(
    states: &States<A, B, C>,
    shape: &[usize],
) -> Result<Chunk, KernelError> {
    let parts = [
        A::tensor(shape, &states.a),
        B::tensor(shape, &states.b),
        C::tensor(shape, &states.c),
    ];
    Chunk::new(parts.into_iter().flatten().collect::<Result<_, _>>()?)
}

fn finish<T: Reducible, F: Fold<T>>(
    reduction: &Reduction,
    fold: F,
    states: &StatesOf<T, F>,
    shape: &[usize],
    empty: Empty,
) -> Result<Chunk, KernelError> {
    let mut results = Vec::with_capacity(states.a.len());
    for ((&a, &b), &c) in states.a.iter().zip(&states.b).zip(&states.c) {
        results.push(match fold.finish((a, b, c)) {
            Ok(result) => result,
            Err(why) => nothing::<F::Out>(&why, empty).ok_or_else(|| match why {
                Nothing::Empty => KernelError::Empty {
                    name: reduction.name(),
                },
                Nothing::AllNan => KernelError::AllNan {
                    name: reduction.name(),
                },
            })?,
        });
    }
    Ok(Tensor::from_vec(shape, results)?.into())
}

fn nothing<T: crate::Element>(why: &Nothing, empty: Empty) -> Option<T> {
    use graticule_ops::Scalar;
    match (why, empty, T::DTYPE) {
        (Nothing::Empty, Empty::IsNan, graticule_plan::DType::Float32) => {
            T::from_scalar(Scalar::Float32(f32::NAN))
        }
        (Nothing::Empty, Empty::IsNan, graticule_plan::DType::Float64) => {
            T::from_scalar(Scalar::Float64(f64::NAN))
        }
        _ => None,
    }
}
