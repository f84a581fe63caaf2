//! Slices before what they were taken of.

use graticule_ops::{AxisSelection, ReduceKind};
use graticule_plan::{AxisChunks, ChunkGrid};

use super::{
    blocks::{goes_by_blocks, slice_blocks},
    cohorts::slice_cohorts,
    slice::{may_slice, operand_selections, set_or_rechunk, slice_of, sliced},
    through::{follow, operand_axes},
};
use crate::{
    expression::{GroupReduce, Op, Reducing},
    graph::{Graph, Node, NodeIx},
    infer::{grid_of, slice_axis, slice_grid},
    scan::ScanPart,
    selection::is_whole,
};

/// A slice, what it is taken of, and that node, where the slice may be taken earlier.
fn found(graph: &Graph, ix: NodeIx) -> Option<(NodeIx, Vec<AxisSelection>, Node)> {
    let (x, selections) = sliced(graph, ix)?;
    let is_worth_it = graph.grid(ix).element_count() > 0 && may_slice(graph, x);
    is_worth_it.then(|| (x, selections, graph.node(x).clone()))
}

/// Whether a slice along lines that do not know of each other passes the scan.
fn keeps_lines(graph: &Graph, x: NodeIx, op: &Op, selections: &[AxisSelection]) -> bool {
    let Op::Scan(scan, ScanPart::Whole { skip: 0 }) = op else {
        return false;
    };
    let along = scan.axis..=scan.axis;
    is_whole(&selections[along.clone()], &graph.grid(x).shape()[along])
}

/// Of elementwise work, and of what is looked up element by element.
pub(super) fn elementwise(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections, node)) = found(graph, ix) else {
        return false;
    };
    if !node.op.is_elementwise() && !matches!(node.op, Op::Search(_)) {
        return false;
    }
    let grid = graph.grid(ix).clone();
    slice_operands(graph, ix, x, node.op, &selections, grid);
    true
}

/// Of a transpose, a broadcast, axes of length 1.
pub(super) fn views(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections, node)) = found(graph, ix) else {
        return false;
    };
    if !is_view(&node.op) {
        return false;
    }
    let grid = graph.grid(ix).clone();
    slice_operands(graph, ix, x, node.op, &selections, grid);
    true
}

fn is_view(op: &Op) -> bool {
    matches!(
        op,
        Op::Transpose(_) | Op::ExpandDims(_) | Op::Squeeze(_) | Op::BroadcastTo | Op::TakeAlong(_)
    )
}

/// Of a rechunk.
pub(super) fn rechunk(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((_, selections, node)) = found(graph, ix) else {
        return false;
    };
    if !matches!(node.op, Op::Rechunk) {
        return false;
    }
    let operand = slice_of(graph, node.operands[0], &selections);
    graph.set(ix, Op::Rechunk, vec![operand]);
    true
}

/// Of a join.
pub(super) fn join(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((_, selections, node)) = found(graph, ix) else {
        return false;
    };
    let Op::Concatenate(axis) = node.op else {
        return false;
    };
    slice_join(graph, ix, &node, axis, &selections);
    true
}

/// Of a list of positions.
pub(super) fn list(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((_, selections, node)) = found(graph, ix) else {
        return false;
    };
    let Op::Take { axis, positions } = node.op else {
        return false;
    };
    let chosen = selections[axis];
    let positions = (0..chosen.len)
        .map(|k| positions[chosen.element(k) as usize])
        .collect();
    let mut others = selections;
    others[axis] = AxisSelection::whole(graph.grid(node.operands[0]).axes()[axis].len());
    let operand = slice_of(graph, node.operands[0], &others);
    graph.set(ix, Op::Take { axis, positions }, vec![operand]);
    true
}

/// Of a reduction of which no bit hangs on the order of its elements.
pub(super) fn reduction(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections, node)) = found(graph, ix) else {
        return false;
    };
    let Op::Reduce(reduce) = &node.op else {
        return false;
    };
    if goes_by_blocks(&node.op) {
        return false;
    }
    if takes_windows_apart(graph, &node, &selections) {
        return slice_blocks(graph, ix, x, &selections);
    }
    let mut reduce = reduce.clone();
    slice_quantiles(&mut reduce.reduction, &selections);
    let grid = slice_grid(&node.grid, &selections);
    slice_operands(graph, ix, x, Op::Reduce(reduce), &selections, grid);
    true
}

