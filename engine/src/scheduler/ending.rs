//! How jobs end: finished, failed, cancelled; and when they are forgotten.

use std::{collections::BTreeSet, sync::Arc};

use graticule_plan::{JobId, Key, LayerId, TaskId, WorkerId};

use super::{
    ClientId, Command, JobEvent, Observation, Sabotage, Scheduler,
    record::{JobRecord, JobState, TaskState},
};
use crate::ToWorker;

impl Scheduler {
    pub(super) fn finish_if_complete(&mut self, job: JobId) {
        let Some(record) = self.jobs.get_mut(&job) else {
            return;
        };
        if record.state != JobState::Running || record.outputs_left > 0 {
            return;
        }
        record.state = JobState::Finished;
        let client = record.client;
        self.running.remove(&job);
        self.notify(client, job, JobEvent::Finished);
        self.out.push(Command::Observe(Observation::JobEnded {
            job,
            outcome: "finished",
        }));
        if self.sabotage == Sabotage::ForgetKeptResults {
            self.tell_workers_to_forget(job);
        }
        if !self.is_done(job) {
            self.drop_demand(job);
        }
        self.forget_if_unused(job);
    }

    /// Whether all tasks of a job are finished, and its walk is over, on which tasks of others may stand: then nothing of its
    /// demand is left, and it needs none of its inputs.
    fn is_done(&self, job: JobId) -> bool {
        let JobRecord { layers, cursor, .. } = &self.jobs[&job];
        let mut layers = layers.iter();
        cursor.stack.is_empty()
            && layers.all(|layer| layer.finished.len() == layer.spec.layer.grid.block_count())
    }

    pub(super) fn on_cancelled(&mut self, job: JobId) {
        let Some(record) = self.jobs.get(&job) else { return };
        if record.state == JobState::Running {
            let client = record.client;
            self.notify(client, job, JobEvent::Cancelled);
            self.abandon(job, "cancelled");
        }
    }

    pub(super) fn on_client_left(&mut self, client: ClientId) {
        let of_client = self.jobs.iter().filter(|(_, record)| record.client == client);
        let jobs: Vec<JobId> = of_client.map(|(&job, _)| job).collect();
        for &job in &jobs {
            self.on_cancelled(job);
        }
        for job in jobs {
            for key in self.keys_of(job) {
                if self.sabotage != Sabotage::KeepNamesOfTheGone {
                    self.on_key_released(key);
                }
            }
        }
    }

    /// The names under which a job's results are kept.
    fn keys_of(&self, job: JobId) -> Vec<Key> {
        let layers = self.jobs.get(&job).map(|record| record.layers.as_slice());
        let pins = layers.unwrap_or_default().iter().flat_map(|layer| &layer.pins);
        pins.copied().collect()
    }

    /// A task that is not leased cannot be made: the jobs whose outputs wait for it fail. A finished job whose kept
    /// result needs it fails too.
    pub(super) fn fail_task(&mut self, task: TaskId, message: &Arc<str>) {
        let waiting = self.waiting_for(task);
        let failing: BTreeSet<JobId> = waiting
            .iter()
            .filter(|t| {
                let layer = self.layer(t.job, t.layer);
                layer.apart.is_none() && layer.is_wanted_output(t.block)
            })
            .map(|t| t.job)
            .collect();
        for job in failing {
            self.fail_job(job, message);
        }
        // What still waits is wanted by nobody now. Who comes to want it later will demand it, and learn the same.
        for waiting in waiting {
            if !self.jobs.contains_key(&waiting.job) {
                continue;
            }
            let record = self.task(waiting);
            let waits = record.is_some_and(|t| !matches!(t.state, TaskState::Leased { .. }));
            let is_apart = self.layer(waiting.job, waiting.layer).apart.is_some();
            if waits {
                self.drop_task(waiting);
            }
            if is_apart && (waits || waiting == task) && self.sabotage != Sabotage::SpareDependents {
                self.fail_block(waiting, message, waiting != task);
            } else if waits {
                self.spare_if_over(waiting);
            }
            self.waive_if_unneeded(waiting);
        }
    }

    /// In a job that is over, a task that is no longer live needs no inputs, even if others will demand it again.
    pub(super) fn spare_if_over(&mut self, task: TaskId) {
        let over = |job: &super::record::JobRecord| job.state != JobState::Running;
        if self.jobs.get(&task.job).is_some_and(over) {
            let careless = self.sabotage == Sabotage::KeepInputsOfDropped;
            let layer = self.layer_mut(task.job, task.layer);
            if !careless && layer.finished.insert(task.block) {
                self.inputs_spared(task.into());
            }
        }
    }

    /// A task and all live ones that wait for it, directly or not; itself first.
    fn waiting_for(&self, task: TaskId) -> Vec<TaskId> {
        let mut found = vec![task];
        let mut seen = BTreeSet::from([task]);
        let mut next = 0;
        while let Some(&task) = found.get(next) {
            next += 1;
            for dependent in self.dependents_of(task) {
                let waits = self
                    .task(dependent)
                    .is_some_and(|t| matches!(t.state, TaskState::Waiting { .. }));
                if waits && seen.insert(dependent) {
                    found.push(dependent);
                }
            }
        }
        found
    }

