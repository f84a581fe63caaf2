use std::{sync::Arc, time::Duration};

use graticule_array::LowerOptions;

/// How a client connects.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// A name for people.
    pub name: Arc<str>,
    /// How long the scheduler may take to answer.
    pub connect_timeout: Duration,
    /// How long to try to connect again when the connection breaks, before jobs and kept results are given up; zero
    /// gives them up at once.
    pub reconnect_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            name: format!("client-{}", std::process::id()).into(),
            connect_timeout: Duration::from_secs(5),
            reconnect_timeout: Duration::from_secs(60),
        }
    }
}

/// How a job runs and its results come back.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// A name for people, shown on the dashboard; by default that of the last operation.
    pub name: Option<Arc<str>>,
    /// How expressions are rewritten and lowered, and how often a task may fail.
    pub lower: LowerOptions,
    /// How long the job may have no worker at all before it fails; `None` waits for one.
    pub no_worker_timeout: Option<Duration>,
    /// Gather a result even if it takes more than half of the free memory.
    pub allow_large: bool,
    /// Bytes of chunks that are fetched ahead of whoever reads them; one chunk always is.
    pub prefetch_bytes: u64,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            name: None,
            lower: LowerOptions {
                retries: 2,
                ..LowerOptions::default()
            },
            no_worker_timeout: None,
            allow_large: false,
            prefetch_bytes: 128 << 20,
        }
    }
}
