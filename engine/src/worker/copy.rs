//! Copies of other workers' chunks, made so that those can leave.

use std::collections::{BTreeMap, VecDeque};

use graticule_plan::{ChunkId, JobId};

use super::{Command, RunId, Worker};
use crate::{ChunkToCopy, CopyFailure, CopyId, CopyReport, Peer, ToScheduler};

/// Chunks that are fetched to be kept at a time: tasks have fetches of their own.
const COPIES_AT_ONCE_MAX: usize = 4;

/// Copies that were ordered and not answered yet. The bytes of each are reserved.
#[derive(Debug, Default)]
pub(super) struct Copies {
    slots: BTreeMap<RunId, CopySlot>,
    by_chunk: BTreeMap<ChunkId, RunId>,
    queue: VecDeque<RunId>,
    fetching_count: usize,
}

#[derive(Debug)]
struct CopySlot {
    copy: CopyId,
    chunk: ChunkId,
    peers: Vec<Peer>,
    reserved_bytes: u64,
    fetching: bool,
}

impl Copies {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Checks the books; returns the bytes that are reserved.
    pub(super) fn check(&self) -> Result<u64, String> {
        let fetching = self.slots.values().filter(|slot| slot.fetching).count();
        let queued = self.queue.len();
        if fetching != self.fetching_count || queued + fetching != self.slots.len() {
            return Err(format!(
                "{} copies, {queued} queued and {fetching} fetching, {} counted",
                self.slots.len(),
                self.fetching_count
            ));
        }
        if self.by_chunk.len() != self.slots.len() || fetching > COPIES_AT_ONCE_MAX {
            return Err(format!(
                "{} copies of {} chunks, {fetching} fetching",
                self.slots.len(),
                self.by_chunk.len()
            ));
        }
        Ok(self.slots.values().map(|slot| slot.reserved_bytes).sum())
    }
}

impl Worker {
    /// Reserves the bytes of what is to be copied; what does not fit is refused.
    pub(super) fn on_copy(&mut self, chunks: Vec<ChunkToCopy>) {
        let mut answers = Vec::new();
        for wanted in chunks {
            let (copy, chunk) = (wanted.copy, wanted.chunk);
            let outcome = if let Some(&bytes) = self.held.get(&chunk) {
                Ok(bytes)
            } else if self.tasks.contains_key(&chunk) || self.copies.by_chunk.contains_key(&chunk) {
                Err(CopyFailure::NotFetched)
            } else if self.retiring.is_some() || !self.has_room(wanted.bytes) {
                Err(CopyFailure::NoRoom)
            } else {
                self.queue_copy(wanted);
                continue;
            };
            answers.push(CopyReport { copy, chunk, outcome });
        }
        self.answer(answers);
    }

    fn has_room(&self, bytes: u64) -> bool {
        let in_use = self.memory_bytes.saturating_add(self.reserved_bytes);
        in_use.saturating_add(bytes) <= self.config.budget_bytes
    }

    fn queue_copy(&mut self, wanted: ChunkToCopy) {
        let run = RunId(self.next_run);
        self.next_run += 1;
        self.reserved_bytes = self.reserved_bytes.saturating_add(wanted.bytes);
        let slot = CopySlot {
            copy: wanted.copy,
            chunk: wanted.chunk,
            peers: wanted.peers,
            reserved_bytes: wanted.bytes,
            fetching: false,
        };
        self.copies.by_chunk.insert(slot.chunk, run);
        self.copies.slots.insert(run, slot);
        self.copies.queue.push_back(run);
    }

    pub(super) fn start_copies(&mut self) {
        while self.copies.fetching_count < COPIES_AT_ONCE_MAX
            && let Some(run) = self.copies.queue.pop_front()
        {
            let slot = self
                .copies
                .slots
                .get_mut(&run)
                .expect("queued copies have a slot");
            slot.fetching = true;
            self.copies.fetching_count += 1;
            let (chunk, peers) = (slot.chunk, std::mem::take(&mut slot.peers));
            self.out.push(Command::FetchCopy { run, chunk, peers });
        }
    }

    pub(super) fn copying_to_held(&mut self, run: RunId, bytes: u64) {
        // One that was dropped may arrive all the same; the shell was told to discard it.
        let Some(slot) = self.remove_copy(run) else { return };
        self.held.insert(slot.chunk, bytes);
        self.memory_bytes = self.memory_bytes.saturating_add(bytes);
        self.fetched_bytes = self.fetched_bytes.saturating_add(bytes);
        let (copy, chunk, outcome) = (slot.copy, slot.chunk, Ok(bytes));
        self.out.push(Command::Store { run, chunk });
        self.answer(vec![CopyReport { copy, chunk, outcome }]);
    }

    pub(super) fn copying_to_failed(&mut self, run: RunId) {
        if let Some(slot) = self.remove_copy(run) {
            self.out.push(Command::Discard { run });
            self.answer_failed(&slot);
        }
    }

    /// Gives up the copy of a chunk, if one is under way.
    pub(super) fn drop_copy(&mut self, chunk: ChunkId) {
        if let Some(&run) = self.copies.by_chunk.get(&chunk) {
            let slot = self.remove_copy(run).expect("copies of chunks have a slot");
            if slot.fetching {
                self.out.push(Command::Discard { run });
            }
            self.answer_failed(&slot);
        }
    }

    /// Gives up the copies of a job's chunks.
    pub(super) fn drop_copies_of(&mut self, job: JobId) {
        let of_job = self.copies.by_chunk.keys().filter(|chunk| chunk.job == job);
        for chunk in of_job.copied().collect::<Vec<_>>() {
            self.drop_copy(chunk);
        }
    }

    /// The connection is over: nobody waits for an answer.
    pub(super) fn forget_copies(&mut self) {
        let runs: Vec<RunId> = self.copies.slots.keys().copied().collect();
        for run in runs {
            let slot = self.remove_copy(run).expect("listed above");
            if slot.fetching {
                self.out.push(Command::Discard { run });
            }
        }
    }

    fn remove_copy(&mut self, run: RunId) -> Option<CopySlot> {
        let slot = self.copies.slots.remove(&run)?;
        self.copies.by_chunk.remove(&slot.chunk);
        if slot.fetching {
            self.copies.fetching_count -= 1;
        } else {
            self.copies.queue.retain(|&queued| queued != run);
        }
        self.reserved_bytes -= slot.reserved_bytes;
        Some(slot)
    }

    fn answer_failed(&mut self, slot: &CopySlot) {
        let outcome = Err(CopyFailure::NotFetched);
        let (copy, chunk) = (slot.copy, slot.chunk);
        self.answer(vec![CopyReport { copy, chunk, outcome }]);
    }

    fn answer(&mut self, answers: Vec<CopyReport>) {
        if let (Some(session), false) = (self.link.session(), answers.is_empty()) {
            let message = ToScheduler::Copied(answers);
            self.flush_reports();
            self.out.push(Command::Send { session, message });
        }
    }
}
