//! Rewrites that move slices towards the reads.

use graticule_ops::{AxisSelection, ReduceKind};
use graticule_plan::{AxisChunks, ChunkGrid};

use super::{
    blocks::{goes_by_blocks, slice_blocks},
    cohorts::slice_cohorts,
    rechunk::is_cheap_read,
    through::{follow, operand_axes},
};
use crate::{
    expression::{GroupReduce, Op, Reducing},
    graph::{Graph, Node, NodeIx},
    infer::{grid_of, part_axis, slice_axis, slice_grid},
    scan::ScanPart,
    selection::is_whole,
};

pub(super) fn sliced(graph: &Graph, ix: NodeIx) -> Option<(NodeIx, Vec<AxisSelection>)> {
    match graph.op(ix) {
        Op::Slice(selections) => Some((graph.operand(ix, 0), selections.clone())),
        _ => None,
    }
}

/// A slice of a read, of a constant array or of a range.
pub(super) fn slice_into_read(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections)) = sliced(graph, ix) else {
        return false;
    };
    if graph.grid(ix).element_count() == 0 {
        return false;
    }
    let op = match graph.op(x) {
        Op::Source { table, selection } if may_slice(graph, x) => {
            let selection: Vec<_> = selection
                .iter()
                .zip(&selections)
                .map(|(outer, s)| outer.then(*s))
                .collect();
            let cheap = is_cheap_read(graph.grid(ix), graph.grid(x), table, &selection);
            let op = Op::Source {
                table: table.clone(),
                selection,
            };
            if !cheap {
                // In the read's own chunks; what remains is a rechunk.
                let grid = slice_grid(graph.grid(x), &selections);
                set_or_rechunk(graph, ix, op, vec![], grid);
                return true;
            }
            op
        }
        Op::Random(randoms) if may_slice(graph, x) => {
            let mut randoms = randoms.clone();
            let pairs = randoms.selection.iter_mut().zip(&selections);
            pairs.for_each(|(outer, inner)| *outer = outer.then(*inner));
            Op::Random(randoms)
        }
        Op::Full(value) => Op::Full(*value),
        Op::Arange { start, step } => {
            let AxisSelection {
                start: first,
                step: stride,
                ..
            } = selections[0];
            let first = start.wrapping_add(step.wrapping_mul(first as i64));
            Op::Arange {
                start: first,
                step: step.wrapping_mul(stride),
            }
        }
        _ => return false,
    };
    graph.set(ix, op, vec![]);
    true
}

/// Makes `ix` the operation, in other chunks than its own if need be.
pub(super) fn set_or_rechunk(graph: &mut Graph, ix: NodeIx, op: Op, operands: Vec<NodeIx>, grid: ChunkGrid) {
    if grid == *graph.grid(ix) {
        return graph.set(ix, op, operands);
    }
    let dtype = graph.node(ix).dtype;
    let inner = graph.add(op, operands, dtype, grid);
    graph.set(ix, Op::Rechunk, vec![inner]);
}

/// Whether something other than slices and lists uses `x`.
pub(crate) fn is_used_whole(graph: &Graph, x: NodeIx) -> bool {
    let selects = |user: &NodeIx| matches!(graph.op(*user), Op::Slice(_) | Op::Take { .. });
    graph.is_output(x) || !graph.users(x).iter().all(selects)
}

/// Whether `x` is a read, or the same elements converted one by one.
fn is_read(graph: &Graph, mut x: NodeIx) -> bool {
    loop {
        x = match graph.op(x) {
            Op::Source { .. } => return true,
            Op::Cast | Op::Unary(_) | Op::Transpose(_) | Op::ExpandDims(_) | Op::Squeeze(_) => {
                graph.operand(x, 0)
            }
            _ => return false,
        }
    }
}

/// Whether slices of `x` may be computed from slices of its operands, rather than be cut out of it.
///
/// Where all that use `x` are slices and lists, each may make its own part; but if they overlap much and leave nothing
/// out, as the two sides of a difference of neighbours do, `x` is made once. Of a read that something uses whole, small
/// slices are read again: what needs them then does not wait for the whole.
fn may_slice(graph: &Graph, x: NodeIx) -> bool {
    let (mut slices, mut has_lists) = (Vec::new(), false);
    for user in graph.users(x) {
        match graph.op(user) {
            Op::Slice(selections) => slices.push(selections.clone()),
            Op::Take { .. } => has_lists = true,
            _ => {}
        }
    }
    let size = |s: &Vec<AxisSelection>| s.iter().map(|s| s.len).fold(1u64, u64::saturating_mul);
    let selected = slices.iter().map(size).fold(0, u64::saturating_add);
    let all = graph.grid(x).element_count();
    let is_read = is_read(graph, x);
    if is_used_whole(graph, x) {
        return is_read && selected <= all / 2;
    }
    let repeated = if is_read { all / 2 } else { 0 };
    let covers_all = || covers(&slices, &graph.grid(x).shape());
    slices.len() < 2 || has_lists || selected <= all.saturating_add(repeated) || !covers_all()
}

