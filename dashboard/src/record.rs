use std::sync::Arc;

use graticule_plan::{ChunkGrid, Input, JobId, Key, TaskId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::{DiskTold, LogLine, LogSource, Moved, aggregate::JobState};

/// One thing that happened in the cluster, as the scheduler tells it to those who watch.
///
/// Records are idempotent and need no order: each names the task *and the attempt* (or the worker, the job)
/// that it is about, so a record that comes twice, late or not at all leaves the counts of the others right.
/// The time of a record is given beside it, in microseconds since the cluster's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A plan was accepted.
    JobStarted {
        /// The job.
        job: JobId,
        /// A name for people.
        name: Arc<str>,
        /// Its layers: [`LayerId`](graticule_plan::LayerId) is the position.
        layers: Arc<[LayerInfo]>,
    },
    /// A job is over.
    JobEnded {
        /// The job.
        job: JobId,
        /// How it went.
        outcome: JobOutcome,
        /// Finished tasks of each layer as the scheduler itself counted them, so that a finished job's
        /// counts are exact even where records were dropped. `None` keeps what was counted here.
        finished: Option<Arc<[u64]>>,
    },
    /// A worker registered. A worker that comes back after it left has a new id.
    WorkerJoined {
        /// The worker.
        worker: WorkerId,
        /// Its name for people.
        name: Arc<str>,
        /// Where its peers reach it.
        address: Arc<str>,
        /// How many tasks it computes at once.
        slots: u32,
        /// The bytes of chunks and scratch that it may hold in memory.
        budget_bytes: u64,
    },
    /// A worker is gone for good.
    WorkerLeft {
        /// The worker.
        worker: WorkerId,
        /// Why.
        why: LeaveReason,
    },
    /// A worker is about to leave, and what it waits for has changed.
    WorkerRetiring {
        /// The worker.
        worker: WorkerId,
        /// What it waits for, for a person.
        waits_for: Arc<str>,
    },
    /// A worker that was to leave stays.
    WorkerStays {
        /// The worker.
        worker: WorkerId,
    },
    /// Whoever starts workers starts one, which will join under this name.
    WorkerStarting {
        /// Its name.
        name: Arc<str>,
    },
    /// A worker that was started ended, or was given up, before it joined.
    WorkerStartFailed {
        /// Its name.
        name: Arc<str>,
        /// Why, for a person.
        why: Arc<str>,
    },
    /// Somebody decided how many workers are wanted.
    ScaleDecided(ScaleDecision),
    /// A task was given to a worker, which will fetch its inputs and compute it when a slot is free.
    TaskAssigned {
        /// The task.
        task: TaskId,
        /// Who it was given to.
        worker: WorkerId,
        /// Which attempt at this task it is. Each new attempt has a higher number; gaps are fine.
        attempt: u32,
    },
    /// A worker began to compute a task.
    ///
    /// Where nobody reports that, which of the assigned tasks run is concluded from the worker's slots.
    TaskStarted {
        /// The task.
        task: TaskId,
        /// Who computes it.
        worker: WorkerId,
        /// Which attempt.
        attempt: u32,
        /// On which of the worker's slots, if that is known before it ends.
        slot: Option<u32>,
    },
    /// A task made its chunk.
    TaskFinished(TaskFinished),
    /// An attempt at a task ended in an error.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// Who computed it.
        worker: WorkerId,
        /// Which attempt.
        attempt: u32,
        /// The error.
        message: Arc<str>,
    },
    /// What an attempt made, or was about to make, is void: the task has to run again.
    TaskReset {
        /// The task.
        task: TaskId,
        /// The attempt whose chunk or progress is void.
        attempt: u32,
    },
    /// Chunks of neighbouring blocks were made, and are dropped since nobody needs them any more.
    ChunksReleased {
        /// The first chunk.
        first: TaskId,
        /// How many they are.
        count: u64,
        /// The attempt that made them.
        attempt: u32,
    },
    /// What a worker reports of itself, about once a second.
    WorkerStatus {
        /// The worker.
        worker: WorkerId,
        /// Its figures.
        status: WorkerStatus,
    },
    /// What a worker moved since it told the last time. Told twice, it has the same time and counts once.
    Moved {
        /// The worker.
        worker: WorkerId,
        /// A row for each kind and pair of layers.
        moves: Arc<[Moved]>,
        /// Movements that the worker could not keep.
        lost: u64,
    },
    /// Which of its chunks a worker has on disk, as far as it tells.
    Disk {
        /// The worker.
        worker: WorkerId,
        /// What it tells.
        told: Arc<DiskTold>,
    },
    /// What somebody logged since it told the last time.
    Logged {
        /// Who.
        source: LogSource,
        /// The lines, the oldest first.
        lines: Arc<[LogLine]>,
        /// Lines that had no room.
        lost: u64,
    },
}

/// How many workers are wanted, what is done about it, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScaleDecision {
    /// Workers that shall be there when it is done, those on their way among them.
    pub wanted: u32,
    /// The fewest that may be wanted.
    pub min: u32,
    /// The most that may be wanted.
    pub max: u32,
    /// Workers that are started for it.
    pub start: u32,
    /// Workers that were to leave and stay for it.
    pub stay: u32,
    /// Workers that leave for it.
    pub retire: u32,
    /// Why, for a person.
    pub reason: Arc<str>,
}

