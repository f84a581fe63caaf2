use std::{io, net::SocketAddr};

/// Why the dashboard does not start.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// Others could read along: there is no TLS and no login yet.
    #[error(
        "the dashboard would listen on {address}, which other machines reach, and it has neither TLS nor a login \
         yet: bind it to 127.0.0.1 and use an SSH tunnel or a proxy"
    )]
    OffLoopback {
        /// Where it would listen.
        address: SocketAddr,
    },
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}
