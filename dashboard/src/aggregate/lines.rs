//! What the scheduler and the workers logged: the latest lines, and which of them somebody asks for.

use std::{collections::VecDeque, sync::Arc};

use graticule_plan::{JobId, LayerId, WorkerId};
use serde::{Deserialize, Serialize};

use super::{Aggregator, clip, frame::RowKey, workers::WorkerTable};
use crate::{LogLevel, LogLine, LogSource};

/// Lines that are kept; then the oldest are forgotten, and counted.
pub const LINE_COUNT_MAX: usize = 8_192;

/// Bytes of lines that are kept, likewise.
pub const LINE_BYTES_MAX: usize = 4 << 20;

/// Bytes of a line's text that are kept.
pub const LINE_TEXT_BYTES_MAX: usize = 1_024;

/// Lines of one answer.
pub const LINE_TOLD_MAX: usize = 500;

/// Bytes of a text that is looked for.
const SOUGHT_BYTES_MAX: usize = 200;

/// Which lines are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LineQuery {
    /// At least so grave.
    #[serde(default)]
    pub level: LogLevel,
    /// Whose: `scheduler`, or the key of a worker, which also has the lines of others about it.
    pub from: Option<String>,
    /// What the line, its origin or its source's name has in it, whatever the case.
    pub text: Option<String>,
    /// About the job with this key.
    pub job: Option<RowKey>,
    /// About tasks of the layer with this key.
    pub layer: Option<RowKey>,
    /// About the task of this block of that layer.
    pub block: Option<u64>,
    /// Those that came from this number on, the oldest of them first; else the latest.
    pub after: Option<u64>,
    /// The latest of those that came before this number.
    pub before: Option<u64>,
}

/// Lines, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lines {
    /// When this was told.
    pub now_us: u64,
    /// The lines.
    pub lines: Vec<LineRow>,
    /// What to ask `after` to hear what comes next.
    pub next: u64,
    /// What to ask `before` for older lines of the same kind; `None` if there are none.
    pub before: Option<u64>,
    /// Lines that are kept, whatever was asked for: of level info, warn and error.
    pub kept: [u64; 3],
    /// Lines that are kept no longer.
    pub forgotten: u64,
    /// Lines that those who logged them had no room for.
    pub lost: u64,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRow {
    /// Its number.
    pub seq: u64,
    /// When it was logged first.
    pub at_us: u64,
    /// When it was logged last.
    pub last_us: u64,
    /// How often.
    pub count: u64,
    /// How grave.
    pub level: LogLevel,
    /// Who logged it, by name.
    pub from: Arc<str>,
    /// The key of the worker that logged it, if that is known.
    pub source: Option<RowKey>,
    /// The origin.
    pub target: Arc<str>,
    /// What it says.
    pub text: Arc<str>,
    /// The key of the job that it concerns.
    pub job: Option<RowKey>,
    /// The key of the layer whose task it concerns.
    pub layer: Option<RowKey>,
    /// The task's block.
    pub block: Option<u64>,
    /// The key of the worker that it concerns, if another logged it.
    pub about: Option<RowKey>,
}

/// The latest lines. The number of a line is that of those before it.
#[derive(Debug, Default)]
pub(super) struct LineRing {
    lines: VecDeque<(LogSource, LogLine)>,
    bytes: usize,
    kept: [u64; 3],
    forgotten: u64,
    lost: u64,
}

fn bytes_of(line: &LogLine) -> usize {
    size_of::<(LogSource, LogLine)>() + line.text.len() + line.target.len()
}

impl LineRing {
    pub(super) fn take(&mut self, source: LogSource, lines: &[LogLine], lost: u64) {
        self.lost = self.lost.saturating_add(lost);
        for line in lines {
            let mut line = line.clone();
            if line.text.len() > LINE_TEXT_BYTES_MAX {
                line.text = line.text[..line.text.floor_char_boundary(LINE_TEXT_BYTES_MAX)].into();
            }
            line.target = clip(&line.target);
            self.bytes += bytes_of(&line);
            self.kept[line.level as usize] += 1;
            self.lines.push_back((source, line));
            while self.lines.len() > LINE_COUNT_MAX || self.bytes > LINE_BYTES_MAX {
                self.forget_oldest();
            }
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, line)) = self.lines.pop_front() else {
            return;
        };
        self.bytes -= bytes_of(&line);
        self.kept[line.level as usize] -= 1;
        self.forgotten += 1;
    }

    /// Lines that those who logged them had no room for.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// The number that the next line gets.
    fn next(&self) -> u64 {
        self.forgotten + self.lines.len() as u64
    }

    /// Where the line of this number is, or would be.
    fn place(&self, seq: u64) -> usize {
        let place = usize::try_from(seq.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        place.min(self.lines.len())
    }
}

/// A query whose keys are looked up.
struct Sought {
    level: LogLevel,
    source: Option<LogSource>,
    text: String,
    job: Option<JobId>,
    layer: Option<(JobId, LayerId)>,
    block: Option<u64>,
}

