//! A film of an archive: what the page shows of it, step by step, without a server.
//!
//! The records go through the same tables and publishers as those of a cluster that runs, and at each step what they
//! publish is kept: the frames of the tables and those of each job's arrays, which the page takes in by the same code as
//! live ones. Beside them are the plans, each task that ended, and who reads what.
//!
//! ```text
//! film  = gzip(length of the head u32, head as JSON, blobs)
//! blobs = frames of arrays; columns of tasks: a byte with their width, then a plane for each byte
//! ```

use std::{collections::BTreeMap, io::Write};

use flate2::{Compression, write::GzEncoder};
use graticule_plan::{TaskId, WorkerId};
use serde::Serialize;

use super::{
    archive::Archive,
    disks::DiskRow,
    topics::{TopicPlaces, Topics, Waited},
};
use crate::{
    Record, TaskFinished,
    aggregate::{
        Activity, Aggregator, ArrayPublisher, BlockRuns, Delta, FORMAT_VERSION, Outline, Publisher, RowKey,
        Snapshot, StreamTask, zigzag,
    },
};

/// The version of the film's format.
pub const FILM_VERSION: u32 = 3;

/// Steps of a film beside its beginning.
pub const FILM_STEP_COUNT: u64 = 160;

/// Runs of blocks in all links of a film; layers whose links do not fit are without.
const LINK_RUN_COUNT_MAX: usize = 1 << 17;

#[derive(Serialize)]
struct Head {
    v: u32,
    format: u32,
    cluster: std::sync::Arc<str>,
    /// When the film's zero was.
    began_unix_ms: u64,
    /// How long it lasts.
    span_us: u64,
    left_out: u64,
    steps_us: Vec<u64>,
    /// For each step the frames that lead to it.
    frames: Vec<Vec<TableFrame>>,
    plans: Vec<Outline>,
    arrays: Vec<ArrayFrames>,
    lanes: Vec<(RowKey, u32, u64)>,
    tasks: u64,
    /// Where the columns begin among the blobs.
    columns_at: usize,
    links: BTreeMap<RowKey, Vec<(RowKey, Vec<BlockRuns>)>>,
    /// `None` if the run was recorded without them.
    topics: Option<TopicPlaces>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TableFrame {
    Snapshot(Box<Snapshot>),
    Delta(Box<Delta>),
}

/// Frames of one job's arrays.
#[derive(Serialize)]
struct ArrayFrames {
    job: RowKey,
    frames: Vec<FramePlace>,
}

/// The step of a frame, where it begins among the blobs, and how long it is.
pub(super) type FramePlace = (usize, usize, usize);

impl Archive {
    /// Makes the film of it. Takes about a microsecond and a half a task.
    pub fn film(&self) -> Vec<u8> {
        let mut studio = Studio::new(self);
        for step in 0..studio.steps_us.len() {
            studio.step(step);
        }
        studio.finish(self)
    }

    /// All records in the order of their times, shifted to begin at zero, and what tasks waited.
    fn timed(&self) -> (Vec<(u64, Record)>, Vec<Waited>) {
        let base = self.span_us.0;
        let mut timed: Vec<(u64, Record)> = self.workers.clone();
        timed.extend(self.scaling.iter().flatten().cloned());
        timed.extend(self.statuses.iter().map(|(at_us, worker, status)| {
            let record = Record::WorkerStatus {
                worker: *worker,
                status: *status,
            };
            (*at_us, record)
        }));
        for tape in &self.jobs {
            timed.extend(tape.rare.iter().cloned());
            timed.extend(tape.read_drops().unwrap_or_default().into_iter().map(|drop| {
                let record = Record::ChunksReleased {
                    first: drop.first,
                    count: drop.count,
                    attempt: drop.attempt,
                };
                (drop.at_ms.saturating_mul(1_000), record)
            }));
            let disks = tape.disks.read(tape.job).unwrap_or_default();
            timed.extend(disks.iter().map(DiskRow::record));
        }
        timed
            .iter_mut()
            .for_each(|(at_us, _)| *at_us = at_us.saturating_sub(base));
        let (topics, waited) = self.timed_topics();
        timed.extend(topics);
        timed.sort_by_key(|(at_us, _)| *at_us);
        (timed, waited)
    }

