use std::{net::SocketAddr, path::PathBuf, time::Duration};

use graticule_scheduler::ServeOptions;
use graticule_traces::{TASK_COUNT_USUAL, TraceError, TraceOptions};

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
    /// A host name beside the loopback ones by which the dashboard may be asked for: one that a proxy passes on, as a
    /// JupyterHub's. May be given several times, or with commas between.
    #[arg(
        long = "dashboard-host",
        env = "GRATICULE_DASHBOARD_HOSTS",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub(crate) dashboard_hosts: Vec<String>,
    /// Run without a dashboard.
    #[arg(long, env = "GRATICULE_NO_DASHBOARD")]
    pub(crate) no_dashboard: bool,
    /// Write each job's run to this folder when it ends, so that the dashboard's history outlives the scheduler.
    #[arg(
        long,
        env = "GRATICULE_RUNS",
        value_name = "FOLDER",
        conflicts_with = "no_dashboard"
    )]
    pub(crate) runs: Option<PathBuf>,
    /// Send spans of jobs, operations and a sample of tasks to the OpenTelemetry collector that takes OTLP over gRPC there,
    /// such as http://127.0.0.1:4317. OTEL_SERVICE_NAME and OTEL_EXPORTER_OTLP_HEADERS are used as by other programs.
    #[arg(
        long,
        env = "GRATICULE_OTLP",
        value_name = "URL",
        conflicts_with = "no_dashboard"
    )]
    pub(crate) otlp: Option<String>,
    /// With --otlp: the first so many tasks of an operation have a span, then every second of as many more, and so on.
    #[arg(long, env = "GRATICULE_OTLP_TASKS", default_value_t = TASK_COUNT_USUAL, value_name = "COUNT")]
    pub(crate) otlp_tasks: u32,
    /// How long a worker may be silent before its tasks go to others.
    #[arg(long, env = "GRATICULE_WORKER_TIMEOUT", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) worker_timeout: Option<Duration>,
    /// Keep a journal in this folder: a scheduler that is started on it again goes on with the jobs of the one before.
    #[arg(long, env = "GRATICULE_JOURNAL", value_name = "FOLDER")]
    pub(crate) journal: Option<PathBuf>,
    /// How long a client whose connection broke keeps its jobs and kept results.
    #[arg(long, env = "GRATICULE_CLIENT_GRACE", default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) client_grace: Duration,
    /// With --journal: how long workers are awaited after a restart before what they held is made again.
    #[arg(long, env = "GRATICULE_WORKER_RETURN", default_value = "10s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) worker_return: Duration,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Config {
    /// The library's options.
    pub(crate) fn options(&self) -> anyhow::Result<ServeOptions> {
        let usual = ServeOptions::default();
        let traces = self.otlp.clone().map(|endpoint| {
            let mut traces = TraceOptions::new(endpoint).with_environment()?;
            traces.task_count = self.otlp_tasks;
            Ok::<_, TraceError>(traces)
        });
        Ok(ServeOptions {
            listen: self.listen,
            dashboard: (!self.no_dashboard).then_some(self.dashboard),
            dashboard_hosts: self.dashboard_hosts.clone(),
            traces: traces.transpose()?,
            worker_timeout_us: self.worker_timeout.map_or(usual.worker_timeout_us, micros),
            journal: self.journal.clone(),
            runs: self.runs.clone(),
            client_grace_us: micros(self.client_grace),
            worker_return_us: micros(self.worker_return),
        })
    }
}
