mod autoscale;
mod lines;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_dashboard::{
    Feed, JobOutcome, LayerInfo, LayerPlan, LeaveReason, Moved, MovedKind, Record, TaskFinished, WorkerStatus,
};
use graticule_plan::{
    AxisWindow, BlockMap, ChunkGrid, Input, InputMap, JobId, LayerId, Source, TaskId, WorkerId,
};
use tokio::time::sleep;

/// Of the blocks that are read, one of so many fails at first, beginning with this one.
const FAILING_BLOCK_EVERY: u64 = 97;
const FAILING_BLOCK_FIRST: u64 = 41;
const SLOTS: u32 = 4;
const BUDGET_BYTES: u64 = 2 << 30;
/// Memory of a worker's process beside chunks and tasks.
const OTHER_BYTES: u64 = 190 << 20;
const STEP: Duration = Duration::from_millis(25);

/// A layer of the made-up plan.
struct Shape {
    name: &'static str,
    origin: &'static str,
    /// Chunks along time or months; `None` for arrays without that axis.
    depth: Option<u64>,
    /// Positions of the layers that it reads.
    reads: &'static [usize],
    duration_ms: f64,
    /// Pixels along a side of a chunk are always the same, so this is what a time step of one takes.
    item_bytes: u64,
    /// How much of a task's time is spent waiting for inputs.
    fetch_share: f64,
}

/// Tasks of all layers that end in one tile of the map.
const TASKS_OF_TILE: u64 = DATES + 1 + MONTHS + MONTHS + 1;
const DATES: u64 = 10;
const MONTHS: u64 = 5;
/// Pixels along a side of a tile.
const TILE: u64 = 1_024;

const LAYERS: [Shape; 5] = [
    Shape {
        name: "read+where",
        origin: "mosaic.py:14",
        depth: Some(DATES),
        reads: &[],
        duration_ms: 260.0,
        item_bytes: 8,
        fetch_share: 0.45,
    },
    Shape {
        name: "nanmedian",
        origin: "mosaic.py:21",
        depth: None,
        reads: &[0],
        duration_ms: 420.0,
        item_bytes: 6,
        fetch_share: 0.12,
    },
    Shape {
        name: "groupby-month+nanmedian",
        origin: "mosaic.py:24",
        depth: Some(MONTHS),
        reads: &[0],
        duration_ms: 520.0,
        item_bytes: 4,
        fetch_share: 0.2,
    },
    Shape {
        name: "subtract+divide",
        origin: "mosaic.py:27",
        depth: Some(MONTHS),
        reads: &[2, 1],
        duration_ms: 110.0,
        item_bytes: 4,
        fetch_share: 0.1,
    },
    Shape {
        name: "write-geotiff",
        origin: "mosaic.py:31",
        depth: None,
        reads: &[3],
        duration_ms: 340.0,
        item_bytes: 1,
        fetch_share: 0.3,
    },
];

impl Shape {
    /// The plan of the layer over a map of `rows` by `columns` tiles, the last ones cut.
    fn plan(&self, rows: u64, columns: u64) -> LayerPlan {
        let sides = [rows * TILE - TILE / 3, columns * TILE - TILE / 2];
        let shape: Vec<u64> = self.depth.into_iter().chain(sides).collect();
        let chunks: Vec<u64> = self.depth.map(|_| 1).into_iter().chain([TILE, TILE]).collect();
        let inputs = self.reads.iter().map(|source| Input {
            source: Source::Layer(LayerId(*source as u32)),
            map: InputMap::Product(self.windows(&LAYERS[*source])),
        });
        LayerPlan {
            grid: ChunkGrid::regular(&shape, &chunks).expect("a small map"),
            item_bytes: self.item_bytes,
            inputs: inputs.collect(),
            keys: Vec::new(),
            is_output: self.name.starts_with("write"),
        }
    }

