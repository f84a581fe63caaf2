//! Who keeps a chunk: tasks that need it, names that clients hold, deliveries under way; and how jobs end.

use bytes::Bytes;
use graticule_plan::{ChunkId, JobId, Key, LayerId, TaskId, WorkerId};

use super::{
    ClientId, Command, JobEvent, Observation, Scheduler,
    record::{JobState, TaskState},
};
use crate::{Peer, ToWorker};

impl Scheduler {
    /// Tells the client that awaits a chunk that it is there.
    pub(super) fn offer(&mut self, chunk: ChunkId, inline: Option<Bytes>) {
        let layer = self.layer(chunk.job, chunk.layer);
        let awaited = layer.delivered.as_ref().is_some_and(|d| !d.contains(chunk.block));
        if !awaited {
            return;
        }
        let Some(record) = layer.chunks.get(&chunk.block) else {
            return;
        };
        let peers = self.peers(&record.holders);
        let event = JobEvent::ChunkReady {
            layer: chunk.layer,
            block: chunk.block,
            bytes: record.bytes,
            peers,
            inline,
        };
        let client = self.jobs[&chunk.job].client;
        self.out.push(Command::Notify {
            client,
            job: chunk.job,
            event,
        });
    }

    pub(super) fn peers(&self, holders: &[WorkerId]) -> Vec<Peer> {
        holders
            .iter()
            .filter_map(|id| self.workers.get(id))
            .map(|w| w.peer.clone())
            .collect()
    }

    pub(super) fn on_delivered(&mut self, chunk: ChunkId) {
        let Some(job) = self.jobs.get_mut(&chunk.job) else {
            return;
        };
        let Some(layer) = job.layers.get_mut(chunk.layer.0 as usize) else {
            return;
        };
        let known = chunk.block < layer.spec.layer.grid.block_count();
        let Some(delivered) = layer.delivered.as_mut().filter(|_| known) else {
            return;
        };
        if delivered.insert(chunk.block) {
            job.outputs_left -= 1;
            self.release_if_unwanted(chunk);
            self.drop_task_if_unwanted(chunk);
            self.finish_if_complete(chunk.job);
        }
    }

    /// A chunk that was delivered while it was being made again need not be made.
    fn drop_task_if_unwanted(&mut self, task: TaskId) {
        let Some(job) = self.jobs.get(&task.job) else {
            return;
        };
        let layer = &job.layers[task.layer.0 as usize];
        if !layer.tasks.contains_key(&task.block) || layer.is_wanted_output(task.block) {
            return;
        }
        if self.dependents_of(task).into_iter().all(|d| self.is_finished(d)) {
            self.drop_task(task);
            // Finished once, its value used: that is how it counts again.
            self.layer_mut(task.job, task.layer).finished.insert(task.block);
            for input in self.inputs_of(task) {
                self.no_longer_needed_by_one(input);
            }
        }
    }

    /// Forgets a demanded task, wherever it stands.
    fn drop_task(&mut self, task: TaskId) {
        let Some(record) = self.task(task) else { return };
        match record.state.clone() {
            TaskState::Waiting { .. } => {}
            TaskState::Ready => self.ready_to_waiting(task, 0),
            TaskState::Leased { worker } => {
                self.unlease(worker, task);
                self.send(worker, ToWorker::Revoke { tasks: vec![task] });
            }
        }
        self.layer_mut(task.job, task.layer).tasks.remove(&task.block);
    }

    pub(super) fn on_delivery_failed(&mut self, chunk: ChunkId, worker: WorkerId) {
        self.replica_is_gone(chunk, worker);
        if self.jobs.contains_key(&chunk.job) && self.is_held(chunk) {
            self.offer(chunk, None);
        }
    }

    /// One task that needed the chunk is finished.
    pub(super) fn no_longer_needed_by_one(&mut self, chunk: ChunkId) {
        let layer = self.layer_mut(chunk.job, chunk.layer);
        if let Some(record) = layer.chunks.get_mut(&chunk.block) {
            record.needed -= 1;
            self.release_if_unwanted(chunk);
        }
    }

    /// Drops a chunk that no task needs and no client keeps or awaits.
    pub(super) fn release_if_unwanted(&mut self, chunk: ChunkId) {
        let spare = self.sabotage.needed_that_is_none();
        let Some(job) = self.jobs.get_mut(&chunk.job) else {
            return;
        };
        let layer = &mut job.layers[chunk.layer.0 as usize];
        let unwanted = layer
            .chunks
            .get(&chunk.block)
            .is_some_and(|record| record.needed <= spare);
        if !unwanted || layer.is_wanted_output(chunk.block) {
            return;
        }
        let record = layer.chunks.remove(&chunk.block).expect("looked up above");
        self.transient_bytes -= record.bytes;
        for holder in record.holders {
            if let Some(worker) = self.workers.get_mut(&holder) {
                worker.held.remove(&chunk);
                self.send(holder, ToWorker::Release { chunks: vec![chunk] });
            }
        }
    }

    /// A kept output's chunk is there.
    pub(super) fn output_kept(&mut self, job: JobId) {
        let job = self.job_mut(job);
        if job.state == JobState::Running {
            job.outputs_left -= 1;
        }
    }

    pub(super) fn finish_if_complete(&mut self, job: JobId) {
        let Some(record) = self.jobs.get_mut(&job) else {
            return;
        };
        if record.state != JobState::Running || record.outputs_left > 0 {
            return;
        }
        record.state = JobState::Finished;
        let client = record.client;
        self.out.push(Command::Notify {
            client,
            job,
            event: JobEvent::Finished,
        });
        self.out.push(Command::Observe(Observation::JobEnded {
            job,
            outcome: "finished",
        }));
        self.forget_if_unused(job);
    }

