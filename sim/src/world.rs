//! The virtual cluster: one queue of happenings in virtual time, the scheduler's engine, and the network.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use graticule_engine::{
    Failure, FailureKind, SessionId, Time, ToScheduler, ToWorker,
    scheduler::{ClientId, Command, Config, Event, JobEvent, Observation, Sabotage, Scheduler},
    worker::{self, RunId},
};
use graticule_plan::{ChunkId, JobId, Key, TaskId};

use crate::{
    client::{Client, Job, Kept},
    generate::TASK_BYTES_MAX,
    handover::CopyRead,
    node::{Node, Wanted},
    phase::Phase,
    profile::Profile,
    rng::Rng,
    value::Values,
};

/// Microseconds of silence after which scheduler and workers give each other up.
pub(crate) const TIMEOUT_US: u64 = 60_000;
pub(crate) const HEARTBEAT_US: u64 = 10_000;

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
    Strike,
    Submit,
    ToClient {
        client: ClientId,
        job: JobId,
        event: JobEvent,
    },
    ClientFetches {
        job: JobId,
        event: JobEvent,
    },
    FromClient {
        event: Event,
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

/// One connection between a worker process and the scheduler.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) node: usize,
    pub(crate) worker_session: SessionId,
    pub(crate) scheduler_session: SessionId,
    to_scheduler_at: u64,
    to_worker_at: u64,
    announced: bool,
    /// Nothing new goes in, and what is under way to the worker is lost.
    pub(crate) broken: bool,
    /// What is under way to the scheduler is lost too.
    loses_reports: bool,
}

/// The whole simulated cluster.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: u64,
    next_happening: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    pub(crate) rng: Rng,
    pub(crate) profile: Profile,
    pub(crate) scheduler: Scheduler,
    scheduler_tick_at: Option<u64>,
    sabotage: Sabotage,
    pub(crate) nodes: Vec<Node>,
    pub(crate) addresses: BTreeMap<Arc<str>, usize>,
    pub(crate) links: Vec<Link>,
    pub(crate) clients: BTreeMap<ClientId, Client>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) kept: BTreeMap<Key, Kept>,
    pub(crate) next_key: u128,
    /// Tasks of all plans so far.
    pub(crate) planned_tasks: u64,
    pub(crate) phase: Phase,
    /// Transient failures so far, by task.
    transient: BTreeMap<TaskId, u32>,
    /// Tasks that fail whatever one does.
    doomed: BTreeSet<TaskId>,
    /// Chunks that some process had when it ended, or found damaged.
    pub(crate) destroyed: BTreeSet<ChunkId>,
    /// Since when something kept is on no worker, at the end of the seed.
    pub(crate) missing_since: Option<u64>,
    pub(crate) counts: Counts,
    pub(crate) failure: Option<String>,
    trace: bool,
    pub(crate) story: Vec<String>,
}

/// What a run of the simulation went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that reached an engine or a client.
    pub events: u64,
    /// Tasks that finished.
    pub tasks: u64,
    /// Things that went wrong: crashes, cuts, failures and so on.
    pub faults: u64,
    /// Jobs submitted.
    pub jobs: u64,
    /// Chunks copied from workers that retired.
    pub copies: u64,
    /// Workers that retired without loss.
    pub retired: u64,
    /// Virtual microseconds.
    pub virtual_us: u64,
}

/// Adds a line to the story, if somebody listens.
pub(crate) trait Story {
    fn tell(&mut self, line: impl FnOnce() -> String);
}