    fn timed_tasks(&self) -> Vec<(u64, TaskFinished)> {
        let base = self.span_us.0;
        let mut tasks = Vec::new();
        for tape in &self.jobs {
            // An archive that was read or recorded is sound.
            tasks.extend(tape.read_tasks().unwrap_or_default());
        }
        for (at_us, task) in &mut tasks {
            *at_us = at_us.saturating_sub(base);
            task.started_us = task.started_us.saturating_sub(base);
        }
        tasks.sort_by_key(|(at_us, _)| *at_us);
        tasks
    }
}

/// When each task was with its worker first: when it began to fetch, but not before its worker had joined and an attempt before it
/// had ended, which it follows though two machines' clocks may say otherwise.
fn given_us(tasks: &[(u64, TaskFinished)], timed: &[(u64, Record)]) -> Vec<u64> {
    let mut ended_us: BTreeMap<TaskId, Vec<(u32, u64)>> = BTreeMap::new();
    let mut joined_us: BTreeMap<WorkerId, u64> = BTreeMap::new();
    for (at_us, record) in timed {
        match record {
            Record::TaskFailed { task, attempt, .. } | Record::TaskReset { task, attempt } => {
                ended_us.entry(*task).or_default().push((*attempt, *at_us));
            }
            Record::WorkerJoined { worker, .. } => {
                joined_us.entry(*worker).or_insert(*at_us);
            }
            _ => {}
        }
    }
    let given_us = tasks.iter().map(|(_, task)| {
        let before = ended_us.get(&task.task).into_iter().flatten();
        let before = before.filter(|(attempt, _)| *attempt < task.attempt);
        let ended_us = before.map(|(_, at_us)| *at_us).max().unwrap_or(0);
        let joined_us = joined_us.get(&task.worker).copied().unwrap_or(0);
        let fetched_us = task.started_us.saturating_sub(task.fetch_us);
        fetched_us.max(ended_us).max(joined_us)
    });
    given_us.collect()
}

struct Studio {
    aggregator: Aggregator,
    publisher: Publisher,
    arrays: BTreeMap<RowKey, (ArrayPublisher, Vec<FramePlace>)>,
    steps_us: Vec<u64>,
    timed: std::vec::IntoIter<(u64, Record)>,
    next_timed: Option<(u64, Record)>,
    waited: std::iter::Peekable<std::vec::IntoIter<Waited>>,
    topics: Option<Topics>,
    tasks: Vec<(u64, TaskFinished)>,
    /// When each of them was with its worker first.
    given_us: Vec<u64>,
    next_task: usize,
    /// Tasks that are under way at a step, by the first such step.
    under_way: Vec<Vec<usize>>,
    given: Vec<usize>,
    frames: Vec<Vec<TableFrame>>,
    blobs: Vec<u8>,
}

impl Studio {
    fn new(archive: &Archive) -> Self {
        let span_us = archive.span_us.1.saturating_sub(archive.span_us.0).max(1);
        let count = FILM_STEP_COUNT.min(span_us);
        let steps_us: Vec<u64> = (0..=count)
            .map(|step| (u128::from(span_us) * u128::from(step) / u128::from(count)) as u64)
            .collect();
        let tasks = archive.timed_tasks();
        let (timed, waited) = archive.timed();
        let given_us = given_us(&tasks, &timed);
        let mut under_way = vec![Vec::new(); steps_us.len()];
        for (at, ((told_us, _), given_us)) in tasks.iter().zip(&given_us).enumerate() {
            let step = steps_us.partition_point(|step_us| step_us < given_us);
            if steps_us.get(step).is_some_and(|step_us| step_us < told_us) {
                under_way[step].push(at);
            }
        }
        let mut timed = timed.into_iter();
        let topics = archive
            .lines
            .as_ref()
            .map(|_| Topics::new(steps_us.len() - 1, archive.scaling.is_some()));
        Self {
            aggregator: Aggregator::for_film(archive.lost_moves()),
            publisher: Publisher::new(archive.cluster.clone()),
            arrays: BTreeMap::new(),
            steps_us,
            next_timed: timed.next(),
            timed,
            waited: waited.into_iter().peekable(),
            topics,
            tasks,
            given_us,
            next_task: 0,
            under_way,
            given: Vec::new(),
            frames: Vec::new(),
            blobs: Vec::new(),
        }
    }

