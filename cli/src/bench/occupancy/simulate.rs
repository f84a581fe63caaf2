//! The real engine and simulated workers on a virtual clock, which the engine's own time moves on.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

use graticule_engine::{
    Lease, Report, SessionId, Time, ToScheduler, ToWorker,
    scheduler::{ClientId, Command, Config, Event, JobEvent, Scheduler},
    worker::join_alike,
};
use graticule_plan::{JobId, Plan, TaskId};

use crate::bench::scheduler::drive::{announce, report};

/// Events that the scheduler takes in at once, as the one in a process of its own does.
const EVENTS_MAX: usize = 1024;
/// What a worker's report may wait for others, and how many go together: as a real worker's.
const REPORT_DELAY_NS: u64 = 1_000_000;
const REPORTS_MAX: usize = 512;
const BUDGET_BYTES: u64 = 1 << 40;
const JOB: JobId = JobId(1);
const CLIENT: ClientId = ClientId(1);

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    pub(super) workers: u64,
    pub(super) slots: u32,
    pub(super) task_ns: u64,
    /// From the scheduler to a worker or a client, and back.
    pub(super) latency_ns: u64,
}

impl Cluster {
    pub(super) fn slot_count(self) -> u64 {
        self.workers * u64::from(self.slots)
    }
}

/// What happened between ramp-up and tail: after the end of as many tasks as there are slots, and until no more than
/// that were left to be leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) window_ns: u64,
    pub(super) calls: u64,
    /// Runs of neighbours that were leased.
    runs: u64,
    tasks: u64,
    engine_ns: u64,
    /// Slots by the time that they were busy.
    busy_ns: u128,
    slot_count: u64,
}

impl Measured {
    pub(super) fn busy_share(&self) -> f64 {
        self.busy_ns as f64 / (self.slot_count as f64 * self.window_ns as f64)
    }

    pub(super) fn tasks_per_second(&self) -> f64 {
        self.tasks as f64 * 1e9 / self.window_ns as f64
    }

    pub(super) fn engine_us(&self) -> f64 {
        self.engine_ns as f64 / 1e3 / self.tasks as f64
    }

    /// Tasks that are leased together.
    pub(super) fn tasks_of_run(&self) -> f64 {
        self.tasks as f64 / self.runs.max(1) as f64
    }

    pub(super) fn engine_share(&self) -> f64 {
        self.engine_ns as f64 / self.window_ns as f64
    }
}

/// Runs a plan until its tail. `now_ns` is the clock by which the engine's calls are measured.
pub(super) fn run(plan: Plan, cluster: Cluster, now_ns: impl Fn() -> u64) -> anyhow::Result<Measured> {
    let task_count = plan.task_count();
    let slot_count = cluster.slot_count();
    anyhow::ensure!(
        task_count > 3 * slot_count,
        "{task_count} tasks are a ramp-up and a tail for {slot_count} slots; take more"
    );
    let mut simulation = Simulation::new(cluster, now_ns);
    simulation.join();
    simulation.inbox.push_back(Event::JobSubmitted {
        job: JOB,
        client: CLIENT,
        name: "bench".into(),
        plan: Arc::new(plan),
    });
    simulation.call_engine();
    let mut begin = None;
    while simulation.leased + slot_count < task_count {
        anyhow::ensure!(simulation.step(), "the scheduler stands still");
        if let Some(why) = simulation.failure {
            anyhow::bail!("the job ended: {why}");
        }
        if begin.is_none() && simulation.ended >= slot_count {
            begin = Some(simulation.totals());
        }
    }
    let begin = begin.ok_or_else(|| anyhow::anyhow!("all tasks were leased at once; take more"))?;
    let end = simulation.totals();
    Ok(Measured {
        window_ns: end.window_ns - begin.window_ns,
        calls: end.calls - begin.calls,
        runs: end.runs - begin.runs,
        tasks: end.tasks - begin.tasks,
        engine_ns: end.engine_ns - begin.engine_ns,
        busy_ns: end.busy_ns - begin.busy_ns,
        slot_count,
    })
}

struct Simulation<C> {
    cluster: Cluster,
    clock_ns: C,
    scheduler: Scheduler,
    workers: Vec<Worker>,
    /// What is going to happen; of things at the same time what was planned first comes first.
    agenda: BinaryHeap<Reverse<Entry>>,
    planned: u64,
    now_ns: u64,
    /// What the scheduler has not taken in yet.
    inbox: VecDeque<Event>,
    engine_works: bool,
    engine_ns: u64,
    calls: u64,
    commands: Vec<Command>,
    busy: u64,
    busy_ns: u128,
    busy_until_ns: u64,
    leased: u64,
    runs: u64,
    ended: u64,
    failure: Option<String>,
}

