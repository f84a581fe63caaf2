//! Blocks that stand for themselves: calls of functions.
//!
//! A client keeps such a layer under one name and lets go of its blocks one by one. A block that cannot be made fails
//! alone, and with it those that need it; its job goes on.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use graticule_plan::{ChunkId, JobId, Key, LayerId, TaskId};

use super::{JobEvent, Sabotage, Scheduler, record::JobState, record::LayerRecord, table::BlockSet};
use crate::BlockRun;

/// How the names of functions begin that every worker knows by itself; people need not hear of them.
const OWN_FUNCTIONS: &str = "graticule.";

/// Why a value fails that nobody can hand over any more.
const VALUE_LOST: &str = "the value was lost with all workers that held it, and its client has it no more; scatter it \
                          again, to more workers (replicas)";

/// What has become of the blocks of a layer that stand for themselves.
#[derive(Debug)]
pub(super) struct Apart {
    /// Blocks that the client has let go.
    pub(super) released: BlockSet,
    /// Blocks that cannot be made.
    pub(super) failed: BTreeMap<u64, Failed>,
}

/// Why a block cannot be made.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    /// What happened, and where.
    cause: Arc<str>,
    /// It happened to a block that this one needs.
    is_inherited: bool,
}

impl Apart {
    pub(super) fn new(block_count: u64) -> Self {
        Self {
            released: BlockSet::new(block_count),
            failed: BTreeMap::new(),
        }
    }

    fn keeps(&self, block: u64) -> bool {
        !self.released.contains(block) && !self.failed.contains_key(&block)
    }
}

impl LayerRecord {
    /// Under how many names block `block` is kept.
    pub(super) fn pin_count(&self, block: u64) -> u64 {
        match &self.apart {
            Some(apart) if !apart.keeps(block) => 0,
            Some(_) | None => self.pins.len() as u64,
        }
    }

    /// Under how many names blocks are kept, added up.
    pub(super) fn pin_count_of(&self, blocks: BlockRun) -> u64 {
        match &self.apart {
            Some(_) => blocks.each().map(|chunk| self.pin_count(chunk.block)).sum(),
            None => self.pins.len() as u64 * blocks.count,
        }
    }

    /// How many of blocks are kept under no name.
    pub(super) fn passing_count(&self, blocks: BlockRun) -> u64 {
        match &self.apart {
            _ if self.pins.is_empty() => blocks.count,
            None => 0,
            Some(_) => {
                let passing = blocks.each().filter(|chunk| self.pin_count(chunk.block) == 0);
                passing.count() as u64
            }
        }
    }

    /// Kept blocks that nobody holds, once for each name.
    pub(super) fn missing_count(&self) -> u64 {
        let all = self.spec.layer.grid.block_count();
        match &self.apart {
            None => self.pins.len() as u64 * (all - self.chunks.len()),
            Some(_) => (0..all)
                .filter(|&block| !self.chunks.contains(block))
                .map(|block| self.pin_count(block))
                .sum(),
        }
    }
}

impl Scheduler {
    /// A client lets go of blocks of a kept result that stand for themselves.
    pub(super) fn on_blocks_released(&mut self, key: Key, blocks: &[Range<u64>]) {
        let Some(&(job, layer)) = self.keys.get(&key) else {
            return;
        };
        for block in self.blocks_apart(job, layer, blocks) {
            self.release_block(ChunkId { job, layer, block });
        }
        let record = self.layer(job, layer);
        let all = record.spec.layer.grid.block_count();
        let is_over = record
            .apart
            .as_ref()
            .is_some_and(|apart| apart.released.len() == all);
        if is_over {
            self.unpin(key);
        }
        self.finish_if_complete(job);
        self.forget_if_unused(job);
        self.fail_orphans(job);
    }

    /// Those blocks of ranges that a layer has, if they stand for themselves.
    fn blocks_apart(&self, job: JobId, layer: LayerId, ranges: &[Range<u64>]) -> Vec<u64> {
        let record = self.layer(job, layer);
        let count = match record.apart {
            Some(_) => record.tasks_in_all(),
            None => 0,
        };
        let blocks = ranges.iter().flat_map(|range| range.start..range.end.min(count));
        blocks.collect()
    }

