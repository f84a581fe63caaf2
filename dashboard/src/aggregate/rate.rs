/// Whole seconds of ended tasks that are remembered.
pub const PULSE_SECONDS: usize = 60;

/// Seconds over which a rate is taken.
const WINDOW_SECONDS: u64 = 10;

/// Tasks that must have ended within the window for its rate to mean something; with fewer, the whole time since
/// the first one counts.
const WINDOW_TASK_COUNT_MIN: u64 = 8;

/// One more than are shown: the second that is not over yet.
const BUCKET_COUNT: usize = PULSE_SECONDS + 1;

const SECOND_US: u64 = 1_000_000;

/// Counts of ended tasks by the second in which they ended: enough for rates and a pulse.
///
/// The order in which ends are told does not matter, as long as they are of the last minute.
#[derive(Debug, Clone)]
pub(super) struct EndCounts {
    /// By second modulo the length: the second (counted from 1, so 0 is unused) and the count.
    buckets: [(u64, u32); BUCKET_COUNT],
    first_us: u64,
    total: u64,
}

impl Default for EndCounts {
    fn default() -> Self {
        Self {
            buckets: [(0, 0); BUCKET_COUNT],
            first_us: u64::MAX,
            total: 0,
        }
    }
}

impl EndCounts {
    /// Counts a task that began at `started_us` and ended at `ended_us`.
    pub(super) fn count(&mut self, started_us: u64, ended_us: u64) {
        self.first_us = self.first_us.min(started_us);
        self.total += 1;
        let second = ended_us / SECOND_US + 1;
        let (at, count) = &mut self.buckets[(second % BUCKET_COUNT as u64) as usize];
        match second.cmp(at) {
            std::cmp::Ordering::Greater => (*at, *count) = (second, 1),
            std::cmp::Ordering::Equal => *count = count.saturating_add(1),
            std::cmp::Ordering::Less => {}
        }
    }

    fn within(&self, second: u64) -> u64 {
        let (at, count) = self.buckets[(second % BUCKET_COUNT as u64) as usize];
        if at == second { u64::from(count) } else { 0 }
    }

    /// Ended tasks a second at `now_us`.
    pub(super) fn rate(&self, now_us: u64) -> f64 {
        if self.total == 0 || now_us <= self.first_us {
            return 0.0;
        }
        let second = now_us / SECOND_US + 1;
        let age_us = now_us - self.first_us;
        let into_us = now_us % SECOND_US;
        let window_us = (WINDOW_SECONDS - 1) * SECOND_US + into_us;
        let recent: u64 = (0..WINDOW_SECONDS)
            .map(|back| second.saturating_sub(back))
            .filter(|s| *s > 0)
            .map(|s| self.within(s))
            .sum();
        let idle = (0..PULSE_SECONDS as u64)
            .map(|back| second.saturating_sub(back))
            .filter(|s| *s > 0)
            .all(|s| self.within(s) == 0);
        let (count, over_us) = if age_us <= window_us || (recent < WINDOW_TASK_COUNT_MIN && !idle) {
            (self.total, age_us)
        } else {
            (recent, window_us)
        };
        if over_us == 0 {
            0.0
        } else {
            count as f64 * SECOND_US as f64 / over_us as f64
        }
    }

    /// Ended tasks in each of the last whole seconds before `now_us`, oldest first.
    pub(super) fn pulse(&self, now_us: u64) -> Vec<u32> {
        let second = now_us / SECOND_US + 1;
        (1..=PULSE_SECONDS as u64)
            .rev()
            .map(|back| {
                second
                    .checked_sub(back)
                    .filter(|s| *s > 0)
                    .map_or(0, |s| self.within(s))
            })
            .map(|count| u32::try_from(count).unwrap_or(u32::MAX))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_has_its_rate_at_any_time() {
        let mut counts = EndCounts::default();
        for i in 0..2_000 {
            counts.count(i * 20_000, (i + 1) * 20_000);
            if i > 100 {
                let rate = counts.rate((i + 1) * 20_000);
                assert!((rate - 50.0).abs() < 6.0, "{rate} after {i}");
            }
        }
        let pulse = counts.pulse(40_000_000);
        assert_eq!(pulse.len(), PULSE_SECONDS);
        assert_eq!(pulse[PULSE_SECONDS - 5], 50);
    }

    #[test]
    fn long_tasks_have_a_rate_below_one() {
        let mut counts = EndCounts::default();
        for i in 0..6u64 {
            counts.count(i * 8_000_000, (i + 1) * 8_000_000);
        }
        assert!((counts.rate(48_000_000) - 0.125).abs() < 0.01);
    }

    #[test]
    fn nothing_lately_is_a_rate_of_zero() {
        let mut counts = EndCounts::default();
        for i in 0..500 {
            counts.count(i * 1_000, i * 1_000 + 500);
        }
        assert!(counts.rate(500_000) > 900.0);
        assert_eq!(counts.rate(200_000_000), 0.0);
        assert_eq!(EndCounts::default().rate(5), 0.0);
    }
}
