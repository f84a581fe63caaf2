//! The worker's side of reads: fetch the bytes that a task's program needs, then decode them on a CPU thread.
//!
//! [`Sources::fetch`] waits for the network and disks and computes nothing; [`Fetched`] computes and waits for nothing.

mod error;
mod fetched;
mod place;
mod raster;
mod raster_decode;
mod raster_map;
mod zarr;
mod zarr_decode;

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::future::try_join_all;
use graticule_kernel::Tables;
use graticule_ops::{ArraySource, BlockAxis, Node, NodeId, Program, Read, decode_table};
use graticule_plan::Digest;
use moka::future::Cache;

use crate::{store::Stores, tiff::Tiff, zarr::Layout};

pub use error::{Place, ReadCause, ReadError};
pub use fetched::{Fetched, Problem};

/// Limits of what a process keeps of the sources it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcesConfig {
    /// Bytes of file headers that are kept, and as many of shard indices.
    pub header_cache_bytes: u64,
    /// Bytes of decoded descriptions that are kept.
    pub table_cache_bytes: u64,
    /// Files of one task that are read at once.
    pub files_at_once: usize,
}

impl Default for SourcesConfig {
    fn default() -> Self {
        Self {
            header_cache_bytes: 256 << 20,
            table_cache_bytes: 128 << 20,
            files_at_once: 64,
        }
    }
}

/// What a process reads from: its stores, and a cache of file headers. Cloning is cheap; clones share everything.
#[derive(Clone)]
pub struct Sources {
    shared: Arc<Shared>,
}

struct Shared {
    stores: Stores,
    config: SourcesConfig,
    /// By address.
    headers: Cache<String, Arc<Tiff>>,
    tables: Cache<Digest, Arc<ArraySource>>,
    /// Of Zarr arrays, by their description.
    layouts: Cache<Digest, Arc<Layout>>,
    /// By the shard's address; `None` where there is no shard.
    shard_indices: Cache<String, Option<Bytes>>,
}

/// Zarr arrays whose metadata is kept.
const LAYOUT_COUNT_MAX: u64 = 1024;

impl Default for Sources {
    fn default() -> Self {
        Self::new(Stores::default(), SourcesConfig::default())
    }
}

impl Sources {
    /// Reads from `stores`.
    pub fn new(stores: Stores, config: SourcesConfig) -> Self {
        let header_weight = |address: &String, tiff: &Arc<Tiff>| {
            // Offset and length of each block, and something for the rest.
            let blocks: usize = tiff
                .images()
                .iter()
                .map(|image| image.block_count() * 16 + 2048)
                .sum();
            u32::try_from(address.len() + blocks).unwrap_or(u32::MAX)
        };
        let index_weight = |address: &String, index: &Option<Bytes>| {
            u32::try_from(address.len() + index.as_ref().map_or(0, Bytes::len)).unwrap_or(u32::MAX)
        };
        let shared = Shared {
            layouts: Cache::new(LAYOUT_COUNT_MAX),
            shard_indices: Cache::builder()
                .weigher(index_weight)
                .max_capacity(config.header_cache_bytes)
                .build(),
            headers: Cache::builder()
                .weigher(header_weight)
                .max_capacity(config.header_cache_bytes)
                .build(),
            tables: Cache::builder()
                .weigher(table_weight)
                .max_capacity(config.table_cache_bytes)
                .build(),
            stores,
            config,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The stores.
    pub fn stores(&self) -> &Stores {
        &self.shared.stores
    }

    /// Gets all bytes that the program's reads need for the block at `block_index` of its layer's grid.
    ///
    /// Requests run at once, as far as the stores' limits allow. Nothing is decoded.
    ///
    /// # Errors
    /// [`ReadError`]. What a source's `on_error` lets pass is none: see [`Fetched::problems`].
    pub async fn fetch(
        &self,
        program: &Program,
        block_index: &[u64],
        tables: &(dyn Tables + Sync),
    ) -> Result<Fetched, ReadError> {
        let reads = program
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(position, node)| match node {
                Node::Read(read) => Some((position, read)),
                _ => None,
            });
        let parts = try_join_all(reads.map(|(position, read)| async move {
            let node = NodeId(u32::try_from(position).expect("programs are short"));
            let extents: Vec<_> = read
                .axes
                .iter()
                .map(|axis: &BlockAxis| axis.extent(block_index))
                .collect();
            let part = self.fetch_read(read, &extents, tables).await?;
            Ok::<_, ReadError>((node, part))
        }))
        .await?;
        Ok(Fetched::new(parts))
    }

    async fn fetch_read(
        &self,
        read: &Read,
        extents: &[Range<u64>],
        tables: &(dyn Tables + Sync),
    ) -> Result<fetched::Part, ReadError> {
        let source = self.source(read.source, tables).await?;
        match &*source {
            ArraySource::Inline(_) => Ok(fetched::Part::Inline(source)),
            ArraySource::Raster(_) => {
                let boxed = place::Selected::new(read, extents, &raster::shape(&source))
                    .map_err(ReadError::of_task)?;
                let fetched = raster::fetch(self, source, boxed, read.dtype).await?;
                Ok(fetched::Part::Raster(Box::new(fetched)))
            }
            ArraySource::Zarr(array) => {
                let layout = self.layout(read.source, array).await?;
                let boxed = place::Selected::new(read, extents, &layout.shape).map_err(ReadError::of_task)?;
                let fetched = zarr::fetch(self, source, layout, boxed).await?;
                Ok(fetched::Part::Zarr(Box::new(fetched)))
            }
        }
    }

    /// The description behind a digest, decoded once.
    async fn source(
        &self,
        digest: Digest,
        tables: &(dyn Tables + Sync),
    ) -> Result<Arc<ArraySource>, ReadError> {
        if let Some(found) = self.shared.tables.get(&digest).await {
            return Ok(found);
        }
        let table = tables
            .table(digest)
            .ok_or_else(|| ReadError::of_task(ReadCause::NoTable(digest)))?;
        let source: ArraySource = decode_table(&table).map_err(ReadError::of_task)?;
        let source = Arc::new(source);
        self.shared.tables.insert(digest, source.clone()).await;
        Ok(source)
    }
}

fn table_weight(_: &Digest, source: &Arc<ArraySource>) -> u32 {
    let bytes = match &**source {
        ArraySource::Inline(array) => array.data.len(),
        ArraySource::Zarr(array) => array.metadata.len() + 1024,
        ArraySource::Raster(stack) => {
            let assets = stack.slots.iter().flatten();
            assets
                .map(|asset| size_of_val(asset) + asset.href.len() + asset.item.len())
                .sum::<usize>()
                + 1024
        }
    };
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
