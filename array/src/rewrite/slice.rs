//! Rewrites that move slices towards the reads.

use graticule_ops::AxisSelection;
use graticule_plan::ChunkGrid;

use super::{rechunk::is_cheap_read, through::operand_axes};
use crate::{
    expression::Op,
    graph::{Graph, NodeIx},
    infer::{grid_of, part_axis, slice_grid},
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
pub(super) fn may_slice(graph: &Graph, x: NodeIx) -> bool {
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

/// A slice of a slice.
pub(super) fn merge_slices(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((x, selections)) = sliced(graph, ix) else {
        return false;
    };
    let Op::Slice(inner) = graph.op(x) else {
        return false;
    };
    let both = inner
        .iter()
        .zip(&selections)
        .map(|(outer, inner)| outer.then(*inner))
        .collect();
    let operands = graph.node(x).operands.clone();
    graph.set(ix, Op::Slice(both), operands);
    true
}

/// A window on elements along axes of one block each.
pub(super) fn windows_to_slice(graph: &mut Graph, ix: NodeIx) -> bool {
    let Op::Windows(intervals) = graph.op(ix) else {
        return false;
    };
    let x = graph.operand(ix, 0);
    let mut selections = Vec::with_capacity(intervals.len());
    for (axis, intervals) in intervals.iter().enumerate() {
        selections.push(match intervals.as_deref() {
            None => AxisSelection::whole(graph.grid(x).axes()[axis].len()),
            Some(&[(start, end)]) => AxisSelection {
                start,
                step: 1,
                len: end - start,
            },
            Some(_) => return false,
        });
    }
    graph.set(ix, Op::Slice(selections), vec![x]);
    true
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
