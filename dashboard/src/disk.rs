use graticule_plan::TaskId;
use serde::{Deserialize, Serialize};

/// Chunks of neighbouring blocks of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRun {
    /// The first chunk.
    pub first: TaskId,
    /// How many they are.
    pub count: u64,
}

/// What a worker tells of the chunks on its disk.
///
/// Of a chunk the latest word counts. A check says what is on disk of all chunks from one to another, so what was lost on
/// the way is made good when its turn comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskTold {
    /// Chunks that went to disk.
    pub to_disk: Vec<ChunkRun>,
    /// Chunks that are not on disk any more: they are in memory, or not there at all.
    pub off_disk: Vec<ChunkRun>,
    /// All that is on disk of a part of what the worker holds.
    pub check: Option<DiskChecked>,
    /// Chunks that went to disk, or left it, and that the worker has had no room to tell of yet.
    pub waiting: u64,
}

/// What is on disk of all chunks from one to another, in the order of jobs, layers and blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskChecked {
    /// The first chunk that could be.
    pub from: TaskId,
    /// The first chunk of which nothing is said; `None` if it is said of all that follow.
    pub until: Option<TaskId>,
    /// Those that are.
    pub on_disk: Vec<ChunkRun>,
}

/// What a report changed in the tables: chunks of neighbouring blocks went to a disk, or left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskMove {
    pub(crate) chunks: ChunkRun,
    pub(crate) is_on_disk: bool,
}
