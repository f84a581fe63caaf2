//! A worker's store: chunks in memory and on a disk that may be slow, full or damaged.

use graticule_engine::{Peer, scheduler::Sabotage, worker::Event};
use graticule_plan::{ChunkId, TaskId};

use crate::{
    node::Node,
    profile::Nuisance,
    value::Values,
    world::{Happening, Story, World},
};

/// How long a peer is waited for that does not answer.
const READ_TIMEOUT_US: u64 = 3_000;
/// Of a task's reads no more fail on the average than of so many.
const FAILING_READS_MAX: u64 = 16;

/// A chunk in a worker's store.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) values: Values,
    pub(crate) bytes: u64,
    pub(crate) on_disk: bool,
    pub(crate) damaged: bool,
}

/// What comes of an attempt to read a chunk.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Its values and its size.
    Got(Values, u64),
    /// It is not to be had there.
    Failed,
    /// Try again after so many microseconds.
    Later(u64),
}

/// A worker's disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Until when it is slow.
    pub(crate) slow_until: u64,
    /// Until when it takes nothing.
    pub(crate) full_until: u64,
    /// What the store is shrinking to.
    pub(crate) spill_target: Option<u64>,
    /// It took nothing when it was tried last.
    refuses: bool,
}

impl Node {
    /// Bytes in memory and on disk.
    fn sizes(&self) -> (u64, u64) {
        let sum = |on_disk| {
            let chunks = self.store.values().filter(|c| c.on_disk == on_disk);
            chunks.map(|c| c.bytes).sum()
        };
        (sum(false), sum(true))
    }

    /// Moves chunks to disk until those in memory take at most `target_bytes`.
    pub(crate) fn spill(&mut self, target_bytes: u64) {
        while self.sizes().0 > target_bytes && self.spill_one() {}
    }

    fn spill_one(&mut self) -> bool {
        let first = self.store.values_mut().find(|chunk| !chunk.on_disk);
        first.map(|chunk| chunk.on_disk = true).is_some()
    }
}

impl World {
    /// The shell begins to move chunks to disk; while it does, it begins no other such move.
    pub(crate) fn start_spill(&mut self, at: usize, target_bytes: u64) {
        if self.nodes[at].disk.spill_target.is_none() {
            self.nodes[at].disk.spill_target = Some(target_bytes);
            self.spill_step_later(at);
        }
    }

    /// A worker begins a task beyond its budget only when nothing in its memory can go to disk.
    pub(crate) fn check_room(&mut self, at: usize, task: TaskId) {
        let node = &self.nodes[at];
        let status = node.engine.status();
        let in_use = status.memory_bytes.saturating_add(status.reserved_bytes);
        let (in_memory, _) = node.sizes();
        if in_use > node.budget_bytes && in_memory > 0 && !node.disk.refuses {
            let budget = node.budget_bytes;
            self.fail(format!(
                "worker process {at} begins {task} with {in_use} bytes of {budget} while {in_memory} could go to disk"
            ));
        }
    }

    fn spill_step_later(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let delay = if self.clock < node.disk.slow_until {
            node.rng.within(5_000..30_000)
        } else {
            node.rng.within(20..200)
        };
        self.schedule(delay, Happening::SpillStep { node: at });
    }

    /// One more chunk is on disk, or cannot be put there.
    pub(crate) fn on_spill_step(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let target_bytes = node.disk.spill_target.expect("steps are scheduled for a target");
        if node.sizes().0 > target_bytes {
            if self.clock < node.disk.full_until {
                node.disk.spill_target = None;
                node.disk.refuses = true;
                self.tell(|| format!("worker process {at} cannot spill: its disk is full"));
                self.tell_worker(at, Event::SpillFailed);
                self.store_changes(at);
                return;
            }
            node.disk.refuses = false;
            if node.spill_one() {
                self.spill_step_later(at);
                return;
            }
        }
        node.disk.spill_target = None;
        self.store_changes(at);
    }

    /// Reads a chunk from a peer, one of so many reads of its task.
    pub(crate) fn read_from_peer(
        &mut self,
        at: usize,
        (peer, read_count): (&Peer, usize),
        chunk: ChunkId,
        was_delayed: bool,
    ) -> Reading {
        // Workers try a broken connection again, so that a task of many reads does not fail each time.
        let rate = self.profile.rate(Nuisance::PeerFailures);
        let rate = rate * FAILING_READS_MAX / FAILING_READS_MAX.max(read_count as u64);
        let failed = self.nodes[at].rng.chance(rate);
        let Some(&holder) = self.addresses.get(&peer.address) else {
            return Reading::Failed;
        };
        let hangs = self.nodes[holder].hung.then_some(READ_TIMEOUT_US);
        if let Some(us) = self.unreachable(at, holder).or(hangs) {
            return if was_delayed {
                Reading::Failed
            } else {
                Reading::Later(us)
            };
        }
        if failed {
            self.counts.nuisance(Nuisance::PeerFailures);
        }
        if failed || !self.nodes[holder].alive {
            return Reading::Failed;
        }
        self.read_chunk(holder, chunk, was_delayed)
    }

    /// Reads a chunk from a worker's own store; one that is damaged is lost in the attempt.
    pub(crate) fn read_chunk(&mut self, at: usize, chunk: ChunkId, was_delayed: bool) -> Reading {
        let node = &mut self.nodes[at];
        let Some(stored) = node.store.get(&chunk) else {
            return Reading::Failed;
        };
        if stored.on_disk && self.clock < node.disk.slow_until && !was_delayed {
            return Reading::Later(node.rng.within(1_000..20_000));
        }
        if !stored.damaged {
            return Reading::Got(stored.values.clone(), stored.bytes);
        }
        if self.is_sabotaged(Sabotage::IgnoreDamage) {
            let stored = &self.nodes[at].store[&chunk];
            let flipped = stored.values.iter().map(|value| value ^ 1).collect::<Vec<_>>();
            return Reading::Got(flipped.into(), stored.bytes);
        }
        self.nodes[at].store.remove(&chunk);
        self.destroyed.insert(chunk);
        self.tell(|| format!("worker process {at} finds {chunk} damaged"));
        self.schedule(
            1,
            Happening::Tell {
                node: at,
                event: Event::ChunksLost { chunks: vec![chunk] },
            },
        );
        self.store_changes(at);
        Reading::Failed
    }

    /// The shell tells the engine its store's sizes a little later.
    pub(crate) fn store_changes(&mut self, at: usize) {
        let delay = self.nodes[at].rng.within(1..100);
        self.schedule(delay, Happening::StoreChanged { node: at });
    }

    pub(crate) fn on_store_changed(&mut self, at: usize) {
        let (memory_bytes, spilled_bytes) = self.nodes[at].sizes();
        self.tell_worker(
            at,
            Event::StoreChanged {
                memory_bytes,
                spilled_bytes,
            },
        );
    }
}
