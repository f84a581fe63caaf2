//! What must hold between any two events: checked by the simulator and by tests, never in production.

use super::{Link, RunState, Worker};

impl Worker {
    /// Checks the books against each other.
    ///
    /// # Errors
    /// The first thing that does not hold, in a sentence.
    pub fn check_invariants(&self) -> Result<(), String> {
        let reserved: u64 = self.runs.values().map(|run| run.reserved_bytes).sum();
        if reserved != self.reserved_bytes {
            return Err(format!(
                "{} bytes reserved, {reserved} counted",
                self.reserved_bytes
            ));
        }
        let mut computing = 0;
        for (id, run) in &self.runs {
            let (queued, current) = (self.queue.contains(id), self.tasks.get(&run.task) == Some(id));
            let (want_queued, want_current) = match run.state {
                RunState::Queued => (true, true),
                RunState::Fetching { .. } | RunState::Fetched => (false, true),
                RunState::Computing { slot, .. } => {
                    computing += 1;
                    if self.free_slots.contains(&slot) {
                        return Err(format!("{} computes on slot {slot}, which is free", run.task));
                    }
                    (false, true)
                }
                RunState::Unwanted { .. } => {
                    computing += 1;
                    (false, false)
                }
            };
            if queued != want_queued || current != want_current {
                return Err(format!(
                    "{id:?} of {} is {:?}: queued {queued}, current {current}",
                    run.task, run.state
                ));
            }
        }
        let slots = self.config.slots.max(1) as usize;
        if computing + self.free_slots.len() != slots {
            let free = self.free_slots.len();
            return Err(format!(
                "{computing} runs compute and {free} slots are free, of {slots}"
            ));
        }
        if self.tasks.len() > self.runs.len() {
            return Err(format!(
                "{} tasks have {} runs",
                self.tasks.len(),
                self.runs.len()
            ));
        }
        if matches!(self.link, Link::Down) && !self.tasks.is_empty() {
            return Err("tasks are wanted without a connection".into());
        }
        Ok(())
    }
}
