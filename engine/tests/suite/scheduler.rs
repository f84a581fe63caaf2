//! The scheduler's rules, one by one.

use crate::cluster::{self, CHUNK_BYTES, CLIENT, Cluster, Leased, OTHER_CLIENT, Plans, task};
use graticule_engine::{
    FailureKind, SessionId, Time, ToScheduler, ToWorker,
    scheduler::{Config, Event, JobEvent},
};
use graticule_plan::{JobId, Key, WorkerId};

const KEY: Key = Key(7);
const OTHER_KEY: Key = Key(8);

#[test]
fn a_job_finishes_when_all_its_chunks_are_delivered() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(2).each().deliver().plan());
    let done = cluster.run_all(&workers);
    assert_eq!(done.len(), 4);
    cluster.deliver(task(job, 1, 0));
    assert!(!cluster.is_told(job, &JobEvent::Finished));
    cluster.deliver(task(job, 1, 1));
    assert!(cluster.is_told(job, &JobEvent::Finished));
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn chunks_are_released_when_the_last_task_that_needs_them_is_finished() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(2).all().deliver().plan());
    for leased in cluster.leased(workers[0]) {
        cluster.finish(workers[0], leased);
    }
    let last = cluster.leased(workers[0]);
    assert_eq!(last.len(), 1);
    assert_eq!(cluster.released(workers[0]), vec![]);
    cluster.finish(workers[0], last[0]);
    let mut released = cluster.released(workers[0]);
    released.sort_unstable();
    assert_eq!(released, vec![task(job, 0, 0), task(job, 0, 1)]);
}

#[test]
fn lost_worker_reschedules_only_what_nobody_else_holds() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(Plans::default().source(4).each().keep(KEY).plan());
    let done = cluster.run_all(&workers);
    let of_lost: Vec<_> = done
        .iter()
        .filter(|(w, t)| *w == workers[0] && t.layer.0 == 1)
        .collect();
    assert!(
        !of_lost.is_empty() && of_lost.len() < 4,
        "both workers had a part"
    );
    cluster.lose(workers[0]);
    let again = cluster.run_all(&workers[1..]);
    let mut kept_again: Vec<_> = again
        .iter()
        .filter(|(_, t)| t.layer.0 == 1)
        .map(|(_, t)| *t)
        .collect();
    kept_again.sort_unstable();
    let mut want: Vec<_> = of_lost.iter().map(|(_, t)| *t).collect();
    want.sort_unstable();
    assert_eq!(kept_again, want);
    assert_eq!(
        again.len(),
        2 * want.len(),
        "each with its source, which was released"
    );
    assert!(cluster.scheduler.kept(KEY).is_some_and(|spec| spec.job == job));
}

#[test]
fn a_worker_that_joins_mid_run_gets_work() {
    let (mut cluster, workers) = Cluster::of(1);
    let slow = |layer: &mut graticule_plan::Layer| layer.cost_ns = 1_000_000_000;
    cluster.submit(Plans::default().source_with(10, slow).deliver().plan());
    assert_eq!(
        cluster.leased(workers[0]).len(),
        1,
        "long tasks are leased as slots fall free"
    );
    let late = cluster.join(1, 1 << 30);
    assert_eq!(cluster.leased(late).len(), 1);
}

#[test]
fn late_reports_of_an_older_session_are_dropped() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(1).deliver().plan());
    let old_session = cluster.session(workers[0]);
    let leased = cluster.leased(workers[0]);
    let back = cluster.come_back(workers[0], &[]);
    assert_eq!(back, workers[0], "the same process keeps its id");
    assert_eq!(cluster.closed, vec![old_session]);
    assert_eq!(cluster.scheduler.late_count(), 0);
    cluster.report_on(old_session, leased[0], Ok(cluster::finished()));
    assert_eq!(cluster.scheduler.late_count(), 1);
    assert!(
        !cluster
            .notices
            .iter()
            .any(|(_, e)| matches!(e, JobEvent::ChunkReady { .. }))
    );
    let again = cluster.leased(back);
    assert_eq!(again.len(), 1);
    cluster.finish(back, again[0]);
    cluster.deliver(task(job, 0, 0));
    assert!(cluster.is_told(job, &JobEvent::Finished));
}

