use std::collections::{BTreeMap, BTreeSet};

use graticule_plan::{JobId, LayerId, WorkerId};
use proptest::prelude::*;

use super::{Cluster, Decision, LayerWork, Memory, Rules, Supply, WorkerView, decide};
use crate::Time;

const SECOND: u64 = 1_000_000;
const GIB: u64 = 1 << 30;

fn work(tasks_left: u64, mean_us: u64) -> LayerWork {
    LayerWork {
        job: JobId(1),
        layer: LayerId(0),
        tasks_left,
        leased: 0,
        mean_us,
    }
}

fn worker(id: u64) -> WorkerView {
    WorkerView {
        worker: WorkerId(id),
        joined: Time::ZERO,
        slots: 1,
        budget_bytes: GIB,
        memory_bytes: 0,
        spilled_bytes: 0,
        tasks_at_hand: 0,
        sole_bytes: 0,
        retires: false,
    }
}

fn busy(id: u64) -> WorkerView {
    WorkerView {
        tasks_at_hand: 3,
        ..worker(id)
    }
}

fn supply(min: u32, max: u32) -> Supply {
    Supply {
        min,
        max,
        pending: Vec::new(),
        start_us: 5 * SECOND,
        not_before: Time::ZERO,
        slots: 1,
        budget_bytes: GIB,
    }
}

/// Decides every second with nothing changed, until something is to be done or `seconds` are over.
fn after_seconds(seconds: u64, cluster: &mut Cluster, supply: &Supply, memory: &mut Memory) -> Decision {
    for second in 0.. {
        let decision = decide(cluster, supply, &Rules::default(), memory);
        if second == seconds || !decision.is_nothing() {
            return decision;
        }
        cluster.now = cluster.now + SECOND;
    }
    unreachable!("one of the seconds is the last")
}

fn cluster(layers: Vec<LayerWork>, workers: Vec<WorkerView>) -> Cluster {
    Cluster {
        now: Time(1000 * SECOND),
        layers,
        workers,
    }
}

#[test]
fn work_that_outlasts_a_start_wants_more_workers_and_pending_ones_count() {
    let there = cluster(vec![work(900, SECOND)], vec![busy(1)]);
    let (rules, mut memory) = (Rules::default(), Memory::default());
    let mut supply = supply(1, 8);
    let first = decide(&there, &supply, &rules, &mut memory);
    assert_eq!((first.wanted, first.start), (8, 7), "{}", first.reason);
    supply.pending = vec![there.now; 7];
    let second = decide(&there, &supply, &rules, &mut memory);
    assert!(second.is_nothing(), "{second:?}");
    assert_eq!(second.wanted, 8);
}

#[test]
fn work_that_ends_before_a_worker_would_be_there_starts_none() {
    let there = cluster(vec![work(95, SECOND / 10)], vec![busy(1)]);
    let supply = Supply {
        start_us: 10 * SECOND,
        ..supply(1, 8)
    };
    let rules = Rules {
        finish_us: 1,
        ..Rules::default()
    };
    let decision = decide(&there, &supply, &rules, &mut Memory::default());
    assert!(decision.is_nothing(), "{decision:?}");
    let few_long = cluster(vec![work(2, 60 * SECOND)], vec![busy(1)]);
    let decision = decide(&few_long, &supply, &rules, &mut Memory::default());
    assert_eq!(
        decision.wanted, 2,
        "no more workers than tasks: {}",
        decision.reason
    );
}

#[test]
fn after_a_failed_start_the_next_one_waits_and_the_reason_says_so() {
    let retires = WorkerView {
        retires: true,
        ..worker(2)
    };
    let there = cluster(vec![work(900, SECOND)], vec![busy(1), retires]);
    let supply = Supply {
        not_before: there.now + 4 * SECOND,
        ..supply(1, 8)
    };
    let rules = Rules::default();
    let held_off = decide(&there, &supply, &rules, &mut Memory::default());
    assert_eq!((held_off.wanted, held_off.start), (2, 0), "{}", held_off.reason);
    assert_eq!(held_off.stay, [WorkerId(2)], "what is there needs no start");
    assert!(
        held_off
            .reason
            .ends_with("the last start failed: waits 4 s before the next")
    );
    let later = Cluster {
        now: there.now + 4 * SECOND,
        ..there
    };
    let decision = decide(&later, &supply, &rules, &mut Memory::default());
    assert_eq!((decision.wanted, decision.start), (8, 6), "{}", decision.reason);
}

#[test]
fn chunks_that_are_held_want_workers_for_their_memory() {
    let full = WorkerView {
        memory_bytes: GIB,
        ..worker(1)
    };
    let there = cluster(Vec::new(), vec![full, full]);
    let decision = decide(&there, &supply(1, 8), &Rules::default(), &mut Memory::default());
    assert_eq!((decision.wanted, decision.start), (3, 1), "{}", decision.reason);
}

