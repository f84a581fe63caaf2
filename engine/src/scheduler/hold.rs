//! Who keeps a chunk: tasks that need it, names that clients hold, deliveries under way.

use bytes::Bytes;
use graticule_plan::{ChunkId, JobId, Key, LayerId, TaskId, WorkerId};

use super::{
    ClientId, Command, JobEvent, Observation, Sabotage, Scheduler,
    record::{ChunkRecord, Holders, JobState, TaskState},
};
use crate::{BlockRun, Peer, ToWorker};

/// The most bytes that one chunk counts for, whatever its worker says.
pub(super) const CHUNK_BYTES_MAX: u64 = 1 << 40;
/// How often a client may fail to fetch a chunk before its job fails.
const DELIVERY_FAILURES_MAX: u32 = 100;

impl Scheduler {
    pub(super) fn notify(&mut self, client: ClientId, job: JobId, event: JobEvent) {
        self.out.push(Command::Notify { client, job, event });
    }

    /// Tells the client that awaits a chunk that it is there.
    pub(super) fn offer(&mut self, chunk: ChunkId, inline: Option<Bytes>) {
        let layer = self.layer(chunk.job, chunk.layer);
        if !layer.is_told(chunk.block) || self.is_spreading(chunk) {
            return;
        }
        let Some(record) = layer.chunks.get(chunk.block) else {
            return;
        };
        let event = JobEvent::ChunkReady {
            layer: chunk.layer,
            block: chunk.block,
            bytes: record.bytes,
            peers: self.peers(&record.holders),
            inline,
        };
        let client = self.jobs[&chunk.job].client;
        self.notify(client, chunk.job, event);
    }

    pub(super) fn peers(&self, holders: &Holders) -> Vec<Peer> {
        holders
            .iter()
            .filter_map(|id| self.workers.get(&id))
            .map(|w| w.peer.clone())
            .collect()
    }

    /// Puts chunks that are alike into the books.
    pub(super) fn insert_chunks(&mut self, chunks: BlockRun, record: ChunkRecord) {
        let each = u128::from(record.bytes);
        let in_all = each * u128::from(chunks.count);
        let beyond_plan = in_all.saturating_sub(self.output_bytes(chunks));
        let layer = self.layer_mut(chunks.job, chunks.layer);
        layer.chunks.insert_run(chunks.first, chunks.count, record);
        let (passing, undelivered) = (layer.passing_count(chunks), layer.awaited_count(chunks));
        let (transient, bytes) = (passing > 0, each * u128::from(passing));
        if undelivered > 0 {
            let bytes = each * u128::from(undelivered);
            self.undelivered_bytes += bytes;
            self.job_mut(chunks.job).ledger.undelivered_bytes += bytes;
        }
        if transient {
            self.transient_bytes += bytes;
            let ledger = &mut self.job_mut(chunks.job).ledger;
            ledger.held_bytes += bytes;
            ledger.beyond_plan_bytes += beyond_plan;
            ledger.note_peak();
            self.note_peak();
        }
    }

    /// Takes a chunk that is there out of the books.
    pub(super) fn remove_chunk(&mut self, chunk: ChunkId) -> ChunkRecord {
        self.remove_chunks(chunk.into())
    }

    /// Takes chunks that share a record out of the books.
    fn remove_chunks(&mut self, chunks: BlockRun) -> ChunkRecord {
        let layer = self.layer_mut(chunks.job, chunks.layer);
        let record = layer.chunks.remove_run(chunks.first, chunks.count);
        let (passing, undelivered) = (layer.passing_count(chunks), layer.awaited_count(chunks));
        let each = u128::from(record.bytes);
        let (transient, bytes) = (passing > 0, each * u128::from(passing));
        if undelivered > 0 {
            let bytes = each * u128::from(undelivered);
            self.undelivered_bytes -= bytes;
            self.job_mut(chunks.job).ledger.undelivered_bytes -= bytes;
        }
        if transient {
            self.transient_bytes -= bytes;
            self.job_mut(chunks.job).ledger.held_bytes -= bytes;
        }
        record
    }

