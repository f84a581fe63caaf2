use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_dashboard::{Feed, JobOutcome, LayerInfo, LeaveReason, Record, TaskFinished, WorkerStatus};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use tokio::time::sleep;

const SLOTS: u32 = 4;
const BUDGET_BYTES: u64 = 2 << 30;
const STEP: Duration = Duration::from_millis(25);

/// A layer of the made-up plan.
struct Shape {
    name: &'static str,
    origin: &'static str,
    /// Of the tasks of the whole.
    share: f64,
    /// Tasks of the layer before that one of this layer needs.
    inputs: u64,
    duration_ms: f64,
    chunk_bytes: u64,
    /// How much of a task's time is spent waiting for inputs.
    fetch_share: f64,
}

const LAYERS: [Shape; 5] = [
    Shape {
        name: "read+where",
        origin: "mosaic.py:14",
        share: 0.62,
        inputs: 0,
        duration_ms: 260.0,
        chunk_bytes: 8 << 20,
        fetch_share: 0.45,
    },
    Shape {
        name: "nanmedian",
        origin: "mosaic.py:21",
        share: 0.2,
        inputs: 3,
        duration_ms: 420.0,
        chunk_bytes: 6 << 20,
        fetch_share: 0.12,
    },
    Shape {
        name: "groupby-month+nanmedian",
        origin: "mosaic.py:24",
        share: 0.1,
        inputs: 2,
        duration_ms: 520.0,
        chunk_bytes: 4 << 20,
        fetch_share: 0.2,
    },
    Shape {
        name: "subtract+divide",
        origin: "mosaic.py:27",
        share: 0.06,
        inputs: 2,
        duration_ms: 110.0,
        chunk_bytes: 4 << 20,
        fetch_share: 0.1,
    },
    Shape {
        name: "write-geotiff",
        origin: "mosaic.py:31",
        share: 0.02,
        inputs: 3,
        duration_ms: 340.0,
        chunk_bytes: 1 << 20,
        fetch_share: 0.3,
    },
];

struct Worker {
    id: WorkerId,
    slots: Vec<Option<Running>>,
    queue: VecDeque<(TaskId, u32)>,
    held: BTreeSet<TaskId>,
    memory: u64,
    spilled: u64,
    fetched: u64,
    last_report: Instant,
}

struct Running {
    task: TaskId,
    attempt: u32,
    started_us: u64,
    ends_us: u64,
    fetch_us: u64,
    fails: bool,
}

/// A cluster in which time passes but nothing is computed.
pub(crate) struct Cluster {
    feed: Feed,
    started: Instant,
    speed: f64,
    workers: Vec<Worker>,
    next_worker: u64,
    seed: u64,
}

/// One mosaic on its way.
struct Mosaic {
    job: JobId,
    counts: Vec<u64>,
    done: BTreeSet<TaskId>,
    attempts: BTreeMap<TaskId, u32>,
    given: BTreeSet<TaskId>,
}

impl Cluster {
    pub(crate) fn new(feed: Feed, started: Instant, speed: f64) -> Self {
        Self {
            feed,
            started,
            speed,
            workers: Vec::new(),
            next_worker: 1,
            seed: 7,
        }
    }

    /// Three workers join.
    pub(crate) fn assemble(&mut self) {
        (0..3).for_each(|_| self.join());
    }

    fn join(&mut self) {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.tell(Record::WorkerJoined {
            worker: id,
            name: format!("worker-{id}").into(),
            address: format!("127.0.0.1:{}", 40_000 + id.0).into(),
            slots: SLOTS,
            budget_bytes: BUDGET_BYTES,
        });
        self.workers.push(Worker {
            id,
            slots: (0..SLOTS).map(|_| None).collect(),
            queue: VecDeque::new(),
            held: BTreeSet::new(),
            memory: 0,
            spilled: 0,
            fetched: 0,
            last_report: self.started,
        });
    }

    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn tell(&self, record: Record) {
        self.feed.record(self.now_us(), record);
    }

