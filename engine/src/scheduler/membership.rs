//! Workers that come, are silent, or go.

use std::sync::Arc;

use graticule_plan::WorkerId;

use super::{
    Command, JobEvent, Observation, Sabotage, Scheduler,
    loss::Parting,
    record::{JobState, WorkerRecord},
};
use crate::{
    Announce, BlockRun, ChunkHeld, MOVE_COUNT_MAX, Peer, SessionId, ToScheduler, ToWorker, WorkerStatus,
};

/// The most tasks that one worker is believed to compute at a time.
const SLOTS_MAX: u32 = 1024;

/// A connected worker, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its id.
    pub id: WorkerId,
    /// Its name.
    pub name: Arc<str>,
    /// Tasks it computes at a time.
    pub slots: u32,
    /// Bytes it may hold in memory.
    pub budget_bytes: u64,
    /// How it was when it said so last.
    pub status: WorkerStatus,
    /// What it waits for, if it retires.
    pub retiring: Option<Arc<str>>,
}

/// What the connected workers have together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Capacity {
    pub(super) slots: u64,
    pub(super) budget_bytes: u64,
    /// The largest worker's.
    pub(super) budget_bytes_max: u64,
}

impl Scheduler {
    pub(super) fn on_worker_message(&mut self, session: SessionId, message: ToScheduler) {
        let Some(&worker) = self.sessions.get(&session) else {
            self.late_count += 1;
            return;
        };
        if let Some(record) = self.workers.get_mut(&worker) {
            record.last_seen = self.now;
        }
        match message {
            // A second announcement on one connection has no meaning.
            ToScheduler::Announce(_) => {
                let why = "the worker announced itself twice";
                self.out.push(Command::Close { session, why });
                self.worker_lost(worker, Parting::Known, why);
            }
            ToScheduler::Reports(reports) => {
                for report in reports {
                    self.on_report(worker, report);
                }
            }
            ToScheduler::Computing { tasks } => {
                if let Some(record) = self.workers.get_mut(&worker) {
                    record.computing = tasks;
                    record.computing.truncate(SLOTS_MAX as usize);
                }
            }
            ToScheduler::ChunksLost { chunks } => self.on_chunks_lost(worker, chunks),
            ToScheduler::ShortOfMemory {
                short_bytes,
                disk_bytes_per_s,
            } => self.on_short_of_memory(worker, short_bytes, disk_bytes_per_s),
            ToScheduler::Status(status) => {
                if let Some(record) = self.workers.get_mut(&worker) {
                    record.status = status;
                }
                self.room_is_known(worker);
                self.spread_thin();
                self.out
                    .push(Command::Observe(Observation::WorkerStatus { worker, status }));
                // Both sides must hear from each other, or neither would see a dead connection.
                if self.sabotage != Sabotage::AnswerNothing {
                    self.send(worker, ToWorker::Ping);
                }
            }
            ToScheduler::Retire { deadline_us } => self.on_retire_asked(worker, deadline_us),
            ToScheduler::Copied(reports) => self.on_copied(worker, reports),
            ToScheduler::Moved(mut moved) => {
                let left_out = moved.moves.len().saturating_sub(MOVE_COUNT_MAX);
                moved.moves.truncate(MOVE_COUNT_MAX);
                moved.lost += left_out as u64;
                self.out
                    .push(Command::Observe(Observation::Moved { worker, moved }));
            }
            ToScheduler::Logs(mut report) => {
                report.bound();
                self.out
                    .push(Command::Observe(Observation::Logged { worker, report }));
            }
            ToScheduler::Disk(mut report) => {
                report.bound();
                self.out
                    .push(Command::Observe(Observation::Disk { worker, report }));
            }
        }
    }

    pub(super) fn on_connected(&mut self, session: SessionId, announce: Announce) {
        let same_scheduler = announce.incarnation == Some(self.config.incarnation);
        let known = announce
            .worker
            .filter(|id| same_scheduler && id.0 < self.next_worker);
        let worker = known.unwrap_or_else(|| {
            self.next_worker += 1;
            WorkerId(self.next_worker - 1)
        });
        if let Some(older) = self.workers.get(&worker) {
            let session = older.session;
            self.out.push(Command::Close {
                session,
                why: "the worker connected again",
            });
            self.worker_lost(worker, Parting::Known, "connected again");
        }
        self.flush_releases();
        self.came_back(worker);
        self.acquit_tasks_of(worker);
        let peer = Peer {
            worker,
            address: announce.address.clone(),
        };
        let record = WorkerRecord {
            session,
            peer,
            name: announce.name.clone(),
            slots: announce.slots.clamp(1, SLOTS_MAX),
            resources: announce
                .resources
                .into_iter()
                .map(|resource| (resource.name, (resource.count, resource.count)))
                .collect(),
            functions: announce.functions.into_iter().collect(),
            budget_bytes: announce.budget_bytes,
            last_seen: self.now,
            joined: self.now,
            status: WorkerStatus::default(),
            leased_count: 0,
            load_us: 0,
            held_count: 0,
            computing: Vec::new(),
            how: None,
            layers: Default::default(),
            tables: Default::default(),
            rank: None,
            rank_changed: false,
            retiring: self.is_to_retire(worker),
            isolated: false,
        };
        self.workers.insert(worker, record);
        self.sessions.insert(session, worker);
        let capacity = &mut self.capacity;
        capacity.slots += u64::from(announce.slots.clamp(1, SLOTS_MAX));
        capacity.budget_bytes = capacity.budget_bytes.saturating_add(announce.budget_bytes);
        capacity.budget_bytes_max = capacity.budget_bytes_max.max(announce.budget_bytes);
        let deadline = self.now + self.config.worker_timeout_us;
        self.silent_at = Some(self.silent_at.map_or(deadline, |earlier| earlier.min(deadline)));
        self.rank(worker);
        self.note_rare_functions();
        let incarnation = self.config.incarnation;
        self.send(
            worker,
            ToWorker::Welcome {
                worker,
                session,
                incarnation,
            },
        );
        self.retire_again(worker);
        self.out.push(Command::Observe(Observation::WorkerJoined {
            worker,
            name: announce.name,
            address: announce.address,
            slots: announce.slots,
            budget_bytes: announce.budget_bytes,
        }));
        let inventory = if same_scheduler {
            announce.inventory
        } else {
            Vec::new()
        };
        let unwanted: Vec<BlockRun> = inventory
            .into_iter()
            .filter(|&held| !self.adopt(worker, held))
            .map(|held| held.chunk.into())
            .collect();
        if !unwanted.is_empty() && self.sabotage != Sabotage::KeepInventory {
            self.send(worker, ToWorker::Release { chunks: unwanted });
        }
    }