/// Whether a slice would come between windows and their reduction, which then were stored to be cut.
fn takes_windows_apart(graph: &Graph, node: &Node, selections: &[AxisSelection]) -> bool {
    let (Op::Reduce(reduce), mut windows) = (&node.op, node.operands[0]) else {
        return false;
    };
    // Blocks of them may have been left out before.
    while matches!(graph.op(windows), Op::Slice(_)) {
        windows = graph.operand(windows, 0);
    }
    match *graph.op(windows) {
        Op::Sliding { axis, .. } => {
            let len = graph.grid(node.operands[0]).axes()[axis].len();
            reduce.axes == [axis + 1] && !is_whole(&selections[axis..=axis], &[len])
        }
        _ => false,
    }
}

/// Of a reduction by groups.
pub(super) fn groups(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections, node)) = found(graph, ix) else {
        return false;
    };
    let Op::GroupReduce(group) = &node.op else {
        return false;
    };
    if group.cohorts.is_some() {
        return slice_cohorts(graph, ix, x, group, &selections);
    }
    if goes_by_blocks(&node.op) {
        return false;
    }
    slice_groups(graph, ix, &node, group, &selections);
    true
}

/// Of a scan along another axis.
pub(super) fn scan(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections, node)) = found(graph, ix) else {
        return false;
    };
    if !keeps_lines(graph, x, &node.op, &selections) {
        return false;
    }
    let grid = slice_grid(&node.grid, &selections);
    slice_operands(graph, ix, x, node.op, &selections, grid);
    true
}

/// Of windows along another axis. Along theirs, whole blocks alone are left out.
pub(super) fn windows(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections, node)) = found(graph, ix) else {
        return false;
    };
    let is_windowed = |axis: usize| match &node.op {
        Op::Windows(axes) => axes[axis].is_some(),
        Op::Sliding { axis: windowed, .. } => axis == *windowed || axis == windowed + 1,
        _ => true,
    };
    let shape = node.grid.shape();
    let (mut rest, mut others) = (selections, Vec::with_capacity(shape.len()));
    for (axis, &len) in shape.iter().enumerate() {
        let whole = AxisSelection::whole(len);
        others.push(if is_windowed(axis) {
            whole
        } else {
            let selected = rest[axis];
            rest[axis] = AxisSelection::whole(selected.len);
            selected
        });
    }
    if is_whole(&others, &shape) {
        return false;
    }
    let mut inner = operand_selections(graph, x, 0, &others);
    // Along an axis of windows the operand is longer than what is made of it.
    let lens = graph.grid(node.operands[0]).shape();
    for ((selected, place), len) in inner.iter_mut().zip(operand_axes(graph, x, 0)).zip(lens) {
        if place.is_some_and(is_windowed) {
            *selected = AxisSelection::whole(len);
        }
    }
    let operand = slice_of(graph, node.operands[0], &inner);
    let grid = slice_grid(&node.grid, &others);
    let part = graph.add(node.op, vec![operand], node.dtype, grid);
    let op = if is_whole(&rest, &graph.grid(part).shape()) {
        Op::Rechunk
    } else {
        Op::Slice(rest)
    };
    graph.set(ix, op, vec![part]);
    true
}

/// Of what must keep its blocks.
pub(super) fn by_blocks(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections, node)) = found(graph, ix) else {
        return false;
    };
    let has_cohorts = matches!(&node.op, Op::GroupReduce(group) if group.cohorts.is_some());
    if has_cohorts || !goes_by_blocks(&node.op) || keeps_lines(graph, x, &node.op, &selections) {
        return false;
    }
    slice_blocks(graph, ix, x, &selections)
}

/// Makes `ix` the operation of `x` in the chunks of `grid` on slices of its operands.
fn slice_operands(
    graph: &mut Graph,
    ix: NodeIx,
    x: NodeIx,
    op: Op,
    selections: &[AxisSelection],
    grid: ChunkGrid,
) {
    let mut operands = graph.node(x).operands.clone();
    for (position, operand) in operands.iter_mut().enumerate() {
        let places = operand_axes(graph, x, position);
        let own = graph.grid(*operand).shape();
        let inner = operand_selections(graph, x, position, selections);
        let own_grid = grid_of(follow(graph, *operand, &places, grid.axes()));
        let dtype = graph.node(*operand).dtype;
        if !is_whole(&inner, &own) {
            *operand = graph.add(Op::Slice(inner), vec![*operand], dtype, own_grid);
        } else if own_grid != *graph.grid(*operand) {
            *operand = graph.add(Op::Rechunk, vec![*operand], dtype, own_grid);
        }
    }
    set_or_rechunk(graph, ix, op, operands, grid);
}

