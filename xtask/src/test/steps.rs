//! The steps, in the order in which they run: what is quick and what most often fails comes first.

use std::time::Duration;

use anyhow::Result;

use super::counts::{self, Counts};
use super::{Outcome, first_line};
use crate::process::{Finished, Task, installed};
use crate::project::{Package, Project};
use crate::tidy::PURE_CRATES;
use crate::{codegen, python_env, tidy, tools, web};

/// One named check.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: fn(&Project) -> Result<Outcome>,
}

pub(super) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "rustfmt would change nothing",
        run: fmt,
    },
    Step {
        name: "tidy",
        about: "the rules of the house hold",
        run: check_tidy,
    },
    Step {
        name: "codegen",
        about: "generated code and the built page equal their sources",
        run: check_codegen,
    },
    Step {
        name: "web",
        about: "the page's types and unit tests",
        run: web_tests,
    },
    Step {
        name: "clippy",
        about: "no warning in any target",
        run: clippy,
    },
    Step {
        name: "doc",
        about: "the documentation builds without a warning",
        run: rustdoc,
    },
    Step {
        name: "deny",
        about: "licences, sources and bans of dependencies",
        run: deny,
    },
    Step {
        name: "wasm",
        about: "pure crates build for wasm32-unknown-unknown",
        run: wasm,
    },
    Step {
        name: "rust",
        about: "Rust tests",
        run: rust_tests,
    },
    Step {
        name: "doctest",
        about: "examples in the documentation",
        run: doc_tests,
    },
    Step {
        name: "python",
        about: "Python tests",
        run: python_tests,
    },
    Step {
        name: "browser",
        about: "the page in a browser",
        run: browser_tests,
    },
    Step {
        name: "sim",
        about: "fresh seeds in the simulator",
        run: simulate,
    },
];

const SIM_SECONDS: u64 = 60;
const WASM_TARGET: &str = "wasm32-unknown-unknown";
const PYTHON_TESTS: &str = "tests/python";
/// The build of the workspace comes on top of the tests' own time.
const RUST_TESTS_LIMIT: Duration = Duration::from_secs(40 * 60);
/// Each of xarray's operations is tried twice with Dask there and once without it.
const PYTHON_TESTS_LIMIT: Duration = Duration::from_secs(40 * 60);
const BROWSER_LIMIT: Duration = Duration::from_secs(10 * 60);

fn fmt(project: &Project) -> Result<Outcome> {
    Ok(plain(project.cargo("fmt --all --check").run()?))
}

fn check_tidy(project: &Project) -> Result<Outcome> {
    let report = tidy::check(project)?;
    report.print();
    if report.violations.is_empty() {
        return Ok(Outcome::passed(format!("{} rules", report.rule_count)));
    }
    Ok(Outcome::failed(format!("{} violations", report.violations.len())))
}

fn check_codegen(project: &Project) -> Result<Outcome> {
    let comparison = codegen::check(project)?;
    for difference in &comparison.differences {
        println!("{difference}");
    }
    match (comparison.file_count, comparison.differences.len()) {
        (0, _) => Ok(Outcome::nothing("nothing is generated yet")),
        (count, 0) => Ok(Outcome::passed(format!("{count} files"))),
        (_, different) => Ok(Outcome::failed(format!(
            "{different} files differ: run `cargo xtask codegen`"
        ))),
    }
}

fn clippy(project: &Project) -> Result<Outcome> {
    Ok(plain(
        project
            .cargo("clippy --workspace --all-targets --keep-going --quiet -- -D warnings")
            .run()?,
    ))
}

fn rustdoc(project: &Project) -> Result<Outcome> {
    let task = project
        .cargo("doc --no-deps --workspace --keep-going --quiet")
        .env("RUSTDOCFLAGS", "-D warnings");
    Ok(plain(task.run()?))
}

/// Advisories are left out: they need a database from the network, and change without a change of ours.
fn deny(project: &Project) -> Result<Outcome> {
    let program = tools::cargo_deny(project)?;
    // The check itself is offline, so all that the lock file names must be there.
    project.cargo("fetch --quiet").run_ok()?;
    let task = Task::new(program)
        .words("--offline check bans licenses sources")
        .dir(&project.root);
    Ok(plain(task.run()?))
}

