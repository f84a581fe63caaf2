//! What was lost and is waited for: it is made again in the turn of those that wait for it.

use std::collections::BTreeSet;

use graticule_plan::{ChunkId, JobId, TaskId};

use super::{
    Scheduler,
    demand::{At, Bounds, Cursor, Frame, Walk},
};

/// Lost chunks that somebody waits for: they come before anything new.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// By the order of whoever waits first.
    pub(super) lost: BTreeSet<(u64, TaskId)>,
    pub(super) stack: Vec<Frame>,
}

impl Frame {
    /// The same for one task after the other, the first on top.
    fn each(&self) -> Vec<Frame> {
        let one = |task: TaskId, input, place| Frame {
            tasks: task.into(),
            input,
            place,
        };
        if self.tasks.count == 1 {
            return vec![one(self.tasks.head(), self.input, self.place)];
        }
        let mut frames: Vec<Frame> = self.tasks.each().map(|task| one(task, 0, 0)).collect();
        frames.reverse();
        frames
    }
}

impl Recovery {
    /// Has the task on top go on at this place of its input.
    fn advance(&mut self, place: u64) {
        if let Some(frame) = self.stack.last_mut() {
            frame.place = place;
        }
    }

    /// Has the task on top go on with its next input.
    fn next_input(&mut self) {
        if let Some(frame) = self.stack.last_mut() {
            (frame.input, frame.place) = (frame.input + 1, 0);
        }
    }

    /// Goes on with the walk of a job that is over: other jobs may wait for a task on it.
    pub(super) fn inherit(&mut self, walk: Cursor) {
        let frames = walk.stack.iter().flat_map(Frame::each);
        self.stack.splice(0..0, frames);
    }
}

impl Scheduler {
    /// Has a lost chunk made anew for those who wait for it.
    pub(super) fn push_lost(&mut self, chunk: ChunkId) {
        let order = self.order_of_awaited(chunk);
        self.recovery.lost.insert((order, chunk));
    }

    /// Takes one step of the walk over what was lost. Returns `false` at its end, or if nothing of it may come now.
    pub(super) fn step_recovery(&mut self, bounds: Bounds) -> bool {
        loop {
            let frame = self.recovery.stack.last().map(|frame| frame.tasks.head());
            let frame = frame.map(|owner| (self.task(owner).map_or(0, |record| record.order), owner));
            match (self.recovery.lost.first().copied(), frame) {
                (None, None) => return false,
                (Some((order, task)), frame) if frame.is_none_or(|(of_frame, _)| order < of_frame) => {
                    let wanted = self.is_absent(task) && self.is_awaited(task);
                    if wanted && !self.may_recover(order, bounds) {
                        return false;
                    }
                    self.recovery.lost.pop_first();
                    if wanted {
                        self.demand(task.into(), Walk::Recovery { order });
                        return true;
                    }
                    if self.is_absent(task) {
                        self.waive_if_unneeded(task);
                        self.spare_if_over(task);
                    }
                }
                (_, Some((order, owner))) => {
                    if let Some(moved) = self.step_frame(owner, order, bounds) {
                        return moved;
                    }
                }
                (Some(_), None) => unreachable!("what was lost comes first where no task is being looked at"),
            }
        }
    }

    /// Looks at the next input of the task on top of the stack. `Some` if it was demanded, or must not be now.
    fn step_frame(&mut self, owner: TaskId, order: u64, bounds: Bounds) -> Option<bool> {
        let frame = self.recovery.stack.last().expect("the caller looked at it");
        let place = frame.place;
        match self.input_at(owner.into(), frame.input, place) {
            At::Chunks(chunks) if self.is_waiting(owner) => {
                let chunk = chunks.head();
                if !self.is_absent(chunk) {
                    self.recovery.advance(place + 1);
                } else if self.may_recover(order, bounds) {
                    self.recovery.advance(place + 1);
                    self.demand(chunk.into(), Walk::Recovery { order });
                    return Some(true);
                } else {
                    return Some(false);
                }
            }
            At::EndOfInput => self.recovery.next_input(),
            At::Chunks(_) | At::EndOfTask => {
                self.recovery.stack.pop();
            }
        }
        None
    }

    /// Whether what was lost may be demanded: where anything may, or if it goes before all that is ready.
    ///
    /// Behind those it would come too late. What waits for it would be held while the walk goes on, and the next loss
    /// would cost more than the one before, until nothing is gained between two of them.
    fn may_recover(&mut self, order: u64, bounds: Bounds) -> bool {
        if self.admits(bounds) {
            return true;
        }
        let jobs: Vec<JobId> = self.jobs.keys().copied().collect();
        let ready = jobs.into_iter().filter_map(|job| self.top_ready(job));
        ready
            .map(|first| first.order)
            .min()
            .is_none_or(|first| order < first)
    }

    /// When a chunk that was lost has its turn: with the first of those that wait for it, or at once for a client.
    fn order_of_awaited(&self, chunk: ChunkId) -> u64 {
        let mut order = None;
        self.each_dependent(chunk, |dependent| {
            let waiting = self.task(dependent).filter(|_| self.is_waiting(dependent));
            order = order.into_iter().chain(waiting.map(|record| record.order)).min();
        });
        order.unwrap_or(0)
    }
}
