//! Regions of chunks over gRPC: what workers and clients share of fetching.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use graticule_plan::ChunkId;
use tonic::transport::{Channel, Endpoint};

use crate::v1;

/// How long a connection to a peer may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a fetch may go without a frame.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a chunk could not be fetched.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// The worker is there and does not hold the chunk.
    #[error("{address} does not hold chunk {chunk}")]
    NotHeld {
        /// The worker's address.
        address: Arc<str>,
        /// The chunk.
        chunk: ChunkId,
    },
    /// The worker cannot be reached, or the transfer broke.
    #[error("fetching chunk {chunk} from {address}: {why}")]
    Broken {
        /// The worker's address.
        address: Arc<str>,
        /// The chunk.
        chunk: ChunkId,
        /// What went wrong.
        why: String,
    },
}

/// Connections to workers' stores, opened when they are needed. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct StorePool {
    channels: Arc<Mutex<BTreeMap<Arc<str>, Channel>>>,
}

impl StorePool {
    /// A pool without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fetches a region of a chunk (the whole chunk if `region` is `None`), encoded as the kernels encode it.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(
        &self,
        address: &Arc<str>,
        chunk: ChunkId,
        region: Option<&[Range<u64>]>,
    ) -> Result<Bytes, FetchError> {
        let result = self.try_fetch(address, chunk, region).await;
        if matches!(result, Err(FetchError::Broken { .. })) {
            self.lock().remove(address);
        }
        result
    }

    async fn try_fetch(
        &self,
        address: &Arc<str>,
        chunk: ChunkId,
        region: Option<&[Range<u64>]>,
    ) -> Result<Bytes, FetchError> {
        let broken = |why: String| FetchError::Broken {
            address: address.clone(),
            chunk,
            why,
        };
        let refused = |status: tonic::Status| match status.code() {
            tonic::Code::NotFound => FetchError::NotHeld {
                address: address.clone(),
                chunk,
            },
            _ => broken(status.message().to_owned()),
        };
        let channel = self.channel(address).map_err(|why| broken(why.to_string()))?;
        let mut client = v1::store_client::StoreClient::new(channel);
        let request = v1::FetchRequest {
            chunk: Some(chunk.into()),
            starts: region.unwrap_or_default().iter().map(|r| r.start).collect(),
            ends: region.unwrap_or_default().iter().map(|r| r.end).collect(),
        };
        let timed_out = |_| broken(format!("no answer within {} s", FRAME_TIMEOUT.as_secs()));
        let answer = tokio::time::timeout(FRAME_TIMEOUT, client.fetch(request))
            .await
            .map_err(timed_out)?;
        let mut frames = answer.map_err(refused)?.into_inner();
        let mut data = BytesMut::new();
        loop {
            let next = tokio::time::timeout(FRAME_TIMEOUT, frames.message())
                .await
                .map_err(timed_out)?;
            match next.map_err(refused)? {
                Some(frame) => data.extend_from_slice(&frame.data),
                None => return Ok(data.freeze()),
            }
        }
    }

    fn channel(&self, address: &Arc<str>) -> Result<Channel, tonic::transport::Error> {
        if let Some(channel) = self.lock().get(address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20);
        let channel = endpoint.connect_lazy();
        self.lock().insert(address.clone(), channel.clone());
        Ok(channel)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
