//! Keeps the records of the jobs that run, and of the last ones that ended. Pure: times come with the records.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use graticule_plan::{JobId, TaskId, WorkerId};
use serde::{Deserialize, Serialize};

use super::{
    archive::{Archive, SCALING_RECORD_COUNT_MAX, STATUS_COUNT_MAX, Status},
    lines::{LatestLines, LineMark, RunLines},
    tape::Tape,
};
use crate::{
    JobOutcome, Moved, Record, ScaleDecision, TaskFinished,
    aggregate::{Aggregator, JobState, Reports},
    disk::DiskMove,
};

/// Ended runs that are kept in memory; beyond that the oldest are dropped.
pub const RUN_COUNT_MAX: usize = 32;

/// Bytes that ended runs may take in memory; beyond that the oldest are dropped, but for the latest.
pub const RUN_BYTES_MAX: usize = 64 << 20;

/// Bytes that the runs which have not ended may take in memory together; what comes after is left out and counted.
pub const RUNNING_BYTES_MAX: usize = 64 << 20;

/// How long after a job's end what is logged of it is waited for in any case: the scheduler tells its lines each half second,
const LINGER_US_MIN: u64 = 600_000;
/// and how long if not all workers have told of themselves since, with which they tell what they moved and logged.
const LINGER_US_MAX: u64 = 1_500_000;

/// Records of workers that come and go.
const WORKER_RECORD_COUNT_MAX: usize = 8_192;

/// Names a run; given once.
pub type RunKey = u32;

/// A run in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its key.
    pub k: RunKey,
    /// The job's name.
    pub name: Arc<str>,
    /// How it stands.
    pub state: JobState,
    /// The error of a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<str>>,
    /// When it began, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// How long it took, or has been running, in microseconds.
    pub took_us: u64,
    /// Its tasks.
    pub total: u64,
    /// Tasks that ended, those that ran again counted each time.
    pub tasks: u64,
    /// Bytes of what is kept of it.
    pub bytes: u64,
    /// Records of it that had no room.
    pub left_out: u64,
}

#[derive(Debug)]
struct Run {
    name: Arc<str>,
    started_us: u64,
    total: u64,
    ended: Option<(u64, JobState, Option<Arc<str>>)>,
    /// No more tasks come.
    is_settled: bool,
    tape: Tape,
    /// How much had been logged when it began.
    mark: LineMark,
    /// What was logged, once no more comes, nor of what was moved.
    lines: Option<Arc<RunLines>>,
}

impl Run {
    fn is_closed(&self) -> bool {
        self.lines.is_some()
    }

    fn held_bytes(&self) -> usize {
        self.tape.held_bytes() + self.lines.as_ref().map_or(0, |lines| lines.held_bytes())
    }
}

/// The runs that are kept, and how many are not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    /// The latest first.
    pub(crate) runs: Vec<RunRow>,
    /// Runs that had to make room.
    pub(crate) forgotten: u64,
}

/// The records of runs.
#[derive(Debug)]
pub(crate) struct Recorder {
    cluster: Arc<str>,
    began_unix_ms: u64,
    next_key: RunKey,
    runs: BTreeMap<RunKey, Run>,
    keys: BTreeMap<JobId, RunKey>,
    workers: VecDeque<(u64, Record)>,
    /// How many workers were wanted, and what was done about it.
    scaling: VecDeque<(u64, Record)>,
    /// The latest decision.
    decision: Option<ScaleDecision>,
    statuses: VecDeque<Status>,
    lines: LatestLines,
    /// Reports of what was moved that were heard.
    moves: Reports<WorkerId>,
    /// The workers that are there, and when each told last of itself.
    heard: BTreeMap<WorkerId, u64>,
    forgotten: u64,
    /// The runs that have not ended take all that they may.
    is_full: bool,
}

