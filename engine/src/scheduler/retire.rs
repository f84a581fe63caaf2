//! Workers that shall leave without loss: what only they hold is copied to others first.
//!
//! The copies are ordered of workers with room (`ToWorker::Copy`), few at a time, and count as held when they are
//! reported. A worker that retires is told to leave when nothing runs on it and a look at all chunks finds none that
//! only it holds; or when its deadline is over, and then what it alone holds is lost and made anew if needed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use graticule_plan::{ChunkId, TaskId, WorkerId};

use super::{Command, Observation, Sabotage, Scheduler, record::TaskState};
use crate::{CopyId, Time, ToWorker};

/// Copies under way from one worker that retires.
pub(super) const COPIES_PER_WORKER_MAX: u64 = 32;

/// What a worker that retires waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetireWait {
    /// Tasks that it runs.
    Tasks,
    /// Copies under way.
    Copies,
    /// A copy failed; it is tried again soon.
    Retry,
    /// No worker that stays has room for what is left.
    Room,
    /// It was told to leave.
    Nothing,
}

impl fmt::Display for RetireWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RetireWait::Tasks => "its tasks to end",
            RetireWait::Copies => "its chunks to be copied",
            RetireWait::Retry => "another try at a copy that failed",
            RetireWait::Room => "room on a worker that stays",
            RetireWait::Nothing => "its connection to end",
        })
    }
}

/// How far a worker is that retires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetireProgress {
    /// The worker.
    pub worker: WorkerId,
    /// When it leaves whatever is still to be done.
    pub deadline: Time,
    /// Tasks that it still has.
    pub tasks_left: u64,
    /// Chunks known to be held by it alone, those under way among them; more may come of its tasks.
    pub chunks_left: u64,
    /// What it waits for.
    pub waits_for: RetireWait,
}

impl fmt::Display for RetireProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tasks, chunks) = (self.tasks_left, self.chunks_left);
        write!(
            f,
            "waits for {} ({tasks} tasks, {chunks} chunks left)",
            self.waits_for
        )
    }
}

/// The workers that shall leave, and the copies under way.
#[derive(Debug, Default)]
pub(super) struct Retires {
    pub(super) workers: BTreeMap<WorkerId, Retirement>,
    pub(super) copies: BTreeMap<CopyId, Copying>,
    pub(super) by_chunk: BTreeMap<ChunkId, CopyId>,
    /// Bytes on the way to each worker.
    pub(super) incoming: BTreeMap<WorkerId, u64>,
    /// Workers that refused a copy and have not told since how full they are.
    pub(super) full: BTreeSet<WorkerId>,
    pub(super) next_copy: u64,
    /// Something happened since the retirements were last looked at.
    pub(super) stirred: bool,
    /// Workers may have more room than when it was last looked for.
    pub(super) room_changed: bool,
}

/// A worker that shall leave.
#[derive(Debug)]
pub(super) struct Retirement {
    /// The worker's own process wants it, and tells every session; else it is remembered here.
    pub(super) by_itself: bool,
    pub(super) deadline: Time,
    /// Chunks that it alone held when that was last looked at, those aside that are under way.
    pub(super) left: VecDeque<ChunkId>,
    pub(super) is_scanned: bool,
    /// The last look for room found none for some of them.
    pub(super) is_stuck: bool,
    pub(super) under_way: u64,
    pub(super) no_copies_until: Time,
    pub(super) waits_for: Option<RetireWait>,
}

/// A copy under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copying {
    pub(super) chunk: ChunkId,
    pub(super) from: WorkerId,
    pub(super) to: WorkerId,
    pub(super) bytes: u64,
}

impl Retires {
    fn enter(&mut self, worker: WorkerId, deadline: Time) -> &mut Retirement {
        let from_it = self.copies.values().filter(|copy| copy.from == worker);
        let under_way = from_it.count() as u64;
        self.workers.entry(worker).or_insert(Retirement {
            by_itself: false,
            deadline,
            left: VecDeque::new(),
            is_scanned: false,
            is_stuck: false,
            under_way,
            no_copies_until: Time::ZERO,
            waits_for: None,
        })
    }
}

