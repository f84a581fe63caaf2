//! The edges of both state machines, as ARCHITECTURE.md draws them.
//!
//! Every change of a task's state goes through `Edges::pass`, which in builds with assertions refuses an edge that is
//! not listed here, and remembers those that were taken, so that a test can hold the drawing against the code.

/// What stands before a task's first state and behind its last one.
pub const NOTHING: &str = "[*]";

/// The states of one machine and the ways between them: from, to.
#[derive(Debug, Clone, Copy)]
pub struct Edges(pub &'static [(&'static str, &'static str)]);

/// Of a task at the scheduler, from its demand until it is finished or waived.
pub const SCHEDULER_TASK: Edges = Edges(&[
    (NOTHING, "Waiting"),
    ("Waiting", "Ready"),
    ("Ready", "Waiting"),
    ("Ready", "Leased"),
    ("Leased", "Waiting"),
    ("Leased", NOTHING),
    ("Waiting", NOTHING),
]);

/// Of one run of a task on a worker, from its lease until it is reported or given up.
pub const WORKER_RUN: Edges = Edges(&[
    (NOTHING, "Queued"),
    ("Queued", "Fetching"),
    ("Fetching", "Fetched"),
    ("Fetched", "Computing"),
    ("Computing", NOTHING),
    ("Computing", "Unwanted"),
    ("Unwanted", NOTHING),
    ("Queued", NOTHING),
    ("Fetching", NOTHING),
    ("Fetched", NOTHING),
]);

impl Edges {
    /// Takes note that an edge is taken.
    ///
    /// # Panics
    /// In builds with assertions: if there is no such edge.
    #[inline]
    pub(crate) fn pass(self, from: &'static str, to: &'static str) {
        #[cfg(debug_assertions)]
        {
            assert!(self.0.contains(&(from, to)), "no edge leads from {from} to {to}");
            taken::note((from, to));
        }
        #[cfg(not(debug_assertions))]
        let _ = (from, to);
    }
}

#[cfg(debug_assertions)]
pub use taken::edges_taken;

#[cfg(debug_assertions)]
mod taken {
    use std::{cell::RefCell, collections::BTreeSet};

    type Edge = (&'static str, &'static str);

    thread_local! {
        static TAKEN: RefCell<BTreeSet<Edge>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note(edge: Edge) {
        TAKEN.with_borrow_mut(|taken| {
            taken.insert(edge);
        });
    }

    /// The edges that were taken on this thread.
    pub fn edges_taken() -> BTreeSet<Edge> {
        TAKEN.with_borrow(Clone::clone)
    }
}
