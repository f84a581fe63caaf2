//! What a worker moved, summed up: from peers, from sources, to its disk and back, and what users' functions took.

use graticule_plan::{JobId, LayerId, WorkerId};

/// Rows of one message that the scheduler looks at.
pub const MOVE_COUNT_MAX: usize = 512;

/// A layer of a job.
pub type LayerName = (JobId, LayerId);

/// What a worker moved since it told the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// A row for each kind and pair of layers.
    pub moves: Vec<Move>,
    /// Movements that had no room in the worker's table.
    pub lost: u64,
}

/// Movements of one kind for the same layers, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// What they have in common.
    pub what: MoveName,
    /// How many they were.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long each of them took, added up.
    pub busy_us: u64,
    /// What they took of a CPU, where that was measured: for calls of users' functions.
    pub cpu_us: u64,
    /// How long before the message the first of them began.
    pub began_ago_us: u64,
    /// How long before the message the last of them ended.
    pub ended_ago_us: u64,
}

/// What movements of one row have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MoveName {
    /// From where, or to where.
    pub kind: MoveKind,
    /// Whose chunks they are; `None` for what comes from a source, and for calls.
    pub of: Option<LayerName>,
    /// Whose tasks needed them; `None` where no single task did.
    pub by: Option<LayerName>,
}

/// From where, or to where, bytes were moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MoveKind {
    /// From a peer.
    Peer(WorkerId),
    /// From outside the cluster: files, object stores.
    Source,
    /// From memory to the worker's own disk.
    Spill,
    /// From the worker's own disk into memory.
    ReadBack,
    /// Nothing was moved: a user's function was called.
    Call,
}
