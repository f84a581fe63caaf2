//! How the scheduler lets workers leave without loss.

use crate::cluster::{CHUNK_BYTES, CLIENT, Cluster, Plans};
use graticule_engine::{
    ChunkToCopy, CopyFailure, CopyReport, ToScheduler, ToWorker, WorkerStatus,
    scheduler::{Event, Observation, RetireWait},
};
use graticule_plan::{Key, WorkerId};

const KEY: Key = Key(1);
const DEADLINE_US: u64 = 1_000_000;

/// Two workers, and a kept result of four chunks of which each holds some; then the first one retires.
struct Handover {
    cluster: Cluster,
    retiring: WorkerId,
    staying: WorkerId,
}

impl Handover {
    fn new() -> Self {
        let (mut cluster, workers) = Cluster::of(2);
        cluster.submit_for(CLIENT, Plans::default().source(4).keep(KEY).plan());
        cluster.run_all(&workers);
        Self {
            cluster,
            retiring: workers[0],
            staying: workers[1],
        }
    }

    fn retire(&mut self) {
        let (worker, deadline_us) = (self.retiring, DEADLINE_US);
        self.cluster.tell(Event::RetireWorker { worker, deadline_us });
    }

    fn say(&mut self, worker: WorkerId, message: ToScheduler) {
        let session = self.cluster.session(worker);
        self.cluster.tell(Event::WorkerMessage { session, message });
    }

    /// The copies that the staying worker was told to make.
    fn ordered(&mut self) -> Vec<ChunkToCopy> {
        let lists = self
            .cluster
            .heard(self.staying)
            .into_iter()
            .map(|message| match message {
                ToWorker::Copy { chunks } => chunks,
                _ => Vec::new(),
            });
        lists.collect::<Vec<_>>().concat()
    }

    fn answer(&mut self, order: &ChunkToCopy, outcome: Result<u64, CopyFailure>) {
        let (copy, chunk) = (order.copy, order.chunk);
        let report = CopyReport { copy, chunk, outcome };
        self.say(self.staying, ToScheduler::Copied(vec![report]));
    }

    fn may_leave(&mut self) -> bool {
        self.cluster.heard(self.retiring).contains(&ToWorker::Leave)
    }

    fn waits_for(&self) -> Option<RetireWait> {
        let progress = self.cluster.scheduler.retirement(self.retiring)?;
        Some(progress.waits_for)
    }

    fn is_remade(&self) -> bool {
        let remade = |o: &Observation| {
            matches!(
                o,
                Observation::TaskReset {
                    was_finished: true,
                    ..
                }
            )
        };
        self.cluster.observed.iter().any(remade)
    }
}

#[test]
fn what_only_a_retiring_worker_holds_is_copied_before_it_may_leave() {
    let mut handover = Handover::new();
    handover.retire();
    assert_eq!(
        handover.cluster.heard(handover.retiring),
        [ToWorker::Retire {
            deadline_us: DEADLINE_US
        }]
    );
    let orders = handover.ordered();
    assert_eq!(orders.len(), 2);
    for order in &orders {
        assert!(!handover.may_leave());
        assert_eq!(handover.waits_for(), Some(RetireWait::Copies));
        assert_eq!(order.peers[0].worker, handover.retiring);
        handover.answer(order, Ok(CHUNK_BYTES));
    }
    assert!(handover.may_leave());
    handover.cluster.lose(handover.retiring);
    assert!(!handover.is_remade());
    let left = Observation::WorkerLeft {
        worker: handover.retiring,
        why: None,
    };
    assert!(handover.cluster.observed.contains(&left));
}

