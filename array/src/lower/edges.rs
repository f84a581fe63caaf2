//! What a block of a result needs of each operand.

use graticule_ops::Scan;
use graticule_plan::{AxisChunks, AxisWindow, Rows};

use crate::{
    blocks::Reach,
    expression::{Op, Reducer},
    graph::{Graph, NodeIx},
    infer::same_cuts,
    rewrite::operand_axes,
    scan::ScanPart,
    selection::is_whole,
};

/// The most chunks along an axis of which each one's elements are listed.
const INTERVALS_MAX: u64 = 1 << 12;

/// For each axis of a node the axis of the layer's grid whose block index decides, if any does.
///
/// An axis of one block needs none.
pub(super) type Placement = Vec<Option<usize>>;

/// Whether a block needs exactly one block of the operand, so that the operand may be computed in the same task.
pub(super) fn is_blockwise(op: &Op) -> bool {
    match op {
        Op::Slice(_)
        | Op::Take { .. }
        | Op::Concatenate(_)
        | Op::Rechunk
        | Op::Windows(_)
        | Op::Compact(_)
        | Op::Combine(..)
        | Op::Finish(_) => false,
        Op::Scan(_, part) => part.is_blockwise(),
        Op::Apply(apply) => !apply.gathers,
        _ => true,
    }
}

/// Whether a block of a slice, a list or a join can be cut out of, or put together from, one block of each operand: all
/// that changes lies along axes of one block.
pub(super) fn is_local(graph: &Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    let changes = |axis: usize, x: NodeIx| match &node.op {
        Op::Slice(selections) => !is_whole(&selections[axis..=axis], &[graph.grid(x).axes()[axis].len()]),
        Op::Concatenate(changed) | Op::Take { axis: changed, .. } => axis == *changed,
        _ => true,
    };
    let axes = node.grid.axes();
    let along = |axis: usize, x: NodeIx| {
        let own = &graph.grid(x).axes()[axis];
        match changes(axis, x) {
            true => own.count() == 1 && axes[axis].count() == 1,
            false => same_cuts(own, &axes[axis]),
        }
    };
    matches!(node.op, Op::Slice(_) | Op::Take { .. } | Op::Concatenate(_))
        && node.grid.element_count() > 0
        && node
            .operands
            .iter()
            .all(|&x| (0..axes.len()).all(|axis| along(axis, x)))
}

/// Where the axes of an operand are placed, if those of the node are placed so. For blockwise operations.
pub(super) fn operand_placement(
    graph: &Graph,
    ix: NodeIx,
    position: usize,
    placement: &Placement,
) -> Placement {
    let places = match graph.op(ix) {
        // Each block of the operand makes one block of partials.
        Op::Partial(_) => (0..placement.len()).map(Some).collect(),
        Op::GroupReduce(group) if group.cohorts.is_some() => {
            let mut places = operand_axes(graph, ix, position);
            places[group.axes[0]] = Some(group.axes[0] + group.lead());
            places
        }
        _ => operand_axes(graph, ix, position),
    };
    places
        .into_iter()
        .map(|place| place.and_then(|axis| placement[axis]))
        .collect()
}

/// The windows on an operand that stays a layer of its own, or `None` if one cannot be said in terms of the axes of the
/// layer whose result is `root`: it depends on none of them and is no whole block, or on elements of one that is cut
/// otherwise (the partials of a reduction).
///
/// A slice, a list or a join of axes of one block takes its operand whole where a part cannot be said.
pub(super) fn windows(
    graph: &Graph,
    ix: NodeIx,
    position: usize,
    placement: &Placement,
    root: NodeIx,
) -> Option<Vec<AxisWindow>> {
    element_windows(graph, ix, position, placement, root).or_else(|| {
        let axes = graph.grid(graph.operand(ix, position)).axes().iter();
        let whole = axes
            .zip(placement)
            .map(|(chunks, place)| aligned(chunks, *place))
            .collect();
        is_local(graph, ix).then_some(whole)
    })
}

