//! How many small tasks a second go through a cluster of processes, and how long does one more take meanwhile?

use std::time::{Duration, Instant};

use graticule_array::{Array, Chunks};
use graticule_client::{Client, LocalOptions};
use graticule_plan::DType;
use serde_json::json;

use super::{Report, against, percentile};
use crate::processes::Processes;

/// Tasks a second aimed at.
const RATE_TARGET: f64 = 300_000.0;
/// Between two single tasks that are timed while the cluster is busy.
const PAUSE: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Tasks of one job, each of which makes one number that the cluster keeps.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    tasks: u64,
    /// Worker processes of one slot.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..), value_name = "COUNT")]
    workers: u16,
    /// How often it is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    rounds: u32,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Report> {
    let mut lines = Vec::new();
    let mut figures = json!({"task_count": args.tasks, "workers": args.workers});
    let embedded = Client::local_with(&LocalOptions {
        worker_count: args.workers.into(),
        slots: Some(1),
        ..LocalOptions::default()
    })
    .await?;
    let mut measured = measure(&embedded, args).await?;
    embedded.close().await;
    tell("embedded", &mut measured, &mut lines, &mut figures);
    let processes = Processes::start(args.workers.into(), &["--slots", "1"]).await?;
    let remote = Client::connect(&processes.url).await?;
    let mut measured = measure(&remote, args).await?;
    drop(processes);
    tell("processes", &mut measured, &mut lines, &mut figures);
    Ok(Report { lines, figures })
}

struct Measured {
    /// Tasks a second, of each round.
    rates: Vec<f64>,
    /// Microseconds of single tasks meanwhile.
    single_us: Vec<f64>,
}

fn tell(name: &str, measured: &mut Measured, lines: &mut Vec<String>, figures: &mut serde_json::Value) {
    let rate = percentile(&mut measured.rates, 50.0);
    let (p50, p99) = (
        percentile(&mut measured.single_us, 50.0),
        percentile(&mut measured.single_us, 99.0),
    );
    lines.push(format!(
        "{name}: {rate:.0} tasks a second ({}), from the call to the last finish; a single task of another job \
         meanwhile: p50 {p50:.0} us, p99 {p99:.0} us",
        against(rate, RATE_TARGET)
    ));
    figures[name] = json!({"tasks_per_second": rate, "single_p50_us": p50, "single_p99_us": p99});
}

async fn measure(client: &Client, args: &Args) -> anyhow::Result<Measured> {
    let mut measured = Measured {
        rates: Vec::new(),
        single_us: Vec::new(),
    };
    for _ in 0..args.rounds {
        let started = Instant::now();
        let many = Array::ones(&[args.tasks], &[Chunks::Size(1)], DType::Int64)?;
        let kept = client.persist(&many).await?;
        let mut all = std::pin::pin!(kept.wait());
        loop {
            tokio::select! {
                done = &mut all => {
                    done?;
                    break;
                }
                single = single(client) => measured.single_us.push(single?),
            }
        }
        measured
            .rates
            .push(args.tasks as f64 / started.elapsed().as_secs_f64());
    }
    if measured.single_us.is_empty() {
        measured.single_us.push(single(client).await?);
    }
    Ok(measured)
}

/// Microseconds of one task, after a pause.
async fn single(client: &Client) -> anyhow::Result<f64> {
    tokio::time::sleep(PAUSE).await;
    let started = Instant::now();
    let x = Array::from_slice(&[1], &[Chunks::Whole], &[1.0])?;
    client.compute(&x).await?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}
