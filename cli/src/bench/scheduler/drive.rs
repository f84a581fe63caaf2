//! The scheduler engine with workers that do nothing but say so.

use std::{collections::BTreeMap, sync::Arc};

use graticule_engine::{
    Announce, Finished, Report, SessionId, TaskTimes, Time, ToScheduler, ToWorker,
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
    /// The engine's memory at its largest.
    pub(super) bytes_max: u64,
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
    let mut drive = Drive::new(cluster);
    let before = live_bytes();
    let begin = now_ns();
    let submit = Event::JobSubmitted {
        job: JOB,
        client: CLIENT,
        name: "bench".into(),
        plan: Arc::new(plan),
    };
    drive.call(vec![submit], &now_ns);
    let mut peak = live_bytes() - before;
    drive.measured.first_lease_ns = now_ns() - begin;
    while drive.outcome.is_none() {
        let events = drive.reports(cluster.batch);
        anyhow::ensure!(!events.is_empty(), "the scheduler stands still");
        drive.call(events, &now_ns);
        if drive.measured.calls.is_multiple_of(64) {
            peak = peak.max(live_bytes() - before);
        }
    }
    drive.measured.total_ns = now_ns() - begin;
    drive.measured.bytes_max = peak.max(0) as u64;
    match drive.outcome {
        Some(Ok(())) => Ok(drive.measured),
        Some(Err(why)) => anyhow::bail!("the job ended: {why}"),
        None => unreachable!("the loop ends with an outcome"),
    }
}

struct Drive {
    scheduler: Scheduler,
    /// What each worker was told to run and has not reported, by its session.
    leased: BTreeMap<SessionId, Vec<(TaskId, u32)>>,
    commands: Vec<Command>,
    follow_up: Vec<Event>,
    outcome: Option<Result<(), String>>,
    measured: Measured,
    now: Time,
}

impl Drive {
    fn new(cluster: Cluster) -> Self {
        let mut drive = Self {
            scheduler: Scheduler::new(Config::default()),
            leased: BTreeMap::new(),
            commands: Vec::new(),
            follow_up: Vec::new(),
            outcome: None,
            measured: Measured::default(),
            now: Time::ZERO,
        };
        let joins = (0..cluster.workers).map(|number| Event::WorkerConnected {
            session: SessionId(number),
            announce: Announce {
                name: format!("worker-{number}").into(),
                address: format!("10.0.0.1:{number}").into(),
                slots: cluster.slots,
                budget_bytes: cluster.budget_bytes,
                worker: None,
                incarnation: None,
                inventory: Vec::new(),
            },
        });
        drive.call(joins.collect(), &|| 0);
        drive.measured = Measured::default();
        drive
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
                let tasks = lease.tasks.iter().map(|&(block, attempt)| {
                    let task = TaskId {
                        job: lease.job,
                        layer: lease.layer,
                        block,
                    };
                    (task, attempt)
                });
                self.leased.entry(session).or_default().extend(tasks);
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
                JobEvent::Failed { message } => self.outcome = Some(Err(message.to_string())),
                JobEvent::Cancelled => self.outcome = Some(Err("cancelled".to_owned())),
                JobEvent::Accepted | JobEvent::Problems(_) | JobEvent::NoWorkers => {}
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
            let reported: Vec<Report> = tasks.drain(..batch.min(tasks.len())).map(report).collect();
            self.measured.tasks += reported.len() as u64;
            let message = ToScheduler::Reports(reported);
            events.push(Event::WorkerMessage { session, message });
        }
        events
    }
}

fn report((task, attempt): (TaskId, u32)) -> Report {
    Report {
        task,
        attempt,
        outcome: Ok(Finished {
            bytes: 1024,
            inline: None,
            problems: Vec::new(),
        }),
        times: TaskTimes {
            compute_us: TASK_US,
            ..TaskTimes::default()
        },
    }
}
