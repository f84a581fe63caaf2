//! What does the scheduler's engine take for a task, in time and memory?

pub(super) mod drive;
pub(super) mod shapes;

use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;
use graticule_engine::RUN_BLOCKS_MAX;
use serde_json::json;

use self::{
    drive::{Cluster, Measured},
    shapes::Shape,
};
use super::{Report, against, peers};
use crate::allocated;

/// Microseconds aimed at for a task of a graph that is written out, and of one that is symbolic: where neighbours are
/// leased together, and where each block is leased alone.
const EXPLICIT_TARGET_US: f64 = 1.0;
const TOGETHER_TARGET_US: f64 = 0.05;
const ALONE_TARGET_US: f64 = 0.4;
/// Bytes aimed at for a live task, and for a held chunk.
const BYTES_TARGET: f64 = 64.0;
/// Tasks and workers of the peers: of more tasks they take as long for each, or longer.
const PEER_TASKS: &str = "10000";
const PEER_WORKERS: &str = "2";
/// How many times as long as a bare loop over ready tasks it may take on a random graph.
const BARE_TARGET: f64 = 3.0;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The graph's form.
    #[arg(long, value_enum, default_value = "tree")]
    shape: Shape,
    /// Tasks, about.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(2..), value_name = "COUNT")]
    tasks: u64,
    /// Workers, which do nothing but report.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    workers: u64,
    /// Slots of each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024), value_name = "COUNT")]
    slots: u32,
    /// Break off after so many tasks: of very many, the first tell enough.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "COUNT")]
    stop_after: u64,
    #[command(flatten)]
    peers: peers::Args,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Report> {
    let started = Instant::now();
    let now_ns = || started.elapsed().as_nanos() as u64;
    let mut report = Report {
        lines: Vec::new(),
        figures: json!({}),
    };
    for lease in args.shape.leases() {
        let plan = args.shape.plan(args.tasks)?;
        let tasks = plan.task_count();
        let cluster = Cluster {
            workers: args.workers,
            slots: args.slots,
            budget_bytes: 1 << 40,
            batch: 1000,
            stop_after: args.stop_after,
            lease_blocks_max: lease.blocks_max,
        };
        let measured = drive::run(plan, cluster, now_ns, allocated::bytes)?;
        report.lines.extend(lines(args, tasks, lease, &measured));
        report.figures[lease.key] = figures(tasks, &measured);
    }
    if args.shape == Shape::Random {
        let bare_us = shapes::bare_loop_ns(&args.shape.rows(args.tasks), now_ns) / 1e3;
        let engine_us = report.figures["explicit"]["engine_us"]
            .as_f64()
            .unwrap_or(f64::NAN);
        report.lines.push(format!(
            "a bare loop over ready tasks takes {bare_us:.3} us a task on this graph: {:.1} times that ({})",
            engine_us / bare_us,
            against(engine_us / bare_us, BARE_TARGET),
        ));
        report.figures["bare_us"] = json!(bare_us);
    }
    measure_peers(args, &mut report)?;
    Ok(report)
}

/// How tasks are leased in a run, and what is aimed at.
#[derive(Debug, Clone, Copy)]
struct Leases {
    key: &'static str,
    text: &'static str,
    blocks_max: u64,
    target_us: f64,
}

impl Shape {
    fn leases(self) -> Vec<Leases> {
        match self {
            Shape::ElementwiseReduce => vec![
                Leases {
                    key: "together",
                    text: "neighbouring blocks leased together",
                    blocks_max: RUN_BLOCKS_MAX,
                    target_us: TOGETHER_TARGET_US,
                },
                Leases {
                    key: "alone",
                    text: "each block leased alone",
                    blocks_max: 1,
                    target_us: ALONE_TARGET_US,
                },
            ],
            Shape::Merge | Shape::Tree | Shape::Stencil | Shape::Random => vec![Leases {
                key: "explicit",
                text: "written out edge by edge",
                blocks_max: RUN_BLOCKS_MAX,
                target_us: EXPLICIT_TARGET_US,
            }],
        }
    }
}

impl Measured {
    fn engine_us(&self) -> f64 {
        self.engine_ns as f64 / 1e3 / self.tasks as f64
    }

    fn total_us(&self) -> f64 {
        self.total_ns as f64 / 1e3 / self.tasks as f64
    }
}

fn lines(args: &Args, tasks: u64, lease: Leases, measured: &Measured) -> Vec<String> {
    let engine_us = measured.engine_us();
    let mut lines = vec![
        format!(
            "{} of {tasks} tasks, {}, {} workers of {} slots: {engine_us:.3} us a task in the engine ({}), {:.3} us with \
             the workers' part; first lease after {:.1} ms",
            measured.tasks,
            lease.text,
            args.workers,
            args.slots,
            against(engine_us, lease.target_us),
            measured.total_us(),
            measured.first_lease_ns as f64 / 1e6,
        ),
        format!(
            "{} calls, {} leases, {} observations; at most {:.1} MiB, the plan's tables included",
            measured.calls,
            measured.leases,
            measured.observations,
            measured.bytes_max as f64 / f64::from(1 << 20),
        ),
    ];
    for (bytes, what) in [
        (measured.live_task_bytes, "a live task"),
        (measured.held_chunk_bytes, "a held chunk"),
    ] {
        if let Some(bytes) = bytes {
            lines.push(format!(
                "{bytes:.1} bytes {what} ({})",
                against(bytes, BYTES_TARGET)
            ));
        }
    }
    lines
}

fn figures(tasks: u64, measured: &Measured) -> serde_json::Value {
    json!({
        "task_count": tasks,
        "engine_us": measured.engine_us(),
        "total_us": measured.total_us(),
        "first_lease_ms": measured.first_lease_ns as f64 / 1e6,
        "bytes_max": measured.bytes_max,
        "live_task_bytes": measured.live_task_bytes,
        "held_chunk_bytes": measured.held_chunk_bytes,
    })
}

/// Of the peers only whole processes can be measured: what the scheduler's takes for a task, its connections included.
fn measure_peers(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let shape = args.shape.to_possible_value().context("each shape has a name")?;
    let words = ["graph", shape.get_name(), PEER_TASKS, PEER_WORKERS];
    peers::measure(&args.peers, &words, report, |name, said| {
        let (us, rate) = (said["scheduler_us"].as_f64()?, said["tasks_per_second"].as_f64()?);
        Some(format!(
            "{name}, the same graph of {PEER_TASKS} tasks, {PEER_WORKERS} worker processes: {us:.0} us a task of processor \
             time in the scheduler's process; {rate:.0} tasks a second"
        ))
    })
}
