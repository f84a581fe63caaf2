use std::sync::Arc;

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{JobOutcome, LayerInfo, LeaveReason, TaskFinished, WorkerStatus};

fn layer(name: &str, task_count: u64) -> LayerInfo {
    LayerInfo {
        name: name.into(),
        task_count,
        chunk_bytes: 1 << 20,
        origin: Some("study.py:12".into()),
        plan: None,
    }
}

pub(super) fn job_started(job: u64, layers: &[(&str, u64)]) -> Record {
    let layers: Arc<[LayerInfo]> = layers.iter().map(|(name, count)| layer(name, *count)).collect();
    Record::JobStarted {
        job: JobId(job),
        name: "mosaic".into(),
        layers,
    }
}

pub(super) fn joined(worker: u64) -> Record {
    Record::WorkerJoined {
        worker: WorkerId(worker),
        name: format!("worker-{worker}").into(),
        address: format!("127.0.0.1:{worker}").into(),
        slots: 2,
        budget_bytes: 1 << 30,
    }
}

pub(super) fn left(worker: u64) -> Record {
    Record::WorkerLeft {
        worker: WorkerId(worker),
        why: LeaveReason::Lost {
            message: "reset".into(),
        },
    }
}

pub(super) fn task(job: u64, layer: u32, block: u64) -> TaskId {
    TaskId {
        job: JobId(job),
        layer: LayerId(layer),
        block,
    }
}

pub(super) fn assigned(task: TaskId, worker: u64, attempt: u32) -> Record {
    Record::TaskAssigned {
        task,
        worker: WorkerId(worker),
        attempt,
    }
}

pub(super) fn finished(task: TaskId, worker: u64, attempt: u32, started_us: u64) -> Record {
    Record::TaskFinished(TaskFinished {
        task,
        worker: WorkerId(worker),
        attempt,
        slot: 0,
        started_us,
        duration_us: 700,
        fetch_us: 90,
        bytes: 1_000,
        spilled: false,
    })
}

pub(super) fn failed(task: TaskId, worker: u64, attempt: u32) -> Record {
    Record::TaskFailed {
        task,
        worker: WorkerId(worker),
        attempt,
        message: "no such file".into(),
    }
}

pub(super) fn told(records: &[(u64, Record)]) -> Aggregator {
    let mut aggregator = Aggregator::new();
    records
        .iter()
        .for_each(|(at_us, record)| aggregator.apply(*at_us, record.clone()));
    aggregator
}

fn snapshot(aggregator: &mut Aggregator, now_us: u64) -> Snapshot {
    let mut publisher = Publisher::new("test");
    publisher.catch_up(aggregator, now_us, 0);
    publisher.snapshot(aggregator)
}

/// A story that can happen: tasks are given out, end one way or another, and are made anew after losses.
///
/// Each pair of indices picks a task and what happens to it next.
pub(super) fn story(steps: &[(Index, Index, u8)]) -> Vec<(u64, Record)> {
    let sizes = [("read+where", 40u64), ("median", 9)];
    let mut records = vec![
        (0, joined(1)),
        (1, joined(2)),
        (2, joined(3)),
        (5, job_started(1, &sizes)),
    ];
    let tasks: Vec<TaskId> = (0..2u32)
        .flat_map(|l| (0..sizes[l as usize].1).map(move |block| task(1, l, block)))
        .collect();
    // Of each task: the latest attempt, who has it, and whether that is still open.
    let mut states: Vec<(u32, u64, bool, bool)> = vec![(0, 0, false, false); tasks.len()];
    let mut lost_worker = false;
    for (step, (at, pick, roll)) in steps.iter().enumerate() {
        let at_us = 10 + step as u64 * 1_000;
        let task_at = at.index(tasks.len());
        let (attempt, worker, is_open, is_done) = &mut states[task_at];
        let it = tasks[task_at];
        if !*is_open && !*is_done {
            *attempt += 1 + u32::from(*roll % 3);
            *worker = 1 + pick.index(if lost_worker { 2 } else { 3 }) as u64;
            *is_open = true;
            records.push((at_us, assigned(it, *worker, *attempt)));
            if *roll % 2 == 0 {
                let (worker, attempt) = (WorkerId(*worker), *attempt);
                records.push((
                    at_us + 5,
                    Record::TaskStarted {
                        task: it,
                        worker,
                        attempt,
                        slot: None,
                    },
                ));
            }
        } else if *is_open {
            *is_open = false;
            match roll % 8 {
                0 => {
                    records.push((at_us, failed(it, *worker, *attempt)));
                    records.push((
                        at_us,
                        Record::TaskReset {
                            task: it,
                            attempt: *attempt,
                        },
                    ));
                }
                1 => records.push((
                    at_us,
                    Record::TaskReset {
                        task: it,
                        attempt: *attempt,
                    },
                )),
                _ => {
                    *is_done = true;
                    records.push((at_us, finished(it, *worker, *attempt, at_us - 800)));
                }
            }
        } else if *roll > 240 && !lost_worker {
            lost_worker = true;
            records.push((at_us, left(3)));
            for (at, (attempt, worker, is_open, is_done)) in states.iter_mut().enumerate() {
                if *worker == 3 && (*is_open || *is_done) {
                    records.push((
                        at_us,
                        Record::TaskReset {
                            task: tasks[at],
                            attempt: *attempt,
                        },
                    ));
                    (*is_open, *is_done) = (false, false);
                }
            }
        } else {
            let status = WorkerStatus {
                memory_bytes: u64::from(*roll) << 20,
                running: 2,
                ..Default::default()
            };
            records.push((
                at_us,
                Record::WorkerStatus {
                    worker: WorkerId(*worker),
                    status,
                },
            ));
        }
    }
    records
}