#[test]
fn without_work_all_but_the_fewest_go_after_a_while_the_longest_idle_first() {
    let mut there = cluster(Vec::new(), vec![busy(1), worker(2), worker(3)]);
    let (supply, mut memory) = (supply(1, 8), Memory::default());
    let early = after_seconds(5, &mut there, &supply, &mut memory);
    assert!(early.is_nothing() && early.reason.contains("waits"), "{early:?}");
    there.workers[0].tasks_at_hand = 0;
    let late = after_seconds(15, &mut there, &supply, &mut memory);
    assert_eq!(late.victims, [WorkerId(2), WorkerId(3)], "{}", late.reason);
    assert_eq!(late.wanted, 1);
}

#[test]
fn of_workers_idle_for_as_long_the_one_that_alone_holds_least_goes() {
    let holding = |id, sole_bytes| WorkerView {
        sole_bytes,
        ..worker(id)
    };
    let mut there = cluster(
        Vec::new(),
        vec![holding(1, 500), holding(2, 100), holding(3, 300)],
    );
    let decision = after_seconds(20, &mut there, &supply(2, 8), &mut Memory::default());
    assert_eq!(decision.victims, [WorkerId(2)]);
}

#[test]
fn nobody_goes_whose_chunks_fit_no_survivor() {
    let holding = |id| WorkerView {
        sole_bytes: GIB / 2 + 1,
        memory_bytes: GIB / 2 + 1,
        ..worker(id)
    };
    let mut there = cluster(Vec::new(), vec![holding(1), holding(2)]);
    // Less than the memory rule would keep both for.
    let supply = Supply {
        budget_bytes: 4 * GIB,
        ..supply(1, 8)
    };
    let decision = after_seconds(60, &mut there, &supply, &mut Memory::default());
    assert!(
        decision.is_nothing() && decision.reason.contains("no room"),
        "{decision:?}"
    );
}

#[test]
fn a_worker_that_retires_is_kept_before_a_new_one_is_started() {
    let leaving = WorkerView {
        retires: true,
        ..worker(2)
    };
    let there = cluster(vec![work(900, SECOND)], vec![busy(1), leaving]);
    let decision = decide(&there, &supply(1, 3), &Rules::default(), &mut Memory::default());
    assert_eq!((decision.start, decision.stay), (1, vec![WorkerId(2)]));
}

#[test]
fn above_the_quota_workers_go_at_once() {
    let there = cluster(vec![work(900, SECOND)], vec![busy(1), busy(2), worker(3)]);
    let decision = decide(&there, &supply(1, 2), &Rules::default(), &mut Memory::default());
    assert_eq!(decision.victims, [WorkerId(3)]);
}

/// A cluster that does what the policy says, a second at a time.
struct Day {
    cluster: Cluster,
    supply: Supply,
    memory: Memory,
    /// Tasks of a second each, and the moments at which they come.
    arrivals: BTreeMap<u64, u64>,
    next_worker: u64,
    /// The number of workers, each time it changed.
    counts: Vec<(u64, usize)>,
}

impl Day {
    fn run(&mut self, seconds: u64) {
        for second in 0..seconds {
            self.cluster.now = Time(second * SECOND);
            self.work(second);
            let now = self.cluster.now;
            let started = self.supply.pending.len();
            self.supply
                .pending
                .retain(|&since| now.since_us(since) < 5 * SECOND);
            for _ in self.supply.pending.len()..started {
                self.next_worker += 1;
                let joined = now;
                let worker = WorkerView {
                    joined,
                    ..worker(self.next_worker)
                };
                self.cluster.workers.push(worker);
            }
            let decision = decide(&self.cluster, &self.supply, &Rules::default(), &mut self.memory);
            self.supply.pending.extend((0..decision.start).map(|_| now));
            self.cluster
                .workers
                .retain(|w| !decision.victims.contains(&w.worker));
            let count = self.cluster.workers.len() + self.supply.pending.len();
            assert!((1..=8).contains(&count), "{count} workers: {}", decision.reason);
            if self.counts.last().is_none_or(|&(_, last)| last != count) {
                self.counts.push((second, count));
            }
        }
    }

    /// Each worker ends a task a second.
    fn work(&mut self, second: u64) {
        let arrived = self.arrivals.get(&second).copied().unwrap_or(0);
        let before = self.cluster.layers.first().map_or(0, |layer| layer.tasks_left) + arrived;
        for (at, worker) in self.cluster.workers.iter_mut().enumerate() {
            worker.tasks_at_hand = u64::from((at as u64) < before);
        }
        let left = before.saturating_sub(self.cluster.workers.len() as u64);
        self.cluster.layers = if left > 0 {
            vec![work(left, SECOND)]
        } else {
            Vec::new()
        };
    }

