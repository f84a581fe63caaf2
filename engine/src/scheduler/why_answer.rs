//! What is answered to whoever asks why a task is where it is, or how a worker is.

use std::sync::Arc;

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

use crate::WorkerStatus;

/// What is asked for does not exist; the texts say what does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The job was never submitted, or is over and forgotten.
    #[error("job {job} is not known: it is over, or never was; {}", running(jobs))]
    Job {
        /// The job.
        job: JobId,
        /// Jobs that run, with their names.
        jobs: Vec<(JobId, Arc<str>)>,
    },
    /// The job has fewer layers.
    #[error("job {job} has layers 0 to {}, and no layer {layer}", layer_count - 1)]
    Layer {
        /// The job.
        job: JobId,
        /// The layer.
        layer: LayerId,
        /// Layers of the job.
        layer_count: usize,
    },
    /// The layer has fewer blocks.
    #[error(
        "layer {} of job {} ({name}) has blocks 0 to {}, and no block {}",
        task.layer, task.job, block_count - 1, task.block
    )]
    Block {
        /// The task.
        task: TaskId,
        /// The layer's name.
        name: Arc<str>,
        /// Blocks of the layer.
        block_count: u64,
    },
    /// The job lacks no output, so there is no task to ask about.
    #[error("job {job} lacks nothing: all its outputs are there; ask about a task, as in {job}/0/0")]
    Complete {
        /// The job.
        job: JobId,
    },
    /// No such worker is connected.
    #[error("worker {asked} is not connected; {}", connected(workers))]
    Worker {
        /// What was asked for.
        asked: Arc<str>,
        /// Workers that are, with their names.
        workers: Vec<(WorkerId, Arc<str>)>,
    },
}

fn running(jobs: &[(JobId, Arc<str>)]) -> String {
    let texts: Vec<String> = jobs.iter().map(|(job, name)| format!("{job} ({name})")).collect();
    listed("jobs that run", "no job runs", &texts)
}

fn connected(workers: &[(WorkerId, Arc<str>)]) -> String {
    let texts: Vec<String> = workers
        .iter()
        .map(|(worker, name)| format!("{worker} ({name})"))
        .collect();
    listed("workers that are", "no worker is", &texts)
}

fn listed(some: &str, none: &str, texts: &[String]) -> String {
    const LISTED_MAX: usize = 20;
    match texts.len() {
        0 => none.to_owned(),
        count if count > LISTED_MAX => format!(
            "{some}: {}, and {} more",
            texts[..LISTED_MAX].join(", "),
            count - LISTED_MAX
        ),
        _ => format!("{some}: {}", texts.join(", ")),
    }
}

/// Why a task is where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// The task.
    pub task: TaskId,
    /// The name of its layer.
    pub layer: Arc<str>,
    /// Whether a client keeps its chunk or still awaits it.
    pub is_wanted: bool,
    /// Leases so far, the present one among them.
    pub attempts: u32,
    /// Failures that count against the layer's retries.
    pub failures: u32,
    /// Workers that vanished while they had it, and did not come back.
    pub losses: u32,
    /// Times that its inputs were not where they were thought to be.
    pub misses: u32,
    /// Where it stands.
    pub standing: Standing,
}

/// A line of what there is to say of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyLine<'a> {
    /// How many tasks wait for it, one for the other; 0 for the task that was asked about.
    pub depth: usize,
    /// The task, and the name of its layer; `None` for what is said of several.
    pub of: Option<(TaskId, &'a str)>,
    /// What there is to say.
    pub text: String,
}

