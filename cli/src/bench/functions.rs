//! How many calls of a tiny function a second, submitted and gathered one by one, and what does one call take alone?

use std::{fs, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, ensure};
use graticule_client::{Client, LocalOptions, Registry, Value};
use serde_json::json;

use super::{Report, against, percentile};
use crate::processes::Processes;

/// Microseconds of a round trip aimed at.
const ROUND_TRIP_TARGET_US: f64 = 400.0;
const PEERS: &str = include_str!("../../../benches/functions_peers.py");
/// What the workers call.
const FUNCTION: &str = "increment";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Calls, each of another argument and with a future of its own.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    calls: u32,
    /// Calls of the peer, which takes longer for each.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    peer_calls: u32,
    /// Calls made one after the other.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    round_trips: u32,
    /// How often it is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    rounds: u32,
    /// A Python with dask.distributed; without one the peer is left out.
    #[arg(long, env = "GRATICULE_PYTHON", value_name = "FILE")]
    python: Option<PathBuf>,
}

/// The function that is measured, for the workers' registry.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.quick_function(FUNCTION, |inputs| {
        let number = inputs.first().and_then(Value::number::<i64>);
        Ok(Value::from(number.ok_or("a number is expected")? + 1))
    });
    registry
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report {
        lines: Vec::new(),
        figures: json!({"calls": args.calls, "rounds": args.rounds}),
    };
    let embedded = Client::local_with(&LocalOptions {
        worker_count: 2,
        slots: Some(1),
        functions: registry(),
        ..LocalOptions::default()
    })
    .await?;
    let measured = measure(&embedded, args).await?;
    embedded.close().await;
    let ours = tell("embedded", measured, &mut report);
    let processes = Processes::start(2, &["--slots", "1", "--bench-functions"]).await?;
    let remote = Client::connect(&processes.url).await?;
    let measured = measure(&remote, args).await?;
    drop(processes);
    let behind_sockets = tell("processes", measured, &mut report);
    if let Some(python) = &args.python {
        let peer = peer(python, args)?;
        let (rate, us) = (peer.0, peer.1);
        report.lines.push(format!(
            "dask.distributed, two worker processes: {rate:.0} calls a second ({} calls), a round trip p50 {us:.0} us; \
             Graticule embedded {:.0} times, with processes {:.0} times as many",
            args.peer_calls,
            ours / rate,
            behind_sockets / rate
        ));
        report.figures["dask_distributed"] = json!({"calls_per_second": rate, "round_trip_p50_us": us});
    }
    Ok(report)
}

struct Measured {
    /// Calls a second, of each round.
    rates: Vec<f64>,
    round_trip_us: Vec<f64>,
}

fn tell(name: &str, mut measured: Measured, report: &mut Report) -> f64 {
    let rate = percentile(&mut measured.rates, 50.0);
    let us = &mut measured.round_trip_us;
    let (p50, p99) = (percentile(us, 50.0), percentile(us, 99.0));
    report.lines.push(format!(
        "{name}: {rate:.0} calls a second, submitted, run and gathered; a round trip p50 {p50:.0} us ({}), p99 \
         {p99:.0} us",
        against(p50, ROUND_TRIP_TARGET_US)
    ));
    report.figures[name] =
        json!({"calls_per_second": rate, "round_trip_p50_us": p50, "round_trip_p99_us": p99});
    rate
}

async fn measure(client: &Client, args: &Args) -> anyhow::Result<Measured> {
    let mut measured = Measured {
        rates: Vec::new(),
        round_trip_us: Vec::new(),
    };
    for number in 0..i64::from(args.round_trips) {
        let started = Instant::now();
        let value = client.submit(FUNCTION, [number])?.result().await?;
        measured.round_trip_us.push(started.elapsed().as_secs_f64() * 1e6);
        ensure!(
            value.number() == Some(number + 1),
            "the cluster cannot add: {value:?}"
        );
    }
    for _ in 0..args.rounds {
        let started = Instant::now();
        let futures = client.map(FUNCTION, 0..i64::from(args.calls))?;
        let values = client.gather(&futures).await?;
        measured
            .rates
            .push(f64::from(args.calls) / started.elapsed().as_secs_f64());
        let is_right = values
            .iter()
            .zip(1_i64..)
            .all(|(value, want)| value.number() == Some(want));
        ensure!(is_right, "the cluster cannot add");
    }
    Ok(measured)
}

/// Calls a second and the microseconds of a round trip of the peer.
fn peer(python: &PathBuf, args: &Args) -> anyhow::Result<(f64, f64)> {
    let script = std::env::temp_dir().join(format!("graticule-functions-peers-{}.py", std::process::id()));
    fs::write(&script, PEERS).with_context(|| format!("cannot write {}", script.display()))?;
    let output = Command::new(python)
        .arg(&script)
        .args([args.peer_calls.to_string(), args.rounds.to_string()])
        .output();
    // What is left of it lies among temporary files.
    let _ = fs::remove_file(&script);
    let output = output.with_context(|| format!("cannot run {}", python.display()))?;
    ensure!(
        output.status.success(),
        "the peer failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).context("the peer said no JSON")?;
    let figure = |name: &str| {
        said[name]
            .as_f64()
            .with_context(|| format!("the peer did not say its {name}"))
    };
    Ok((figure("calls_per_second")?, figure("round_trip_p50_us")?))
}
