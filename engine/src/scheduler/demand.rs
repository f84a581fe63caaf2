//! Which tasks come next: outputs depth first, sources as memory admits them.

use std::cmp::Reverse;

use graticule_plan::{ChunkId, JobId, LayerId, Place, TaskId};

use super::{
    Sabotage, Scheduler,
    record::{InputRecord, JobRecord, JobState, ReadyRun, TaskRecord, TaskState},
};
use crate::{BlockRun, RUN_BLOCKS_MAX};

/// The most chunks one task may need.
const TASK_INPUTS_MAX: u64 = 1 << 20;
/// Tasks that are demanded one after the other though none of them becomes ready, since all wait for what workers
/// have: without an end a walk would go through a whole graph while its one source runs.
pub(super) const BARREN_COUNT_MAX: u64 = 1 << 14;

/// A walk over what a job's outputs need, with an explicit stack: never a whole closure.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The next block of an output, in the order of the plan's turns.
    pub(super) place: Place,
    pub(super) stack: Vec<Frame>,
}

/// Demanded tasks whose inputs are being looked at: one, or neighbours of a layer whose tasks go together.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) tasks: BlockRun,
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

    /// Tasks like a job's sources that may become ready at once, one at least: as many as if they were demanded one by
    /// one, but neighbours of little work stay together.
    fn room_by_count(&self, ready_count: u64, together: u64) -> u64 {
        let room = (self.ready_count_max() + 1).saturating_sub(ready_count);
        room.max(together)
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
        let jobs = self.jobs_in_turn();
        for of_priority in jobs.chunk_by(|a, b| a.0 == b.0) {
            self.advance_all(of_priority, bounds);
        }
    }

    /// Has jobs demand tasks in turn until none of them has more to demand, or memory admits no more.
    fn advance_all(&mut self, jobs: &[(Reverse<i32>, JobId)], bounds: Bounds) {
        let mut exhausted = 0;
        for &(_, job) in jobs.iter().cycle() {
            if exhausted == jobs.len() || !self.admits(bounds) {
                break;
            }
            // One that cannot be finished is forgotten as soon as its walk finds that out.
            let is_there = self.jobs.contains_key(&job);
            if is_there && self.admits_source(job) && self.step(job) {
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

    /// Running jobs, those of the highest priority first, and of equal ones that which comes after the one that walked
    /// last.
    fn jobs_in_turn(&self) -> Vec<(Reverse<i32>, JobId)> {
        let runs = |job: &JobRecord| job.state == JobState::Running && !job.client_is_away;
        let running = self.running.iter().copied();
        let mut jobs: Vec<JobId> = running.filter(|job| runs(&self.jobs[job])).collect();
        let first = jobs.partition_point(|&job| Some(job) <= self.last_walked);
        if first < jobs.len() {
            jobs.rotate_left(first);
        }
        let priority = |job: JobId| (Reverse(self.jobs[&job].priority), job);
        let mut jobs: Vec<_> = jobs.into_iter().map(priority).collect();
        jobs.sort_by_key(|&(priority, _)| priority);
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

    /// How many tasks like one that is about to become ready may do so at once, one at least.
    fn room_for_sources(&self, task: TaskId) -> u64 {
        let bounds = self.bounds();
        let layer = self.layer(task.job, task.layer);
        let bytes = u128::from(layer.spec.layer.output_bytes_max()).max(1);
        let in_use = self.transient_bytes + self.committed_bytes;
        let by_bytes = bounds.transient_bytes.saturating_sub(in_use).div_ceil(bytes);
        let by_ledger = self.sources_within(task.job, bytes);
        let by_count = bounds.room_by_count(self.ready_count, layer.goes_together(1));
        u64::try_from(by_bytes.min(by_ledger))
            .unwrap_or(u64::MAX)
            .min(by_count)
            .max(1)
    }

    /// Takes one step of a job's walk. Returns `false` at its end.
    fn step(&mut self, job: JobId) -> bool {
        loop {
            let Some(record) = self.jobs.get(&job).filter(|job| job.state == JobState::Running) else {
                return false;
            };
            let Some(frame) = record.cursor.stack.last() else {
                match self.step_outputs(job) {
                    Some(moved) => return moved,
                    None => continue,
                }
            };
            let (tasks, input, place) = (frame.tasks, frame.input, frame.place);
            match self.next_of(tasks, input, place) {
                Next::Demand(chunks) => {
                    let count = self.demand(chunks, Walk::Job(job));
                    // What was demanded may stand above this frame now; or its failure ended the walk.
                    let walk = self.jobs.get_mut(&job).map(|job| &mut job.cursor);
                    let frames = walk.into_iter().flat_map(|walk| walk.stack.iter_mut().rev());
                    if let Some(frame) = frames.into_iter().find(|frame| frame.tasks == tasks) {
                        frame.place = place + count;
                    }
                    return true;
                }
                Next::Skip(count) => self.goes_on(job, input, place + count),
                Next::EndOfInput => self.goes_on(job, input + 1, 0),
                Next::EndOfTask => drop(self.job_mut(job).cursor.stack.pop()),
            }
        }
    }

    /// Has the tasks on top of a job's walk go on at a place of an input.
    fn goes_on(&mut self, job: JobId, input: u32, place: u64) {
        if let Some(frame) = self.job_mut(job).cursor.stack.last_mut() {
            (frame.input, frame.place) = (input, place);
        }
    }

    /// Takes a step over a job's outputs. `None` if there was nothing to be demanded where it stands.
    fn step_outputs(&mut self, job: JobId) -> Option<bool> {
        let record = self.job_mut(job);
        let Some((output, first, rest)) = record.turns.at(&mut record.cursor.place) else {
            return Some(false);
        };
        let layer = record.plan.outputs()[output].layer;
        let (count, is_wanted) = record.layers[layer.0 as usize].wanted_run_at(first, rest);
        let blocks = BlockRun {
            job,
            layer,
            first,
            count,
        };
        let (mut count, is_absent) = self.absent_run(blocks);
        let is_demanded = is_wanted && is_absent;
        if is_demanded {
            count = self.demand(blocks.part(first, count), Walk::Job(job));
        }
        let JobRecord { turns, cursor, .. } = self.job_mut(job);
        turns.pass(&mut cursor.place, count);
        is_demanded.then_some(true)
    }

    /// What a walk finds at a place of an input of tasks whose inputs it looks at; their job may be gone.
    fn next_of(&self, tasks: BlockRun, input: u32, place: u64) -> Next {
        let chunks = match self.input_at(tasks, input, place) {
            At::Chunks(chunks) => chunks,
            At::EndOfInput => return Next::EndOfInput,
            At::EndOfTask => return Next::EndOfTask,
        };
        let layer = self.layer(tasks.job, tasks.layer);
        let fan_in = layer.inputs[input as usize].map.fan_in();
        let owner = fan_in.map_or(tasks.first, |fan_in| chunks.first / fan_in);
        let (owners, record) = layer.tasks.run_at(owner, tasks.end() - owner);
        let waits = record.is_some_and(|record| matches!(record.state, TaskState::Waiting { .. }));
        let count = match fan_in {
            Some(fan_in) => chunks.count.min((owner + owners) * fan_in - chunks.first),
            None if waits => chunks.count,
            None => return Next::EndOfTask,
        };
        if !waits {
            return Next::Skip(count);
        }
        let (count, is_absent) = self.absent_run(chunks.part(chunks.first, count));
        if is_absent {
            Next::Demand(chunks.part(chunks.first, count))
        } else {
            Next::Skip(count)
        }
    }

    /// How many of the first chunks are all neither held nor being made, or all one of both; and whether they are neither.
    fn absent_run(&self, chunks: BlockRun) -> (u64, bool) {
        let layer = self.layer(chunks.job, chunks.layer);
        let (count, held) = layer.chunks.run_at(chunks.first, chunks.count);
        if held.is_some() {
            return (count, false);
        }
        let (count, live) = layer.tasks.run_at(chunks.first, count);
        (count, live.is_none())
    }

    /// Whether a chunk is neither held nor being made.
    pub(super) fn is_absent(&self, chunk: ChunkId) -> bool {
        self.jobs.contains_key(&chunk.job) && self.absent_run(chunk.into()).1
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

    /// Makes records for tasks, of which there is none, and puts them on the walk, so that their inputs are looked at
    /// next. Returns how many of the first it were, at least one: those that are alike and, if they could run at once,
    /// may.
    pub(super) fn demand(&mut self, tasks: BlockRun, walk: Walk) -> u64 {
        if let Some(message) = self.cannot_be_made(tasks.head()) {
            self.fail_task(tasks.head(), &message);
            return 1;
        }
        let mut tasks = self.alike_to_demand(tasks);
        let task = tasks.head();
        let is_one = tasks.count == 1;
        if is_one {
            self.unfinish(task);
            self.is_no_longer_let_go(task);
        }
        let too_many = self.input_count(task) > TASK_INPUTS_MAX;
        let mut missing = 0;
        if too_many {
            tasks.count = 1;
        } else if is_one {
            self.each_input(task, |input| missing += u64::from(!self.is_held(input)));
        } else {
            (tasks.count, missing) = self.missing_alike(tasks);
        }
        if missing == 0 && tasks.count > 1 {
            tasks.count = tasks.count.min(self.room_for_sources(task));
        }
        let order = match walk {
            Walk::Recovery { order } => order,
            Walk::Job(_) => self.next_order,
        };
        self.next_order += 1;
        self.barren_count += tasks.count;
        let layer = self.layer_mut(task.job, task.layer);
        let attempt = layer.attempts.get(task.block).copied().unwrap_or_default();
        let record = TaskRecord::demanded(missing, order, attempt);
        layer.tasks.insert_run(tasks.first, tasks.count, record);
        if too_many {
            let message = self.tell_where(
                task,
                &format!("one task reads more than {TASK_INPUTS_MAX} chunks"),
            );
            self.fail_task(task, &message);
        } else if missing == 0 {
            self.waiting_to_ready(tasks);
        } else {
            let frame = Frame {
                tasks,
                input: 0,
                place: 0,
            };
            match walk {
                Walk::Recovery { .. } => self.recovery.stack.push(frame),
                Walk::Job(job) => self.job_mut(job).cursor.stack.push(frame),
            }
        }
        tasks.count
    }

    /// As many of the first tasks as were never run, if neighbours of their layer may go together; else the first.
    fn alike_to_demand(&self, tasks: BlockRun) -> BlockRun {
        let layer = self.layer(tasks.job, tasks.layer);
        if tasks.count == 1 || !layer.goes_in_runs() {
            return tasks.part(tasks.first, 1);
        }
        let (count, is_finished) = layer.finished.run_at(tasks.first, tasks.count);
        let (count, attempt) = layer.attempts.run_at(tasks.first, count);
        let is_fresh = !is_finished && attempt.is_none();
        tasks.part(tasks.first, if is_fresh { count } else { 1 })
    }

    /// How many of the first tasks miss the same number of inputs, and that number.
    fn missing_alike(&self, tasks: BlockRun) -> (u64, u64) {
        let inputs = &self.layer(tasks.job, tasks.layer).inputs;
        let Some(input) = inputs.first() else {
            return (tasks.count, 0);
        };
        let fan_in = input.map.fan_in().expect("a layer that goes in runs");
        let sources = &self.layer(input.job, input.layer).chunks;
        let (mut count, mut are_held) = (0, None);
        while count < tasks.count {
            let first = (tasks.first + count) * fan_in;
            let (sources, held) = sources.run_at(first, (tasks.count - count) * fan_in);
            let whole = sources / fan_in;
            if whole == 0 || are_held.is_some_and(|are_held| are_held != held.is_some()) {
                break;
            }
            are_held = Some(held.is_some());
            count += whole;
        }
        match are_held {
            Some(true) => (count, 0),
            Some(false) if !self.has_rest(input, tasks.first + count - 1) => (count, fan_in),
            Some(false) if count > 1 => (count - 1, fan_in),
            Some(false) | None => {
                let mut missing = 0;
                self.each_input(tasks.head(), |input| missing += u64::from(!self.is_held(input)));
                (1, missing)
            }
        }
    }

    /// Whether a task of an input with a fan-in gets fewer chunks than others, since no more are left.
    fn has_rest(&self, input: &InputRecord, block: u64) -> bool {
        let fan_in = input.map.fan_in().unwrap_or(1);
        (block + 1) * fan_in > input.map.source_grid().block_count()
    }

    pub(super) fn input_count(&self, task: TaskId) -> u64 {
        let inputs = self.layer(task.job, task.layer).inputs.iter();
        inputs
            .map(|input| input.map.source_count(task.block))
            .fold(0, u64::saturating_add)
    }

    /// The chunks from a place on of an input of tasks, whose job may be gone: neighbours of one page.
    ///
    /// Several tasks have one input, and their chunks are counted through.
    pub(super) fn input_at(&self, tasks: BlockRun, input: u32, place: u64) -> At {
        let job = self.jobs.get(&tasks.job);
        let layer = job.and_then(|job| job.layers.get(tasks.layer.0 as usize));
        let Some(input) = layer.and_then(|layer| layer.inputs.get(input as usize)) else {
            return At::EndOfTask;
        };
        let (first, count) = match input.map.fan_in() {
            Some(fan_in) => {
                let first = tasks.first * fan_in + place;
                let end = (tasks.end() * fan_in).min(input.map.source_grid().block_count());
                (
                    first,
                    end.saturating_sub(first)
                        .min(RUN_BLOCKS_MAX - first % RUN_BLOCKS_MAX),
                )
            }
            None => match input.map.source_at(tasks.first, place) {
                Some(block) => (block, 1),
                None => (0, 0),
            },
        };
        if count == 0 {
            return At::EndOfInput;
        }
        At::Chunks(BlockRun {
            job: input.job,
            layer: input.layer,
            first,
            count,
        })
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

    /// Tasks that share a record have all their inputs.
    pub(super) fn waiting_to_ready(&mut self, tasks: BlockRun) {
        let (task, count) = (tasks.head(), tasks.count);
        let layer = self.layer_mut(task.job, task.layer);
        let (bytes, is_choosy) = (layer.output_bytes(tasks), layer.is_choosy());
        let mut ready = ReadyRun {
            priority: Reverse(layer.spec.layer.priority),
            order: 0,
            layer: task.layer,
            block: task.block,
            count,
        };
        let mut attempt = 0;
        layer.tasks.update(tasks.first, count, |record| {
            assert!(
                matches!(record.state, TaskState::Waiting { .. }),
                "{task} was {:?}",
                record.state
            );
            record.pass_to(TaskState::Ready);
            (ready.order, attempt) = (record.order, record.attempt);
        });
        self.barren_count = 0;
        self.committed_bytes += bytes;
        let forgotten = self.sabotage == Sabotage::ForgetRequeued && attempt > 0;
        if is_choosy {
            self.choosy_ready_count += count;
            self.list_apart(task.job, task.layer)
                .insert((task.job, task.layer));
            self.layer_mut(task.job, task.layer).choosy_ready.push(ready);
        } else {
            self.ready_count += count;
            if !forgotten {
                self.ready_jobs.insert(task.job);
            }
        }
        let job = self.job_mut(task.job);
        if !is_choosy && !forgotten {
            job.ready.push(ready);
        }
        job.ledger.ready_bytes += bytes;
        job.ledger.ready_count += count;
    }

    pub(super) fn ready_to_waiting(&mut self, task: TaskId, missing: u64) {
        // Its entry in the queue stays, and is found to be stale.
        let bytes = self.output_bytes(task.into());
        self.committed_bytes -= bytes;
        self.count_out_of_ready(task.into());
        let ledger = &mut self.job_mut(task.job).ledger;
        ledger.ready_bytes -= bytes;
        ledger.ready_count -= 1;
        let record = self.task_mut(task).expect("a ready task has a record");
        record.pass_to(TaskState::Waiting { missing });
    }

    /// Counts tasks that are ready no more.
    pub(super) fn count_out_of_ready(&mut self, tasks: BlockRun) {
        if self.layer(tasks.job, tasks.layer).is_choosy() {
            self.choosy_ready_count -= tasks.count;
        } else {
            self.ready_count -= tasks.count;
        }
    }

    pub(super) fn ready_entry(&self, task: TaskId) -> ReadyRun {
        let layer = self.layer(task.job, task.layer);
        ReadyRun {
            priority: Reverse(layer.spec.layer.priority),
            order: layer.tasks.get(task.block).expect("a live task").order,
            layer: task.layer,
            block: task.block,
            count: 1,
        }
    }

    /// Bytes of the chunks that tasks make, together.
    pub(super) fn output_bytes(&self, tasks: BlockRun) -> u128 {
        self.layer(tasks.job, tasks.layer).output_bytes(tasks)
    }

    pub(super) fn is_held(&self, chunk: ChunkId) -> bool {
        self.layer(chunk.job, chunk.layer).chunks.contains(chunk.block)
    }

    pub(super) fn layer(&self, job: JobId, layer: LayerId) -> &super::record::LayerRecord {
        &self.jobs[&job].layers[layer.0 as usize]
    }
}

/// What stands at a place among the inputs of tasks.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Chunks(BlockRun),
    EndOfInput,
    EndOfTask,
}

/// What a walk does next.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// These are absent, and waited for.
    Demand(BlockRun),
    /// So many need not be demanded.
    Skip(u64),
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
