//! What plans take at most, told without a walk over their tasks.

use std::collections::BTreeSet;

use graticule_plan::{
    AxisChunks, AxisWindow, BlockMap, Body, ChunkGrid, Input, InputMap, Key, Layer, LayerId, Output, Plan,
    PlanBuilder, Rows, Source,
};
use proptest::prelude::*;

const ITEM: u64 = 8;
const ALL: AxisWindow = AxisWindow::All;

fn grid(axes: &[(u64, u64)]) -> ChunkGrid {
    let axes = axes.iter().map(|&(len, chunk)| AxisChunks::regular(len, chunk));
    ChunkGrid::new(axes.collect::<Result<_, _>>().expect("valid axes")).expect("a valid grid")
}

fn add(builder: &mut PlanBuilder, grid: ChunkGrid, inputs: &[(u32, &[AxisWindow])]) -> LayerId {
    let inputs = inputs.iter().map(|(layer, windows)| Input {
        source: Source::Layer(LayerId(*layer)),
        map: InputMap::Product(windows.to_vec()),
    });
    let body = Body::new(b"body".to_vec());
    let layer = Layer::new("layer", grid, ITEM, body, inputs.collect());
    builder.layer(layer).expect("a valid layer")
}

fn deliver(builder: &mut PlanBuilder, layer: LayerId) {
    let output = Output { layer, keep: None };
    builder.output(output).expect("a valid output");
}

const fn cut(out_axis: usize, start: i64) -> AxisWindow {
    AxisWindow::Affine {
        out_axis,
        start,
        step: 1,
    }
}

const fn same(out_axis: usize) -> AxisWindow {
    AxisWindow::Aligned { out_axis }
}

/// Sum of an array of so many chunks in a tree.
fn sum(count: u64) -> Plan {
    let mut builder = PlanBuilder::new();
    add(&mut builder, grid(&[(count, 1)]), &[]);
    let (mut left, mut last) = (count, 0);
    while left > 1 {
        left = left.div_ceil(8);
        let group = AxisWindow::Group {
            out_axis: 0,
            fan_in: 8,
        };
        last = add(&mut builder, grid(&[(left, 1)]), &[(last, &[group])]).0;
    }
    deliver(&mut builder, LayerId(last));
    builder.finish()
}

/// Differences of neighbours along both axes of a square of so many chunks.
fn halo(side: u64) -> Plan {
    let mut builder = PlanBuilder::new();
    add(&mut builder, grid(&[(side * 4, 4), (side * 4, 4)]), &[]);
    let moved = [cut(0, 1), cut(1, 1)];
    let inner = grid(&[(side * 4 - 1, 4), (side * 4 - 1, 4)]);
    let last = add(&mut builder, inner, &[(0, &moved), (0, &[cut(0, 0), cut(1, 0)])]);
    deliver(&mut builder, last);
    builder.finish()
}

fn both(plan: &Plan) -> (u64, u64) {
    let walked = plan.depth_first_bytes(|_| None, u64::MAX).expect("a small plan");
    (walked, plan.depth_first_bytes_max(|_| None).expect("a bound"))
}

#[test]
fn trees_and_neighbours_of_any_size_have_a_bound_near_the_walk() {
    for plan in [sum(1000), halo(20)] {
        let (walked, bound) = both(&plan);
        assert!(walked <= bound && bound <= walked * 13 / 10, "{walked} {bound}");
    }
    let (small, large) = (sum(1 << 12), sum(1 << 33));
    let bound = |plan: &Plan| plan.depth_first_bytes_max(|_| None).expect("a bound");
    assert!(bound(&large) < bound(&small) * 3, "the path has 11 levels, not 4");
    let wide = bound(&halo(60_000));
    assert!(wide < 60_100 * 16 * ITEM, "a row of chunks and a little: {wide}");
}

#[test]
fn what_is_needed_twice_is_counted_whole_and_once() {
    let mut builder = PlanBuilder::new();
    add(&mut builder, grid(&[(100, 1)]), &[]);
    add(&mut builder, grid(&[(1, 1)]), &[(0, &[ALL])]);
    let anomaly = add(&mut builder, grid(&[(100, 1)]), &[(0, &[same(0)]), (1, &[ALL])]);
    deliver(&mut builder, anomaly);
    let (walked, bound) = both(&builder.finish());
    assert!(walked <= bound && bound <= walked * 16 / 10, "{walked} {bound}");
}

#[test]
fn pancakes_hold_one_row_of_squares() {
    let mut builder = PlanBuilder::new();
    add(&mut builder, grid(&[(800, 8), (800, 8)]), &[]);
    let last = add(
        &mut builder,
        grid(&[(800, 1), (800, 800)]),
        &[(0, &[cut(0, 0), ALL])],
    );
    deliver(&mut builder, last);
    let (walked, bound) = both(&builder.finish());
    assert!(walked <= bound && bound <= walked * 21 / 10, "{walked} {bound}");
}

