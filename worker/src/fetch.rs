//! The first phase of a task: all it needs, from this worker's store, from peers and from sources, into memory.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use graticule_data::sources::{Fetched, Sources};
use graticule_engine::{
    ChunkHolders, Failure, FailureKind, LayerName, MoveKind, MoveName, Peer, worker::LayerEntry,
};
use graticule_kernel::{Chunk, Window, WindowBuilder, inputs_that_leave};
use graticule_ops::Program;
use graticule_plan::{BlockMap, ChunkId, WorkerId};
use graticule_transfer::{ChunkSource, Fetch};

use crate::{
    ChunkStore, PeerError, Peers, Registry, StoreError, call::Call, moves::layer_of, tables::TableStore,
};

/// Regions that one task fetches at a time.
const REGIONS_AT_ONCE: usize = 16;
/// How often a broken transfer is tried again before the scheduler is told.
const RETRIES: u32 = 2;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What fetches need; clones share it.
#[derive(Clone)]
pub(crate) struct Fetcher {
    pub(crate) store: Arc<ChunkStore>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) sources: Sources,
    pub(crate) tables: TableStore,
    pub(crate) functions: Registry,
}

/// A task ready to be computed.
pub(crate) struct Prepared {
    pub(crate) work: Work,
    pub(crate) fetched_bytes: u64,
}

/// What is to be computed.
pub(crate) enum Work {
    Run(Inputs),
    Call(Call),
    /// A value that its client has handed over.
    Value(Chunk),
}

impl Work {
    /// Whether a user's function is called, whose time is theirs.
    pub(crate) fn calls_user(&self) -> bool {
        match self {
            Work::Run(inputs) => inputs.calls_functions,
            Work::Call(call) => !call.function.is_quick,
            Work::Value(_) => false,
        }
    }
}

/// What a program runs on.
pub(crate) struct Inputs {
    pub(crate) program: Arc<Program>,
    pub(crate) block_index: Vec<u64>,
    pub(crate) windows: Vec<Window>,
    pub(crate) sources: Fetched,
    /// Users' functions that the program may call.
    pub(crate) functions: Registry,
    /// Whether it calls any.
    pub(crate) calls_functions: bool,
    /// A client waits for the result: a small one rides in the report.
    pub(crate) deliver: bool,
}

/// Whose task is prepared, and where the chunks are that it needs.
pub(crate) struct Needs {
    by: LayerName,
    holders: BTreeMap<ChunkId, Vec<Peer>>,
}

/// A region of a chunk that a window needs, and its place in the window.
struct Part {
    position: usize,
    chunk: ChunkId,
    region: Vec<Range<u64>>,
    bytes: u64,
}

/// Where a region was found, and itself.
enum Found {
    /// In this chunk of this worker's memory.
    Within(Chunk),
    /// On this worker's disk.
    Read(Chunk),
    /// At a peer.
    Received(Chunk),
}

pub(crate) fn permanent(message: impl std::fmt::Display) -> Failure {
    Failure {
        kind: FailureKind::Permanent,
        message: message.to_string().into(),
    }
}

impl Fetcher {
    pub(crate) async fn prepare(
        &self,
        layer: &LayerEntry,
        (block, attempt): (u64, u32),
        holders: Vec<ChunkHolders>,
    ) -> Result<Prepared, Failure> {
        let needs = Needs {
            by: (layer.spec.job, layer.spec.id),
            holders: holders.into_iter().map(|h| (h.chunk, h.peers)).collect(),
        };
        if layer.spec.layer.replicas().is_some() {
            let (job, layer) = (layer.spec.job, layer.spec.id);
            let awaited = (ChunkId { job, layer, block }, attempt);
            let value = self.store.uploads.wait_for(awaited).await;
            let value = value.ok_or_else(|| permanent("another task waits for the same value"))?;
            let fetched_bytes = value.nbytes();
            let work = Work::Value(value);
            return Ok(Prepared { work, fetched_bytes });
        }
        if layer.spec.layer.function().is_some() {
            let (call, fetched_bytes) = self.prepare_call(layer, block, &needs).await?;
            let work = Work::Call(call);
            return Ok(Prepared { work, fetched_bytes });
        }
        let program = self.tables.program(&layer.spec.layer.body).map_err(permanent)?;
        let block_index = layer.spec.layer.grid.unravel(block);
        let mut windows = Vec::with_capacity(layer.maps.len());
        let mut fetched_bytes = 0;
        let leave = inputs_that_leave(&program, layer.maps.len());
        for ((map, source), leaves) in layer.maps.iter().zip(&layer.spec.sources).zip(leave) {
            let id = |block| ChunkId {
                job: source.job,
                layer: source.layer,
                block,
            };
            let (window, bytes) = self
                .window((map, block, leaves), id, source.item_bytes, &needs)
                .await?;
            windows.push(window);
            fetched_bytes += bytes;
        }
        let began = Instant::now();
        let fetched = self.sources.fetch(&program, &block_index, &self.tables).await;
        let sources = fetched.map_err(|error| {
            let kind = if error.is_transient() {
                FailureKind::Transient
            } else {
                FailureKind::Permanent
            };
            Failure {
                kind,
                message: error.to_string().into(),
            }
        })?;
        let source_bytes = sources.nbytes();
        if source_bytes > 0 {
            let name = MoveName {
                kind: MoveKind::Source,
                of: None,
                by: Some(needs.by),
            };
            self.store.moves.note(name, source_bytes, began);
        }
        fetched_bytes += source_bytes;
        let inputs = Inputs {
            program,
            block_index,
            windows,
            sources,
            functions: self.functions.clone(),
            calls_functions: !layer.spec.layer.functions.is_empty(),
            deliver: layer.spec.deliver,
        };
        let work = Work::Run(inputs);
        Ok(Prepared { work, fetched_bytes })
    }

