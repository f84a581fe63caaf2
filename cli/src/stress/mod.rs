//! `graticule stress`: clusters of real processes that are broken on purpose.

mod cut;
mod kill;
mod link;
mod memory;
mod namespaces;
mod program;
mod restart;

use std::process::ExitCode;

use serde_json::Value;

use crate::{
    signals::{self, Interrupt},
    terminal,
};

/// What is broken.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    stress: Stress,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Stress {
    /// Kill a worker process every now and then, and replace it: the job ends with the same bytes, and in time.
    Kill(kill::Args),
    /// Cut the links between processes for ten seconds, one after the other: the job ends with the same bytes.
    Cut(cut::Args),
    /// Give workers far less memory than the data takes: programs end with the same bytes.
    Memory(memory::Args),
    /// Kill a scheduler with a journal again and again while one job runs, and start it again: the client sees no error.
    Restart(restart::Args),
}

/// What came of it, as a person and as a program want it.
#[derive(Debug)]
struct Verdict {
    lines: Vec<String>,
    figures: Value,
    /// What did not hold, a sentence each.
    broken: Vec<String>,
}

/// Breaks and judges. Whatever it started ends with it, also when it is interrupted.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch()?;
    let judged = async {
        let verdict = match &args.stress {
            Stress::Kill(kill) => kill::run(kill).await?,
            Stress::Cut(cut) => match cut::run_in_namespaces(cut).await? {
                Some(code) => return Ok(code),
                None => cut::run(cut).await?,
            },
            Stress::Memory(memory) => memory::run(memory).await?,
            Stress::Restart(restart) => restart::run(restart).await?,
        };
        tell(&verdict, args.json)
    };
    tokio::select! {
        code = judged => code,
        () = interrupt.wait() => Ok(signals::exit_code()),
    }
}

fn tell(verdict: &Verdict, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        terminal::say(&verdict.figures.to_string())?;
    } else {
        verdict.lines.iter().try_for_each(|line| terminal::say(line))?;
    }
    for broken in &verdict.broken {
        terminal::note(&format!("did not hold: {broken}"));
    }
    Ok(if verdict.broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
