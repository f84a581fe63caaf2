//! Plans of whole jobs, as reviewed text.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::time::{Duration, Instant};

use graticule_array::{
    Array, Chunks, Grouping, LowerOptions, Lowered, Over, Strategy, Wanted, concatenate, explain, lower,
    where_,
};
use graticule_ops::{ArraySource, Grid, OnError, RasterStack, ReduceKind, Resampling};
use graticule_plan::{BlockMap, ChunkGrid, DType, Key, Plan};

/// A stack `(time, band, y, x)` of scenes nobody has looked into, one chunk for each scene and tile, of all bands.
fn stack(times: u64, bands: u64, side: u64, chunk: u64) -> Array {
    let grid = Grid {
        transform: [10.0, 0.0, 0.0, 0.0, -10.0, 0.0],
        height: side,
        width: side,
        epsg: Some(32633),
    };
    let source = ArraySource::Raster(RasterStack {
        grid,
        band_count: bands,
        slots: vec![vec![]; (times * bands) as usize],
        fill: vec![0.0; bands as usize],
        resampling: Resampling::Nearest,
        on_error: OnError::Raise,
    });
    let chunks = ChunkGrid::regular(&[times, bands, side, side], &[1, bands, chunk, chunk]).unwrap();
    Array::from_source(&source, DType::UInt16, &chunks).unwrap()
}

/// Scenes of three colours and a quality band, masked by its bits.
fn masked(stack: &Array) -> Array {
    let colours = stack.slice(&[(..).into(), (0..3).into()]).unwrap();
    let quality = stack.slice(&[(..).into(), (3..4).into()]).unwrap();
    let clear = quality.bitwise_and(0b10001).unwrap().equal(0).unwrap();
    where_(clear, colours.astype(DType::Float32).unwrap(), f64::NAN).unwrap()
}

fn delivered(arrays: &[&Array]) -> Lowered {
    let wanted: Vec<_> = arrays.iter().map(|array| (*array, Wanted::Deliver)).collect();
    lower(&wanted, &LowerOptions::default()).unwrap()
}

#[test]
fn median_over_time_reads_all_dates_of_a_tile_in_one_task() {
    let median = masked(&stack(24, 4, 4096, 512))
        .median(&Over::axis(0).skipna())
        .unwrap();
    let lowered = delivered(&[&median]);
    assert_eq!(lowered.plan.layers().len(), 1);
    assert_eq!(
        lowered.plan.layers()[0].name.as_ref(),
        "read+bitwise_and+equal+read+astype+where+nanmedian"
    );
    assert_eq!(lowered.outputs[0].grid, *median.chunks());
    insta::assert_snapshot!(explain(&[&median], &LowerOptions::default()).unwrap());
}

#[test]
fn mosaic_and_months_share_what_is_read() {
    let clear = masked(&stack(24, 4, 4096, 512));
    let median = clear.median(&Over::axis(0).skipna()).unwrap();
    let months: Vec<Option<u8>> = (0..24).map(|scene| Some(scene / 2 % 12 + 1)).collect();
    let (monthly, groups) = clear
        .groupby_reduce(0, &months, ReduceKind::Median, true)
        .unwrap();
    assert_eq!(groups, (1..=12).collect::<Vec<u8>>());
    insta::assert_snapshot!(delivered(&[&median, &monthly]).explain());
}

#[test]
fn statistics_of_long_series_go_by_a_tree() {
    let cube = stack(1000, 1, 512, 512);
    let mean = cube.mean(&Over::all()).unwrap();
    insta::assert_snapshot!(delivered(&[&mean]).explain());
}

/// Blocks of each layer of a reduction by month of 64 dates, each a chunk of `side` x `side`.
fn blocks_by_month(side: u64, strategy: Strategy, kind: ReduceKind, dtype: DType) -> Vec<u64> {
    let grid = ChunkGrid::regular(&[64, side, side], &[1, side, side]).unwrap();
    let cube = Array::held(Key(7), &grid, dtype);
    let months: Vec<i32> = (0..64).map(|date| date % 12).collect();
    let months = Grouping::new([0], months, 12).skipna().strategy(strategy);
    blocks(&cube.group_reduce(&months, kind).unwrap())
}

fn blocks_of_a_climatology(side: u64, strategy: Strategy) -> Vec<u64> {
    blocks_by_month(side, strategy, ReduceKind::Mean, DType::Float32)
}

