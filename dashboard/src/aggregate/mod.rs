//! Records in, tables out. Pure: no clock, no thread, no socket.
//!
//! Records may come in any order, twice, or not at all. What is known of a task is therefore a set that only
//! grows (see `tasks.rs`), and all counts are computed from such sets; so two aggregators that were told the
//! same records, however shuffled, show the same tables.

mod frame;
mod jobs;
mod publish;
mod rate;
mod stream;
mod tasks;
mod workers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use graticule_plan::{JobId, TaskId, WorkerId};

pub use self::{
    frame::{
        Delta, FORMAT_VERSION, Failure, FrameError, FrameKind, Gone, Head, JobRow, JobState, LayerRow,
        RowKey, RunningTask, Snapshot, StreamTask, WorkerRow, WorkerState,
    },
    publish::{DELTA_BYTES_MAX, Publisher, SNAPSHOT_BYTES_MAX},
    rate::PULSE_SECONDS,
    stream::{STREAM_SPAN_US, STREAM_TASK_COUNT_MAX},
};
use self::{
    jobs::{JobTable, rounded},
    rate::EndCounts,
    stream::TaskStream,
    tasks::{Mark, Marked, PAGE_COUNT_MAX, Standing},
    workers::WorkerTable,
};
use crate::{Record, TaskFinished};

/// Jobs that have rows; beyond that the ones that ended first are forgotten, and only then running ones.
pub const JOB_COUNT_MAX: usize = 32;

/// Layers of one job that have rows.
pub const LAYERS_OF_JOB_MAX: usize = 48;

/// Layers that have rows, of all jobs; those of the newest jobs come first.
pub const LAYER_COUNT_MAX: usize = 256;

/// Workers that have rows; beyond that the ones that left first are forgotten.
pub const WORKER_COUNT_MAX: usize = 256;

/// Errors of tasks that are kept.
pub const FAILURE_COUNT_MAX: usize = 12;

/// Bytes of a name that are kept.
pub const NAME_BYTES_MAX: usize = 160;

/// Bytes of an error message that are kept.
pub const MESSAGE_BYTES_MAX: usize = 400;

/// Running tasks that are remembered.
const RUNNING_COUNT_MAX: usize = 1 << 16;

/// Ids of jobs and of workers that were forgotten, so that a late record does not bring them back.
const FORGOTTEN_COUNT_MAX: usize = 4_096;

/// The state of the cluster as the records tell it.
#[derive(Debug, Default)]
pub struct Aggregator {
    jobs: BTreeMap<JobId, JobTable>,
    workers: BTreeMap<WorkerId, WorkerTable>,
    running: BTreeMap<TaskId, Running>,
    failures: BTreeSet<FailureKey>,
    stream: TaskStream,
    ends: EndCounts,
    forgotten: Forgotten,
    next_job_key: RowKey,
    next_layer_key: RowKey,
    next_worker_key: RowKey,
    record_count: u64,
    rejected_count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    worker: WorkerId,
    slot: Option<u32>,
    started_us: u64,
    attempt: u32,
}

/// Sorted by time, so that the oldest goes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FailureKey {
    at_us: u64,
    task: TaskId,
    attempt: u32,
    worker: WorkerId,
    message: Arc<str>,
}

/// What is left of forgotten jobs, so that the head's totals never shrink.
#[derive(Debug, Default)]
struct Forgotten {
    jobs: VecDeque<JobId>,
    workers: VecDeque<WorkerId>,
    total: u64,
    done: u64,
    recomputed: u64,
}

