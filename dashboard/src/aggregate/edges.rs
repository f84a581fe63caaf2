use std::sync::Arc;

use graticule_plan::{JobId, TaskId, WorkerId};

use super::{
    Aggregator, FAILURE_COUNT_MAX, FailureKey,
    active::{Active, computing},
    clip_message,
    frame::StreamTask,
    scale::quantised,
    tasks::{Mark, Marked, Standing, Told},
    workers::WorkerFailure,
};
use crate::{JobOutcome, TaskFinished};

/// What records of tasks do. Each returns whether the record agrees with what is known.
impl Aggregator {
    /// Marks an attempt. `None` if there can be no such task.
    pub(super) fn mark(&mut self, task: TaskId, mark: Mark, attempt: u32) -> Option<Marked> {
        if !self.with_job(task.job, |_, _| ()) {
            return None;
        }
        let marked = match self.try_mark(task, mark, attempt, false)? {
            Some(marked) => marked,
            None => {
                let may_grow = self.make_room_for_page();
                match self.try_mark(task, mark, attempt, may_grow)? {
                    Some(marked) => marked,
                    None => self.mark_roughly(task, mark)?,
                }
            }
        };
        if marked.standing != Standing::Active {
            self.active.remove(task);
        }
        Some(marked)
    }

    /// The outer `None` if there can be no such task, the inner one if there is no room to remember it.
    fn try_mark(&mut self, task: TaskId, mark: Mark, attempt: u32, may_grow: bool) -> Option<Option<Marked>> {
        let layer = self
            .jobs
            .get_mut(&task.job)?
            .layer(task.layer, &mut self.next_layer_key)?;
        layer
            .admit(task.block)
            .then(|| layer.words.mark(task.block, mark, attempt, may_grow))
    }

    /// Counts a task of which nothing can be remembered: duplicates then count twice.
    fn mark_roughly(&mut self, task: TaskId, mark: Mark) -> Option<Marked> {
        let layer = self.jobs.get_mut(&task.job)?.layers.get_mut(&task.layer)?;
        let standing = match mark {
            Mark::Finished => {
                layer.rough_done += 1;
                Standing::Done
            }
            Mark::Void => {
                layer.rough_done = layer.rough_done.saturating_sub(1);
                Standing::Waiting
            }
            Mark::Assigned | Mark::Started => Standing::Active,
            Mark::Failed => Standing::Failed,
            Mark::Released => Standing::Done,
        };
        Some(Marked {
            standing,
            is_new: true,
            is_latest: true,
            is_again: false,
        })
    }

    pub(super) fn task_active(&mut self, task: TaskId, told: Active, mark: Mark) -> bool {
        let Some(marked) = self.mark(task, mark, told.attempt) else {
            return false;
        };
        let is_there = self.with_worker(told.worker, |worker| worker.is_told_of_tasks = true);
        self.tell_words(task, told.worker, told.attempt, (0, 0));
        let has_left = self
            .workers
            .get(&told.worker)
            .is_none_or(|worker| worker.left_us().is_some());
        let is_over = self.jobs.get(&task.job).is_none_or(|job| job.is_ended());
        if marked.standing == Standing::Active && marked.is_latest && !has_left && !is_over {
            self.active.add(task, told);
        }
        is_there
    }

