//! Sessions as programs use them: embedded, remote, with functions and workers of their own.

mod block_functions;
mod embedded;
mod far_functions;
mod functions;
mod lengths;
mod logged;
mod metrics;
mod moved;
mod on_disk;
mod own_worker;
mod reasons;
mod rechunk;
mod reconnect;
mod remote;
mod zarr_write;
