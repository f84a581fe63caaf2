//! Values that clients hand to workers: scattered data.
//!
//! A value is a block that stands for itself, leased like others: its worker reserves the bytes and waits, and the client
//! is told where, and for which attempt: a worker that is called back drops what it was given before. When the value is
//! there it is copied to as many workers as shall hold it, and told of when no copy is under way any more. One that all
//! lose cannot be made again: its client has it no more, says so, and it fails.

use std::collections::BTreeMap;

use graticule_plan::{ChunkId, JobId, TaskId, WorkerId};

use super::{JobEvent, Scheduler, record::TaskState};
use crate::{BlockRun, ChunkHeld, ChunkToCopy, CopyId, CopyReport, ToWorker};

/// Copies that were ordered and not answered yet, so that a value is held by more workers.
pub(super) type Spreads = BTreeMap<CopyId, (ChunkId, WorkerId)>;

/// Values that lack copies and are looked at when a worker says how it is.
const THIN_COUNT_MAX: usize = 256;

impl Scheduler {
    /// Tells a client for which of its values a worker waits.
    pub(super) fn tell_value_awaited(&mut self, tasks: BlockRun, worker: WorkerId) {
        let job = &self.jobs[&tasks.job];
        let layer = &job.layers[tasks.layer.0 as usize];
        let worker = self.workers.get(&worker);
        let worker = worker.filter(|_| layer.spec.layer.replicas().is_some());
        let (Some(worker), Some(record)) = (worker, layer.tasks.get(tasks.first)) else {
            return;
        };
        let (client, peer, attempt) = (job.client, worker.peer.clone(), record.attempt);
        for task in tasks.each() {
            let awaited = JobEvent::ValueAwaited {
                layer: task.layer,
                block: task.block,
                peer: peer.clone(),
                attempt,
            };
            self.notify(client, tasks.job, awaited);
        }
    }

    /// Tells a client that is back of all values of a job for which workers wait.
    pub(super) fn tell_values_again(&mut self, job: JobId) {
        let mut awaited = Vec::new();
        for layer in &self.jobs[&job].layers {
            if layer.spec.layer.replicas().is_some() {
                awaited.extend(layer.tasks.iter().filter_map(|(block, task)| match task.state {
                    TaskState::Leased { worker } => Some((layer.spec.id, block, worker)),
                    TaskState::Waiting { .. } | TaskState::Ready => None,
                }));
            }
        }
        for (layer, block, worker) in awaited {
            self.tell_value_awaited(TaskId { job, layer, block }.into(), worker);
        }
    }

    /// Has a value copied until as many workers hold it as shall, as far as there are workers with room.
    pub(super) fn spread(&mut self, chunk: ChunkId) {
        self.thin.remove(&chunk);
        let Some(job) = self.jobs.get(&chunk.job) else {
            return;
        };
        let layer = &job.layers[chunk.layer.0 as usize];
        let wanted = layer.spec.layer.replicas().unwrap_or(1) as usize;
        let Some(record) = layer.chunks.get(chunk.block).filter(|_| wanted > 1) else {
            return;
        };
        let bytes = record.bytes;
        let under_way = self.spreads.values().filter(|(of, _)| *of == chunk);
        let coming: Vec<WorkerId> = under_way.map(|&(_, to)| to).collect();
        let missing = wanted.saturating_sub(record.holders.len() + coming.len());
        let takes_it = |room: u64, to: &WorkerId| {
            let worker = self.workers.get(to);
            let may = worker.is_some_and(|worker| layer.may_run_on(worker));
            may && room >= bytes && !record.holders.contains(*to) && !coming.contains(to)
        };
        let rooms = self.rooms().into_sorted_vec().into_iter().rev();
        let open = rooms.filter(|(room, to)| takes_it(*room, to)).take(missing);
        let open: Vec<WorkerId> = open.map(|(_, to)| to).collect();
        let peers = self.peers(&record.holders);
        if open.len() < missing {
            self.thin.insert(chunk);
        }
        // A worker that has just been told to drop the chunk must hear that before it hears that it shall hold it.
        self.flush_releases();
        for to in open {
            let copy = self.next_copy();
            self.spreads.insert(copy, (chunk, to));
            let peers = peers.clone();
            let chunks = vec![ChunkToCopy {
                copy,
                chunk,
                bytes,
                peers,
            }];
            self.send(to, ToWorker::Copy { chunks });
        }
    }

    /// A worker may have come, or have room: tries again what lacks copies.
    pub(super) fn spread_thin(&mut self) {
        let thin: Vec<ChunkId> = self.thin.iter().copied().take(THIN_COUNT_MAX).collect();
        thin.into_iter().for_each(|chunk| self.spread(chunk));
    }

    /// Whether copies of a value are under way.
    pub(super) fn is_spreading(&self, chunk: ChunkId) -> bool {
        self.spreads.values().any(|(of, _)| *of == chunk)
    }

    /// Takes in what became of a copy of a value; `false` if it is none.
    pub(super) fn on_spread(&mut self, worker: WorkerId, report: &CopyReport) -> bool {
        let CopyReport { copy, chunk, outcome } = *report;
        if self.spreads.get(&copy) != Some(&(chunk, worker)) {
            return false;
        }
        self.spreads.remove(&copy);
        if outcome.is_err() {
            self.thin.insert(chunk);
        }
        if let Ok(bytes) = outcome {
            // Only one that is held by others too: what nobody needs any more, or all others lost, is dropped.
            let is_held = self.jobs.contains_key(&chunk.job) && self.is_held(chunk);
            let is_counted = is_held && self.adopt(worker, ChunkHeld { chunk, bytes });
            // One that retires may have had it copied here too: what becomes of that says what becomes of the chunk.
            if !is_counted && !self.is_copying(worker, chunk) {
                self.releases.push((worker, chunk.into()));
            }
        }
        self.offer_spread(chunk);
        true
    }

    /// A worker is gone, and with it the copies that it was to make.
    pub(super) fn forget_spreads_to(&mut self, worker: WorkerId) {
        let to_it = self.spreads.extract_if(.., |_, (_, to)| *to == worker);
        let chunks: Vec<ChunkId> = to_it.map(|(_, (chunk, _))| chunk).collect();
        for chunk in chunks {
            self.spread(chunk);
            self.offer_spread(chunk);
        }
    }

    /// Tells of a value, once no copy of it is under way.
    fn offer_spread(&mut self, chunk: ChunkId) {
        if self.jobs.contains_key(&chunk.job) && !self.is_spreading(chunk) {
            self.offer(chunk, None);
        }
    }
}
