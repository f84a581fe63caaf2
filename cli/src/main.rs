//! The `graticule` command: scheduler, worker, and what a person does with a cluster.

mod allocated;
mod bench;
mod cluster;
mod connection;
mod demo;
mod info;
mod logging;
mod mosaic;
mod processes;
mod report;
mod scheduler;
mod signals;
mod stress;
mod terminal;
mod top;
mod values;
mod why;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Big chunked arrays on a cluster: from STAC items to a cloud-free mosaic.
#[derive(Debug, Parser)]
#[command(
    name = "graticule",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    /// What is logged to standard error: error, warn, info, debug, trace, or a filter such as graticule_worker=debug;
    /// by default warnings.
    #[arg(long, global = true, env = "GRATICULE_LOG", value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scheduler: workers and clients connect to it.
    Scheduler(scheduler::Config),
    /// Run a worker: it computes for a scheduler.
    Worker(worker::Config),
    /// Run a scheduler and a worker in one process.
    Cluster(cluster::Config),
    /// Show a cluster's workers and jobs.
    Info(info::Args),
    /// Say why a task does not run or ran where it ran, or how a worker is.
    Why(why::Args),
    /// Watch a cluster in the terminal, live.
    Top(top::Args),
    /// Make a report of a run that a scheduler wrote to disk: one file that opens in a browser.
    Report(report::Args),
    /// Make a cloud-free mosaic of STAC items.
    Mosaic(Box<mosaic::Args>),
    /// Make mosaics of the sample data, and say what was done.
    Demo(demo::Args),
    /// Measure this build on this machine.
    Bench(bench::Args),
    /// Break a cluster of real processes on purpose, and see that results come out the same.
    Stress(stress::Args),
}

impl Command {
    /// What is logged unless somebody says otherwise.
    fn default_filter(&self) -> &'static str {
        match self {
            Command::Scheduler(_) | Command::Worker(_) | Command::Cluster(_) => "warn",
            // An embedded worker leaves whenever the command ends, and a task that failed for good ends the command.
            Command::Info(_)
            | Command::Why(_)
            | Command::Top(_)
            | Command::Report(_)
            | Command::Mosaic(_)
            | Command::Demo(_)
            | Command::Bench(_)
            | Command::Stress(_) => "warn,graticule_scheduler::observe=error",
        }
    }
}

fn main() -> ExitCode {
    allocated::give_freed_memory_back();
    let cli = Cli::parse();
    let filter = cli.log.as_deref().unwrap_or(cli.command.default_filter());
    if let Err(error) = logging::start(filter) {
        return fail(&error);
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Command::Worker(config) = &cli.command {
        runtime.worker_threads(config.runtime_threads());
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let code = match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    };
    // Whatever still blocks (a file, a kernel) must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Scheduler(config) => scheduler::run(config).await,
        Command::Worker(config) => worker::run(config).await,
        Command::Cluster(config) => cluster::run(config).await,
        Command::Info(args) => info::run(args).await,
        Command::Why(args) => why::run(args).await,
        Command::Top(args) => top::run(args).await,
        Command::Report(args) => report::run(args).await,
        Command::Mosaic(args) => mosaic::run(*args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Stress(args) => stress::run(args).await,
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    terminal::note(&format!("error: {error:#}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_commands_arguments_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