impl Recorder {
    /// Knows of no run. `began_unix_ms` is the zero of the records' times; `first_key` that of the first run.
    pub(crate) fn new(cluster: &str, began_unix_ms: u64, first_key: RunKey) -> Self {
        Self {
            cluster: cluster.into(),
            began_unix_ms,
            next_key: first_key,
            runs: BTreeMap::new(),
            keys: BTreeMap::new(),
            workers: VecDeque::new(),
            scaling: VecDeque::new(),
            decision: None,
            statuses: VecDeque::new(),
            lines: LatestLines::default(),
            moves: Reports::default(),
            heard: BTreeMap::new(),
            forgotten: 0,
            is_full: false,
        }
    }

    /// Takes in what happened at `at_us` microseconds after the cluster's start, before the tables do and after it: what
    /// follows from a record is told by them.
    pub(crate) fn take_with(&mut self, tables: &mut Aggregator, at_us: u64, record: Record) {
        if let Record::TaskFinished(finished) = &record
            && let Some(span_us) = tables.queued(finished)
        {
            self.queued(finished, span_us);
        }
        if let Record::TaskFailed { task, attempt, .. } = &record
            && let Some(attempted) = tables.attempted(at_us, *task, *attempt)
        {
            self.attempted(&attempted);
        }
        self.take(at_us, &record);
        let disk_of = match &record {
            Record::Disk { worker, .. } => Some(*worker),
            _ => None,
        };
        tables.apply(at_us, record);
        if let Some(worker) = disk_of {
            self.moved_on_disk(at_us, worker, tables.disk_moves());
        }
    }

    /// Takes in what happened at `at_us` microseconds after the cluster's start.
    pub(crate) fn take(&mut self, at_us: u64, record: &Record) {
        match record {
            Record::JobStarted { job, name, layers } => {
                let total = layers
                    .iter()
                    .fold(0u64, |sum, layer| sum.saturating_add(layer.task_count));
                self.begin(at_us, *job, name, total, record);
            }
            Record::JobEnded { job, outcome, .. } => self.end(at_us, *job, outcome, record),
            Record::WorkerJoined { .. } | Record::WorkerLeft { .. } => {
                if self.workers.len() >= WORKER_RECORD_COUNT_MAX {
                    self.workers.pop_front();
                }
                self.workers.push_back((at_us, record.clone()));
                self.heard_of(at_us, record);
            }
            Record::WorkerStatus { worker, status } => {
                if self.statuses.len() >= STATUS_COUNT_MAX {
                    self.thin_statuses();
                }
                self.statuses.push_back((at_us, *worker, *status));
                if let Some(heard_us) = self.heard.get_mut(worker) {
                    *heard_us = at_us.max(*heard_us);
                }
            }
            // When a task was given and begun is told again when it ends.
            Record::TaskAssigned { .. } | Record::TaskStarted { .. } => {}
            // What it changed is told apart, once the tables have found out.
            Record::Disk { .. } => {}
            Record::Moved { worker, moves, lost } => self.moved(at_us, *worker, moves, *lost),
            Record::Logged { source, lines, lost } => self.lines.take(at_us, *source, lines, *lost),
            Record::WorkerRetiring { .. }
            | Record::WorkerStays { .. }
            | Record::WorkerStarting { .. }
            | Record::WorkerStartFailed { .. } => self.scaled(at_us, record),
            Record::ScaleDecided(decision) => {
                // Most of them want what is there.
                let is_news = self
                    .decision
                    .as_ref()
                    .is_none_or(|before| decision.is_news_after(before));
                if is_news {
                    self.scaled(at_us, record);
                }
                self.decision = Some(decision.clone());
            }
            Record::TaskFinished(finished) => {
                self.write(finished.task, |tape| tape.task(at_us, *finished));
            }
            Record::TaskFailed { task, .. } | Record::TaskReset { task, .. } => {
                self.write(*task, |tape| tape.rare(at_us, record.clone()));
            }
            Record::ChunksReleased {
                first,
                count,
                attempt,
            } => self.write(*first, |tape| tape.dropped(at_us, *first, *count, *attempt)),
        }
    }

