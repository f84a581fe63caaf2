//! Which operations a layer does: fusion.

use std::collections::BTreeMap;

use crate::table::Table;

use crate::{
    expression::Op,
    graph::{Graph, NodeIx},
    lower::edges::{Placement, is_blockwise, is_local, operand_placement, windows},
    rewrite::{FUSE_CUTS, FUSE_ELEMENTWISE, FUSE_READ, FUSE_REDUCTION, FUSE_SMALL, Rewrites},
};

/// How a node is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// By tasks of its own: it is a layer's result.
    Layer,
    /// In the tasks of the layer whose result is `root`, with its axes placed so in that layer's grid.
    Fused { root: NodeIx, placement: Placement },
    /// Anew wherever it is used: constants cost nothing.
    Inline,
    /// Not at all: the cluster holds it.
    Held,
}

/// The most operations that one layer does: programs have a limit, and people read their names.
const OPERATIONS_MAX: usize = 1 << 10;

/// The most bytes of an array that each task makes anew rather than take from another's.
const SMALL_BYTES: u64 = 64 << 10;
/// The most operations that such an array is made by.
const SMALL_OPERATIONS: u32 = 8;

/// Decides for every node, users first; counts fusions by name.
pub(super) fn places(
    graph: &Graph,
    order: &[NodeIx],
    rewrites: &Rewrites,
    counts: &mut BTreeMap<&'static str, u64>,
) -> Table<NodeIx, Place> {
    let mut places: Table<NodeIx, Place> = Table::default();
    let mut sizes: Table<NodeIx, usize> = Table::default();
    for &ix in order.iter().rev() {
        let mut place = match graph.op(ix) {
            Op::Held(_) => Place::Held,
            Op::Constant(_) | Op::Full(_) | Op::Arange { .. } if may_inline(graph, ix, rewrites) => {
                Place::Inline
            }
            _ => match fused(graph, ix, &places, rewrites) {
                Some((place, by)) => {
                    *counts.entry(by).or_insert(0) += 1;
                    place
                }
                None if is_reduced_windows(graph, ix) => Place::Inline,
                None if is_made_anew(graph, ix, &places, rewrites) => {
                    *counts.entry(FUSE_SMALL).or_insert(0) += 1;
                    Place::Inline
                }
                None => Place::Layer,
            },
        };
        if let Place::Fused { root, .. } = place {
            let size = sizes.entry(root).or_insert(1);
            *size += 1;
            if *size > OPERATIONS_MAX {
                place = Place::Layer;
            }
        }
        places.insert(ix, place);
    }
    places
}

/// The place of a layer's result in its own layer.
pub(super) fn own_placement(graph: &Graph, ix: NodeIx) -> Placement {
    (0..graph.grid(ix).ndim()).map(Some).collect()
}

/// The layer that computes a node, and how the node lies in it.
pub(super) fn seat(graph: &Graph, ix: NodeIx, place: &Place) -> Option<(NodeIx, Placement)> {
    match place {
        Place::Layer => Some((ix, own_placement(graph, ix))),
        Place::Fused { root, placement } => Some((*root, placement.clone())),
        Place::Inline | Place::Held => None,
    }
}

fn may_inline(graph: &Graph, ix: NodeIx, rewrites: &Rewrites) -> bool {
    // A constant has no blocks of its own worth a task, whatever the options.
    let allowed = matches!(graph.op(ix), Op::Constant(_)) || rewrites.has(FUSE_ELEMENTWISE);
    allowed && !graph.is_output(ix) && graph.users(ix).iter().all(|&user| is_blockwise(graph.op(user)))
}

/// Whether nothing is done with windows but that they are reduced.
///
/// Then each task that reduces some sees them where they lie, whatever the options: stored they would take as many times the
/// array as they are long, and a sum of elements that lie otherwise has other bits.
fn is_reduced_windows(graph: &Graph, ix: NodeIx) -> bool {
    let Op::Sliding { axis, .. } = graph.op(ix) else {
        return false;
    };
    let reduces = |&user: &NodeIx| match graph.op(user) {
        Op::Reduce(reduce) => reduce.axes == [axis + 1],
        _ => false,
    };
    !graph.is_output(ix) && graph.users(ix).iter().all(reduces)
}

/// Whether each task that needs the node makes it: a few kilobytes that come with the plan, or little work on them, which
/// broadcast to more blocks than they have.
fn is_made_anew(graph: &Graph, ix: NodeIx, places: &Table<NodeIx, Place>, rewrites: &Rewrites) -> bool {
    let blocks = |ix: NodeIx| graph.grid(ix).block_count();
    let broadcasts = |&user: &NodeIx| {
        let is_inline = places.get(&user) == Some(&Place::Inline);
        is_blockwise(graph.op(user)) && (is_inline || blocks(user) > blocks(ix))
    };
    rewrites.has(FUSE_SMALL)
        && !graph.is_output(ix)
        && graph.users(ix).iter().all(broadcasts)
        && is_small(graph, ix, &mut SMALL_OPERATIONS.clone())
}

