//! What must hold between any two events: checked by the simulator and by tests, never in production.

use std::collections::BTreeSet;

use graticule_plan::{ChunkId, JobId, LayerId, TaskId};

use super::{
    Scheduler,
    demand::{At, Frame},
    ledger::Ledger,
    record::{ChunkRecord, JobRecord, JobState, LayerRecord, TaskRecord, TaskState},
};

impl Scheduler {
    /// Checks the books against each other.
    ///
    /// # Errors
    /// The first thing that does not hold, in a sentence.
    pub fn check_invariants(&self) -> Result<(), String> {
        let mut sums = Sums::default();
        let coming = self.coming();
        for (&job, record) in &self.jobs {
            for (index, layer) in record.layers.iter().enumerate() {
                let layer_id = LayerId(u32::try_from(index).expect("layer ids are 32 bits"));
                let id = |block| TaskId {
                    job,
                    layer: layer_id,
                    block,
                };
                for (block, task) in layer.tasks.iter() {
                    self.check_task(id(block), task, layer, &coming, &mut sums)?;
                }
                for (block, chunk) in layer.chunks.iter() {
                    self.check_chunk(id(block), chunk, layer)?;
                    let bytes = u128::from(chunk.bytes);
                    sums.replicas += chunk.holders.len() as u128;
                    sums.transient_bytes += if layer.pin_count(block) == 0 { bytes } else { 0 };
                    sums.undelivered_bytes += if layer.awaits_delivery(block) { bytes } else { 0 };
                }
            }
            self.check_outputs(job, &coming)?;
            sums.in_hand_bytes += record.ledger.leased_bytes;
            self.check_ledger(job)?;
            self.check_over(job, &coming)?;
        }
        self.check_retirements()?;
        self.check_functions()?;
        self.check_sums(&sums)
    }

    fn check_sums(&self, sums: &Sums) -> Result<(), String> {
        let queued = self.jobs.values().map(queued).sum();
        let on_workers = self.workers.values().map(|w| u128::from(w.leased_count)).sum();
        let held = self.workers.values().map(|w| u128::from(w.held_count)).sum();
        let ready = u128::from(self.ready_count + self.choosy_ready_count);
        let books = [
            ("ready tasks", ready, sums.ready),
            ("queued tasks", ready, queued),
            ("leased tasks", u128::from(self.leased_count), sums.leased),
            ("tasks on workers", u128::from(self.leased_count), on_workers),
            ("committed bytes", self.committed_bytes, sums.committed_bytes),
            ("bytes in hand", self.in_hand_bytes, sums.in_hand_bytes),
            ("transient bytes", self.transient_bytes, sums.transient_bytes),
            (
                "undelivered bytes",
                self.undelivered_bytes,
                sums.undelivered_bytes,
            ),
            ("replicas", sums.replicas, held),
        ];
        if let Some((what, booked, counted)) = books.into_iter().find(|(_, a, b)| a != b) {
            return Err(format!("{what}: {booked} booked, {counted} counted"));
        }
        for (id, worker) in self.workers.iter() {
            let leased = self.tasks_leased_to(*id);
            if leased.len() as u64 != worker.leased_count {
                return Err(format!(
                    "worker {id} has {} tasks, {} counted",
                    worker.leased_count,
                    leased.len()
                ));
            }
            let tasks = leased.into_iter().filter_map(|task| self.task(task));
            let load_us: u64 = tasks.map(|task| u64::from(task.load_us)).sum();
            if load_us != worker.load_us {
                return Err(format!(
                    "worker {id} has a load of {}, {load_us} counted",
                    worker.load_us
                ));
            }
        }
        Ok(())
    }

