//! Rewrites that move rechunks towards the reads.

use graticule_ops::AxisSelection;
use graticule_plan::ChunkGrid;

use super::{
    blocks::must_stay_coarse,
    through::{follow, operand_axes},
};
use crate::{
    chunking::AUTO_CHUNK_BYTES,
    expression::{Op, SourceTable},
    graph::{Graph, NodeIx},
    infer::grid_of,
};

/// How often a read in new chunks may decode each stored tile.
const REPEATS_MAX: u64 = 4;

fn rechunked(graph: &Graph, ix: NodeIx) -> Option<NodeIx> {
    matches!(graph.op(ix), Op::Rechunk).then(|| graph.operand(ix, 0))
}

/// A rechunk of a rechunk, of a slice, of a list or of a join: those are windows and may be cut anywhere.
pub(super) fn merge_rechunks(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some(x) = rechunked(graph, ix) else {
        return false;
    };
    if let Op::Concatenate(axis) = *graph.op(x)
        && graph.is_only_user(x, ix)
        && let Some(within) = join_within_blocks(graph, ix, x, axis)
    {
        if within == *graph.grid(x) {
            return false;
        }
        let node = graph.node(x).clone();
        let joined = graph.add(node.op, node.operands, node.dtype, within);
        graph.set(ix, Op::Rechunk, vec![joined]);
        return true;
    }
    let mergeable = match graph.op(x) {
        Op::Rechunk => true,
        Op::Slice(_) | Op::Concatenate(_) | Op::Take { .. } => {
            graph.is_only_user(x, ix) && !must_stay_coarse(graph, x)
        }
        _ => false,
    };
    if mergeable {
        let node = graph.node(x).clone();
        graph.set(ix, node.op, node.operands);
    }
    mergeable
}

/// The chunks in which a join puts blocks together where they are made, if the rechunk after it asks for that along the
/// joined axis, and for other chunks along others: these are cut anew when all is together.
fn join_within_blocks(graph: &Graph, ix: NodeIx, x: NodeIx, axis: usize) -> Option<ChunkGrid> {
    let (before, after) = (graph.grid(x), graph.grid(ix));
    let is_whole = |x: NodeIx| graph.grid(x).axes()[axis].count() == 1;
    let mut axes = before.axes().to_vec();
    axes[axis] = after.axes()[axis].clone();
    let within = grid_of(axes);
    let elements = within.axes().iter().map(|chunks| chunks.chunk_max());
    let bytes = elements.fold(graph.node(x).dtype.size_bytes(), u64::saturating_mul);
    let operands = &graph.node(x).operands;
    let fits = is_whole(ix)
        && operands.iter().all(|&part| is_whole(part))
        && bytes <= AUTO_CHUNK_BYTES
        && within != *after;
    fits.then_some(within)
}

/// A rechunk of a read, of a constant array or of a range.
pub(super) fn rechunk_into_read(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some(x) = rechunked(graph, ix) else {
        return false;
    };
    let fits = match graph.op(x) {
        Op::Source { table, selection } => {
            graph.is_only_user(x, ix) && is_cheap_read(graph.grid(ix), graph.grid(x), table, selection)
        }
        Op::Random(_) => graph.is_only_user(x, ix),
        Op::Full(_) | Op::Arange { .. } => true,
        _ => false,
    };
    if fits {
        let op = graph.op(x).clone();
        graph.set(ix, op, vec![]);
    }
    fits
}

/// Whether a read in chunks of `grid`, rather than `before`, decodes not many more bytes than it needs.
pub(super) fn is_cheap_read(
    grid: &ChunkGrid,
    before: &ChunkGrid,
    table: &SourceTable,
    selection: &[AxisSelection],
) -> bool {
    repeats(grid, table, selection) <= repeats(before, table, selection).max(REPEATS_MAX)
}

/// How often the stored tiles are decoded, each by every chunk that touches it: they are decoded whole.
fn repeats(grid: &ChunkGrid, table: &SourceTable, selection: &[AxisSelection]) -> u64 {
    let axes = grid.axes().iter().zip(&table.tile).zip(selection);
    let along = axes.map(|((chunks, tile), s)| {
        let (chunk, tile) = (chunks.chunk_max().max(1), (tile / s.step.unsigned_abs()).max(1));
        if chunks.count() == 1 || chunk % tile == 0 {
            return 1;
        }
        // The elements of the tiles that a chunk can touch, over those of the chunk.
        let touched = ((chunk - 1).div_ceil(tile) + 1).saturating_mul(tile);
        touched.min(chunks.len().next_multiple_of(tile)) / chunk
    });
    along.fold(1, u64::saturating_mul)
}

/// A rechunk of elementwise work that nothing else uses.
pub(super) fn through_elementwise(graph: &mut Graph, ix: NodeIx) -> bool {
    through(graph, ix, Op::is_elementwise)
}

/// A rechunk of a view that nothing else uses.
pub(super) fn through_views(graph: &mut Graph, ix: NodeIx) -> bool {
    through(graph, ix, |op| {
        matches!(
            op,
            Op::Transpose(_) | Op::ExpandDims(_) | Op::Squeeze(_) | Op::BroadcastTo | Op::TakeAlong(_)
        )
    })
}

fn through(graph: &mut Graph, ix: NodeIx, passes: fn(&Op) -> bool) -> bool {
    let Some(x) = rechunked(graph, ix) else {
        return false;
    };
    if !passes(graph.op(x)) || !graph.is_only_user(x, ix) {
        return false;
    }
    let result = graph.grid(ix).axes().to_vec();
    let node = graph.node(x).clone();
    let operands = node.operands.iter().enumerate().map(|(position, &operand)| {
        let grid = grid_of(follow(graph, operand, &operand_axes(graph, x, position), &result));
        if grid == *graph.grid(operand) {
            return operand;
        }
        let dtype = graph.node(operand).dtype;
        graph.add(Op::Rechunk, vec![operand], dtype, grid)
    });
    let operands = operands.collect();
    graph.set(ix, node.op, operands);
    true
}