impl Retirement {
    fn is_leaving(&self) -> bool {
        self.waits_for == Some(RetireWait::Nothing)
    }
}

impl Scheduler {
    /// How far a worker is that retires.
    pub fn retirement(&self, worker: WorkerId) -> Option<RetireProgress> {
        let retirement = self.retires.workers.get(&worker)?;
        let record = self.workers.get(&worker)?;
        Some(RetireProgress {
            worker,
            deadline: retirement.deadline,
            tasks_left: record.leased_count,
            chunks_left: retirement.left.len() as u64 + retirement.under_way,
            waits_for: retirement.waits_for.unwrap_or(RetireWait::Tasks),
        })
    }

    pub(super) fn on_retire_worker(&mut self, worker: WorkerId, deadline_us: u64) {
        if !self.workers.contains_key(&worker) {
            return;
        }
        let deadline = self.now + deadline_us;
        match self.retires.workers.get_mut(&worker) {
            Some(retirement) if retirement.by_itself || retirement.is_leaving() => return,
            Some(retirement) => retirement.deadline = deadline,
            None => {
                self.retires.enter(worker, deadline);
            }
        }
        self.begin_retirement(worker);
        self.send(worker, ToWorker::Retire { deadline_us });
    }

    /// The worker's own process wants it to leave.
    pub(super) fn on_retire_asked(&mut self, worker: WorkerId, deadline_us: u64) {
        let deadline = self.now + deadline_us;
        let retirement = self.retires.enter(worker, deadline);
        retirement.by_itself = true;
        retirement.deadline = deadline;
        self.begin_retirement(worker);
    }

    fn begin_retirement(&mut self, worker: WorkerId) {
        if let Some(record) = self.workers.get_mut(&worker) {
            record.retiring = true;
        }
        self.take_copies_back(worker);
        self.rank(worker);
        self.look_at_retirements();
    }

    /// What a worker that is to leave was to copy itself goes elsewhere; should it arrive all the same, it is dropped there.
    fn take_copies_back(&mut self, worker: WorkerId) {
        let to_it = self.retires.copies.iter().filter(|(_, copy)| copy.to == worker);
        for copy in to_it.map(|(&id, _)| id).collect::<Vec<_>>() {
            if let Some(copying) = self.remove_copy(copy)
                && let Some(retirement) = self.retires.workers.get_mut(&copying.from)
            {
                retirement.left.push_back(copying.chunk);
            }
        }
    }

    pub(super) fn on_retire_cancelled(&mut self, worker: WorkerId) {
        let retirement = self.retires.workers.get(&worker);
        if retirement.is_none_or(|retirement| retirement.by_itself || retirement.is_leaving()) {
            return;
        }
        self.retires.workers.remove(&worker);
        if let Some(record) = self.workers.get_mut(&worker) {
            record.retiring = self.sabotage == Sabotage::KeepRetiring;
            self.rank(worker);
            self.send(worker, ToWorker::Stay);
            self.out
                .push(Command::Observe(Observation::WorkerStays { worker }));
        }
        self.retires.room_changed = true;
    }

    /// Whether a worker that connects was told to leave in an earlier session.
    pub(super) fn is_to_retire(&mut self, worker: WorkerId) -> bool {
        let now = self.now;
        self.retires.room_changed = true;
        self.retires
            .workers
            .get(&worker)
            .is_some_and(|retirement| retirement.deadline > now)
    }

    /// Tells a worker that has just connected what it was told before.
    pub(super) fn retire_again(&mut self, worker: WorkerId) {
        if let Some(retirement) = self.retires.workers.get(&worker) {
            let deadline_us = retirement.deadline.since_us(self.now);
            if deadline_us == 0 {
                self.retires.workers.remove(&worker);
            } else {
                self.send(worker, ToWorker::Retire { deadline_us });
            }
        }
    }