/// The windows on the very elements that a block needs, if they can be said.
pub(super) fn element_windows(
    graph: &Graph,
    ix: NodeIx,
    position: usize,
    placement: &Placement,
    root: NodeIx,
) -> Option<Vec<AxisWindow>> {
    let node = graph.node(ix);
    let operand = graph.grid(node.operands[position]);
    if is_blockwise(&node.op) {
        let inner = operand_placement(graph, ix, position, placement);
        let axes = operand.axes().iter().zip(inner);
        return Some(axes.map(|(chunks, place)| aligned(chunks, place)).collect());
    }
    let layer = graph.grid(root).axes();
    let axis_window = |axis: usize| {
        let (source, place) = (&operand.axes()[axis], || placement[axis]);
        let made = match &node.op {
            Op::Slice(selections) if !is_whole(&selections[axis..=axis], &[source.len()]) => {
                let selection = selections[axis];
                match place() {
                    Some(out_axis) => {
                        let start = i64::try_from(selection.start).expect("axes are shorter than 2^63");
                        Some(AxisWindow::Affine {
                            out_axis,
                            start,
                            step: selection.step,
                        })
                    }
                    None => block_of_slice(source, selection.start, selection.step, selection.len),
                }
            }
            Op::Take {
                axis: taken,
                positions,
            } if *taken == axis => Some(take_window(graph, ix, source, positions, place())),
            Op::Concatenate(joined) if *joined == axis => Some(match place() {
                _ if source.count() == 1 && node.grid.axes()[axis].count() == 1 => AxisWindow::All,
                None => AxisWindow::All,
                Some(out_axis) => {
                    let before = &node.operands[..position];
                    let offset: u64 = before.iter().map(|&x| graph.grid(x).axes()[axis].len()).sum();
                    let start = -i64::try_from(offset).expect("axes are shorter than 2^63");
                    AxisWindow::Affine {
                        out_axis,
                        start,
                        step: 1,
                    }
                }
            }),
            Op::Windows(axes) if axes[axis].is_some() => {
                let intervals = axes[axis].clone().expect("just asked");
                match place() {
                    Some(out_axis) => Some(AxisWindow::Intervals { out_axis, intervals }),
                    None => {
                        let (start, end) = intervals[0];
                        block_of_slice(source, start, 1, end - start)
                    }
                }
            }
            Op::Compact(compacted) if *compacted == axis => Some(full_blocks(source, place())),
            Op::Combine(reducer, fans) => Some(match reducer.axes().iter().position(|&a| a == axis) {
                Some(reduced) => {
                    let out_axis = place().expect("a combining step is a layer of its own");
                    AxisWindow::Group {
                        out_axis,
                        fan_in: fans[reduced],
                    }
                }
                None => aligned(source, place()),
            }),
            Op::Scan(scan, part) if scan.axis == axis => {
                scan_window(graph, ix, position, (scan, part), place())
            }
            Op::Scan(..) => Some(aligned(source, place())),
            Op::Apply(apply) => Some(match apply.operands[position].reaches[axis] {
                Reach::Block(axis) => aligned(source, placement[axis]),
                Reach::Group { axis, fan_in } => match placement[axis] {
                    Some(out_axis) => AxisWindow::Group { out_axis, fan_in },
                    None => AxisWindow::All,
                },
                Reach::Whole => AxisWindow::All,
            }),
            Op::Finish(reducer) => Some(finish_window(graph, ix, reducer, axis, source, placement)),
            _ => recut(source, &node.grid.axes()[axis], layer, place()),
        };
        made.filter(|window| match window {
            AxisWindow::Affine { out_axis, .. } => same_cuts(&layer[*out_axis], &node.grid.axes()[axis]),
            _ => true,
        })
    };
    (0..operand.ndim()).map(axis_window).collect()
}

fn aligned(source: &AxisChunks, place: Option<usize>) -> AxisWindow {
    match place {
        Some(out_axis) if source.count() > 1 => AxisWindow::Aligned { out_axis },
        _ => AxisWindow::All,
    }
}

/// The same elements in other chunks; `None` where these cannot be said in terms of the layer's axes.
fn recut(
    source: &AxisChunks,
    wanted: &AxisChunks,
    layer: &[AxisChunks],
    place: Option<usize>,
) -> Option<AxisWindow> {
    let Some(out_axis) = place.filter(|_| wanted.count() > 1) else {
        return Some(AxisWindow::All);
    };
    if same_cuts(source, wanted) {
        return Some(AxisWindow::Aligned { out_axis });
    }
    let own = &layer[out_axis];
    if same_cuts(own, wanted) {
        return Some(AxisWindow::Affine {
            out_axis,
            start: 0,
            step: 1,
        });
    }
    // The layer's blocks are of other lengths than what they are made of, as those of partials are.
    let can_be_listed = own.count() == wanted.count() && own.count() <= INTERVALS_MAX;
    can_be_listed.then(|| AxisWindow::Intervals {
        out_axis,
        intervals: (0..wanted.count())
            .map(|block| wanted.extent(block))
            .map(|extent| (extent.start, extent.end))
            .collect(),
    })
}

