//! Kept, spilled or made again: what a worker that is short of memory drops instead of spilling it.
//!
//! A chunk that needs nothing to be made, as what is read or generated, need not outlive the memory for it. If making it
//! again, for each task that is still to read it, takes less of the worker's time than its disk would, and nobody needs it
//! now, it is let go: its task counts as never run, and a walk that comes to it demands it again. Tasks that wait for something else beside it (an anomaly for the mean)
//! ask for it when that is there. So the chunks that are needed last are let go first, which are those of the highest blocks,
//! since walks come to them in order.

use graticule_plan::{ChunkId, JobId, LayerId, TaskId, WorkerId};

use super::{
    Command, Observation, Sabotage, Scheduler,
    record::{ChunkRecord, JobState, LayerRecord, TaskState},
};
use crate::{BlockRun, ToWorker};

/// The most chunks, and tasks that are to read them, that are looked at for one answer.
const LOOKED_AT_MAX: u64 = 1 << 16;
/// A chunk that is made whole for one of several tasks, which reads a part of it, takes the room of others that are wanted
/// again too.
const ROOM_FACTOR: u64 = 2;
/// The most inputs of a task that are looked through for one that it waits for.
const INPUTS_MAX: u64 = 64;

impl Scheduler {
    /// A worker would have to spill so many bytes.
    pub(super) fn on_short_of_memory(&mut self, worker: WorkerId, short_bytes: u64, disk_bytes_per_s: u64) {
        let chosen = self.to_let_go(worker, short_bytes, disk_bytes_per_s.max(1));
        for &chunk in &chosen {
            self.forgo(worker, chunk);
        }
        // What was released before must not be taken for part of the answer.
        self.flush_releases();
        let chunks = chosen.into_iter().map(BlockRun::from).collect();
        self.send(worker, ToWorker::Relief { chunks });
    }

    /// Chunks of a worker that cost less to make again than to spill, enough of them if there are.
    fn to_let_go(&self, worker: WorkerId, short_bytes: u64, disk_bytes_per_s: u64) -> Vec<ChunkId> {
        let Some(slots) = self.workers.get(&worker).map(|record| u64::from(record.slots)) else {
            return Vec::new();
        };
        let (mut chosen, mut bytes, mut looked_at) = (Vec::new(), 0_u64, 0);
        for (job, layer) in self.sources_in_memory() {
            let record = self.layer(job, layer);
            let make_us = record.measured.mean_us(record.spec.layer.cost_ns) / slots.max(1);
            for (block, chunk) in record.chunks.iter().rev() {
                looked_at += 1;
                if bytes >= short_bytes || looked_at > LOOKED_AT_MAX {
                    return chosen;
                }
                let id = ChunkId { job, layer, block };
                let may_be_cheaper = chunk.costs_more_on_disk(make_us, disk_bytes_per_s);
                if !may_be_cheaper || !chunk.holders.are_only(worker) {
                    continue;
                }
                // Tasks of a rechunk come to it one after another, and find it gone each time: of what was written they read
                // their parts.
                let Some(uses) = self.uses_later(id) else { continue };
                looked_at += uses;
                let making = if uses > 1 {
                    uses.saturating_mul(ROOM_FACTOR)
                } else {
                    uses
                };
                if chunk.costs_more_on_disk(make_us.saturating_mul(making), disk_bytes_per_s) {
                    bytes += chunk.bytes;
                    chosen.push(id);
                }
            }
        }
        chosen
    }

    /// Layers whose chunks need nothing to be made and that no client wants, the latest jobs' first.
    fn sources_in_memory(&self) -> Vec<(JobId, LayerId)> {
        let running = self.running.iter().rev().map(|&job| (job, &self.jobs[&job]));
        let running =
            running.filter(|(_, record)| record.state == JobState::Running && !record.client_is_away);
        let layers = running.flat_map(|(job, record)| record.layers.iter().map(move |layer| (job, layer)));
        layers
            .filter(|(_, layer)| layer.can_be_let_go())
            .map(|(job, layer)| (job, layer.spec.id))
            .collect()
    }

