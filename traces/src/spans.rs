//! Spans of what records tell.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use graticule_dashboard::{JobOutcome, LayerInfo, Record, TaskFinished};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, Status, span::Event, span::SpanKind, status::StatusCode},
};

use crate::ids::Ids;

/// Jobs of which spans are made at a time; of more there are none.
const JOB_COUNT_MAX: usize = 1_024;

/// Operations of a job that have a span; of more there are none.
const LAYER_COUNT_MAX: usize = 4_096;

/// Failures that an operation's span tells.
const FAILURE_COUNT_MAX: usize = 32;

/// How long after a job's end its tasks may still be told of: they are told in numbers, and jobs are not.
const ENDING_GRACE_US: u64 = 1_000_000;

/// Spans of the jobs that run.
#[derive(Debug)]
pub(crate) struct Spans {
    ids: Ids,
    /// What records' times count from, as time since 1970.
    began: Duration,
    task_count: u32,
    jobs: BTreeMap<JobId, Job>,
    /// When those are told that have ended.
    ending: VecDeque<(u64, JobId)>,
    workers: BTreeMap<WorkerId, Arc<str>>,
    latest_us: u64,
}

#[derive(Debug)]
struct Job {
    name: Arc<str>,
    started_us: u64,
    ended: Option<(u64, JobOutcome)>,
    layers: Arc<[LayerInfo]>,
    /// Those of which a task was told.
    seen: BTreeMap<LayerId, Layer>,
}

#[derive(Debug, Default)]
struct Layer {
    started_us: Option<u64>,
    ended_us: u64,
    finished: u64,
    failed: u64,
    bytes: u64,
    busy_us: u64,
    fetch_us: u64,
    failures: Vec<Event>,
    sample: Sample,
}

/// Which tasks have a span: the first so many, then every second until there are so many more, and so on.
#[derive(Debug, Default)]
struct Sample {
    taken: u32,
    /// Every so-many-th has one: 2 to the power of it.
    power: u32,
    passed: u64,
}

impl Sample {
    fn is_taken(&mut self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        self.passed += 1;
        if self.passed < 1 << self.power {
            return false;
        }
        self.passed = 0;
        self.taken += 1;
        if self.taken == count {
            self.taken = 0;
            self.power = (self.power + 1).min(63);
        }
        true
    }
}

impl Layer {
    fn lasts(&mut self, from_us: u64, to_us: u64) {
        self.started_us = Some(self.started_us.map_or(from_us, |started| started.min(from_us)));
        self.ended_us = self.ended_us.max(to_us);
    }
}

impl Spans {
    /// `task_count` is as in [`TraceOptions`](crate::TraceOptions::task_count).
    pub(crate) fn new(began: Duration, task_count: u32) -> Self {
        Self {
            ids: Ids::new(),
            began,
            task_count,
            jobs: BTreeMap::new(),
            ending: VecDeque::new(),
            workers: BTreeMap::new(),
            latest_us: 0,
        }
    }

    /// Takes a record in; spans that are complete by it are added to `made`.
    pub(crate) fn take(&mut self, at_us: u64, record: &Record, made: &mut Vec<Span>) {
        self.latest_us = self.latest_us.max(at_us);
        match record {
            Record::JobStarted { job, name, layers } => self.job_started(at_us, *job, name, layers),
            Record::JobEnded { job, outcome, .. } => self.job_ended(at_us, *job, outcome),
            Record::TaskAssigned { task, .. } | Record::TaskStarted { task, .. } => {
                if let Some(layer) = self.layer(*task) {
                    layer.lasts(at_us, at_us);
                }
            }
            Record::TaskFinished(finished) => self.task_finished(finished, made),
            Record::TaskFailed {
                task,
                worker,
                attempt,
                message,
            } => self.task_failed(at_us, *task, *worker, *attempt, message),
            Record::WorkerJoined { worker, name, .. } => {
                self.workers.insert(*worker, name.clone());
            }
            Record::WorkerLeft { worker, .. } => {
                self.workers.remove(worker);
            }
            Record::WorkerRetiring { .. }
            | Record::WorkerStays { .. }
            | Record::WorkerStarting { .. }
            | Record::WorkerStartFailed { .. }
            | Record::ScaleDecided(_)
            | Record::TaskReset { .. }
            | Record::ChunksReleased { .. }
            | Record::WorkerStatus { .. }
            | Record::Moved { .. }
            | Record::Disk { .. }
            | Record::Logged { .. } => {}
        }
    }