fn blocks(array: &Array) -> Vec<u64> {
    let layers = delivered(&[array]);
    let layers = layers.plan.layers().iter();
    layers.map(|layer| layer.grid.block_count()).collect()
}

#[test]
fn months_that_share_no_chunk_are_combined_apart() {
    let sums = |side| blocks_by_month(side, Strategy::Cheapest, ReduceKind::Sum, DType::Float64);
    assert_eq!(sums(2), [64, 2, 1]);
    assert_eq!(sums(52), [64, 12, 1]);
}

/// A partial of a mean is a count and a float64 for each element: here a block has one element of each of its groups.
#[test]
fn elements_come_together_where_their_partials_would_be_larger() {
    assert_eq!(blocks_of_a_climatology(2, Strategy::Cheapest), [64, 2, 1]);
    assert_eq!(blocks_of_a_climatology(37, Strategy::Cheapest), [12, 1]);

    let grid = ChunkGrid::regular(&[1460, 180, 360], &[73, 180, 360]).unwrap();
    let cube = Array::held(Key(7), &grid, DType::Float32);
    let days = Grouping::new([0], (0..1460).map(|day| day % 365).collect::<Vec<i32>>(), 365);
    let means = cube.group_reduce(&days, ReduceKind::Mean).unwrap();
    assert_eq!(blocks(&means), [5, 1]);
    let explained = means.explain().unwrap();
    assert!(explained.contains("groupby-mean-blockwise"), "{explained}");
}

/// A leap year shifts the days after it, so that all blocks share groups, and a partial for each block would have all of them.
#[test]
fn axes_come_together_where_partials_of_all_groups_would_be_much_larger() {
    let days: Vec<i32> = (0..4)
        .flat_map(|year| 0..if year == 0 { 366 } else { 365 })
        .collect();
    let grid = ChunkGrid::regular(&[1461, 180, 360], &[73, 180, 360]).unwrap();
    let cube = Array::held(Key(7), &grid, DType::Float32);
    let of = |strategy| {
        let days = Grouping::new([0], days.clone(), 366).strategy(strategy);
        cube.group_reduce(&days, ReduceKind::Mean).unwrap()
    };
    assert_eq!(blocks(&of(Strategy::Cheapest)), [2]);
    assert_eq!(blocks(&of(Strategy::MapReduce)), [21, 6, 2, 1]);
    // Of a few places, that is not worth the many pieces.
    let few = cube.slice(&[(..).into(), (..1).into(), (..9).into()]).unwrap();
    let days = Grouping::new([0], days, 366);
    assert_eq!(
        blocks(&few.group_reduce(&days, ReduceKind::Mean).unwrap()).len(),
        3
    );
}

/// Where whole axes would be cut into lines, each of which needs a piece of every chunk.
#[test]
fn bands_of_days_come_together_where_whole_axes_are_too_much_for_a_task() {
    let days: Vec<i32> = (0..3650).map(|day| day % 365).collect();
    let grid = ChunkGrid::regular(&[3650, 361, 720], &[10, 361, 720]).unwrap();
    let cube = Array::held(Key(7), &grid, DType::Float32);
    let grouping = Grouping::new([0], days, 365);
    let means = cube.group_reduce(&grouping, ReduceKind::Mean).unwrap();
    // Six days of ten years are 60 MiB.
    assert_eq!(means.chunks().axes()[0].chunk_max(), 6);
    let lowered = delivered(&[&means]);
    let [layer] = lowered.plan.layers() else {
        panic!("{}", lowered.explain())
    };
    assert_eq!(&*layer.name, "take+groupby-mean-blockwise");
    let map = BlockMap::new(&layer.inputs[0].map, &layer.grid, &grid).unwrap();
    let most = (0..layer.grid.block_count()).map(|block| map.sources(block).len());
    assert!(most.max().unwrap() <= 20, "two chunks of each year");
    // What is made of both is cut as the cube is.
    let own: Vec<i64> = (0..3650).map(|day| day % 365).collect();
    let anomaly = cube.subtract(means.take(&own, 0).unwrap()).unwrap();
    assert_eq!(*anomaly.chunks(), grid);
    assert_eq!(blocks(&anomaly), [61, 365]);
}