    /// How often the number of workers turned from rising to falling or back.
    fn turns(&self) -> usize {
        let rises: Vec<bool> = self.counts.windows(2).map(|w| w[1].1 > w[0].1).collect();
        rises.windows(2).filter(|w| w[0] != w[1]).count()
    }
}

#[test]
fn a_ramp_a_tail_and_a_pause_cause_no_flapping() {
    // A ramp for a minute, a job in its tail, another one after a pause of some seconds, small ones, and a last one
    // after a long idle time.
    let ramp = (0..60).map(|second| (second, 20));
    let rest = [
        (158, 300),
        (215, 200),
        (245, 30),
        (255, 30),
        (265, 30),
        (2000, 600),
    ];
    let mut day = Day {
        cluster: cluster(Vec::new(), Vec::new()),
        supply: supply(1, 8),
        memory: Memory::default(),
        arrivals: ramp.chain(rest).collect(),
        next_worker: 0,
        counts: Vec::new(),
    };
    day.run(4000);
    assert!(
        day.counts.iter().any(|&(_, count)| count == 8),
        "{:?}",
        day.counts
    );
    assert_eq!(
        day.counts.last().map(|&(_, count)| count),
        Some(1),
        "{:?}",
        day.counts
    );
    assert!(
        day.turns() <= 3,
        "up and down by day, up and down for the last job: {:?}",
        day.counts
    );
}

fn any_worker(id: u64) -> impl Strategy<Value = WorkerView> {
    let sizes = (1..5_u32, 0..2 * GIB, 0..2 * GIB, 0..GIB);
    (sizes, 0..5_u64, any::<bool>()).prop_map(move |((slots, memory, spilled, sole), tasks, retires)| {
        WorkerView {
            slots,
            memory_bytes: memory,
            spilled_bytes: spilled,
            sole_bytes: sole,
            tasks_at_hand: tasks / 2,
            retires,
            ..worker(id)
        }
    })
}

fn any_cluster() -> impl Strategy<Value = Cluster> {
    let workers = (0..9_u64).prop_flat_map(|count| (1..=count).map(any_worker).collect::<Vec<_>>());
    let layers = prop::collection::vec((1..100_000_u64, 1..100 * SECOND), 0..4);
    (workers, layers).prop_map(|(workers, layers)| {
        let layers = layers.into_iter().map(|(tasks, mean_us)| work(tasks, mean_us));
        cluster(layers.collect(), workers)
    })
}

proptest! {
    #[test]
    fn a_decision_stays_within_the_bounds_and_names_workers_that_are_there(
        mut there in any_cluster(),
        (min, more) in (0..5_u32, 0..9_u32),
        (pending, seconds) in (0..4_usize, 0..60_u64),
    ) {
        let supply = Supply { pending: vec![there.now; pending], ..supply(min, min + more) };
        let mut memory = Memory::default();
        let decision = after_seconds(seconds, &mut there, &supply, &mut memory);
        let staying: BTreeSet<_> = there.workers.iter().filter(|w| !w.retires).map(|w| w.worker).collect();
        let retiring: BTreeSet<_> = there.workers.iter().filter(|w| w.retires).map(|w| w.worker).collect();
        let victims: BTreeSet<_> = decision.victims.iter().copied().collect();
        prop_assert_eq!(victims.len(), decision.victims.len());
        prop_assert!(victims.is_subset(&staying), "{:?}", decision);
        prop_assert!(decision.stay.iter().all(|w| retiring.contains(w)), "{:?}", decision);
        let count = staying.len() as u32 + pending as u32;
        let after = count + decision.start + decision.stay.len() as u32 - victims.len() as u32;
        prop_assert_eq!(decision.wanted, after);
        let is_growing = decision.start > 0 || !decision.stay.is_empty();
        prop_assert!(!is_growing || (min..=min + more).contains(&after), "{:?}", decision);
        prop_assert!(victims.is_empty() || after >= min, "{:?}", decision);
        prop_assert!(after >= min, "{:?}", decision);
        prop_assert!(!decision.reason.is_empty());
    }

    #[test]
    fn what_does_not_change_is_decided_alike(there in any_cluster(), min in 0..5_u32) {
        let supply = supply(min, min + 4);
        let (mut memory, rules) = (Memory::default(), Rules::default());
        let first = decide(&there, &supply, &rules, &mut memory);
        let remembered = memory.clone();
        let second = decide(&there, &supply, &rules, &mut memory);
        prop_assert_eq!(first, second);
        prop_assert_eq!(remembered, memory);
    }
}
