//! A worker in a process of its own: its store served over gRPC.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use graticule_data::sources::Sources;
#[cfg(target_os = "linux")]
use graticule_transfer::Door;
use graticule_transfer::{Credits, StoreService};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::transport::server::TcpIncoming;
use tracing::info;

use crate::{ChunkStore, GrpcConnector, GrpcPeers, Worker, WorkerError, WorkerHandle, WorkerOptions, limit};

/// How long transfers under way may take when the worker has left.
const TRANSFER_GRACE: Duration = Duration::from_secs(1);

/// Where a worker process finds its scheduler and listens.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The scheduler: `grpc://host:port`.
    pub scheduler: String,
    /// The address for peers and clients; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The worker itself.
    pub worker: WorkerOptions,
}

/// A worker that serves.
#[derive(Debug)]
pub struct Served {
    /// Where peers and clients fetch chunks.
    pub address: SocketAddr,
    /// Bytes for chunks and running tasks.
    pub budget_bytes: u64,
    worker: WorkerHandle,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    _door: Option<Door>,
}

/// Starts a worker process: it listens, connects to its scheduler, and stays with it.
///
/// # Errors
/// [`WorkerError`]; nothing is left running then. A scheduler that cannot be reached is no error: it is tried again.
pub async fn serve(options: ServeOptions) -> Result<Served, WorkerError> {
    let connector = Arc::new(GrpcConnector::new(&options.scheduler)?);
    if !options.listen.ip().is_loopback() {
        return Err(WorkerError::OffLoopback {
            address: options.listen,
        });
    }
    let cannot = |why| WorkerError::Listen {
        address: options.listen,
        why,
    };
    let listener = TcpListener::bind(options.listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let folder = format!("graticule-{}-{}", std::process::id(), address.port());
    let store = Arc::new(ChunkStore::new(&options.worker.spill_dir, &folder));
    let budget_bytes = options.worker.bounded_budget_bytes();
    let transit_bytes = limit::transit_bytes(budget_bytes);
    let (stop, stopped) = oneshot::channel();
    let server = graticule_transfer::server()
        .add_service(StoreService::new(store.clone()).copying_within(Credits::new(transit_bytes)))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async {
            let _ = stopped.await;
        });
    let server = tokio::spawn(server);
    let door = open_door(&address.to_string(), &store);
    info!(%address, scheduler = %options.scheduler, slots = options.worker.slots, "worker listens");
    let peers = Arc::new(GrpcPeers::receiving_within(Credits::new(transit_bytes)));
    let worker = Worker::start(
        options.worker,
        connector,
        peers,
        Sources::default(),
        &address.to_string(),
        store,
    )?;
    Ok(Served {
        address,
        budget_bytes,
        worker,
        stop,
        server,
        _door: door,
    })
}

/// Lets processes of this host map large chunks. Without it they fetch like all others.
#[cfg(target_os = "linux")]
fn open_door(address: &str, store: &Arc<ChunkStore>) -> Option<Door> {
    graticule_transfer::share_large_buffers();
    let door = Door::open(address, store.clone());
    door.inspect_err(|error| tracing::debug!(%error, "chunks are not shared with processes of this host"))
        .ok()
}

#[cfg(not(target_os = "linux"))]
fn open_door(_: &str, _: &Arc<ChunkStore>) -> Option<()> {
    None
}

#[cfg(not(target_os = "linux"))]
type Door = ();

impl Served {
    /// Waits until the worker has ended by itself.
    ///
    /// # Errors
    /// [`WorkerError::Refused`] if the scheduler will not have it.
    pub async fn ended(&mut self) -> Result<(), WorkerError> {
        self.worker.ended().await
    }

    /// Takes no new tasks, finishes those that run, has others copy what only it holds, and leaves; at the latest after
    /// `patience`.
    pub async fn retire(self, patience: Duration) {
        self.worker.retire(patience).await;
        end(self.stop, self.server).await;
    }

    /// Takes no new tasks, finishes those that run, and leaves; at the latest after `patience`.
    pub async fn stop(self, patience: Duration) {
        self.worker.stop(patience).await;
        end(self.stop, self.server).await;
    }
}

/// Lets transfers under way end, and the server with them.
async fn end(stop: oneshot::Sender<()>, mut server: JoinHandle<Result<(), tonic::transport::Error>>) {
    // A server that has ended hears nothing.
    let _ = stop.send(());
    if tokio::time::timeout(TRANSFER_GRACE, &mut server).await.is_err() {
        server.abort();
    }
}
