//! Each planted fault is named, and runs without any are silent.

use std::sync::Arc;

use graticule_plan::{ChunkGrid, JobId, Key, LayerId, TaskId, WorkerId};

use super::{findings::FindingKind, *};
use crate::{JobOutcome, LayerInfo, LayerPlan, Moved, MovedKind, TaskFinished};

const SLOTS: u32 = 2;
const BUDGET: u64 = 1 << 30;

/// A run of one job on some workers: tasks go to the slot that is free first, and what happens is told.
struct Run {
    seed: u64,
    /// When each slot of each worker is free again.
    free_us: Vec<u64>,
    records: Vec<(u64, Record)>,
    /// By task: how long it takes, and how long it waits for its input.
    task_us: Box<dyn Fn(u64) -> u64>,
    fetch_us: u64,
    /// Tenths of the time that a worker takes.
    pace: Box<dyn Fn(u64) -> u64>,
    /// A slot is given nothing.
    unused: Option<u64>,
    /// Between the end of a task and the next one's start.
    pause_us: u64,
    chunk_bytes: u64,
    kept: bool,
    now_us: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let workers = 2 + seed % 3;
        let mut run = Self {
            seed,
            free_us: vec![1_000; (workers * u64::from(SLOTS)) as usize],
            records: Vec::new(),
            task_us: Box::new(|_| 100_000),
            fetch_us: 2_000,
            pace: Box::new(|_| 10),
            unused: None,
            pause_us: 200,
            chunk_bytes: 8 << 20,
            kept: false,
            now_us: 0,
        };
        for worker in 0..workers {
            run.records.push((
                0,
                Record::WorkerJoined {
                    worker: WorkerId(worker),
                    name: format!("worker-{worker}").into(),
                    address: "here".into(),
                    slots: SLOTS,
                    budget_bytes: BUDGET,
                },
            ));
        }
        run
    }

    /// Up to so many hundredths more or less, by the seed.
    fn varied(&mut self, value: u64, percent: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let step = (self.seed >> 33) % (2 * percent + 1);
        value * (100 + step - percent) / 100
    }

    fn job(mut self, tasks: u64) -> Self {
        let plan = self.kept.then(|| {
            Arc::new(LayerPlan {
                grid: ChunkGrid::regular(&[tasks * 10], &[10]).expect("a grid"),
                item_bytes: 8,
                inputs: Vec::new(),
                keys: vec![Key(7)],
                is_output: true,
            })
        });
        let layer = LayerInfo {
            name: "mean".into(),
            task_count: tasks,
            chunk_bytes: self.chunk_bytes,
            origin: None,
            plan,
        };
        self.records.push((
            1_000,
            Record::JobStarted {
                job: JobId(1),
                name: "study".into(),
                layers: [layer].into(),
            },
        ));
        (0..tasks).for_each(|block| self.task(block));
        let end_us = self.free_us.iter().copied().max().unwrap_or_default() + 100;
        self.records.push((
            end_us,
            Record::JobEnded {
                job: JobId(1),
                outcome: JobOutcome::Succeeded,
                finished: None,
            },
        ));
        self.now_us = end_us + 1_000_000;
        self
    }

    fn task(&mut self, block: u64) {
        let slots = 0..self.free_us.len() as u64;
        let usable = slots.filter(|slot| self.unused != Some(slot / u64::from(SLOTS)));
        let slot = usable
            .min_by_key(|slot| self.free_us[*slot as usize])
            .expect("a slot");
        let (worker, lane) = (slot / u64::from(SLOTS), (slot % u64::from(SLOTS)) as u32);
        let long_us = (self.task_us)(block) * (self.pace)(worker) / 10;
        let duration_us = self.varied(long_us, 15);
        let free_us = self.free_us[slot as usize];
        let started_us = free_us + self.pause_us + self.fetch_us;
        let task = block_task(block);
        self.records.push((
            free_us,
            Record::TaskAssigned {
                task,
                worker: WorkerId(worker),
                attempt: 0,
            },
        ));
        self.records.push((
            started_us + duration_us,
            Record::TaskFinished(TaskFinished {
                task,
                worker: WorkerId(worker),
                attempt: 0,
                slot: lane,
                started_us,
                duration_us,
                fetch_us: self.fetch_us,
                bytes: self.chunk_bytes,
                spilled: false,
            }),
        ));
        self.free_us[slot as usize] = started_us + duration_us;
    }

    fn moved(mut self, worker: u64, row: Moved) -> Self {
        self.records.push((
            self.now_us - 500,
            Record::Moved {
                worker: WorkerId(worker),
                moves: [row].into(),
                lost: 0,
            },
        ));
        self
    }

    fn kinds(mut self) -> Vec<FindingKind> {
        self.records.sort_by_key(|it| it.0);
        let mut aggregator = Aggregator::new();
        let records = std::mem::take(&mut self.records);
        records
            .into_iter()
            .for_each(|(at_us, record)| aggregator.apply(at_us, record));
        let insights = aggregator.insights(self.now_us);
        assert!(
            insights
                .findings
                .iter()
                .all(|it| !it.text.is_empty() && !it.remedy.is_empty())
        );
        insights.findings.iter().map(|it| it.kind).collect()
    }
}

fn block_task(block: u64) -> TaskId {
    TaskId {
        job: JobId(1),
        layer: LayerId(0),
        block,
    }
}

fn row(kind: MovedKind, count: u64, bytes: u64, busy_us: u64) -> Moved {
    let layer = Some((JobId(1), LayerId(0)));
    Moved {
        kind,
        of: layer,
        by: layer,
        count,
        bytes,
        busy_us,
        cpu_us: 0,
        began_us: 2_000,
        ended_us: 4_002_000,
    }
}

