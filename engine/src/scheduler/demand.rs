//! Which tasks come next: outputs depth first, sources as memory admits them.

use std::collections::VecDeque;

use graticule_plan::{ChunkId, JobId, LayerId, TaskId};

use super::{
    Scheduler,
    record::{JobState, ReadyTask, TaskRecord, TaskState},
};

/// A walk over what a job's outputs need, with an explicit stack: never a whole closure.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// Position in the plan's outputs.
    output: usize,
    /// Next block of that output.
    block: u64,
    stack: Vec<Frame>,
}

/// A demanded task whose inputs are being looked at.
#[derive(Debug)]
struct Frame {
    inputs: Vec<ChunkId>,
    next: usize,
}

/// Lost chunks that somebody waits for: they come before anything new.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    lost: VecDeque<TaskId>,
    stack: Vec<Frame>,
}

impl Recovery {
    pub(super) fn push(&mut self, task: TaskId) {
        self.lost.push_back(task);
    }

    /// Goes on with the walk of a job that is over: other jobs may wait for a task on it.
    pub(super) fn inherit(&mut self, walk: Cursor) {
        self.stack.splice(0..0, walk.stack);
    }
}

impl Scheduler {
    /// Demands tasks until enough are ready for all slots, or memory admits no more.
    pub(super) fn advance(&mut self) {
        while let Some(task) = self.next_lost() {
            self.demand(task, Walk::Recovery);
        }
        let wanted = 2 * self.slots_total() + 1;
        let jobs: Vec<JobId> = self.jobs_in_turn();
        let mut exhausted = 0;
        for &job in jobs.iter().cycle() {
            if exhausted == jobs.len() || self.ready_count >= wanted {
                break;
            }
            exhausted = if self.admits() && self.step(job) {
                0
            } else {
                exhausted + 1
            };
        }
    }

    /// Running jobs, each time beginning with the next one.
    fn jobs_in_turn(&mut self) -> Vec<JobId> {
        let running = self.jobs.iter().filter(|(_, job)| job.state == JobState::Running);
        let mut jobs: Vec<JobId> = running.map(|(&id, _)| id).collect();
        if !jobs.is_empty() {
            self.turn = self.turn.wrapping_add(1);
            let first = self.turn % jobs.len();
            jobs.rotate_left(first);
        }
        jobs
    }

    /// Whether one more chunk may come into being: those that pass through must leave room for each other. When
    /// nothing else can run, one is admitted all the same.
    fn admits(&self) -> bool {
        let limit = self.budget_total() / 4 * 3;
        let in_use = self.transient_bytes.saturating_add(self.committed_bytes);
        in_use < limit || (self.ready_count == 0 && self.leased_count == 0)
    }

    fn next_lost(&mut self) -> Option<TaskId> {
        loop {
            if let Some(frame) = self.recovery.stack.last_mut() {
                match frame.inputs.get(frame.next) {
                    Some(&input) => {
                        frame.next += 1;
                        if self.is_absent(input) {
                            return Some(input);
                        }
                    }
                    None => {
                        self.recovery.stack.pop();
                    }
                }
            } else {
                let task = self.recovery.lost.pop_front()?;
                if self.is_absent(task) {
                    return Some(task);
                }
            }
        }
    }

