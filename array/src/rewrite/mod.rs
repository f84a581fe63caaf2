//! The optimiser: a list of small rewrites, none of which changes a value.
//!
//! Some change the expression ([`REWRITES`] with a rule on a node), the others say which operations one task does
//! together. Each is on by default and can be switched off by name in
//! [`LowerOptions`](crate::LowerOptions), which is how they are tested against plain evaluation.

mod apply;
mod blocks;
mod cohorts;
mod rechunk;
mod regroup;
mod simplify;
mod slice;
mod take;
mod through;

pub(crate) use slice::is_used_whole;
pub(crate) use through::operand_axes;

use std::collections::BTreeMap;

use crate::graph::{Graph, NodeIx};

/// One step of the optimiser.
#[derive(Debug)]
pub struct Rewrite {
    /// A short name, which reports and options use.
    pub name: &'static str,
    /// Why it is worth it.
    pub reason: &'static str,
    pub(crate) step: Step,
}

#[derive(Debug)]
pub(crate) enum Step {
    /// Changes the expression at a node; `true` if it did.
    Rule(fn(&mut Graph, NodeIx) -> bool),
    /// Puts operations in between, when all rules are done.
    Expansion,
    /// Lets a layer take in the operations before it.
    Fusion,
}

/// Every rewrite, in the order in which they are tried at a node.
pub static REWRITES: &[Rewrite] = &[
    Rewrite {
        name: EMPTY_ARRAY,
        reason: "an array without elements needs no operand: it is made where it is used, and nothing is computed for it",
        step: Step::Rule(simplify::empty_array),
    },
    Rewrite {
        name: DROP_NO_OPS,
        reason: "a rechunk to the same chunks, a slice of everything and a conversion to the same dtype are copies",
        step: Step::Rule(simplify::drop_no_ops),
    },
    Rewrite {
        name: MERGE_VIEWS,
        reason: "transpose after transpose, squeeze after expand_dims and an exact conversion before another are one",
        step: Step::Rule(simplify::merge_views),
    },
    Rewrite {
        name: FOLD_CONSTANTS,
        reason: "integers wrap, so numbers added or multiplied one after another are one number to the bit",
        step: Step::Rule(simplify::fold_constants),
    },
    Rewrite {
        name: SLICE_INTO_READ,
        reason: "what is not selected is neither fetched nor decoded, and its blocks are no tasks",
        step: Step::Rule(slice::slice_into_read),
    },
    Rewrite {
        name: SLICE_THROUGH,
        reason: "a slice before elementwise work, views and reductions of other axes leaves less to compute",
        step: Step::Rule(slice::slice_through),
    },
    Rewrite {
        name: TAKE_TO_SLICES,
        reason: "a list of positions that is a few runs needs the source blocks of those runs alone",
        step: Step::Rule(take::take_to_slices),
    },
    Rewrite {
        name: CULL_TAKE,
        reason: "source blocks that a list of positions never names are no tasks",
        step: Step::Rule(take::cull_take),
    },
    Rewrite {
        name: MERGE_RECHUNKS,
        reason: "a window can be cut anywhere: a rechunk of a rechunk, a slice or a join needs no copy of its own",
        step: Step::Rule(rechunk::merge_rechunks),
    },
    Rewrite {
        name: RECHUNK_INTO_READ,
        reason: "one task then reads all dates of one tile, and nothing travels between workers",
        step: Step::Rule(rechunk::rechunk_into_read),
    },
    Rewrite {
        name: RECHUNK_THROUGH,
        reason: "a rechunk before elementwise work and views comes closer to the read",
        step: Step::Rule(rechunk::rechunk_through),
    },
    Rewrite {
        name: RECHUNK_IN_STEPS,
        reason: "chunks that are long one way and then another have a piece for each pair: by way of squares there are far fewer, though all is moved twice",
        step: Step::Expansion,
    },
    Rewrite {
        name: FUSE_ELEMENTWISE,
        reason: "a chain of operations makes one pass over a chunk and one task, and stores nothing in between",
        step: Step::Fusion,
    },
    Rewrite {
        name: FUSE_READ,
        reason: "what is read is worked on by the task that reads it, and is stored only as what becomes of it",
        step: Step::Fusion,
    },
    Rewrite {
        name: FUSE_REDUCTION,
        reason: "a reduction's first step takes in what makes its elements, and its result is worked on at once",
        step: Step::Fusion,
    },
];