pub(super) fn steps() -> impl Strategy<Value = Vec<(Index, Index, u8)>> {
    prop::collection::vec(any::<(Index, Index, u8)>(), 0..400)
}

/// All that must not depend on order. Keys are given in order of appearance, so ids stand for them; on which slot
/// a task runs, and since when, may be a conclusion from what came before.
fn essence(snapshot: &Snapshot) -> (Vec<String>, Vec<u64>) {
    let worker_of = |key| {
        snapshot
            .workers
            .iter()
            .find(|row| row.k == key)
            .map(|row| row.id.clone())
    };
    let layer_of = |key| {
        snapshot
            .layers
            .iter()
            .find(|row| row.k == key)
            .map(|row| row.layer)
    };
    let mut lines: Vec<String> = Vec::new();
    lines.extend(snapshot.jobs.iter().map(|row| format!("{row:?}")));
    lines.extend(
        snapshot
            .layers
            .iter()
            .map(|row| format!("{:?}", LayerRow { k: 0, ..row.clone() })),
    );
    lines.extend(
        snapshot
            .workers
            .iter()
            .map(|row| format!("{:?}", WorkerRow { k: 0, ..row.clone() })),
    );
    lines.extend(snapshot.running.iter().map(|row| {
        format!(
            "{:?} {:?} {}",
            worker_of(row.worker),
            layer_of(row.layer),
            row.block
        )
    }));
    lines.extend(
        snapshot
            .failures
            .iter()
            .map(|row| format!("{:?} {} {}", layer_of(row.layer), row.block, row.attempt)),
    );
    lines.sort();
    let head = &snapshot.head;
    (
        lines,
        vec![
            head.total,
            head.done,
            head.running,
            head.failed,
            head.recomputed,
            head.rejected,
        ],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn tables_depend_neither_on_order_nor_on_duplicates(
        steps in steps(),
        shuffle in any::<u64>(),
        repeated in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let records = story(&steps);
        let now_us = 1_000_000;
        let mut shuffled = records.clone();
        shuffled.extend(repeated.iter().map(|at| at.get(&records).clone()));
        let mut seed = shuffle | 1;
        for at in (1..shuffled.len()).rev() {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            shuffled.swap(at, (seed >> 33) as usize % (at + 1));
        }
        let in_order = snapshot(&mut told(&records), now_us);
        let in_disorder = snapshot(&mut told(&shuffled), now_us);
        prop_assert_eq!(essence(&in_order), essence(&in_disorder));
    }

    #[test]
    fn a_snapshot_and_its_deltas_are_the_later_snapshot(
        steps in steps(),
        cuts in prop::collection::vec(any::<Index>(), 1..12),
    ) {
        let records = story(&steps);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(records.len())).collect();
        cuts.sort_unstable();
        let (mut aggregator, mut publisher) = (Aggregator::new(), Publisher::new("test"));
        publisher.catch_up(&mut aggregator, 0, 0);
        let mut viewer = publisher.snapshot(&aggregator);
        let mut from = 0;
        for to in cuts.into_iter().chain([records.len()]) {
            records[from..to].iter().for_each(|(at_us, record)| aggregator.apply(*at_us, record.clone()));
            from = to;
            let delta = publisher.delta(&mut aggregator, 1_000 * to as u64, 0);
            let json = serde_json::to_string(&delta).expect("plain JSON");
            prop_assert!(json.len() <= DELTA_BYTES_MAX);
            viewer.apply(&serde_json::from_str(&json).expect("what was written is read")).expect("no gap");
            prop_assert_eq!(&viewer, &publisher.snapshot(&aggregator));
        }
        while publisher.has_more() {
            viewer.apply(&publisher.delta(&mut aggregator, 1_000 * from as u64, 0)).expect("no gap");
        }
        let fresh = snapshot(&mut aggregator, 1_000 * from as u64);
        prop_assert_eq!(essence(&viewer), essence(&fresh));
    }

    #[test]
    fn counts_stay_within_the_total_whatever_comes(
        steps in steps(),
        dropped in prop::collection::vec(any::<Index>(), 0..60),
        wild in prop::collection::vec((0u32..4, 0u64..60, 0u32..9, 0u8..5), 0..40),
    ) {
        let mut records = story(&steps);
        for at in dropped {
            records.remove(at.index(records.len()));
            if records.is_empty() { break; }
        }
        for (layer, block, attempt, what) in wild {
            let it = task(1, layer, block);
            records.push((99_000, match what {
                0 => assigned(it, 9, attempt),
                1 => finished(it, 1, attempt, 98_000),
                2 => failed(it, 2, attempt),
                _ => Record::TaskReset { task: it, attempt },
            }));
        }
        let mut aggregator = told(&records);
        let view = snapshot(&mut aggregator, 2_000_000);
        for row in &view.layers {
            prop_assert!(row.done + row.running + row.queued <= row.total, "{row:?}");
            prop_assert!(row.done + row.failed <= row.total, "{row:?}");
        }
        prop_assert!(view.head.done <= view.head.total);
        aggregator.apply(2_100_000, Record::JobEnded {
            job: JobId(1), outcome: JobOutcome::Succeeded, finished: Some([40, 9].into()),
        });
        let ended = snapshot(&mut aggregator, 2_200_000);
        prop_assert_eq!(ended.head.running, 0);
        for row in ended.layers.iter().filter(|row| row.layer < 2 && row.origin.is_some()) {
            prop_assert_eq!(row.done, row.total);
        }
    }
}

