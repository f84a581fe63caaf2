use std::sync::Arc;

use graticule_plan::ChunkId;

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