    /// Puts one input's window together, in memory that may leave the task or not. Returns it with the bytes that came from
    /// peers.
    async fn window(
        &self,
        (map, block, leaves): (&BlockMap, u64, bool),
        id: impl Fn(u64) -> ChunkId,
        item_bytes: u64,
        needs: &Needs,
    ) -> Result<(Window, u64), Failure> {
        let Some(axes) = map.window(block) else {
            return Err(permanent(
                "kernels take boxes of an input, not lists of its chunks",
            ));
        };
        let mut builder = WindowBuilder::new(axes).map_err(permanent)?;
        if !leaves {
            builder = builder.as_scratch();
        }
        let parts: Vec<Part> = map
            .sources(block)
            .into_iter()
            .enumerate()
            .map(|(position, source)| {
                let region = map.region(block, source);
                let lens = region.iter().map(|range| range.end - range.start);
                Part {
                    position,
                    chunk: id(source),
                    bytes: lens.fold(item_bytes, u64::saturating_mul),
                    region,
                }
            })
            .collect();
        let mut bytes = 0;
        let mut place = |(part, found): (Part, Found)| {
            let placed = match found {
                Found::Within(chunk) => builder.place_from(part.position, &chunk, &part.region),
                Found::Read(region) => builder.place(part.position, region),
                Found::Received(region) => {
                    bytes += region.nbytes();
                    builder.place(part.position, region)
                }
            };
            placed.map_err(permanent)
        };
        let at_once = parts.len().min(REGIONS_AT_ONCE);
        let mut regions = parts.into_iter().map(|part| self.region(part, needs));
        if at_once <= 1 {
            // Most windows are one region: it needs nobody to look after several.
            if let Some(region) = regions.next() {
                place(region.await?)?;
            }
        } else {
            let mut regions = stream::iter(regions).buffer_unordered(at_once);
            while let Some(region) = regions.try_next().await? {
                place(region)?;
            }
        }
        Ok((builder.finish().map_err(permanent)?, bytes))
    }

    async fn region(&self, part: Part, needs: &Needs) -> Result<(Part, Found), Failure> {
        if let Some(chunk) = self.store.in_memory(part.chunk) {
            return Ok((part, Found::Within(chunk)));
        }
        let wanted = (Some(&part.region[..]), Some(part.bytes));
        let (chunk, is_remote) = self.read(part.chunk, wanted, needs).await?;
        let found = if is_remote {
            Found::Received(chunk)
        } else {
            Found::Read(chunk)
        };
        Ok((part, found))
    }

    /// A whole chunk of whatever size, and whether it came from a peer.
    pub(crate) async fn whole(&self, chunk: ChunkId, needs: &Needs) -> Result<(Chunk, bool), Failure> {
        self.read(chunk, (None, None), needs).await
    }

    /// A chunk, or a region of it of so many bytes, and whether it came from a peer.
    async fn read(
        &self,
        chunk: ChunkId,
        (region, bytes): (Option<&[Range<u64>]>, Option<u64>),
        needs: &Needs,
    ) -> Result<(Chunk, bool), Failure> {
        match self.store.read(chunk, region).await {
            Ok(chunk) => return Ok((chunk, false)),
            Err(StoreError::Region(error)) => return Err(permanent(error)),
            Err(StoreError::NotHeld(_) | StoreError::Damaged { .. }) => {}
        }
        let peers = needs.holders.get(&chunk).map(Vec::as_slice).unwrap_or_default();
        let mut missing: Vec<(ChunkId, WorkerId)> = Vec::new();
        for peer in peers {
            let fetch = Fetch {
                address: &peer.address,
                chunk,
                region,
                bytes,
            };
            match self.fetch_from(peer, fetch, Some(needs.by)).await {
                Ok(chunk) => return Ok((chunk, true)),
                Err(error) => {
                    tracing::debug!(%chunk, worker = %peer.worker, %error, "peer gave no chunk");
                    missing.push((chunk, peer.worker));
                }
            }
        }
        let message = format!("chunk {chunk} is held by none of {} workers", peers.len()).into();
        Err(Failure {
            kind: FailureKind::MissingInputs(missing),
            message,
        })
    }

    /// A whole chunk from whichever peer gives it, to be kept here.
    pub(crate) async fn copy(&self, chunk: ChunkId, peers: &[Peer]) -> Option<Chunk> {
        for peer in peers {
            let fetch = Fetch {
                address: &peer.address,
                chunk,
                region: None,
                bytes: None,
            };
            match self.fetch_from(peer, fetch, None).await {
                Ok(chunk) => return Some(chunk),
                Err(error) => {
                    tracing::debug!(%chunk, worker = %peer.worker, %error, "peer gave no copy");
                }
            }
        }
        None
    }

    async fn fetch_from(
        &self,
        peer: &Peer,
        fetch: Fetch<'_>,
        by: Option<LayerName>,
    ) -> Result<Chunk, PeerError> {
        let mut tries = 0;
        let began = Instant::now();
        loop {
            match self.peers.fetch(fetch).await {
                Ok(chunk) => {
                    let name = MoveName {
                        kind: MoveKind::Peer(peer.worker),
                        of: layer_of(fetch.chunk),
                        by,
                    };
                    self.store.moves.note(name, chunk.nbytes(), began);
                    return Ok(chunk);
                }
                Err(PeerError::Broken(_)) if tries < RETRIES => {
                    tries += 1;
                    tokio::time::sleep(RETRY_PAUSE * tries).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
