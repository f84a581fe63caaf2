//! Which tasks come next: outputs depth first, sources as memory admits them.

use std::cmp::Reverse;

use graticule_plan::{ChunkId, JobId, LayerId, TaskId};

use super::{
    Sabotage, Scheduler,
    record::{JobRecord, JobState, ReadyTask, TaskRecord, TaskState},
};

/// The most chunks one task may need.
const TASK_INPUTS_MAX: u64 = 1 << 20;
/// Tasks that are demanded one after the other though none of them becomes ready, since all wait for what workers
/// have: without an end a walk would go through a whole graph while its one source runs.
pub(super) const BARREN_COUNT_MAX: u64 = 1 << 14;

/// A walk over what a job's outputs need, with an explicit stack: never a whole closure.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// Position in the plan's outputs.
    pub(super) output: usize,
    /// Next block of that output.
    pub(super) block: u64,
    pub(super) stack: Vec<Frame>,
}

/// A demanded task whose inputs are being looked at.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) task: TaskId,
    /// The input, among those of its layer, that is looked at, and the place in it of the next chunk.
    pub(super) input: u32,
    pub(super) place: u64,
}

/// What bounds the tasks that are ready or run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    slots: u64,
    /// Bytes that may pass through the workers' memory at a time.
    pub(super) transient_bytes: u128,
}

impl Bounds {
    /// Ready tasks above which no more are demanded.
    pub(super) fn ready_count_max(&self) -> u64 {
        2 * self.slots
    }
}

impl Scheduler {
    /// Demands tasks until enough are ready for all slots, or memory admits no more.
    pub(super) fn advance(&mut self) {
        if self.is_restoring() {
            return;
        }
        let bounds = self.bounds();
        while self.step_recovery(bounds) {}
        if !self.admits(bounds) {
            return;
        }
        let jobs: Vec<JobId> = self.jobs_in_turn();
        let mut exhausted = 0;
        for &job in jobs.iter().cycle() {
            if exhausted == jobs.len() || !self.admits(bounds) {
                break;
            }
            if self.admits_source(job) && self.step(job) {
                exhausted = 0;
                self.last_walked = Some(job);
            } else {
                exhausted += 1;
            }
        }
    }