#[test]
fn a_copy_that_fails_is_tried_again_after_a_pause() {
    let mut handover = Handover::new();
    handover.retire();
    let orders = handover.ordered();
    handover.answer(&orders[0], Ok(CHUNK_BYTES));
    handover.answer(&orders[1], Err(CopyFailure::NotFetched));
    assert_eq!(handover.ordered(), []);
    assert_eq!(handover.waits_for(), Some(RetireWait::Retry));
    handover.cluster.now = handover.cluster.scheduler.next_timeout().expect("it pauses");
    handover.cluster.tell(Event::Tick);
    let again = handover.ordered();
    assert_eq!(again[0].chunk, orders[1].chunk);
    assert!(!handover.may_leave());
    handover.answer(&again[0], Ok(CHUNK_BYTES));
    assert!(handover.may_leave());
}

#[test]
fn nothing_is_sent_where_there_is_no_room_and_the_worker_waits_until_there_is() {
    let mut handover = Handover::new();
    let status = |memory_bytes| WorkerStatus {
        memory_bytes,
        ..WorkerStatus::default()
    };
    handover.say(handover.staying, ToScheduler::Status(status(1 << 30)));
    handover.retire();
    assert_eq!(handover.ordered(), []);
    assert_eq!(handover.waits_for(), Some(RetireWait::Room));
    handover.say(
        handover.staying,
        ToScheduler::Status(status((1 << 30) - CHUNK_BYTES)),
    );
    let orders = handover.ordered();
    assert_eq!(orders.len(), 1, "there is room for one");
    handover.answer(&orders[0], Err(CopyFailure::NoRoom));
    assert_eq!(handover.ordered(), [], "it has said that it is full");
    handover.say(handover.staying, ToScheduler::Status(status(0)));
    assert_eq!(handover.ordered().len(), 2);
}

#[test]
fn at_its_deadline_a_worker_leaves_and_what_it_held_is_made_anew() {
    let mut handover = Handover::new();
    handover.retire();
    handover.cluster.now = handover.cluster.now + DEADLINE_US;
    handover.cluster.tell(Event::Tick);
    let released = Observation::WorkerReleased {
        worker: handover.retiring,
        chunks_lost: 2,
    };
    assert!(handover.cluster.observed.contains(&released));
    assert!(handover.may_leave());
    handover.cluster.heard(handover.staying);
    handover.cluster.lose(handover.retiring);
    assert!(handover.is_remade());
    assert_eq!(handover.cluster.leased(handover.staying).len(), 2);
}

#[test]
fn a_retirement_can_be_cancelled_until_the_worker_is_told_to_leave() {
    let mut handover = Handover::new();
    let worker = handover.retiring;
    handover.retire();
    handover.cluster.tell(Event::RetireCancelled { worker });
    assert!(handover.cluster.heard(worker).contains(&ToWorker::Stay));
    assert_eq!(handover.cluster.scheduler.retirement(worker), None);
    // What was ordered meanwhile may come all the same.
    for order in handover.ordered() {
        handover.answer(&order, Ok(CHUNK_BYTES));
    }
    handover
        .cluster
        .submit(Plans::default().source(4).deliver().plan());
    assert!(!handover.cluster.leased(worker).is_empty());
}

#[test]
fn a_worker_that_comes_back_is_told_again_that_it_shall_leave() {
    let mut handover = Handover::new();
    handover.retire();
    let orders = handover.ordered();
    let held: Vec<_> = orders.iter().map(|order| order.chunk).collect();
    handover.cluster.lose(handover.retiring);
    handover.cluster.come_back(handover.retiring, &held);
    let heard = handover.cluster.heard(handover.retiring);
    let told = heard
        .iter()
        .any(|message| matches!(message, ToWorker::Retire { .. }));
    assert!(told, "{heard:?}");
}

#[test]
fn a_copy_to_a_worker_that_vanishes_is_not_counted() {
    let mut handover = Handover::new();
    handover.retire();
    let orders = handover.ordered();
    assert_eq!(orders.len(), 2);
    handover.cluster.lose(handover.staying);
    assert!(!handover.may_leave());
    assert_eq!(handover.waits_for(), Some(RetireWait::Room));
}
