//! Workers of real processes that leave: nothing is made again.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{sync::Arc, time::Instant};

use crate::support::{PATIENCE, Process};
use graticule_array::{Array, Chunks, Over};
use graticule_client::{Client, ConnectOptions, Persisted};
use graticule_plan::DType;

/// A scheduler and workers, each a process.
fn cluster(worker_count: usize, memory: &str) -> (Process, String, Vec<Process>) {
    let (scheduler, url) = Process::scheduler();
    let worker = |_| {
        let arguments = ["worker", "--scheduler", &url, "--slots", "1", "--memory", memory];
        let mut worker = Process::start(&arguments);
        worker.first_line();
        worker
    };
    let workers = (0..worker_count).map(worker).collect();
    (scheduler, url, workers)
}

async fn wait_for_workers(url: &str, count: usize) {
    let begun = Instant::now();
    loop {
        let info = Client::info_of(url, &ConnectOptions::default()).await.unwrap();
        if info.workers.len() == count {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{info:?}");
        tokio::task::yield_now().await;
    }
}

/// Half a million numbers in 512 chunks, each of which takes a task.
fn numbers() -> Array {
    let x = Array::arange(0.0, 524_288.0, 1.0, DType::Float64, Chunks::Size(1024)).unwrap();
    x.sin().unwrap()
}

async fn persisted(client: &Client) -> Persisted {
    let kept = client.persist(&numbers()).await.unwrap();
    kept.wait().await.unwrap();
    kept
}

async fn sum(client: &Client, of: &Array) -> Vec<f64> {
    let sum = client.compute(&of.sum(&Over::all()).unwrap()).await.unwrap();
    sum.as_slice::<f64>().unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_terminated_hands_over_what_it_holds_and_nothing_is_made_again() {
    let (_scheduler, url, mut workers) = cluster(3, "256MiB");
    wait_for_workers(&url, 3).await;
    let client = Arc::new(Client::connect(&url).await.unwrap());
    let kept = persisted(&client).await;
    let before = sum(&client, kept.array()).await;
    // The second job runs while the worker leaves.
    let (running, array) = (client.clone(), kept.array().clone());
    let during = tokio::spawn(async move { sum(&running, &array).await });
    workers[1].signal("TERM");
    assert_eq!(workers[1].code(), Some(0));
    wait_for_workers(&url, 2).await;
    assert_eq!(before, during.await.unwrap());
    assert_eq!(before, sum(&client, kept.array()).await);
    let info = client.info().await.unwrap();
    assert_eq!(info.remade_count, 0, "{info:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_has_its_chunks_made_again_and_they_are_counted() {
    let (_scheduler, url, mut workers) = cluster(2, "256MiB");
    wait_for_workers(&url, 2).await;
    let client = Client::connect(&url).await.unwrap();
    let kept = persisted(&client).await;
    drop(workers.remove(0));
    wait_for_workers(&url, 1).await;
    sum(&client, kept.array()).await;
    let info = client.info().await.unwrap();
    assert!(info.remade_count > 0, "{info:?}");
}
