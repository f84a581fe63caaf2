//! The scheduler: events in, commands out.
//!
//! Demand and supply meet here. A job's cursor (`demand`) walks its outputs depth first and makes tasks of what they
//! need; `dispatch` leases tasks whose inputs are held; `finish` takes the reports; `loss` puts right what vanished
//! with a worker; `hold` decides how long a chunk is kept and when a job is over; `retire` has what only one worker
//! holds copied before that worker leaves.
//!
//! A chunk is *held* while some worker has it. A task is *live* while it is demanded and not finished. A finished task
//! keeps one bit. Edges are nowhere stored: they are asked of the plan's maps.

mod apart;
mod choosy;
mod demand;
mod dispatch;
mod ending;
mod event;
mod finish;
mod fit;
mod handover;
mod hold;
mod invariants;
mod ledger;
mod loss;
mod membership;
mod rank;
mod record;
mod recovery;
mod relief;
mod restore;
mod retire;
mod roster;
mod sabotage;
mod sizes;
mod snapshot;
mod submit;
mod table;
mod values;
mod why;
mod why_answer;
mod why_text;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use graticule_plan::{ChunkId, JobId, Key, LayerId, TaskId, WorkerId};

pub use event::{ClientId, Command, Event, JobEvent, Observation};
pub use membership::WorkerInfo;
pub use restore::{Fact, Restore};
pub use retire::{RetireProgress, RetireWait};
pub use sabotage::Sabotage;
pub use why_answer::{Admission, Bound, Openings, Placement, Standing, Unknown, Why, WhyLine, WorkerWhy};

use crate::{BlockRun, IN_HAND_BYTES_MIN, Incarnation, LayerSpec, RUN_BLOCKS_MAX, SessionId, Time, ToWorker};
use record::{JobRecord, JobState, LayerRecord, TaskRecord};

/// The scheduler's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// This run of the scheduler; workers of another run start afresh.
    pub incarnation: Incarnation,
    /// Microseconds after which a silent worker is given up.
    pub worker_timeout_us: u64,
    /// Bytes that a job's tasks may have in hand on each worker, however small they are: see
    /// [`PlanMemory::limit_bytes`](crate::PlanMemory::limit_bytes).
    pub in_hand_bytes_min: u64,
    /// The most neighbouring blocks that are leased together; at most [`RUN_BLOCKS_MAX`] are.
    pub lease_blocks_max: u64,
    /// A defect to build in, for the simulator's own test.
    pub sabotage: Sabotage,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            incarnation: Incarnation(0),
            worker_timeout_us: 30_000_000,
            in_hand_bytes_min: IN_HAND_BYTES_MIN,
            lease_blocks_max: RUN_BLOCKS_MAX,
            sabotage: Sabotage::None,
        }
    }
}

/// Workers that may vanish with a task before it is held to be the cause.
const WORKER_LOSSES_MAX: u32 = 4;

/// How far a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerProgress {
    /// The layer.
    pub layer: LayerId,
    /// Its name.
    pub name: Arc<str>,
    /// Tasks in all.
    pub task_count: u64,
    /// Tasks finished.
    pub finished_count: u64,
    /// Tasks that workers have.
    pub leased_count: u64,
    /// Failures, also those that were retried.
    pub failed_count: u64,
    /// Tasks that had to run again.
    pub reset_count: u64,
}

/// How many records a scheduler keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Tasks that are demanded and not finished.
    pub live_tasks: u64,
    /// Chunks that workers hold.
    pub held_chunks: u64,
}

/// The scheduler's state machine.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    worker_losses_max: u32,
    sabotage: Sabotage,
    now: Time,
    jobs: BTreeMap<JobId, JobRecord>,
    workers: roster::Roster,
    sessions: BTreeMap<SessionId, WorkerId>,
    keys: BTreeMap<Key, (JobId, LayerId)>,
    recovery: recovery::Recovery,
    /// Jobs with outputs that are missing.
    running: BTreeSet<JobId>,
    /// Jobs with ready tasks in their queue; some may have none any more.
    ready_jobs: BTreeSet<JobId>,
    /// Jobs that were forgotten since somebody asked.
    forgotten: Vec<JobId>,
    next_worker: u64,
    next_order: u64,
    /// Ready tasks of all jobs.
    ready_count: u64,
    /// Layers with choosy tasks that are ready; some may be so no more.
    choosy: BTreeSet<(JobId, LayerId)>,
    choosy_ready_count: u64,
    /// Functions whose results' sizes are learnt.
    functions: sizes::Functions,
    /// Tasks demanded since one became ready.
    barren_count: u64,
    /// Leased tasks of all jobs.
    leased_count: u64,
    /// Bytes that ready and leased tasks will make.
    committed_bytes: u128,
    /// Bytes held only until they are used or delivered.
    transient_bytes: u128,
    /// Bytes held that clients are still to fetch.
    undelivered_bytes: u128,
    /// What leased tasks have in hand.
    in_hand_bytes: u128,
    /// The most that was held in passing and in hand at a time.
    peak_bytes: u128,
    /// What workers said too late for it to have a meaning.
    late_count: u64,
    /// Chunks that were let go instead of spilled.
    let_go_count: u64,
    /// Those that waiting tasks will ask for again; some may be asked for already.
    awaited_later: u64,
    /// Tasks of workers that vanished and may come back.
    departed: BTreeMap<WorkerId, loss::Departed>,
    /// The job that demanded something last.
    last_walked: Option<JobId>,
    /// The job that got a lease last.
    last_served: Option<JobId>,
    last_placed: Option<WorkerId>,
    capacity: membership::Capacity,
    /// No worker is silent for too long before this time.
    silent_at: Option<Time>,
    ranks: rank::Ranks,
    /// Workers to be ranked anew.
    changed: Vec<WorkerId>,
    retires: retire::Retires,
    spreads: values::Spreads,
    /// Values that are held by fewer workers than they shall be.
    thin: BTreeSet<ChunkId>,
    /// Workers of an earlier run are awaited.
    restoring: Option<restore::Restoring>,
    needs_left: restore::NeedsLeft,
    /// Chunks that workers need hold no longer, and were not told so yet.
    releases: Vec<(WorkerId, BlockRun)>,
    /// Empty between uses, each.
    leases: dispatch::Leases,
    local: dispatch::Local,
    dependents: Vec<TaskId>,
    spared: Vec<BlockRun>,
    out: Vec<Command>,
}

