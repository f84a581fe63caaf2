//! The worker: events in, commands out.
//!
//! A leased task goes through two phases. In the first all it needs is fetched, with its bytes reserved and no CPU slot
//! held; in the second it computes on a slot. A worker reserves before it allocates; when nothing runs, one task is
//! admitted whatever it needs, so something can always run.

mod event;
mod invariants;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use graticule_plan::{ChunkId, JobId, LayerId, TaskId, WorkerId};

pub use event::{Command, Event, LayerEntry, RunId};

use crate::{
    Announce, ChunkHeld, ChunkHolders, Failure, FailureKind, Finished, Incarnation, Lease, Peer, Report,
    SessionId, TaskTimes, Time, ToScheduler, ToWorker, WorkerStatus,
};

/// The worker's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// A name for people.
    pub name: Arc<str>,
    /// Where peers and clients fetch its chunks.
    pub address: Arc<str>,
    /// Tasks computed at a time.
    pub slots: u32,
    /// Bytes for chunks and running tasks together.
    pub budget_bytes: u64,
    /// Tasks that may be fetched or fetching beside those that compute.
    pub prefetch_count_max: usize,
    /// Microseconds between two signs of life.
    pub heartbeat_us: u64,
    /// Microseconds after which a silent scheduler is given up.
    pub scheduler_timeout_us: u64,
}

impl Config {
    /// Settings for a worker of so many slots and bytes; the rest as usual.
    pub fn new(name: &str, address: &str, slots: u32, budget_bytes: u64) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            slots,
            budget_bytes,
            prefetch_count_max: slots as usize + 2,
            heartbeat_us: 500_000,
            scheduler_timeout_us: 30_000_000,
        }
    }
}

/// The worker's state machine.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    now: Time,
    link: Link,
    identity: Option<(WorkerId, Incarnation)>,
    layers: BTreeMap<(JobId, LayerId), Arc<LayerEntry>>,
    /// Tasks in the order in which they shall start.
    queue: VecDeque<RunId>,
    runs: BTreeMap<RunId, TaskSlot>,
    tasks: BTreeMap<TaskId, RunId>,
    held: BTreeMap<ChunkId, u64>,
    free_slots: BTreeSet<u32>,
    memory_bytes: u64,
    spilled_bytes: u64,
    reserved_bytes: u64,
    fetched_bytes: u64,
    next_run: u64,
    next_heartbeat: Time,
    retiring: bool,
    out: Vec<Command>,
}

/// The connection to the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    /// Announced, not yet welcomed.
    Announced {
        session: SessionId,
        last_heard: Time,
    },
    Up {
        session: SessionId,
        last_heard: Time,
    },
}

/// One run of one task.
#[derive(Debug)]
struct TaskSlot {
    task: TaskId,
    attempt: u32,
    layer: Arc<LayerEntry>,
    holders: Arc<BTreeMap<ChunkId, Vec<Peer>>>,
    arrived: Time,
    /// Bytes reserved for it; 0 while it is queued.
    reserved_bytes: u64,
    times: TaskTimes,
    state: RunState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunState {
    Queued,
    Fetching {
        since: Time,
    },
    Fetched,
    Computing {
        since: Time,
        slot: u32,
    },
    /// Computing, but nobody wants the result.
    Unwanted {
        slot: u32,
    },
}

impl Worker {
    /// A worker that is not connected and holds nothing.
    pub fn new(config: Config) -> Self {
        Self {
            free_slots: (0..config.slots.max(1)).collect(),
            config,
            now: Time::ZERO,
            link: Link::Down,
            identity: None,
            layers: BTreeMap::new(),
            queue: VecDeque::new(),
            runs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            held: BTreeMap::new(),
            memory_bytes: 0,
            spilled_bytes: 0,
            reserved_bytes: 0,
            fetched_bytes: 0,
            next_run: 0,
            next_heartbeat: Time::ZERO,
            retiring: false,
            out: Vec::new(),
        }
    }

