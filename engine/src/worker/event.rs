use std::sync::Arc;

use graticule_plan::{BlockMap, ChunkId, TaskId};

use crate::{ChunkHolders, Failure, Finished, LayerSpec, Peer, SessionId, ToScheduler, ToWorker};

/// One start of one task on this worker, or one copy of a chunk. A task that is revoked and leased again gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// What happened, as the shell tells the worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A connection to the scheduler is open. Sessions are numbered by the shell, none twice.
    Connected {
        /// The connection.
        session: SessionId,
    },
    /// The connection ended.
    Disconnected {
        /// The connection.
        session: SessionId,
    },
    /// The scheduler said something.
    Message {
        /// On which connection.
        session: SessionId,
        /// What.
        message: ToWorker,
    },
    /// All that a run needs is in memory.
    Fetched {
        /// The run.
        run: RunId,
        /// Bytes that came from peers and sources.
        fetched_bytes: u64,
    },
    /// Something that a run needs could not be had.
    FetchFailed {
        /// The run.
        run: RunId,
        /// What, and what to do next.
        failure: Failure,
    },
    /// A run's computation ended. The shell keeps the result until it is told what becomes of it.
    Computed {
        /// The run.
        run: RunId,
        /// The result's size, or what went wrong.
        outcome: Result<Finished, Failure>,
    },
    /// The chunk store has other sizes now.
    StoreChanged {
        /// Bytes of chunks in memory.
        memory_bytes: u64,
        /// Bytes of chunks on disk.
        spilled_bytes: u64,
    },
    /// The disk took no more chunks. What could not be moved there stays in memory.
    SpillFailed,
    /// So much went to disk in a second when chunks were last spilled.
    DiskMeasured {
        /// The rate.
        bytes_per_s: u64,
    },
    /// Chunks could not be read back from disk.
    ChunksLost {
        /// The chunks.
        chunks: Vec<ChunkId>,
    },
    /// The bytes of a copy are there. The shell keeps them until it is told what becomes of them.
    CopyFetched {
        /// The copy.
        run: RunId,
        /// Bytes of the chunk.
        bytes: u64,
    },
    /// The bytes of a copy could not be had.
    CopyFailed {
        /// The copy.
        run: RunId,
    },
    /// The worker shall finish what it runs, hand over what only it holds, and leave.
    Retire {
        /// Microseconds after which it leaves whatever is still to be done.
        deadline_us: u64,
    },
    /// The worker shall finish what it runs and leave: nobody will want what it holds.
    Stop {
        /// Microseconds after which it leaves whatever is still to be done.
        deadline_us: u64,
    },
    /// Nothing but the time.
    Tick,
}

/// What the worker wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Say something to the scheduler.
    Send {
        /// On which connection.
        session: SessionId,
        /// What.
        message: ToScheduler,
    },
    /// The scheduler was silent for too long: end the connection and make a new one.
    Reconnect {
        /// The connection.
        session: SessionId,
    },
    /// Keep a side table; later layers name it.
    KeepTable {
        /// Its name.
        digest: graticule_plan::Digest,
        /// The content.
        content: Arc<[u8]>,
    },
    /// Drop side tables: no layer refers to them any more.
    DropTables {
        /// Their names.
        digests: Vec<graticule_plan::Digest>,
    },
    /// Get all that a run needs into memory: regions of chunks here and at peers, and its sources' bytes.
    Fetch {
        /// The run.
        run: RunId,
        /// Its task.
        task: TaskId,
        /// Which attempt at it: a value is handed over to that one alone.
        attempt: u32,
        /// Its layer.
        layer: Arc<LayerEntry>,
        /// Where the chunks are that are not in this worker's store.
        holders: Vec<ChunkHolders>,
    },
    /// Run the computation on a CPU slot.
    Compute {
        /// The run, fetched before.
        run: RunId,
        /// The slot, below the number of slots.
        slot: u32,
    },
    /// Get a whole chunk from whoever gives it into memory.
    FetchCopy {
        /// The copy.
        run: RunId,
        /// The chunk.
        chunk: ChunkId,
        /// Who holds it.
        peers: Vec<Peer>,
    },
    /// Put a run's result, or a copy, into the store.
    Store {
        /// The run.
        run: RunId,
        /// The chunk's name.
        chunk: ChunkId,
    },
    /// Drop all that belongs to a run: fetched data, or its result. A computation under way may go on.
    Discard {
        /// The run.
        run: RunId,
    },
    /// Drop chunks from the store.
    Drop {
        /// The chunks.
        chunks: Vec<ChunkId>,
    },
    /// Move chunks to disk until those in memory take at most so many bytes.
    Spill {
        /// The bytes.
        target_bytes: u64,
    },
    /// All is reported and handed over, or time is up: the process may end.
    Leave,
}

/// A layer and its inputs' maps, made ready once.
#[derive(Debug)]
pub struct LayerEntry {
    /// The layer.
    pub spec: Arc<LayerSpec>,
    /// For each input the map.
    pub maps: Vec<BlockMap>,
}

impl PartialEq for LayerEntry {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

impl LayerEntry {
    pub(super) fn new(spec: Arc<LayerSpec>) -> Result<Self, String> {
        let inputs = spec.layer.inputs.iter().zip(&spec.sources);
        let maps = inputs.map(|(input, source)| BlockMap::new(&input.map, &spec.layer.grid, &source.grid));
        let maps = maps.collect::<Result<_, _>>()?;
        Ok(Self { spec, maps })
    }

    /// The chunks that block `block` needs, input by input, each in the order in which the kernel sees them.
    pub fn inputs(&self, block: u64) -> Vec<Vec<ChunkId>> {
        let of_input = |(map, source): (&BlockMap, &crate::InputSource)| {
            let (job, layer) = (source.job, source.layer);
            map.sources(block)
                .into_iter()
                .map(|block| ChunkId { job, layer, block })
                .collect()
        };
        self.maps.iter().zip(&self.spec.sources).map(of_input).collect()
    }

    /// The most bytes that the task of block `block` has in memory at a time: windows, sources, scratch and result.
    pub fn task_bytes(&self, block: u64) -> u64 {
        crate::footprint::task_bytes(&self.spec, self.maps.iter(), block)
    }
}