    fn scaled(&mut self, at_us: u64, record: &Record) {
        if self.scaling.len() >= SCALING_RECORD_COUNT_MAX {
            self.scaling.pop_front();
        }
        self.scaling.push_back((at_us, record.clone()));
    }

    fn begin(&mut self, at_us: u64, job: JobId, name: &Arc<str>, total: u64, record: &Record) {
        if self.keys.contains_key(&job) {
            return;
        }
        let key = self.next_key;
        self.next_key += 1;
        let mut tape = Tape::new(job, at_us);
        tape.rare(at_us, record.clone());
        let run = Run {
            name: name.clone(),
            started_us: at_us,
            total,
            ended: None,
            is_settled: false,
            tape,
            mark: self.lines.mark(),
            lines: None,
        };
        self.runs.insert(key, run);
        self.keys.insert(job, key);
    }

    fn end(&mut self, at_us: u64, job: JobId, outcome: &JobOutcome, record: &Record) {
        let Some(run) = self.keys.get(&job).and_then(|key| self.runs.get_mut(key)) else {
            return;
        };
        if run.ended.is_some() {
            return;
        }
        let (state, message) = outcome.state();
        run.ended = Some((at_us, state, message));
        run.tape.rare(at_us, record.clone());
    }

    fn heard_of(&mut self, at_us: u64, record: &Record) {
        match record {
            Record::WorkerJoined { worker, .. } => {
                self.heard.insert(*worker, at_us);
            }
            Record::WorkerLeft { worker, .. } => {
                self.heard.remove(worker);
                self.moves.forget(worker);
            }
            _ => {}
        }
    }

    /// What was moved is of the job that needed it, and of the one whose chunks it was where no task did.
    fn moved(&mut self, at_us: u64, worker: WorkerId, moves: &[Moved], lost: u64) {
        if !self.moves.is_new(worker, at_us) {
            return;
        }
        if lost > 0 {
            for run in self.runs.values_mut().filter(|run| !run.is_closed()) {
                run.tape.moves.lost = run.tape.moves.lost.saturating_add(lost);
            }
        }
        for moved in moves {
            let Some((job, _)) = moved.by.or(moved.of) else {
                continue;
            };
            if let Some(run) = self.open_run(job) {
                run.tape.moves.moved(at_us, worker, moved, run.tape.task_count);
            }
        }
    }

    /// Takes in what a report of a worker's disk changed.
    fn moved_on_disk(&mut self, at_us: u64, worker: WorkerId, moves: &[DiskMove]) {
        for moved in moves {
            self.write(moved.chunks.first, |tape| {
                tape.moved_on_disk(at_us, worker, moved)
            });
        }
    }

    /// Takes in from when to when a task that ends was with its worker before that fetched for it. Call before the end
    /// itself is taken in.
    fn queued(&mut self, finished: &TaskFinished, span_us: (u64, u64)) {
        if let Some(run) = self.open_run(finished.task.job)
            && !run.is_settled
        {
            let tasks = run.tape.task_count;
            run.tape.moves.queued(finished.worker, span_us, tasks);
        }
    }

    /// Takes in when and on which slot an attempt began that fails. Call before the failure itself is taken in.
    fn attempted(&mut self, attempted: &TaskFinished) {
        let began = Record::TaskStarted {
            task: attempted.task,
            worker: attempted.worker,
            attempt: attempted.attempt,
            slot: Some(attempted.slot),
        };
        self.write(attempted.task, |tape| tape.rare(attempted.started_us, began));
    }

    /// The run of a job, if more may come of it.
    fn open_run(&mut self, job: JobId) -> Option<&mut Run> {
        let run = self.runs.get_mut(self.keys.get(&job)?)?;
        (!run.is_closed()).then_some(run)
    }

