//! Reductions that give the same whatever the order in which elements are taken.

use graticule_ops::ReduceKind;

use super::through::operand_axes;
use crate::{
    expression::{Op, Reduce},
    graph::{Graph, NodeIx},
    infer::{grid_of, same_cuts},
};

/// Whether neither the order nor the grouping of elements changes a bit of the result.
pub(super) fn is_order_free(reduce: &Reduce) -> bool {
    let reduction = &reduce.reduction.0;
    match reduction.kind {
        ReduceKind::Sum | ReduceKind::Prod => !reduction.dtype.is_inexact(),
        // Of complex numbers with a NaN the first one counts.
        ReduceKind::Min | ReduceKind::Max => !reduction.dtype.is_complex(),
        ReduceKind::Any | ReduceKind::All | ReduceKind::Count => true,
        _ => false,
    }
}

fn reduced(graph: &Graph, ix: NodeIx) -> Option<(&Reduce, NodeIx)> {
    match graph.op(ix) {
        Op::Reduce(reduce) => Some((reduce, graph.operand(ix, 0))),
        _ => None,
    }
}

/// The greatest of the greatest, the sum of sums of integers: one reduction over all the axes.
pub(super) fn merge_reductions(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((outer, x)) = reduced(graph, ix) else {
        return false;
    };
    let Some((inner, innermost)) = reduced(graph, x) else {
        return false;
    };
    let (kind, other) = (&outer.reduction.0.kind, &inner.reduction.0.kind);
    // A count of counts is something else.
    let is_same = matches!(
        kind,
        ReduceKind::Sum
            | ReduceKind::Prod
            | ReduceKind::Min
            | ReduceKind::Max
            | ReduceKind::Any
            | ReduceKind::All
    ) && kind == other;
    let fits = is_same
        && is_order_free(outer)
        && is_order_free(inner)
        && outer.reduction.0.skipna == inner.reduction.0.skipna
        && outer.keepdims == inner.keepdims
        && graph.is_only_user(x, ix);
    if !fits {
        return false;
    }
    let mut merged = inner.clone();
    merged.split_every = inner.split_every.min(outer.split_every);
    for (axis, place) in operand_axes(graph, x, 0).into_iter().enumerate() {
        if place.is_some_and(|place| outer.axes.contains(&place)) && !merged.axes.contains(&axis) {
            merged.axes.push(axis);
        }
    }
    merged.axes.sort_unstable();
    graph.set(ix, Op::Reduce(merged), vec![innermost]);
    true
}

/// A reduction of a rechunk along the reduced axes alone, of what is no read and is made anyway.
pub(super) fn reduce_as_it_is_cut(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((reduce, x)) = reduced(graph, ix) else {
        return false;
    };
    if !is_order_free(reduce) || !matches!(graph.op(x), Op::Rechunk) {
        return false;
    }
    let inner = graph.operand(x, 0);
    let is_made = matches!(
        graph.op(inner),
        Op::Held(_)
            | Op::Reduce(_)
            | Op::GroupReduce(_)
            | Op::Scan(..)
            | Op::Sort(_)
            | Op::Contract { .. }
            | Op::Linalg(_)
            | Op::Apply(_)
            | Op::Windows(_)
    );
    let (before, after) = (graph.grid(inner).axes(), graph.grid(x).axes());
    let changes_others =
        (0..after.len()).any(|axis| !reduce.axes.contains(&axis) && !same_cuts(&before[axis], &after[axis]));
    if !is_made || changes_others {
        return false;
    }
    let op = Op::Reduce(reduce.clone());
    // Cuts may be the same and be said otherwise; the result keeps those of the rechunk.
    let axes = before.iter().zip(after).enumerate();
    let axes = axes.map(|(axis, (own, other))| if reduce.axes.contains(&axis) { own } else { other });
    let is_said_alike = grid_of(axes.cloned().collect()) == *graph.grid(inner);
    if is_said_alike {
        graph.set(ix, op, vec![inner]);
    }
    is_said_alike
}
