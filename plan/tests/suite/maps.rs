//! Dependency maps against their definition, element by element, and against each other.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::collections::BTreeSet;

use graticule_plan::{AxisChunks, AxisWindow, BlockMap, ChunkGrid, InputMap, Rows};
use proptest::prelude::*;

/// An axis of chunks as users may cut it: regular, or with empty and single-element ones, or with nothing at all.
fn axis() -> impl Strategy<Value = AxisChunks> {
    let regular = (0..20u64, 1..7u64).prop_map(|(len, chunk)| AxisChunks::regular(len, chunk).unwrap());
    let irregular = prop::collection::vec(prop_oneof![3 => 0..5u64, 1 => Just(1u64), 1 => Just(0u64)], 1..6)
        .prop_map(|lengths| AxisChunks::from_lengths(&lengths).unwrap());
    prop_oneof![regular, irregular]
}

/// A list of distinct blocks for each of `count` blocks.
fn rows(count: u64, source_count: u64) -> impl Strategy<Value = Rows> {
    let row = prop::collection::vec(0..source_count, 0..4).prop_map(|blocks| {
        let mut seen = BTreeSet::new();
        blocks
            .into_iter()
            .filter(|block| seen.insert(*block))
            .collect::<Vec<u64>>()
    });
    prop::collection::vec(row, count as usize).prop_map(Rows::new)
}

/// A window on `source` that fits one of the layer's axes.
fn window(source: AxisChunks, out: ChunkGrid) -> BoxedStrategy<AxisWindow> {
    let mut choices: Vec<BoxedStrategy<AxisWindow>> = vec![
        Just(AxisWindow::All).boxed(),
        (0..source.count())
            .prop_map(|block| AxisWindow::Block { block })
            .boxed(),
    ];
    for (out_axis, chunks) in out.axes().iter().enumerate() {
        let (count, len) = (chunks.count(), source.len());
        if count == source.count() {
            choices.push(Just(AxisWindow::Aligned { out_axis }).boxed());
        }
        for fan_in in (1..=source.count()).filter(|fan_in| source.count().div_ceil(*fan_in) == count) {
            choices.push(Just(AxisWindow::Group { out_axis, fan_in }).boxed());
        }
        // Windows that hang over either end, and steps in both directions, are as likely as those within.
        let affine = (-25..25i64, -4..4i64).prop_map(move |(start, step)| {
            let step = if step == 0 { 1 } else { step };
            AxisWindow::Affine {
                out_axis,
                start,
                step,
            }
        });
        choices.push(affine.clone().boxed());
        choices.push(affine.boxed());
        let interval = (0..=len, 0..=len).prop_map(|(a, b)| (a.min(b), a.max(b)));
        let intervals = prop::collection::vec(interval, count as usize);
        choices.push(
            intervals
                .prop_map(move |i| AxisWindow::Intervals {
                    out_axis,
                    intervals: i.into(),
                })
                .boxed(),
        );
        let rows = rows(count, source.count()).prop_map(move |rows| AxisWindow::Rows { out_axis, rows });
        choices.push(rows.boxed());
    }
    prop::strategy::Union::new(choices).boxed()
}

#[derive(Debug, Clone)]
struct Case {
    out: ChunkGrid,
    source: ChunkGrid,
    windows: Vec<AxisWindow>,
}

impl Case {
    fn map(&self) -> BlockMap {
        BlockMap::new(&InputMap::Product(self.windows.clone()), &self.out, &self.source).unwrap()
    }

