use std::collections::VecDeque;

/// Buckets of one level of a history that are kept.
pub const HISTORY_BUCKET_COUNT: u32 = 90;

/// The length of a bucket at each level, microseconds: the last 90 seconds, 15 minutes and 3 hours.
pub const HISTORY_BUCKET_US: [u64; 3] = [1_000_000, 10_000_000, 120_000_000];

/// How something was, in buckets of time: fine ones for what was lately, coarse ones for longer.
///
/// The latest that was told of a bucket stands for it, and of two at the same time the greater. So the order in which
/// they are told does not matter.
#[derive(Debug, Clone)]
pub(super) struct History<P> {
    levels: [VecDeque<Entry<P>>; HISTORY_BUCKET_US.len()],
}

#[derive(Debug, Clone, Copy)]
struct Entry<P> {
    bucket: u32,
    /// Microseconds from the bucket's beginning.
    into_us: u32,
    point: P,
}

impl<P> Default for History<P> {
    fn default() -> Self {
        Self {
            levels: std::array::from_fn(|_| VecDeque::new()),
        }
    }
}

/// The bucket of a time at a level.
pub(super) fn bucket_of(level: usize, at_us: u64) -> u32 {
    u32::try_from(at_us / HISTORY_BUCKET_US[level]).unwrap_or(u32::MAX)
}

impl<P: Copy + PartialOrd> History<P> {
    /// Takes in how it was at `at_us`.
    pub(super) fn take(&mut self, at_us: u64, point: P) {
        for (level, entries) in self.levels.iter_mut().enumerate() {
            let entry = Entry {
                bucket: bucket_of(level, at_us),
                // Shorter than a bucket, and those are shorter than an hour.
                into_us: (at_us % HISTORY_BUCKET_US[level]) as u32,
                point,
            };
            take(entries, entry);
        }
    }

    /// The points of a level whose buckets are still within reach at `now_us`, oldest first.
    pub(super) fn points(&self, level: usize, now_us: u64) -> impl Iterator<Item = (u32, P)> {
        let first = (bucket_of(level, now_us) + 1).saturating_sub(HISTORY_BUCKET_COUNT);
        let entries = self.levels[level].iter();
        entries
            .skip_while(move |entry| entry.bucket < first)
            .map(|entry| (entry.bucket, entry.point))
    }

    /// Whether no level has anything within reach at `now_us`.
    pub(super) fn is_over(&self, now_us: u64) -> bool {
        (0..self.levels.len()).all(|level| self.points(level, now_us).next().is_none())
    }
}

fn take<P: Copy + PartialOrd>(entries: &mut VecDeque<Entry<P>>, entry: Entry<P>) {
    let newest = entries.back().map_or(0, |last| last.bucket).max(entry.bucket);
    let first = (newest + 1).saturating_sub(HISTORY_BUCKET_COUNT);
    if entry.bucket < first {
        return;
    }
    match entries.binary_search_by_key(&entry.bucket, |known| known.bucket) {
        Ok(at) => {
            let known = &mut entries[at];
            let is_later = entry.into_us > known.into_us;
            let is_greater = entry.into_us == known.into_us && entry.point > known.point;
            if is_later || is_greater {
                *known = entry;
            }
        }
        Err(at) => entries.insert(at, entry),
    }
    while entries.front().is_some_and(|oldest| oldest.bucket < first) {
        entries.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(history: &History<u32>, level: usize, now_us: u64) -> Vec<(u32, u32)> {
        history.points(level, now_us).collect()
    }

    #[test]
    fn each_level_keeps_its_latest_buckets_and_no_more() {
        let mut history = History::default();
        for second in 0..1_000u32 {
            history.take(u64::from(second) * 1_000_000 + 7, second);
        }
        let now_us = 999_500_000;
        let fine = points(&history, 0, now_us);
        assert_eq!((fine.len(), fine[0], fine[89]), (90, (910, 910), (999, 999)));
        let middle = points(&history, 1, now_us);
        assert_eq!((middle.len(), middle[89]), (90, (99, 999)));
        assert_eq!(points(&history, 2, now_us)[0], (0, 119), "the last of its bucket");
        assert_eq!(points(&history, 0, now_us + 100_000_000), []);
        assert!(!history.is_over(now_us + 100_000_000));
        assert!(history.is_over(now_us + 100_000_000_000));
    }

    proptest! {
        #[test]
        fn the_order_in_which_points_come_does_not_matter(
            told in prop::collection::vec((0u64..400_000_000, 0u32..9), 0..300),
            by in any::<u64>(),
        ) {
            let mut shuffled = told.clone();
            shuffled.sort_by_key(|(at_us, point)| (at_us ^ by).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(*point));
            let [one, other] = [&told, &shuffled].map(|told| {
                let mut history = History::default();
                told.iter().for_each(|(at_us, point)| history.take(*at_us, *point));
                [0, 1, 2].map(|level| points(&history, level, 400_000_000))
            });
            prop_assert_eq!(one, other);
        }
    }
}
