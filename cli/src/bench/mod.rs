//! `graticule bench`: what this build does on this machine.

mod arrays;
mod cluster;
pub(crate) mod functions;
mod latency;
mod median;
mod occupancy;
mod peers;
mod plan;
mod scheduler;
mod transfer;
mod viewers;

use std::process::ExitCode;

use serde_json::Value;

use crate::terminal;

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    bench: Bench,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Bench {
    /// How many small tasks a second go through a cluster of processes.
    Cluster(cluster::Args),
    /// How many calls of a tiny function a second, beside dask.distributed, and how long one takes alone.
    Functions(functions::Args),
    /// How soon an embedded cluster is ready, and how long one small task takes.
    Latency(latency::Args),
    /// A median over time of a Zarr stack, beside Dask and the least that this host needs for it.
    Median(median::Args),
    /// How many slots of a very large cluster are busy if the scheduler's engine takes the time that it takes.
    Occupancy(occupancy::Args),
    /// Array programs, beside Dask and others, and the least that this host needs for them.
    Peers(arrays::Args),
    /// The process that runs one of them.
    #[command(hide = true)]
    PeersProgram(arrays::ProgramArgs),
    /// How long it takes to build, rewrite and encode an expression, whatever its number of chunks.
    Plan(plan::Args),
    /// What the scheduler's engine takes for a task, with workers that do nothing.
    Scheduler(scheduler::Args),
    /// How fast bytes go from one process to another, beside raw TCP and a copy in memory.
    Transfer(transfer::Args),
    /// The process from which `transfer` fetches.
    #[command(hide = true)]
    TransferStore(transfer::StoreArgs),
    /// What viewers of the dashboard cost the scheduler, with workers that do nothing.
    Viewers(viewers::Args),
    /// The process of those viewers.
    #[command(hide = true)]
    ViewersWatch(viewers::WatchArgs),
}

/// Figures of one question, as a person and as a program want them.
#[derive(Debug)]
struct Report {
    lines: Vec<String>,
    figures: Value,
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let report = match args.bench {
        Bench::Cluster(args) => cluster::run(&args).await?,
        Bench::Functions(args) => functions::run(&args).await?,
        Bench::Latency(args) => latency::run(&args).await?,
        Bench::Median(args) => median::run(&args).await?,
        Bench::Occupancy(args) => occupancy::run(&args)?,
        Bench::Peers(args) => arrays::run(&args).await?,
        Bench::PeersProgram(args) => return arrays::run_program(&args).await,
        Bench::Plan(args) => plan::run(&args)?,
        Bench::Scheduler(args) => scheduler::run(&args)?,
        Bench::Transfer(args) => transfer::run(&args).await?,
        Bench::TransferStore(args) => return transfer::serve(&args).await,
        Bench::Viewers(args) => viewers::run(&args).await?,
        Bench::ViewersWatch(args) => return viewers::watch(&args).await,
    };
    if args.json {
        terminal::say(&report.figures.to_string())?;
    } else {
        report.lines.iter().try_for_each(|line| terminal::say(line))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The value below which `percent` of the samples lie; sorts them.
fn percentile(samples: &mut [f64], percent: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let place = (samples.len() as f64 * percent / 100.0).ceil() as usize;
    samples[place.clamp(1, samples.len()) - 1]
}

/// A figure beside its target.
fn against(figure: f64, target: f64) -> String {
    format!("{:.2} of the {target} aimed at", figure / target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut samples, 50.0), 50.0);
        assert_eq!(percentile(&mut samples, 99.0), 99.0);
        assert_eq!(percentile(&mut [7.0], 99.0), 7.0);
    }
}
