//! What scheduler and worker say to each other. The protocol crate turns these into frames; the embedded cluster and
//! the simulator pass them as they are.

use std::sync::Arc;

use bytes::Bytes;
use graticule_plan::{ChunkGrid, ChunkId, Digest, JobId, Layer, LayerId, Resource, TaskId, WorkerId};

use crate::{BlockRun, DiskReport, LogReport, Moved};

/// The largest result, encoded, that rides in a report instead of waiting to be fetched.
pub const INLINE_BYTES_MAX: usize = 4096;

/// One connection of one worker. The scheduler numbers them; what comes from an older one is late and dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One run of a scheduler process: a worker that meets another one drops what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// Where chunks can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The worker.
    pub worker: WorkerId,
    /// Its address for peers, as the shells understand it.
    pub address: Arc<str>,
}

/// What a worker says of itself when it connects.
#[derive(Debug, Clone, PartialEq)]
pub struct Announce {
    /// A name for people.
    pub name: Arc<str>,
    /// Where peers and clients fetch its chunks.
    pub address: Arc<str>,
    /// Tasks it computes at a time.
    pub slots: u32,
    /// Bytes it may hold in memory.
    pub budget_bytes: u64,
    /// The id that it had in an earlier session of the same process.
    pub worker: Option<WorkerId>,
    /// The scheduler that it knew in that session.
    pub incarnation: Option<Incarnation>,
    /// Countable things of the worker that tasks may need, by name.
    pub resources: Vec<Resource>,
    /// The names of the functions that it can call.
    pub functions: Vec<Arc<str>>,
    /// What it holds.
    pub inventory: Vec<ChunkHeld>,
}

/// A chunk that a worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHeld {
    /// The chunk.
    pub chunk: ChunkId,
    /// Its size.
    pub bytes: u64,
}

/// What a worker needs to know of a layer to run its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec {
    /// The job that it belongs to.
    pub job: JobId,
    /// Its id in that job.
    pub id: LayerId,
    /// The layer.
    pub layer: Layer,
    /// For each of the layer's inputs the array that it reads.
    pub sources: Vec<InputSource>,
    /// Its results are wanted by a client: small ones ride in the report.
    pub deliver: bool,
}

/// The layer behind an input, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSource {
    /// Its job.
    pub job: JobId,
    /// Its id in that job.
    pub layer: LayerId,
    /// How it is cut.
    pub grid: ChunkGrid,
    /// Bytes of one of its elements.
    pub item_bytes: u64,
}

/// Tasks of one layer that a worker shall run.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The layer.
    pub layer: LayerId,
    /// The blocks, in the order in which they shall start.
    pub tasks: Vec<TaskRun>,
    /// Where the chunks are that these tasks need and this worker lacks.
    pub holders: Vec<ChunkHolders>,
}

/// Neighbouring blocks of a lease, at most [`RUN_BLOCKS_MAX`](crate::RUN_BLOCKS_MAX).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskRun {
    /// The first block.
    pub first: u64,
    /// How many they are.
    pub count: u64,
    /// Which attempt it is of each.
    pub attempt: u32,
}

impl Lease {
    /// Its blocks one by one, each with its attempt.
    pub fn each(&self) -> impl Iterator<Item = (TaskId, u32)> {
        let (job, layer) = (self.job, self.layer);
        self.tasks.iter().flat_map(move |run| {
            let blocks = run.first..run.first + run.count;
            blocks.map(move |block| (TaskId { job, layer, block }, run.attempt))
        })
    }
}

/// Where a chunk is.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkHolders {
    /// The chunk.
    pub chunk: ChunkId,
    /// Who holds it.
    pub peers: Vec<Peer>,
}

/// What the scheduler says to a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum ToWorker {
    /// First word of a session.
    Welcome {
        /// The worker's id from now on.
        worker: WorkerId,
        /// The session.
        session: SessionId,
        /// The scheduler's run.
        incarnation: Incarnation,
    },
    /// Content that layers refer to; sent before the first layer that needs it.
    Table {
        /// Its name.
        digest: Digest,
        /// The content.
        content: Arc<[u8]>,
    },
    /// A layer; sent before its first lease.
    Layer(Arc<LayerSpec>),
    /// Tasks to run.
    Lease(Lease),
    /// Tasks that nobody wants any more; those that run may finish, their results are dropped.
    Revoke {
        /// The tasks.
        tasks: Vec<TaskId>,
    },
    /// Chunks that nobody needs any more.
    Release {
        /// The chunks, each run at most [`RUN_BLOCKS_MAX`](crate::RUN_BLOCKS_MAX) of them.
        chunks: Vec<BlockRun>,
    },
    /// The answer to [`ToScheduler::ShortOfMemory`]: chunks to be dropped, which are made again when they are needed. None,
    /// if nothing that is held there costs less to make than to spill.
    Relief {
        /// The chunks, each run at most [`RUN_BLOCKS_MAX`](crate::RUN_BLOCKS_MAX) of them.
        chunks: Vec<BlockRun>,
    },
    /// A job is over: forget its layers and tasks, and drop those of its chunks that are not listed.
    Forget {
        /// The job.
        job: JobId,
    },
    /// The worker shall leave: it hands back what it has not begun, ends what runs, and stays until it is told to
    /// leave, so that others can copy what only it holds.
    Retire {
        /// Microseconds after which it leaves whatever is still to be done.
        deadline_us: u64,
    },
    /// The worker shall not leave after all.
    Stay,
    /// A worker that retires may leave now.
    Leave,
    /// Chunks of a worker that retires: fetch and hold them. Each is answered once.
    Copy {
        /// Where each is, and how large.
        chunks: Vec<ChunkToCopy>,
    },
    /// A sign of life.
    Ping,
}

