//! A scheduler that goes on where an earlier run ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::cluster::{self, CLIENT, Cluster, Leased, Plans, task};
use graticule_engine::{
    BlockRun, Time, ToWorker,
    scheduler::{Event, Fact, JobEvent, Observation, Restore},
};
use graticule_plan::{AxisWindow, Input, InputMap, JobId, Key, LayerId, Plan, Source, TaskId, WorkerId};
use proptest::prelude::*;

const JOB: JobId = JobId(1);
const KEY: Key = Key(7);
const WAIT_US: u64 = 1_000_000;
const NUMBERS: u64 = 1000;

fn submitted(job: JobId, plan: &Plan) -> Fact {
    Fact::JobSubmitted {
        job,
        client: CLIENT,
        name: "job".into(),
        plan: Arc::new(plan.clone()),
    }
}

fn restore(facts: Vec<Fact>, awaited: &[WorkerId]) -> Restore {
    Restore {
        facts,
        first_worker: NUMBERS,
        awaited: awaited.iter().copied().collect(),
        wait_us: WAIT_US,
    }
}

fn client_returns(cluster: &mut Cluster, delivered: &[TaskId]) {
    delivered.iter().for_each(|&chunk| cluster.deliver(chunk));
    cluster.tell(Event::ClientReturned { client: CLIENT });
}

#[test]
fn nothing_runs_until_the_workers_and_the_client_are_back() {
    let plan = Plans::default().source(2).each().deliver().plan();
    let workers = [WorkerId(1), WorkerId(2)];
    let mut cluster = Cluster::restored(restore(vec![submitted(JOB, &plan)], &workers));
    cluster.come_back(workers[0], &[]);
    client_returns(&mut cluster, &[]);
    assert!(cluster.leased(workers[0]).is_empty(), "a worker is missing");
    cluster.come_back(workers[1], &[]);
    assert_eq!(cluster.run_all(&workers).len(), 4);

    let mut cluster = Cluster::restored(restore(vec![submitted(JOB, &plan)], &workers[..1]));
    cluster.come_back(workers[0], &[]);
    assert!(cluster.leased(workers[0]).is_empty(), "the client is missing");
    client_returns(&mut cluster, &[]);
    assert_eq!(cluster.run_all(&workers).len(), 4);
}

#[test]
fn workers_that_do_not_come_back_are_awaited_for_so_long() {
    let plan = Plans::default().source(2).deliver().plan();
    let mut cluster = Cluster::restored(restore(vec![submitted(JOB, &plan)], &[WorkerId(1)]));
    client_returns(&mut cluster, &[]);
    let stranger = cluster.join(1, 1 << 30);
    assert!(
        stranger.0 >= NUMBERS,
        "numbers of earlier runs are not given again"
    );
    assert!(cluster.leased(stranger).is_empty());
    assert_eq!(cluster.scheduler.next_timeout(), Some(Time(WAIT_US)));
    cluster.now = Time(WAIT_US);
    cluster.tell(Event::Tick);
    assert_eq!(cluster.run_all(&[stranger]).len(), 2);
}

#[test]
fn what_workers_hold_and_the_client_has_is_not_made_again() {
    let plan = Plans::default().source(3).each().deliver().plan();
    let worker = WorkerId(1);
    let mut cluster = Cluster::restored(restore(vec![submitted(JOB, &plan)], &[worker]));
    // The first is with the client, the second made, of the third the source alone.
    cluster.come_back(worker, &[task(JOB, 1, 1), task(JOB, 0, 2)]);
    client_returns(&mut cluster, &[task(JOB, 1, 0)]);
    let ran: Vec<TaskId> = cluster
        .run_all(&[worker])
        .into_iter()
        .map(|(_, task)| task)
        .collect();
    assert_eq!(ran, [task(JOB, 1, 2)]);
    for block in [1, 2] {
        let offered =
            |event: &JobEvent| matches!(event, JobEvent::ChunkReady { block: b, .. } if *b == block);
        assert!(
            cluster.notices.iter().any(|(_, event)| offered(event)),
            "block {block}"
        );
        cluster.deliver(task(JOB, 1, block));
    }
    assert!(cluster.is_told(JOB, &JobEvent::Finished));
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_chunk_that_was_offered_to_nobody_is_offered_to_the_client_that_comes_back() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(1).deliver().plan());
    cluster.run_all(&workers);
    cluster.notices.clear();
    client_returns(&mut cluster, &[]);
    assert!(matches!(
        cluster.notices[..],
        [(of, JobEvent::ChunkReady { block: 0, .. })] if of == job
    ));
}

