//! Tasks that not every worker may run: they need countable things, name the workers, or are to run alone.
//!
//! They wait in queues of their own, a queue for each layer, so that none of them stands in the way of a task that any
//! worker takes. A job has only so many of them ready at a time.

use std::{cmp::Reverse, collections::BinaryHeap};

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

use super::{
    Scheduler,
    dispatch::Leases,
    record::{LayerRecord, ReadyRun, TaskState, WorkerRecord},
};
use crate::BlockRun;

impl LayerRecord {
    /// Whether the layer's tasks run on some workers only, or take something countable.
    pub(super) fn is_choosy(&self) -> bool {
        let layer = &self.spec.layer;
        self.is_rare || self.is_untried || !layer.resources.is_empty() || !layer.workers.is_empty()
    }

    /// Whether a worker may run the layer's tasks when it has nothing else to do.
    pub(super) fn may_ever_run_on(&self, worker: &WorkerRecord) -> bool {
        let layer = &self.spec.layer;
        let has_all = layer.resources.iter().all(|need| {
            worker
                .resources
                .get(&need.name)
                .is_some_and(|(whole, _)| *whole >= need.count)
        });
        has_all
            && (layer.workers.is_empty() || layer.workers.contains(&worker.name))
            && layer
                .functions()
                .all(|function| worker.functions.contains(function))
    }

    /// Whether a worker may run one of the layer's tasks now, as far as that is not a question of room.
    pub(super) fn may_run_on(&self, worker: &WorkerRecord) -> bool {
        let needs = &self.spec.layer.resources;
        let is_free = |need: &graticule_plan::Resource| {
            worker
                .resources
                .get(&need.name)
                .is_some_and(|(_, free)| *free >= need.count)
        };
        self.may_ever_run_on(worker) && needs.iter().all(is_free)
    }
}

impl Scheduler {
    /// Leases those of the choosy ready tasks for which a worker is free.
    pub(super) fn dispatch_choosy(&mut self, leases: &mut Leases) {
        self.dispatch_untried(leases);
        let layers: Vec<(JobId, LayerId)> = self.choosy.iter().copied().collect();
        let tops = layers
            .into_iter()
            .filter_map(|(job, layer)| self.top_choosy_of(job, layer));
        let mut tops: BinaryHeap<_> = tops.map(Reverse).collect();
        while let Some(Reverse((_, job, top))) = tops.pop() {
            let (layer, block) = (top.layer, top.block);
            let task = TaskId { job, layer, block };
            if let Some(message) = self.too_large(task) {
                self.fail_task(task, &message.into());
            } else if !self.admits_lease(task) {
                continue;
            } else if let Some((worker, _)) = self.place(task.into()) {
                self.layer_mut(job, layer).choosy_ready.take(1);
                self.ready_to_leased(task.into(), worker, leases);
            } else {
                continue;
            }
            tops.extend(self.top_choosy_of(job, layer).map(Reverse));
        }
    }

    /// The first task of a choosy layer's queue, by the order in which those of all jobs are placed.
    fn top_choosy_of(&mut self, job: JobId, layer: LayerId) -> Option<(Reverse<i32>, JobId, ReadyRun)> {
        self.top_choosy(job, layer).map(|top| (top.priority, job, top))
    }

    /// Of a job's ready tasks that are not for every worker, that which was demanded first, whether or not a worker that can
    /// run it is there.
    pub(super) fn earliest_choosy(&mut self, job: JobId) -> Option<ReadyRun> {
        let of_job = (job, LayerId(0))..=(job, LayerId(u32::MAX));
        let layers: Vec<LayerId> = self.choosy.range(of_job).map(|&(_, layer)| layer).collect();
        let tops = layers.into_iter().filter_map(|layer| self.top_choosy(job, layer));
        tops.min_by_key(|top| top.order)
    }

    /// The first task of a choosy layer's queue that still is ready.
    pub(super) fn top_choosy(&mut self, job: JobId, layer: LayerId) -> Option<ReadyRun> {
        let record = self
            .jobs
            .get_mut(&job)
            .map(|job| &mut job.layers[layer.0 as usize]);
        if let Some(record) = record {
            while let Some(top) = record.choosy_ready.peek() {
                let task = record.tasks.get(top.block);
                if task.is_some_and(|task| task.state == TaskState::Ready && task.order == top.order) {
                    return Some(top);
                }
                record.choosy_ready.take(1);
            }
        }
        self.list_apart(job, layer).remove(&(job, layer));
        None
    }

    /// Takes what tasks need from a worker, or gives it back.
    pub(super) fn occupy(&mut self, tasks: BlockRun, worker: WorkerId, take: bool) {
        let Some(layer) = self
            .jobs
            .get(&tasks.job)
            .map(|job| &job.layers[tasks.layer.0 as usize])
        else {
            return;
        };
        if layer.spec.layer.resources.is_empty() {
            return;
        }
        let spec = layer.spec.clone();
        let Some(record) = self.workers.get_mut(&worker) else {
            return;
        };
        for need in &spec.layer.resources {
            if let Some((_, free)) = record.resources.get_mut(&need.name) {
                let count = need.count * tasks.count as u32;
                *free = if take { *free - count } else { *free + count };
            }
        }
    }

    /// For a person: what a job's layers need that no connected worker offers.
    pub(super) fn unmet_wishes(&self, job: JobId) -> Vec<std::sync::Arc<str>> {
        let layers = self
            .jobs
            .get(&job)
            .map(|record| record.layers.as_slice())
            .unwrap_or_default();
        let unmet = layers.iter().filter(|layer| {
            let is_open = layer.finished.len() < layer.tasks_in_all();
            is_open && layer.is_choosy() && !self.workers.values().any(|worker| layer.may_ever_run_on(worker))
        });
        let tell = |layer: &LayerRecord| {
            let spec = &layer.spec.layer;
            let needs = spec
                .resources
                .iter()
                .map(|need| format!("{} {}", need.count, need.name));
            let names = spec.workers.iter().map(|name| format!("worker {name}"));
            let functions = spec.functions.iter().map(|name| format!("function {name}"));
            let wishes: Vec<String> = needs.chain(names).chain(functions).collect();
            format!(
                "{} waits: no connected worker offers what it asks for ({})",
                spec.name,
                wishes.join(", ")
            )
            .into()
        };
        unmet.map(tell).collect()
    }
}
