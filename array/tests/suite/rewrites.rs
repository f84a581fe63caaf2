//! What each rewrite does to a plan. That none changes a value is tested against plain evaluation elsewhere.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use graticule_array::{
    Array, Chunks, Index, LowerOptions, Lowered, Over, Wanted, concatenate, lower,
    rewrite::{self, Rewrites},
    where_,
};
use graticule_ops::{Node, Program, ReduceKind};
use graticule_plan::{AxisWindow, ChunkGrid, DType, InputMap, Key, Source};

fn lowered(array: &Array) -> Lowered {
    lower(&[(array, Wanted::Deliver)], &LowerOptions::default()).unwrap()
}

fn names(lowered: &Lowered) -> Vec<String> {
    lowered
        .plan
        .layers()
        .iter()
        .map(|layer| layer.name.to_string())
        .collect()
}

fn programs(lowered: &Lowered) -> Vec<Program> {
    lowered
        .plan
        .layers()
        .iter()
        .map(|layer| Program::decode(&layer.body.bytes).unwrap())
        .collect()
}

/// `[times, side, side]`, a chunk for each time.
fn cube(times: u64, side: u64) -> Array {
    let data: Vec<f32> = (0..times * side * side).map(|k| k as f32).collect();
    let chunks = [Chunks::Size(1), Chunks::Size(side.div_ceil(2)), Chunks::Whole];
    Array::from_slice(&[times, side, side], &chunks, &data).unwrap()
}

#[test]
fn rechunk_into_read_reads_in_other_chunks() {
    let x = cube(6, 4)
        .rechunk(&[Chunks::Whole, Chunks::Size(1), Chunks::Keep])
        .unwrap();
    let lowered = lowered(&x);
    assert_eq!(names(&lowered), ["inline"]);
    assert_eq!(lowered.plan.layers()[0].grid, *x.chunks());
    assert_eq!(lowered.rewritten["rechunk-into-read"], 1);
}

#[test]
fn rechunk_passes_elementwise_work_and_views() {
    let x = cube(6, 4);
    let clear = where_(x.greater(3.0).unwrap(), x.sqrt().unwrap(), f64::NAN).unwrap();
    let y = clear
        .expand_dims(1)
        .unwrap()
        .transpose()
        .median(&Over::axis(3))
        .unwrap();
    assert_eq!(
        names(&lowered(&y)),
        ["inline+greater+sqrt+where+expand_dims+transpose+median"]
    );
}

#[test]
fn rechunk_of_what_others_use_too_gathers_it() {
    let x = cube(6, 4).add(1.0).unwrap();
    let whole = x.rechunk(&[Chunks::Whole, Chunks::Keep, Chunks::Keep]).unwrap();
    let both = lower(
        &[(&x, Wanted::Deliver), (&whole, Wanted::Deliver)],
        &LowerOptions::default(),
    )
    .unwrap();
    assert_eq!(names(&both), ["inline+add", "rechunk"]);
}

#[test]
fn rechunk_is_done_by_the_first_step_of_what_is_reduced() {
    let x = cube(6, 4).sort(2, false).unwrap();
    let columns = x
        .rechunk(&[Chunks::Size(4), Chunks::Size(1), Chunks::Keep])
        .unwrap();
    let lowered = lowered(&columns.sum(&Over::axis(0)).unwrap());
    assert_eq!(names(&lowered)[1..], ["rechunk+sum-partial", "sum"]);
    let InputMap::Product(windows) = &lowered.plan.layers()[1].inputs[0].map else {
        panic!("{}", lowered.explain())
    };
    // A block of partials has one element where the elements that it is made of are four.
    assert!(
        matches!(&windows[0], AxisWindow::Intervals { intervals, .. } if intervals[..] == [(0, 4), (4, 6)])
    );
}

