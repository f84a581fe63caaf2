//! What was lost is made again in its turn, and walks stay bounded.

use crate::cluster::{Cluster, Plans, task};
use graticule_plan::{AxisWindow, Input, InputMap, Layer, LayerId, Source};

/// So long that workers get such tasks one by one.
fn slow(layer: &mut Layer) {
    layer.cost_ns = 1_000_000_000;
}

#[test]
fn what_was_lost_has_the_turn_of_those_that_wait_for_it() {
    let (mut cluster, workers) = Cluster::of(2);
    let plan = Plans::default().source_with(3, slow).all().deliver();
    let job = cluster.submit(plan.source_with(50, slow).deliver().plan());
    let first = cluster.leased(workers[0]);
    let second = cluster.leased(workers[1]);
    assert_eq!(
        (first[0].task, second[0].task),
        (task(job, 0, 0), task(job, 0, 1))
    );
    cluster.finish(workers[0], first[0]);
    assert_eq!(cluster.leased(workers[0])[0].task, task(job, 0, 2));
    cluster.lose(workers[0]);
    // More of the second output is ready by now than slots could take; all of it comes later.
    cluster.finish(workers[1], second[0]);
    let again = cluster.leased(workers[1]);
    assert_eq!((again[0].task, again[1].task), (task(job, 0, 0), task(job, 0, 2)));
    cluster.finish(workers[1], again[0]);
    cluster.finish(workers[1], again[1]);
    assert!(
        cluster
            .leased(workers[1])
            .iter()
            .any(|leased| leased.task == task(job, 1, 0))
    );
}

#[test]
fn a_walk_stops_where_everything_waits_for_one_source() {
    const COUNT: u64 = 1_000_000;
    let (mut cluster, workers) = Cluster::of(1);
    let mut plans = Plans::default().source_with(1, slow);
    let input = Input {
        source: Source::Layer(LayerId(0)),
        map: InputMap::Product(vec![AxisWindow::All]),
    };
    plans.layer("readers", COUNT, vec![input], slow);
    let job = cluster.submit(plans.deliver().plan());
    let live = cluster.scheduler.counts().live_tasks;
    assert!(live < COUNT / 10, "{live}");
    let source = cluster.leased(workers[0]);
    cluster.finish(workers[0], source[0]);
    let reader = cluster.leased(workers[0]);
    assert_eq!(reader[0].task, task(job, 1, 0));
}
