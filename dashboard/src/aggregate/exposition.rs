//! The counts as Prometheus reads them: its text format, units without prefixes (seconds, bytes), labels of which there
//! are never more than [`METERED_OPERATION_COUNT_MAX`](super::METERED_OPERATION_COUNT_MAX) operations and
//! [`WORKER_COUNT_MAX`](super::WORKER_COUNT_MAX) workers.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write},
    sync::Arc,
};

use super::{
    Activity, Aggregator,
    frame::WorkerRow,
    meters::{DURATION_BUCKETS_US, ENDS, Operation},
};

/// Figures that only whoever serves the page knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerFigures {
    /// Observations that the feed could not take.
    pub dropped: u64,
    /// Who looks at the page now.
    pub viewers: usize,
}

/// A page of figures that grows.
struct Page {
    text: String,
}

impl Page {
    /// Begins a family of figures of one name.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (at, (label, content)) in labels.iter().enumerate() {
            let begin = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{begin}{label}=\"{}\"", escaped(content));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.value(name, &[], value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

impl Aggregator {
    /// All figures at `now_us`, in Prometheus' text format 0.0.4.
    pub fn metrics(&self, now_us: u64, server: ServerFigures) -> String {
        let mut page = Page { text: String::new() };
        self.write_jobs(&mut page);
        self.write_operations(&mut page);
        self.write_workers(&mut page);
        page.one(
            "graticule_uptime_seconds",
            "gauge",
            "Time since the cluster started.",
            seconds(now_us),
        );
        let help = "Observations of the scheduler that were counted.";
        page.one("graticule_observations_total", "counter", help, self.record_count);
        let help = "Observations that were dropped because they came too fast.";
        page.one(
            "graticule_observations_dropped_total",
            "counter",
            help,
            server.dropped,
        );
        let help = "Who looks at the dashboard now.";
        page.one("graticule_dashboard_viewers", "gauge", help, server.viewers);
        page.text
    }

    fn write_jobs(&self, page: &mut Page) {
        let help = "Jobs that were taken in.";
        page.one(
            "graticule_jobs_started_total",
            "counter",
            help,
            self.meters.jobs_started,
        );
        let name = "graticule_jobs_ended_total";
        page.family(name, "counter", "Jobs that are over, by how they ended.");
        for ((_, outcome), count) in ENDS.iter().zip(self.meters.jobs_ended) {
            page.value(name, &[("outcome", outcome)], count);
        }
        let running = self
            .jobs
            .values()
            .filter(|job| job.started_us().is_some() && !job.is_ended());
        page.one(
            "graticule_jobs_running",
            "gauge",
            "Jobs that run.",
            running.clone().count(),
        );
        let left: u64 = running
            .map(|job| job.totals())
            .map(|(total, done)| total.saturating_sub(done))
            .sum();
        page.one(
            "graticule_tasks_remaining",
            "gauge",
            "Tasks of running jobs that are not finished.",
            left,
        );
    }

    fn write_operations(&self, page: &mut Page) {
        type Figure = fn(&Operation) -> f64;
        let counters: [(&str, &str, Figure); 5] = [
            (
                "graticule_tasks_finished_total",
                "Tasks that made their chunk.",
                |it| it.finished as f64,
            ),
            (
                "graticule_tasks_failed_total",
                "Attempts at tasks that ended in an error.",
                |it| it.failed as f64,
            ),
            (
                "graticule_tasks_recomputed_total",
                "Tasks that were finished again, after their chunk was lost.",
                |it| it.recomputed as f64,
            ),
            (
                "graticule_task_output_bytes_total",
                "Bytes of the chunks that tasks made.",
                |it| it.bytes as f64,
            ),
            (
                "graticule_task_fetch_seconds_total",
                "How long tasks waited for their inputs.",
                |it| seconds(it.fetch_us),
            ),
        ];
        for (name, help, figure) in counters {
            page.family(name, "counter", help);
            for (operation, counts) in &self.meters.operations {
                page.value(name, &[("operation", operation)], figure(counts));
            }
        }
        let name = "graticule_task_duration_seconds";
        page.family(name, "histogram", "How long tasks held a slot.");
        for (operation, counts) in &self.meters.operations {
            let mut sum = 0;
            let ends = DURATION_BUCKETS_US.iter().map(|end| seconds(*end).to_string());
            for (end, count) in ends.chain(["+Inf".to_owned()]).zip(counts.durations) {
                sum += count;
                page.value(
                    &format!("{name}_bucket"),
                    &[("operation", operation), ("le", &end)],
                    sum,
                );
            }
            page.value(
                &format!("{name}_sum"),
                &[("operation", operation)],
                seconds(counts.busy_us),
            );
            page.value(&format!("{name}_count"), &[("operation", operation)], sum);
        }
    }

    fn write_workers(&self, page: &mut Page) {
        let activity = Activity::of(self);
        let here = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.left_us().is_none());
        let mut names = BTreeSet::new();
        let rows: Vec<(Arc<str>, WorkerRow)> = here
            .map(|(id, worker)| {
                let row = worker.row(activity.of_worker(*id));
                let is_first = names.insert(row.name.clone());
                let name = if is_first {
                    row.name.clone()
                } else {
                    format!("{} ({})", row.name, row.k).into()
                };
                (name, row)
            })
            .collect();
        page.one(
            "graticule_workers",
            "gauge",
            "Workers that are there.",
            rows.len(),
        );
        let help = "Workers that came.";
        page.one(
            "graticule_workers_joined_total",
            "counter",
            help,
            self.meters.workers_joined,
        );
        let help = "Workers that vanished without taking leave.";
        page.one(
            "graticule_workers_lost_total",
            "counter",
            help,
            self.meters.workers_lost,
        );
        let mut family = |name: &str, help: &str, figures: fn(&WorkerRow) -> Vec<(&'static str, f64)>| {
            page.family(
                name,
                if name.ends_with("_total") {
                    "counter"
                } else {
                    "gauge"
                },
                help,
            );
            for (worker, row) in &rows {
                for (state, value) in figures(row) {
                    match state {
                        "" => page.value(name, &[("worker", worker)], value),
                        _ => page.value(name, &[("worker", worker), ("state", state)], value),
                    }
                }
            }
        };
        family(
            "graticule_worker_memory_bytes",
            "Bytes of chunks: in memory, on disk, on their way.",
            |row| {
                let (managed, spilled, transit) = (row.memory, row.spilled, row.transit);
                vec![
                    ("managed", managed as f64),
                    ("spilled", spilled as f64),
                    ("transit", transit as f64),
                ]
            },
        );
        family(
            "graticule_worker_memory_limit_bytes",
            "What a worker may hold in memory.",
            |row| vec![("", row.budget as f64)],
        );
        family(
            "graticule_worker_slots",
            "Tasks that a worker computes at once.",
            |row| vec![("", f64::from(row.slots))],
        );
        family("graticule_worker_tasks", "Tasks that a worker has.", |row| {
            vec![
                ("running", f64::from(row.running)),
                ("queued", f64::from(row.queued)),
            ]
        });
    }
}
