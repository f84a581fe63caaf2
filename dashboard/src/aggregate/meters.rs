//! Counts that only grow, for a monitoring system that looks now and then: what tables forget stays counted here.

use std::{collections::BTreeMap, sync::Arc};

use super::frame::JobState;
use crate::TaskFinished;

/// Operations that are counted by name; all that come later are one, `other`.
pub const METERED_OPERATION_COUNT_MAX: usize = 64;

/// The name of the operations that have no count of their own.
pub(super) const OTHER: &str = "other";

/// Upper ends of the buckets of durations, in microseconds: from a scalar to the chunk that takes minutes.
pub(super) const DURATION_BUCKETS_US: [u64; 13] = [
    100,
    500,
    1_000,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    60_000_000,
    300_000_000,
];

/// All counts.
#[derive(Debug, Default)]
pub(super) struct Meters {
    pub(super) operations: BTreeMap<Arc<str>, Operation>,
    pub(super) jobs_started: u64,
    /// By how they ended, in the order of [`ENDS`].
    pub(super) jobs_ended: [u64; 3],
    pub(super) workers_joined: u64,
    pub(super) workers_lost: u64,
}

/// How jobs end, by the names that are told.
pub(super) const ENDS: [(JobState, &str); 3] = [
    (JobState::Succeeded, "succeeded"),
    (JobState::Failed, "failed"),
    (JobState::Cancelled, "cancelled"),
];

/// The tasks of one operation, whatever job they were of.
#[derive(Debug, Default)]
pub(super) struct Operation {
    pub(super) finished: u64,
    pub(super) failed: u64,
    pub(super) recomputed: u64,
    pub(super) bytes: u64,
    pub(super) fetch_us: u64,
    pub(super) busy_us: u64,
    /// Tasks by duration; the last is longer than all buckets.
    pub(super) durations: [u64; DURATION_BUCKETS_US.len() + 1],
}

impl Meters {
    pub(super) fn operation(&mut self, name: &Arc<str>) -> &mut Operation {
        let is_known = self.operations.contains_key(name);
        let name = match is_known || self.operations.len() < METERED_OPERATION_COUNT_MAX {
            true => name.clone(),
            false => OTHER.into(),
        };
        self.operations.entry(name).or_default()
    }

    pub(super) fn job_ended(&mut self, state: JobState) {
        if let Some(at) = ENDS.iter().position(|(end, _)| *end == state) {
            self.jobs_ended[at] += 1;
        }
    }
}

impl Operation {
    pub(super) fn finish(&mut self, finished: &TaskFinished, is_again: bool) {
        self.finished += 1;
        self.recomputed += u64::from(is_again);
        self.bytes = self.bytes.saturating_add(finished.bytes);
        self.fetch_us = self.fetch_us.saturating_add(finished.fetch_us);
        self.busy_us = self.busy_us.saturating_add(finished.duration_us);
        let bucket = DURATION_BUCKETS_US.partition_point(|end| *end < finished.duration_us);
        self.durations[bucket] += 1;
    }
}
