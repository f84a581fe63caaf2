//! Where the time of slots went: each microsecond of each slot stands in exactly one column.
//!
//! What is told is summed up in buckets of time that double in width when there would be too many. What a bucket's slots
//! did follows when somebody looks: first what they computed, then what they waited for, in the order of the columns, each
//! no more than is left of the slots' time. So the columns add up to the slots' time, whatever was told.

use std::collections::BTreeMap;

use graticule_plan::WorkerId;
use serde::Serialize;

use super::{Aggregator, active::computing, frame::RowKey};

/// Buckets of one worker.
pub const ACCOUNT_BUCKET_COUNT_MAX: usize = 512;

/// The width of a bucket at first.
pub(crate) const ACCOUNT_BUCKET_US: u64 = 1 << 17;

/// Spans of forgotten jobs that are remembered.
const WORKED_COUNT_MAX: usize = 1_024;

/// The columns, in order.
pub const USE_NAMES: [&str; 7] = [
    "compute",
    "function",
    "data",
    "disk",
    "scheduler",
    "starved",
    "none",
];

/// Microseconds of slots: computing, in users' functions, waiting for data, for the disk, for the scheduler or the start of
/// a given task, starved of tasks although there is work, and without work.
pub type SlotUse = [u64; 7];

/// What was told of one worker in one bucket, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    compute: u64,
    call: u64,
    fetch: u64,
    queue: u64,
    net: u64,
    read_back: u64,
    spill: u64,
}

type Column = fn(&mut Bucket) -> &mut u64;

#[derive(Debug)]
pub(super) struct Account {
    bucket_us: u64,
    workers: BTreeMap<RowKey, Vec<Bucket>>,
    /// When jobs that are forgotten were running.
    worked: Vec<(u64, u64)>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            bucket_us: ACCOUNT_BUCKET_US,
            workers: BTreeMap::new(),
            worked: Vec::new(),
        }
    }
}

/// Where all slots' time went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accounts {
    /// The width of a bucket; the first begins at 0.
    pub bucket_us: u64,
    /// The names of the columns.
    pub columns: Vec<&'static str>,
    /// By bucket, all workers together.
    pub buckets: Vec<SlotUse>,
    /// By worker's key, over all time.
    pub workers: Vec<(RowKey, SlotUse)>,
}

impl Account {
    pub(super) fn add_compute(&mut self, worker: RowKey, span: (u64, u64)) {
        self.add(worker, span, span.1.saturating_sub(span.0), |it| &mut it.compute);
    }

    pub(super) fn add_fetch(&mut self, worker: RowKey, span: (u64, u64)) {
        self.add(worker, span, span.1.saturating_sub(span.0), |it| &mut it.fetch);
    }

    pub(super) fn add_queue(&mut self, worker: RowKey, span: (u64, u64), waited_us: u64) {
        self.add(worker, span, waited_us, |it| &mut it.queue);
    }

    pub(super) fn add_call(&mut self, worker: RowKey, span: (u64, u64), busy_us: u64) {
        self.add(worker, span, busy_us, |it| &mut it.call);
    }

    pub(super) fn add_net(&mut self, worker: RowKey, span: (u64, u64), busy_us: u64) {
        self.add(worker, span, busy_us, |it| &mut it.net);
    }

    pub(super) fn add_spill(&mut self, worker: RowKey, span: (u64, u64), busy_us: u64) {
        self.add(worker, span, busy_us, |it| &mut it.spill);
    }

    pub(super) fn add_read_back(&mut self, worker: RowKey, span: (u64, u64), busy_us: u64) {
        self.add(worker, span, busy_us, |it| &mut it.read_back);
    }

    /// Remembers when a job was running that is forgotten.
    pub(super) fn remember_work(&mut self, span: (u64, u64)) {
        self.worked.push(span);
        self.worked = union(std::mem::take(&mut self.worked));
        if self.worked.len() > WORKED_COUNT_MAX {
            self.worked.remove(0);
        }
    }

    pub(super) fn forget_worker(&mut self, worker: RowKey) {
        self.workers.remove(&worker);
    }

    /// Spreads an amount evenly over a span.
    fn add(&mut self, worker: RowKey, (from, to): (u64, u64), amount: u64, column: Column) {
        if to < from || amount == 0 {
            return;
        }
        while to / self.bucket_us >= ACCOUNT_BUCKET_COUNT_MAX as u64 {
            self.widen();
        }
        spread(
            self.workers.entry(worker).or_default(),
            self.bucket_us,
            (from, to),
            amount,
            column,
        );
    }

