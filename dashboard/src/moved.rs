use graticule_plan::{JobId, LayerId, WorkerId};
use serde::{Deserialize, Serialize};

/// What a worker moved of one kind for the same layers, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// From where, or to where.
    pub kind: MovedKind,
    /// Whose chunks they are; `None` for what comes from a source, and for calls.
    pub of: Option<(JobId, LayerId)>,
    /// Whose tasks needed them; `None` where no single task did.
    pub by: Option<(JobId, LayerId)>,
    /// How many movements.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long each took, added up.
    pub busy_us: u64,
    /// CPU time, of calls.
    pub cpu_us: u64,
    /// When the first began, in microseconds since the cluster's start.
    pub began_us: u64,
    /// When the last ended.
    pub ended_us: u64,
}

/// From where, or to where, bytes were moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MovedKind {
    /// From the memory or the disk of this worker.
    Peer(WorkerId),
    /// From outside the cluster.
    Source,
    /// To the worker's own disk.
    Spill,
    /// From the worker's own disk.
    ReadBack,
    /// Nothing was moved: a user's function was called.
    Call,
}
