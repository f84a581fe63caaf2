//! Runs fresh seeds, one case with its story, or the search for the planted defects: `cargo xtask sim`.
#![allow(clippy::print_stdout)]

use std::{
    num::NonZero,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use graticule_sim::{Case, CaseFailed, Counts, Sabotage, shrink, simulate, simulate_with_story};

const USAGE: &str = "\
usage: cargo xtask sim [--seeds N] [--seconds T] [--from S] [--jobs J]   fresh seeds
       cargo xtask sim --planted [--seeds N] [--from S] [--jobs J]       every planted defect within N seeds
       cargo xtask sim --seed S [--without 3,7,NAME] [--only-jobs 1,2] [--layers N] [--blocks N] [--workers N]
                       [--trace]                                         one case, whole or in part
with --sabotage NAME a defect is built in; with --whole a failing case is not made smaller";

/// Seeds within which a planted defect must be found.
const PLANTED_SEEDS_MAX: u64 = 500;
/// Lines of a story that are printed unless all are asked for.
const STORY_LINES_MAX: usize = 150;

fn main() -> ExitCode {
    // A panic in an engine is a failure of its seed, and told as such.
    std::panic::set_hook(Box::new(|_| {}));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let passed = match Arguments::parse(&arguments) {
        Ok(arguments) if arguments.planted => find_planted(&arguments),
        Ok(arguments) if arguments.one => run_one(&arguments),
        Ok(arguments) => run_many(&arguments),
        Err(why) => {
            println!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

struct Arguments {
    /// What every case has in common, or the one case.
    case: Case,
    one: bool,
    trace: bool,
    whole: bool,
    planted: bool,
    seeds: Option<u64>,
    seconds: Option<u64>,
    from: Option<u64>,
    jobs: usize,
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut parsed = Self {
            case: Case::new(0),
            one: false,
            trace: false,
            whole: false,
            planted: false,
            seeds: None,
            seconds: None,
            from: None,
            jobs: thread::available_parallelism().map_or(1, NonZero::get),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            match name.as_str() {
                "--trace" => parsed.trace = true,
                "--whole" => parsed.whole = true,
                "--planted" => parsed.planted = true,
                _ => {
                    let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
                    parsed.set(name, value)?;
                }
            }
        }
        Ok(parsed)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = || {
            let parsed = value.parse::<u64>();
            parsed.map_err(|_| format!("{name} {value}: not a number"))
        };
        match name {
            "--seed" => (self.case.seed, self.one) = (number()?, true),
            "--seeds" => self.seeds = Some(number()?),
            "--seconds" => self.seconds = Some(number()?),
            "--from" => self.from = Some(number()?),
            "--jobs" => self.jobs = usize::try_from(number()?.max(1)).map_err(|why| why.to_string())?,
            "--layers" => self.case.layers_max = Some(number()?),
            "--blocks" => self.case.blocks_max = Some(number()?),
            "--workers" => self.case.workers = Some(number()?),
            "--sabotage" => self.case.sabotage = sabotage(value)?,
            "--without" => {
                for what in value.split(',') {
                    self.case.leave_out(what)?;
                }
            }
            "--only-jobs" => {
                let jobs = value.split(',').map(str::parse).collect::<Result<_, _>>();
                self.case.only_jobs = Some(jobs.map_err(|_| format!("{name} {value}: not numbers"))?);
            }
            _ => return Err(format!("{name} is not known")),
        }
        Ok(())
    }

    /// The first seed: the one asked for, or one that the clock gives.
    fn first(&self) -> u64 {
        let from_clock = || {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(0, |d| d.as_secs() * 1_000_000)
        };
        self.from.unwrap_or_else(from_clock)
    }
}

fn sabotage(name: &str) -> Result<Sabotage, String> {
    let found = Sabotage::PLANTED.iter().find(|s| format!("{s:?}") == name);
    found
        .copied()
        .ok_or_else(|| format!("{name} is not one of {:?}", Sabotage::PLANTED))
}

fn run_one(arguments: &Arguments) -> bool {
    let (result, story) = if arguments.trace {
        simulate_with_story(&arguments.case)
    } else {
        (simulate(&arguments.case), Vec::new())
    };
    story.iter().for_each(|line| println!("{line}"));
    match result {
        Ok(counts) => {
            tell_faults(&counts);
            println!("{} passed: {counts}", arguments.case);
            true
        }
        Err(failed) => {
            println!("{failed}");
            if !arguments.trace {
                tell_smaller(&failed, arguments.whole);
            }
            false
        }
    }
}

/// Makes a failing case smaller and tells what happens in it.
fn tell_smaller(failed: &CaseFailed, whole: bool) {
    if whole {
        return;
    }
    let Some(small) = shrink(&failed.case) else { return };
    println!("\nthe story of the smallest case found:");
    let hidden = small.story.len().saturating_sub(STORY_LINES_MAX);
    let shown = small.story.iter().skip(hidden);
    if hidden > 0 {
        println!("... {hidden} lines, which --trace shows");
    }
    shown.for_each(|line| println!("{line}"));
    let ((faults, faults_before), (jobs, jobs_before)) = (small.fault_counts, small.job_counts);
    println!(
        "\nmade smaller in {} tries: {faults} faults of {faults_before}, {jobs} jobs of {jobs_before}\n{}\nreplay it: \
         cargo xtask sim {} --trace",
        small.tries, small.why, small.case
    );
}

fn run_many(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let first = arguments.first();
    let no_end = arguments.seeds.is_none() && arguments.seconds.is_none();
    let seconds = arguments.seconds.or(no_end.then_some(60));
    let goes_on = |nth: u64| {
        let in_time = seconds.is_none_or(|s| began.elapsed() < Duration::from_secs(s));
        in_time && arguments.seeds.is_none_or(|seeds| nth < seeds)
    };
    let (next, failing) = (AtomicU64::new(0), AtomicBool::new(false));
    let total = Mutex::new((Counts::default(), 0_u64));
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                while !failing.load(Ordering::Relaxed) {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if !goes_on(nth) {
                        break;
                    }
                    let mut case = arguments.case.clone();
                    case.seed = first.wrapping_add(nth);
                    match simulate(&case) {
                        Ok(counts) => {
                            let mut total = total.lock().expect("nothing panics while it is held");
                            total.0.add(&counts);
                            total.1 += 1;
                        }
                        Err(failed) => {
                            failing.store(true, Ordering::Relaxed);
                            *failure.lock().expect("nothing panics while it is held") = Some(failed);
                        }
                    }
                }
            });
        }
    });
    let (counts, seeds) = total.into_inner().expect("no thread panics");
    let failure = failure.into_inner().expect("no thread panics");
    if let Some(failed) = &failure {
        println!("after {seeds} seeds: {failed}");
        tell_smaller(failed, arguments.whole);
        return false;
    }
    let took = began.elapsed().as_secs_f64();
    tell_faults(&counts);
    println!(
        "{seeds} seeds from {first} passed in {took:.0} s, {:.1} seeds/s: {counts}",
        seeds as f64 / took
    );
    true
}

