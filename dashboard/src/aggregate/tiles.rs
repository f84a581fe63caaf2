//! The timeline as a pyramid of tiles: time buckets by lanes, each level halving the one below.

use std::collections::{BTreeMap, VecDeque};

use super::{
    cells::varint,
    frame::{FORMAT_VERSION, RowKey, StreamTask},
    log::{Lane, TaskLog},
};

/// Buckets of a tile.
pub const TILE_BUCKET_COUNT: usize = 256;

/// Microseconds of a bucket of level 0; each level doubles them.
pub const TILE_BASE_US: u64 = 1 << 10;

/// The highest level: a tile of half a year.
pub const TILE_LEVEL_MAX: u32 = 26;

/// Tasks that a tile is drawn from one by one; of more, it is made from the two tiles below it.
const SCAN_TASK_COUNT_MAX: u64 = 20_000;

/// Lanes of tiles that are kept, of 3 KiB each.
const KEPT_LANE_COUNT_MAX: usize = 8_192;

/// All lanes.
pub(super) const ALL_LANES: (Lane, Lane) = ((0, 0), (RowKey::MAX, u32::MAX));

/// What a lane did in a bucket of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bucket {
    /// The key of the layer that took most of it, plus one; 0 if nothing ran.
    layer: u32,
    /// The part of the bucket that this layer took.
    of_layer: f32,
    /// The part that any task took.
    busy: f32,
}

type Buckets = Box<[Bucket; TILE_BUCKET_COUNT]>;

#[derive(Debug, Clone, Default)]
struct Tile {
    lanes: BTreeMap<Lane, Buckets>,
}

/// Which tile: its level, and its position among those of the level.
type TileName = (u32, u64);

/// Tiles that cannot change any more.
#[derive(Debug, Default)]
pub(super) struct TileCache {
    tiles: BTreeMap<TileName, Tile>,
    order: VecDeque<TileName>,
    lane_count: usize,
    /// No kept tile goes beyond this.
    end_us: u64,
}

fn span_us((level, index): TileName) -> (u64, u64) {
    let tile_us = (TILE_BASE_US << level) * TILE_BUCKET_COUNT as u64;
    let from_us = index.saturating_mul(tile_us);
    (from_us, from_us.saturating_add(tile_us))
}

impl TileCache {
    /// Forgets what a task that is told late would have changed.
    pub(super) fn told(&mut self, task: &StreamTask) {
        if task.started_us >= self.end_us {
            return;
        }
        let ended_us = task.ended_us();
        let stale = |name: TileName| {
            let (from_us, to_us) = span_us(name);
            from_us < ended_us && task.started_us < to_us
        };
        self.tiles.retain(|name, _| !stale(*name));
        self.order.retain(|name| !stale(*name));
        self.lane_count = self.tiles.values().map(|tile| tile.lanes.len()).sum();
        self.end_us = self.tiles.keys().map(|name| span_us(*name).1).max().unwrap_or(0);
    }

    fn keep(&mut self, name: TileName, tile: &Tile) {
        self.lane_count += tile.lanes.len();
        self.end_us = self.end_us.max(span_us(name).1);
        self.tiles.insert(name, tile.clone());
        self.order.push_back(name);
        while self.lane_count > KEPT_LANE_COUNT_MAX {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if let Some(tile) = self.tiles.remove(&oldest) {
                self.lane_count -= tile.lanes.len();
            }
        }
    }

    /// A tile as bytes; `settled_us` is when all that can still change begins. `None` past the highest level.
    ///
    /// ```text
    /// tile = version u8, flags u8 (1: it will not change), lane count, lanes
    /// lane = worker's key, slot, run count, runs
    /// run  = buckets, layer's key plus one, busy part u8 in steps of a fifteenth
    /// ```
    pub(super) fn encoded(
        &mut self,
        log: &TaskLog,
        level: u32,
        index: u64,
        settled_us: u64,
    ) -> Option<Vec<u8>> {
        if level > TILE_LEVEL_MAX || index > u64::MAX >> (level + 18) {
            return None;
        }
        let tile = self.tile(log, (level, index), settled_us);
        let is_settled = span_us((level, index)).1 <= settled_us;
        let mut out = vec![FORMAT_VERSION as u8, u8::from(is_settled)];
        varint(&mut out, tile.lanes.len() as u64);
        for ((worker, slot), buckets) in &tile.lanes {
            varint(&mut out, u64::from(*worker));
            varint(&mut out, u64::from(*slot));
            let told = |bucket: &Bucket| (bucket.layer, (bucket.busy.min(1.0) * 15.0).ceil() as u8);
            let runs: Vec<&[Bucket]> = buckets.chunk_by(|a, b| told(a) == told(b)).collect();
            varint(&mut out, runs.len() as u64);
            for run in runs {
                let (layer, busy) = told(&run[0]);
                varint(&mut out, run.len() as u64);
                varint(&mut out, u64::from(layer));
                out.push(busy);
            }
        }
        Some(out)
    }

    fn tile(&mut self, log: &TaskLog, name: TileName, settled_us: u64) -> Tile {
        if let Some(tile) = self.tiles.get(&name) {
            return tile.clone();
        }
        let (level, index) = name;
        let span = span_us(name);
        let tile = if level == 0 || log.count_max(span.0, span.1) <= SCAN_TASK_COUNT_MAX {
            Tile::scanned(log, name)
        } else {
            let first = self.tile(log, (level - 1, index * 2), settled_us);
            let second = self.tile(log, (level - 1, index * 2 + 1), settled_us);
            Tile::halved(&first, &second)
        };
        if span.1 <= settled_us {
            self.keep(name, &tile);
        }
        tile
    }
}

