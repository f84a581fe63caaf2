//! What is known of one task: how it stands, why it does not run, and the chunks it reads and serves.

use std::sync::Arc;

use graticule_plan::{BlockMap, JobId, LayerId, Source, TaskId};
use serde::{Deserialize, Serialize};

use super::{
    Aggregator,
    active::computing,
    cells::{CellState, state},
    frame::RowKey,
    jobs::LayerTable,
    tasks::Standing,
};

/// Blocks of one link that are told; of more, only how many there are.
pub const LINK_BLOCK_COUNT_MAX: usize = 4_096;

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockStory {
    /// The key of its layer.
    pub layer: RowKey,
    /// Its block.
    pub block: u64,
    /// Where the block lies in the array: for each axis the first element and the end.
    pub extents: Vec<(u64, u64)>,
    /// Bytes of the chunk as planned.
    pub planned_bytes: u64,
    /// How it stands.
    pub state: CellState,
    /// The latest attempt that was heard of, from 0.
    pub attempt: Option<u32>,
    /// Whether it was made before, and lost, let go or failed.
    pub again: bool,
    /// The key of the worker that has or had the latest attempt.
    pub worker: Option<RowKey>,
    /// When that worker got it, while it has it.
    pub given_us: Option<u64>,
    /// When it began to compute, while it does.
    pub started_us: Option<u64>,
    /// Bytes and time of the finished attempt, on a scale of four steps to an octave.
    pub bytes_step: u8,
    /// Likewise.
    pub time_step: u8,
    /// Errors of its attempts that are still remembered, oldest first.
    pub errors: Vec<(u32, Arc<str>)>,
    /// What it reads.
    pub inputs: Vec<Link>,
    /// Who reads it.
    pub consumers: Vec<Link>,
}

/// Blocks of one array that a task reads or serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The key of their layer.
    pub layer: RowKey,
    /// How many they are.
    pub count: u64,
    /// Of the first [`LINK_BLOCK_COUNT_MAX`]: how many are done, so that their chunks are or were there.
    pub done: u64,
    /// Of the same, runs of neighbours: first block and length.
    pub runs: Vec<(u64, u64)>,
}

impl Aggregator {
    /// What is known of a task; `None` if its layer is not known, or has no such block.
    pub fn block(&mut self, layer: RowKey, block: u64) -> Option<BlockStory> {
        let (job, id) = self.layer_of_key(layer)?;
        let table = self.jobs.get(&job)?;
        let known = table.layers.get(&id)?;
        if block >= known.block_end() {
            return None;
        }
        let task = TaskId {
            job,
            layer: id,
            block,
        };
        let facts = known.words.facts(block);
        let grid = known.plan().map(|plan| &plan.grid);
        let extents = grid.map_or(Vec::new(), |grid| grid.extents(block));
        let planned_bytes = known.plan().map_or(0, |plan| {
            plan.grid.block_len(block).saturating_mul(plan.item_bytes)
        });
        let is_over = table.is_ended();
        let started_us = self.started_us(task);
        let given_us = self.active.find(task).map(|active| active.since_us);
        let errors = self.failures.iter().filter(|failure| failure.task == task);
        Some(BlockStory {
            layer,
            block,
            extents: extents
                .into_iter()
                .map(|extent| (extent.start, extent.end))
                .collect(),
            planned_bytes,
            state: state(&facts, started_us.is_some(), is_over),
            attempt: facts.attempt,
            again: facts.is_again || facts.is_void,
            worker: facts.worker,
            given_us,
            started_us,
            bytes_step: facts.bytes,
            time_step: facts.time,
            errors: errors
                .map(|failure| (failure.attempt, failure.message.clone()))
                .collect(),
            inputs: self.inputs(task),
            consumers: self.consumers(task),
        })
    }

    /// When a task began to compute, if it does.
    fn started_us(&self, task: TaskId) -> Option<u64> {
        let worker = self.active.find(task)?.worker;
        let table = self.workers.get(&worker)?;
        let tasks = self.active.of_worker(worker);
        let seen = computing(tasks, table.slots(), table.lane_ends_us());
        seen.into_iter()
            .find(|it| it.task == task)
            .map(|it| it.started_us)
    }

    fn layer_table(&self, job: JobId, layer: LayerId) -> Option<&LayerTable> {
        self.jobs.get(&job)?.layers.get(&layer)
    }

    fn inputs(&self, task: TaskId) -> Vec<Link> {
        let Some(plan) = self.layer_table(task.job, task.layer).and_then(LayerTable::plan) else {
            return Vec::new();
        };
        let links = plan.inputs.iter().filter_map(|input| {
            let (job, layer) = self.source(task.job, input.source)?;
            let source = self.layer_table(job, layer)?;
            let map = BlockMap::new(&input.map, &plan.grid, &source.plan()?.grid).ok()?;
            Some(link(source, |see| map.each_source(task.block, see)))
        });
        links.collect()
    }

    fn consumers(&self, task: TaskId) -> Vec<Link> {
        let Some(plan) = self.layer_table(task.job, task.layer).and_then(LayerTable::plan) else {
            return Vec::new();
        };
        let mut links = Vec::new();
        for (job, table) in &self.jobs {
            // Other jobs read only what is kept by name.
            if *job != task.job && plan.keys.is_empty() {
                continue;
            }
            for layer in table.layers.values() {
                let Some(reader) = layer.plan() else { continue };
                for input in &reader.inputs {
                    let reads = match input.source {
                        Source::Layer(source) => *job == task.job && source == task.layer,
                        Source::Held(key) => plan.keys.contains(&key),
                    };
                    if reads && let Ok(map) = BlockMap::new(&input.map, &reader.grid, &plan.grid) {
                        links.push(link(layer, |see| map.each_dependent(task.block, see)));
                    }
                }
            }
        }
        links
    }
}

fn link(layer: &LayerTable, each: impl FnOnce(&mut dyn FnMut(u64))) -> Link {
    let mut link = Link {
        layer: layer.key,
        count: 0,
        done: 0,
        runs: Vec::new(),
    };
    let mut blocks = Vec::new();
    each(&mut |block| {
        link.count += 1;
        if blocks.len() < LINK_BLOCK_COUNT_MAX {
            blocks.push(block);
        }
    });
    blocks.sort_unstable();
    for block in blocks {
        link.done += u64::from(layer.words.facts(block).standing == Standing::Done);
        match link.runs.last_mut() {
            Some((first, len)) if *first + *len == block => *len += 1,
            _ => link.runs.push((block, 1)),
        }
    }
    link
}
