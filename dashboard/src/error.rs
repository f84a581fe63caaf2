use std::{io, net::SocketAddr, path::PathBuf};

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
    /// The folder of runs cannot be used.
    #[error("cannot keep runs in {}: {source}; name a folder that can be written", path.display())]
    Runs {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}