impl Story for World {
    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.trace {
            let line = format!("{} {}", Time(self.clock), line());
            self.story.push(line);
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64, sabotage: Sabotage, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let profile = Profile::draw(&mut rng);
        let config = Config {
            worker_timeout_us: TIMEOUT_US,
            in_hand_bytes_min: TASK_BYTES_MAX / 4,
            sabotage,
            ..Config::default()
        };
        Self {
            clock: 0,
            next_happening: 0,
            queue: BTreeMap::new(),
            rng,
            profile,
            scheduler: Scheduler::new(config).with_worker_losses_max(u32::MAX),
            scheduler_tick_at: None,
            sabotage,
            nodes: Vec::new(),
            addresses: BTreeMap::new(),
            links: Vec::new(),
            clients: BTreeMap::new(),
            jobs: BTreeMap::new(),
            kept: BTreeMap::new(),
            next_key: 0,
            planned_tasks: 0,
            phase: Phase::Chaos,
            transient: BTreeMap::new(),
            doomed: BTreeSet::new(),
            destroyed: BTreeSet::new(),
            missing_since: None,
            counts: Counts::default(),
            failure: None,
            trace,
            story: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        Time(self.clock)
    }

    pub(crate) fn combines_by_arrival(&self) -> bool {
        self.sabotage == Sabotage::CombineByArrival
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.tell(|| format!("FAILED: {why}"));
        self.failure.get_or_insert(why);
    }

    pub(crate) fn schedule(&mut self, delay: u64, happening: Happening) {
        self.schedule_at(self.clock + delay, happening);
    }

    fn schedule_at(&mut self, at: u64, happening: Happening) {
        self.queue
            .insert((at.max(self.clock), self.next_happening), happening);
        self.next_happening += 1;
    }

    /// How long the next message takes.
    pub(crate) fn delay(&mut self) -> u64 {
        let delay = self.rng.within(20..self.profile.delay_us_max.max(21));
        if self.rng.chance(self.profile.slow_messages) {
            delay * 10
        } else {
            delay
        }
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
            Happening::SchedulerNotices { link } => {
                let session = self.links[link].scheduler_session;
                self.tell_scheduler(Event::WorkerDisconnected { session });
            }
            Happening::WorkerNotices { link } => self.worker_notices(link),
            Happening::Connect { node } => self.connect(node),
            Happening::Read { node, wanted } => self.on_read(node, wanted),
            Happening::FetchEnds { node, run } => self.on_fetch_ends(node, run),
            Happening::ComputeEnds { node, run } => self.on_compute_ends(node, run),
            Happening::StoreChanged { node } => self.on_store_changed(node),
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
            Happening::Strike => self.strike(),
            Happening::Submit => self.submit_in_chaos(),
            Happening::ToClient { client, job, event } => self.arrive_at_client(client, job, event),
            Happening::ClientFetches { job, event } => self.client_fetches(job, event),
            Happening::FromClient { event } => self.arrive_from_client(event),
            Happening::ToSchedulerOnly { event } => {
                self.tell(|| format!("the scheduler is told: {event:?}"));
                self.tell_scheduler(event);
            }
            Happening::Copy { node, copy } => self.on_copy_read(node, copy),
            Happening::Heal => self.heal(),
        }
    }

    /// Hands an event to the scheduler's engine and does what it commands.
    pub(crate) fn tell_scheduler(&mut self, event: Event) {
        let mut commands = Vec::new();
        let now = self.now();
        let sign_of_life = matches!(
            &event,
            Event::WorkerMessage {
                message: ToScheduler::Status(_),
                ..
            }
        );
        self.scheduler.handle(now, event, &mut commands);
        // A sign of life that is only observed and answered leaves the books as they were.
        let nothing_moved = sign_of_life && commands.len() <= 2;
        if !nothing_moved && let Err(why) = self.scheduler.check_invariants() {
            self.fail(format!("scheduler: {why}"));
        }
        for command in commands {
            self.do_for_scheduler(command);
        }
        if let Some(next) = self.scheduler.next_timeout()
            && self.scheduler_tick_at.is_none_or(|at| at > next.0)
        {
            self.scheduler_tick_at = Some(next.0);
            self.schedule_at(next.0, Happening::SchedulerTick { at: next.0 });
        }
    }

    pub(crate) fn arm_worker(&mut self, at: usize) {
        if let Some(next) = self.nodes[at].engine.next_timeout()
            && self.nodes[at].tick_at.is_none_or(|at| at > next.0)
        {
            self.nodes[at].tick_at = Some(next.0);
            self.schedule_at(next.0, Happening::WorkerTick { node: at, at: next.0 });
        }
    }

    fn do_for_scheduler(&mut self, command: Command) {
        match command {
            Command::Send { session, message } => self.send_to_worker(session, message),
            Command::Close { session, why } => {
                self.tell(|| format!("scheduler closes {session:?}: {why}"));
                let link = link_of(session);
                self.links[link].broken = true;
                let delay = self.delay();
                self.schedule(delay, Happening::WorkerNotices { link });
            }
            Command::Notify { client, job, event } => self.notify(client, job, event),
            Command::Observe(observation) => {
                if !matches!(observation, Observation::WorkerStatus { .. }) {
                    self.tell(|| format!("scheduler: {observation:?}"));
                }
                match observation {
                    Observation::TaskFinished { .. } => self.counts.tasks += 1,
                    Observation::WorkerReleased { worker, chunks_lost } => {
                        self.check_released(worker, chunks_lost);
                    }
                    _ => {}
                }
            }
        }
    }

    fn send_to_worker(&mut self, session: SessionId, message: ToWorker) {
        let link = link_of(session);
        let at = (self.clock + self.delay()).max(self.links[link].to_worker_at);
        if !self.links[link].broken {
            self.links[link].to_worker_at = at;
            self.schedule_at(at, Happening::ToWorker { link, message });
        }
    }

    pub(crate) fn send_to_scheduler(&mut self, node: usize, session: SessionId, message: ToScheduler) {
        let Some(link) = self.nodes[node].link else { return };
        if self.links[link].worker_session != session {
            self.fail(format!(
                "worker process {node} speaks on {session:?}, which is over"
            ));
            return;
        }
        let at = (self.clock + self.delay()).max(self.links[link].to_scheduler_at);
        if !self.links[link].broken {
            self.links[link].to_scheduler_at = at;
            self.schedule_at(at, Happening::ToScheduler { link, message });
        }
    }

