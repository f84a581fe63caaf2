//! A scheduler with workers that do what the test says, and small plans.

#![allow(unreachable_pub)]

use std::{collections::BTreeMap, sync::Arc};

use graticule_engine::{
    Announce, BlockRun, ChunkHeld, Failure, FailureKind, Finished, Incarnation, Lease, Report, SessionId,
    TaskTimes, Time, ToScheduler, ToWorker,
    scheduler::{ClientId, Command, Config, Event, JobEvent, Observation, Restore, Scheduler},
};
use graticule_plan::{
    AxisChunks, AxisWindow, Body, ChunkGrid, Input, InputMap, JobId, Key, Layer, LayerId, LayerKind, Output,
    Plan, PlanBuilder, Resource, Rows, Source, TaskId, WorkerId,
};

pub const CLIENT: ClientId = ClientId(1);
pub const OTHER_CLIENT: ClientId = ClientId(2);
/// What all workers of a test can call.
pub const FUNCTION: &str = "count";
/// Bytes of every chunk of the plans below.
pub const CHUNK_BYTES: u64 = 1000;

/// A task's attempt on a worker, as it was leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leased {
    pub task: TaskId,
    pub attempt: u32,
}

/// The scheduler under test, and what it said so far.
#[derive(Debug)]
pub struct Cluster {
    pub scheduler: Scheduler,
    pub now: Time,
    /// What each task takes.
    pub compute_us: u64,
    sessions: BTreeMap<WorkerId, SessionId>,
    workers: BTreeMap<SessionId, WorkerId>,
    next_session: u64,
    next_job: u64,
    inbox: BTreeMap<WorkerId, Vec<ToWorker>>,
    pub notices: Vec<(JobId, JobEvent)>,
    pub observed: Vec<Observation>,
    pub closed: Vec<SessionId>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Cluster {
    pub fn new(config: Config) -> Self {
        Self {
            scheduler: Scheduler::new(config),
            now: Time::ZERO,
            compute_us: 1000,
            sessions: BTreeMap::new(),
            workers: BTreeMap::new(),
            next_session: 1,
            next_job: 1,
            inbox: BTreeMap::new(),
            notices: Vec::new(),
            observed: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// A scheduler with `count` workers of one slot and much memory.
    pub fn of(count: usize) -> (Self, Vec<WorkerId>) {
        let mut cluster = Self::default();
        let workers = (0..count).map(|_| cluster.join(1, 1 << 30)).collect();
        (cluster, workers)
    }

    pub fn tell(&mut self, event: Event) {
        let mut commands = Vec::new();
        self.scheduler.handle(self.now, event, &mut commands);
        self.take(commands);
    }

    /// A scheduler that goes on where an earlier one ended.
    pub fn restored(restore: Restore) -> Self {
        let mut cluster = Self::default();
        let mut commands = Vec::new();
        cluster.scheduler.restore(cluster.now, restore, &mut commands);
        cluster.take(commands);
        cluster
    }

    fn take(&mut self, commands: Vec<Command>) {
        self.scheduler.check_invariants().expect("the books agree");
        for command in commands {
            match command {
                Command::Send { session, message } => {
                    if let ToWorker::Welcome { worker, .. } = message {
                        self.sessions.insert(worker, session);
                        self.workers.insert(session, worker);
                    } else {
                        let worker = self.workers[&session];
                        self.inbox.entry(worker).or_default().push(message);
                    }
                }
                Command::Close { session, .. } => self.closed.push(session),
                Command::Notify { job, event, .. } => self.notices.push((job, event)),
                Command::Observe(observation) => self.observed.push(observation),
            }
        }
    }

    pub fn join(&mut self, slots: u32, budget_bytes: u64) -> WorkerId {
        self.join_with(slots, budget_bytes, None, Vec::new())
    }

    /// A worker with much memory that has countable things.
    pub fn join_offering(&mut self, slots: u32, resources: Vec<Resource>) -> WorkerId {
        self.announce(|announce| {
            announce.slots = slots;
            announce.resources = resources;
        })
    }

    /// A worker of one slot that can call these functions.
    pub fn join_calling(&mut self, functions: &[&str]) -> WorkerId {
        self.announce(|announce| announce.functions = functions.iter().map(|&name| name.into()).collect())
    }

    /// A worker of one slot with a name.
    pub fn join_as(&mut self, name: &str) -> WorkerId {
        self.announce(|announce| announce.name = name.into())
    }

    /// The worker connects again, with what it holds.
    pub fn come_back(&mut self, worker: WorkerId, inventory: &[TaskId]) -> WorkerId {
        let bytes = CHUNK_BYTES;
        let inventory = inventory.iter().map(|&chunk| ChunkHeld { chunk, bytes });
        self.join_with(1, 1 << 30, Some(worker), inventory.collect())
    }

    fn join_with(
        &mut self,
        slots: u32,
        budget_bytes: u64,
        worker: Option<WorkerId>,
        inventory: Vec<ChunkHeld>,
    ) -> WorkerId {
        self.announce(|announce| {
            announce.slots = slots;
            announce.budget_bytes = budget_bytes;
            announce.worker = worker;
            announce.incarnation = worker.map(|_| Incarnation(0));
            announce.inventory = inventory;
        })
    }

    fn announce(&mut self, change: impl FnOnce(&mut Announce)) -> WorkerId {
        let session = SessionId(self.next_session);
        self.next_session += 1;
        let mut announce = Announce {
            name: "worker".into(),
            address: format!("host-{}", session.0).into(),
            slots: 1,
            budget_bytes: 1 << 30,
            worker: None,
            incarnation: None,
            resources: Vec::new(),
            functions: vec![FUNCTION.into()],
            inventory: Vec::new(),
        };
        change(&mut announce);
        self.tell(Event::WorkerConnected { session, announce });
        self.workers[&session]
    }

    pub fn session(&self, worker: WorkerId) -> SessionId {
        self.sessions[&worker]
    }

    pub fn lose(&mut self, worker: WorkerId) {
        let session = self.session(worker);
        self.inbox.remove(&worker);
        self.tell(Event::WorkerDisconnected { session });
    }

    pub fn submit(&mut self, plan: Plan) -> JobId {
        self.submit_for(CLIENT, plan)
    }

    pub fn submit_for(&mut self, client: ClientId, plan: Plan) -> JobId {
        let job = JobId(self.next_job);
        self.next_job += 1;
        let plan = Arc::new(plan);
        let name = "job".into();
        self.tell(Event::JobSubmitted {
            job,
            client,
            name,
            plan,
        });
        job
    }

    /// What the scheduler said to a worker since the last time that was asked.
    pub fn heard(&mut self, worker: WorkerId) -> Vec<ToWorker> {
        self.inbox.remove(&worker).unwrap_or_default()
    }

    /// The tasks that a worker was leased since the last time that was asked.
    pub fn leased(&mut self, worker: WorkerId) -> Vec<Leased> {
        let lists = self.heard(worker).into_iter().map(|message| match message {
            ToWorker::Lease(lease) => leased(&lease),
            _ => Vec::new(),
        });
        lists.collect::<Vec<_>>().concat()
    }

    /// The chunks that a worker was told to release since the last time that was asked.
    pub fn released(&mut self, worker: WorkerId) -> Vec<TaskId> {
        let lists = self.heard(worker).into_iter().map(|message| match message {
            ToWorker::Release { chunks } => chunks.iter().flat_map(BlockRun::each).collect(),
            _ => Vec::new(),
        });
        lists.collect::<Vec<_>>().concat()
    }

    /// The chunks that a worker may drop instead of spilling them; what else it was told is left.
    pub fn relief(&mut self, worker: WorkerId) -> Vec<Vec<TaskId>> {
        let mut answers = Vec::new();
        let inbox = self.inbox.entry(worker).or_default();
        inbox.retain(|message| {
            let ToWorker::Relief { chunks } = message else {
                return true;
            };
            answers.push(chunks.iter().flat_map(BlockRun::each).collect());
            false
        });
        answers
    }

    pub fn report(&mut self, worker: WorkerId, leased: Leased, outcome: Result<Finished, Failure>) {
        let session = self.session(worker);
        self.report_on(session, leased, outcome);
    }

    pub fn report_on(&mut self, session: SessionId, leased: Leased, outcome: Result<Finished, Failure>) {
        let report = Report {
            task: leased.task,
            attempt: leased.attempt,
            outcome,
            times: TaskTimes {
                compute_us: self.compute_us,
                ..TaskTimes::default()
            },
            others: Vec::new(),
        };
        let message = ToScheduler::Reports(vec![report]);
        self.tell(Event::WorkerMessage { session, message });
    }

    pub fn finish(&mut self, worker: WorkerId, leased: Leased) {
        self.report(worker, leased, Ok(finished()));
    }

    pub fn fail(&mut self, worker: WorkerId, leased: Leased, kind: FailureKind) {
        let message = "it broke".into();
        self.report(worker, leased, Err(Failure { kind, message }));
    }

    /// Finishes all that the workers are leased until nothing is leased any more; returns the tasks in their order.
    pub fn run_all(&mut self, workers: &[WorkerId]) -> Vec<(WorkerId, TaskId)> {
        let mut done = Vec::new();
        loop {
            let before = done.len();
            for &worker in workers {
                for leased in self.leased(worker) {
                    self.finish(worker, leased);
                    done.push((worker, leased.task));
                }
            }
            if done.len() == before {
                return done;
            }
        }
    }

    pub fn deliver(&mut self, chunk: TaskId) {
        self.tell(Event::ChunkDelivered { chunk });
    }

    pub fn is_told(&self, job: JobId, want: &JobEvent) -> bool {
        self.notices.iter().any(|(of, event)| *of == job && event == want)
    }

    /// The text with which a job failed, if it did.
    pub fn failure(&self, job: JobId) -> Option<Arc<str>> {
        self.notices.iter().find_map(|(of, event)| match event {
            JobEvent::Failed { message } if *of == job => Some(message.clone()),
            _ => None,
        })
    }
}

pub fn leased(lease: &Lease) -> Vec<Leased> {
    lease
        .each()
        .map(|(task, attempt)| Leased { task, attempt })
        .collect()
}

pub fn finished() -> Finished {
    Finished {
        bytes: CHUNK_BYTES,
        inline: None,
        problems: Vec::new(),
    }
}

pub fn task(job: JobId, layer: u32, block: u64) -> TaskId {
    let layer = LayerId(layer);
    TaskId { job, layer, block }
}

/// A plan in the making: every layer has one axis, and every chunk one element of [`CHUNK_BYTES`].
#[derive(Debug, Default)]
pub struct Plans {
    pub builder: PlanBuilder,
    counts: Vec<u64>,
}

impl Plans {
    pub fn layer(
        &mut self,
        name: &str,
        count: u64,
        inputs: Vec<Input>,
        change: impl FnOnce(&mut Layer),
    ) -> LayerId {
        let grid = ChunkGrid::new(vec![
            AxisChunks::regular(count, 1).expect("small plans are valid"),
        ])
        .expect("small plans are valid");
        let body = Body::new(name.as_bytes().to_vec());
        let mut layer = Layer::new(name, grid, CHUNK_BYTES, body, inputs);
        change(&mut layer);
        self.counts.push(count);
        self.builder.layer(layer).expect("small plans are valid")
    }

    /// `count` tasks without inputs.
    pub fn source(mut self, count: u64) -> Self {
        self.layer("source", count, Vec::new(), |_| {});
        self
    }

    /// Tasks without inputs, changed as said.
    pub fn source_with(mut self, count: u64, change: impl FnOnce(&mut Layer)) -> Self {
        self.layer("source", count, Vec::new(), change);
        self
    }

    /// One task for each of the latest layer's.
    pub fn each(mut self) -> Self {
        let (at, count) = self.latest();
        let input = aligned(Source::Layer(at));
        self.layer("each", count, vec![input], |_| {});
        self
    }

    /// One task for all of the latest layer's.
    pub fn all(mut self) -> Self {
        let (at, _) = self.latest();
        let map = InputMap::Product(vec![AxisWindow::All]);
        let source = Source::Layer(at);
        self.layer("all", 1, vec![Input { source, map }], |_| {});
        self
    }

    /// One task for each `fan_in` of the latest layer's.
    pub fn group(mut self, fan_in: u64) -> Self {
        let (at, count) = self.latest();
        let map = InputMap::Product(vec![AxisWindow::Group { out_axis: 0, fan_in }]);
        let source = Source::Layer(at);
        self.layer(
            "group",
            count.div_ceil(fan_in),
            vec![Input { source, map }],
            |_| {},
        );
        self
    }

    /// A task for each chunk of an array, which also needs the array's total: it is needed twice.
    pub fn anomaly(mut self, count: u64) -> Self {
        let array = self.layer("array", count, Vec::new(), |_| {});
        let all = |layer| Input {
            source: Source::Layer(layer),
            map: InputMap::Product(vec![AxisWindow::All]),
        };
        let parts = self.layer("parts", count, vec![aligned(Source::Layer(array))], |_| {});
        let total = self.layer("total", 1, vec![all(parts)], |_| {});
        let inputs = vec![aligned(Source::Layer(array)), all(total)];
        self.layer("anomaly", count, inputs, |_| {});
        self
    }

    /// One task for each chunk of a kept result of `count` chunks.
    pub fn each_of(mut self, key: Key, count: u64) -> Self {
        let input = aligned(Source::Held(key));
        self.layer("each of", count, vec![input], |_| {});
        self
    }

    /// Calls of a function, kept under a name. For each call the calls that it needs, by name and number.
    pub fn calls(mut self, function: &str, key: Key, needs: &[&[(Key, u64)]], known: &[(Key, u64)]) -> Self {
        let inputs = known.iter().filter_map(|&(of, _)| {
            let row = |calls: &&[(Key, u64)]| -> Vec<u64> {
                let needed = calls.iter().filter(|(key, _)| *key == of);
                needed.map(|&(_, block)| block).collect()
            };
            let rows: Vec<Vec<u64>> = needs.iter().map(row).collect();
            let is_used = rows.iter().any(|row| !row.is_empty());
            let source = if of == key {
                Source::Layer(LayerId(self.counts.len() as u32))
            } else {
                Source::Held(of)
            };
            is_used.then(|| Input {
                source,
                map: InputMap::Blocks(Rows::new(rows)),
            })
        });
        let (inputs, function) = (inputs.collect(), function.into());
        self.layer("calls", needs.len() as u64, inputs, |layer| {
            layer.kind = LayerKind::Calls {
                function,
                learns_size: false,
            };
        });
        self.keep(key)
    }

    /// The latest layer's chunks are handed to the client.
    pub fn deliver(mut self) -> Self {
        let layer = self.latest().0;
        self.builder
            .output(Output { layer, keep: None })
            .expect("small plans are valid");
        self
    }

    /// The latest layer's chunks are kept.
    pub fn keep(mut self, key: Key) -> Self {
        let (layer, keep) = (self.latest().0, Some(key));
        self.builder
            .output(Output { layer, keep })
            .expect("small plans are valid");
        self
    }

    pub fn plan(self) -> Plan {
        self.builder.finish()
    }

    fn latest(&self) -> (LayerId, u64) {
        let at = u32::try_from(self.counts.len() - 1).expect("small plans are valid");
        (LayerId(at), self.counts[at as usize])
    }
}

fn aligned(source: Source) -> Input {
    let map = InputMap::Product(vec![AxisWindow::Aligned { out_axis: 0 }]);
    Input { source, map }
}
