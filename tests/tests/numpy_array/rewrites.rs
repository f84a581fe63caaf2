//! Each rewrite alone, and all of them, leave every value as plain evaluation makes it.

use std::collections::BTreeSet;

use graticule_array::{
    Array, Boundary, Chunks, LowerOptions, Wanted, lower,
    rewrite::{REWRITES, Rewrites},
};
use graticule_ops::UnaryOp;
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::{Near, check, results, same},
    compose::{Case, Value, config},
    inputs::{Random, Values, array, tensor},
};

/// Each property of one rewrite has so many times fewer cases than others.
const REWRITES_SHARE: u32 = 10;

fn case(seed: u64, steps: Vec<u64>) -> Case {
    let mut case = Case::start(&mut Random::new(seed), Values::Wild);
    steps
        .into_iter()
        .for_each(|step| case.step(&mut Random::new(step)));
    case
}

/// Compares the last values of a case, several of which share parts of one expression, with their plain evaluation.
fn changes_no_value(case: &Case, rewrites: Rewrites) -> Result<(), TestCaseError> {
    let wanted: Vec<&Value> = case.values.iter().rev().take(3).collect();
    let arrays: Vec<_> = wanted.iter().map(|value| &value.array).collect();
    let explained = || {
        let texts: Vec<&str> = wanted.iter().map(|value| &value.python[..]).collect();
        format!("{rewrites:?}: {}", texts.join("; "))
    };
    match (
        results(&arrays, Rewrites::None),
        results(&arrays, rewrites.clone()),
    ) {
        (Ok(plain), Ok(rewritten)) => {
            for (a, b) in plain.iter().zip(&rewritten) {
                same(a, b).map_err(|why| TestCaseError::fail(format!("{}: {why}", explained())))?;
            }
            Ok(())
        }
        (Err(_), Err(_)) => Ok(()),
        (plain, rewritten) => {
            let text = format!("{}: {plain:?} but {rewritten:?}", explained());
            Err(TestCaseError::fail(text))
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn all_rewrites_together_change_no_value(seed in any::<u64>(), steps in prop::collection::vec(any::<u64>(), 1..14)) {
        changes_no_value(&case(seed, steps), Rewrites::All)?;
    }
}

macro_rules! each_changes_no_value {
    ($($test:ident => $name:literal,)*) => {
        mod each_changes_no_value {
            use super::*;

            fn config() -> ProptestConfig {
                let all = super::config();
                ProptestConfig { cases: all.cases.div_ceil(REWRITES_SHARE), ..all }
            }

            $(proptest! {
                #![proptest_config(config())]

                #[test]
                fn $test(seed in any::<u64>(), steps in prop::collection::vec(any::<u64>(), 1..14)) {
                    changes_no_value(&case(seed, steps), Rewrites::Only(vec![$name]))?;
                }
            })*
        }

        const TESTED: &[&str] = &[$($name),*];
    };
}

each_changes_no_value! {
    common_parts => "common-parts",
    empty_array => "empty-array",
    drop_same_chunks => "drop-same-chunks",
    drop_whole_views => "drop-whole-views",
    merge_casts => "merge-casts",
    merge_transposes => "merge-transposes",
    merge_axes => "merge-axes",
    merge_broadcasts => "merge-broadcasts",
    merge_reshapes => "merge-reshapes",
    full_views => "full-views",
    double_negation => "double-negation",
    repeated_function => "repeated-function",
    same_operands => "same-operands",
    neutral_number => "neutral-number",
    absorbing_number => "absorbing-number",
    merge_numbers => "merge-numbers",
    fold_numbers => "fold-numbers",
    known_condition => "known-condition",
    merge_slices => "merge-slices",
    slice_into_read => "slice-into-read",
    slice_through_elementwise => "slice-through-elementwise",
    slice_through_views => "slice-through-views",
    slice_through_rechunk => "slice-through-rechunk",
    slice_through_join => "slice-through-join",
    slice_through_list => "slice-through-list",
    slice_through_reduction => "slice-through-reduction",
    slice_through_groups => "slice-through-groups",
    slice_through_scan => "slice-through-scan",
    slice_through_windows => "slice-through-windows",
    slice_by_blocks => "slice-by-blocks",
    windows_to_slice => "windows-to-slice",
    merge_lists => "merge-lists",
    list_to_slices => "list-to-slices",
    split_list => "split-list",
    list_through => "list-through",
    cull_list => "cull-list",
    merge_joins => "merge-joins",
    join_neighbours => "join-neighbours",
    merge_reductions => "merge-reductions",
    reduce_as_it_is_cut => "reduce-as-it-is-cut",
    merge_rechunks => "merge-rechunks",
    rechunk_into_read => "rechunk-into-read",
    rechunk_through_elementwise => "rechunk-through-elementwise",
    rechunk_through_views => "rechunk-through-views",
    share_rechunk => "share-rechunk",
    rechunk_in_steps => "rechunk-in-steps",
    fuse_elementwise => "fuse-elementwise",
    fuse_into_read => "fuse-into-read",
    fuse_into_reduction => "fuse-into-reduction",
    fuse_cuts => "fuse-cuts",
    share_reads => "share-reads",
    fuse_small => "fuse-small",
}

#[test]
fn every_rewrite_has_its_property_and_random_expressions_reach_it() {
    let names: Vec<&str> = REWRITES.iter().map(|rewrite| rewrite.name).collect();
    assert_eq!(names, TESTED);
    let mut left: BTreeSet<&'static str> = names.into_iter().collect();
    // It is for chunks of many pieces, which are too large for random arrays.
    left.remove(graticule_array::rewrite::RECHUNK_IN_STEPS);
    for seed in 0..20_000_u64 {
        let case = case(seed, (0..10).map(|step| seed * 64 + step).collect());
        let wanted = case.values.iter().rev().take(3);
        let wanted: Vec<_> = wanted.map(|value| (&value.array, Wanted::Deliver)).collect();
        let alone = left.iter().map(|name| Rewrites::Only(vec![*name]));
        for rewrites in alone.chain([Rewrites::All]).collect::<Vec<_>>() {
            let options = LowerOptions {
                rewrites,
                ..LowerOptions::default()
            };
            let done = lower(&wanted, &options).unwrap().rewritten;
            left.retain(|name| !done.contains_key(name));
        }
        if left.is_empty() {
            return;
        }
    }
    panic!("no random expression reaches {left:?}");
}

/// The axis of the second windows is shorter than the one that they are taken from, which stays whole.
#[test]
fn slices_of_windows_along_two_axes_are_numpys() {
    let mut random = Random::new(1);
    let input = tensor(&mut random, DType::Int32, &[3, 5, 4], Values::Tame);
    let windows = array(&mut random, &input).sliding_window_view(&[2, 5], [0, 1]);
    let part = windows.and_then(|windows| windows.slice(&[(..).into(), (..).into(), (1..3).into()]));
    let python = "np.lib.stride_tricks.sliding_window_view(x, (2, 5), axis=(0, 1))[:, :, 1:3]";
    let inputs = [("x".to_owned(), input)];
    check(&part.expect("it fits"), python, &inputs, &Near::Same).expect("NumPy's windows");
}

/// Where a task takes what is left of an overlap, elements have the places in the overlap, a list those in what is left.
#[test]
fn lists_of_trimmed_overlaps_are_numpys() {
    let mut random = Random::new(2);
    let input = tensor(&mut random, DType::Int32, &[6, 4], Values::Tame);
    let cut = Array::from_bytes(
        input.dtype(),
        &[6, 4],
        &[Chunks::Size(2), Chunks::Size(4)],
        input.bytes().to_vec(),
    );
    let (depth, boundary) = ([(1, 1), (2, 1)], [Boundary::Reflect, Boundary::Reflect]);
    let trimmed = cut
        .and_then(|cut| cut.overlap(&depth, &boundary))
        .and_then(|overlap| overlap.unary(UnaryOp::Negative)?.trim_overlap(&depth, &boundary));
    let trimmed = trimmed.expect("it fits");
    // Of more runs than become slices.
    for positions in [[1; 40].as_slice(), [3, 0, 2].repeat(16).as_slice()] {
        let list = trimmed.take(positions, 1).expect("it fits");
        let python = format!("np.take(-x, {positions:?}, axis=1)");
        let inputs = [("x".to_owned(), input.clone())];
        check(&list, &python, &inputs, &Near::Same).expect("NumPy's elements");
    }
}
