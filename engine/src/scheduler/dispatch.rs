//! Which worker runs what: ready tasks become leases.

use std::{cmp::Reverse, ops::Bound};

use graticule_plan::{ChunkId, JobId, LayerId, TaskId, WorkerId};

use super::{
    Command, Observation, Sabotage, Scheduler,
    record::{ReadyTask, TaskState, WorkerRecord},
};
use crate::{ChunkHolders, Lease, ToWorker};

/// Workers that vanished with a task before it runs on an otherwise idle worker, so that it takes no others along and
/// the next loss tells whether it is the cause.
pub(super) const LOSSES_SUSPICIOUS: u16 = 2;

/// What was leased and is still to be told, task by task: whose, of which layer, which block, and which attempt.
pub(super) type Leases = Vec<((WorkerId, JobId, LayerId), (u64, u32))>;

impl Scheduler {
    /// Leases ready tasks to workers that have room.
    pub(super) fn dispatch(&mut self, leases: &mut Leases) {
        if self.ready_count == 0 && self.choosy_ready_count == 0 {
            return;
        }
        self.rank_changed();
        if self.choosy_ready_count > 0 {
            self.dispatch_choosy(leases);
        }
        while let Some((job, ready)) = self.next_ready() {
            let task = TaskId {
                job,
                layer: ready.layer,
                block: ready.block,
            };
            if let Some(message) = self.too_large(task) {
                self.fail_task(task, &message.into());
                continue;
            }
            let Some(worker) = self.place(task) else { break };
            self.last_served = Some(job);
            self.job_mut(job).ready.pop();
            self.ready_to_leased(task, worker, leases);
        }
    }

    /// Tells the workers what was leased to them: each of them once for each layer.
    pub(super) fn send_leases(&mut self, leases: &mut Leases) {
        self.flush_releases();
        // Stable: a worker takes its tasks in the order in which they were placed.
        leases.sort_by_key(|&(lease, _)| lease);
        for tasks in leases.chunk_by(|a, b| a.0 == b.0) {
            let (worker, job, layer) = tasks[0].0;
            let lease = Lease {
                job,
                layer,
                tasks: tasks.iter().map(|&(_, task)| task).collect(),
                holders: Vec::new(),
            };
            self.send_lease(worker, lease);
        }
        leases.clear();
    }

    /// The best ready task of all jobs, jobs taking turns; it is on top of its job's queue.
    fn next_ready(&mut self) -> Option<(JobId, ReadyTask)> {
        if self.ready_count == 0 {
            return None;
        }
        let last = self.last_served;
        self.next_ready_of(last, None)
            .or_else(|| self.next_ready_of(None, last))
    }

    /// The best ready task of the first job that has one and room for it, behind one job and up to another.
    fn next_ready_of(
        &mut self,
        mut behind: Option<JobId>,
        up_to: Option<JobId>,
    ) -> Option<(JobId, ReadyTask)> {
        loop {
            let first = behind.map_or(Bound::Unbounded, Bound::Excluded);
            let mut jobs = self.jobs.range((first, Bound::Unbounded));
            let (&job, _) = jobs.find(|(_, record)| !record.ready.is_empty())?;
            if up_to.is_some_and(|last| job > last) {
                return None;
            }
            if let Some(ready) = self.top_ready(job) {
                let (layer, block) = (ready.layer, ready.block);
                if self.admits_lease(TaskId { job, layer, block }) {
                    return Some((job, ready));
                }
            }
            behind = Some(job);
        }
    }

    /// The first task of a job's queue that still is ready.
    pub(super) fn top_ready(&mut self, job: JobId) -> Option<ReadyTask> {
        let record = self.jobs.get_mut(&job)?;
        while let Some(top) = record.ready.peek() {
            let task = record.layers[top.layer.0 as usize].tasks.get(top.block);
            if task.is_some_and(|task| task.state == TaskState::Ready && task.order == top.order) {
                return Some(top);
            }
            record.ready.pop();
        }
        None
    }

