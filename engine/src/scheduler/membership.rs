//! Workers that come, are silent, or go.

use std::sync::Arc;

use graticule_plan::{ChunkId, TaskId, WorkerId};

use super::{
    Command, JobEvent, Observation, Scheduler,
    record::{JobState, TaskState, WorkerRecord},
};
use crate::{Announce, ChunkHeld, Peer, SessionId, ToWorker, WorkerStatus};

impl Scheduler {
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
            self.worker_lost(worker, "connected again");
        }
        let peer = Peer {
            worker,
            address: announce.address.clone(),
        };
        let record = WorkerRecord {
            session,
            peer,
            name: announce.name.clone(),
            slots: announce.slots.max(1),
            budget_bytes: announce.budget_bytes,
            last_seen: self.now,
            status: WorkerStatus::default(),
            leased: Default::default(),
            load_us: 0,
            held: Default::default(),
            layers: Default::default(),
            tables: Default::default(),
            retiring: false,
        };
        self.workers.insert(worker, record);
        self.sessions.insert(session, worker);
        let incarnation = self.config.incarnation;
        self.send(
            worker,
            ToWorker::Welcome {
                worker,
                session,
                incarnation,
            },
        );
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
        let unwanted: Vec<ChunkId> = inventory
            .into_iter()
            .filter(|&held| !self.adopt(worker, held))
            .map(|held| held.chunk)
            .collect();
        if !unwanted.is_empty() {
            self.send(worker, ToWorker::Release { chunks: unwanted });
        }
    }

    /// Takes a chunk that a worker brings along into the books, if anybody needs it.
    fn adopt(&mut self, worker: WorkerId, held: ChunkHeld) -> bool {
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
        if let Some(record) = layer.chunks.get_mut(&chunk.block) {
            record.holders.push(worker);
            self.workers
                .get_mut(&worker)
                .expect("just connected")
                .held
                .insert(chunk);
            return true;
        }
        let wanted_output = layer.is_wanted_output(chunk.block);
        let needed = wanted_output
            || self
                .dependents_of(chunk)
                .into_iter()
                .any(|t| !self.is_finished(t));
        if !needed {
            return false;
        }
        self.live_to_adopted(chunk);
        self.layer_mut(chunk.job, chunk.layer)
            .finished
            .insert(chunk.block);
        self.chunk_appears(chunk, worker, held.bytes);
        self.offer(chunk, None);
        for input in self.inputs_of(chunk) {
            self.no_longer_needed_by_one(input);
        }
        self.finish_if_complete(chunk.job);
        true
    }

    /// The task's chunk is there: whoever was to make it need not.
    fn live_to_adopted(&mut self, task: TaskId) {
        let Some(record) = self.task(task) else { return };
        match record.state.clone() {
            TaskState::Waiting { .. } => {}
            TaskState::Ready => self.ready_to_waiting(task, 0),
            TaskState::Leased { worker } => {
                self.unlease(worker, task);
                self.send(worker, ToWorker::Revoke { tasks: vec![task] });
            }
        }
        self.layer_mut(task.job, task.layer).tasks.remove(&task.block);
    }

    pub(super) fn on_disconnected(&mut self, session: SessionId) {
        if let Some(&worker) = self.sessions.get(&session) {
            self.worker_lost(worker, "connection ended");
            self.tell_if_alone();
        }
    }

    pub(super) fn on_tick(&mut self) {
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
            self.worker_lost(worker, "silent for too long");
            self.tell_if_alone();
        }
    }

    /// Tells clients with running jobs that the last worker is gone.
    fn tell_if_alone(&mut self) {
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

    /// Names of the connected workers.
    pub fn worker_names(&self) -> Vec<(WorkerId, Arc<str>)> {
        self.workers.iter().map(|(&id, w)| (id, w.name.clone())).collect()
    }
}
