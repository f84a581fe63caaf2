use std::{net::SocketAddr, time::Duration};

use graticule_scheduler::ServeOptions;

use crate::values::parse_duration;

/// How a scheduler runs. Flags go before the environment, and that before what stands here.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Config {
    /// Address for workers and clients; port 0 takes a free one. Loopback only, until there are TLS and tokens.
    #[arg(
        long,
        env = "GRATICULE_LISTEN",
        default_value = "127.0.0.1:8786",
        value_name = "ADDRESS"
    )]
    pub(crate) listen: SocketAddr,
    /// Address of the dashboard; port 0 takes a free one.
    #[arg(
        long,
        env = "GRATICULE_DASHBOARD",
        default_value = "127.0.0.1:8787",
        value_name = "ADDRESS"
    )]
    pub(crate) dashboard: SocketAddr,
    /// Run without a dashboard.
    #[arg(long, env = "GRATICULE_NO_DASHBOARD")]
    pub(crate) no_dashboard: bool,
    /// How long a worker may be silent before its tasks go to others.
    #[arg(long, env = "GRATICULE_WORKER_TIMEOUT", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) worker_timeout: Option<Duration>,
}

impl Config {
    /// The library's options.
    pub(crate) fn options(&self) -> ServeOptions {
        let usual = ServeOptions::default();
        let timeout = self
            .worker_timeout
            .map(|t| u64::try_from(t.as_micros()).unwrap_or(u64::MAX));
        ServeOptions {
            listen: self.listen,
            dashboard: (!self.no_dashboard).then_some(self.dashboard),
            worker_timeout_us: timeout.unwrap_or(usual.worker_timeout_us),
        }
    }
}
