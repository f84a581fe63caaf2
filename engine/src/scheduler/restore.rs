//! A scheduler that goes on where an earlier run ended.
//!
//! The earlier run's facts are replayed through the same functions that took them in at first; nothing else of its state
//! is kept. What workers hold they bring along when they come back, and what clients have they say; so until both are
//! there, nothing is demanded: it would be made a second time.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use graticule_plan::{ChunkId, JobId, Key, LayerId, Plan, TaskId, WorkerId};

use super::{ClientId, Command, JobEvent, Sabotage, Scheduler, record::JobState};
use crate::Time;

/// What an earlier run of the scheduler left, in the order in which it came to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A plan was taken in. Its client is away until [`Event::ClientReturned`](super::Event::ClientReturned).
    JobSubmitted {
        /// The job.
        job: JobId,
        /// Whose it is.
        client: ClientId,
        /// A name for people.
        name: Arc<str>,
        /// The plan.
        plan: Arc<Plan>,
    },
    /// All outputs of a job were kept or delivered.
    JobFinished {
        /// The job.
        job: JobId,
    },
    /// A job failed or was cancelled; others may still read what it holds.
    JobAbandoned {
        /// The job.
        job: JobId,
        /// `failed` or `cancelled`.
        outcome: &'static str,
    },
    /// A kept result was released.
    KeyReleased {
        /// Its name.
        key: Key,
    },
    /// Blocks of a kept result that stand for themselves were let go.
    BlocksReleased {
        /// The result's name.
        key: Key,
        /// The blocks.
        blocks: Vec<Range<u64>>,
    },
    /// A block that stands for itself could not be made.
    BlockFailed {
        /// The block.
        task: TaskId,
        /// What its client was told.
        message: Arc<str>,
    },
}

/// Where a new run begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// What is to be replayed.
    pub facts: Vec<Fact>,
    /// The first number for new workers; all that the earlier runs gave are below it.
    pub first_worker: u64,
    /// Workers that were connected, and may come back with what they hold.
    pub awaited: BTreeSet<WorkerId>,
    /// Microseconds after which nobody waits for them any more.
    pub wait_us: u64,
}

/// The time between a restart and the return of the workers.
#[derive(Debug)]
pub(super) struct Restoring {
    awaited: BTreeSet<WorkerId>,
    until: Time,
}

/// Of chunks that nobody holds, in jobs that are being taken over: how many unfinished tasks need them, at least.
pub(super) type NeedsLeft = BTreeMap<ChunkId, u64>;

impl Scheduler {
    /// Takes over what an earlier run left. Before any other event.
    pub fn restore(&mut self, now: Time, restore: Restore, commands: &mut Vec<Command>) {
        self.now = now;
        if self.sabotage != Sabotage::GiveNumbersAgain {
            self.next_worker = self.next_worker.max(restore.first_worker);
        }
        self.restoring = Some(Restoring {
            awaited: match self.sabotage {
                Sabotage::AwaitNobody => BTreeSet::new(),
                _ => restore.awaited,
            },
            until: now + restore.wait_us,
        });
        let finished = restore.facts.iter().filter_map(|fact| match fact {
            Fact::JobFinished { job } => Some(*job),
            _ => None,
        });
        let finished: BTreeSet<JobId> = finished.collect();
        for fact in restore.facts {
            // A job that finished did so although its client had let go of it: it was not cancelled for that.
            if let Fact::KeyReleased { key } = &fact
                && let Some(&(job, _)) = self.keys.get(key)
                && finished.contains(&job)
            {
                self.running_to_finished_before(job);
            }
            self.replay(fact);
        }
        self.settle(commands);
    }

    fn replay(&mut self, fact: Fact) {
        match fact {
            Fact::JobSubmitted {
                job,
                client,
                name,
                plan,
            } => {
                self.on_submitted(job, client, name, plan);
                if let Some(record) = self.jobs.get_mut(&job) {
                    record.client_is_away = true;
                }
            }
            Fact::JobFinished { job } => self.running_to_finished_before(job),
            Fact::JobAbandoned { job, outcome } => {
                if self
                    .jobs
                    .get(&job)
                    .is_some_and(|j| j.state != JobState::Abandoned)
                {
                    self.abandon(job, outcome);
                }
            }
            Fact::KeyReleased { key } => self.on_key_released(key),
            Fact::BlocksReleased { key, blocks } => self.on_blocks_released(key, &blocks),
            Fact::BlockFailed { task, message } => self.block_failed_before(task, &message),
        }
    }

    /// A job was finished in an earlier run: its outputs are delivered, or held by workers that will come back.
    fn running_to_finished_before(&mut self, job: JobId) {
        let Some(record) = self.jobs.get_mut(&job) else {
            return;
        };
        if record.state != JobState::Running {
            return;
        }
        for layer in &mut record.layers {
            if let Some(delivered) = &mut layer.delivered {
                delivered.fill();
            }
        }
        record.outputs_left = 0;
        self.finish_if_complete(job);
    }