    fn release_block(&mut self, chunk: ChunkId) {
        let sabotage = self.sabotage;
        let record = self.layer_mut(chunk.job, chunk.layer);
        let was_kept = record.pin_count(chunk.block) > 0;
        let Some(apart) = &mut record.apart else { return };
        if !apart.released.insert(chunk.block) {
            return;
        }
        if sabotage == Sabotage::ReleaseBlocksAtOnce
            && let Some(held) = record.chunks.get_mut(chunk.block)
        {
            held.needed = 0;
        }
        if was_kept {
            self.kept_no_more(chunk);
        }
        self.release_if_unwanted(chunk);
        self.waive_if_unneeded(chunk);
    }

    /// Counts a block that was kept among those that are not.
    fn kept_no_more(&mut self, chunk: ChunkId) {
        let planned = self.output_bytes(chunk.into());
        let job = self.job_mut(chunk.job);
        match job.layers[chunk.layer.0 as usize].chunks.get(chunk.block) {
            Some(record) => {
                let bytes = u128::from(record.bytes);
                job.ledger.held_bytes += bytes;
                job.ledger.let_go_bytes += bytes;
                self.transient_bytes += bytes;
            }
            None => {
                job.ledger.let_go_bytes += planned;
                if job.state == JobState::Running {
                    job.outputs_left -= 1;
                }
            }
        }
    }

    /// A client no longer wants blocks to be made: they fail, and those that need them. What is there already stays.
    pub(super) fn on_blocks_cancelled(&mut self, key: Key, blocks: &[Range<u64>]) {
        let Some(&(job, layer)) = self.keys.get(&key) else {
            return;
        };
        for block in self.blocks_apart(job, layer, blocks) {
            let task = TaskId { job, layer, block };
            if !self.is_held(task) {
                let message = self.tell_where(task, self.why_cancelled(task));
                self.drop_task(task);
                self.fail_task(task, &message);
            }
        }
        self.finish_if_complete(job);
    }

