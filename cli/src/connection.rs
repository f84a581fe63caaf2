use std::time::Duration;

use graticule_client::ConnectOptions;

use crate::values::parse_duration;

/// Which scheduler is asked, and how long it may take.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Connection {
    /// The scheduler.
    #[arg(
        long,
        visible_alias = "scheduler",
        env = "GRATICULE_CLUSTER",
        default_value = "grpc://127.0.0.1:8786",
        value_name = "URL"
    )]
    pub(crate) cluster: String,
    /// How long the scheduler may take to answer.
    #[arg(long, default_value = "5s", value_parser = parse_duration, value_name = "TIME")]
    timeout: Duration,
}

impl Connection {
    pub(crate) fn options(&self) -> ConnectOptions {
        ConnectOptions {
            connect_timeout: self.timeout,
            ..ConnectOptions::default()
        }
    }
}
