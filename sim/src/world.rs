//! The virtual cluster: one queue of happenings in virtual time, and what is known of everybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use graticule_engine::{
    Time, ToScheduler, ToWorker,
    scheduler::{ClientId, Config, Event, JobEvent, Sabotage, Scheduler},
    worker::{self, RunId},
};
use graticule_plan::{ChunkId, JobId, Key, TaskId, WorkerId};

use crate::{
    case::Case,
    client::Client,
    counts::Counts,
    generate::TASK_BYTES_MAX,
    handover::CopyRead,
    job::{Job, Kept},
    journal::Journal,
    ledger::{Ledger, Suspects},
    network::Link,
    node::{Node, Wanted},
    phase::Phase,
    profile::{CrashMoment, Fault, Profile, Temper},
    restart::{Resume, Runs},
    rng::{Rng, Stream},
    scatter::Put,
    story::readable,
    value::Values,
};

/// Microseconds of silence after which scheduler and workers give each other up.
pub(crate) const TIMEOUT_US: u64 = 60_000;
pub(crate) const HEARTBEAT_US: u64 = 10_000;
/// Workers that vanish with a task before it is blamed, in stories that look at the blame.
pub(crate) const LOSSES_MAX: u32 = 4;

/// Something that happens at a moment of virtual time.
#[derive(Debug)]
pub(crate) enum Happening {
    ToScheduler {
        link: usize,
        message: ToScheduler,
    },
    ToWorker {
        link: usize,
        message: ToWorker,
    },
    SchedulerNotices {
        link: usize,
    },
    WorkerNotices {
        link: usize,
    },
    Connect {
        node: usize,
    },
    Read {
        node: usize,
        wanted: Wanted,
    },
    FetchEnds {
        node: usize,
        run: RunId,
    },
    ComputeEnds {
        node: usize,
        run: RunId,
    },
    StoreChanged {
        node: usize,
    },
    SpillStep {
        node: usize,
    },
    Tell {
        node: usize,
        event: worker::Event,
    },
    WorkerTick {
        node: usize,
        at: u64,
    },
    SchedulerTick {
        at: u64,
    },
    Revive {
        node: usize,
    },
    /// Somebody ends a worker's process, since a task of it hangs.
    Kill {
        node: usize,
    },
    Strike {
        fault: Fault,
        /// How often it was put off.
        tries: u32,
    },
    /// A worker's connection breaks again, and so many times more.
    Flicker {
        fault: u32,
        node: usize,
        left: u32,
    },
    FlapUp {
        fault: u32,
        round: u32,
    },
    FlapDown {
        fault: u32,
        round: u32,
        nodes: Vec<usize>,
    },
    Submit {
        job: u64,
    },
    ToClient {
        client: ClientId,
        connection: u64,
        job: JobId,
        event: JobEvent,
    },
    ClientFetches {
        job: JobId,
        event: JobEvent,
    },
    FromClient {
        client: ClientId,
        connection: u64,
        event: Event,
    },
    FromReturned {
        client: ClientId,
        connection: u64,
        resume: Resume,
    },
    /// A value reaches a worker, or not.
    Put(Put),
    SchedulerEnds {
        fault: u32,
        moment: CrashMoment,
    },
    SchedulerStarts,
    /// A write of the journal is over, in the run of a number.
    Written {
        run: u64,
    },
    ClientReturns {
        client: ClientId,
        run: u64,
    },
    ClientGivenUp {
        client: ClientId,
        run: u64,
    },
    /// Whoever runs the cluster tells the scheduler something.
    ToSchedulerOnly {
        event: Event,
    },
    Copy {
        node: usize,
        copy: CopyRead,
    },
    Heal,
}

