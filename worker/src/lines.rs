//! What the worker logs, until the scheduler is told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_engine::{LOG_LINE_COUNT_MAX, LogReport};
use graticule_logs::{LogBuffer, LogScope, is_rest_claimed};

/// Between two tellings, each of at most [`LOG_LINE_COUNT_MAX`] lines.
const LINES_PAUSE: Duration = Duration::from_millis(500);

/// The worker's own lines, and when they were told.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) scope: LogScope,
    told: Option<Instant>,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            scope: LogScope::new(Arc::new(LogBuffer::default())),
            told: None,
        }
    }

    /// What is to be told now; nothing if that was done just before.
    pub(crate) fn take(&mut self) -> Option<LogReport> {
        let is_due = self.told.is_none_or(|told| told.elapsed() >= LINES_PAUSE);
        is_due.then(|| self.take_all()).flatten()
    }

    /// What is to be told, also if that was done just before.
    pub(crate) fn take_all(&mut self) -> Option<LogReport> {
        self.told = Some(Instant::now());
        // In a process of its own, what nobody else logged is the worker's too.
        if is_rest_claimed() {
            self.scope.buffer().take(LOG_LINE_COUNT_MAX)
        } else {
            self.scope.buffer().take_with_rest(LOG_LINE_COUNT_MAX)
        }
    }
}
