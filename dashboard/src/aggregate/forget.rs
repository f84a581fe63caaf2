use std::collections::VecDeque;

use graticule_plan::{JobId, WorkerId};

use super::{Aggregator, JOB_COUNT_MAX, WORKER_COUNT_MAX, jobs::JobTable, tasks::PAGE_COUNT_MAX};

/// Ids of jobs and of workers that were forgotten, so that a late record does not bring them back.
const FORGOTTEN_COUNT_MAX: usize = 4_096;

/// What is left of forgotten jobs and workers, so that the head's totals never shrink.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    pub(super) jobs: VecDeque<JobId>,
    pub(super) workers: VecDeque<WorkerId>,
    /// Workers that were forgotten, the ids among them.
    pub(super) worker_count: u64,
    pub(super) total: u64,
    pub(super) done: u64,
    pub(super) recomputed: u64,
}

impl Aggregator {
    /// Forgets the job that ended first, or the oldest if all run, once there are as many as are kept.
    pub(super) fn make_room_for_job(&mut self) {
        if self.jobs.len() < JOB_COUNT_MAX {
            return;
        }
        let order = |table: &JobTable| (!table.is_ended(), table.ended_us(), table.key);
        let oldest = self
            .jobs
            .iter()
            .min_by_key(|(_, table)| order(table))
            .map(|(id, _)| *id);
        let Some((id, table)) = oldest.and_then(|id| self.jobs.remove_entry(&id)) else {
            return;
        };
        for layer in table.layers.values() {
            self.traffic.forget_layer(layer.key);
            self.shares.forget_layer(layer.key);
        }
        if let (Some(from), Some(to)) = (table.started_us(), table.ended_us()) {
            self.account.remember_work((from, to.max(from)));
        }
        let (total, done) = table.totals();
        self.forgotten.total += total;
        self.forgotten.done += done;
        self.forgotten.recomputed += table
            .layers
            .values()
            .map(|layer| layer.words.tally().recomputed)
            .sum::<u64>();
        self.active.remove_job(id);
        self.failures.retain(|failure| failure.task.job != id);
        remember(&mut self.forgotten.jobs, id);
    }

    /// Forgets the worker that left first, or the oldest if all are there, once there are as many as are kept.
    pub(super) fn make_room_for_worker(&mut self) {
        if self.workers.len() < WORKER_COUNT_MAX {
            return;
        }
        let oldest = self
            .workers
            .iter()
            .min_by_key(|(_, table)| (table.left_us().is_none(), table.left_us(), table.key))
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.active.remove_worker(id);
            self.disk_left(id);
            self.failures.retain(|failure| failure.worker != id);
            if let Some(table) = self.workers.remove(&id) {
                self.traffic.forget_worker(table.key);
                self.account.forget_worker(table.key);
                self.shares.forget_worker(table.key);
            }
            self.forgotten.worker_count += 1;
            remember(&mut self.forgotten.workers, id);
        }
    }

    /// Whether another page of task words may be made; forgets the single tasks of ended jobs to make it so.
    pub(super) fn make_room_for_page(&mut self) -> bool {
        // Summed over few jobs, and only asked when a task is the first of its page.
        while self.jobs.values().map(JobTable::page_count).sum::<usize>() >= PAGE_COUNT_MAX {
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
}

fn remember<T>(ids: &mut VecDeque<T>, id: T) {
    ids.push_back(id);
    if ids.len() > FORGOTTEN_COUNT_MAX {
        ids.pop_front();
    }
}
