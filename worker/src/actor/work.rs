//! What the actor does for the engine's runs: fetches, computing, copies, and what is kept or goes to disk.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use graticule_engine::{
    ChunkHolders, Peer,
    worker::{Event, LayerEntry, RunId},
};
use graticule_kernel::Chunk;
use graticule_plan::{ChunkId, TaskId};
use tracing::debug;

use super::{Actor, Input};
use crate::{
    call::{caught, outcome},
    compute::{called, compute},
    cpu::cpu_time,
    fetch::{Prepared, Work},
    pace::{Paces, timed},
    underway::{self, End},
};

/// Tasks of at most so many bytes are prepared by the actor itself, if they need not wait for anything.
const SMALL_TASK_BYTES_MAX: u64 = 64 << 10;

/// A task that has all it needs.
pub(super) struct Ready {
    pub(super) prepared: Prepared,
    task: TaskId,
    is_small: bool,
}

impl Ready {
    /// Whether the actor computes it by itself.
    fn stays(&self, paces: &Paces) -> bool {
        match &self.prepared.work {
            // Nobody knows how long a user's function takes this time.
            Work::Run(inputs) => {
                self.is_small && !inputs.calls_functions && paces.stays((self.task.job, self.task.layer))
            }
            Work::Call(call) => call.function.is_quick,
            Work::Value(_) => true,
        }
    }
}

impl Actor {
    pub(super) fn fetch(
        &mut self,
        run: RunId,
        (task, attempt): (TaskId, u32),
        layer: Arc<LayerEntry>,
        holders: Vec<ChunkHolders>,
    ) {
        let of = (task.block, attempt);
        let is_small = layer.task_bytes(task.block) <= SMALL_TASK_BYTES_MAX;
        let ready = move |prepared: Prepared| Ready {
            prepared,
            task,
            is_small,
        };
        // What lies in memory already is there at the first look; a task of its own would take longer. Nothing has
        // begun that would begin twice if it is not there after all.
        let is_here = holders.is_empty() && layer.spec.layer.source_bytes == 0;
        if is_small && is_here {
            let outcome = std::pin::pin!(self.fetcher.prepare(&layer, of, Vec::new())).now_or_never();
            if let Some(outcome) = outcome {
                let outcome = outcome.map(ready);
                return self.take(Input::Fetched { run, outcome });
            }
        }
        let (fetcher, inbox) = (self.fetcher.clone(), self.inbox.clone());
        let fetch = self
            .tasks
            .spawn(self.lines.scope.of_task(task).future(async move {
                let prepared = fetcher.prepare(&layer, of, holders).await;
                let outcome = prepared.map(ready);
                let _ = inbox.send(Input::Fetched { run, outcome }).await;
            }));
        self.fetches.insert(run, fetch);
    }

    pub(super) fn copy(&mut self, run: RunId, chunk: ChunkId, peers: Vec<Peer>) {
        let (fetcher, inbox) = (self.fetcher.clone(), self.inbox.clone());
        let fetch = self.tasks.spawn(self.lines.scope.clone().future(async move {
            let chunk = fetcher.copy(chunk, &peers).await;
            let _ = inbox.send(Input::Copied { run, chunk }).await;
        }));
        self.fetches.insert(run, fetch);
    }

    pub(super) fn copied(&mut self, run: RunId, chunk: Option<Chunk>) {
        // One that was discarded may arrive all the same.
        if self.fetches.remove(&run).is_none() {
            return;
        }
        self.events.push_back(match chunk {
            Some(chunk) => {
                let bytes = chunk.nbytes();
                self.results.insert(run, chunk);
                Event::CopyFetched { run, bytes }
            }
            None => Event::CopyFailed { run },
        });
    }

    pub(super) fn compute(&mut self, run: RunId, slot: u32) {
        let ready = self
            .prepared
            .remove(&run)
            .expect("the engine computes what was fetched");
        let stays = ready.stays(&self.paces);
        let Ready { prepared, task, .. } = ready;
        let layer = (task.job, task.layer);
        let logs = self.lines.scope.of_task(task);
        if stays {
            let ((chunk, outcome), took) = timed(|| logs.run(|| compute(prepared, &self.fetcher.tables)));
            return self.take(Input::Computed {
                run,
                layer,
                chunk,
                outcome,
                took,
            });
        }
        if let Work::Call(call) = &prepared.work
            && let Some(call) = logs.run(|| call.begin())
        {
            self.underway.push(underway::Run {
                run,
                slot,
                layer,
                logs,
                began: Instant::now(),
                call,
            });
            return;
        }
        let calls_user = prepared.work.calls_user();
        let store = self.fetcher.store.clone();
        let (tables, inbox) = (self.fetcher.tables.clone(), self.inbox.clone());
        self.cpu.run(slot, move || {
            let began = Instant::now();
            let cpu_before = calls_user.then(cpu_time);
            let ((chunk, outcome), took) = timed(|| logs.run(|| compute(prepared, &tables)));
            if let Some(before) = cpu_before {
                store
                    .moves
                    .note_call(layer, began, cpu_time().saturating_sub(before));
            }
            // The actor may have ended meanwhile; the result goes with it.
            let _ = inbox.blocking_send(Input::Computed {
                run,
                layer,
                chunk,
                outcome,
                took,
            });
        });
    }

    /// A call in another process has ended, or has to be waited for by its slot's thread.
    pub(super) fn ended(&mut self, ended: underway::Run, end: End) {
        let underway::Run {
            run,
            slot,
            layer,
            logs,
            began,
            call,
        } = ended;
        let store = self.fetcher.store.clone();
        let computed = move |made| {
            let (chunk, outcome) = called(outcome(made));
            store.moves.note_call(layer, began, Duration::ZERO);
            Input::Computed {
                run,
                layer,
                chunk,
                outcome,
                took: began.elapsed(),
            }
        };
        match end {
            End::Made(made) => self.take(computed(made)),
            End::Waits => {
                let inbox = self.inbox.clone();
                self.cpu.run(slot, move || {
                    let made = logs.run(|| caught(|| call.finish()));
                    // As above.
                    let _ = inbox.blocking_send(computed(made));
                });
            }
        }
    }

    pub(super) fn keep(&mut self, run: RunId, chunk: ChunkId) {
        let result = self
            .results
            .remove(&run)
            .expect("the engine stores what was computed");
        self.fetcher.store.insert(chunk, result);
        self.sizes_changed = true;
    }

    pub(super) fn spill(&mut self, target_bytes: u64) {
        if self.is_spilling {
            return;
        }
        self.is_spilling = true;
        debug!(target_bytes, "spilling");
        let (store, inbox) = (self.fetcher.store.clone(), self.inbox.clone());
        let logs = self.lines.scope.clone();
        self.tasks.spawn(async move {
            let work = move || (store.spill_to(target_bytes), store.disk_bytes_per_s());
            let spill = tokio::task::spawn_blocking(move || logs.run(work));
            let (took_all, bytes_per_s) = spill.await.unwrap_or_default();
            let spilled = Input::Spilled {
                took_all,
                bytes_per_s,
            };
            let _ = inbox.send(spilled).await;
        });
    }
}