fn wasm(project: &Project) -> Result<Outcome> {
    let sysroot = Task::new("rustc")
        .words("--print sysroot")
        .dir(&project.root)
        .run_ok_stdout()?;
    let library = std::path::Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(WASM_TARGET);
    if !library.is_dir() {
        return Ok(Outcome::nothing(format!("{WASM_TARGET} is not installed")));
    }
    let task = project.cargo("build --quiet --lib --target").arg(WASM_TARGET);
    let task = PURE_CRATES
        .iter()
        .fold(task, |task, name| task.arg("--package").arg(name));
    Ok(plain(task.run()?))
}

fn rust_tests(project: &Project) -> Result<Outcome> {
    let mut outcome = Outcome::nothing("");
    let python = match python_env::ensure(project) {
        Ok(python) => python,
        Err(error) => {
            // The tests that need it will say so; the others are still worth their answer.
            println!("{error:#}");
            outcome = Outcome::failed(first_line(&format!("no Python: {error:#}")));
            python_env::interpreter(project)
        }
    };
    build_programs(project)?;
    let nextest = installed("cargo-nextest");
    let task = if nextest {
        let words = "nextest run --workspace --exclude xtask-codegen --no-fail-fast --no-tests pass";
        project
            .cargo(words)
            .arg("--tool-config-file")
            .arg(nextest_config(project))
    } else {
        project.cargo("test --workspace --exclude xtask-codegen --all-targets --no-fail-fast")
    };
    let finished = with_product(task, project)
        .env(python_env::VARIABLE, python)
        .limit(RUST_TESTS_LIMIT)
        .run()?;
    let read = if nextest { counts::nextest } else { counts::libtest };
    outcome.counts += counted(&finished, read);
    if !finished.success && outcome.note.is_empty() {
        outcome.note = finished.ending;
    }
    Ok(outcome)
}

/// Tests that start real processes find the programs of this very checkout.
fn build_programs(project: &Project) -> Result<()> {
    let build = "build --workspace --exclude xtask --exclude xtask-codegen --bins --examples --quiet";
    project.cargo(build).limit(RUST_TESTS_LIMIT).run_ok().map(drop)
}

fn doc_tests(project: &Project) -> Result<Outcome> {
    let words = "test --workspace --exclude xtask --exclude xtask-codegen --doc --no-fail-fast --quiet";
    let finished = project.cargo(words).run()?;
    Ok(tested(finished, counts::libtest))
}

fn python_tests(project: &Project) -> Result<Outcome> {
    let is_test = |name: &str| name.starts_with("test_") && name.ends_with(".py");
    let files = project.files_below(PYTHON_TESTS)?;
    if !files.iter().any(|file| {
        file.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is_test)
    }) {
        return Ok(Outcome::nothing("no Python tests yet"));
    }
    let python = python_env::ensure(project)?;
    build_programs(project)?;
    python_env::install_package(project)?;
    let task = Task::new(&python)
        .words("-m pytest --quiet -p no:cacheprovider")
        .arg(PYTHON_TESTS)
        .dir(&project.root);
    let task = with_product(task, project).env(python_env::VARIABLE, &python);
    let finished = task
        .env(python_env::OLDER_DASK_VARIABLE, python_env::older_dask(project)?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(PYTHON_TESTS_LIMIT)
        .run()?;
    Ok(tested(finished, counts::pytest))
}

fn web_tests(project: &Project) -> Result<Outcome> {
    let Some(page) = web::dir(project) else {
        return Ok(Outcome::nothing("no page yet"));
    };
    web::ensure_packages(&page)?;
    let mut outcome = plain(web::npm(&page, "run check").run()?);
    let unit_tests = tested(web::npm(&page, "run test:unit").run()?, counts::javascript);
    outcome.counts += unit_tests.counts;
    if outcome.note.is_empty() {
        outcome.note = unit_tests.note;
    }
    Ok(outcome)
}

