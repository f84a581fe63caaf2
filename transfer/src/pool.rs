use std::{
    collections::BTreeMap,
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use graticule_kernel::{Chunk, ChunkArrival};
use graticule_plan::ChunkId;
use graticule_proto::{FETCH_PATH, PUT_CHUNK, PUT_PATH, encode_fetch, encode_put};
use http_body::Body as _;
use tonic::{
    Code, Status,
    body::Body,
    client::GrpcService,
    codegen::http,
    transport::{Channel, Endpoint},
};

use crate::{
    Credits, FetchError, RECEIVE_BYTES_MAX,
    wire::{FrameBody, FrameReader, HeldBack, OneMessage, enveloped},
};

/// How long a connection to a peer may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a fetch may go without a frame.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);
/// The slowest way on which a value may be handed over, bytes in a millisecond.
const PUT_BYTES_PER_MS_MIN: u64 = 1 << 10;
/// The largest frame of HTTP/2 that a peer may send: each is a system call or two for it, and stays in this CPU's cache
/// until it is copied.
pub(crate) const HTTP_FRAME_BYTES_MAX: u32 = 256 << 10;
/// What a store may send of one chunk before it is read.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// What a store may send of all chunks before they are read.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// Freed memory that the C library keeps at hand in each of its arenas, once a piece of half this size was freed.
const KEPT_BYTES: usize = 16 << 20;
/// The credits of a chunk whose size is not known.
const UNKNOWN_BYTES: u64 = 64 << 20;

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// Where a worker's store is served.
    pub address: &'a Arc<str>,
    /// The chunk.
    pub chunk: ChunkId,
    /// What of it; the whole if this is `None`.
    pub region: Option<&'a [Range<u64>]>,
    /// How many bytes that is, as far as it is known.
    pub bytes: Option<u64>,
}

/// Connections to workers' stores, opened when they are needed. Clones share them.
#[derive(Debug, Clone)]
pub struct StorePool {
    channels: Arc<Mutex<BTreeMap<Arc<str>, Channel>>>,
    credits: Credits,
    #[cfg(target_os = "linux")]
    doors: Option<Arc<crate::shared::Knockers>>,
}

impl Default for StorePool {
    fn default() -> Self {
        Self::new()
    }
}

impl StorePool {
    /// A pool without connections, which lets at most [`RECEIVE_BYTES_MAX`] be under way.
    pub fn new() -> Self {
        Self::with_credits(Credits::new(RECEIVE_BYTES_MAX))
    }

    /// As [`new`](Self::new), with another bound on what is under way.
    pub fn with_credits(credits: Credits) -> Self {
        keep_freed_frames();
        Self {
            channels: Arc::default(),
            credits,
            #[cfg(target_os = "linux")]
            doors: Some(Arc::default()),
        }
    }

    /// The same, but all is fetched over gRPC, also from stores of this host.
    pub fn without_sharing(self) -> Self {
        Self {
            #[cfg(target_os = "linux")]
            doors: None,
            ..self
        }
    }

    /// How many fetches were answered by mapping a chunk.
    pub fn mapped_count(&self) -> u64 {
        #[cfg(target_os = "linux")]
        if let Some(doors) = &self.doors {
            return doors.mapped_count();
        }
        0
    }

