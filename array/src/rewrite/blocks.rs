//! Rewrites that leave out whole blocks of what must not be cut finer.

use graticule_ops::{AxisSelection, ReduceKind, Sorting};
use graticule_plan::AxisChunks;

use super::{
    apply::{is_applied, may_part, part_of_applied},
    regroup::{is_regrouped, part_of_blocks},
    slice::{operand_selections, set_or_rechunk, sliced},
    through::{follow, operand_axes},
};
use crate::{
    expression::{GroupReduce, Op, Reduce},
    graph::{Graph, NodeIx},
    infer::{grid_of, part_axis, shortest, slice_axis},
    scan::ScanPart,
    selection::is_whole,
};

/// Whether the result's last bits depend on the order in which elements are taken, which is the kernel's choice by the
/// shape of a block, or in which blocks are.
fn depends_on_order(op: &Op) -> bool {
    if matches!(op, Op::Scan(..) | Op::Contract { .. } | Op::Sort(_)) {
        return true;
    }
    let (Op::Reduce(Reduce { reduction, .. }) | Op::GroupReduce(GroupReduce { reduction, .. })) = op else {
        return false;
    };
    match reduction.0.kind {
        ReduceKind::Sum | ReduceKind::Prod => reduction.0.dtype.is_inexact(),
        ReduceKind::Mean | ReduceKind::Var { .. } | ReduceKind::Std { .. } => true,
        _ => false,
    }
}

/// Whether a slice can leave out whole blocks only: the others are made as they are.
pub(super) fn goes_by_blocks(op: &Op) -> bool {
    let has_cohorts = matches!(op, Op::GroupReduce(group) if group.cohorts.is_some());
    depends_on_order(op) || is_regrouped(op) || has_cohorts || is_applied(op)
}

/// Whether a slice of what goes by blocks leaves out blocks between others if it is cut finely, and so must not be.
pub(super) fn must_stay_coarse(graph: &Graph, ix: NodeIx) -> bool {
    let Some((x, selections)) = sliced(graph, ix) else {
        return false;
    };
    let skips = |(s, chunks): (&AxisSelection, &AxisChunks)| s.step.unsigned_abs() > shortest(chunks);
    goes_by_blocks(graph.op(x)) && selections.iter().zip(graph.grid(x).axes()).any(skips)
}

/// Leaves out whole blocks that a slice of what goes by blocks does not need; those that it needs keep their shape.
pub(super) fn slice_blocks(graph: &mut Graph, ix: NodeIx, x: NodeIx, selections: &[AxisSelection]) -> bool {
    if !may_part(graph, x) {
        return false;
    }
    let node = graph.node(x).clone();
    let (mut hull, mut rest) = (Vec::new(), selections.to_vec());
    let mut cuts = node.grid.axes().to_vec();
    let mut result = graph.grid(ix).axes().to_vec();
    let made = made_axes(graph, x);
    for (axis, chunks) in node.grid.axes().iter().enumerate() {
        if made.contains(&axis) {
            hull.push(AxisSelection::whole(chunks.len()));
            continue;
        }
        let (a, b) = (rest[axis].start, rest[axis].element(rest[axis].len - 1));
        let (first, last) = (chunks.block_of(a.min(b)), chunks.block_of(a.max(b)));
        let (start, end) = (chunks.extent(first).start, chunks.extent(last).end);
        hull.push(AxisSelection {
            start,
            step: 1,
            len: end - start,
        });
        rest[axis].start -= start;
        cuts[axis] = part_axis(chunks, hull[axis]);
        // Elements further apart than a block is long would skip some.
        if rest[axis].step.unsigned_abs() > shortest(chunks) {
            result[axis] = AxisChunks::whole(rest[axis].len);
        }
    }
    let (result, is_all) = (grid_of(result), is_whole(&hull, &node.grid.shape()));
    if is_all && result == *graph.grid(ix) {
        return false;
    }
    let part = if is_all {
        x
    } else if is_applied(&node.op) {
        part_of_applied(graph, x, &hull, grid_of(cuts))
    } else if is_regrouped(&node.op) {
        part_of_blocks(graph, x, &hull, grid_of(cuts))
    } else {
        let op = match node.op {
            Op::Scan(scan, part) => {
                let first = node.grid.axes()[scan.axis].block_of(hull[scan.axis].start);
                let skip = part.skip() + first;
                Op::Scan(scan, ScanPart::Whole { skip })
            }
            op => op,
        };
        let operands = (0..node.operands.len()).map(|position| operand(graph, x, position, &hull, &cuts));
        let operands = operands.collect();
        graph.add(op, operands, node.dtype, grid_of(cuts))
    };
    set_or_rechunk(graph, ix, Op::Slice(rest), vec![part], result);
    true
}

/// The axes that a node makes: they are no operand's, or have an element for each block of one.
fn made_axes(graph: &Graph, x: NodeIx) -> Vec<usize> {
    let node = graph.node(x);
    if is_applied(&node.op) {
        return Vec::new();
    }
    let known: Vec<Option<usize>> = (0..node.operands.len())
        .flat_map(|position| operand_axes(graph, x, position))
        .collect();
    let ndim = node.grid.ndim();
    let own = match &node.op {
        Op::Contract { split, .. } => ndim - split.len()..ndim,
        Op::Sort(sorting) => sorting.axis..sorting.axis + 1,
        _ => 0..0,
    };
    (0..ndim)
        .filter(|axis| own.contains(axis) || !known.contains(&Some(*axis)))
        .collect()
}

/// The part of an operand that the blocks within `hull` of the node's result need, cut as they are.
fn operand(
    graph: &mut Graph,
    x: NodeIx,
    position: usize,
    hull: &[AxisSelection],
    cuts: &[AxisChunks],
) -> NodeIx {
    let node = graph.node(x).clone();
    let operand = node.operands[position];
    let own = graph.grid(operand).clone();
    let mut inner = operand_selections(graph, x, position, hull);
    let mut axes = follow(graph, operand, &operand_axes(graph, x, position), cuts);
    match &node.op {
        // What stands before counts.
        Op::Scan(scan, part) => {
            let (chunks, AxisSelection { start, len, .. }) = (&node.grid.axes()[scan.axis], hull[scan.axis]);
            let last = part.skip() + chunks.block_of(start + len - 1);
            inner[scan.axis] = AxisSelection::whole(own.axes()[scan.axis].extent(last).end);
            axes[scan.axis] = slice_axis(&own.axes()[scan.axis], inner[scan.axis]);
        }
        Op::Sort(Sorting { axis, .. }) => {
            inner[*axis] = AxisSelection::whole(own.axes()[*axis].len());
            axes[*axis] = own.axes()[*axis].clone();
        }
        Op::Contract { contraction, .. } => {
            for pair in &contraction.summed {
                let axis = if position == 0 { pair.0 } else { pair.1 };
                inner[axis] = AxisSelection::whole(own.axes()[axis].len());
                axes[axis] = own.axes()[axis].clone();
            }
        }
        _ => {}
    }
    if is_whole(&inner, &own.shape()) {
        return operand;
    }
    let dtype = graph.node(operand).dtype;
    graph.add(Op::Slice(inner), vec![operand], dtype, grid_of(axes))
}
