//! Reports of what jobs did: of the embedded cluster, whose records are in this process.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use graticule_dashboard::{Feed, FeedReceiver, Recording};

use crate::{Client, ClientError};

/// Who keeps the records of an embedded cluster.
#[derive(Debug)]
pub(crate) struct Records {
    feed: Feed,
    started: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
enum Kept {
    /// Nobody until somebody asks; only the workers are told of.
    Nobody(Option<FeedReceiver>),
    By(Recording),
}

impl Records {
    /// Kept by nobody until somebody asks. `started` is the zero of the records' times.
    pub(crate) fn paused(started: Instant) -> Self {
        let (feed, receiver) = Feed::paused();
        Self {
            feed,
            started,
            kept: Mutex::new(Kept::Nobody(Some(receiver))),
        }
    }

    /// Kept by the dashboard.
    pub(crate) fn of_dashboard(feed: Feed, started: Instant, recording: Recording) -> Self {
        Self {
            feed,
            started,
            kept: Mutex::new(Kept::By(recording)),
        }
    }

    /// Where the scheduler tells what happens.
    pub(crate) fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Who keeps them; from the first time on somebody does.
    fn recording(&self) -> Result<Recording, ClientError> {
        let cannot = |why: String| ClientError::Start { why };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *kept {
            Kept::By(recording) => Ok(recording.clone()),
            Kept::Nobody(receiver) => {
                let receiver = receiver
                    .take()
                    .ok_or_else(|| cannot("no thread keeps the records of this cluster".into()))?;
                let recording = Recording::start(receiver, "embedded", self.started)
                    .map_err(|error| cannot(error.to_string()))?;
                self.feed.resume();
                *kept = Kept::By(recording.clone());
                Ok(recording)
            }
        }
    }
}

fn ended() -> ClientError {
    ClientError::ConnectionLost {
        why: "the embedded cluster has ended".into(),
    }
}

impl Client {
    fn recording(&self) -> Result<Recording, ClientError> {
        let cluster = self.session.about.cluster.as_ref();
        let cluster = cluster.ok_or_else(|| ClientError::Refused {
            why: "the records of a cluster elsewhere are with its dashboard: ask that for a report".into(),
        })?;
        cluster.records().recording()
    }

    /// This moment, for [`Client::report_since`]. From the first time on what jobs do is kept, some ten bytes a task and
    /// 128 MiB at most.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if this is no embedded cluster, [`ClientError::ConnectionLost`] if it has ended,
    /// [`ClientError::Start`] if there is no thread to be had.
    pub async fn report_mark(&self) -> Result<u64, ClientError> {
        self.recording()?.mark().await.ok_or_else(ended)
    }

    /// A page as HTML, whole in itself, that replays what jobs did since a moment.
    ///
    /// # Errors
    /// As [`Client::report_mark`].
    pub async fn report_since(&self, mark_us: u64) -> Result<Bytes, ClientError> {
        self.recording()?.report_since(mark_us).await.ok_or_else(ended)
    }
}
