//! Who did how much of each operation, and which of its tasks took longest: what findings compare.

use std::collections::BTreeMap;

use super::frame::RowKey;
use crate::TaskFinished;

/// Pairs of an operation and a worker; what others do is not compared.
const SHARE_COUNT_MAX: usize = 16_384;

/// The tasks of an operation that one worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) count: u64,
    pub(super) busy_us: u64,
}

/// A task, and when it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Longest {
    pub(super) duration_us: u64,
    pub(super) block: u64,
    pub(super) worker: RowKey,
    pub(super) started_us: u64,
}

#[derive(Debug, Default)]
pub(super) struct Shares {
    by_worker: BTreeMap<(RowKey, RowKey), Share>,
    longest: BTreeMap<RowKey, Longest>,
}

impl Shares {
    pub(super) fn count(&mut self, layer: RowKey, worker: RowKey, finished: &TaskFinished) {
        let told = Longest {
            duration_us: finished.duration_us,
            block: finished.task.block,
            worker,
            started_us: finished.started_us,
        };
        let longest = self.longest.entry(layer).or_insert(told);
        *longest = told.max(*longest);
        if self.by_worker.len() >= SHARE_COUNT_MAX && !self.by_worker.contains_key(&(layer, worker)) {
            return;
        }
        let share = self.by_worker.entry((layer, worker)).or_default();
        share.count += 1;
        share.busy_us = share.busy_us.saturating_add(finished.duration_us);
    }

    pub(super) fn longest(&self, layer: RowKey) -> Option<Longest> {
        self.longest.get(&layer).copied()
    }

    /// By layer and worker.
    pub(super) fn each(&self) -> impl Iterator<Item = ((RowKey, RowKey), Share)> {
        self.by_worker.iter().map(|(key, share)| (*key, *share))
    }

    pub(super) fn forget_layer(&mut self, layer: RowKey) {
        self.by_worker.retain(|(key, _), _| *key != layer);
        self.longest.remove(&layer);
    }

    pub(super) fn forget_worker(&mut self, worker: RowKey) {
        self.by_worker.retain(|(_, key), _| *key != worker);
    }
}