    pub(super) fn on_cancelled(&mut self, job: JobId) {
        let Some(record) = self.jobs.get(&job) else { return };
        if record.state == JobState::Running {
            let client = record.client;
            self.out.push(Command::Notify {
                client,
                job,
                event: JobEvent::Cancelled,
            });
            self.end_job(job, "cancelled");
        }
    }

    /// Drops a running job's demand. What other jobs take from it stays.
    pub(super) fn end_job(&mut self, job: JobId, outcome: &'static str) {
        self.out
            .push(Command::Observe(Observation::JobEnded { job, outcome }));
        let record = self.job_mut(job);
        record.state = JobState::Abandoned;
        let walk = std::mem::take(&mut record.cursor);
        record.layers.iter_mut().for_each(|layer| layer.delivered = None);
        self.recovery.inherit(walk);
        let keys: Vec<Key> = self
            .keys
            .iter()
            .filter(|(_, at)| at.0 == job)
            .map(|(&key, _)| key)
            .collect();
        keys.into_iter().for_each(|key| self.unpin(key));
        self.forget_if_unused(job);
    }

    pub(super) fn on_key_released(&mut self, key: Key) {
        if let Some(&(job, _)) = self.keys.get(&key) {
            let running = self.jobs.get(&job).is_some_and(|j| j.state == JobState::Running);
            self.unpin(key);
            let record = self.jobs.get(&job);
            let nothing_kept = record.is_some_and(|j| {
                j.layers
                    .iter()
                    .all(|l| l.pins.is_empty() && l.delivered.is_none())
            });
            if running && nothing_kept {
                self.on_cancelled(job);
            }
            self.forget_if_unused(job);
        }
    }

    fn unpin(&mut self, key: Key) {
        let Some((job, layer)) = self.keys.remove(&key) else {
            return;
        };
        let record = self.layer_mut(job, layer);
        record.pins.remove(&key);
        if !record.pins.is_empty() {
            return;
        }
        let mut held: Vec<(u64, u64)> = record.chunks.iter().map(|(&b, c)| (b, c.bytes)).collect();
        held.sort_unstable();
        for (block, bytes) in held {
            self.transient_bytes += bytes;
            self.release_if_unwanted(ChunkId { job, layer, block });
        }
    }

    pub(super) fn on_client_left(&mut self, client: ClientId) {
        let of_client = self.jobs.iter().filter(|(_, record)| record.client == client);
        let jobs: Vec<JobId> = of_client.map(|(&job, _)| job).collect();
        for &job in &jobs {
            self.on_cancelled(job);
        }
        let keys: Vec<Key> = self
            .keys
            .iter()
            .filter(|(_, at)| jobs.contains(&at.0))
            .map(|(&key, _)| key)
            .collect();
        keys.into_iter().for_each(|key| self.on_key_released(key));
    }

    /// Removes a job that is over, keeps nothing and feeds no other job; then those that fed it.
    pub(super) fn forget_if_unused(&mut self, job: JobId) {
        let Some(record) = self.jobs.get(&job) else { return };
        let outside = |c: &super::record::Consumer| c.job != job;
        let used = record
            .layers
            .iter()
            .any(|l| !l.pins.is_empty() || l.consumers.iter().any(outside));
        if record.state == JobState::Running || used {
            return;
        }
        self.drop_tasks_and_chunks(job);
        let record = self.jobs.remove(&job).expect("looked up above");
        let mut fed_by: Vec<(JobId, LayerId)> = Vec::new();
        for input in record.layers.iter().flat_map(|layer| &layer.inputs) {
            if input.job != job && !fed_by.contains(&(input.job, input.layer)) {
                fed_by.push((input.job, input.layer));
            }
        }
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in workers {
            let known = &mut self.workers.get_mut(&worker).expect("listed above").layers;
            let before = known.len();
            known.retain(|(owner, _)| *owner != job);
            if known.len() < before {
                self.send(worker, ToWorker::Forget { job });
            }
        }
        for (source, layer) in fed_by {
            self.layer_mut(source, layer).consumers.retain(|c| c.job != job);
            self.recount(source, layer);
            self.forget_if_unused(source);
        }
    }

    fn drop_tasks_and_chunks(&mut self, job: JobId) {
        for layer in 0..self.jobs[&job].layers.len() {
            let layer = LayerId(u32::try_from(layer).expect("layer ids are 32 bits"));
            let record = self.layer_mut(job, layer);
            let mut tasks: Vec<u64> = record.tasks.keys().copied().collect();
            tasks.sort_unstable();
            for block in tasks {
                self.drop_task(TaskId { job, layer, block });
            }
            let record = self.layer_mut(job, layer);
            let mut chunks: Vec<u64> = record.chunks.keys().copied().collect();
            chunks.sort_unstable();
            for block in chunks {
                let chunk = ChunkId { job, layer, block };
                let record = self
                    .layer_mut(job, layer)
                    .chunks
                    .get_mut(&block)
                    .expect("listed above");
                record.needed = 0;
                self.release_if_unwanted(chunk);
            }
        }
    }

    /// Counts anew who needs a layer's chunks, after a consumer is gone.
    pub(super) fn recount(&mut self, job: JobId, layer: LayerId) {
        let mut held: Vec<u64> = self.layer(job, layer).chunks.keys().copied().collect();
        held.sort_unstable();
        for block in held {
            let chunk = ChunkId { job, layer, block };
            let needed = self
                .dependents_of(chunk)
                .into_iter()
                .filter(|&t| !self.is_finished(t))
                .count();
            let record = self
                .layer_mut(job, layer)
                .chunks
                .get_mut(&block)
                .expect("listed above");
            record.needed = needed as u64;
            self.release_if_unwanted(chunk);
        }
    }
}
