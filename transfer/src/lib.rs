//! Chunks between processes: what the stores of workers serve, and how peers and clients fetch.
//!
//! A [`StorePool`] fetches a region of a chunk from a [`StoreService`]. Over gRPC the sender's bytes go from the chunk's
//! own memory to the socket, and the receiver copies them once, from the frames of HTTP/2 into the tensor. How many bytes
//! may be under way at a time is bounded at both ends ([`Credits`]). Processes of one host map each other's chunks instead
//! ([`Door`]).
//!
//! This crate does not know what a chunk is for, who holds it, or what is done when nobody gives it.

mod credit;
mod error;
mod pool;
#[cfg(target_os = "linux")]
mod private;
mod server;
#[cfg(target_os = "linux")]
mod shared;
mod wire;

pub use credit::{COPY_BYTES_MAX, Credits, RECEIVE_BYTES_MAX, SEND_BYTES_MAX};
pub use error::FetchError;
pub use pool::{Fetch, StorePool};
#[cfg(target_os = "linux")]
pub use private::map_large_buffers;
pub use server::{ChunkSource, Refusal, StoreService, server};
#[cfg(target_os = "linux")]
pub use shared::{Door, Heard, Line, Message, share_large_buffers};
