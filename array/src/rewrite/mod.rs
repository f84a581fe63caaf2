//! The optimiser: a list of small rewrites, none of which changes a value.
//!
//! Some change the expression ([`REWRITES`] with a rule on a node), the others say which operations one task does
//! together. Each is on by default and can be switched off by name in
//! [`LowerOptions`](crate::LowerOptions), which is how they are tested against plain evaluation.

mod apply;
mod blocks;
mod cohorts;
mod join;
mod numbers;
mod rechunk;
mod reductions;
mod regroup;
mod shared;
mod simplify;
mod slice;
mod slice_through;
mod table;
mod take;
mod through;
mod views;

pub(crate) use slice::is_used_whole;
pub(crate) use take::are_all_selected;
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
    /// Is done as the expressions are taken in.
    Merging,
    /// Changes the expression at a node; `true` if it did.
    Rule(fn(&mut Graph, NodeIx) -> bool),
    /// Puts operations in between, when all rules are done.
    Expansion,
    /// Lets a layer take in the operations before it.
    Fusion,
}

pub use table::REWRITES;

/// Name of the rewrite that computes equal parts once.
pub const COMMON_PARTS: &str = "common-parts";
/// Name of the rewrite that makes two rechunks of one that has too many pieces.
pub const RECHUNK_IN_STEPS: &str = "rechunk-in-steps";
/// Name of the fusion of elementwise operations and views.
pub const FUSE_ELEMENTWISE: &str = "fuse-elementwise";
/// Name of the fusion of reads with what follows.
pub const FUSE_READ: &str = "fuse-into-read";
/// Name of the fusion into and after reductions.
pub const FUSE_REDUCTION: &str = "fuse-into-reduction";
/// Name of the fusion of slices, lists and joins within a block with what makes it.
pub const FUSE_CUTS: &str = "fuse-cuts";
/// Name of the rewrite by which each task makes small arrays itself.
pub const FUSE_SMALL: &str = "fuse-small";

/// Name of the rewrite that makes one read of those that overlap within a task.
pub const SHARE_READS: &str = "share-reads";

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
    if graph.merged() > 0 {
        counts.insert(COMMON_PARTS, graph.merged());
    }
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
