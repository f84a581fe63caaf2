//! Workers that are killed and replaced while a job runs, at a size that every run of the tests can afford.

use std::process::Command;

use serde_json::Value;

#[test]
fn killed_workers_change_no_byte_of_the_result_and_are_no_tasks_fault() {
    let arguments = "stress kill --tasks 1000 --chunk 16 --workers 2 --kills 4 --every-ms 400 --json";
    let output = Command::new(env!("CARGO_BIN_EXE_graticule"))
        .args(arguments.split(' '))
        // A job of a second is mostly waiting for the worker in the dead one's place.
        .args(["--ratio-max", "1000"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
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
    let output = Command::new(env!("CARGO_BIN_EXE_graticule"))
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not hold"));
}