    /// Between 0 and 1.
    fn random(&mut self) -> f64 {
        self.seed = self
            .seed
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.seed >> 40) as f64 / (1u64 << 24) as f64
    }

    /// Nothing happens, but workers report.
    pub(crate) async fn rest(&mut self, seconds: f64) {
        let until = Instant::now() + Duration::from_secs_f64(seconds / self.speed);
        while Instant::now() < until {
            self.report();
            sleep(STEP).await;
        }
        self.workers
            .iter_mut()
            .for_each(|worker| (worker.memory, worker.spilled) = (0, 0));
    }

    /// Nothing happens any more, but workers report.
    pub(crate) async fn stay(&mut self) {
        loop {
            self.report();
            sleep(STEP).await;
        }
    }

    /// Runs one job to its end. In the first, a worker is lost when half is done, and another one joins.
    pub(crate) async fn run_mosaic(&mut self, round: u64, tasks: u64) {
        let counts: Vec<u64> = LAYERS
            .iter()
            .map(|it| ((tasks as f64 * it.share) as u64).max(2))
            .collect();
        let layers: Arc<[LayerInfo]> = LAYERS
            .iter()
            .zip(&counts)
            .map(|(it, count)| LayerInfo {
                name: it.name.into(),
                task_count: *count,
                chunk_bytes: it.chunk_bytes,
                origin: Some(it.origin.into()),
            })
            .collect();
        let job = JobId(round + 1);
        let name = ["cloud-free mosaic", "monthly medians", "NDVI anomaly"][round as usize % 3];
        self.tell(Record::JobStarted {
            job,
            name: name.into(),
            layers,
        });
        let mut mosaic = Mosaic {
            job,
            counts,
            done: BTreeSet::new(),
            attempts: BTreeMap::new(),
            given: BTreeSet::new(),
        };
        let total: u64 = mosaic.counts.iter().sum();
        let mut lost_at = (round == 0).then_some(total * 45 / 100);
        let mut replaced_at = None;
        while (mosaic.done.len() as u64) < total {
            self.finish_due(&mut mosaic);
            if lost_at.is_some_and(|at| mosaic.done.len() as u64 >= at) {
                lost_at = None;
                self.lose(&mut mosaic);
                replaced_at = Some(Instant::now() + Duration::from_secs_f64(3.0 / self.speed));
            }
            if replaced_at.is_some_and(|at| Instant::now() >= at) {
                replaced_at = None;
                self.join();
            }
            self.hand_out(&mut mosaic);
            self.begin();
            self.report();
            sleep(STEP).await;
        }
        let finished = Some(mosaic.counts.clone().into());
        self.tell(Record::JobEnded {
            job,
            outcome: JobOutcome::Succeeded,
            finished,
        });
    }

    fn finish_due(&mut self, mosaic: &mut Mosaic) {
        let now_us = self.now_us();
        let mut told = Vec::new();
        for worker in &mut self.workers {
            for (slot, place) in worker.slots.iter_mut().enumerate() {
                let Some(running) = place.take_if(|running| running.ends_us <= now_us) else {
                    continue;
                };
                let shape = &LAYERS[running.task.layer.0 as usize];
                if running.fails {
                    let message =
                        "scene S2B_33TWM_20230714: HTTP 503 while reading window 2048..3072, 0..1024";
                    told.push(Record::TaskFailed {
                        task: running.task,
                        worker: worker.id,
                        attempt: running.attempt,
                        message: message.into(),
                    });
                    told.push(Record::TaskReset {
                        task: running.task,
                        attempt: running.attempt,
                    });
                    mosaic.given.remove(&running.task);
                    continue;
                }
                worker.memory += shape.chunk_bytes;
                worker.fetched += (shape.chunk_bytes as f64 * (0.4 + shape.fetch_share)) as u64;
                let spills = worker.memory > BUDGET_BYTES / 100 * 70;
                if spills {
                    worker.memory -= shape.chunk_bytes;
                    worker.spilled += shape.chunk_bytes;
                }
                worker.held.insert(running.task);
                mosaic.done.insert(running.task);
                told.push(Record::TaskFinished(TaskFinished {
                    task: running.task,
                    worker: worker.id,
                    attempt: running.attempt,
                    slot: slot as u32,
                    started_us: running.started_us,
                    duration_us: running.ends_us - running.started_us,
                    fetch_us: running.fetch_us,
                    bytes: shape.chunk_bytes,
                    spilled: spills,
                }));
            }
        }
        told.into_iter().for_each(|record| self.tell(record));
    }

    /// The second worker vanishes with all it has.
    fn lose(&mut self, mosaic: &mut Mosaic) {
        let worker = self.workers.remove(1);
        let message = "connection reset by peer; no heartbeat for 5 s".into();
        self.tell(Record::WorkerLeft {
            worker: worker.id,
            why: LeaveReason::Lost { message },
        });
        let running = worker.slots.iter().flatten().map(|running| running.task);
        let queued = worker.queue.iter().map(|(task, _)| *task);
        let held = worker.held.iter().copied().filter(|task| task.job == mosaic.job);
        for task in running.chain(queued).chain(held) {
            mosaic.given.remove(&task);
            mosaic.done.remove(&task);
            self.tell(Record::TaskReset {
                task,
                attempt: mosaic.attempts[&task],
            });
        }
    }

    /// Gives ready tasks to workers with short queues, the deepest layers first.
    fn hand_out(&mut self, mosaic: &mut Mosaic) {
        for at in 0..self.workers.len() {
            while self.workers[at].queue.len() < 3 {
                let Some(task) = mosaic.next_ready() else { return };
                mosaic.given.insert(task);
                let attempt = mosaic
                    .attempts
                    .entry(task)
                    .and_modify(|attempt| *attempt += 1)
                    .or_insert(0);
                self.workers[at].queue.push_back((task, *attempt));
                let (worker, attempt) = (self.workers[at].id, *attempt);
                self.tell(Record::TaskAssigned {
                    task,
                    worker,
                    attempt,
                });
            }
        }
    }

    fn begin(&mut self) {
        let now_us = self.now_us();
        for at in 0..self.workers.len() {
            for slot in 0..SLOTS as usize {
                if self.workers[at].slots[slot].is_some() {
                    continue;
                }
                let Some((task, attempt)) = self.workers[at].queue.pop_front() else {
                    break;
                };
                let shape = &LAYERS[task.layer.0 as usize];
                let skew = 0.55 + 0.9 * self.random() + if self.random() > 0.97 { 2.5 } else { 0.0 };
                let duration_us = (shape.duration_ms * 1_000.0 * skew / self.speed) as u64;
                let fails = task.layer.0 == 0 && attempt == 0 && self.random() > 0.992;
                let fetch_us = (duration_us as f64 * shape.fetch_share) as u64;
                let worker = self.workers[at].id;
                let started_us = now_us;
                let running = Running {
                    task,
                    attempt,
                    started_us,
                    ends_us: now_us + duration_us,
                    fetch_us,
                    fails,
                };
                self.workers[at].slots[slot] = Some(running);
                self.tell(Record::TaskStarted {
                    task,
                    worker,
                    attempt,
                    slot: Some(slot as u32),
                });
            }
        }
    }

    fn report(&mut self) {
        let now = Instant::now();
        let mut told = Vec::new();
        for worker in &mut self.workers {
            if now.duration_since(worker.last_report) < Duration::from_millis(500) {
                continue;
            }
            worker.last_report = now;
            let running = worker.slots.iter().flatten().count() as u32;
            let status = WorkerStatus {
                memory_bytes: worker.memory,
                spilled_bytes: worker.spilled,
                transit_bytes: u64::from(running) * (12 << 20),
                running,
                queued: worker.queue.len() as u32,
                fetched_bytes_total: worker.fetched,
                cpu_percent: running as f32 * 92.0,
            };
            told.push(Record::WorkerStatus {
                worker: worker.id,
                status,
            });
        }
        told.into_iter().for_each(|record| self.tell(record));
    }
}

impl Mosaic {
    /// A task that nobody has and whose inputs are done; of deeper layers first, so that chunks are used soon.
    fn next_ready(&self) -> Option<TaskId> {
        (0..self.counts.len()).rev().find_map(|layer| {
            (0..self.counts[layer])
                .map(|block| self.task(layer, block))
                .find(|task| !self.given.contains(task) && self.inputs_are_done(layer, task.block))
        })
    }

    fn task(&self, layer: usize, block: u64) -> TaskId {
        TaskId {
            job: self.job,
            layer: LayerId(layer as u32),
            block,
        }
    }

    fn inputs_are_done(&self, layer: usize, block: u64) -> bool {
        let needed = LAYERS[layer].inputs;
        (0..needed).all(|input| {
            let before = self.counts[layer - 1];
            self.done
                .contains(&self.task(layer - 1, (block * needed + input) % before))
        })
    }
}
