//! Keeps the records of the jobs that run, and of the last ones that ended. Pure: times come with the records.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use graticule_plan::{JobId, TaskId};
use serde::{Deserialize, Serialize};

use super::{
    archive::{Archive, STATUS_COUNT_MAX, Status},
    tape::Tape,
};
use crate::{JobOutcome, Record, aggregate::JobState};

/// Ended runs that are kept in memory; beyond that the oldest are dropped.
pub const RUN_COUNT_MAX: usize = 32;

/// Bytes that ended runs may take in memory; beyond that the oldest are dropped, but for the latest.
pub const RUN_BYTES_MAX: usize = 64 << 20;

/// Bytes that the runs which have not ended may take in memory together; what comes after is left out and counted.
pub const RUNNING_BYTES_MAX: usize = 64 << 20;

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
    /// No more records come.
    is_settled: bool,
    tape: Tape,
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
    statuses: VecDeque<Status>,
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
            statuses: VecDeque::new(),
            forgotten: 0,
            is_full: false,
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
            }
            Record::WorkerStatus { worker, status } => {
                if self.statuses.len() >= STATUS_COUNT_MAX {
                    self.thin_statuses();
                }
                self.statuses.push_back((at_us, *worker, *status));
            }
            // When a task was given and begun is told again when it ends.
            Record::TaskAssigned { .. } | Record::TaskStarted { .. } => {}
            // What was moved, and how many workers were wanted, is not part of a replay.
            Record::Moved { .. }
            | Record::Logged { .. }
            | Record::WorkerRetiring { .. }
            | Record::WorkerStays { .. }
            | Record::WorkerStarting { .. }
            | Record::WorkerStartFailed { .. }
            | Record::ScaleDecided(_) => {}
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

    fn begin(&mut self, at_us: u64, job: JobId, name: &Arc<str>, total: u64, record: &Record) {
        if self.keys.contains_key(&job) {
            return;
        }
        let key = self.next_key;
        self.next_key += 1;
        let mut tape = Tape::new(job);
        tape.rare(at_us, record.clone());
        let run = Run {
            name: name.clone(),
            started_us: at_us,
            total,
            ended: None,
            is_settled: false,
            tape,
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

    /// Closes the runs whose end was taken in; what comes of them from here on is left out. Call before more is taken
    /// in, since a job's end overtakes its tasks on the way here. Returns their keys.
    pub(crate) fn settle(&mut self) -> Vec<RunKey> {
        let running = self.runs.values().filter(|run| !run.is_settled);
        let held_bytes: usize = running.map(|run| run.tape.held_bytes()).sum();
        self.is_full = held_bytes >= RUNNING_BYTES_MAX;
        let mut settled = Vec::new();
        for (key, run) in &mut self.runs {
            if run.ended.is_some() && !run.is_settled {
                run.tape.close();
                run.is_settled = true;
                settled.push(*key);
            }
        }
        if !settled.is_empty() {
            self.make_room();
        }
        settled
    }

    fn make_room(&mut self) {
        loop {
            let ended: Vec<RunKey> = self
                .runs
                .iter()
                .filter(|(_, run)| run.is_settled)
                .map(|(key, _)| *key)
                .collect();
            let bytes: usize = ended.iter().map(|key| self.runs[key].tape.held_bytes()).sum();
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
            bytes: run.tape.bytes as u64,
            left_out: run.tape.left_out,
        }
    }

    /// What is kept of a run; `None` if it is not, or no longer, kept.
    pub(crate) fn archive(&self, key: RunKey, now_us: u64) -> Option<Archive> {
        let run = self.runs.get(&key)?;
        let end_us = run.ended.as_ref().map_or(now_us, |(at_us, ..)| *at_us);
        Some(self.archive_of((run.started_us, end_us), vec![run.tape.clone()]))
    }

    /// What is kept of all jobs that ran since then.
    pub(crate) fn since(&self, from_us: u64, now_us: u64) -> Archive {
        let runs = self
            .runs
            .values()
            .filter(|run| run.ended.as_ref().is_none_or(|(at_us, ..)| *at_us >= from_us));
        self.archive_of((from_us, now_us), runs.map(|run| run.tape.clone()).collect())
    }

    fn archive_of(&self, (from_us, to_us): (u64, u64), jobs: Vec<Tape>) -> Archive {
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
            statuses: statuses.copied().collect(),
            jobs,
        }
    }
}
