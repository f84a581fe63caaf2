//! The worker: events in, commands out.
//!
//! A leased task goes through two phases. In the first all it needs is fetched, with its bytes reserved and no CPU slot
//! held; in the second it computes on a slot. A worker reserves before it allocates; when nothing runs and nothing fits,
//! chunks go to disk until it does. A task that does not fit an empty worker is begun all the same, and where the disk takes
//! nothing one is begun each time it was tried, so something can always run.
//!
//! A worker that retires (`retire`) begins nothing new, and stays until the scheduler has had all that only it holds
//! copied (`copy`) to others, or its deadline is over.

mod computing;
mod copy;
mod event;
mod invariants;
mod relief;
mod retire;
mod run;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use graticule_plan::{ChunkId, Digest, JobId, LayerId, Resource, TaskId, WorkerId};

pub use event::{Command, Event, LayerEntry, RunId};
pub use run::join_alike;

use crate::{
    Announce, BlockRun, ChunkHeld, Incarnation, LayerSpec, Peer, Report, SessionId, TaskTimes, Time,
    ToScheduler, ToWorker, WorkerStatus, edges::WORKER_RUN, scheduler::Sabotage, table_uses::TableUses,
};

/// Pause after the disk took nothing, microseconds.
const SPILL_PAUSE_US: u64 = 1_000_000;
/// What a disk is taken to do in a second as long as nobody measured it.
const DISK_BYTES_PER_S: u64 = 1 << 30;

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
    /// Countable things that tasks may need, such as `GPU`.
    pub resources: Vec<Resource>,
    /// The names of the functions that it can call.
    pub functions: Vec<Arc<str>>,
    /// Tasks that may be fetched or fetching beside those that compute.
    pub prefetch_count_max: usize,
    /// What its disk takes and gives in a second, until that was measured.
    pub disk_bytes_per_s: u64,
    /// Microseconds between two signs of life.
    pub heartbeat_us: u64,
    /// Microseconds after which a silent scheduler is given up.
    pub scheduler_timeout_us: u64,
    /// A defect to build in, for the simulator's own test.
    pub sabotage: Sabotage,
}

impl Config {
    /// Settings for a worker of so many slots and bytes; the rest as usual.
    pub fn new(name: &str, address: &str, slots: u32, budget_bytes: u64) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            slots,
            budget_bytes,
            resources: Vec::new(),
            functions: Vec::new(),
            prefetch_count_max: slots as usize + 2,
            disk_bytes_per_s: DISK_BYTES_PER_S,
            heartbeat_us: 500_000,
            scheduler_timeout_us: 30_000_000,
            sabotage: Sabotage::None,
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
    tables: TableUses,
    /// Tasks in the order in which they shall start.
    queue: BTreeSet<RunId>,
    /// Runs in their first phase.
    fetching_count: usize,
    /// Runs that wait for a slot.
    fetched: BTreeSet<RunId>,
    runs: BTreeMap<RunId, TaskSlot>,
    tasks: BTreeMap<TaskId, RunId>,
    held: BTreeMap<ChunkId, u64>,
    free_slots: BTreeSet<u32>,
    memory_bytes: u64,
    spilled_bytes: u64,
    reserved_bytes: u64,
    /// The most that both together were.
    peak_bytes: u64,
    fetched_bytes: u64,
    next_run: u64,
    next_heartbeat: Time,
    /// What became of tasks, not sent yet.
    reports: Vec<Report>,
    reports_due: Option<Time>,
    computing: computing::Computing,
    /// What the store was asked to shrink to, until it says what it is.
    spilling_to: Option<u64>,
    /// The disk took nothing: it is not asked again before this time.
    no_spill_until: Time,
    /// A task was begun beyond the budget, since the disk took nothing: no other is before this time.
    overdrawn_until: Time,
    retiring: Option<retire::Retiring>,
    copies: copy::Copies,
    relief: relief::Relief,
    left: bool,
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

impl RunState {
    fn name(self) -> &'static str {
        match self {
            RunState::Queued => "Queued",
            RunState::Fetching { .. } => "Fetching",
            RunState::Fetched => "Fetched",
            RunState::Computing { .. } => "Computing",
            RunState::Unwanted { .. } => "Unwanted",
        }
    }
}