    fn arrive_at_scheduler(&mut self, at: usize, message: ToScheduler) {
        let link = &mut self.links[at];
        if link.loses_reports {
            return;
        }
        let session = link.scheduler_session;
        let first = !std::mem::replace(&mut link.announced, true);
        if !matches!(message, ToScheduler::Status(_)) {
            self.tell(|| format!("scheduler hears on {session:?}: {message:?}"));
        }
        match message {
            ToScheduler::Announce(announce) if first => {
                self.tell_scheduler(Event::WorkerConnected { session, announce });
            }
            message => self.tell_scheduler(Event::WorkerMessage { session, message }),
        }
    }

    fn arrive_at_worker(&mut self, link: usize, message: ToWorker) {
        if self.links[link].broken {
            return;
        }
        let (node, session) = (self.links[link].node, self.links[link].worker_session);
        match &message {
            ToWorker::Ping => {}
            ToWorker::Layer(spec) => {
                self.tell(|| format!("process {node} hears of layer {}/{}", spec.job, spec.id));
            }
            message => self.tell(|| format!("process {node} hears: {message:?}")),
        }
        self.tell_worker(node, worker::Event::Message { session, message });
    }

    /// Breaks a connection; both ends notice in their own time.
    pub(crate) fn cut(&mut self, link: usize, loses_reports: bool, noticed_after_us: u64) {
        if self.links[link].broken {
            return;
        }
        self.links[link].broken = true;
        self.links[link].loses_reports = loses_reports;
        let at = (self.clock + noticed_after_us).max(self.links[link].to_scheduler_at);
        self.schedule_at(at, Happening::SchedulerNotices { link });
        let delay = self.delay();
        self.schedule(delay, Happening::WorkerNotices { link });
    }

    fn worker_notices(&mut self, link: usize) {
        let (node, session) = (self.links[link].node, self.links[link].worker_session);
        if self.nodes[node].link == Some(link) {
            self.links[link].broken = true;
            self.nodes[node].link = None;
            self.tell_worker(node, worker::Event::Disconnected { session });
            self.connect_later(node);
        }
    }

    /// The worker's engine has given the scheduler up.
    pub(crate) fn reconnect(&mut self, node: usize, session: SessionId) {
        let Some(link) = self.nodes[node].link else { return };
        if self.links[link].worker_session == session {
            let delay = self.delay();
            self.cut(link, true, delay);
            self.nodes[node].link = None;
            self.connect_later(node);
        }
    }

    pub(crate) fn connect_later(&mut self, node: usize) {
        let delay = self.rng.within(100..5_000);
        self.schedule(delay, Happening::Connect { node });
    }

    fn connect(&mut self, node: usize) {
        if self.nodes[node].link.is_some() {
            return;
        }
        let worker_session = SessionId(self.nodes[node].next_session);
        self.nodes[node].next_session += 1;
        let link = self.links.len();
        self.links.push(Link {
            node,
            worker_session,
            scheduler_session: SessionId(link as u64 + 1),
            to_scheduler_at: self.clock,
            to_worker_at: self.clock,
            announced: false,
            broken: false,
            loses_reports: false,
        });
        self.nodes[node].link = Some(link);
        self.tell(|| format!("process {node} connects by link {link}"));
        self.tell_worker(
            node,
            worker::Event::Connected {
                session: worker_session,
            },
        );
    }

    /// The engine says that the process may end.
    pub(crate) fn leave(&mut self, node: usize) {
        self.tell(|| format!("process {node} leaves"));
        self.end_process(node, false);
    }

    /// Ends a worker process: what it held is gone.
    pub(crate) fn end_process(&mut self, node: usize, loses_reports: bool) {
        self.destroyed.extend(self.nodes[node].store.keys());
        self.nodes[node].alive = false;
        if let Some(link) = self.nodes[node].link.take() {
            let delay = self.delay();
            self.cut(link, loses_reports, delay);
        }
    }

    /// Decides whether a computation fails.
    pub(crate) fn injected_failure(&mut self, task: TaskId, retries: u32) -> Option<Failure> {
        if self.rng.chance(self.profile.permanent_failures) {
            self.doomed.insert(task);
        }
        if self.doomed.contains(&task) {
            self.counts.faults += 1;
            self.may_fail(task.job);
            self.tell(|| format!("{task} fails for good"));
            return Some(Failure {
                kind: FailureKind::Permanent,
                message: "doomed".into(),
            });
        }
        if !self.rng.chance(self.profile.transient_failures) {
            return None;
        }
        self.counts.faults += 1;
        let count = self.transient.entry(task).or_default();
        *count += 1;
        if *count > retries {
            self.may_fail(task.job);
        }
        Some(Failure {
            kind: FailureKind::Transient,
            message: "bad luck".into(),
        })
    }
}

fn link_of(session: SessionId) -> usize {
    usize::try_from(session.0 - 1).expect("sessions are numbered by links")
}
