//! A picture of the cluster in characters.

use graticule_dashboard::aggregate::{Failure, JobRow, JobState, LayerRow, Snapshot, WorkerRow, WorkerState};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Sparkline, Table},
};

use super::follow::Seen;
use crate::terminal::{bytes, count};

/// Jobs that ended are shown while there is room, the latest first.
const JOBS_MAX: u16 = 5;
const FAILURES_MAX: u16 = 3;
const BAR_WIDTH: usize = 16;

/// How workers are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Name,
    Memory,
    Busy,
}

/// What somebody chose to see.
#[derive(Debug, Default)]
pub(super) struct View {
    order: Order,
    first_worker: usize,
    /// Nobody presses keys.
    is_printed: bool,
}

impl View {
    /// One that is printed and not watched.
    pub(super) fn printed() -> Self {
        Self {
            is_printed: true,
            ..Self::default()
        }
    }

    pub(super) fn scroll(&mut self, lines: i32) {
        self.first_worker = self.first_worker.saturating_add_signed(lines as isize);
    }

    pub(super) fn sort(&mut self) {
        self.order = match self.order {
            Order::Name => Order::Memory,
            Order::Memory => Order::Busy,
            Order::Busy => Order::Name,
        };
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>, seen: &Seen) {
        let Some(snapshot) = &seen.snapshot else { return };
        let jobs = jobs(snapshot);
        let layers = layers(snapshot, &jobs);
        let failures = snapshot.failures.len().min(usize::from(FAILURES_MAX));
        let lines = |len: usize| Constraint::Length(u16::try_from(len).unwrap_or(u16::MAX));
        let with_title = |len: usize| lines(if len == 0 { 0 } else { len + 2 });
        let rows = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(3),
            with_title(jobs.len().min(usize::from(JOBS_MAX))),
            // Operations and workers share what is left.
            Constraint::Max(u16::try_from(layers.len() + 2).unwrap_or(u16::MAX)),
            Constraint::Fill(1),
            with_title(failures),
            Constraint::Length(1),
        ]);
        let [head, pulse, of_jobs, of_layers, of_workers, of_failures, foot] = rows.areas(frame.area());
        frame.render_widget(Paragraph::new(head_lines(snapshot)), head);
        let bars: Vec<u64> = snapshot
            .head
            .pulse
            .iter()
            .map(|&tasks| u64::from(tasks))
            .collect();
        frame.render_widget(Sparkline::default().data(bars), pulse);
        table(
            frame,
            of_jobs,
            &JOB_COLUMNS,
            jobs.iter().map(|job| job_row(job, snapshot.head.now_us)),
        );
        table(
            frame,
            of_layers,
            &LAYER_COLUMNS,
            layers.iter().map(|layer| layer_row(layer)),
        );
        self.workers(frame, of_workers, snapshot);
        let latest = snapshot.failures.iter().rev().take(failures);
        table(
            frame,
            of_failures,
            &FAILURE_COLUMNS,
            latest.map(|failure| failure_row(failure, snapshot)),
        );
        frame.render_widget(Paragraph::new(self.foot(seen)), foot);
    }

    fn workers(&mut self, frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
        let mut workers: Vec<&WorkerRow> = snapshot.workers.iter().collect();
        // Those that are there first.
        workers.sort_by(|a, b| {
            let is_gone = |worker: &WorkerRow| worker.state != WorkerState::Ready;
            is_gone(a).cmp(&is_gone(b)).then_with(|| match self.order {
                Order::Name => a.name.cmp(&b.name),
                Order::Memory => b.memory.cmp(&a.memory),
                Order::Busy => b.running.cmp(&a.running),
            })
        });
        let shown = usize::from(area.height.saturating_sub(2));
        self.first_worker = self.first_worker.min(workers.len().saturating_sub(shown));
        let rows = workers
            .iter()
            .skip(self.first_worker)
            .map(|worker| worker_row(worker));
        table(frame, area, &WORKER_COLUMNS, rows);
    }

    fn foot(&self, seen: &Seen) -> Line<'static> {
        if let Some(problem) = &seen.problem {
            let text = format!("not fresh: {problem}; trying again");
            return Line::styled(text, Style::new().add_modifier(Modifier::REVERSED));
        }
        if self.is_printed {
            return Line::default();
        }
        let by = match self.order {
            Order::Name => "name",
            Order::Memory => "memory",
            Order::Busy => "busy slots",
        };
        dim(format!(
            "q ends   s sorts workers (now by {by})   arrows scroll them"
        ))
    }
}