impl Aggregator {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened at `at_us` microseconds after the cluster's start.
    pub fn apply(&mut self, at_us: u64, record: Record) {
        self.record_count += 1;
        let is_sound = match record {
            Record::JobStarted { job, name, layers } => self.with_job(job, |table, next_key| {
                table.start(at_us, &name, &layers, next_key);
            }),
            Record::JobEnded {
                job,
                outcome,
                finished,
            } => self.with_job(job, |table, _| {
                table.end(at_us, &outcome, finished);
            }),
            Record::WorkerJoined {
                worker,
                name,
                address,
                slots,
                budget_bytes,
            } => self.with_worker(worker, |table| {
                table.join(at_us, &name, &address, slots, budget_bytes)
            }),
            Record::WorkerLeft { worker, why } => {
                self.stop_running_on(worker);
                self.with_worker(worker, |table| table.leave(at_us, &why))
            }
            Record::TaskStarted {
                task,
                worker,
                attempt,
                slot,
            } => self.task_started(
                task,
                Running {
                    worker,
                    slot,
                    started_us: at_us,
                    attempt,
                },
            ),
            Record::TaskFinished(finished) => self.task_finished(&finished),
            Record::TaskFailed {
                task,
                worker,
                attempt,
                message,
            } => self.task_failed(at_us, task, worker, attempt, &message),
            Record::TaskReset { task, attempt } => self.mark(task, Mark::Lost, attempt).is_some(),
            Record::WorkerStatus { worker, status } => {
                self.with_worker(worker, |table| table.report(at_us, status))
            }
        };
        self.rejected_count += u64::from(!is_sound);
    }

