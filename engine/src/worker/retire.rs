//! How a worker leaves: asked to by its own process, or by the scheduler.

use graticule_plan::TaskId;

use super::{Command, Link, RunState, Worker};
use crate::{Failure, FailureKind, SessionId, TaskTimes, Time, ToScheduler};

/// How long a worker that retires waits for a scheduler that it has lost, microseconds. After that what it holds is
/// made anew elsewhere, if there is anybody.
const LINK_PATIENCE_US: u64 = 2_000_000;

/// A worker on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retiring {
    asked: Asked,
    /// When it leaves whatever is still to be done.
    deadline: Time,
    /// What only it holds is copied before it leaves.
    hands_over: bool,
    /// Since when it has no connection, if it has none.
    alone_since: Option<Time>,
}

/// Who remembers that the worker shall leave, should the connection break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Its own process: the worker tells every new session.
    Here,
    /// The scheduler: it tells the worker again.
    Scheduler,
}

impl Worker {
    /// Whether the worker is about to leave.
    pub fn is_retiring(&self) -> bool {
        self.retiring.is_some()
    }

    pub(super) fn on_retire(&mut self, deadline_us: u64, hands_over: bool) {
        let session = self.link.session();
        let own = self.retiring.filter(|retiring| retiring.asked == Asked::Here);
        let asked_now = Retiring {
            asked: Asked::Here,
            deadline: self.now + deadline_us,
            hands_over,
            alone_since: session.is_none().then_some(self.now),
        };
        self.retiring = Some(own.map_or(asked_now, |own| Retiring {
            deadline: own.deadline.min(asked_now.deadline),
            hands_over: own.hands_over && hands_over,
            ..own
        }));
        if let Some(session) = session {
            self.say_retiring(session);
        }
        self.hand_back_queue();
    }

    pub(super) fn on_asked_to_retire(&mut self, deadline_us: u64) {
        if self
            .retiring
            .is_none_or(|retiring| retiring.asked == Asked::Scheduler)
        {
            self.retiring = Some(Retiring {
                asked: Asked::Scheduler,
                deadline: self.now + deadline_us,
                hands_over: true,
                alone_since: None,
            });
            self.hand_back_queue();
        }
    }

    pub(super) fn on_stay(&mut self) {
        self.retiring = self.retiring.filter(|retiring| retiring.asked == Asked::Here);
    }

    pub(super) fn on_leave(&mut self) {
        self.leave();
    }

    /// Tells a session that the worker is about to leave, if its own process wants it.
    pub(super) fn say_retiring(&mut self, session: SessionId) {
        let Some(retiring) = &mut self.retiring else {
            return;
        };
        retiring.alone_since = None;
        if retiring.asked == Asked::Here {
            let deadline_us = retiring.deadline.since_us(self.now);
            let message = ToScheduler::Retire { deadline_us };
            self.flush_reports();
            self.out.push(Command::Send { session, message });
        }
    }

    /// The connection is over.
    pub(super) fn retire_alone(&mut self) {
        self.retiring = self.retiring.filter(|retiring| retiring.asked == Asked::Here);
        if let Some(retiring) = &mut self.retiring {
            retiring.alone_since.get_or_insert(self.now);
        }
    }

    fn hand_back_queue(&mut self) {
        while let Some(run) = self.queue.pop_first() {
            let slot = self.remove_run(run);
            self.hand_back(slot.task, slot.attempt);
        }
    }

    pub(super) fn hand_back(&mut self, task: TaskId, attempt: u32) {
        let failure = Failure {
            kind: FailureKind::HandedBack,
            message: "the worker retires".into(),
        };
        self.report(task, attempt, Err(failure), TaskTimes::default());
    }

    /// When the worker leaves if nothing else happens.
    pub(super) fn leaves_at(&self) -> Option<Time> {
        let retiring = self.retiring.filter(|_| !self.left)?;
        let alone = retiring.alone_since.map(|since| since + LINK_PATIENCE_US);
        Some(alone.map_or(retiring.deadline, |alone| alone.min(retiring.deadline)))
    }

    pub(super) fn leave_if_due(&mut self) {
        let (Some(retiring), Some(at)) = (self.retiring, self.leaves_at()) else {
            return;
        };
        let busy = |run: &super::TaskSlot| !matches!(run.state, RunState::Unwanted { .. });
        let is_idle = !self.runs.values().any(busy);
        let alone = matches!(self.link, Link::Down) && self.held.is_empty();
        if self.now >= at || (is_idle && (!retiring.hands_over || alone)) {
            self.leave();
        }
    }

    fn leave(&mut self) {
        if !self.left {
            self.left = true;
            self.flush_reports();
            self.out.push(Command::Leave);
        }
    }
}