    /// The worker with room that holds most of the task's inputs; else the one with the fewest tasks at hand.
    pub(super) fn place(&mut self, task: TaskId) -> Option<WorkerId> {
        let mut local = std::mem::take(&mut self.local);
        let layer = self.layer(task.job, task.layer);
        let task_us = layer.measured.mean_us(layer.spec.layer.cost_ns);
        let losses = layer.tasks.get(task.block).expect("a ready task").losses;
        let alone = losses >= LOSSES_SUSPICIOUS && self.sabotage != Sabotage::BlameTogether;
        self.each_input(task, |input| {
            let source = self.layer(input.job, input.layer);
            if let Some(record) = source.chunks.get(input.block) {
                record
                    .holders
                    .iter()
                    .for_each(|holder| local.add(holder, record.bytes));
            }
        });
        let is_choosy = layer.is_choosy();
        let fits = |worker: &WorkerRecord| {
            worker.has_room(task_us)
                && (!alone || worker.leased_count == 0)
                && (!is_choosy || layer.may_run_on(worker))
        };
        let key = |&(id, bytes): &(WorkerId, u64)| {
            let worker = self.workers.get(&id).filter(|worker| fits(worker))?;
            let level = worker.leased_count / u64::from(worker.slots);
            let previous = self.last_placed == Some(id);
            Some((Reverse(bytes), level, !previous, worker.leased_count, id))
        };
        let nearest = local.entries().iter().filter_map(key).min().map(|key| key.4);
        let found = nearest.or_else(|| {
            if alone || is_choosy {
                let open = self.workers.iter().filter(|(_, worker)| fits(worker));
                open.min_by_key(|(_, worker)| worker.leased_count / u64::from(worker.slots))
                    .map(|(&id, _)| id)
            } else {
                self.idlest(task_us)
            }
        });
        local.clear();
        self.local = local;
        found
    }

    pub(super) fn ready_to_leased(&mut self, task: TaskId, worker: WorkerId, leases: &mut Leases) {
        self.count_out_of_ready(task);
        self.leased_count += 1;
        self.occupy(task, worker, true);
        let bytes = self.output_bytes(task);
        let in_hand = u128::from(self.layer(task.job, task.layer).task_bytes_max);
        let job = self.job_mut(task.job);
        job.ledger.ready_bytes -= bytes;
        job.ledger.ready_count -= 1;
        job.ledger.leased_bytes += in_hand;
        job.ledger.leased_count += 1;
        job.ledger.note_peak();
        self.in_hand_bytes += in_hand;
        self.note_peak();
        let sabotage = self.sabotage;
        let layer = self.layer_mut(task.job, task.layer);
        let load_us = layer.measured.load_us(layer.spec.layer.cost_ns);
        let load_us = u32::try_from(load_us).unwrap_or(u32::MAX);
        layer.leased_count += 1;
        let record = layer
            .tasks
            .get_mut(task.block)
            .expect("a ready task has a record");
        assert_eq!(record.state, TaskState::Ready, "{task}");
        record.pass_to(TaskState::Leased { worker });
        record.attempt += 1;
        record.load_us = load_us;
        let attempt = record.attempt;
        let alone = record.losses >= LOSSES_SUSPICIOUS && sabotage != Sabotage::BlameTogether;
        if attempt > 1 {
            self.layer_mut(task.job, task.layer)
                .attempts
                .insert(task.block, attempt);
        }
        let target = self
            .workers
            .get_mut(&worker)
            .expect("placed on a connected worker");
        target.leased_count += 1;
        target.load_us += u64::from(load_us);
        target.isolated = alone;
        self.rank(worker);
        self.forget_copy(worker, task);
        if self.sabotage == Sabotage::ReleaseWhenLeased {
            self.inputs_spared(task);
        }
        self.last_placed = Some(worker);
        self.out.push(Command::Observe(Observation::TaskLeased {
            task,
            worker,
            attempt: attempt - 1,
        }));
        leases.push(((worker, task.job, task.layer), (task.block, attempt)));
    }