    /// Takes an event in and appends what is to be done to `commands`, in order.
    pub fn handle(&mut self, now: Time, event: Event, commands: &mut Vec<Command>) {
        self.now = self.now.max(now);
        match event {
            Event::Connected { session } => self.on_connected(session),
            Event::Disconnected { session } => self.on_disconnected(session),
            Event::Message { session, message } => self.on_message(session, message),
            Event::Fetched { run, fetched_bytes } => self.fetching_to_fetched(run, fetched_bytes),
            Event::FetchFailed { run, failure } => self.fetching_to_failed(run, failure),
            Event::Computed { run, outcome } => self.on_computed(run, outcome),
            Event::StoreChanged {
                memory_bytes,
                spilled_bytes,
            } => {
                self.memory_bytes = memory_bytes;
                self.spilled_bytes = spilled_bytes;
            }
            Event::ChunksLost { chunks } => self.on_chunks_lost(chunks),
            Event::Retire => self.on_retire(),
            Event::Tick => self.on_tick(),
        }
        self.start_fetches();
        self.start_computations();
        if self.retiring && self.runs.values().all(|run| run.state == RunState::Queued) {
            self.out.push(Command::Leave);
        }
        commands.append(&mut self.out);
    }

    /// When to call again with [`Event::Tick`] if nothing else happens.
    pub fn next_timeout(&self) -> Option<Time> {
        let silent = match self.link {
            Link::Down => return None,
            Link::Announced { last_heard, .. } | Link::Up { last_heard, .. } => {
                last_heard + self.config.scheduler_timeout_us
            }
        };
        Some(silent.min(self.next_heartbeat))
    }

    /// The id that the scheduler gave, once it has.
    pub fn id(&self) -> Option<WorkerId> {
        self.identity.map(|(worker, _)| worker)
    }

    /// How the worker is.
    pub fn status(&self) -> WorkerStatus {
        let computing = self.config.slots as usize - self.free_slots.len().min(self.config.slots as usize);
        WorkerStatus {
            memory_bytes: self.memory_bytes,
            spilled_bytes: self.spilled_bytes,
            reserved_bytes: self.reserved_bytes,
            running: u32::try_from(computing).unwrap_or(u32::MAX),
            queued: u32::try_from(self.runs.len() - computing.min(self.runs.len())).unwrap_or(u32::MAX),
            fetched_bytes: self.fetched_bytes,
        }
    }

    /// The chunks that the worker holds, with their sizes.
    pub fn inventory(&self) -> Vec<ChunkHeld> {
        self.held
            .iter()
            .map(|(&chunk, &bytes)| ChunkHeld { chunk, bytes })
            .collect()
    }

    fn on_connected(&mut self, session: SessionId) {
        self.forget_work();
        self.link = Link::Announced {
            session,
            last_heard: self.now,
        };
        self.next_heartbeat = self.now + self.config.heartbeat_us;
        let announce = Announce {
            name: self.config.name.clone(),
            address: self.config.address.clone(),
            slots: self.config.slots,
            budget_bytes: self.config.budget_bytes,
            worker: self.identity.map(|(worker, _)| worker),
            incarnation: self.identity.map(|(_, incarnation)| incarnation),
            inventory: self.inventory(),
        };
        self.out.push(Command::Send {
            session,
            message: ToScheduler::Announce(announce),
        });
        if self.retiring {
            self.out.push(Command::Send {
                session,
                message: ToScheduler::Retire,
            });
        }
    }

    fn on_disconnected(&mut self, session: SessionId) {
        if self.link.session() == Some(session) {
            self.link = Link::Down;
            self.forget_work();
        }
    }

    /// The scheduler counts this worker's tasks as lost: they are no longer this worker's.
    fn forget_work(&mut self) {
        let runs: Vec<RunId> = self.runs.keys().copied().collect();
        runs.into_iter().for_each(|run| self.abandon(run));
        self.layers.clear();
    }