/// The whole simulated cluster.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) case: Case,
    pub(crate) clock: u64,
    next_happening: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    /// What goes wrong now.
    pub(crate) profile: Profile,
    /// What went wrong until all healed.
    pub(crate) profile_at_first: Profile,
    pub(crate) temper: Temper,
    pub(crate) scheduler: Scheduler,
    pub(crate) scheduler_tick_at: Option<u64>,
    /// How far the clock of the scheduler's process is ahead.
    pub(crate) scheduler_ahead_us: u64,
    pub(crate) ledger: Ledger,
    pub(crate) journal: Journal,
    pub(crate) runs: Runs,
    /// The numbers that jobs were given.
    pub(crate) given: BTreeSet<JobId>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) addresses: BTreeMap<Arc<str>, usize>,
    pub(crate) links: Vec<Link>,
    /// Pairs of processes that cannot reach each other, and until when.
    pub(crate) peer_cuts: BTreeMap<(usize, usize), u64>,
    pub(crate) clients: BTreeMap<ClientId, Client>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) kept: BTreeMap<Key, Kept>,
    /// The number of the next job.
    pub(crate) next_job: u64,
    /// Tasks of all plans so far.
    pub(crate) planned_tasks: u64,
    pub(crate) phase: Phase,
    /// How often each task was computed.
    pub(crate) executions: BTreeMap<TaskId, u32>,
    /// Transient failures so far, by task.
    pub(crate) transient: BTreeMap<TaskId, u32>,
    /// Tasks that fail whatever one does.
    pub(crate) doomed: BTreeSet<TaskId>,
    /// Tasks that fail each time, though they say that they might not.
    pub(crate) stubborn: BTreeSet<TaskId>,
    /// The tasks that end workers, with how often they did.
    pub(crate) culprits: BTreeMap<TaskId, u32>,
    /// The tasks of workers that are just lost.
    pub(crate) suspects: Vec<Suspects>,
    /// How many workers each task may have ended at most.
    pub(crate) blame: BTreeMap<TaskId, u32>,
    /// Layers of this story may ask for resources, or name workers.
    pub(crate) is_choosy: bool,
    /// Some of the jobs of this story are calls, each of which stands for itself.
    pub(crate) grows: bool,
    /// Calls that have failed, as the scheduler knows.
    pub(crate) failed: BTreeSet<TaskId>,
    /// Chunks that some process had when it ended, or found damaged, or that were said to be missing somewhere.
    pub(crate) destroyed: BTreeSet<ChunkId>,
    /// Chunks that a client could not fetch from a worker.
    pub(crate) not_fetched: BTreeSet<(WorkerId, ChunkId)>,
    /// Since when something kept is on no worker, at the end of the seed.
    pub(crate) missing_since: Option<u64>,
    pub(crate) counts: Counts,
    pub(crate) failure: Option<String>,
    trace: bool,
    pub(crate) story: Vec<String>,
}

/// Adds a line to the story, if somebody listens.
pub(crate) trait Story {
    fn tell(&mut self, line: impl FnOnce() -> String);
}

impl Story for World {
    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.trace {
            let line = format!("{} {}", Time(self.clock), line());
            self.story.push(readable(&line));
        }
    }
}

/// The engine of a new process of the scheduler.
pub(crate) fn new_scheduler(case: &Case, temper: Temper) -> Scheduler {
    let config = Config {
        worker_timeout_us: TIMEOUT_US,
        in_hand_bytes_min: TASK_BYTES_MAX / 4,
        sabotage: case.sabotage,
        ..Config::default()
    };
    let losses_max = match temper {
        Temper::Blaming => LOSSES_MAX,
        Temper::Wild | Temper::Calm => u32::MAX,
    };
    Scheduler::new(config).with_worker_losses_max(losses_max)
}

impl World {
    pub(crate) fn new(case: &Case, trace: bool) -> Self {
        let profile = Profile::draw(case);
        let profile_temper = profile.temper;
        let write_us_max = (!profile.crashes.is_empty()).then_some(profile.write_us_max);
        Self {
            case: case.clone(),
            clock: 0,
            next_happening: 0,
            queue: BTreeMap::new(),
            temper: profile.temper,
            profile_at_first: profile.clone(),
            profile,
            scheduler: new_scheduler(case, profile_temper),
            scheduler_tick_at: None,
            scheduler_ahead_us: 0,
            ledger: Ledger::default(),
            journal: Journal::new(write_us_max, Rng::of(case.seed, Stream::Restart, 1)),
            runs: Runs::default(),
            given: BTreeSet::new(),
            nodes: Vec::new(),
            addresses: BTreeMap::new(),
            links: Vec::new(),
            peer_cuts: BTreeMap::new(),
            clients: BTreeMap::new(),
            jobs: BTreeMap::new(),
            kept: BTreeMap::new(),
            next_job: 1,
            planned_tasks: 0,
            phase: Phase::Chaos,
            executions: BTreeMap::new(),
            transient: BTreeMap::new(),
            doomed: BTreeSet::new(),
            stubborn: BTreeSet::new(),
            culprits: BTreeMap::new(),
            suspects: Vec::new(),
            blame: BTreeMap::new(),
            is_choosy: Rng::of(case.seed, Stream::Wish, 0).chance(250),
            grows: Rng::of(case.seed, Stream::Wish, 1).chance(350),
            failed: BTreeSet::new(),
            destroyed: BTreeSet::new(),
            not_fetched: BTreeSet::new(),
            missing_since: None,
            counts: Counts::default(),
            failure: None,
            trace,
            story: Vec::new(),
        }
    }

    pub(crate) fn is_sabotaged(&self, sabotage: Sabotage) -> bool {
        self.case.sabotage == sabotage
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.tell(|| format!("FAILED: {why}"));
        self.failure.get_or_insert(why);
    }

