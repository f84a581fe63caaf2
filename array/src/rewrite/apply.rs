//! Parts of what users' functions make: whole blocks, which know where they belong.

use std::sync::Arc;

use graticule_ops::AxisSelection;
use graticule_plan::{AxisChunks, ChunkGrid};

use super::slice::slice_of;
use crate::{
    blocks::{Apply, Reach},
    expression::Op,
    graph::{Graph, Node, NodeIx},
    infer::{grid_of, slice_axis},
};

/// Whether blocks are made by a user's function.
pub(super) fn is_applied(op: &Op) -> bool {
    matches!(op, Op::Apply(_) | Op::Part(_))
}

/// Whether blocks may be left out of what a function makes: not if something else needs them, for it would be called again.
pub(super) fn may_part(graph: &Graph, x: NodeIx) -> bool {
    match graph.op(x) {
        Op::Part(_) => graph.is_only_user(graph.operand(x, 0), x),
        _ => true,
    }
}

/// The node with nothing but the blocks that `hull` of its result covers, in a grid of their own.
pub(super) fn part_of_applied(
    graph: &mut Graph,
    x: NodeIx,
    hull: &[AxisSelection],
    grid: ChunkGrid,
) -> NodeIx {
    let node = graph.node(x).clone();
    match &node.op {
        Op::Apply(apply) => {
            let (apply, operands) = part(graph, &node, apply, hull);
            graph.add(Op::Apply(Arc::new(apply)), operands, node.dtype, grid)
        }
        op => {
            let operand = part_of_applied(graph, node.operands[0], hull, grid.clone());
            graph.add(op.clone(), vec![operand], node.dtype, grid)
        }
    }
}

fn part(graph: &mut Graph, node: &Node, apply: &Apply, hull: &[AxisSelection]) -> (Apply, Vec<NodeIx>) {
    let mut apply = apply.clone();
    let kept = |axis: usize| {
        let (chunks, covered) = (&node.grid.axes()[axis], hull[axis]);
        let last = covered.start + covered.len - 1;
        (chunks.block_of(covered.start), chunks.block_of(last))
    };
    for (axis, whole) in apply.axes.iter_mut().enumerate() {
        *whole = whole.skip(kept(axis).0, hull[axis].start);
    }
    let mut operands = node.operands.clone();
    for (operand, x) in apply.operands.iter_mut().zip(&mut operands) {
        let own = graph.grid(*x).axes().to_vec();
        let mut inner = Vec::with_capacity(own.len());
        for (axis, chunks) in own.iter().enumerate() {
            let (first, last) = match operand.reaches[axis] {
                Reach::Whole => (0, chunks.count() - 1),
                Reach::Block(place) => kept(place),
                Reach::Group { axis: place, fan_in } => {
                    let (first, last) = kept(place);
                    (first * fan_in, ((last + 1) * fan_in).min(chunks.count()) - 1)
                }
            };
            let (start, end) = (chunks.extent(first).start, chunks.extent(last).end);
            if matches!(operand.reaches[axis], Reach::Block(_)) {
                operand.axes[axis] = operand.axes[axis].skip(first, start);
            }
            inner.push(AxisSelection {
                start,
                step: 1,
                len: end - start,
            });
        }
        *x = operand_part(graph, *x, &own, &inner);
    }
    (apply, operands)
}

/// The part of an operand. A tuple is no array that could be sliced: only what makes it can make less.
fn operand_part(graph: &mut Graph, x: NodeIx, own: &[AxisChunks], inner: &[AxisSelection]) -> NodeIx {
    let is_tuple = matches!(graph.op(x), Op::Apply(apply) if apply.dtypes.len() > 1);
    let is_all = own
        .iter()
        .zip(inner)
        .all(|(chunks, part)| chunks.len() == part.len);
    if !is_tuple || is_all {
        return slice_of(graph, x, inner);
    }
    let cuts = own
        .iter()
        .zip(inner)
        .map(|(chunks, part)| slice_axis(chunks, *part));
    part_of_applied(graph, x, inner, grid_of(cuts.collect()))
}
