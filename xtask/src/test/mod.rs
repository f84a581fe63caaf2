//! `cargo xtask test`: every check as a named step, then one table and one line of totals.

pub(crate) mod counts;
mod steps;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::project::Project;
use counts::Counts;
use steps::{STEPS, Step};

/// How a step ended.
struct Outcome {
    counts: Counts,
    /// What the summary says beside the numbers.
    note: String,
}

struct Finished {
    name: &'static str,
    outcome: Outcome,
    time: Duration,
}

/// Runs the steps that the arguments choose, goes on after a failure; true if nothing failed.
pub(crate) fn command(arguments: &[String]) -> Result<bool> {
    let chosen = match choose(arguments)? {
        Choice::List => {
            for step in STEPS {
                println!("{:<12} {}", step.name, step.about);
            }
            return Ok(true);
        }
        Choice::Run(chosen) => chosen,
    };
    let project = Project::open()?;
    let mut finished = Vec::new();
    for step in chosen {
        println!("\n=== {}: {}", step.name, step.about);
        let start = Instant::now();
        let outcome = (step.run)(&project).unwrap_or_else(|error| {
            println!("{error:#}");
            Outcome::failed(first_line(&format!("{error:#}")))
        });
        let time = start.elapsed();
        if !outcome.note.is_empty() {
            println!("{}", outcome.note);
        }
        println!(
            "--- {}: {} in {:.1} s",
            step.name,
            outcome.verdict(),
            time.as_secs_f64()
        );
        finished.push(Finished {
            name: step.name,
            outcome,
            time,
        });
    }
    let (text, total) = summary(&finished);
    println!("\n{text}");
    std::io::stdout().flush()?;
    Ok(total.failed == 0)
}

enum Choice {
    List,
    Run(Vec<&'static Step>),
}

fn choose(arguments: &[String]) -> Result<Choice> {
    let mut names = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match (argument.as_str(), argument.strip_prefix("--only=")) {
            ("--list", _) => return Ok(Choice::List),
            ("--only", _) => match rest.next() {
                Some(list) => names.extend(list.split(',')),
                None => bail!("--only needs names of steps, as `--only fmt,tidy`"),
            },
            (_, Some(list)) => names.extend(list.split(',')),
            (unknown, None) => {
                bail!("`{unknown}` is no option of `test`: there are --only NAME,... and --list")
            }
        }
    }
    for name in &names {
        if !STEPS.iter().any(|step| step.name == *name) {
            let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!("there is no step `{name}`; the steps are {}", known.join(", "));
        }
    }
    Ok(Choice::Run(
        STEPS
            .iter()
            .filter(|step| names.is_empty() || names.contains(&step.name))
            .collect(),
    ))
}

/// The table and, as its last line, the totals.
fn summary(finished: &[Finished]) -> (String, Counts) {
    let mut text = format!(
        "{:<12} {:<7} {:>7} {:>7} {:>9}  note\n",
        "step", "result", "passed", "failed", "time"
    );
    let mut total = Counts::default();
    for Finished { name, outcome, time } in finished {
        let Counts { passed, failed } = outcome.counts;
        let (verdict, seconds) = (outcome.verdict(), time.as_secs_f64());
        let line = format!(
            "{name:<12} {verdict:<7} {passed:>7} {failed:>7} {seconds:>7.1} s  {}",
            outcome.note
        );
        text.push_str(line.trim_end());
        text.push('\n');
        total += outcome.counts;
    }
    let seconds: f64 = finished.iter().map(|step| step.time.as_secs_f64()).sum();
    text.push_str(&format!("{} steps in {seconds:.1} s\n", finished.len()));
    text.push_str(&format!("{} passed, {} failed", total.passed, total.failed));
    (text, total)
}

impl Outcome {
    /// A plain check that held.
    fn passed(note: impl Into<String>) -> Self {
        Self {
            counts: Counts { passed: 1, failed: 0 },
            note: note.into(),
        }
    }

    /// A plain check that did not hold.
    fn failed(note: impl Into<String>) -> Self {
        Self {
            counts: Counts { passed: 0, failed: 1 },
            note: note.into(),
        }
    }

    /// Nothing to check here, for a reason that the summary tells.
    fn nothing(note: impl Into<String>) -> Self {
        Self {
            counts: Counts::default(),
            note: note.into(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.counts {
            Counts { failed: 1.., .. } => "FAILED",
            Counts { passed: 0, failed: 0 } => "none",
            Counts { .. } => "ok",
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, outcome: Outcome) -> Finished {
        Finished {
            name,
            outcome,
            time: Duration::from_millis(1500),
        }
    }

    #[test]
    fn last_line_of_the_summary_counts_all_steps() {
        let many = Outcome {
            counts: Counts {
                passed: 40,
                failed: 2,
            },
            note: String::new(),
        };
        let steps = [
            step("fmt", Outcome::passed("")),
            step("rust", many),
            step("sim", Outcome::failed("seed 7")),
        ];
        let (text, total) = summary(&steps);
        assert_eq!(text.lines().last(), Some("41 passed, 3 failed"));
        assert_eq!(
            total,
            Counts {
                passed: 41,
                failed: 3
            }
        );
        assert!(
            text.lines()
                .any(|line| line.starts_with("sim") && line.contains("FAILED"))
        );
    }

    #[test]
    fn a_step_without_anything_to_check_counts_nothing() {
        let (text, _) = summary(&[step("wasm", Outcome::nothing("target not installed"))]);
        assert_eq!(text.lines().last(), Some("0 passed, 0 failed"));
        assert!(text.contains("none") && text.contains("target not installed"));
    }

    #[test]
    fn only_chooses_steps_in_their_own_order() {
        let arguments = ["--only".to_owned(), "tidy,fmt".to_owned()];
        let Choice::Run(chosen) = choose(&arguments).unwrap() else {
            panic!("a list was not asked for")
        };
        assert_eq!(
            chosen.iter().map(|step| step.name).collect::<Vec<_>>(),
            ["fmt", "tidy"]
        );
    }

    #[test]
    fn an_unknown_step_or_option_is_an_error_that_names_it() {
        for arguments in [
            ["--only", "nosuch"],
            ["--only=nosuch", "--only=fmt"],
            ["--fast", "nosuch"],
        ] {
            let arguments = arguments.map(str::to_owned);
            let error = choose(&arguments).err().unwrap().to_string();
            assert!(error.contains("nosuch") || error.contains("--fast"), "{error}");
        }
    }
}