    pub(super) fn on_delivered(&mut self, chunk: ChunkId) {
        let Some(job) = self.jobs.get_mut(&chunk.job) else {
            return;
        };
        if job.client_is_away && self.sabotage == Sabotage::ForgetDelivered {
            return;
        }
        let Some(layer) = job.layers.get_mut(chunk.layer.0 as usize) else {
            return;
        };
        let known = chunk.block < layer.spec.layer.grid.block_count();
        if !known || !layer.awaits_delivery(chunk.block) {
            return;
        }
        let delivered = layer.delivered.as_mut().expect("asked above");
        delivered.insert(chunk.block);
        if let Some(record) = layer.chunks.get(chunk.block) {
            let bytes = u128::from(record.bytes);
            self.undelivered_bytes -= bytes;
            job.ledger.undelivered_bytes -= bytes;
        }
        job.outputs_left -= 1;
        self.release_if_unwanted(chunk);
        // It may be in the making again; that is not needed any more.
        self.waive_if_unneeded(chunk);
        self.finish_if_complete(chunk.job);
    }

    pub(super) fn on_delivery_failed(&mut self, chunk: ChunkId, worker: WorkerId) {
        if self.sabotage == Sabotage::CountFailedDeliveries {
            return self.on_delivered(chunk);
        }
        let Some(job) = self.jobs.get_mut(&chunk.job) else {
            return;
        };
        let layer = job.layers.get(chunk.layer.0 as usize);
        if !layer.is_some_and(|layer| layer.is_output() && layer.chunks.contains(chunk.block)) {
            return;
        }
        let failures = job
            .delivery_failures
            .entry((chunk.layer, chunk.block))
            .or_default();
        *failures += 1;
        let failures = *failures;
        self.replica_is_gone(chunk, worker);
        if failures >= DELIVERY_FAILURES_MAX {
            let why = format!(
                "the client could not fetch this chunk from the worker that held it, {failures} times"
            );
            let message = self.tell_where(chunk, &why);
            self.fail_job(chunk.job, &message);
        } else if self.is_held(chunk) {
            self.offer(chunk, None);
        }
    }

    /// Tasks are finished, or nobody wants them: their inputs are needed once less.
    pub(super) fn inputs_spared(&mut self, tasks: BlockRun) {
        let mut spared = std::mem::take(&mut self.spared);
        self.push_inputs(tasks, &mut spared);
        while let Some(chunks) = spared.pop() {
            let layer = self.layer_mut(chunks.job, chunks.layer);
            let (count, record) = layer.chunks.run_at(chunks.first, chunks.count);
            if count < chunks.count {
                spared.push(chunks.part(chunks.first + count, chunks.count - count));
            }
            let alike = chunks.part(chunks.first, count);
            if let Some(record) = record {
                let left = record.needed - 1;
                if left == 0 && !layer.is_output() {
                    self.release_alike(alike);
                    continue;
                }
                layer
                    .chunks
                    .update(chunks.first, count, |record| record.needed = left);
                if left <= 1 {
                    self.release_run_if_unwanted(alike);
                }
            } else {
                for chunk in alike.each() {
                    if !self.is_known_needed(chunk) && self.waive(chunk) {
                        self.each_input(chunk, |chunk| spared.push(chunk.into()));
                    }
                }
            }
        }
        self.spared = spared;
    }

    /// Adds what tasks need, once for each task and input that names it.
    fn push_inputs(&self, tasks: BlockRun, found: &mut Vec<BlockRun>) {
        let inputs = &self.layer(tasks.job, tasks.layer).inputs;
        if tasks.count > 1 && inputs.iter().all(|input| input.map.fan_in().is_some()) {
            inputs
                .iter()
                .for_each(|input| found.extend(input.sources_of(tasks)));
        } else {
            for task in tasks.each() {
                self.each_input(task, |chunk| found.push(chunk.into()));
            }
        }
    }

