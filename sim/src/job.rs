//! What the model knows of jobs and of kept results.

use std::{collections::BTreeSet, sync::Arc};

use graticule_engine::scheduler::{ClientId, JobEvent};
use graticule_plan::{JobId, LayerId};

use crate::{
    generate::{Base, Generated},
    scatter::Hands,
};

/// What the model knows of a job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) client: ClientId,
    pub(crate) generated: Arc<Generated>,
    /// Where it stands with the scheduler.
    pub(crate) status: Status,
    /// What its client has heard of it.
    pub(crate) told: Status,
    /// It built on what was not there when it arrived.
    pub(crate) is_hopeless: bool,
    pub(crate) builds_on: Vec<JobId>,
    /// The chunks that the scheduler knows its client has.
    pub(crate) acknowledged: BTreeSet<(LayerId, u64)>,
    /// The chunks that its client has.
    pub(crate) arrived: BTreeSet<(LayerId, u64)>,
    /// Of values: what their client has done about them.
    pub(crate) hands: Hands,
    /// The blocks that its client knows to have failed.
    pub(crate) told_failed: BTreeSet<(LayerId, u64)>,
    /// Its client has asked for its end.
    pub(crate) is_cancelled: bool,
    /// Why the job may fail, if it may.
    pub(crate) may_fail: bool,
    pub(crate) may_be_cancelled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Submitted,
    /// The scheduler's process ended before it was on the disk; its client has submitted it again.
    Lost,
    /// The scheduler must refuse it: what it builds on is not there.
    Hopeless,
    Accepted,
    Finished,
    Failed,
    Cancelled,
}

/// What the model knows of a kept result.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) job: JobId,
    pub(crate) layer: LayerId,
    pub(crate) base: Base,
    pub(crate) released: bool,
    /// The blocks that its client has let go one by one.
    pub(crate) let_go: BTreeSet<u64>,
}

impl Status {
    pub(crate) fn is_over(self) -> bool {
        match self {
            Status::Submitted | Status::Hopeless | Status::Accepted => false,
            Status::Lost | Status::Finished | Status::Failed | Status::Cancelled => true,
        }
    }

    /// The status of a job that ended.
    pub(crate) fn of_end(end: &JobEvent) -> Self {
        match end {
            JobEvent::Finished => Status::Finished,
            JobEvent::Failed { .. } => Status::Failed,
            _ => Status::Cancelled,
        }
    }
}

impl Job {
    /// Whether the blocks of a layer stand for themselves.
    pub(crate) fn is_apart(&self, layer: LayerId) -> bool {
        self.generated.plan.layer(layer).is_apart()
    }

    /// The same as a submission that nobody has heard of.
    pub(crate) fn again(&self) -> Self {
        Self {
            client: self.client,
            generated: self.generated.clone(),
            status: Status::Submitted,
            told: Status::Submitted,
            is_hopeless: false,
            builds_on: self.builds_on.clone(),
            acknowledged: BTreeSet::new(),
            arrived: BTreeSet::new(),
            hands: Hands::default(),
            told_failed: BTreeSet::new(),
            is_cancelled: false,
            may_fail: self.may_fail,
            may_be_cancelled: self.may_be_cancelled,
        }
    }
}
