//! Tasks that not every worker may run.

use crate::cluster::{self, Cluster, Plans};
use graticule_engine::scheduler::{Config, JobEvent, Standing};
use graticule_plan::{
    Annotations, AxisWindow, Input, InputMap, JobId, Layer, LayerId, Output, Plan, Resource, Source, WorkerId,
};

fn on_gpus(count: u32) -> impl FnOnce(&mut Layer) {
    move |layer| Annotations::new().resource("GPU", count).apply(layer)
}

fn plan(count: u64, change: impl FnOnce(&mut Layer)) -> Plan {
    Plans::default().source_with(count, change).deliver().plan()
}

fn join(cluster: &mut Cluster, slots: u32, gpus: u32) -> WorkerId {
    let gpu = Resource {
        name: "GPU".into(),
        count: gpus,
    };
    cluster.join_offering(slots, vec![gpu])
}

fn is_told_of(cluster: &Cluster, job: JobId, what: &str) -> bool {
    cluster.notices.iter().any(|(of, event)| match event {
        JobEvent::Problems(problems) => *of == job && problems.iter().any(|problem| problem.contains(what)),
        _ => false,
    })
}

#[test]
fn a_resource_is_occupied_by_no_more_tasks_than_there_is_of_it() {
    let mut cluster = Cluster::default();
    let plain = cluster.join(4, 1 << 30);
    let with_gpus = join(&mut cluster, 8, 3);
    let job = cluster.submit(plan(20, on_gpus(2)));
    assert_eq!(cluster.leased(plain), []);
    let mut left = 20;
    while left > 0 {
        let leased = cluster.leased(with_gpus);
        assert_eq!(leased.len(), 1, "three are there, and each takes two");
        cluster.finish(with_gpus, leased[0]);
        cluster.deliver(leased[0].task);
        left -= 1;
    }
    assert!(cluster.is_told(job, &JobEvent::Finished));
}

#[test]
fn tasks_that_wait_for_a_resource_stand_in_nobody_s_way() {
    let mut cluster = Cluster::default();
    let worker = join(&mut cluster, 4, 1);
    cluster.submit(plan(1000, on_gpus(1)));
    let first = cluster.leased(worker);
    assert_eq!(first.len(), 1);
    let other = cluster.submit(plan(50, |_| {}));
    let done = cluster.run_all(&[worker]);
    assert_eq!(done.iter().filter(|(_, task)| task.job == other).count(), 50);
    assert!(
        cluster.scheduler.counts().live_tasks < 100,
        "no more are demanded than wait usefully"
    );
}

#[test]
fn a_task_runs_on_a_worker_that_is_named_and_on_no_other() {
    let mut cluster = Cluster::default();
    let (first, second) = (cluster.join_as("one"), cluster.join_as("two"));
    let job = cluster.submit(plan(30, |layer| Annotations::new().worker("two").apply(layer)));
    let done = cluster.run_all(&[first, second]);
    assert_eq!(done.len(), 30);
    assert!(done.iter().all(|(worker, _)| *worker == second));
    assert!(!is_told_of(&cluster, job, "waits"));
}

#[test]
fn what_nobody_offers_is_told_and_waited_for() {
    let mut cluster = Cluster::default();
    cluster.join(1, 1 << 30);
    let job = cluster.submit(plan(1, on_gpus(1)));
    assert!(is_told_of(
        &cluster,
        job,
        "no connected worker offers what it asks for (1 GPU)"
    ));
    let answer = cluster
        .scheduler
        .why(cluster::task(job, 0, 0))
        .expect("it is known");
    let Standing::Ready { workers, .. } = answer.standing else {
        panic!("{answer}");
    };
    assert_eq!((workers.connected, workers.unfit), (1, 1), "{answer}");
    let late = join(&mut cluster, 1, 1);
    assert_eq!(cluster.leased(late).len(), 1);
}

#[test]
fn what_a_lost_worker_offered_is_not_missed_when_it_comes_back() {
    let mut cluster = Cluster::default();
    let worker = join(&mut cluster, 2, 1);
    cluster.submit(plan(3, on_gpus(1)));
    assert_eq!(cluster.leased(worker).len(), 1);
    cluster.lose(worker);
    let other = join(&mut cluster, 2, 1);
    assert_eq!(cluster.run_all(&[other]).len(), 3);
}

#[test]
fn of_two_layers_that_need_a_thing_the_one_of_higher_priority_has_it_first() {
    let mut cluster = Cluster::default();
    let low = cluster.submit(plan(2, on_gpus(1)));
    let high = cluster.submit(plan(2, |layer| {
        Annotations::new().resource("GPU", 1).priority(5).apply(layer);
    }));
    let worker = join(&mut cluster, 4, 1);
    let order: Vec<JobId> = cluster
        .run_all(&[worker])
        .into_iter()
        .map(|(_, task)| task.job)
        .collect();
    assert_eq!(order, [high, high, low, low]);
}

/// A chunk for which many tasks wait makes them ready together, and what they leave is needed one by one: the bound on a job's
/// memory, which is looked at after each event, holds only if each is followed by the task that consumes what it left.
#[test]
fn tasks_that_need_things_run_depth_first_across_their_layers() {
    let mut cluster = Cluster::new(Config {
        in_hand_bytes_min: 2000,
        ..Config::default()
    });
    let input = |layer, window| Input {
        source: Source::Layer(LayerId(layer)),
        map: InputMap::Product(vec![window]),
    };
    let mut plans = Plans::default().source(1);
    plans.layer("many", 8, vec![input(0, AxisWindow::All)], on_gpus(2));
    let aligned = AxisWindow::Aligned { out_axis: 0 };
    let last = plans.layer("each", 8, vec![input(1, aligned)], on_gpus(1));
    let output = Output {
        layer: last,
        keep: None,
    };
    plans.builder.output(output).expect("small plans are valid");
    let plan = plans.plan();
    let bytes = plan.depth_first_bytes(|_| None, 1 << 20);
    let worker = join(&mut cluster, 1, 2);
    let job = cluster.submit(plan.with_depth_first_hint(bytes));
    let done = cluster.run_all(&[worker]);
    let order: Vec<(u32, u64)> = done.iter().map(|(_, task)| (task.layer.0, task.block)).collect();
    let in_turn = (0..8).flat_map(|block| [(1, block), (2, block)]);
    assert_eq!(order, [(0, 0)].into_iter().chain(in_turn).collect::<Vec<_>>());
    assert!(cluster.failure(job).is_none());
}
