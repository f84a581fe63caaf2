//! A virtual cluster that runs Graticule's engines under seeded faults.
//!
//! The very engines that the shells run, one scheduler and three to eight workers, live in one thread under a virtual
//! clock. Messages take seeded times, connections break, workers crash, hang, come and go, disks are damaged, tasks
//! fail, clients are slow and change their minds, the scheduler's own process ends and goes on from its journal; then
//! all heals. The engines' books are checked against each other all
//! the time, every lease and its answer are followed from outside, every chunk that is made must have the values that an oracle computed without engines, every
//! job must come to its end, and at last nothing may be left behind.
//!
//! A seed is a whole story: the same seed happens again, event by event. Every concern, such as a fault, a job's plan
//! or a connection, draws from a stream of its own, so that a [`Case`] may leave one out and the rest stays as it was:
//! so [`shrink`] makes a failing seed smaller. Calm stories, in which nothing goes wrong, must make nothing twice; in
//! blaming ones, where some tasks end their workers, no other task may be blamed. This crate reads no clock and prints
//! nothing; its binary does both.
//!
//! ```
//! use graticule_sim::{Case, simulate};
//!
//! let counts = simulate(&Case::new(1))?;
//! assert!(counts.tasks >= graticule_sim::TASKS_MIN);
//! # Ok::<(), graticule_sim::CaseFailed>(())
//! ```

mod case;
mod client;
mod counts;
mod disk;
mod execution;
mod fault;
mod generate;
mod handover;
mod job;
mod journal;
mod ledger;
mod network;
mod node;
mod oracle;
mod phase;
mod profile;
mod restart;
mod rng;
mod scatter;
mod scheduler;
mod shrink;
mod story;
mod twice;
mod value;
mod world;

pub use case::Case;
pub use counts::Counts;
pub use graticule_engine::scheduler::Sabotage;
pub use phase::{EVENTS_MIN, TASKS_MIN};
pub use profile::Nuisance;
pub use shrink::{Shrunken, shrink};

/// A case in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {} failed: {why}\nreplay it: cargo xtask sim {case}", case.seed)]
pub struct CaseFailed {
    /// The case.
    pub case: Box<Case>,
    /// What did not hold.
    pub why: String,
}

/// Runs one case to its end.
///
/// # Errors
/// [`CaseFailed`] with the first thing that did not hold; an engine's panic counts as such.
pub fn simulate(case: &Case) -> Result<Counts, CaseFailed> {
    outcome(case, &phase::run(case, false))
}

/// Runs one case and tells its story, a line for each thing that happened.
pub fn simulate_with_story(case: &Case) -> (Result<Counts, CaseFailed>, Vec<String>) {
    let ending = phase::run(case, true);
    (outcome(case, &ending), ending.story)
}

fn outcome(case: &Case, ending: &phase::Ending) -> Result<Counts, CaseFailed> {
    match &ending.failure {
        None => Ok(ending.counts),
        Some(why) => Err(CaseFailed {
            case: Box::new(case.clone()),
            why: why.clone(),
        }),
    }
}
