//! How busy are the slots of a very large cluster, if the scheduler's engine takes the time that it takes?

mod simulate;

use std::time::Instant;

use serde_json::json;

use self::simulate::Cluster;
use super::{Report, against, scheduler::shapes::Shape};

/// The share of the slots' time aimed at.
const BUSY_TARGET: f64 = 0.95;
/// Tasks for each slot, unless it is said how many.
const TASKS_PER_SLOT: u64 = 20;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Workers, all of them simulated.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    workers: u64,
    /// Slots of each.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024), value_name = "COUNT")]
    slots: u32,
    /// Milliseconds that each task takes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), value_name = "MS")]
    task_ms: u64,
    /// Tasks, about; twenty for each slot unless said otherwise.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..), value_name = "COUNT")]
    tasks: Option<u64>,
    /// Microseconds that a message is under way.
    #[arg(long, default_value_t = 200, value_name = "US")]
    latency_us: u64,
    /// The graph's form.
    #[arg(long, value_enum, default_value = "elementwise-reduce")]
    shape: Shape,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Report> {
    let cluster = Cluster {
        workers: args.workers,
        slots: args.slots,
        task_ns: args.task_ms * 1_000_000,
        latency_ns: args.latency_us * 1000,
    };
    let tasks = args.tasks.unwrap_or(cluster.slot_count() * TASKS_PER_SLOT);
    let started = Instant::now();
    let now_ns = || started.elapsed().as_nanos() as u64;
    let measured = simulate::run(args.shape.plan(tasks)?, cluster, now_ns)?;
    let busy = measured.busy_share();
    let rate = measured.tasks_per_second();
    let needed = cluster.slot_count() as f64 * 1e9 / cluster.task_ns as f64;
    let (engine_us, engine_busy) = (measured.engine_us(), measured.engine_share());
    let lines = vec![
        format!(
            "{} workers of {} slots, tasks of {} ms: {:.1} % of the slots are busy ({}), {rate:.0} tasks a second of \
             {needed:.0} that would fill them",
            args.workers,
            args.slots,
            args.task_ms,
            busy * 100.0,
            against(busy, BUSY_TARGET),
        ),
        format!(
            "the engine takes {engine_us:.3} us a task and works {:.1} % of the time, in {} calls; {:.1} tasks are leased together on the average; all between the end of a \
             first round of tasks and the lease of the last, {:.2} s",
            engine_busy * 100.0,
            measured.calls,
            measured.tasks_of_run(),
            measured.window_ns as f64 / 1e9,
        ),
    ];
    let figures = json!({
        "workers": args.workers,
        "slots": args.slots,
        "task_ms": args.task_ms,
        "latency_us": args.latency_us,
        "busy_share": busy,
        "tasks_per_second": rate,
        "engine_us": engine_us,
        "engine_share": engine_busy,
        "engine_calls": measured.calls,
        "tasks_of_run": measured.tasks_of_run(),
        "window_seconds": measured.window_ns as f64 / 1e9,
    });
    Ok(Report { lines, figures })
}
