//! Blocks that stand for themselves: calls of functions.

use crate::cluster::{CLIENT, Cluster, FUNCTION, Plans, task};
use graticule_engine::{
    FailureKind,
    scheduler::{Event, Fact, JobEvent, Observation, Restore},
};
use graticule_plan::{JobId, Key, Plan, TaskId, WorkerId};

const A: Key = Key(1);
const B: Key = Key(2);
const C: Key = Key(3);

/// `count` calls without arguments.
fn alone(key: Key, count: usize) -> Plan {
    Plans::default()
        .calls(FUNCTION, key, &vec![&[][..]; count], &[])
        .plan()
}

/// One call for each block of another layer that needs it.
fn of_each(key: Key, of: Key, blocks: &[u64]) -> Plan {
    let needs: Vec<[(Key, u64); 1]> = blocks.iter().map(|&block| [(of, block)]).collect();
    let needs: Vec<&[(Key, u64)]> = needs.iter().map(|needs| &needs[..]).collect();
    Plans::default().calls(FUNCTION, key, &needs, &[(of, 0)]).plan()
}

fn release(cluster: &mut Cluster, key: Key, blocks: &[u64]) {
    let blocks = blocks.iter().map(|&block| block..block + 1).collect();
    cluster.tell(Event::BlocksReleased { key, blocks });
}

/// The blocks of which a job's client was told, that are there and that failed.
fn told(cluster: &Cluster, job: JobId) -> (Vec<u64>, Vec<(u64, String)>) {
    let (mut ready, mut failed) = (Vec::new(), Vec::new());
    for (_, event) in cluster.notices.iter().filter(|(of, _)| *of == job) {
        match event {
            JobEvent::ChunkReady { block, .. } => ready.push(*block),
            JobEvent::BlockFailed { block, message, .. } => failed.push((*block, message.to_string())),
            _ => {}
        }
    }
    ready.sort_unstable();
    failed.sort();
    (ready, failed)
}

#[test]
fn a_client_lets_go_of_one_block_after_the_other() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(alone(A, 3));
    assert_eq!(cluster.run_all(&workers).len(), 3);
    assert_eq!(told(&cluster, job).0, [0, 1, 2]);
    assert!(cluster.is_told(job, &JobEvent::Finished));
    release(&mut cluster, A, &[1]);
    assert_eq!(cluster.released(workers[0]), [task(job, 0, 1)]);
    release(&mut cluster, A, &[1, 0]);
    assert_eq!(cluster.released(workers[0]), [task(job, 0, 0)]);
    assert!(!cluster.scheduler.is_clean());
    release(&mut cluster, A, &[2]);
    assert!(cluster.scheduler.is_clean());
    assert_eq!(cluster.scheduler.take_forgotten(), [job]);
}

