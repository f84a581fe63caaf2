//! Copies of chunks that a worker which retires alone holds: ordered, booked, answered.

use std::collections::{BTreeMap, BinaryHeap};

use graticule_plan::{ChunkId, WorkerId};

use super::{
    Sabotage, Scheduler,
    record::TaskState,
    retire::{COPIES_PER_WORKER_MAX, Copying},
};
use crate::{ChunkHeld, ChunkToCopy, CopyFailure, CopyId, CopyReport, ToWorker};

/// Chunks without a place that are looked at in one go.
const TRIES_AT_ONCE_MAX: usize = 256;
/// Pause after a copy that failed, microseconds.
const FAILURE_PAUSE_US: u64 = 100_000;

impl Scheduler {
    /// Orders copies of what is left, as many as may be under way and fit.
    pub(super) fn order_copies(&mut self, worker: WorkerId) {
        let retirement = self.retire_mut(worker);
        if retirement.left.is_empty() || retirement.under_way >= COPIES_PER_WORKER_MAX {
            return;
        }
        let mut left = std::mem::take(&mut retirement.left);
        let mut free = COPIES_PER_WORKER_MAX - retirement.under_way;
        let mut rooms = self.rooms();
        let mut orders: BTreeMap<WorkerId, Vec<ChunkToCopy>> = BTreeMap::new();
        let mut stuck = Vec::new();
        while free > 0
            && stuck.len() < TRIES_AT_ONCE_MAX
            && let Some(chunk) = left.pop_front()
        {
            if !self.is_sole(chunk, worker) {
                continue;
            }
            let record = self.layer(chunk.job, chunk.layer).chunks.get(chunk.block);
            let bytes = record.expect("held, as asked above").bytes;
            if self.retires.by_chunk.contains_key(&chunk) {
                stuck.push(chunk);
                continue;
            }
            match rooms.pop() {
                Some((room, to)) if room >= bytes => {
                    rooms.push((room - bytes, to));
                    let from = worker;
                    let order = self.book_copy(Copying {
                        chunk,
                        from,
                        to,
                        bytes,
                    });
                    orders.entry(to).or_default().push(order);
                    free -= 1;
                }
                other => {
                    rooms.extend(other);
                    stuck.push(chunk);
                }
            }
        }
        let is_stuck = !stuck.is_empty();
        // Behind the others, so that smaller ones are looked at too.
        left.extend(stuck);
        let retirement = self.retire_mut(worker);
        (retirement.left, retirement.is_stuck) = (left, is_stuck);
        for (to, chunks) in orders {
            self.copies_ordered(to, &chunks);
            self.send(to, ToWorker::Copy { chunks });
        }
    }

    /// Workers that stay by the bytes that they have free, those with most on top.
    pub(super) fn rooms(&self) -> BinaryHeap<(u64, WorkerId)> {
        let stays = self
            .workers
            .iter()
            .filter(|(id, w)| !w.retiring && !self.retires.full.contains(id));
        let room = stays.map(|(&id, w)| {
            let incoming = self.retires.incoming.get(&id).copied().unwrap_or(0);
            let in_use = w.status.memory_bytes.saturating_add(w.status.reserved_bytes);
            (w.budget_bytes.saturating_sub(in_use.saturating_add(incoming)), id)
        });
        room.collect()
    }

    pub(super) fn next_copy(&mut self) -> CopyId {
        self.retires.next_copy += 1;
        CopyId(self.retires.next_copy - 1)
    }

    fn book_copy(&mut self, copying: Copying) -> ChunkToCopy {
        let copy = self.next_copy();
        let Copying {
            chunk,
            from,
            to,
            bytes,
        } = copying;
        let record = self.layer(chunk.job, chunk.layer).chunks.get(chunk.block);
        let peers = self.peers(&record.expect("held, as the caller saw").holders);
        self.retires.copies.insert(copy, copying);
        self.retires.by_chunk.insert(chunk, copy);
        if bytes > 0 {
            *self.retires.incoming.entry(to).or_default() += bytes;
        }
        self.retire_mut(from).under_way += 1;
        ChunkToCopy {
            copy,
            chunk,
            bytes,
            peers,
        }
    }