    fn on_message(&mut self, session: SessionId, message: ToWorker) {
        match &mut self.link {
            Link::Announced {
                session: own,
                last_heard,
            }
            | Link::Up {
                session: own,
                last_heard,
            } if *own == session => {
                *last_heard = self.now;
            }
            // Late, from an older connection.
            _ => return,
        }
        match message {
            ToWorker::Welcome {
                worker, incarnation, ..
            } => self.on_welcome(session, worker, incarnation),
            ToWorker::Table { digest, content } => self.out.push(Command::KeepTable { digest, content }),
            ToWorker::Layer(spec) => match LayerEntry::new(spec.clone()) {
                Ok(entry) => {
                    self.layers.insert((spec.job, spec.id), Arc::new(entry));
                }
                // Its tasks will be reported as failed when they are leased.
                Err(_) => {
                    self.layers.remove(&(spec.job, spec.id));
                }
            },
            ToWorker::Lease(lease) => self.on_lease(lease),
            ToWorker::Revoke { tasks } => {
                let runs: Vec<RunId> = tasks.iter().filter_map(|t| self.tasks.get(t)).copied().collect();
                runs.into_iter().for_each(|run| self.abandon(run));
            }
            ToWorker::Release { chunks } => {
                self.held.retain(|chunk, _| !chunks.contains(chunk));
                self.out.push(Command::Drop { chunks });
            }
            ToWorker::Forget { job } => self.on_forget(job),
            ToWorker::Ping => {}
        }
    }

    fn on_welcome(&mut self, session: SessionId, worker: WorkerId, incarnation: Incarnation) {
        let stranger = self.identity.is_some_and(|(_, known)| known != incarnation);
        if stranger && !self.held.is_empty() {
            let chunks = std::mem::take(&mut self.held).into_keys().collect();
            self.out.push(Command::Drop { chunks });
        }
        self.identity = Some((worker, incarnation));
        self.link = Link::Up {
            session,
            last_heard: self.now,
        };
    }

    fn on_lease(&mut self, lease: Lease) {
        let holders: BTreeMap<ChunkId, Vec<Peer>> = lease
            .holders
            .into_iter()
            .map(|ChunkHolders { chunk, peers }| (chunk, peers))
            .collect();
        let holders = Arc::new(holders);
        let layer = self.layers.get(&(lease.job, lease.layer)).cloned();
        for (block, attempt) in lease.tasks {
            let task = TaskId {
                job: lease.job,
                layer: lease.layer,
                block,
            };
            let Some(layer) = layer.clone() else {
                let failure = Failure {
                    kind: FailureKind::Permanent,
                    message: format!("layer {} does not fit its inputs", lease.layer).into(),
                };
                self.report(task, attempt, Err(failure), TaskTimes::default());
                continue;
            };
            if let Some(&older) = self.tasks.get(&task) {
                self.abandon(older);
            }
            let run = RunId(self.next_run);
            self.next_run += 1;
            let slot = TaskSlot {
                task,
                attempt,
                layer,
                holders: holders.clone(),
                arrived: self.now,
                reserved_bytes: 0,
                times: TaskTimes::default(),
                state: RunState::Queued,
            };
            self.runs.insert(run, slot);
            self.tasks.insert(task, run);
            self.queue.push_back(run);
        }
    }

    fn on_forget(&mut self, job: JobId) {
        self.layers.retain(|(owner, _), _| *owner != job);
        let of_job = self.runs.iter().filter(|(_, slot)| slot.task.job == job);
        let runs: Vec<RunId> = of_job.map(|(&run, _)| run).collect();
        runs.into_iter().for_each(|run| self.abandon(run));
        let chunks: Vec<ChunkId> = self
            .held
            .keys()
            .filter(|chunk| chunk.job == job)
            .copied()
            .collect();
        if !chunks.is_empty() {
            self.held.retain(|chunk, _| !chunks.contains(chunk));
            self.out.push(Command::Drop { chunks });
        }
    }

