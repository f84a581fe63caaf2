//! Which worker runs what: ready tasks become leases.

use std::{cmp::Reverse, ops::Bound};

use graticule_plan::{ChunkId, JobId, LayerId, TaskId, WorkerId};

use super::{
    Command, Observation, Sabotage, Scheduler,
    record::{ChunkRecord, InputRecord, ReadyRun, TaskState, WorkerRecord},
};
use crate::{BlockRun, ChunkHolders, Lease, TaskRun, ToWorker};

/// Workers that vanished with a task before it runs on an otherwise idle worker, so that it takes no others along and
/// the next loss tells whether it is the cause.
pub(super) const LOSSES_SUSPICIOUS: u16 = 2;

/// What was leased and is still to be told: whose, of which layer, and which blocks.
pub(super) type Leases = Vec<((WorkerId, JobId, LayerId), TaskRun)>;

impl Scheduler {
    /// Leases ready tasks to workers that have room.
    pub(super) fn dispatch(&mut self, leases: &mut Leases) {
        if self.ready_count == 0 && self.choosy_ready_count == 0 {
            return;
        }
        self.rank_changed();
        if self.choosy_ready_count > 0 {
            self.dispatch_choosy(leases);
        }
        while let Some((job, ready)) = self.next_ready() {
            let tasks = BlockRun {
                job,
                layer: ready.layer,
                first: ready.block,
                count: ready.count,
            };
            if let Some(message) = self.too_large(tasks.head()) {
                self.fail_task(tasks.head(), &message.into());
                continue;
            }
            let Some((worker, count)) = self.place(tasks) else {
                break;
            };
            self.last_served = Some(job);
            let queue = &mut self.job_mut(job).ready;
            // One that went before its turn is found to be stale later.
            if queue
                .peek()
                .is_some_and(|top| (top.layer, top.block) == (ready.layer, ready.block))
            {
                queue.take(count);
            }
            self.ready_to_leased(tasks.part(tasks.first, count), worker, leases);
        }
    }

    /// Tells the workers what was leased to them: each of them once for each layer.
    pub(super) fn send_leases(&mut self, leases: &mut Leases) {
        self.flush_releases();
        // Stable: a worker takes its tasks in the order in which they were placed.
        leases.sort_by_key(|&(lease, _)| lease);
        for tasks in leases.chunk_by(|a, b| a.0 == b.0) {
            let (worker, job, layer) = tasks[0].0;
            let lease = Lease {
                job,
                layer,
                tasks: tasks.iter().map(|&(_, run)| run).collect(),
                holders: Vec::new(),
            };
            self.send_lease(worker, lease);
        }
        leases.clear();
    }

    /// The best ready task of all jobs, jobs taking turns; it is on top of its job's queue.
    fn next_ready(&mut self) -> Option<(JobId, ReadyRun)> {
        if self.ready_count == 0 {
            return None;
        }
        let of = |job| self.jobs.get(job).map(|record| record.priority);
        let highest = self.ready_jobs.iter().filter_map(of).max()?;
        self.next_ready_from(highest)
            .or_else(|| self.next_ready_from(i32::MIN))
    }

    /// The best ready task of the jobs of at least this priority.
    fn next_ready_from(&mut self, priority: i32) -> Option<(JobId, ReadyRun)> {
        let last = self.last_served;
        self.next_ready_of(last, None, priority)
            .or_else(|| self.next_ready_of(None, last, priority))
    }

    /// The best ready task of the first job that has one and room for it, behind one job and up to another.
    fn next_ready_of(
        &mut self,
        mut behind: Option<JobId>,
        up_to: Option<JobId>,
        priority: i32,
    ) -> Option<(JobId, ReadyRun)> {
        loop {
            let first = behind.map_or(Bound::Unbounded, Bound::Excluded);
            let &job = self.ready_jobs.range((first, Bound::Unbounded)).next()?;
            if up_to.is_some_and(|last| job > last) {
                return None;
            }
            if self.jobs.get(&job).is_none_or(|record| record.ready.is_empty()) {
                self.ready_jobs.remove(&job);
                continue;
            }
            if self.jobs[&job].priority < priority {
                behind = Some(job);
                continue;
            }
            if let Some(ready) = self.admitted_of(job) {
                return Some((job, ready));
            }
            behind = Some(job);
        }
    }

    /// The best ready task of a job, if memory admits it; where it does not, that which was demanded first, though others
    /// have a higher priority: it has to be run for memory to become free.
    fn admitted_of(&mut self, job: JobId) -> Option<ReadyRun> {
        let top = self.top_ready(job)?;
        let task = |ready: ReadyRun| TaskId {
            job,
            layer: ready.layer,
            block: ready.block,
        };
        if self.admits_lease(task(top)) {
            return Some(top);
        }
        let earliest = self.earliest_ready(job)?;
        (earliest != top && self.admits_lease(task(earliest))).then_some(earliest)
    }