    /// The planted defect: counts what was ordered as held.
    fn copies_ordered(&mut self, to: WorkerId, chunks: &[ChunkToCopy]) {
        if self.sabotage == Sabotage::CountCopyEarly {
            for order in chunks {
                let (chunk, bytes) = (order.chunk, order.bytes);
                self.remove_copy(order.copy);
                self.adopt(to, ChunkHeld { chunk, bytes });
            }
        }
    }

    pub(super) fn remove_copy(&mut self, copy: CopyId) -> Option<Copying> {
        let copying = self.retires.copies.remove(&copy)?;
        self.retires.by_chunk.remove(&copying.chunk);
        let incoming = &mut self.retires.incoming;
        let before = incoming.remove(&copying.to).unwrap_or(0);
        let after = before - copying.bytes;
        if after > 0 {
            incoming.insert(copying.to, after);
        }
        if let Some(retirement) = self.retires.workers.get_mut(&copying.from) {
            retirement.under_way = retirement.under_way.saturating_sub(1);
        }
        self.retires.room_changed = true;
        Some(copying)
    }

    /// A worker is about to make a chunk itself that it was to copy: what it will say of the copy has no meaning.
    pub(super) fn forget_copy(&mut self, worker: WorkerId, chunk: ChunkId) {
        if !self.spreads.is_empty() {
            self.spreads.retain(|_, order| *order != (chunk, worker));
        }
        if self.retires.copies.is_empty() {
            return;
        }
        if let Some(copy) = self.copy_to(worker, chunk) {
            self.remove_copy(copy);
        }
    }

    fn copy_to(&self, worker: WorkerId, chunk: ChunkId) -> Option<CopyId> {
        let &copy = self.retires.by_chunk.get(&chunk)?;
        (self.retires.copies[&copy].to == worker).then_some(copy)
    }

    /// Whether a worker was told to copy the chunk, from one that leaves or to have a second one, and has not answered.
    pub(super) fn is_copying(&self, worker: WorkerId, chunk: ChunkId) -> bool {
        self.copy_to(worker, chunk).is_some() || self.spreads.values().any(|order| *order == (chunk, worker))
    }

    /// Whether somebody was told to copy the chunk and has not answered.
    pub(super) fn is_being_copied(&self, chunk: ChunkId) -> bool {
        self.retires.by_chunk.contains_key(&chunk)
    }

    pub(super) fn copies_under_way(&self) -> usize {
        self.retires.copies.len()
    }

    pub(super) fn on_copied(&mut self, worker: WorkerId, reports: Vec<CopyReport>) {
        for report in reports {
            if self.on_spread(worker, &report) {
                continue;
            }
            let CopyReport { copy, chunk, outcome } = report;
            let order = self.retires.copies.get(&copy);
            if order.is_none_or(|order| order.to != worker || order.chunk != chunk) {
                self.stale_copy(worker, chunk, outcome.is_ok());
                continue;
            }
            let order = self.remove_copy(copy).expect("looked up above");
            match outcome {
                Ok(bytes) => {
                    if let Some(record) = self.workers.get_mut(&worker) {
                        record.status.memory_bytes = record.status.memory_bytes.saturating_add(bytes);
                    }
                    if !self.adopt(worker, ChunkHeld { chunk, bytes }) {
                        self.releases.push((worker, chunk.into()));
                    }
                }
                Err(_) if self.sabotage == Sabotage::CountRefusedCopies => {
                    let bytes = order.bytes;
                    self.adopt(worker, ChunkHeld { chunk, bytes });
                }
                Err(failure) => self.copy_failed(order, failure),
            }
        }
    }

    fn copy_failed(&mut self, order: Copying, failure: CopyFailure) {
        let until = self.now + FAILURE_PAUSE_US;
        if failure == CopyFailure::NoRoom {
            self.retires.full.insert(order.to);
        }
        if let Some(retirement) = self.retires.workers.get_mut(&order.from) {
            retirement.left.push_back(order.chunk);
            if failure == CopyFailure::NotFetched {
                retirement.no_copies_until = until;
            }
        }
    }

    /// What a worker says of a copy that nobody waits for any more. A lease since then had it drop the chunk.
    fn stale_copy(&mut self, worker: WorkerId, chunk: ChunkId, has_it: bool) {
        let leased_here = self
            .task(chunk)
            .is_some_and(|task| task.state == TaskState::Leased { worker });
        if has_it && !leased_here && !self.is_copying(worker, chunk) && !self.holds(worker, chunk) {
            self.releases.push((worker, chunk.into()));
        }
    }
}
