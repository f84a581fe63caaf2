//! What is let go instead of being spilled, and made again.

use crate::cluster::{CHUNK_BYTES, Cluster, Leased, Plans, task};
use graticule_engine::{
    ToScheduler,
    scheduler::{Event, JobEvent, Observation},
};
use graticule_plan::{AxisWindow, Input, InputMap, Key, LayerId, Plan, Source, TaskId, WorkerId};

/// What each task takes, so long that workers have few at hand.
const TASK_US: u64 = 100_000;
/// A disk that takes ten times as long for a chunk, bytes a second.
const SLOW: u64 = 2 * CHUNK_BYTES;
/// One that takes a tenth of it.
const QUICK: u64 = 2 * CHUNK_BYTES * 100;

fn slow_cluster(count: usize) -> (Cluster, Vec<WorkerId>) {
    let (mut cluster, workers) = Cluster::of(count);
    cluster.compute_us = TASK_US;
    (cluster, workers)
}

fn anomaly(count: u64) -> Plan {
    Plans::default().anomaly(count).deliver().plan()
}

/// Several arrays that are each made of the same array and its total.
fn anomalies(count: u64, readers: usize) -> Plan {
    let mut plans = Plans::default().anomaly(count).deliver();
    for _ in 1..readers {
        let windows = [(0, AxisWindow::Aligned { out_axis: 0 }), (2, AxisWindow::All)];
        let inputs = windows.map(|(layer, window)| Input {
            source: Source::Layer(LayerId(layer)),
            map: InputMap::Product(vec![window]),
        });
        plans.layer("other", count, inputs.to_vec(), |_| {});
        plans = plans.deliver();
    }
    plans.plan()
}

/// Runs the job until all is there that the total needs; returns what made which chunk of the array, and the total's lease.
fn until_total(cluster: &mut Cluster, workers: &[WorkerId]) -> (Vec<(WorkerId, TaskId)>, (WorkerId, Leased)) {
    let mut made = Vec::new();
    loop {
        for &worker in workers {
            for leased in cluster.leased(worker) {
                match leased.task.layer.0 {
                    0 => made.push((worker, leased.task)),
                    1 => {}
                    _ => return (made, (worker, leased)),
                }
                cluster.finish(worker, leased);
            }
        }
    }
}

fn is_short(cluster: &mut Cluster, worker: WorkerId, short_bytes: u64, disk_bytes_per_s: u64) -> Vec<TaskId> {
    let session = cluster.session(worker);
    let message = ToScheduler::ShortOfMemory {
        short_bytes,
        disk_bytes_per_s,
    };
    cluster.tell(Event::WorkerMessage { session, message });
    let answers = cluster.relief(worker);
    assert_eq!(answers.len(), 1, "asked once, answered once");
    answers.concat()
}

fn made_again(cluster: &Cluster) -> usize {
    let reset = |observation: &&Observation| matches!(observation, Observation::TaskReset { .. });
    cluster.observed.iter().filter(reset).count()
}

#[test]
fn what_is_needed_last_is_let_go_first_and_no_more_than_asked() {
    let (mut cluster, workers) = slow_cluster(1);
    let job = cluster.submit(anomaly(10));
    until_total(&mut cluster, &workers);
    let short_bytes = 2 * CHUNK_BYTES - 1;
    let let_go = is_short(&mut cluster, workers[0], short_bytes, SLOW);
    assert_eq!(let_go, [task(job, 0, 9), task(job, 0, 8)]);
    assert_eq!(cluster.scheduler.let_go_count(), 2);
}

#[test]
fn what_was_let_go_is_made_again_in_its_turn_and_is_no_repair() {
    let (mut cluster, workers) = slow_cluster(1);
    let job = cluster.submit(anomaly(10));
    let (_, (of_total, total)) = until_total(&mut cluster, &workers);
    let let_go = is_short(&mut cluster, workers[0], 4 * CHUNK_BYTES, SLOW);
    assert_eq!(let_go.len(), 4);
    assert_eq!(
        cluster.leased(of_total),
        [],
        "nothing of it before the total is there"
    );
    cluster.finish(of_total, total);
    let done = cluster.run_all(&workers);
    let again: Vec<TaskId> = done
        .iter()
        .map(|(_, task)| *task)
        .filter(|t| t.layer.0 == 0)
        .collect();
    assert_eq!(
        again,
        [6, 7, 8, 9].map(|block| task(job, 0, block)),
        "in order, each once"
    );
    assert_eq!(made_again(&cluster), 0);
    (0..10).for_each(|block| cluster.deliver(task(job, 3, block)));
    assert!(cluster.is_told(job, &JobEvent::Finished));
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn what_costs_more_to_make_than_to_spill_is_kept() {
    let (mut cluster, workers) = slow_cluster(1);
    cluster.submit(anomaly(10));
    until_total(&mut cluster, &workers);
    assert_eq!(is_short(&mut cluster, workers[0], 1 << 30, QUICK), []);
    assert_eq!(cluster.scheduler.let_go_count(), 0);
}

#[test]
fn what_many_are_still_to_read_is_kept_if_making_it_for_each_takes_longer_than_the_disk() {
    let let_go = |readers: usize| {
        let (mut cluster, workers) = slow_cluster(1);
        cluster.submit(anomalies(4, readers));
        until_total(&mut cluster, &workers);
        is_short(&mut cluster, workers[0], 1 << 30, SLOW).len()
    };
    // The disk takes as long as ten times making it, and each time takes the room of another one.
    assert_eq!(let_go(1), 4);
    assert_eq!(let_go(4), 4);
    assert_eq!(let_go(6), 0);
}

#[test]
fn what_a_demanded_task_needs_is_kept() {
    let (mut cluster, workers) = slow_cluster(1);
    let job = cluster.submit(anomaly(4));
    // Each block's part is leased or ready.
    let first = cluster.leased(workers[0]);
    for &leased in first.iter().filter(|leased| leased.task.layer.0 == 0) {
        cluster.finish(workers[0], leased);
    }
    assert_eq!(is_short(&mut cluster, workers[0], 1 << 30, SLOW), []);
    assert!(!cluster.is_told(job, &JobEvent::Finished));
}

#[test]
fn what_a_client_keeps_is_not_let_go() {
    let (mut cluster, workers) = slow_cluster(1);
    cluster.submit(Plans::default().source(4).keep(Key(3)).plan());
    cluster.run_all(&workers);
    assert_eq!(is_short(&mut cluster, workers[0], 1 << 30, SLOW), []);
}

#[test]
fn what_another_worker_holds_is_not_let_go_by_this_one() {
    let (mut cluster, workers) = slow_cluster(2);
    let job = cluster.submit(anomaly(40));
    let (made, _) = until_total(&mut cluster, &workers);
    let let_go = is_short(&mut cluster, workers[0], 1 << 30, SLOW);
    assert!(!let_go.is_empty());
    assert!(
        let_go.iter().all(|chunk| made.contains(&(workers[0], *chunk))),
        "{let_go:?} of {made:?}"
    );
    assert!(let_go.iter().all(|chunk| chunk.job == job));
}
