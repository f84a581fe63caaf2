//! Parts of what goes by blocks whose elements lie elsewhere than those they are made of.

use graticule_ops::AxisSelection;
use graticule_plan::ChunkGrid;

use super::{slice::slice_of, through::operand_axes};
use crate::{
    expression::{Intervals, Op},
    graph::{Graph, Node, NodeIx},
};

/// Whether blocks are made of blocks, or of intervals, but elements not of elements at the same place.
pub(super) fn is_regrouped(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape(_)
            | Op::Windows(_)
            | Op::Sliding { .. }
            | Op::Linalg(_)
            | Op::Fourier(_)
            | Op::CountTrue
            | Op::Compress(_)
            | Op::Compact(_)
            | Op::Distinct(_)
    )
}

/// The node with nothing but the blocks that `hull` of its result covers, in a grid of their own.
pub(super) fn part_of_blocks(
    graph: &mut Graph,
    node: NodeIx,
    hull: &[AxisSelection],
    grid: ChunkGrid,
) -> NodeIx {
    let Node {
        mut op,
        operands,
        dtype,
        grid: own,
    } = graph.node(node).clone();
    let mut parts = Vec::with_capacity(operands.len());
    for (position, &x) in operands.iter().enumerate() {
        let places = operand_axes(graph, node, position);
        let inner = part_of_operand(graph, x, places, &own, hull, &mut op);
        parts.push(slice_of(graph, x, &inner));
    }
    graph.add(op, parts, dtype, grid)
}

/// What the blocks within `hull` of a node in the grid `own` need of an operand whose axes lie at `places` of it.
fn part_of_operand(
    graph: &Graph,
    x: NodeIx,
    places: Vec<Option<usize>>,
    own: &ChunkGrid,
    hull: &[AxisSelection],
    op: &mut Op,
) -> Vec<AxisSelection> {
    let mut inner = Vec::with_capacity(places.len());
    for (axis, (chunks, place)) in graph.grid(x).axes().iter().zip(places).enumerate() {
        let Some(place) = place else {
            inner.push(AxisSelection::whole(chunks.len()));
            continue;
        };
        let (kept, covered) = (&own.axes()[place], hull[place]);
        let first = kept.block_of(covered.start);
        let last = kept.block_of(covered.start + covered.len - 1);
        let (start, end) = match op {
            Op::Windows(axes) if axes[axis].is_some() => keep_intervals(&mut axes[axis], first, last),
            Op::Sliding {
                axis: windowed,
                start,
                ..
            } if *windowed == axis => {
                *start += kept.extent(first).start;
                (chunks.extent(first).start, chunks.extent(last).end)
            }
            Op::Compact(compacted) if *compacted == axis => (covered.start, covered.start + covered.len),
            // The operand's blocks of the same numbers.
            _ => (chunks.extent(first).start, chunks.extent(last).end),
        };
        inner.push(AxisSelection {
            start,
            step: 1,
            len: end - start,
        });
    }
    inner
}

/// Leaves intervals `first..=last`, counted from the first element that they need; gives the elements that they need.
fn keep_intervals(intervals: &mut Option<Intervals>, first: u64, last: u64) -> (u64, u64) {
    let all = intervals.as_ref().expect("the caller looked");
    let kept = &all[first as usize..=last as usize];
    let start = kept
        .iter()
        .map(|(start, _)| *start)
        .min()
        .expect("there is a first");
    let end = kept.iter().map(|(_, end)| *end).max().expect("there is a first");
    let moved = kept
        .iter()
        .map(|(low, high)| (low - start, high - start))
        .collect();
    *intervals = Some(moved);
    (start, end)
}
