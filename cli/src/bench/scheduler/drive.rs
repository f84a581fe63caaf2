//! The scheduler engine with workers that do nothing but say so.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use graticule_engine::{
    Announce, BlockRun, Finished, Report, SessionId, TaskTimes, Time, ToScheduler, ToWorker,
    scheduler::{ClientId, Command, Config, Event, JobEvent, Scheduler},
};
use graticule_plan::{JobId, Plan, TaskId};

/// What the workers look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    pub(super) workers: u64,
    pub(super) slots: u32,
    /// Bytes that each may hold.
    pub(super) budget_bytes: u64,
    /// The most reports that a worker sends at a time.
    pub(super) batch: usize,
    /// Tasks after which the run is broken off.
    pub(super) stop_after: u64,
    /// The most neighbouring blocks that are leased together.
    pub(super) lease_blocks_max: u64,
}

/// What one run took.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    /// In the engine, from the plan to the last report.
    pub(super) engine_ns: u64,
    /// Engine and workers together.
    pub(super) total_ns: u64,
    /// From the plan to the first lease.
    pub(super) first_lease_ns: u64,
    pub(super) tasks: u64,
    /// Calls of the engine.
    pub(super) calls: u64,
    pub(super) leases: u64,
    pub(super) observations: u64,
    /// The engine's memory at its largest, the plan's own tables included.
    pub(super) bytes_max: u64,
    /// Its memory for each live task when there were most of them, if there were many.
    pub(super) live_task_bytes: Option<f64>,
    /// The same for each held chunk.
    pub(super) held_chunk_bytes: Option<f64>,
}

/// Records from which on their memory is worth dividing by their number.
const MANY: u64 = 100_000;

/// When the engine kept the most records of a kind.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    count: u64,
    others: u64,
    bytes: i64,
}

impl Peak {
    fn see(&mut self, count: u64, others: u64, bytes: i64) {
        if count > self.count {
            *self = Self { count, others, bytes };
        }
    }

    /// Bytes of each record, if the other kind hardly counted.
    fn each(self) -> Option<f64> {
        let says_something = self.count >= MANY && self.others * 10 <= self.count;
        says_something.then(|| self.bytes as f64 / self.count as f64)
    }
}

const JOB: JobId = JobId(1);
const CLIENT: ClientId = ClientId(1);
/// Microseconds that each task says it took.
const TASK_US: u64 = 10;

/// Runs a plan to its end. `now_ns` is a clock, `live_bytes` this thread's memory.
pub(super) fn run(
    plan: Plan,
    cluster: Cluster,
    now_ns: impl Fn() -> u64,
    live_bytes: impl Fn() -> i64,
) -> anyhow::Result<Measured> {
    // Without workers nothing is demanded yet, so this tells what the plan itself takes.
    let mut drive = Drive::new(cluster.lease_blocks_max);
    let before = live_bytes();
    let begin = now_ns();
    let submit = Event::JobSubmitted {
        job: JOB,
        client: CLIENT,
        name: "bench".into(),
        plan: Arc::new(plan),
    };
    drive.call(vec![submit], &now_ns);
    let planned = live_bytes();
    drive.join(cluster, &now_ns);
    drive.measured.first_lease_ns = now_ns() - begin;
    let (mut peak, mut live, mut held) = (0, Peak::default(), Peak::default());
    let mut look = |drive: &Drive| {
        let (bytes, counts) = (live_bytes(), drive.scheduler.counts());
        peak = peak.max(bytes - before);
        live.see(counts.live_tasks, counts.held_chunks, bytes - planned);
        held.see(counts.held_chunks, counts.live_tasks, bytes - planned);
    };
    look(&drive);
    while drive.outcome.is_none() && drive.measured.tasks < cluster.stop_after {
        let events = drive.reports(cluster.batch);
        anyhow::ensure!(!events.is_empty(), "the scheduler stands still");
        drive.call(events, &now_ns);
        if drive.measured.calls.is_multiple_of(16) {
            look(&drive);
        }
    }
    drive.measured.total_ns = now_ns() - begin;
    drive.measured.bytes_max = peak.max(0) as u64;
    drive.measured.live_task_bytes = live.each();
    drive.measured.held_chunk_bytes = held.each();
    match drive.outcome {
        Some(Err(why)) => anyhow::bail!("the job ended: {why}"),
        Some(Ok(())) | None => Ok(drive.measured),
    }
}

