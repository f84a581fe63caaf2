//! The scheduler process: gRPC services around the scheduler engine.
//!
//! One actor owns the engine and has one bounded inbox; everybody else holds a [`SchedulerHandle`]. The embedded cluster
//! uses the handle alone; [`serve`] puts gRPC in front of it. The dashboard hears what happens through a feed that never
//! makes the actor wait.
//!
//! This crate knows nothing of arrays or kernels, and never sees a chunk.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let (scheduler, running) = graticule_scheduler::start(graticule_scheduler::SchedulerOptions::default());
//! assert_eq!(scheduler.info().await?.workers.len(), 0);
//! drop(scheduler); // the actor ends with its last handle
//! running.await;
//! # Ok::<(), graticule_scheduler::SchedulerGone>(())
//! # }).unwrap();
//! ```

mod actor;
mod adapt;
mod clients;
mod conversation;
mod datasets;
mod explain;
mod handle;
mod journal;
mod lasting;
mod lines;
mod observe;
mod ready;
mod server;
mod service;
mod story;

pub use actor::{SchedulerOptions, start};
pub use adapt::{AdaptOptions, Ended, Snapshot, WorkerSize, WorkerSource, adapt};
pub use datasets::{DATASET_BYTES_MAX, DATASET_COUNT_MAX, DATASET_NAME_BYTES_MAX};
pub use graticule_engine::autoscale::{Decision, Rules};
pub use handle::{ClientSession, Info, SchedulerGone, SchedulerHandle, WorkerSession, WorkerSpeaker};
pub use journal::JournalError;
pub use server::{ServeError, ServeOptions, Served, serve};

/// Messages that may wait for the actor; who sends more waits.
pub const INBOX_COUNT_MAX: usize = 16_384;
/// Messages that may wait for one worker or client; who lets more pile up is disconnected.
pub const OUTBOX_COUNT_MAX: usize = 131_072;
/// Microseconds between two progress messages to a client.
pub const PROGRESS_INTERVAL_US: u64 = 100_000;