    /// The first tasks of a job's queue that still are ready, and share a record.
    pub(super) fn top_ready(&mut self, job: JobId) -> Option<ReadyRun> {
        let record = self.jobs.get_mut(&job)?;
        while let Some(top) = record.ready.peek() {
            let layer = &record.layers[top.layer.0 as usize];
            let (count, task) = layer.tasks.run_at(top.block, top.count);
            if task.is_some_and(|task| task.state == TaskState::Ready && task.order == top.order) {
                return Some(ReadyRun { count, ..top });
            }
            record.ready.take(count);
        }
        None
    }

    /// The worker with room that holds most of the first task's inputs; else the one with the fewest tasks at hand. And
    /// how many of the tasks it gets.
    pub(super) fn place(&mut self, tasks: BlockRun) -> Option<(WorkerId, u64)> {
        let task = tasks.head();
        let mut local = std::mem::take(&mut self.local);
        let layer = self.layer(task.job, task.layer);
        let task_us = layer.measured.mean_us(layer.spec.layer.cost_ns);
        let losses = layer.tasks.get(task.block).expect("a ready task").losses;
        let is_suspect = losses >= LOSSES_SUSPICIOUS && self.sabotage != Sabotage::BlameTogether;
        let alone = is_suspect || layer.is_untried;
        self.each_input(task, |input| {
            let source = self.layer(input.job, input.layer);
            if let Some(record) = source.chunks.get(input.block) {
                record
                    .holders
                    .iter()
                    .for_each(|holder| local.add(holder, record.bytes));
            }
        });
        let is_choosy = layer.is_choosy();
        let fits = |worker: &WorkerRecord| {
            worker.has_room(task_us)
                && (!alone || worker.leased_count == 0)
                && (!is_choosy || layer.may_run_on(worker))
        };
        let key = |&(id, bytes): &(WorkerId, u64)| {
            let worker = self.workers.get(&id).filter(|worker| fits(worker))?;
            let level = worker.leased_count / u64::from(worker.slots);
            let previous = self.last_placed == Some(id);
            Some((Reverse(bytes), level, !previous, worker.leased_count, id))
        };
        let nearest = local.entries().iter().filter_map(key).min().map(|key| key.4);
        let found = nearest.or_else(|| {
            if alone || is_choosy {
                let open = self.workers.iter().filter(|(_, worker)| fits(worker));
                open.min_by_key(|(_, worker)| worker.leased_count / u64::from(worker.slots))
                    .map(|(&id, _)| id)
            } else {
                self.idlest(task_us)
            }
        });
        local.clear();
        self.local = local;
        let worker = found?;
        let count = if alone || tasks.count == 1 {
            1
        } else {
            self.placed_together(tasks, worker)
        };
        Some((worker, count))
    }

    /// How many of the tasks a worker gets that the first one goes to: those whose inputs lie where the first one's do,
    /// as far as they are little work for it, or it has room and they are no more than its share of all that is at hand.
    fn placed_together(&self, tasks: BlockRun, worker: WorkerId) -> u64 {
        let layer = self.layer(tasks.job, tasks.layer);
        let record = &self.workers[&worker];
        let at_hand = self.ready_count + self.leased_count;
        let share = at_hand * u64::from(record.slots) / self.capacity.slots;
        let share = share.saturating_sub(record.leased_count);
        // A run of little work is not cut where the worker is full with its first tasks: its parts would stay apart.
        let most = record.goes_together(layer).max(share.min(record.room_for(layer)));
        let most = most.min(self.config.lease_blocks_max);
        let count = tasks
            .count
            .min(most)
            .min(self.leases_within(tasks.job, tasks.layer));
        let inputs = layer.inputs.iter();
        inputs
            .map(|input| self.lie_alike(input, tasks))
            .fold(count, u64::min)
            .max(1)
    }

    /// How many of the first tasks have all chunks of an input in the same place.
    fn lie_alike(&self, input: &InputRecord, tasks: BlockRun) -> u64 {
        let Some(fan_in) = input.map.fan_in() else {
            return 1;
        };
        let chunks = &self.layer(input.job, input.layer).chunks;
        let (count, _) = chunks.run_at(tasks.first * fan_in, tasks.count * fan_in);
        count / fan_in
    }