/// A task that made its chunk: who, when, how long, how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFinished {
    /// The task.
    pub task: TaskId,
    /// Who computed it.
    pub worker: WorkerId,
    /// Which attempt.
    pub attempt: u32,
    /// On which of the worker's slots, from 0.
    pub slot: u32,
    /// When its computing began, in microseconds since the cluster's start.
    pub started_us: u64,
    /// How long it held the slot.
    pub duration_us: u64,
    /// How long it waited for its inputs before that; no slot was held.
    pub fetch_us: u64,
    /// Bytes of its chunk.
    pub bytes: u64,
    /// Whether the chunk went to disk at once.
    pub spilled: bool,
}

/// What the dashboard knows of a layer from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// The layer's name, such as `read+where+nanmedian`. Tasks of one name share a colour.
    pub name: Arc<str>,
    /// How many tasks it has.
    pub task_count: u64,
    /// Bytes of one whole chunk.
    pub chunk_bytes: u64,
    /// The user's file and line that made the operation, if known.
    pub origin: Option<Arc<str>>,
    /// How it is cut and what it reads, if whoever tells knows.
    pub plan: Option<Arc<LayerPlan>>,
}

/// How a layer is cut into chunks, and what each of them is made from: enough to draw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPlan {
    /// How the array is cut; a block is a task.
    pub grid: ChunkGrid,
    /// Bytes of one element.
    pub item_bytes: u64,
    /// What each block needs of other arrays.
    pub inputs: Vec<Input>,
    /// The names under which the cluster keeps its chunks.
    pub keys: Vec<Key>,
    /// Whether somebody asked for it: its client, or a name under which it is kept.
    pub is_output: bool,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobOutcome {
    /// All its outputs were made.
    Succeeded,
    /// It was given up because of an error.
    Failed {
        /// The error.
        message: Arc<str>,
    },
    /// Its client asked to end it, or went away.
    Cancelled,
}

impl JobOutcome {
    /// How the job stands then, and its error.
    pub(crate) fn state(&self) -> (JobState, Option<Arc<str>>) {
        match self {
            Self::Succeeded => (JobState::Succeeded, None),
            Self::Failed { message } => (JobState::Failed, Some(message.clone())),
            Self::Cancelled => (JobState::Cancelled, None),
        }
    }
}

/// Why a worker is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaveReason {
    /// It was asked to leave, or left by itself, and handed over what it held.
    Retired,
    /// The connection was lost or it stopped answering; what it held alone is gone.
    Lost {
        /// What was seen.
        message: Arc<str>,
    },
}

/// A worker's report of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Bytes held in memory, of its budget.
    pub memory_bytes: u64,
    /// Bytes of chunks that are on its disk.
    pub spilled_bytes: u64,
    /// Bytes set aside for what is on its way or being computed, and is no chunk yet.
    pub transit_bytes: u64,
    /// Tasks that hold a slot.
    pub running: u32,
    /// Tasks that it was given and that hold none yet.
    pub queued: u32,
    /// Bytes that it has fetched from peers and sources since it started.
    pub fetched_bytes_total: u64,
    /// The process's share of one CPU times 100: 200 is two cores busy.
    pub cpu_percent: f32,
    /// Bytes of the worker's process that are in memory, chunks and all else; 0 if that is not told.
    pub resident_bytes: u64,
}

impl Record {
    /// Whether the record is of the rare kind without which a page cannot make sense of the others: those of
    /// jobs and workers have a queue of their own, so a flood of tasks never drops them.
    pub fn is_structural(&self) -> bool {
        match self {
            Self::JobStarted { .. }
            | Self::JobEnded { .. }
            | Self::WorkerJoined { .. }
            | Self::WorkerRetiring { .. }
            | Self::WorkerStays { .. }
            | Self::WorkerStarting { .. }
            | Self::WorkerStartFailed { .. }
            | Self::ScaleDecided(_)
            | Self::WorkerLeft { .. } => true,
            Self::TaskAssigned { .. }
            | Self::TaskStarted { .. }
            | Self::TaskFinished(_)
            | Self::TaskFailed { .. }
            | Self::TaskReset { .. }
            | Self::ChunksReleased { .. }
            | Self::WorkerStatus { .. }
            | Self::Moved { .. }
            | Self::Disk { .. }
            | Self::Logged { .. } => false,
        }
    }

    /// Whether the record says that a worker came or went.
    pub fn is_of_workers(&self) -> bool {
        matches!(self, Self::WorkerJoined { .. } | Self::WorkerLeft { .. })
    }

    /// Tells that `worker` began `task`, on a slot that is not known yet.
    pub fn started(task: TaskId, worker: WorkerId, attempt: u32) -> Self {
        Self::TaskStarted {
            task,
            worker,
            attempt,
            slot: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_its_time_stays_within_two_cache_lines() {
        assert!(
            size_of::<(u64, Record)>() <= 128,
            "{}",
            size_of::<(u64, Record)>()
        );
    }
}
