//! What the worker logs, until the scheduler is told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_engine::{LOG_LINE_COUNT_MAX, LogReport};
use graticule_logs::{LogBuffer, LogScope, is_rest_claimed, rest};

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
        let own = self.scope.buffer().take(LOG_LINE_COUNT_MAX);
        // In a process of its own, what nobody else logged is the worker's too.
        let room = LOG_LINE_COUNT_MAX - own.as_ref().map_or(0, |report| report.lines.len());
        let other = (!is_rest_claimed()).then(|| rest().take(room)).flatten();
        let Some(mut report) = own else { return other };
        if let Some(other) = other {
            report.lines.extend(other.lines);
            report.lost = report.lost.saturating_add(other.lost);
            report
                .lines
                .sort_by_key(|line| std::cmp::Reverse(line.first_ago_us));
        }
        Some(report)
    }
}
