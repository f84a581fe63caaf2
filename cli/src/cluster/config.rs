use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use crate::{
    scheduler,
    values::{parse_duration, parse_range},
    worker,
};

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
    /// Run as many workers as the work asks for, each a process of its own, from the fewest to the most, such as 2..8.
    /// They share the machine out; --slots and --memory are each worker's.
    #[arg(long, env = "GRATICULE_ADAPT", value_parser = parse_range, value_name = "MIN..MAX")]
    pub(crate) adapt: Option<RangeInclusive<u32>>,
    /// With --adapt: so many workers are wanted that what is left takes about this long.
    #[arg(long, env = "GRATICULE_ADAPT_WITHIN", default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) adapt_within: Duration,
    /// With --adapt: there must have been too many workers for so long, and some idle, before one goes.
    #[arg(long, env = "GRATICULE_ADAPT_IDLE", default_value = "20s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) adapt_idle: Duration,
}