#[derive(Debug, Default)]
struct Worker {
    running: u32,
    queue: VecDeque<(TaskId, u32)>,
    reports: Vec<Report>,
    due_ns: Option<u64>,
}

struct Entry {
    at_ns: u64,
    number: u64,
    what: Happening,
}

enum Happening {
    /// The scheduler's inbox gets something.
    Arrived(Box<Event>),
    /// The engine's call is over.
    EngineFree,
    Leased {
        worker: usize,
        lease: Box<Lease>,
    },
    TaskEnded {
        worker: usize,
        task: TaskId,
        attempt: u32,
    },
    ReportsDue {
        worker: usize,
    },
}

impl Entry {
    fn key(&self) -> (u64, u64) {
        (self.at_ns, self.number)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<C: Fn() -> u64> Simulation<C> {
    fn new(cluster: Cluster, clock_ns: C) -> Self {
        Self {
            cluster,
            clock_ns,
            scheduler: Scheduler::new(Config::default()),
            workers: (0..cluster.workers).map(|_| Worker::default()).collect(),
            agenda: BinaryHeap::new(),
            planned: 0,
            now_ns: 0,
            inbox: VecDeque::new(),
            engine_works: false,
            engine_ns: 0,
            calls: 0,
            commands: Vec::new(),
            busy: 0,
            busy_ns: 0,
            busy_until_ns: 0,
            leased: 0,
            runs: 0,
            ended: 0,
            failure: None,
        }
    }

    /// All workers are there before the first job comes.
    fn join(&mut self) {
        let (slots, mut commands) = (self.cluster.slots, Vec::new());
        let joins = (0..self.cluster.workers).map(|number| Event::WorkerConnected {
            session: SessionId(number),
            announce: announce(number, slots, BUDGET_BYTES),
        });
        self.scheduler.handle_all(Time::ZERO, joins, &mut commands);
    }

    fn totals(&mut self) -> Measured {
        self.count_busy();
        Measured {
            window_ns: self.now_ns,
            calls: self.calls,
            runs: self.runs,
            tasks: self.ended,
            engine_ns: self.engine_ns,
            busy_ns: self.busy_ns,
            slot_count: self.cluster.slot_count(),
        }
    }

    fn count_busy(&mut self) {
        self.busy_ns += u128::from(self.busy) * u128::from(self.now_ns - self.busy_until_ns);
        self.busy_until_ns = self.now_ns;
    }

    fn plan(&mut self, at_ns: u64, what: Happening) {
        let number = self.planned;
        self.planned += 1;
        self.agenda.push(Reverse(Entry { at_ns, number, what }));
    }

    /// Lets the next thing happen; `false` if nothing will.
    fn step(&mut self) -> bool {
        let Some(Reverse(Entry { at_ns, what, .. })) = self.agenda.pop() else {
            return false;
        };
        self.now_ns = at_ns;
        match what {
            Happening::Arrived(event) => {
                self.inbox.push_back(*event);
                if !self.engine_works {
                    self.call_engine();
                }
            }
            Happening::EngineFree => {
                self.engine_works = false;
                if !self.inbox.is_empty() {
                    self.call_engine();
                }
            }
            Happening::Leased { worker, lease } => self.take_lease(worker, &lease),
            Happening::TaskEnded {
                worker,
                task,
                attempt,
            } => self.end_task(worker, task, attempt),
            Happening::ReportsDue { worker } => {
                if self.workers[worker].due_ns.is_some_and(|due| due <= at_ns) {
                    self.send_reports(worker);
                }
            }
        }
        true
    }

    /// Has the engine take in what is there; what comes of it is there when its time is over.
    fn call_engine(&mut self) {
        let count = self.inbox.len().min(EVENTS_MAX);
        let events: Vec<Event> = self.inbox.drain(..count).collect();
        let mut commands = std::mem::take(&mut self.commands);
        let begin = (self.clock_ns)();
        self.scheduler
            .handle_all(Time(self.now_ns / 1000), events, &mut commands);
        let took_ns = (self.clock_ns)() - begin;
        self.engine_ns += took_ns;
        self.calls += 1;
        self.engine_works = true;
        self.plan(self.now_ns + took_ns, Happening::EngineFree);
        let arrives_ns = self.now_ns + took_ns + self.cluster.latency_ns;
        for command in commands.drain(..) {
            self.execute(command, arrives_ns);
        }
        self.commands = commands;
    }

    fn execute(&mut self, command: Command, arrives_ns: u64) {
        match command {
            Command::Send {
                session,
                message: ToWorker::Lease(lease),
            } => {
                self.runs += lease.tasks.len() as u64;
                self.leased += lease.tasks.iter().map(|run| run.count).sum::<u64>();
                let (worker, lease) = (session.0 as usize, Box::new(lease));
                self.plan(arrives_ns, Happening::Leased { worker, lease });
            }
            Command::Notify { event, .. } => match event {
                JobEvent::ChunkReady { layer, block, .. } => {
                    let chunk = TaskId {
                        job: JOB,
                        layer,
                        block,
                    };
                    let delivered = Happening::Arrived(Box::new(Event::ChunkDelivered { chunk }));
                    self.plan(arrives_ns + self.cluster.latency_ns, delivered);
                }
                JobEvent::Failed { message } | JobEvent::BlockFailed { message, .. } => {
                    self.failure = Some(message.to_string());
                }
                JobEvent::Cancelled => self.failure = Some("cancelled".to_owned()),
                JobEvent::Finished
                | JobEvent::Accepted
                | JobEvent::ValueAwaited { .. }
                | JobEvent::Problems(_)
                | JobEvent::NoWorkers => {}
            },
            Command::Send { .. } | Command::Close { .. } | Command::Observe(_) => {}
        }
    }

    fn take_lease(&mut self, worker: usize, lease: &Lease) {
        self.workers[worker].queue.extend(lease.each());
        self.fill_slots(worker);
    }

    fn fill_slots(&mut self, worker: usize) {
        let end_ns = self.now_ns + self.cluster.task_ns;
        while self.workers[worker].running < self.cluster.slots
            && let Some((task, attempt)) = self.workers[worker].queue.pop_front()
        {
            self.count_busy();
            self.workers[worker].running += 1;
            self.busy += 1;
            let ended = Happening::TaskEnded {
                worker,
                task,
                attempt,
            };
            self.plan(end_ns, ended);
        }
    }

    fn end_task(&mut self, worker: usize, task: TaskId, attempt: u32) {
        self.count_busy();
        self.busy -= 1;
        self.ended += 1;
        let task_us = self.cluster.task_ns / 1000;
        let record = &mut self.workers[worker];
        record.running -= 1;
        record.reports.push(report(task.into(), attempt, task_us));
        let is_full = record.reports.len() >= REPORTS_MAX;
        let due_ns = self.now_ns + REPORT_DELAY_NS;
        let is_first = record.due_ns.replace(record.due_ns.unwrap_or(due_ns)).is_none();
        self.fill_slots(worker);
        if is_full || self.workers[worker].running == 0 {
            self.send_reports(worker);
        } else if is_first {
            self.plan(due_ns, Happening::ReportsDue { worker });
        }
    }

    fn send_reports(&mut self, worker: usize) {
        self.workers[worker].due_ns = None;
        let reports = join_alike(std::mem::take(&mut self.workers[worker].reports));
        let event = Event::WorkerMessage {
            session: SessionId(worker as u64),
            message: ToScheduler::Reports(reports),
        };
        self.plan(
            self.now_ns + self.cluster.latency_ns,
            Happening::Arrived(Box::new(event)),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::bench::scheduler::shapes::Shape;

    /// A small cluster whose engine takes so long for each call.
    fn with_engine_ns(call_ns: u64) -> Measured {
        let cluster = Cluster {
            workers: 5,
            slots: 2,
            task_ns: 100_000_000,
            latency_ns: 200_000,
        };
        let now_ns = Cell::new(0);
        let clock = || now_ns.replace(now_ns.get() + call_ns);
        run(Shape::Merge.plan(5000).unwrap(), cluster, clock).unwrap()
    }

    #[test]
    fn an_engine_that_takes_no_time_keeps_the_slots_busy() {
        let measured = with_engine_ns(0);
        assert_eq!(measured.engine_share(), 0.0);
        assert!(measured.busy_share() > 0.99, "{measured:?}");
        assert!(measured.busy_share() <= 1.0, "{measured:?}");
    }

    #[test]
    fn the_time_of_an_engine_that_is_slower_than_the_tasks_is_charged() {
        // Each call takes longer than two tasks, which is what a slot has at hand.
        let measured = with_engine_ns(300_000_000);
        assert!(measured.engine_share() > 0.9, "{measured:?}");
        assert!(measured.busy_share() < 0.9, "{measured:?}");
    }
}
