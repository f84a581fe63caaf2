use std::{net::SocketAddr, path::PathBuf, time::Duration};

use graticule_dashboard::{Dashboard, DashboardError, DashboardHandle, DashboardOptions, Feed};
use graticule_proto::{MESSAGE_BYTES_MAX, v1::cluster_server::ClusterServer};
use graticule_traces::{Exporter, TraceError, TraceOptions, trace};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::transport::{Server, server::TcpIncoming};
use tracing::info;

use crate::{
    JournalError, SchedulerHandle, SchedulerOptions, actor,
    journal::{self, Journal},
    service::ClusterService,
};

/// Where a scheduler listens.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The address for workers and clients; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The dashboard's address; `None` for no dashboard.
    pub dashboard: Option<SocketAddr>,
    /// Host names beside the loopback ones by which the dashboard may be asked for: those that a proxy passes on.
    pub dashboard_hosts: Vec<String>,
    /// The folder to which the dashboard writes runs when they end; `None` keeps the last ones in memory alone.
    pub runs: Option<PathBuf>,
    /// Microseconds after which a silent worker is given up.
    pub worker_timeout_us: u64,
    /// The folder of the journal, by which a scheduler goes on where an earlier one ended; `None` keeps all in memory.
    pub journal: Option<PathBuf>,
    /// Microseconds for which a client whose connection broke keeps its jobs and kept results.
    pub client_grace_us: u64,
    /// Where spans of jobs go, made of what the dashboard is told; `None` makes none.
    pub traces: Option<TraceOptions>,
    /// Microseconds for which workers are awaited after a restart, before what they held is made again.
    pub worker_return_us: u64,
}

impl Default for ServeOptions {
    fn default() -> Self {
        let usual = SchedulerOptions::default();
        Self {
            journal: None,
            runs: None,
            dashboard_hosts: Vec::new(),
            traces: None,
            client_grace_us: usual.client_grace_us,
            worker_return_us: usual.worker_return_us,
            listen: ([127, 0, 0, 1], 8786).into(),
            dashboard: Some(([127, 0, 0, 1], 8787).into()),
            worker_timeout_us: usual.worker_timeout_us,
        }
    }
}

/// Why a scheduler cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
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
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The dashboard cannot start.
    #[error(transparent)]
    Dashboard(#[from] DashboardError),
    /// Spans cannot be sent as the options say.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// There is nothing that spans could be made of.
    #[error("spans are made of what the dashboard is told: a scheduler without a dashboard cannot send any")]
    TracesWithoutDashboard,
}

/// A scheduler that serves.
#[derive(Debug)]
pub struct Served {
    /// A way to its actor.
    pub scheduler: SchedulerHandle,
    /// Where workers and clients connect.
    pub address: SocketAddr,
    /// The dashboard's page, if there is one.
    pub dashboard_url: Option<String>,
    dashboard: Option<DashboardHandle>,
    traces: Option<Exporter>,
    /// Jobs go on in the next process.
    is_lasting: bool,
    actor: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

/// Binds an address if it is one of this machine alone.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::OffLoopback { address });
    }
    TcpListener::bind(address)
        .await
        .map_err(|why| ServeError::Listen { address, why })
}

/// Opens the journal, if there shall be one. Reading a large one takes a while.
async fn open_journal(folder: Option<PathBuf>) -> Result<Option<journal::Opened>, ServeError> {
    let Some(folder) = folder else { return Ok(None) };
    let opening = tokio::task::spawn_blocking(move || Journal::open(&folder));
    let opened = opening.await.expect("opening a journal does not panic");
    Ok(Some(opened?))
}

/// Starts a scheduler with its gRPC service and dashboard.
///
/// # Errors
/// [`ServeError`]; nothing is left running then.
pub async fn serve(options: ServeOptions) -> Result<Served, ServeError> {
    let started = std::time::Instant::now();
    let listener = listen(options.listen).await?;
    let opened = open_journal(options.journal.clone()).await?;
    let is_lasting = opened.is_some();
    let cannot = |why| ServeError::Listen {
        address: options.listen,
        why,
    };
    let address = listener.local_addr().map_err(cannot)?;
    let (feed, dashboard, traces) = match options.dashboard {
        None if options.traces.is_some() => return Err(ServeError::TracesWithoutDashboard),
        None => (Feed::disabled(), None, None),
        Some(wanted) => {
            let (feed, receiver) = Feed::new();
            let (receiver, exporter) = match &options.traces {
                Some(wanted) => {
                    trace(receiver, wanted, started).map(|(it, exporter)| (it, Some(exporter)))?
                }
                None => (receiver, None),
            };
            let cluster = address.to_string().into();
            let shown = DashboardOptions {
                cluster,
                started,
                host_names: options.dashboard_hosts.clone(),
                runs: options.runs.clone(),
                ..DashboardOptions::default()
            };
            let dashboard = Dashboard::start(listen(wanted).await?, receiver, shown)?;
            (feed, Some(dashboard), exporter)
        }
    };
    let dashboard_url = dashboard.as_ref().map(DashboardHandle::url);
    let running = SchedulerOptions {
        worker_timeout_us: options.worker_timeout_us,
        client_grace_us: options.client_grace_us,
        worker_return_us: options.worker_return_us,
        feed,
        started,
    };
    let (scheduler, ended) = actor::start_with(running, opened);
    let ended = tokio::spawn(ended);
    if let Some(dashboard) = &dashboard {
        dashboard.ask_of(scheduler.explainer());
    }
    let service = ClusterService {
        scheduler: scheduler.clone(),
        dashboard: dashboard_url.clone().unwrap_or_default(),
    };
    let service = ClusterServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (stop, stopped) = oneshot::channel();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, async {
            // Either a word or a dropped sender ends it.
            let _ = stopped.await;
        });
    let server = tokio::spawn(server);
    info!(%address, dashboard = dashboard_url.as_deref().unwrap_or("none"), "scheduler listens");
    Ok(Served {
        scheduler,
        address,
        dashboard_url,
        dashboard,
        traces,
        is_lasting,
        actor: ended,
        stop,
        server,
    })
}

/// How long open streams may take to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

impl Served {
    /// Stops listening and ends all sessions. With a journal the next scheduler goes on with their jobs.
    pub async fn shutdown(self) {
        let _ = self.stop.send(());
        if self.is_lasting {
            self.scheduler.suspend().await;
            // Its folder is free for others then.
            let _ = self.actor.await;
        }
        drop(self.scheduler);
        // Workers and clients hold streams open that end only when they see the connection close.
        let mut server = self.server;
        if tokio::time::timeout(SHUTDOWN_GRACE, &mut server).await.is_err() {
            server.abort();
        }
        if let Some(dashboard) = self.dashboard {
            dashboard.shutdown().await;
        }
        if let Some(traces) = self.traces {
            traces.finish().await;
        }
    }
}
