use std::{collections::BTreeMap, sync::Arc};

use graticule_plan::{JobId, LayerId};

use super::{
    LAYERS_OF_JOB_MAX,
    activity::{Activity, Counts},
    clip,
    frame::{JobRow, JobState, LayerRow, RowKey},
    held::HeldSum,
    rate::EndCounts,
    spread::Spread,
    tasks::TaskWords,
};
use crate::{JobOutcome, LayerInfo, LayerPlan};

/// A job as far as it was heard of: its records may come before its start is told.
#[derive(Debug)]
pub(super) struct JobTable {
    pub(super) key: RowKey,
    id: Arc<str>,
    started: Option<Started>,
    ended: Option<Ended>,
    pub(super) layers: BTreeMap<LayerId, LayerTable>,
}

#[derive(Debug)]
struct Started {
    at_us: u64,
    name: Arc<str>,
    layer_count: u32,
}

#[derive(Debug)]
struct Ended {
    at_us: u64,
    state: JobState,
    message: Option<Arc<str>>,
    finished: Option<Arc<[u64]>>,
}

#[derive(Debug)]
pub(super) struct LayerTable {
    pub(super) key: RowKey,
    /// Unknown until the job's start is told.
    info: Option<LayerInfo>,
    pub(super) words: TaskWords,
    /// The highest block heard of, plus one.
    block_end: u64,
    pub(super) bytes: u64,
    pub(super) busy_us: u64,
    pub(super) fetch_us: u64,
    pub(super) ends: EndCounts,
    /// How long its tasks held their slots.
    pub(super) times: Spread,
    /// Finished tasks that no word stands for, because there are too many to remember.
    pub(super) rough_done: u64,
}

impl JobTable {
    pub(super) fn new(job: JobId, key: RowKey) -> Self {
        Self {
            key,
            id: job.to_string().into(),
            started: None,
            ended: None,
            layers: BTreeMap::new(),
        }
    }

    /// Takes in the job's start; a second one changes nothing.
    pub(super) fn start(&mut self, at_us: u64, name: &str, layers: &[LayerInfo], next_key: &mut RowKey) {
        if self.started.is_some() {
            return;
        }
        let layer_count = u32::try_from(layers.len()).unwrap_or(u32::MAX);
        self.started = Some(Started {
            at_us,
            name: clip(name),
            layer_count,
        });
        self.layers.retain(|id, _| id.0 < layer_count);
        for (id, info) in (0..layer_count).zip(layers) {
            let layer = self
                .layers
                .entry(LayerId(id))
                .or_insert_with(|| LayerTable::new(next_key));
            layer.describe(info);
        }
    }

    /// Its name for people.
    pub(super) fn name(&self) -> Arc<str> {
        match &self.started {
            Some(started) => started.name.clone(),
            None => format!("job {}", self.id).into(),
        }
    }

    /// The name of one of its layers.
    pub(super) fn layer_name(&self, layer: &LayerTable) -> Arc<str> {
        if let Some(info) = &layer.info {
            return info.name.clone();
        }
        let id = self.layers.iter().find(|(_, it)| it.key == layer.key);
        id.map_or_else(|| "?".into(), |(id, _)| format!("layer {id}").into())
    }

    /// Takes in the job's end; a second one changes nothing.
    pub(super) fn end(&mut self, at_us: u64, outcome: &JobOutcome, finished: Option<Arc<[u64]>>) {
        if self.ended.is_some() {
            return;
        }
        let (state, message) = match outcome {
            JobOutcome::Succeeded => (JobState::Succeeded, None),
            JobOutcome::Failed { message } => (JobState::Failed, Some(super::clip_message(message))),
            JobOutcome::Cancelled => (JobState::Cancelled, None),
        };
        self.ended = Some(Ended {
            at_us,
            state,
            message,
            finished,
        });
    }

    pub(super) fn started_us(&self) -> Option<u64> {
        self.started.as_ref().map(|started| started.at_us)
    }

