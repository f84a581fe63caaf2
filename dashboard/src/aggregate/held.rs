//! What is held: chunks that were made and neither dropped nor lost, by operation and by the worker that made them.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Aggregator,
    frame::RowKey,
    history::{HISTORY_BUCKET_US, History},
    jobs::{JobTable, LayerTable},
    scale::{quantised, value_of},
};

/// Operations whose bytes are kept over time; those of further names go together.
pub const OPERATION_SERIES_COUNT_MAX: usize = 64;

/// The name of the operations that have no series of their own.
pub(super) const OTHER_OPERATIONS: &str = "other operations";

/// One chunk that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    /// Who made it, if that was told.
    pub(super) worker: Option<RowKey>,
    /// On the scale of `scale.rs`.
    pub(super) bytes_step: u8,
    /// Whether it is on disk.
    pub(super) is_spilled: bool,
}

/// Chunks of one layer that are there. Few entries: a layer's chunks have few sizes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HeldChunks {
    counts: BTreeMap<(Option<RowKey>, u8, bool), u64>,
}

/// A number of chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HeldSum {
    pub(super) chunks: u64,
    pub(super) bytes: u64,
    pub(super) spilled: u64,
}

impl HeldChunks {
    pub(super) fn add(&mut self, holding: Option<Holding>) {
        if let Some(it) = holding {
            *self
                .counts
                .entry((it.worker, it.bytes_step, it.is_spilled))
                .or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, holding: Option<Holding>) {
        let Some(it) = holding else { return };
        let key = (it.worker, it.bytes_step, it.is_spilled);
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
    }

    /// By who made them. A chunk whose size is that of a `whole` one on the scale counts as that; others are off by a
    /// tenth at most.
    pub(super) fn by_worker(&self, whole: u64) -> BTreeMap<Option<RowKey>, HeldSum> {
        let mut sums: BTreeMap<Option<RowKey>, HeldSum> = BTreeMap::new();
        for ((worker, step, is_spilled), count) in &self.counts {
            let bytes = if *step == quantised(whole) {
                whole
            } else {
                value_of(*step)
            };
            let sum = sums.entry(*worker).or_default();
            sum.chunks += count;
            sum.bytes = sum.bytes.saturating_add(bytes.saturating_mul(*count));
            sum.spilled += if *is_spilled { *count } else { 0 };
        }
        sums
    }

    pub(super) fn sum(&self, whole: u64) -> HeldSum {
        let mut all = HeldSum::default();
        for sum in self.by_worker(whole).values() {
            all.chunks += sum.chunks;
            all.bytes = all.bytes.saturating_add(sum.bytes);
            all.spilled += sum.spilled;
        }
        all
    }
}

/// Bytes that operations held, over time.
#[derive(Debug, Default)]
pub(super) struct OperationHistory {
    /// The latest bucket of the finest level that was sampled, plus one.
    sampled_end: u64,
    pub(super) series: BTreeMap<Arc<str>, History<u64>>,
}

impl Aggregator {
    /// Notes what operations hold at `now_us`, once a second; more often it does nothing.
    pub fn sample(&mut self, now_us: u64) {
        let end = now_us / HISTORY_BUCKET_US[0] + 1;
        if end <= self.operations.sampled_end {
            return;
        }
        self.operations.sampled_end = end;
        let mut sums: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for (table, layer) in self.holding_layers() {
            let bytes = layer.held().bytes;
            if bytes > 0 {
                *sums.entry(table.layer_name(layer)).or_default() += bytes;
            }
        }
        let series = &mut self.operations.series;
        series.retain(|name, history| sums.contains_key(name) || !history.is_over(now_us));
        let mut others = 0;
        for (name, bytes) in sums {
            if !series.contains_key(&name) && series.len() >= OPERATION_SERIES_COUNT_MAX {
                others += bytes;
                continue;
            }
            series.entry(name).or_default().take(now_us, bytes);
        }
        if others > 0 {
            // One more than the limit at most.
            series
                .entry(OTHER_OPERATIONS.into())
                .or_default()
                .take(now_us, others);
        }
    }

    /// Layers whose chunks may be there: those of jobs that run, and what is kept by name.
    pub(super) fn holding_layers(&self) -> impl Iterator<Item = (&JobTable, &LayerTable)> {
        self.jobs.values().flat_map(|table| {
            let layers = table.layers.values();
            let is_kept = |layer: &&LayerTable| layer.plan().is_some_and(|plan| !plan.keys.is_empty());
            layers
                .filter(move |layer| !table.is_ended() || is_kept(layer))
                .map(move |layer| (table, layer))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_chunks_are_exact_and_nothing_is_left_of_what_was_removed() {
        let mut held = HeldChunks::default();
        let holding = |worker, bytes, is_spilled| {
            Some(Holding {
                worker,
                bytes_step: quantised(bytes),
                is_spilled,
            })
        };
        held.add(holding(Some(1), 1_000_003, false));
        held.add(holding(Some(1), 1_000_003, true));
        held.add(holding(Some(2), 400, false));
        held.add(None);
        let sums = held.by_worker(1_000_003);
        assert_eq!(
            sums[&Some(1)],
            HeldSum {
                chunks: 2,
                bytes: 2_000_006,
                spilled: 1
            }
        );
        assert!((360..440).contains(&sums[&Some(2)].bytes), "{sums:?}");
        assert_eq!(held.sum(1_000_003).chunks, 3);
        held.remove(holding(Some(1), 1_000_003, true));
        held.remove(holding(Some(1), 1_000_003, false));
        held.remove(holding(Some(2), 400, false));
        assert_eq!(held, HeldChunks::default());
    }
}
