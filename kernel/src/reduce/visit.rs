//! From a reduction as data to a fold as a type.

use graticule_ops::{ReduceKind, Reduction};
use graticule_plan::DType;
use num_complex::Complex;

use super::{
    carrier,
    extreme::{End, Extreme, Place},
    fold::{Count, Fold, Mean, Prod, Sum, Truth, Var},
    reducible::{Moments, Reducible},
    skips,
};
use crate::{KernelError, Time, element::with_element};

/// What is done with a fold once its type is known.
pub(crate) trait Visitor {
    type Output;

    fn visit<T: Reducible, F: Fold<T>>(self, fold: F) -> Result<Self::Output, KernelError>;
}

type Visited<V> = Option<Result<<V as Visitor>::Output, KernelError>>;

/// Calls the visitor with the reduction's fold over its carrier; `None` for order statistics, which have none.
pub(crate) fn visit<V: Visitor>(reduction: &Reduction, visitor: V) -> Visited<V> {
    let dtype = carrier(reduction);
    let skip = skips(reduction);
    match reduction.kind {
        ReduceKind::Sum | ReduceKind::Mean if dtype.is_time() => Some(match (&reduction.kind, skip) {
            (ReduceKind::Sum, false) => visitor.visit::<Time, _>(Sum::<false>),
            (ReduceKind::Sum, true) => visitor.visit::<Time, _>(Sum::<true>),
            (_, false) => visitor.visit::<Time, _>(Mean::<false>),
            (_, true) => visitor.visit::<Time, _>(Mean::<true>),
        }),
        ReduceKind::Sum | ReduceKind::Prod => match dtype {
            DType::Int64 => total::<i64, V>(&reduction.kind, visitor),
            DType::UInt64 => total::<u64, V>(&reduction.kind, visitor),
            DType::Complex64 if skip => total_skipping::<Complex<f32>, V>(&reduction.kind, visitor),
            DType::Complex64 => total::<Complex<f32>, V>(&reduction.kind, visitor),
            DType::Complex128 if skip => total_skipping::<Complex<f64>, V>(&reduction.kind, visitor),
            DType::Complex128 => total::<Complex<f64>, V>(&reduction.kind, visitor),
            DType::Float32 if skip => total_skipping::<f32, V>(&reduction.kind, visitor),
            DType::Float32 => total::<f32, V>(&reduction.kind, visitor),
            _ if skip => total_skipping::<f64, V>(&reduction.kind, visitor),
            _ => total::<f64, V>(&reduction.kind, visitor),
        },
        ReduceKind::Mean | ReduceKind::Var { .. } | ReduceKind::Std { .. } => match (dtype, skip) {
            (DType::Complex64, true) => moment_skipping::<Complex<f32>, V>(&reduction.kind, visitor),
            (DType::Complex64, false) => moment::<Complex<f32>, V>(&reduction.kind, visitor),
            (DType::Complex128, true) => moment_skipping::<Complex<f64>, V>(&reduction.kind, visitor),
            (DType::Complex128, false) => moment::<Complex<f64>, V>(&reduction.kind, visitor),
            (DType::Float32, true) => moment_skipping::<f32, V>(&reduction.kind, visitor),
            (DType::Float32, false) => moment::<f32, V>(&reduction.kind, visitor),
            (_, true) => moment_skipping::<f64, V>(&reduction.kind, visitor),
            (_, false) => moment::<f64, V>(&reduction.kind, visitor),
        },
        ReduceKind::Count | ReduceKind::Any | ReduceKind::All => match dtype {
            DType::Float32 => truth::<f32, V>(&reduction.kind, visitor),
            DType::Float64 => truth::<f64, V>(&reduction.kind, visitor),
            DType::Complex64 => truth::<Complex<f32>, V>(&reduction.kind, visitor),
            DType::Complex128 => truth::<Complex<f64>, V>(&reduction.kind, visitor),
            DType::DateTime64(_) | DType::TimeDelta64(_) => truth::<Time, V>(&reduction.kind, visitor),
            _ => truth::<bool, V>(&reduction.kind, visitor),
        },
        _ if skip => match dtype {
            DType::Float32 => pick_skipping::<f32, V>(&reduction.kind, visitor),
            DType::Complex64 => pick_skipping::<Complex<f32>, V>(&reduction.kind, visitor),
            DType::Complex128 => pick_skipping::<Complex<f64>, V>(&reduction.kind, visitor),
            DType::DateTime64(_) | DType::TimeDelta64(_) => {
                pick_skipping::<Time, V>(&reduction.kind, visitor)
            }
            _ => pick_skipping::<f64, V>(&reduction.kind, visitor),
        },
        _ => with_element!(dtype, T => pick::<T, V>(&reduction.kind, visitor)),
    }
}

