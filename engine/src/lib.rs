//! Graticule's scheduler and worker as pure state machines.
//!
//! Both take an event and answer with commands: [`scheduler::Scheduler::handle`] and [`worker::Worker::handle`]. They
//! read no clock and draw no random number: the time comes in with each event, and the same events give the same
//! commands. The shells around them own sockets, threads, timers and data; the simulator owns a virtual network.
//!
//! The engine does not know what an array is. It sees grids, dependency maps and bytes; a layer's body passes through
//! unread. It never sees array data either, but for results of at most [`INLINE_BYTES_MAX`] that ride in a report.
//!
//! ```
//! use graticule_engine::{Time, scheduler::{Config, Scheduler}};
//!
//! let scheduler = Scheduler::new(Config::default());
//! assert_eq!(scheduler.next_timeout(), None); // nobody to wait for yet
//! # let _ = Time::ZERO;
//! ```

pub mod autoscale;
mod block_run;
mod disk;
pub mod edges;
mod footprint;
mod ledger;
mod lines;
mod message;
mod moves;
pub mod scheduler;
mod table_uses;
mod time;
pub mod worker;

pub use block_run::{BlockRun, RUN_BLOCKS_MAX};
pub use disk::{DISK_RUN_COUNT_MAX, DiskCheck, DiskReport, add_to_runs};
pub use ledger::{IN_HAND_BYTES_MIN, PlanMemory};
pub use lines::{LOG_LINE_COUNT_MAX, LOG_TARGET_BYTES_MAX, LOG_TEXT_BYTES_MAX, LogLevel, LogLine, LogReport};
pub use message::{
    Announce, ChunkHeld, ChunkHolders, ChunkToCopy, CopyFailure, CopyId, CopyReport, Failure, FailureKind,
    Finished, INLINE_BYTES_MAX, Incarnation, InputSource, LayerSpec, Lease, Peer, Report, SessionId, TaskRun,
    TaskTimes, ToScheduler, ToWorker, WorkerStatus,
};
pub use moves::{LayerName, MOVE_COUNT_MAX, Move, MoveKind, MoveName, Moved};
pub use time::Time;
