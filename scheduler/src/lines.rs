//! What is logged, for the dashboard: the scheduler's own lines, and those that workers send.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_dashboard::{Feed, LogLevel, LogLine, LogSource, Record};
use graticule_engine::{LOG_LINE_COUNT_MAX, LogReport};
use graticule_logs::{LogBuffer, LogScope, RestClaim};
use tokio::task::JoinHandle;

/// Between two tellings of what the scheduler logged; each tells as many lines as one message of a worker.
const LINES_PAUSE: Duration = Duration::from_millis(500);

/// Tells the feed what is logged within its scope, which is the scheduler's, and what of the rest of the process nobody
/// else has told; until it is dropped.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) scope: LogScope,
    task: JoinHandle<()>,
}

impl Telling {
    pub(crate) fn start(feed: Feed, started: Instant) -> Self {
        let claim = RestClaim::new();
        let scope = LogScope::new(Arc::new(LogBuffer::default()));
        let told = scope.clone();
        let task = tokio::spawn(async move {
            let _claim = claim;
            loop {
                tokio::time::sleep(LINES_PAUSE).await;
                if feed.is_enabled()
                    && let Some(report) = told.buffer().take_with_rest(LOG_LINE_COUNT_MAX)
                {
                    let now_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                    feed.record(now_us, logged(now_us, LogSource::Scheduler, report));
                }
            }
        });
        Self { scope, task }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The dashboard's record of what was logged.
pub(crate) fn logged(now_us: u64, source: LogSource, report: LogReport) -> Record {
    let lines = report.lines.into_iter().map(|line| LogLine {
        level: match line.level {
            graticule_engine::LogLevel::Info => LogLevel::Info,
            graticule_engine::LogLevel::Warn => LogLevel::Warn,
            graticule_engine::LogLevel::Error => LogLevel::Error,
        },
        target: line.target,
        text: line.text,
        job: line.job,
        task: line.task,
        worker: line.worker,
        count: line.count,
        first_us: now_us.saturating_sub(line.first_ago_us),
        last_us: now_us.saturating_sub(line.last_ago_us),
    });
    Record::Logged {
        source,
        lines: lines.collect(),
        lost: report.lost,
    }
}