fn tell_faults(counts: &Counts) {
    let faults = counts.faults().filter(|(_, count)| *count > 0);
    let faults: Vec<String> = faults.map(|(name, count)| format!("{name} {count}")).collect();
    println!("faults: {}", faults.join(", "));
}

/// Looks for every planted defect.
fn find_planted(arguments: &Arguments) -> bool {
    let (first, most) = (arguments.first(), arguments.seeds.unwrap_or(PLANTED_SEEDS_MAX));
    let next = AtomicU64::new(0);
    let missed = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                loop {
                    let nth = usize::try_from(next.fetch_add(1, Ordering::Relaxed));
                    let planted = nth.ok().and_then(|nth| Sabotage::PLANTED.get(nth));
                    let Some(&sabotage) = planted else { break };
                    let cases =
                        (0..most).map(|nth| Case::new(first.wrapping_add(nth)).with_sabotage(sabotage));
                    let found = cases
                        .zip(1..)
                        .find_map(|(case, nth)| Some((nth, simulate(&case).err()?)));
                    match found {
                        Some((nth, failed)) => {
                            let seed = failed.case.seed;
                            println!("{sabotage:?}: seed {seed}, number {nth}: {}", failed.why);
                        }
                        None => {
                            println!("{sabotage:?}: NOT FOUND within {most} seeds");
                            missed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (all, missed) = (Sabotage::PLANTED.len() as u64, missed.into_inner());
    println!(
        "{} of {all} planted defects found within {most} seeds each",
        all - missed
    );
    missed == 0
}