/// One order to copy one chunk. The scheduler numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyId(pub u64);

/// A chunk that a worker shall copy.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkToCopy {
    /// The order.
    pub copy: CopyId,
    /// The chunk.
    pub chunk: ChunkId,
    /// Its size.
    pub bytes: u64,
    /// Who holds it.
    pub peers: Vec<Peer>,
}

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyReport {
    /// The order.
    pub copy: CopyId,
    /// The chunk.
    pub chunk: ChunkId,
    /// The bytes that the worker holds now, or why it does not.
    pub outcome: Result<u64, CopyFailure>,
}

/// Why a copy was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFailure {
    /// It does not fit the memory that is free, or the worker retires itself.
    NoRoom,
    /// Nobody gave the chunk, or the worker has another use for its name.
    NotFetched,
}

/// What a worker says to the scheduler.
#[derive(Debug, Clone, PartialEq)]
pub enum ToScheduler {
    /// First word of a session.
    Announce(Announce),
    /// What became of tasks.
    Reports(Vec<Report>),
    /// All tasks that compute now, when they are others than those said before: if the worker vanishes, one of them
    /// may be the cause. Those of a millisecond are not mentioned.
    Computing {
        /// The tasks.
        tasks: Vec<TaskId>,
    },
    /// Chunks that the worker held and lost, such as through a damaged file.
    ChunksLost {
        /// The chunks.
        chunks: Vec<ChunkId>,
    },
    /// The worker would have to spill: what could it drop instead? Answered once, by [`ToWorker::Relief`].
    ShortOfMemory {
        /// Bytes that it would spill.
        short_bytes: u64,
        /// What its disk takes and gives in a second.
        disk_bytes_per_s: u64,
    },
    /// Sent at intervals; also a sign of life.
    Status(WorkerStatus),
    /// The worker wants to leave: see [`ToWorker::Retire`], which is the same asked by the scheduler.
    Retire {
        /// Microseconds after which it leaves whatever is still to be done.
        deadline_us: u64,
    },
    /// What became of chunks that it was to copy.
    Copied(Vec<CopyReport>),
    /// What it moved since it told the last time; for people alone.
    Moved(Moved),
    /// What it logged since it told the last time; for people alone.
    Logs(LogReport),
    /// Which of its chunks went to disk and left it since it told the last time; for people alone.
    Disk(DiskReport),
}

/// What became of one task, or of neighbours that went well alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The task; of several the first.
    pub task: TaskId,
    /// The attempt that the lease named.
    pub attempt: u32,
    /// What became of it.
    pub outcome: Result<Finished, Failure>,
    /// When and how long.
    pub times: TaskTimes,
    /// The tasks of the blocks behind it, in order: as many bytes, in the same attempt, and nothing else to say. Empty
    /// for whatever failed.
    pub others: Vec<TaskTimes>,
}

impl Report {
    /// The tasks that it is about.
    pub fn tasks(&self) -> BlockRun {
        BlockRun {
            count: 1 + self.others.len() as u64,
            ..self.task.into()
        }
    }

    /// Leaves the first `count` tasks, and gives what is said of the rest.
    pub(crate) fn split_off(&mut self, count: u64) -> Option<Report> {
        let first = self.tasks().first;
        let mut others = self.others.split_off((count as usize - 1).min(self.others.len()));
        if others.is_empty() {
            return None;
        }
        let times = others.remove(0);
        Some(Report {
            task: TaskId {
                block: first + count,
                ..self.task
            },
            attempt: self.attempt,
            outcome: self.outcome.clone(),
            times,
            others,
        })
    }
}

/// A task's success.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Bytes of the chunk.
    pub bytes: u64,
    /// The encoded chunk, if a client wants it and it is small.
    pub inline: Option<Bytes>,
    /// What the read left out, a sentence each; empty for most tasks.
    pub problems: Vec<Arc<str>>,
}

/// Durations of a task's phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskTimes {
    /// The CPU slot on which it ran.
    pub slot: u32,
    /// From the lease's arrival to the start of the fetch.
    pub queue_us: u64,
    /// The fetch.
    pub fetch_us: u64,
    /// The computation.
    pub compute_us: u64,
    /// Bytes fetched from peers and sources.
    pub fetched_bytes: u64,
}

/// A task's failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What to do next.
    pub kind: FailureKind,
    /// What happened, for a person.
    pub message: Arc<str>,
}

/// Failures sorted by what the scheduler does next.
#[derive(Debug, Clone, PartialEq)]
pub enum FailureKind {
    /// The same again would fail again: the job fails.
    Permanent,
    /// Another attempt may succeed: the task's retries are used up first.
    Transient,
    /// Input chunks were not where the lease said: fetch or make them anew. No attempt is counted.
    MissingInputs(Vec<(ChunkId, WorkerId)>),
    /// The worker retires and had not begun the task: it runs elsewhere. No attempt is counted.
    HandedBack,
}

/// How a worker is, for placement and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerStatus {
    /// Bytes of chunks in memory.
    pub memory_bytes: u64,
    /// Bytes of chunks on disk.
    pub spilled_bytes: u64,
    /// Bytes reserved for tasks that fetch or run.
    pub reserved_bytes: u64,
    /// Tasks that compute.
    pub running: u32,
    /// Tasks that wait or fetch.
    pub queued: u32,
    /// Bytes fetched from peers and sources since the start.
    pub fetched_bytes: u64,
    /// The most that `memory_bytes` and `reserved_bytes` together were since the start.
    pub peak_bytes: u64,
    /// Bytes of the worker's process and of those that it started that are in memory, chunks and all else; 0 if it shares a
    /// process or cannot tell.
    pub resident_bytes: u64,
}