    fn check_ledger(&self, job: JobId) -> Result<(), String> {
        let record = &self.jobs[&job];
        let mut counted = Ledger {
            plan: record.ledger.plan,
            peak_bytes: record.ledger.peak_bytes,
            limit_bytes: record.ledger.limit_bytes,
            let_go_bytes: record.ledger.let_go_bytes,
            beyond_plan_bytes: record.ledger.beyond_plan_bytes,
            brought_bytes: record.ledger.brought_bytes,
            ..Default::default()
        };
        for layer in &record.layers {
            let passing = layer
                .chunks
                .iter()
                .filter(|(block, _)| layer.pin_count(*block) == 0);
            counted.held_bytes += passing.map(|(_, chunk)| u128::from(chunk.bytes)).sum::<u128>();
            let awaited = layer
                .chunks
                .iter()
                .filter(|(block, _)| layer.awaits_delivery(*block));
            counted.undelivered_bytes += awaited.map(|(_, chunk)| u128::from(chunk.bytes)).sum::<u128>();
            for (block, task) in layer.tasks.iter() {
                let id = layer.spec.id;
                match task.state {
                    TaskState::Waiting { .. } => {}
                    TaskState::Ready => {
                        let task = TaskId {
                            job,
                            layer: id,
                            block,
                        };
                        counted.ready_bytes += self.output_bytes(task.into());
                        counted.ready_count += 1;
                    }
                    TaskState::Leased { .. } => {
                        counted.leased_bytes += u128::from(layer.task_bytes_max);
                        counted.leased_count += 1;
                    }
                }
            }
        }
        if counted != record.ledger {
            return Err(format!("job {job} has {:?}, {counted:?} counted", record.ledger));
        }
        let repaired = record
            .layers
            .iter()
            .any(|layer| layer.reset_count + layer.failed_count > 0);
        let beside = counted.let_go_bytes + counted.beyond_plan_bytes + counted.brought_bytes;
        let (peak_bytes, limit_bytes) = (counted.peak_bytes, counted.limit_bytes.saturating_add(beside));
        if !repaired && counted.limit_bytes > 0 && peak_bytes > limit_bytes {
            return Err(format!(
                "job {job} had {peak_bytes} bytes of at most {limit_bytes}"
            ));
        }
        Ok(())
    }

    /// The chunks that walks under way will come to.
    fn coming(&self) -> BTreeSet<ChunkId> {
        let walks = self.jobs.values().flat_map(|job| &job.cursor.stack);
        let frames = walks.chain(&self.recovery.stack);
        let rest = frames.flat_map(|frame| self.rest_of(frame));
        rest.chain(self.recovery.lost.iter().map(|&(_, task)| task))
            .collect()
    }

    /// What a walk has still to look at among the inputs of tasks that wait.
    fn rest_of(&self, frame: &Frame) -> Vec<ChunkId> {
        let (mut input, mut place, mut rest) = (frame.input, frame.place, Vec::new());
        loop {
            match self.input_at(frame.tasks, input, place) {
                At::EndOfTask => return rest,
                At::EndOfInput => (input, place) = (input + 1, 0),
                At::Chunks(chunks) => {
                    let inputs = &self.layer(frame.tasks.job, frame.tasks.layer).inputs;
                    let fan_in = inputs[input as usize].map.fan_in();
                    let is_awaited = |chunk: &ChunkId| {
                        let block = fan_in.map_or(frame.tasks.first, |fan_in| chunk.block / fan_in);
                        self.is_waiting(TaskId {
                            block,
                            ..frame.tasks.head()
                        })
                    };
                    rest.extend(chunks.each().filter(is_awaited));
                    place += chunks.count;
                }
            }
        }
    }

    fn check_task(
        &self,
        task: TaskId,
        record: &TaskRecord,
        layer: &LayerRecord,
        coming: &BTreeSet<ChunkId>,
        sums: &mut Sums,
    ) -> Result<(), String> {
        if layer.chunks.contains(task.block) || layer.finished.contains(task.block) {
            return Err(format!("{task} is live and finished"));
        }
        let bytes = self.output_bytes(task.into());
        let inputs = self.inputs_of(task);
        let absent = inputs.into_iter().filter(|&c| !self.is_held(c));
        let missing = absent.clone().count() as u64;
        match record.state {
            TaskState::Waiting { missing: booked } => {
                if booked != missing || missing == 0 {
                    return Err(format!("{task} waits for {booked} inputs, {missing} are missing"));
                }
                let waits_for_more = absent.clone().any(|c| !self.is_let_go(c));
                let forgotten = absent
                    .filter(|&c| self.is_absent(c))
                    .filter(|&c| !(waits_for_more && self.is_let_go(c)))
                    .find(|chunk| !coming.contains(chunk));
                if let Some(chunk) = forgotten {
                    return Err(format!("{task} waits for {chunk}, which nobody will make"));
                }
            }
            TaskState::Ready => {
                if missing > 0 {
                    return Err(format!("{task} is ready without inputs"));
                }
                sums.ready += 1;
                sums.committed_bytes += bytes;
            }
            TaskState::Leased { worker } => {
                if !self.workers.contains_key(&worker) {
                    return Err(format!("{task} is leased to {worker}, which is gone"));
                }
                sums.leased += 1;
                sums.committed_bytes += bytes;
            }
        }
        Ok(())
    }

