use graticule_plan::{JobId, LayerId, TaskId};

/// The most blocks of one run in what the scheduler says: as many as it keeps in one page.
pub const RUN_BLOCKS_MAX: u64 = 64;

/// Neighbouring blocks of one layer, at least one: their tasks, or their chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockRun {
    /// The job.
    pub job: JobId,
    /// The layer.
    pub layer: LayerId,
    /// The first block.
    pub first: u64,
    /// How many they are.
    pub count: u64,
}

impl BlockRun {
    /// The block behind the last one.
    #[inline]
    pub fn end(&self) -> u64 {
        self.first + self.count
    }

    /// The task, or chunk, of the first block.
    #[inline]
    pub fn head(&self) -> TaskId {
        TaskId {
            job: self.job,
            layer: self.layer,
            block: self.first,
        }
    }

    /// The same layer's blocks from `first` on.
    #[inline]
    #[must_use]
    pub fn part(&self, first: u64, count: u64) -> Self {
        Self {
            first,
            count,
            ..*self
        }
    }

    /// Task by task, or chunk by chunk.
    pub fn each(&self) -> impl Iterator<Item = TaskId> + use<> {
        let Self {
            job, layer, first, ..
        } = *self;
        (0..self.count).map(move |at| TaskId {
            job,
            layer,
            block: first + at,
        })
    }
}

impl From<TaskId> for BlockRun {
    #[inline]
    fn from(task: TaskId) -> Self {
        Self {
            job: task.job,
            layer: task.layer,
            first: task.block,
            count: 1,
        }
    }
}
