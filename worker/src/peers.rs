use std::{ops::Range, sync::Arc};

use dashmap::DashMap;
use graticule_kernel::Chunk;
use graticule_plan::ChunkId;
use graticule_transfer::{Credits, Fetch, FetchError, StorePool};

use crate::ChunkStore;

/// Why a peer did not give a chunk.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It does not hold the chunk.
    #[error("{0} does not hold the chunk")]
    NotHeld(Arc<str>),
    /// It cannot be reached, or sent what is no chunk. Another try may succeed.
    #[error("{0}")]
    Broken(String),
}

/// The way to other workers' chunks.
#[async_trait::async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Fetches a region of a chunk, or the whole of it.
    ///
    /// # Errors
    /// [`PeerError`].
    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Chunk, PeerError>;
}

/// Peers in other processes.
#[derive(Debug, Clone, Default)]
pub struct GrpcPeers {
    pool: StorePool,
}

impl GrpcPeers {
    /// Peers of whom at most so many bytes are under way at a time.
    pub fn receiving_within(credits: Credits) -> Self {
        Self {
            pool: StorePool::with_credits(credits),
        }
    }
}

#[async_trait::async_trait]
impl Peers for GrpcPeers {
    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Chunk, PeerError> {
        let fetched = self.pool.fetch(fetch).await;
        fetched.map_err(|error| match error {
            FetchError::NotHeld { address, .. } => PeerError::NotHeld(address),
            FetchError::Broken { .. } => PeerError::Broken(error.to_string()),
        })
    }
}

/// Workers of one process: the embedded cluster's. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct LocalPeers {
    stores: Arc<DashMap<Arc<str>, Arc<ChunkStore>>>,
}

impl LocalPeers {
    /// Enters a worker's store under its address.
    pub fn insert(&self, address: Arc<str>, store: Arc<ChunkStore>) {
        self.stores.insert(address, store);
    }

    /// Takes a worker out.
    pub fn remove(&self, address: &str) {
        self.stores.remove(address);
    }

    /// Hands a value to the attempt that waits for it on a worker, or will soon.
    ///
    /// # Errors
    /// [`PeerError`]; [`PeerError::NotHeld`] if it does not wait for it.
    pub async fn put(
        &self,
        address: &Arc<str>,
        awaited: (ChunkId, u32),
        value: Chunk,
    ) -> Result<(), PeerError> {
        let store = self.stores.get(address).map(|store| store.clone());
        let store = store.ok_or_else(|| PeerError::Broken(format!("no worker at {address}")))?;
        if store.uploads.is_awaited(awaited).await && store.uploads.give(awaited, value) {
            return Ok(());
        }
        Err(PeerError::NotHeld(address.clone()))
    }

    /// A region of a chunk in some worker's store, or the whole of it.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn read(
        &self,
        address: &Arc<str>,
        chunk: ChunkId,
        region: Option<&[Range<u64>]>,
    ) -> Result<Chunk, PeerError> {
        let store = self.stores.get(address).map(|store| store.clone());
        let store = store.ok_or_else(|| PeerError::Broken(format!("no worker at {address}")))?;
        store
            .read(chunk, region)
            .await
            .map_err(|_| PeerError::NotHeld(address.clone()))
    }
}

#[async_trait::async_trait]
impl Peers for LocalPeers {
    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Chunk, PeerError> {
        self.read(fetch.address, fetch.chunk, fetch.region).await
    }
}
