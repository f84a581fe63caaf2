//! Chunks that processes of one host share instead of sending.
//!
//! A worker's large buffers lie in memory that has a file descriptor ([`memory`]). Beside its gRPC port it opens a
//! [door](Door): a Unix socket that is named after its address, over which it hands out the descriptors of a chunk to
//! processes of the same user. A peer knocks there first. It maps what it is given, read-only, and the kernels read it in
//! place; the pages stay as long as anybody maps them, whatever the worker does with its chunk. Whenever anything of
//! this is missing, the chunk comes over gRPC.
//!
//! A process and one that it started have a [`Line`], on which tensors go to and fro in the same way.

mod door;
mod kept;
mod knock;
mod line;
mod memory;
mod message;
mod sys;

use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};

pub use door::Door;
pub(crate) use knock::Knockers;
pub use line::{Heard, Line, Message};
pub use memory::share_large_buffers;

/// Regions below this are sent: to ask for a mapping takes longer.
pub(crate) const SHARED_BYTES_MIN: u64 = 256 << 10;

/// The name of the door of the store at an address. It is one of this network's namespace, so nobody on another host
/// has it.
fn door_name(address: &str) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("graticule-store/{address}"))
}

/// Whether the process at the other end is one of this user's.
fn is_of_this_user(stream: &tokio::net::UnixStream) -> bool {
    let user = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == user)
}
