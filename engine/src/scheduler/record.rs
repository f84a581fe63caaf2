//! What the scheduler knows of jobs, layers, tasks, chunks and workers.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use graticule_plan::{BlockMap, ChunkId, Digest, JobId, Key, LayerId, Plan, TaskId, WorkerId};

use super::{ClientId, demand::Cursor};
use crate::{LayerSpec, Peer, SessionId, Time, WorkerStatus};

/// A job, from submission until nothing of it is kept or needed any more.
#[derive(Debug)]
pub(super) struct JobRecord {
    pub(super) client: ClientId,
    pub(super) name: Arc<str>,
    pub(super) plan: Arc<Plan>,
    pub(super) layers: Vec<LayerRecord>,
    pub(super) state: JobState,
    pub(super) cursor: Cursor,
    /// Output chunks that are not yet kept or delivered.
    pub(super) outputs_left: u64,
    pub(super) problems: BTreeSet<Arc<str>>,
    /// How often the client could not fetch a chunk, for those where it happened.
    pub(super) delivery_failures: BTreeMap<(LayerId, u64), u32>,
    pub(super) ready: BTreeSet<ReadyTask>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobState {
    /// Outputs are missing.
    Running,
    /// All outputs were there once. The plan stays as the lineage of what is kept.
    Finished,
    /// Nobody wants its outputs. The plan stays as the lineage of what other jobs take from it.
    Abandoned,
}

/// A task in the order in which a job runs those that are ready: priority, then demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReadyTask {
    pub(super) priority: Reverse<i32>,
    pub(super) order: u64,
    pub(super) layer: LayerId,
    pub(super) block: u64,
}

#[derive(Debug)]
pub(super) struct LayerRecord {
    pub(super) spec: Arc<LayerSpec>,
    pub(super) inputs: Vec<InputRecord>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) tasks: BlockTable<TaskRecord>,
    pub(super) chunks: BlockTable<ChunkRecord>,
    /// Tasks that need their inputs no more. In a job that is over these are all but the live ones.
    pub(super) finished: BlockSet,
    /// The names under which clients keep the layer's chunks.
    pub(super) pins: BTreeSet<Key>,
    /// The blocks that the client has; `None` if it wants none.
    pub(super) delivered: Option<BlockSet>,
    /// The latest attempt of tasks that had more than one, or must run again, or were taken back from a worker: its
    /// report of that attempt may still come.
    pub(super) attempts: BlockTable<u32>,
    pub(super) measured: Measured,
    pub(super) failed_count: u64,
    pub(super) reset_count: u64,
}

#[derive(Debug, Clone)]
pub(super) struct InputRecord {
    pub(super) job: JobId,
    pub(super) layer: LayerId,
    pub(super) map: Arc<BlockMap>,
}

/// A layer that reads this one, through one of its inputs.
#[derive(Debug, Clone)]
pub(super) struct Consumer {
    pub(super) job: JobId,
    pub(super) layer: LayerId,
    pub(super) map: Arc<BlockMap>,
}

/// A task that is demanded and not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskRecord {
    pub(super) state: TaskState,
    pub(super) order: u64,
    /// Leases so far.
    pub(super) attempt: u32,
    /// Failures that count against the layer's retries.
    pub(super) failures: u32,
    /// Workers that vanished while they had it, and did not come back.
    pub(super) losses: u32,
    /// Times that its inputs were not where they were thought to be.
    pub(super) misses: u32,
    /// What its lease added to its worker's load.
    pub(super) load_us: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TaskState {
    /// So many of its inputs are not there.
    Waiting { missing: u64 },
    /// Could run.
    Ready,
    /// A worker has it.
    Leased { worker: WorkerId },
}

/// A chunk that some worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChunkRecord {
    pub(super) holders: Vec<WorkerId>,
    pub(super) bytes: u64,
    /// Unfinished tasks that need it, once for each input.
    pub(super) needed: u64,
}

#[derive(Debug)]
pub(super) struct WorkerRecord {
    pub(super) session: SessionId,
    pub(super) peer: Peer,
    pub(super) name: Arc<str>,
    pub(super) slots: u32,
    pub(super) budget_bytes: u64,
    pub(super) last_seen: Time,
    pub(super) status: WorkerStatus,
    pub(super) leased: BTreeSet<TaskId>,
    /// What the leased tasks are thought to take, added up.
    pub(super) load_us: u64,
    pub(super) held: BTreeSet<ChunkId>,
    pub(super) layers: BTreeSet<(JobId, LayerId)>,
    pub(super) tables: BTreeSet<Digest>,
    pub(super) retiring: bool,
    /// It has one task that may have ended other workers, and gets nothing beside it.
    pub(super) isolated: bool,
}

