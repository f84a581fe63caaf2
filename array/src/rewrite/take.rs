//! Rewrites of lists of positions.

use std::{collections::BTreeSet, sync::Arc};

use graticule_ops::AxisSelection;
use graticule_plan::AxisChunks;

use super::{
    slice::is_used_whole,
    through::{follow, operand_axes},
};
use crate::{
    expression::Op,
    graph::{Graph, NodeIx},
    infer::{from_lengths, grid_of, slice_axis},
};

/// The most runs that a list of positions is taken apart into.
const RUNS_MAX: usize = 32;

/// Runs that are taken apart however short they are. Of more, each must have [`RUN_LEN_MIN`] elements on average: a run
/// becomes a slice of all that the list is taken from, a layer and a read of each file, which short ones are not worth.
const RUNS_FEW: usize = 4;
/// See [`RUNS_FEW`].
const RUN_LEN_MIN: usize = 8;

/// The most blocks of an array of which it is found out whether lists take something of each.
const SELECTED_BLOCKS_MAX: u64 = 1 << 16;

fn taken(graph: &Graph, ix: NodeIx) -> Option<(NodeIx, usize, &[u64])> {
    match graph.op(ix) {
        Op::Take { axis, positions } => Some((graph.operand(ix, 0), *axis, positions)),
        _ => None,
    }
}

/// Runs of equal steps that make up the list; `None` if they are too many, or too short.
fn runs(positions: &[u64]) -> Option<Vec<AxisSelection>> {
    let mut runs = Vec::new();
    let mut rest = positions;
    while let [first, ..] = *rest {
        let step = |pair: &[u64]| i128::from(pair[1]) - i128::from(pair[0]);
        let stride = rest.windows(2).next().map_or(1, step);
        let same = rest.windows(2).take_while(|pair| step(pair) == stride).count();
        let (step, len) = match i64::try_from(stride) {
            Ok(step) if step != 0 => (step, same + 1),
            _ => (1, 1),
        };
        let (step, len) = if len == 2 && step != 1 && rest.len() > 2 {
            (1, 1)
        } else {
            (step, len)
        };
        if runs.len() == RUNS_MAX {
            return None;
        }
        runs.push(AxisSelection {
            start: first,
            step: if len == 1 { 1 } else { step },
            len: len as u64,
        });
        rest = &rest[len..];
    }
    let is_worth = runs.len() <= RUNS_FEW || positions.len() >= runs.len() * RUN_LEN_MIN;
    is_worth.then_some(runs)
}

/// Whether the blocks that a list takes elements of have more than twice as many.
fn is_wasteful(graph: &Graph, x: NodeIx, axis: usize, positions: &[u64]) -> bool {
    let chunks = &graph.grid(x).axes()[axis];
    let blocks: BTreeSet<u64> = positions
        .iter()
        .map(|&position| chunks.block_of(position))
        .collect();
    let len = |&block: &u64| {
        let extent = chunks.extent(block);
        extent.end - extent.start
    };
    let made: u64 = blocks.iter().map(len).sum();
    made > 2 * positions.len() as u64
}

/// Whether what uses `x` selects along an axis, and takes something of each of its blocks there, all together.
pub(crate) fn are_all_selected(graph: &Graph, x: NodeIx, along: usize) -> bool {
    let chunks = &graph.grid(x).axes()[along];
    if chunks.count() > SELECTED_BLOCKS_MAX {
        return false;
    }
    let mut missing: BTreeSet<u64> = (0..chunks.count()).collect();
    for user in graph.each_user(x) {
        match graph.op(user) {
            Op::Take { axis, positions } if *axis == along => {
                for &position in positions.iter() {
                    missing.remove(&chunks.block_of(position));
                }
            }
            Op::Slice(selections) if is_only_along(selections, &graph.grid(x).shape(), along) => {
                let run = selections[along];
                let element = |k: u64| chunks.block_of(run.element(k));
                if run.step.abs() == 1 && run.len > 0 {
                    let (first, last) = (element(0), element(run.len - 1));
                    missing.retain(|block| *block < first.min(last) || *block > first.max(last));
                } else {
                    for k in 0..run.len {
                        missing.remove(&element(k));
                    }
                }
            }
            _ => {}
        }
        if missing.is_empty() {
            return true;
        }
    }
    false
}

/// Whether a slice takes all of the other axes.
fn is_only_along(selections: &[AxisSelection], shape: &[u64], along: usize) -> bool {
    let others = selections
        .iter()
        .zip(shape)
        .enumerate()
        .filter(|(axis, _)| *axis != along);
    others
        .into_iter()
        .all(|(_, (one, &len))| *one == AxisSelection::whole(len))
}

