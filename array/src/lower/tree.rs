//! Reductions over several blocks become a tree: partials, combined level by level, then the result.

use graticule_plan::{AxisChunks, ChunkGrid};

use crate::{
    ArrayError,
    creation::small,
    expression::{Op, Reducer},
    graph::{Graph, NodeIx},
    infer::{from_lengths, with_axis},
};

/// Replaces every reduction whose reduced axes are cut into several blocks by the steps of its tree.
pub(super) fn expand(graph: &mut Graph) -> Result<(), ArrayError> {
    for ix in graph.topological() {
        let reducer = match graph.op(ix) {
            Op::Reduce(reduce) => Reducer::Axes(reduce.clone()),
            Op::GroupReduce(group) => Reducer::Groups(group.clone()),
            _ => continue,
        };
        if graph.grid(ix).element_count() == 0 {
            let zero = small(0, graph.node(ix).dtype);
            graph.set(ix, Op::Full(zero), vec![]);
            continue;
        }
        let x = graph.operand(ix, 0);
        if matches!(&reducer, Reducer::Groups(group) if group.is_blockwise()) {
            continue;
        }
        if counts(graph.grid(x), &reducer).iter().all(|&count| count == 1) {
            continue;
        }
        let before = graph.len();
        let last = partials(graph, x, &reducer)?;
        graph.annotate_since(before, ix);
        graph.set(ix, Op::Finish(reducer), vec![last]);
    }
    Ok(())
}

fn counts(grid: &ChunkGrid, reducer: &Reducer) -> Vec<u64> {
    reducer
        .axes()
        .iter()
        .map(|&axis| grid.axes()[axis].count())
        .collect()
}

/// Adds the partials of each block and the levels above them, up to the one that a single task can finish.
fn partials(graph: &mut Graph, x: NodeIx, reducer: &Reducer) -> Result<NodeIx, ArrayError> {
    let dtype = reducer.reduction().dtype;
    let mut counts = counts(graph.grid(x), reducer);
    let mut grid = partial_grid(graph.grid(x), reducer, &counts)?;
    if let Reducer::Groups(group) = reducer
        && let Some(lengths) = group.partial_lengths()
    {
        // Cohorts have few blocks each, so one step combines them.
        grid = with_axis(&grid, group.axes[0], from_lengths(&lengths))?;
        return Ok(graph.add(Op::Partial(reducer.clone()), vec![x], dtype, grid));
    }
    let mut last = graph.add(Op::Partial(reducer.clone()), vec![x], dtype, grid);
    while counts.iter().product::<u64>() > reducer.split_every() {
        let fans = fans(&counts, reducer.split_every());
        counts
            .iter_mut()
            .zip(&fans)
            .for_each(|(count, fan)| *count = count.div_ceil(*fan));
        let grid = partial_grid(graph.grid(last), reducer, &counts)?;
        last = graph.add(Op::Combine(reducer.clone(), fans), vec![last], dtype, grid);
    }
    Ok(last)
}

/// The fan-in along each axis: together `split_every` at most, more along axes of more blocks.
pub(crate) fn fans(counts: &[u64], split_every: u64) -> Vec<u64> {
    let mut fans = vec![1; counts.len()];
    loop {
        let left = |axis: &usize| counts[*axis].div_ceil(fans[*axis]);
        let axis = (0..counts.len()).max_by_key(|axis| (left(axis), std::cmp::Reverse(*axis)));
        let axis = axis.expect("there are several blocks, so there is an axis");
        let together: u64 = fans.iter().product();
        if left(&axis) == 1 || together / fans[axis] * (fans[axis] + 1) > split_every {
            return fans;
        }
        fans[axis] += 1;
    }
}

fn partial_grid(grid: &ChunkGrid, reducer: &Reducer, counts: &[u64]) -> Result<ChunkGrid, ArrayError> {
    let mut grid = grid.clone();
    for (position, (&axis, &count)) in reducer.axes().iter().zip(counts).enumerate() {
        let chunk = reducer.partial_len(position);
        grid = with_axis(
            &grid,
            axis,
            AxisChunks::regular(count.saturating_mul(chunk), chunk)?,
        )?;
    }
    Ok(grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fan_in_is_shared_among_the_axes() {
        assert_eq!(fans(&[100], 8), [8]);
        assert_eq!(fans(&[100, 1], 8), [8, 1]);
        assert_eq!(fans(&[100, 100], 8), [3, 2]);
        assert_eq!(fans(&[3, 100], 8), [1, 8]);
        assert_eq!(fans(&[9, 9, 9, 9, 9], 2), [2, 1, 1, 1, 1]);
    }
}