    pub(crate) fn schedule(&mut self, delay: u64, happening: Happening) {
        self.schedule_at(self.clock + delay, happening);
    }

    pub(crate) fn schedule_at(&mut self, at: u64, happening: Happening) {
        self.queue
            .insert((at.max(self.clock), self.next_happening), happening);
        self.next_happening += 1;
    }

    pub(crate) fn expected(&self, chunk: ChunkId) -> &Values {
        let block = usize::try_from(chunk.block).expect("small arrays");
        &self.jobs[&chunk.job].generated.expected[chunk.layer.0 as usize].chunks[block]
    }

    /// Lets the next thing happen. Returns `false` when nothing is left to happen.
    pub(crate) fn step(&mut self) -> bool {
        let Some(((at, _), happening)) = self.queue.pop_first() else {
            return false;
        };
        self.clock = at;
        if let Some(node) = self.node_of(&happening) {
            if !self.nodes[node].alive {
                return true;
            }
            if self.nodes[node].hung {
                self.nodes[node].backlog.push_back(happening);
                return true;
            }
        }
        self.happen(happening);
        true
    }

    fn node_of(&self, happening: &Happening) -> Option<usize> {
        match happening {
            Happening::ToWorker { link, .. } | Happening::WorkerNotices { link } => {
                Some(self.links[*link].node)
            }
            Happening::Connect { node }
            | Happening::Read { node, .. }
            | Happening::FetchEnds { node, .. }
            | Happening::ComputeEnds { node, .. }
            | Happening::StoreChanged { node }
            | Happening::SpillStep { node }
            | Happening::Copy { node, .. }
            | Happening::Tell { node, .. }
            | Happening::WorkerTick { node, .. } => Some(*node),
            _ => None,
        }
    }

    pub(crate) fn happen(&mut self, happening: Happening) {
        self.counts.events += 1;
        match happening {
            Happening::ToScheduler { link, message } => self.arrive_at_scheduler(link, message),
            Happening::ToWorker { link, message } => self.arrive_at_worker(link, message),
            Happening::SchedulerNotices { link } => self.scheduler_notices(link),
            Happening::WorkerNotices { link } => self.worker_notices(link),
            Happening::Connect { node } => self.connect(node),
            Happening::Read { node, wanted } => self.on_read(node, wanted),
            Happening::FetchEnds { node, run } => self.on_fetch_ends(node, run),
            Happening::ComputeEnds { node, run } => self.on_compute_ends(node, run),
            Happening::StoreChanged { node } => self.on_store_changed(node),
            Happening::SpillStep { node } => self.on_spill_step(node),
            Happening::Tell { node, event } => self.tell_worker(node, event),
            Happening::WorkerTick { node, at } => {
                if self.nodes[node].tick_at == Some(at) {
                    self.nodes[node].tick_at = None;
                    self.tell_worker(node, worker::Event::Tick);
                }
            }
            Happening::SchedulerTick { at } => {
                if self.scheduler_tick_at == Some(at) {
                    self.scheduler_tick_at = None;
                    self.tell_scheduler(Event::Tick);
                }
            }
            Happening::Revive { node } => self.revive(node),
            Happening::Kill { node } => self.kill(node),
            Happening::Strike { fault, tries } => self.strike(fault, tries),
            Happening::Flicker { fault, node, left } => self.flicker(fault, node, left),
            Happening::FlapUp { fault, round } => self.flap_up(fault, round),
            Happening::FlapDown { fault, round, nodes } => self.flap_down(fault, round, &nodes),
            Happening::Submit { job } => self.submit_in_chaos(job),
            Happening::ToClient {
                client,
                connection,
                job,
                event,
            } => self.arrive_at_client(client, connection, job, event),
            Happening::ClientFetches { job, event } => self.client_fetches(job, event),
            Happening::FromClient {
                client,
                connection,
                event,
            } => {
                if self.is_current(client, connection) {
                    self.arrive_from_client(event);
                }
            }
            Happening::FromReturned {
                client,
                connection,
                resume,
            } => {
                if self.is_current(client, connection) {
                    self.on_resume(client, resume);
                }
            }
            Happening::Put(put) => self.on_put(put),
            Happening::SchedulerEnds { fault, moment } => self.crash_due(fault, moment),
            Happening::SchedulerStarts => self.start_scheduler(),
            Happening::Written { run } => self.on_written(run),
            Happening::ClientReturns { client, run } => self.client_returns(client, run),
            Happening::ClientGivenUp { client, run } => self.client_given_up(client, run),
            Happening::ToSchedulerOnly { event } => self.tell_scheduler(event),
            Happening::Copy { node, copy } => self.on_copy_read(node, copy),
            Happening::Heal => self.heal(),
        }
    }
}