#[test]
fn a_late_report_of_an_older_attempt_is_not_taken_for_the_newer() {
    let (mut cluster, workers) = Cluster::of(1);
    let base = cluster.submit(Plans::default().source(1).keep(KEY).deliver().plan());
    let first = cluster.leased(workers[0])[0];
    // Both wants are gone, and the lease is taken back; then another plan cannot name it any more.
    cluster.deliver(first.task);
    cluster.tell(Event::KeyReleased { key: KEY });
    let heard = cluster.heard(workers[0]);
    assert!(
        heard.contains(&ToWorker::Revoke {
            tasks: vec![first.task]
        }),
        "{heard:?}"
    );
    assert!(cluster.is_told(base, &JobEvent::Finished));
    cluster.finish(workers[0], first);
    assert_eq!(
        cluster.released(workers[0]),
        vec![first.task],
        "nobody wants what came of it"
    );
    assert_eq!(cluster.scheduler.late_count(), 1);
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_task_taken_back_and_leased_again_has_another_attempt() {
    let (mut cluster, workers) = Cluster::of(2);
    cluster.submit(Plans::default().source(1).keep(KEY).plan());
    let first = cluster.leased(workers[0])[0];
    // The other worker says that it holds the chunk, so the lease is taken back; then it loses it.
    cluster.come_back(workers[1], &[first.task]);
    assert!(cluster.heard(workers[0]).contains(&ToWorker::Revoke {
        tasks: vec![first.task]
    }));
    cluster.lose(workers[1]);
    let second = cluster.leased(workers[0])[0];
    assert_eq!((second.task, second.attempt), (first.task, first.attempt + 1));
    cluster.finish(workers[0], first);
    assert_eq!(
        cluster.released(workers[0]),
        vec![],
        "a release could overtake the newer result"
    );
    cluster.finish(workers[0], second);
    assert_eq!(cluster.released(workers[0]), vec![]);
}

#[test]
fn persisted_chunks_survive_their_job_and_are_released_by_key() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(2).keep(KEY).plan());
    cluster.run_all(&workers);
    assert!(cluster.is_told(job, &JobEvent::Finished));
    assert!(cluster.scheduler.kept(KEY).is_some());
    assert!(!cluster.scheduler.is_clean());
    cluster.tell(Event::KeyReleased { key: KEY });
    let mut released = cluster.released(workers[0]);
    released.sort_unstable();
    assert_eq!(released, vec![task(job, 0, 0), task(job, 0, 1)]);
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn later_plans_build_on_what_is_kept() {
    let (mut cluster, workers) = Cluster::of(1);
    cluster.submit(Plans::default().source(3).keep(KEY).plan());
    cluster.run_all(&workers);
    let user = cluster.submit(Plans::default().each_of(KEY, 3).deliver().plan());
    cluster.tell(Event::KeyReleased { key: KEY });
    let done = cluster.run_all(&workers);
    assert_eq!(done.len(), 3, "nothing is made twice");
    (0..3).for_each(|block| cluster.deliver(task(user, 0, block)));
    assert!(cluster.is_told(user, &JobEvent::Finished));
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_plan_that_names_what_is_not_kept_fails_at_once() {
    let (mut cluster, _) = Cluster::of(1);
    let job = cluster.submit(Plans::default().each_of(KEY, 3).deliver().plan());
    assert!(
        cluster
            .failure(job)
            .is_some_and(|m| m.contains("no result is kept under the name 7"))
    );
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_name_is_given_once() {
    let (mut cluster, _) = Cluster::of(1);
    let twice = Plans::default().source(1).keep(KEY).each().keep(KEY).plan();
    let job = cluster.submit(twice);
    assert!(cluster.failure(job).is_some_and(|m| m.contains("name 7 already")));
    let first = cluster.submit(Plans::default().source(1).keep(KEY).plan());
    let second = cluster.submit(Plans::default().source(1).keep(KEY).plan());
    assert!(cluster.failure(first).is_none() && cluster.failure(second).is_some());
}

#[test]
fn one_layer_kept_under_two_names_lives_until_both_are_released() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(2).keep(KEY).keep(OTHER_KEY).plan());
    cluster.run_all(&workers);
    assert!(cluster.is_told(job, &JobEvent::Finished));
    cluster.tell(Event::KeyReleased { key: KEY });
    assert_eq!(cluster.released(workers[0]), vec![]);
    cluster.tell(Event::KeyReleased { key: OTHER_KEY });
    assert_eq!(cluster.released(workers[0]).len(), 2);
}