    /// Drops the demand for a task if nobody needs it any more, and for what only it needs.
    pub(super) fn waive_if_unneeded(&mut self, task: TaskId) {
        if self.jobs.contains_key(&task.job) && !self.is_held(task) && self.waive(task) {
            self.inputs_spared(task.into());
        }
    }

    /// Returns whether the task had been needed, and is no longer.
    ///
    /// It counts as finished then: that it may not have run matters to nobody, since who wants its chunk later finds
    /// it absent and demands it.
    fn waive(&mut self, task: TaskId) -> bool {
        let layer = self.layer(task.job, task.layer);
        let needed = layer.is_wanted_output(task.block)
            || self.dependents_of(task).into_iter().any(|d| !self.is_finished(d));
        if needed || self.is_finished(task) {
            return false;
        }
        self.drop_task(task);
        self.layer_mut(task.job, task.layer).finished.insert(task.block)
    }

    /// Forgets a demanded task, wherever it stands.
    pub(super) fn drop_task(&mut self, task: TaskId) {
        let Some(record) = self.task(task) else { return };
        let attempt = record.attempt;
        match record.state {
            TaskState::Waiting { .. } => {}
            TaskState::Ready => self.ready_to_waiting(task, 0),
            TaskState::Leased { worker } => {
                self.unlease(worker, task.into());
                self.send(worker, ToWorker::Revoke { tasks: vec![task] });
                let layer = self.layer_mut(task.job, task.layer);
                layer.attempts.insert(task.block, attempt);
                self.out.push(Command::Observe(Observation::TaskReset {
                    task,
                    attempt: attempt - 1,
                    was_finished: false,
                }));
            }
        }
        let layer = self.layer_mut(task.job, task.layer);
        layer.tasks.remove(task.block).expect("looked up above").ends();
    }

    /// Drops those of chunks that no task needs and no client keeps or awaits.
    pub(super) fn release_run_if_unwanted(&mut self, chunks: BlockRun) {
        if chunks.count == 1 {
            return self.release_if_unwanted(chunks.head());
        }
        let mut first = chunks.first;
        while first < chunks.end() {
            let Some(job) = self.jobs.get(&chunks.job) else {
                return;
            };
            let layer = &job.layers[chunks.layer.0 as usize];
            let (count, record) = layer.chunks.run_at(first, chunks.end() - first);
            let (count, is_wanted) = layer.wanted_run_at(first, count);
            let unneeded = record.is_some_and(|record| record.needed == 0) && !is_wanted;
            let alike = chunks.part(first, count);
            first += count;
            if unneeded {
                self.release_alike(alike);
            }
        }
    }

    /// Drops a chunk that no task needs and no client keeps or awaits.
    pub(super) fn release_if_unwanted(&mut self, chunk: ChunkId) {
        let Some(job) = self.jobs.get(&chunk.job) else {
            return;
        };
        let layer = &job.layers[chunk.layer.0 as usize];
        let careless = self.sabotage == Sabotage::ReleaseTooEarly && layer.attempts.contains(chunk.block);
        let spare = u64::from(careless);
        let unwanted = layer
            .chunks
            .get(chunk.block)
            .is_some_and(|record| record.needed <= spare);
        if !unwanted || layer.is_wanted_output(chunk.block) {
            return;
        }
        self.release_alike(chunk.into());
    }

    /// Drops chunks that share a record.
    fn release_alike(&mut self, chunks: BlockRun) {
        self.observe_release(chunks);
        for holder in self.remove_chunks(chunks).holders.iter() {
            if let Some(worker) = self.workers.get_mut(&holder) {
                worker.held_count -= chunks.count;
                self.releases.push((holder, chunks));
            }
        }
    }

    /// Says that chunks are let go, together as far as the same attempt made them.
    fn observe_release(&mut self, chunks: BlockRun) {
        let mut first = chunks.first;
        while first < chunks.end() {
            let layer = self.layer(chunks.job, chunks.layer);
            let (count, attempt) = layer.attempts.run_at(first, chunks.end() - first);
            let attempt = attempt.copied().unwrap_or(1) - 1;
            let chunks = chunks.part(first, count);
            first += count;
            let released = Observation::ChunksReleased { chunks, attempt };
            self.out.push(Command::Observe(released));
        }
    }