    /// A worker's session is over.
    pub(super) fn retiree_lost(&mut self, worker: WorkerId) {
        self.retires.full.remove(&worker);
        if let Some(retirement) = self.retires.workers.get_mut(&worker) {
            if retirement.by_itself {
                self.retires.workers.remove(&worker);
            } else {
                retirement.left.clear();
                (retirement.is_scanned, retirement.is_stuck) = (false, false);
                retirement.waits_for = None;
            }
        }
        let to_it = self.retires.copies.iter().filter(|(_, copy)| copy.to == worker);
        for copy in to_it.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.remove_copy(copy);
        }
    }

    /// A task that the worker had not begun runs elsewhere. It did not run, so it does not run again.
    pub(super) fn task_handed_back(&mut self, task: TaskId) {
        self.layer_mut(task.job, task.layer).reset_count -= 1;
    }

    /// Something happened that retirements may have waited for.
    pub(super) fn look_at_retirements(&mut self) {
        self.retires.stirred |= !self.retires.workers.is_empty();
    }

    /// A worker told how full it is.
    pub(super) fn room_is_known(&mut self, worker: WorkerId) {
        self.retires.full.remove(&worker);
        self.retires.room_changed = true;
    }

    /// When retirements must be looked at if nothing else happens.
    pub(super) fn retire_timeout(&self) -> Option<Time> {
        let of_one = |retirement: &Retirement| {
            let retry = Some(retirement.no_copies_until).filter(|&until| until > self.now);
            let times = retry.into_iter().chain([retirement.deadline]);
            times.min().filter(|_| !retirement.is_leaving())
        };
        self.retires.workers.values().filter_map(of_one).min()
    }

    pub(super) fn advance_retirements(&mut self) {
        if !std::mem::take(&mut self.retires.stirred) {
            return;
        }
        let room_changed = std::mem::take(&mut self.retires.room_changed);
        let workers: Vec<WorkerId> = self.retires.workers.keys().copied().collect();
        for worker in workers {
            let retirement = &self.retires.workers[&worker];
            if retirement.is_leaving() {
                continue;
            }
            let is_over = self.now >= retirement.deadline;
            match (self.workers.contains_key(&worker), is_over) {
                (true, true) => self.let_go(worker),
                (true, false) => self.advance_retirement(worker, room_changed),
                (false, true) => {
                    self.retires.workers.remove(&worker);
                }
                (false, false) => {}
            }
        }
    }

    fn advance_retirement(&mut self, worker: WorkerId, room_changed: bool) {
        let wait = loop {
            let retirement = &self.retires.workers[&worker];
            let pauses = self.now < retirement.no_copies_until;
            if pauses {
                self.drop_what_is_gone(worker);
            } else if room_changed || !retirement.is_stuck {
                self.order_copies(worker);
            }
            let retirement = &self.retires.workers[&worker];
            let hasty = self.sabotage == Sabotage::LeaveBeforeCopied;
            let under_way = if hasty { 0 } else { retirement.under_way };
            let runs = self.workers[&worker].leased_count > 0;
            let is_scanned = retirement.is_scanned;
            if under_way > 0 {
                break RetireWait::Copies;
            } else if !retirement.left.is_empty() {
                break if pauses {
                    RetireWait::Retry
                } else {
                    RetireWait::Room
                };
            } else if runs && is_scanned {
                break RetireWait::Tasks;
            }
            let mut left = self.sole_chunks(worker);
            left.retain(|chunk| !(hasty && self.retires.by_chunk.contains_key(chunk)));
            let retirement = self.retire_mut(worker);
            (retirement.is_scanned, retirement.is_stuck) = (true, false);
            retirement.left = left.into();
            if retirement.left.is_empty() && !runs {
                return self.let_go(worker);
            }
        };
        let retirement = self.retire_mut(worker);
        if retirement.waits_for.replace(wait) != Some(wait)
            && let Some(progress) = self.retirement(worker)
        {
            self.out
                .push(Command::Observe(Observation::WorkerRetiring(progress)));
        }
    }

    /// Chunks that were released meanwhile need no other try at a copy of them.
    fn drop_what_is_gone(&mut self, worker: WorkerId) {
        while let Some(&first) = self.retires.workers[&worker].left.front()
            && !self.is_sole(first, worker)
        {
            self.retire_mut(worker).left.pop_front();
        }
    }

    /// The chunks that would be lost with a worker: no other worker that stays holds them. Looks at every chunk.
    pub fn sole_chunks(&self, worker: WorkerId) -> Vec<ChunkId> {
        let mut held = self.chunks_held_by(worker);
        held.retain(|&chunk| self.is_sole(chunk, worker));
        held
    }

    /// Whether some connected worker is thought to hold a chunk, of whatever job.
    pub fn is_held_somewhere(&self, chunk: ChunkId) -> bool {
        let layers = self.jobs.get(&chunk.job).map(|job| &job.layers);
        let layer = layers.and_then(|layers| layers.get(chunk.layer.0 as usize));
        layer.is_some_and(|layer| layer.chunks.contains(chunk.block))
    }

    pub(super) fn is_sole(&self, chunk: ChunkId, worker: WorkerId) -> bool {
        let layer = self
            .jobs
            .get(&chunk.job)
            .map(|job| &job.layers[chunk.layer.0 as usize]);
        let Some(record) = layer.and_then(|layer| layer.chunks.get(chunk.block)) else {
            return false;
        };
        let trusting = self.sabotage == Sabotage::TrustRetiring;
        let stays = |holder: WorkerId| self.workers.get(&holder).is_some_and(|w| trusting || !w.retiring);
        record.holders.contains(worker) && !record.holders.iter().any(|h| h != worker && stays(h))
    }

    /// Tells a worker that it may leave, whatever it alone holds.
    fn let_go(&mut self, worker: WorkerId) {
        let hasty = self.sabotage == Sabotage::LeaveBeforeCopied;
        let is_over = self.now >= self.retires.workers[&worker].deadline;
        let lost = if hasty && !is_over {
            0
        } else {
            self.sole_chunks(worker).len() as u64
        };
        self.retire_mut(worker).waits_for = Some(RetireWait::Nothing);
        self.send(worker, ToWorker::Leave);
        self.out.push(Command::Observe(Observation::WorkerReleased {
            worker,
            chunks_lost: lost,
        }));
    }

    pub(super) fn retire_mut(&mut self, worker: WorkerId) -> &mut Retirement {
        self.retires
            .workers
            .get_mut(&worker)
            .expect("the caller knows that it retires")
    }

    /// Checks the books of what is copied against each other.
    pub(super) fn check_retirements(&self) -> Result<(), String> {
        let retires = &self.retires;
        let mut incoming: BTreeMap<WorkerId, u64> = BTreeMap::new();
        for (id, copy) in &retires.copies {
            if !self.workers.contains_key(&copy.to) || copy.from == copy.to {
                return Err(format!("{copy:?} is under way to nobody"));
            }
            if retires.by_chunk.get(&copy.chunk) != Some(id) {
                return Err(format!("{copy:?} is not found by its chunk"));
            }
            let task = self.task(copy.chunk).map(|task| &task.state);
            if task == Some(&(TaskState::Leased { worker: copy.to })) {
                return Err(format!("{copy:?} is made and copied by the same worker"));
            }
            *incoming.entry(copy.to).or_default() += copy.bytes;
        }
        incoming.retain(|_, bytes| *bytes > 0);
        if retires.by_chunk.len() != retires.copies.len() || retires.incoming != incoming {
            return Err(format!(
                "{:?} bytes of copies booked, {incoming:?} counted",
                retires.incoming
            ));
        }
        for (&worker, record) in self.workers.iter() {
            if record.retiring != retires.workers.contains_key(&worker) {
                return Err(format!(
                    "worker {worker} retires in one book and not in the other"
                ));
            }
        }
        for (&worker, retirement) in &retires.workers {
            let under_way = retires.copies.values().filter(|copy| copy.from == worker).count() as u64;
            if under_way != retirement.under_way || retirement.under_way > COPIES_PER_WORKER_MAX {
                return Err(format!(
                    "{} copies from worker {worker} booked, {under_way} counted",
                    retirement.under_way
                ));
            }
        }
        Ok(())
    }
}
