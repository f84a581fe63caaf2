use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use tokio::sync::mpsc;

use crate::Record;

/// Records of tasks and of workers' status that may wait for the aggregator: at ten drains a second, half a
/// million a second.
pub const BULK_RECORD_COUNT_MAX: usize = 1 << 16;

/// Records of jobs and of workers that come and go that may wait for the aggregator.
pub const STRUCTURAL_RECORD_COUNT_MAX: usize = 1 << 12;

/// Where the scheduler tells what happens. A cheap handle; clones tell the same dashboard.
///
/// Telling never blocks, never waits and never fails: what finds its queue full is dropped and counted.
///
/// ```
/// use graticule_dashboard::{Feed, Record};
/// use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
///
/// let (feed, _receiver) = Feed::new();
/// let task = TaskId { job: JobId(1), layer: LayerId(0), block: 7 };
/// feed.record(1_250, Record::TaskAssigned { task, worker: WorkerId(3), attempt: 0 });
/// assert_eq!(feed.dropped_count(), 0);
/// ```
#[derive(Debug, Clone)]
pub struct Feed {
    queues: Option<Arc<Queues>>,
}

#[derive(Debug)]
struct Queues {
    structural: mpsc::Sender<(u64, Record)>,
    bulk: mpsc::Sender<(u64, Record)>,
    dropped: Arc<AtomicU64>,
    /// Only workers that come and go are told.
    is_paused: AtomicBool,
}

/// Sees every record that is taken in, before the dashboard's tables do, on the same thread: it must not wait.
pub trait Observer: std::fmt::Debug + Send {
    /// `record` happened at `at_us` microseconds after the cluster's start.
    fn observe(&mut self, at_us: u64, record: &Record);

    /// What there was has been seen, and this is called several times a second; `now_us` is by the same clock.
    fn rest(&mut self, now_us: u64);
}

/// The other end of a [`Feed`]: what [`Dashboard::start`](crate::Dashboard::start) reads.
#[derive(Debug)]
pub struct FeedReceiver {
    structural: mpsc::Receiver<(u64, Record)>,
    bulk: mpsc::Receiver<(u64, Record)>,
    dropped: Arc<AtomicU64>,
    observer: Option<Box<dyn Observer>>,
}

impl Feed {
    /// Makes a feed and its other end, with the crate's limits.
    pub fn new() -> (Self, FeedReceiver) {
        Self::with_limits(STRUCTURAL_RECORD_COUNT_MAX, BULK_RECORD_COUNT_MAX)
    }