#[test]
fn what_is_kept_is_adopted_and_made_again_where_nobody_holds_it() {
    let plan = Plans::default().source(2).keep(KEY).plan();
    let facts = vec![submitted(JOB, &plan), Fact::JobFinished { job: JOB }];
    let worker = WorkerId(1);
    let mut cluster = Cluster::restored(restore(facts, &[worker]));
    cluster.come_back(worker, &[task(JOB, 0, 1)]);
    assert!(cluster.leased(worker).is_empty(), "its client may not come back");
    client_returns(&mut cluster, &[]);
    let ran: Vec<TaskId> = cluster
        .run_all(&[worker])
        .into_iter()
        .map(|(_, task)| task)
        .collect();
    assert_eq!(ran, [task(JOB, 0, 0)]);
    let remade = |observation: &&Observation| matches!(observation, Observation::TaskReset { .. });
    assert_eq!(cluster.observed.iter().filter(remade).count(), 1);
    // It was finished before, and nobody is told twice.
    cluster.notices.clear();
    cluster.tell(Event::KeyReleased { key: KEY });
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn what_was_released_or_abandoned_is_so_after_the_restart() {
    let plan = Plans::default().source(2).keep(KEY).plan();
    let reader = Plans::default().each_of(KEY, 2).deliver().plan();
    let released = vec![
        submitted(JOB, &plan),
        Fact::JobFinished { job: JOB },
        submitted(JobId(2), &reader),
        Fact::KeyReleased { key: KEY },
    ];
    let worker = WorkerId(1);
    let mut cluster = Cluster::restored(restore(released, &[worker]));
    assert!(cluster.scheduler.kept(KEY).is_none());
    cluster.come_back(worker, &[task(JOB, 0, 0)]);
    client_returns(&mut cluster, &[]);
    let ran: BTreeSet<TaskId> = cluster
        .run_all(&[worker])
        .into_iter()
        .map(|(_, task)| task)
        .collect();
    let job = JobId(2);
    assert_eq!(ran, [task(JOB, 0, 1), task(job, 0, 0), task(job, 0, 1)].into());

    let abandoned = vec![
        submitted(JOB, &plan),
        Fact::JobAbandoned {
            job: JOB,
            outcome: "failed",
        },
    ];
    let mut cluster = Cluster::restored(restore(abandoned, &[worker]));
    cluster.come_back(worker, &[task(JOB, 0, 0)]);
    assert_eq!(cluster.released(worker), [task(JOB, 0, 0)]);
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_chunk_with_many_readers_that_are_done_is_not_looked_for_in_all_of_them_each_time() {
    const READERS: u64 = 100_000;
    let mut plans = Plans::default().source(1);
    let input = Input {
        source: Source::Layer(LayerId(0)),
        map: InputMap::Product(vec![AxisWindow::All]),
    };
    plans.layer("readers", READERS, vec![input], |_| {});
    let plan = plans.deliver().plan();
    let worker = WorkerId(1);
    let mut cluster = Cluster::restored(restore(vec![submitted(JOB, &plan)], &[worker]));
    let begun = std::time::Instant::now();
    let mut commands = Vec::new();
    let delivered = (0..READERS - 1).map(|block| Event::ChunkDelivered {
        chunk: task(JOB, 1, block),
    });
    let now = cluster.now;
    cluster.scheduler.handle_all(now, delivered, &mut commands);
    // The square of their number would take minutes.
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    cluster.come_back(worker, &[]);
    client_returns(&mut cluster, &[]);
    let ran: Vec<TaskId> = cluster
        .run_all(&[worker])
        .into_iter()
        .map(|(_, task)| task)
        .collect();
    assert_eq!(ran, [task(JOB, 0, 0), task(JOB, 1, READERS - 1)]);
}

/// Small graphs with sources, chains, and reductions.
fn some_plan() -> impl Strategy<Value = Plan> {
    (
        1..6_u64,
        prop::collection::vec(any::<bool>(), 0..4),
        any::<bool>(),
    )
        .prop_map(|(count, steps, ends_in_all)| {
            let mut plans = Plans::default().source(count);
            for deliver in steps {
                plans = plans.each();
                plans = if deliver { plans.deliver() } else { plans };
            }
            let plans = plans.each();
            if ends_in_all { plans.all() } else { plans }.deliver().plan()
        })
}

proptest! {
    /// With all workers and the client back, no task runs a second time, wherever the scheduler ended.
    #[test]
    fn no_task_runs_twice_wherever_a_run_ends(
        plan in some_plan(),
        steps in prop::collection::vec((0..2_usize, any::<bool>()), 0..40),
        client_comes_first in any::<bool>(),
    ) {
        let (mut cluster, workers) = Cluster::of(2);
        prop_assert_eq!(cluster.submit(plan.clone()), JOB);
        let mut held: BTreeMap<WorkerId, BTreeSet<TaskId>> = BTreeMap::new();
        let mut at_hand: BTreeMap<WorkerId, Vec<Leased>> = BTreeMap::new();
        let (mut ran, mut delivered) = (BTreeSet::new(), Vec::new());
        for (who, delivers) in steps {
            let worker = workers[who];
            for &worker in &workers {
                for message in cluster.heard(worker) {
                    match message {
                        ToWorker::Lease(lease) => at_hand.entry(worker).or_default().extend(cluster::leased(&lease)),
                        ToWorker::Release { chunks } => {
                            let held = held.entry(worker).or_default();
                            for chunk in chunks.iter().flat_map(BlockRun::each) {
                                held.remove(&chunk);
                            }
                        }
                        _ => {}
                    }
                }
            }
            let offered = cluster.notices.iter().rev().find_map(|(_, event)| match event {
                JobEvent::ChunkReady { layer, block, .. } => Some(task(JOB, layer.0, *block)),
                _ => None,
            });
            if let Some(chunk) = offered.filter(|chunk| delivers && !delivered.contains(chunk)) {
                delivered.push(chunk);
                cluster.deliver(chunk);
            } else if let Some(leased) = at_hand.get_mut(&worker).and_then(Vec::pop) {
                ran.insert(leased.task);
                held.entry(worker).or_default().insert(leased.task);
                cluster.finish(worker, leased);
            }
        }
        let facts = vec![submitted(JOB, &plan)];
        let mut cluster = Cluster::restored(restore(facts, &workers));
        if client_comes_first {
            client_returns(&mut cluster, &delivered);
        }
        for worker in &workers {
            let inventory: Vec<TaskId> = held.remove(worker).unwrap_or_default().into_iter().collect();
            cluster.come_back(*worker, &inventory);
        }
        if !client_comes_first {
            client_returns(&mut cluster, &delivered);
        }
        loop {
            for (_, task) in cluster.run_all(&workers) {
                prop_assert!(ran.insert(task), "{} ran twice", task);
            }
            let offered: Vec<TaskId> = cluster.notices.drain(..).filter_map(|(_, event)| match event {
                JobEvent::ChunkReady { layer, block, .. } => Some(task(JOB, layer.0, block)),
                _ => None,
            }).collect();
            if offered.is_empty() {
                break;
            }
            offered.into_iter().for_each(|chunk| cluster.deliver(chunk));
        }
        prop_assert!(cluster.scheduler.is_clean(), "the job is over");
    }
}