/// Whether slices along one axis leave nothing out. `false` may mean that it is not known.
fn covers(slices: &[Vec<AxisSelection>], shape: &[u64]) -> bool {
    let partial = |axis: &usize| {
        slices
            .iter()
            .any(|s| !is_whole(&s[*axis..=*axis], &shape[*axis..=*axis]))
    };
    let axes: Vec<usize> = (0..shape.len()).filter(partial).collect();
    let [axis] = axes[..] else { return axes.is_empty() };
    let mut ranges = Vec::new();
    for selection in slices.iter().map(|s| s[axis]) {
        if selection.step.unsigned_abs() != 1 || selection.len == 0 {
            continue;
        }
        let (a, b) = (selection.start, selection.element(selection.len - 1));
        ranges.push((a.min(b), a.max(b) + 1));
    }
    ranges.sort_unstable();
    let reached = ranges.iter().fold(
        0,
        |end, range| if range.0 <= end { end.max(range.1) } else { end },
    );
    reached == shape[axis]
}

/// A slice of elementwise work, of a view, of a join, of a slice, or of a reduction along axes that it keeps.
pub(super) fn slice_through(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections)) = sliced(graph, ix) else {
        return false;
    };
    let node = graph.node(x).clone();
    if let Op::Slice(inner) = &node.op {
        let both = inner
            .iter()
            .zip(&selections)
            .map(|(outer, inner)| outer.then(*inner))
            .collect();
        graph.set(ix, Op::Slice(both), node.operands);
        return true;
    }
    if graph.grid(ix).element_count() == 0 || !may_slice(graph, x) {
        return false;
    }
    match &node.op {
        Op::Rechunk => {
            let operand = slice_of(graph, node.operands[0], &selections);
            graph.set(ix, Op::Rechunk, vec![operand]);
        }
        Op::Concatenate(axis) => slice_join(graph, ix, &node, *axis, &selections),
        Op::Take { axis, positions } => {
            let chosen = selections[*axis];
            let positions = (0..chosen.len)
                .map(|k| positions[chosen.element(k) as usize])
                .collect();
            let mut others = selections;
            others[*axis] = AxisSelection::whole(graph.grid(node.operands[0]).axes()[*axis].len());
            let operand = slice_of(graph, node.operands[0], &others);
            graph.set(
                ix,
                Op::Take {
                    axis: *axis,
                    positions,
                },
                vec![operand],
            );
        }
        // Its lines do not know of each other.
        Op::Scan(scan, ScanPart::Whole { skip: 0 })
            if is_whole(
                &selections[scan.axis..=scan.axis],
                &graph.grid(x).shape()[scan.axis..],
            ) =>
        {
            let grid = slice_grid(&node.grid, &selections);
            slice_operands(graph, ix, x, node.op.clone(), &selections, grid);
        }
        Op::GroupReduce(group) if group.cohorts.is_some() => {
            return slice_cohorts(graph, ix, x, &group.clone(), &selections);
        }
        op if goes_by_blocks(op) => return slice_blocks(graph, ix, x, &selections),
        Op::GroupReduce(group) => slice_groups(graph, ix, &node, group, &selections),
        Op::Reduce(reduce) => {
            let mut reduce = reduce.clone();
            slice_quantiles(&mut reduce.reduction, &selections);
            let op = Op::Reduce(reduce);
            let grid = slice_grid(&node.grid, &selections);
            slice_operands(graph, ix, x, op, &selections, grid);
        }
        op if op.is_elementwise() || is_view(op) || matches!(op, Op::Search(_)) => {
            let grid = graph.grid(ix).clone();
            slice_operands(graph, ix, x, node.op.clone(), &selections, grid);
        }
        _ => return false,
    }
    true
}

fn is_view(op: &Op) -> bool {
    matches!(
        op,
        Op::Transpose(_) | Op::ExpandDims(_) | Op::Squeeze(_) | Op::BroadcastTo | Op::TakeAlong(_)
    )
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

/// A slice of `x` cut where `x` is.
pub(super) fn slice_of(graph: &mut Graph, x: NodeIx, selections: &[AxisSelection]) -> NodeIx {
    if is_whole(selections, &graph.grid(x).shape()) {
        return x;
    }
    let cuts = graph.grid(x).axes().iter().zip(selections);
    let grid = grid_of(
        cuts.map(|(chunks, selection)| part_axis(chunks, *selection))
            .collect(),
    );
    let dtype = graph.node(x).dtype;
    graph.add(Op::Slice(selections.to_vec()), vec![x], dtype, grid)
}

/// What a selection of a node's result selects of an operand.
pub(super) fn operand_selections(
    graph: &Graph,
    x: NodeIx,
    position: usize,
    selections: &[AxisSelection],
) -> Vec<AxisSelection> {
    let places = operand_axes(graph, x, position);
    let own = graph.grid(graph.operand(x, position)).shape();
    let inner = places.iter().zip(&own);
    inner
        .map(|(place, &len)| place.map_or_else(|| AxisSelection::whole(len), |axis| selections[axis]))
        .collect()
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
