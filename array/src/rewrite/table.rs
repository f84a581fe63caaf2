//! All rewrites, by name.

use super::{
    COMMON_PARTS, FUSE_CUTS, FUSE_ELEMENTWISE, FUSE_READ, FUSE_REDUCTION, FUSE_SMALL, RECHUNK_IN_STEPS,
    Rewrite, SHARE_READS, Step, join, numbers, rechunk, reductions, shared, simplify, slice, slice_through,
    take, views,
};
use crate::graph::{Graph, NodeIx};

const fn rule(name: &'static str, reason: &'static str, rule: fn(&mut Graph, NodeIx) -> bool) -> Rewrite {
    let step = Step::Rule(rule);
    Rewrite { name, reason, step }
}

const fn fusion(name: &'static str, reason: &'static str) -> Rewrite {
    let step = Step::Fusion;
    Rewrite { name, reason, step }
}

/// Every rewrite, in the order in which they are tried at a node.
#[rustfmt::skip] // A line each.
pub static REWRITES: &[Rewrite] = &[
    Rewrite {
        name: COMMON_PARTS,
        reason: "what is said twice is computed once, and read once",
        step: Step::Merging,
    },
    rule("empty-array", "an array without elements needs no operand: it is made where it is used", simplify::empty_array),
    rule("drop-same-chunks", "a rechunk to the chunks that are there is a copy", simplify::drop_same_chunks),
    rule("drop-whole-views", "a slice of everything, a broadcast to the own shape and a join of one array are copies", simplify::drop_whole_views),
    rule("merge-casts", "a conversion to the same dtype, or after one that loses nothing, is none", simplify::merge_casts),
    rule("merge-transposes", "axes are put in order once", views::merge_transposes),
    rule("merge-axes", "an axis that is added and dropped, or dropped and added, was never there", views::merge_axes),
    rule("merge-broadcasts", "elements are repeated once", views::merge_broadcasts),
    rule("merge-reshapes", "only the last shape counts", views::merge_reshapes),
    rule("full-views", "a view of an array of one value is one", views::full_views),
    rule("double-negation", "what is negated twice is as it was, and the opposite of `equal` is `not_equal`", numbers::double_negation),
    rule("repeated-function", "what is rounded once more, or made positive, stays as it is", numbers::repeated_function),
    rule("same-operands", "the lesser of a thing and itself is that thing, and a difference of integers is 0", numbers::same_operands),
    rule("neutral-number", "nothing comes of adding 0, of multiplying by 1, or of a mask that is true", numbers::neutral_number),
    rule("absorbing-number", "integers times 0 need not be read", numbers::absorbing_number),
    rule("merge-numbers", "integers wrap, so numbers added or multiplied one after another are one number to the bit", numbers::merge_numbers),
    rule("fold-numbers", "what is made of numbers alone is one, before anything runs", numbers::fold_numbers),
    rule("known-condition", "where the condition is one number, the other side is never made", numbers::known_condition),
    rule("merge-slices", "a slice of a slice is one window", slice::merge_slices),
    rule("slice-into-read", "what is not selected is neither fetched nor decoded, and its blocks are no tasks", slice::slice_into_read),
    rule("slice-through-elementwise", "a slice before elementwise work leaves less to compute", slice_through::elementwise),
    rule("slice-through-views", "a slice before a transpose or a broadcast comes closer to the read", slice_through::views),
    rule("slice-through-rechunk", "less is cut anew", slice_through::rechunk),
    rule("slice-through-join", "of the parts of a join only those that the slice reaches into are made", slice_through::join),
    rule("slice-through-list", "positions that are sliced off are never looked up", slice_through::list),
    rule("slice-through-reduction", "a slice along axes that a reduction keeps leaves fewer lines to reduce", slice_through::reduction),
    rule("slice-through-groups", "groups and quantiles that are sliced off are not computed", slice_through::groups),
    rule("slice-through-scan", "the lines of a running sum do not know of each other", slice_through::scan),
    rule("slice-through-windows", "windows along one axis do not look along the others", slice_through::windows),
    rule("slice-by-blocks", "of what must keep its blocks, those that a slice does not reach into are left out", slice_through::by_blocks),
    rule("windows-to-slice", "a single window on elements is a slice", slice::windows_to_slice),
    rule("merge-lists", "a list of positions of a list is one list", take::merge_lists),
    rule("list-to-slices", "a list of positions that is a few runs needs the source blocks of those runs alone", take::list_to_slices),
    rule("split-list", "between positions that lie far apart nothing is read", take::split_list),
    rule("list-through", "work on the listed elements alone is less work", take::list_through),
    rule("cull-list", "source blocks that a list of positions never names are no tasks", take::cull_list),
    rule("merge-joins", "a join of joins is one", join::merge_joins),
    rule("join-neighbours", "slices that lie side by side are one slice", join::join_neighbours),
    rule("merge-reductions", "the greatest of the greatest is the greatest: one tree less", reductions::merge_reductions),
    rule("reduce-as-it-is-cut", "a reduction whose order does not matter takes any chunks, so none need be moved for it", reductions::reduce_as_it_is_cut),
    rule("merge-rechunks", "a window can be cut anywhere: a rechunk of a rechunk, a slice or a join needs no copy of its own", rechunk::merge_rechunks),
    rule("rechunk-into-read", "one task then reads all dates of one tile, and nothing travels between workers", rechunk::rechunk_into_read),
    rule("rechunk-through-elementwise", "a rechunk before elementwise work comes closer to the read", rechunk::through_elementwise),
    rule("rechunk-through-views", "a rechunk before a transpose or a broadcast comes closer to the read", rechunk::through_views),
    rule("share-rechunk", "an array that is put together along an axis anyway is reduced along it there, and not put together twice", shared::share_rechunk),
    Rewrite {
        name: RECHUNK_IN_STEPS,
        reason: "chunks that are long one way and then another have a piece for each pair: by way of squares there are far fewer, though all is moved twice",
        step: Step::Expansion,
    },
    fusion(FUSE_ELEMENTWISE, "a chain of operations makes one pass over a chunk and one task, and stores nothing in between"),
    fusion(FUSE_READ, "what is read is worked on by the task that reads it, and is stored only as what becomes of it"),
    fusion(FUSE_REDUCTION, "a reduction's first step takes in what makes its elements, and its result is worked on at once"),
    fusion(FUSE_CUTS, "slices, lists and joins along an axis of one block are cut out of the block where it is made"),
    fusion(SHARE_READS, "the sides of a difference overlap: what is stored is read and decoded once, and each side looks at it where it lies"),
    fusion(FUSE_SMALL, "a few kilobytes are made by each task that needs them: nobody waits for another's"),
];
