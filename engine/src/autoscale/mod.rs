//! How many workers a cluster shall have, and which of them shall go: a pure function of what is known.
//!
//! [`decide`] looks at the work that is left, the bytes that are held, and the workers that are there or on their way;
//! it answers with a number, the workers to dismiss, and a reason in words. What it must remember from one look to the
//! next (who has been idle since when, since when there are too many) it keeps in a [`Memory`] that the caller holds.
//! Whoever starts and ends workers calls it every second or so, with [`Scheduler::snapshot`] as the cluster's part, and
//! keeps [`Starts`]: how long a start takes is measured, workers that never come do not count for ever, and starts that
//! fail are not tried again and again without a pause.
//!
//! More are wanted at once, if the work outlasts the start of a worker; fewer only after there were too many for a
//! while, never soon after more were started, and never fewer than were needed within that while. So a graph's tail or
//! a pause between two jobs does not send workers away that are called back a moment later.
//!
//! ```
//! use graticule_engine::{Time, autoscale::{Cluster, Memory, Rules, Supply, decide}};
//!
//! let supply = Supply { min: 2, max: 8, pending: Vec::new(), start_us: 5_000_000, not_before: Time::ZERO, slots: 4,
//!     budget_bytes: 1 << 30 };
//! let nobody = Cluster { now: Time::ZERO, layers: Vec::new(), workers: Vec::new() };
//! let decision = decide(&nobody, &supply, &Rules::default(), &mut Memory::default());
//! assert_eq!((decision.wanted, decision.start), (2, 2));
//! ```
//!
//! [`Scheduler::snapshot`]: crate::scheduler::Scheduler::snapshot

mod policy;
mod starts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use graticule_plan::{JobId, LayerId, WorkerId};

pub use policy::decide;
pub use starts::Starts;

use crate::Time;

/// What the scheduler knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The moment.
    pub now: Time,
    /// Layers of running jobs that have tasks left.
    pub layers: Vec<LayerWork>,
    /// The connected workers.
    pub workers: Vec<WorkerView>,
}

/// The work that a layer has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerWork {
    /// Its job.
    pub job: JobId,
    /// The layer.
    pub layer: LayerId,
    /// Tasks that are not finished, those that run among them.
    pub tasks_left: u64,
    /// Tasks that workers have.
    pub leased: u64,
    /// What a task takes on one slot: the mean of those that ran, or the plan's guess. Microseconds.
    pub mean_us: u64,
}

/// A connected worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerView {
    /// The worker.
    pub worker: WorkerId,
    /// When it connected.
    pub joined: Time,
    /// Tasks that it computes at a time.
    pub slots: u32,
    /// Bytes that it may have in memory.
    pub budget_bytes: u64,
    /// Bytes that it has in memory or reserved.
    pub memory_bytes: u64,
    /// Bytes that it has on disk.
    pub spilled_bytes: u64,
    /// Tasks that it has.
    pub tasks_at_hand: u64,
    /// Bytes of chunks that it alone holds: they must be copied before it leaves.
    pub sole_bytes: u64,
    /// It is about to leave.
    pub retires: bool,
}

/// What whoever starts workers knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supply {
    /// The fewest workers.
    pub min: u32,
    /// The most workers: the quota.
    pub max: u32,
    /// Workers that were started and are not connected yet, and since when.
    pub pending: Vec<Time>,
    /// From the start of a worker until it is connected, microseconds: see [`Starts::start_us`].
    pub start_us: u64,
    /// No worker can be started before this time: see [`Starts::not_before`].
    pub not_before: Time,
    /// Slots of a new worker.
    pub slots: u32,
    /// Memory of a new worker.
    pub budget_bytes: u64,
}

/// The policy's durations, microseconds, and shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// So many workers are wanted that what is left takes about this long; at least twice the start of a worker.
    pub finish_us: u64,
    /// A worker without tasks for so long may go.
    pub idle_us: u64,
    /// There must have been too many workers for so long before one goes.
    pub surplus_us: u64,
    /// No worker goes for so long after one was started.
    pub after_start_us: u64,
    /// The share of the memory, in a thousand, above which more workers are wanted for their memory.
    pub memory_per_mille: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            finish_us: 30_000_000,
            idle_us: 10_000_000,
            surplus_us: 20_000_000,
            after_start_us: 30_000_000,
            memory_per_mille: 800,
        }
    }
}

/// What is remembered from one decision to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Workers without tasks, and since when.
    idle: BTreeMap<WorkerId, Time>,
    /// When workers were wanted in addition the last time.
    started: Option<Time>,
    /// Since when there are too many, and the most that were needed since then.
    surplus: Option<(Time, u32)>,
}

/// What shall be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Workers that shall be there when it is done, those on their way among them.
    pub wanted: u32,
    /// Workers to start.
    pub start: u32,
    /// Workers that retire and shall stay after all.
    pub stay: Vec<WorkerId>,
    /// Workers to retire.
    pub victims: Vec<WorkerId>,
    /// Why, for a person.
    pub reason: String,
}

impl Decision {
    /// Whether nothing is to be done.
    pub fn is_nothing(&self) -> bool {
        self.start == 0 && self.stay.is_empty() && self.victims.is_empty()
    }
}