#[test]
fn rechunk_in_steps_goes_by_way_of_squares_where_there_would_be_many_pieces() {
    let recut = |side: u64, thickness: u64| {
        let pancakes = [Chunks::Size(thickness), Chunks::Whole];
        let x = Array::ones(&[side, side], &pancakes, DType::Float64).unwrap();
        let x = x.sum(&Over::axis(0).keepdims()).unwrap().add(x).unwrap();
        let pencils = x.rechunk(&[Chunks::Whole, Chunks::Size(thickness)]).unwrap();
        // What is asked for itself is not made in other chunks at once.
        let wanted = [(&x, Wanted::Deliver), (&pencils, Wanted::Deliver)];
        lower(&wanted, &LowerOptions::default()).unwrap()
    };
    let in_steps = recut(1024, 4);
    assert_eq!(in_steps.rewritten[rewrite::RECHUNK_IN_STEPS], 1);
    assert!(in_steps.explain().contains("rechunk-in-steps"));
    let recuts: Vec<_> = in_steps
        .plan
        .layers()
        .iter()
        .filter(|layer| &*layer.name == "rechunk")
        .collect();
    assert_eq!(recuts.len(), 2);
    assert_eq!(recuts[0].grid.block_shape(0), [64, 64]);
    assert_eq!(recuts[1].grid.block_shape(0), [1024, 4]);
    let at_once = recut(1024, 256);
    assert!(
        !at_once.rewritten.contains_key(rewrite::RECHUNK_IN_STEPS),
        "16 pieces are few"
    );
}

#[test]
fn rechunks_one_after_another_are_one() {
    let x = cube(6, 4).sum(&Over::axis(2)).unwrap();
    let twice = x
        .rechunk(&[Chunks::Size(2), Chunks::Size(3)])
        .unwrap()
        .rechunk(&[Chunks::Whole, Chunks::Size(1)]);
    let lowered = lowered(&twice.unwrap());
    assert_eq!(names(&lowered), ["inline+sum", "rechunk"]);
    assert_eq!(lowered.rewritten["merge-rechunks"], 1);
}

#[test]
fn slices_reach_the_read_and_leave_only_its_blocks() {
    let x = cube(10, 4).multiply(2.0).unwrap().transpose();
    let index = [
        Index::Full,
        Index::At(1),
        Index::Slice {
            start: Some(8),
            stop: Some(1),
            step: -3,
        },
    ];
    let lowered = lowered(&x.slice(&index).unwrap());
    assert_eq!(lowered.plan.layers().len(), 1);
    assert_eq!(lowered.plan.task_count(), 3);
    let Node::Read(read) = &programs(&lowered)[0].nodes[0] else {
        panic!("the read comes first")
    };
    let selected: Vec<(u64, i64, u64)> = read.selection.iter().map(|s| (s.start, s.step, s.len)).collect();
    assert_eq!(selected, [(8, -3, 3), (1, 1, 1), (0, 1, 4)]);
}

#[test]
fn slices_pass_reductions_of_other_axes() {
    let medians = cube(6, 8).median(&Over::axis(0)).unwrap();
    let lowered = lowered(&medians.slice(&[Index::range(5, 6), Index::Full]).unwrap());
    assert_eq!(names(&lowered), ["inline+median"]);
    assert_eq!(lowered.plan.task_count(), 1);
}

#[test]
fn slices_of_sums_leave_out_whole_blocks_only() {
    // Two blocks of four rows: the second keeps its shape, because a sum's last bits hang on it.
    let sums = cube(6, 8).sum(&Over::axes([0, 2])).unwrap();
    let lowered = lowered(&sums.slice(&[Index::range(5, 6)]).unwrap());
    assert!(
        names(&lowered).last().unwrap().contains("slice"),
        "{}",
        lowered.explain()
    );
    let partial = &lowered.plan.layers()[0];
    assert_eq!(partial.grid.block_counts()[1], 1, "{}", lowered.explain());
    assert_eq!(partial.grid.shape()[1], 4);
}

