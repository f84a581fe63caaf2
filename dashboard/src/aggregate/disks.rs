//! Which chunks lie on whose disk, as workers tell it.
//!
//! A chunk is drawn as it lies with the worker that made it. If that worker has left, what others hold of it are copies
//! that were made when it did: then the chunk is on disk if any of them says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

use super::{Aggregator, frame::RowKey};
use crate::disk::{ChunkRun, DiskChecked, DiskMove, DiskTold};

/// Blocks of one report that are looked at. Of more, those that are left out are told again by a check.
const REPORT_BLOCK_COUNT_MAX: u64 = 1 << 20;

/// Words of blocks that take the room of a page of tasks.
const WORDS_PER_PAGE: usize = 512;

/// Workers that have left and are remembered for each layer, the latest ones.
const LEFT_COUNT_MAX: usize = 1_024;

/// The blocks of one layer that lie on disks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Disks {
    /// For each worker 64 blocks to a word, where any of them is set.
    of_worker: BTreeMap<RowKey, BTreeMap<u64, u64>>,
    /// How many words they are together.
    word_count: usize,
    /// Workers that have left.
    left: BTreeSet<RowKey>,
}

impl Disks {
    /// Whether a chunk that `maker` made counts as on disk.
    pub(super) fn is_on_disk(&self, maker: Option<RowKey>, block: u64) -> bool {
        if self.of_worker.is_empty() {
            return false;
        }
        match maker.filter(|worker| !self.left.contains(worker)) {
            Some(worker) => self.has(worker, block),
            None => self.of_worker.keys().any(|worker| self.has(*worker, block)),
        }
    }

    pub(super) fn has(&self, worker: RowKey, block: u64) -> bool {
        let words = self.of_worker.get(&worker);
        let word = words.and_then(|words| words.get(&(block / 64)));
        word.is_some_and(|word| word & 1 << (block % 64) != 0)
    }

    pub(super) fn put(&mut self, worker: RowKey, block: u64, is_on_disk: bool) {
        let bit = 1 << (block % 64);
        if is_on_disk {
            // One that tells of its disk is there, whatever was told of it before.
            self.left.remove(&worker);
            let words = self.of_worker.entry(worker).or_default();
            let word = words.entry(block / 64).or_insert_with(|| {
                self.word_count += 1;
                0
            });
            *word |= bit;
            return;
        }
        let Some(words) = self.of_worker.get_mut(&worker) else {
            return;
        };
        if let Some(word) = words.get_mut(&(block / 64)) {
            *word &= !bit;
            if *word == 0 {
                words.remove(&(block / 64));
                self.word_count -= 1;
            }
        }
        if words.is_empty() {
            self.of_worker.remove(&worker);
        }
    }

    /// The blocks within `range` that a worker has on disk.
    fn of(&self, worker: RowKey, range: Range<u64>) -> Vec<u64> {
        let Some(words) = self.of_worker.get(&worker).filter(|_| !range.is_empty()) else {
            return Vec::new();
        };
        let words = words.range(range.start / 64..=(range.end - 1) / 64);
        let blocks = words.flat_map(|(at, word)| blocks_of(*at, *word));
        blocks.filter(|block| range.contains(block)).collect()
    }

    /// All blocks that any worker has on disk.
    pub(super) fn all(&self) -> BTreeSet<u64> {
        let words = self.of_worker.values().flatten();
        words.flat_map(|(at, word)| blocks_of(*at, *word)).collect()
    }

    /// Forgets what a worker has on disk: it has left.
    pub(super) fn leave(&mut self, worker: RowKey) {
        if let Some(words) = self.of_worker.remove(&worker) {
            self.word_count -= words.len();
        }
        self.left.insert(worker);
        if self.left.len() > LEFT_COUNT_MAX {
            self.left.pop_first();
        }
    }

    /// Forgets blocks at and past `end`.
    pub(super) fn truncate(&mut self, end: u64) {
        for worker in self.of_worker.keys().copied().collect::<Vec<_>>() {
            for block in self.of(worker, end..u64::MAX) {
                self.put(worker, block, false);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.of_worker.clear();
        self.word_count = 0;
    }

    /// The room that is taken, in pages of tasks.
    pub(super) fn page_count(&self) -> usize {
        self.word_count.div_ceil(WORDS_PER_PAGE)
    }
}

fn blocks_of(at: u64, word: u64) -> impl Iterator<Item = u64> {
    (0..64)
        .filter(move |bit| word & 1 << bit != 0)
        .map(move |bit| at * 64 + bit)
}

impl DiskChecked {
    /// The blocks of a layer of which it speaks.
    fn range(&self, layer: (JobId, LayerId)) -> Range<u64> {
        let at = |chunk: &TaskId| match (chunk.job, chunk.layer).cmp(&layer) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => chunk.block,
            std::cmp::Ordering::Greater => u64::MAX,
        };
        at(&self.from)..self.until.as_ref().map_or(u64::MAX, at)
    }
}

impl Aggregator {
    /// Takes in what a worker told of its disk. What is older than what it told before is late, and no use any more.
    pub(super) fn disk_told(&mut self, at_us: u64, worker: WorkerId, told: &DiskTold) -> bool {
        self.disk_moves.clear();
        let mut is_late = false;
        let is_sound = self.with_worker(worker, |table| {
            is_late = !table.tells_of_disk(at_us, told.waiting)
        });
        let Some(key) = self.workers.get(&worker).map(|table| table.key) else {
            return false;
        };
        if !is_sound || is_late {
            return is_sound;
        }
        let has_room = self.make_room_for_page();
        let mut left = REPORT_BLOCK_COUNT_MAX;
        self.put_runs(key, &told.off_disk, false, &mut left);
        if has_room {
            self.put_runs(key, &told.to_disk, true, &mut left);
        }
        if let Some(check) = &told.check {
            self.check_disk(key, check);
            if has_room {
                self.put_runs(key, &check.on_disk, true, &mut left);
            }
        }
        true
    }

