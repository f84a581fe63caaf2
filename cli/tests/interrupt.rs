//! Ctrl-C: what runs ends in order, and the cluster lives.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of this test; it ends with it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_graticule"));
        command.args(arguments).env_remove("GRATICULE_CLUSTER");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        let mut output = BufReader::new(self.0.stdout.as_mut().unwrap());
        output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn interrupt(&self) {
        let id = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The exit code, when the process has ended.
    fn code(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::yield_now();
        }
    }
}

fn job_count(url: &str) -> usize {
    let mut info = Process::start(&["info", "--json", "--cluster", url]);
    let line = info.first_line();
    let info: Value = serde_json::from_str(&line).unwrap();
    info["jobs"].as_array().unwrap().len()
}

fn wait_for_jobs(url: &str, count: usize) {
    let begun = Instant::now();
    while job_count(url) != count {
        assert!(begun.elapsed() < PATIENCE, "there are never {count} jobs");
    }
}

#[test]
fn an_interrupted_mosaic_cancels_its_job_leaves_no_file_and_the_cluster_lives() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut scheduler = Process::start(&["scheduler", "--listen", "127.0.0.1:0", "--no-dashboard"]);
    let line = scheduler.first_line();
    let url = line.strip_prefix("scheduler at ").unwrap();
    let items = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/s2-slovenia/items.json");
    let (items, out) = (items.to_str().unwrap(), out.to_str().unwrap());
    // Without a worker it would wait for ever.
    let arguments = [
        "mosaic",
        items,
        "--assets",
        "ndvi",
        "--out",
        out,
        "--cluster",
        url,
    ];
    let mut mosaic = Process::start(&arguments);
    wait_for_jobs(url, 1);
    mosaic.interrupt();
    assert_eq!(mosaic.code(), Some(130));
    assert_eq!(std::fs::read_dir(out).unwrap().count(), 0);
    wait_for_jobs(url, 0);
    scheduler.interrupt();
    assert_eq!(scheduler.code(), Some(0));
}

#[test]
fn an_interrupted_cluster_of_one_process_ends_in_order() {
    let arguments = [
        "cluster",
        "--listen",
        "127.0.0.1:0",
        "--no-dashboard",
        "--slots",
        "1",
    ];
    let mut cluster = Process::start(&arguments);
    assert!(cluster.first_line().starts_with("scheduler at grpc://127.0.0.1:"));
    cluster.interrupt();
    assert_eq!(cluster.code(), Some(0));
}