    fn windows(&self, source: &Shape) -> Vec<AxisWindow> {
        let own_sides = usize::from(self.depth.is_some());
        let sides = [0, 1].map(|axis| AxisWindow::Aligned {
            out_axis: own_sides + axis,
        });
        let depth = source.depth.map(|of_source| match self.depth {
            None => AxisWindow::All,
            Some(own) => AxisWindow::Group {
                out_axis: 0,
                fan_in: of_source / own,
            },
        });
        depth.into_iter().chain(sides).collect()
    }
}

struct Worker {
    id: WorkerId,
    slots: Vec<Option<Running>>,
    queue: VecDeque<(TaskId, u32)>,
    /// Its chunks, and whether they are on its disk.
    held: BTreeMap<TaskId, bool>,
    memory: u64,
    spilled: u64,
    fetched: u64,
    /// What it moved since its last report.
    moves: Vec<Moved>,
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
    name: Option<String>,
    workers: Vec<Worker>,
    next_worker: u64,
    seed: u64,
    /// Whether decisions on the number of workers are told.
    scales: bool,
}

/// One mosaic on its way.
struct Mosaic {
    job: JobId,
    plans: Vec<Arc<LayerPlan>>,
    /// What each layer reads: the source's position and the map.
    maps: Vec<Vec<(usize, BlockMap)>>,
    done: BTreeSet<TaskId>,
    released: BTreeSet<TaskId>,
    attempts: BTreeMap<TaskId, u32>,
    given: BTreeSet<TaskId>,
}

