//! Jobs, operations and tasks as spans of OpenTelemetry, sent to a collector over OTLP.
//!
//! A job is a trace: its root span has one child for each operation, and each operation has those of a sample of its tasks.
//! What the dashboard is told is all that this crate knows, so work is not measured twice. Nothing waits for the collector: what it does not take in time is dropped, counted, and told in a line
//! of the log.
//!
//! The crate knows nothing of how the scheduler decides, and nothing of who draws the spans.
//!
//! ```no_run
//! use std::time::Instant;
//!
//! use graticule_dashboard::Feed;
//! use graticule_traces::TraceOptions;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let options = TraceOptions::new("http://127.0.0.1:4317");
//! let (feed, receiver) = Feed::new();
//! let (receiver, exporter) = graticule_traces::trace(receiver, &options, Instant::now())?;
//! // A dashboard reads the receiver; once it has ended, the rest is sent.
//! # drop((feed, receiver));
//! exporter.finish().await;
//! # Ok::<(), graticule_traces::TraceError>(())
//! # }).unwrap();
//! ```

mod export;
mod ids;
mod options;
mod spans;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use graticule_dashboard::{FeedReceiver, Observer, Record};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::mpsc;
use tracing::warn;

use self::spans::Spans;
pub use self::{
    export::Exporter,
    options::{TASK_COUNT_USUAL, TraceError, TraceOptions},
};

/// Spans that may wait to be sent.
const WAITING_COUNT_MAX: usize = 8_192;

/// Has spans made of all that a feed's receiver takes in, and sent to the collector of the options, which need not be there
/// yet. `started` is what the records' times count from. Call within a tokio runtime.
///
/// # Errors
/// [`TraceError`] for options that no collector could be reached with.
pub fn trace(
    receiver: FeedReceiver,
    options: &TraceOptions,
    started: Instant,
) -> Result<(FeedReceiver, Exporter), TraceError> {
    let (outbox, inbox) = mpsc::channel(WAITING_COUNT_MAX);
    let exporter = Exporter::start(options, inbox)?;
    let began = SystemTime::now()
        .checked_sub(started.elapsed())
        .and_then(|began| began.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let traces = Traces {
        spans: Spans::new(began, options.task_count),
        made: Vec::new(),
        outbox,
        lost: 0,
    };
    Ok((receiver.observed_by(Box::new(traces)), exporter))
}

/// Makes spans of records and hands them to an [`Exporter`]; never waits.
#[derive(Debug)]
struct Traces {
    spans: Spans,
    made: Vec<Span>,
    outbox: mpsc::Sender<Span>,
    /// Spans that found no room since the last time that this was told.
    lost: u64,
}

impl Traces {
    fn hand_over(&mut self) {
        for span in self.made.drain(..) {
            if self.outbox.try_send(span).is_err() {
                self.lost += 1;
            }
        }
    }

    fn tell_of_losses(&mut self) {
        if self.lost > 0 {
            warn!(
                spans = self.lost,
                "spans were dropped: the collector takes them more slowly than they are made"
            );
            self.lost = 0;
        }
    }
}

impl Observer for Traces {
    fn observe(&mut self, at_us: u64, record: &Record) {
        self.spans.take(at_us, record, &mut self.made);
        if !self.made.is_empty() {
            self.hand_over();
        }
    }

    fn rest(&mut self, now_us: u64) {
        self.spans.settle(now_us, &mut self.made);
        self.hand_over();
        self.tell_of_losses();
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        self.spans.finish(&mut self.made);
        self.hand_over();
        self.tell_of_losses();
    }
}