fn browser_tests(project: &Project) -> Result<Outcome> {
    let Some(page) = web::dir(project) else {
        return Ok(Outcome::nothing("no page yet"));
    };
    web::ensure_packages(&page)?;
    let chromium = tools::chromium()?;
    let dashboard = project.package("graticule-dashboard");
    if !dashboard.is_some_and(|package| package.has_target("example", "replay")) {
        return Ok(Outcome::failed(
            "graticule-dashboard has no example `replay` for the page to show",
        ));
    }
    // With the whole workspace's features, as the Rust tests have built it already.
    let build = "build --workspace --exclude xtask --exclude xtask-codegen --example replay --example waiting --quiet";
    project.cargo(build).run_ok()?;
    let finished = web::npm(&page, "run test:browser")
        .env(
            "GRATICULE_REPLAY_BIN",
            project.target_dir.join("debug/examples/replay"),
        )
        .env(
            "GRATICULE_WAITING_BIN",
            project.target_dir.join("debug/examples/waiting"),
        )
        .env("GRATICULE_CHROMIUM", chromium)
        .limit(BROWSER_LIMIT)
        .run()?;
    Ok(tested(finished, counts::javascript))
}

fn simulate(project: &Project) -> Result<Outcome> {
    let has_binary = |package: &Package| package.has_target("bin", "simulate");
    if !project.package("graticule-sim").is_some_and(has_binary) {
        return Ok(Outcome::failed("graticule-sim has no binary `simulate`"));
    }
    let words = "run --quiet --profile sim --package graticule-sim --bin simulate -- --seconds";
    let finished = project.cargo(words).arg(SIM_SECONDS.to_string()).run()?;
    let note = finished.last_line().to_owned();
    Ok(Outcome {
        note,
        ..plain(finished)
    })
}

/// The outcome of a check that knows only yes and no.
fn plain(finished: Finished) -> Outcome {
    if finished.success {
        Outcome::passed("")
    } else {
        Outcome::failed(finished.ending)
    }
}

/// The outcome of a runner that counts its tests.
fn tested(finished: Finished, read: fn(&str) -> Option<Counts>) -> Outcome {
    let counts = counted(&finished, read);
    let note = if finished.success {
        String::new()
    } else {
        finished.ending
    };
    Outcome { counts, note }
}

/// What the runner counted. One that failed without a failed test (it did not compile, it crashed) counts as one
/// failure, and so does one that succeeded without saying how many tests it ran.
fn counted(finished: &Finished, read: fn(&str) -> Option<Counts>) -> Counts {
    match read(&finished.output) {
        Some(counts) if finished.success || counts.failed > 0 => counts,
        Some(counts) => Counts { failed: 1, ..counts },
        None => Counts { passed: 0, failed: 1 },
    }
}

/// Tells tests where the program of this checkout is.
fn with_product(task: Task, project: &Project) -> Task {
    task.env("GRATICULE_BIN", project.target_dir.join("debug/graticule"))
}

/// Our settings for nextest, below those that the checkout may have in `.config/nextest.toml`.
fn nextest_config(project: &Project) -> String {
    format!("graticule:{}", project.root.join("xtask/nextest.toml").display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(success: bool, output: &str) -> Finished {
        Finished {
            success,
            ending: "ended".to_owned(),
            output: output.to_owned(),
        }
    }

    #[test]
    fn names_of_steps_are_distinct() {
        let mut names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_counts_as_one_failure() {
        let crashed = finished(false, "test result: ok. 5 passed; 0 failed; 0 ignored");
        assert_eq!(
            counted(&crashed, counts::libtest),
            Counts { passed: 5, failed: 1 }
        );
        assert_eq!(
            counted(&finished(false, "does not compile"), counts::libtest),
            Counts { passed: 0, failed: 1 }
        );
    }

    #[test]
    fn a_runner_that_reports_no_number_is_not_taken_for_a_success() {
        assert_eq!(
            counted(&finished(true, ""), counts::libtest),
            Counts { passed: 0, failed: 1 }
        );
    }
}