impl Cluster {
    /// Nobody has joined yet. `name` is what jobs and operations are called in place of their own names.
    pub(crate) fn new(feed: Feed, started: Instant, speed: f64, name: Option<String>) -> Self {
        Self {
            feed,
            started,
            speed,
            name,
            workers: Vec::new(),
            next_worker: 1,
            seed: 7,
            scales: false,
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
            held: BTreeMap::new(),
            memory: 0,
            spilled: 0,
            fetched: 0,
            moves: Vec::new(),
            last_report: self.started,
        });
    }

    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn tell(&self, record: Record) {
        let now_us = self.now_us();
        let logged = lines::of(now_us, &record);
        self.feed.record(now_us, record);
        logged
            .into_iter()
            .for_each(|record| self.feed.record(now_us, record));
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
        self.workers.iter_mut().for_each(|worker| {
            (worker.memory, worker.spilled) = (0, 0);
            worker.held.clear();
        });
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
        let tiles = (tasks / TASKS_OF_TILE).max(2);
        let rows = tiles.isqrt();
        let mut mosaic = Mosaic::new(JobId(round + 1), rows, tiles / rows);
        let layers: Arc<[LayerInfo]> = LAYERS
            .iter()
            .zip(&mosaic.plans)
            .map(|(it, plan)| LayerInfo {
                name: self.name.as_deref().unwrap_or(it.name).into(),
                task_count: plan.grid.block_count(),
                chunk_bytes: TILE * TILE * it.item_bytes,
                origin: Some(it.origin.into()),
                plan: Some(plan.clone()),
            })
            .collect();
        let job = mosaic.job;
        let name = ["cloud-free mosaic", "monthly medians", "NDVI anomaly"][round as usize % 3];
        let name = self.name.as_deref().unwrap_or(name);
        self.tell(Record::JobStarted {
            job,
            name: name.into(),
            layers,
        });
        let total = mosaic.counts().iter().sum::<u64>();
        let mut lost_at = (round == 0).then_some(total * 45 / 100);
        let mut replaced_at = None;
        while (mosaic.done.len() as u64) < total {
            self.finish_due(&mut mosaic);
            if lost_at.is_some_and(|at| mosaic.done.len() as u64 >= at) {
                lost_at = None;
                self.lose(&mut mosaic);
                self.replace();
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
        let finished = Some(mosaic.counts().into());
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
                let bytes = mosaic.chunk_bytes(running.task);
                worker.fetched += (bytes as f64 * (0.4 + shape.fetch_share)) as u64;
                let spills = worker.memory + bytes > BUDGET_BYTES / 100 * 70;
                let place = if spills {
                    &mut worker.spilled
                } else {
                    &mut worker.memory
                };
                *place += bytes;
                worker.held.insert(running.task, spills);
                mosaic.done.insert(running.task);
                told.push(Record::TaskFinished(TaskFinished {
                    task: running.task,
                    worker: worker.id,
                    attempt: running.attempt,
                    slot: slot as u32,
                    started_us: running.started_us,
                    duration_us: running.ends_us - running.started_us,
                    fetch_us: running.fetch_us,
                    bytes,
                    spilled: spills,
                }));
            }
        }
        let finished: Vec<TaskId> = told
            .iter()
            .filter_map(|record| match record {
                Record::TaskFinished(finished) => Some(finished.task),
                _ => None,
            })
            .collect();
        self.note_moves(mosaic, &told);
        told.into_iter().for_each(|record| self.tell(record));
        finished
            .into_iter()
            .for_each(|task| self.release_inputs(mosaic, task));
    }

    /// Keeps what the tasks that finished have moved, for their workers' next reports.
    fn note_moves(&mut self, mosaic: &Mosaic, told: &[Record]) {
        for record in told {
            let Record::TaskFinished(done) = record else {
                continue;
            };
            let name = |task: TaskId| Some((task.job, task.layer));
            let row = |kind, of: Option<TaskId>, by: Option<TaskId>, bytes, (began_us, ended_us)| Moved {
                kind,
                of: of.and_then(name),
                by: by.and_then(name),
                count: 1,
                bytes,
                busy_us: ended_us - began_us,
                cpu_us: 0,
                began_us,
                ended_us,
            };
            let fetch = (done.started_us.saturating_sub(done.fetch_us), done.started_us);
            let mut moves = Vec::new();
            for source in mosaic.sources(done.task) {
                let holder = self
                    .workers
                    .iter()
                    .find(|worker| worker.held.contains_key(&source));
                let Some(holder) = holder else { continue };
                let bytes = mosaic.chunk_bytes(source);
                if holder.id != done.worker {
                    let kind = MovedKind::Peer(holder.id);
                    moves.push(row(kind, Some(source), Some(done.task), bytes, fetch));
                } else if holder.held[&source] {
                    moves.push(row(MovedKind::ReadBack, Some(source), None, bytes, fetch));
                }
            }
            if LAYERS[done.task.layer.0 as usize].reads.is_empty() {
                moves.push(row(
                    MovedKind::Source,
                    None,
                    Some(done.task),
                    done.bytes * 2,
                    fetch,
                ));
            }
            if done.spilled {
                let ended_us = done.started_us + done.duration_us;
                let write = (ended_us, ended_us + done.bytes / 800);
                moves.push(row(MovedKind::Spill, Some(done.task), None, done.bytes, write));
            }
            if let Some(worker) = self.workers.iter_mut().find(|it| it.id == done.worker) {
                worker.moves.extend(moves);
            }
        }
    }

    /// Drops the chunks that only `task` still needed.
    fn release_inputs(&mut self, mosaic: &mut Mosaic, task: TaskId) {
        for source in mosaic.sources(task) {
            let is_needed = mosaic
                .dependents(source)
                .iter()
                .any(|task| !mosaic.done.contains(task));
            if is_needed || !mosaic.released.insert(source) {
                continue;
            }
            let bytes = mosaic.chunk_bytes(source);
            for worker in &mut self.workers {
                match worker.held.remove(&source) {
                    Some(true) => worker.spilled -= bytes,
                    Some(false) => worker.memory -= bytes,
                    None => {}
                }
            }
            self.tell(Record::ChunksReleased {
                first: source,
                count: 1,
                attempt: mosaic.attempts[&source],
            });
        }
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
        let held = worker.held.keys().copied().filter(|task| task.job == mosaic.job);
        let mut lost: Vec<TaskId> = running.chain(queued).chain(held).collect();
        // What they were made from may be gone by now, and has to be made again too.
        while let Some(task) = lost.pop() {
            mosaic.given.remove(&task);
            mosaic.done.remove(&task);
            self.tell(Record::TaskReset {
                task,
                attempt: mosaic.attempts[&task],
            });
            for source in mosaic.sources(task) {
                if mosaic.released.remove(&source) {
                    lost.push(source);
                }
            }
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
                // The same ones in each run, however fast the machine is.
                let fails = task.layer.0 == 0
                    && attempt == 0
                    && task.block % FAILING_BLOCK_EVERY == FAILING_BLOCK_FIRST;
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
                resident_bytes: worker.memory + u64::from(running) * (19 << 20) + OTHER_BYTES,
            };
            told.push(Record::WorkerStatus {
                worker: worker.id,
                status,
            });
            if !worker.moves.is_empty() {
                told.push(Record::Moved {
                    worker: worker.id,
                    moves: std::mem::take(&mut worker.moves).into(),
                    lost: 0,
                });
            }
        }
        told.into_iter().for_each(|record| self.tell(record));
    }
}