    /// Tells jobs that have ended a while ago.
    pub(crate) fn settle(&mut self, now_us: u64, made: &mut Vec<Span>) {
        while let Some((ended_us, job)) = self.ending.front().copied()
            && now_us >= ended_us.saturating_add(ENDING_GRACE_US)
        {
            self.ending.pop_front();
            self.tell(job, made);
        }
    }

    /// Tells all jobs, those that run as well: nothing comes any more.
    pub(crate) fn finish(&mut self, made: &mut Vec<Span>) {
        self.ending.clear();
        while let Some(job) = self.jobs.first_key_value().map(|(job, _)| *job) {
            self.tell(job, made);
        }
    }

    fn job_started(&mut self, at_us: u64, job: JobId, name: &Arc<str>, layers: &Arc<[LayerInfo]>) {
        if self.jobs.len() >= JOB_COUNT_MAX {
            return;
        }
        self.jobs.entry(job).or_insert_with(|| Job {
            name: name.clone(),
            started_us: at_us,
            ended: None,
            layers: layers.clone(),
            seen: BTreeMap::new(),
        });
    }

    fn job_ended(&mut self, at_us: u64, job: JobId, outcome: &JobOutcome) {
        if let Some(known) = self.jobs.get_mut(&job)
            && known.ended.is_none()
        {
            known.ended = Some((at_us, outcome.clone()));
            self.ending.push_back((at_us, job));
        }
    }

    fn layer(&mut self, task: TaskId) -> Option<&mut Layer> {
        let job = self.jobs.get_mut(&task.job)?;
        if job.seen.len() >= LAYER_COUNT_MAX && !job.seen.contains_key(&task.layer) {
            return None;
        }
        Some(job.seen.entry(task.layer).or_default())
    }

    fn task_finished(&mut self, finished: &TaskFinished, made: &mut Vec<Span>) {
        let task_count = self.task_count;
        let from_us = finished.started_us.saturating_sub(finished.fetch_us);
        let to_us = finished.started_us.saturating_add(finished.duration_us);
        let Some(layer) = self.layer(finished.task) else {
            return;
        };
        layer.lasts(from_us, to_us);
        layer.finished += 1;
        layer.bytes = layer.bytes.saturating_add(finished.bytes);
        layer.busy_us = layer.busy_us.saturating_add(finished.duration_us);
        layer.fetch_us = layer.fetch_us.saturating_add(finished.fetch_us);
        if layer.sample.is_taken(task_count) {
            made.push(self.task_span(finished, from_us, to_us));
        }
    }

    fn task_failed(&mut self, at_us: u64, task: TaskId, worker: WorkerId, attempt: u32, message: &Arc<str>) {
        let event = Event {
            time_unix_nano: self.nanos(at_us),
            name: "exception".into(),
            attributes: vec![
                text("exception.message", message),
                number("graticule.block", task.block),
                number("graticule.attempt", u64::from(attempt)),
                text("graticule.worker", &self.worker(worker)),
            ],
            ..Event::default()
        };
        if let Some(layer) = self.layer(task) {
            layer.lasts(at_us, at_us);
            layer.failed += 1;
            if layer.failures.len() < FAILURE_COUNT_MAX {
                layer.failures.push(event);
            }
        }
    }

    fn task_span(&self, finished: &TaskFinished, from_us: u64, to_us: u64) -> Span {
        let task = finished.task;
        let inputs_there = Event {
            time_unix_nano: self.nanos(finished.started_us),
            name: "inputs are there".into(),
            ..Event::default()
        };
        Span {
            parent_span_id: self.ids.layer(task.job, task.layer),
            name: format!("task {}", self.layer_name(task.job, task.layer)),
            attributes: vec![
                number("graticule.block", task.block),
                number("graticule.attempt", u64::from(finished.attempt)),
                number("graticule.slot", u64::from(finished.slot)),
                number("graticule.bytes", finished.bytes),
                text("graticule.worker", &self.worker(finished.worker)),
            ],
            events: if finished.fetch_us > 0 {
                vec![inputs_there]
            } else {
                Vec::new()
            },
            ..self.span(task.job, self.ids.task(task, finished.attempt), from_us, to_us)
        }
    }

