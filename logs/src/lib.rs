//! What a process logs, kept bounded until those who watch are told.
//!
//! A [`layer`] of `tracing` copies events of level INFO and above into a [`LogBuffer`]: that of the [`LogScope`] in which
//! the event happened, which is a worker's, or else [the process's own](rest). What finds no room is dropped and
//! counted, and a line that is repeated is one line with a count.
//!
//! [`OutputLines`] are what is written to standard output and standard error, cut into lines.
//!
//! This crate does not know who is told, nor how.
//!
//! ```
//! use std::sync::Arc;
//!
//! use graticule_logs::{LogBuffer, LogScope};
//! use tracing_subscriber::{layer::SubscriberExt, registry};
//!
//! let buffer = Arc::new(LogBuffer::default());
//! tracing::subscriber::with_default(registry().with(graticule_logs::layer()), || {
//!     LogScope::new(buffer.clone()).run(|| tracing::warn!(free = 3, "disk is nearly full"));
//! });
//! let report = buffer.take(10).expect("a line was logged");
//! assert_eq!(&*report.lines[0].text, "disk is nearly full free=3");
//! ```

mod buffer;
mod layer;
mod output;
mod scope;

pub use graticule_engine::{LogLevel, LogLine, LogReport};

pub use self::{
    buffer::{LOG_BUFFER_LINE_COUNT_MAX, LogBuffer, RestClaim, is_rest_claimed, rest},
    layer::{layer, note},
    output::OutputLines,
    scope::{LogScope, Scoped},
};