    fn step(&mut self, step: usize) {
        let is_last = step + 1 == self.steps_us.len();
        let until_us = if is_last { u64::MAX } else { self.steps_us[step] };
        self.take_in(until_us);
        self.give(step);
        self.publish_tables(step);
        self.publish_arrays(step);
        if let Some(topics) = &mut self.topics {
            topics.ask(step, self.steps_us[step], &mut self.aggregator);
        }
    }

    fn take_in(&mut self, until_us: u64) {
        while let Some((at_us, record)) = self.next_timed.take_if(|(at_us, _)| *at_us <= until_us) {
            self.aggregator.apply(at_us, record);
            self.next_timed = self.timed.next();
        }
        while let Some((_, worker, span_us, waited_us)) =
            self.waited.next_if(|(at_us, ..)| *at_us <= until_us)
        {
            self.aggregator.waited(worker, span_us, waited_us);
        }
        while let Some((at_us, task)) = self.tasks.get(self.next_task)
            && *at_us <= until_us
        {
            self.aggregator.apply(*at_us, Record::TaskFinished(*task));
            self.next_task += 1;
        }
    }

    /// Tells of the tasks that are with their workers at this step, and of those among them that run.
    fn give(&mut self, step: usize) {
        let now_us = self.steps_us[step];
        for at in std::mem::take(&mut self.under_way[step]) {
            let (_, task) = self.tasks[at];
            let record = Record::TaskAssigned {
                task: task.task,
                worker: task.worker,
                attempt: task.attempt,
            };
            self.aggregator.apply(self.given_us[at], record);
            self.given.push(at);
        }
        let (tasks, aggregator) = (&self.tasks, &mut self.aggregator);
        self.given.retain(|at| {
            let (_, task) = tasks[*at];
            let runs = task.started_us <= now_us;
            if runs {
                let record = Record::TaskStarted {
                    task: task.task,
                    worker: task.worker,
                    attempt: task.attempt,
                    slot: Some(task.slot),
                };
                aggregator.apply(task.started_us, record);
            }
            !runs
        });
    }

    fn publish_tables(&mut self, step: usize) {
        let now_us = self.steps_us[step];
        if step == 0 {
            self.publisher.catch_up(&mut self.aggregator, now_us, 0);
            let first = self.publisher.snapshot(&self.aggregator);
            self.frames.push(vec![TableFrame::Snapshot(Box::new(first))]);
            return;
        }
        let mut frames = Vec::new();
        loop {
            let delta = self.publisher.delta(&mut self.aggregator, now_us, 0);
            frames.push(TableFrame::Delta(Box::new(delta)));
            if !self.publisher.has_more() {
                break;
            }
        }
        self.frames.push(frames);
    }

    fn publish_arrays(&mut self, step: usize) {
        for key in self.aggregator.job_keys() {
            if !self.arrays.contains_key(&key)
                && let Some(publisher) = ArrayPublisher::new(&mut self.aggregator, key)
            {
                let frame = publisher.snapshot();
                let at = append(&mut self.blobs, step, &frame);
                self.arrays.insert(key, (publisher, vec![at]));
            }
        }
        let activity = Activity::of(&self.aggregator);
        for (publisher, frames) in self.arrays.values_mut() {
            while let Some(delta) = publisher.delta(&mut self.aggregator, &activity) {
                frames.push(append(&mut self.blobs, step, &delta));
            }
        }
    }

