//! A job's memory: what it holds and has in hand, within the bound that its plan gives.

use graticule_plan::{JobId, LayerId, TaskId};

use super::Scheduler;
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
        let rest = self
            .limit_of(job)
            .saturating_sub(ledger.held_bytes + ledger.leased_bytes);
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

    /// Whether a ready task may be leased: what it has in hand fits, or nothing else of its job is in hand and it comes
    /// next, as in a run one by one.
    pub(super) fn admits_lease(&mut self, task: TaskId) -> bool {
        self.note_limit(task.job);
        let limit = self.limit_of(task.job);
        let bytes = u128::from(self.layer(task.job, task.layer).task_bytes_max);
        let ledger = &self.jobs[&task.job].ledger;
        let fits = ledger.held_bytes + ledger.leased_bytes + bytes <= limit;
        fits || (ledger.leased_count == 0 && self.is_first_ready(task))
    }
}