impl TaskSlot {
    /// Goes on to another state.
    fn pass_to(&mut self, state: RunState) {
        WORKER_RUN.pass(self.state.name(), state.name());
        self.state = state;
    }
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
            tables: TableUses::default(),
            queue: BTreeSet::new(),
            fetching_count: 0,
            fetched: BTreeSet::new(),
            reports: Vec::new(),
            reports_due: None,
            computing: computing::Computing::default(),
            spilling_to: None,
            no_spill_until: Time::ZERO,
            overdrawn_until: Time::ZERO,
            left: false,
            runs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            held: BTreeMap::new(),
            memory_bytes: 0,
            spilled_bytes: 0,
            reserved_bytes: 0,
            peak_bytes: 0,
            fetched_bytes: 0,
            next_run: 0,
            next_heartbeat: Time::ZERO,
            retiring: None,
            copies: copy::Copies::default(),
            relief: relief::Relief::default(),
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
                self.spilling_to = None;
                self.relief.store_changed();
                self.memory_bytes = memory_bytes;
                self.spilled_bytes = spilled_bytes;
                self.spill_overflow();
            }
            Event::SpillFailed => self.no_spill_until = self.now + SPILL_PAUSE_US,
            Event::DiskMeasured { bytes_per_s } => self.on_disk_measured(bytes_per_s),
            Event::ChunksLost { chunks } => self.on_chunks_lost(chunks),
            Event::CopyFetched { run, bytes } => self.copying_to_held(run, bytes),
            Event::CopyFailed { run } => self.copying_to_failed(run),
            Event::Retire { deadline_us } => self.on_retire(deadline_us, true),
            Event::Stop { deadline_us } => self.on_retire(deadline_us, false),
            Event::Tick => self.on_tick(),
        }
        self.start_fetches();
        self.start_computations();
        self.start_copies();
        let in_use = self.memory_bytes.saturating_add(self.reserved_bytes);
        self.peak_bytes = self.peak_bytes.max(in_use);
        self.flush_due_reports();
        self.say_computing();
        self.leave_if_due();
        commands.append(&mut self.out);
    }

    /// When to call again with [`Event::Tick`] if nothing else happens.
    pub fn next_timeout(&self) -> Option<Time> {
        let of_link = match self.link {
            Link::Down => None,
            Link::Announced { last_heard, .. } | Link::Up { last_heard, .. } => {
                let silent = last_heard + self.config.scheduler_timeout_us;
                Some(silent.min(self.next_heartbeat))
            }
        };
        let of_link = of_link.map(|at| self.reports_due.map_or(at, |due| at.min(due)));
        let of_link = of_link.map(|at| self.computing.due().map_or(at, |due| at.min(due)));
        of_link.into_iter().chain(self.leaves_at()).min()
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
            peak_bytes: self.peak_bytes,
            // The shell knows the process.
            resident_bytes: 0,
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
            resources: self.config.resources.clone(),
            functions: self.config.functions.clone(),
            inventory: self.inventory(),
        };
        self.out.push(Command::Send {
            session,
            message: ToScheduler::Announce(announce),
        });
        self.say_retiring(session);
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
        let tables = self.tables.clear();
        self.drop_tables(tables);
        self.reports.clear();
        self.reports_due = None;
        self.computing = computing::Computing::default();
        self.forget_copies();
        self.forget_relief();
        self.retire_alone();
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
            ToWorker::Table { digest, content } => {
                self.tables.expect(digest);
                self.out.push(Command::KeepTable { digest, content });
            }
            ToWorker::Layer(spec) => self.on_layer(spec),
            ToWorker::Lease(lease) => self.on_lease(lease),
            ToWorker::Revoke { tasks } => {
                let runs: Vec<RunId> = tasks.iter().filter_map(|t| self.tasks.get(t)).copied().collect();
                runs.into_iter().for_each(|run| self.abandon(run));
            }
            ToWorker::Release { chunks } => {
                let chunks: Vec<ChunkId> = chunks.iter().flat_map(BlockRun::each).collect();
                for chunk in &chunks {
                    self.held.remove(chunk);
                }
                self.out.push(Command::Drop { chunks });
            }
            ToWorker::Relief { chunks } => self.on_relief(&chunks),
            ToWorker::Forget { job } => self.on_forget(job),
            ToWorker::Retire { deadline_us } => self.on_asked_to_retire(deadline_us),
            ToWorker::Stay => self.on_stay(),
            ToWorker::Leave => self.on_leave(),
            ToWorker::Copy { chunks } => self.on_copy(chunks),
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

    fn on_layer(&mut self, spec: Arc<LayerSpec>) {
        self.tables.add(spec.job, spec.id, &spec.layer.tables);
        match LayerEntry::new(spec.clone()) {
            Ok(entry) => {
                let entry = Arc::new(entry);
                // Said again, it has better numbers: what has not begun goes by them.
                if self.layers.insert((spec.job, spec.id), entry.clone()).is_some() {
                    for run in &self.queue {
                        let slot = self.runs.get_mut(run).expect("queued runs have a slot");
                        if (slot.task.job, slot.task.layer) == (spec.job, spec.id) {
                            slot.layer = entry.clone();
                        }
                    }
                }
            }
            // Its tasks will be reported as failed when they are leased.
            Err(_) => {
                self.layers.remove(&(spec.job, spec.id));
            }
        }
    }

    /// Drops tables that no layer refers to any more.
    fn drop_tables(&mut self, digests: Vec<Digest>) {
        if !digests.is_empty() && self.config.sabotage != Sabotage::KeepTables {
            self.out.push(Command::DropTables { digests });
        }
    }

    fn on_chunks_lost(&mut self, mut chunks: Vec<ChunkId>) {
        chunks.retain(|chunk| self.held.remove(chunk).is_some());
        self.flush_reports();
        // Also before the welcome: the announcement that is under way lists them.
        if let (Some(session), false) = (self.link.session(), chunks.is_empty()) {
            self.out.push(Command::Send {
                session,
                message: ToScheduler::ChunksLost { chunks },
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
                self.flush_reports();
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
