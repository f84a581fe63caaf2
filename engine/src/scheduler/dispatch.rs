//! Which worker runs what: ready tasks become leases.

use std::collections::BTreeMap;

use graticule_plan::{ChunkId, JobId, LayerId, TaskId, WorkerId};

use super::{
    Command, Observation, Scheduler,
    record::{ReadyTask, TaskState, WorkerRecord},
};
use crate::{ChunkHolders, Lease, ToWorker, footprint::task_bytes};

/// Work that a worker has at hand beyond what it runs, so that it never waits for the next lease.
const QUEUE_US: u64 = 50_000;
/// Tasks longer than this are leased one by one as slots fall free, so that a worker that joins gets some.
const LONG_TASK_US: u64 = 500_000;
/// The most tasks a worker has at hand for each of its slots.
const QUEUE_TASKS_PER_SLOT_MAX: u64 = 64;
/// Workers that vanished with a task before it runs on an otherwise idle worker, so that it takes no others along and
/// the next loss tells whether it is the cause.
const LOSSES_SUSPICIOUS: u32 = 2;

type Leases = BTreeMap<(WorkerId, JobId, LayerId), Lease>;

impl Scheduler {
    /// Leases ready tasks to workers that have room, and sends the leases.
    pub(super) fn dispatch(&mut self) {
        let mut leases = Leases::new();
        while let Some((job, ready)) = self.next_ready() {
            let task = TaskId {
                job,
                layer: ready.layer,
                block: ready.block,
            };
            if let Some(message) = self.too_large(task) {
                self.fail_task(task, &message.into());
                continue;
            }
            let Some(worker) = self.place(task) else { break };
            self.last_served = Some(job);
            self.ready_to_leased(task, worker, &mut leases);
        }
        for ((worker, ..), lease) in leases {
            self.send_lease(worker, lease);
        }
    }

    /// The best ready task of all jobs, jobs taking turns.
    fn next_ready(&self) -> Option<(JobId, ReadyTask)> {
        if self.ready_count == 0 {
            return None;
        }
        let mut first = None;
        for (&job, record) in &self.jobs {
            let Some(&ready) = record.ready.first() else {
                continue;
            };
            if Some(job) > self.last_served {
                return Some((job, ready));
            }
            first.get_or_insert((job, ready));
        }
        first
    }