#[test]
fn runs_without_faults_are_silent() {
    for seed in 0..10 {
        let tasks = 40 + seed * 7;
        let spilled = row(MovedKind::Spill, 2, 16 << 20, 10_000);
        let fetched = row(MovedKind::Peer(WorkerId(1)), tasks, tasks << 20, 40_000);
        let mut called = row(MovedKind::Call, 40, 0, 7_600_000);
        called.cpu_us = 7_300_000;
        let run = Run::new(seed)
            .job(tasks)
            .moved(0, fetched)
            .moved(1, called)
            .moved(0, spilled);
        assert_eq!(run.kinds(), [], "seed {seed}");
    }
}

#[test]
fn small_runs_are_silent_too() {
    for seed in 0..10 {
        let mut run = Run::new(seed);
        run.task_us = Box::new(|_| 900);
        run.pause_us = 100;
        assert_eq!(run.job(4 + seed).kinds(), [], "seed {seed}");
    }
}

#[test]
fn chunks_that_are_too_small_are_named() {
    let mut run = Run::new(1);
    run.task_us = Box::new(|_| 150);
    (run.fetch_us, run.pause_us, run.chunk_bytes) = (0, 200, 8_000);
    assert_eq!(run.job(5_000).kinds(), [FindingKind::ChunksTooSmall]);
}

#[test]
fn a_task_that_takes_much_longer_than_others_is_named() {
    let mut run = Run::new(2);
    run.task_us = Box::new(|block| if block == 55 { 4_000_000 } else { 100_000 });
    assert_eq!(run.job(60).kinds(), [FindingKind::Skew]);
}

#[test]
fn spills_are_named() {
    let run = Run::new(3).job(60);
    let run = run.moved(1, row(MovedKind::Spill, 90, 700 << 20, 900_000));
    let run = run.moved(0, row(MovedKind::ReadBack, 90, 700 << 20, 900_000));
    assert_eq!(run.kinds(), [FindingKind::Spill]);
}

#[test]
fn a_rechunk_of_very_many_pieces_is_named() {
    let mut run = Run::new(4);
    run.fetch_us = 80_000;
    let run = run.job(60).moved(
        0,
        row(MovedKind::Peer(WorkerId(1)), 2_400, 2_400 << 12, 4_000_000),
    );
    assert_eq!(run.kinds(), [FindingKind::ChattyRechunk]);
}

#[test]
fn a_slow_worker_is_named() {
    let mut run = Run::new(5);
    run.pace = Box::new(|worker| if worker == 1 { 25 } else { 10 });
    assert_eq!(run.job(120).kinds(), [FindingKind::SlowWorker]);
}

#[test]
fn slots_without_tasks_are_named() {
    let mut run = Run::new(7);
    // One after the other, on one slot: each waits for the one before it.
    run.task_us = Box::new(|_| 400_000);
    for step in 1..20u64 {
        run.free_us
            .iter_mut()
            .for_each(|free_us| *free_us = step * 500_000);
    }
    let mut run = run.job(0);
    for block in 0..20u64 {
        let at = 1_000_000 + block * 500_000;
        let done = TaskFinished {
            task: block_task(block),
            worker: WorkerId(block % 2),
            attempt: 0,
            slot: 0,
            started_us: at,
            duration_us: 400_000,
            fetch_us: 1_000,
            bytes: 8 << 20,
            spilled: false,
        };
        run.records.push((at + 400_000, Record::TaskFinished(done)));
    }
    for (at_us, record) in &mut run.records {
        match record {
            Record::JobStarted { layers, .. } => {
                let mut layer = layers[0].clone();
                layer.task_count = 20;
                *layers = [layer].into();
            }
            Record::JobEnded { .. } => *at_us = 11_500_000,
            _ => {}
        }
    }
    run.now_us = 12_000_000;
    assert_eq!(run.kinds(), [FindingKind::Starvation]);
}

#[test]
fn kept_results_that_nobody_reads_are_named() {
    let mut run = Run::new(8);
    run.kept = true;
    run.chunk_bytes = 32 << 20;
    let mut run = run.job(60);
    run.now_us += 90_000_000;
    assert_eq!(run.kinds(), [FindingKind::Leak]);
}

#[test]
fn functions_that_hold_the_interpreter_are_named() {
    let mut row = row(MovedKind::Call, 80, 0, 8_000_000);
    row.cpu_us = 4_000_000;
    assert_eq!(
        Run::new(9).job(60).moved(0, row).kinds(),
        [FindingKind::InterpreterHeld]
    );
    // One that sleeps holds nothing.
    row.cpu_us = 40_000;
    assert_eq!(Run::new(9).job(60).moved(0, row).kinds(), []);
}

#[test]
fn attempts_that_fail_are_named() {
    let mut run = Run::new(10).job(60);
    let failed = Record::TaskFailed {
        task: block_task(5),
        worker: WorkerId(0),
        attempt: 0,
        message: "no such file".into(),
    };
    run.records.push((2_000, failed));
    for (_, record) in &mut run.records {
        if let Record::TaskFinished(done) = record
            && done.task.block == 5
        {
            done.attempt = 1;
        }
    }
    assert_eq!(run.kinds(), [FindingKind::Retries]);
}

#[test]
fn a_worker_without_tasks_is_named() {
    let mut run = Run::new(11);
    run.unused = Some(1);
    assert_eq!(run.job(160).kinds(), [FindingKind::IdleWorker]);
}