    /// Takes one step of a job's walk. Returns `false` at its end.
    fn step(&mut self, job: JobId) -> bool {
        loop {
            let Some(record) = self.jobs.get_mut(&job) else {
                return false;
            };
            let task = if let Some(frame) = record.cursor.stack.last_mut() {
                let Some(&input) = frame.inputs.get(frame.next) else {
                    record.cursor.stack.pop();
                    continue;
                };
                frame.next += 1;
                input
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
                let task = TaskId {
                    job,
                    layer: output.layer,
                    block: cursor.block,
                };
                cursor.block += 1;
                if !record.layers[output.layer.0 as usize].is_wanted_output(task.block) {
                    continue;
                }
                task
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
        !layer.chunks.contains_key(&chunk.block) && !layer.tasks.contains_key(&chunk.block)
    }

    /// Makes a record for a task and puts it on the walk, so that its inputs are looked at next.
    fn demand(&mut self, task: TaskId, walk: Walk) {
        self.unfinish(task);
        let inputs = self.inputs_of(task);
        let missing = inputs.iter().filter(|&&input| !self.is_held(input)).count() as u64;
        let order = self.next_order;
        self.next_order += 1;
        let record = TaskRecord {
            state: TaskState::Waiting { missing },
            order,
            attempt: self
                .layer(task.job, task.layer)
                .attempts
                .get(&task.block)
                .copied()
                .unwrap_or(0),
            failures: 0,
            losses: 0,
        };
        self.layer_mut(task.job, task.layer)
            .tasks
            .insert(task.block, record);
        if missing == 0 {
            self.waiting_to_ready(task);
        } else {
            let frame = Frame { inputs, next: 0 };
            match walk {
                Walk::Recovery => self.recovery.stack.push(frame),
                Walk::Job(job) => self.job_mut(job).cursor.stack.push(frame),
            }
        }
    }

    /// The chunks that a task needs, once for each input that names them.
    pub(super) fn inputs_of(&self, task: TaskId) -> Vec<ChunkId> {
        let layer = self.layer(task.job, task.layer);
        let chunks = layer.inputs.iter().flat_map(|input| {
            let blocks = input.map.sources(task.block).into_iter();
            blocks.map(|block| ChunkId {
                job: input.job,
                layer: input.layer,
                block,
            })
        });
        chunks.collect()
    }

    /// The tasks that need a chunk, once for each input that names it.
    pub(super) fn dependents_of(&self, chunk: ChunkId) -> Vec<TaskId> {
        let layer = self.layer(chunk.job, chunk.layer);
        let tasks = layer.consumers.iter().flat_map(|consumer| {
            let blocks = consumer.map.dependents(chunk.block).into_iter();
            blocks.map(|block| TaskId {
                job: consumer.job,
                layer: consumer.layer,
                block,
            })
        });
        tasks.collect()
    }

    pub(super) fn waiting_to_ready(&mut self, task: TaskId) {
        let bytes = self
            .layer(task.job, task.layer)
            .spec
            .layer
            .output_bytes(task.block);
        let ready = self.ready_entry(task);
        let record = self.task_mut(task).expect("a waiting task has a record");
        assert!(
            matches!(record.state, TaskState::Waiting { .. }),
            "{task} was {:?}",
            record.state
        );
        record.state = TaskState::Ready;
        self.committed_bytes += bytes;
        self.ready_count += 1;
        let new = self.job_mut(task.job).ready.insert(ready);
        debug_assert!(new, "{task} was queued twice");
    }

    pub(super) fn ready_to_waiting(&mut self, task: TaskId, missing: u64) {
        let bytes = self
            .layer(task.job, task.layer)
            .spec
            .layer
            .output_bytes(task.block);
        let ready = self.ready_entry(task);
        let there = self.job_mut(task.job).ready.remove(&ready);
        debug_assert!(there, "{task} was not queued");
        self.committed_bytes -= bytes;
        self.ready_count -= 1;
        self.task_mut(task).expect("a ready task has a record").state = TaskState::Waiting { missing };
    }

    pub(super) fn ready_entry(&self, task: TaskId) -> ReadyTask {
        let layer = self.layer(task.job, task.layer);
        ReadyTask {
            priority: std::cmp::Reverse(layer.spec.layer.priority),
            order: layer.tasks[&task.block].order,
            layer: task.layer,
            block: task.block,
        }
    }

    pub(super) fn is_held(&self, chunk: ChunkId) -> bool {
        self.layer(chunk.job, chunk.layer)
            .chunks
            .contains_key(&chunk.block)
    }

    pub(super) fn layer(&self, job: JobId, layer: LayerId) -> &super::record::LayerRecord {
        &self.jobs[&job].layers[layer.0 as usize]
    }
}

/// On whose stack the inputs of a newly demanded task go.
#[derive(Debug, Clone, Copy)]
enum Walk {
    Recovery,
    Job(JobId),
}
