//! `graticule report`, of runs that a real scheduler wrote.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{fs, path::PathBuf, time::Instant};

use graticule_array::{Array, Chunks};
use graticule_client::Client;
use graticule_plan::DType;

use crate::support::{PATIENCE, Process, graticule, text};

/// The run of the folder, once it is written.
fn run_in(folder: &std::path::Path) -> PathBuf {
    let begun = Instant::now();
    loop {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut runs = files.filter(|path| path.extension().is_some_and(|ending| ending == "graticule"));
        if let Some(run) = runs.next() {
            return run;
        }
        assert!(begun.elapsed() < PATIENCE, "no run was written");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_disk_becomes_a_page_and_what_is_none_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let arguments = [
        "scheduler",
        "--listen",
        "127.0.0.1:0",
        "--dashboard",
        "127.0.0.1:0",
        "--runs",
        runs.to_str().unwrap(),
    ];
    let mut scheduler = Process::start(&arguments);
    let url = scheduler.scheduler_url();
    let _worker = Process::start(&["worker", "--scheduler", &url, "--slots", "1"]);
    let client = Client::connect(&url).await.unwrap();
    let x = Array::ones(&[8], &[Chunks::Size(1)], DType::Float32).unwrap();
    client.compute(&x).await.unwrap();
    let run = run_in(&runs);

    let page = folder.path().join("report.html");
    let made = graticule(&["report", run.to_str().unwrap(), "--out", page.to_str().unwrap()]);
    let output = { made }.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).trim(), page.to_str().unwrap());
    assert!(fs::read(&page).unwrap().starts_with(b"<!doctype html>"));

    let bytes = fs::read(&run).unwrap();
    fs::write(&run, &bytes[..bytes.len() / 2]).unwrap();
    let output = graticule(&["report", run.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("this run is cut short"),
        "{}",
        text(&output.stderr)
    );
    let output = graticule(&["report", page.to_str().unwrap()]).output().unwrap();
    assert!(
        text(&output.stderr).contains("this is not a Graticule run"),
        "{}",
        text(&output.stderr)
    );
    assert!(!run.with_extension("html").exists());
}