    /// How many records were taken in.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    fn with_job(&mut self, job: JobId, change: impl FnOnce(&mut JobTable, &mut RowKey)) -> bool {
        if self.forgotten.jobs.contains(&job) {
            return false;
        }
        if !self.jobs.contains_key(&job) {
            self.make_room_for_job();
        }
        let table = self.jobs.entry(job).or_insert_with(|| {
            self.next_job_key += 1;
            JobTable::new(job, self.next_job_key - 1)
        });
        change(table, &mut self.next_layer_key);
        true
    }

    fn with_worker(&mut self, worker: WorkerId, change: impl FnOnce(&mut WorkerTable)) -> bool {
        if self.forgotten.workers.contains(&worker) {
            return false;
        }
        if !self.workers.contains_key(&worker) {
            self.make_room_for_worker();
        }
        let table = self.workers.entry(worker).or_insert_with(|| {
            self.next_worker_key += 1;
            WorkerTable::new(worker, self.next_worker_key - 1)
        });
        change(table);
        true
    }

    fn make_room_for_job(&mut self) {
        if self.jobs.len() < JOB_COUNT_MAX {
            return;
        }
        let oldest = self
            .jobs
            .iter()
            .min_by_key(|(id, table)| (!table.is_ended(), **id))
            .map(|(id, _)| *id);
        let Some((id, table)) = oldest.and_then(|id| self.jobs.remove_entry(&id)) else {
            return;
        };
        let (total, done) = table.totals();
        self.forgotten.total += total;
        self.forgotten.done += done;
        self.forgotten.recomputed += table
            .layers
            .values()
            .map(|layer| layer.words.tally().recomputed)
            .sum::<u64>();
        let gone: Vec<TaskId> = self
            .running
            .keys()
            .filter(|task| task.job == id)
            .copied()
            .collect();
        gone.into_iter().for_each(|task| self.stop_running(task));
        self.failures.retain(|failure| failure.task.job != id);
        remember(&mut self.forgotten.jobs, id);
    }

    fn make_room_for_worker(&mut self) {
        if self.workers.len() < WORKER_COUNT_MAX {
            return;
        }
        let oldest = self
            .workers
            .iter()
            .min_by_key(|(id, table)| (table.left_us().is_none(), table.left_us(), **id))
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.stop_running_on(id);
            self.workers.remove(&id);
            remember(&mut self.forgotten.workers, id);
        }
    }

    /// Whether another page of task words may be made; forgets the tasks of ended jobs to make it so.
    fn may_grow(&mut self) -> bool {
        // Summed over at most JOB_COUNT_MAX jobs, and only asked when a task is the first of its page.
        let pages = |jobs: &BTreeMap<JobId, JobTable>| jobs.values().map(JobTable::page_count).sum::<usize>();
        while pages(&self.jobs) >= PAGE_COUNT_MAX {
            let ended = self
                .jobs
                .values_mut()
                .find(|table| table.is_ended() && table.page_count() > 0);
            match ended {
                Some(table) => table.forget_tasks(),
                None => return false,
            }
        }
        true
    }

    /// Marks an attempt. `None` if the record contradicts what is known or there is no room to remember it.
    fn mark(&mut self, task: TaskId, mark: Mark, attempt: u32) -> Option<Marked> {
        if !self.with_job(task.job, |_, _| ()) {
            return None;
        }
        let attempt_to_grow = |this: &mut Self, may_grow| {
            let table = this.jobs.get_mut(&task.job)?;
            let layer = table.layer(task.layer, &mut this.next_layer_key)?;
            layer
                .admit(task.block)
                .then(|| layer.words.mark(task.block, mark, attempt, may_grow))
        };
        let marked = match attempt_to_grow(self, false)? {
            Some(marked) => marked,
            None => {
                let may_grow = self.may_grow();
                match attempt_to_grow(self, may_grow)? {
                    Some(marked) => marked,
                    None => return self.mark_roughly(task, mark),
                }
            }
        };
        if marked.word.standing() != Standing::Running {
            self.stop_running(task);
        }
        Some(marked)
    }

    /// Counts a task of which nothing can be remembered: duplicates then count twice.
    fn mark_roughly(&mut self, task: TaskId, mark: Mark) -> Option<Marked> {
        self.stop_running(task);
        let layer = self.jobs.get_mut(&task.job)?.layers.get_mut(&task.layer)?;
        match mark {
            Mark::Finished => layer.rough_done += 1,
            Mark::Lost => layer.rough_done = layer.rough_done.saturating_sub(1),
            Mark::Started | Mark::Failed => {}
        }
        Some(Marked {
            word: tasks::Word::default().with(mark, 0),
            is_new: true,
        })
    }

    fn task_started(&mut self, task: TaskId, running: Running) -> bool {
        let Some(marked) = self.mark(task, Mark::Started, running.attempt) else {
            return false;
        };
        let is_current =
            marked.word.standing() == Standing::Running && marked.word.is_latest(running.attempt);
        if !is_current || !self.with_worker(running.worker, |_| ()) {
            return true;
        }
        let worker_left = self
            .workers
            .get(&running.worker)
            .is_none_or(|worker| worker.left_us().is_some());
        let known = self
            .running
            .get(&task)
            .is_some_and(|known| known.attempt == running.attempt);
        if worker_left || known || self.running.len() >= RUNNING_COUNT_MAX {
            return true;
        }
        self.stop_running(task);
        self.running.insert(task, running);
        self.count_running(task, running.worker, 1);
        true
    }

    fn task_finished(&mut self, finished: &TaskFinished) -> bool {
        let task = finished.task;
        let Some(marked) = self.mark(task, Mark::Finished, finished.attempt) else {
            return false;
        };
        if !marked.is_new {
            return true;
        }
        let ended_us = finished.started_us.saturating_add(finished.duration_us);
        self.ends.count(finished.started_us, ended_us);
        if let Some(layer) = self
            .jobs
            .get_mut(&task.job)
            .and_then(|table| table.layers.get_mut(&task.layer))
        {
            layer.bytes = layer.bytes.saturating_add(finished.bytes);
            layer.busy_us = layer.busy_us.saturating_add(finished.duration_us);
            layer.fetch_us = layer.fetch_us.saturating_add(finished.fetch_us);
            layer.ends.count(finished.started_us, ended_us);
        }
        self.with_worker(finished.worker, |worker| worker.done += 1);
        let again = if marked.word.is_again(finished.attempt) {
            StreamTask::AGAIN
        } else {
            0
        };
        let spilled = if finished.spilled { StreamTask::SPILLED } else { 0 };
        self.draw(finished, again | spilled);
        true
    }

    fn task_failed(
        &mut self,
        at_us: u64,
        task: TaskId,
        worker: WorkerId,
        attempt: u32,
        message: &str,
    ) -> bool {
        let was_running = self
            .running
            .get(&task)
            .copied()
            .filter(|running| running.attempt == attempt);
        let Some(marked) = self.mark(task, Mark::Failed, attempt) else {
            return false;
        };
        self.with_worker(worker, |_| ());
        if !marked.is_new {
            return true;
        }
        let message = clip_message(message);
        self.failures.insert(FailureKey {
            at_us,
            task,
            attempt,
            worker,
            message,
        });
        if self.failures.len() > FAILURE_COUNT_MAX {
            self.failures.pop_first();
        }
        if let Some(running) = was_running {
            let attempted = TaskFinished {
                task,
                worker,
                attempt,
                slot: running.slot.unwrap_or(0),
                started_us: running.started_us,
                duration_us: at_us.saturating_sub(running.started_us),
                fetch_us: 0,
                bytes: 0,
                spilled: false,
            };
            self.draw(&attempted, StreamTask::FAILED);
        }
        true
    }

    /// Puts an ended task on the task stream.
    fn draw(&mut self, ended: &TaskFinished, marks: u8) {
        let layer = self
            .jobs
            .get(&ended.task.job)
            .and_then(|table| table.layers.get(&ended.task.layer));
        let (Some(layer), Some(worker)) = (layer, self.workers.get(&ended.worker)) else {
            return;
        };
        self.stream.push(StreamTask {
            layer: layer.key,
            block: ended.task.block,
            worker: worker.key,
            slot: ended.slot,
            started_us: ended.started_us,
            duration_us: ended.duration_us,
            fetch_us: ended.fetch_us,
            bytes: ended.bytes,
            marks,
        });
    }

    fn stop_running(&mut self, task: TaskId) {
        if let Some(running) = self.running.remove(&task) {
            self.count_running(task, running.worker, -1);
        }
    }

    fn stop_running_on(&mut self, worker: WorkerId) {
        let stopped: Vec<TaskId> = self
            .running
            .iter()
            .filter(|(_, running)| running.worker == worker)
            .map(|(task, _)| *task)
            .collect();
        stopped.into_iter().for_each(|task| self.stop_running(task));
    }

    fn count_running(&mut self, task: TaskId, worker: WorkerId, change: i32) {
        if let Some(layer) = self
            .jobs
            .get_mut(&task.job)
            .and_then(|table| table.layers.get_mut(&task.layer))
        {
            layer.running = layer.running.saturating_add_signed(change.into());
        }
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.running = worker.running.saturating_add_signed(change);
        }
    }

    /// The head of the page at `now_us`; `dropped` is the feed's count.
    fn head(&self, now_us: u64, dropped: u64) -> Head {
        let (mut total, mut done) = (self.forgotten.total, self.forgotten.done);
        let (mut failed, mut recomputed) = (0, self.forgotten.recomputed);
        for table in self.jobs.values() {
            let (job_total, job_done) = table.totals();
            total += job_total;
            done += job_done;
            for layer in table.layers.values() {
                failed += layer.words.tally().failed;
                recomputed += layer.words.tally().recomputed;
            }
        }
        Head {
            now_us,
            total,
            done,
            running: self.running.len() as u64,
            failed,
            recomputed,
            rate: rounded(self.ends.rate(now_us)),
            pulse: self.ends.pulse(now_us),
            records: self.record_count,
            dropped,
            rejected: self.rejected_count,
            sampled: self.stream.left_out_count(),
        }
    }

    fn running_tasks(&self) -> impl Iterator<Item = RunningTask> {
        self.running.iter().filter_map(|(task, running)| {
            Some(RunningTask {
                layer: self.jobs.get(&task.job)?.layers.get(&task.layer)?.key,
                block: task.block,
                worker: self.workers.get(&running.worker)?.key,
                slot: running.slot,
                started_us: running.started_us,
                attempt: running.attempt,
            })
        })
    }

    fn failure_rows(&self) -> Vec<Failure> {
        self.failures
            .iter()
            .filter_map(|failure| {
                Some(Failure {
                    layer: self
                        .jobs
                        .get(&failure.task.job)?
                        .layers
                        .get(&failure.task.layer)?
                        .key,
                    block: failure.task.block,
                    worker: self.workers.get(&failure.worker)?.key,
                    attempt: failure.attempt,
                    at_us: failure.at_us,
                    message: failure.message.clone(),
                })
            })
            .collect()
    }
}

fn remember<T>(ids: &mut VecDeque<T>, id: T) {
    ids.push_back(id);
    if ids.len() > FORGOTTEN_COUNT_MAX {
        ids.pop_front();
    }
}

/// A name, cut to [`NAME_BYTES_MAX`], without control characters.
fn clip(text: &str) -> Arc<str> {
    text[..text.floor_char_boundary(NAME_BYTES_MAX)]
        .replace(char::is_control, " ")
        .into()
}

/// An error message, cut to [`MESSAGE_BYTES_MAX`], its lines kept.
fn clip_message(text: &str) -> Arc<str> {
    let clipped = &text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)];
    clipped.replace(|c: char| c.is_control() && c != '\n', " ").into()
}
