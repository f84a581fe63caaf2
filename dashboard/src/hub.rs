use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tokio::sync::{broadcast, oneshot};

use crate::{
    DashboardError, FeedReceiver,
    aggregate::{Aggregator, Publisher},
};

/// Time between two frames.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// While nothing changes, a frame says that the dashboard is alive this often.
const HEARTBEAT: Duration = Duration::from_millis(1_000);

/// Frames that a viewer may lag behind before it skips to a fresh snapshot. They are shared by all viewers.
const FRAME_LAG_MAX: usize = 16;

/// Requests for a snapshot that may wait for the aggregator.
const REQUEST_COUNT_MAX: usize = 2_048;

/// An encoded frame, shared by all that it is sent to.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Its number.
    pub(crate) seq: u64,
    /// Its JSON.
    pub(crate) json: Utf8Bytes,
}

#[derive(Debug)]
enum Request {
    Snapshot(oneshot::Sender<Frame>),
    Stop,
}

/// Reaches the aggregator's thread. A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    requests: mpsc::SyncSender<Request>,
    frames: broadcast::WeakSender<Frame>,
}

impl Hub {
    /// Starts the aggregator's thread. `started` is the cluster's start, from which records count their time.
    pub(crate) fn start(
        receiver: FeedReceiver,
        cluster: &str,
        started: Instant,
    ) -> Result<(Self, thread::JoinHandle<()>), DashboardError> {
        let (requests, inbox) = mpsc::sync_channel(REQUEST_COUNT_MAX);
        let (frames, _) = broadcast::channel(FRAME_LAG_MAX);
        let weak = frames.downgrade();
        let state = HubState {
            receiver,
            aggregator: Aggregator::new(),
            publisher: Publisher::new(cluster),
            started,
            frames,
            snapshot: None,
            is_followed: false,
        };
        let thread = thread::Builder::new()
            .name("graticule-watch".into())
            .spawn(move || state.run(&inbox))
            .map_err(|source| DashboardError::Io {
                what: "start the dashboard's thread",
                source,
            })?;
        Ok((
            Self {
                requests,
                frames: weak,
            },
            thread,
        ))
    }

    /// The frames from now on; `None` once the dashboard stops.
    pub(crate) fn follow(&self) -> Option<broadcast::Receiver<Frame>> {
        self.frames.upgrade().map(|frames| frames.subscribe())
    }

    /// A snapshot; the delta that follows has the next number. `None` once the dashboard stops, or if too many ask
    /// at once.
    pub(crate) async fn snapshot(&self) -> Option<Frame> {
        let (reply, snapshot) = oneshot::channel();
        self.requests.try_send(Request::Snapshot(reply)).ok()?;
        snapshot.await.ok()
    }

    /// Asks the thread to end; viewers then see the end of frames. Waits if many requests are before it.
    pub(crate) fn stop(&self) {
        // An error means that the thread has ended already.
        let _ = self.requests.send(Request::Stop);
    }
}

struct HubState {
    receiver: FeedReceiver,
    aggregator: Aggregator,
    publisher: Publisher,
    started: Instant,
    frames: broadcast::Sender<Frame>,
    /// The encoded snapshot of the publisher's latest frame.
    snapshot: Option<Frame>,
    /// Whether somebody may hold a snapshot, so that each change must be told.
    is_followed: bool,
}

impl HubState {
    fn run(mut self, inbox: &mpsc::Receiver<Request>) {
        let mut next_tick = Instant::now() + TICK;
        loop {
            match inbox.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(Request::Snapshot(reply)) => {
                    let frame = self.snapshot();
                    // An error means that the viewer went away meanwhile.
                    let _ = reply.send(frame);
                }
                Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Also after a request, so that a flood of them delays no tick.
            if Instant::now() >= next_tick {
                self.tick();
                next_tick = (next_tick + TICK).max(Instant::now());
            }
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn take_in(&mut self) -> usize {
        let aggregator = &mut self.aggregator;
        self.receiver
            .drain(|at_us, record| aggregator.apply(at_us, record))
    }

    fn tick(&mut self) {
        let news = self.take_in();
        if self.frames.receiver_count() == 0 {
            self.is_followed = false;
            return;
        }
        let now_us = self.now_us();
        let silent_us = now_us.saturating_sub(self.publisher.published_us());
        let is_due = news > 0 || self.publisher.has_more() || u128::from(silent_us) >= HEARTBEAT.as_micros();
        if !self.is_followed || !is_due {
            return;
        }
        let delta = self
            .publisher
            .delta(&mut self.aggregator, now_us, self.receiver.dropped_count());
        let frame = encode(delta.seq, &delta);
        self.snapshot = None;
        // An error means that the last viewer went away meanwhile.
        let _ = self.frames.send(frame);
    }

    fn snapshot(&mut self) -> Frame {
        if !self.is_followed {
            self.take_in();
            let now_us = self.now_us();
            self.publisher
                .catch_up(&mut self.aggregator, now_us, self.receiver.dropped_count());
            self.is_followed = true;
            self.snapshot = None;
        }
        let (publisher, aggregator) = (&self.publisher, &self.aggregator);
        self.snapshot
            .get_or_insert_with(|| encode(publisher.seq(), &publisher.snapshot(aggregator)))
            .clone()
    }
}

fn encode(seq: u64, frame: &impl Serialize) -> Frame {
    // Frames hold no map with keys that are not text, and writing to memory never fails.
    let json = serde_json::to_string(frame).expect("frames are plain JSON");
    Frame {
        seq,
        json: json.into(),
    }
}