fn total<T: Reducible, V: Visitor>(kind: &ReduceKind, visitor: V) -> Visited<V> {
    Some(match kind {
        ReduceKind::Sum => visitor.visit::<T, _>(Sum::<false>),
        _ => visitor.visit::<T, _>(Prod::<false>),
    })
}

fn total_skipping<T: Reducible, V: Visitor>(kind: &ReduceKind, visitor: V) -> Visited<V> {
    Some(match kind {
        ReduceKind::Sum => visitor.visit::<T, _>(Sum::<true>),
        _ => visitor.visit::<T, _>(Prod::<true>),
    })
}

fn moment<T: Moments, V: Visitor>(kind: &ReduceKind, visitor: V) -> Visited<V> {
    Some(match *kind {
        ReduceKind::Var { ddof } => visitor.visit::<T, _>(Var::<false> { ddof, is_std: false }),
        ReduceKind::Std { ddof } => visitor.visit::<T, _>(Var::<false> { ddof, is_std: true }),
        _ => visitor.visit::<T, _>(Mean::<false>),
    })
}

fn moment_skipping<T: Moments, V: Visitor>(kind: &ReduceKind, visitor: V) -> Visited<V> {
    Some(match *kind {
        ReduceKind::Var { ddof } => visitor.visit::<T, _>(Var::<true> { ddof, is_std: false }),
        ReduceKind::Std { ddof } => visitor.visit::<T, _>(Var::<true> { ddof, is_std: true }),
        _ => visitor.visit::<T, _>(Mean::<true>),
    })
}

/// Floats and complex numbers come here only to be counted, or for `any` without NaN.
fn truth<T: Reducible, V: Visitor>(kind: &ReduceKind, visitor: V) -> Visited<V> {
    Some(match kind {
        ReduceKind::Count => visitor.visit::<T, _>(Count),
        ReduceKind::Any => visitor.visit::<T, _>(Truth::<false, true>),
        _ => visitor.visit::<T, _>(Truth::<true, true>),
    })
}

fn pick<T: Reducible, V: Visitor>(kind: &ReduceKind, visitor: V) -> Visited<V> {
    Some(match kind {
        ReduceKind::Min => visitor.visit::<T, _>(Extreme::<false, false>),
        ReduceKind::Max => visitor.visit::<T, _>(Extreme::<true, false>),
        ReduceKind::ArgMin => visitor.visit::<T, _>(Place::<false> { max: false }),
        ReduceKind::ArgMax => visitor.visit::<T, _>(Place::<false> { max: true }),
        ReduceKind::First => visitor.visit::<T, _>(End::<false> { last: false }),
        ReduceKind::Last => visitor.visit::<T, _>(End::<false> { last: true }),
        _ => return None,
    })
}

fn pick_skipping<T: Reducible, V: Visitor>(kind: &ReduceKind, visitor: V) -> Visited<V> {
    Some(match kind {
        ReduceKind::Min => visitor.visit::<T, _>(Extreme::<false, true>),
        ReduceKind::Max => visitor.visit::<T, _>(Extreme::<true, true>),
        ReduceKind::ArgMin => visitor.visit::<T, _>(Place::<true> { max: false }),
        ReduceKind::ArgMax => visitor.visit::<T, _>(Place::<true> { max: true }),
        ReduceKind::First => visitor.visit::<T, _>(End::<true> { last: false }),
        ReduceKind::Last => visitor.visit::<T, _>(End::<true> { last: true }),
        _ => return None,
    })
}
