use std::{net::SocketAddr, time::Duration};

use crate::{scheduler, values::parse_duration, worker};

/// How a scheduler and a worker of one process run.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) scheduler: scheduler::Config,
    /// Address of the worker for peers and clients; port 0 takes a free one.
    #[arg(
        long,
        env = "GRATICULE_WORKER_LISTEN",
        default_value = "127.0.0.1:0",
        value_name = "ADDRESS"
    )]
    pub(crate) worker_listen: SocketAddr,
    #[command(flatten)]
    pub(crate) resources: worker::Resources,
    /// How long running tasks may take to end when the cluster is told to.
    #[arg(long, env = "GRATICULE_PATIENCE", default_value = "5s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) patience: Duration,
}