#[test]
fn releasing_a_name_of_a_running_job_leaves_its_other_outputs() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(2).keep(KEY).each().keep(OTHER_KEY).plan());
    cluster.tell(Event::KeyReleased { key: KEY });
    cluster.run_all(&workers);
    assert!(cluster.is_told(job, &JobEvent::Finished));
    assert!(cluster.scheduler.kept(KEY).is_none() && cluster.scheduler.kept(OTHER_KEY).is_some());
}

#[test]
fn cancelling_a_job_keeps_what_others_hold() {
    let (mut cluster, workers) = Cluster::of(1);
    let base = cluster.submit(Plans::default().source(20).each().keep(KEY).plan());
    let user = cluster.submit_for(OTHER_CLIENT, Plans::default().each_of(KEY, 20).deliver().plan());
    cluster.tell(Event::JobCancelled { job: base });
    assert!(cluster.is_told(base, &JobEvent::Cancelled));
    let done = cluster.run_all(&workers);
    assert_eq!(done.iter().filter(|(_, t)| t.job == user).count(), 20);
    (0..20).for_each(|block| cluster.deliver(task(user, 0, block)));
    assert!(cluster.is_told(user, &JobEvent::Finished));
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_walk_under_way_goes_on_for_others_when_its_job_is_cancelled() {
    let (mut cluster, workers) = Cluster::of(1);
    let base = cluster.submit(Plans::default().source(200).all().keep(KEY).plan());
    // The one task of the second layer is demanded, and most of its inputs were not looked at yet.
    let user = cluster.submit_for(OTHER_CLIENT, Plans::default().each_of(KEY, 1).deliver().plan());
    cluster.tell(Event::JobCancelled { job: base });
    let done = cluster.run_all(&workers);
    assert_eq!(done.last(), Some(&(workers[0], task(user, 0, 0))));
    assert!(done.len() >= 202, "{} tasks", done.len());
}

#[test]
fn cancelling_a_job_takes_its_leases_back() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(20).deliver().plan());
    let leased = cluster.leased(workers[0]);
    cluster.tell(Event::JobCancelled { job });
    let heard = cluster.heard(workers[0]);
    for Leased { task, .. } in leased {
        assert!(heard.contains(&ToWorker::Revoke { tasks: vec![task] }));
    }
    assert!(heard.contains(&ToWorker::Forget { job }));
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_client_that_leaves_takes_its_jobs_and_names_along() {
    let (mut cluster, workers) = Cluster::of(1);
    cluster.submit(Plans::default().source(2).keep(KEY).plan());
    cluster.run_all(&workers);
    let running = cluster.submit(Plans::default().source(9).deliver().plan());
    cluster.tell(Event::ClientLeft { client: OTHER_CLIENT });
    assert!(cluster.scheduler.kept(KEY).is_some());
    cluster.tell(Event::ClientLeft { client: CLIENT });
    assert!(cluster.is_told(running, &JobEvent::Cancelled));
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_permanent_failure_fails_the_job_and_those_that_wait_for_it() {
    let (mut cluster, workers) = Cluster::of(1);
    let base = cluster.submit(Plans::default().source(1).keep(KEY).plan());
    let user = cluster.submit_for(OTHER_CLIENT, Plans::default().each_of(KEY, 1).deliver().plan());
    let leased = cluster.leased(workers[0])[0];
    cluster.fail(workers[0], leased, FailureKind::Permanent);
    for job in [base, user] {
        let message = cluster.failure(job).expect("it failed");
        assert!(
            message.contains("in source") && message.contains("it broke"),
            "{message}"
        );
    }
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_kept_result_that_cannot_be_made_anew_fails_its_finished_job() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(Plans::default().source(1).keep(KEY).plan());
    let (holder, _) = cluster.run_all(&workers)[0];
    assert!(cluster.is_told(job, &JobEvent::Finished));
    let other = workers[usize::from(holder == workers[0])];
    cluster.lose(holder);
    let again = cluster.leased(other)[0];
    cluster.fail(other, again, FailureKind::Permanent);
    assert!(cluster.failure(job).is_some());
    assert!(cluster.scheduler.kept(KEY).is_none() && cluster.scheduler.is_clean());
}

#[test]
fn transient_failures_are_retried_as_often_as_the_layer_says() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(
        Plans::default()
            .source_with(1, |l| l.retries = 2)
            .deliver()
            .plan(),
    );
    for _ in 0..3 {
        assert!(cluster.failure(job).is_none());
        let leased = cluster.leased(workers[0])[0];
        cluster.fail(workers[0], leased, FailureKind::Transient);
    }
    assert!(cluster.failure(job).is_some());
}

