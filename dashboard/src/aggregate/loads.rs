//! How loaded workers were, bucket by bucket: what pages draw over time.

use serde::Serialize;

use super::{
    history::{HISTORY_BUCKET_COUNT, HISTORY_BUCKET_US, bucket_of},
    workers::{Load, WorkerTable},
};

/// Bytes of one worker, or of several, in a bucket of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(into = "(u64, u64, u64, u64, u64)")]
pub struct LoadPoint {
    /// Where the bucket begins.
    pub at_us: u64,
    /// Chunks in memory.
    pub managed: u64,
    /// What of the processes' memory are neither chunks nor what is set aside.
    pub other: u64,
    /// Chunks on disk.
    pub spilled: u64,
    /// Set aside for what is on its way or being computed.
    pub transit: u64,
}

impl From<LoadPoint> for (u64, u64, u64, u64, u64) {
    fn from(it: LoadPoint) -> Self {
        (it.at_us, it.managed, it.other, it.spilled, it.transit)
    }
}

impl LoadPoint {
    fn of(at_us: u64, load: Load) -> Self {
        let bytes = |kib: u32| u64::from(kib) << 10;
        Self {
            at_us,
            managed: bytes(load.managed_kib),
            other: bytes(load.other_kib()),
            spilled: bytes(load.spilled_kib),
            transit: bytes(load.transit_kib),
        }
    }

    pub(super) fn add(&mut self, it: Self) {
        self.managed = self.managed.saturating_add(it.managed);
        self.other = self.other.saturating_add(it.other);
        self.spilled = self.spilled.saturating_add(it.spilled);
        self.transit = self.transit.saturating_add(it.transit);
    }
}

/// The length of a bucket of the level, or of the coarsest one.
pub(super) fn bucket_us(level: usize) -> u64 {
    HISTORY_BUCKET_US[level_within(level)]
}

/// The level itself, or the coarsest one.
pub(super) fn level_within(level: usize) -> usize {
    level.min(HISTORY_BUCKET_US.len() - 1)
}

/// The buckets that are within reach at `now_us`.
pub(super) fn buckets(level: usize, now_us: u64) -> std::ops::RangeInclusive<u32> {
    let last = bucket_of(level, now_us);
    (last + 1).saturating_sub(HISTORY_BUCKET_COUNT)..=last
}

impl WorkerTable {
    /// Its load in each bucket in which it was there, as it was last told until then. Oldest first.
    pub(super) fn load_points(&self, level: usize, now_us: u64) -> Vec<LoadPoint> {
        let end_us = self.left_us().unwrap_or(now_us);
        let mut told = self.history.points(level, now_us).peekable();
        let mut latest: Option<Load> = None;
        let mut points = Vec::new();
        for bucket in buckets(level, now_us) {
            if let Some((_, load)) = told.next_if(|(of, _)| *of == bucket) {
                latest = Some(load);
            }
            let at_us = u64::from(bucket) * bucket_us(level);
            match latest {
                Some(load) if at_us <= end_us => points.push(LoadPoint::of(at_us, load)),
                _ => {}
            }
        }
        points
    }
}