impl Scheduler {
    /// A scheduler without workers and jobs.
    pub fn new(config: Config) -> Self {
        Self {
            sabotage: config.sabotage,
            worker_losses_max: WORKER_LOSSES_MAX,
            config,
            now: Time::ZERO,
            jobs: BTreeMap::new(),
            workers: roster::Roster::default(),
            sessions: BTreeMap::new(),
            keys: BTreeMap::new(),
            recovery: recovery::Recovery::default(),
            next_worker: 1,
            next_order: 0,
            ready_count: 0,
            choosy: BTreeSet::new(),
            choosy_ready_count: 0,
            functions: sizes::Functions::default(),
            barren_count: 0,
            leased_count: 0,
            committed_bytes: 0,
            transient_bytes: 0,
            undelivered_bytes: 0,
            in_hand_bytes: 0,
            peak_bytes: 0,
            late_count: 0,
            let_go_count: 0,
            awaited_later: 0,
            departed: BTreeMap::new(),
            last_walked: None,
            last_served: None,
            last_placed: None,
            capacity: membership::Capacity::default(),
            silent_at: None,
            ranks: rank::Ranks::default(),
            changed: Vec::new(),
            retires: retire::Retires::default(),
            spreads: values::Spreads::new(),
            thin: BTreeSet::new(),
            restoring: None,
            needs_left: restore::NeedsLeft::default(),
            releases: Vec::new(),
            leases: dispatch::Leases::default(),
            local: dispatch::Local::default(),
            dependents: Vec::new(),
            spared: Vec::new(),
            out: Vec::new(),
            running: BTreeSet::new(),
            ready_jobs: BTreeSet::new(),
            forgotten: Vec::new(),
        }
    }