    fn send_lease(&mut self, worker: WorkerId, mut lease: Lease) {
        // A failure in the same round may have ended the job after some of its tasks were placed.
        lease.tasks.retain(|&(block, attempt)| {
            let task = TaskId {
                job: lease.job,
                layer: lease.layer,
                block,
            };
            self.task(task)
                .is_some_and(|t| t.state == TaskState::Leased { worker } && t.attempt == attempt)
        });
        if lease.tasks.is_empty() {
            return;
        }
        let mut elsewhere: Vec<ChunkId> = Vec::new();
        for &(block, _) in &lease.tasks {
            let task = TaskId {
                job: lease.job,
                layer: lease.layer,
                block,
            };
            self.each_input(task, |chunk| {
                let source = self.layer(chunk.job, chunk.layer).chunks.get(chunk.block);
                if source.is_none_or(|record| !record.holders.contains(worker)) {
                    elsewhere.push(chunk);
                }
            });
        }
        elsewhere.sort_unstable();
        elsewhere.dedup();
        let holders = elsewhere.into_iter().map(|chunk| {
            let source = self.layer(chunk.job, chunk.layer).chunks.get(chunk.block);
            let peers = source
                .map(|record| self.peers(&record.holders))
                .unwrap_or_default();
            ChunkHolders { chunk, peers }
        });
        lease.holders = holders.collect();
        self.describe_layer(worker, lease.job, lease.layer);
        self.send(worker, ToWorker::Lease(lease));
    }

    /// Sends a layer and its tables to a worker that lacks them.
    fn describe_layer(&mut self, worker: WorkerId, job: JobId, layer: LayerId) {
        let target = self
            .workers
            .get_mut(&worker)
            .expect("leased to a connected worker");
        if !target.layers.insert((job, layer)) {
            return;
        }
        let record = &self.jobs[&job];
        let spec = record.layers[layer.0 as usize].spec.clone();
        let new = target.tables.add(job, layer, &spec.layer.tables);
        let half_done = record.layers[layer.0 as usize].finished.len() > 0;
        let forgetful = self.sabotage == Sabotage::LateJoinerWithoutTables && half_done;
        let tables = new.into_iter().filter(|_| !forgetful);
        let tables: Vec<_> = tables
            .map(|digest| (digest, record.plan.tables()[&digest].clone()))
            .collect();
        for (digest, content) in tables {
            self.send(worker, ToWorker::Table { digest, content });
        }
        self.send(worker, ToWorker::Layer(spec));
    }
}

/// Bytes of a task's inputs by worker that holds them. Cleared after each use, so that it is made once.
///
/// A table of its own: workers' numbers are far apart after a restart, and looked up for every input of every task.
#[derive(Debug, Default)]
pub(super) struct Local {
    entries: Vec<(WorkerId, u64)>,
    /// Places among the entries, plus 1, each as near behind its worker's number modulo the length as is free. The
    /// length is a power of two, and twice the entries at least.
    places: Vec<u32>,
    /// Where each entry's place stands.
    taken: Vec<usize>,
}

impl Local {
    fn add(&mut self, worker: WorkerId, bytes: u64) {
        if self.places.len() < 2 * (self.entries.len() + 1) {
            self.grow();
        }
        let mask = self.places.len() - 1;
        let mut at = worker.0 as usize & mask;
        while let Some(place) = self.places[at].checked_sub(1) {
            let (of, sum) = &mut self.entries[place as usize];
            if *of == worker {
                *sum = sum.saturating_add(bytes);
                return;
            }
            at = (at + 1) & mask;
        }
        self.entries.push((worker, bytes));
        self.places[at] = self.entries.len() as u32;
        self.taken.push(at);
    }

    fn grow(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        self.taken.clear();
        self.places = vec![0; (2 * self.places.len()).max(32)];
        for (worker, bytes) in entries {
            self.add(worker, bytes);
        }
    }

    fn entries(&self) -> &[(WorkerId, u64)] {
        &self.entries
    }

    fn clear(&mut self) {
        self.entries.clear();
        for at in self.taken.drain(..) {
            self.places[at] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use graticule_plan::WorkerId;

    use super::Local;

    #[test]
    fn bytes_are_added_up_however_far_apart_the_workers_numbers_are() {
        let mut local = Local::default();
        // Some have the same place in a table of any size.
        let workers: Vec<WorkerId> = (0..100)
            .flat_map(|n| [WorkerId(n + 1), WorkerId((n + 1) << 40)])
            .collect();
        for round in 0..3 {
            for _ in 0..2 {
                workers.iter().for_each(|&worker| local.add(worker, worker.0));
            }
            let twice: Vec<_> = workers.iter().map(|&worker| (worker, 2 * worker.0)).collect();
            assert_eq!(local.entries(), twice, "round {round}");
            assert!(local.places.len() <= 1024);
            local.clear();
            assert!(local.places.iter().all(|&place| place == 0));
        }
    }
}