#[test]
fn work_that_is_done_twice_is_counted_apart() {
    let it = task(1, 0, 3);
    let mut aggregator = told(&[
        (0, joined(1)),
        (0, job_started(1, &[("read", 4)])),
        (1, assigned(it, 1, 0)),
        (900, finished(it, 1, 0, 100)),
        (1_000, Record::TaskReset { task: it, attempt: 0 }),
        (1_100, assigned(it, 1, 7)),
    ]);
    let row = snapshot(&mut aggregator, 1_200).layers.remove(0);
    assert_eq!(
        (row.done, row.running, row.recomputed, row.restarted),
        (0, 1, 1, 0)
    );
    aggregator.apply(2_000, finished(it, 1, 7, 1_200));
    let view = snapshot(&mut aggregator, 2_100);
    assert_eq!(
        (
            view.layers[0].done,
            view.layers[0].recomputed,
            view.layers[0].bytes
        ),
        (1, 1, 2_000)
    );
    let marks: Vec<u8> = view.stream.iter().map(|task| task.marks).collect();
    assert_eq!(marks, [0, StreamTask::AGAIN]);
}

#[test]
fn a_job_whose_start_is_told_late_keeps_what_was_counted() {
    let mut aggregator = told(&[
        (5, finished(task(1, 0, 3), 1, 0, 1)),
        (6, finished(task(1, 5, 0), 1, 0, 1)),
    ]);
    let view = snapshot(&mut aggregator, 10);
    assert_eq!(
        (&*view.layers[0].name, view.layers[0].total, view.layers[0].done),
        ("layer 0", 4, 1)
    );
    aggregator.apply(7, job_started(1, &[("read", 64)]));
    aggregator.apply(8, finished(task(1, 1, 0), 1, 0, 1));
    let view = snapshot(&mut aggregator, 10);
    assert_eq!(view.layers.len(), 1, "layers that the job does not have are gone");
    assert_eq!(
        (&*view.layers[0].name, view.layers[0].total, view.layers[0].done),
        ("read", 64, 1)
    );
    assert_eq!(view.head.rejected, 1);
}

