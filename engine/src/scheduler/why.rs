//! Why a task is where it is, and how a worker is: answered from what the scheduler knows at this moment.
//!
//! Nothing is remembered for it. What was before is the shell's to tell, from what it observed.

use std::collections::BTreeMap;

use graticule_plan::{ChunkId, JobId, TaskId, WorkerId};

use super::{
    Scheduler,
    demand::BARREN_COUNT_MAX,
    dispatch::LOSSES_SUSPICIOUS,
    record::{JobState, LayerRecord, ReadyRun, TaskRecord, TaskState},
    why_answer::{Admission, Bound, Openings, Placement, Standing, Unknown, Why, WorkerWhy},
};
use crate::Time;

/// Causes that are told of a task, of those that there are.
const WIDTH_MAX: usize = 3;
/// How far a chain of causes is followed.
const DEPTH_MAX: usize = 16;
/// Steps from a task towards the output that needs it.
const STEPS_MAX: usize = 1000;
/// Tasks at hand that are named of a worker.
const TASKS_NAMED_MAX: usize = 16;

impl Scheduler {
    /// Why a task is where it is.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn why(&self, task: TaskId) -> Result<Why, Unknown> {
        let layers = self.known(task.job)?;
        let Some(layer) = layers.get(task.layer.0 as usize) else {
            return Err(Unknown::Layer {
                job: task.job,
                layer: task.layer,
                layer_count: layers.len(),
            });
        };
        let block_count = layer.spec.layer.grid.block_count();
        if task.block >= block_count {
            return Err(Unknown::Block {
                task,
                name: layer.spec.layer.name.clone(),
                block_count,
            });
        }
        Ok(self.why_known(task, 0))
    }

    /// The task to ask about when a job does not get on: that of the first output that is missing.
    ///
    /// # Errors
    /// [`Unknown`], also if nothing is missing.
    pub fn first_missing(&self, job: JobId) -> Result<TaskId, Unknown> {
        let layers = self.known(job)?;
        let at = |layer: &LayerRecord, block| TaskId {
            job,
            layer: layer.spec.id,
            block,
        };
        let outputs = || layers.iter().filter(|layer| layer.is_output());
        let live =
            outputs().flat_map(|layer| layer.tasks.iter().map(move |(block, task)| (layer, block, task)));
        let first = live.min_by_key(|(.., task)| task.order);
        if let Some((layer, block, _)) = first {
            return Ok(at(layer, block));
        }
        // None is under way: the first that the walk has not passed, or that waits for its client.
        let missing = outputs().find_map(|layer| {
            let mut blocks = 0..layer.spec.layer.grid.block_count();
            let block = blocks.find(|&block| {
                layer.awaits_delivery(block)
                    || (layer.is_wanted_output(block) && !layer.chunks.contains(block))
            });
            block.map(|block| at(layer, block))
        });
        missing.ok_or(Unknown::Complete { job })
    }

    /// How a worker is.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn why_worker(&self, now: Time, worker: WorkerId) -> Result<WorkerWhy, Unknown> {
        let Some(record) = self.workers.get(&worker) else {
            return Err(self.no_worker(&worker.to_string()));
        };
        let chunks = self
            .jobs
            .values()
            .flat_map(|job| &job.layers)
            .flat_map(|layer| layer.chunks.iter());
        let held = chunks.filter(|(_, chunk)| chunk.holders.contains(worker));
        let mut leased = self.tasks_leased_to(worker);
        leased.sort_by_key(|&task| self.task(task).map(|record| record.order));
        leased.truncate(TASKS_NAMED_MAX);
        Ok(WorkerWhy {
            worker,
            name: record.name.clone(),
            address: record.peer.address.clone(),
            slots: record.slots,
            budget_bytes: record.budget_bytes,
            leased_count: record.leased_count,
            leased,
            load_us: record.load_us,
            held_count: record.held_count,
            held_bytes: held.map(|(_, chunk)| chunk.bytes).fold(0, u64::saturating_add),
            status: record.status,
            silent_us: now.since_us(record.last_seen),
            is_retiring: record.retiring,
            is_isolated: record.isolated,
        })
    }

    /// The worker of a name.
    ///
    /// # Errors
    /// [`Unknown`], also if several have that name: only their numbers tell them apart.
    pub fn worker_named(&self, name: &str) -> Result<WorkerId, Unknown> {
        let mut named = self.workers.iter().filter(|(_, worker)| &*worker.name == name);
        match (named.next(), named.next()) {
            (Some((&worker, _)), None) => Ok(worker),
            _ => Err(self.no_worker(name)),
        }
    }

    /// The chunks that a task reads, up to a number of them.
    pub fn first_inputs(&self, task: TaskId, count_max: usize) -> Vec<ChunkId> {
        if self.why(task).is_err() {
            return Vec::new();
        }
        let mut inputs = self.inputs_of(task);
        inputs.truncate(count_max);
        inputs
    }

    fn known(&self, job: JobId) -> Result<&[LayerRecord], Unknown> {
        let record = self.jobs.get(&job).ok_or_else(|| Unknown::Job {
            job,
            jobs: self.running_jobs().collect(),
        })?;
        Ok(&record.layers)
    }

    fn no_worker(&self, asked: &str) -> Unknown {
        Unknown::Worker {
            asked: asked.into(),
            workers: self.worker_names(),
        }
    }

    fn why_known(&self, task: TaskId, depth: usize) -> Why {
        let layer = self.layer(task.job, task.layer);
        let record = layer.tasks.get(task.block);
        let of_record = |number: fn(&TaskRecord) -> u32| record.map_or(0, number);
        let attempts = record.map(|record| record.attempt);
        Why {
            task,
            layer: layer.spec.layer.name.clone(),
            is_wanted: layer.is_wanted_output(task.block),
            attempts: attempts.unwrap_or_else(|| layer.attempts.get(task.block).copied().unwrap_or(0)),
            failures: of_record(|record| record.failures),
            losses: of_record(|record| u32::from(record.losses)),
            misses: of_record(|record| u32::from(record.misses)),
            standing: match record {
                Some(record) => self.standing_of_live(task, record, depth),
                None => self.standing_of_idle(task, layer),
            },
        }
    }

    fn standing_of_live(&self, task: TaskId, record: &TaskRecord, depth: usize) -> Standing {
        match record.state {
            TaskState::Waiting { missing } => Standing::Waiting {
                missing,
                causes: self.causes(task, depth),
            },
            TaskState::Ready => Standing::Ready {
                ahead: self.ready_ahead_of(task),
                workers: self.openings(task, record),
            },
            TaskState::Leased { worker } => Standing::Leased {
                worker,
                name: self
                    .workers
                    .get(&worker)
                    .map_or_else(|| "".into(), |w| w.name.clone()),
                placement: self.placement(task, worker, record),
            },
        }
    }

    fn standing_of_idle(&self, task: TaskId, layer: &LayerRecord) -> Standing {
        let job = &self.jobs[&task.job];
        if let Some(chunk) = layer.chunks.get(task.block) {
            return Standing::Held {
                holders: chunk.holders.iter().collect(),
                bytes: chunk.bytes,
                needed: chunk.needed,
            };
        }
        if layer.finished.contains(task.block) {
            return match job.state {
                JobState::Running => Standing::Released,
                JobState::Finished | JobState::Abandoned => Standing::NotNeeded,
            };
        }
        let bottom = job.cursor.stack.first().map(|frame| frame.tasks.head());
        let next = || {
            let (output, block, _) = job.turns.at(&mut job.cursor.place.clone())?;
            Some(TaskId {
                job: task.job,
                layer: job.plan.outputs()[output].layer,
                block,
            })
        };
        Standing::NotDemanded {
            needed_for: self.output_of(task),
            walk_at: bottom.or_else(next),
            admission: self.admission(task.job),
        }
    }

    /// Where the first missing inputs of a task stand: several of the task that was asked about, one further down.
    fn causes(&self, task: TaskId, depth: usize) -> Vec<Why> {
        let width = if depth == 0 { WIDTH_MAX } else { 1 };
        if depth == DEPTH_MAX {
            return Vec::new();
        }
        let mut missing = Vec::new();
        self.each_input(task, |input| {
            if missing.len() < width && !self.is_held(input) && !missing.contains(&input) {
                missing.push(input);
            }
        });
        let causes = missing.into_iter().map(|input| self.why_known(input, depth + 1));
        causes.collect()
    }

    /// A wanted output that needs a task, directly or not; the task itself if none is found soon.
    fn output_of(&self, task: TaskId) -> TaskId {
        let mut at = task;
        for _ in 0..STEPS_MAX {
            if self.layer(at.job, at.layer).is_wanted_output(at.block) {
                return at;
            }
            let mut first = None;
            self.each_dependent(at, |dependent| {
                if first.is_none() && !self.is_finished(dependent) {
                    first = Some(dependent);
                }
            });
            let Some(next) = first else { break };
            at = next;
        }
        at
    }

    fn ready_ahead_of(&self, task: TaskId) -> u64 {
        let own = self.ready_entry(task);
        let job = &self.jobs[&task.job];
        let before = job.ready.iter().filter(|entry| *entry < own).flat_map(|entry| {
            let tasks = &job.layers[entry.layer.0 as usize].tasks;
            let is_before = move |&block: &u64| {
                let is_ready =
                    |other: &TaskRecord| other.state == TaskState::Ready && other.order == entry.order;
                ReadyRun { block, ..entry } < own && tasks.get(block).is_some_and(is_ready)
            };
            (entry.block..entry.block + entry.count).filter(is_before)
        });
        before.count() as u64
    }

    fn openings(&self, task: TaskId, record: &TaskRecord) -> Openings {
        let layer = self.layer(task.job, task.layer);
        let task_us = layer.measured.mean_us(layer.spec.layer.cost_ns);
        let alone = layer.is_untried || record.losses >= LOSSES_SUSPICIOUS;
        let mut openings = Openings {
            connected: self.workers.len() as u64,
            awaits_first: layer.is_untried && self.tries_another(layer),
            ..Openings::default()
        };
        for worker in self.workers.values() {
            let reason = if worker.retiring {
                &mut openings.retiring
            } else if worker.isolated {
                &mut openings.isolated
            } else if layer.is_choosy() && !layer.may_run_on(worker) {
                &mut openings.unfit
            } else if alone && worker.leased_count > 0 {
                &mut openings.not_empty
            } else if !worker.has_room(task_us) {
                &mut openings.full
            } else {
                continue;
            };
            *reason += 1;
        }
        openings
    }

    fn placement(&self, task: TaskId, worker: WorkerId, record: &TaskRecord) -> Placement {
        let is_untried = self.layer(task.job, task.layer).is_untried;
        if is_untried || record.losses >= LOSSES_SUSPICIOUS {
            return Placement::Alone;
        }
        if self.only_fit(task) == Some(worker) {
            return Placement::OnlyFit;
        }
        let (mut by_worker, mut of_bytes) = (BTreeMap::<WorkerId, u64>::new(), 0_u64);
        self.each_input(task, |input| {
            let source = self.layer(input.job, input.layer);
            let Some(chunk) = source.chunks.get(input.block) else {
                return;
            };
            of_bytes = of_bytes.saturating_add(chunk.bytes);
            for holder in chunk.holders.iter() {
                let sum = by_worker.entry(holder).or_default();
                *sum = sum.saturating_add(chunk.bytes);
            }
        });
        let held_bytes = by_worker.get(&worker).copied().unwrap_or(0);
        match by_worker.values().max() {
            None => Placement::Idlest,
            Some(&most) if held_bytes == most => Placement::MostInputs { held_bytes, of_bytes },
            Some(_) => Placement::NextBest { held_bytes, of_bytes },
        }
    }

    /// The worker that alone among several has what a task asks for; `None` also if the task is not known.
    pub fn only_fit(&self, task: TaskId) -> Option<WorkerId> {
        let layer = self.jobs.get(&task.job)?.layers.get(task.layer.0 as usize)?;
        if !layer.is_choosy() || self.workers.len() < 2 {
            return None;
        }
        let mut fit = self
            .workers
            .iter()
            .filter(|(_, worker)| layer.may_ever_run_on(worker));
        match (fit.next(), fit.next()) {
            (Some((worker, _)), None) => Some(*worker),
            _ => None,
        }
    }

    fn admission(&self, job: JobId) -> Admission {
        let bounds = self.bounds();
        let mut in_use = self.transient_bytes + self.committed_bytes;
        let mut budget = bounds.transient_bytes;
        let bound = if self.workers.is_empty() {
            Bound::NoWorkers
        } else if self.admits(bounds) && !self.has_room_for_source(job) {
            (in_use, budget) = self.memory_of(job);
            Bound::JobMemory
        } else if self.admits(bounds) {
            Bound::None
        } else if self.ready_count > bounds.ready_count_max() {
            Bound::Ready
        } else if self.barren_count >= BARREN_COUNT_MAX {
            Bound::Barren
        } else if self.undelivered_bytes > in_use / 2 {
            Bound::Clients
        } else {
            Bound::Memory
        };
        let bytes = |bytes: u128| u64::try_from(bytes).unwrap_or(u64::MAX);
        Admission {
            bound,
            ready_count: self.ready_count,
            ready_count_max: bounds.ready_count_max(),
            in_use_bytes: bytes(in_use),
            budget_bytes: bytes(budget),
            undelivered_bytes: bytes(self.undelivered_bytes),
        }
    }
}