#[test]
fn what_is_kept_or_read_by_nobody_does_not_count_and_graphs_of_blocks_have_no_bound() {
    let mut builder = PlanBuilder::new();
    let source = add(&mut builder, grid(&[(100, 1)]), &[]);
    let keep = Some(Key(1));
    builder
        .output(Output { layer: source, keep })
        .expect("a valid output");
    assert_eq!(both(&builder.finish()), (ITEM, ITEM));
    let mut builder = PlanBuilder::new();
    let own = Input {
        source: Source::Layer(LayerId(0)),
        map: InputMap::Blocks(Rows::new([vec![], vec![0]])),
    };
    let body = Body::new(b"body".to_vec());
    let graph = builder.layer(Layer::new("graph", grid(&[(2, 1)]), ITEM, body, vec![own]));
    deliver(&mut builder, graph.expect("a valid layer"));
    assert_eq!(builder.finish().depth_first_bytes_max(|_| None), None);
}

/// A layer of a random plan: lengths of its chunks, and for each input which layer, and how each axis is read.
type RandomLayer = ((u64, u64), Vec<(prop::sample::Index, [(u8, i64); 2])>);

fn random() -> impl Strategy<Value = (Vec<RandomLayer>, Vec<prop::sample::Index>)> {
    let reads = [(0..7u8, -2..3i64), (0..7u8, -2..3i64)];
    let input = (any::<prop::sample::Index>(), reads);
    let layer = ((1..7u64, 1..7u64), prop::collection::vec(input, 0..4));
    let outputs = prop::collection::vec(any::<prop::sample::Index>(), 1..3);
    (prop::collection::vec(layer, 1..7), outputs)
}

fn build(layers: &[RandomLayer], outputs: &[prop::sample::Index]) -> Plan {
    let mut builder = PlanBuilder::new();
    let (mut grids, mut read) = (Vec::<ChunkGrid>::new(), BTreeSet::new());
    for (chunks, inputs) in layers {
        let own = grid(&[(12, chunks.0), (10, chunks.1)]);
        let inputs = inputs
            .iter()
            .filter(|_| !grids.is_empty())
            .map(|(source, reads)| {
                let source = source.index(grids.len());
                read.insert(source);
                let axes = grids[source].axes().iter().zip(reads).enumerate();
                let windows = axes.map(|(axis, (chunks, &(kind, start)))| {
                    let (straight, crossed) = (axis, 1 - axis);
                    match kind {
                        0 => ALL,
                        1 => AxisWindow::Block {
                            block: start.unsigned_abs() % chunks.count(),
                        },
                        2 => cut(crossed, start),
                        3 if chunks.count() == own.axes()[axis].count() => same(axis),
                        4 => AxisWindow::Affine {
                            out_axis: straight,
                            start: 9,
                            step: -1,
                        },
                        5 => {
                            let list = |i: u64| vec![i % chunks.count()];
                            AxisWindow::Rows {
                                out_axis: crossed,
                                rows: Rows::new((0..own.axes()[crossed].count()).map(|i| list(i * 3))),
                            }
                        }
                        _ => cut(straight, start),
                    }
                });
                let windows = windows.collect::<Vec<_>>();
                (source as u32, windows)
            });
        let inputs: Vec<(u32, Vec<AxisWindow>)> = inputs.collect();
        let inputs: Vec<(u32, &[AxisWindow])> = inputs.iter().map(|(s, w)| (*s, &w[..])).collect();
        add(&mut builder, own.clone(), &inputs);
        grids.push(own);
    }
    let mut wanted: Vec<usize> = outputs.iter().map(|output| output.index(grids.len())).collect();
    // Whatever nobody reads is an output too.
    wanted.extend((0..grids.len()).filter(|layer| !read.contains(layer)));
    wanted.sort_unstable();
    wanted.dedup();
    wanted
        .iter()
        .for_each(|&layer| deliver(&mut builder, LayerId(layer as u32)));
    builder.finish()
}

/// Whether each block of each layer is needed by an output, as lowering takes care of.
fn is_culled(plan: &Plan) -> bool {
    let layers = plan.layers();
    let mut needed: Vec<Vec<bool>> = layers
        .iter()
        .map(|layer| vec![false; layer.grid.block_count() as usize])
        .collect();
    for output in plan.outputs() {
        needed[output.layer.0 as usize].fill(true);
    }
    for (at, layer) in layers.iter().enumerate().rev() {
        for input in &layer.inputs {
            let Source::Layer(source) = input.source else {
                continue;
            };
            let map = BlockMap::new(&input.map, &layer.grid, &plan.layer(source).grid);
            let map = map.expect("checked when the plan was built");
            for block in 0..layer.grid.block_count() {
                if needed[at][block as usize] {
                    map.each_source(block, |b| needed[source.0 as usize][b as usize] = true);
                }
            }
        }
    }
    needed.iter().flatten().all(|&needed| needed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_global_rejects: 1 << 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_walk_takes_more_than_the_bound((layers, outputs) in random()) {
        let plan = build(&layers, &outputs);
        prop_assume!(is_culled(&plan));
        let (walked, bound) = both(&plan);
        prop_assert!(walked <= bound, "walked {walked}, bound {bound}");
    }
}
