//! Values that clients hand to workers.

use crate::cluster::{CHUNK_BYTES, CLIENT, Cluster, FUNCTION, Leased, Plans, task};
use graticule_engine::{
    CopyReport, ToScheduler, ToWorker, WorkerStatus,
    scheduler::{Event, JobEvent},
};
use graticule_plan::{JobId, Key, LayerId, LayerKind, Plan, WorkerId};

const A: Key = Key(1);
const B: Key = Key(2);

fn value(replicas: u32) -> Plan {
    let mut plans = Plans::default();
    plans.layer("scatter", 1, Vec::new(), |layer| {
        layer.kind = LayerKind::Values { replicas };
    });
    plans.keep(A).plan()
}

/// The workers that a job's client was told to hand a value to, in order.
fn awaited(cluster: &Cluster, job: JobId) -> Vec<WorkerId> {
    let told = cluster.notices.iter().filter(|(of, _)| *of == job);
    let awaited = told.filter_map(|(_, event)| match event {
        JobEvent::ValueAwaited {
            layer, block, peer, ..
        } => {
            assert_eq!((*layer, *block), (LayerId(0), 0));
            Some(peer.worker)
        }
        _ => None,
    });
    awaited.collect()
}

/// The attempt that a job's client was last told to hand a value to.
fn awaited_attempt(cluster: &Cluster, job: JobId) -> Option<u32> {
    cluster.notices.iter().rev().find_map(|(of, event)| match event {
        JobEvent::ValueAwaited { attempt, .. } if *of == job => Some(*attempt),
        _ => None,
    })
}

/// How many workers the client was told to hold the value, each time.
fn told_holders(cluster: &Cluster, job: JobId) -> Vec<usize> {
    let told = cluster.notices.iter().filter(|(of, _)| *of == job);
    let there = told.filter_map(|(_, event)| match event {
        JobEvent::ChunkReady { peers, .. } => Some(peers.len()),
        _ => None,
    });
    there.collect()
}

/// The value comes to the worker that waits for it.
fn hand_over(cluster: &mut Cluster, job: JobId) -> WorkerId {
    let to = *awaited(cluster, job).last().expect("somebody waits");
    let leased = cluster.leased(to);
    assert_eq!(leased.len(), 1);
    assert_eq!(awaited_attempt(cluster, job), Some(leased[0].attempt));
    cluster.finish(to, leased[0]);
    to
}

/// Answers the copies that a worker was told to make.
fn copy_all(
    cluster: &mut Cluster,
    worker: WorkerId,
    outcome: Result<u64, graticule_engine::CopyFailure>,
) -> usize {
    let heard = cluster.heard(worker);
    let orders = heard.iter().flat_map(|message| match message {
        ToWorker::Copy { chunks } => chunks.clone(),
        _ => Vec::new(),
    });
    let reports: Vec<CopyReport> = orders
        .map(|order| CopyReport {
            copy: order.copy,
            chunk: order.chunk,
            outcome,
        })
        .collect();
    let (count, session) = (reports.len(), cluster.session(worker));
    let message = ToScheduler::Copied(reports);
    cluster.tell(Event::WorkerMessage { session, message });
    count
}

fn tell_status(cluster: &mut Cluster, worker: WorkerId) {
    let session = cluster.session(worker);
    let message = ToScheduler::Status(WorkerStatus::default());
    cluster.tell(Event::WorkerMessage { session, message });
}

#[test]
fn a_client_is_told_who_waits_for_its_value_and_again_when_it_comes_back_or_that_worker_is_lost() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(value(1));
    let first = awaited(&cluster, job);
    assert_eq!(first.len(), 1);
    cluster.tell(Event::ClientReturned { client: CLIENT });
    assert_eq!(awaited(&cluster, job), [first[0], first[0]]);
    cluster.lose(first[0]);
    let other = workers
        .into_iter()
        .find(|worker| *worker != first[0])
        .expect("two");
    assert_eq!(awaited(&cluster, job)[2..], [other]);
    assert_eq!(hand_over(&mut cluster, job), other);
    assert_eq!(told_holders(&cluster, job), [1]);
    let reader = cluster.submit(
        Plans::default()
            .calls(FUNCTION, B, &[&[(A, 0)]], &[(A, 0)])
            .plan(),
    );
    assert_eq!(cluster.run_all(&[other]), [(other, task(reader, 0, 0))]);
    for key in [A, B] {
        cluster.tell(Event::KeyReleased { key });
    }
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_value_is_told_of_when_all_its_copies_are_there_and_one_that_is_lost_is_replaced() {
    let (mut cluster, workers) = Cluster::of(3);
    let job = cluster.submit(value(2));
    let holder = hand_over(&mut cluster, job);
    assert!(told_holders(&cluster, job).is_empty(), "a copy is under way");
    let others: Vec<WorkerId> = workers
        .iter()
        .copied()
        .filter(|worker| *worker != holder)
        .collect();
    let copied: Vec<usize> = others
        .iter()
        .map(|&worker| copy_all(&mut cluster, worker, Ok(CHUNK_BYTES)))
        .collect();
    assert_eq!(copied.iter().sum::<usize>(), 1);
    assert_eq!(told_holders(&cluster, job), [2]);
    cluster.lose(holder);
    let again: usize = others
        .iter()
        .map(|&worker| copy_all(&mut cluster, worker, Ok(CHUNK_BYTES)))
        .sum();
    assert_eq!(again, 1, "by the other one");
    assert_eq!(awaited(&cluster, job), [holder], "the client need not help");
    cluster.tell(Event::KeyReleased { key: A });
    for worker in others {
        assert_eq!(cluster.released(worker), [task(job, 0, 0)]);
    }
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn copies_that_find_no_room_are_made_when_somebody_has_some() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(value(3));
    let holder = hand_over(&mut cluster, job);
    let other = workers.into_iter().find(|worker| *worker != holder).expect("two");
    assert_eq!(
        copy_all(&mut cluster, other, Err(graticule_engine::CopyFailure::NoRoom)),
        1
    );
    assert_eq!(told_holders(&cluster, job), [1], "what there is");
    tell_status(&mut cluster, other);
    assert_eq!(copy_all(&mut cluster, other, Ok(CHUNK_BYTES)), 1);
    let third = cluster.join(1, 1 << 30);
    tell_status(&mut cluster, third);
    assert_eq!(copy_all(&mut cluster, third, Ok(CHUNK_BYTES)), 1);
    assert_eq!(told_holders(&cluster, job), [1, 2, 3]);
}

