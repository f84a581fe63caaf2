use std::{
    convert::Infallible,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use graticule_kernel::Chunk;
use graticule_plan::ChunkId;
use graticule_proto::{FETCH_PATH, PUT_CHUNK, PUT_PATH, STORE_SERVICE, decode_fetch, decode_put};
use http_body::Body as _;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
    transport::Server,
};

use crate::{
    COPY_BYTES_MAX, Credits, SEND_BYTES_MAX,
    pool::{HTTP_FRAME_BYTES_MAX, receive},
    wire::{AnswerWhenDone, FrameBody, request_message},
};

/// Bytes of a request. The longest names a region of as many axes as there may be.
const REQUEST_BYTES_MAX: usize = 4 << 10;
/// What a client may send of one value, and of all, before it is read. It sends none that the worker has no room for.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Why a store does not give a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It does not hold it.
    NotHeld(String),
    /// The region is none of the chunk.
    Region(String),
}

/// Where a [`StoreService`] has its chunks from.
#[async_trait::async_trait]
pub trait ChunkSource: Send + Sync + 'static {
    /// A region of a chunk, or the whole of it.
    ///
    /// # Errors
    /// [`Refusal`].
    async fn read(&self, chunk: ChunkId, region: Option<&[Range<u64>]>) -> Result<Chunk, Refusal>;

    /// The bytes that [`read`](Self::read) takes beside what the store has in memory: none for a whole chunk that lies
    /// there, or for one that is not held.
    fn copied_bytes(&self, chunk: ChunkId, region: Option<&[Range<u64>]>) -> u64;

    /// Whether an attempt waits for a value that a client hands over, or will soon.
    async fn awaits(&self, chunk: ChunkId, attempt: u32) -> bool {
        let _ = (chunk, attempt);
        false
    }

    /// Gives a value to the attempt that waits for it; `false` if it does not.
    fn give(&self, chunk: ChunkId, attempt: u32, value: Chunk) -> bool {
        let _ = (chunk, attempt, value);
        false
    }

    /// A whole chunk, if it lies in memory.
    fn in_memory(&self, chunk: ChunkId) -> Option<Chunk>;
}

/// Serves `graticule.v1.Store` with frames that are not copied. Any gRPC client can read them.
#[derive(Debug)]
pub struct StoreService<S> {
    source: Arc<S>,
    credits: Credits,
    copies: Credits,
}

impl<S> Clone for StoreService<S> {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            credits: self.credits.clone(),
            copies: self.copies.clone(),
        }
    }
}

impl<S: ChunkSource> StoreService<S> {
    /// Serves the chunks of `source`, at most [`SEND_BYTES_MAX`] of them at a time.
    pub fn new(source: Arc<S>) -> Self {
        Self::with_credits(source, Credits::new(SEND_BYTES_MAX))
    }

    /// As [`new`](Self::new), with another bound on what is under way.
    pub fn with_credits(source: Arc<S>, credits: Credits) -> Self {
        Self {
            source,
            credits,
            copies: Credits::new(COPY_BYTES_MAX),
        }
    }

    /// The same, with another bound on what is in memory only to be sent: regions, and what is read from disk.
    pub fn copying_within(self, copies: Credits) -> Self {
        Self { copies, ..self }
    }

    async fn fetch(&self, request: http::Request<Body>) -> Result<FrameBody, Status> {
        let body = collect(request.into_body()).await?;
        let wanted = decode_fetch(request_message(&body)?);
        let (chunk, region) = wanted.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let copied = match self.source.copied_bytes(chunk, region.as_deref()) {
            0 => None,
            bytes => Some(self.copies.take(bytes).await),
        };
        let found = self.source.read(chunk, region.as_deref()).await;
        let found = found.map_err(|refusal| match refusal {
            Refusal::NotHeld(why) => Status::not_found(why),
            Refusal::Region(why) => Status::invalid_argument(why),
        })?;
        let credits = self.credits.take(found.nbytes()).await.with(copied);
        Ok(FrameBody::new(found.frames(), credits))
    }
}

impl<S: ChunkSource> StoreService<S> {
    /// Takes in a value that somebody waits for: whoever does has room for it. That it is taken is said before it is read,
    /// by the head of the answer: a client sends it no sooner, so that values for which nobody has room yet hold nothing up.
    async fn put(&self, request: http::Request<Body>) -> Result<AnswerWhenDone, Status> {
        let named = request.headers().get(PUT_CHUNK);
        let named = named.and_then(|name| decode_put(name.to_str().ok()?));
        let (chunk, attempt) = named.ok_or_else(|| Status::invalid_argument("no chunk and attempt named"))?;
        let unawaited =
            move || Status::not_found(format!("attempt {attempt} does not wait for {chunk} here"));
        if !self.source.awaits(chunk, attempt).await {
            return Err(unawaited());
        }
        let source = self.source.clone();
        Ok(AnswerWhenDone::new(async move {
            let value = receive(request.into_body(), false).await?;
            if source.give(chunk, attempt, value) {
                Ok(())
            } else {
                Err(unawaited())
            }
        }))
    }
}

/// A server that is set up for large answers.
pub fn server() -> Server {
    Server::builder()
        .max_frame_size(HTTP_FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
}

async fn collect(mut body: Body) -> Result<Bytes, Status> {
    let mut all = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            if all.len() + data.len() > REQUEST_BYTES_MAX {
                return Err(Status::resource_exhausted("a request that long is none"));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(all.freeze())
}

impl<S> NamedService for StoreService<S> {
    const NAME: &'static str = STORE_SERVICE;
}

impl<S: ChunkSource> Service<http::Request<Body>> for StoreService<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let answer = match request.uri().path() {
                FETCH_PATH => service.fetch(request).await.map(Body::new),
                PUT_PATH => service.put(request).await.map(Body::new),
                _ => Err(Status::new(Code::Unimplemented, "no such method")),
            };
            Ok(match answer {
                Ok(body) => {
                    let mut response = http::Response::new(body);
                    let kind = http::HeaderValue::from_static("application/grpc");
                    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
                    response
                }
                Err(status) => status.into_http(),
            })
        })
    }
}
