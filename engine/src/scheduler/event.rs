use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use graticule_plan::{ChunkId, JobId, Key, LayerId, Plan, TaskId, WorkerId};

use super::RetireProgress;
use crate::{
    Announce, BlockRun, DiskReport, LogReport, Moved, Peer, SessionId, TaskTimes, ToScheduler, ToWorker,
    WorkerStatus,
};

/// One connected client, as the shell numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// What happened, as the shell tells the scheduler.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A worker opened a connection and said who it is. Sessions are numbered by the shell, none twice.
    WorkerConnected {
        /// The connection.
        session: SessionId,
        /// Its first word.
        announce: Announce,
    },
    /// A worker said something.
    WorkerMessage {
        /// On which connection.
        session: SessionId,
        /// What.
        message: ToScheduler,
    },
    /// A worker's connection ended.
    WorkerDisconnected {
        /// The connection.
        session: SessionId,
    },
    /// Whoever started a worker's process saw it end.
    WorkerEnded {
        /// The worker's name.
        name: Arc<str>,
        /// Exit code, signal, or that the system killed it for its memory; for people.
        how: Arc<str>,
    },
    /// A client handed in a plan. Job ids are numbered by the shell, none twice.
    JobSubmitted {
        /// The new job.
        job: JobId,
        /// Whose it is.
        client: ClientId,
        /// A name for people.
        name: Arc<str>,
        /// The plan.
        plan: Arc<Plan>,
    },
    /// A client no longer wants a job.
    JobCancelled {
        /// The job.
        job: JobId,
    },
    /// A client has a chunk that it was told of.
    ChunkDelivered {
        /// The chunk.
        chunk: ChunkId,
    },
    /// A client could not fetch a chunk that it was told of.
    DeliveryFailed {
        /// The chunk.
        chunk: ChunkId,
        /// The worker that did not give it.
        worker: WorkerId,
    },
    /// A client no longer needs a kept result.
    KeyReleased {
        /// Its name.
        key: Key,
    },
    /// A client lets go of blocks of a kept result that stand for themselves.
    BlocksReleased {
        /// The result's name.
        key: Key,
        /// The blocks.
        blocks: Vec<Range<u64>>,
    },
    /// A client no longer wants blocks to be made that stand for themselves: they fail, with those that need them. What
    /// is there already stays.
    BlocksCancelled {
        /// The result's name.
        key: Key,
        /// The blocks.
        blocks: Vec<Range<u64>>,
    },
    /// A client is gone: its jobs are cancelled, its kept results released.
    ClientLeft {
        /// The client.
        client: ClientId,
    },
    /// A client whose connection broke, or of an earlier run, is connected again. What it has it has said by
    /// [`Event::ChunkDelivered`].
    ClientReturned {
        /// The client.
        client: ClientId,
    },
    /// A worker shall leave, once what only it holds is copied to others.
    RetireWorker {
        /// The worker.
        worker: WorkerId,
        /// Microseconds after which it leaves whatever is still to be done.
        deadline_us: u64,
    },
    /// A worker that was to leave by [`Event::RetireWorker`] shall stay. Too late once it was told to leave, and without
    /// meaning for one that wants to leave by itself.
    RetireCancelled {
        /// The worker.
        worker: WorkerId,
    },
    /// Nothing but the time.
    Tick,
}

/// What the scheduler wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Say something to a worker.
    Send {
        /// On which connection.
        session: SessionId,
        /// What.
        message: ToWorker,
    },
    /// End a connection: the worker was silent for too long, or came again on another one.
    Close {
        /// The connection.
        session: SessionId,
        /// For the log.
        why: &'static str,
    },
    /// Tell a client something of its job.
    Notify {
        /// The client.
        client: ClientId,
        /// The job.
        job: JobId,
        /// What.
        event: JobEvent,
    },
    /// Something worth watching; may be dropped.
    Observe(Observation),
}

/// What a client learns of its job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// The plan is valid and queued.
    Accepted,
    /// A chunk of a delivered output, or a kept block that stands for itself, is there. May come again for the same chunk, after a loss.
    ChunkReady {
        /// The layer.
        layer: LayerId,
        /// The block.
        block: u64,
        /// Bytes of the chunk.
        bytes: u64,
        /// Who holds it.
        peers: Vec<Peer>,
        /// The encoded chunk itself, if it is small.
        inline: Option<Bytes>,
    },
    /// A kept block that stands for itself cannot be made; its job goes on. May come again to a client that comes back.
    BlockFailed {
        /// The layer.
        layer: LayerId,
        /// The block.
        block: u64,
        /// For a person: the cause, and where it happened.
        message: Arc<str>,
    },
    /// A worker waits for a value that the client is to hand over. May come again, for another worker, after a loss.
    ValueAwaited {
        /// The layer.
        layer: LayerId,
        /// The block.
        block: u64,
        /// The worker that waits.
        peer: Peer,
        /// The attempt that waits. A value for it is none for another one, which may still wait there, called back.
        attempt: u32,
    },
    /// Reads left something out: one sentence each.
    Problems(Vec<Arc<str>>),
    /// Nothing runs because no worker is connected.
    NoWorkers,
    /// All outputs are kept or delivered.
    Finished,
    /// The job cannot be finished.
    Failed {
        /// For a person: the cause, and where it happened.
        message: Arc<str>,
    },
    /// The job was cancelled.
    Cancelled,
}

