//! What becomes of a task: reports, one function per edge.

use std::sync::Arc;

use graticule_plan::{ChunkId, JobId, TaskId, WorkerId};

use super::{
    Command, JobEvent, Observation, Sabotage, Scheduler,
    hold::CHUNK_BYTES_MAX,
    record::{ChunkRecord, Holders, JobState, TaskRecord, TaskState},
};
use crate::{BlockRun, Failure, FailureKind, Finished, INLINE_BYTES_MAX, Report, TaskTimes};

/// How often a task's inputs may be missing where they were said to be before its job fails.
const MISSES_MAX: u16 = 100;
/// The most different problems that a job tells its client.
const PROBLEMS_MAX: usize = 1000;

impl Scheduler {
    pub(super) fn on_report(&mut self, worker: WorkerId, mut report: Report) {
        loop {
            let tasks = report.tasks();
            let (count, record) = match self.shared_record(tasks) {
                (_, record) if self.sabotage == Sabotage::AnswerByFirst => (tasks.count, record),
                shared => shared,
            };
            let leased_here = record.filter(|record| record.state == TaskState::Leased { worker });
            let lenient = self.sabotage == Sabotage::AcceptOlderAttempts;
            let is_answer = leased_here.map(|record| record.attempt == report.attempt || lenient);
            if count == tasks.count {
                return self.on_report_of_alike(worker, report, is_answer);
            }
            let rest = report.split_off(count);
            self.on_report_of_alike(worker, report, is_answer);
            match rest {
                Some(rest) if self.sabotage != Sabotage::ForgetRestOfReport => report = rest,
                Some(_) | None => return,
            }
        }
    }

    /// The record that the first of neighbouring tasks have in common, and how many of them; their job may be gone.
    fn shared_record(&self, tasks: BlockRun) -> (u64, Option<&TaskRecord>) {
        let job = self.jobs.get(&tasks.job);
        let layer = job.and_then(|job| job.layers.get(tasks.layer.0 as usize));
        layer.map_or((tasks.count, None), |layer| {
            layer.tasks.run_at(tasks.first, tasks.count)
        })
    }

    /// Takes a report in that is about tasks with one record. `is_answer` tells whether it is of the attempt that the
    /// worker has, if it has one.
    #[inline]
    fn on_report_of_alike(&mut self, worker: WorkerId, report: Report, is_answer: Option<bool>) {
        let tasks = report.tasks();
        if is_answer != Some(true) {
            self.late_count += tasks.count;
        }
        match is_answer {
            Some(true) => {
                self.unlease(worker, tasks);
                match report.outcome {
                    Ok(finished) => {
                        self.leased_to_finished(worker, tasks, finished, report.times, report.others)
                    }
                    Err(failure) => self.leased_failed(worker, tasks.head(), failure),
                }
            }
            // Late. The worker dropped that result when the newer lease came.
            Some(false) => {}
            // Late, or of a job that is gone. A result that came of it must not lie around.
            None if report.outcome.is_ok() => {
                for task in tasks.each() {
                    if !self.holds(worker, task) && !self.is_copying(worker, task) {
                        self.releases.push((worker, task.into()));
                    }
                }
            }
            None => {}
        }
    }

    /// Takes tasks that share a record off a worker's books; their record still says `Leased`.
    pub(super) fn unlease(&mut self, worker: WorkerId, tasks: BlockRun) {
        let count = tasks.count;
        self.committed_bytes -= self.output_bytes(tasks);
        self.leased_count -= count;
        self.occupy(tasks, worker, false);
        let layer = self.layer_mut(tasks.job, tasks.layer);
        layer.leased_count -= count;
        let in_hand = u128::from(layer.task_bytes_max) * u128::from(count);
        let load_us = layer.tasks.get(tasks.first).map_or(0, |record| record.load_us);
        let ledger = &mut self.job_mut(tasks.job).ledger;
        ledger.leased_bytes -= in_hand;
        ledger.leased_count -= count;
        self.in_hand_bytes -= in_hand;
        if let Some(record) = self.workers.get_mut(&worker) {
            record.leased_count -= count;
            record.load_us -= u64::from(load_us) * count;
            record.isolated &= record.leased_count > 0;
            if !std::mem::replace(&mut record.rank_changed, true) {
                self.changed.push(worker);
            }
        }
    }