impl Sought {
    fn is_met_by(&self, source: LogSource, line: &LogLine, name: impl Fn() -> Arc<str>) -> bool {
        let is_from = |wanted: LogSource| {
            wanted == source || matches!(wanted, LogSource::Worker(id) if line.worker == Some(id))
        };
        let task = line.task;
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        line.level >= self.level
            && self.source.is_none_or(is_from)
            && self
                .job
                .is_none_or(|job| line.job == Some(job) || task.is_some_and(|task| task.job == job))
            && self
                .layer
                .is_none_or(|layer| task.is_some_and(|task| (task.job, task.layer) == layer))
            && self
                .block
                .is_none_or(|block| task.is_some_and(|task| task.block == block))
            && (self.text.is_empty() || has(&line.text) || has(&line.target) || has(&name()))
    }
}

impl Aggregator {
    /// The lines that are asked for, at most [`LINE_TOLD_MAX`]; `None` if it is about something that is not known.
    pub fn lines(&self, now_us: u64, query: &LineQuery) -> Option<Lines> {
        let sought = self.sought(query)?;
        let ring = &self.lines;
        let is_met = |place: &usize| {
            let (source, line) = &ring.lines[*place];
            sought.is_met_by(*source, line, || self.source_name(*source))
        };
        let (places, next, before) = if let Some(after) = query.after {
            let mut places: Vec<usize> = (ring.place(after)..ring.lines.len())
                .filter(is_met)
                .take(LINE_TOLD_MAX + 1)
                .collect();
            let more = places.get(LINE_TOLD_MAX).copied();
            places.truncate(LINE_TOLD_MAX);
            let next = more.map_or(ring.next(), |place| ring.forgotten + place as u64);
            (places, next, None)
        } else {
            let end = query.before.map_or(ring.lines.len(), |before| ring.place(before));
            let mut places: Vec<usize> = (0..end).rev().filter(is_met).take(LINE_TOLD_MAX + 1).collect();
            let is_more = places.len() > LINE_TOLD_MAX;
            places.truncate(LINE_TOLD_MAX);
            places.reverse();
            let oldest = places.first().map(|place| ring.forgotten + *place as u64);
            (places, ring.next(), oldest.filter(|_| is_more))
        };
        let rows = places.into_iter().map(|place| self.line_row(place)).collect();
        Some(Lines {
            now_us,
            lines: rows,
            next,
            before,
            kept: ring.kept,
            forgotten: ring.forgotten,
            lost: ring.lost,
        })
    }

    fn sought(&self, query: &LineQuery) -> Option<Sought> {
        let source = match query.from.as_deref() {
            None => None,
            Some("scheduler") => Some(LogSource::Scheduler),
            Some(key) => Some(LogSource::Worker(self.worker_of_key(key.parse().ok()?)?.0)),
        };
        let job_of = |key: RowKey| Some(*self.jobs.iter().find(|(_, table)| table.key == key)?.0);
        let text = query.text.as_deref().unwrap_or_default().trim();
        Some(Sought {
            level: query.level,
            source,
            text: text[..text.floor_char_boundary(SOUGHT_BYTES_MAX)].to_lowercase(),
            job: query.job.map(job_of).map_or(Some(None), |job| job.map(Some))?,
            layer: match query.layer {
                None => None,
                Some(key) => Some(self.layer_of_key(key)?),
            },
            block: query.block,
        })
    }

    fn source_name(&self, source: LogSource) -> Arc<str> {
        match source {
            LogSource::Scheduler => "scheduler".into(),
            LogSource::Worker(id) => self
                .workers
                .get(&id)
                .map_or_else(|| format!("worker {id}").into(), WorkerTable::name),
        }
    }

    /// All lines that are kept.
    pub(super) fn line_rows(&self) -> Vec<LineRow> {
        (0..self.lines.lines.len())
            .map(|place| self.line_row(place))
            .collect()
    }

    fn line_row(&self, place: usize) -> LineRow {
        let (source, line) = &self.lines.lines[place];
        let key_of = |id: WorkerId| Some(self.workers.get(&id)?.key);
        let own = match source {
            LogSource::Scheduler => None,
            LogSource::Worker(id) => Some(*id),
        };
        let job = line.job.or(line.task.map(|task| task.job));
        LineRow {
            seq: self.lines.forgotten + place as u64,
            at_us: line.first_us,
            last_us: line.last_us,
            count: line.count,
            level: line.level,
            from: self.source_name(*source),
            source: own.and_then(key_of),
            target: line.target.clone(),
            text: line.text.clone(),
            job: job.and_then(|job| Some(self.jobs.get(&job)?.key)),
            layer: line.task.and_then(|task| self.layer_key(task)),
            block: line.task.map(|task| task.block),
            about: line.worker.filter(|id| own != Some(*id)).and_then(key_of),
        }
    }
}