    /// Tells workers what they need hold no longer: before anything that is said to them after it became so.
    pub(super) fn flush_releases(&mut self) {
        if self.releases.is_empty() {
            return;
        }
        let mut releases = std::mem::take(&mut self.releases);
        // The order of one worker's chunks stays.
        releases.sort_by_key(|&(worker, _)| worker);
        for of_worker in releases.chunk_by(|a, b| a.0 == b.0) {
            let chunks = of_worker.iter().map(|&(_, chunks)| chunks).collect();
            self.send(of_worker[0].0, ToWorker::Release { chunks });
        }
        releases.clear();
        self.releases = releases;
    }

    pub(super) fn on_key_released(&mut self, key: Key) {
        let Some(&(job, layer)) = self.keys.get(&key) else {
            return;
        };
        let record = self.job_mut(job);
        if record.state == JobState::Running {
            let of_layer = &record.layers[layer.0 as usize];
            record.outputs_left -= of_layer.missing_count() / of_layer.pins.len().max(1) as u64;
        }
        self.unpin(key);
        for block in self.layer(job, layer).tasks.blocks() {
            self.waive_if_unneeded(TaskId { job, layer, block });
        }
        let record = &self.jobs[&job];
        if record.state == JobState::Running && !record.layers.iter().any(|l| l.is_output()) {
            self.on_cancelled(job);
        } else {
            self.finish_if_complete(job);
            self.forget_if_unused(job);
        }
        self.fail_orphans(job);
    }

    /// Takes a name off its layer, and drops what nobody needs then.
    pub(super) fn unpin(&mut self, key: Key) {
        let Some((job, layer)) = self.keys.remove(&key) else {
            return;
        };
        let record = self.layer_mut(job, layer);
        let kept = record
            .chunks
            .iter()
            .filter(|(block, _)| record.pin_count(*block) > 0);
        let bytes: u128 = kept.map(|(_, c)| u128::from(c.bytes)).sum();
        record.pins.remove(&key);
        if !record.pins.is_empty() {
            return;
        }
        let held = record.chunks.blocks();
        let spec = &record.spec.layer;
        let planned = u128::from(spec.grid.element_count()) * u128::from(spec.item_bytes);
        self.transient_bytes += bytes;
        let ledger = &mut self.job_mut(job).ledger;
        let before = ledger.held_bytes;
        ledger.held_bytes += bytes;
        // What is still to be made will pass through too.
        ledger.let_go_bytes += planned.saturating_sub(bytes);
        for block in held {
            self.release_if_unwanted(ChunkId { job, layer, block });
        }
        if let Some(record) = self.jobs.get_mut(&job) {
            record.ledger.let_go_bytes += record.ledger.held_bytes.saturating_sub(before);
        }
    }

    /// Counts anew who needs a layer's chunks.
    pub(super) fn count_needs(&mut self, job: JobId, layer: LayerId) {
        for block in self.layer(job, layer).chunks.blocks() {
            let chunk = ChunkId { job, layer, block };
            let mut needed = 0;
            self.each_dependent(chunk, |task| needed += u64::from(!self.is_finished(task)));
            if self.sabotage == Sabotage::CountNeedsShort {
                needed = needed.saturating_sub(1);
            }
            let record = self.layer_mut(job, layer).chunks.get_mut(block);
            record.expect("listed above").needed = needed;
        }
    }

    /// Drops those of a layer's tasks and chunks that nobody needs.
    pub(super) fn drop_unneeded(&mut self, job: JobId, layer: LayerId) {
        for block in self.layer(job, layer).tasks.blocks() {
            self.waive_if_unneeded(TaskId { job, layer, block });
        }
        for block in self.layer(job, layer).chunks.blocks() {
            self.release_if_unwanted(ChunkId { job, layer, block });
        }
    }
}
