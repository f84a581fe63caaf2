//! What the session knows of calls: which plan carried which, and what of it was let go.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{Arc, Weak},
};

use graticule_plan::{ChunkId, JobId, Key, LayerId, Plan};
use graticule_proto::{ReadyChunk, ResumedJob, ToCluster, engine::scheduler::JobEvent};
use tokio::sync::oneshot;
use tracing::warn;

use super::{Arg, Promise, draft::Drafted, future::There};
use crate::{ClientError, blocks::BlockSet};

/// A batch of calls on its way to the scheduler.
#[derive(Debug)]
pub(crate) struct CallSubmission {
    pub(crate) plan: Arc<Plan>,
    pub(crate) name: Arc<str>,
    keys: Vec<(Key, u64)>,
    /// The calls, and what they need: none of it may be let go before the scheduler knows the plan.
    promises: Vec<Vec<Arc<Promise>>>,
    _needed: Vec<Arg>,
    _answered: Option<oneshot::Sender<()>>,
}

impl CallSubmission {
    pub(crate) fn new(drafted: Drafted, needed: Vec<Arg>, answered: Option<oneshot::Sender<()>>) -> Self {
        let counts = drafted
            .layers
            .iter()
            .map(|(key, calls)| (*key, calls.len() as u64));
        let keys = counts.collect();
        let last = drafted.plan.layers().last();
        Self {
            name: last.map_or("calls".into(), |layer| layer.name.clone()),
            plan: Arc::new(drafted.plan),
            keys,
            promises: drafted.layers.into_iter().map(|(_, calls)| calls).collect(),
            _needed: needed,
            _answered: answered,
        }
    }

    /// What says of its calls which were cancelled by now. Said before the plan it would mean nothing to the scheduler.
    pub(crate) fn cancelled(&self) -> Vec<ToCluster> {
        let layers = self.keys.iter().zip(&self.promises);
        layers
            .filter_map(|((key, _), calls)| cancelled(*key, calls.iter().map(|call| call.is_cancelled())))
            .collect()
    }

    /// None of the calls can be made.
    pub(crate) fn fail(&self, error: &ClientError) {
        self.promises
            .iter()
            .flatten()
            .for_each(|call| call.fail(error.clone()));
    }
}

/// What says which blocks of a layer were cancelled, if any were.
fn cancelled(key: Key, calls: impl Iterator<Item = bool>) -> Option<ToCluster> {
    let blocks = calls
        .zip(0..)
        .filter_map(|(is_cancelled, block)| is_cancelled.then_some(block..block + 1));
    let blocks: Vec<Range<u64>> = blocks.collect();
    (!blocks.is_empty()).then_some(ToCluster::CancelBlocks { key, blocks })
}

/// A job of calls, for as long as one of them is held.
#[derive(Debug)]
struct CallJob {
    promises: Vec<Vec<Weak<Promise>>>,
    keys: Vec<Key>,
    /// All of its calls were made or failed once.
    is_over: bool,
}

/// The blocks of one layer of calls that were let go.
#[derive(Debug)]
struct Letting {
    count: u64,
    let_go: BlockSet,
    let_go_count: u64,
    job: Option<JobId>,
}

/// All jobs of calls of a session.
#[derive(Debug, Default)]
pub(crate) struct CallJobs {
    jobs: HashMap<JobId, CallJob>,
    keys: BTreeMap<Key, Letting>,
}

impl CallJobs {
    /// A batch goes out.
    pub(crate) fn said(&mut self, submission: &CallSubmission) {
        for &(key, count) in &submission.keys {
            let letting = Letting {
                count,
                let_go: BlockSet::default(),
                let_go_count: 0,
                job: None,
            };
            self.keys.insert(key, letting);
        }
    }

    /// What says which calls were cancelled, of those that are held: a scheduler that comes back may not have heard of it.
    pub(crate) fn cancelled(&self) -> impl Iterator<Item = ToCluster> {
        let layers = self
            .jobs
            .values()
            .flat_map(|job| job.keys.iter().zip(&job.promises));
        layers.filter_map(|(key, calls)| {
            let is_cancelled = |call: &Weak<Promise>| call.upgrade().is_some_and(|call| call.is_cancelled());
            cancelled(*key, calls.iter().map(is_cancelled))
        })
    }

    /// The scheduler has taken a batch in, or refused it.
    pub(crate) fn answered(&mut self, submission: CallSubmission, job: Result<JobId, Arc<str>>) {
        let job = match job {
            Ok(job) => job,
            Err(why) => {
                submission.fail(&ClientError::Refused { why: why.to_string() });
                submission
                    .keys
                    .iter()
                    .for_each(|(key, _)| drop(self.keys.remove(key)));
                return;
            }
        };
        for (key, _) in &submission.keys {
            if let Some(letting) = self.keys.get_mut(key) {
                letting.job = Some(job);
            }
        }
        let weak = |calls: &Vec<Arc<Promise>>| calls.iter().map(Arc::downgrade).collect();
        let record = CallJob {
            promises: submission.promises.iter().map(weak).collect(),
            keys: submission.keys.iter().map(|(key, _)| *key).collect(),
            is_over: false,
        };
        self.jobs.insert(job, record);
        // With the submission go the calls that nobody wants any more.
    }

