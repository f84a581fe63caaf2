//! Calls whose results nobody knows the size of: tried alone, then counted with what was learnt.

use std::{collections::BTreeMap, sync::Arc};

use crate::cluster::{self, CHUNK_BYTES, Cluster, FUNCTION, Leased, Plans, finished, task};
use graticule_engine::{FailureKind, Finished, LayerSpec, ToWorker, scheduler::Event};
use graticule_plan::{Input, InputMap, JobId, Key, Layer, LayerKind, Plan, Rows, Source, WorkerId};

const A: Key = Key(1);
const B: Key = Key(2);
const C: Key = Key(3);
const MIB: u64 = 1 << 20;

/// Calls whose results are thought to take [`CHUNK_BYTES`].
fn calls(function: &str, key: Key, count: u64, inputs: Vec<Input>) -> Plan {
    let mut plans = Plans::default();
    plans.layer("calls", count, inputs, |layer| learns(layer, function));
    plans.keep(key).plan()
}

fn learns(layer: &mut Layer, function: &str) {
    layer.kind = LayerKind::Calls {
        function: function.into(),
        learns_size: true,
    };
}

fn of(bytes: u64) -> Finished {
    Finished { bytes, ..finished() }
}

/// All that the workers were leased since the last time that was asked.
fn leased(cluster: &mut Cluster, workers: &[WorkerId]) -> Vec<(WorkerId, Leased)> {
    let of_each = workers.iter().map(|&worker| (worker, cluster.leased(worker)));
    let of_each: Vec<_> = of_each.collect();
    let pairs = of_each
        .into_iter()
        .flat_map(|(worker, tasks)| tasks.into_iter().map(move |task| (worker, task)));
    pairs.collect()
}

/// What a worker was told: of each job the first layer as it was said last, and the tasks.
#[derive(Default)]
struct Heard {
    specs: BTreeMap<JobId, Arc<LayerSpec>>,
    leases: Vec<Leased>,
}

impl Heard {
    fn hear(&mut self, cluster: &mut Cluster, worker: WorkerId) {
        for message in cluster.heard(worker) {
            match message {
                ToWorker::Layer(spec) => drop(self.specs.insert(spec.job, spec)),
                ToWorker::Lease(lease) => self.leases.extend(cluster::leased(&lease)),
                _ => {}
            }
        }
    }
}

#[test]
fn the_first_call_of_a_function_has_its_worker_to_itself_and_is_the_only_one() {
    let (mut cluster, workers) = Cluster::of(3);
    let first = cluster.submit(calls(FUNCTION, A, 8, Vec::new()));
    let second = cluster.submit(calls(FUNCTION, B, 8, Vec::new()));
    let tried = leased(&mut cluster, &workers);
    assert_eq!(tried.len(), 1, "{tried:?}");
    assert_eq!(tried[0].1.task, task(first, 0, 0));
    let told = cluster.scheduler.why(task(second, 0, 0)).expect("it is known");
    assert!(
        told.to_string()
            .contains("another call of its function runs first"),
        "{told}"
    );
    // The others take what is to be had, and the worker of the first call nothing.
    cluster.submit(Plans::default().source(100).deliver().plan());
    let beside = leased(&mut cluster, &workers);
    assert!(!beside.is_empty() && beside.iter().all(|(worker, _)| *worker != tried[0].0));

    cluster.report(tried[0].0, tried[0].1, Ok(of(MIB)));
    for (worker, leased) in beside {
        cluster.finish(worker, leased);
    }
    let rest = cluster.run_all(&workers);
    for job in [first, second] {
        let count = rest.iter().filter(|(_, task)| task.job == job).count();
        assert_eq!(count, if job == first { 7 } else { 8 });
    }
    // Who comes later need not try again.
    cluster.submit(calls(FUNCTION, C, 8, Vec::new()));
    assert!(leased(&mut cluster, &workers).len() >= 3);
}

#[test]
fn a_busy_worker_is_emptied_for_a_first_call_and_only_that_one() {
    let (mut cluster, workers) = Cluster::of(2);
    cluster.submit(
        Plans::default()
            .source_with(40, |layer| layer.cost_ns = 5_000_000)
            .deliver()
            .plan(),
    );
    let mut at_hand = leased(&mut cluster, &workers);
    assert!(
        workers
            .iter()
            .all(|worker| at_hand.iter().any(|(of, _)| of == worker))
    );
    let job = cluster.submit(calls(FUNCTION, A, 4, Vec::new()));
    let mut turns = 0;
    let tried = loop {
        turns += 1;
        assert!(turns < 40, "it has its turn before all of the others are done");
        // Each worker ends one task, and may be leased more.
        for &worker in &workers {
            if let Some(at) = at_hand.iter().position(|(of, _)| *of == worker) {
                let (_, done) = at_hand.remove(at);
                cluster.finish(worker, done);
            }
        }
        let new = leased(&mut cluster, &workers);
        if let Some(&(worker, _)) = new.iter().find(|(_, leased)| leased.task.job == job) {
            at_hand.extend(new);
            break worker;
        }
        at_hand.extend(new);
    };
    let with_it = at_hand.iter().filter(|(worker, _)| *worker == tried).count();
    assert_eq!(with_it, 1);
    assert!(at_hand.len() > 1, "the other one goes on");
}

