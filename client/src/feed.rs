//! What the session learned of one job, until whoever asked for it takes it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use graticule_array::Array;
use graticule_plan::LayerId;
use graticule_proto::{
    ReadyChunk,
    engine::{Peer, scheduler::JobEvent},
};
use tokio::sync::{Notify, futures::Notified};

use crate::{ClientError, Progress};

/// Bytes of small chunks that wait here; beyond that they are fetched from the workers like large ones.
const INLINE_BYTES_MAX: usize = 64 << 20;

/// A chunk that can be had.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) bytes: u64,
    pub(crate) peers: Arc<[Peer]>,
    pub(crate) inline: Option<Bytes>,
}

/// One job's state at the client. The session writes, the job's handles read.
///
/// There is one entry for each chunk of the result at most, however often the cluster announces it.
#[derive(Debug, Default)]
pub(crate) struct JobFeed {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: BTreeMap<(LayerId, u64), Ready>,
    inline_bytes: usize,
    problems: Vec<Arc<str>>,
    without_workers_since: Option<Instant>,
    outcome: Option<Result<(), ClientError>>,
    /// What the job is made of, which may keep what its tasks read.
    arrays: Vec<Array>,
}

/// What to do about a chunk that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Take it.
    Take,
    /// Leave it for later.
    Leave,
    /// It has been delivered already.
    Forget,
}

impl JobFeed {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in chunks of a layer that can be had.
    pub(crate) fn take_in_chunks(&self, layer: LayerId, chunks: Vec<ReadyChunk>) {
        let mut state = self.state();
        for chunk in chunks {
            let ReadyChunk {
                block,
                bytes,
                peers,
                inline,
            } = chunk;
            state.add((layer, block), Ready { bytes, peers, inline });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Takes in an event of the job; `true` if it was the last.
    pub(crate) fn take_in(&self, event: JobEvent) -> bool {
        let mut state = self.state();
        match event {
            // Of calls others hear.
            JobEvent::Accepted | JobEvent::BlockFailed { .. } | JobEvent::ValueAwaited { .. } => {}
            JobEvent::ChunkReady {
                layer,
                block,
                bytes,
                peers,
                inline,
            } => {
                let peers = peers.into();
                state.add((layer, block), Ready { bytes, peers, inline });
            }
            // All are told again to a client that comes back.
            JobEvent::Problems(problems) => problems.into_iter().for_each(|problem| {
                if !state.problems.contains(&problem) {
                    state.problems.push(problem);
                }
            }),
            JobEvent::NoWorkers => {
                state.without_workers_since.get_or_insert_with(Instant::now);
            }
            JobEvent::Finished => state.end(Ok(())),
            JobEvent::Failed { message } => state.end(Err(ClientError::Failed {
                message: message.to_string(),
            })),
            JobEvent::Cancelled => state.end(Err(ClientError::Cancelled)),
        }
        let over = state.outcome.is_some();
        let arrays = if over {
            std::mem::take(&mut state.arrays)
        } else {
            Vec::new()
        };
        drop(state);
        let_go(arrays);
        self.changed.notify_waiters();
        over
    }

    /// Has arrays, and what they keep, live as long as the job runs, whoever else lets go of them.
    pub(crate) fn keep(&self, arrays: &[&Array]) {
        let mut state = self.state();
        if state.outcome.is_none() {
            state.arrays = arrays.iter().copied().cloned().collect();
        }
    }

    /// Notes how far the job is.
    pub(crate) fn progressed(&self, progress: &Progress) {
        if progress.worker_count > 0 {
            self.state().without_workers_since = None;
            self.changed.notify_waiters();
        }
    }

    /// Ends the job as the session sees it: the connection is lost, or the plan was refused.
    pub(crate) fn end(&self, error: ClientError) {
        let mut state = self.state();
        state.end(Err(error));
        let arrays = std::mem::take(&mut state.arrays);
        drop(state);
        let_go(arrays);
        self.changed.notify_waiters();
    }

    /// Resolves at the next change after this call and its first poll or `enable`.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// How the job ended, if it did.
    pub(crate) fn outcome(&self) -> Option<Result<(), ClientError>> {
        self.state().outcome.clone()
    }

    /// Since when no worker has been connected.
    pub(crate) fn without_workers_since(&self) -> Option<Instant> {
        self.state().without_workers_since
    }

    /// What reads left out so far, a sentence each.
    pub(crate) fn problems(&self) -> Vec<Arc<str>> {
        self.state().problems.clone()
    }

    /// Takes the first chunk, by layer and block, that `choose` takes.
    pub(crate) fn take(
        &self,
        mut choose: impl FnMut(LayerId, u64, &Ready) -> Choice,
    ) -> Option<(LayerId, u64, Ready)> {
        let mut state = self.state();
        let mut known = Vec::new();
        let mut taken = None;
        for (&(layer, block), ready) in &state.ready {
            match choose(layer, block, ready) {
                Choice::Take => {
                    taken = Some((layer, block));
                    break;
                }
                Choice::Leave => {}
                Choice::Forget => known.push((layer, block)),
            }
        }
        known.into_iter().for_each(|at| drop(state.remove(at)));
        let (layer, block) = taken?;
        state.remove((layer, block)).map(|ready| (layer, block, ready))
    }
}

impl State {
    fn add(&mut self, at: (LayerId, u64), mut ready: Ready) {
        self.without_workers_since = None;
        self.remove(at);
        let inline = ready.inline.as_ref().map_or(0, Bytes::len);
        if self.inline_bytes + inline > INLINE_BYTES_MAX {
            ready.inline = None;
        } else {
            self.inline_bytes += inline;
        }
        self.ready.insert(at, ready);
    }

    fn remove(&mut self, at: (LayerId, u64)) -> Option<Ready> {
        let ready = self.ready.remove(&at)?;
        self.inline_bytes -= ready.inline.as_ref().map_or(0, Bytes::len);
        Some(ready)
    }

    /// The first end counts.
    fn end(&mut self, outcome: Result<(), ClientError>) {
        self.outcome.get_or_insert(outcome);
    }
}

/// Drops arrays where a destructor may wait, as that of Python's memory does for the interpreter.
fn let_go(arrays: Vec<Array>) {
    if arrays.is_empty() {
        return;
    }
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || drop(arrays))),
        Err(_) => drop(arrays),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(block: u64, bytes: u64, inline: Option<usize>) -> JobEvent {
        JobEvent::ChunkReady {
            layer: LayerId(0),
            block,
            bytes,
            peers: Vec::new(),
            inline: inline.map(|len| Bytes::from(vec![0; len])),
        }
    }