    /// Ends a job that cannot be finished, or whose kept results cannot be made anew.
    pub(super) fn fail_job(&mut self, job: JobId, message: &Arc<str>) {
        let Some(record) = self.jobs.get(&job) else { return };
        if record.state == JobState::Abandoned {
            return;
        }
        let client = record.client;
        let message = message.clone();
        self.notify(client, job, JobEvent::Failed { message });
        self.abandon(job, "failed");
    }

    /// Gives a job's outputs up. What other jobs take from it stays.
    pub(super) fn abandon(&mut self, job: JobId, outcome: &'static str) {
        let record = self.job_mut(job);
        let running = record.state == JobState::Running;
        record.state = JobState::Abandoned;
        self.running.remove(&job);
        let record = self.job_mut(job);
        let mut undelivered = 0;
        for layer in &mut record.layers {
            let awaited = layer
                .chunks
                .iter()
                .filter(|(block, _)| layer.awaits_delivery(*block));
            undelivered += awaited.map(|(_, chunk)| u128::from(chunk.bytes)).sum::<u128>();
            layer.delivered = None;
        }
        record.ledger.undelivered_bytes -= undelivered;
        self.undelivered_bytes -= undelivered;
        if running {
            self.out
                .push(Command::Observe(Observation::JobEnded { job, outcome }));
        }
        for key in self.keys_of(job) {
            self.unpin(key);
        }
        self.drop_demand(job);
        self.forget_if_unused(job);
        self.fail_orphans(job);
    }

    /// Takes back what a job that is over has demanded. What others wait for stays demanded.
    ///
    /// From now on all its tasks count as finished but those that are live: one that is needed again is demanded by
    /// whoever needs it.
    fn drop_demand(&mut self, job: JobId) {
        let walk = std::mem::take(&mut self.job_mut(job).cursor);
        self.recovery.inherit(walk);
        for layer in &mut self.job_mut(job).layers {
            layer.finished.fill();
            for block in layer.tasks.blocks() {
                layer.finished.remove(block);
            }
        }
        // Consumers before producers, so that one pass finds all that nobody needs.
        let own = (0..self.jobs[&job].layers.len()).rev();
        let own = own.map(|at| (job, LayerId(u32::try_from(at).expect("layer ids are 32 bits"))));
        let layers: Vec<(JobId, LayerId)> = own.chain(self.fed_by(job)).collect();
        for &(job, layer) in &layers {
            self.count_needs(job, layer);
        }
        for (job, layer) in layers {
            self.drop_unneeded(job, layer);
        }
    }

    /// The layers of other jobs that a job reads.
    pub(super) fn fed_by(&self, job: JobId) -> Vec<(JobId, LayerId)> {
        let inputs = self.jobs[&job].layers.iter().flat_map(|layer| &layer.inputs);
        let outside = inputs.filter(|input| input.job != job);
        let layers: BTreeSet<(JobId, LayerId)> = outside.map(|input| (input.job, input.layer)).collect();
        layers.into_iter().collect()
    }

    /// Removes a job that is over, keeps nothing and feeds no other job; then those that fed it.
    pub(super) fn forget_if_unused(&mut self, job: JobId) {
        let mut candidates = vec![job];
        while let Some(job) = candidates.pop() {
            let Some(record) = self.jobs.get(&job) else {
                continue;
            };
            let outside = |c: &super::record::Consumer| c.job != job;
            let used = record
                .layers
                .iter()
                .any(|l| !l.pins.is_empty() || l.consumers.iter().any(outside));
            if record.state == JobState::Running || used {
                continue;
            }
            // Its consumers are gone since its demand was dropped, and lost chunks may wait to be made anew for them.
            let is_done = self.is_done(job);
            if !is_done {
                self.drop_demand(job);
            }
            let fed_by = self.fed_by(job);
            let record = self.jobs.remove(&job).expect("looked up above");
            self.awaited_later -= record.layers.iter().map(|layer| layer.let_go.len()).sum::<u64>();
            self.leave_functions(job, &record.layers);
            self.forgotten.push(job);
            debug_assert!(
                record
                    .layers
                    .iter()
                    .all(|l| l.tasks.is_empty() && l.chunks.is_empty()),
                "nobody needs a job that is forgotten"
            );
            self.tell_workers_to_forget(job);
            for (source, layer) in fed_by {
                self.layer_mut(source, layer).consumers.retain(|c| c.job != job);
                if !is_done {
                    self.count_needs(source, layer);
                    self.drop_unneeded(source, layer);
                }
                candidates.push(source);
            }
        }
    }

    fn tell_workers_to_forget(&mut self, job: JobId) {
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in workers {
            let record = self.workers.get_mut(&worker).expect("listed above");
            if self.sabotage != Sabotage::TrustDroppedTables {
                record.tables.forget(job);
            }
            let known = &mut record.layers;
            let of_job: Vec<(JobId, LayerId)> = known
                .range((job, LayerId(0))..=(job, LayerId(u32::MAX)))
                .copied()
                .collect();
            of_job.iter().for_each(|layer| {
                known.remove(layer);
            });
            if !of_job.is_empty() && self.sabotage != Sabotage::ForgetQuietly {
                self.send(worker, ToWorker::Forget { job });
            }
        }
    }
}