    /// Jobs of which nothing is kept or needed any more, since this was last asked.
    pub fn take_forgotten(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.forgotten)
    }

    /// Lets so many workers vanish with a task, one after the other, before it is held to be the cause and its job
    /// fails; 4 unless said otherwise.
    #[must_use]
    pub fn with_worker_losses_max(mut self, count: u32) -> Self {
        self.worker_losses_max = count;
        self
    }

    /// Takes an event in and appends what is to be done to `commands`, in order.
    pub fn handle(&mut self, now: Time, event: Event, commands: &mut Vec<Command>) {
        self.take(now, event);
        self.settle(commands);
    }

    /// Takes several events in at once: placement looks at all of them before anything is leased.
    pub fn handle_all(
        &mut self,
        now: Time,
        events: impl IntoIterator<Item = Event>,
        commands: &mut Vec<Command>,
    ) {
        events.into_iter().for_each(|event| self.take(now, event));
        self.settle(commands);
    }

    fn take(&mut self, now: Time, event: Event) {
        self.now = self.now.max(now);
        self.look_at_retirements();
        match event {
            Event::WorkerConnected { session, announce } => self.on_connected(session, announce),
            Event::WorkerMessage { session, message } => self.on_worker_message(session, message),
            Event::WorkerDisconnected { session } => self.on_disconnected(session),
            Event::WorkerEnded { name, how } => self.on_worker_ended(&name, &how),
            Event::JobSubmitted {
                job,
                client,
                name,
                plan,
            } => self.on_submitted(job, client, name, plan),
            Event::JobCancelled { job } => self.on_cancelled(job),
            Event::ChunkDelivered { chunk } => self.on_delivered(chunk),
            Event::DeliveryFailed { chunk, worker } => self.on_delivery_failed(chunk, worker),
            Event::KeyReleased { key } => self.on_key_released(key),
            Event::BlocksReleased { key, blocks } => self.on_blocks_released(key, &blocks),
            Event::BlocksCancelled { key, blocks } => self.on_blocks_cancelled(key, &blocks),
            Event::ClientLeft { client } => self.on_client_left(client),
            Event::ClientReturned { client } => self.on_client_returned(client),
            Event::RetireWorker { worker, deadline_us } => self.on_retire_worker(worker, deadline_us),
            Event::RetireCancelled { worker } => self.on_retire_cancelled(worker),
            Event::Tick => self.on_tick(),
        }
    }

    fn settle(&mut self, commands: &mut Vec<Command>) {
        self.look_at_restore();
        // A lease makes room among the ready tasks, so demand and dispatch go in turn until nothing moves.
        let mut leases = std::mem::take(&mut self.leases);
        loop {
            let before = (self.next_order, self.leased_count);
            self.advance();
            self.dispatch(&mut leases);
            if before == (self.next_order, self.leased_count) {
                break;
            }
        }
        self.send_leases(&mut leases);
        self.leases = leases;
        self.advance_retirements();
        self.flush_releases();
        if commands.is_empty() {
            std::mem::swap(commands, &mut self.out);
        } else {
            commands.append(&mut self.out);
        }
    }

    /// When to call again with [`Event::Tick`] if nothing else happens.
    pub fn next_timeout(&self) -> Option<Time> {
        let timeouts = self.silent_at.into_iter().chain(self.retire_timeout());
        timeouts.chain(self.restore_timeout()).min()
    }

    /// How far a job is, layer by layer; empty for an unknown job.
    pub fn progress(&self, job: JobId) -> Vec<LayerProgress> {
        let Some(record) = self.jobs.get(&job) else {
            return Vec::new();
        };
        let layers = record.layers.iter().map(|layer| LayerProgress {
            layer: layer.spec.id,
            name: layer.spec.layer.name.clone(),
            task_count: layer.spec.layer.grid.block_count(),
            finished_count: layer.finished.len(),
            leased_count: layer.leased_count,
            failed_count: layer.failed_count,
            reset_count: layer.reset_count,
        });
        layers.collect()
    }

    /// What takes memory.
    pub fn counts(&self) -> Counts {
        let layers = || self.jobs.values().flat_map(|job| &job.layers);
        Counts {
            live_tasks: layers().map(|layer| layer.tasks.len()).sum(),
            held_chunks: layers().map(|layer| layer.chunks.len()).sum(),
        }
    }

    /// The most bytes that chunks in passing and running tasks of all jobs took at a time, since the beginning; what is
    /// kept is not among them.
    pub fn peak_bytes(&self) -> u128 {
        self.peak_bytes
    }

    /// Messages on connections that are over, and reports of tasks that the worker no longer had, since the beginning: they
    /// were dropped.
    pub fn late_count(&self) -> u64 {
        self.late_count
    }

    /// Chunks that workers short of memory dropped, since they cost less to make again than to spill; since the beginning.
    pub fn let_go_count(&self) -> u64 {
        self.let_go_count
    }

    /// Number of connected workers.
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// Jobs that still have outputs to make, with their names.
    pub fn running_jobs(&self) -> impl Iterator<Item = (JobId, Arc<str>)> {
        let running = self.jobs.iter().filter(|(_, job)| job.state == JobState::Running);
        running.map(|(&id, job)| (id, job.name.clone()))
    }

    /// The layer that a kept result is, for a client that wants to build on it or fetch it.
    pub fn kept(&self, key: Key) -> Option<Arc<LayerSpec>> {
        let (job, layer) = *self.keys.get(&key)?;
        Some(self.layer(job, layer).spec.clone())
    }

    fn send(&mut self, worker: WorkerId, message: ToWorker) {
        if let Some(record) = self.workers.get(&worker) {
            self.out.push(Command::Send {
                session: record.session,
                message,
            });
        }
    }

    fn job_mut(&mut self, job: JobId) -> &mut JobRecord {
        self.jobs.get_mut(&job).expect("the caller looked the job up")
    }

    fn layer_mut(&mut self, job: JobId, layer: LayerId) -> &mut LayerRecord {
        &mut self.job_mut(job).layers[layer.0 as usize]
    }

    fn task(&self, task: TaskId) -> Option<&TaskRecord> {
        self.jobs
            .get(&task.job)?
            .layers
            .get(task.layer.0 as usize)?
            .tasks
            .get(task.block)
    }

    fn task_mut(&mut self, task: TaskId) -> Option<&mut TaskRecord> {
        self.jobs
            .get_mut(&task.job)?
            .layers
            .get_mut(task.layer.0 as usize)?
            .tasks
            .get_mut(task.block)
    }

    fn holds(&self, worker: WorkerId, chunk: ChunkId) -> bool {
        let layers = self.jobs.get(&chunk.job).map(|job| &job.layers);
        let layer = layers.and_then(|layers| layers.get(chunk.layer.0 as usize));
        let record = layer.and_then(|layer| layer.chunks.get(chunk.block));
        record.is_some_and(|record| record.holders.contains(worker))
    }
}
