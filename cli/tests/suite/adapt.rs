//! `graticule cluster --adapt`: worker processes come with the work and go with it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{io::Read, process::Stdio, time::Instant};

use crate::support::{PATIENCE, Process, graticule};
use graticule_array::{Array, Chunks, Over};
use graticule_client::{Client, ConnectOptions};
use graticule_plan::DType;

/// A scheduler that starts workers of one slot, as many as `adapt` says; gives where it listens too.
fn cluster(adapt: &str) -> (Process, String) {
    let mut command = graticule(&["cluster", "--listen", "127.0.0.1:0", "--no-dashboard"]);
    command.args(["--slots", "1", "--memory", "256MiB", "--adapt", adapt]);
    command.args(["--adapt-within", "1s", "--adapt-idle", "500ms"]);
    let mut cluster = Process::spawn(command.stderr(Stdio::piped()));
    let url = cluster.scheduler_url();
    (cluster, url)
}

/// Whether a process is there and no mere entry of one that has ended.
fn is_alive(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come to be");
        tokio::task::yield_now().await;
    }
}

async fn worker_count(url: &str) -> usize {
    let info = Client::info_of(url, &ConnectOptions::default()).await;
    info.map_or(0, |info| info.workers.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_come_with_the_work_go_after_it_and_leave_no_process_behind() {
    let (mut cluster, url) = cluster("1..3");
    wait_until("the first worker", async || worker_count(&url).await == 1).await;
    let client = Client::connect(&url).await.unwrap();
    let x = Array::arange(0.0, 4e7, 1.0, DType::Float64, Chunks::Size(20_000)).unwrap();
    let wide = x.sin().unwrap().sin().unwrap().sin().unwrap();
    let job = tokio::spawn(async move { client.compute(&wide.sum(&Over::all()).unwrap()).await });
    wait_until("a third worker", async || worker_count(&url).await == 3).await;
    job.await.unwrap().unwrap();
    wait_until("one worker", async || worker_count(&url).await == 1).await;
    wait_until("one process", async || cluster.children().len() == 1).await;
    let children = cluster.children();
    cluster.signal("INT");
    assert!(cluster.0.wait().unwrap().success());
    assert!(!children.into_iter().any(is_alive));
    let mut said = String::new();
    cluster
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(
        said.contains("3 workers: ") && said.contains("1 workers: "),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_a_cluster_that_is_killed_end_too() {
    let (mut cluster, url) = cluster("2..3");
    wait_until("two workers", async || worker_count(&url).await == 2).await;
    let children = cluster.children();
    assert_eq!(children.len(), 2);
    cluster.0.kill().unwrap();
    cluster.0.wait().unwrap();
    wait_until("the end of its workers", async || {
        !children.iter().any(|&id| is_alive(id))
    })
    .await;
}
