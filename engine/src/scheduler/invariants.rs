//! What must hold between any two events: checked by the simulator and by tests, never in production.

use graticule_plan::{ChunkId, JobId, LayerId, TaskId};

use super::{
    Scheduler,
    record::{JobState, TaskState},
};

impl Scheduler {
    /// Checks the books against each other.
    ///
    /// # Errors
    /// The first thing that does not hold, in a sentence.
    pub fn check_invariants(&self) -> Result<(), String> {
        let mut sums = Sums::default();
        for (&job, record) in &self.jobs {
            for (index, layer) in record.layers.iter().enumerate() {
                let id = LayerId(u32::try_from(index).expect("layer ids are 32 bits"));
                self.check_layer(job, id, layer, &mut sums)?;
            }
            self.check_outputs(job)?;
        }
        let books = [
            ("ready tasks", self.ready_count, sums.ready),
            (
                "queued tasks",
                self.ready_count,
                self.jobs.values().map(|j| j.ready.len() as u64).sum(),
            ),
            ("leased tasks", self.leased_count, sums.leased),
            (
                "tasks on workers",
                self.leased_count,
                self.workers.values().map(|w| w.leased.len() as u64).sum(),
            ),
            ("committed bytes", self.committed_bytes, sums.committed_bytes),
            ("transient bytes", self.transient_bytes, sums.transient_bytes),
            (
                "replicas",
                sums.replicas,
                self.workers.values().map(|w| w.held.len() as u64).sum(),
            ),
        ];
        match books.into_iter().find(|(_, a, b)| a != b) {
            Some((what, booked, counted)) => Err(format!("{what}: {booked} booked, {counted} counted")),
            None => Ok(()),
        }
    }

    fn check_layer(
        &self,
        job: JobId,
        id: LayerId,
        layer: &super::record::LayerRecord,
        sums: &mut Sums,
    ) -> Result<(), String> {
        for (&block, record) in &layer.tasks {
            let task = TaskId {
                job,
                layer: id,
                block,
            };
            if layer.chunks.contains_key(&block) || layer.finished.contains(block) {
                return Err(format!("{task} is live and finished"));
            }
            let bytes = layer.spec.layer.output_bytes(block);
            let missing = self.inputs_of(task).iter().filter(|&&c| !self.is_held(c)).count() as u64;
            match record.state {
                TaskState::Waiting { missing: booked } if booked != missing || missing == 0 => {
                    return Err(format!("{task} waits for {booked} inputs, {missing} are missing"));
                }
                TaskState::Waiting { .. } => {}
                TaskState::Ready if missing > 0 => return Err(format!("{task} is ready without inputs")),
                TaskState::Ready => {
                    sums.ready += 1;
                    sums.committed_bytes += bytes;
                }
                TaskState::Leased { worker } => {
                    let known = self
                        .workers
                        .get(&worker)
                        .is_some_and(|w| w.leased.contains(&task));
                    if !known {
                        return Err(format!("{task} is leased to {worker}, which does not know"));
                    }
                    sums.leased += 1;
                    sums.committed_bytes += bytes;
                }
            }
        }
        for (&block, record) in &layer.chunks {
            self.check_chunk(
                ChunkId {
                    job,
                    layer: id,
                    block,
                },
                record,
                layer,
            )?;
            sums.replicas += record.holders.len() as u64;
            if layer.pins.is_empty() {
                sums.transient_bytes += record.bytes;
            }
        }
        Ok(())
    }

    fn check_chunk(
        &self,
        chunk: ChunkId,
        record: &super::record::ChunkRecord,
        layer: &super::record::LayerRecord,
    ) -> Result<(), String> {
        if !layer.finished.contains(chunk.block) {
            return Err(format!("{chunk} is held and not finished"));
        }
        if record.holders.is_empty() {
            return Err(format!("{chunk} is held by nobody"));
        }
        if let Some(holder) = record.holders.iter().find(|&&w| !self.holds(w, chunk)) {
            return Err(format!("{chunk} is held by {holder}, which does not know"));
        }
        let needed = self
            .dependents_of(chunk)
            .into_iter()
            .filter(|&t| !self.is_finished(t))
            .count() as u64;
        if record.needed != needed {
            return Err(format!(
                "{chunk} is needed {} times, {needed} tasks are unfinished",
                record.needed
            ));
        }
        let abandoned = self.jobs[&chunk.job].state == JobState::Abandoned;
        if needed == 0 && !layer.is_wanted_output(chunk.block) && !abandoned {
            return Err(format!("{chunk} is held for nobody"));
        }
        Ok(())
    }

    fn check_outputs(&self, job: JobId) -> Result<(), String> {
        let record = &self.jobs[&job];
        if record.state != JobState::Running {
            return Ok(());
        }
        let mut left = 0;
        for output in record.plan.outputs() {
            let layer = self.layer(job, output.layer);
            let all = layer.spec.layer.grid.block_count();
            left += match output.keep {
                None => all - layer.delivered.as_ref().map_or(0, |d| d.len()),
                Some(_) => all - layer.chunks.len() as u64,
            };
        }
        if left == record.outputs_left && left > 0 {
            return Ok(());
        }
        Err(format!(
            "job {job} has {} outputs left in its books, {left} counted",
            record.outputs_left
        ))
    }

    /// Whether nothing is left of any job: no task, no chunk, no name.
    pub fn is_clean(&self) -> bool {
        self.jobs.is_empty() && self.keys.is_empty() && self.workers.values().all(|w| w.held.is_empty())
    }
}

#[derive(Default)]
struct Sums {
    ready: u64,
    leased: u64,
    committed_bytes: u64,
    transient_bytes: u64,
    replicas: u64,
}
