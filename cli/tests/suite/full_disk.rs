//! A worker process whose disk is full: it goes on, late and with the same values.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::process::Command;

use crate::support::{PATIENCE, Process};
use graticule_array::{Array, Chunks, Over};
use graticule_client::Client;
use graticule_plan::DType;

/// Six MiB of numbers in chunks of one.
fn numbers() -> Array {
    let x = Array::arange(
        0.0,
        f64::from(6 << 17),
        1.0,
        DType::Float64,
        Chunks::Size(1 << 17),
    )
    .unwrap();
    x.sin().unwrap()
}

/// A worker with three and a half MiB for chunks and tasks that can write no file longer than 256 KiB.
fn worker(url: &str) -> Process {
    let script = r#"trap "" XFSZ; ulimit -f 512; exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_graticule")]);
    command.args(["worker", "--scheduler", url, "--slots", "1", "--memory", "72MiB"]);
    Process::spawn(&mut command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_that_no_disk_takes_stay_in_memory_and_the_job_ends() {
    let (_scheduler, url) = Process::scheduler();
    let mut worker = worker(&url);
    worker.first_line();
    let client = Client::connect(&url).await.unwrap();
    let kept = client.persist(&numbers()).await.unwrap();
    tokio::time::timeout(PATIENCE, kept.wait())
        .await
        .unwrap()
        .unwrap();
    let sum = |x: &Array| x.sum(&Over::all()).unwrap();
    let held = client.compute(&sum(kept.array())).await.unwrap();
    let local = Client::local().await.unwrap();
    assert_eq!(held, local.compute(&sum(&numbers())).await.unwrap());
    local.close().await;
    let info = client.info().await.unwrap();
    assert_eq!(info.workers.len(), 1, "{info:?}");
    assert_eq!(info.workers[0].status.spilled_bytes, 0, "{info:?}");
    assert!(worker.0.try_wait().unwrap().is_none(), "the worker lives");
}
