//! Workers that are killed and replaced while a job runs, at a size that every run of the tests can afford.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use serde_json::Value;

use crate::support::{self, graticule, text};

#[test]
fn killed_workers_change_no_byte_of_the_result_and_are_no_tasks_fault() {
    let arguments = "stress kill --tasks 1000 --chunk 16 --workers 2 --kills 4 --every-ms 400 --json";
    let output = graticule(&[])
        .args(arguments.split(' '))
        // A job of a second is mostly waiting for the worker in the dead one's place.
        .args(["--ratio-max", "1000"])
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(figures["kill_count"].as_u64().unwrap() >= 4, "{figures}");
    assert!(
        figures["reset_count"].as_u64().unwrap() > 0,
        "no kill hit anything: {figures}"
    );
    assert_eq!(figures["different_count"], 0);
    assert_eq!(figures["failed_count"], 0);
}

#[test]
fn a_ratio_that_does_not_hold_is_told_and_fails() {
    let arguments = "stress kill --tasks 100 --chunk 4 --workers 1 --kills 1 --every-ms 500 --ratio-max 0";
    let output = graticule(&[]).args(arguments.split(' ')).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("did not hold"));
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_stress_test_leaves_no_process_behind() {
    use std::{
        io::{BufRead, BufReader},
        process::Stdio,
    };
    let arguments = "stress kill --tasks 1000 --chunk 16 --workers 2 --kills 1000000";
    let mut command = graticule(&[]);
    command.args(arguments.split(' ')).stderr(Stdio::piped());
    let mut stress = support::Process::spawn(&mut command);
    let mut line = String::new();
    BufReader::new(stress.0.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("tasks on 2 workers"), "{line}");
    let started = stress.children();
    assert_eq!(started.len(), 3, "a scheduler and two workers");
    stress.signal("INT");
    assert_eq!(stress.code(), Some(130));
    for id in started {
        assert!(
            !std::path::Path::new(&format!("/proc/{id}")).exists(),
            "process {id} still runs"
        );
    }
}