/// A task of a combination holds all partials that it combines, and each of them has every group.
#[test]
fn large_partials_are_combined_four_at_a_time_and_small_ones_eight_and_tiny_ones_thirty_two() {
    // 12 groups of 36 x 36 elements of 16 bytes stay below 256 KiB, those of 37 x 37 do not.
    assert_eq!(blocks_of_a_climatology(36, Strategy::MapReduce), [64, 8, 1]);
    assert_eq!(blocks_of_a_climatology(37, Strategy::MapReduce), [64, 16, 4, 1]);
    // Of images of float64 that is the image itself, beside its count.
    let images = |side: u64| {
        let grid = ChunkGrid::regular(&[64, side, side], &[1, side, side]).unwrap();
        let sums = Array::held(Key(7), &grid, DType::Float64).sum(&Over::axis(0));
        blocks(&sums.unwrap())
    };
    assert_eq!(images(16), [64, 2, 1]);
    assert_eq!(images(17), [64, 8, 1]);
    assert_eq!(images(200), [64, 16, 4, 1]);
    let asked = Over::axis(0).split_every(16);
    let grid = ChunkGrid::regular(&[64, 200], &[1, 200]).unwrap();
    let sums = Array::held(Key(7), &grid, DType::Float64).sum(&asked);
    assert_eq!(blocks(&sums.unwrap()), [64, 4, 1]);
}

#[test]
fn anomaly_of_a_persisted_cube() {
    let grid = ChunkGrid::regular(&[1460, 720, 1440], &[365, 180, 180]).unwrap();
    let cube = Array::held(Key(7), &grid, DType::Float32);
    let anomaly = cube
        .subtract(cube.mean(&Over::axis(0).keepdims()).unwrap())
        .unwrap();
    insta::assert_snapshot!(delivered(&[&anomaly]).explain());
}

#[test]
fn anomalies_as_series_of_places_are_one_task_each_with_the_means_they_are_of() {
    let grid = ChunkGrid::regular(&[3650, 361, 720], &[10, 361, 720]).unwrap();
    let cube = Array::held(Key(7), &grid, DType::Float32);
    let days: Vec<i32> = (0..3650).map(|day| day % 365).collect();
    let means = cube.reduce_groups(0, &days, 365, ReduceKind::Mean, true).unwrap();
    let own = means
        .take(&days.iter().map(|&day| i64::from(day)).collect::<Vec<_>>(), 0)
        .unwrap();
    let anomaly = cube.subtract(own).unwrap();
    let series = [Chunks::Whole, Chunks::Size(19), Chunks::Size(24)];
    let lowered = delivered(&[&anomaly.rechunk(&series).unwrap()]);
    let layers = lowered.plan.layers().iter();
    let names: Vec<_> = layers.map(|layer| layer.name.to_string()).collect();
    // The cube is put together once, by way of chunks halfway, and only what is asked for is made of it.
    assert_eq!(names, ["rechunk", "rechunk+groupby-nanmean+take+subtract"]);
    assert_eq!(lowered.rewritten["share-rechunk"], 1);
}

#[test]
fn groups_of_neighbours_in_time_are_not_one_task_though_they_have_no_partials() {
    // Medians of five days of chunks of four: no set of chunks has groups for itself alone, and whole axes are one task.
    let cube = stack(400, 1, 512, 512)
        .astype(DType::Float32)
        .unwrap()
        .rechunk(&[Chunks::Size(4), Chunks::Whole, Chunks::Whole, Chunks::Whole])
        .unwrap();
    for group in [5, 7] {
        let days: Vec<i32> = (0..400).map(|day| day / group).collect();
        let grouping = Grouping::new([0], days, 400_u64.div_ceil(group as u64));
        let medians = cube.group_reduce(&grouping, ReduceKind::Median).unwrap();
        let blocks = medians.chunks().axes()[0].count();
        assert!((5..=12).contains(&blocks), "{blocks}");
        let lowered = delivered(&[&medians]);
        let widest = lowered
            .plan
            .layers()
            .iter()
            .map(|layer| lowered.task_bytes_max(layer) - layer.source_bytes);
        assert!(widest.max() < Some(160 << 20), "{}", lowered.explain());
    }
}

