use std::{
    collections::VecDeque,
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use graticule_engine::{LogLine, LogReport};

/// Lines of one buffer; with the limits of a line that is about 1 MiB at most.
pub const LOG_BUFFER_LINE_COUNT_MAX: usize = 1_024;

/// Lines back from the latest among which one that is the same is looked for.
const FOLD_LINE_COUNT_MAX: usize = 8;

/// How long after a line the same one is still the same occurrence.
const FOLD_TIME: Duration = Duration::from_secs(5);

/// Lines that nobody has been told of yet. Many threads write to it, each for the time that it takes to add one.
#[derive(Debug, Default)]
pub struct LogBuffer {
    lines: Mutex<VecDeque<Kept>>,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    /// Its times are set when it is told.
    line: LogLine,
    first: Instant,
    last: Instant,
}

static REST: LazyLock<LogBuffer> = LazyLock::new(LogBuffer::default);
static REST_CLAIM_COUNT: AtomicUsize = AtomicUsize::new(0);

/// The lines of this process that belong to no [`LogScope`](crate::LogScope).
pub fn rest() -> &'static LogBuffer {
    &REST
}

/// Whether somebody tells what is in [`rest`] as the scheduler's; where nobody does, a worker tells it as its own.
pub fn is_rest_claimed() -> bool {
    REST_CLAIM_COUNT.load(Relaxed) > 0
}

/// Says that its owner tells what is in [`rest`], as long as this lives.
#[derive(Debug)]
pub struct RestClaim(());

impl RestClaim {
    /// Claims it; several may.
    pub fn new() -> Self {
        REST_CLAIM_COUNT.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Default for RestClaim {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for RestClaim {
    fn drop(&mut self) {
        REST_CLAIM_COUNT.fetch_sub(1, Relaxed);
    }
}

impl LogBuffer {
    /// Keeps a line that is logged now. Where there is no room the oldest goes.
    pub fn push(&self, line: LogLine) {
        self.push_at(line, Instant::now());
    }

    fn push_at(&self, line: LogLine, now: Instant) {
        let mut lines = self.lines();
        let same =
            lines.iter_mut().rev().take(FOLD_LINE_COUNT_MAX).find(|kept| {
                kept.line.is_same(&line) && now.saturating_duration_since(kept.last) <= FOLD_TIME
            });
        if let Some(kept) = same {
            kept.line.count = kept.line.count.saturating_add(line.count);
            kept.last = now;
            return;
        }
        if lines.len() == LOG_BUFFER_LINE_COUNT_MAX
            && let Some(oldest) = lines.pop_front()
        {
            self.lost.fetch_add(oldest.line.count, Relaxed);
        }
        lines.push_back(Kept {
            line,
            first: now,
            last: now,
        });
    }

    /// As [`take`](Self::take), of this buffer and then of [`rest`], in the order in which they were logged.
    pub fn take_with_rest(&self, count_max: usize) -> Option<LogReport> {
        let own = self.take(count_max);
        let room = count_max - own.as_ref().map_or(0, |report| report.lines.len());
        let other = rest().take(room);
        let (mut report, other) = match (own, other) {
            (Some(own), Some(other)) => (own, other),
            (own, other) => return own.or(other),
        };
        report.lines.extend(other.lines);
        report.lost = report.lost.saturating_add(other.lost);
        report
            .lines
            .sort_by_key(|line| std::cmp::Reverse(line.first_ago_us));
        Some(report)
    }

    /// Takes the oldest lines, at most `count_max`, and how many were lost; `None` if there are neither.
    pub fn take(&self, count_max: usize) -> Option<LogReport> {
        let now = Instant::now();
        let mut lines = self.lines();
        let count = lines.len().min(count_max);
        let taken: Vec<LogLine> = lines.drain(..count).map(|kept| kept.told(now)).collect();
        drop(lines);
        let lost = self.lost.swap(0, Relaxed);
        (lost > 0 || !taken.is_empty()).then_some(LogReport { lines: taken, lost })
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn told(self, now: Instant) -> LogLine {
        let ago_us = |at: Instant| {
            let ago = now.saturating_duration_since(at);
            u64::try_from(ago.as_micros()).unwrap_or(u64::MAX)
        };
        LogLine {
            first_ago_us: ago_us(self.first),
            last_ago_us: ago_us(self.last),
            ..self.line
        }
    }
}

#[cfg(test)]
mod tests {
    use graticule_engine::LogLevel;

    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine::new(LogLevel::Warn, "test", text)
    }

    #[test]
    fn a_line_that_is_repeated_is_one_with_a_count() {
        let buffer = LogBuffer::default();
        let start = Instant::now();
        for step in 0..100 {
            buffer.push_at(line("again"), start + Duration::from_millis(step * 100));
            buffer.push_at(line("other"), start + Duration::from_millis(step * 100));
        }
        let after = start + Duration::from_millis(9_900) + FOLD_TIME + Duration::from_millis(1);
        buffer.push_at(line("again"), after);
        let report = buffer.take(10).expect("lines");
        let told: Vec<_> = report
            .lines
            .iter()
            .map(|line| (&*line.text, line.count))
            .collect();
        assert_eq!(told, [("again", 100), ("other", 100), ("again", 1)]);
        assert_eq!(buffer.take(10), None);
    }

    #[test]
    fn the_same_text_about_another_task_is_another_line() {
        let buffer = LogBuffer::default();
        for block in 0..3 {
            let mut line = line("slow");
            line.task = Some(graticule_plan::TaskId {
                job: graticule_plan::JobId(1),
                layer: graticule_plan::LayerId(0),
                block,
            });
            buffer.push(line);
        }
        assert_eq!(buffer.take(10).expect("lines").lines.len(), 3);
    }

    #[test]
    fn what_finds_no_room_pushes_out_the_oldest_which_is_counted() {
        let buffer = LogBuffer::default();
        for index in 0..LOG_BUFFER_LINE_COUNT_MAX + 10 {
            buffer.push(line(&format!("line {index}")));
        }
        let report = buffer.take(2).expect("lines");
        assert_eq!(report.lost, 10);
        assert_eq!(&*report.lines[0].text, "line 10");
        assert_eq!(report.lines.len(), 2);
        assert_eq!(&*buffer.take(1).expect("more").lines[0].text, "line 12");
    }

    #[test]
    fn no_line_is_lost_between_threads_that_write_and_one_that_takes() {
        const THREAD_COUNT: u64 = 4;
        const LINE_COUNT: u64 = 20_000;
        let buffer = LogBuffer::default();
        let mut told = 0;
        let mut take = || {
            while let Some(report) = buffer.take(LOG_BUFFER_LINE_COUNT_MAX) {
                told += report.lost + report.lines.iter().map(|line| line.count).sum::<u64>();
            }
        };
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..THREAD_COUNT)
                .map(|_| scope.spawn(|| (0..LINE_COUNT).for_each(|_| buffer.push(line("same")))))
                .collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                take();
            }
        });
        take();
        assert_eq!(told, THREAD_COUNT * LINE_COUNT);
        assert_eq!(buffer.lost.load(Relaxed), 0);
    }
}
