//! The worker process: chunk store, CPU pool and transfer around the worker engine.
//!
//! One actor owns the engine and has one bounded inbox. Chunks lie in a [`ChunkStore`] that peers and CPU threads read;
//! computations run on threads of their own, one for each slot, so that no heartbeat waits for a kernel or a disk. Only
//! tasks of few bytes that take less time than handing them over, as those of their layer before them did, are computed
//! by the actor itself. How a worker reaches its scheduler and its peers is given to it ([`Connector`], [`Peers`]): over
//! gRPC in a process of its own ([`serve`]), through channels in the embedded cluster.
//!
//! This crate does not decide what runs where or what is kept; the engines do.

mod actor;
mod call;
mod compute;
mod connect;
mod cpu;
mod disk;
mod error;
mod fetch;
mod functions;
mod limit;
mod lines;
mod mixed;
mod moves;
mod options;
mod pace;
mod peers;
mod run;
mod server;
mod spill;
mod store;
mod tables;
mod underway;
mod uploads;

pub use actor::{Worker, WorkerHandle};
pub use connect::{Connector, GrpcConnector, LinkError, Session};
pub use error::WorkerError;
pub use functions::{FunctionError, Registry};
pub use graticule_kernel::{AxisPlace, Block, BlockCall, BlockPlace, Chunk, Tensor, Value};
pub use limit::{RESERVE_BYTES, RESERVE_PART, ledger_bytes, memory_bytes_for, process_bytes};
pub use options::WorkerOptions;
pub use peers::{GrpcPeers, LocalPeers, PeerError, Peers};
pub use run::run;
pub use server::{ServeOptions, Served, serve};
pub use store::{ChunkStore, StoreError};
pub use underway::{End, Underway};