#[test]
fn missing_inputs_are_made_anew_and_count_no_attempt() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(1).each().deliver().plan());
    let source = cluster.leased(workers[0])[0];
    cluster.finish(workers[0], source);
    let each = cluster.leased(workers[0])[0];
    let missing = FailureKind::MissingInputs(vec![(source.task, workers[0])]);
    cluster.fail(workers[0], each, missing);
    let done = cluster.run_all(&workers);
    assert_eq!(
        done.iter().map(|(_, t)| *t).collect::<Vec<_>>(),
        [source.task, each.task]
    );
    assert!(cluster.failure(job).is_none());
}

#[test]
fn inputs_that_are_missing_for_ever_fail_the_job() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(1).each().deliver().plan());
    let source = cluster.leased(workers[0])[0];
    cluster.finish(workers[0], source);
    for _ in 0..1000 {
        let Some(&leased) = cluster.leased(workers[0]).first() else {
            break;
        };
        cluster.fail(workers[0], leased, FailureKind::MissingInputs(Vec::new()));
    }
    assert!(
        cluster
            .failure(job)
            .is_some_and(|m| m.contains("could not be fetched"))
    );
}

#[test]
fn a_task_too_large_for_every_worker_fails_by_name() {
    let mut cluster = Cluster::default();
    cluster.join(1, 2 * CHUNK_BYTES);
    let job = cluster.submit(
        Plans::default()
            .source_with(1, |l| l.scratch_bytes = 10 << 20)
            .deliver()
            .plan(),
    );
    let message = cluster.failure(job).expect("it failed");
    assert!(
        message.contains("in source") && message.contains("needs 11 MiB"),
        "{message}"
    );
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_task_is_as_large_as_the_parts_it_reads_not_as_the_chunks() {
    use graticule_plan::{
        AxisChunks, AxisWindow, Body, ChunkGrid, Input, InputMap, Layer, Output, PlanBuilder, Source,
    };
    let mut builder = PlanBuilder::new();
    let grid = |chunk| ChunkGrid::new(vec![AxisChunks::regular(100, chunk).unwrap()]).unwrap();
    let source = Layer::new("whole", grid(100), 10, Body::new(*b"whole"), Vec::new());
    let source = Source::Layer(builder.layer(source).unwrap());
    let map = InputMap::Product(vec![AxisWindow::Affine {
        out_axis: 0,
        start: 0,
        step: 1,
    }]);
    let mut parts = Layer::new(
        "parts",
        grid(1),
        10,
        Body::new(*b"parts"),
        vec![Input { source, map }],
    );
    parts.scratch_bytes = 900;
    let layer = builder.layer(parts).unwrap();
    builder.output(Output { layer, keep: None }).unwrap();
    let mut cluster = Cluster::default();
    let worker = cluster.join(1, 1000);
    let job = cluster.submit(builder.finish());
    assert_eq!(cluster.run_all(&[worker]).len(), 101);
    assert!(cluster.failure(job).is_none());
}

#[test]
fn jobs_take_turns() {
    let (mut cluster, workers) = Cluster::of(1);
    let slow = |layer: &mut graticule_plan::Layer| layer.cost_ns = 1_000_000_000;
    let jobs: Vec<JobId> = (0..3)
        .map(|_| cluster.submit(Plans::default().source_with(10, slow).deliver().plan()))
        .collect();
    let mut served = Vec::new();
    for _ in 0..12 {
        let leased = cluster.leased(workers[0])[0];
        served.push(leased.task.job);
        // Each takes a second, so that the layer stays one of long tasks.
        let session = cluster.session(workers[0]);
        let report = graticule_engine::Report {
            task: leased.task,
            attempt: leased.attempt,
            outcome: Ok(cluster::finished()),
            times: graticule_engine::TaskTimes {
                compute_us: 1_000_000,
                ..Default::default()
            },
            others: Vec::new(),
        };
        let message = ToScheduler::Reports(vec![report]);
        cluster.tell(Event::WorkerMessage { session, message });
    }
    for job in jobs {
        let count = served.iter().filter(|&&j| j == job).count();
        assert!((3..=5).contains(&count), "{served:?}");
    }
}

#[test]
fn memory_bounds_the_sources_that_run_ahead() {
    let mut cluster = Cluster::default();
    let worker = cluster.join(4, 16 * CHUNK_BYTES);
    cluster.submit(Plans::default().source(1000).deliver().plan());
    let mut made = 0;
    for _ in 0..12 {
        for leased in cluster.leased(worker) {
            cluster.finish(worker, leased);
            made += 1;
        }
    }
    assert!(made <= 25, "{made} results wait for a client that fetches none");
    assert!(made >= 12, "{made} chunks fit easily");
}

#[test]
fn a_set_of_chunks_larger_than_memory_is_completed_by_all_slots() {
    let mut cluster = Cluster::default();
    let worker = cluster.join(4, 300 * CHUNK_BYTES);
    let all = Plans::default().source(280).all().deliver().plan();
    cluster.submit(all);
    let mut at_a_time = Vec::new();
    loop {
        let leased = cluster.leased(worker);
        if leased.is_empty() {
            break;
        }
        at_a_time.push(leased.len());
        leased
            .into_iter()
            .for_each(|leased| cluster.finish(worker, leased));
    }
    assert_eq!(at_a_time.iter().sum::<usize>(), 281);
    let full = &at_a_time[at_a_time.len() - 10..at_a_time.len() - 2];
    assert!(full.iter().any(|&count| count >= 4), "{at_a_time:?}");
}

#[test]
fn an_inventory_saves_recomputation() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(3).each().keep(KEY).plan());
    cluster.run_all(&workers);
    cluster.lose(workers[0]);
    let held: Vec<_> = (0..3).map(|block| task(job, 1, block)).collect();
    let back = cluster.come_back(workers[0], &held);
    assert_eq!(cluster.run_all(&[back]), vec![]);
}