    pub(super) fn task_finished(&mut self, finished: &TaskFinished) -> bool {
        let task = finished.task;
        let queued = self.queued(finished);
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
            layer.times.count(finished.duration_us);
            self.meters
                .operation(&layer.name())
                .finish(finished, marked.is_again);
        }
        let is_there = self.with_worker(finished.worker, |worker| {
            worker.done += 1;
            worker.task_ended(finished.slot, ended_us);
        });
        self.count_slot_time(finished, queued);
        let sizes = (finished.bytes, finished.duration_us);
        self.tell_words(task, finished.worker, finished.attempt, sizes);
        if finished.spilled {
            self.went_to_disk(task, finished.worker);
        }
        let again = if marked.is_again { StreamTask::AGAIN } else { 0 };
        let spilled = if finished.spilled { StreamTask::SPILLED } else { 0 };
        self.draw(finished, again | spilled);
        is_there
    }

    /// From when to when a task that has just ended was with its worker before that began to fetch for it; `None` if that is not
    /// known, or it was told already that it ended.
    pub(crate) fn queued(&self, finished: &TaskFinished) -> Option<(u64, u64)> {
        let given = self.active.find(finished.task)?;
        let fetch_us = finished.started_us.saturating_sub(finished.fetch_us);
        let is_of_it = given.attempt == finished.attempt && given.since_us < fetch_us;
        is_of_it.then_some((given.since_us, fetch_us))
    }

    /// Adds a task to what its slot did, and to what its worker did of its layer.
    fn count_slot_time(&mut self, finished: &TaskFinished, queued: Option<(u64, u64)>) {
        let (Some(layer), Some(worker)) = (self.layer_key(finished.task), self.workers.get(&finished.worker))
        else {
            return;
        };
        let worker = worker.key;
        let began_us = finished.started_us;
        let fetch_us = began_us.saturating_sub(finished.fetch_us);
        self.account
            .add_compute(worker, (began_us, began_us.saturating_add(finished.duration_us)));
        self.account.add_fetch(worker, (fetch_us, began_us));
        if let Some(span) = queued {
            self.account.add_queue(worker, span, span.1 - span.0);
        }
        self.shares.count(layer, worker, finished);
    }

    /// Keeps with a task's word who had the attempt, and the bytes and microseconds of what it made.
    fn tell_words(&mut self, task: TaskId, worker: WorkerId, attempt: u32, (bytes, us): (u64, u64)) {
        let Some(worker) = self.workers.get(&worker).map(|worker| worker.key) else {
            return;
        };
        let layer = self
            .jobs
            .get_mut(&task.job)
            .and_then(|job| job.layers.get_mut(&task.layer));
        if let Some(layer) = layer {
            let told = Told {
                worker,
                bytes: quantised(bytes),
                time: quantised(us),
            };
            layer.words.tell(task.block, attempt, told);
        }
    }

    /// Takes in that chunks of neighbouring blocks are no longer needed.
    pub(super) fn chunks_released(&mut self, first: TaskId, count: u64, attempt: u32) -> bool {
        let known = self
            .jobs
            .get(&first.job)
            .and_then(|job| job.layers.get(&first.layer));
        let end = known.map_or(0, |layer| layer.block_end());
        // No more than the layer has, whatever is told.
        let blocks = first.block..first.block.saturating_add(count).min(end);
        let mut is_sound = blocks.end == first.block.saturating_add(count);
        for block in blocks {
            is_sound &= self
                .mark(TaskId { block, ..first }, Mark::Released, attempt)
                .is_some();
        }
        is_sound
    }

    /// A job is over. Where observations were dropped, its tasks' counts are put right by the scheduler's own.
    pub(super) fn job_ended(
        &mut self,
        at_us: u64,
        job: JobId,
        outcome: &JobOutcome,
        finished: Option<Arc<[u64]>>,
    ) -> bool {
        let is_known = self.jobs.get(&job).is_some_and(|table| table.is_ended());
        let is_sound = self.with_job(job, |table, _| table.end(at_us, outcome, finished.clone()));
        let Some(table) = self.jobs.get(&job).filter(|_| is_sound && !is_known) else {
            return is_sound;
        };
        self.meters.job_ended(table.row().state);
        for (id, layer) in &table.layers {
            let truth = finished.as_ref().and_then(|finished| finished.get(id.0 as usize));
            let (_, counted) = layer.progress(None);
            let missed = truth.map_or(0, |truth| truth.saturating_sub(counted));
            if missed > 0 {
                self.meters.operation(&layer.name()).finished += missed;
            }
        }
        true
    }

    pub(super) fn task_failed(
        &mut self,
        at_us: u64,
        task: TaskId,
        worker: WorkerId,
        attempt: u32,
        message: &str,
    ) -> bool {
        let attempted = self.attempted(at_us, task, attempt);
        let Some(marked) = self.mark(task, Mark::Failed, attempt) else {
            return false;
        };
        let is_there = self.with_worker(worker, |_| ());
        if !marked.is_new || !is_there {
            return is_there;
        }
        self.tell_words(task, worker, attempt, (0, 0));
        if let Some(layer) = self
            .jobs
            .get(&task.job)
            .and_then(|table| table.layers.get(&task.layer))
        {
            self.meters.operation(&layer.name()).failed += 1;
        }
        let message = clip_message(message);
        let failure = WorkerFailure {
            at_us,
            task,
            attempt,
            message: message.clone(),
        };
        self.with_worker(worker, |table| table.failed(failure));
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
        if let Some(attempted) = attempted {
            let ended_us = attempted.started_us.saturating_add(attempted.duration_us);
            self.with_worker(worker, |worker| worker.task_ended(attempted.slot, ended_us));
            self.draw(&attempted, StreamTask::FAILED);
        }
        true
    }

    /// What is known of an attempt that ends at `at_us` without having made anything.
    pub(crate) fn attempted(&self, at_us: u64, task: TaskId, attempt: u32) -> Option<TaskFinished> {
        let worker = self
            .active
            .find(task)
            .filter(|active| active.attempt == attempt)?
            .worker;
        let table = self.workers.get(&worker)?;
        let (_, tasks) = self.active.by_worker().find(|(id, _)| *id == worker)?;
        let seen = computing(tasks, table.slots(), table.lane_ends_us())
            .into_iter()
            .find(|it| it.task == task)?;
        Some(TaskFinished {
            task,
            worker,
            attempt,
            slot: seen.slot,
            started_us: seen.started_us,
            duration_us: at_us.saturating_sub(seen.started_us),
            fetch_us: 0,
            bytes: 0,
            spilled: false,
        })
    }

    /// Puts an ended task on the task stream.
    fn draw(&mut self, ended: &TaskFinished, marks: u8) {
        let (Some(layer), Some(worker)) = (self.layer_key(ended.task), self.workers.get(&ended.worker))
        else {
            return;
        };
        let task = StreamTask {
            layer,
            block: ended.task.block,
            worker: worker.key,
            slot: ended.slot,
            started_us: ended.started_us,
            duration_us: ended.duration_us,
            fetch_us: ended.fetch_us,
            bytes: ended.bytes,
            marks,
        };
        if !self.is_film {
            self.stream.push(task);
        }
        self.tiles.told(&task);
        self.log.push(StreamTask { bytes: 0, ..task });
    }
}