    #[test]
    fn a_chunk_announced_again_replaces_what_was_said_before() {
        let feed = JobFeed::default();
        feed.take_in(ready(3, 10, Some(10)));
        feed.take_in(ready(3, 20, None));
        let (_, block, chunk) = feed.take(|_, _, _| Choice::Take).unwrap();
        assert_eq!((block, chunk.bytes, chunk.inline), (3, 20, None));
        assert!(feed.take(|_, _, _| Choice::Take).is_none());
        assert_eq!(feed.state().inline_bytes, 0);
    }

    #[test]
    fn small_chunks_that_nobody_reads_stop_at_a_limit() {
        let feed = JobFeed::default();
        let len = INLINE_BYTES_MAX / 4;
        for block in 0..6 {
            feed.take_in(ready(block, len as u64, Some(len)));
        }
        assert_eq!(feed.state().inline_bytes, INLINE_BYTES_MAX);
        let (_, _, last) = feed
            .take(|_, block, _| if block == 5 { Choice::Take } else { Choice::Leave })
            .unwrap();
        assert_eq!(last.inline, None);
        feed.take(|_, _, _| Choice::Take).unwrap();
        feed.take_in(ready(9, len as u64, Some(len)));
        assert_eq!(feed.state().inline_bytes, INLINE_BYTES_MAX);
    }

    #[test]
    fn chunks_are_taken_in_the_order_of_blocks_and_delivered_ones_forgotten() {
        let feed = JobFeed::default();
        for block in [5, 1, 4, 2] {
            feed.take_in(ready(block, 1, None));
        }
        let choose = |_: LayerId, block: u64, _: &Ready| match block {
            1 => Choice::Forget,
            2 => Choice::Leave,
            _ => Choice::Take,
        };
        assert_eq!(feed.take(choose).unwrap().1, 4);
        assert_eq!(feed.take(choose).unwrap().1, 5);
        assert!(feed.take(choose).is_none());
        assert_eq!(feed.state().ready.len(), 1);
    }

    #[test]
    fn the_first_end_counts_and_a_chunk_ends_the_wait_for_workers() {
        let feed = JobFeed::default();
        assert!(!feed.take_in(JobEvent::NoWorkers));
        assert!(feed.without_workers_since().is_some());
        assert!(!feed.take_in(ready(0, 1, None)));
        assert!(feed.without_workers_since().is_none());
        assert!(feed.take_in(JobEvent::Cancelled));
        assert!(feed.take_in(JobEvent::Finished));
        assert!(matches!(feed.outcome(), Some(Err(ClientError::Cancelled))));
    }
}