    /// Whether workers are awaited: nothing is demanded meanwhile.
    pub fn is_restoring(&self) -> bool {
        self.restoring.is_some()
    }

    pub(super) fn restore_timeout(&self) -> Option<Time> {
        self.restoring.as_ref().map(|restoring| restoring.until)
    }

    /// An awaited worker is back.
    pub(super) fn came_back(&mut self, worker: WorkerId) {
        if let Some(restoring) = &mut self.restoring {
            restoring.awaited.remove(&worker);
        }
    }

    /// Ends the wait for workers if all are back, or it has lasted too long.
    pub(super) fn look_at_restore(&mut self) {
        let now = self.now;
        let over = |restoring: &mut Restoring| restoring.awaited.is_empty() || now >= restoring.until;
        if self.restoring.take_if(over).is_none() {
            return;
        }
        let here = self.jobs.iter().filter(|(_, job)| !job.client_is_away);
        let here: Vec<JobId> = here.map(|(&job, _)| job).collect();
        here.into_iter().for_each(|job| self.recover_kept(job));
        self.tell_if_alone();
        self.forget_needs();
    }

    /// Has what a finished job keeps and nobody holds made again.
    fn recover_kept(&mut self, job: JobId) {
        if self.restoring.is_some() || self.jobs[&job].state != JobState::Finished {
            return;
        }
        for at in 0..self.jobs[&job].layers.len() {
            let layer = LayerId(u32::try_from(at).expect("layer ids are 32 bits"));
            let record = self.layer(job, layer);
            if record.pins.is_empty() {
                continue;
            }
            for block in 0..record.spec.layer.grid.block_count() {
                let chunk = ChunkId { job, layer, block };
                let Some(record) = self.jobs.get(&job) else { return };
                let is_kept = record.layers[at].pin_count(block) > 0;
                if !is_kept || !self.is_absent(chunk) {
                    continue;
                }
                self.unfinish(chunk);
                self.recover(chunk);
            }
        }
    }

    /// A client is connected again: its jobs go on, and it is told of all chunks that it has not got.
    pub(super) fn on_client_returned(&mut self, client: ClientId) {
        let of_client = self.jobs.iter_mut().filter(|(_, job)| job.client == client);
        let jobs = of_client.map(|(&id, job)| {
            let was_away = std::mem::replace(&mut job.client_is_away, false);
            (id, was_away)
        });
        for (job, was_away) in jobs.collect::<Vec<_>>() {
            self.tell_blocks_again(job);
            self.offer_again(job);
            if was_away {
                self.recover_kept(job);
            }
        }
        self.forget_needs();
    }

    /// Whether tasks are known to need a chunk that nobody holds, of a job that is being taken over; asked once for each
    /// that needs it no more.
    ///
    /// What an earlier run had finished is found out from those that read it, one by one. Were all readers of a chunk
    /// asked for each of them, it would take the square of their number.
    pub(super) fn is_known_needed(&mut self, chunk: ChunkId) -> bool {
        let job = self.jobs.get(&chunk.job);
        if self.restoring.is_none() && !job.is_some_and(|job| job.client_is_away) {
            return false;
        }
        let left = match self.needs_left.remove(&chunk) {
            Some(left) => left - 1,
            None => {
                let mut left = 0;
                self.each_dependent(chunk, |task| left += u64::from(!self.is_finished(task)));
                left
            }
        };
        if left > 0 {
            self.needs_left.insert(chunk, left);
        }
        left > 0
    }

    /// Drops what is counted for jobs that were taken over.
    fn forget_needs(&mut self) {
        if self.restoring.is_none() {
            let is_away = |job: &JobId| self.jobs.get(job).is_some_and(|job| job.client_is_away);
            self.needs_left.retain(|chunk, _| is_away(&chunk.job));
        }
    }

    fn offer_again(&mut self, job: JobId) {
        let record = &self.jobs[&job];
        if record.state != JobState::Running {
            return;
        }
        let mut held = Vec::new();
        for layer in record.layers.iter().filter(|layer| layer.delivered.is_some()) {
            let blocks = layer.chunks.iter().map(|(block, _)| block);
            let chunk = |block| ChunkId {
                job,
                layer: layer.spec.id,
                block,
            };
            held.extend(blocks.map(chunk));
        }
        let problems: Vec<Arc<str>> = record.problems.iter().cloned().collect();
        let client = record.client;
        held.into_iter().for_each(|chunk| self.offer(chunk, None));
        if !problems.is_empty() {
            self.notify(client, job, JobEvent::Problems(problems));
        }
        if self.workers.is_empty() && !self.is_restoring() {
            self.notify(client, job, JobEvent::NoWorkers);
        }
    }

    /// Whether a job is there: it runs, or is the lineage of what is kept.
    pub fn has_job(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// Whether outputs of a job are still to be made or delivered.
    pub fn is_running(&self, job: JobId) -> bool {
        self.jobs
            .get(&job)
            .is_some_and(|record| record.state == JobState::Running)
    }
}