struct Drive {
    scheduler: Scheduler,
    /// What each worker was told to run and has not reported, by its session.
    leased: BTreeMap<SessionId, VecDeque<(BlockRun, u32)>>,
    commands: Vec<Command>,
    follow_up: Vec<Event>,
    outcome: Option<Result<(), String>>,
    measured: Measured,
    now: Time,
}

impl Drive {
    fn new(lease_blocks_max: u64) -> Self {
        let config = Config {
            lease_blocks_max,
            ..Config::default()
        };
        Self {
            scheduler: Scheduler::new(config),
            leased: BTreeMap::new(),
            commands: Vec::new(),
            follow_up: Vec::new(),
            outcome: None,
            measured: Measured::default(),
            now: Time::ZERO,
        }
    }

    fn join(&mut self, cluster: Cluster, now_ns: &impl Fn() -> u64) {
        let joins = (0..cluster.workers).map(|number| Event::WorkerConnected {
            session: SessionId(number),
            announce: announce(number, cluster.slots, cluster.budget_bytes),
        });
        self.call(joins.collect(), now_ns);
    }

    fn call(&mut self, events: Vec<Event>, now_ns: &impl Fn() -> u64) {
        self.now = self.now + 100;
        let mut commands = std::mem::take(&mut self.commands);
        let begin = now_ns();
        self.scheduler.handle_all(self.now, events, &mut commands);
        self.measured.engine_ns += now_ns() - begin;
        self.measured.calls += 1;
        for command in commands.drain(..) {
            self.take(command);
        }
        self.commands = commands;
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Send {
                session,
                message: ToWorker::Lease(lease),
            } => {
                self.measured.leases += 1;
                let runs = lease.tasks.iter().map(|run| {
                    let tasks = BlockRun {
                        job: lease.job,
                        layer: lease.layer,
                        first: run.first,
                        count: run.count,
                    };
                    (tasks, run.attempt)
                });
                self.leased.entry(session).or_default().extend(runs);
            }
            Command::Observe(_) => self.measured.observations += 1,
            Command::Notify { event, .. } => match event {
                JobEvent::ChunkReady { layer, block, .. } => {
                    let chunk = TaskId {
                        job: JOB,
                        layer,
                        block,
                    };
                    self.follow_up.push(Event::ChunkDelivered { chunk });
                }
                JobEvent::Finished => self.outcome = Some(Ok(())),
                JobEvent::Failed { message } | JobEvent::BlockFailed { message, .. } => {
                    self.outcome = Some(Err(message.to_string()));
                }
                JobEvent::Cancelled => self.outcome = Some(Err("cancelled".to_owned())),
                JobEvent::Accepted
                | JobEvent::ValueAwaited { .. }
                | JobEvent::Problems(_)
                | JobEvent::NoWorkers => {}
            },
            Command::Send { .. } | Command::Close { .. } => {}
        }
    }

    /// One message of each worker that has something to report.
    fn reports(&mut self, batch: usize) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.follow_up);
        for (&session, tasks) in &mut self.leased {
            if tasks.is_empty() {
                continue;
            }
            let (mut reported, mut count) = (Vec::new(), 0);
            while count < batch as u64
                && let Some((tasks, attempt)) = tasks.pop_front()
            {
                count += tasks.count;
                reported.push(report(tasks, attempt, TASK_US));
            }
            self.measured.tasks += count;
            let message = ToScheduler::Reports(reported);
            events.push(Event::WorkerMessage { session, message });
        }
        events
    }
}

/// What a worker without a past says first.
pub(in crate::bench) fn announce(number: u64, slots: u32, budget_bytes: u64) -> Announce {
    Announce {
        name: format!("worker-{number}").into(),
        address: format!("10.0.0.1:{number}").into(),
        slots,
        budget_bytes,
        worker: None,
        incarnation: None,
        resources: Vec::new(),
        functions: Vec::new(),
        inventory: Vec::new(),
    }
}

/// What a worker says of neighbours that went well.
pub(in crate::bench) fn report(tasks: BlockRun, attempt: u32, task_us: u64) -> Report {
    let times = TaskTimes {
        compute_us: task_us,
        ..TaskTimes::default()
    };
    Report {
        task: tasks.head(),
        attempt,
        outcome: Ok(Finished {
            bytes: 1024,
            inline: None,
            problems: Vec::new(),
        }),
        times,
        others: vec![times; tasks.count as usize - 1],
    }
}