    /// Tasks that share a record went well, and are as large.
    #[inline]
    fn leased_to_finished(
        &mut self,
        worker: WorkerId,
        tasks: BlockRun,
        finished: Finished,
        times: TaskTimes,
        others: Vec<TaskTimes>,
    ) {
        self.tell_problems(tasks.job, finished.problems);
        let layer = self.layer_mut(tasks.job, tasks.layer);
        let record = layer.tasks.remove_run(tasks.first, tasks.count);
        let attempt = record.attempt;
        record.ends();
        let took_us = [times].iter().chain(&others).fold(0_u64, |sum, t| {
            sum.saturating_add(t.fetch_us).saturating_add(t.compute_us)
        });
        layer.measured.add(tasks.count, took_us);
        layer.finished.insert_run(tasks.first, tasks.count);
        self.learn_size(tasks.job, tasks.layer, finished.bytes);
        self.out.push(Command::Observe(Observation::TasksFinished {
            tasks,
            worker,
            attempt: attempt - 1,
            bytes: finished.bytes,
            times,
            others,
        }));
        self.chunks_appear(tasks, worker, finished.bytes);
        self.spread(tasks.head());
        let inline = finished.inline.filter(|b| b.len() <= INLINE_BYTES_MAX);
        let layer = self.layer(tasks.job, tasks.layer);
        if layer.delivered.is_some() || layer.apart.is_some() {
            tasks.each().for_each(|task| self.offer(task, inline.clone()));
        }
        if self.sabotage != Sabotage::ReleaseWhenLeased {
            self.inputs_spared(tasks);
        }
        if self.sabotage == Sabotage::ReleaseTwice && attempt > 1 {
            self.inputs_spared(tasks);
        }
        self.release_run_if_unwanted(tasks);
        self.finish_if_complete(tasks.job);
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

    /// A worker holds chunks that nobody held, all as large: tasks that waited for them may run.
    pub(super) fn chunks_appear(&mut self, chunks: BlockRun, worker: WorkerId, bytes: u64) {
        let mut first = chunks.first;
        while first < chunks.end() {
            let rest = chunks.part(first, chunks.end() - first);
            first += if rest.count == 1 {
                self.chunk_appears(rest.head(), worker, bytes);
                1
            } else {
                self.alike_appear(rest, worker, bytes)
            };
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
        self.enter_chunks(chunk.into(), worker, bytes, dependents.len() as u64);
        for task in dependents.drain(..) {
            self.input_appeared(task);
        }
        self.dependents = dependents;
    }

    /// Does the same for as many of the first chunks as are needed equally often. Returns how many these are.
    fn alike_appear(&mut self, chunks: BlockRun, worker: WorkerId, bytes: u64) -> u64 {
        let Some((count, needed)) = self.needed_alike(chunks) else {
            self.chunk_appears(chunks.head(), worker, bytes);
            return 1;
        };
        let chunks = chunks.part(chunks.first, count);
        self.enter_chunks(chunks, worker, bytes, needed);
        for at in 0..self.layer(chunks.job, chunks.layer).consumers.len() {
            let consumer = &self.layer(chunks.job, chunks.layer).consumers[at];
            let fan_in = consumer.map.fan_in().expect("asked above");
            let once = self.sabotage == Sabotage::CountGroupOnce;
            for (tasks, times) in consumer.dependents_of(chunks, fan_in) {
                self.inputs_appeared(tasks, if once { 1 } else { times });
            }
        }
        count
    }

    /// How many of the first chunks are needed by as many unfinished tasks, and how many these are; `None` if only a
    /// look at each tells.
    fn needed_alike(&self, chunks: BlockRun) -> Option<(u64, u64)> {
        let (mut count, mut needed) = (chunks.count, 0);
        for consumer in &self.layer(chunks.job, chunks.layer).consumers {
            let fan_in = consumer.map.fan_in()?;
            let finished = &self.layer(consumer.job, consumer.layer).finished;
            let task = chunks.first / fan_in;
            let last = (chunks.first + count - 1) / fan_in;
            let (tasks, is_finished) = finished.run_at(task, last - task + 1);
            count = count.min((task + tasks) * fan_in - chunks.first);
            needed += u64::from(!is_finished);
        }
        Some((count, needed))
    }

    /// Puts chunks that a worker holds and that so many tasks need into the books.
    fn enter_chunks(&mut self, chunks: BlockRun, worker: WorkerId, bytes: u64, needed: u64) {
        let record = ChunkRecord {
            holders: Holders::one(worker),
            bytes: bytes.min(CHUNK_BYTES_MAX),
            needed,
        };
        self.insert_chunks(chunks, record);
        let job = self.job_mut(chunks.job);
        if job.state == JobState::Running {
            job.outputs_left -= job.layers[chunks.layer.0 as usize].pin_count_of(chunks);
        }
        let holder = self.workers.get_mut(&worker).expect("the holder is connected");
        holder.held_count += chunks.count;
    }

    fn input_appeared(&mut self, task: TaskId) {
        let Some(record) = self.task_mut(task) else { return };
        match &mut record.state {
            TaskState::Waiting { missing: 1 } => self.waiting_to_ready(task.into()),
            TaskState::Waiting { missing } => {
                *missing -= 1;
                self.ask_for_what_was_let_go(task);
            }
            // It had all it needed when it was leased, and reports by itself what it could not fetch.
            TaskState::Ready | TaskState::Leased { .. } => {}
        }
    }

    /// So many inputs of each of these tasks are there that were not.
    fn inputs_appeared(&mut self, tasks: BlockRun, times: u64) {
        let mut first = tasks.first;
        while first < tasks.end() {
            let rest = tasks.part(first, tasks.end() - first);
            let (count, record) = self.shared_record(rest);
            let alike = rest.part(first, count);
            first += count;
            match record.map(|record| &record.state) {
                Some(&TaskState::Waiting { missing }) => {
                    let left = missing - times;
                    if left == 0 {
                        self.waiting_to_ready(alike);
                    } else {
                        let state = TaskState::Waiting { missing: left };
                        let layer = self.layer_mut(tasks.job, tasks.layer);
                        layer
                            .tasks
                            .update(alike.first, count, |record| record.state = state.clone());
                        alike.each().for_each(|task| self.ask_for_what_was_let_go(task));
                    }
                }
                Some(TaskState::Ready | TaskState::Leased { .. }) | None => {}
            }
        }
    }

    fn leased_failed(&mut self, worker: WorkerId, task: TaskId, failure: Failure) {
        // The record must not look leased to the clean-up that may follow.
        if self.sabotage == Sabotage::KeepFailedResources {
            self.occupy(task.into(), worker, true);
        }
        self.leased_to_waiting(task);
        self.committed_bytes += match self.sabotage {
            Sabotage::KeepFailedBytes => self.output_bytes(task.into()),
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
                    self.fail_task(task, &self.tell_where_on(worker, task, &failure.message));
                }
            }
            FailureKind::Permanent => {
                self.observe_failure(worker, task, &failure.message);
                self.fail_task(task, &self.tell_where_on(worker, task, &failure.message));
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
            self.waiting_to_ready(task.into());
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

    /// As [`tell_where`](Self::tell_where); of a call also on which worker, since that is where to look for more.
    fn tell_where_on(&self, worker: WorkerId, task: TaskId, cause: &str) -> Arc<str> {
        let is_apart = self.layer(task.job, task.layer).apart.is_some();
        match self.workers.get(&worker).filter(|_| is_apart) {
            Some(record) => self.tell_where(task, &format!("on worker {}: {cause}", record.name)),
            None => self.tell_where(task, cause),
        }
    }

    /// A failure's text with the operation and block it happened in, the cause last.
    pub(super) fn tell_where(&self, task: TaskId, cause: &str) -> Arc<str> {
        let layer = &self.layer(task.job, task.layer).spec.layer;
        if layer.is_apart() {
            return format!("in {} (call {})\n{cause}", layer.name, task.block).into();
        }
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