    /// The chunk of a task that has just ended went to disk at once.
    pub(super) fn went_to_disk(&mut self, task: TaskId, worker: WorkerId) {
        let Some(key) = self.workers.get(&worker).map(|table| table.key) else {
            return;
        };
        let table = self.jobs.get_mut(&task.job);
        if let Some(layer) = table.and_then(|table| table.layers.get_mut(&task.layer)) {
            layer.words.put_on_disk(task.block, key, true);
        }
    }

    /// A worker has left: what was on its disk is not there any more.
    pub(super) fn disk_left(&mut self, worker: WorkerId) {
        let Some(key) = self.workers.get(&worker).map(|table| table.key) else {
            return;
        };
        for layer in self.jobs.values_mut().flat_map(|table| table.layers.values_mut()) {
            layer.words.worker_left(key);
        }
    }

    /// What the latest report of a disk changed.
    pub(crate) fn disk_moves(&self) -> &[DiskMove] {
        &self.disk_moves
    }

    fn put_runs(&mut self, worker: RowKey, runs: &[ChunkRun], is_on_disk: bool, left: &mut u64) {
        for run in runs {
            let first = run.first;
            let table = self.jobs.get_mut(&first.job);
            let Some(layer) = table.and_then(|table| table.layers.get_mut(&first.layer)) else {
                continue;
            };
            // Of a layer that was not described yet nobody knows how many blocks it has; a check will tell again.
            if !layer.is_described() {
                continue;
            }
            let end = first
                .block
                .saturating_add(run.count.min(*left))
                .min(layer.block_end());
            *left -= run.count.min(*left);
            for block in first.block..end {
                if layer.words.put_on_disk(block, worker, is_on_disk) {
                    note(&mut self.disk_moves, TaskId { block, ..first }, is_on_disk);
                }
            }
        }
    }

    /// Takes off the disk what a check does not mention.
    fn check_disk(&mut self, worker: RowKey, check: &DiskChecked) {
        for (job, table) in &mut self.jobs {
            for (id, layer) in &mut table.layers {
                let of_layer = (*job, *id);
                let on_disk = layer.words.disks().of(worker, check.range(of_layer));
                if on_disk.is_empty() {
                    continue;
                }
                let runs = check.on_disk.iter();
                let said: BTreeMap<u64, u64> = runs
                    .filter(|run| (run.first.job, run.first.layer) == of_layer)
                    .map(|run| (run.first.block, run.count))
                    .collect();
                let is_said = |block: &u64| {
                    let run = said.range(..=block).next_back();
                    run.is_some_and(|(first, count)| block - first < *count)
                };
                let gone = on_disk.into_iter().filter(|block| !is_said(block));
                for block in gone {
                    layer.words.put_on_disk(block, worker, false);
                    let (job, layer) = of_layer;
                    note(&mut self.disk_moves, TaskId { job, layer, block }, false);
                }
            }
        }
    }
}

/// Adds a chunk to the runs that moved.
fn note(moves: &mut Vec<DiskMove>, chunk: TaskId, is_on_disk: bool) {
    if let Some(last) = moves.last_mut() {
        let first = last.chunks.first;
        let goes_on = (first.job, first.layer, first.block + last.chunks.count)
            == (chunk.job, chunk.layer, chunk.block);
        if goes_on && last.is_on_disk == is_on_disk {
            last.chunks.count += 1;
            return;
        }
    }
    let chunks = ChunkRun {
        first: chunk,
        count: 1,
    };
    moves.push(DiskMove { chunks, is_on_disk });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_counted_whatever_comes_and_goes(
            steps in prop::collection::vec((0..4u32, 0..300u64, 0..9u8), 0..200),
        ) {
            let mut disks = Disks::default();
            for (worker, block, what) in steps {
                match what {
                    0 => disks.leave(worker),
                    1 => disks.truncate(block),
                    2..4 => disks.put(worker, block, false),
                    _ => disks.put(worker, block, true),
                }
                let words: usize = disks.of_worker.values().map(BTreeMap::len).sum();
                prop_assert_eq!(disks.word_count, words);
                prop_assert_eq!(disks.all().is_empty(), disks.of_worker.is_empty());
            }
        }
    }

    #[test]
    fn workers_that_left_long_ago_are_forgotten() {
        let mut disks = Disks::default();
        (0..LEFT_COUNT_MAX as u32 + 9).for_each(|worker| disks.leave(worker));
        assert_eq!(disks.left.len(), LEFT_COUNT_MAX);
        disks.put(2_000, 5, true);
        assert!(disks.is_on_disk(Some(1_000), 5) && !disks.is_on_disk(Some(3), 5));
    }
}
