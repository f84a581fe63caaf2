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

/// Of so many axes that are cut anew at most all combinations are compared.
const COMPARED_AXES_MAX: usize = 5;

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
    let Some(middle) = middle(before, after)? else {
        return Ok(None);
    };
    let bytes = u128::from(after.element_count()) * u128::from(graph.node(ix).dtype.size_bytes());
    let direct = bytes + pieces(before, after) * PIECE_BYTES;
    let in_steps = 2 * bytes + (pieces(before, &middle) + pieces(&middle, after)) * PIECE_BYTES;
    Ok((in_steps < direct).then_some(middle))
}

/// Chunks between those before and those after that need the fewest pieces on both sides; of several such, those that keep
/// the most of the last axes, whose neighbours lie side by side in memory and on disk. Along each axis they are cut as
/// before, as after, or halfway, and none is larger than the largest before or after.
fn middle(before: &ChunkGrid, after: &ChunkGrid) -> Result<Option<ChunkGrid>, ArrayError> {
    let mut found = vec![Vec::new()];
    let axes: Vec<_> = before.axes().iter().zip(after.axes()).collect();
    let differing = axes.iter().filter(|(before, after)| !same_cuts(before, after));
    let compares_all = differing.count() <= COMPARED_AXES_MAX;
    for (before, after) in axes {
        let mut options = vec![halfway(before, after)?];
        if compares_all {
            options.extend([before, after].map(|cuts| cuts.clone()));
            options.dedup();
        }
        let with = |cuts: &Vec<AxisChunks>| {
            let options = options.iter().cloned();
            options
                .map(|option| [cuts.clone(), vec![option]].concat())
                .collect::<Vec<_>>()
        };
        found = found.iter().flat_map(with).collect();
    }
    let halfway = ChunkGrid::new(found[0].clone())?;
    let largest = [before, after, &halfway].map(ChunkGrid::block_len_max);
    let largest = largest.into_iter().max().unwrap_or(0);
    let mut best: Option<(u128, ChunkGrid)> = None;
    for cuts in found {
        let grid = ChunkGrid::new(cuts)?;
        if grid == *before || grid == *after || grid.block_len_max() > largest {
            continue;
        }
        let count = pieces(before, &grid) + pieces(&grid, after);
        let is_better = best.as_ref().is_none_or(|(least, known)| {
            let keeps = |grid: &ChunkGrid| {
                let lengths = grid.axes().iter().rev().map(AxisChunks::chunk_max);
                lengths.collect::<Vec<_>>()
            };
            count < *least || (count == *least && keeps(&grid) > keeps(known))
        });
        if is_better {
            best = Some((count, grid));
        }
    }
    Ok(best.map(|(_, grid)| grid))
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
    fn chunks_between_keep_the_last_axes_where_that_takes_fewer_pieces() {
        let (pancake, pencil) = (
            grid(&[3650, 361, 720], &[10, 361, 720]),
            grid(&[3650, 361, 720], &[3650, 19, 24]),
        );
        let found = middle(&pancake, &pencil).unwrap().unwrap();
        assert_eq!(found, grid(&[3650, 361, 720], &[190, 19, 720]));
        assert!(found.block_len_max() <= pancake.block_len_max());
        assert_eq!(middle(&pancake, &pancake).unwrap(), None);
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
