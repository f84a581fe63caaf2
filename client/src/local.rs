//! The embedded cluster: the same scheduler and workers as anywhere, with channels in place of sockets.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use graticule_dashboard::{Dashboard, DashboardHandle, DashboardOptions, Feed};
use graticule_data::Sources;
use graticule_plan::Resource;
use graticule_proto::{Answer, DatasetAnswer, DatasetError, DatasetRequest, Subject, engine::ToScheduler};
use graticule_scheduler::{AdaptOptions, SchedulerHandle, SchedulerOptions, WorkerSize};
use graticule_traces::{Exporter, TraceOptions, trace};
use graticule_worker::{
    ChunkStore, Connector, LinkError, LocalPeers, Registry, Session as WorkerLink, Worker, WorkerHandle,
    WorkerOptions,
};
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    Client, ClientError, ClusterInfo,
    adapt::Adapting,
    fetch::Fetcher,
    link::Link,
    report::Records,
    session::{About, Session},
};

/// Messages between an embedded worker and its scheduler that may wait.
const QUEUE_COUNT_MAX: usize = 16_384;
/// How long workers may take to end what they run.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long workers may take to connect.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What an embedded cluster looks like.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Workers; more than one is of use for tests alone, since a worker has many slots.
    pub worker_count: u32,
    /// Tasks that each worker computes at a time; by default the CPUs are shared out.
    pub slots: Option<u32>,
    /// Bytes for the chunks and running tasks of each worker; by default a good half of the memory is shared out.
    pub budget_bytes: Option<u64>,
    /// Countable things that each worker has and tasks may need, such as `GPU`.
    pub resources: Vec<Resource>,
    /// The functions that can be called on the workers.
    pub functions: Registry,
    /// The folder below which chunks are spilled; by default the system's for temporary files.
    pub spill_dir: Option<PathBuf>,
    /// The dashboard's address on this machine (port 0 takes a free one); `None` opens no port.
    pub dashboard: Option<SocketAddr>,
    /// Host names beside the loopback ones by which the dashboard may be asked for: those that a proxy passes on.
    pub dashboard_hosts: Vec<String>,
    /// Where spans of jobs go, made of what the dashboard is told, so it takes one; `None` makes none.
    pub traces: Option<TraceOptions>,
    /// Starts and retires workers as the work asks for, in place of `worker_count` of them.
    pub adapt: Option<AdaptOptions>,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            worker_count: 1,
            slots: None,
            budget_bytes: None,
            resources: Vec::new(),
            functions: Registry::new(),
            spill_dir: None,
            dashboard: None,
            dashboard_hosts: Vec::new(),
            traces: None,
            adapt: None,
        }
    }
}

/// Scheduler and workers of this process. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct LocalCluster {
    scheduler: SchedulerHandle,
    dashboard_url: Option<String>,
    records: Records,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    workers: Vec<WorkerHandle>,
    adapting: Option<Adapting>,
    dashboard: Option<DashboardHandle>,
    traces: Option<Exporter>,
}

impl Client {
    /// Starts an embedded cluster: a scheduler and a worker with one slot for each CPU, in this process. No port is
    /// opened. It ends with the last clone of the client.
    ///
    /// ```
    /// use graticule_array::{Array, Chunks, Over};
    /// use graticule_client::Client;
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::local().await?;
    /// let x = Array::from_slice(&[4, 2], &[Chunks::Size(1), Chunks::Whole], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])?;
    /// let mean = client.compute(&x.mean(&Over::axis(0))?).await?;
    /// assert_eq!(mean.as_slice::<f64>(), Some(&[4.0, 5.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Start`].
    pub async fn local() -> Result<Self, ClientError> {
        Self::local_with(&LocalOptions::default()).await
    }

    /// As [`Client::local`], with options.
    ///
    /// # Errors
    /// [`ClientError::Start`].
    pub async fn local_with(options: &LocalOptions) -> Result<Self, ClientError> {
        let (cluster, peers) = LocalCluster::start(options).await?;
        let session = cluster.scheduler.open_client().await.map_err(start_error)?;
        let about = About {
            fetcher: Fetcher::Embedded(peers),
            url: "the embedded cluster".into(),
            dashboard: cluster.dashboard_url.clone(),
            published: Mutex::default(),
            cluster: Some(cluster),
        };
        let session = Session::start(Link::Embedded(Box::new(session)), about, None);
        let functions = options.functions.names().map(Into::into);
        session.calls().fix_functions(functions.collect());
        Ok(Self { session })
    }
}

