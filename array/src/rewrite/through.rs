//! How axes of a result and of its operands belong together, for what moves through an operation.

use graticule_ops::{ReduceKind, Side};
use graticule_plan::{AxisChunks, ChunkGrid};

use crate::{
    expression::{Op, Reducer},
    graph::{Graph, NodeIx},
    products::contracted_axes,
};

/// Where axis `axis` of an operand is found in the result: at that axis, or nowhere (it is repeated, reduced, dropped).
pub(crate) fn operand_axes(graph: &Graph, ix: NodeIx, position: usize) -> Vec<Option<usize>> {
    let node = graph.node(ix);
    let operand = graph.grid(node.operands[position]);
    let ndim = operand.ndim();
    let lead = |axis: usize| node.grid.ndim() - ndim + axis;
    let same = |axis: usize| operand.axes()[axis].len() == node.grid.axes()[lead(axis)].len();
    match &node.op {
        op if op.is_elementwise() => (0..ndim).map(|axis| same(axis).then(|| lead(axis))).collect(),
        Op::BroadcastTo => (0..ndim).map(|axis| same(axis).then(|| lead(axis))).collect(),
        Op::Transpose(order) => {
            let place = |axis| order.iter().position(|&from| from == axis);
            (0..ndim).map(place).collect()
        }
        Op::ExpandDims(new) => (0..ndim)
            .map(|axis| Some(if axis < *new { axis } else { axis + 1 }))
            .collect(),
        Op::Squeeze(gone) => {
            let place = |axis: usize| match axis.cmp(gone) {
                std::cmp::Ordering::Less => Some(axis),
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Greater => Some(axis - 1),
            };
            (0..ndim).map(place).collect()
        }
        Op::Sliding { axis: windowed, .. } => (0..ndim)
            .map(|axis| Some(axis + usize::from(axis > *windowed)))
            .collect(),
        Op::TakeAlong(taken) if position == 0 => {
            (0..ndim).map(|axis| (axis != *taken).then_some(axis)).collect()
        }
        Op::Reshape(followed) => followed.clone(),
        Op::Compress(axis) if position == 1 => vec![Some(*axis)],
        Op::Reduce(reduce) | Op::Finish(Reducer::Axes(reduce)) => {
            reduced_axes(&reduce.reduction.0.kind, &reduce.axes, reduce.keepdims, ndim)
        }
        Op::GroupReduce(group) | Op::Finish(Reducer::Groups(group)) => {
            let place = |axis: usize| {
                let dropped = group.axes[1..].iter().filter(|&&other| other < axis).count();
                (!group.axes.contains(&axis)).then_some(axis + group.lead() - dropped)
            };
            (0..ndim).map(place).collect()
        }
        Op::Apply(apply) => {
            let reaches = apply.operands[position].reaches.iter();
            reaches.map(|reach| reach.axis()).collect()
        }
        // What stands in one block goes for all.
        Op::Linalg(_) => {
            let counts = |grid: &ChunkGrid, axis: usize| grid.axes()[axis].count();
            (0..ndim)
                .map(|axis| (counts(operand, axis) == counts(&node.grid, axis)).then_some(axis))
                .collect()
        }
        Op::Search(_) if position == 0 => vec![None],
        Op::Contract { contraction, split } => {
            let side = if position == 0 { Side::Left } else { Side::Right };
            let ndim = |position: usize| graph.grid(node.operands[position]).ndim();
            contracted_axes(contraction, split, side, (ndim(0), ndim(1)))
        }
        _ => (0..ndim).map(Some).collect(),
    }
}

/// [`operand_axes`] of a reduction.
pub(crate) fn reduced_axes(
    kind: &ReduceKind,
    axes: &[usize],
    keepdims: bool,
    ndim: usize,
) -> Vec<Option<usize>> {
    let mut next = usize::from(matches!(kind, ReduceKind::Quantile { .. }));
    let place = |axis: usize| {
        let is_reduced = axes.contains(&axis);
        let here = next;
        next += usize::from(!is_reduced || keepdims);
        (!is_reduced).then_some(here)
    };
    (0..ndim).map(place).collect()
}

/// The cuts of an operand's axes where they follow the result's, its own elsewhere.
pub(crate) fn follow(
    graph: &Graph,
    operand: NodeIx,
    places: &[Option<usize>],
    result: &[AxisChunks],
) -> Vec<AxisChunks> {
    let own = graph.grid(operand).axes();
    own.iter()
        .zip(places)
        .map(|(own, place)| place.map_or_else(|| own.clone(), |axis| result[axis].clone()))
        .collect()
}