    /// Tasks that share a record go to a worker.
    pub(super) fn ready_to_leased(&mut self, tasks: BlockRun, worker: WorkerId, leases: &mut Leases) {
        let count = tasks.count;
        self.count_out_of_ready(tasks);
        self.leased_count += count;
        self.occupy(tasks, worker, true);
        let bytes = self.output_bytes(tasks);
        let in_hand = u128::from(self.layer(tasks.job, tasks.layer).task_bytes_max) * u128::from(count);
        let job = self.job_mut(tasks.job);
        job.ledger.ready_bytes -= bytes;
        job.ledger.ready_count -= count;
        job.ledger.leased_bytes += in_hand;
        job.ledger.leased_count += count;
        job.ledger.note_peak();
        self.in_hand_bytes += in_hand;
        self.note_peak();
        let (attempt, load_us, alone) = self.begin_attempt(tasks, worker);
        let target = self
            .workers
            .get_mut(&worker)
            .expect("placed on a connected worker");
        target.leased_count += count;
        target.load_us += u64::from(load_us) * count;
        target.isolated = alone;
        self.rank(worker);
        tasks.each().for_each(|task| self.forget_copy(worker, task));
        if self.sabotage == Sabotage::ReleaseWhenLeased {
            self.inputs_spared(tasks);
        }
        self.last_placed = Some(worker);
        self.out.push(Command::Observe(Observation::TasksLeased {
            tasks,
            worker,
            attempt: attempt - 1,
        }));
        let run = TaskRun {
            first: tasks.first,
            count,
            attempt,
        };
        leases.push(((worker, tasks.job, tasks.layer), run));
        self.tell_value_awaited(tasks, worker);
    }

    /// Enters in the tasks' records that a worker has them: the attempt, the load of each, and whether the worker gets
    /// nothing beside them.
    fn begin_attempt(&mut self, tasks: BlockRun, worker: WorkerId) -> (u32, u32, bool) {
        let blames_together = self.sabotage == Sabotage::BlameTogether;
        let layer = self.layer_mut(tasks.job, tasks.layer);
        let is_untried = layer.is_untried;
        let load_us = layer.measured.load_us(layer.spec.layer.cost_ns);
        let load_us = u32::try_from(load_us).unwrap_or(u32::MAX);
        layer.leased_count += tasks.count;
        let (mut attempt, mut alone) = (0, false);
        layer.tasks.update(tasks.first, tasks.count, |record| {
            assert_eq!(record.state, TaskState::Ready, "{}", tasks.head());
            record.pass_to(TaskState::Leased { worker });
            record.attempt += 1;
            record.load_us = load_us;
            attempt = record.attempt;
            alone = is_untried || (record.losses >= LOSSES_SUSPICIOUS && !blames_together);
        });
        if attempt > 1 {
            for block in tasks.first..tasks.end() {
                layer.attempts.insert(block, attempt);
            }
        }
        (attempt, load_us, alone)
    }

    fn send_lease(&mut self, worker: WorkerId, mut lease: Lease) {
        // A failure in the same round may have ended the job after some of its tasks were placed.
        if let Some(left) = self.still_leased(worker, &lease) {
            lease.tasks = left;
        }
        if lease.tasks.is_empty() {
            return;
        }
        let mut elsewhere: Vec<ChunkId> = Vec::new();
        for run in &lease.tasks {
            let tasks = BlockRun {
                job: lease.job,
                layer: lease.layer,
                first: run.first,
                count: run.count,
            };
            self.each_elsewhere(worker, tasks, |chunk| elsewhere.push(chunk));
        }
        elsewhere.sort_unstable();
        elsewhere.dedup();
        let holders = elsewhere.into_iter().map(|chunk| {
            let source = self.layer(chunk.job, chunk.layer).chunks.get(chunk.block);
            let peers = source
                .map(|record| self.peers(&record.holders))
                .unwrap_or_default();
            ChunkHolders { chunk, peers }
        });
        lease.holders = holders.collect();
        self.describe_layer(worker, lease.job, lease.layer);
        self.send(worker, ToWorker::Lease(lease));
    }

    /// Those of a lease's tasks that the worker still has, in their order; `None` if it has all of them.
    fn still_leased(&self, worker: WorkerId, lease: &Lease) -> Option<Vec<TaskRun>> {
        let Some(job) = self.jobs.get(&lease.job) else {
            return Some(Vec::new());
        };
        let tasks = &job.layers[lease.layer.0 as usize].tasks;
        let leased_at = |run: &TaskRun| {
            let (count, record) = tasks.run_at(run.first, run.count);
            let state = TaskState::Leased { worker };
            let is_leased = record.is_some_and(|t| t.state == state && t.attempt == run.attempt);
            (count, is_leased)
        };
        if lease.tasks.iter().all(|run| leased_at(run) == (run.count, true)) {
            return None;
        }
        let mut left = Vec::with_capacity(lease.tasks.len());
        for &run in &lease.tasks {
            let mut rest = run;
            while rest.count > 0 {
                let (count, is_leased) = leased_at(&rest);
                if is_leased {
                    left.push(TaskRun { count, ..rest });
                }
                (rest.first, rest.count) = (rest.first + count, rest.count - count);
            }
        }
        Some(left)
    }

