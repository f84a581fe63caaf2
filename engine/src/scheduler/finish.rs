//! What becomes of a task: reports, one function per edge.

use std::sync::Arc;

use graticule_plan::{ChunkId, JobId, TaskId, WorkerId};

use super::{
    Command, JobEvent, Observation, Sabotage, Scheduler,
    hold::CHUNK_BYTES_MAX,
    record::{ChunkRecord, Holders, JobState, TaskState},
};
use crate::{Failure, FailureKind, Finished, INLINE_BYTES_MAX, Report, TaskTimes};

/// How often a task's inputs may be missing where they were said to be before its job fails.
const MISSES_MAX: u16 = 100;
/// The most different problems that a job tells its client.
const PROBLEMS_MAX: usize = 1000;

impl Scheduler {
    pub(super) fn on_report(&mut self, worker: WorkerId, report: Report) {
        let task = report.task;
        let leased_here = self
            .task(task)
            .filter(|record| record.state == TaskState::Leased { worker });
        let lenient = self.sabotage == Sabotage::AcceptOlderAttempts;
        match leased_here.map(|record| record.attempt == report.attempt || lenient) {
            Some(true) => {
                self.unlease(worker, task);
                match report.outcome {
                    Ok(finished) => self.leased_to_finished(worker, task, finished, report.times),
                    Err(failure) => self.leased_failed(worker, task, failure),
                }
            }
            // Late. The worker dropped that result when the newer lease came.
            Some(false) => {}
            // Late, or of a job that is gone. A result that came of it must not lie around.
            None => {
                if report.outcome.is_ok() && !self.holds(worker, task) && !self.is_copying(worker, task) {
                    self.releases.push((worker, task));
                }
            }
        }
    }

    /// Takes a task off a worker's books; its record still says `Leased`.
    pub(super) fn unlease(&mut self, worker: WorkerId, task: TaskId) {
        self.committed_bytes -= self.output_bytes(task);
        self.leased_count -= 1;
        self.occupy(task, worker, false);
        let layer = self.layer_mut(task.job, task.layer);
        layer.leased_count -= 1;
        let in_hand = u128::from(layer.task_bytes_max);
        let ledger = &mut self.job_mut(task.job).ledger;
        ledger.leased_bytes -= in_hand;
        ledger.leased_count -= 1;
        self.in_hand_bytes -= in_hand;
        let load_us = self.task(task).map_or(0, |record| record.load_us);
        if let Some(record) = self.workers.get_mut(&worker) {
            record.leased_count -= 1;
            record.load_us -= u64::from(load_us);
            record.isolated &= record.leased_count > 0;
            if !std::mem::replace(&mut record.rank_changed, true) {
                self.changed.push(worker);
            }
        }
    }

    fn leased_to_finished(&mut self, worker: WorkerId, task: TaskId, finished: Finished, times: TaskTimes) {
        self.tell_problems(task.job, finished.problems);
        let layer = self.layer_mut(task.job, task.layer);
        let record = layer
            .tasks
            .remove(task.block)
            .expect("a leased task has a record");
        let attempt = record.attempt;
        record.ends();
        layer
            .measured
            .add(times.fetch_us.saturating_add(times.compute_us));
        layer.finished.insert(task.block);
        self.out.push(Command::Observe(Observation::TaskFinished {
            task,
            worker,
            attempt: attempt - 1,
            bytes: finished.bytes,
            times,
        }));
        self.chunk_appears(task, worker, finished.bytes);
        self.offer(task, finished.inline.filter(|b| b.len() <= INLINE_BYTES_MAX));
        if self.sabotage != Sabotage::ReleaseWhenLeased {
            self.inputs_spared(task);
        }
        if self.sabotage == Sabotage::ReleaseTwice && attempt > 1 {
            self.inputs_spared(task);
        }
        self.release_if_unwanted(task);
        self.finish_if_complete(task.job);
    }

    pub(super) fn tell_problems(&mut self, id: JobId, problems: Vec<Arc<str>>) {
        let job = self.job_mut(id);
        let mut new = Vec::new();
        for problem in problems {
            if job.problems.len() < PROBLEMS_MAX && job.problems.insert(problem.clone()) {
                new.push(problem);
            }
        }
        let client = job.client;
        if !new.is_empty() && job.state == JobState::Running {
            let event = JobEvent::Problems(new);
            self.notify(client, id, event);
        }
    }

    /// A worker holds a chunk that nobody held: tasks that waited for it may run.
    pub(super) fn chunk_appears(&mut self, chunk: ChunkId, worker: WorkerId, bytes: u64) {
        let mut dependents = std::mem::take(&mut self.dependents);
        self.each_dependent(chunk, |task| {
            if !self.is_finished(task) {
                dependents.push(task);
            }
        });
        let needed = dependents.len() as u64;
        let record = ChunkRecord {
            holders: Holders::one(worker),
            bytes: bytes.min(CHUNK_BYTES_MAX),
            needed,
        };
        self.insert_chunk(chunk, record);
        let job = self.job_mut(chunk.job);
        if job.state == JobState::Running {
            job.outputs_left -= job.layers[chunk.layer.0 as usize].pins.len() as u64;
        }
        let holder = self.workers.get_mut(&worker).expect("the holder is connected");
        holder.held_count += 1;
        for task in dependents.drain(..) {
            self.input_appeared(task);
        }
        self.dependents = dependents;
    }

