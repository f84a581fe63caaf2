//! What must hold between any two events: checked by the simulator and by tests, never in production.

use super::{Link, RunState, Worker};

impl Worker {
    /// Checks the books against each other.
    ///
    /// # Errors
    /// The first thing that does not hold, in a sentence.
    pub fn check_invariants(&self) -> Result<(), String> {
        let reserved: u64 = self.runs.values().map(|run| run.reserved_bytes).sum();
        let reserved = reserved + self.copies.check()?;
        if reserved != self.reserved_bytes {
            return Err(format!(
                "{} bytes reserved, {reserved} counted",
                self.reserved_bytes
            ));
        }
        let (mut computing, mut fetching) = (0, 0);
        for (id, run) in &self.runs {
            let (queued, current) = (self.queue.contains(id), self.tasks.get(&run.task) == Some(id));
            let (want_queued, want_current) = match run.state {
                RunState::Queued => (true, true),
                RunState::Fetching { .. } => {
                    fetching += 1;
                    (false, true)
                }
                RunState::Fetched => {
                    if !self.fetched.contains(id) {
                        return Err(format!("{} is fetched and waits for no slot", run.task));
                    }
                    (false, true)
                }
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
        let phases = self.queue.len() + self.fetched.len() + fetching + computing;
        if fetching != self.fetching_count || phases != self.runs.len() {
            let runs = self.runs.len();
            return Err(format!(
                "{runs} runs, but {phases} in all phases, {fetching} of them fetching"
            ));
        }
        if let Some(task) = self.tasks.keys().find(|task| self.held.contains_key(task)) {
            return Err(format!("{task} is held and to be made"));
        }
        if !self.fetched.is_empty() && !self.free_slots.is_empty() {
            return Err("a slot idles while fetched runs wait".into());
        }
        if matches!(self.link, Link::Down) && !(self.tasks.is_empty() && self.copies.len() == 0) {
            return Err("tasks or copies are wanted without a connection".into());
        }
        if self.is_retiring() && !self.queue.is_empty() {
            return Err("a worker that retires still has tasks to begin".into());
        }
        Ok(())
    }

    /// Checks that nothing is left of any job: no run, no copy, no layer, no chunk, no byte reserved.
    ///
    /// # Errors
    /// What is left, in words that follow "the worker".
    pub fn check_clean(&self) -> Result<(), String> {
        let left = [
            ("runs", self.runs.len()),
            ("tasks", self.tasks.len()),
            ("copies", self.copies.len()),
            ("layers", self.layers.len()),
            ("tables", self.tables.len()),
            ("chunks", self.held.len()),
            ("unsent reports", self.reports.len()),
            (
                "busy slots",
                self.config.slots.max(1) as usize - self.free_slots.len(),
            ),
        ];
        match left.into_iter().find(|(_, count)| *count > 0) {
            Some((what, count)) => Err(format!("still has {count} {what}")),
            None if self.reserved_bytes > 0 => {
                Err(format!("still has {} bytes reserved", self.reserved_bytes))
            }
            None => Ok(()),
        }
    }
}
