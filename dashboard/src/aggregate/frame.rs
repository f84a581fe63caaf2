//! What viewers are sent: rows of tables, whole in a [`Snapshot`], only the changed ones in a [`Delta`].
//!
//! Ids of the scheduler may use all 64 bits, which JavaScript's numbers do not have. So rows carry them as
//! text, and rows name each other by short keys that the aggregator gives in order of appearance.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::roster::WorkerSums;

/// The version of the frames' format. A page that knows another one asks to be reloaded.
pub const FORMAT_VERSION: u32 = 2;

/// Names a row of one table; given once, never used again.
pub type RowKey = u32;

/// Everything a viewer needs to begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`FORMAT_VERSION`].
    pub v: u32,
    /// Always [`FrameKind::Snapshot`].
    pub kind: FrameKind,
    /// Counts frames: the delta that follows has the next number.
    pub seq: u64,
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The head of the page.
    pub head: Head,
    /// Jobs, by key.
    pub jobs: Vec<JobRow>,
    /// Layers of those jobs, by key.
    pub layers: Vec<LayerRow>,
    /// Workers, by key; those that left stay for a while.
    pub workers: Vec<WorkerRow>,
    /// Tasks that run now.
    pub running: Vec<RunningTask>,
    /// The latest errors of tasks, oldest first.
    pub failures: Vec<Failure>,
    /// Tasks that ended lately, oldest first.
    pub stream: Vec<StreamTask>,
}

/// What changed since the frame before. Rows replace rows of their key; nothing is added up by the viewer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// [`FORMAT_VERSION`].
    pub v: u32,
    /// Always [`FrameKind::Delta`].
    pub kind: FrameKind,
    /// One more than the frame before: a gap means that a fresh snapshot is needed.
    pub seq: u64,
    /// The head of the page.
    pub head: Head,
    /// New and changed jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobRow>,
    /// New and changed layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerRow>,
    /// New and changed workers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerRow>,
    /// Rows that are no longer kept.
    #[serde(default, skip_serializing_if = "Gone::is_empty")]
    pub gone: Gone,
    /// All tasks that run now, if they are not the same as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Vec<RunningTask>>,
    /// The latest errors, if there are new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Vec<Failure>>,
    /// Tasks that ended since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stream: Vec<StreamTask>,
}

/// Which of the two a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrameKind {
    /// A [`Snapshot`].
    Snapshot,
    /// A [`Delta`].
    Delta,
}

/// Keys of rows that are no longer kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Of jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<RowKey>,
    /// Of layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<RowKey>,
    /// Of workers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<RowKey>,
}

impl Gone {
    /// Whether nothing went.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.layers.is_empty() && self.workers.is_empty()
    }
}

/// The cluster in one line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Microseconds since the cluster's start.
    pub now_us: u64,
    /// Tasks of all jobs so far.
    pub total: u64,
    /// Of them, finished.
    pub done: u64,
    /// Tasks that compute now.
    pub running: u64,
    /// Tasks whose latest attempt failed.
    pub failed: u64,
    /// Finished tasks that had to run again because what they made was lost.
    pub recomputed: u64,
    /// Tasks that ended a second, over the last ten seconds.
    pub rate: f64,
    /// Tasks that ended in each of the last [`PULSE_SECONDS`](super::PULSE_SECONDS) whole seconds, oldest first.
    pub pulse: Vec<u32>,
    /// Records that the aggregator has read.
    pub records: u64,
    /// Records that found the feed's queue full. Counts of a job that runs are too low by as many at most.
    pub dropped: u64,
    /// Records that contradict what is known, such as a block outside its layer.
    pub rejected: u64,
    /// Ended tasks of the last minute that the task stream leaves out because there were too many.
    pub sampled: u64,
    /// Sums over the workers that have no rows here because there are too many; `None` if all have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unshown: Option<WorkerSums>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// The row's key.
    pub k: RowKey,
    /// The scheduler's id.
    pub id: Arc<str>,
    /// Its name for people.
    pub name: Arc<str>,
    /// How it stands.
    pub state: JobState,
    /// The error of a failed job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<str>>,
    /// When it was accepted; `None` while that was not seen.
    pub started_us: Option<u64>,
    /// When it ended.
    pub ended_us: Option<u64>,
    /// How many layers it has; at most [`LAYERS_OF_JOB_MAX`](super::LAYERS_OF_JOB_MAX) of them have rows.
    pub layers: u32,
    /// Tasks of all its layers.
    pub total: u64,
    /// Of them, finished.
    pub done: u64,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It has not ended.
    Running,
    /// All its outputs were made.
    Succeeded,
    /// It was given up because of an error.
    Failed,
    /// It was ended on request.
    Cancelled,
}

