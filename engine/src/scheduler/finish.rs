//! What becomes of a task: reports, one function per edge.

use std::sync::Arc;

use graticule_plan::{ChunkId, TaskId, WorkerId};

use super::{
    Command, JobEvent, Observation, Scheduler,
    record::{ChunkRecord, JobState, TaskState},
};
use crate::{Failure, FailureKind, Finished, Report, TaskTimes, ToWorker};

/// Workers that may vanish with a task before it is held to be the cause.
const LOSSES_MAX: u32 = 4;

impl Scheduler {
    pub(super) fn on_report(&mut self, worker: WorkerId, report: Report) {
        let task = report.task;
        let expected = self.task(task).is_some_and(|record| {
            record.attempt == report.attempt && record.state == TaskState::Leased { worker }
        });
        if !expected {
            // Late, or of a job that is gone. A result that came of it must not lie around.
            if report.outcome.is_ok() && !self.holds(worker, task) {
                self.send(worker, ToWorker::Release { chunks: vec![task] });
            }
            return;
        }
        self.unlease(worker, task);
        match report.outcome {
            Ok(finished) => self.leased_to_finished(worker, task, report.attempt, finished, report.times),
            Err(failure) => self.leased_failed(worker, task, failure),
        }
    }

    /// Takes a task off a worker's books; its record still says `Leased`.
    pub(super) fn unlease(&mut self, worker: WorkerId, task: TaskId) {
        let layer = self.layer(task.job, task.layer);
        let (bytes, cost) = (
            layer.spec.layer.output_bytes(task.block),
            layer.spec.layer.cost_ns,
        );
        let load_us = layer.measured.mean_us(cost);
        self.committed_bytes -= bytes;
        self.leased_count -= 1;
        if let Some(record) = self.workers.get_mut(&worker) {
            record.leased.remove(&task);
            record.load_us = if record.leased.is_empty() {
                0
            } else {
                record.load_us.saturating_sub(load_us)
            };
        }
    }

    fn leased_to_finished(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        attempt: u32,
        finished: Finished,
        times: TaskTimes,
    ) {
        let job = self.job_mut(task.job);
        let new_problems: Vec<Arc<str>> = finished
            .problems
            .into_iter()
            .filter(|p| job.problems.insert(p.clone()))
            .collect();
        let (client, layer) = (job.client, &mut job.layers[task.layer.0 as usize]);
        layer.tasks.remove(&task.block);
        layer.measured.add(times.fetch_us + times.compute_us);
        layer.finished.insert(task.block);
        if !new_problems.is_empty() {
            self.out.push(Command::Notify {
                client,
                job: task.job,
                event: JobEvent::Problems(new_problems),
            });
        }
        self.out.push(Command::Observe(Observation::TaskFinished {
            task,
            worker,
            attempt: attempt - 1,
            bytes: finished.bytes,
            times,
        }));
        self.chunk_appears(task, worker, finished.bytes);
        self.offer(task, finished.inline);
        for input in self.inputs_of(task) {
            self.no_longer_needed_by_one(input);
        }
        self.release_if_unwanted(task);
        self.finish_if_complete(task.job);
    }

    /// A worker holds a chunk that nobody held: tasks that waited for it may run.
    pub(super) fn chunk_appears(&mut self, chunk: ChunkId, worker: WorkerId, bytes: u64) {
        let dependents = self.dependents_of(chunk);
        let needed = dependents.iter().filter(|&&task| !self.is_finished(task)).count() as u64;
        let layer = self.layer_mut(chunk.job, chunk.layer);
        let record = ChunkRecord {
            holders: vec![worker],
            bytes,
            needed,
        };
        let before = layer.chunks.insert(chunk.block, record);
        assert!(before.is_none(), "{chunk} appeared twice");
        if layer.pins.is_empty() {
            self.transient_bytes += bytes;
        } else {
            self.output_kept(chunk.job);
        }
        self.workers
            .get_mut(&worker)
            .expect("the holder is connected")
            .held
            .insert(chunk);
        for task in dependents {
            self.input_appeared(task);
        }
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
        match failure.kind {
            FailureKind::MissingInputs(chunks) => {
                self.leased_to_waiting(task);
                for (chunk, holder) in chunks {
                    self.replica_is_gone(chunk, holder);
                }
            }
            FailureKind::Transient if self.may_retry(task) => {
                self.observe_failure(worker, task, &failure.message);
                self.task_mut(task).expect("a leased task has a record").failures += 1;
                self.leased_to_waiting(task);
            }
            FailureKind::Transient | FailureKind::Permanent => {
                self.observe_failure(worker, task, &failure.message);
                // The record must not look leased to the clean-up that follows.
                self.leased_to_waiting(task);
                let message = self.tell_where(task, &failure.message);
                self.fail_with_dependents(task.job, &message);
            }
        }
    }