#[test]
fn an_inventory_of_what_nobody_wants_is_released() {
    let (mut cluster, workers) = Cluster::of(1);
    let unknown = task(JobId(99), 0, 0);
    let back = cluster.come_back(workers[0], &[unknown]);
    assert_eq!(cluster.released(back), vec![unknown]);
}

#[test]
fn a_task_that_kills_workers_fails_its_job_and_no_other() {
    let mut cluster = Cluster::default();
    let killer = cluster.submit(Plans::default().source(1).deliver().plan());
    let innocent = cluster.submit(Plans::default().source(3).deliver().plan());
    let mut lost = 0;
    for _ in 0..50 {
        if cluster.failure(killer).is_some() {
            break;
        }
        let worker = cluster.join(2, 1 << 30);
        for _ in 0..10 {
            let leased = cluster.leased(worker);
            if leased.iter().any(|l| l.task.job == killer) {
                cluster.lose(worker);
                lost += 1;
                break;
            }
            leased
                .into_iter()
                .for_each(|leased| cluster.finish(worker, leased));
        }
    }
    assert_eq!(lost, 4);
    assert!(
        cluster
            .failure(killer)
            .is_some_and(|m| m.contains("4 workers vanished"))
    );
    assert!(cluster.failure(innocent).is_none());
    let worker = cluster.join(1, 1 << 30);
    cluster.run_all(&[worker]);
    (0..3).for_each(|block| cluster.deliver(task(innocent, 0, block)));
    assert!(cluster.is_told(innocent, &JobEvent::Finished));
}

#[test]
fn a_worker_that_comes_back_acquits_its_tasks() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(1).deliver().plan());
    for _ in 0..10 {
        cluster.lose(workers[0]);
        cluster.come_back(workers[0], &[]);
    }
    assert!(cluster.failure(job).is_none());
    assert_eq!(cluster.run_all(&workers).len(), 1);
}

#[test]
fn a_silent_worker_is_given_up_and_its_work_runs_elsewhere() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(Plans::default().source(2).deliver().plan());
    let (silent, lively) = (workers[0], workers[1]);
    let there = cluster.leased(silent);
    assert_eq!(there.len(), 1);
    cluster.now = cluster.scheduler.next_timeout().expect("workers are connected");
    let message = ToScheduler::Status(Default::default());
    let session = cluster.session(lively);
    cluster.tell(Event::WorkerMessage { session, message });
    cluster.tell(Event::Tick);
    assert_eq!(cluster.closed, vec![cluster.session(silent)]);
    let done = cluster.run_all(&[lively]);
    assert!(done.contains(&(lively, there[0].task)), "{done:?}");
    assert!(cluster.failure(job).is_none());
    assert_eq!(cluster.scheduler.worker_count(), 1);
}

