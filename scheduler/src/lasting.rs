//! What of the actor outlives it: records of what happens, and taking over from the run before.

use std::time::{Duration, Instant};

use graticule_engine::scheduler::{ClientId, Event, JobEvent, Observation, Restore};
use graticule_plan::{JobId, TaskId};
use graticule_proto::{JobEnd, Record};
use tracing::info;

use crate::{actor::Actor, journal::Journal};

/// Time between two tries to write a journal that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Waits for news of the disk; for ever, if there is no journal.
pub(crate) async fn disk(journal: &mut Option<Journal>) {
    match journal {
        Some(journal) => journal.changed().await,
        None => std::future::pending().await,
    }
}

impl Actor {
    /// Takes over what an earlier run left.
    pub(crate) fn restore(&mut self, first_number: u64, wait_us: u64) {
        if self.journal.is_none() {
            return;
        }
        let restore = Restore {
            facts: self.standing.facts(),
            first_worker: first_number,
            awaited: self.standing.workers().clone(),
            wait_us,
        };
        let (jobs, workers) = (restore.facts.len(), restore.awaited.len());
        if jobs + workers > 0 {
            info!(facts = jobs, workers, "going on where an earlier run ended");
        }
        let now = self.now();
        let mut commands = Vec::new();
        self.engine.restore(now, restore, &mut commands);
        commands
            .into_iter()
            .for_each(|command| self.execute(now, command));
        self.await_clients();
        let orphaning = self.standing.orphaning_clients().into_iter();
        self.handle(orphaning.map(|client| Event::ClientLeft { client }).collect());
    }

    /// Takes down how a job ended, for clients that may come back and ask.
    pub(crate) fn note_end(&mut self, client: ClientId, job: JobId, event: &JobEvent) {
        let end = match event {
            JobEvent::Finished => JobEnd::Finished,
            JobEvent::Failed { message } => JobEnd::Failed {
                message: message.clone(),
            },
            JobEvent::Cancelled => JobEnd::Cancelled,
            JobEvent::Accepted
            | JobEvent::ChunkReady { .. }
            | JobEvent::BlockFailed { .. }
            | JobEvent::ValueAwaited { .. }
            | JobEvent::Problems(_)
            | JobEvent::NoWorkers => return,
        };
        let Some(submission) = self.standing.submission_of(job) else {
            return;
        };
        // A finished job may fail later, when what it keeps cannot be made again.
        if self.standing.end_of(job) != Some(&end) {
            self.note(Record::JobEnded {
                job,
                client,
                submission,
                end,
            });
        }
    }

    /// Takes down that a block cannot be made: it must not be made after a restart, when its client knows that it failed.
    pub(crate) fn note_failed_block(&mut self, job: JobId, event: &JobEvent) {
        let JobEvent::BlockFailed {
            layer,
            block,
            message,
        } = event
        else {
            return;
        };
        let task = TaskId {
            job,
            layer: *layer,
            block: *block,
        };
        if self.standing.knows_lineage(job) && !self.standing.has_failed(task) {
            let message = message.clone();
            self.note(Record::BlockFailed { task, message });
        }
    }

    /// Takes down who is connected, so that the next run knows for whom to wait.
    pub(crate) fn note_worker(&mut self, observation: &Observation) {
        if self.journal.is_none() {
            return;
        }
        match *observation {
            Observation::WorkerJoined { worker, .. } => self.note(Record::WorkerJoined { worker }),
            Observation::WorkerLeft { worker, .. } => self.note(Record::WorkerLeft { worker }),
            _ => {}
        }
    }

    /// Takes down which of the jobs that are over nobody needs any more.
    pub(crate) fn forget_jobs(&mut self) {
        for job in self.engine.take_forgotten() {
            if self.standing.is_lineage(job) {
                self.note(Record::JobForgotten { job });
            }
        }
    }

    /// Takes down, once the wait for workers is over, who did not come back.
    pub(crate) fn workers_are_back(&mut self) {
        if !self.is_restoring || self.engine.is_restoring() {
            return;
        }
        self.is_restoring = false;
        let here = self.engine.worker_names();
        let missing = self.standing.workers().iter().copied();
        let missing = missing.filter(|worker| !here.iter().any(|(id, _)| id == worker));
        for worker in missing.collect::<Vec<_>>() {
            self.note(Record::WorkerLeft { worker });
        }
    }

    /// When something beside the engine is due.
    pub(crate) fn other_timeout(&self) -> Option<Instant> {
        let failed = self
            .journal
            .as_ref()
            .is_some_and(|j| j.progress().failure.is_some());
        let retry = failed.then_some(self.next_rewrite);
        self.clients.next_timeout().into_iter().chain(retry).min()
    }

    pub(crate) fn tick(&mut self) {
        let mut events = vec![Event::Tick];
        self.give_up_clients(&mut events);
        if let Some(journal) = &mut self.journal
            && journal.progress().failure.is_some()
            && Instant::now() >= self.next_rewrite
        {
            journal.rewrite(&self.standing);
            self.next_rewrite = Instant::now() + RETRY_INTERVAL;
        }
        self.handle(events);
    }

    /// While the disk fails, nothing waits for it.
    pub(crate) fn tell_despite_failure(&mut self) {
        let failed = self
            .journal
            .as_ref()
            .is_some_and(|j| j.progress().failure.is_some());
        if failed {
            let mut events = Vec::new();
            self.disk_moved(&mut events);
            if !events.is_empty() {
                self.handle(events);
            }
        }
    }

    /// The disk has got further, or failed.
    pub(crate) fn look_at_disk(&mut self) {
        let mut events = Vec::new();
        self.disk_moved(&mut events);
        self.handle(events);
    }
}
