//! What a worker logged, in frames.

use graticule_engine::{LogLevel, LogLine, LogReport};
use graticule_plan::{JobId, WorkerId};

use crate::{ProtoError, v1};

impl From<LogReport> for v1::Logs {
    fn from(report: LogReport) -> Self {
        Self {
            lines: report.lines.into_iter().map(Into::into).collect(),
            lost: report.lost,
        }
    }
}

impl TryFrom<v1::Logs> for LogReport {
    type Error = ProtoError;

    fn try_from(logs: v1::Logs) -> Result<Self, ProtoError> {
        let lines = logs.lines.into_iter().map(LogLine::try_from);
        Ok(Self {
            lines: lines.collect::<Result<_, _>>()?,
            lost: logs.lost,
        })
    }
}

impl From<LogLine> for v1::LogLine {
    fn from(line: LogLine) -> Self {
        use v1::log_line::Level;
        let level = match line.level {
            LogLevel::Info => Level::Info,
            LogLevel::Warn => Level::Warn,
            LogLevel::Error => Level::Error,
        };
        Self {
            level: level.into(),
            target: line.target.as_ref().into(),
            text: line.text.as_ref().into(),
            job: line.job.map(|job| job.0),
            task: line.task.map(Into::into),
            worker: line.worker.map(|worker| worker.0),
            count: line.count,
            first_ago_us: line.first_ago_us,
            last_ago_us: line.last_ago_us,
        }
    }
}

impl TryFrom<v1::LogLine> for LogLine {
    type Error = ProtoError;

    fn try_from(line: v1::LogLine) -> Result<Self, ProtoError> {
        use v1::log_line::Level;
        let level = Level::try_from(line.level);
        let level = match level.map_err(|_| ProtoError::Malformed("a log line of no level"))? {
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        Ok(Self {
            job: line.job.map(JobId),
            task: line.task.map(Into::into),
            worker: line.worker.map(WorkerId),
            count: line.count.max(1),
            first_ago_us: line.first_ago_us,
            last_ago_us: line.last_ago_us,
            ..Self::new(level, &line.target, &line.text)
        })
    }
}

#[cfg(test)]
mod tests {
    use graticule_engine::{LOG_TEXT_BYTES_MAX, ToScheduler};
    use graticule_plan::{LayerId, TaskId};

    use super::*;

    #[test]
    fn what_was_logged_comes_back_as_it_was() {
        let task = TaskId {
            job: JobId(3),
            layer: LayerId(1),
            block: 9,
        };
        let lines = vec![
            LogLine {
                job: Some(JobId(3)),
                task: Some(task),
                worker: Some(WorkerId(0)),
                count: 40,
                first_ago_us: 9,
                last_ago_us: 2,
                ..LogLine::new(LogLevel::Error, "graticule_worker::spill", "no room")
            },
            LogLine::new(LogLevel::Info, "", ""),
        ];
        let told = ToScheduler::Logs(LogReport { lines, lost: 5 });
        let frame = v1::WorkerMessage::from(told.clone());
        assert_eq!(ToScheduler::try_from(frame).expect("sound"), told);
    }

    #[test]
    fn what_is_too_long_is_cut_and_an_unknown_level_is_refused() {
        let line = v1::LogLine {
            text: "x".repeat(5_000),
            ..v1::LogLine::default()
        };
        let told = LogLine::try_from(line.clone()).expect("sound");
        assert_eq!((told.text.len(), told.count), (LOG_TEXT_BYTES_MAX, 1));
        assert!(LogLine::try_from(v1::LogLine { level: 9, ..line }).is_err());
    }
}