    /// Makes a feed that holds at most so many records that nobody has read yet. At least one of each.
    pub fn with_limits(structural_count_max: usize, bulk_count_max: usize) -> (Self, FeedReceiver) {
        let (structural, structural_end) = mpsc::channel(structural_count_max.max(1));
        let (bulk, bulk_end) = mpsc::channel(bulk_count_max.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let queues = Queues {
            structural,
            bulk,
            dropped: dropped.clone(),
            is_paused: AtomicBool::new(false),
        };
        let receiver = FeedReceiver {
            structural: structural_end,
            bulk: bulk_end,
            dropped,
            observer: None,
        };
        (
            Self {
                queues: Some(Arc::new(queues)),
            },
            receiver,
        )
    }

    /// A feed that keeps nothing but which workers come and go until it is [resumed](Self::resume): of a cluster that
    /// nobody watches, and somebody may want to watch later.
    pub fn paused() -> (Self, FeedReceiver) {
        let (feed, receiver) = Self::new();
        if let Some(queues) = &feed.queues {
            queues.is_paused.store(true, Relaxed);
        }
        (feed, receiver)
    }

    /// Tells all from here on.
    pub fn resume(&self) {
        if let Some(queues) = &self.queues {
            queues.is_paused.store(false, Relaxed);
        }
    }

    /// A feed that nobody reads: recording to it is one comparison.
    pub const fn disabled() -> Self {
        Self { queues: None }
    }

    /// Whether anybody is told of jobs and tasks now. Ask before building a record that costs something to build.
    pub fn is_enabled(&self) -> bool {
        self.queues
            .as_ref()
            .is_some_and(|queues| !queues.is_paused.load(Relaxed))
    }

    /// Whether anybody is told, now or once the feed is resumed, that workers come and go.
    pub fn tells_of_workers(&self) -> bool {
        self.queues.is_some()
    }

    /// Tells that `record` happened at `at_us` microseconds after the cluster's start. Returns at once.
    pub fn record(&self, at_us: u64, record: Record) {
        let Some(queues) = &self.queues else { return };
        if queues.is_paused.load(Relaxed) && !record.is_of_workers() {
            return;
        }
        let queue = if record.is_structural() {
            &queues.structural
        } else {
            &queues.bulk
        };
        if queue.try_send((at_us, record)).is_err() {
            queues.dropped.fetch_add(1, Relaxed);
        }
    }

    /// How many records found no room, or nobody left to read them.
    pub fn dropped_count(&self) -> u64 {
        self.queues
            .as_ref()
            .map_or(0, |queues| queues.dropped.load(Relaxed))
    }
}

impl FeedReceiver {
    /// The same receiver, with one who sees all that it takes in.
    #[must_use]
    pub fn observed_by(mut self, observer: Box<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Hands what is waiting to `sink`, at most one queue's length of each kind, so that a flood cannot hold
    /// the reader for ever. Never waits. Returns how many there were. It is `now_us` by the records' clock.
    pub fn drain(&mut self, now_us: u64, mut sink: impl FnMut(u64, Record)) -> usize {
        let mut count = 0;
        for queue in [&mut self.structural, &mut self.bulk] {
            for _ in 0..queue.max_capacity() {
                let Ok((at_us, record)) = queue.try_recv() else {
                    break;
                };
                if let Some(observer) = &mut self.observer {
                    observer.observe(at_us, &record);
                }
                sink(at_us, record);
                count += 1;
            }
        }
        if let Some(observer) = &mut self.observer {
            observer.rest(now_us);
        }
        count
    }

    /// How many records found no room.
    pub fn dropped_count(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

    use super::*;
    use crate::{JobOutcome, LeaveReason};

    fn started(block: u64) -> Record {
        let task = TaskId {
            job: JobId(1),
            layer: LayerId(0),
            block,
        };
        Record::TaskAssigned {
            task,
            worker: WorkerId(1),
            attempt: 0,
        }
    }

    #[test]
    fn what_finds_the_queue_full_is_dropped_and_counted() {
        let (feed, mut receiver) = Feed::with_limits(4, 4);
        for block in 0..10 {
            feed.record(block, started(block));
        }
        assert_eq!(feed.dropped_count(), 6);
        let mut seen = Vec::new();
        assert_eq!(receiver.drain(0, |at_us, _| seen.push(at_us)), 4);
        assert_eq!(seen, [0, 1, 2, 3]);
        feed.record(11, started(11));
        assert_eq!(receiver.drain(0, |_, _| ()), 1);
        assert_eq!(receiver.dropped_count(), 6);
    }

    #[test]
    fn a_flood_of_tasks_drops_no_record_of_a_job() {
        let (feed, mut receiver) = Feed::with_limits(4, 4);
        for block in 0..10 {
            feed.record(block, started(block));
        }
        feed.record(
            10,
            Record::JobEnded {
                job: JobId(1),
                outcome: JobOutcome::Cancelled,
                finished: None,
            },
        );
        let mut structural = 0;
        receiver.drain(0, |_, record| structural += usize::from(record.is_structural()));
        assert_eq!(structural, 1);
    }

    #[test]
    fn a_paused_feed_tells_of_workers_alone_until_it_is_resumed() {
        let (feed, mut receiver) = Feed::paused();
        let left = Record::WorkerLeft {
            worker: WorkerId(1),
            why: LeaveReason::Retired,
        };
        feed.record(0, started(0));
        feed.record(1, left);
        assert_eq!(feed.dropped_count(), 0);
        assert_eq!((feed.is_enabled(), feed.tells_of_workers()), (false, true));
        feed.resume();
        assert!(feed.is_enabled());
        feed.record(2, started(0));
        let mut seen = Vec::new();
        receiver.drain(0, |at_us, _| seen.push(at_us));
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn a_feed_without_a_reader_counts_and_goes_on() {
        let (feed, receiver) = Feed::new();
        drop(receiver);
        feed.record(0, started(0));
        assert_eq!(feed.dropped_count(), 1);
        Feed::disabled().record(0, started(0));
        assert_eq!(Feed::disabled().dropped_count(), 0);
    }
}