#[test]
fn what_was_learnt_is_counted_with_a_margin_and_a_larger_result_corrects_it() {
    let mut cluster = Cluster::default();
    let worker = cluster.join(4, 1 << 30);
    let first = cluster.submit(calls(FUNCTION, A, 50, Vec::new()));
    let rows = Rows::new(vec![vec![0, 1]]);
    let input = Input {
        source: Source::Held(A),
        map: InputMap::Blocks(rows),
    };
    let mut reader = Plans::default();
    reader.layer("reader", 1, vec![input], |_| {});
    let reader = cluster.submit(reader.deliver().plan());
    let tried = cluster.leased(worker)[0];
    cluster.report(worker, tried, Ok(of(10 * MIB)));
    let mut heard = Heard::default();
    heard.hear(&mut cluster, worker);
    assert_eq!(heard.specs[&first].layer.output_bytes_max(), 15 * MIB);
    let at_hand = std::mem::take(&mut heard.leases);
    // Within the margin nothing is said; beyond it readers hear of it too.
    cluster.report(worker, at_hand[0], Ok(of(14 * MIB)));
    heard.hear(&mut cluster, worker);
    assert_eq!(heard.specs[&first].layer.output_bytes_max(), 15 * MIB);
    assert_eq!(heard.specs[&reader].sources[0].item_bytes, 15 * MIB);
    cluster.report(worker, at_hand[1], Ok(of(40 * MIB)));
    heard.hear(&mut cluster, worker);
    assert_eq!(heard.specs[&first].layer.output_bytes_max(), 60 * MIB);
    assert_eq!(heard.specs[&reader].sources[0].item_bytes, 60 * MIB);
    // So is the next batch, whoever sends it; and one that says what its results take is believed.
    let next = cluster.submit_for(cluster::OTHER_CLIENT, calls(FUNCTION, B, 1, Vec::new()));
    let declared = cluster.submit(Plans::default().calls(FUNCTION, C, &[&[]], &[]).plan());
    heard.leases.extend(&at_hand[2..]);
    while !heard.leases.is_empty() {
        for leased in std::mem::take(&mut heard.leases) {
            cluster.report(worker, leased, Ok(of(MIB)));
        }
        heard.hear(&mut cluster, worker);
    }
    assert_eq!(heard.specs[&next].layer.output_bytes_max(), 60 * MIB);
    assert_eq!(heard.specs[&declared].layer.output_bytes_max(), CHUNK_BYTES);
}

#[test]
fn what_is_learnt_bounds_how_much_is_admitted() {
    let mut cluster = Cluster::default();
    let worker = cluster.join(4, 100 * MIB);
    cluster.submit(calls(FUNCTION, A, 500, Vec::new()));
    let tried = cluster.leased(worker)[0];
    cluster.report(worker, tried, Ok(of(20 * MIB)));
    // Those that were ready before it was known.
    for leased in cluster.leased(worker) {
        cluster.report(worker, leased, Ok(of(20 * MIB)));
    }
    for _ in 0..10 {
        let at_hand = cluster.leased(worker);
        assert!(
            (1..=4).contains(&at_hand.len()),
            "{} calls of 30 MiB each are leased to a worker of 100 MiB",
            at_hand.len()
        );
        for leased in at_hand {
            cluster.report(worker, leased, Ok(of(20 * MIB)));
        }
    }
}

#[test]
fn a_first_call_that_fails_or_is_lost_tells_nothing_and_the_next_is_tried() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(calls(FUNCTION, A, 4, Vec::new()));
    let tried = leased(&mut cluster, &workers);
    cluster.fail(tried[0].0, tried[0].1, FailureKind::Permanent);
    let tried = leased(&mut cluster, &workers);
    assert_eq!((tried.len(), tried[0].1.task), (1, task(job, 0, 1)));
    cluster.lose(tried[0].0);
    let left: Vec<WorkerId> = workers
        .iter()
        .copied()
        .filter(|worker| *worker != tried[0].0)
        .collect();
    let tried = leased(&mut cluster, &left);
    assert_eq!(tried.len(), 1);
    // Nobody wants it any more; the one after it is tried.
    let block = tried[0].1.task.block;
    cluster.tell(Event::BlocksReleased {
        key: A,
        blocks: std::iter::once(block..block + 1).collect(),
    });
    let tried = leased(&mut cluster, &left);
    assert_eq!(tried.len(), 1);
    cluster.finish(tried[0].0, tried[0].1);
    assert_eq!(cluster.run_all(&left).len(), 1);
    cluster.tell(Event::KeyReleased { key: A });
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn first_calls_wait_for_a_worker_that_knows_their_function() {
    let mut cluster = Cluster::default();
    let plain = cluster.join_calling(&[FUNCTION]);
    let job = cluster.submit(calls("other", A, 3, Vec::new()));
    assert!(cluster.leased(plain).is_empty());
    assert!(!cluster.notices.is_empty() && cluster.failure(job).is_none());
    let able = cluster.join_calling(&["other"]);
    let second = cluster.submit(calls("other", B, 3, Vec::new()));
    let done = cluster.run_all(&[plain, able]);
    assert!(done.iter().all(|(worker, _)| *worker == able));
    assert_eq!(done.iter().filter(|(_, task)| task.job == second).count(), 3);
}

#[test]
fn a_result_that_would_not_fit_with_the_margin_is_no_reason_to_refuse_a_call() {
    let mut cluster = Cluster::default();
    let worker = cluster.join(1, 100 * MIB);
    let job = cluster.submit(calls(FUNCTION, A, 3, Vec::new()));
    for _ in 0..3 {
        for leased in cluster.leased(worker) {
            cluster.report(worker, leased, Ok(of(90 * MIB)));
        }
    }
    assert!(cluster.is_told(job, &graticule_engine::scheduler::JobEvent::Finished));
}
