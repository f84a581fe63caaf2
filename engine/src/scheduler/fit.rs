//! Tasks that no worker has room for: refused before they run, with chunks that would fit.

use graticule_plan::{JobId, TaskId};

use super::{
    Scheduler,
    record::{InputRecord, LayerRecord},
};
use crate::footprint::task_bytes;

/// The most blocks of one layer that are looked at one by one when a job comes in; the rest when they are ready.
const BLOCKS_LOOKED_AT_MAX: u64 = 1 << 12;

impl Scheduler {
    /// Why a job cannot run on the workers that are there: the text that its client gets.
    pub(super) fn first_too_large(&self, job: JobId) -> Option<String> {
        let record = self.jobs.get(&job)?;
        let suspects = record
            .layers
            .iter()
            .filter(|layer| layer.apart.is_none() && layer.task_bytes_max > self.capacity.budget_bytes_max);
        suspects
            .flat_map(|layer| {
                let blocks = layer.spec.layer.grid.block_count().min(BLOCKS_LOOKED_AT_MAX);
                let layer = layer.spec.id;
                (0..blocks).map(move |block| TaskId { job, layer, block })
            })
            .find_map(|task| self.too_large(task))
    }

    /// Why no connected worker can ever run the task, if none can.
    pub(super) fn too_large(&self, task: TaskId) -> Option<String> {
        let layer = self.layer(task.job, task.layer);
        if layer.task_bytes_max <= self.capacity.budget_bytes_max {
            return None;
        }
        let largest = self.workers.values().map(|w| w.budget_bytes).max()?;
        let needed = self.known_bytes(task);
        if needed <= largest {
            return None;
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let smaller = smaller_chunks(layer, task.block, needed, largest)
            .map(|chunks| format!(" (about {chunks:?} of this operation would fit)"))
            .unwrap_or_default();
        let cause = format!(
            "one task needs {} MiB (inputs, scratch and result), but the largest worker has {} MiB; use smaller \
             chunks{smaller} or give workers more memory (`--memory`, in Python `memory_limit`)",
            mib(needed),
            mib(largest)
        );
        Some(self.tell_where(task, &cause).to_string())
    }
}

impl Scheduler {
    /// The bytes of a task. What is only learnt from other results is no reason to refuse it: of such inputs those count
    /// that are there, as large as they are.
    fn known_bytes(&self, task: TaskId) -> u64 {
        let layer = self.layer(task.job, task.layer);
        let maps = layer.inputs.iter().map(|input| &*input.map);
        let is_learnt = |layer: &LayerRecord| layer.spec.layer.learns_size().is_some();
        let of_source = |input: &InputRecord| is_learnt(self.layer(input.job, input.layer));
        if !is_learnt(layer) && !layer.inputs.iter().any(of_source) {
            return task_bytes(&layer.spec, maps, task.block);
        }
        let mut spec = (*layer.spec).clone();
        if is_learnt(layer) {
            spec.layer.item_bytes = 0;
        }
        for (source, input) in spec.sources.iter_mut().zip(&layer.inputs) {
            if of_source(input) {
                source.item_bytes = 0;
            }
        }
        let mut bytes = task_bytes(&spec, maps, task.block);
        self.each_input(task, |input| {
            let source = self.layer(input.job, input.layer);
            let there = source.chunks.get(input.block).filter(|_| is_learnt(source));
            bytes = bytes.saturating_add(there.map_or(0, |record| record.bytes));
        });
        bytes
    }
}

/// The lengths of a chunk like that of a block, its longest axes halved until a task would fit; `None` if a single
/// element still would not.
fn smaller_chunks(layer: &LayerRecord, block: u64, needed: u64, room: u64) -> Option<Vec<u64>> {
    let extents = layer.spec.layer.grid.extents(block);
    let mut lens: Vec<u64> = extents.iter().map(|extent| extent.end - extent.start).collect();
    let mut bytes = needed;
    while bytes > room {
        let longest = lens.iter_mut().max().filter(|len| **len > 1)?;
        *longest = longest.div_ceil(2);
        bytes = bytes.div_ceil(2);
    }
    Some(lens)
}