    fn check_chunk(&self, chunk: ChunkId, record: &ChunkRecord, layer: &LayerRecord) -> Result<(), String> {
        if !layer.finished.contains(chunk.block) {
            return Err(format!("{chunk} is held and not finished"));
        }
        if record.holders.is_empty() {
            return Err(format!("{chunk} is held by nobody"));
        }
        if let Some(holder) = record.holders.iter().find(|w| !self.workers.contains_key(w)) {
            return Err(format!("{chunk} is held by {holder}, which is gone"));
        }
        let dependents = self.dependents_of(chunk);
        let needed = dependents.into_iter().filter(|&t| !self.is_finished(t)).count() as u64;
        if record.needed != needed {
            return Err(format!(
                "{chunk} is needed {} times, {needed} tasks are unfinished",
                record.needed
            ));
        }
        if needed == 0 && !layer.is_wanted_output(chunk.block) {
            return Err(format!("{chunk} is held for nobody"));
        }
        Ok(())
    }

    fn check_outputs(&self, job: JobId, coming: &BTreeSet<ChunkId>) -> Result<(), String> {
        let record = &self.jobs[&job];
        let mut left = 0;
        for layer in &record.layers {
            let all = layer.spec.layer.grid.block_count();
            left += layer.delivered.as_ref().map_or(0, |d| all - d.len());
            left += layer.missing_count();
        }
        let running = record.state == JobState::Running;
        if running && (left != record.outputs_left || left == 0) {
            return Err(format!(
                "job {job} has {} outputs left in its books, {left} counted",
                record.outputs_left
            ));
        }
        let mut next = record.cursor.place;
        record.turns.at(&mut next);
        for (index, output) in record.plan.outputs().iter().enumerate() {
            let layer = self.layer(job, output.layer);
            for block in 0..layer.spec.layer.grid.block_count() {
                let chunk = ChunkId {
                    job,
                    layer: output.layer,
                    block,
                };
                // What of it is left is known only when all are back.
                let unknown = self.is_restoring() || record.client_is_away;
                let ahead = unknown || running && record.turns.place_of(index, block) >= next;
                let forgotten =
                    layer.is_wanted_output(block) && self.is_absent(chunk) && !coming.contains(&chunk);
                if forgotten && !ahead {
                    return Err(format!("output {chunk} is wanted, and nobody will make it"));
                }
            }
        }
        Ok(())
    }

    /// In a job that is over all tasks count as finished but those that are being made again for others.
    fn check_over(&self, job: JobId, coming: &BTreeSet<ChunkId>) -> Result<(), String> {
        let record = &self.jobs[&job];
        if record.state == JobState::Running {
            return Ok(());
        }
        for layer in &record.layers {
            let count = layer.spec.layer.grid.block_count();
            if layer.finished.len() + layer.tasks.len() == count {
                continue;
            }
            let id = |block| TaskId {
                job,
                layer: layer.spec.id,
                block,
            };
            let is_open = |&block: &u64| !layer.finished.contains(block) && !layer.tasks.contains(block);
            let forgotten = (0..count)
                .filter(is_open)
                .map(id)
                .find(|task| !coming.contains(task));
            if let Some(task) = forgotten {
                return Err(format!(
                    "{task} needs its inputs, and nobody will make it in a job that is over"
                ));
            }
        }
        Ok(())
    }

    /// Whether nothing is left of any job: no task, no chunk, no name.
    pub fn is_clean(&self) -> bool {
        let holds_none = self.workers.values().all(|w| w.held_count == 0);
        self.jobs.is_empty() && self.keys.is_empty() && holds_none && self.copies_under_way() == 0
    }
}

/// Ready tasks that stand in their job's queue.
fn queued(job: &JobRecord) -> u128 {
    let is_ready = |(layer, block, order): &(LayerId, u64, u64)| {
        let task = job.layers[layer.0 as usize].tasks.get(*block);
        task.is_some_and(|task| task.state == TaskState::Ready && task.order == *order)
    };
    let choosy = job.layers.iter().flat_map(|layer| layer.choosy_ready.iter());
    let entries = job.ready.iter().chain(choosy).flat_map(|entry| {
        let blocks = entry.block..entry.block + entry.count;
        blocks.map(move |block| (entry.layer, block, entry.order))
    });
    entries.filter(is_ready).collect::<BTreeSet<_>>().len() as u128
}

#[derive(Default)]
struct Sums {
    ready: u128,
    leased: u128,
    committed_bytes: u128,
    transient_bytes: u128,
    undelivered_bytes: u128,
    in_hand_bytes: u128,
    replicas: u128,
}