impl Tile {
    fn scanned(log: &TaskLog, name: TileName) -> Self {
        let span = span_us(name);
        let mut tile = Self::default();
        log.each(span, ALL_LANES, |lane, task| {
            let empty = || Box::new([Bucket::default(); TILE_BUCKET_COUNT]);
            let buckets = tile.lanes.entry(lane).or_insert_with(empty);
            let bucket_us = TILE_BASE_US << name.0;
            let from_us = task.started_us.max(span.0) - span.0;
            let to_us = task.ended_us().min(span.1) - span.0;
            let last = (to_us.saturating_sub(1) / bucket_us) as usize;
            let first = (from_us / bucket_us) as usize;
            for (at, bucket) in buckets.iter_mut().enumerate().take(last + 1).skip(first) {
                let begin_us = at as u64 * bucket_us;
                let part_us = to_us.min(begin_us + bucket_us) - from_us.max(begin_us);
                bucket.add(task.layer + 1, part_us as f32 / bucket_us as f32);
            }
        });
        tile
    }

    /// The tile above two neighbours.
    fn halved(first: &Self, second: &Self) -> Self {
        let mut tile = Self::default();
        for (half, below) in [first, second].into_iter().enumerate() {
            for (lane, buckets) in &below.lanes {
                let empty = || Box::new([Bucket::default(); TILE_BUCKET_COUNT]);
                let above = tile.lanes.entry(*lane).or_insert_with(empty);
                for (at, pair) in buckets.as_chunks::<2>().0.iter().enumerate() {
                    above[half * TILE_BUCKET_COUNT / 2 + at] = Bucket::of_pair(pair);
                }
            }
        }
        tile
    }
}

impl Bucket {
    fn add(&mut self, layer: u32, part: f32) {
        self.busy += part;
        if layer == self.layer {
            self.of_layer += part;
        } else if part > self.of_layer {
            (self.layer, self.of_layer) = (layer, part);
        }
    }

    fn of_pair([a, b]: &[Self; 2]) -> Self {
        let busy = f32::midpoint(a.busy, b.busy);
        let (layer, of_layer) = if a.layer == b.layer {
            (a.layer, f32::midpoint(a.of_layer, b.of_layer))
        } else if a.of_layer >= b.of_layer {
            (a.layer, a.of_layer / 2.0)
        } else {
            (b.layer, b.of_layer / 2.0)
        };
        Self {
            layer,
            of_layer,
            busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(at: u64, layer: RowKey, started_us: u64, duration_us: u64) -> StreamTask {
        StreamTask {
            layer,
            block: at,
            worker: 0,
            slot: (at % 2) as u32,
            started_us,
            duration_us,
            fetch_us: 0,
            bytes: 0,
            marks: 0,
        }
    }

    fn log_of(count: u64) -> TaskLog {
        let mut log = TaskLog::default();
        (0..count).for_each(|at| log.push(task(at, (at / 2_000 % 3) as RowKey, at * 500, 900)));
        log
    }

    fn busy(tile: &Tile) -> f32 {
        tile.lanes
            .values()
            .flat_map(|lane| lane.iter())
            .map(|bucket| bucket.busy)
            .sum()
    }

    #[test]
    fn a_level_halves_the_one_below_and_keeps_the_time() {
        let log = log_of(60_000);
        for index in 0..8 {
            let exact = Tile::scanned(&log, (5, index));
            let below = [0, 1].map(|half| Tile::scanned(&log, (4, index * 2 + half)));
            let halved = Tile::halved(&below[0], &below[1]);
            assert!((busy(&exact) - busy(&halved)).abs() < 0.01 * (1.0 + busy(&exact)));
            for (lane, buckets) in &exact.lanes {
                let same = buckets
                    .iter()
                    .zip(halved.lanes[lane].iter())
                    .filter(|(a, b)| a.layer == b.layer);
                assert!(
                    same.count() >= TILE_BUCKET_COUNT - 12,
                    "at the edges of layers alone they may differ"
                );
            }
        }
    }

    #[test]
    fn a_tile_that_is_settled_is_kept_until_a_task_is_told_late() {
        let mut log = log_of(60_000);
        let mut cache = TileCache::default();
        let first = cache.encoded(&log, 6, 0, u64::MAX).expect("a tile");
        assert_eq!(first[1], 1);
        assert!(!cache.tiles.is_empty());
        assert_eq!(
            cache.encoded(&log, 6, 0, 0).map(|tile| tile[1]),
            Some(0),
            "not settled yet"
        );
        let late = StreamTask {
            slot: 9,
            ..task(0, 7, 2_000_000, 500_000)
        };
        log.push(late);
        cache.told(&late);
        assert_ne!(
            cache.encoded(&log, 6, 0, u64::MAX).expect("a tile")[2..],
            first[2..]
        );
    }

    #[test]
    fn kept_tiles_are_bounded_and_no_name_is_too_large() {
        let log = log_of(1_000);
        let mut cache = TileCache::default();
        for index in 0..20_000 {
            cache.encoded(&log, 0, index, u64::MAX);
        }
        assert!(cache.lane_count <= KEPT_LANE_COUNT_MAX);
        for level in [0, 5, TILE_LEVEL_MAX, TILE_LEVEL_MAX + 1, u32::MAX] {
            for index in [0, 1, 1 << 20, u64::MAX] {
                cache.encoded(&log, level, index, 0);
            }
        }
    }
}