/// A layer of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRow {
    /// The row's key.
    pub k: RowKey,
    /// The job's key.
    pub job: RowKey,
    /// Its position in the plan.
    pub layer: u32,
    /// Its name.
    pub name: Arc<str>,
    /// The user's file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Arc<str>>,
    /// Its tasks.
    pub total: u64,
    /// Of them, finished and not lost.
    pub done: u64,
    /// Of them, computing.
    pub running: u64,
    /// Of them, given to a worker but not computing yet.
    pub queued: u64,
    /// Of them, failed in their latest attempt.
    pub failed: u64,
    /// Attempts that failed, those that were tried again included.
    pub errors: u64,
    /// Finished attempts whose chunks were lost, so that they had to be made again.
    pub recomputed: u64,
    /// Attempts that had to begin again before they ended, because their worker was lost.
    pub restarted: u64,
    /// Bytes of a whole chunk.
    pub chunk_bytes: u64,
    /// Bytes made so far, those made again included.
    pub bytes: u64,
    /// Tasks a second lately; 0 when none ended.
    pub rate: f64,
    /// Seconds that are left at this rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_s: Option<f64>,
    /// Slot time used by its finished tasks.
    pub busy_us: u64,
    /// Time that its finished tasks waited for their inputs.
    pub fetch_us: u64,
    /// The time on a slot that half of its finished tasks stay within.
    pub p50_us: u64,
    /// The time that all but one of twenty stay within.
    pub p95_us: u64,
    /// The longest time.
    pub max_us: u64,
    /// Whether counts may be off because the layer is too big to remember each of its tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rough: bool,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerRow {
    /// The row's key.
    pub k: RowKey,
    /// The scheduler's id.
    pub id: Arc<str>,
    /// Its name for people.
    pub name: Arc<str>,
    /// Where its peers reach it.
    pub address: Arc<str>,
    /// How it stands.
    pub state: WorkerState,
    /// What was seen when it was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<str>>,
    /// When it joined.
    pub joined_us: Option<u64>,
    /// When it left.
    pub left_us: Option<u64>,
    /// What it waits for, if it is about to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<Arc<str>>,
    /// Tasks it can compute at once.
    pub slots: u32,
    /// Bytes it may hold in memory.
    pub budget: u64,
    /// Bytes it holds in memory.
    pub memory: u64,
    /// Bytes on its disk.
    pub spilled: u64,
    /// Bytes on their way.
    pub transit: u64,
    /// Bytes of its process that are in memory; 0 if that is not told.
    #[serde(default)]
    pub resident: u64,
    /// Tasks that hold a slot.
    pub running: u32,
    /// Tasks that wait there.
    pub queued: u32,
    /// Bytes fetched since it started.
    pub fetched: u64,
    /// Bytes fetched a second, between its last two reports.
    pub fetch_rate: f64,
    /// CPU use in percent of one core.
    pub cpu: f32,
    /// When it last reported.
    pub status_us: Option<u64>,
    /// Tasks it finished.
    pub done: u64,
}

/// How a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It is part of the cluster.
    Ready,
    /// It left in order.
    Retired,
    /// It was lost.
    Lost,
}

/// A task that runs now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "RunningWire", from = "RunningWire")]
pub struct RunningTask {
    /// The layer's key.
    pub layer: RowKey,
    /// Its block.
    pub block: u64,
    /// The worker's key.
    pub worker: RowKey,
    /// The slot, as told or as concluded.
    pub slot: u32,
    /// When it began.
    pub started_us: u64,
    /// Which attempt.
    pub attempt: u32,
}

type RunningWire = (RowKey, u64, RowKey, u32, u64, u32);

impl From<RunningTask> for RunningWire {
    fn from(t: RunningTask) -> Self {
        (t.layer, t.block, t.worker, t.slot, t.started_us, t.attempt)
    }
}

impl From<RunningWire> for RunningTask {
    fn from((layer, block, worker, slot, started_us, attempt): RunningWire) -> Self {
        Self {
            layer,
            block,
            worker,
            slot,
            started_us,
            attempt,
        }
    }
}

/// A task that ended: a rectangle of the task stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "StreamWire", from = "StreamWire")]
pub struct StreamTask {
    /// The layer's key.
    pub layer: RowKey,
    /// Its block.
    pub block: u64,
    /// The worker's key.
    pub worker: RowKey,
    /// The slot.
    pub slot: u32,
    /// When its computing began.
    pub started_us: u64,
    /// How long it held the slot.
    pub duration_us: u64,
    /// How long it waited for inputs before.
    pub fetch_us: u64,
    /// Bytes it made.
    pub bytes: u64,
    /// Marks: [`FAILED`](Self::FAILED), [`AGAIN`](Self::AGAIN), [`SPILLED`](Self::SPILLED).
    pub marks: u8,
}