    fn finish(mut self, archive: &Archive) -> Vec<u8> {
        let tasks = self.aggregator.ended_tasks();
        let columns_at = self.blobs.len();
        let lanes = write_tasks(&mut self.blobs, &tasks);
        let keys = self.aggregator.job_keys();
        let plans: Vec<Outline> = keys
            .iter()
            .filter_map(|key| self.aggregator.outline(*key))
            .collect();
        let mut room = LINK_RUN_COUNT_MAX;
        let mut links = BTreeMap::new();
        for layer in plans.iter().flat_map(|plan| &plan.layers) {
            let mut left = room;
            if let Some(of_layer) = self.aggregator.layer_links(layer.k, &mut left) {
                room = left;
                links.insert(layer.k, of_layer);
            }
        }
        let topics = self.topics.take().map(|topics| {
            let forgotten = archive.lines.as_ref().map_or(0, |lines| lines.forgotten);
            let lines = self.aggregator.film_lines(forgotten);
            let span_us = self.steps_us.last().copied().unwrap_or_default();
            let moves = self.aggregator.timeline_moves(0, span_us + 1);
            let names = self.aggregator.film_names();
            topics.finish(&mut self.blobs, (&lines, &moves), &names)
        });
        let arrays = std::mem::take(&mut self.arrays);
        let head = Head {
            v: FILM_VERSION,
            format: FORMAT_VERSION,
            cluster: archive.cluster.clone(),
            began_unix_ms: archive.began_unix_ms + archive.span_us.0 / 1_000,
            span_us: self.steps_us.last().copied().unwrap_or_default(),
            left_out: archive.left_out_count(),
            steps_us: self.steps_us,
            frames: self.frames,
            plans,
            arrays: arrays
                .into_iter()
                .map(|(job, (_, frames))| ArrayFrames { job, frames })
                .collect(),
            lanes,
            tasks: tasks.len() as u64,
            columns_at,
            links,
            topics,
        };
        let head = serde_json::to_vec(&head).expect("frames are plain JSON");
        packed(&head, &self.blobs)
    }
}

fn append(blobs: &mut Vec<u8>, step: usize, frame: &[u8]) -> FramePlace {
    let at = blobs.len();
    blobs.extend_from_slice(frame);
    (step, at, frame.len())
}

fn packed(head: &[u8], blobs: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    // A head is far below 4 GiB: rows, layers and links of it are limited.
    let len = u32::try_from(head.len()).expect("a head is limited");
    for part in [&len.to_le_bytes()[..], head, blobs] {
        encoder.write_all(part).expect("memory takes all that is written");
    }
    encoder.finish().expect("memory takes all that is written")
}

/// Writes the columns of tasks; returns the lanes: worker's key, slot, and how many tasks.
fn write_tasks(out: &mut Vec<u8>, tasks: &[StreamTask]) -> Vec<(RowKey, u32, u64)> {
    let mut lanes: Vec<(RowKey, u32, u64)> = Vec::new();
    let mut columns: [Vec<u64>; 6] = std::array::from_fn(|_| Vec::with_capacity(tasks.len()));
    let (mut started_us, mut block) = (0, 0);
    for task in tasks {
        match lanes.last_mut() {
            Some((worker, slot, count)) if (*worker, *slot) == (task.worker, task.slot) => *count += 1,
            _ => {
                lanes.push((task.worker, task.slot, 1));
                started_us = 0;
            }
        }
        let row = [
            task.started_us - started_us,
            task.duration_us,
            task.fetch_us,
            u64::from(task.layer),
            zigzag(task.block, block),
            u64::from(task.marks),
        ];
        (started_us, block) = (task.started_us, task.block);
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    for column in &columns {
        let most = column.iter().fold(0, |most, value| most | value);
        let width = (64 - most.leading_zeros()).div_ceil(8);
        // At most 8.
        out.push(width as u8);
        for plane in 0..width {
            out.extend(column.iter().map(|value| (value >> (plane * 8)) as u8));
        }
    }
    lanes
}
