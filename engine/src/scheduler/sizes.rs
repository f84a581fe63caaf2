//! How large the results of functions are: learnt, where whoever calls them does not say it.
//!
//! The first call of such a function has its worker to itself, and is the only one of it anywhere, until its result has
//! told a size. From then on each call is counted and reserved with the largest result so far and half as much again,
//! in all batches of all clients; a larger one corrects what is under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use graticule_plan::{JobId, Layer, LayerId, TaskId, WorkerId};

use super::{
    Scheduler,
    dispatch::Leases,
    record::{LayerRecord, TaskState},
};
use crate::{LayerSpec, ToWorker};

/// Functions that are remembered though no layer of theirs is there.
const FUNCTIONS_COUNT_MAX: usize = 4096;
/// What a result is counted with at least once one is known: smaller ones are not worth correcting others for.
const RESULT_BYTES_MIN: u64 = 4096;

/// The functions whose results' sizes are learnt, by name.
pub(super) type Functions = BTreeMap<Arc<str>, FunctionRecord>;

/// What is known of a function.
#[derive(Debug, Default)]
pub(super) struct FunctionRecord {
    /// The largest result so far.
    largest_bytes: Option<u64>,
    /// The layers of its calls.
    layers: BTreeSet<(JobId, LayerId)>,
    /// While no result is known: layers with ready calls; some may have none any more.
    waiting: BTreeSet<(JobId, LayerId)>,
    /// The call that was leased last while no result was known.
    tried: Option<TaskId>,
}

impl FunctionRecord {
    /// What a result is counted with, once one is known.
    fn result_bytes(&self) -> Option<u64> {
        let largest = self.largest_bytes?;
        Some(largest.saturating_add(largest / 2).max(RESULT_BYTES_MIN))
    }
}

/// Bytes of results of tasks that could run, and of those that workers have.
struct UnderWay {
    ready: u128,
    leased: u128,
}

impl LayerRecord {
    fn bytes_under_way(&self) -> UnderWay {
        let (mut ready, mut leased) = (0, 0);
        for (block, task) in self.tasks.iter() {
            let bytes = u128::from(self.spec.layer.output_bytes(block));
            match task.state {
                TaskState::Waiting { .. } => {}
                TaskState::Ready => ready += bytes,
                TaskState::Leased { .. } => leased += bytes,
            }
        }
        UnderWay { ready, leased }
    }

    /// Changes the layer's size of results.
    fn set_result_bytes(&mut self, bytes: u64) {
        let spec = Arc::make_mut(&mut self.spec);
        spec.layer.item_bytes = item_bytes(&spec.layer, bytes);
        let count = spec.layer.grid.block_count();
        self.uniform_bytes = uniform_bytes(&spec.layer, count);
    }
}

/// Bytes of every result, if they are equal.
pub(super) fn uniform_bytes(layer: &Layer, count: u64) -> Option<u64> {
    let largest = layer.output_bytes_max();
    let is_uniform = largest.checked_mul(count) == layer.grid.element_count().checked_mul(layer.item_bytes);
    is_uniform.then_some(largest)
}

/// The most bytes that one task of a layer has in hand.
pub(super) fn task_bytes_max(spec: &LayerSpec) -> u64 {
    let sources = spec
        .sources
        .iter()
        .map(|source| (&source.grid, source.item_bytes));
    spec.layer.task_bytes_max(sources)
}

/// Bytes of one element, where a result takes so many.
fn item_bytes(layer: &Layer, result_bytes: u64) -> u64 {
    result_bytes.div_ceil(layer.grid.block_len_max().max(1))
}

impl Scheduler {
    /// What a layer of a new plan is taken in with: the layer, with the size of its results that was learnt.
    pub(super) fn with_learnt_size(&self, layer: &Layer) -> Layer {
        let mut layer = layer.clone();
        let known = layer
            .learns_size()
            .and_then(|function| self.functions.get(function));
        if let Some(bytes) = known.and_then(FunctionRecord::result_bytes) {
            layer.item_bytes = item_bytes(&layer, bytes);
        }
        layer
    }

    /// Whether nobody knows how large results of a layer are.
    pub(super) fn is_untried(&self, layer: &Layer) -> bool {
        layer.learns_size().is_some_and(|function| {
            let record = self.functions.get(function);
            record.is_none_or(|record| record.largest_bytes.is_none())
        })
    }

    /// Enters the layers of a new job with their functions.
    pub(super) fn enter_functions(&mut self, job: JobId) {
        for layer in &self.jobs[&job].layers {
            if let Some(function) = layer.spec.layer.learns_size() {
                let record = self.functions.entry(function.clone()).or_default();
                record.layers.insert((job, layer.spec.id));
            }
        }
    }

