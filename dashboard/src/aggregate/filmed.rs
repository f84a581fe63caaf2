//! What a film of a run takes from the tables beside the frames.

use std::{cmp::Reverse, collections::BTreeMap};

use graticule_plan::{BlockMap, WorkerId};
use serde::Serialize;

use super::{
    Aggregator, HolderName, LineRow, ScalingStory,
    frame::{RowKey, StreamTask},
    lives::LifeEvent,
    tiles::ALL_LANES,
};

/// Runs of neighbouring blocks, each its first block and length, that a task reads of one array.
pub(crate) type BlockRuns = Vec<(u64, u64)>;

/// Rows of what is held at one moment of a film; those with the fewest bytes beyond them are added up by layer.
const HELD_ROW_COUNT_MAX: usize = 4_096;

/// Chunks that are held: of which layer, made by whom (if that is told), how many, their bytes, and how many went to disk.
pub(crate) type HeldRow = (RowKey, Option<RowKey>, u64, u64, u64);

/// How workers came and went until a moment of a film.
#[derive(Debug, Serialize)]
pub(crate) struct FilmScaling {
    /// Its moment is told by whoever shows it, so that two between which nothing happened are the same.
    story: ScalingStory,
    /// What happened to each worker.
    events: Vec<(RowKey, Vec<LifeEvent>)>,
}

/// All lines of a film, in the order in which they came.
#[derive(Debug, Serialize)]
pub(crate) struct FilmLines {
    lines: Vec<LineRow>,
    forgotten: u64,
    lost: u64,
}

impl Aggregator {
    /// Tables for a film: ended tasks are not kept a second time, for the task stream, and jobs that it has no start of are
    /// those of other runs. `lost_moves` are movements that are not told.
    pub(crate) fn for_film(lost_moves: u64) -> Self {
        let mut tables = Self {
            is_film: true,
            ..Self::default()
        };
        tables.traffic.lost = lost_moves;
        tables
    }

    /// Takes in that tasks were with a worker so long, added up, before that fetched for them.
    pub(crate) fn waited(&mut self, worker: WorkerId, span_us: (u64, u64), waited_us: u64) {
        if let Some(key) = self.worker_key(worker) {
            self.account.add_queue(key, span_us, waited_us);
        }
    }

    /// All lines that are kept; `forgotten` were before them.
    pub(crate) fn film_lines(&self, forgotten: u64) -> FilmLines {
        FilmLines {
            lines: self.line_rows(),
            forgotten,
            lost: self.lines.lost(),
        }
    }

    /// What is held, the most bytes first.
    pub(crate) fn film_held(&self) -> Vec<HeldRow> {
        let mut rows: Vec<HeldRow> = Vec::new();
        for (_, layer) in self.holding_layers() {
            let by_worker = layer.words.held().by_worker(layer.chunk_bytes());
            rows.extend(
                by_worker
                    .into_iter()
                    .map(|(worker, sum)| (layer.key, worker, sum.chunks, sum.bytes, sum.spilled)),
            );
        }
        rows.sort_by_key(|row| (Reverse(row.3), row.0, row.1));
        let mut rest: BTreeMap<RowKey, HeldRow> = BTreeMap::new();
        for (layer, _, chunks, bytes, spilled) in rows.drain(rows.len().min(HELD_ROW_COUNT_MAX)..) {
            let sum = rest.entry(layer).or_insert((layer, None, 0, 0, 0));
            sum.2 += chunks;
            sum.3 = sum.3.saturating_add(bytes);
            sum.4 += spilled;
        }
        rows.extend(rest.into_values());
        rows
    }

    /// The names of all layers, by which holders are told.
    pub(crate) fn film_names(&self) -> Vec<HolderName> {
        let jobs = self.jobs.values();
        jobs.flat_map(|job| job.layers.values().map(|layer| HolderName::of(job, layer)))
            .collect()
    }

    /// How workers came and went until now.
    pub(crate) fn film_scaling(&self) -> FilmScaling {
        let workers = self.workers.values();
        FilmScaling {
            story: self.scaling_story(0),
            events: workers
                .map(|table| (table.key, self.life_events(table)))
                .collect(),
        }
    }

    /// Each task that ended and is still kept, lane by lane, by their beginnings.
    pub(crate) fn ended_tasks(&self) -> Vec<StreamTask> {
        let mut tasks = Vec::new();
        self.log
            .each((0, u64::MAX), ALL_LANES, |_, task| tasks.push(*task));
        tasks.sort_by_key(|task| (task.worker, task.slot, task.started_us));
        tasks
    }

    /// The keys of jobs, in the order in which they appeared.
    pub(crate) fn job_keys(&self) -> Vec<RowKey> {
        let mut keys: Vec<RowKey> = self.jobs.values().map(|table| table.key).collect();
        keys.sort_unstable();
        keys
    }

    /// Block by block what the layer with this key reads: for each of its inputs that is known, the key of that layer
    /// and the runs of each block. `None` if that is not known, or would take more than `room` runs; takes from it.
    pub(crate) fn layer_links(&self, key: RowKey, room: &mut usize) -> Option<Vec<(RowKey, Vec<BlockRuns>)>> {
        let (job, id) = self.layer_of_key(key)?;
        let layer = self.jobs.get(&job)?.layers.get(&id)?;
        let plan = layer.plan()?;
        let mut links = Vec::new();
        for input in &plan.inputs {
            let Some((source_job, source_id)) = self.source(job, input.source) else {
                continue;
            };
            let source = self.jobs.get(&source_job)?.layers.get(&source_id)?;
            let Ok(map) = BlockMap::new(&input.map, &plan.grid, &source.plan()?.grid) else {
                continue;
            };
            let mut blocks = Vec::new();
            for block in 0..layer.block_end() {
                let runs = runs_of(room, |see| map.each_source(block, see))?;
                blocks.push(runs);
            }
            links.push((source.key, blocks));
        }
        Some(links)
    }
}

fn runs_of(room: &mut usize, each: impl FnOnce(&mut dyn FnMut(u64))) -> Option<BlockRuns> {
    let mut blocks = Vec::new();
    let mut left = *room;
    each(&mut |block| {
        if left > 0 {
            left -= 1;
            blocks.push(block);
        }
    });
    blocks.sort_unstable();
    let mut runs = BlockRuns::new();
    for block in blocks {
        match runs.last_mut() {
            Some((first, len)) if *first + *len == block => *len += 1,
            _ => runs.push((block, 1)),
        }
    }
    // An empty run costs as well, since it is written.
    *room = left.checked_sub(1)?;
    Some(runs)
}