/// What a watcher may want to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// A worker is there.
    WorkerJoined {
        /// The worker.
        worker: WorkerId,
        /// Its name.
        name: Arc<str>,
        /// Its address for peers.
        address: Arc<str>,
        /// Its CPU slots.
        slots: u32,
        /// Its memory.
        budget_bytes: u64,
    },
    /// A worker is gone.
    WorkerLeft {
        /// The worker.
        worker: WorkerId,
        /// Why; `None` if it had said that it would leave.
        why: Option<&'static str>,
    },
    /// A worker retires, and what it waits for has changed.
    WorkerRetiring(RetireProgress),
    /// A worker that retires was told to leave.
    WorkerReleased {
        /// The worker.
        worker: WorkerId,
        /// Chunks that go with it because its deadline was over; they are made anew if they are needed.
        chunks_lost: u64,
    },
    /// A worker that was to retire stays.
    WorkerStays {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker told how it is.
    WorkerStatus {
        /// The worker.
        worker: WorkerId,
        /// How it is.
        status: WorkerStatus,
    },
    /// A worker told what it moved.
    Moved {
        /// The worker.
        worker: WorkerId,
        /// What it moved.
        moved: Moved,
    },
    /// A worker told what it logged.
    Logged {
        /// The worker.
        worker: WorkerId,
        /// What it logged.
        report: LogReport,
    },
    /// A worker told which of its chunks are on its disk.
    Disk {
        /// The worker.
        worker: WorkerId,
        /// What it told.
        report: DiskReport,
    },
    /// A job began.
    JobStarted {
        /// The job.
        job: JobId,
        /// Its name.
        name: Arc<str>,
        /// Its plan.
        plan: Arc<Plan>,
    },
    /// A job ended.
    JobEnded {
        /// The job.
        job: JobId,
        /// `finished`, `failed` or `cancelled`.
        outcome: &'static str,
    },
    /// Tasks of neighbouring blocks went to a worker.
    TasksLeased {
        /// The tasks.
        tasks: BlockRun,
        /// The worker.
        worker: WorkerId,
        /// Counted from 0.
        attempt: u32,
    },
    /// Tasks of neighbouring blocks are done.
    TasksFinished {
        /// The tasks.
        tasks: BlockRun,
        /// The worker.
        worker: WorkerId,
        /// Counted from 0.
        attempt: u32,
        /// Bytes of the chunk of each.
        bytes: u64,
        /// How long the first took.
        times: TaskTimes,
        /// How long each of the others took.
        others: Vec<TaskTimes>,
    },
    /// A task failed.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// The worker.
        worker: WorkerId,
        /// Counted from 0.
        attempt: u32,
        /// Why.
        message: Arc<str>,
    },
    /// An attempt is void: the task must run again, or nobody wants it any more.
    TaskReset {
        /// The task.
        task: TaskId,
        /// The attempt that is void, counted from 0.
        attempt: u32,
        /// Whether it had been finished.
        was_finished: bool,
    },
    /// The chunk of a finished task is let go, since its worker is short of memory and it costs less to make again than to
    /// spill; it is made again when somebody needs it.
    ChunkLetGo {
        /// The task.
        task: TaskId,
        /// The attempt that had made it, counted from 0.
        attempt: u32,
    },
    /// Chunks of neighbouring blocks were made, and nobody needs them any more: those who hold them may drop them.
    ChunksReleased {
        /// The chunks.
        chunks: BlockRun,
        /// The attempt that made them, counted from 0.
        attempt: u32,
    },
}

impl Observation {
    /// Calls `see` task by task with what was observed of neighbours together, and with the rest as it is.
    pub fn each(self, mut see: impl FnMut(Observation)) {
        match self {
            Observation::TasksLeased {
                tasks,
                worker,
                attempt,
            } => tasks.each().for_each(|task| {
                see(Observation::TasksLeased {
                    tasks: task.into(),
                    worker,
                    attempt,
                });
            }),
            Observation::TasksFinished {
                tasks,
                worker,
                attempt,
                bytes,
                times,
                others,
            } => tasks
                .each()
                .zip([times].into_iter().chain(others))
                .for_each(|(task, times)| {
                    see(Observation::TasksFinished {
                        tasks: task.into(),
                        worker,
                        attempt,
                        bytes,
                        times,
                        others: Vec::new(),
                    });
                }),
            other => see(other),
        }
    }
}
