//! A scheduler that is killed while a job runs, at a size that every run of the tests can afford.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn killed_schedulers_cost_the_client_no_error_and_the_result_no_byte() {
    let arguments = "--log error stress restart --tasks 6000 --chunk 16 --workers 2 --kills 3 --json";
    let output = Command::new(env!("CARGO_BIN_EXE_graticule"))
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["kill_count"], 3, "{figures}");
    assert_eq!(figures["different_count"], 0, "{figures}");
}

#[test]
fn more_tasks_than_may_be_run_are_told_and_fail() {
    let arguments = "--log error stress restart --tasks 10000 --chunk 4 --workers 1 --kills 1 --ran-max 0";
    let output = Command::new(env!("CARGO_BIN_EXE_graticule"))
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not hold"));
}