fn is_small(graph: &Graph, ix: NodeIx, left: &mut u32) -> bool {
    let node = graph.node(ix);
    let bytes = node.grid.element_count().saturating_mul(node.dtype.size_bytes());
    if *left == 0 || bytes > SMALL_BYTES {
        return false;
    }
    *left -= 1;
    match &node.op {
        Op::Source { table, .. } => table.is_inline && table.bytes.len() as u64 <= SMALL_BYTES,
        Op::Constant(_) | Op::Full(_) | Op::Arange { .. } => true,
        Op::Transpose(_) | Op::ExpandDims(_) | Op::Squeeze(_) | Op::BroadcastTo | Op::Reshape(_) => {
            is_small(graph, node.operands[0], left)
        }
        op => op.is_elementwise() && node.operands.iter().all(|&x| is_small(graph, x, left)),
    }
}

/// The one layer that can take the node in: all its users are there, each block of it is used by one task alone, and
/// it lies in that task the same way for all of them.
fn fused(
    graph: &Graph,
    ix: NodeIx,
    places: &Table<NodeIx, Place>,
    rewrites: &Rewrites,
) -> Option<(Place, &'static str)> {
    if graph.is_output(ix) {
        return None;
    }
    let mut found: Option<(NodeIx, Placement)> = None;
    let mut by = FUSE_ELEMENTWISE;
    for user in graph.users(ix) {
        let takes_blocks = is_blockwise(graph.op(user)) || is_local(graph, user);
        by = fusion(graph, ix, user);
        if !takes_blocks || !rewrites.has(by) {
            return None;
        }
        let (root, placement) = seat(graph, user, &places[&user])?;
        let operands = graph
            .node(user)
            .operands
            .iter()
            .enumerate()
            .filter(|(_, x)| **x == ix);
        for (position, _) in operands {
            let seen = operand_placement(graph, user, position, &placement);
            match &mut found {
                None => found = Some((root, seen)),
                Some((known, merged)) => {
                    if *known != root || !merge(graph, ix, merged, &seen) {
                        return None;
                    }
                }
            }
        }
    }
    let (root, placement) = found?;
    let is_whole_task = covers_blocks(graph, root, &placement);
    let fits = is_whole_task && has_windows(graph, ix, &placement, root);
    fits.then_some((Place::Fused { root, placement }, by))
}

/// Takes over what another user says of the placement, if both agree where blocks are told apart.
fn merge(graph: &Graph, ix: NodeIx, merged: &mut Placement, seen: &Placement) -> bool {
    let axes = graph.grid(ix).axes();
    let differ = |axis: usize| axes[axis].count() > 1 && merged[axis] != seen[axis];
    if (0..axes.len()).any(differ) {
        return false;
    }
    merged
        .iter_mut()
        .zip(seen)
        .for_each(|(have, other)| *have = have.or(*other));
    true
}

/// Whether each block of the node is needed by one task only.
fn covers_blocks(graph: &Graph, root: NodeIx, placement: &Placement) -> bool {
    let axes = graph.grid(root).axes().iter().enumerate();
    axes.filter(|(_, chunks)| chunks.count() > 1)
        .all(|(axis, _)| placement.contains(&Some(axis)))
}

/// Whether the node's windows on its operands can be said in terms of the layer's axes.
fn has_windows(graph: &Graph, ix: NodeIx, placement: &Placement, root: NodeIx) -> bool {
    let op = graph.op(ix);
    is_blockwise(op)
        || (0..graph.node(ix).operands.len()).all(|x| windows(graph, ix, x, placement, root).is_some())
}

/// The name of the fusion that puts a node and its user into one task.
fn fusion(graph: &Graph, ix: NodeIx, user: NodeIx) -> &'static str {
    let is_reduction = |op: &Op| {
        matches!(
            op,
            Op::Reduce(_) | Op::GroupReduce(_) | Op::Partial(_) | Op::Finish(_)
        )
    };
    let (op, user) = (graph.op(ix), graph.op(user));
    if !is_blockwise(user) {
        return FUSE_CUTS;
    }
    if is_reduction(op) || is_reduction(user) {
        return FUSE_REDUCTION;
    }
    match op {
        Op::Source { .. } => FUSE_READ,
        _ => FUSE_ELEMENTWISE,
    }
}
