//! How soon is an embedded cluster ready, and what does one small task cost there and over loopback?

use std::time::Instant;

use anyhow::bail;
use graticule_array::{Array, Chunks};
use graticule_client::Client;
use serde_json::json;

use super::{Report, against, peers, percentile};
use crate::processes::Processes;

/// Milliseconds, microseconds and microseconds aimed at.
const READY_TARGET_MS: f64 = 20.0;
const EMBEDDED_TARGET_US: f64 = 300.0;
const GRPC_TARGET_US: f64 = 400.0;
/// Tasks of the peers, one after another.
const PEER_TASKS: u32 = 300;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Tasks, one after another.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    tasks: u32,
    /// Embedded clusters started, one after another.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    starts: u32,
    #[command(flatten)]
    peers: peers::Args,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Report> {
    let mut ready_ms = Vec::new();
    for _ in 0..args.starts {
        let started = Instant::now();
        let client = Client::local().await?;
        while client.info().await?.workers.is_empty() {
            tokio::task::yield_now().await;
        }
        ready_ms.push(started.elapsed().as_secs_f64() * 1e3);
        client.close().await;
    }
    let embedded = Client::local().await?;
    let mut embedded_us = tasks(&embedded, args.tasks).await?;
    embedded.close().await;
    let processes = Processes::start(1, &[]).await?;
    let remote = Client::connect(&processes.url).await?;
    let mut grpc_us = tasks(&remote, args.tasks).await?;
    drop(remote);
    drop(processes);
    let mut report = report(&mut ready_ms, &mut embedded_us, &mut grpc_us);
    let count = PEER_TASKS.to_string();
    peers::measure(&args.peers, &["latency", &count], &mut report, |name, said| {
        let (p50, p99) = (said["p50_us"].as_f64()?, said["p99_us"].as_f64()?);
        Some(format!(
            "one task, {name}, processes: p50 {p50:.0} us, p99 {p99:.0} us"
        ))
    })?;
    Ok(report)
}

fn report(ready_ms: &mut [f64], embedded_us: &mut [f64], grpc_us: &mut [f64]) -> Report {
    let ready = percentile(ready_ms, 50.0);
    let mut figures = json!({"ready_p50_ms": ready, "ready_max_ms": percentile(ready_ms, 100.0)});
    let mut lines = vec![format!(
        "embedded cluster ready: {ready:.2} ms ({}), slowest {:.2} ms",
        against(ready, READY_TARGET_MS),
        percentile(ready_ms, 100.0)
    )];
    for (name, samples, target) in [
        ("embedded", embedded_us, EMBEDDED_TARGET_US),
        ("grpc", grpc_us, GRPC_TARGET_US),
    ] {
        let (p50, p99) = (percentile(samples, 50.0), percentile(samples, 99.0));
        lines.push(format!(
            "one task, {name}: p50 {p50:.0} us ({}), p99 {p99:.0} us",
            against(p50, target)
        ));
        figures[format!("{name}_p50_us")] = json!(p50);
        figures[format!("{name}_p99_us")] = json!(p99);
    }
    Report { lines, figures }
}

/// Microseconds that each of so many one-task results took, from the expression to the tensor.
async fn tasks(client: &Client, count: u32) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::new();
    for number in 0..count + count / 10 {
        let started = Instant::now();
        let x = Array::from_slice(&[4], &[Chunks::Whole], &[1.0, 2.0, 3.0, f64::from(number)])?;
        let sum = client.compute(&x.add(1.0)?).await?;
        let took = started.elapsed();
        if sum.as_slice::<f64>().and_then(|s| s.last().copied()) != Some(f64::from(number) + 1.0) {
            bail!("the cluster cannot add: {sum:?}");
        }
        // The first tenth warms up.
        if number >= count / 10 {
            samples.push(took.as_secs_f64() * 1e6);
        }
    }
    Ok(samples)
}
