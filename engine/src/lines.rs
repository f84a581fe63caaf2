//! What a worker logs, for people alone.

use std::sync::Arc;

use graticule_plan::{JobId, TaskId, WorkerId};

/// Lines of one message that the scheduler looks at; a worker sends one about once a second.
pub const LOG_LINE_COUNT_MAX: usize = 128;

/// Bytes of a line that are kept.
pub const LOG_TEXT_BYTES_MAX: usize = 1_024;

/// Bytes of the name of a line's origin that are kept.
pub const LOG_TARGET_BYTES_MAX: usize = 96;

/// What a worker logged since it told the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogReport {
    /// The lines, the oldest first.
    pub lines: Vec<LogLine>,
    /// Lines that had no room.
    pub lost: u64,
}

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// The life of a process.
    Info,
    /// Something is degraded.
    Warn,
    /// A person must act.
    Error,
}

/// A line, once or several times in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How grave.
    pub level: LogLevel,
    /// Which part of the program logged it.
    pub target: Arc<str>,
    /// What it says, with its fields.
    pub text: Arc<str>,
    /// The job that it concerns.
    pub job: Option<JobId>,
    /// The task that it concerns.
    pub task: Option<TaskId>,
    /// The worker that it concerns, where it names one.
    pub worker: Option<WorkerId>,
    /// How often it was logged.
    pub count: u64,
    /// How long before the message it was logged first.
    pub first_ago_us: u64,
    /// How long before the message it was logged last.
    pub last_ago_us: u64,
}

impl LogLine {
    /// A line that is logged now, cut to what is kept.
    pub fn new(level: LogLevel, target: &str, text: &str) -> Self {
        Self {
            level,
            target: cut(target, LOG_TARGET_BYTES_MAX),
            text: cut(text, LOG_TEXT_BYTES_MAX),
            job: None,
            task: None,
            worker: None,
            count: 1,
            first_ago_us: 0,
            last_ago_us: 0,
        }
    }

    /// Whether the other says the same of the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.level == other.level
            && self.text == other.text
            && self.target == other.target
            && (self.job, self.task, self.worker) == (other.job, other.task, other.worker)
    }
}

impl LogReport {
    /// Leaves what is looked at, and counts the rest as lost.
    pub(crate) fn bound(&mut self) {
        let left_out = self.lines.drain(self.lines.len().min(LOG_LINE_COUNT_MAX)..);
        let lost: u64 = left_out.map(|line| line.count).fold(0, u64::saturating_add);
        self.lost = self.lost.saturating_add(lost);
    }
}

fn cut(text: &str, bytes_max: usize) -> Arc<str> {
    const MARK: char = '…';
    if text.len() <= bytes_max {
        return text.into();
    }
    let end = text.floor_char_boundary(bytes_max - MARK.len_utf8());
    format!("{}{MARK}", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_counted_as_lost() {
        let mut line = LogLine::new(LogLevel::Info, "t", "x");
        line.count = 3;
        let mut report = LogReport {
            lines: vec![line; LOG_LINE_COUNT_MAX + 2],
            lost: 1,
        };
        report.bound();
        assert_eq!((report.lines.len(), report.lost), (LOG_LINE_COUNT_MAX, 7));
    }
}