/// Name of the rewrite that folds arrays without elements.
pub const EMPTY_ARRAY: &str = "empty-array";
/// Name of the rewrite that drops operations without effect.
pub const DROP_NO_OPS: &str = "drop-no-ops";
/// Name of the rewrite that merges views and exact conversions.
pub const MERGE_VIEWS: &str = "merge-views";
/// Name of the rewrite that merges integer constants.
pub const FOLD_CONSTANTS: &str = "fold-constants";
/// Name of the rewrite that moves slices into reads and constants.
pub const SLICE_INTO_READ: &str = "slice-into-read";
/// Name of the rewrite that moves slices towards the reads.
pub const SLICE_THROUGH: &str = "slice-through";
/// Name of the rewrite that makes slices of lists of positions.
pub const TAKE_TO_SLICES: &str = "take-to-slices";
/// Name of the rewrite that drops the blocks that a list of positions never names.
pub const CULL_TAKE: &str = "cull-take";
/// Name of the rewrite that merges rechunks into other windows.
pub const MERGE_RECHUNKS: &str = "merge-rechunks";
/// Name of the rewrite that moves rechunks into reads and constants.
pub const RECHUNK_INTO_READ: &str = "rechunk-into-read";
/// Name of the rewrite that moves rechunks towards the reads.
pub const RECHUNK_THROUGH: &str = "rechunk-through";
/// Name of the rewrite that makes two rechunks of one that has too many pieces.
pub const RECHUNK_IN_STEPS: &str = "rechunk-in-steps";
/// Name of the fusion of elementwise operations and views.
pub const FUSE_ELEMENTWISE: &str = "fuse-elementwise";
/// Name of the fusion of reads with what follows.
pub const FUSE_READ: &str = "fuse-into-read";
/// Name of the fusion into and after reductions.
pub const FUSE_REDUCTION: &str = "fuse-into-reduction";

/// Which rewrites are done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Rewrites {
    /// All of them.
    #[default]
    All,
    /// None: each operation is a layer of its own.
    None,
    /// Those of these names.
    Only(Vec<&'static str>),
}

impl Rewrites {
    /// Whether the rewrite called `name` is done.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Rewrites::All => true,
            Rewrites::None => false,
            Rewrites::Only(names) => names.contains(&name),
        }
    }
}

/// Applies rules until none applies, and counts how often each did.
pub(crate) fn run(graph: &mut Graph, rewrites: &Rewrites) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    let rules: Vec<_> = REWRITES
        .iter()
        .filter(|rewrite| rewrites.has(rewrite.name))
        .collect();
    graph.take_changed();
    // Users first: what moves towards the reads then gets there in one go.
    let mut left: std::collections::BTreeSet<NodeIx> = graph.topological().into_iter().collect();
    while let Some(ix) = left.pop_last() {
        if !graph.is_alive(ix) {
            continue;
        }
        for rewrite in &rules {
            let Step::Rule(rule) = rewrite.step else { continue };
            let before = graph.len();
            if rule(graph, ix) {
                graph.inherit_annotations(before);
                *counts.entry(rewrite.name).or_insert(0) += 1;
                left.insert(ix);
                for changed in graph.take_changed() {
                    left.extend(graph.users(changed));
                    left.insert(changed);
                }
                break;
            }
        }
    }
    graph.sweep();
    counts
}
