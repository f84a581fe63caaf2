//! Views of views, and of arrays of one value.

use crate::{
    expression::Op,
    graph::{Graph, NodeIx},
    infer::same_cuts,
};

/// The only operand of a node, and that one's first.
fn pair(graph: &Graph, ix: NodeIx) -> Option<(NodeIx, NodeIx)> {
    let x = *graph.node(ix).operands.first()?;
    Some((x, *graph.node(x).operands.first()?))
}

/// A transpose of a transpose.
pub(super) fn merge_transposes(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, inner)) = pair(graph, ix) else {
        return false;
    };
    let (Op::Transpose(outer), Op::Transpose(order)) = (graph.op(ix), graph.op(x)) else {
        return false;
    };
    let order = outer.iter().map(|&axis| order[axis]).collect();
    graph.set(ix, Op::Transpose(order), vec![inner]);
    true
}

/// A squeeze of an added axis, and an axis added where one was dropped.
pub(super) fn merge_axes(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, inner)) = pair(graph, ix) else {
        return false;
    };
    let merges = match (graph.op(ix), graph.op(x)) {
        (Op::Squeeze(gone), Op::ExpandDims(new)) => gone == new,
        (Op::ExpandDims(new), Op::Squeeze(gone)) => gone == new,
        _ => false,
    };
    if merges {
        graph.replace(ix, inner);
    }
    merges
}

/// A broadcast of a broadcast.
pub(super) fn merge_broadcasts(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, inner)) = pair(graph, ix) else {
        return false;
    };
    let merges = matches!((graph.op(ix), graph.op(x)), (Op::BroadcastTo, Op::BroadcastTo));
    if merges {
        graph.set(ix, Op::BroadcastTo, vec![inner]);
    }
    merges
}

/// A reshape of a reshape: blocks are made of blocks, so of those that these are made of.
pub(super) fn merge_reshapes(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, inner)) = pair(graph, ix) else {
        return false;
    };
    let (Op::Reshape(outer), Op::Reshape(followed)) = (graph.op(ix), graph.op(x)) else {
        return false;
    };
    let composed = followed.iter().map(|place| place.and_then(|axis| outer[axis]));
    let composed: Vec<Option<usize>> = composed.collect();
    let (before, after) = (graph.grid(inner), graph.grid(ix));
    let mut cuts = before.axes().iter().zip(after.axes());
    let is_same = before.ndim() == after.ndim() && cuts.all(|(a, b)| same_cuts(a, b));
    if is_same {
        graph.replace(ix, inner);
    } else {
        graph.set(ix, Op::Reshape(composed), vec![inner]);
    }
    true
}

/// A view of an array of one value, in whatever chunks.
pub(super) fn full_views(graph: &mut Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    let is_view = matches!(
        node.op,
        Op::Transpose(_)
            | Op::ExpandDims(_)
            | Op::Squeeze(_)
            | Op::BroadcastTo
            | Op::Reshape(_)
            | Op::Windows(_)
            | Op::Sliding { .. }
            | Op::Take { .. }
            | Op::Concatenate(_)
    );
    let value = |x: &NodeIx| match graph.op(*x) {
        Op::Full(value) => Some(*value),
        _ => None,
    };
    let Some(first) = node.operands.first().and_then(value).filter(|_| is_view) else {
        return false;
    };
    // Zeros of either sign, and NaN, are told apart by their bits.
    let same = |x: &NodeIx| value(x).is_some_and(|other| other == first);
    if !node.operands.iter().all(same) {
        return false;
    }
    graph.set(ix, Op::Full(first), vec![]);
    true
}