#[test]
fn the_oldest_ended_job_makes_room_and_the_totals_stay() {
    let mut aggregator = Aggregator::new();
    for job in 0..JOB_COUNT_MAX as u64 + 8 {
        aggregator.apply(job, job_started(job, &[("read", 2)]));
        aggregator.apply(job, finished(task(job, 0, 0), 1, 0, job));
        if job != 0 {
            aggregator.apply(
                job,
                Record::JobEnded {
                    job: JobId(job),
                    outcome: JobOutcome::Cancelled,
                    finished: None,
                },
            );
        }
    }
    aggregator.apply(99, finished(task(1, 0, 1), 1, 0, 98));
    let view = snapshot(&mut aggregator, 100);
    assert_eq!(view.jobs.len(), JOB_COUNT_MAX);
    assert!(
        view.jobs.iter().any(|row| &*row.id == "0"),
        "a job that runs is kept"
    );
    assert_eq!((view.head.total, view.head.done), (2 * 40, 40));
    assert_eq!(view.head.rejected, 1, "a late record brings no job back");
}

#[test]
fn a_lost_worker_stays_in_the_table_without_tasks() {
    let mut aggregator = told(&[
        (0, joined(1)),
        (0, job_started(1, &[("read", 4)])),
        (1, assigned(task(1, 0, 0), 1, 0)),
        (2, left(1)),
        (3, assigned(task(1, 0, 1), 1, 0)),
    ]);
    let view = snapshot(&mut aggregator, 10);
    assert_eq!(
        (view.workers[0].state, view.workers[0].running),
        (WorkerState::Lost, 0)
    );
    assert_eq!(
        (view.running.len(), view.layers[0].running, view.layers[0].queued),
        (0, 0, 0)
    );
}

#[test]
fn a_full_house_fits_the_limits_and_arrives_in_turns() {
    let mut aggregator = Aggregator::new();
    let name = "\"read\"\u{1}+where+".repeat(40);
    for job in 0..JOB_COUNT_MAX as u64 {
        let layers: Vec<(&str, u64)> = (0..60).map(|_| (name.as_str(), 5_000)).collect();
        aggregator.apply(job, job_started(job, &layers));
    }
    (0..WORKER_COUNT_MAX as u64).for_each(|worker| aggregator.apply(1, joined(worker)));
    for block in 0..9_000 {
        let it = task(31, (block / 5_000) as u32, block % 5_000);
        aggregator.apply(block, assigned(it, block % 256, 0));
        if block % 3 == 0 {
            aggregator.apply(block, finished(it, block % 256, 0, block * 10));
        } else if block % 100 == 1 {
            let message = "\"\n".repeat(400).into();
            aggregator.apply(
                block,
                Record::TaskFailed {
                    task: it,
                    worker: WorkerId(1),
                    attempt: 0,
                    message,
                },
            );
        }
    }
    let mut publisher = Publisher::new("test");
    let mut viewer = publisher.snapshot(&aggregator);
    let mut frames = 0;
    while frames == 0 || publisher.has_more() {
        let delta = publisher.delta(&mut aggregator, 100_000, 0);
        let bytes = serde_json::to_string(&delta).expect("plain JSON").len();
        assert!(bytes <= DELTA_BYTES_MAX, "{bytes}");
        viewer.apply(&delta).expect("no gap");
        frames += 1;
        assert!(frames < 100, "all is told within ten seconds");
    }
    let fresh = snapshot(&mut aggregator, 100_000);
    let bytes = serde_json::to_string(&fresh).expect("plain JSON").len();
    assert!(bytes <= SNAPSHOT_BYTES_MAX, "{bytes}");
    assert_eq!(
        (viewer.jobs.len(), viewer.layers.len(), viewer.workers.len()),
        (32, LAYER_COUNT_MAX, 256)
    );
    assert_eq!(essence(&viewer), essence(&fresh));
}