#[test]
fn quantiles_and_groups_that_are_sliced_off_are_not_computed() {
    let x = cube(6, 4);
    let highest = x
        .quantile(&[0.1, 0.5, 0.9], &Over::axis(0))
        .unwrap()
        .slice(&[Index::At(-1)])
        .unwrap();
    let program = &programs(&lowered(&highest))[0];
    let kept = program.nodes.iter().find_map(|node| match node {
        Node::Reduce { reduction, .. } => Some(reduction.kind.clone()),
        _ => None,
    });
    assert_eq!(kept, Some(ReduceKind::Quantile { qs: vec![0.9] }));

    let labels = ['b', 'a', 'c', 'b', 'a', 'c'].map(Some);
    let (medians, _) = x.groupby_reduce(0, &labels, ReduceKind::Median, false).unwrap();
    let program = &programs(&lowered(&medians.slice(&[Index::range(1, 3)]).unwrap()))[0];
    let groups = program.nodes.iter().find_map(|node| match node {
        Node::GroupReduce { groups, .. } => Some(groups.len()),
        _ => None,
    });
    assert_eq!(groups, Some(2));
}

#[test]
fn lists_of_a_few_runs_read_those_runs_alone() {
    let lowered = lowered(&cube(100, 2).take(&[3, 4, 5, 90, 91], 0).unwrap());
    let read: u64 = lowered
        .plan
        .layers()
        .iter()
        .filter(|layer| &*layer.name == "inline")
        .map(|l| l.grid.shape()[0])
        .sum();
    assert_eq!(read, 5, "{}", lowered.explain());
    let run = self::lowered(&cube(100, 2).take(&[90, 60, 30], 0).unwrap());
    assert_eq!(names(&run), ["inline"]);
}

#[test]
fn lists_of_many_runs_skip_blocks_that_they_never_name() {
    let positions: Vec<i64> = (0..400).map(|k| (k * k * 7) % 2_000).collect();
    let x = Array::arange(0.0, 4_000.0, 1.0, DType::Int32, Chunks::Size(2)).unwrap();
    let lowered = lowered(&x.take(&positions, 0).unwrap());
    assert!(lowered.rewritten.contains_key("cull-list"));
    assert!(
        lowered.plan.layers()[0].grid.block_count() <= 400,
        "{}",
        lowered.explain()
    );
}

#[test]
fn empty_parts_and_operations_without_effect_vanish() {
    let x = cube(4, 4);
    let nothing = x.slice(&[Index::range(2, 2)]).unwrap();
    let same = concatenate(&[nothing, x.clone()], 0)
        .unwrap()
        .flip(1)
        .unwrap()
        .flip(1)
        .unwrap();
    let same = same
        .transpose()
        .transpose()
        .expand_dims(0)
        .unwrap()
        .squeeze(None)
        .unwrap()
        .multiply(1.0)
        .unwrap();
    assert_eq!(names(&lowered(&same)), ["inline"]);
    let empty = x.slice(&[Index::range(2, 2)]).unwrap().sqrt().unwrap();
    assert_eq!(names(&lowered(&empty)), ["full"]);
}

#[test]
fn integers_added_one_after_another_are_one_but_floats_are_not() {
    let whole = Array::arange(0.0, 9.0, 1.0, DType::UInt8, Chunks::Size(3)).unwrap();
    let added = whole.add(200).unwrap().add(100).unwrap();
    assert_eq!(names(&lowered(&added)), ["arange+add"]);
    let floats = cube(2, 2).add(0.1).unwrap().add(0.2).unwrap();
    assert_eq!(names(&lowered(&floats)), ["inline+add+add"]);
}

#[test]
fn equal_parts_are_computed_once() {
    let x = cube(4, 4);
    let (a, b) = (
        x.sqrt().unwrap().sum(&Over::all()).unwrap(),
        x.sqrt().unwrap().sum(&Over::all()).unwrap(),
    );
    let both = a.add(&b).unwrap();
    assert_eq!(names(&lowered(&both)), ["inline+sqrt+sum-partial", "sum+add"]);
}