    fn widen(&mut self) {
        self.bucket_us = self.bucket_us.saturating_mul(2);
        for buckets in self.workers.values_mut() {
            *buckets = buckets
                .chunks(2)
                .map(|pair| pair.iter().fold(Bucket::default(), Bucket::plus))
                .collect();
        }
    }
}

impl Bucket {
    fn plus(self, other: &Self) -> Self {
        Self {
            compute: self.compute.saturating_add(other.compute),
            call: self.call.saturating_add(other.call),
            fetch: self.fetch.saturating_add(other.fetch),
            queue: self.queue.saturating_add(other.queue),
            net: self.net.saturating_add(other.net),
            read_back: self.read_back.saturating_add(other.read_back),
            spill: self.spill.saturating_add(other.spill),
        }
    }

    /// Sorts `slots_us` of slots' time into columns; `work_us` of `span_us` there was a job.
    fn sorted(&self, slots_us: u64, work_us: u64, span_us: u64) -> SlotUse {
        let mut left = slots_us;
        let mut take = |wanted: u64| {
            let taken = wanted.min(left);
            left -= taken;
            taken
        };
        let busy = take(self.compute.max(self.call));
        let function = self.call.min(busy);
        let waited = take(self.fetch);
        let from_disk = share(waited, self.read_back, self.read_back.saturating_add(self.net));
        let queued = take(self.queue);
        let for_disk = self.spill.saturating_mul(slots_us / span_us.max(1)).min(queued);
        let starved = take(share(slots_us, work_us, span_us));
        [
            busy - function,
            function,
            waited - from_disk,
            from_disk + for_disk,
            queued - for_disk,
            starved,
            left,
        ]
    }
}

fn share(of: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let share = u128::from(of) * u128::from(part.min(whole)) / u128::from(whole);
    u64::try_from(share).unwrap_or(of)
}

fn spread(buckets: &mut Vec<Bucket>, bucket_us: u64, (from, to): (u64, u64), amount: u64, column: Column) {
    let last = (to.max(from + 1) - 1) / bucket_us;
    if buckets.len() <= last as usize {
        buckets.resize(last as usize + 1, Bucket::default());
    }
    let mut given = 0;
    for at in from / bucket_us..=last {
        let end = to.min((at + 1) * bucket_us);
        // What was given up to here, so that roundings add up, and wider buckets hold the sums of narrower ones.
        let so_far = if end >= to {
            amount
        } else {
            share(amount, end - from, to - from)
        };
        let cell = column(&mut buckets[at as usize]);
        *cell = cell.saturating_add(so_far - given);
        given = so_far;
    }
}

/// Spans, sorted and without overlaps.
fn union(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut apart: Vec<(u64, u64)> = Vec::new();
    for (from, to) in spans {
        match apart.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => apart.push((from, to)),
        }
    }
    apart
}

fn overlap(a: (u64, u64), b: (u64, u64)) -> u64 {
    a.1.min(b.1).saturating_sub(a.0.max(b.0))
}

impl Aggregator {
    /// When jobs ran, without overlaps.
    pub(super) fn worked(&self, now_us: u64) -> Vec<(u64, u64)> {
        let of_jobs = self.jobs.values().filter_map(|job| {
            let from = job.started_us()?;
            Some((from, job.ended_us().unwrap_or(now_us).max(from)))
        });
        union(self.account.worked.iter().copied().chain(of_jobs).collect())
    }

    /// What is told of a worker, and what its tasks do that have not ended.
    fn buckets_now(&self, worker: WorkerId, key: RowKey, now_us: u64) -> Vec<Bucket> {
        let mut buckets = self.account.workers.get(&key).cloned().unwrap_or_default();
        let Some(table) = self.workers.get(&worker) else {
            return buckets;
        };
        let tasks = self.active.of_worker(worker);
        let width = self.account.bucket_us;
        if now_us / width >= (ACCOUNT_BUCKET_COUNT_MAX * 2) as u64 {
            return buckets;
        }
        let mut add = |from_us: u64, column: Column| {
            if from_us < now_us {
                spread(&mut buckets, width, (from_us, now_us), now_us - from_us, column);
            }
        };
        let seen = computing(tasks.clone(), table.slots(), table.lane_ends_us());
        seen.iter()
            .for_each(|it| add(it.started_us, |bucket| &mut bucket.compute));
        for (task, active) in &tasks {
            if !seen.iter().any(|it| it.task == *task) {
                add(active.since_us, |bucket| &mut bucket.queue);
            }
        }
        buckets
    }