    /// Takes the layers of a job that is gone out.
    pub(super) fn leave_functions(&mut self, job: JobId, layers: &[LayerRecord]) {
        for layer in layers {
            let Some(function) = layer.spec.layer.learns_size() else {
                continue;
            };
            let Some(record) = self.functions.get_mut(function) else {
                continue;
            };
            record.layers.remove(&(job, layer.spec.id));
            record.waiting.remove(&(job, layer.spec.id));
            let is_unknown = record.largest_bytes.is_none();
            if record.layers.is_empty() && (is_unknown || self.functions.len() > FUNCTIONS_COUNT_MAX) {
                self.functions.remove(function);
            }
        }
    }

    /// The list in which a layer stands whose ready tasks wait apart.
    pub(super) fn list_apart(&mut self, job: JobId, layer: LayerId) -> &mut BTreeSet<(JobId, LayerId)> {
        let record = self.jobs.get(&job).map(|job| &job.layers[layer.0 as usize]);
        let untried = record.filter(|layer| layer.is_untried);
        let function = untried.and_then(|layer| layer.spec.layer.learns_size());
        match function.and_then(|function| self.functions.get_mut(function)) {
            Some(record) => &mut record.waiting,
            None => &mut self.choosy,
        }
    }

    /// Leases a first call of each function of which no result is known, unless one is under way.
    pub(super) fn dispatch_untried(&mut self, leases: &mut Leases) {
        let waiting = self
            .functions
            .iter()
            .filter(|(_, record)| !record.waiting.is_empty());
        let names: Vec<Arc<str>> = waiting.map(|(name, _)| name.clone()).collect();
        for name in names {
            if !self.is_tried(&self.functions[&name]) {
                self.lease_first_call(&name, leases);
            }
        }
    }

    /// Whether a worker has a first call of a function.
    fn is_tried(&self, function: &FunctionRecord) -> bool {
        let tried = function.tried.and_then(|task| self.task(task));
        tried.is_some_and(|task| matches!(task.state, TaskState::Leased { .. }))
    }

    /// Whether a worker has a first call of the function of a layer.
    pub(super) fn tries_another(&self, layer: &LayerRecord) -> bool {
        let function = layer.spec.layer.learns_size();
        let record = function.and_then(|function| self.functions.get(function));
        record.is_some_and(|record| self.is_tried(record))
    }

    fn lease_first_call(&mut self, name: &Arc<str>, leases: &mut Leases) {
        while let Some((job, layer)) = self.next_untried(name) {
            let Some(top) = self.top_choosy(job, layer) else {
                continue;
            };
            let block = top.block;
            let task = TaskId { job, layer, block };
            if let Some(message) = self.too_large(task) {
                self.fail_task(task, &message.into());
                continue;
            }
            if !self.admits_lease(task) {
                return;
            }
            let Some((worker, _)) = self.place(task.into()) else {
                return self.empty_a_worker(task);
            };
            self.layer_mut(job, layer).choosy_ready.take(1);
            if let Some(record) = self.functions.get_mut(name) {
                record.tried = Some(task);
            }
            return self.ready_to_leased(task.into(), worker, leases);
        }
    }

    /// The layer whose call is to be tried first.
    fn next_untried(&self, name: &Arc<str>) -> Option<(JobId, LayerId)> {
        let waiting = self.functions.get(name)?.waiting.iter();
        waiting
            .copied()
            .min_by_key(|&(job, layer)| std::cmp::Reverse(self.layer(job, layer).spec.layer.priority))
    }