    /// What is told of a block whose client does not want it made, to those that need it.
    fn why_cancelled(&self, task: TaskId) -> &'static str {
        let layer = self.layer(task.job, task.layer);
        match layer.spec.layer.replicas() {
            Some(_) if layer.attempts.contains(task.block) => VALUE_LOST,
            Some(_) | None => "it was cancelled",
        }
    }

    /// Why a block that stands for itself cannot be made, if so.
    pub(super) fn cannot_be_made(&self, task: TaskId) -> Option<Arc<str>> {
        let apart = self.layer(task.job, task.layer).apart.as_ref()?;
        match apart.failed.get(&task.block) {
            Some(failed) => Some(failed.cause.clone()),
            None if self.is_orphan(task) => Some(self.tell_where(task, VALUE_LOST)),
            None => None,
        }
    }

    /// Whether a block is a value that is nowhere, and whose client has let go of it: nobody will hand it over.
    fn is_orphan(&self, task: TaskId) -> bool {
        let layer = self.layer(task.job, task.layer);
        layer.spec.layer.replicas().is_some() && layer.pin_count(task.block) == 0 && !self.is_held(task)
    }

    /// A client has let go of blocks of a job: those fail that need values for which a worker still waits.
    pub(super) fn fail_orphans(&mut self, job: JobId) {
        let Some(record) = self.jobs.get(&job) else { return };
        let values = record.layers.iter().filter(|l| l.spec.layer.replicas().is_some());
        let live = values.flat_map(|layer| {
            layer
                .tasks
                .blocks()
                .into_iter()
                .map(|block| (layer.spec.id, block))
        });
        let live: Vec<TaskId> = live.map(|(layer, block)| TaskId { job, layer, block }).collect();
        for task in live {
            if self.jobs.contains_key(&job) && self.task(task).is_some() && self.is_orphan(task) {
                let message = self.tell_where(task, VALUE_LOST);
                self.drop_task(task);
                self.fail_task(task, &message);
            }
        }
    }

    /// A task of a layer whose blocks stand for themselves cannot be made, and is not live any more.
    pub(super) fn fail_block(&mut self, task: TaskId, cause: &Arc<str>, is_inherited: bool) {
        let job = self.job_mut(task.job);
        let client = job.client;
        let record = &mut job.layers[task.layer.0 as usize];
        let was_kept = record.pin_count(task.block) > 0;
        let apart = record.apart.as_mut().expect("the caller looked");
        if apart.failed.contains_key(&task.block) {
            // Its chunk had been there all the same, and was lost: it needs no inputs any more.
            if record.finished.insert(task.block) {
                self.inputs_spared(task.into());
            }
            return;
        }
        let failed = Failed {
            cause: cause.clone(),
            is_inherited,
        };
        let message = failed_text(record, task, &failed);
        let apart = record.apart.as_mut().expect("looked at above");
        apart.failed.insert(task.block, failed);
        let newly_finished = record.finished.insert(task.block);
        if was_kept {
            self.kept_no_more(task);
            let event = JobEvent::BlockFailed {
                layer: task.layer,
                block: task.block,
                message,
            };
            self.notify(client, task.job, event);
        }
        if newly_finished {
            self.inputs_spared(task.into());
        }
        self.finish_if_complete(task.job);
    }

    /// A block failed in an earlier run of the scheduler, and its client was told.
    pub(super) fn block_failed_before(&mut self, task: TaskId, message: &Arc<str>) {
        let layers = self.jobs.get(&task.job).map(|job| &job.layers);
        let layer = layers.and_then(|layers| layers.get(task.layer.0 as usize));
        let is_apart = layer
            .is_some_and(|layer| layer.apart.is_some() && task.block < layer.spec.layer.grid.block_count());
        if is_apart && self.sabotage != Sabotage::ForgetFailedBlocks {
            self.drop_task(task);
            self.fail_block(task, message, false);
        }
    }

    /// Tells a client that is back of all blocks of a job that stand for themselves.
    pub(super) fn tell_blocks_again(&mut self, job: JobId) {
        if self.sabotage == Sabotage::TellBlocksOnce {
            return;
        }
        let record = &self.jobs[&job];
        let (client, mut held, mut failed) = (record.client, Vec::new(), Vec::new());
        for layer in &record.layers {
            let Some(apart) = &layer.apart else { continue };
            let id = |block| TaskId {
                job,
                layer: layer.spec.id,
                block,
            };
            let kept = layer
                .chunks
                .iter()
                .filter(|(block, _)| layer.pin_count(*block) > 0);
            held.extend(kept.map(|(block, _)| id(block)));
            let untold = apart
                .failed
                .iter()
                .filter(|(block, _)| !apart.released.contains(**block) && !layer.pins.is_empty());
            failed.extend(untold.map(|(&block, why)| (id(block), failed_text(layer, id(block), why))));
        }
        held.into_iter().for_each(|chunk| self.offer(chunk, None));
        self.tell_values_again(job);
        for (task, message) in failed {
            let (layer, block) = (task.layer, task.block);
            let event = JobEvent::BlockFailed {
                layer,
                block,
                message,
            };
            self.notify(client, job, event);
        }
    }

    /// Has the calls of functions fail that no connected worker knows.
    pub(super) fn fail_unknown_functions(&mut self, job: JobId) {
        let mut unknown = Vec::new();
        for layer in self.jobs[&job]
            .layers
            .iter()
            .filter(|layer| layer.apart.is_some())
        {
            if let Some(message) = self.unknown_function(layer) {
                unknown.push((layer.spec.id, layer.spec.layer.grid.block_count(), message));
            }
        }
        for (layer, count, message) in unknown {
            let message: Arc<str> = message.into();
            for block in 0..count {
                self.fail_task(TaskId { job, layer, block }, &message);
            }
        }
    }

    /// Why an array of a new job cannot be made: no connected worker knows a function of it.
    pub(super) fn first_unknown_function(&self, job: JobId) -> Option<String> {
        let arrays = self.jobs[&job]
            .layers
            .iter()
            .filter(|layer| layer.apart.is_none());
        arrays.filter_map(|layer| self.unknown_function(layer)).next()
    }

    fn unknown_function(&self, layer: &LayerRecord) -> Option<String> {
        let is_known = |function: &&Arc<str>| {
            let mut workers = self.workers.values();
            workers.any(|worker| worker.functions.contains(*function))
        };
        let function = layer.spec.layer.functions().find(|name| !is_known(name))?;
        let names = self.function_names().into_iter();
        let known: Vec<&str> = names.filter(|name| !name.starts_with(OWN_FUNCTIONS)).collect();
        let known = match known.as_slice() {
            [] => "they know none".to_owned(),
            known => format!("they know {}", known.join(", ")),
        };
        Some(format!("no worker knows the function {function:?}; {known}"))
    }

    /// Whether a client keeps a block of the result of a name.
    pub fn keeps(&self, key: Key, block: u64) -> bool {
        let place = self.keys.get(&key);
        place.is_some_and(|&(job, layer)| self.layer(job, layer).pin_count(block) > 0)
    }

    /// The functions that connected workers know, in the order of the alphabet.
    pub fn function_names(&self) -> Vec<&str> {
        let names = self.workers.values().flat_map(|worker| &worker.functions);
        let mut names: Vec<&str> = names.map(|name| &**name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A worker is there that may not know all functions: those that it lacks are called by few from now on.
    pub(super) fn note_rare_functions(&mut self) {
        let mut rare: Vec<(JobId, LayerId)> = Vec::new();
        for (&job, record) in &self.jobs {
            for layer in record.layers.iter().filter(|layer| !layer.is_rare) {
                let mut functions = layer.spec.layer.functions();
                if functions.any(|function| !self.is_known_to_all(function)) {
                    rare.push((job, layer.spec.id));
                }
            }
        }
        for (job, layer) in rare {
            self.make_rare(job, layer);
        }
    }

    /// Whether every connected worker knows a function, and there is one.
    pub(super) fn is_known_to_all(&self, function: &Arc<str>) -> bool {
        !self.workers.is_empty()
            && self
                .workers
                .values()
                .all(|worker| worker.functions.contains(function))
    }

    /// Has the ready tasks of a layer wait apart from those that any worker takes.
    fn make_rare(&mut self, job: JobId, layer: LayerId) {
        if self.layer(job, layer).is_choosy() {
            self.layer_mut(job, layer).is_rare = true;
            return;
        }
        let ready = self.ready_blocks(job, layer);
        let entries: Vec<_> = ready
            .iter()
            .map(|&block| self.ready_entry(TaskId { job, layer, block }))
            .collect();
        self.ready_count -= entries.len() as u64;
        self.choosy_ready_count += entries.len() as u64;
        self.choosy.insert((job, layer));
        let record = self.job_mut(job);
        record.ready.forget_layer(layer);
        let record = &mut record.layers[layer.0 as usize];
        record.is_rare = true;
        entries
            .into_iter()
            .for_each(|entry| record.choosy_ready.push(entry));
    }

    pub(super) fn ready_blocks(&self, job: JobId, layer: LayerId) -> Vec<u64> {
        let tasks = self.layer(job, layer).tasks.iter();
        let ready = tasks.filter(|(_, task)| task.state == super::record::TaskState::Ready);
        ready.map(|(block, _)| block).collect()
    }
}

/// What a client is told of a block that cannot be made.
fn failed_text(layer: &LayerRecord, task: TaskId, failed: &Failed) -> Arc<str> {
    if !failed.is_inherited {
        return failed.cause.clone();
    }
    let name = &layer.spec.layer.name;
    format!(
        "{name} (call {}) was not run: an argument of it could not be made\n{}",
        task.block, failed.cause
    )
    .into()
}
