use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
};

use futures::Stream;
use graticule_array::{Array, OutputMeta};
use graticule_plan::{JobId, Key, Plan, Source};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use crate::{
    ClientError, Progress, RunOptions,
    feed::JobFeed,
    job::no_workers,
    session::{About, JobGuard, Session, Submitted},
};

/// An array whose chunks the cluster keeps. Clones share it; the last one that is dropped releases the chunks.
#[derive(Debug, Clone)]
pub struct Persisted {
    kept: Arc<Kept>,
}

#[derive(Debug)]
struct Kept {
    key: Key,
    array: Array,
    job: Arc<KeepingJob>,
}

/// The job that makes one or several kept arrays.
#[derive(Debug)]
pub(crate) struct KeepingJob {
    session: Session,
    guard: JobGuard,
    feed: Arc<JobFeed>,
    progress: watch::Receiver<Progress>,
    options: RunOptions,
}

impl KeepingJob {
    pub(crate) fn new(session: Session, submitted: Submitted, options: RunOptions) -> Arc<Self> {
        let Submitted {
            guard,
            feed,
            progress,
        } = submitted;
        Arc::new(Self {
            session,
            guard,
            feed,
            progress,
            options,
        })
    }
}

impl Persisted {
    pub(crate) fn new(job: Arc<KeepingJob>, key: Key, meta: &OutputMeta) -> Self {
        let array = Array::held(key, &meta.grid, meta.dtype);
        holders().insert(key, Holder::of(&job));
        Self {
            kept: Arc::new(Kept { key, array, job }),
        }
    }

    /// The array, for further expressions. It may be used at once; tasks wait for the chunks that they need.
    ///
    /// It is only good as long as this handle, and only at the client that made it.
    pub fn array(&self) -> &Array {
        &self.kept.array
    }

    /// The name under which the cluster keeps it.
    pub fn key(&self) -> Key {
        self.kept.key
    }

    /// The number of the job that makes it.
    pub fn id(&self) -> JobId {
        self.kept.job.guard.id
    }

    /// How far the job is.
    pub fn latest_progress(&self) -> Progress {
        self.kept.job.progress.borrow().clone()
    }

    /// Whether nothing will be told of the job any more: all chunks are there, or cannot be had.
    pub fn is_over(&self) -> bool {
        self.kept.job.feed.outcome().is_some()
    }

    /// How far the job is, now and whenever that changes. Ends with the job.
    pub fn progress(&self) -> impl Stream<Item = Progress> + Send + Unpin + use<> {
        WatchStream::new(self.kept.job.progress.clone())
    }

    /// What reads left out so far, a sentence each.
    pub fn problems(&self) -> Vec<Arc<str>> {
        self.kept.job.feed.problems()
    }

    /// Waits until all chunks are in the cluster's memory.
    ///
    /// # Errors
    /// [`ClientError`], if the job cannot be finished.
    pub async fn wait(&self) -> Result<(), ClientError> {
        let KeepingJob {
            session,
            feed,
            options,
            ..
        } = &*self.kept.job;
        loop {
            let changed = feed.changed();
            tokio::pin!(changed);
            // From here on no change goes unseen.
            changed.as_mut().enable();
            if let Some(outcome) = feed.outcome() {
                return outcome;
            }
            let deadline = feed.without_workers_since().zip(options.no_worker_timeout);
            match deadline {
                None => changed.await,
                Some((since, timeout)) => {
                    if tokio::time::timeout_at((since + timeout).into(), changed)
                        .await
                        .is_err()
                    {
                        return Err(no_workers(session, options));
                    }
                }
            }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        holders().remove(&self.key);
        self.job.session.release(self.key);
    }
}

/// The client that keeps a result, and what it is told of it.
struct Holder {
    session: Weak<About>,
    url: String,
    feed: Weak<JobFeed>,
}

impl Holder {
    fn of(job: &KeepingJob) -> Self {
        Self {
            session: Arc::downgrade(&job.session.about),
            url: job.session.about.url.clone(),
            feed: Arc::downgrade(&job.feed),
        }
    }

    /// Whether a client may read it.
    fn check(&self, session: &Session) -> Result<(), ClientError> {
        if !std::ptr::eq(self.session.as_ptr(), Arc::as_ptr(&session.about)) {
            return Err(ClientError::OtherClient {
                here: session.about.url.clone(),
                there: self.url.clone(),
            });
        }
        match self.feed.upgrade().and_then(|feed| feed.outcome()) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(why),
        }
    }
}

/// What clients of this process keep, so that each knows what is another's.
fn holders() -> MutexGuard<'static, HashMap<Key, Holder>> {
    static HOLDERS: LazyLock<Mutex<HashMap<Key, Holder>>> = LazyLock::new(Mutex::default);
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses a plan that reads what another client of this process keeps, or what could not be made: the scheduler could only say that
/// it has no such result.
pub(crate) fn check_held(session: &Session, plan: &Plan) -> Result<(), ClientError> {
    let sources = plan
        .iter()
        .flat_map(|(_, layer)| layer.inputs.iter().map(|input| input.source));
    let holders = holders();
    for source in sources {
        if let Source::Held(key) = source
            && let Some(holder) = holders.get(&key)
            && !session.about.reads(key)
        {
            holder.check(session)?;
        }
    }
    Ok(())
}
