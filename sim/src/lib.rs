//! A virtual cluster that runs Graticule's engines under seeded faults.
//!
//! The very engines that the shells run, one scheduler and three to eight workers, live in one thread under a virtual
//! clock. Messages take seeded times, connections break, workers crash, hang, come and go, disks are damaged, tasks
//! fail, clients are slow and change their minds; then all heals. After each event the engines' books are checked
//! against each other, every chunk that is made must have the values that an oracle computed without engines, every
//! job must come to its end, and at last nothing may be left behind.
//!
//! A seed is a whole story: the same seed happens again, event by event. This crate reads no clock and prints nothing;
//! its binary does both.
//!
//! ```
//! use graticule_sim::{Sabotage, simulate};
//!
//! let counts = simulate(1, Sabotage::None)?;
//! assert!(counts.tasks >= graticule_sim::TASKS_MIN);
//! # Ok::<(), graticule_sim::SeedFailed>(())
//! ```

mod client;
mod fault;
mod generate;
mod handover;
mod node;
mod oracle;
mod phase;
mod profile;
mod rng;
mod value;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use graticule_engine::scheduler::Sabotage;
pub use phase::{EVENTS_MIN, TASKS_MIN};
pub use world::Counts;

/// A seed in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "seed {seed} failed: {why}\nreplay it: cargo run --profile sim -p graticule-sim -- --seed {seed} --trace"
)]
pub struct SeedFailed {
    /// The seed.
    pub seed: u64,
    /// What did not hold.
    pub why: String,
}

/// Runs one seed to its end.
///
/// # Errors
/// [`SeedFailed`] with the first thing that did not hold; an engine's panic counts as such.
pub fn simulate(seed: u64, sabotage: Sabotage) -> Result<Counts, SeedFailed> {
    traced(seed, sabotage, false).0
}

/// Runs one seed and tells its story, a line for each thing that happened.
pub fn simulate_with_story(seed: u64, sabotage: Sabotage) -> (Result<Counts, SeedFailed>, Vec<String>) {
    traced(seed, sabotage, true)
}

fn traced(seed: u64, sabotage: Sabotage, trace: bool) -> (Result<Counts, SeedFailed>, Vec<String>) {
    match catch_unwind(AssertUnwindSafe(|| phase::run(seed, sabotage, trace))) {
        Ok(Ok((counts, story))) => (Ok(counts), story),
        Ok(Err(fall)) => (Err(SeedFailed { seed, why: fall.why }), fall.story),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            let why = format!("panic: {}", text.unwrap_or_default());
            (Err(SeedFailed { seed, why }), Vec::new())
        }
    }
}