    fn write(&mut self, task: TaskId, write: impl FnOnce(&mut Tape)) {
        let key = self.keys.get(&task.job);
        let Some(run) = key.and_then(|key| self.runs.get_mut(key)) else {
            return;
        };
        if run.is_settled {
            return;
        }
        if self.is_full {
            run.tape.left_out += 1;
        } else {
            write(&mut run.tape);
        }
    }

    /// Ends the runs whose end was taken in: of their tasks, what comes from here on is left out. Call before more is taken
    /// in, since a job's end overtakes its tasks on the way here.
    pub(crate) fn settle(&mut self) {
        let open = self.runs.values().filter(|run| !run.is_closed());
        let held_bytes: usize = open.map(Run::held_bytes).sum();
        self.is_full = held_bytes >= RUNNING_BYTES_MAX;
        for run in self.runs.values_mut() {
            if run.ended.is_some() && !run.is_settled {
                run.tape.close();
                run.is_settled = true;
            }
        }
    }

    /// Closes the settled runs of which all was told, or should have been at `now_us`. Returns their keys.
    pub(crate) fn close(&mut self, now_us: u64) -> Vec<RunKey> {
        let is_due = |run: &Run| {
            let ended_us = run.ended.as_ref().map(|(at_us, ..)| *at_us);
            run.is_settled && !run.is_closed() && ended_us.is_some_and(|us| self.has_heard(us, now_us))
        };
        let due: Vec<RunKey> = self
            .runs
            .iter()
            .filter(|it| is_due(it.1))
            .map(|(key, _)| *key)
            .collect();
        for key in &due {
            let Some(run) = self.runs.get_mut(key) else {
                continue;
            };
            let end_us = run.ended.as_ref().map_or(now_us, |(at_us, ..)| *at_us);
            let lines = self.lines.of(run.mark, (run.started_us, end_us), &[run.tape.job]);
            run.lines = Some(Arc::new(lines));
            run.tape.moves.close();
        }
        if !due.is_empty() {
            self.make_room();
        }
        due
    }

    /// Whether all that was moved and logged until `ended_us` was told, or is not waited for any more.
    fn has_heard(&self, ended_us: u64, now_us: u64) -> bool {
        let since_us = now_us.saturating_sub(ended_us);
        let have_told = || self.heard.values().all(|us| *us > ended_us);
        since_us >= LINGER_US_MAX || (since_us >= LINGER_US_MIN && have_told())
    }

    /// Whether something of the jobs that ended since then may still be told.
    pub(crate) fn is_awaited(&self, from_us: u64, now_us: u64) -> bool {
        let ends = self.runs.values().filter_map(|run| Some(run.ended.as_ref()?.0));
        ends.into_iter()
            .any(|ended_us| ended_us >= from_us && !self.has_heard(ended_us, now_us))
    }

    fn make_room(&mut self) {
        loop {
            let ended: Vec<RunKey> = self
                .runs
                .iter()
                .filter(|(_, run)| run.is_closed())
                .map(|(key, _)| *key)
                .collect();
            let bytes: usize = ended.iter().map(|key| self.runs[key].held_bytes()).sum();
            if ended.len() <= 1 || (ended.len() <= RUN_COUNT_MAX && bytes <= RUN_BYTES_MAX) {
                return;
            }
            if let Some(run) = self.runs.remove(&ended[0]) {
                self.keys.remove(&run.tape.job);
                self.forgotten += 1;
            }
        }
    }

    /// Forgets reports of workers from before all runs that are kept; if that is not enough, every other one.
    fn thin_statuses(&mut self) {
        let first_us = self.runs.values().map(|run| run.started_us).min();
        let first_us = first_us.unwrap_or(u64::MAX);
        self.statuses.retain(|(at_us, ..)| *at_us >= first_us);
        if self.statuses.len() > STATUS_COUNT_MAX / 2 {
            let mut seen = BTreeMap::new();
            self.statuses.retain(|(_, worker, _)| {
                let odd = seen.entry(*worker).or_insert(false);
                *odd = !*odd;
                *odd
            });
        }
    }

