use std::collections::BTreeMap;

use graticule_plan::WorkerId;

use super::{
    Aggregator,
    active::computing,
    frame::{RowKey, RunningTask},
};

/// What workers do right now.
#[derive(Debug, Default)]
pub struct Activity {
    /// Tasks that compute.
    pub(super) running: Vec<RunningTask>,
    layers: BTreeMap<RowKey, Counts>,
    workers: BTreeMap<WorkerId, Counts>,
}

/// Tasks that workers have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Those that compute.
    pub(super) running: u64,
    /// Those that wait for their inputs or for a slot.
    pub(super) queued: u64,
}

impl Activity {
    /// What the tasks of all workers do.
    pub fn of(aggregator: &Aggregator) -> Self {
        let mut activity = Self::default();
        for (worker, tasks) in aggregator.active.by_worker() {
            let Some(table) = aggregator.workers.get(&worker) else {
                continue;
            };
            let mut counts = Counts {
                running: 0,
                queued: tasks.len() as u64,
            };
            for (task, _) in &tasks {
                if let Some(layer) = aggregator.layer_key(*task) {
                    activity.layers.entry(layer).or_default().queued += 1;
                }
            }
            for it in computing(tasks, table.slots(), table.lane_ends_us()) {
                let Some(layer) = aggregator.layer_key(it.task) else {
                    continue;
                };
                let of_layer = activity.layers.entry(layer).or_default();
                of_layer.running += 1;
                of_layer.queued -= 1;
                counts.running += 1;
                counts.queued -= 1;
                activity.running.push(RunningTask {
                    layer,
                    block: it.task.block,
                    worker: table.key,
                    slot: it.slot,
                    started_us: it.started_us,
                    attempt: it.attempt,
                });
            }
            activity.workers.insert(worker, counts);
        }
        activity
    }

    pub(super) fn of_layer(&self, layer: RowKey) -> Counts {
        self.layers.get(&layer).copied().unwrap_or_default()
    }

    pub(super) fn of_worker(&self, worker: WorkerId) -> Counts {
        self.workers.get(&worker).copied().unwrap_or_default()
    }
}