#[test]
fn a_graph_grows_while_it_runs_and_a_block_stays_while_a_task_needs_it() {
    let (mut cluster, workers) = Cluster::of(1);
    let first = cluster.submit(alone(A, 2));
    let leased = cluster.leased(workers[0]);
    let second = cluster.submit(of_each(B, A, &[1]));
    release(&mut cluster, A, &[0, 1]);
    assert_eq!(
        cluster.heard(workers[0]),
        [graticule_engine::ToWorker::Revoke {
            tasks: vec![task(first, 0, 0)]
        }],
        "the other one is needed"
    );
    cluster.finish(workers[0], leased[1]);
    assert!(told(&cluster, first).0.is_empty(), "nobody keeps it");
    let next = cluster.leased(workers[0]);
    assert_eq!(next[0].task, task(second, 0, 0));
    cluster.finish(workers[0], next[0]);
    assert_eq!(told(&cluster, second).0, [0]);
    assert!(cluster.released(workers[0]).contains(&task(first, 0, 1)));
    release(&mut cluster, B, &[0]);
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn a_call_that_fails_fails_with_those_that_need_it_and_no_others() {
    let (mut cluster, workers) = Cluster::of(1);
    let first = cluster.submit(alone(A, 2));
    let second = cluster.submit(of_each(B, A, &[0, 1]));
    let leased = cluster.leased(workers[0]);
    cluster.fail(workers[0], leased[0], FailureKind::Permanent);
    cluster.finish(workers[0], leased[1]);
    let third = cluster.submit(of_each(C, B, &[0, 1]));
    cluster.run_all(&workers);
    for (job, ready, depth) in [(first, vec![1], 0), (second, vec![1], 1), (third, vec![1], 1)] {
        let (there, failed) = told(&cluster, job);
        assert_eq!((there, failed.len()), (ready, 1), "{job}");
        let message = &failed[0].1;
        assert!(
            message.contains("it broke") && message.matches("argument").count() == depth,
            "{message}"
        );
        assert!(cluster.is_told(job, &JobEvent::Finished), "{job}");
        assert_eq!(cluster.failure(job), None);
    }
    for key in [A, B, C] {
        release(&mut cluster, key, &[0, 1]);
    }
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn cancelled_calls_are_taken_back_and_fail_those_that_need_them() {
    let (mut cluster, workers) = Cluster::of(1);
    let first = cluster.submit(alone(A, 2));
    let second = cluster.submit(of_each(B, A, &[0]));
    let leased = cluster.leased(workers[0]);
    cluster.finish(workers[0], leased[1]);
    cluster.tell(Event::BlocksCancelled {
        key: A,
        blocks: std::iter::once(0..2).collect(),
    });
    let revoke = graticule_engine::ToWorker::Revoke {
        tasks: vec![task(first, 0, 0)],
    };
    assert!(cluster.heard(workers[0]).contains(&revoke));
    assert_eq!(told(&cluster, first).0, [1], "what is there stays");
    assert!(told(&cluster, second).1[0].1.contains("cancelled"));
    assert!(cluster.is_told(first, &JobEvent::Finished));
}

#[test]
fn a_lost_block_is_made_again_and_told_again_after_its_job_has_finished() {
    let (mut cluster, workers) = Cluster::of(2);
    let first = cluster.submit(alone(A, 1));
    let second = cluster.submit(of_each(B, A, &[0]));
    let done = cluster.run_all(&workers);
    release(&mut cluster, A, &[0]);
    let holder = done.iter().find(|(_, t)| t.job == second).expect("it ran").0;
    cluster.lose(holder);
    cluster.notices.clear();
    let rest: Vec<WorkerId> = workers.iter().copied().filter(|w| *w != holder).collect();
    let again: Vec<TaskId> = cluster.run_all(&rest).into_iter().map(|(_, task)| task).collect();
    assert_eq!(again, [task(first, 0, 0), task(second, 0, 0)], "from its lineage");
    assert_eq!(told(&cluster, second).0, [0]);
    release(&mut cluster, B, &[0]);
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn functions_run_only_where_they_are_known() {
    let mut cluster = Cluster::default();
    let plain = cluster.join_calling(&[FUNCTION]);
    let job = cluster.submit(alone(A, 4));
    // What was ready for anybody waits apart from now on.
    let stranger = cluster.join_calling(&["other"]);
    cluster.run_all(&[stranger]);
    assert!(told(&cluster, job).0.is_empty());
    let done = cluster.run_all(&[plain, stranger]);
    assert!(done.iter().all(|(worker, _)| *worker == plain) && done.len() == 4);

    let unknown = cluster.submit(Plans::default().calls("nobody", B, &[&[]], &[]).plan());
    let (_, failed) = told(&cluster, unknown);
    assert!(
        failed[0].1.contains("\"nobody\"") && failed[0].1.contains("count, other"),
        "{failed:?}"
    );
}

#[test]
fn calls_of_higher_priority_go_first_whenever_they_came() {
    let (mut cluster, workers) = Cluster::of(1);
    let slow = |plan: Plans, key, priority| {
        let mut plan = plan;
        plan.layer("calls", 100, Vec::new(), |layer| {
            layer.kind = graticule_plan::LayerKind::Calls {
                function: FUNCTION.into(),
                learns_size: false,
            };
            layer.cost_ns = 1_000_000;
            layer.priority = priority;
        });
        plan.keep(key).plan()
    };
    let low = cluster.submit(slow(Plans::default(), A, 0));
    let leased = |event: &Observation| match event {
        Observation::TasksLeased { tasks, .. } => tasks.count as usize,
        _ => 0,
    };
    let at_hand: usize = cluster.observed.iter().map(leased).sum();
    let high = cluster.submit(slow(Plans::default(), B, 5));
    let done = cluster.run_all(&workers);
    let last_high = done.iter().rposition(|(_, t)| t.job == high).expect("all ran");
    let before = done[..last_high].iter().filter(|(_, t)| t.job == low).count();
    // Those that were leased when the others came, and those that were ready.
    assert!(
        before <= at_hand + 4 && at_hand < 90,
        "{before} of lower priority ran before, {at_hand} were at hand"
    );
}

#[test]
fn what_was_let_go_and_what_failed_stays_so_after_a_restart() {
    let plan = alone(A, 4);
    let job = JobId(1);
    let facts = vec![
        Fact::JobSubmitted {
            job,
            client: CLIENT,
            name: "calls".into(),
            plan: std::sync::Arc::new(plan),
        },
        Fact::BlocksReleased {
            key: A,
            blocks: std::iter::once(1..2).collect(),
        },
        Fact::BlockFailed {
            task: task(job, 0, 2),
            message: "it broke".into(),
        },
    ];
    let worker = WorkerId(1);
    let mut cluster = Cluster::restored(Restore {
        facts,
        first_worker: 100,
        awaited: [worker].into(),
        wait_us: 1000,
    });
    cluster.come_back(worker, &[task(job, 0, 0), task(job, 0, 1)]);
    assert_eq!(cluster.released(worker), [task(job, 0, 1)]);
    cluster.notices.clear();
    cluster.tell(Event::ClientReturned { client: CLIENT });
    assert_eq!(
        told(&cluster, job),
        (vec![0], vec![(2, "it broke".into())]),
        "all of it is told again"
    );
    let ran: Vec<TaskId> = cluster
        .run_all(&[worker])
        .into_iter()
        .map(|(_, task)| task)
        .collect();
    assert_eq!(ran, [task(job, 0, 3)]);
    assert!(cluster.is_told(job, &JobEvent::Finished));
    release(&mut cluster, A, &[0, 2, 3]);
    assert!(cluster.scheduler.is_clean());
}
