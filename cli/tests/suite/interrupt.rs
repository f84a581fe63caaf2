//! Ctrl-C: what runs ends in order, and the cluster lives.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::time::Instant;

use crate::support::{PATIENCE, Process, sample};
use serde_json::Value;

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
    let (mut scheduler, url) = Process::scheduler();
    let items = sample("s2-slovenia/items.json");
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
        &url,
    ];
    let mut mosaic = Process::start(&arguments);
    wait_for_jobs(&url, 1);
    mosaic.signal("INT");
    assert_eq!(mosaic.code(), Some(130));
    assert_eq!(std::fs::read_dir(out).unwrap().count(), 0);
    wait_for_jobs(&url, 0);
    scheduler.signal("INT");
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
    assert!(cluster.scheduler_url().starts_with("grpc://127.0.0.1:"));
    cluster.signal("INT");
    assert_eq!(cluster.code(), Some(0));
}
