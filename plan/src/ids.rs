use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id! {
    /// A layer's position in its plan.
    LayerId(u32)
}
id! {
    /// One submitted plan. Ids are given by the scheduler and never used twice.
    JobId(u64)
}
id! {
    /// One worker process, as the scheduler numbers it. A restarted worker gets a new one.
    WorkerId(u64)
}
id! {
    /// The name of a held result: what [`persist`](crate::Output) keeps and later plans may use.
    Key(u128)
}

/// A task: one block of one layer of one job. The chunk it makes has the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The job whose plan has the layer.
    pub job: JobId,
    /// The layer.
    pub layer: LayerId,
    /// The block's position in the layer's grid, in C order.
    pub block: u64,
}

/// The chunk that the task of the same name makes.
pub type ChunkId = TaskId;

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.job, self.layer, self.block)
    }
}

/// The BLAKE3 hash of some content, by which it is named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Names `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