#[test]
fn a_band_that_masks_the_others_is_read_beside_them() {
    // The whole stack and one band of it: the band is read twice rather than the stack be kept for it.
    let stack = cube(6, 4);
    let clear = where_(
        stack.slice(&[Index::range(0, 1)]).unwrap().greater(0.0).unwrap(),
        &stack,
        0.0,
    )
    .unwrap();
    let names = names(&lowered(&clear.median(&Over::axis(0)).unwrap()));
    assert_eq!(names, ["inline+greater+inline+where+median"]);
}

#[test]
fn neighbours_that_overlap_are_cut_out_of_one_read() {
    let x = cube(10, 4);
    let change = x
        .slice(&[(1..).into()])
        .unwrap()
        .subtract(x.slice(&[(..-1).into()]).unwrap())
        .unwrap();
    let lowered = lowered(&change);
    assert_eq!(names(&lowered), ["inline", "slice+slice+subtract"]);
}

#[test]
fn reduction_shared_by_all_times_is_not_computed_for_each() {
    let x = cube(6, 4);
    let anomaly = x.subtract(x.mean(&Over::axis(0).keepdims()).unwrap()).unwrap();
    let lowered = lowered(&anomaly);
    let mean = lowered
        .plan
        .layers()
        .iter()
        .position(|layer| &*layer.name == "mean")
        .unwrap();
    let users = lowered.plan.layers().iter().flat_map(|layer| &layer.inputs);
    assert!(
        users
            .into_iter()
            .any(|input| input.source == Source::Layer(graticule_plan::LayerId(mean as u32)))
    );
}

#[test]
fn without_rewrites_each_operation_is_a_layer() {
    let x = cube(2, 2).sqrt().unwrap().add(1.0).unwrap();
    let options = LowerOptions {
        rewrites: Rewrites::None,
        ..LowerOptions::default()
    };
    let plain = lower(&[(&x, Wanted::Deliver)], &options).unwrap();
    assert_eq!(names(&plain), ["inline", "sqrt", "add"]);
    let chain = LowerOptions {
        rewrites: Rewrites::Only(vec![rewrite::FUSE_ELEMENTWISE]),
        ..LowerOptions::default()
    };
    let fused = lower(&[(&x, Wanted::Deliver)], &chain).unwrap();
    assert_eq!(names(&fused), ["inline", "sqrt+add"]);
}

#[test]
fn results_asked_for_twice_and_held_ones_are_copied() {
    let held = Array::held(Key(3), &ChunkGrid::regular(&[4], &[2]).unwrap(), DType::Int8);
    let wanted = [(&held, Wanted::Deliver), (&held, Wanted::Keep(Key(4)))];
    let lowered = lower(&wanted, &LowerOptions::default()).unwrap();
    assert_eq!(names(&lowered), ["copy", "copy"]);
    assert_ne!(lowered.outputs[0].layer, lowered.outputs[1].layer);
    assert_eq!(lowered.held[&Key(3)].dtype, DType::Int8);
}

#[test]
fn long_chains_and_much_shared_expressions_lower_in_time() {
    let mut chain = cube(4, 4);
    for _ in 0..3_000 {
        chain = chain
            .sqrt()
            .unwrap()
            .rechunk(&[Chunks::Keep, Chunks::Whole, Chunks::Keep])
            .unwrap();
    }
    assert!(lowered(&chain).plan.layers().len() < 10);
    let mut doubled = cube(4, 4);
    for _ in 0..100 {
        doubled = doubled.add(&doubled).unwrap();
    }
    assert_eq!(
        lowered(&doubled.sum(&Over::axis(0)).unwrap()).plan.layers().len(),
        2
    );
}
