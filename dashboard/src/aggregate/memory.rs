//! Who holds what, and how that was: bytes by worker and by operation over time.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{
    Aggregator,
    frame::{RowKey, WorkerState},
    jobs::{JobTable, LayerTable},
    loads::{LoadPoint, bucket_us, level_within},
};

/// Workers whose memory over time is told, those with the most first.
pub const MEMORY_WORKER_COUNT_MAX: usize = 24;

/// Operations whose bytes over time are told, those with the most first.
pub const MEMORY_OPERATION_COUNT_MAX: usize = 16;

/// Operations that are told to hold something.
pub const HOLDER_COUNT_MAX: usize = 64;

/// Workers that are told for each of them.
const WORKERS_OF_HOLDER_MAX: usize = 8;

/// An operation of a job, for people and for links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HolderName {
    /// The layer's key.
    pub layer: RowKey,
    /// The job's key.
    pub job: RowKey,
    /// The job's name.
    pub job_name: Arc<str>,
    /// The operation's name.
    pub name: Arc<str>,
    /// The user's file and line that made it.
    pub origin: Option<Arc<str>>,
    /// Whether somebody asked for it, rather than that others are made from it.
    pub is_output: bool,
    /// The names under which the cluster keeps its chunks, whatever becomes of the job.
    pub kept_as: Vec<String>,
}

/// An operation whose chunks are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Which.
    #[serde(flatten)]
    pub of: HolderName,
    /// Chunks of it that are there, each counted once.
    pub chunks: u64,
    /// All chunks that it has.
    pub total: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that are on disk.
    pub spilled: u64,
    /// Who made them, their number and bytes; the most bytes first.
    pub workers: Vec<(Option<RowKey>, u64, u64)>,
    /// How many workers made them.
    pub worker_count: u64,
    /// Whether its job still runs.
    pub is_running: bool,
}

/// A worker's memory over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerMemory {
    /// The worker's key.
    pub k: RowKey,
    /// Its name for people.
    pub name: Arc<str>,
    /// How it stands.
    pub state: WorkerState,
    /// Bytes that it may hold in memory.
    pub budget: u64,
    /// Oldest first.
    pub loads: Vec<LoadPoint>,
}

/// What an operation held over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationMemory {
    /// Its name; operations of one name are one.
    pub name: Arc<str>,
    /// Where buckets begin, and bytes; oldest first.
    pub points: Vec<(u64, u64)>,
}

/// The cluster's memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryStory {
    /// When it was so.
    pub now_us: u64,
    /// The length of a bucket.
    pub bucket_us: u64,
    /// Bytes that the workers that are there may hold in memory.
    pub budget: u64,
    /// All workers, oldest first.
    pub loads: Vec<LoadPoint>,
    /// Bytes that the workers which were there might hold in memory, in the same buckets.
    pub limits: Vec<u64>,
    /// The workers with the most bytes.
    pub workers: Vec<WorkerMemory>,
    /// Workers that were there meanwhile and are not among them.
    pub workers_left_out: u64,
    /// The operations with the most bytes.
    pub operations: Vec<OperationMemory>,
    /// What holds chunks now, the most bytes first.
    pub holders: Vec<Holder>,
    /// Operations that hold chunks and are not among them.
    pub holders_left_out: u64,
    /// Bytes of all chunks that are there, each counted once.
    pub held: u64,
    /// Bytes that workers hold, in memory and on disk, beyond one copy of each chunk.
    pub copies: u64,
}

