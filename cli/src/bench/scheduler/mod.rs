//! What does the scheduler's engine take for a task, in time and memory?

pub(super) mod drive;
pub(super) mod shapes;

use std::time::Instant;

use serde_json::json;

use self::{drive::Cluster, shapes::Shape};
use super::{Report, against};
use crate::allocated;

/// Microseconds aimed at for a task of a graph that is written out, and of one that is symbolic.
const EXPLICIT_TARGET_US: f64 = 1.0;
const SYMBOLIC_TARGET_US: f64 = 0.4;
/// Bytes aimed at for a live task, and for a held chunk.
const BYTES_TARGET: f64 = 64.0;
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
}

pub(super) fn run(args: &Args) -> anyhow::Result<Report> {
    let started = Instant::now();
    let now_ns = || started.elapsed().as_nanos() as u64;
    let plan = args.shape.plan(args.tasks)?;
    let tasks = plan.task_count();
    let cluster = Cluster {
        workers: args.workers,
        slots: args.slots,
        budget_bytes: 1 << 40,
        batch: 1000,
        stop_after: args.stop_after,
    };
    let measured = drive::run(plan, cluster, now_ns, allocated::bytes)?;
    let per_task = |ns: u64| ns as f64 / 1e3 / measured.tasks as f64;
    let engine_us = per_task(measured.engine_ns);
    let target = match args.shape {
        Shape::ElementwiseReduce => SYMBOLIC_TARGET_US,
        _ => EXPLICIT_TARGET_US,
    };
    let mut lines = vec![
        format!(
            "{} of {tasks} tasks, {} workers of {} slots: {engine_us:.3} us a task in the engine ({}), {:.3} us with the \
             workers' part; first lease after {:.1} ms",
            measured.tasks,
            args.workers,
            args.slots,
            against(engine_us, target),
            per_task(measured.total_ns),
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
    let mut figures = json!({
        "task_count": tasks,
        "engine_us": engine_us,
        "total_us": per_task(measured.total_ns),
        "first_lease_ms": measured.first_lease_ns as f64 / 1e6,
        "bytes_max": measured.bytes_max,
        "live_task_bytes": measured.live_task_bytes,
        "held_chunk_bytes": measured.held_chunk_bytes,
    });
    if args.shape == Shape::Random {
        let bare_us = shapes::bare_loop_ns(&args.shape.rows(args.tasks), now_ns) / 1e3;
        lines.push(format!(
            "a bare loop over ready tasks takes {bare_us:.3} us a task on this graph: {:.1} times that ({})",
            engine_us / bare_us,
            against(engine_us / bare_us, BARE_TARGET),
        ));
        figures["bare_us"] = json!(bare_us);
    }
    Ok(Report { lines, figures })
}