    fn observe_failure(&mut self, worker: WorkerId, task: TaskId, message: &Arc<str>) {
        self.layer_mut(task.job, task.layer).failed_count += 1;
        let message = message.clone();
        let attempt = self.layer(task.job, task.layer).latest_attempt(task.block) - 1;
        self.out.push(Command::Observe(Observation::TaskFailed {
            task,
            worker,
            attempt,
            message,
        }));
    }

    fn may_retry(&self, task: TaskId) -> bool {
        let retries = self.layer(task.job, task.layer).spec.layer.retries;
        self.task(task).is_some_and(|record| record.failures < retries)
    }

    /// A leased task must run again: it is ready, or waits for what has vanished meanwhile.
    pub(super) fn leased_to_waiting(&mut self, task: TaskId) {
        let inputs = self.inputs_of(task);
        let absent: Vec<ChunkId> = inputs.iter().copied().filter(|&c| !self.is_held(c)).collect();
        let missing = absent.len() as u64;
        let record = self.task_mut(task).expect("a leased task has a record");
        assert!(
            matches!(record.state, TaskState::Leased { .. }),
            "{task} was {:?}",
            record.state
        );
        record.state = TaskState::Waiting { missing };
        let layer = self.layer_mut(task.job, task.layer);
        layer.reset_count += 1;
        let attempt = layer.latest_attempt(task.block) - 1;
        self.out.push(Command::Observe(Observation::TaskReset {
            task,
            attempt,
            was_finished: false,
        }));
        if missing == 0 {
            self.waiting_to_ready(task);
        } else {
            absent.into_iter().for_each(|chunk| self.recovery.push(chunk));
        }
    }

    /// A leased task's worker has vanished.
    pub(super) fn leased_lost(&mut self, task: TaskId) {
        let record = self.task_mut(task).expect("a leased task has a record");
        record.losses += 1;
        let losses = record.losses;
        self.leased_to_waiting(task);
        if losses >= LOSSES_MAX {
            let why = format!(
                "{losses} workers vanished while they ran this task; it may need more memory than a worker has, or \
                 crash it. Look at the workers' logs."
            );
            let message = self.tell_where(task, &why);
            self.fail_with_dependents(task.job, &message);
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

    /// Fails a job and every running job that builds on it.
    pub(super) fn fail_with_dependents(&mut self, job: graticule_plan::JobId, message: &Arc<str>) {
        let mut failing = vec![job];
        let mut next = 0;
        while let Some(&job) = failing.get(next) {
            next += 1;
            let layers = self
                .jobs
                .get(&job)
                .map(|j| j.layers.as_slice())
                .unwrap_or_default();
            let users: Vec<_> = layers
                .iter()
                .flat_map(|l| l.consumers.iter().map(|c| c.job))
                .collect();
            for user in users {
                if !failing.contains(&user) {
                    failing.push(user);
                }
            }
        }
        for &job in failing.iter().rev() {
            let running = self.jobs.get(&job).is_some_and(|j| j.state == JobState::Running);
            if running {
                let client = self.jobs[&job].client;
                let event = JobEvent::Failed {
                    message: message.clone(),
                };
                self.out.push(Command::Notify { client, job, event });
                self.end_job(job, "failed");
            }
        }
    }
}