    /// Fetches a region of a chunk. From a store of this host the chunk is mapped, if it can be; it stays what it is,
    /// whatever the store does.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, fetch: Fetch<'_>) -> Result<Chunk, FetchError> {
        let _credits = self.credits.take(fetch.bytes.unwrap_or(UNKNOWN_BYTES)).await;
        #[cfg(target_os = "linux")]
        if let Some(doors) = &self.doors
            && let Some(chunk) = doors.fetch(fetch).await
        {
            return Ok(chunk);
        }
        let received = self.receive(fetch).await;
        received.map_err(|status| self.fetch_error(fetch.address, fetch.chunk, &status))
    }

    async fn receive(&self, fetch: Fetch<'_>) -> Result<Chunk, Status> {
        let mut channel = self.channel(fetch.address)?;
        let call = async {
            let ready =
                std::future::poll_fn(|context| GrpcService::<Body>::poll_ready(&mut channel, context));
            ready.await.map_err(unreachable_peer)?;
            let answer = GrpcService::call(&mut channel, request(fetch));
            answer.await.map_err(unreachable_peer)
        };
        let (head, body) = in_time(call).await??.into_parts();
        if head.status != http::StatusCode::OK {
            return Err(Status::unavailable(format!("the store answered {}", head.status)));
        }
        // An answer without frames has its status among its headers.
        if let Some(status) = Status::from_header_map(&head.headers)
            && status.code() != Code::Ok
        {
            return Err(status);
        }
        receive(body, true).await
    }

    /// Hands a value to the attempt that waits for it on a worker, or will soon: see [`ChunkSource::give`](crate::ChunkSource::give).
    ///
    /// # Errors
    /// [`FetchError`]; [`FetchError::NotHeld`] if it does not wait for it.
    pub async fn put(
        &self,
        address: &Arc<str>,
        (chunk, attempt): (ChunkId, u32),
        value: &Chunk,
    ) -> Result<(), FetchError> {
        let sent = self.send(address, (chunk, attempt), value).await;
        sent.map_err(|status| self.fetch_error(address, chunk, &status))
    }

    async fn send(
        &self,
        address: &Arc<str>,
        (chunk, attempt): (ChunkId, u32),
        value: &Chunk,
    ) -> Result<(), Status> {
        let mut channel = self.channel(address)?;
        let (open, body) = HeldBack::new();
        let mut request = request_to(PUT_PATH, Body::new(body));
        let name = http::HeaderValue::try_from(encode_put(chunk, attempt)).expect("digits and points");
        request.headers_mut().insert(PUT_CHUNK, name);
        let asked = async {
            let ready =
                std::future::poll_fn(|context| GrpcService::<Body>::poll_ready(&mut channel, context));
            ready.await.map_err(unreachable_peer)?;
            let answer = GrpcService::call(&mut channel, request).await;
            answer.map_err(unreachable_peer)
        };
        let (head, mut body) = in_time(asked).await??.into_parts();
        let mut status = Status::from_header_map(&head.headers);
        if status.is_none() {
            // The worker waits for it, and has room.
            let credits = self.credits.take(value.nbytes()).await;
            // Who does not listen any more says so in the answer.
            let _ = open.send(FrameBody::new(value.frames(), credits));
        }
        let patience = FRAME_TIMEOUT + Duration::from_millis(value.nbytes() / PUT_BYTES_PER_MS_MIN);
        let answered = async {
            while let Some(frame) =
                std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
            {
                let trailers = frame?.into_trailers().ok();
                status = status.or_else(|| trailers.as_ref().and_then(Status::from_header_map));
            }
            match status {
                Some(status) if status.code() == Code::Ok => Ok(()),
                Some(status) => Err(status),
                None => Err(Status::data_loss("the answer ends too soon")),
            }
        };
        let late = |_| Status::deadline_exceeded(format!("no answer within {} s", patience.as_secs()));
        tokio::time::timeout(patience, answered).await.map_err(late)?
    }

    fn fetch_error(&self, address: &Arc<str>, chunk: ChunkId, status: &Status) -> FetchError {
        if status.code() == Code::NotFound {
            let address = address.clone();
            return FetchError::NotHeld { address, chunk };
        }
        // The next one opens another connection.
        self.lock().remove(address);
        FetchError::Broken {
            address: address.clone(),
            chunk,
            why: status.message().to_owned(),
        }
    }

    fn channel(&self, address: &Arc<str>) -> Result<Channel, Status> {
        if let Some(channel) = self.lock().get(address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(unreachable_peer)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .max_frame_size(HTTP_FRAME_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let channel = endpoint.connect_lazy();
        self.lock().insert(address.clone(), channel.clone());
        Ok(channel)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each HTTP frame lies in a buffer of its own, freed as soon as it is read. The C library of Linux would give most of
/// that memory back to the system, and get it again page fault by page fault: about a quarter of the time of a transfer. What it
/// keeps adapts to the largest piece that was ever freed, so one is, untouched.
fn keep_freed_frames() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_BYTES / 2))));
}

fn request(fetch: Fetch<'_>) -> http::Request<Body> {
    let message = enveloped(&encode_fetch(fetch.chunk, fetch.region));
    request_to(FETCH_PATH, Body::new(OneMessage(Some(message))))
}

fn request_to(path: &'static str, body: Body) -> http::Request<Body> {
    let mut request = http::Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    *request.version_mut() = http::Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(http::header::TE, http::HeaderValue::from_static("trailers"));
    let kind = http::HeaderValue::from_static("application/grpc");
    headers.insert(http::header::CONTENT_TYPE, kind);
    request
}

/// Reads frames to their end, each byte to where it stays. A request has no status behind it.
pub(crate) async fn receive(mut body: Body, has_status: bool) -> Result<Chunk, Status> {
    let (mut reader, mut arrival) = (FrameReader::default(), ChunkArrival::new());
    let mut status = None;
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let Some(frame) = in_time(frame).await? else { break };
        match frame?.into_data() {
            Ok(data) => reader
                .read(&data, |stretch| {
                    arrival.write(stretch).map_err(|error| error.to_string())
                })
                .map_err(Status::data_loss)?,
            Err(other) => status = other.trailers_ref().and_then(Status::from_header_map),
        }
    }
    match status.or_else(|| (!has_status).then(|| Status::new(Code::Ok, ""))) {
        Some(status) if status.code() == Code::Ok && reader.is_whole() => arrival
            .finish()
            .map_err(|error| Status::data_loss(error.to_string())),
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Err(Status::data_loss("the answer ends too soon")),
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded(format!("no answer within {} s", FRAME_TIMEOUT.as_secs()));
    tokio::time::timeout(FRAME_TIMEOUT, future).await.map_err(late)
}

fn unreachable_peer(error: tonic::transport::Error) -> Status {
    let cause = std::error::Error::source(&error);
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    Status::unavailable(format!("{error}{cause}"))
}