    /// Tasks that are still to read a chunk, each maybe at another time; `None` if it is not to be let go: it is being copied,
    /// or a demanded task needs it that does not wait for something else that takes longer.
    fn uses_later(&self, chunk: ChunkId) -> Option<u64> {
        let is_fresh = self.layer(chunk.job, chunk.layer).latest_attempt(chunk.block) == 1;
        let careless = self.sabotage == Sabotage::LetGoAwaited;
        let (mut is_needed, mut uses) = (self.is_being_copied(chunk), 0);
        self.each_dependent(chunk, |task| {
            uses += u64::from(!self.layer(task.job, task.layer).finished.contains(task.block));
            if let Some(record) = self.task(task) {
                let waits = matches!(record.state, TaskState::Waiting { .. });
                // Once only, or two inputs could be let go in turn without end.
                is_needed |= !(careless || waits && is_fresh && self.waits_for_more(task));
            }
        });
        (!is_needed).then_some(uses)
    }

    /// Whether a waiting task misses something that needs other chunks itself, so that what it has is in its way for longer.
    fn waits_for_more(&self, task: TaskId) -> bool {
        let mut waits = false;
        if self.input_count(task) <= INPUTS_MAX {
            self.each_input(task, |input| {
                let is_source = self.layer(input.job, input.layer).inputs.is_empty();
                waits |= !is_source && !self.is_held(input);
            });
        }
        waits
    }

    /// Takes a chunk off the books as if it had never been made. Tasks that wait with it will ask for it when they have all
    /// else.
    fn forgo(&mut self, worker: WorkerId, chunk: ChunkId) {
        self.remove_chunk(chunk);
        if let Some(holder) = self.workers.get_mut(&worker) {
            holder.held_count -= 1;
        }
        let mut is_awaited = false;
        for task in self.dependents_of(chunk) {
            let careless = self.sabotage == Sabotage::LetGoAwaited;
            if let Some(record) = self.task_mut(task)
                && let TaskState::Waiting { missing } = &mut record.state
                && !careless
            {
                *missing += 1;
                is_awaited = true;
            }
        }
        let layer = self.layer_mut(chunk.job, chunk.layer);
        layer.finished.remove(chunk.block);
        let attempt = layer.latest_attempt(chunk.block);
        layer.attempts.insert(chunk.block, attempt);
        if is_awaited && layer.let_go.insert(chunk.block) {
            self.awaited_later += 1;
        }
        self.let_go_count += 1;
        self.out.push(Command::Observe(Observation::ChunkLetGo {
            task: chunk,
            attempt: attempt - 1,
        }));
    }

    /// A task that waits has one input more: if all that it misses now was let go, that is made again.
    pub(super) fn ask_for_what_was_let_go(&mut self, task: TaskId) {
        let careless = self.sabotage == Sabotage::ForgetWhatWasLetGo;
        if self.awaited_later == 0 || careless || self.input_count(task) > INPUTS_MAX {
            return;
        }
        let (mut missing, mut is_due) = (Vec::new(), true);
        self.each_input(task, |input| {
            if !self.is_held(input) {
                is_due &= self.is_let_go(input);
                missing.push(input);
            }
        });
        if is_due {
            for chunk in missing {
                self.is_no_longer_let_go(chunk);
                self.push_lost(chunk);
            }
        }
    }

    /// Whether a chunk was let go that tasks wait with, and is not asked for again yet.
    pub(super) fn is_let_go(&self, chunk: ChunkId) -> bool {
        let layer = self.layer(chunk.job, chunk.layer);
        layer.let_go.contains(chunk.block) && self.is_absent(chunk)
    }

    /// A chunk is asked for again.
    pub(super) fn is_no_longer_let_go(&mut self, chunk: ChunkId) {
        if self.awaited_later > 0 && self.layer_mut(chunk.job, chunk.layer).let_go.remove(chunk.block) {
            self.awaited_later -= 1;
        }
    }
}

impl LayerRecord {
    /// Whether its chunks need nothing to be made, can be made again, and no client wants them.
    fn can_be_let_go(&self) -> bool {
        self.inputs.is_empty()
            && self.apart.is_none()
            && self.measured.is_known()
            && !self.is_output()
            && !self.chunks.is_empty()
    }
}

impl ChunkRecord {
    /// Whether writing it to disk and reading it back takes longer than making it.
    fn costs_more_on_disk(&self, make_us: u64, disk_bytes_per_s: u64) -> bool {
        let disk_us = u128::from(self.bytes) * 2 * 1_000_000 / u128::from(disk_bytes_per_s);
        u128::from(make_us) < disk_us
    }
}