    /// Has one of the workers that may run a task do what it has, and take nothing more.
    fn empty_a_worker(&mut self, task: TaskId) {
        if self.workers.values().any(|worker| worker.isolated) {
            return;
        }
        let layer = self.layer(task.job, task.layer);
        let open = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.leased_count > 0 && !worker.retiring && layer.may_run_on(worker));
        let first = open.min_by_key(|(_, worker)| worker.load_us / u64::from(worker.slots));
        if let Some(worker) = first.map(|(&id, _)| id) {
            let record = self.workers.get_mut(&worker).expect("found above");
            record.isolated = true;
            self.rank(worker);
        }
    }

    /// A call has told how large a result of its function is.
    pub(super) fn learn_size(&mut self, job: JobId, layer: LayerId, bytes: u64) {
        let Some(spec) = self.jobs.get(&job).map(|job| &job.layers[layer.0 as usize].spec) else {
            return;
        };
        let function = spec.layer.learns_size();
        let Some(record) = function.and_then(|function| self.functions.get_mut(function)) else {
            return;
        };
        if record.largest_bytes.is_some_and(|largest| bytes <= largest) {
            return;
        }
        let counted = record.result_bytes();
        record.largest_bytes = Some(bytes.min(super::hold::CHUNK_BYTES_MAX));
        // What lies within the margin corrects nothing.
        if counted.is_some_and(|counted| bytes <= counted) {
            return;
        }
        let result_bytes = record.result_bytes().expect("noted above");
        let layers: Vec<_> = record.layers.iter().copied().collect();
        record.tried = None;
        record.waiting.clear();
        for (job, layer) in layers {
            if self.layer(job, layer).spec.layer.output_bytes_max() < result_bytes {
                self.resize(job, layer, result_bytes);
            }
            if self.layer(job, layer).is_untried {
                self.untried_to_tried(job, layer);
            }
        }
    }

    /// The ready calls of a layer need no longer be tried one by one.
    fn untried_to_tried(&mut self, job: JobId, layer: LayerId) {
        self.layer_mut(job, layer).is_untried = false;
        let ready = self.ready_blocks(job, layer);
        if self.layer(job, layer).is_choosy() {
            if !ready.is_empty() {
                self.choosy.insert((job, layer));
            }
            return;
        }
        let entry = |&block: &u64| self.ready_entry(TaskId { job, layer, block });
        let entries: Vec<_> = ready.iter().map(entry).collect();
        self.choosy_ready_count -= entries.len() as u64;
        self.ready_count += entries.len() as u64;
        if !entries.is_empty() {
            self.ready_jobs.insert(job);
        }
        let record = self.job_mut(job);
        record.layers[layer.0 as usize].choosy_ready = Default::default();
        entries.into_iter().for_each(|entry| record.ready.push(entry));
    }

    /// Counts the results of a layer as large as said, also those under way, and for those who read them.
    fn resize(&mut self, job: JobId, layer: LayerId, result_bytes: u64) {
        let record = self.layer_mut(job, layer);
        let before = record.bytes_under_way();
        record.set_result_bytes(result_bytes);
        let after = record.bytes_under_way();
        let item_bytes = record.spec.layer.item_bytes;
        let readers: BTreeSet<_> = record.consumers.iter().map(|c| (c.job, c.layer)).collect();
        self.committed_bytes += after.ready + after.leased - before.ready - before.leased;
        self.job_mut(job).ledger.ready_bytes += after.ready - before.ready;
        self.count_in_hand_anew(job, layer);
        for (reader, of_reader) in readers {
            let record = self.layer_mut(reader, of_reader);
            let sources = &mut Arc::make_mut(&mut record.spec).sources;
            let read = sources
                .iter_mut()
                .filter(|source| (source.job, source.layer) == (job, layer));
            read.for_each(|source| source.item_bytes = item_bytes);
            self.count_in_hand_anew(reader, of_reader);
        }
    }

    /// After a layer has changed: what its tasks have in hand, and what workers know of it.
    fn count_in_hand_anew(&mut self, job: JobId, layer: LayerId) {
        let record = self.layer_mut(job, layer);
        let leased = u128::from(record.leased_count);
        let before = u128::from(record.task_bytes_max);
        record.task_bytes_max = task_bytes_max(&record.spec);
        let after = u128::from(record.task_bytes_max);
        let spec = record.spec.clone();
        let ledger = &mut self.job_mut(job).ledger;
        ledger.leased_bytes = ledger.leased_bytes + after * leased - before * leased;
        self.in_hand_bytes = self.in_hand_bytes + after * leased - before * leased;
        let knowing = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.layers.contains(&(job, layer)));
        let knowing: Vec<WorkerId> = knowing.map(|(&id, _)| id).collect();
        for worker in knowing {
            self.send(worker, ToWorker::Layer(spec.clone()));
        }
    }

    /// Of each function of which no result is known one call at most is under way, with nothing beside it.
    pub(super) fn check_functions(&self) -> Result<(), String> {
        for (name, function) in &self.functions {
            let mut tried = Vec::new();
            for &(job, layer) in &function.layers {
                let Some(record) = self.jobs.get(&job).map(|job| &job.layers[layer.0 as usize]) else {
                    return Err(format!("the function {name} has a layer of {job}, which is gone"));
                };
                if record.is_untried != function.largest_bytes.is_none() {
                    return Err(format!(
                        "layer {layer} of {job} does not know whether {name} was tried"
                    ));
                }
                let leased = record.tasks.iter().filter_map(|(_, task)| match task.state {
                    TaskState::Leased { worker } => Some(worker),
                    TaskState::Waiting { .. } | TaskState::Ready => None,
                });
                tried.extend(leased.filter(|_| record.is_untried));
            }
            let busy = |worker: &WorkerId| self.workers.get(worker).is_some_and(|w| w.leased_count > 1);
            if tried.len() > 1 || tried.iter().any(busy) {
                return Err(format!("a first call of {name} does not run alone"));
            }
        }
        Ok(())
    }
}