/// A list that is one run is a slice, and one of a few runs a join of slices.
pub(super) fn list_to_slices(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, axis, positions)) = taken(graph, ix) else {
        return false;
    };
    let Some(runs) = runs(positions).filter(|runs| !runs.is_empty()) else {
        return false;
    };
    // Of an array that is made anyway, rows of blocks are as good.
    let is_all = || {
        let distinct: BTreeSet<u64> = positions.iter().copied().collect();
        distinct.len() as u64 == graph.grid(x).axes()[axis].len()
    };
    // So it is of one that lists need all of together, where each would make much more than it takes.
    let is_shared = || is_wasteful(graph, x, axis, positions) && are_all_selected(graph, x, axis);
    if runs.len() > 1 && (is_used_whole(graph, x) || is_all() || is_shared()) {
        return false;
    }
    let mut selections: Vec<_> = graph
        .grid(x)
        .shape()
        .into_iter()
        .map(AxisSelection::whole)
        .collect();
    let dtype = graph.node(x).dtype;
    let mut parts = Vec::with_capacity(runs.len());
    for run in runs {
        selections[axis] = run;
        let mut axes = graph.grid(x).axes().to_vec();
        axes[axis] = slice_axis(&axes[axis], run);
        parts.push(graph.add(Op::Slice(selections.clone()), vec![x], dtype, grid_of(axes)));
    }
    match parts[..] {
        [only] => graph.set(ix, Op::Rechunk, vec![only]),
        _ => graph.set(ix, Op::Concatenate(axis), parts),
    }
    true
}

/// A list of a list.
pub(super) fn merge_lists(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, axis, outer)) = taken(graph, ix) else {
        return false;
    };
    let Some((innermost, inner_axis, inner)) = taken(graph, x) else {
        return false;
    };
    if axis != inner_axis {
        return false;
    }
    let positions = outer.iter().map(|&position| inner[position as usize]).collect();
    graph.set(ix, Op::Take { axis, positions }, vec![innermost]);
    true
}

/// Takes a rising list apart where so much lies between its positions that it pays to leave that out.
pub(super) fn split_list(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, axis, positions)) = taken(graph, ix) else {
        return false;
    };
    // What was split is not split again, or it would end in single elements.
    let is_part = graph
        .users(ix)
        .iter()
        .any(|&user| matches!(graph.op(user), Op::Concatenate(_)));
    if positions.len() <= RUNS_MAX || is_part || !positions.is_sorted() || !graph.is_only_user(x, ix) {
        return false;
    }
    let chunks = graph.grid(x).axes()[axis].clone();
    // Elements of blocks that no position before or after the gap lies in, and where the list goes on after it.
    let mut gaps: Vec<(u64, usize)> = Vec::new();
    for (k, pair) in positions.windows(2).enumerate() {
        let (before, after) = (chunks.block_of(pair[0]), chunks.block_of(pair[1]));
        let skipped = chunks
            .extent(after)
            .start
            .saturating_sub(chunks.extent(before).end);
        if after > before + 1 && skipped >= chunks.len() / RUNS_MAX as u64 {
            gaps.push((skipped, k + 1));
        }
    }
    if gaps.is_empty() {
        return false;
    }
    gaps.sort_unstable_by_key(|gap| std::cmp::Reverse(*gap));
    gaps.truncate(RUNS_MAX - 1);
    let mut cuts: Vec<usize> = gaps
        .into_iter()
        .map(|(_, at)| at)
        .chain([0, positions.len()])
        .collect();
    cuts.sort_unstable();
    let lists: Vec<Vec<u64>> = cuts
        .windows(2)
        .map(|cut| positions[cut[0]..cut[1]].to_vec())
        .collect();
    let (grid, dtype) = (graph.grid(ix).clone(), graph.node(ix).dtype);
    let mut parts = Vec::with_capacity(lists.len());
    for list in lists {
        let (first, last) = (list[0], list[list.len() - 1]);
        let start = chunks.extent(chunks.block_of(first)).start;
        let hull = AxisSelection {
            start,
            step: 1,
            len: chunks.extent(chunks.block_of(last)).end - start,
        };
        let operand = culled(graph, x, axis, hull, slice_axis(&chunks, hull));
        let mut axes = grid.axes().to_vec();
        let len = list.len() as u64;
        axes[axis] = AxisChunks::Regular {
            len,
            chunk: axes[axis].chunk_max().min(len),
        };
        let positions = list.iter().map(|position| position - start).collect();
        parts.push(graph.add(Op::Take { axis, positions }, vec![operand], dtype, grid_of(axes)));
    }
    graph.set(ix, Op::Concatenate(axis), parts);
    true
}