    /// The runs that are kept.
    pub(crate) fn history(&self, now_us: u64) -> History {
        let runs = self.runs.iter().rev();
        History {
            runs: runs.map(|(key, run)| self.row(*key, run, now_us)).collect(),
            forgotten: self.forgotten,
        }
    }

    fn row(&self, key: RunKey, run: &Run, now_us: u64) -> RunRow {
        let (end_us, state, message) = match &run.ended {
            Some((at_us, state, message)) => (*at_us, *state, message.clone()),
            None => (now_us, JobState::Running, None),
        };
        RunRow {
            k: key,
            name: run.name.clone(),
            state,
            message,
            began_unix_ms: self.began_unix_ms + run.started_us / 1_000,
            took_us: end_us.saturating_sub(run.started_us),
            total: run.total,
            tasks: run.tape.task_count,
            bytes: run.tape.bytes() as u64,
            left_out: run.tape.left_out,
        }
    }

    /// What is kept of a run; `None` if it is not, or no longer, kept.
    pub(crate) fn archive(&self, key: RunKey, now_us: u64) -> Option<Archive> {
        let run = self.runs.get(&key)?;
        let end_us = run.ended.as_ref().map_or(now_us, |(at_us, ..)| *at_us);
        let span_us = (run.started_us, end_us);
        let lines = run.lines.clone();
        let lines = lines.unwrap_or_else(|| Arc::new(self.lines.of(run.mark, span_us, &[run.tape.job])));
        Some(self.archive_of(span_us, vec![run.tape.clone()], lines))
    }

    /// What is kept of all jobs that ran since then.
    pub(crate) fn since(&self, from_us: u64, now_us: u64) -> Archive {
        let runs = self
            .runs
            .values()
            .filter(|run| run.ended.as_ref().is_none_or(|(at_us, ..)| *at_us >= from_us));
        let runs: Vec<&Run> = runs.collect();
        let jobs: Vec<JobId> = runs.iter().map(|run| run.tape.job).collect();
        let mark = runs.iter().map(|run| run.mark).min();
        let mark = mark.unwrap_or_else(|| self.lines.mark());
        let lines = self.lines.of(mark, (from_us, now_us), &jobs);
        let tapes = runs.into_iter().map(|run| run.tape.clone()).collect();
        self.archive_of((from_us, now_us), tapes, Arc::new(lines))
    }

    /// What was decided and done about the number of workers until `to_us`; of decisions before `from_us` the last one.
    fn scaling_of(&self, from_us: u64, to_us: u64) -> Vec<(u64, Record)> {
        let is_decision = |record: &Record| matches!(record, Record::ScaleDecided(_));
        let mut told = self.scaling.iter().filter(|(at_us, _)| *at_us <= to_us);
        let before = told
            .clone()
            .filter(|(at_us, it)| *at_us < from_us && is_decision(it));
        let last_us = before.map(|(at_us, _)| *at_us).max();
        let is_kept =
            |(at_us, it): &&(u64, Record)| *at_us >= from_us || !is_decision(it) || Some(*at_us) == last_us;
        told.by_ref().filter(is_kept).cloned().collect()
    }

    fn archive_of(&self, (from_us, to_us): (u64, u64), jobs: Vec<Tape>, lines: Arc<RunLines>) -> Archive {
        let workers = self.workers.iter().filter(|(at_us, _)| *at_us <= to_us);
        let statuses = self.statuses.iter().filter(|(at_us, ..)| {
            // The report before the beginning is how things stood then.
            at_us.saturating_add(2_000_000) >= from_us && *at_us <= to_us
        });
        Archive {
            cluster: self.cluster.clone(),
            began_unix_ms: self.began_unix_ms,
            span_us: (from_us, to_us),
            workers: workers.cloned().collect(),
            scaling: Some(self.scaling_of(from_us, to_us)),
            statuses: statuses.copied().collect(),
            lines: Some(lines),
            jobs,
        }
    }
}