/// Where a task stands, and why.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// The walk over its job's outputs has not come to it.
    NotDemanded {
        /// The output that needs it.
        needed_for: TaskId,
        /// The output at which the walk is; `None` at the walk's end, and in a job that is over.
        walk_at: Option<TaskId>,
        /// What bounds the walk.
        admission: Admission,
    },
    /// Inputs are missing.
    Waiting {
        /// How many.
        missing: u64,
        /// Where the first of them stand.
        causes: Vec<Why>,
    },
    /// It could run, and no worker takes it at this moment.
    Ready {
        /// Ready tasks of its job that go before.
        ahead: u64,
        /// Why the workers do not take it.
        workers: Openings,
    },
    /// A worker has it.
    Leased {
        /// The worker.
        worker: WorkerId,
        /// The worker's name.
        name: Arc<str>,
        /// Why it is there.
        placement: Placement,
    },
    /// It is done, and its chunk is held.
    Held {
        /// By whom.
        holders: Vec<WorkerId>,
        /// Bytes of the chunk.
        bytes: u64,
        /// Tasks that are still to use it, once for each input.
        needed: u64,
    },
    /// It is done, and its chunk was dropped since nobody needs it any more.
    Released,
    /// Its job is over, and nobody needs it.
    NotNeeded,
    /// The scheduler has forgotten its job. Only what was observed of it is left.
    Forgotten,
}

/// What bounds the tasks that are demanded, and how far that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Why no more is demanded now.
    pub bound: Bound,
    /// Tasks that are ready.
    pub ready_count: u64,
    /// Ready tasks above which no more are demanded.
    pub ready_count_max: u64,
    /// Bytes that pass through the workers' memory, or will when what is ready has run.
    pub in_use_bytes: u64,
    /// Bytes that may.
    pub budget_bytes: u64,
    /// Bytes of them that wait for clients to fetch them.
    pub undelivered_bytes: u64,
}

/// Why no more tasks are demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// No worker is connected.
    NoWorkers,
    /// Enough are ready to keep all slots busy.
    Ready,
    /// All that was demanded lately waits for what workers have.
    Barren,
    /// The workers' memory is in use.
    Memory,
    /// The job has in memory what its plan needs, and no more is begun before some of it is done.
    JobMemory,
    /// Results in the workers' memory wait for their clients.
    Clients,
    /// Nothing bounds it: it is the turn of others.
    None,
}

/// Why workers do not take a task, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Openings {
    /// Workers that are connected.
    pub connected: u64,
    /// They have as much at hand as they may.
    pub full: u64,
    /// They leave.
    pub retiring: u64,
    /// They run a task alone, or are emptied for one.
    pub isolated: u64,
    /// They have something to do, and this task is to run alone: it may have ended other workers, or nobody knows how
    /// large its result is.
    pub not_empty: u64,
    /// They are not among the workers that may run it, or lack what it needs, or others occupy that.
    pub unfit: u64,
    /// Another call of its function runs first, since nobody knows how large the results are.
    pub awaits_first: bool,
}

/// Why a task is on its worker, as far as that shows now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// No worker holds more of its inputs.
    MostInputs {
        /// Bytes of inputs that it holds.
        held_bytes: u64,
        /// Bytes of all inputs.
        of_bytes: u64,
    },
    /// Others hold more of its inputs, but had no room.
    NextBest {
        /// Bytes of inputs that it holds.
        held_bytes: u64,
        /// Bytes of all inputs.
        of_bytes: u64,
    },
    /// It reads no chunks, or none is where it was: it went to the worker with the fewest tasks at hand.
    Idlest,
    /// Workers vanished while they had it, or nobody knows how large its result is, so it runs alone.
    Alone,
    /// Of several workers it is the only one that has what the task asks for.
    OnlyFit,
}

/// How a worker is.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerWhy {
    /// The worker.
    pub worker: WorkerId,
    /// Its name.
    pub name: Arc<str>,
    /// Where its peers find it.
    pub address: Arc<str>,
    /// Tasks that it computes at a time.
    pub slots: u32,
    /// Bytes that it may hold in memory.
    pub budget_bytes: u64,
    /// Tasks that it has at hand.
    pub leased_count: u64,
    /// The first of them.
    pub leased: Vec<TaskId>,
    /// What they are thought to take together.
    pub load_us: u64,
    /// Chunks that it holds.
    pub held_count: u64,
    /// Their bytes.
    pub held_bytes: u64,
    /// What it last said of itself.
    pub status: WorkerStatus,
    /// Microseconds since it last said anything.
    pub silent_us: u64,
    /// It leaves, and takes no more tasks.
    pub is_retiring: bool,
    /// It runs a task alone, or is emptied for one.
    pub is_isolated: bool,
}