    pub(super) fn ended_us(&self) -> Option<u64> {
        self.ended.as_ref().map(|ended| ended.at_us)
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// The layer, made on its first mention; `None` if the job has no such layer.
    pub(super) fn layer(&mut self, id: LayerId, next_key: &mut RowKey) -> Option<&mut LayerTable> {
        let known = self
            .started
            .as_ref()
            .map_or(u32::MAX, |started| started.layer_count);
        if id.0 >= known {
            return None;
        }
        Some(self.layers.entry(id).or_insert_with(|| LayerTable::new(next_key)))
    }

    pub(super) fn page_count(&self) -> usize {
        self.layers.values().map(|layer| layer.words.page_count()).sum()
    }

    /// Forgets each task and keeps the counts.
    pub(super) fn forget_tasks(&mut self) {
        self.layers.values_mut().for_each(|layer| layer.words.forget());
    }

    /// The tasks and finished tasks of all layers.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.layers.iter().fold((0, 0), |(total, done), (id, layer)| {
            let (layer_total, layer_done) = layer.progress(self.truth(*id));
            (total + layer_total, done + layer_done)
        })
    }

    fn truth(&self, id: LayerId) -> Option<u64> {
        self.ended
            .as_ref()?
            .finished
            .as_ref()?
            .get(id.0 as usize)
            .copied()
    }

    /// Rows of layers, with their ids.
    pub(super) fn shown_layers(&self) -> impl Iterator<Item = (LayerId, &LayerTable)> {
        self.layers
            .iter()
            .take(LAYERS_OF_JOB_MAX)
            .map(|(id, layer)| (*id, layer))
    }

    pub(super) fn row(&self) -> JobRow {
        let (total, done) = self.totals();
        JobRow {
            k: self.key,
            id: self.id.clone(),
            name: self.name(),
            state: self.ended.as_ref().map_or(JobState::Running, |ended| ended.state),
            message: self.ended.as_ref().and_then(|ended| ended.message.clone()),
            started_us: self.started.as_ref().map(|started| started.at_us),
            ended_us: self.ended.as_ref().map(|ended| ended.at_us),
            layers: self
                .started
                .as_ref()
                .map_or(self.layers.len() as u32, |started| started.layer_count),
            total,
            done,
        }
    }

    /// Rows of the first layers, up to the limit.
    pub(super) fn layer_rows(&self, now_us: u64, activity: &Activity) -> impl Iterator<Item = LayerRow> {
        self.layers
            .iter()
            .take(LAYERS_OF_JOB_MAX)
            .map(move |(id, layer)| self.layer_row(*id, layer, now_us, activity.of_layer(layer.key)))
    }

    fn layer_row(&self, id: LayerId, layer: &LayerTable, now_us: u64, activity: Counts) -> LayerRow {
        let (total, done) = layer.progress(self.truth(id));
        let tally = layer.words.tally();
        let rate = if self.is_ended() || done == total {
            0.0
        } else {
            layer.ends.rate(now_us)
        };
        let (name, origin, chunk_bytes) = match &layer.info {
            Some(info) => (info.name.clone(), info.origin.clone(), info.chunk_bytes),
            None => (format!("layer {id}").into(), None, 0),
        };
        LayerRow {
            k: layer.key,
            job: self.key,
            layer: id.0,
            name,
            origin,
            total,
            done,
            running: activity.running.min(total - done),
            queued: activity
                .queued
                .min((total - done).saturating_sub(activity.running)),
            failed: tally.failed.min(total - done),
            errors: tally.errors,
            recomputed: tally.recomputed,
            restarted: tally.restarted,
            chunk_bytes,
            bytes: layer.bytes,
            rate: rounded(rate),
            left_s: (rate > 0.0).then(|| rounded((total - done) as f64 / rate)),
            busy_us: layer.busy_us,
            fetch_us: layer.fetch_us,
            p50_us: layer.times.quantile(0.5),
            p95_us: layer.times.quantile(0.95),
            max_us: layer.times.most(),
            rough: layer.rough_done > 0,
        }
    }
}

impl LayerTable {
    fn new(next_key: &mut RowKey) -> Self {
        let key = *next_key;
        *next_key += 1;
        Self {
            key,
            info: None,
            words: TaskWords::default(),
            block_end: 0,
            bytes: 0,
            busy_us: 0,
            fetch_us: 0,
            ends: EndCounts::default(),
            times: Spread::default(),
            rough_done: 0,
        }
    }

    /// What is held of it.
    pub(super) fn held(&self) -> HeldSum {
        self.words.held().sum(self.chunk_bytes())
    }

    /// The user's file and line that made it.
    pub(super) fn origin(&self) -> Option<Arc<str>> {
        self.info.as_ref()?.origin.clone()
    }

    fn describe(&mut self, info: &LayerInfo) {
        let info = LayerInfo {
            name: clip(&info.name),
            origin: info.origin.as_deref().map(clip),
            ..info.clone()
        };
        if self.block_end > info.task_count {
            self.words.truncate(info.task_count);
        }
        self.info = Some(info);
    }

    /// The block behind the last one that it can have, or that was heard of.
    pub(super) fn block_end(&self) -> u64 {
        self.info.as_ref().map_or(self.block_end, |info| info.task_count)
    }

    /// Whether the job's start told of it.
    pub(super) fn is_described(&self) -> bool {
        self.info.is_some()
    }

    pub(super) fn name(&self) -> Arc<str> {
        self.info
            .as_ref()
            .map_or_else(|| "an operation".into(), |info| info.name.clone())
    }

    /// Bytes of a whole chunk; 0 until that is told.
    pub(super) fn chunk_bytes(&self) -> u64 {
        self.info.as_ref().map_or(0, |info| info.chunk_bytes)
    }

    /// How it is cut and what it reads, once that is told.
    pub(super) fn plan(&self) -> Option<&Arc<LayerPlan>> {
        self.info.as_ref()?.plan.as_ref()
    }

    /// Whether the layer can have such a block; remembers it if so.
    pub(super) fn admit(&mut self, block: u64) -> bool {
        let end = self.info.as_ref().map_or(u64::MAX, |info| info.task_count);
        if block >= end {
            return false;
        }
        self.block_end = self.block_end.max(block + 1);
        true
    }

    /// Total and finished tasks; `truth` is the scheduler's own count, once the job ended.
    pub(super) fn progress(&self, truth: Option<u64>) -> (u64, u64) {
        let total = self.block_end();
        let done = truth.unwrap_or(self.words.tally().done + self.rough_done);
        (total, done.min(total))
    }
}

/// To a hundredth: a rate's further digits would only make frames longer.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
