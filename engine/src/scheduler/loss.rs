//! Workers and chunks that vanish.

use std::sync::Arc;

use graticule_plan::{ChunkId, TaskId, WorkerId};

use super::{
    Command, Observation, Sabotage, Scheduler,
    record::{ChunkRecord, Holders, JobState, LayerRecord, TaskState, WorkerRecord},
};
use crate::RUN_BLOCKS_MAX;

/// The most vanished workers whose tasks are remembered, should they come back.
const DEPARTED_MAX: usize = 256;

/// A worker that vanished, and the tasks that may have ended it.
#[derive(Debug)]
pub(super) struct Departed {
    name: Arc<str>,
    how: Option<Arc<str>>,
    suspects: Vec<TaskId>,
}

/// Why a worker's session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
    /// Nobody knows; what it ran may be the cause.
    Vanished,
    /// The same process has come again, or was sent away: not its tasks' fault.
    Known,
}

impl Scheduler {
    /// A worker's session is over: what only it held is lost, what it was to run runs elsewhere.
    pub(super) fn worker_lost(&mut self, worker: WorkerId, parting: Parting, why: &'static str) {
        if !self.workers.contains_key(&worker) {
            return;
        }
        self.flush_releases();
        self.unrank(worker);
        let Some(record) = self.workers.remove(&worker) else {
            return;
        };
        if !matches!(
            self.sabotage,
            Sabotage::HearDeadSessions | Sabotage::AcceptOlderAttempts
        ) {
            self.sessions.remove(&record.session);
        }
        self.count_capacity();
        self.retiree_lost(worker);
        self.forget_spreads_to(worker);
        let why = (!record.retiring).then_some(why);
        self.out
            .push(Command::Observe(Observation::WorkerLeft { worker, why }));
        for chunk in self.chunks_held_by(worker) {
            self.remove_replica(chunk, worker);
        }
        let leased = self.tasks_leased_to(worker);
        let mut suspects = Vec::new();
        if parting == Parting::Vanished && !record.retiring {
            suspects = self.suspects(&leased, &record);
            // What the failure of a task will say of its cause is known before it is counted.
            self.departs(worker, &record, &suspects);
        }
        for task in leased {
            // A failure further up may have ended the job meanwhile.
            if self
                .task(task)
                .is_some_and(|t| t.state == TaskState::Leased { worker })
            {
                self.unlease(worker, task.into());
                self.leased_to_waiting(task);
                if suspects.contains(&task) {
                    self.count_loss(task);
                }
            }
        }
    }

    /// The tasks that may have ended a worker: those that it said it computes; if it could not say so in time, those
    /// that it was to compute first.
    fn suspects(&self, leased: &[TaskId], worker: &WorkerRecord) -> Vec<TaskId> {
        if self.sabotage == Sabotage::BlameAll {
            return leased.to_vec();
        }
        let computing = worker.computing.iter().filter(|task| leased.contains(task));
        let confirmed: Vec<TaskId> = computing.copied().collect();
        if !confirmed.is_empty() {
            return confirmed;
        }
        let mut first = leased.to_vec();
        first.sort_by_key(|&task| self.task(task).map(|record| record.order));
        first.truncate(worker.slots as usize);
        first
    }

    /// How many workers vanished that a task may have ended, and did not come back.
    pub fn losses(&self, task: TaskId) -> u32 {
        self.task(task).map_or(0, |record| u32::from(record.losses))
    }

    fn departs(&mut self, worker: WorkerId, record: &WorkerRecord, suspects: &[TaskId]) {
        if suspects.is_empty() {
            return;
        }
        let departed = Departed {
            name: record.name.clone(),
            how: record.how.clone(),
            suspects: suspects.to_vec(),
        };
        self.departed.insert(worker, departed);
        while self.departed.len() > DEPARTED_MAX {
            self.departed.pop_first();
        }
    }

    /// Notes how a worker's process ended, for the failure of the task that may be the cause.
    pub(super) fn on_worker_ended(&mut self, name: &Arc<str>, how: &Arc<str>) {
        let connected = self.workers.values_mut().find(|worker| worker.name == *name);
        let departed = self
            .departed
            .values_mut()
            .rev()
            .find(|worker| worker.name == *name);
        // The news may come before the connection's end, or after it.
        if let Some(worker) = connected {
            worker.how = Some(how.clone());
        } else if let Some(worker) = departed {
            worker.how = Some(how.clone());
        }
    }

    /// How the workers ended that vanished with a task, as far as anybody saw it.
    pub(super) fn ends_with(&self, task: TaskId) -> Vec<String> {
        let with_task = self
            .departed
            .values()
            .filter(|worker| worker.suspects.contains(&task));
        with_task
            .filter_map(|worker| Some(format!("{} {}", worker.name, worker.how.as_ref()?)))
            .collect()
    }

    /// A worker that had vanished is back: no task ended it.
    pub(super) fn acquit_tasks_of(&mut self, worker: WorkerId) {
        let departed = self.departed.remove(&worker);
        for task in departed.map(|departed| departed.suspects).unwrap_or_default() {
            if let Some(record) = self.task_mut(task) {
                record.losses = record.losses.saturating_sub(1);
            }
        }
    }

    /// A worker could not give a chunk that it was thought to hold.
    pub(super) fn replica_is_gone(&mut self, chunk: ChunkId, holder: WorkerId) {
        if self.holds(holder, chunk) {
            // It may hold the chunk after all, and only the way to it be broken: keep both books equal.
            self.releases.push((holder, chunk.into()));
            self.remove_replica(chunk, holder);
        }
    }

