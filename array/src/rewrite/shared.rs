//! Reductions that take the chunks another part of the expression has the same array in.

use graticule_ops::ReduceKind;
use graticule_plan::AxisChunks;

use super::{reductions::is_order_free, through::operand_axes};
use crate::{
    expression::{GroupReduce, Op},
    graph::{Graph, NodeIx},
    infer::grid_of,
    pieces::{PIECE_BYTES, pieces},
};

/// A reduction that has an array put together for itself.
struct Apart {
    /// The array.
    x: NodeIx,
    /// The rechunk or the list that puts it together.
    own: NodeIx,
    axes: Vec<usize>,
}

/// A reduction that has elements brought together for it alone, where the same array is put together along the reduced
/// axes for another purpose too: it takes those chunks, and what comes out of it, which is little, is cut anew.
pub(super) fn share_rechunk(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some(apart) = apart(graph, ix) else {
        return false;
    };
    if !graph.is_only_user(apart.own, ix) {
        return false;
    }
    let fits = |&other: &NodeIx| other != apart.own && can_take(graph, &apart, other);
    let Some(other) = graph.users(apart.x).into_iter().find(fits) else {
        return false;
    };
    let Some(op) = of_whole_axes(graph, ix, apart.own) else {
        return false;
    };
    let mut result = graph.grid(ix).axes().to_vec();
    for (chunks, place) in graph.grid(other).axes().iter().zip(operand_axes(graph, ix, 0)) {
        if let Some(place) = place {
            result[place] = chunks.clone();
        }
    }
    if let Op::GroupReduce(group) = &op {
        result[group.axes[0] + group.lead()] = group.groups.clone();
    }
    let dtype = graph.node(ix).dtype;
    let reduced = graph.add(op, vec![other], dtype, grid_of(result));
    // A window can be cut anywhere, of whatever chunks.
    let is_window = |user: &NodeIx| matches!(graph.op(*user), Op::Rechunk | Op::Slice(_) | Op::Take { .. });
    if !graph.is_output(ix) && graph.users(ix).iter().all(is_window) {
        graph.replace(ix, reduced);
    } else {
        graph.set(ix, Op::Rechunk, vec![reduced]);
    }
    true
}

/// What a node reduces, if it does so in whole axes or by bands of groups, and no bit of an element hangs on how the
/// other axes are cut.
fn apart(graph: &Graph, ix: NodeIx) -> Option<Apart> {
    let op = graph.op(ix);
    let axes = match op {
        // Each group's elements are taken in their order, in blocks that depend on nothing else.
        Op::GroupReduce(group) => &group.axes,
        Op::Reduce(reduce)
            if is_order_free(reduce)
                || matches!(
                    reduce.reduction.0.kind,
                    ReduceKind::Median | ReduceKind::Quantile { .. }
                ) =>
        {
            &reduce.axes
        }
        _ => return None,
    };
    let own = graph.operand(ix, 0);
    let is_whole = |&axis: &usize| graph.grid(own).axes()[axis].count() == 1;
    let has_bands = matches!(op, Op::GroupReduce(group) if group.cohorts.is_some());
    let is_apart = match graph.op(own) {
        Op::Take { axis, .. } => has_bands && axes == &[*axis],
        Op::Rechunk => !has_bands && axes.iter().all(is_whole),
        _ => false,
    };
    is_apart.then(|| Apart {
        x: graph.operand(own, 0),
        own,
        axes: axes.clone(),
    })
}

/// The same reduction of an array that has the reduced axes in one chunk.
fn of_whole_axes(graph: &Graph, ix: NodeIx, own: NodeIx) -> Option<Op> {
    match (graph.op(ix), graph.op(own)) {
        (Op::GroupReduce(group), Op::Take { axis, positions }) => {
            let len = graph.grid(graph.operand(own, 0)).axes()[*axis].len();
            whole_of_bands(group, positions, &graph.grid(own).axes()[*axis], len).map(Op::GroupReduce)
        }
        (op, _) => Some(op.clone()),
    }
}

/// The reduction of a whole axis of `len` elements, which one by bands makes of those at `positions`, cut into `blocks`;
/// `None` if it takes elements of a group in another order, or one twice.
fn whole_of_bands(
    group: &GroupReduce,
    positions: &[u64],
    blocks: &AxisChunks,
    len: u64,
) -> Option<GroupReduce> {
    if !group.is_blockwise() {
        return None;
    }
    let mut codes = vec![-1; usize::try_from(len).ok()?];
    let mut last = vec![None; usize::try_from(group.groups.len()).ok()?];
    for block in 0..blocks.count() {
        let first = i32::try_from(group.groups.extent(block).start).ok()?;
        for at in blocks.extent(block) {
            let (code, position) = (group.codes[at as usize], positions[at as usize]);
            if code < 0 {
                continue;
            }
            let before = last[(first + code) as usize].replace(position);
            if before.is_some_and(|before| before >= position) {
                return None;
            }
            if std::mem::replace(&mut codes[position as usize], first + code) >= 0 {
                return None;
            }
        }
    }
    Some(GroupReduce {
        codes: codes.into(),
        groups: AxisChunks::whole(group.groups.len()),
        cohorts: None,
        ..group.clone()
    })
}

/// Whether the chunks of `other` do for the reduction in place of its own, and save more than the tasks cost that there
/// are more.
fn can_take(graph: &Graph, apart: &Apart, other: NodeIx) -> bool {
    let (array, before, after) = (graph.grid(apart.x), graph.grid(apart.own), graph.grid(other));
    let is_whole = |&axis: &usize| after.axes()[axis].count() == 1;
    if !matches!(graph.op(other), Op::Rechunk) || !apart.axes.iter().all(is_whole) {
        return false;
    }
    let bytes = u128::from(before.element_count()) * u128::from(graph.node(apart.own).dtype.size_bytes());
    let more = after.block_count().saturating_sub(before.block_count());
    u128::from(more) * PIECE_BYTES < bytes + pieces(array, before) * PIECE_BYTES
}
