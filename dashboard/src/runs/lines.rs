//! What was logged while runs went on, as it is kept.

use std::collections::VecDeque;

use graticule_plan::JobId;
use serde::{Deserialize, Serialize};

use super::archive::is_sound;
use crate::{
    LogLine, LogSource,
    aggregate::{LINE_BYTES_MAX, LINE_COUNT_MAX, LINE_TEXT_BYTES_MAX},
};

/// Lines that are kept of a run, the latest; those before are counted.
pub const RUN_LINE_COUNT_MAX: usize = 4_096;

/// Bytes of lines that are kept of a run, likewise, before they are packed.
pub const RUN_LINE_BYTES_MAX: usize = 1 << 20;

/// The lines of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RunLines {
    pub(super) lines: Vec<(LogSource, LogLine)>,
    /// Older ones that are not kept.
    pub(super) forgotten: u64,
    /// Lines that those who logged them had no room for.
    pub(super) lost: u64,
}

impl RunLines {
    /// Bytes of memory that they take, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.lines.iter().map(|(_, line)| bytes_of(line)).sum()
    }

    /// Whether they are as they are written.
    pub(super) fn is_sound(&self) -> bool {
        let are_sound = self.lines.iter().all(|(_, line)| {
            [line.first_us, line.last_us, line.count]
                .into_iter()
                .all(is_sound)
                && line.text.len() <= LINE_TEXT_BYTES_MAX
        });
        are_sound && self.lines.len() <= RUN_LINE_COUNT_MAX && is_sound(self.forgotten) && is_sound(self.lost)
    }
}

/// How much had been told when a run began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineMark {
    told: u64,
    lost: u64,
}

/// The latest lines of the cluster, and when each was told.
#[derive(Debug, Default)]
pub(super) struct LatestLines {
    lines: VecDeque<(u64, LogSource, LogLine)>,
    bytes: usize,
    forgotten: u64,
    lost: u64,
}

fn bytes_of(line: &LogLine) -> usize {
    size_of::<(u64, LogSource, LogLine)>() + line.text.len() + line.target.len()
}

impl LatestLines {
    pub(super) fn take(&mut self, at_us: u64, source: LogSource, lines: &[LogLine], lost: u64) {
        self.lost = self.lost.saturating_add(lost);
        for line in lines {
            let mut line = line.clone();
            if line.text.len() > LINE_TEXT_BYTES_MAX {
                line.text = line.text[..line.text.floor_char_boundary(LINE_TEXT_BYTES_MAX)].into();
            }
            self.bytes += bytes_of(&line);
            self.lines.push_back((at_us, source, line));
            while self.lines.len() > LINE_COUNT_MAX || self.bytes > LINE_BYTES_MAX {
                let Some((_, _, oldest)) = self.lines.pop_front() else {
                    break;
                };
                self.bytes -= bytes_of(&oldest);
                self.forgotten += 1;
            }
        }
    }

    pub(super) fn mark(&self) -> LineMark {
        LineMark {
            told: self.forgotten + self.lines.len() as u64,
            lost: self.lost,
        }
    }

    /// The latest lines about `jobs`, and those about no job that were logged within a span of time; `mark` is from
    /// when that began.
    pub(super) fn of(&self, mark: LineMark, (from_us, to_us): (u64, u64), jobs: &[JobId]) -> RunLines {
        let is_of_it = |line: &LogLine| match line.job.or(line.task.map(|task| task.job)) {
            Some(job) => jobs.contains(&job),
            None => line.last_us >= from_us && line.first_us <= to_us,
        };
        let told_since = self
            .lines
            .iter()
            .rev()
            .take_while(|(at_us, ..)| *at_us >= from_us);
        let (mut lines, mut bytes, mut forgotten) = (Vec::new(), 0, self.forgotten.saturating_sub(mark.told));
        for (_, source, line) in told_since.filter(|(_, _, line)| is_of_it(line)) {
            bytes += bytes_of(line);
            if lines.len() < RUN_LINE_COUNT_MAX && bytes <= RUN_LINE_BYTES_MAX {
                lines.push((*source, line.clone()));
            } else {
                forgotten += 1;
            }
        }
        lines.reverse();
        RunLines {
            lines,
            forgotten,
            lost: self.lost.saturating_sub(mark.lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogLevel;

    fn line(at_us: u64, job: Option<u64>, len: usize) -> LogLine {
        LogLine {
            level: LogLevel::Info,
            target: "test".into(),
            text: "x".repeat(len).into(),
            job: job.map(JobId),
            task: None,
            worker: None,
            count: 1,
            first_us: at_us,
            last_us: at_us,
        }
    }

    #[test]
    fn a_run_has_its_own_lines_and_those_about_no_job_while_it_ran() {
        let mut latest = LatestLines::default();
        let told = [
            (5, None),
            (20, None),
            (21, Some(1)),
            (22, Some(2)),
            (45, Some(1)),
            (46, None),
        ];
        latest.take(6, LogSource::Scheduler, &[line(told[0].0, told[0].1, 1)], 2);
        let mark = latest.mark();
        for (at_us, job) in &told[1..] {
            latest.take(*at_us, LogSource::Scheduler, &[line(*at_us, *job, 1)], 1);
        }
        let run = latest.of(mark, (10, 40), &[JobId(1)]);
        let times: Vec<u64> = run.lines.iter().map(|(_, line)| line.first_us).collect();
        assert_eq!((times, run.forgotten, run.lost), (vec![20, 21, 45], 0, 5));
    }

    #[test]
    fn of_a_flood_the_latest_lines_are_kept_and_the_others_counted() {
        let mut latest = LatestLines::default();
        let mark = latest.mark();
        for at_us in 0..LINE_COUNT_MAX as u64 + 500 {
            latest.take(at_us, LogSource::Scheduler, &[line(at_us, None, 9)], 0);
        }
        let run = latest.of(mark, (0, u64::MAX), &[]);
        let count = run.lines.len() as u64;
        assert!(run.lines.len() <= RUN_LINE_COUNT_MAX && run.held_bytes() <= RUN_LINE_BYTES_MAX);
        assert_eq!(
            run.lines.last().map(|it| it.1.first_us),
            Some(LINE_COUNT_MAX as u64 + 499)
        );
        assert_eq!(count + run.forgotten, LINE_COUNT_MAX as u64 + 500);
        for at_us in 10_000..12_000 {
            latest.take(at_us, LogSource::Scheduler, &[line(at_us, None, 9_000)], 0);
        }
        assert!(latest.of(mark, (0, u64::MAX), &[]).held_bytes() <= RUN_LINE_BYTES_MAX);
    }
}