    /// What the connected workers have for tasks that are ready or run.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            slots: self.capacity.slots,
            transient_bytes: u128::from(self.capacity.budget_bytes / 4 * 3),
        }
    }

    /// Running jobs, beginning with the one after that which walked last.
    fn jobs_in_turn(&self) -> Vec<JobId> {
        let runs = |job: &JobRecord| job.state == JobState::Running && !job.client_is_away;
        let running = self.jobs.iter().filter(|(_, job)| runs(job));
        let mut jobs: Vec<JobId> = running.map(|(&id, _)| id).collect();
        let first = jobs.partition_point(|&job| Some(job) <= self.last_walked);
        if first < jobs.len() {
            jobs.rotate_left(first);
        }
        jobs
    }

    /// Whether one more chunk may come into being: those that pass through must leave room for each other.
    ///
    /// What would fit no more is admitted all the same where slots would idle, since only more chunks can complete a
    /// set that is larger than memory, and workers spill. Results that wait for a slow client are no such set: then
    /// one task at a time goes on.
    pub(super) fn admits(&self, bounds: Bounds) -> bool {
        if self.ready_count > bounds.ready_count_max() {
            return false;
        }
        let under_way = self.ready_count + self.choosy_ready_count + self.leased_count;
        if self.barren_count >= BARREN_COUNT_MAX && under_way > 0 {
            return false;
        }
        let in_use = self.transient_bytes + self.committed_bytes;
        if in_use < bounds.transient_bytes {
            return true;
        }
        let waits_for_clients = self.undelivered_bytes > in_use / 2;
        self.ready_count == 0
            && (self.leased_count == 0 || (self.leased_count < bounds.slots && !waits_for_clients))
    }

    /// Takes one step of a job's walk. Returns `false` at its end.
    fn step(&mut self, job: JobId) -> bool {
        loop {
            let running = |record: &&mut super::record::JobRecord| record.state == JobState::Running;
            let Some(record) = self.jobs.get_mut(&job).filter(running) else {
                return false;
            };
            let task = if let Some(frame) = record.cursor.stack.last() {
                let (owner, input, place) = (frame.task, frame.input, frame.place);
                let at = self.input_at(owner, input, place);
                let waits = self.is_waiting(owner);
                let stack = &mut self.job_mut(job).cursor.stack;
                let frame = stack.last_mut().expect("looked at above");
                match at {
                    At::Chunk(chunk) if waits => {
                        frame.place = place + 1;
                        chunk
                    }
                    At::EndOfInput => {
                        (frame.input, frame.place) = (input + 1, 0);
                        continue;
                    }
                    At::Chunk(_) | At::EndOfTask => {
                        stack.pop();
                        continue;
                    }
                }
            } else {
                let cursor = &mut record.cursor;
                let Some(output) = record.plan.outputs().get(cursor.output) else {
                    return false;
                };
                if cursor.block == record.plan.layer(output.layer).grid.block_count() {
                    cursor.output += 1;
                    cursor.block = 0;
                    continue;
                }
                let block = cursor.block;
                cursor.block += 1;
                if !record.layers[output.layer.0 as usize].is_wanted_output(block) {
                    continue;
                }
                TaskId {
                    job,
                    layer: output.layer,
                    block,
                }
            };
            if self.is_absent(task) {
                self.demand(task, Walk::Job(job));
                return true;
            }
        }
    }

    /// Whether a chunk is neither held nor being made.
    pub(super) fn is_absent(&self, chunk: ChunkId) -> bool {
        let Some(job) = self.jobs.get(&chunk.job) else {
            return false;
        };
        let layer = &job.layers[chunk.layer.0 as usize];
        !layer.chunks.contains(chunk.block) && !layer.tasks.contains(chunk.block)
    }

    /// Whether a client or a live task waits for a chunk.
    pub(super) fn is_awaited(&self, chunk: ChunkId) -> bool {
        self.layer(chunk.job, chunk.layer).is_wanted_output(chunk.block)
            || self.dependents_of(chunk).into_iter().any(|t| self.is_waiting(t))
    }

    pub(super) fn is_waiting(&self, task: TaskId) -> bool {
        let state = self.task(task).map(|record| &record.state);
        matches!(state, Some(TaskState::Waiting { .. }))
    }

    /// Makes a record for a task and puts it on the walk, so that its inputs are looked at next.
    pub(super) fn demand(&mut self, task: TaskId, walk: Walk) {
        self.unfinish(task);
        let too_many = self.input_count(task) > TASK_INPUTS_MAX;
        let mut missing = 0;
        if !too_many {
            self.each_input(task, |input| missing += u64::from(!self.is_held(input)));
        }
        let order = match walk {
            Walk::Recovery { order } => order,
            Walk::Job(_) => self.next_order,
        };
        self.next_order += 1;
        self.barren_count += 1;
        let layer = self.layer_mut(task.job, task.layer);
        let attempt = layer.attempts.get(task.block).copied().unwrap_or_default();
        let record = TaskRecord::demanded(missing, order, attempt);
        layer.tasks.insert(task.block, record);
        if too_many {
            let message = self.tell_where(
                task,
                &format!("one task reads more than {TASK_INPUTS_MAX} chunks"),
            );
            self.fail_task(task, &message);
        } else if missing == 0 {
            self.waiting_to_ready(task);
        } else {
            let frame = Frame {
                task,
                input: 0,
                place: 0,
            };
            match walk {
                Walk::Recovery { .. } => self.recovery.stack.push(frame),
                Walk::Job(job) => self.job_mut(job).cursor.stack.push(frame),
            }
        }
    }

    fn input_count(&self, task: TaskId) -> u64 {
        let inputs = self.layer(task.job, task.layer).inputs.iter();
        inputs
            .map(|input| input.map.source_count(task.block))
            .fold(0, u64::saturating_add)
    }

    /// The chunk at a place of an input of a task, whose job may be gone.
    pub(super) fn input_at(&self, task: TaskId, input: u32, place: u64) -> At {
        let job = self.jobs.get(&task.job);
        let layer = job.and_then(|job| job.layers.get(task.layer.0 as usize));
        let Some(input) = layer.and_then(|layer| layer.inputs.get(input as usize)) else {
            return At::EndOfTask;
        };
        match input.map.source_at(task.block, place) {
            None => At::EndOfInput,
            Some(block) => At::Chunk(ChunkId {
                job: input.job,
                layer: input.layer,
                block,
            }),
        }
    }

    /// Calls `see` with the chunks that a task needs, once for each input that names them.
    pub(super) fn each_input(&self, task: TaskId, mut see: impl FnMut(ChunkId)) {
        for input in &self.layer(task.job, task.layer).inputs {
            input.map.each_source(task.block, |block| {
                see(ChunkId {
                    job: input.job,
                    layer: input.layer,
                    block,
                });
            });
        }
    }

    /// The chunks that a task needs, once for each input that names them.
    pub(super) fn inputs_of(&self, task: TaskId) -> Vec<ChunkId> {
        let mut chunks = Vec::new();
        self.each_input(task, |chunk| chunks.push(chunk));
        chunks
    }

    /// Calls `see` with the tasks that need a chunk, once for each input that names it.
    pub(super) fn each_dependent(&self, chunk: ChunkId, mut see: impl FnMut(TaskId)) {
        for consumer in &self.layer(chunk.job, chunk.layer).consumers {
            consumer.map.each_dependent(chunk.block, |block| {
                see(TaskId {
                    job: consumer.job,
                    layer: consumer.layer,
                    block,
                });
            });
        }
    }

    /// The tasks that need a chunk, once for each input that names it.
    pub(super) fn dependents_of(&self, chunk: ChunkId) -> Vec<TaskId> {
        let mut tasks = Vec::new();
        self.each_dependent(chunk, |task| tasks.push(task));
        tasks
    }

    pub(super) fn waiting_to_ready(&mut self, task: TaskId) {
        let bytes = self.output_bytes(task);
        let ready = self.ready_entry(task);
        let record = self.task_mut(task).expect("a waiting task has a record");
        assert!(
            matches!(record.state, TaskState::Waiting { .. }),
            "{task} was {:?}",
            record.state
        );
        record.pass_to(TaskState::Ready);
        self.barren_count = 0;
        self.committed_bytes += bytes;
        let forgotten =
            self.sabotage == Sabotage::ForgetRequeued && self.task(task).is_some_and(|t| t.attempt > 0);
        if self.layer(task.job, task.layer).is_choosy() {
            self.choosy_ready_count += 1;
            self.choosy.insert((task.job, task.layer));
            self.layer_mut(task.job, task.layer).choosy_ready.push(ready);
        } else {
            self.ready_count += 1;
            if !forgotten {
                self.job_mut(task.job).ready.push(ready);
            }
        }
        let job = self.job_mut(task.job);
        job.ledger.ready_bytes += bytes;
        job.ledger.ready_count += 1;
    }

    pub(super) fn ready_to_waiting(&mut self, task: TaskId, missing: u64) {
        // Its entry in the queue stays, and is found to be stale.
        let bytes = self.output_bytes(task);
        self.committed_bytes -= bytes;
        self.count_out_of_ready(task);
        let ledger = &mut self.job_mut(task.job).ledger;
        ledger.ready_bytes -= bytes;
        ledger.ready_count -= 1;
        let record = self.task_mut(task).expect("a ready task has a record");
        record.pass_to(TaskState::Waiting { missing });
    }

    /// Counts a task that is ready no more.
    pub(super) fn count_out_of_ready(&mut self, task: TaskId) {
        if self.layer(task.job, task.layer).is_choosy() {
            self.choosy_ready_count -= 1;
        } else {
            self.ready_count -= 1;
        }
    }

    pub(super) fn ready_entry(&self, task: TaskId) -> ReadyTask {
        let layer = self.layer(task.job, task.layer);
        ReadyTask {
            priority: Reverse(layer.spec.layer.priority),
            order: layer.tasks.get(task.block).expect("a live task").order,
            layer: task.layer,
            block: task.block,
        }
    }

    pub(super) fn output_bytes(&self, task: TaskId) -> u128 {
        let layer = self.layer(task.job, task.layer);
        let exact = || layer.spec.layer.output_bytes(task.block);
        u128::from(layer.uniform_bytes.unwrap_or_else(exact))
    }

    pub(super) fn is_held(&self, chunk: ChunkId) -> bool {
        self.layer(chunk.job, chunk.layer).chunks.contains(chunk.block)
    }

    pub(super) fn layer(&self, job: JobId, layer: LayerId) -> &super::record::LayerRecord {
        &self.jobs[&job].layers[layer.0 as usize]
    }
}

/// What stands at a place among a task's inputs.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Chunk(ChunkId),
    EndOfInput,
    EndOfTask,
}

/// On whose stack the inputs of a newly demanded task go, and when it has its turn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Walk {
    /// What was lost has its turn with whoever waits for it.
    Recovery {
        order: u64,
    },
    Job(JobId),
}