    pub(super) fn on_chunks_lost(&mut self, worker: WorkerId, chunks: Vec<ChunkId>) {
        for chunk in chunks {
            self.remove_replica(chunk, worker);
        }
    }

    fn remove_replica(&mut self, chunk: ChunkId, worker: WorkerId) {
        let Some(job) = self.jobs.get_mut(&chunk.job) else {
            return;
        };
        let mut layer = job.layers.get_mut(chunk.layer.0 as usize);
        if let (Some(layer), Sabotage::LoseNeighbours) = (&mut layer, self.sabotage) {
            let (count, _) = layer.chunks.run_at(chunk.block, RUN_BLOCKS_MAX);
            if layer.chunks.contains(chunk.block) && count > 1 {
                let lose = |record: &mut ChunkRecord| record.holders = Holders::default();
                layer.chunks.update(chunk.block + 1, count - 1, lose);
            }
        }
        let Some(record) = layer.and_then(|layer| layer.chunks.get_mut(chunk.block)) else {
            return;
        };
        if !record.holders.remove(worker) {
            return;
        }
        let is_lost = record.holders.is_empty();
        if let Some(holder) = self.workers.get_mut(&worker) {
            holder.held_count -= 1;
        }
        if is_lost {
            self.chunk_lost(chunk);
        } else {
            self.spread(chunk);
        }
    }

    /// What a worker holds, in the order of jobs, layers and blocks. Looks at every chunk: for what happens seldom.
    pub(super) fn chunks_held_by(&self, worker: WorkerId) -> Vec<ChunkId> {
        self.each_block(|layer| {
            let held = layer
                .chunks
                .iter()
                .filter(|(_, chunk)| chunk.holders.contains(worker));
            held.map(|(block, _)| block).collect()
        })
    }

    /// What a worker has to run, in the order of jobs, layers and blocks. Looks at every live task.
    pub(super) fn tasks_leased_to(&self, worker: WorkerId) -> Vec<TaskId> {
        self.each_block(|layer| {
            let state = TaskState::Leased { worker };
            let leased = layer.tasks.iter().filter(|(_, task)| task.state == state);
            leased.map(|(block, _)| block).collect()
        })
    }

    fn each_block(&self, blocks: impl Fn(&LayerRecord) -> Vec<u64>) -> Vec<ChunkId> {
        let mut found = Vec::new();
        for (&job, record) in &self.jobs {
            for layer in &record.layers {
                let id = |block| ChunkId {
                    job,
                    layer: layer.spec.id,
                    block,
                };
                found.extend(blocks(layer).into_iter().map(id));
            }
        }
        found
    }

    /// Nobody holds the chunk any more. Whoever waits for it makes it anew from its lineage; if nobody waits yet, it
    /// is made when a walk comes to it.
    fn chunk_lost(&mut self, chunk: ChunkId) {
        let bytes = self.remove_chunk(chunk).bytes;
        debug_assert!(bytes <= super::hold::CHUNK_BYTES_MAX);
        let careless = self.sabotage == Sabotage::CountLostOutputs;
        let job = self.job_mut(chunk.job);
        let running = job.state == JobState::Running;
        let layer = &job.layers[chunk.layer.0 as usize];
        let mut awaited = layer.is_wanted_output(chunk.block);
        if running && !careless {
            job.outputs_left += layer.pin_count(chunk.block);
        }
        for task in self.dependents_of(chunk) {
            awaited |= self.input_vanished(task);
        }
        if awaited {
            self.unfinish(chunk);
            self.recover(chunk);
        }
    }

    /// Has a lost chunk made anew for those who wait for it.
    pub(super) fn recover(&mut self, chunk: ChunkId) {
        if self.sabotage == Sabotage::ForgetLostChunks {
            let of_others = !self.layer(chunk.job, chunk.layer).is_wanted_output(chunk.block)
                && self.dependents_of(chunk).iter().all(|task| task.job != chunk.job);
            if of_others {
                return;
            }
        }
        self.push_lost(chunk);
    }

    /// Returns whether the task waits for its inputs (and not for its report).
    fn input_vanished(&mut self, task: TaskId) -> bool {
        let Some(record) = self.task_mut(task) else {
            return false;
        };
        match &mut record.state {
            TaskState::Waiting { missing } => {
                *missing += 1;
                true
            }
            TaskState::Ready => {
                self.ready_to_waiting(task, 1);
                true
            }
            TaskState::Leased { .. } => false,
        }
    }

    /// Clears a task's finished bit, and counts it again among those that need its inputs.
    pub(super) fn unfinish(&mut self, task: TaskId) {
        let careless = self.sabotage == Sabotage::KeepFinishedBits;
        let layer = self.layer_mut(task.job, task.layer);
        if careless || !layer.finished.remove(task.block) {
            return;
        }
        layer.reset_count += 1;
        let attempt = layer.latest_attempt(task.block);
        layer.attempts.insert(task.block, attempt);
        // The tasks of an abandoned job all count as finished, whether they were or not.
        if self.jobs[&task.job].state != JobState::Abandoned {
            self.out.push(Command::Observe(Observation::TaskReset {
                task,
                attempt: attempt - 1,
                was_finished: true,
            }));
        }
        for input in self.inputs_of(task) {
            let layer = self.layer_mut(input.job, input.layer);
            if let Some(record) = layer.chunks.get_mut(input.block) {
                record.needed += 1;
            }
        }
    }

    pub(super) fn is_finished(&self, task: TaskId) -> bool {
        self.jobs
            .get(&task.job)
            .is_some_and(|job| job.layers[task.layer.0 as usize].finished.contains(task.block))
    }
}