    /// Gives a run up, wherever it stands.
    fn abandon(&mut self, run: RunId) {
        let Some(slot) = self.runs.get_mut(&run) else {
            return;
        };
        if self.tasks.get(&slot.task) == Some(&run) {
            self.tasks.remove(&slot.task);
        }
        match slot.state {
            RunState::Queued => self.queue.retain(|queued| *queued != run),
            RunState::Fetching { .. } | RunState::Fetched => self.out.push(Command::Discard { run }),
            // A kernel cannot be stopped; what it makes is dropped when it is done.
            RunState::Computing { slot: cpu, .. } => {
                slot.state = RunState::Unwanted { slot: cpu };
                return;
            }
            RunState::Unwanted { .. } => return,
        }
        self.remove_run(run);
    }

    fn remove_run(&mut self, run: RunId) -> TaskSlot {
        let slot = self.runs.remove(&run).expect("the caller looked the run up");
        self.reserved_bytes -= slot.reserved_bytes;
        if self.tasks.get(&slot.task) == Some(&run) {
            self.tasks.remove(&slot.task);
        }
        slot
    }

    /// Starts the first phase of as many queued tasks as memory and the prefetch limit admit.
    fn start_fetches(&mut self) {
        while let Some(&run) = self.queue.front() {
            let waiting = self
                .runs
                .values()
                .filter(|r| matches!(r.state, RunState::Fetching { .. } | RunState::Fetched))
                .count();
            if self.retiring || waiting >= self.config.prefetch_count_max {
                return;
            }
            let slot = &self.runs[&run];
            let needed = slot.layer.task_bytes(slot.task.block);
            let active = self.runs.len() > self.queue.len();
            let in_use = self.memory_bytes.saturating_add(self.reserved_bytes);
            if in_use.saturating_add(needed) > self.config.budget_bytes {
                let rest = self.config.budget_bytes.saturating_sub(self.reserved_bytes);
                let target_bytes = rest.saturating_sub(needed);
                if self.memory_bytes > target_bytes {
                    self.out.push(Command::Spill { target_bytes });
                }
                if active {
                    return;
                }
            }
            self.queue.pop_front();
            self.queued_to_fetching(run, needed);
        }
    }

    fn queued_to_fetching(&mut self, run: RunId, needed: u64) {
        self.reserved_bytes += needed;
        let slot = self.runs.get_mut(&run).expect("queued runs have a slot");
        slot.reserved_bytes = needed;
        slot.times.queue_us = self.now.since_us(slot.arrived);
        slot.state = RunState::Fetching { since: self.now };
        let inputs = slot.layer.inputs(slot.task.block);
        let mut wanted: BTreeSet<ChunkId> = inputs.into_iter().flatten().collect();
        wanted.retain(|chunk| !self.held.contains_key(chunk));
        let holders = wanted.into_iter().map(|chunk| {
            let peers = slot.holders.get(&chunk).cloned().unwrap_or_default();
            ChunkHolders { chunk, peers }
        });
        let holders = holders.collect();
        let (task, layer) = (slot.task, slot.layer.clone());
        self.out.push(Command::Fetch {
            run,
            task,
            layer,
            holders,
        });
    }

    fn fetching_to_fetched(&mut self, run: RunId, fetched_bytes: u64) {
        // An abandoned run's fetch may end all the same.
        let Some(slot) = self.runs.get_mut(&run) else {
            return;
        };
        let RunState::Fetching { since } = slot.state else {
            return;
        };
        slot.times.fetch_us = self.now.since_us(since);
        slot.times.fetched_bytes = fetched_bytes;
        slot.state = RunState::Fetched;
        self.fetched_bytes += fetched_bytes;
    }

    fn fetching_to_failed(&mut self, run: RunId, failure: Failure) {
        let fetching = |slot: &TaskSlot| matches!(slot.state, RunState::Fetching { .. });
        if self.runs.get(&run).is_some_and(fetching) {
            let slot = self.remove_run(run);
            self.out.push(Command::Discard { run });
            self.report(slot.task, slot.attempt, Err(failure), slot.times);
        }
    }