impl HolderName {
    pub(super) fn of(job: &JobTable, layer: &LayerTable) -> Self {
        let keys = layer.plan().map(|plan| plan.keys.as_slice()).unwrap_or_default();
        Self {
            layer: layer.key,
            job: job.key,
            job_name: job.name(),
            name: job.layer_name(layer),
            origin: layer.origin(),
            is_output: layer.plan().is_some_and(|plan| plan.is_output),
            kept_as: keys.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Aggregator {
    /// Who holds what, and how that was. `level` chooses among [`HISTORY_BUCKET_US`](super::HISTORY_BUCKET_US).
    pub fn memory_story(&self, now_us: u64, level: usize) -> MemoryStory {
        let level = level_within(level);
        let (all, workers, workers_left_out) = self.worker_memory(now_us, level);
        let (loads, limits) = all.into_iter().unzip();
        let mut holders: Vec<Holder> = self
            .holding_layers()
            .filter_map(|(job, layer)| holder(job, layer))
            .collect();
        holders.sort_by_key(|it| (Reverse(it.bytes), it.of.layer));
        let held = holders.iter().map(|it| it.bytes).sum();
        let holders_left_out = holders.len().saturating_sub(HOLDER_COUNT_MAX) as u64;
        holders.truncate(HOLDER_COUNT_MAX);
        let mut sums = super::WorkerSums::default();
        self.workers.values().for_each(|table| table.add_to(&mut sums));
        MemoryStory {
            now_us,
            bucket_us: bucket_us(level),
            budget: sums.budget,
            loads,
            limits,
            workers,
            workers_left_out,
            operations: self.operation_memory(now_us, level),
            holders,
            holders_left_out,
            held,
            copies: (sums.memory + sums.spilled).saturating_sub(held),
        }
    }

    /// All workers' memory over time with their limit, that of those with the most, and how many others there were.
    fn worker_memory(&self, now_us: u64, level: usize) -> (Vec<(LoadPoint, u64)>, Vec<WorkerMemory>, u64) {
        let mut all: BTreeMap<u64, (LoadPoint, u64)> = BTreeMap::new();
        let mut workers = Vec::new();
        for table in self.workers.values() {
            let loads = table.load_points(level, now_us);
            for point in &loads {
                let unloaded = LoadPoint {
                    at_us: point.at_us,
                    ..LoadPoint::default()
                };
                let (sum, limit) = all.entry(point.at_us).or_insert((unloaded, 0));
                sum.add(*point);
                *limit = limit.saturating_add(table.budget_bytes());
            }
            let Some(last) = loads.last() else { continue };
            let (state, _, _) = table.standing();
            let order = (
                state != WorkerState::Ready,
                Reverse(last.managed + last.spilled),
                table.key,
            );
            let told = WorkerMemory {
                k: table.key,
                name: table.name(),
                state,
                budget: table.budget_bytes(),
                loads,
            };
            workers.push((order, told));
        }
        workers.sort_by_key(|(order, _)| *order);
        let left_out = workers.len().saturating_sub(MEMORY_WORKER_COUNT_MAX) as u64;
        let shown = workers.into_iter().take(MEMORY_WORKER_COUNT_MAX);
        (
            all.into_values().collect(),
            shown.map(|(_, told)| told).collect(),
            left_out,
        )
    }

    /// What operations held, those that held the most at any time first.
    fn operation_memory(&self, now_us: u64, level: usize) -> Vec<OperationMemory> {
        let series = self.operations.series.iter();
        let mut told: Vec<OperationMemory> = series
            .map(|(name, history)| OperationMemory {
                name: name.clone(),
                points: history
                    .points(level, now_us)
                    .map(|(bucket, bytes)| (u64::from(bucket) * bucket_us(level), bytes))
                    .collect(),
            })
            .filter(|it| !it.points.is_empty())
            .collect();
        told.sort_by_key(|it| Reverse(it.points.iter().map(|(_, bytes)| *bytes).max()));
        told.truncate(MEMORY_OPERATION_COUNT_MAX);
        told
    }
}

fn holder(job: &JobTable, layer: &LayerTable) -> Option<Holder> {
    let by_worker = layer.words.held().by_worker(layer.chunk_bytes());
    if by_worker.is_empty() {
        return None;
    }
    let all = layer.held();
    let mut workers: Vec<_> = by_worker
        .iter()
        .map(|(worker, sum)| (*worker, sum.chunks, sum.bytes))
        .collect();
    workers.sort_by_key(|(worker, _, bytes)| (Reverse(*bytes), *worker));
    workers.truncate(WORKERS_OF_HOLDER_MAX);
    Some(Holder {
        of: HolderName::of(job, layer),
        chunks: all.chunks,
        total: layer.block_end(),
        bytes: all.bytes,
        spilled: all.spilled,
        workers,
        worker_count: by_worker.len() as u64,
        is_running: !job.is_ended(),
    })
}