    /// Where all slots' time went, from the workers' joining until they left, or now.
    pub fn accounts(&mut self, now_us: u64) -> Accounts {
        while now_us / self.account.bucket_us >= ACCOUNT_BUCKET_COUNT_MAX as u64 {
            self.account.widen();
        }
        let width = self.account.bucket_us;
        let worked = self.worked(now_us);
        let count = now_us.div_ceil(width) as usize;
        let mut totals = vec![SlotUse::default(); count];
        let mut workers = Vec::new();
        for (worker, table) in &self.workers {
            let Some((from, to)) = table.span_us(now_us) else {
                continue;
            };
            let buckets = self.buckets_now(*worker, table.key, now_us);
            let mut of_worker = SlotUse::default();
            for (at, total) in (0..).zip(totals.iter_mut()) {
                let span = (from.max(at * width), to.min((at + 1) * width));
                let Some(span_us) = span.1.checked_sub(span.0).filter(|us| *us > 0) else {
                    continue;
                };
                let work_us = worked.iter().map(|it| overlap(*it, span)).sum::<u64>();
                let told = buckets.get(at as usize).copied().unwrap_or_default();
                let slots_us = span_us.saturating_mul(u64::from(table.slots()));
                let used = told.sorted(slots_us, work_us, span_us);
                for column in 0..used.len() {
                    total[column] = total[column].saturating_add(used[column]);
                    of_worker[column] = of_worker[column].saturating_add(used[column]);
                }
            }
            workers.push((table.key, of_worker));
        }
        Accounts {
            bucket_us: width,
            columns: USE_NAMES.to_vec(),
            buckets: totals,
            workers,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::tests::{steps, story, told};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]

        #[test]
        fn columns_add_up_to_the_slots_time_whatever_is_told(
            steps in steps(),
            moves in prop::collection::vec((0u64..4, 0u64..60_000, 0u64..900_000, 0u64..2_000_000, 0usize..6), 0..30),
            now_us in 1u64..200_000_000,
        ) {
            let mut aggregator = told(&story(&steps));
            for (worker, from, len, amount, column) in moves {
                let key = worker as RowKey;
                let span = (from, from + len);
                match column {
                    0 => aggregator.account.add_net(key, span, amount),
                    1 => aggregator.account.add_spill(key, span, amount),
                    2 => aggregator.account.add_read_back(key, span, amount),
                    3 => aggregator.account.add_call(key, span, amount),
                    4 => aggregator.account.add_queue(key, span, len),
                    _ => aggregator.account.add_fetch(key, span),
                }
            }
            let spans: Vec<_> = aggregator
                .workers
                .values()
                .filter_map(|table| Some((table.key, table.slots(), table.span_us(now_us)?)))
                .collect();
            let accounts = aggregator.accounts(now_us);
            for ((key, used), (table, slots, (from, to))) in accounts.workers.iter().zip(&spans) {
                prop_assert_eq!(key, table);
                prop_assert_eq!(used.iter().sum::<u64>(), (to - from) * u64::from(*slots));
            }
            let by_bucket: u64 = accounts.buckets.iter().flatten().sum();
            let by_worker: u64 = accounts.workers.iter().flat_map(|(_, used)| used).sum();
            prop_assert_eq!(by_bucket, by_worker);
            prop_assert!(accounts.buckets.len() <= ACCOUNT_BUCKET_COUNT_MAX);
        }

        #[test]
        fn wider_buckets_hold_the_sums_of_narrower_ones(
            spans in prop::collection::vec((0u64..30_000_000, 1u64..9_000_000, 0u64..20_000_000), 1..20),
        ) {
            let (mut early, mut late) = (Account::default(), Account::default());
            late.widen();
            late.widen();
            for (from, len, amount) in spans {
                early.add_net(0, (from, from + len), amount);
                late.add_net(0, (from, from + len), amount);
            }
            early.widen();
            early.widen();
            let nets = |account: &Account| account.workers.values().flatten().map(|it| it.net).collect::<Vec<_>>();
            prop_assert_eq!(nets(&early), nets(&late));
        }
    }

    #[test]
    fn each_column_is_told_apart() {
        let bucket = Bucket {
            compute: 30,
            call: 10,
            fetch: 20,
            queue: 15,
            net: 5,
            read_back: 15,
            spill: 2,
        };
        assert_eq!(bucket.sorted(200, 50, 100), [20, 10, 5, 19, 11, 100, 35]);
    }
}
