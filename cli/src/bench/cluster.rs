//! How many small tasks a second go through a cluster of processes, and how long does one more take meanwhile?

use std::time::{Duration, Instant};

use anyhow::ensure;
use graticule_array::{Array, Chunks, LowerOptions, OutputMeta, Wanted, lower};
use graticule_client::{Client, LocalOptions, RunOptions};
use graticule_plan::{AxisWindow, DType, Input, InputMap, Output, Plan, PlanBuilder, Rows, Source};
use serde_json::json;

use super::{Report, against, peers, percentile};
use crate::processes::{Processes, processor_time};

/// Tasks a second aimed at.
const RATE_TARGET: f64 = 300_000.0;
/// Between two single tasks that are timed while the cluster is busy.
const PAUSE: Duration = Duration::from_millis(2);
/// Tasks of the peers for each that they are said to take a second.
const PEER_TASKS: u64 = 2_000;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Tasks of one job, written out one by one, each of which makes one number that comes here.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    tasks: u64,
    /// Worker processes of one slot.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..), value_name = "COUNT")]
    workers: u16,
    /// How often it is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    rounds: u32,
    #[command(flatten)]
    peers: peers::Args,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report {
        lines: Vec::new(),
        figures: json!({"task_count": args.tasks, "workers": args.workers}),
    };
    let embedded = Client::local_with(&LocalOptions {
        worker_count: args.workers.into(),
        slots: Some(1),
        ..LocalOptions::default()
    })
    .await?;
    let mut measured = measure(&embedded, args, None).await?;
    embedded.close().await;
    tell("embedded", &mut measured, &mut report);
    let processes = Processes::start(args.workers.into(), &["--slots", "1"]).await?;
    let remote = Client::connect(&processes.url).await?;
    let mut measured = measure(&remote, args, Some(&processes)).await?;
    drop(remote);
    drop(processes);
    tell("processes", &mut measured, &mut report);
    let (count, workers) = (PEER_TASKS.to_string(), args.workers.to_string());
    peers::measure(
        &args.peers,
        &["rate", &count, &workers],
        &mut report,
        |name, said| {
            let (rate, scheduler_us) = (said["tasks_per_second"].as_f64()?, said["scheduler_us"].as_f64()?);
            Some(format!(
                "{name}: {rate:.0} tasks a second of {count}, processes; {scheduler_us:.0} us a task in the scheduler's process"
            ))
        },
    )?;
    Ok(report)
}

#[derive(Default)]
struct Measured {
    /// Tasks a second, of each round.
    rates: Vec<f64>,
    /// Microseconds of single tasks meanwhile.
    single_us: Vec<f64>,
    /// Microseconds of processor time for a task: the client, the scheduler, the workers together.
    spent_us: Vec<[f64; 3]>,
}

fn tell(name: &str, measured: &mut Measured, report: &mut Report) {
    let rate = percentile(&mut measured.rates, 50.0);
    let (p50, p99) = (
        percentile(&mut measured.single_us, 50.0),
        percentile(&mut measured.single_us, 99.0),
    );
    report.lines.push(format!(
        "{name}: {rate:.0} tasks a second ({}), from the call to the last value here; a single task of another job \
         meanwhile: p50 {p50:.0} us, p99 {p99:.0} us",
        against(rate, RATE_TARGET)
    ));
    report.figures[name] = json!({"tasks_per_second": rate, "single_p50_us": p50, "single_p99_us": p99});
    if measured.spent_us.is_empty() {
        return;
    }
    let [client, scheduler, workers] = [0, 1, 2].map(|who| {
        percentile(
            &mut measured.spent_us.iter().map(|us| us[who]).collect::<Vec<_>>(),
            50.0,
        )
    });
    report.lines.push(format!(
        "{name}: processor time of a task: {client:.2} us in the client, {scheduler:.2} us in the scheduler, \
         {workers:.2} us in the workers"
    ));
    report.figures[name]["client_us"] = json!(client);
    report.figures[name]["scheduler_us"] = json!(scheduler);
    report.figures[name]["workers_us"] = json!(workers);
}

async fn measure(client: &Client, args: &Args, processes: Option<&Processes>) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let spent = || -> anyhow::Result<Option<[Duration; 3]>> { processes.map(spent).transpose() };
    for _ in 0..args.rounds {
        let (plan, outputs) = written_out(args.tasks)?;
        let (before, started) = (spent()?, Instant::now());
        let mut all = std::pin::pin!(finish_each(client, plan, outputs));
        loop {
            tokio::select! {
                done = &mut all => {
                    ensure!(done? == args.tasks, "some tasks gave no value");
                    break;
                }
                single = single(client) => measured.single_us.push(single?),
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        measured.rates.push(args.tasks as f64 / seconds);
        if let Some((before, after)) = before.zip(spent()?) {
            let us = |who: usize| (after[who] - before[who]).as_secs_f64() * 1e6 / args.tasks as f64;
            measured.spent_us.push([us(0), us(1), us(2)]);
        }
    }
    if measured.single_us.is_empty() {
        measured.single_us.push(single(client).await?);
    }
    Ok(measured)
}

/// Processor time of this process, the scheduler's, and all workers'.
fn spent(processes: &Processes) -> anyhow::Result<[Duration; 3]> {
    let workers = processes.worker_pids().into_iter().map(processor_time);
    Ok([
        processor_time(std::process::id())?,
        processor_time(processes.scheduler_pid())?,
        workers.sum::<anyhow::Result<Duration>>()?,
    ])
}

/// Tasks that make a number each, and what each needs (but for the first, nothing) in a row of its own.
fn written_out(tasks: u64) -> anyhow::Result<(Plan, Vec<OutputMeta>)> {
    let one = Array::ones(&[1], &[Chunks::Size(1)], DType::Int64)?;
    let many = Array::ones(&[tasks], &[Chunks::Size(1)], DType::Int64)?;
    let start = lower(&[(&one, Wanted::Deliver)], &LowerOptions::default())?;
    let wide = lower(&[(&many, Wanted::Deliver)], &LowerOptions::default())?;
    let (mut builder, mut outputs) = (PlanBuilder::new(), wide.outputs);
    let first = builder.layer(start.plan.layers()[0].clone())?;
    let mut layer = wide.plan.layers()[0].clone();
    let rows = (0..tasks).map(|task| if task == 0 { vec![0] } else { Vec::new() });
    layer.inputs.push(Input {
        source: Source::Layer(first),
        map: InputMap::Product(vec![AxisWindow::Rows {
            out_axis: 0,
            rows: Rows::new(rows),
        }]),
    });
    outputs[0].layer = builder.layer(layer)?;
    builder.output(Output {
        layer: outputs[0].layer,
        keep: None,
    })?;
    Ok((builder.finish(), outputs))
}

/// Runs a plan whose values come here one by one; returns how many did.
async fn finish_each(client: &Client, plan: Plan, outputs: Vec<OutputMeta>) -> anyhow::Result<u64> {
    let mut job = client.submit_plan(plan, outputs, &RunOptions::default()).await?;
    let mut count = 0;
    while let Some(block) = job.next_block().await? {
        ensure!(
            block.tensor.as_slice::<i64>() == Some(&[1][..]),
            "a task gave another value"
        );
        count += 1;
    }
    Ok(count)
}

/// Microseconds of one task, after a pause.
async fn single(client: &Client) -> anyhow::Result<f64> {
    tokio::time::sleep(PAUSE).await;
    let started = Instant::now();
    let x = Array::from_slice(&[1], &[Chunks::Whole], &[1.0])?;
    client.compute(&x).await?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}
