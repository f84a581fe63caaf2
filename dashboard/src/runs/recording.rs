//! Recording without a page: for reports of a cluster whose dashboard is off.

use std::time::Instant;

use bytes::Bytes;

use crate::{DashboardError, FeedReceiver, hub::Hub};

/// Where the records of a cluster are kept. Clones reach the same one; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct Recording {
    hub: Hub,
}

impl Recording {
    pub(crate) fn of(hub: Hub) -> Self {
        Self { hub }
    }

    /// Begins to keep what `receiver` is told. `started` is the zero of its times.
    ///
    /// # Errors
    /// [`DashboardError::Io`] if there is no thread to be had.
    pub fn start(receiver: FeedReceiver, cluster: &str, started: Instant) -> Result<Self, DashboardError> {
        // The thread ends with the last handle; nothing is left to be done then.
        let (hub, _thread) = Hub::start(receiver, cluster, started, None)?;
        Ok(Self { hub })
    }

    /// The time by which [`report_since`](Self::report_since) knows this moment; `None` once it has ended.
    pub async fn mark(&self) -> Option<u64> {
        self.hub.now().await
    }

    /// The report of all jobs that ran since then, as HTML; `None` once it has ended.
    pub async fn report_since(&self, since_us: u64) -> Option<Bytes> {
        let archive = self.hub.since(since_us).await?;
        let made = tokio::task::spawn_blocking(move || archive.report());
        made.await.ok().map(Bytes::from)
    }

    /// What is kept of all jobs that ran since then, as the bytes of a file; `None` once it has ended.
    pub async fn archive_since(&self, since_us: u64) -> Option<Bytes> {
        let archive = self.hub.since(since_us).await?;
        let made = tokio::task::spawn_blocking(move || archive.encode());
        made.await.ok().map(Bytes::from)
    }
}