fn start_error(error: impl std::fmt::Display) -> ClientError {
    ClientError::Start {
        why: error.to_string(),
    }
}

impl LocalCluster {
    async fn start(options: &LocalOptions) -> Result<(Self, LocalPeers), ClientError> {
        let started = Instant::now();
        let (records, dashboard, traces) = match options.dashboard {
            None if options.traces.is_some() => {
                return Err(start_error(
                    "spans are made of what the dashboard is told: give it an address, such as 127.0.0.1:0",
                ));
            }
            None => (Records::paused(started), None, None),
            Some(address) => {
                let (feed, handle, traces) = dashboard(address, options, started).await?;
                let records = Records::of_dashboard(feed, started, handle.recording());
                (records, Some(handle), traces)
            }
        };
        let (scheduler, _) = graticule_scheduler::start(SchedulerOptions {
            feed: records.feed(),
            started,
            ..SchedulerOptions::default()
        });
        if let Some(dashboard) = &dashboard {
            dashboard.ask_of(scheduler.explainer());
        }
        let peers = LocalPeers::default();
        let site = Site {
            options: options.clone(),
            scheduler: scheduler.clone(),
            peers: peers.clone(),
            sources: Sources::default(),
        };
        let count = match options.adapt {
            None => options.worker_count.max(1),
            Some(_) => 0,
        };
        let workers = (0..count).map(|index| site.start(&format!("local-{index}")));
        let running = Running {
            workers: workers.collect::<Result<_, _>>()?,
            adapting: options.adapt.clone().map(|adapt| Adapting::start(site, adapt)),
            dashboard,
            traces,
        };
        let cluster = Self {
            scheduler,
            dashboard_url: running.dashboard.as_ref().map(DashboardHandle::url),
            records,
            running: Mutex::new(Some(running)),
        };
        cluster.wait_for_workers(count).await?;
        Ok((cluster, peers))
    }

    /// Waits until the workers are connected, so that whoever asks what fits them finds them there.
    async fn wait_for_workers(&self, count: u32) -> Result<(), ClientError> {
        let all_there = async {
            while self.scheduler.info().await.map_err(start_error)?.workers.len() < count as usize {
                tokio::task::yield_now().await;
            }
            Ok(())
        };
        let in_time = tokio::time::timeout(START_TIMEOUT, all_there).await;
        in_time.unwrap_or_else(|_| Err(start_error("its workers do not connect")))
    }

    /// What is told of its jobs.
    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    pub(crate) async fn info(&self) -> Result<ClusterInfo, ClientError> {
        let info = self.scheduler.info().await;
        let info = info.map_err(|error| ClientError::ConnectionLost {
            why: error.to_string(),
        })?;
        Ok(ClusterInfo {
            dashboard: self.dashboard_url.clone(),
            workers: info.workers,
            jobs: info.jobs,
            remade_count: info.remade_count,
            peak_bytes: info.peak_bytes,
            finished_count: info.finished_count,
            late_count: info.late_count,
            let_go_count: info.let_go_count,
        })
    }

    pub(crate) async fn why(&self, subject: Subject) -> Result<Answer, ClientError> {
        let answer = self.scheduler.why(subject).await;
        let answer = answer.map_err(|error| ClientError::ConnectionLost {
            why: error.to_string(),
        })?;
        answer.map_err(|unknown| ClientError::Unknown {
            why: unknown.to_string(),
        })
    }

    pub(crate) async fn dataset(&self, request: DatasetRequest) -> Result<DatasetAnswer, ClientError> {
        let answer = self.scheduler.dataset(request).await;
        let answer = answer.map_err(|error| ClientError::ConnectionLost {
            why: error.to_string(),
        })?;
        answer.map_err(|error| {
            let why = error.to_string();
            match error {
                DatasetError::Unknown { .. } => ClientError::Unknown { why },
                DatasetError::Taken { .. } => ClientError::NameTaken { why },
                DatasetError::Refused { why } => ClientError::Refused { why },
            }
        })
    }

    pub(crate) async fn shutdown(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return };
        let mut workers = running.workers;
        if let Some(adapting) = running.adapting {
            workers.extend(adapting.end().await);
        }
        let leaving = workers.into_iter().map(|worker| worker.stop(PATIENCE));
        futures::future::join_all(leaving).await;
        if let Some(dashboard) = running.dashboard {
            dashboard.shutdown().await;
        }
        if let Some(traces) = running.traces {
            traces.finish().await;
        }
    }
}

