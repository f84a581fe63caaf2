//! Calls in the order in which they end.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use pyo3::prelude::*;
use tokio::sync::Notify;

use super::{
    entry::{Call, Entry, limited, locked, within},
    nested::help,
};
use crate::{
    error::Failure,
    wait::{is_in_task, wait_anywhere as wait},
};

/// Numbers of calls that ended, in the order in which they did.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct Completions {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Calls that have not ended, for who runs them himself where he waits.
    pending: Mutex<BTreeMap<u64, Weak<Entry>>>,
    ended: Mutex<VecDeque<u64>>,
    news: Notify,
}

impl Queue {
    /// A call has ended; it counts once.
    fn tell(&self, number: u64) {
        if locked(&self.pending).remove(&number).is_some() {
            locked(&self.ended).push_back(number);
            self.news.notify_waiters();
        }
    }

    /// Within a call: runs the next call that waits.
    fn help(&self, py: Python<'_>) -> PyResult<()> {
        let pending: Vec<(u64, Weak<Entry>)> = locked(&self.pending)
            .iter()
            .map(|(number, entry)| (*number, entry.clone()))
            .collect();
        for (number, entry) in pending {
            let Some(entry) = entry.upgrade() else { continue };
            help(py, &entry)?;
            if entry.inline().is_some() {
                self.tell(number);
                return Ok(());
            }
        }
        Ok(())
    }

    async fn taken(&self, most: usize) -> Vec<u64> {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // From here on none goes unseen.
            news.as_mut().enable();
            let ended = self.now(most);
            if !ended.is_empty() {
                return ended;
            }
            news.await;
        }
    }

    fn now(&self, most: usize) -> Vec<u64> {
        let mut ended = locked(&self.ended);
        let count = ended.len().min(most);
        ended.drain(..count).collect()
    }
}

#[pymethods]
impl Completions {
    #[new]
    fn new() -> Self {
        Self {
            queue: Arc::default(),
        }
    }

    /// Has a call's number appear when it ends.
    fn add(&self, call: &Call, number: u64) {
        let queue = self.queue.clone();
        locked(&queue.pending).insert(number, Arc::downgrade(&call.entry));
        call.entry.when_done(move || queue.tell(number));
    }

    /// Waits until some have ended and gives their numbers, at most so many.
    #[pyo3(signature = (most, timeout = None))]
    fn take(&self, py: Python<'_>, most: usize, timeout: Option<f64>) -> Result<Vec<u64>, Failure> {
        let mut ready = self.poll(most);
        if ready.is_empty() && is_in_task() {
            self.queue.help(py)?;
            ready = self.poll(most);
        }
        if !ready.is_empty() {
            return Ok(ready);
        }
        let (queue, timeout) = (self.queue.clone(), limited(timeout)?);
        wait(py, async move { within(timeout, queue.taken(most)).await })
    }

    /// As `take`, without waiting.
    fn poll(&self, most: usize) -> Vec<u64> {
        self.queue.now(most)
    }

    /// Waits from a thread that is no caller of Python's; `None` after so many seconds.
    fn park(&self, py: Python<'_>, seconds: f64) -> Option<Vec<u64>> {
        let queue = self.queue.clone();
        let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1));
        let handle = crate::wait::handle().ok()?;
        py.detach(|| {
            handle.block_on(async { tokio::time::timeout(limit, queue.taken(usize::MAX)).await.ok() })
        })
    }
}