fn dim(text: String) -> Line<'static> {
    Line::styled(text, Style::new().add_modifier(Modifier::DIM))
}

fn head_lines(snapshot: &Snapshot) -> Vec<Line<'static>> {
    let head = &snapshot.head;
    let ready = snapshot.workers.iter().filter(|w| w.state == WorkerState::Ready);
    let (mut slots, mut memory, mut budget, mut workers) = (0_u64, 0_u64, 0_u64, 0_u64);
    for worker in ready {
        workers += 1;
        slots += u64::from(worker.slots);
        memory = memory.saturating_add(worker.memory);
        budget = budget.saturating_add(worker.budget);
    }
    let first = Line::from(vec![
        Span::styled(
            snapshot.cluster.to_string(),
            Style::new().add_modifier(Modifier::BOLD),
        ),
        Span::raw(format!(
            "   {}, {} of {slots} slots busy, {} of {} held",
            count(workers, "worker", "workers"),
            head.running,
            bytes(memory),
            bytes(budget)
        )),
    ]);
    let mut told = format!(
        "{} of {} tasks, {}",
        head.done,
        count_of(head.total),
        rate(head.rate)
    );
    for (number, what) in [
        (head.failed, "failed"),
        (head.recomputed, "made again"),
        (head.dropped, "records dropped"),
    ] {
        if number > 0 {
            told.push_str(&format!(", {number} {what}"));
        }
    }
    vec![first, Line::raw(told)]
}

fn count_of(number: u64) -> String {
    number.to_string()
}

fn rate(rate: f64) -> String {
    match rate {
        0.0 => "none a second".into(),
        rate if rate < 10.0 => format!("{rate:.1} a second"),
        rate => format!("{rate:.0} a second"),
    }
}

/// Jobs that run, then those that ended last.
fn jobs(snapshot: &Snapshot) -> Vec<&JobRow> {
    let mut jobs: Vec<&JobRow> = snapshot.jobs.iter().collect();
    jobs.sort_by_key(|job| {
        (
            job.state != JobState::Running,
            std::cmp::Reverse(job.ended_us),
            std::cmp::Reverse(job.k),
        )
    });
    jobs.truncate(usize::from(JOBS_MAX));
    jobs
}

/// The operations of the jobs that are shown, those in work first.
fn layers<'a>(snapshot: &'a Snapshot, jobs: &[&JobRow]) -> Vec<&'a LayerRow> {
    let of_job = |layer: &&LayerRow| jobs.iter().any(|job| job.k == layer.job);
    let mut layers: Vec<&LayerRow> = snapshot.layers.iter().filter(of_job).collect();
    layers.sort_by_key(|layer| {
        let is_in_work = layer.running + layer.queued > 0;
        let is_done = layer.done >= layer.total;
        (!is_in_work, is_done, std::cmp::Reverse(layer.job), layer.layer)
    });
    layers
}

type Column = (&'static str, Constraint);

const JOB_COLUMNS: [Column; 5] = [
    ("job", Constraint::Fill(2)),
    ("state", Constraint::Length(10)),
    ("", Constraint::Length(BAR_WIDTH as u16)),
    ("tasks", Constraint::Length(21)),
    ("time", Constraint::Length(10)),
];
const LAYER_COLUMNS: [Column; 7] = [
    ("operation", Constraint::Fill(2)),
    ("", Constraint::Length(BAR_WIDTH as u16)),
    ("tasks", Constraint::Length(21)),
    ("running", Constraint::Length(8)),
    ("rate", Constraint::Length(16)),
    ("left", Constraint::Length(8)),
    ("half within", Constraint::Length(12)),
];
const WORKER_COLUMNS: [Column; 8] = [
    ("worker", Constraint::Fill(2)),
    ("state", Constraint::Length(8)),
    ("slots", Constraint::Length(9)),
    ("", Constraint::Length(BAR_WIDTH as u16)),
    ("memory", Constraint::Length(23)),
    ("spilled", Constraint::Length(10)),
    ("fetches", Constraint::Length(13)),
    ("tasks", Constraint::Length(9)),
];
const FAILURE_COLUMNS: [Column; 3] = [
    ("latest errors", Constraint::Length(28)),
    ("worker", Constraint::Length(14)),
    ("", Constraint::Fill(1)),
];

fn table<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    columns: &[Column],
    rows: impl Iterator<Item = [String; 8]> + 'a,
) {
    if area.height < 2 {
        return;
    }
    let names = columns.iter().map(|(name, _)| Cell::from(*name));
    let header = Row::new(names)
        .style(Style::new().add_modifier(Modifier::DIM))
        .top_margin(1);
    let rows = rows.map(|cells| Row::new(cells.into_iter().take(columns.len()).map(Cell::from)));
    let widths = columns.iter().map(|(_, width)| *width);
    frame.render_widget(Table::new(rows, widths).header(header).column_spacing(1), area);
}