    /// Takes a chunk that a worker brings along into the books, if anybody needs it.
    pub(super) fn adopt(&mut self, worker: WorkerId, held: ChunkHeld) -> bool {
        let chunk = held.chunk;
        let Some(job) = self.jobs.get_mut(&chunk.job) else {
            return false;
        };
        let Some(layer) = job.layers.get_mut(chunk.layer.0 as usize) else {
            return false;
        };
        if chunk.block >= layer.spec.layer.grid.block_count() {
            return false;
        }
        if let Some(record) = layer.chunks.get_mut(chunk.block) {
            if !record.holders.contains(worker) {
                record.holders.push(worker);
                let target = self.workers.get_mut(&worker).expect("just connected");
                target.held_count += 1;
            }
            return true;
        }
        let dependents = self.dependents_of(chunk);
        let needed = self.layer(chunk.job, chunk.layer).is_wanted_output(chunk.block)
            || dependents.into_iter().any(|t| !self.is_finished(t));
        if !needed && self.sabotage != Sabotage::AdoptUnneeded {
            return false;
        }
        // Whoever was to make it need not.
        if self.sabotage != Sabotage::LeaseWhatIsHeld {
            self.drop_task(chunk);
        }
        let layer = self.layer_mut(chunk.job, chunk.layer);
        let newly_finished = layer.finished.insert(chunk.block);
        if layer.passing_count(chunk.into()) > 0 {
            self.job_mut(chunk.job).ledger.brought_bytes += u128::from(held.bytes);
        }
        self.chunk_appears(chunk, worker, held.bytes);
        self.offer(chunk, None);
        if newly_finished {
            self.inputs_spared(chunk.into());
        }
        self.finish_if_complete(chunk.job);
        true
    }

    pub(super) fn on_disconnected(&mut self, session: SessionId) {
        if let Some(&worker) = self.sessions.get(&session) {
            self.worker_lost(worker, Parting::Vanished, "connection ended");
            self.tell_if_alone();
        }
    }

    pub(super) fn on_tick(&mut self) {
        if self.sabotage == Sabotage::WaitForever {
            self.workers.values_mut().for_each(|w| w.last_seen = self.now);
        }
        let deadline = self.config.worker_timeout_us;
        let silent = self
            .workers
            .iter()
            .filter(|(_, w)| self.now.since_us(w.last_seen) >= deadline);
        let silent: Vec<(WorkerId, SessionId)> = silent.map(|(&id, w)| (id, w.session)).collect();
        for (worker, session) in silent {
            self.out.push(Command::Close {
                session,
                why: "the worker was silent for too long",
            });
            self.worker_lost(worker, Parting::Vanished, "silent for too long");
            self.tell_if_alone();
        }
        self.count_capacity();
    }

    /// Adds up what the connected workers have.
    pub(super) fn count_capacity(&mut self) {
        let budgets = || self.workers.values().map(|w| w.budget_bytes);
        let deadline = self.config.worker_timeout_us;
        self.capacity = Capacity {
            slots: self.workers.values().map(|w| u64::from(w.slots)).sum(),
            budget_bytes: budgets().fold(0, u64::saturating_add),
            budget_bytes_max: budgets().max().unwrap_or(0),
        };
        self.silent_at = self.workers.values().map(|w| w.last_seen + deadline).min();
    }

    /// Tells clients with running jobs that the last worker is gone.
    pub(super) fn tell_if_alone(&mut self) {
        if !self.workers.is_empty() {
            return;
        }
        for (&job, record) in self.jobs.iter().filter(|(_, j)| j.state == JobState::Running) {
            self.out.push(Command::Notify {
                client: record.client,
                job,
                event: JobEvent::NoWorkers,
            });
        }
    }

    /// The connected workers.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        let workers = self.workers.iter().map(|(&id, worker)| WorkerInfo {
            id,
            name: worker.name.clone(),
            slots: worker.slots,
            budget_bytes: worker.budget_bytes,
            status: worker.status,
            retiring: self.retirement(id).map(|progress| progress.to_string().into()),
        });
        workers.collect()
    }

    /// Names of the connected workers.
    pub fn worker_names(&self) -> Vec<(WorkerId, Arc<str>)> {
        self.workers.iter().map(|(&id, w)| (id, w.name.clone())).collect()
    }
}