/// A list of elementwise work on one array, or of a view, that nothing else uses: what is not listed is not made.
pub(super) fn list_through(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, axis, positions)) = taken(graph, ix) else {
        return false;
    };
    let is_less = (positions.len() as u64) < graph.grid(x).axes()[axis].len();
    let passes = |op: &Op| {
        op.is_elementwise()
            || matches!(
                op,
                Op::Transpose(_) | Op::ExpandDims(_) | Op::Squeeze(_) | Op::BroadcastTo
            )
    };
    let node = graph.node(x).clone();
    if !is_less || !passes(&node.op) || !graph.is_only_user(x, ix) {
        return false;
    }
    let places: Vec<Option<usize>> = (0..node.operands.len())
        .map(|position| {
            operand_axes(graph, x, position)
                .iter()
                .position(|place| *place == Some(axis))
        })
        .collect();
    // Several operands would be looked up each for itself, and wide ones are better made narrow first.
    let mut along = places
        .iter()
        .zip(&node.operands)
        .filter_map(|(place, &x)| place.map(|_| x));
    let (Some(only), None) = (along.next(), along.next()) else {
        return false;
    };
    if graph.node(only).dtype.size_bytes() > node.dtype.size_bytes()
        || matches!(graph.op(only), Op::Constant(_))
    {
        return false;
    }
    let positions: Arc<[u64]> = positions.into();
    let result = graph.grid(ix).axes().to_vec();
    let operands = node.operands.iter().enumerate().map(|(position, &operand)| {
        let dtype = graph.node(operand).dtype;
        let grid = grid_of(follow(graph, operand, &operand_axes(graph, x, position), &result));
        match places[position] {
            Some(axis) => {
                let positions = positions.clone();
                graph.add(Op::Take { axis, positions }, vec![operand], dtype, grid)
            }
            None if grid == *graph.grid(operand) => operand,
            None => graph.add(Op::Rechunk, vec![operand], dtype, grid),
        }
    });
    let operands = operands.collect();
    graph.set(ix, node.op, operands);
    true
}

/// Cuts the operand so that each of its blocks holds a position of the list: blocks without one join their neighbours,
/// those before the first and after the last are left out.
pub(super) fn cull_list(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, axis, positions)) = taken(graph, ix) else {
        return false;
    };
    if !graph.is_only_user(x, ix) || positions.is_empty() || matches!(graph.op(x), Op::Held(_)) {
        return false;
    }
    let chunks = graph.grid(x).axes()[axis].clone();
    let mut needed: Vec<u64> = positions
        .iter()
        .map(|&position| chunks.block_of(position))
        .collect();
    needed.sort_unstable();
    needed.dedup();
    if needed.len() as u64 == chunks.count() {
        return false;
    }
    let start = chunks.extent(needed[0]).start;
    let ends = needed.iter().map(|&block| chunks.extent(block).end);
    let mut lengths = Vec::with_capacity(needed.len());
    let mut at = start;
    for end in ends {
        lengths.push(end - at);
        at = end;
    }
    let moved = positions.iter().map(|position| position - start).collect();
    let operand = culled(
        graph,
        x,
        axis,
        AxisSelection {
            start,
            step: 1,
            len: at - start,
        },
        from_lengths(&lengths),
    );
    graph.set(
        ix,
        Op::Take {
            axis,
            positions: moved,
        },
        vec![operand],
    );
    true
}

fn culled(graph: &mut Graph, x: NodeIx, axis: usize, hull: AxisSelection, cuts: AxisChunks) -> NodeIx {
    let mut selections: Vec<_> = graph
        .grid(x)
        .shape()
        .into_iter()
        .map(AxisSelection::whole)
        .collect();
    selections[axis] = hull;
    let mut axes = graph.grid(x).axes().to_vec();
    axes[axis] = cuts;
    let dtype = graph.node(x).dtype;
    graph.add(Op::Slice(selections), vec![x], dtype, grid_of(axes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(runs: &[AxisSelection]) -> Vec<u64> {
        runs.iter()
            .flat_map(|run| (0..run.len).map(|k| run.element(k)))
            .collect()
    }

    #[test]
    fn runs_make_up_the_list() {
        for positions in [&[3, 4, 5][..], &[5, 3, 8], &[0, 2, 4, 4, 4, 3, 2], &[7], &[9, 0]] {
            assert_eq!(listed(&runs(positions).unwrap()), positions);
        }
        assert_eq!(runs(&[3, 4, 5]).unwrap().len(), 1);
        assert_eq!(runs(&[9, 6, 3]).unwrap().len(), 1);
    }

    #[test]
    fn many_short_runs_are_no_slices() {
        let pairs = |count: u64| {
            (0..count)
                .flat_map(|run| [3 * run, 3 * run + 1])
                .collect::<Vec<u64>>()
        };
        assert_eq!(runs(&pairs(4)).map(|runs| runs.len()), Some(4));
        assert_eq!(runs(&pairs(5)), None);
        let long: Vec<u64> = (0..5).flat_map(|run| 20 * run..20 * run + 8).collect();
        assert_eq!(runs(&long).map(|runs| runs.len()), Some(5));
        let every_other: Vec<u64> = (0..2 * RUNS_MAX as u64 + 2)
            .flat_map(|run| 20 * run..20 * run + 8)
            .collect();
        assert_eq!(runs(&every_other), None, "too many");
    }
}