#[test]
fn a_retiring_worker_gets_no_new_work() {
    let (mut cluster, workers) = Cluster::of(2);
    let session = cluster.session(workers[0]);
    let message = ToScheduler::Retire { deadline_us: 1000 };
    cluster.tell(Event::WorkerMessage { session, message });
    cluster.submit(Plans::default().source(10).deliver().plan());
    assert_eq!(cluster.leased(workers[0]), vec![]);
    assert!(!cluster.leased(workers[1]).is_empty());
}

#[test]
fn without_workers_a_client_is_told_so() {
    let mut cluster = Cluster::new(Config::default());
    let job = cluster.submit(Plans::default().source(1).deliver().plan());
    assert!(cluster.is_told(job, &JobEvent::NoWorkers));
    assert_eq!(cluster.scheduler.next_timeout(), None);
    assert_eq!(cluster.now, Time::ZERO);
}

#[test]
fn results_that_a_client_cannot_fetch_are_made_again_until_the_job_fails() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(1).deliver().plan());
    let chunk = task(job, 0, 0);
    let mut made = 0;
    while cluster.failure(job).is_none() {
        made += cluster.run_all(&workers).len();
        let worker = workers[0];
        cluster.tell(Event::DeliveryFailed { chunk, worker });
        assert!(made < 1000);
    }
    assert!(made > 10);
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn nonsense_from_workers_and_clients_changes_nothing() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(Plans::default().source(4).each().keep(KEY).plan());
    let session = cluster.session(workers[0]);
    for chunk in [
        task(job, 9, 0),
        task(job, 0, 99),
        task(JobId(77), 0, 0),
        task(job, u32::MAX, u64::MAX),
    ] {
        for worker in [workers[0], WorkerId(99)] {
            cluster.tell(Event::DeliveryFailed { chunk, worker });
        }
        cluster.tell(Event::ChunkDelivered { chunk });
        cluster.report_on(
            session,
            Leased {
                task: chunk,
                attempt: 1,
            },
            Ok(cluster::finished()),
        );
        let message = ToScheduler::ChunksLost { chunks: vec![chunk] };
        cluster.tell(Event::WorkerMessage { session, message });
        cluster.come_back(workers[1], &[chunk, chunk]);
    }
    let missing = FailureKind::MissingInputs(vec![
        (task(job, 9, 9), WorkerId(5)),
        (task(job, 0, 1), workers[1]),
    ]);
    cluster.fail(
        workers[0],
        Leased {
            task: task(job, 8, 0),
            attempt: 0,
        },
        missing,
    );
    cluster.tell(Event::JobCancelled { job: JobId(55) });
    cluster.tell(Event::KeyReleased { key: OTHER_KEY });
    cluster.tell(Event::WorkerDisconnected {
        session: SessionId(999),
    });
    cluster.run_all(&workers);
    assert!(cluster.is_told(job, &JobEvent::Finished));
}

#[test]
fn a_worker_that_announces_itself_twice_is_sent_away() {
    let (mut cluster, workers) = Cluster::of(1);
    let session = cluster.session(workers[0]);
    let announce = graticule_engine::Announce {
        name: "again".into(),
        address: "there".into(),
        slots: u32::MAX,
        budget_bytes: u64::MAX,
        worker: None,
        incarnation: None,
        resources: Vec::new(),
        functions: Vec::new(),
        inventory: Vec::new(),
    };
    let message = ToScheduler::Announce(announce);
    cluster.tell(Event::WorkerMessage { session, message });
    assert_eq!(
        (cluster.closed.clone(), cluster.scheduler.worker_count()),
        (vec![session], 0)
    );
}

#[test]
fn a_chunk_of_impossible_size_upsets_no_books() {
    let (mut cluster, workers) = Cluster::of(1);
    cluster.submit(Plans::default().source(3).all().keep(KEY).plan());
    for leased in cluster.leased(workers[0]) {
        let huge = graticule_engine::Finished {
            bytes: u64::MAX,
            ..cluster::finished()
        };
        cluster.report(workers[0], leased, Ok(huge));
    }
    cluster.run_all(&workers);
    assert!(cluster.scheduler.kept(KEY).is_some());
}