    /// Blocks are let go. What was said of them before is not said again.
    pub(crate) fn let_go(&mut self, key: Key, blocks: &[Range<u64>]) {
        let Some(letting) = self.keys.get_mut(&key) else {
            return;
        };
        for block in blocks.iter().cloned().flatten() {
            if !letting.let_go.contains(block) {
                letting.let_go.insert(block);
                letting.let_go_count += 1;
            }
        }
        if letting.let_go_count < letting.count {
            return;
        }
        let job = letting.job;
        self.keys.remove(&key);
        if let Some(job) = job {
            let is_held = |record: &CallJob| record.keys.iter().any(|key| self.keys.contains_key(key));
            if self.jobs.get(&job).is_some_and(|record| !is_held(record)) {
                self.jobs.remove(&job);
            }
        }
    }

    /// Takes in which results of a job can be had; `false` if it is none of calls.
    pub(crate) fn take_in_chunks(&mut self, id: JobId, layer: LayerId, chunks: &[ReadyChunk]) -> bool {
        let Some(job) = self.jobs.get(&id) else {
            return false;
        };
        for chunk in chunks {
            if let Some(call) = job.call(layer, chunk.block) {
                call.there(There {
                    job: id,
                    bytes: chunk.bytes,
                    peers: chunk.peers.to_vec(),
                    inline: chunk.inline.clone(),
                });
            }
        }
        true
    }

    /// Takes in an event of a job; `false` if it is none of calls.
    pub(crate) fn take_in(&mut self, id: JobId, event: &JobEvent) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else {
            return false;
        };
        match event {
            JobEvent::ChunkReady {
                layer,
                block,
                bytes,
                peers,
                inline,
            } => {
                if let Some(call) = job.call(*layer, *block) {
                    call.there(There {
                        job: id,
                        bytes: *bytes,
                        peers: peers.clone(),
                        inline: inline.clone(),
                    });
                }
            }
            JobEvent::BlockFailed {
                layer,
                block,
                message,
            } => {
                if let Some(call) = job.call(*layer, *block) {
                    call.fail(ClientError::Failed {
                        message: message.to_string(),
                    });
                }
            }
            JobEvent::ValueAwaited {
                layer,
                block,
                peer,
                attempt,
            } => {
                if let Some(value) = job.call(*layer, *block) {
                    let (job, layer, block) = (id, *layer, *block);
                    value.value_awaited((ChunkId { job, layer, block }, *attempt), peer.clone());
                }
            }
            JobEvent::Problems(problems) => problems.iter().for_each(|problem| warn!("{problem}")),
            JobEvent::Accepted | JobEvent::NoWorkers => {}
            JobEvent::Finished => job.is_over = true,
            JobEvent::Failed { message } => {
                let message = message.to_string();
                self.end(id, &ClientError::Failed { message });
            }
            JobEvent::Cancelled => self.end(id, &ClientError::Cancelled),
        }
        true
    }

    /// A job is gone, with all of its results.
    fn end(&mut self, id: JobId, error: &ClientError) {
        let Some(job) = self.jobs.remove(&id) else { return };
        job.keys.iter().for_each(|key| drop(self.keys.remove(key)));
        job.calls().for_each(|call| call.fail(error.clone()));
    }

    /// The connection is lost for good.
    pub(crate) fn fail_all(&mut self, error: &ClientError) {
        for (_, job) in self.jobs.drain() {
            job.calls().for_each(|call| call.fail_if_pending(error));
        }
        self.keys.clear();
    }

    /// Whether anything is held.
    pub(crate) fn resumed_jobs(&self) -> impl Iterator<Item = ResumedJob> {
        let open = self.jobs.iter().filter(|(_, job)| !job.is_over);
        open.map(|(&job, _)| ResumedJob {
            job,
            delivered: Vec::new(),
        })
    }

    /// The names of all layers of which something is held.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.keys.keys().copied()
    }

    /// What was let go of those.
    pub(crate) fn let_go_so_far(&self) -> impl Iterator<Item = (Key, Vec<Range<u64>>)> {
        let some = self.keys.iter().filter(|(_, letting)| letting.let_go_count > 0);
        some.map(|(&key, letting)| (key, letting.let_go.ranges()))
    }
}

impl CallJob {
    fn call(&self, layer: LayerId, block: u64) -> Option<Arc<Promise>> {
        let block = usize::try_from(block).ok()?;
        self.promises.get(layer.0 as usize)?.get(block)?.upgrade()
    }

    fn calls(&self) -> impl Iterator<Item = Arc<Promise>> {
        self.promises.iter().flatten().filter_map(Weak::upgrade)
    }
}

/// Releases of single blocks that came together, as few messages.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    keys: BTreeMap<Key, BlockSet>,
}

impl Releases {
    /// Takes a release; gives anything else back.
    pub(crate) fn take(&mut self, message: ToCluster) -> Option<ToCluster> {
        let ToCluster::ReleaseBlocks { key, blocks } = message else {
            return Some(message);
        };
        let set = self.keys.entry(key).or_default();
        blocks.into_iter().flatten().for_each(|block| set.insert(block));
        None
    }

    pub(crate) fn into_messages(self) -> impl Iterator<Item = ToCluster> {
        self.keys.into_iter().map(|(key, set)| ToCluster::ReleaseBlocks {
            key,
            blocks: set.ranges(),
        })
    }
}