fn cells<const N: usize>(told: [String; N]) -> [String; 8] {
    let mut told = told.into_iter();
    std::array::from_fn(|_| told.next().unwrap_or_default())
}

/// A part of a whole as a bar; what is known by it also stands in numbers beside it.
fn bar(part: u64, whole: u64) -> String {
    let eighths = if whole == 0 {
        0
    } else {
        (u128::from(part.min(whole)) * (BAR_WIDTH as u128 * 8) / u128::from(whole)) as usize
    };
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(['▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8 - 1]);
    }
    let filled = bar.chars().count();
    bar.extend(std::iter::repeat_n('·', BAR_WIDTH - filled));
    bar
}

fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.1} s", micros as f64 / 1e6),
        _ => format!("{}:{:02}", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

fn job_row(job: &JobRow, now_us: u64) -> [String; 8] {
    let state = match job.state {
        JobState::Running => "running",
        JobState::Succeeded => "finished",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    };
    let took = job
        .started_us
        .map(|start| job.ended_us.unwrap_or(now_us).saturating_sub(start));
    cells([
        plain(&job.name),
        state.into(),
        bar(job.done, job.total),
        format!("{} of {}", job.done, job.total),
        took.map(time).unwrap_or_default(),
    ])
}

fn layer_row(layer: &LayerRow) -> [String; 8] {
    let mut name = plain(&layer.name);
    if layer.failed > 0 {
        name.push_str(&format!(" ({} failed)", layer.failed));
    }
    let is_moving = layer.rate > 0.0 && layer.done < layer.total;
    cells([
        name,
        bar(layer.done, layer.total),
        format!("{} of {}", layer.done, layer.total),
        layer.running.to_string(),
        if is_moving {
            rate(layer.rate)
        } else {
            String::new()
        },
        layer
            .left_s
            .filter(|_| is_moving)
            .map(|left| time((left * 1e6) as u64))
            .unwrap_or_default(),
        if layer.done > 0 {
            time(layer.p50_us)
        } else {
            String::new()
        },
    ])
}

fn worker_row(worker: &WorkerRow) -> [String; 8] {
    let state = match worker.state {
        WorkerState::Ready => "ready",
        WorkerState::Retired => "left",
        WorkerState::Lost => "lost",
    };
    cells([
        plain(&worker.name),
        state.into(),
        format!("{} of {}", worker.running, worker.slots),
        bar(worker.memory, worker.budget),
        format!("{} of {}", bytes(worker.memory), bytes(worker.budget)),
        if worker.spilled > 0 {
            bytes(worker.spilled)
        } else {
            String::new()
        },
        if worker.fetch_rate >= 1.0 {
            format!("{}/s", bytes(worker.fetch_rate as u64))
        } else {
            String::new()
        },
        worker.done.to_string(),
    ])
}

fn failure_row(failure: &Failure, snapshot: &Snapshot) -> [String; 8] {
    let layer = snapshot.layers.iter().find(|layer| layer.k == failure.layer);
    let worker = snapshot.workers.iter().find(|worker| worker.k == failure.worker);
    let layer = layer.map_or_else(String::new, |layer| plain(&layer.name));
    cells([
        format!("{layer} [{}]", failure.block),
        worker.map_or_else(String::new, |worker| plain(&worker.name)),
        plain(&failure.message),
    ])
}

/// Names and errors are the users': what would move the cursor or colour the screen is shown as a sign.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::top::printed;

    fn snapshot() -> Snapshot {
        let text = r#"{"v":2,"kind":"snapshot","seq":1,"cluster":"graticule",
            "head":{"now_us":9000000,"total":1000,"done":250,"running":3,"failed":1,"recomputed":7,"rate":31.5,
                    "pulse":[0,1,5,9,4],"records":1,"dropped":0,"rejected":0,"sampled":0},
            "jobs":[{"k":1,"id":"1","name":"mean\u001b[31m","state":"running","started_us":1000000,"ended_us":null,
                     "layers":2,"total":1000,"done":250}],
            "layers":[{"k":1,"job":1,"layer":0,"name":"random","total":500,"done":500,"running":0,"queued":0,"failed":0,"errors":0,
                       "recomputed":7,"restarted":0,"chunk_bytes":8,"bytes":4000,"rate":0,"busy_us":1,"fetch_us":0,"p50_us":1500,
                       "p95_us":1,"max_us":1},
                      {"k":2,"job":1,"layer":1,"name":"add","total":500,"done":125,"running":3,"queued":2,"failed":1,"errors":1,
                       "recomputed":0,"restarted":0,"chunk_bytes":8,"bytes":4000,"rate":31.5,"left_s":12.5,"busy_us":1,"fetch_us":0,
                       "p50_us":900,"p95_us":1,"max_us":1}],
            "workers":[{"k":1,"id":"1","name":"b","address":"x","state":"ready","joined_us":0,"left_us":null,"slots":2,
                        "budget":1048576,"memory":524288,"spilled":2048,"transit":0,"running":2,"queued":1,"fetched":0,
                        "fetch_rate":1024.0,"cpu":0,"status_us":1,"done":100},
                       {"k":2,"id":"2","name":"a","address":"y","state":"lost","message":"killed","joined_us":0,"left_us":5,"slots":2,
                        "budget":1048576,"memory":0,"spilled":0,"transit":0,"running":0,"queued":0,"fetched":0,"fetch_rate":0,
                        "cpu":0,"status_us":1,"done":7}],
            "running":[],"failures":[{"layer":2,"block":3,"worker":1,"attempt":0,"at_us":5,"message":"division by\nzero"}],
            "stream":[]}"#;
        serde_json::from_str(text).unwrap()
    }

    fn lines(width: u16, height: u16) -> Vec<String> {
        let seen = Seen {
            snapshot: Some(Arc::new(snapshot())),
            ..Seen::default()
        };
        printed(&seen, (width, height))
    }

    fn has(lines: &[String], parts: &[&str]) -> bool {
        lines
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    }

    #[test]
    fn a_picture_tells_jobs_operations_workers_and_errors() {
        let lines = lines(130, 40);
        assert!(
            has(
                &lines,
                &["graticule", "1 worker", "3 of 2 slots", "512.0 KiB of 1.0 MiB"]
            ),
            "{lines:#?}"
        );
        assert!(
            has(
                &lines,
                &["250 of 1000 tasks", "32 a second", "1 failed", "7 made again"]
            ),
            "{lines:#?}"
        );
        assert!(
            has(
                &lines,
                &["mean\u{fffd}[31m", "running", "████", "250 of 1000", "8.0 s"]
            ),
            "{lines:#?}"
        );
        assert!(
            has(&lines, &["add (1 failed)", "125 of 500", "12.5 s", "900 us"]),
            "{lines:#?}"
        );
        assert!(
            has(&lines, &["b ", "ready", "2 of 2", "2.0 KiB", "1.0 KiB/s"]),
            "{lines:#?}"
        );
        assert!(has(&lines, &["add [3]", "division by\u{fffd}zero"]), "{lines:#?}");
        let place = |text: &str| lines.iter().position(|line| line.starts_with(text)).unwrap();
        assert!(place("add") < place("random"), "what is in work comes first");
        assert!(place("b ") < place("a "), "what is there comes first");
    }

    #[test]
    fn a_picture_fits_any_terminal() {
        for (width, height) in [(1, 1), (20, 5), (40, 12), (80, 24), (300, 100)] {
            let lines = lines(width, height);
            assert!(lines.len() <= usize::from(height));
        }
    }

    #[test]
    fn bars_are_as_full_as_what_they_show() {
        assert_eq!(bar(0, 0), "·".repeat(BAR_WIDTH));
        assert_eq!(bar(5, 5), "█".repeat(BAR_WIDTH));
        assert_eq!(bar(9, 5), "█".repeat(BAR_WIDTH));
        assert_eq!(bar(1, 128), format!("▏{}", "·".repeat(BAR_WIDTH - 1)));
        assert_eq!(
            bar(u64::MAX / 2, u64::MAX).chars().filter(|c| *c == '█').count(),
            BAR_WIDTH / 2 - 1
        );
    }
}
