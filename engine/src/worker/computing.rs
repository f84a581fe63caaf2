//! Which tasks compute, for a scheduler that may have to find out which of them ended the worker.

use std::collections::BTreeSet;

use graticule_plan::TaskId;

use super::{Link, Worker};
use crate::{Time, ToScheduler};

/// Microseconds that a task computes before it is worth mentioning.
const MENTION_US: u64 = 1000;

/// What was said of the tasks that compute.
#[derive(Debug, Default)]
pub(super) struct Computing {
    now: BTreeSet<TaskId>,
    said: BTreeSet<TaskId>,
    due: Option<Time>,
}

impl Computing {
    /// When the scheduler is to be told, if it is.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }
}

impl Worker {
    pub(super) fn begins_computing(&mut self, task: TaskId) {
        self.computing.now.insert(task);
        self.computing.due.get_or_insert(self.now + MENTION_US);
    }

    pub(super) fn ends_computing(&mut self, task: TaskId) {
        self.computing.now.remove(&task);
        if self.computing.now.is_empty() {
            self.computing.due = None;
        }
    }

    /// Tells the scheduler of tasks that have computed for a while, if it does not know them.
    pub(super) fn say_computing(&mut self) {
        if self.computing.due.is_none_or(|due| self.now < due) {
            return;
        }
        self.computing.due = None;
        let Computing { now, said, .. } = &self.computing;
        if now.is_subset(said) {
            return;
        }
        if let Link::Up { session, .. } = self.link {
            let tasks = now.iter().copied().collect();
            self.out.push(super::Command::Send {
                session,
                message: ToScheduler::Computing { tasks },
            });
            self.computing.said = self.computing.now.clone();
        }
    }
}