#[test]
fn a_value_that_is_lost_fails_with_those_that_need_it_when_its_client_has_it_no_more() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(value(1));
    let holder = hand_over(&mut cluster, job);
    let left = workers.into_iter().find(|worker| *worker != holder).expect("two");
    cluster.lose(holder);
    assert_eq!(awaited(&cluster, job), [holder, left]);
    let reader = cluster.submit(
        Plans::default()
            .calls(FUNCTION, B, &[&[(A, 0)]], &[(A, 0)])
            .plan(),
    );
    cluster.tell(Event::BlocksCancelled {
        key: A,
        blocks: std::iter::once(0..1).collect(),
    });
    let failed = |job: JobId| {
        cluster.notices.iter().find_map(|(of, event)| match event {
            JobEvent::BlockFailed { message, .. } if *of == job => Some(message.to_string()),
            _ => None,
        })
    };
    for job in [job, reader] {
        let message = failed(job).expect("it fails");
        assert!(
            message.contains("in scatter") && message.contains("replicas"),
            "{message}"
        );
    }
    for key in [A, B] {
        cluster.tell(Event::KeyReleased { key });
    }
    assert!(cluster.scheduler.is_clean());
}

/// Why the blocks of a job failed.
fn failure(cluster: &Cluster, job: JobId) -> Option<String> {
    cluster.notices.iter().find_map(|(of, event)| match event {
        JobEvent::BlockFailed { message, .. } if *of == job => Some(message.to_string()),
        _ => None,
    })
}

#[test]
fn calls_fail_whose_value_is_lost_after_its_client_let_go_of_it_and_before() {
    for lost_first in [true, false] {
        let (mut cluster, workers) = Cluster::of(2);
        let job = cluster.submit(value(1));
        let holder = hand_over(&mut cluster, job);
        let left = workers.into_iter().find(|worker| *worker != holder).expect("two");
        let reads = Plans::default().calls(FUNCTION, B, &[&[(A, 0)]], &[(A, 0)]);
        let reader = cluster.submit(reads.plan());
        if lost_first {
            cluster.lose(holder);
            assert_eq!(awaited(&cluster, job), [holder, left], "the client is asked");
            cluster.tell(Event::KeyReleased { key: A });
        } else {
            cluster.tell(Event::KeyReleased { key: A });
            assert_eq!(failure(&cluster, reader), None, "the value is there");
            cluster.lose(holder);
            assert_eq!(awaited(&cluster, job), [holder], "nobody can hand it over");
        }
        let message = failure(&cluster, reader).expect("it fails");
        assert!(message.contains("scatter it again"), "{message}");
        cluster.tell(Event::KeyReleased { key: B });
        assert!(cluster.scheduler.is_clean());
    }
}

#[test]
fn a_worker_hears_that_it_shall_drop_a_value_before_it_hears_that_it_shall_have_it_again() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(value(2));
    let holder = hand_over(&mut cluster, job);
    let other = workers.into_iter().find(|worker| *worker != holder).expect("two");
    assert_eq!(copy_all(&mut cluster, other, Ok(CHUNK_BYTES)), 1);
    let chunk = task(job, 0, 0);
    // The client could not fetch it there; nobody else has room.
    cluster.tell(Event::DeliveryFailed { chunk, worker: other });
    let heard = cluster.heard(other);
    let position = |wanted: fn(&ToWorker) -> bool| heard.iter().position(wanted).expect("it is told");
    let dropped = position(|message| matches!(message, ToWorker::Release { .. }));
    let copied = position(|message| matches!(message, ToWorker::Copy { .. }));
    assert!(dropped < copied, "{heard:?}");
}

#[test]
fn a_late_report_does_not_drop_what_its_worker_was_told_to_copy_meanwhile() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(value(2));
    let holder = hand_over(&mut cluster, job);
    let other = workers.into_iter().find(|worker| *worker != holder).expect("two");
    // What it says of an attempt that was taken back.
    let late = Leased {
        task: task(job, 0, 0),
        attempt: 9,
    };
    cluster.finish(other, late);
    assert_eq!(copy_all(&mut cluster, other, Ok(CHUNK_BYTES)), 1);
    assert_eq!(told_holders(&cluster, job), [2]);
    let heard = cluster.heard(other);
    let is_dropped = |message: &ToWorker| matches!(message, ToWorker::Release { .. });
    assert!(!heard.iter().any(is_dropped), "{heard:?}");
}

#[test]
fn a_value_that_nobody_wants_is_waited_for_no_more() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(value(1));
    let leased: Vec<Leased> = cluster.leased(workers[0]);
    assert_eq!(leased[0].task, task(job, 0, 0));
    cluster.tell(Event::BlocksReleased {
        key: A,
        blocks: std::iter::once(0..1).collect(),
    });
    let revoke = ToWorker::Revoke {
        tasks: vec![task(job, 0, 0)],
    };
    assert!(cluster.heard(workers[0]).contains(&revoke));
    assert!(cluster.scheduler.is_clean());
}