impl StreamTask {
    /// The attempt ended in an error.
    pub const FAILED: u8 = 1;
    /// An attempt before it was lost or failed.
    pub const AGAIN: u8 = 2;
    /// Its chunk went to disk at once.
    pub const SPILLED: u8 = 4;

    /// When it ended.
    pub fn ended_us(&self) -> u64 {
        self.started_us.saturating_add(self.duration_us)
    }
}

type StreamWire = (RowKey, u64, RowKey, u32, u64, u64, u64, u64, u8);

impl From<StreamTask> for StreamWire {
    fn from(t: StreamTask) -> Self {
        (
            t.layer,
            t.block,
            t.worker,
            t.slot,
            t.started_us,
            t.duration_us,
            t.fetch_us,
            t.bytes,
            t.marks,
        )
    }
}

impl From<StreamWire> for StreamTask {
    fn from(w: StreamWire) -> Self {
        let (layer, block, worker, slot, started_us, duration_us, fetch_us, bytes, marks) = w;
        Self {
            layer,
            block,
            worker,
            slot,
            started_us,
            duration_us,
            fetch_us,
            bytes,
            marks,
        }
    }
}

/// An attempt that ended in an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The layer's key.
    pub layer: RowKey,
    /// The block.
    pub block: u64,
    /// The worker's key.
    pub worker: RowKey,
    /// Which attempt.
    pub attempt: u32,
    /// When.
    pub at_us: u64,
    /// The error, cut to [`MESSAGE_BYTES_MAX`](super::MESSAGE_BYTES_MAX).
    pub message: Arc<str>,
}

impl Snapshot {
    /// Whether this side knows its format.
    ///
    /// # Errors
    /// [`FrameError::Version`].
    pub fn check(&self) -> Result<(), FrameError> {
        let (got, want) = (self.v, FORMAT_VERSION);
        if got == want {
            Ok(())
        } else {
            Err(FrameError::Version { got, want })
        }
    }

    /// Brings the snapshot to the state after `delta`, as a viewer does. The stream grows to
    /// [`STREAM_TASK_COUNT_MAX`](super::STREAM_TASK_COUNT_MAX) and then forgets the oldest.
    ///
    /// # Errors
    /// [`FrameError::Gap`] if `delta` is not the frame that follows.
    pub fn apply(&mut self, delta: &Delta) -> Result<(), FrameError> {
        if delta.v != FORMAT_VERSION {
            return Err(FrameError::Version {
                got: delta.v,
                want: FORMAT_VERSION,
            });
        }
        if delta.seq != self.seq + 1 {
            return Err(FrameError::Gap {
                got: delta.seq,
                want: self.seq + 1,
            });
        }
        self.seq = delta.seq;
        self.head = delta.head.clone();
        merge(&mut self.jobs, &delta.jobs, &delta.gone.jobs, |row| row.k);
        merge(&mut self.layers, &delta.layers, &delta.gone.layers, |row| row.k);
        merge(&mut self.workers, &delta.workers, &delta.gone.workers, |row| {
            row.k
        });
        if let Some(running) = &delta.running {
            self.running.clone_from(running);
        }
        if let Some(failures) = &delta.failures {
            self.failures.clone_from(failures);
        }
        self.stream.extend_from_slice(&delta.stream);
        let excess = self.stream.len().saturating_sub(super::STREAM_TASK_COUNT_MAX);
        self.stream.drain(..excess);
        Ok(())
    }
}

/// Why a frame cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame in between was missed.
    #[error("frame {got} came where {want} was due: take a fresh snapshot")]
    Gap {
        /// The frame that came.
        got: u64,
        /// The frame that was due.
        want: u64,
    },
    /// The two sides are of different releases.
    #[error("the frame has format {got}, this side reads {want}: use the same release on both sides")]
    Version {
        /// The frame's format.
        got: u32,
        /// [`FORMAT_VERSION`].
        want: u32,
    },
}

fn merge<R: Clone>(rows: &mut Vec<R>, changed: &[R], gone: &[RowKey], key: impl Fn(&R) -> RowKey) {
    rows.retain(|row| !gone.contains(&key(row)));
    for row in changed {
        match rows.binary_search_by_key(&key(row), &key) {
            Ok(at) => rows[at] = row.clone(),
            Err(at) => rows.insert(at, row.clone()),
        }
    }
}
