use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::Time;

/// Starts that are remembered to tell how long the next takes.
const MEASURED_COUNT_MAX: usize = 8;
/// Pause after a start that failed; doubled for each further one without a success between.
const PAUSE_US: u64 = 1_000_000;
const PAUSE_US_MAX: u64 = 60_000_000;

/// The workers that were started and are not connected yet, and what the starts before them have taught.
///
/// Whoever starts workers keeps one and tells it of each start and end; [`Supply`](super::Supply) is made of what it
/// knows. Times are the scheduler's.
#[derive(Debug, Clone)]
pub struct Starts {
    pending: BTreeMap<Arc<str>, Time>,
    /// What the latest starts took, microseconds.
    measured_us: VecDeque<u64>,
    guess_us: u64,
    give_up_us: u64,
    /// Starts that failed since the last one that did not.
    failed_count: u32,
    not_before: Time,
}

impl Starts {
    /// Knows of no start: one is thought to take `guess_us`, and after `give_up_us` it is thought to have failed.
    pub fn new(guess_us: u64, give_up_us: u64) -> Self {
        Self {
            pending: BTreeMap::new(),
            measured_us: VecDeque::new(),
            guess_us,
            give_up_us,
            failed_count: 0,
            not_before: Time::ZERO,
        }
    }

    /// A worker was started.
    pub fn begin(&mut self, now: Time, name: &str) {
        self.pending.insert(name.into(), now);
    }

    /// A worker is connected since `joined`. Others than those begun here are ignored.
    pub fn joined(&mut self, joined: Time, name: &str) {
        let Some(since) = self.pending.remove(name) else {
            return;
        };
        if self.measured_us.len() == MEASURED_COUNT_MAX {
            self.measured_us.pop_front();
        }
        self.measured_us.push_back(joined.since_us(since));
        self.failed_count = 0;
        self.not_before = Time::ZERO;
    }

    /// A worker has ended, or could not be started at all. Returns whether it was never connected.
    pub fn ended(&mut self, now: Time, name: &str) -> bool {
        let was_pending = self.pending.remove(name).is_some();
        if was_pending {
            self.failed(now);
        }
        was_pending
    }

    /// Takes out the workers that are on their way for too long: whoever started them ends them.
    pub fn give_up(&mut self, now: Time) -> Vec<Arc<str>> {
        let late = self.pending.iter();
        let late = late.filter(|&(_, &since)| now.since_us(since) >= self.give_up_us);
        let late: Vec<Arc<str>> = late.map(|(name, _)| name.clone()).collect();
        for name in &late {
            self.ended(now, name);
        }
        late
    }

    /// Workers on their way, and since when.
    pub fn pending(&self) -> Vec<Time> {
        self.pending.values().copied().collect()
    }

    /// What a start takes, microseconds: the longest of the latest ones; before any is measured, the guess.
    pub fn start_us(&self) -> u64 {
        self.measured_us.iter().copied().max().unwrap_or(self.guess_us)
    }

    /// No worker is to be started before this time, since the latest starts failed.
    pub fn not_before(&self) -> Time {
        self.not_before
    }

    /// Those that fail within a pause were started together: they count as one.
    fn failed(&mut self, now: Time) {
        if now >= self.not_before {
            let pause_us = PAUSE_US.saturating_mul(1 << self.failed_count.min(16));
            self.failed_count = self.failed_count.saturating_add(1);
            self.not_before = now + pause_us.min(PAUSE_US_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MEASURED_COUNT_MAX, Starts};
    use crate::Time;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_start_takes_as_long_as_the_longest_of_the_latest_ones() {
        let mut starts = Starts::new(7 * SECOND, 60 * SECOND);
        assert_eq!(starts.start_us(), 7 * SECOND);
        for (second, took) in (0..).zip([1, 3, 2]) {
            let name = format!("w{second}");
            starts.begin(Time(second * SECOND), &name);
            starts.joined(Time((second + took) * SECOND), &name);
        }
        assert_eq!(starts.start_us(), 3 * SECOND);
        for _ in 0..MEASURED_COUNT_MAX {
            starts.begin(Time(SECOND), "w");
            starts.joined(Time(2 * SECOND), "w");
        }
        assert_eq!(starts.start_us(), SECOND, "those of long ago are forgotten");
        starts.joined(Time(900 * SECOND), "stranger");
        assert_eq!((starts.start_us(), starts.pending()), (SECOND, vec![]));
    }

    #[test]
    fn a_worker_that_never_comes_is_given_up_and_counts_no_more() {
        let mut starts = Starts::new(SECOND, 60 * SECOND);
        starts.begin(Time(SECOND), "early");
        starts.begin(Time(30 * SECOND), "late");
        assert!(starts.give_up(Time(60 * SECOND)).is_empty());
        assert_eq!(starts.give_up(Time(61 * SECOND)), ["early".into()]);
        assert_eq!(starts.pending(), [Time(30 * SECOND)]);
        assert_eq!(starts.not_before(), Time(62 * SECOND));
        assert!(
            !starts.ended(Time(62 * SECOND), "early"),
            "its end is no second failure"
        );
    }

    #[test]
    fn the_pause_after_failed_starts_doubles_up_to_a_minute_until_one_succeeds() {
        let mut starts = Starts::new(SECOND, 60 * SECOND);
        let (mut now, mut pauses) = (Time(SECOND), Vec::new());
        for _ in 0..8 {
            for name in ["a", "b", "c"] {
                starts.begin(now, name);
            }
            for name in ["a", "b", "c"] {
                assert!(starts.ended(now, name));
            }
            pauses.push(starts.not_before().since_us(now) / SECOND);
            now = starts.not_before();
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        starts.begin(now, "good");
        starts.joined(now, "good");
        assert_eq!(starts.not_before(), Time::ZERO);
        starts.begin(now, "bad");
        starts.ended(now, "bad");
        assert_eq!(starts.not_before(), now + SECOND);
    }
}