    fn input_appeared(&mut self, task: TaskId) {
        let Some(record) = self.task_mut(task) else { return };
        match &mut record.state {
            TaskState::Waiting { missing } => {
                *missing -= 1;
                if *missing == 0 {
                    self.waiting_to_ready(task);
                }
            }
            // It had all it needed when it was leased, and reports by itself what it could not fetch.
            TaskState::Ready | TaskState::Leased { .. } => {}
        }
    }

    fn leased_failed(&mut self, worker: WorkerId, task: TaskId, failure: Failure) {
        // The record must not look leased to the clean-up that may follow.
        if self.sabotage == Sabotage::KeepFailedResources {
            self.occupy(task, worker, true);
        }
        self.leased_to_waiting(task);
        self.committed_bytes += match self.sabotage {
            Sabotage::KeepFailedBytes => self.output_bytes(task),
            _ => 0,
        };
        let sabotage = self.sabotage;
        let record = self.task_mut(task).expect("it was leased");
        match failure.kind {
            FailureKind::MissingInputs(chunks) => {
                record.misses = record.misses.saturating_add(1);
                let misses = record.misses;
                for (chunk, holder) in chunks {
                    if sabotage != Sabotage::KeepMissingReplicas {
                        self.replica_is_gone(chunk, holder);
                    }
                }
                if misses >= MISSES_MAX {
                    let why = format!(
                        "its inputs could not be fetched, {misses} times. {}",
                        failure.message
                    );
                    self.fail_task(task, &self.tell_where(task, &why));
                }
            }
            FailureKind::HandedBack if sabotage != Sabotage::CountHandBacks => self.task_handed_back(task),
            FailureKind::Transient | FailureKind::HandedBack => {
                record.failures += match sabotage {
                    Sabotage::ForgetFailures => 0,
                    Sabotage::CountFailuresTwice => 2,
                    _ => 1,
                };
                let failures = record.failures;
                self.observe_failure(worker, task, &failure.message);
                if failures > self.layer(task.job, task.layer).spec.layer.retries {
                    self.fail_task(task, &self.tell_where(task, &failure.message));
                }
            }
            FailureKind::Permanent => {
                self.observe_failure(worker, task, &failure.message);
                self.fail_task(task, &self.tell_where(task, &failure.message));
            }
        }
    }

    fn observe_failure(&mut self, worker: WorkerId, task: TaskId, message: &Arc<str>) {
        self.layer_mut(task.job, task.layer).failed_count += 1;
        let message = message.clone();
        let attempt = self.task(task).map_or(0, |record| record.attempt - 1);
        self.out.push(Command::Observe(Observation::TaskFailed {
            task,
            worker,
            attempt,
            message,
        }));
    }

    /// A leased task must run again: it is ready, or waits for what has vanished meanwhile.
    pub(super) fn leased_to_waiting(&mut self, task: TaskId) {
        let inputs = self.inputs_of(task);
        let absent: Vec<ChunkId> = inputs.into_iter().filter(|&c| !self.is_held(c)).collect();
        let missing = absent.len() as u64;
        let record = self.task_mut(task).expect("a leased task has a record");
        assert!(
            matches!(record.state, TaskState::Leased { .. }),
            "{task} was {:?}",
            record.state
        );
        record.pass_to(TaskState::Waiting { missing });
        let attempt = record.attempt - 1;
        self.layer_mut(task.job, task.layer).reset_count += 1;
        self.out.push(Command::Observe(Observation::TaskReset {
            task,
            attempt,
            was_finished: false,
        }));
        if missing == 0 {
            self.waiting_to_ready(task);
        }
        absent.into_iter().for_each(|chunk| self.recover(chunk));
    }

    /// A leased task's worker has vanished.
    pub(super) fn count_loss(&mut self, task: TaskId) {
        let Some(record) = self.task_mut(task) else { return };
        record.losses = record.losses.saturating_add(1);
        let losses = u32::from(record.losses);
        if losses >= self.worker_losses_max {
            let ends = match self.ends_with(task) {
                ends if ends.is_empty() => String::new(),
                ends => format!(" ({})", ends.join("; ")),
            };
            let why = format!(
                "{losses} workers vanished while they ran this task{ends}, the last ones with nothing beside it; it may \
                 need more memory than a worker has, or crash it. Look at the workers' logs."
            );
            let message = self.tell_where(task, &why);
            self.fail_task(task, &message);
        }
    }

    /// A failure's text with the operation and block it happened in, the cause last.
    pub(super) fn tell_where(&self, task: TaskId, cause: &str) -> Arc<str> {
        let layer = &self.layer(task.job, task.layer).spec.layer;
        let index = layer.grid.unravel(task.block);
        let extents: Vec<String> = layer
            .grid
            .extents(task.block)
            .iter()
            .map(|r| format!("{}:{}", r.start, r.end))
            .collect();
        let origin = layer
            .origin
            .as_ref()
            .map(|o| format!(", made at {o}"))
            .unwrap_or_default();
        format!(
            "in {} (block {index:?}, elements [{}]{origin})\n{cause}",
            layer.name,
            extents.join(", ")
        )
        .into()
    }
}