    /// By definition: the elements along source axis `axis` that the block at `index` needs, in the window's order,
    /// each with its source block.
    fn elements(&self, axis: usize, index: &[u64]) -> Vec<(u64, u64)> {
        let source = &self.source.axes()[axis];
        let of_block = |block: u64| source.extent(block).map(move |element| (block, element));
        let of_range =
            |range: std::ops::Range<u64>| range.map(|element| (source.block_of(element), element)).collect();
        match &self.windows[axis] {
            AxisWindow::All => of_range(0..source.len()),
            AxisWindow::Block { block } => of_block(*block).collect(),
            AxisWindow::Aligned { out_axis } => of_block(index[*out_axis]).collect(),
            AxisWindow::Affine {
                out_axis,
                start,
                step,
            } => {
                let extent = self.out.axes()[*out_axis].extent(index[*out_axis]);
                let wanted = extent.map(|k| start + step * k as i64);
                let there: Vec<u64> = wanted
                    .filter(|e| (0..source.len() as i64).contains(e))
                    .map(|e| e as u64)
                    .collect();
                match (there.iter().min(), there.iter().max()) {
                    (Some(&low), Some(&high)) => of_range(low..high + 1),
                    _ => Vec::new(),
                }
            }
            AxisWindow::Group { out_axis, fan_in } => {
                let first = index[*out_axis] * fan_in;
                (first..(first + fan_in).min(source.count()))
                    .flat_map(of_block)
                    .collect()
            }
            AxisWindow::Intervals { out_axis, intervals } => {
                let (start, end) = intervals[index[*out_axis] as usize];
                of_range(start..end)
            }
            AxisWindow::Rows { out_axis, rows } => rows
                .row(index[*out_axis])
                .iter()
                .copied()
                .flat_map(of_block)
                .collect(),
        }
    }
}