/// Mean durations of a layer's tasks; before any is measured, the plan's guess.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measured {
    count: u64,
    total_us: u64,
}

impl Measured {
    pub(super) fn add(&mut self, us: u64) {
        self.count += 1;
        self.total_us = self.total_us.saturating_add(us);
    }

    pub(super) fn mean_us(&self, guess_ns: u64) -> u64 {
        self.total_us
            .checked_div(self.count)
            .unwrap_or(guess_ns / 1000)
            .max(1)
    }
}

impl LayerRecord {
    /// The latest attempt of a task that was leased at least once.
    pub(super) fn latest_attempt(&self, block: u64) -> u32 {
        self.attempts.get(&block).copied().unwrap_or(1)
    }

    /// Whether a client keeps or awaits block `block`, whatever tasks need it.
    pub(super) fn is_wanted_output(&self, block: u64) -> bool {
        !self.pins.is_empty() || self.awaits_delivery(block)
    }

    /// Whether a client is still to fetch block `block`.
    pub(super) fn awaits_delivery(&self, block: u64) -> bool {
        self.delivered.as_ref().is_some_and(|d| !d.contains(block))
    }

    /// Whether a client keeps or awaits anything of the layer.
    pub(super) fn is_output(&self) -> bool {
        !self.pins.is_empty() || self.delivered.is_some()
    }

    /// The blocks of live tasks, rising.
    pub(super) fn live_blocks(&self) -> Vec<u64> {
        let mut blocks: Vec<u64> = self.tasks.keys().copied().collect();
        blocks.sort_unstable();
        blocks
    }

    /// The blocks whose chunks are held, rising.
    pub(super) fn held_blocks(&self) -> Vec<u64> {
        let mut blocks: Vec<u64> = self.chunks.keys().copied().collect();
        blocks.sort_unstable();
        blocks
    }
}

/// A table keyed by block index, with a fixed hash so that runs repeat. Never iterated without sorting.
pub(super) type BlockTable<T> = HashMap<u64, T, BuildHasherDefault<BlockHasher>>;

/// Fibonacci hashing of one integer.
#[derive(Debug, Default)]
pub(super) struct BlockHasher(u64);

impl Hasher for BlockHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u64(self.0 ^ u64::from(b)));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = value.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// A set of block indices: one bit each, in pages that appear when they are touched.
#[derive(Debug, Clone, Default)]
pub(super) struct BlockSet {
    pages: BTreeMap<u64, Box<[u64; BlockSet::WORDS]>>,
    len: u64,
    /// What an untouched page holds: no block, or all of them.
    filled: bool,
}

impl BlockSet {
    const WORDS: usize = 64;
    const PAGE_BITS: u64 = 64 * Self::WORDS as u64;

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn contains(&self, block: u64) -> bool {
        let (word, bit) = Self::place(block);
        self.pages
            .get(&(block / Self::PAGE_BITS))
            .map_or(self.filled, |page| page[word] & bit != 0)
    }

    /// Returns whether the block was new.
    pub(super) fn insert(&mut self, block: u64) -> bool {
        let (word, bit) = Self::place(block);
        let page = self.page(block);
        let new = page[word] & bit == 0;
        page[word] |= bit;
        self.len += u64::from(new);
        new
    }

    /// Returns whether the block was there.
    pub(super) fn remove(&mut self, block: u64) -> bool {
        let (word, bit) = Self::place(block);
        if !self.filled && !self.pages.contains_key(&(block / Self::PAGE_BITS)) {
            return false;
        }
        let page = self.page(block);
        let there = page[word] & bit != 0;
        page[word] &= !bit;
        self.len -= u64::from(there);
        there
    }

    /// Puts all of `count` blocks in.
    pub(super) fn fill(&mut self, count: u64) {
        self.pages.clear();
        self.filled = true;
        self.len = count;
    }

    fn page(&mut self, block: u64) -> &mut [u64; BlockSet::WORDS] {
        let untouched = if self.filled { u64::MAX } else { 0 };
        self.pages
            .entry(block / Self::PAGE_BITS)
            .or_insert_with(|| Box::new([untouched; Self::WORDS]))
    }

    fn place(block: u64) -> (usize, u64) {
        let within = block % Self::PAGE_BITS;
        ((within / 64) as usize, 1 << (within % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::BlockSet;

    #[test]
    fn a_filled_set_has_all_blocks_but_those_removed() {
        let mut set = BlockSet::default();
        assert!(set.insert(3) && !set.insert(3) && !set.remove(5000));
        set.fill(10_000);
        assert_eq!(set.len(), 10_000);
        assert!(set.contains(9_999) && set.remove(9_999) && !set.contains(9_999));
        assert!(set.contains(9_998) && !set.insert(9_998));
        assert_eq!(set.len(), 9_999);
    }
}