/// The quantiles that a slice of the leading axis keeps.
fn slice_quantiles(reduction: &mut Reducing, selections: &[AxisSelection]) {
    let Reducing(reduction) = reduction;
    if let ReduceKind::Quantile { qs } = &mut reduction.kind {
        *qs = (0..selections[0].len)
            .map(|k| qs[selections[0].element(k) as usize])
            .collect();
    }
}

/// A slice along the groups numbers those anew that it keeps.
fn slice_groups(
    graph: &mut Graph,
    ix: NodeIx,
    node: &Node,
    group: &GroupReduce,
    selections: &[AxisSelection],
) {
    let lead = group.lead();
    let first = group.axes[0];
    let chosen = selections[first + lead];
    let mut number = vec![-1; group.groups.len() as usize];
    (0..chosen.len)
        .zip(0..)
        .for_each(|(k, new)| number[chosen.element(k) as usize] = new);
    let renumber = |&code: &i32| usize::try_from(code).map_or(-1, |code| number[code]);
    let codes = group.codes.iter().map(renumber).collect();
    let mut op = GroupReduce {
        codes,
        groups: AxisChunks::whole(chosen.len),
        ..group.clone()
    };
    slice_quantiles(&mut op.reduction, selections);
    let op = Op::GroupReduce(op);
    let x = node.operands[0];
    let whole = |axis: usize| AxisSelection::whole(graph.grid(x).axes()[axis].len());
    let mut inner = selections[lead..].to_vec();
    inner[first] = whole(first);
    group.axes[1..]
        .iter()
        .for_each(|&axis| inner.insert(axis, whole(axis)));
    let operand = slice_of(graph, x, &inner);
    let grid = slice_grid(&node.grid, selections);
    set_or_rechunk(graph, ix, op, vec![operand], grid);
}

/// A slice of a join is a join of slices of those parts that it reaches into.
fn slice_join(graph: &mut Graph, ix: NodeIx, node: &Node, axis: usize, selections: &[AxisSelection]) {
    let AxisSelection { start, step, len } = selections[axis];
    let (mut offset, mut parts) = (0u64, Vec::new());
    for &part in &node.operands {
        let part_len = graph.grid(part).axes()[axis].len();
        let range = offset..offset + part_len;
        offset += part_len;
        // The first and last of the slice's elements that lie in the part.
        let (from, to) = if step > 0 {
            (range.start, range.end - 1)
        } else {
            (range.end - 1, range.start)
        };
        let steps_to = |element: u64| i128::from(element) - i128::from(start);
        let first = div_ceil(steps_to(from), step.into()).max(0);
        let last = div_floor(steps_to(to), step.into()).min(i128::from(len) - 1);
        if first > last {
            continue;
        }
        let element = selections[axis].element(first as u64) - range.start;
        let mut inner = selections.to_vec();
        inner[axis] = AxisSelection {
            start: element,
            step,
            len: (last - first + 1) as u64,
        };
        let mut axes = graph.grid(ix).axes().to_vec();
        axes[axis] = slice_axis(&graph.grid(part).axes()[axis], inner[axis]);
        let dtype = graph.node(part).dtype;
        let is_all = is_whole(&inner, &graph.grid(part).shape());
        let op = if is_all { Op::Rechunk } else { Op::Slice(inner) };
        parts.push(graph.add(op, vec![part], dtype, grid_of(axes)));
    }
    if step < 0 {
        parts.reverse();
    }
    graph.set(ix, Op::Concatenate(axis), parts);
}

fn div_floor(a: i128, b: i128) -> i128 {
    let quotient = a / b;
    if a % b != 0 && (a < 0) != (b < 0) {
        quotient - 1
    } else {
        quotient
    }
}

fn div_ceil(a: i128, b: i128) -> i128 {
    -div_floor(-a, b)
}
