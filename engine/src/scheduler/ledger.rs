//! A job's memory: what it holds and has in hand, within the bound that its plan gives.

use graticule_plan::{JobId, LayerId, TaskId};

use super::{
    Scheduler,
    record::{LayerRecord, ReadyRun, TaskState},
};
use crate::PlanMemory;

/// What a job has in the workers' memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) plan: PlanMemory,
    /// Chunks that pass through; kept ones are not among them.
    pub(super) held_bytes: u128,
    /// Those among all held ones that a client is still to fetch.
    pub(super) undelivered_bytes: u128,
    /// What tasks that are ready will leave behind.
    pub(super) ready_bytes: u128,
    pub(super) ready_count: u64,
    /// What tasks that are leased have in hand.
    pub(super) leased_bytes: u128,
    pub(super) leased_count: u64,
    /// The most that was held for tasks and in hand at a time.
    pub(super) peak_bytes: u128,
    /// The largest limit that it had.
    pub(super) limit_bytes: u128,
    /// Kept chunks that were let go: as long as tasks need them they pass through since then, beside the limit.
    pub(super) let_go_bytes: u128,
    /// What chunks took beyond what the plan had said of them: no bound can know that.
    pub(super) beyond_plan_bytes: u128,
    /// Chunks that workers brought along: made in whatever order an earlier run had, by whichever workers it had.
    pub(super) brought_bytes: u128,
}

impl Ledger {
    /// Notes how much there is.
    pub(super) fn note_peak(&mut self) {
        let for_tasks = self.held_bytes.saturating_sub(self.undelivered_bytes);
        self.peak_bytes = self.peak_bytes.max(for_tasks + self.leased_bytes);
    }

    /// Whether one more chunk may come into being within `limit`: with it there must be room for the widest task.
    fn admits_source(&self, limit: u128) -> bool {
        let in_use = self.held_bytes + self.ready_bytes + self.leased_bytes;
        let room = u128::from(self.plan.task_bytes_max) + u128::from(self.plan.output_bytes_max);
        in_use + room <= limit || (self.ready_count == 0 && self.leased_count == 0)
    }
}

impl Scheduler {
    /// The most bytes that a job may have held and in hand on the workers that are there.
    fn limit_of(&self, job: JobId) -> u128 {
        let workers = self.workers.len() as u64;
        let (slots, in_hand_min) = (self.capacity.slots, self.config.in_hand_bytes_min);
        let plan = &self.jobs[&job].ledger.plan;
        plan.limit_bytes(workers, slots, in_hand_min).unwrap_or(u128::MAX)
    }

    /// What a job has in memory, and the most that it may.
    pub(super) fn memory_of(&self, job: JobId) -> (u128, u128) {
        let ledger = &self.jobs[&job].ledger;
        (
            ledger.held_bytes + ledger.ready_bytes + ledger.leased_bytes,
            self.limit_of(job),
        )
    }

    /// Whether a job's memory has room for one more source.
    pub(super) fn has_room_for_source(&self, job: JobId) -> bool {
        let ledger = &self.jobs[&job].ledger;
        // Tasks that few workers may run are ready for long, and are not counted among the others.
        ledger.ready_count <= 4 * self.capacity.slots.max(1) && ledger.admits_source(self.limit_of(job))
    }

    /// How many sources of so many bytes a job's memory has room for.
    pub(super) fn sources_within(&self, job: JobId, bytes: u128) -> u128 {
        let ledger = &self.jobs[&job].ledger;
        let in_use = ledger.held_bytes + ledger.ready_bytes + ledger.leased_bytes;
        let room = u128::from(ledger.plan.task_bytes_max) + u128::from(ledger.plan.output_bytes_max);
        let rest = self.limit_of(job).checked_sub(in_use + room);
        rest.map_or(1, |rest| (rest / bytes).saturating_add(1))
    }

    /// How many tasks of a layer may be leased within its job's memory, if one may.
    pub(super) fn leases_within(&self, job: JobId, layer: LayerId) -> u64 {
        let ledger = &self.jobs[&job].ledger;
        let bytes = u128::from(self.layer(job, layer).task_bytes_max).max(1);
        let room = u128::from(ledger.plan.task_bytes_max);
        let rest = self
            .limit_of(job)
            .saturating_sub(ledger.held_bytes + ledger.leased_bytes + room);
        u64::try_from(rest / bytes).unwrap_or(u64::MAX).max(1)
    }

    /// Notes how much there is of all jobs.
    pub(super) fn note_peak(&mut self) {
        let for_tasks = self.transient_bytes.saturating_sub(self.undelivered_bytes);
        self.peak_bytes = self.peak_bytes.max(for_tasks + self.in_hand_bytes);
    }

    /// Whether a job's walk may go on.
    pub(super) fn admits_source(&mut self, job: JobId) -> bool {
        self.note_limit(job);
        self.has_room_for_source(job)
    }

    fn note_limit(&mut self, job: JobId) {
        let limit = self.limit_of(job);
        let ledger = &mut self.job_mut(job).ledger;
        ledger.limit_bytes = ledger.limit_bytes.max(limit);
    }

    /// Whether a ready task may be leased: with what it has in hand there is room for the widest task still. The one that
    /// comes next in a run one by one needs no such room, and no room at all when nothing else of its job is in hand.
    pub(super) fn admits_lease(&mut self, task: TaskId) -> bool {
        self.note_limit(task.job);
        let limit = self.limit_of(task.job);
        let bytes = u128::from(self.layer(task.job, task.layer).task_bytes_max);
        let ledger = &self.jobs[&task.job].ledger;
        let in_use = ledger.held_bytes + ledger.leased_bytes + bytes;
        in_use + u128::from(ledger.plan.task_bytes_max) <= limit
            || ((in_use <= limit || ledger.leased_count == 0) && self.is_next_in_turn(task))
    }

    /// Whether a ready task is the one that a run one by one would come to next. One that no worker can run keeps its turn:
    /// what others leave behind meanwhile must fit beside it when such a worker comes.
    fn is_next_in_turn(&mut self, task: TaskId) -> bool {
        let order = self.task(task).expect("a ready task").order;
        let is_earlier = |ready: Option<ReadyRun>| ready.is_some_and(|ready| ready.order < order);
        !is_earlier(self.earliest_ready(task.job)) && !is_earlier(self.earliest_choosy(task.job))
    }

    /// Of a job's ready tasks that any worker takes, those that were demanded first.
    pub(super) fn earliest_ready(&mut self, job: JobId) -> Option<ReadyRun> {
        let top = self.top_ready(job)?;
        let record = &self.jobs[&job];
        let priority = |layer: &LayerRecord| layer.spec.layer.priority;
        let first = record.layers.first().map(priority);
        if record.layers.iter().all(|layer| Some(priority(layer)) == first) {
            return Some(top);
        }
        let live = |run: ReadyRun| {
            let tasks = &record.layers[run.layer.0 as usize].tasks;
            let (count, task) = tasks.run_at(run.block, run.count);
            let is_live = task.is_some_and(|task| task.state == TaskState::Ready && task.order == run.order);
            is_live.then_some(ReadyRun { count, ..run })
        };
        record
            .ready
            .iter()
            .filter_map(live)
            .min_by_key(|run| (run.order, run.block))
    }
}