impl Mosaic {
    fn new(job: JobId, rows: u64, columns: u64) -> Self {
        let plans: Vec<Arc<LayerPlan>> = LAYERS.iter().map(|it| Arc::new(it.plan(rows, columns))).collect();
        let maps = LAYERS.iter().zip(&plans).map(|(it, plan)| {
            let inputs = it.reads.iter().zip(&plan.inputs);
            let maps = inputs.map(|(source, input)| {
                let map = BlockMap::new(&input.map, &plan.grid, &plans[*source].grid);
                (*source, map.expect("the grids fit"))
            });
            maps.collect()
        });
        Self {
            job,
            maps: maps.collect(),
            plans,
            done: BTreeSet::new(),
            released: BTreeSet::new(),
            attempts: BTreeMap::new(),
            given: BTreeSet::new(),
        }
    }

    fn counts(&self) -> Vec<u64> {
        self.plans.iter().map(|plan| plan.grid.block_count()).collect()
    }

    fn chunk_bytes(&self, task: TaskId) -> u64 {
        let plan = &self.plans[task.layer.0 as usize];
        plan.grid.block_len(task.block) * plan.item_bytes
    }

    fn sources(&self, task: TaskId) -> Vec<TaskId> {
        let maps = &self.maps[task.layer.0 as usize];
        let sources = maps.iter().flat_map(|(source, map)| {
            let blocks = map.sources(task.block);
            blocks.into_iter().map(|block| self.task(*source, block))
        });
        sources.collect()
    }

    fn dependents(&self, task: TaskId) -> Vec<TaskId> {
        let mut found = Vec::new();
        for (layer, maps) in self.maps.iter().enumerate() {
            for (_, map) in maps.iter().filter(|(source, _)| *source == task.layer.0 as usize) {
                found.extend(
                    map.dependents(task.block)
                        .into_iter()
                        .map(|block| self.task(layer, block)),
                );
            }
        }
        found
    }

    /// A task that nobody has and whose inputs are done; of deeper layers first, so that chunks are used soon, and tile
    /// by tile.
    fn next_ready(&self) -> Option<TaskId> {
        let is_ready = |task: &TaskId| {
            !self.given.contains(task) && self.sources(*task).iter().all(|it| self.done.contains(it))
        };
        let counts = self.counts();
        let blocks = |layer: usize| {
            // The tiles are the fastest axes: one tile is done for all dates before the next.
            let depth = LAYERS[layer].depth.unwrap_or(1);
            let tiles = counts[layer] / depth;
            (0..tiles).flat_map(move |tile| (0..depth).map(move |at| at * tiles + tile))
        };
        (0..counts.len())
            .rev()
            .find_map(|layer| blocks(layer).map(|block| self.task(layer, block)).find(is_ready))
    }

    fn task(&self, layer: usize, block: u64) -> TaskId {
        TaskId {
            job: self.job,
            layer: LayerId(layer as u32),
            block,
        }
    }
}
