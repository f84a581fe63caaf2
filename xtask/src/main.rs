//! The development commands of Graticule: `cargo xtask COMMAND`.
//!
//! One file per command or check. It knows the repository's layout and its tools, and none of its crates: those
//! are built and run through Cargo, so that this package compiles in seconds.

// A command's output is its purpose.
#![allow(clippy::print_stdout)]

mod codegen;
mod conformance;
mod launch;
mod process;
mod project;
mod python_env;
mod test;
mod tidy;
mod tools;
mod web;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::project::Project;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--only NAME,...] [--list]   set up what the checks need, run them all, count what passed
  tidy                              check the rules of the house alone
  codegen [--check]                 write the generated code and the built page anew, or compare them
  demo [ARGS...]                    run the demonstration in an optimised build
  bench NAME [ARGS...]              run one named benchmark in an optimised build
  sim [--seeds N] [--from S] [--seconds T] [--jobs J] | --planted | --seed S [ARGS...]
                                    run seeds in the simulator; a failing one is made smaller and told as a story
  stress NAME [ARGS...]             break a cluster of processes in an optimised build: cut, kill, memory, restart
  conformance array-api PATH [--max-examples N]
                                    run a checkout of array-api-tests against the Array API, without a skip list
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command that the arguments name; false if a check failed, which it has then printed.
fn run() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        bail!("no command given\n\n{USAGE}");
    };
    match (command.as_str(), rest) {
        ("test", rest) => test::command(rest),
        ("tidy", []) => tidy::command(&Project::open()?),
        ("codegen", []) => codegen::write(&Project::open()?).map(|()| true),
        ("codegen", [flag]) if flag == "--check" => codegen::check_command(&Project::open()?),
        ("demo", rest) => launch::demo(&Project::open()?, rest),
        ("bench", [name, rest @ ..]) => launch::bench(&Project::open()?, name, rest),
        ("sim", rest) => launch::sim(&Project::open()?, rest),
        ("stress", [name, rest @ ..]) => launch::stress(&Project::open()?, name, rest),
        ("conformance", [suite, rest @ ..]) => conformance::command(&Project::open()?, suite, rest),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            Ok(true)
        }
        _ => bail!(
            "`cargo xtask {}` is not a command\n\n{USAGE}",
            arguments.join(" ")
        ),
    }
}