    /// Why no connected worker can ever run the task, if none can.
    fn too_large(&self, task: TaskId) -> Option<String> {
        let largest = self.workers.values().map(|w| w.budget_bytes).max()?;
        let layer = self.layer(task.job, task.layer);
        let maps = layer.inputs.iter().map(|input| &*input.map);
        let needed = task_bytes(&layer.spec, maps, task.block);
        if needed <= largest {
            return None;
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let cause = format!(
            "one task needs {} MiB (inputs, scratch and result), but the largest worker has {} MiB; use smaller \
             chunks or start workers with a larger --memory",
            mib(needed),
            mib(largest)
        );
        Some(self.tell_where(task, &cause).to_string())
    }

    /// The worker with room that holds most of the task's inputs; of equals the one with the fewest tasks at hand,
    /// then the one that got the previous task, so that neighbours stay together.
    fn place(&self, task: TaskId) -> Option<WorkerId> {
        let layer = self.layer(task.job, task.layer);
        let task_us = layer.measured.mean_us(layer.spec.layer.cost_ns);
        let alone = layer.tasks[&task.block].losses >= LOSSES_SUSPICIOUS;
        let mut local: BTreeMap<WorkerId, u64> = BTreeMap::new();
        for input in self.inputs_of(task) {
            let source = self.layer(input.job, input.layer);
            if let Some(record) = source.chunks.get(&input.block) {
                for &holder in &record.holders {
                    let bytes = local.entry(holder).or_default();
                    *bytes = bytes.saturating_add(record.bytes);
                }
            }
        }
        let open = self
            .workers
            .iter()
            .filter(|(_, w)| w.has_room(task_us) && (!alone || w.leased.is_empty()));
        let key = |(id, worker): &(&WorkerId, &WorkerRecord)| {
            let level = worker.leased.len() as u64 / u64::from(worker.slots);
            let bytes = local.get(id).copied().unwrap_or(0);
            let previous = self.last_placed == Some(**id);
            (
                std::cmp::Reverse(bytes),
                level,
                !previous,
                worker.leased.len(),
                **id,
            )
        };
        open.min_by_key(key).map(|(&id, _)| id)
    }

    fn ready_to_leased(&mut self, task: TaskId, worker: WorkerId, leases: &mut Leases) {
        let entry = self.ready_entry(task);
        self.job_mut(task.job).ready.remove(&entry);
        self.ready_count -= 1;
        self.leased_count += 1;
        let layer = self.layer(task.job, task.layer);
        let task_us = layer.measured.mean_us(layer.spec.layer.cost_ns);
        let record = self.task_mut(task).expect("a ready task has a record");
        assert_eq!(record.state, TaskState::Ready, "{task}");
        record.state = TaskState::Leased { worker };
        record.attempt += 1;
        record.load_us = task_us;
        let attempt = record.attempt;
        let alone = record.losses >= LOSSES_SUSPICIOUS;
        if attempt > 1 {
            self.layer_mut(task.job, task.layer)
                .attempts
                .insert(task.block, attempt);
        }
        let target = self
            .workers
            .get_mut(&worker)
            .expect("placed on a connected worker");
        target.leased.insert(task);
        target.load_us += task_us;
        target.isolated = alone;
        self.last_placed = Some(worker);
        self.out.push(Command::Observe(Observation::TaskLeased {
            task,
            worker,
            attempt: attempt - 1,
        }));
        let lease = leases
            .entry((worker, task.job, task.layer))
            .or_insert_with(|| Lease {
                job: task.job,
                layer: task.layer,
                tasks: Vec::new(),
                holders: Vec::new(),
            });
        lease.tasks.push((task.block, attempt));
    }

    fn send_lease(&mut self, worker: WorkerId, mut lease: Lease) {
        // A failure in the same round may have ended the job after some of its tasks were placed.
        lease.tasks.retain(|&(block, _)| {
            let task = TaskId {
                job: lease.job,
                layer: lease.layer,
                block,
            };
            self.task(task)
                .is_some_and(|t| t.state == TaskState::Leased { worker })
        });
        if lease.tasks.is_empty() {
            return;
        }
        let mut elsewhere: BTreeMap<ChunkId, Vec<WorkerId>> = BTreeMap::new();
        for &(block, _) in &lease.tasks {
            for chunk in self.inputs_of(TaskId {
                job: lease.job,
                layer: lease.layer,
                block,
            }) {
                let source = self.layer(chunk.job, chunk.layer).chunks.get(&chunk.block);
                let holders = source.map(|record| record.holders.as_slice()).unwrap_or_default();
                if !holders.contains(&worker) {
                    elsewhere.entry(chunk).or_insert_with(|| holders.to_vec());
                }
            }
        }
        lease.holders = elsewhere
            .into_iter()
            .map(|(chunk, holders)| ChunkHolders {
                chunk,
                peers: self.peers(&holders),
            })
            .collect();
        self.describe_layer(worker, lease.job, lease.layer);
        self.send(worker, ToWorker::Lease(lease));
    }

    /// Sends a layer and its tables to a worker that lacks them.
    fn describe_layer(&mut self, worker: WorkerId, job: JobId, layer: LayerId) {
        let target = self
            .workers
            .get_mut(&worker)
            .expect("leased to a connected worker");
        if !target.layers.insert((job, layer)) {
            return;
        }
        let record = &self.jobs[&job];
        let spec = record.layers[layer.0 as usize].spec.clone();
        let new = spec
            .layer
            .tables
            .iter()
            .filter(|&&digest| target.tables.insert(digest));
        let tables: Vec<_> = new
            .map(|digest| (*digest, record.plan.tables()[digest].clone()))
            .collect();
        for (digest, content) in tables {
            self.send(worker, ToWorker::Table { digest, content });
        }
        self.send(worker, ToWorker::Layer(spec));
    }
}

impl WorkerRecord {
    /// Whether a task of about `task_us` may be added to what the worker has at hand.
    fn has_room(&self, task_us: u64) -> bool {
        if self.retiring || self.isolated {
            return false;
        }
        let (slots, at_hand) = (u64::from(self.slots), self.leased.len() as u64);
        if task_us > LONG_TASK_US {
            return at_hand < slots;
        }
        let queue_is_short = self.load_us < slots * QUEUE_US;
        at_hand < 2 * slots || (queue_is_short && at_hand < slots * QUEUE_TASKS_PER_SLOT_MAX)
    }
}
