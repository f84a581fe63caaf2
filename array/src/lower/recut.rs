//! Rechunks that would take too many small pieces go in two steps.

use std::collections::BTreeMap;

use graticule_plan::{AxisChunks, ChunkGrid};

use crate::{
    ArrayError,
    expression::Op,
    graph::{Graph, NodeIx},
    infer::{same_cuts, tidy},
    pieces::{PIECE_BYTES, pieces},
    rewrite::{RECHUNK_IN_STEPS, Rewrites},
};

/// Puts chunks of a shape between those before and those after in front of each rechunk where that costs less.
pub(super) fn expand(
    graph: &mut Graph,
    rewrites: &Rewrites,
    counts: &mut BTreeMap<&'static str, u64>,
) -> Result<(), ArrayError> {
    if !rewrites.has(RECHUNK_IN_STEPS) {
        return Ok(());
    }
    for ix in graph.topological() {
        if !matches!(graph.op(ix), Op::Rechunk) {
            continue;
        }
        let x = graph.operand(ix, 0);
        if let Some(between) = between(graph, x, ix)? {
            let (before, dtype) = (graph.len(), graph.node(ix).dtype);
            let step = graph.add(Op::Rechunk, vec![x], dtype, between);
            graph.annotate_since(before, ix);
            graph.set(ix, Op::Rechunk, vec![step]);
            *counts.entry(RECHUNK_IN_STEPS).or_insert(0) += 1;
        }
    }
    Ok(())
}

/// The chunks to go through, if two steps cost less than one: all bytes are moved twice then, in fewer pieces.
fn between(graph: &Graph, x: NodeIx, ix: NodeIx) -> Result<Option<ChunkGrid>, ArrayError> {
    let (before, after) = (graph.grid(x), graph.grid(ix));
    let axes = before.axes().iter().zip(after.axes());
    let middle = axes.map(|(before, after)| halfway(before, after));
    let middle = ChunkGrid::new(middle.collect::<Result<_, _>>()?)?;
    if middle == *before || middle == *after {
        return Ok(None);
    }
    let bytes = u128::from(after.element_count()) * u128::from(graph.node(ix).dtype.size_bytes());
    let direct = bytes + pieces(before, after) * PIECE_BYTES;
    let in_steps = 2 * bytes + (pieces(before, &middle) + pieces(&middle, after)) * PIECE_BYTES;
    Ok((in_steps < direct).then_some(middle))
}

/// Chunks whose length is the geometric mean of both, so that one of them takes no more than the larger of a chunk before
/// and one after; in multiples of the shorter ones, so that these are not cut.
fn halfway(before: &AxisChunks, after: &AxisChunks) -> Result<AxisChunks, ArrayError> {
    if same_cuts(before, after) || before.is_empty() {
        return Ok(after.clone());
    }
    let (short, long) = (
        before.chunk_max().min(after.chunk_max()).max(1),
        before.chunk_max().max(after.chunk_max()).max(1),
    );
    let mean = ((short as f64) * (long as f64)).sqrt() as u64;
    let size = (mean / short).max(1) * short;
    Ok(tidy(&AxisChunks::regular(before.len(), size)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(shape: &[u64], chunk: &[u64]) -> ChunkGrid {
        ChunkGrid::regular(shape, chunk).unwrap()
    }

    #[test]
    fn chunks_between_are_no_larger_and_cut_none_of_the_shorter_ones() {
        let (pancake, pencil) = (grid(&[2896, 2896], &[5, 2896]), grid(&[2896, 2896], &[2896, 5]));
        let axes = pancake.axes().iter().zip(pencil.axes());
        let middle = axes.map(|(a, b)| halfway(a, b).unwrap().chunk_max());
        assert_eq!(middle.collect::<Vec<_>>(), [120, 120]);
        assert_eq!(pieces(&pancake, &pencil), 580 * 580);
        let squares = grid(&[2896, 2896], &[120, 120]);
        assert_eq!(pieces(&pancake, &squares), 580 * 25);
        assert_eq!(pieces(&squares, &pencil), 25 * 580);
        assert_eq!(
            pieces(&grid(&[10], &[4]), &grid(&[10], &[3])),
            6,
            "the cuts at 3, 4, 6, 8 and 9"
        );
    }
}
