//! Scans along an axis of several blocks go in parts: the state after each block, of groups of such states, and then
//! each block again after the states before it.
//!
//! The first block of a result needs the first block of the operand alone, and each further one what stands before it; so
//! of a long axis no more is held than what was read ahead.

use graticule_ops::{AxisSelection, Scan};
use graticule_plan::AxisChunks;

use crate::{
    ArrayError,
    creation::small,
    expression::Op,
    graph::{Graph, NodeIx},
    infer::{from_lengths, with_axis},
    scan::{SCAN_FAN_IN, ScanPart},
};

/// Replaces every scan along an axis of several blocks by its parts.
pub(super) fn expand(graph: &mut Graph) -> Result<(), ArrayError> {
    for ix in graph.topological() {
        let &Op::Scan(scan, ScanPart::Whole { skip }) = graph.op(ix) else {
            continue;
        };
        if graph.grid(ix).element_count() == 0 {
            let zero = small(0, graph.node(ix).dtype);
            graph.set(ix, Op::Full(zero), vec![]);
            continue;
        }
        let (before, x) = (graph.len(), graph.operand(ix, 0));
        if graph.grid(x).axes()[scan.axis].count() == 1 {
            continue;
        }
        let totals = totals(graph, x, scan)?;
        let mut operands = vec![x];
        operands.extend(states(graph, totals, scan, skip)?);
        graph.annotate_since(before, ix);
        graph.set(ix, Op::Scan(scan, ScanPart::Each { skip }), operands);
    }
    Ok(())
}

/// The state after each block but the last, which nobody needs.
fn totals(graph: &mut Graph, x: NodeIx, scan: Scan) -> Result<NodeIx, ArrayError> {
    let (dtype, grid) = (graph.node(x).dtype, graph.grid(x).clone());
    let cuts = &grid.axes()[scan.axis];
    let lengths = &cuts.lengths()[..cuts.count() as usize - 1];
    let mut selections: Vec<_> = grid.shape().into_iter().map(AxisSelection::whole).collect();
    selections[scan.axis].len = lengths.iter().sum();
    let cuts = match cuts {
        AxisChunks::Regular { chunk, .. } => AxisChunks::regular(selections[scan.axis].len, *chunk)?,
        AxisChunks::Irregular { .. } => from_lengths(lengths),
    };
    let before = graph.add(
        Op::Slice(selections),
        vec![x],
        dtype,
        with_axis(&grid, scan.axis, cuts)?,
    );
    step(graph, scan, ScanPart::Total, vec![before], lengths.len() as u64)
}

/// The states that stand before each block that follows one of `totals`, from block `skip` on: those in its group, and
/// before them that of the groups before, if there are several.
fn states(graph: &mut Graph, totals: NodeIx, scan: Scan, skip: u64) -> Result<Vec<NodeIx>, ArrayError> {
    // From the totals of blocks up to those of the largest groups; of each level one less than it has groups. With each
    // the first block or group that somebody needs.
    let mut levels = vec![(totals, skip)];
    loop {
        let &(last, skip) = levels.last().expect("there is a first");
        let count = graph.grid(last).axes()[scan.axis].count();
        if count < SCAN_FAN_IN {
            break;
        }
        let groups = step(graph, scan, ScanPart::Group, vec![last], count / SCAN_FAN_IN)?;
        levels.push((groups, skip / SCAN_FAN_IN));
    }
    let (top, mut skip) = levels.pop().expect("there is a first");
    let mut operands = vec![top];
    while let Some((level, skip_below)) = levels.pop() {
        let count = graph.grid(level).axes()[scan.axis].count() / SCAN_FAN_IN + 1;
        let before = step(graph, scan, ScanPart::Prefix { skip }, operands, count - skip)?;
        operands = vec![before, level];
        skip = skip_below;
    }
    Ok(operands)
}

/// A part that gives `count` states along the axis.
fn step(
    graph: &mut Graph,
    scan: Scan,
    part: ScanPart,
    operands: Vec<NodeIx>,
    count: u64,
) -> Result<NodeIx, ArrayError> {
    let grid = with_axis(graph.grid(operands[0]), scan.axis, AxisChunks::regular(count, 1)?)?;
    Ok(graph.add(Op::Scan(scan, part), operands, scan.state_dtype(), grid))
}
