use graticule_kernel::Chunk;
use graticule_plan::ChunkId;
use graticule_proto::engine::Peer;
use graticule_transfer::{Fetch, StorePool};

/// The way to the chunks that workers hold.
#[derive(Debug, Clone)]
pub(crate) enum Fetcher {
    /// Workers of this process.
    #[cfg(feature = "local")]
    Embedded(graticule_worker::LocalPeers),
    /// Workers reached over gRPC.
    Remote(StorePool),
}

impl Fetcher {
    /// Gets a whole chunk of so many bytes from one worker.
    ///
    /// # Errors
    /// What went wrong, for a person.
    pub(crate) async fn fetch(&self, peer: &Peer, chunk: ChunkId, bytes: u64) -> Result<Chunk, String> {
        match self {
            #[cfg(feature = "local")]
            Fetcher::Embedded(peers) => peers
                .read(&peer.address, chunk, None)
                .await
                .map_err(|error| error.to_string()),
            Fetcher::Remote(pool) => {
                let fetch = Fetch {
                    address: &peer.address,
                    chunk,
                    region: None,
                    bytes: Some(bytes),
                };
                pool.fetch(fetch).await.map_err(|error| error.to_string())
            }
        }
    }

    /// Hands a value to the attempt that waits for it on a worker.
    ///
    /// # Errors
    /// What went wrong, for a person.
    pub(crate) async fn put(
        &self,
        peer: &Peer,
        awaited: (ChunkId, u32),
        value: &Chunk,
    ) -> Result<(), String> {
        match self {
            #[cfg(feature = "local")]
            Fetcher::Embedded(peers) => peers
                .put(&peer.address, awaited, value.clone())
                .await
                .map_err(|error| error.to_string()),
            Fetcher::Remote(pool) => pool
                .put(&peer.address, awaited, value)
                .await
                .map_err(|error| error.to_string()),
        }
    }
}
