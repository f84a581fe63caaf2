//! Slices of reductions whose groups lie in cohorts.

use graticule_ops::AxisSelection;
use graticule_plan::AxisChunks;

use super::{
    blocks::slice_blocks,
    slice::{set_or_rechunk, slice_of},
};
use crate::{
    expression::{GroupReduce, Op},
    graph::{Graph, NodeIx},
    infer::{from_lengths, grid_of, shortest},
};

/// Leaves out the cohorts before and after those that a slice needs, with the blocks that have them; the others stay as
/// they are.
pub(super) fn slice_cohorts(
    graph: &mut Graph,
    ix: NodeIx,
    x: NodeIx,
    group: &GroupReduce,
    selections: &[AxisSelection],
) -> bool {
    let place = group.axes[0] + group.lead();
    let selection = selections[place];
    let (a, b) = (selection.start, selection.element(selection.len - 1));
    let (first, last) = (group.groups.block_of(a.min(b)), group.groups.block_of(a.max(b)));
    let mut result = graph.grid(ix).axes().to_vec();
    // Elements further apart than a cohort is long would skip some.
    if selection.step.unsigned_abs() > shortest(&group.groups) {
        result[place] = AxisChunks::whole(selection.len);
    }
    let result = grid_of(result);
    if first == 0 && last + 1 == group.groups.count() {
        if result == *graph.grid(ix) {
            return slice_blocks(graph, ix, x, selections);
        }
        set_or_rechunk(graph, ix, Op::Slice(selections.to_vec()), vec![x], result);
        return true;
    }
    let part = cohorts(graph, x, group, (first, last));
    let mut rest = selections.to_vec();
    rest[place].start -= group.groups.extent(first).start;
    set_or_rechunk(graph, ix, Op::Slice(rest), vec![part], result);
    true
}

/// The reduction with the cohorts `first..=last` alone.
fn cohorts(graph: &mut Graph, x: NodeIx, group: &GroupReduce, (first, last): (u64, u64)) -> NodeIx {
    let (axis, operand) = (group.axes[0], graph.operand(x, 0));
    let chunks = graph.grid(operand).axes()[axis].clone();
    let of_block = group.cohorts.as_ref().expect("the caller looked");
    let kept: Vec<u64> = (0..chunks.count())
        .filter(|&block| (first..=last).contains(&of_block[block as usize]))
        .collect();
    let row = group.codes.len()
        / usize::try_from(chunks.len())
            .expect("there is a code for each")
            .max(1);
    let positions: Vec<u64> = kept.iter().flat_map(|&block| chunks.extent(block)).collect();
    let codes = positions
        .iter()
        .flat_map(|&at| &group.codes[at as usize * row..][..row]);
    let lengths = group.groups.lengths()[first as usize..=last as usize].to_vec();
    let own = GroupReduce {
        codes: codes.copied().collect(),
        groups: from_lengths(&lengths),
        cohorts: Some(
            kept.iter()
                .map(|&block| of_block[block as usize] - first)
                .collect(),
        ),
        ..group.clone()
    };
    let operand = blocks(graph, operand, axis, &kept, &positions);
    let mut axes = graph.grid(x).axes().to_vec();
    axes[axis + group.lead()] = own.groups.clone();
    let dtype = graph.node(x).dtype;
    graph.add(Op::GroupReduce(own), vec![operand], dtype, grid_of(axes))
}

/// Some blocks of an array along an axis, cut as they are.
fn blocks(graph: &mut Graph, x: NodeIx, axis: usize, kept: &[u64], positions: &[u64]) -> NodeIx {
    let chunks = graph.grid(x).axes()[axis].clone();
    let lengths: Vec<u64> = kept
        .iter()
        .map(|&block| {
            let extent = chunks.extent(block);
            extent.end - extent.start
        })
        .collect();
    let is_run = kept.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let mut axes = graph.grid(x).axes().to_vec();
    axes[axis] = from_lengths(&lengths);
    let (grid, dtype) = (grid_of(axes), graph.node(x).dtype);
    if !is_run {
        let positions = positions.into();
        return graph.add(Op::Take { axis, positions }, vec![x], dtype, grid);
    }
    let whole = graph.grid(x).shape().into_iter().map(AxisSelection::whole);
    let mut selections: Vec<_> = whole.collect();
    selections[axis] = AxisSelection {
        start: positions[0],
        step: 1,
        len: positions.len() as u64,
    };
    let sliced = slice_of(graph, x, &selections);
    match *graph.grid(sliced) == grid {
        true => sliced,
        false => graph.add(Op::Rechunk, vec![sliced], dtype, grid),
    }
}