    fn layer_name(&self, job: JobId, layer: LayerId) -> Arc<str> {
        let info = self.jobs.get(&job).and_then(|job| job.info(layer));
        info.map_or_else(|| "?".into(), |info| info.name.clone())
    }

    fn worker(&self, worker: WorkerId) -> Arc<str> {
        let known = self.workers.get(&worker);
        known.cloned().unwrap_or_else(|| worker.to_string().into())
    }

    fn tell(&mut self, id: JobId, made: &mut Vec<Span>) {
        let Some(job) = self.jobs.remove(&id) else { return };
        let is_failed = matches!(job.ended, Some((_, JobOutcome::Failed { .. })));
        for (layer, seen) in &job.seen {
            let Some(info) = job.info(*layer) else { continue };
            made.push(self.layer_span(id, *layer, info, seen, is_failed));
        }
        made.push(self.job_span(id, &job));
    }

    fn layer_span(
        &self,
        job: JobId,
        id: LayerId,
        info: &LayerInfo,
        layer: &Layer,
        is_job_failed: bool,
    ) -> Span {
        let mut attributes = vec![
            number("graticule.layer", u64::from(id.0)),
            number("graticule.tasks", info.task_count),
            number("graticule.tasks.finished", layer.finished),
            number("graticule.tasks.failed", layer.failed),
            number("graticule.bytes", layer.bytes),
            number("graticule.compute_us", layer.busy_us),
            number("graticule.fetch_us", layer.fetch_us),
        ];
        attributes.extend(info.origin.as_deref().map(place).unwrap_or_default());
        // A task that failed and was tried again with success is no error of the operation.
        let status = layer
            .failures
            .last()
            .filter(|_| is_job_failed)
            .map(|_| failed("a task failed"));
        let started_us = layer.started_us.unwrap_or(layer.ended_us);
        Span {
            parent_span_id: self.ids.job(job),
            name: format!("operation {}", info.name),
            attributes,
            events: layer.failures.clone(),
            status,
            ..self.span(job, self.ids.layer(job, id), started_us, layer.ended_us)
        }
    }

    fn job_span(&self, id: JobId, job: &Job) -> Span {
        let (ended_us, outcome, status) = match &job.ended {
            None => (self.latest_us, "unfinished", None),
            Some((at_us, JobOutcome::Succeeded)) => (*at_us, "succeeded", Some(succeeded())),
            Some((at_us, JobOutcome::Cancelled)) => (*at_us, "cancelled", None),
            Some((at_us, JobOutcome::Failed { message })) => (*at_us, "failed", Some(failed(message))),
        };
        let tasks = job.layers.iter().map(|layer| layer.task_count);
        Span {
            name: format!("job {}", job.name),
            attributes: vec![
                number("graticule.job", id.0),
                number("graticule.operations", job.layers.len() as u64),
                number("graticule.tasks", tasks.fold(0, u64::saturating_add)),
                text("graticule.outcome", outcome),
            ],
            status,
            ..self.span(id, self.ids.job(id), job.started_us, ended_us)
        }
    }

    fn span(&self, job: JobId, span_id: Vec<u8>, from_us: u64, to_us: u64) -> Span {
        Span {
            trace_id: self.ids.trace(job),
            span_id,
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: self.nanos(from_us),
            end_time_unix_nano: self.nanos(to_us.max(from_us)),
            ..Span::default()
        }
    }

    fn nanos(&self, at_us: u64) -> u64 {
        let at = self.began.saturating_add(Duration::from_micros(at_us));
        u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Job {
    fn info(&self, layer: LayerId) -> Option<&LayerInfo> {
        self.layers.get(usize::try_from(layer.0).ok()?)
    }
}

/// The user's file and line, by the names of OpenTelemetry's conventions.
fn place(origin: &str) -> Vec<KeyValue> {
    match origin.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
        Some((file, Ok(line))) => vec![text("code.file.path", file), number("code.line.number", line)],
        Some((_, Err(_))) | None => vec![text("code.file.path", origin)],
    }
}

fn succeeded() -> Status {
    Status {
        code: StatusCode::Ok.into(),
        ..Status::default()
    }
}

fn failed(message: &str) -> Status {
    Status {
        code: StatusCode::Error.into(),
        message: message.into(),
    }
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(crate) fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests;
