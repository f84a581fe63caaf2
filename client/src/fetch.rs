use graticule_kernel::Chunk;
use graticule_plan::ChunkId;
use graticule_proto::{StorePool, engine::Peer};

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
    /// Gets a whole chunk from one worker.
    ///
    /// # Errors
    /// What went wrong, for a person.
    pub(crate) async fn fetch(&self, peer: &Peer, chunk: ChunkId) -> Result<Chunk, String> {
        match self {
            #[cfg(feature = "local")]
            Fetcher::Embedded(peers) => peers
                .read(&peer.address, chunk, None)
                .await
                .map_err(|error| error.to_string()),
            Fetcher::Remote(pool) => {
                let bytes = pool.fetch(&peer.address, chunk, None).await;
                let bytes = bytes.map_err(|error| error.to_string())?;
                Chunk::decode(&bytes).map_err(|error| format!("{}: {error}", peer.address))
            }
        }
    }
}
