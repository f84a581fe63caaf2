use std::net::SocketAddr;

/// Why a worker cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The scheduler's address is not one.
    #[error("{url:?} is not a scheduler's address: {why}; write grpc://host:port")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The scheduler will not have this worker.
    #[error("the scheduler refused this worker: {0}")]
    Refused(String),
    /// Other machines could connect, and nothing would keep strangers out.
    #[error(
        "{address} is not a loopback address: Graticule has no TLS and no tokens yet, so it listens on this machine only"
    )]
    OffLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        why: std::io::Error,
    },
    /// The command line of a worker binary is not understood.
    #[error("{why}; --help tells what is")]
    Usage {
        /// What is wrong with it.
        why: String,
    },
    /// A thread or a folder cannot be had.
    #[error("cannot {what}: {why}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        why: std::io::Error,
    },
}