fn case() -> impl Strategy<Value = Case> {
    let grid = |axes| prop::collection::vec(axis(), axes).prop_map(|axes| ChunkGrid::new(axes).unwrap());
    (grid(0..3usize), grid(0..3usize)).prop_flat_map(|(out, source)| {
        let windows: Vec<_> = source
            .axes()
            .iter()
            .map(|chunks| window(chunks.clone(), out.clone()))
            .collect();
        (Just(out), Just(source), windows).prop_map(|(out, source, windows)| Case { out, source, windows })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn windows_hold_the_elements_of_their_definition(case in case()) {
        let map = case.map();
        for block in 0..case.out.block_count() {
            let index = case.out.unravel(block);
            let window = map.window(block).unwrap();
            prop_assert_eq!(window.len(), case.source.ndim());
            for (axis, pieces) in window.iter().enumerate() {
                let chunks = &case.source.axes()[axis];
                let mut at = 0;
                for piece in pieces {
                    prop_assert_eq!(piece.at, at);
                    prop_assert_eq!(piece.element, chunks.extent(piece.block).start + piece.start);
                    prop_assert!(piece.start + piece.len <= chunks.extent(piece.block).end - chunks.extent(piece.block).start);
                    at += piece.len;
                }
                let held = pieces.iter().flat_map(|p| (p.element..p.element + p.len).map(|e| (p.block, e)));
                prop_assert_eq!(held.collect::<Vec<_>>(), case.elements(axis, &index));
            }
        }
    }

    #[test]
    fn sources_are_the_blocks_of_the_window_in_its_order(case in case()) {
        let map = case.map();
        for block in 0..case.out.block_count() {
            let sources = map.sources(block);
            let window = map.window(block).unwrap();
            let mut wanted = vec![vec![]];
            for pieces in &window {
                wanted = wanted
                    .iter()
                    .flat_map(|head: &Vec<u64>| pieces.iter().map(move |p| [&head[..], &[p.block]].concat()))
                    .collect();
            }
            let wanted: Vec<u64> = wanted.iter().map(|index| case.source.ravel(index)).collect();
            prop_assert_eq!(&sources, &wanted);
            prop_assert_eq!(map.source_count(block), sources.len() as u64);
            prop_assert_eq!(sources.iter().collect::<BTreeSet<_>>().len(), sources.len(), "a source twice");
            for (position, &source) in sources.iter().enumerate() {
                let region = map.region(block, source);
                let index = case.source.unravel(source);
                for (axis, range) in region.iter().enumerate() {
                    let piece = window[axis].iter().find(|p| p.block == index[axis]).unwrap();
                    prop_assert_eq!(range.clone(), piece.start..piece.start + piece.len, "source {}", position);
                }
            }
        }
    }

    #[test]
    fn with_a_fan_in_neighbours_need_neighbours(case in case()) {
        let map = case.map();
        if let Some(fan_in) = map.fan_in() {
            for block in 0..case.out.block_count() {
                let end = ((block + 1) * fan_in).min(map.source_grid().block_count());
                prop_assert_eq!(map.sources(block), (block * fan_in..end).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn dependents_are_the_inverse_of_sources(case in case()) {
        let map = case.map();
        let sources: Vec<BTreeSet<u64>> =
            (0..case.out.block_count()).map(|block| map.sources(block).into_iter().collect()).collect();
        for source in 0..case.source.block_count() {
            let wanted: Vec<u64> =
                (0..case.out.block_count()).filter(|&block| sources[block as usize].contains(&source)).collect();
            prop_assert_eq!(&map.dependents(source), &wanted);
            prop_assert_eq!(map.dependents_count(source), wanted.len() as u64);
        }
    }

    #[test]
    fn lists_of_blocks_are_maps_too((out, source, rows) in (axis(), axis()).prop_flat_map(|(out, source)| {
        let rows = rows(out.count(), source.count());
        (Just(out), Just(source), rows)
    })) {
        let (out, source) = (ChunkGrid::new(vec![out]).unwrap(), ChunkGrid::new(vec![source]).unwrap());
        let map = BlockMap::new(&InputMap::Blocks(rows.clone()), &out, &source).unwrap();
        for block in 0..out.block_count() {
            prop_assert_eq!(map.sources(block), rows.row(block));
            prop_assert_eq!(map.source_count(block), rows.row(block).len() as u64);
            prop_assert!(map.window(block).is_none());
            for &source_block in rows.row(block) {
                let extent = source.extents(source_block)[0].clone();
                prop_assert_eq!(map.region(block, source_block), vec![0..extent.end - extent.start]);
            }
        }
        for source in 0..source.block_count() {
            let wanted: Vec<u64> = (0..out.block_count()).filter(|&b| rows.row(b).contains(&source)).collect();
            prop_assert_eq!(&map.dependents(source), &wanted);
            prop_assert_eq!(map.dependents_count(source), wanted.len() as u64);
        }
    }
}

#[test]
fn windows_of_very_long_axes_do_not_overflow() {
    let long = i64::MAX as u64;
    let out = ChunkGrid::new(vec![AxisChunks::regular(long, long / 4).unwrap()]).unwrap();
    let source = out.clone();
    for (start, step) in [
        (i64::MIN, i64::MAX),
        (i64::MAX, i64::MIN),
        (-1, 1),
        (i64::MAX - 1, -1),
    ] {
        let window = AxisWindow::Affine {
            out_axis: 0,
            start,
            step,
        };
        let map = BlockMap::new(&InputMap::Product(vec![window]), &out, &source).unwrap();
        for block in 0..out.block_count() {
            for source in map.sources(block) {
                assert!(map.dependents(source).contains(&block), "{start} {step}");
            }
        }
    }
}

#[test]
fn questions_about_one_block_of_very_many_are_quick() {
    let axis = AxisChunks::regular(1 << 40, 1 << 10).unwrap();
    let grid = ChunkGrid::new(vec![axis]).unwrap();
    let window = AxisWindow::Affine {
        out_axis: 0,
        start: -512,
        step: 1,
    };
    let map = BlockMap::new(&InputMap::Product(vec![window]), &grid, &grid).unwrap();
    assert_eq!(map.sources(1 << 20), [(1 << 20) - 1, 1 << 20]);
    assert_eq!(map.dependents(1 << 20), [1 << 20, (1 << 20) + 1]);
    let all = BlockMap::new(&InputMap::Product(vec![AxisWindow::All]), &grid, &grid).unwrap();
    assert_eq!(all.dependents_count(5), 1 << 30);
}
