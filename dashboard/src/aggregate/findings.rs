//! What slows a run down, in words and numbers, with what helps.
//!
//! Each rule looks at the tables as they are and says nothing unless what it sees costs a part of the slots' time that is
//! worth a person's (`finding_rules.rs`); a test plants each fault and sees it named, and runs without any are silent.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use graticule_plan::{JobId, LayerId};
use serde::{Deserialize, Serialize};

use super::{
    Aggregator,
    account::{Accounts, SlotUse},
    frame::RowKey,
    jobs::LayerTable,
};

/// Findings that are told, the costliest first.
pub const FINDING_COUNT_MAX: usize = 32;

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Tasks so short that giving them out takes longer.
    ChunksTooSmall,
    /// One task that takes much longer than its neighbours.
    Skew,
    /// Chunks go to disk and back.
    Spill,
    /// Very many very small pieces travel.
    ChattyRechunk,
    /// A worker that takes longer than others for the same.
    SlowWorker,
    /// No task is ready though there is work.
    Starvation,
    /// Kept results that nobody reads.
    Leak,
    /// Users' functions that hold Python's interpreter.
    InterpreterHeld,
    /// Attempts that failed and ran again.
    Retries,
    /// A worker that gets nothing to do.
    IdleWorker,
}

/// Something that slows the run down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// What it costs of the slots' time, in microseconds, as far as that can be told; the rank.
    pub cost_us: u64,
    /// What is seen, with numbers.
    pub text: String,
    /// What helps, with numbers.
    pub remedy: String,
    /// The operation, by its key.
    pub layer: Option<RowKey>,
    /// The worker, by its key.
    pub worker: Option<RowKey>,
    /// A block of the operation.
    pub block: Option<u64>,
    /// Where on the timeline it is seen, in microseconds.
    pub span_us: Option<(u64, u64)>,
}

/// Where the slots' time went, and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Insights {
    /// Microseconds since the cluster's start.
    pub now_us: u64,
    /// All slots' time.
    pub accounts: Accounts,
    /// Findings, the costliest first.
    pub findings: Vec<Finding>,
}

/// What rules look at.
pub(super) struct Scene<'a> {
    pub(super) tables: &'a Aggregator,
    pub(super) now_us: u64,
    /// All workers' slots together.
    pub(super) used: SlotUse,
    pub(super) by_worker: BTreeMap<RowKey, SlotUse>,
    pub(super) worked_us: u64,
}

impl Aggregator {
    /// Where the slots' time went, and what slows the run down.
    pub fn insights(&mut self, now_us: u64) -> Insights {
        let accounts = self.accounts(now_us);
        let mut used = SlotUse::default();
        for (_, of) in &accounts.workers {
            (0..used.len()).for_each(|column| used[column] = used[column].saturating_add(of[column]));
        }
        let worked = self.worked(now_us);
        let scene = Scene {
            tables: self,
            now_us,
            used,
            by_worker: accounts.workers.iter().copied().collect(),
            worked_us: worked.iter().map(|(from, to)| to - from).sum(),
        };
        let findings = scene.findings();
        Insights {
            now_us,
            accounts,
            findings,
        }
    }
}

impl Scene<'_> {
    fn findings(&self) -> Vec<Finding> {
        let slow = self.slow_workers();
        let idle = self.idle_workers();
        let slow_keys: BTreeSet<RowKey> = slow.iter().filter_map(|it| it.worker).collect();
        let mut found = Vec::new();
        for (job, id, layer) in self.layers() {
            found.extend(self.chunks_too_small(layer));
            found.extend(self.skew(job, layer, &slow_keys));
            found.extend(self.chatty(layer));
            found.extend(self.retries(layer));
            found.extend(self.leak(job, id, layer));
        }
        found.extend(self.spills());
        found.extend(self.interpreter_held());
        // What explains why slots had nothing to do is told in its place.
        let is_explained = !idle.is_empty()
            || !slow.is_empty()
            || (found.iter()).any(|it| matches!(it.kind, FindingKind::Skew | FindingKind::ChunksTooSmall));
        if !is_explained {
            found.extend(self.starvation());
        }
        found.extend(slow);
        found.extend(idle);
        found.sort_by_key(|it| (Reverse(it.cost_us), it.kind, it.layer, it.worker));
        found.truncate(FINDING_COUNT_MAX);
        found
    }

    pub(super) fn layers(&self) -> impl Iterator<Item = (JobId, LayerId, &LayerTable)> {
        self.tables
            .jobs
            .iter()
            .flat_map(|(job, table)| table.shown_layers().map(|(id, layer)| (*job, id, layer)))
    }

    pub(super) fn worker_name(&self, key: RowKey) -> String {
        let known = self.tables.workers.values().find(|table| table.key == key);
        known.map_or_else(|| "a worker".to_owned(), |table| table.name().to_string())
    }

    /// Slots' time while jobs ran: without that in which there was nothing to do.
    pub(super) fn wanted_us(&self) -> u64 {
        self.used[..6]
            .iter()
            .fold(0, |sum: u64, us| sum.saturating_add(*us))
            .max(1)
    }
}
