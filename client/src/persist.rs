use std::sync::Arc;

use futures::Stream;
use graticule_array::{Array, OutputMeta};
use graticule_plan::{JobId, Key};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use crate::{
    ClientError, Progress, RunOptions,
    feed::JobFeed,
    job::no_workers,
    session::{JobGuard, Session, Submitted},
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

    /// The number of the job that makes it.
    pub fn id(&self) -> JobId {
        self.kept.job.guard.id
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
        self.job.session.release(self.key);
    }
}
