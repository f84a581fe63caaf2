//! A worker in a process of its own: its store served over gRPC.

use std::{net::SocketAddr, ops::Range, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::Stream;
use graticule_data::sources::Sources;
use graticule_plan::{ChunkId, NDIM_MAX};
use graticule_proto::{
    FRAME_BYTES,
    v1::{self, store_server::StoreServer},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tracing::info;

use crate::{
    ChunkStore, GrpcConnector, GrpcPeers, StoreError, Worker, WorkerError, WorkerHandle, WorkerOptions,
};

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
    worker: WorkerHandle,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
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
    let (stop, stopped) = oneshot::channel();
    let service = StoreServer::new(StoreService { store: store.clone() });
    let server = Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async {
            let _ = stopped.await;
        });
    let server = tokio::spawn(server);
    info!(%address, scheduler = %options.scheduler, slots = options.worker.slots, "worker listens");
    let peers = Arc::new(GrpcPeers::default());
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
        worker,
        stop,
        server,
    })
}

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

struct StoreService {
    store: Arc<ChunkStore>,
}

type FrameStream = Pin<Box<dyn Stream<Item = Result<v1::Frame, Status>> + Send>>;

#[tonic::async_trait]
impl v1::store_server::Store for StoreService {
    type FetchStream = FrameStream;

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<FrameStream>, Status> {
        let request = request.into_inner();
        let chunk: ChunkId = request
            .chunk
            .ok_or_else(|| Status::invalid_argument("no chunk named"))?
            .into();
        if request.starts.len() != request.ends.len() || request.starts.len() > NDIM_MAX {
            return Err(Status::invalid_argument(
                "a region's starts and ends differ in number",
            ));
        }
        let region: Vec<Range<u64>> = request
            .starts
            .into_iter()
            .zip(request.ends)
            .map(|(start, end)| start..end)
            .collect();
        let region = (!region.is_empty()).then_some(region);
        let found = self.store.read(chunk, region.as_deref()).await;
        let found = found.map_err(|error| match error {
            StoreError::NotHeld(_) | StoreError::Damaged { .. } => Status::not_found(error.to_string()),
            StoreError::Region(_) => Status::invalid_argument(error.to_string()),
        })?;
        let frames = found.frames().into_iter().flat_map(|bytes| Frames { bytes });
        let frames = frames.map(|data| Ok(v1::Frame { data }));
        Ok(Response::new(Box::pin(futures::stream::iter(frames))))
    }
}

/// Bytes in pieces of at most a frame, without a copy.
struct Frames {
    bytes: Bytes,
}

impl Iterator for Frames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.bytes.is_empty() {
            return None;
        }
        let len = self.bytes.len().min(FRAME_BYTES);
        Some(self.bytes.split_to(len))
    }
}
