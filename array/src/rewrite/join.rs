//! Joins of joins, and of what lies side by side.

use graticule_ops::AxisSelection;

use crate::{
    expression::Op,
    graph::{Graph, NodeIx},
    infer::slice_grid,
    rewrite::slice::set_or_rechunk,
};

/// An array and what is selected of it.
type Cut = (NodeIx, Vec<AxisSelection>);

/// The most arrays that a join of joins has.
const PARTS_MAX: usize = 512;

/// A join of joins along the same axis.
pub(super) fn merge_joins(graph: &mut Graph, ix: NodeIx) -> bool {
    let Op::Concatenate(axis) = *graph.op(ix) else {
        return false;
    };
    let node = graph.node(ix);
    let is_join = |x: NodeIx| {
        let is_same = matches!(graph.op(x), Op::Concatenate(inner) if *inner == axis);
        is_same && graph.is_only_user(x, ix)
    };
    if !node.operands.iter().any(|&x| is_join(x)) {
        return false;
    }
    let mut parts = Vec::with_capacity(node.operands.len());
    for &x in &node.operands {
        match is_join(x) {
            true => parts.extend(&graph.node(x).operands),
            false => parts.push(x),
        }
    }
    if parts.len() > PARTS_MAX {
        return false;
    }
    graph.set(ix, Op::Concatenate(axis), parts);
    true
}

/// A join of slices of one array that lie side by side, in the array's order or backwards.
pub(super) fn join_neighbours(graph: &mut Graph, ix: NodeIx) -> bool {
    let Op::Concatenate(axis) = *graph.op(ix) else {
        return false;
    };
    let operands = graph.node(ix).operands.clone();
    let mut parts: Vec<(NodeIx, Option<Cut>)> = Vec::new();
    for &x in &operands {
        let next = match graph.op(x) {
            Op::Slice(selections) => Some((graph.operand(x, 0), selections.clone())),
            _ => None,
        };
        if let (Some((_, Some((from, last)))), Some((source, selections))) = (parts.last_mut(), &next)
            && from == source
            && let Some(both) = joined(last, selections, axis)
        {
            *last = both;
            continue;
        }
        parts.push((x, next));
    }
    if parts.len() == operands.len() {
        return false;
    }
    let (dtype, mut joined) = (graph.node(ix).dtype, Vec::with_capacity(parts.len()));
    for (x, slice) in parts {
        let is_old =
            |selections: &Vec<AxisSelection>| matches!(graph.op(x), Op::Slice(old) if old == selections);
        joined.push(match slice {
            Some((source, selections)) if !is_old(&selections) => {
                let grid = slice_grid(graph.grid(source), &selections);
                graph.add(Op::Slice(selections), vec![source], dtype, grid)
            }
            _ => x,
        });
    }
    if let [only] = joined[..]
        && let Op::Slice(selections) = graph.op(only)
    {
        let (op, operands) = (Op::Slice(selections.clone()), graph.node(only).operands.clone());
        let grid = graph.grid(only).clone();
        set_or_rechunk(graph, ix, op, operands, grid);
    } else {
        graph.set(ix, Op::Concatenate(axis), joined);
    }
    true
}

/// Two slices as one along an axis, if they are the same along the others.
fn joined(a: &[AxisSelection], b: &[AxisSelection], axis: usize) -> Option<Vec<AxisSelection>> {
    let same = |other: usize| other == axis || a[other] == b[other];
    if !(0..a.len()).all(same) || a[axis].len == 0 || b[axis].len == 0 {
        return None;
    }
    let (first, second) = (a[axis], b[axis]);
    let distance = i128::from(second.start) - i128::from(first.element(first.len - 1));
    // Of a single element any step is as good.
    let step = if first.len > 1 {
        first.step
    } else if second.len > 1 {
        second.step
    } else {
        i64::try_from(distance).ok().filter(|step| *step == 1)?
    };
    let follows = distance == i128::from(step) && (second.len == 1 || second.step == step);
    follows.then(|| {
        let mut both = a.to_vec();
        both[axis] = AxisSelection {
            start: first.start,
            step,
            len: first.len + second.len,
        };
        both
    })
}
