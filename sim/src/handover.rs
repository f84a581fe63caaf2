//! Copies from workers that retire, and what must hold when those leave.

use graticule_engine::{
    Peer,
    worker::{Event, RunId},
};
use graticule_plan::{ChunkId, WorkerId};

use crate::{
    disk::Reading,
    world::{Happening, World},
};

/// A chunk on its way to a worker that shall keep it.
#[derive(Debug, Clone)]
pub(crate) struct CopyRead {
    run: RunId,
    chunk: ChunkId,
    /// The holders to ask, last first.
    peers: Vec<Peer>,
    /// It was waited for already.
    was_delayed: bool,
}

impl World {
    pub(crate) fn start_copy(&mut self, at: usize, run: RunId, chunk: ChunkId, mut peers: Vec<Peer>) {
        self.nodes[at].rng.shuffle(&mut peers);
        if self.nodes[at].copies.insert(run, None).is_some() {
            self.fail(format!("worker process {at} copies twice for {run:?}"));
        }
        let copy = CopyRead {
            run,
            chunk,
            peers,
            was_delayed: false,
        };
        self.read_copy_later(at, copy);
    }

    fn read_copy_later(&mut self, at: usize, copy: CopyRead) {
        let delay = self.delay_at(at);
        self.schedule(delay, Happening::Copy { node: at, copy });
    }

    /// A chunk arrives that the worker shall keep, or does not.
    pub(crate) fn on_copy_read(&mut self, at: usize, mut copy: CopyRead) {
        let run = copy.run;
        if !self.nodes[at].copies.contains_key(&run) {
            return;
        }
        let Some(peer) = copy.peers.last().cloned() else {
            self.tell_worker(at, Event::CopyFailed { run });
            return;
        };
        let (values, bytes) = match self.read_from_peer(at, (&peer, 1), copy.chunk, copy.was_delayed) {
            Reading::Got(values, bytes) => (values, bytes),
            Reading::Later(us) => {
                copy.was_delayed = true;
                self.schedule(us, Happening::Copy { node: at, copy });
                return;
            }
            Reading::Failed => {
                copy.peers.pop();
                copy.was_delayed = false;
                self.read_copy_later(at, copy);
                return;
            }
        };
        self.nodes[at].copies.insert(run, Some((values, bytes)));
        self.tell_worker(at, Event::CopyFetched { run, bytes });
    }

    /// A worker that was let go on a connection that is gone has come on another one: it stays.
    pub(crate) fn is_here_again(&mut self, worker: WorkerId) {
        let mut nodes = self.nodes.iter_mut();
        if let Some(node) = nodes.find(|node| node.alive && node.engine.id() == Some(worker)) {
            node.released = false;
        }
    }

    /// The scheduler lets a worker go. If it says that nothing is lost, then all that the worker has and that is still
    /// needed must be in the store of another one, unless a fault took it from there.
    pub(crate) fn check_released(&mut self, worker: WorkerId, chunks_lost: u64) {
        let process = |at: &usize| self.nodes[*at].alive && self.nodes[*at].engine.id() == Some(worker);
        let Some(at) = (0..self.nodes.len()).find(process) else {
            return;
        };
        self.nodes[at].released = true;
        if chunks_lost > 0 {
            // Some of what it has is given up by name: whoever else got it meanwhile need not keep it.
            self.destroyed.extend(self.nodes[at].store.keys());
            return;
        }
        self.counts.retired += 1;
        let elsewhere = |chunk: &ChunkId| {
            let mut others = self
                .nodes
                .iter()
                .enumerate()
                .filter(|(other, node)| *other != at && node.alive && !node.released);
            others.any(|(_, node)| node.store.contains_key(chunk))
        };
        let mut needed = self.nodes[at]
            .store
            .keys()
            .filter(|&&chunk| self.scheduler.is_held_somewhere(chunk));
        let counts =
            |chunk: ChunkId| !self.destroyed.contains(&chunk) && !self.not_fetched.contains(&(worker, chunk));
        let lost = needed.find(|&&chunk| counts(chunk) && !elsewhere(&chunk));
        if let Some(&chunk) = lost {
            self.fail(format!(
                "worker process {at} may leave without loss, but nobody else has {chunk}"
            ));
        }
    }
}
