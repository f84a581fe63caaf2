//! A job's memory stays within the bound that its plan gives.

use std::collections::BTreeSet;

use crate::cluster::{CHUNK_BYTES, Cluster, Plans};
use graticule_engine::{PlanMemory, scheduler::Config};
use graticule_plan::{
    Annotations, AxisWindow, Input, InputMap, Key, Layer, LayerId, Output, Plan, Resource, Source,
};

/// As a client hands it in.
fn walked(plan: Plan) -> Plan {
    let bytes = plan.depth_first_bytes(|_| None, 1 << 20);
    plan.with_depth_first_hint(bytes)
}

fn cluster(workers: usize) -> (Cluster, Vec<graticule_plan::WorkerId>) {
    let mut cluster = Cluster::new(Config {
        in_hand_bytes_min: 0,
        ..Config::default()
    });
    let workers = (0..workers).map(|_| cluster.join(1, 1 << 30)).collect();
    (cluster, workers)
}

#[test]
fn sources_do_not_run_ahead_of_a_slow_one() {
    let (mut cluster, workers) = cluster(4);
    let plan = walked(
        Plans::default()
            .source(4000)
            .group(4)
            .group(4)
            .group(4)
            .group(4)
            .deliver()
            .plan(),
    );
    let limit = PlanMemory::of(&plan, |_| None)
        .limit_bytes(4, 4, 0)
        .expect("walked");
    let job = cluster.submit(plan);
    let stuck = cluster.leased(workers[0]);
    let mut sources = BTreeSet::new();
    loop {
        let before = sources.len();
        for &worker in &workers[1..] {
            for leased in cluster.leased(worker) {
                cluster.finish(worker, leased);
                sources.insert(leased.task);
            }
        }
        if sources.len() == before {
            break;
        }
    }
    let held = u64::try_from(limit).expect("small") / CHUNK_BYTES;
    assert!(sources.len() as u64 > 8, "others went on: {}", sources.len());
    assert!(
        (sources.len() as u64) < 8 * held,
        "{} ran, {held} may be held",
        sources.len()
    );
    for leased in stuck {
        cluster.finish(workers[0], leased);
    }
    let rest = cluster.run_all(&workers);
    assert!(rest.len() > 4000 && cluster.failure(job).is_none());
}

#[test]
fn a_plan_that_must_hold_an_array_whole_may() {
    let (mut cluster, workers) = cluster(2);
    let plan = walked(Plans::default().source(300).all().keep(Key(1)).plan());
    cluster.submit(plan);
    assert_eq!(cluster.run_all(&workers).len(), 301);
}

#[test]
fn a_limit_is_what_one_by_one_needs_and_what_slots_have_in_hand() {
    let plan = walked(Plans::default().source(256).each().deliver().plan());
    let memory = PlanMemory::of(&plan, |_| None);
    assert_eq!(
        memory.depth_first_bytes,
        Some(3 * CHUNK_BYTES),
        "a chunk, its window, the result"
    );
    assert_eq!(
        (memory.task_bytes_max, memory.task_bytes_mean),
        (2 * CHUNK_BYTES, 1500)
    );
    let in_hand = u128::from(7 * memory.task_bytes_mean);
    assert_eq!(
        memory.limit_bytes(2, 4, 0),
        Some(u128::from(3 * CHUNK_BYTES) + in_hand)
    );
    assert_eq!(
        memory.limit_bytes(2, 4, 1 << 20),
        Some(u128::from(3 * CHUNK_BYTES) + (2 << 20))
    );
}

/// Tasks that all wait for one chunk, each with a reader of its own.
fn many_of_one(change_many: impl FnOnce(&mut Layer), change_readers: impl FnOnce(&mut Layer)) -> Plan {
    let input = |layer, window| Input {
        source: Source::Layer(LayerId(layer)),
        map: InputMap::Product(vec![window]),
    };
    let mut plans = Plans::default().source(1);
    plans.layer("many", 60, vec![input(0, AxisWindow::All)], change_many);
    let aligned = AxisWindow::Aligned { out_axis: 0 };
    let layer = plans.layer("each", 60, vec![input(1, aligned)], change_readers);
    let output = Output { layer, keep: None };
    plans.builder.output(output).expect("small plans are valid");
    walked(plans.plan())
}

/// What waits for one chunk is ready together; with a higher priority than what consumes it, it would fill the memory that
/// the job may have, and leave no room for that.
#[test]
fn tasks_of_high_priority_leave_room_for_those_that_free_memory() {
    let (mut cluster, workers) = cluster(2);
    let job = cluster.submit(many_of_one(|layer| layer.priority = 1, |_| {}));
    // The bound is looked at after each event.
    let done = cluster.run_all(&workers);
    assert_eq!(done.len(), 121);
    assert!(cluster.failure(job).is_none());
}

/// Nobody frees memory as long as no worker offers what the readers need, so the others stop at the bound.
#[test]
fn tasks_that_no_worker_can_run_keep_their_turn() {
    let (mut cluster, mut workers) = cluster(2);
    let on_gpu = |layer: &mut Layer| Annotations::new().resource("GPU", 1).apply(layer);
    let job = cluster.submit(many_of_one(|_| {}, on_gpu));
    // The bound is looked at after each event.
    let before = cluster.run_all(&workers).len();
    assert!((2..61).contains(&before), "{before} were run without readers");
    let gpu = Resource {
        name: "GPU".into(),
        count: 1,
    };
    workers.push(cluster.join_offering(1, vec![gpu]));
    assert_eq!(before + cluster.run_all(&workers).len(), 121);
    assert!(cluster.failure(job).is_none());
}