#[test]
fn lists_of_an_element_here_and_there_are_few_tasks_that_need_their_own_blocks() {
    // What `groupby(...).map(...)` does: each group by itself, joined, and in the old order again.
    let cube = Array::arange(0.0, 730.0 * 4096.0, 1.0, DType::Float64, Chunks::Size(50 * 4096))
        .unwrap()
        .reshape(&[730, 64, 64])
        .unwrap();
    let cube = cube.add(cube.sum(&Over::all()).unwrap()).unwrap();
    let mut lists = vec![Vec::new(); 73];
    (0..730_usize).for_each(|day| lists[(day + day / 100) % 73].push(day as i64));
    let anomalies = lists.iter().map(|list| {
        let group = cube.take(list, 0).unwrap();
        assert_eq!(group.chunks().axes()[0].count(), 1);
        group
            .subtract(group.mean(&Over::axis(0).keepdims()).unwrap())
            .unwrap()
    });
    let joined = concatenate(&anomalies.collect::<Vec<_>>(), 0).unwrap();
    let mut places = vec![0; 730];
    for (place, day) in lists.iter().flatten().enumerate() {
        places[*day as usize] = place as i64;
    }
    let lowered = delivered(&[&joined.take(&places, 0).unwrap()]);
    let tasks = lowered.plan.task_count();
    assert!(tasks < 400, "{tasks} tasks:\n{}", lowered.explain());
    // A list needs up to eleven blocks of 50 days, 1.6 MiB each; a join, of its 73 parts those in its block.
    let widest = lowered
        .plan
        .layers()
        .iter()
        .map(|layer| lowered.task_bytes_max(layer))
        .max();
    assert!(widest < Some(20 << 20), "{widest:?}:\n{}", lowered.explain());
}

#[test]
fn persisted_result_is_named_in_the_plan() {
    let clear = masked(&stack(4, 4, 1024, 512));
    let lowered = lower(&[(&clear, Wanted::Keep(Key(5)))], &LowerOptions::default()).unwrap();
    assert_eq!(lowered.plan.outputs()[0].keep, Some(Key(5)));
    assert_eq!(lowered.outputs[0].grid, *clear.chunks());
    assert_eq!(lowered.outputs[0].dtype, DType::Float32);
}

fn encoded_layers(plan: &Plan) -> usize {
    plan.layers()
        .iter()
        .map(|layer| postcard::to_stdvec(layer).unwrap().len())
        .sum()
}

/// Twenty operations on an array of `count` chunks of 10 elements.
fn twenty_operations(count: u64) -> Array {
    let x = Array::arange(0.0, (10 * count) as f64, 1.0, DType::Int64, Chunks::Size(10)).unwrap();
    let mut x = x.astype(DType::Float64).unwrap();
    for _ in 0..3 {
        x = x.multiply(1.5).unwrap().add(2.0).unwrap().sqrt().unwrap();
    }
    let shifted = x
        .slice(&[(5..).into()])
        .unwrap()
        .subtract(x.slice(&[(..-5).into()]).unwrap())
        .unwrap();
    let joined = concatenate(&[shifted.clone(), shifted.flip(0).unwrap()], 0).unwrap();
    let joined = joined
        .rechunk(&[Chunks::Size(1000)])
        .unwrap()
        .clip(Some(0.0.into()), Some(9.0.into()))
        .unwrap();
    joined
        .where_valid(joined.greater(1.0).unwrap())
        .unwrap()
        .mean(&Over::all().skipna())
        .unwrap()
}

#[test]
fn plans_cost_no_more_for_a_hundred_million_chunks_than_for_a_thousand() {
    let mut sizes = Vec::new();
    for count in [1_000, 100_000_000] {
        let best = (0..5).map(|_| {
            let start = Instant::now();
            let array = twenty_operations(count);
            let lowered = delivered(&[&array]);
            (start.elapsed(), encoded_layers(&lowered.plan))
        });
        let (elapsed, size) = best.min().unwrap();
        let limit = if cfg!(debug_assertions) { 50 } else { 5 };
        assert!(
            elapsed < Duration::from_millis(limit),
            "{elapsed:?} for {count} chunks"
        );
        println!("{count} chunks: {elapsed:?}, {size} bytes");
        assert!(size < 64 << 10, "{size} bytes for {count} chunks");
        sizes.push(size);
    }
    assert!(sizes[1] < 2 * sizes[0], "{sizes:?}");
}