/// The window of a slice that is the same for all blocks, where it is exactly a source block.
fn block_of_slice(source: &AxisChunks, start: u64, step: i64, len: u64) -> Option<AxisWindow> {
    if len == 0 {
        return None;
    }
    let size = step.unsigned_abs();
    let low = if step > 0 { start } else { start - (len - 1) * size };
    let block = source.block_of(low);
    let whole = source.extent(block) == (low..low + (len - 1) * size + 1);
    match source.count() {
        1 if whole => Some(AxisWindow::All),
        _ => whole.then_some(AxisWindow::Block { block }),
    }
}

fn finish_window(
    graph: &Graph,
    ix: NodeIx,
    reducer: &Reducer,
    axis: usize,
    source: &AxisChunks,
    placement: &Placement,
) -> AxisWindow {
    if let Reducer::Groups(group) = reducer
        && axis == group.axes[0]
        && let Some((rows, out_axis)) = group.cohort_blocks().zip(placement[axis])
    {
        return AxisWindow::Rows { out_axis, rows };
    }
    if reducer.axes().contains(&axis) {
        return AxisWindow::All;
    }
    let place = operand_axes(graph, ix, 0)[axis].and_then(|axis| placement[axis]);
    aligned(source, place)
}

/// Each block that is not empty, with the empty ones before it, and after the last one: so that somebody needs them.
fn full_blocks(source: &AxisChunks, place: Option<usize>) -> AxisWindow {
    let Some(out_axis) = place else {
        return AxisWindow::All;
    };
    let (mut rows, mut row): (Vec<Vec<u64>>, Vec<u64>) = (Vec::new(), Vec::new());
    for (block, len) in (0..).zip(source.lengths()) {
        row.push(block);
        if len > 0 {
            rows.push(std::mem::take(&mut row));
        }
    }
    match rows.last_mut() {
        Some(last) => last.append(&mut row),
        None => rows.push(row),
    }
    let rows = Rows::new(rows);
    AxisWindow::Rows { out_axis, rows }
}

/// The elements or states that a part of a scan takes along its axis.
fn scan_window(
    graph: &Graph,
    ix: NodeIx,
    position: usize,
    (scan, part): (&Scan, &ScanPart),
    place: Option<usize>,
) -> Option<AxisWindow> {
    let out_axis = place?;
    let count = graph.grid(ix).axes()[scan.axis].count();
    let source = &graph.grid(graph.operand(ix, position)).axes()[scan.axis];
    Some(
        match part.intervals(position, graph.node(ix).operands.len(), count) {
            Some(intervals) => AxisWindow::Intervals { out_axis, intervals },
            None if part.skip() == 0 => aligned(source, place),
            None => AxisWindow::Affine {
                out_axis,
                start: i64::try_from(source.extent(part.skip()).start).expect("axes are shorter than 2^63"),
                step: 1,
            },
        },
    )
}

/// The source blocks that each block of a list of positions needs.
fn take_window(
    graph: &Graph,
    ix: NodeIx,
    source: &AxisChunks,
    positions: &[u64],
    place: Option<usize>,
) -> AxisWindow {
    let Some(out_axis) = place else {
        return AxisWindow::All;
    };
    let Op::Take { axis, .. } = graph.op(ix) else {
        unreachable!("the caller matched it")
    };
    let wanted = &graph.grid(ix).axes()[*axis];
    let rows = (0..wanted.count()).map(|block| {
        let extent = wanted.extent(block);
        let list = &positions[extent.start as usize..extent.end as usize];
        let mut blocks: Vec<u64> = list.iter().map(|&position| source.block_of(position)).collect();
        blocks.sort_unstable();
        blocks.dedup();
        blocks
    });
    let rows: Vec<Vec<u64>> = rows.collect();
    // Every block of a layer must be needed by somebody; where lists leave some out, the first one needs them all.
    let x = graph.operand(ix, 0);
    let others_need_all = || {
        matches!(graph.op(x), Op::Held(_))
            || !is_first_list(graph, ix, x)
            || crate::rewrite::is_used_whole(graph, x)
    };
    if others_need_all() || crate::rewrite::are_all_selected(graph, x, *axis) {
        AxisWindow::Rows {
            out_axis,
            rows: Rows::new(rows),
        }
    } else {
        AxisWindow::All
    }
}

/// Whether no list that uses `x` stands before this one.
fn is_first_list(graph: &Graph, ix: NodeIx, x: NodeIx) -> bool {
    let is_list = |user: &NodeIx| matches!(graph.op(*user), Op::Take { .. });
    graph.each_user(x).filter(is_list).min() == Some(ix)
}
