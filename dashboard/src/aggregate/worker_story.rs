//! One worker: what it does, what it holds, and how its memory was.

use serde::Serialize;

use super::{
    Aggregator,
    activity::Activity,
    frame::{Failure, RowKey, RunningTask, WorkerRow},
    held::HeldSum,
    lives::LifeEvent,
    loads::{LoadPoint, bucket_us, level_within},
    memory::HolderName,
};

/// Running tasks of one worker that are told.
pub const RUNNING_OF_WORKER_MAX: usize = 128;

/// Operations of one worker's chunks that are told.
pub const HELD_OF_WORKER_MAX: usize = 64;

/// What is known of one worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerStory {
    /// When it was so.
    pub now_us: u64,
    /// The worker.
    pub row: WorkerRow,
    /// Attempts that failed on it.
    pub errors: u64,
    /// The length of a bucket of the loads.
    pub bucket_us: u64,
    /// How its memory was, oldest first.
    pub loads: Vec<LoadPoint>,
    /// Tasks that it computes.
    pub running: Vec<RunningTask>,
    /// What is there of what it made, the most bytes first.
    pub held: Vec<HeldOfWorker>,
    /// The latest errors of tasks on it, the latest first.
    pub failures: Vec<Failure>,
    /// Chunks that went to its disk, or left it, of which it has had no room to tell: those are shown as they were.
    pub disk_waiting: u64,
    /// How it came and went.
    pub life: Vec<LifeEvent>,
}

/// Chunks of one operation that a worker made and that are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldOfWorker {
    /// Whose chunks.
    #[serde(flatten)]
    pub of: HolderName,
    /// Their number.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that are on disk.
    pub spilled: u64,
}

impl Aggregator {
    /// The worker with this key; `None` if it is not known. `level` chooses among
    /// [`HISTORY_BUCKET_US`](super::HISTORY_BUCKET_US).
    pub fn worker_story(&self, now_us: u64, key: RowKey, level: usize) -> Option<WorkerStory> {
        let level = level_within(level);
        let (id, table) = self.worker_of_key(key)?;
        let activity = Activity::of(self);
        let running = activity.running.iter().filter(|it| it.worker == key);
        let mut held: Vec<HeldOfWorker> = self
            .holding_layers()
            .filter_map(|(job, layer)| {
                let sums = layer.words.held().by_worker(layer.chunk_bytes());
                let HeldSum {
                    chunks,
                    bytes,
                    spilled,
                } = *sums.get(&Some(key))?;
                let of = HolderName::of(job, layer);
                Some(HeldOfWorker {
                    of,
                    chunks,
                    bytes,
                    spilled,
                })
            })
            .collect();
        held.sort_by_key(|it| (std::cmp::Reverse(it.bytes), it.of.layer));
        held.truncate(HELD_OF_WORKER_MAX);
        let failures = table.failures.iter().rev();
        let failures = failures.filter_map(|it| {
            Some(Failure {
                layer: self.layer_key(it.task)?,
                block: it.task.block,
                worker: key,
                attempt: it.attempt,
                at_us: it.at_us,
                message: it.message.clone(),
            })
        });
        Some(WorkerStory {
            now_us,
            row: table.row(activity.of_worker(id)),
            errors: table.errors,
            bucket_us: bucket_us(level),
            loads: table.load_points(level, now_us),
            running: running.take(RUNNING_OF_WORKER_MAX).copied().collect(),
            held,
            failures: failures.collect(),
            disk_waiting: table.disk_waiting(),
            life: self.life_events(table),
        })
    }
}
