//! Numbers of traces and spans, which follow from what they are of: a record that comes twice has the same one.

use std::hash::{BuildHasher, RandomState};

use graticule_plan::{JobId, LayerId, TaskId};

/// Numbers of one run of a scheduler. Another run has others.
#[derive(Debug)]
pub(crate) struct Ids(RandomState);

impl Ids {
    pub(crate) fn new() -> Self {
        Self(RandomState::new())
    }

    pub(crate) fn trace(&self, job: JobId) -> Vec<u8> {
        let (high, low) = (self.number(("trace", job.0)), self.number(("more", job.0)));
        [high.to_be_bytes(), low.to_be_bytes()].concat()
    }

    pub(crate) fn job(&self, job: JobId) -> Vec<u8> {
        self.number(("job", job.0)).to_be_bytes().into()
    }

    pub(crate) fn layer(&self, job: JobId, layer: LayerId) -> Vec<u8> {
        self.number(("layer", job.0, layer.0)).to_be_bytes().into()
    }

    pub(crate) fn task(&self, task: TaskId, attempt: u32) -> Vec<u8> {
        let of = ("task", task.job.0, task.layer.0, task.block, attempt);
        self.number(of).to_be_bytes().into()
    }

    /// Never 0, which stands for no span.
    fn number(&self, of: impl std::hash::Hash) -> u64 {
        self.0.hash_one(of).max(1)
    }
}
