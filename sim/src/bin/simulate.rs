//! Runs fresh seeds for a while, or one seed with its story.
//!
//! `simulate --seconds 60 [--first-seed N]` runs seeds one after the other and ends with exit code 1 at the first that
//! fails; `simulate --seed N [--trace]` runs one.
#![allow(clippy::print_stdout)]

use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use graticule_sim::{Counts, Sabotage, simulate, simulate_with_story};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Arguments::parse(&arguments) {
        Ok(arguments) => run(&arguments),
        Err(why) => {
            println!(
                "{why}\nusage: simulate [--seed N [--trace] | --seconds S [--first-seed N]] [--sabotage NAME]"
            );
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    seed: Option<u64>,
    trace: bool,
    seconds: u64,
    first_seed: Option<u64>,
    sabotage: Sabotage,
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut parsed = Self {
            seed: None,
            trace: false,
            seconds: 60,
            first_seed: None,
            sabotage: Sabotage::None,
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            if name == "--trace" {
                parsed.trace = true;
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.parse().map_err(|_| format!("{name} {value}: not a number"));
            match name.as_str() {
                "--seed" => parsed.seed = Some(number()?),
                "--seconds" => parsed.seconds = number()?,
                "--first-seed" => parsed.first_seed = Some(number()?),
                "--sabotage" => parsed.sabotage = sabotage(value)?,
                _ => return Err(format!("{name} is not known")),
            }
        }
        Ok(parsed)
    }
}

fn sabotage(name: &str) -> Result<Sabotage, String> {
    let known = [
        Sabotage::None,
        Sabotage::ForgetLostChunks,
        Sabotage::ReleaseTooEarly,
        Sabotage::CombineByArrival,
        Sabotage::LeaveBeforeCopied,
        Sabotage::CountCopyEarly,
    ];
    let found = known.into_iter().find(|s| format!("{s:?}") == name);
    found.ok_or_else(|| format!("{name} is not one of {known:?}"))
}

fn run(arguments: &Arguments) -> ExitCode {
    match arguments.seed {
        Some(seed) => run_one(seed, arguments),
        None => run_many(arguments),
    }
}

fn run_one(seed: u64, arguments: &Arguments) -> ExitCode {
    let (result, story) = if arguments.trace {
        simulate_with_story(seed, arguments.sabotage)
    } else {
        (simulate(seed, arguments.sabotage), Vec::new())
    };
    story.iter().for_each(|line| println!("{line}"));
    match result {
        Ok(counts) => {
            println!("seed {seed} passed: {counts:?}");
            ExitCode::SUCCESS
        }
        Err(failed) => {
            println!("{failed}");
            ExitCode::FAILURE
        }
    }
}

fn run_many(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let from_clock = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |d| d.as_secs() * 1_000_000)
    };
    let first = arguments.first_seed.unwrap_or_else(from_clock);
    let mut total = Counts::default();
    let mut seeds = 0;
    while began.elapsed() < Duration::from_secs(arguments.seconds) {
        match simulate(first.wrapping_add(seeds), arguments.sabotage) {
            Ok(counts) => {
                total.events += counts.events;
                total.tasks += counts.tasks;
                total.faults += counts.faults;
                total.jobs += counts.jobs;
                total.copies += counts.copies;
                total.retired += counts.retired;
                seeds += 1;
            }
            Err(failed) => {
                println!("after {seeds} seeds: {failed}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{seeds} seeds from {first} passed in {:.0} s: {} events, {} tasks, {} jobs, {} faults, {} workers retired without loss and {} \
         chunks copied",
        began.elapsed().as_secs_f64(),
        total.events,
        total.tasks,
        total.jobs,
        total.faults,
        total.retired,
        total.copies
    );
    ExitCode::SUCCESS
}