async fn dashboard(
    address: SocketAddr,
    options: &LocalOptions,
    started: Instant,
) -> Result<(Feed, DashboardHandle, Option<Exporter>), ClientError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| ClientError::Start {
        why: format!("the dashboard cannot listen on {address}: {error}"),
    })?;
    let (feed, receiver) = Feed::new();
    let (receiver, exporter) = match &options.traces {
        Some(wanted) => {
            let (receiver, exporter) = trace(receiver, wanted, started).map_err(start_error)?;
            (receiver, Some(exporter))
        }
        None => (receiver, None),
    };
    let shown = DashboardOptions {
        cluster: "embedded".into(),
        started,
        host_names: options.dashboard_hosts.clone(),
        ..DashboardOptions::default()
    };
    let handle = Dashboard::start(listener, receiver, shown).map_err(start_error)?;
    Ok((feed, handle, exporter))
}

/// What every embedded worker of a cluster is made of.
pub(crate) struct Site {
    options: LocalOptions,
    scheduler: SchedulerHandle,
    pub(crate) peers: LocalPeers,
    sources: Sources,
}

impl Site {
    pub(crate) fn scheduler(&self) -> SchedulerHandle {
        self.scheduler.clone()
    }

    /// The machine is shared out among as many workers as there may be.
    pub(crate) fn worker_size(&self) -> WorkerSize {
        let (options, usual) = (&self.options, WorkerOptions::default());
        let adapt = options.adapt.as_ref().map(|adapt| *adapt.workers.end());
        let count = adapt.unwrap_or(options.worker_count).max(1);
        let share = usual.budget_bytes / u64::from(count);
        WorkerSize {
            slots: options.slots.unwrap_or((usual.slots / count).max(1)),
            budget_bytes: options.budget_bytes.unwrap_or(share),
        }
    }

    /// Starts a worker; its name is its address too.
    pub(crate) fn start(&self, name: &str) -> Result<WorkerHandle, ClientError> {
        // Clusters of one process must not share folders for spilled chunks.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (usual, size) = (WorkerOptions::default(), self.worker_size());
        let wanted = WorkerOptions {
            name: name.into(),
            slots: size.slots,
            budget_bytes: size.budget_bytes,
            resources: self.options.resources.clone(),
            functions: self.options.functions.clone(),
            spill_dir: self.options.spill_dir.clone().unwrap_or(usual.spill_dir.clone()),
            ..usual
        };
        let folder = format!("graticule-{}-local-{number}", std::process::id());
        let store = Arc::new(ChunkStore::new(&wanted.spill_dir, &folder));
        self.peers.insert(name.into(), store.clone());
        let connector = Arc::new(Embedded {
            scheduler: self.scheduler.clone(),
        });
        let peers = Arc::new(self.peers.clone());
        Worker::start(wanted, connector, peers, self.sources.clone(), name, store).map_err(start_error)
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The way from an embedded worker to its scheduler.
#[derive(Debug)]
struct Embedded {
    scheduler: SchedulerHandle,
}

#[async_trait::async_trait]
impl Connector for Embedded {
    async fn connect(&self) -> Result<WorkerLink, LinkError> {
        let (outgoing, said) = mpsc::channel(QUEUE_COUNT_MAX);
        let (heard, incoming) = mpsc::channel(QUEUE_COUNT_MAX);
        tokio::spawn(carry(self.scheduler.clone(), said, heard));
        Ok(WorkerLink { outgoing, incoming })
    }
}

type Heard = mpsc::Sender<Result<graticule_proto::engine::ToWorker, LinkError>>;

/// Carries messages between a worker and the scheduler until either is gone.
async fn carry(scheduler: SchedulerHandle, mut said: mpsc::Receiver<ToScheduler>, heard: Heard) {
    let Some(ToScheduler::Announce(announce)) = said.recv().await else {
        return;
    };
    let Ok(mut session) = scheduler.open_worker(announce).await else {
        // The worker may be gone as well.
        let _ = heard
            .send(Err(LinkError::Lost("the scheduler has stopped".into())))
            .await;
        return;
    };
    // The worker alone keeps the scheduler's actor alive no longer than the session lasts.
    drop(scheduler);
    let speaker = session.speaker();
    let speak = async {
        while let Some(message) = said.recv().await {
            if speaker.say(message).await.is_err() {
                break;
            }
        }
    };
    let listen = async {
        while let Some(message) = session.messages.recv().await {
            if heard.send(Ok(message)).await.is_err() {
                return;
            }
        }
        // As above.
        let _ = heard
            .send(Err(LinkError::Lost("the scheduler ended the session".into())))
            .await;
    };
    tokio::select! {
        () = speak => {}
        () = listen => {}
    }
}