    /// Calls `see` with the inputs of tasks that a worker does not hold.
    fn each_elsewhere(&self, worker: WorkerId, tasks: BlockRun, mut see: impl FnMut(ChunkId)) {
        let is_here = |record: Option<&ChunkRecord>| record.is_some_and(|r| r.holders.contains(worker));
        if tasks.count == 1 {
            return self.each_input(tasks.head(), |chunk| {
                let layer = self.layer(chunk.job, chunk.layer);
                if !is_here(layer.chunks.get(chunk.block)) {
                    see(chunk);
                }
            });
        }
        for input in &self.layer(tasks.job, tasks.layer).inputs {
            let chunks = &self.layer(input.job, input.layer).chunks;
            for sources in input.sources_of(tasks) {
                let (count, record) = chunks.run_at(sources.first, sources.count);
                if !is_here(record) || count < sources.count {
                    let rest = sources.each().filter(|chunk| !is_here(chunks.get(chunk.block)));
                    rest.for_each(&mut see);
                }
            }
        }
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
        let new = target.tables.add(job, layer, &spec.layer.tables);
        let half_done = record.layers[layer.0 as usize].finished.len() > 0;
        let forgetful = self.sabotage == Sabotage::LateJoinerWithoutTables && half_done;
        let tables = new.into_iter().filter(|_| !forgetful);
        let tables: Vec<_> = tables
            .map(|digest| (digest, record.plan.tables()[&digest].clone()))
            .collect();
        for (digest, content) in tables {
            self.send(worker, ToWorker::Table { digest, content });
        }
        self.send(worker, ToWorker::Layer(spec));
    }
}

/// Bytes of a task's inputs by worker that holds them. Cleared after each use, so that it is made once.
///
/// A table of its own: workers' numbers are far apart after a restart, and looked up for every input of every task.
#[derive(Debug, Default)]
pub(super) struct Local {
    entries: Vec<(WorkerId, u64)>,
    /// Places among the entries, plus 1, each as near behind its worker's number modulo the length as is free. The
    /// length is a power of two, and twice the entries at least.
    places: Vec<u32>,
    /// Where each entry's place stands.
    taken: Vec<usize>,
}

impl Local {
    fn add(&mut self, worker: WorkerId, bytes: u64) {
        if self.places.len() < 2 * (self.entries.len() + 1) {
            self.grow();
        }
        let mask = self.places.len() - 1;
        let mut at = worker.0 as usize & mask;
        while let Some(place) = self.places[at].checked_sub(1) {
            let (of, sum) = &mut self.entries[place as usize];
            if *of == worker {
                *sum = sum.saturating_add(bytes);
                return;
            }
            at = (at + 1) & mask;
        }
        self.entries.push((worker, bytes));
        self.places[at] = self.entries.len() as u32;
        self.taken.push(at);
    }

    fn grow(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        self.taken.clear();
        self.places = vec![0; (2 * self.places.len()).max(32)];
        for (worker, bytes) in entries {
            self.add(worker, bytes);
        }
    }

    fn entries(&self) -> &[(WorkerId, u64)] {
        &self.entries
    }

    fn clear(&mut self) {
        self.entries.clear();
        for at in self.taken.drain(..) {
            self.places[at] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use graticule_plan::WorkerId;

    use super::Local;

    #[test]
    fn bytes_are_added_up_however_far_apart_the_workers_numbers_are() {
        let mut local = Local::default();
        // Some have the same place in a table of any size.
        let workers: Vec<WorkerId> = (0..100)
            .flat_map(|n| [WorkerId(n + 1), WorkerId((n + 1) << 40)])
            .collect();
        for round in 0..3 {
            for _ in 0..2 {
                workers.iter().for_each(|&worker| local.add(worker, worker.0));
            }
            let twice: Vec<_> = workers.iter().map(|&worker| (worker, 2 * worker.0)).collect();
            assert_eq!(local.entries(), twice, "round {round}");
            assert!(local.places.len() <= 1024);
            local.clear();
            assert!(local.places.iter().all(|&place| place == 0));
        }
    }
}