    /// Puts fetched tasks on free slots, first come first served.
    fn start_computations(&mut self) {
        let fetched = self
            .runs
            .iter()
            .filter(|(_, slot)| slot.state == RunState::Fetched);
        let runs: Vec<RunId> = fetched.map(|(&run, _)| run).take(self.free_slots.len()).collect();
        for run in runs {
            let cpu = self.free_slots.pop_first().expect("no more runs than free slots");
            let slot = self.runs.get_mut(&run).expect("listed above");
            slot.times.slot = cpu;
            slot.state = RunState::Computing {
                since: self.now,
                slot: cpu,
            };
            self.out.push(Command::Compute { run, slot: cpu });
        }
    }

    fn on_computed(&mut self, run: RunId, outcome: Result<Finished, Failure>) {
        let Some(slot) = self.runs.get(&run) else { return };
        match slot.state {
            RunState::Computing { since, slot: cpu } => {
                self.free_slots.insert(cpu);
                let mut slot = self.remove_run(run);
                slot.times.compute_us = self.now.since_us(since);
                self.computing_to_reported(run, slot, outcome);
            }
            RunState::Unwanted { slot: cpu } => {
                self.free_slots.insert(cpu);
                self.remove_run(run);
                self.out.push(Command::Discard { run });
            }
            RunState::Queued | RunState::Fetching { .. } | RunState::Fetched => {
                unreachable!("{run:?} was computed without having been started")
            }
        }
    }

    fn computing_to_reported(&mut self, run: RunId, slot: TaskSlot, outcome: Result<Finished, Failure>) {
        let outcome = outcome.map(|finished| {
            let inline = finished.inline.filter(|_| slot.layer.spec.deliver);
            Finished { inline, ..finished }
        });
        match &outcome {
            Ok(finished) => {
                self.held.insert(slot.task, finished.bytes);
                self.memory_bytes += finished.bytes;
                self.out.push(Command::Store {
                    run,
                    chunk: slot.task,
                });
            }
            Err(_) => self.out.push(Command::Discard { run }),
        }
        self.report(slot.task, slot.attempt, outcome, slot.times);
    }

    fn report(&mut self, task: TaskId, attempt: u32, outcome: Result<Finished, Failure>, times: TaskTimes) {
        if let Link::Up { session, .. } = self.link {
            let report = Report {
                task,
                attempt,
                outcome,
                times,
            };
            self.out.push(Command::Send {
                session,
                message: ToScheduler::Reports(vec![report]),
            });
        }
    }

    fn on_chunks_lost(&mut self, mut chunks: Vec<ChunkId>) {
        chunks.retain(|chunk| self.held.remove(chunk).is_some());
        if let (Link::Up { session, .. }, false) = (self.link, chunks.is_empty()) {
            self.out.push(Command::Send {
                session,
                message: ToScheduler::ChunksLost { chunks },
            });
        }
    }

    fn on_retire(&mut self) {
        self.retiring = true;
        if let Some(session) = self.link.session() {
            self.out.push(Command::Send {
                session,
                message: ToScheduler::Retire,
            });
        }
    }

    fn on_tick(&mut self) {
        match self.link {
            Link::Down => {}
            Link::Announced { session, last_heard } | Link::Up { session, last_heard }
                if self.now.since_us(last_heard) >= self.config.scheduler_timeout_us =>
            {
                self.on_disconnected(session);
                self.out.push(Command::Reconnect { session });
            }
            Link::Announced { .. } => self.next_heartbeat = self.now + self.config.heartbeat_us,
            Link::Up { session, .. } if self.now >= self.next_heartbeat => {
                self.next_heartbeat = self.now + self.config.heartbeat_us;
                let message = ToScheduler::Status(self.status());
                self.out.push(Command::Send { session, message });
            }
            Link::Up { .. } => {}
        }
    }
}

impl Link {
    fn session(self) -> Option<SessionId> {
        match self {
            Link::Down => None,
            Link::Announced { session, .. } | Link::Up { session, .. } => Some(session),
        }
    }
}
