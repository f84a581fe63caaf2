//! What a rechunk moves between workers, against the least that it must.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::collections::BTreeMap;

use graticule_array::{Array, Chunks};
use graticule_client::{Client, Happening, LocalOptions, Persisted, Subject};
use graticule_plan::{LayerId, TaskId, WorkerId};

const WORKERS: u32 = 4;
const SIDE: u64 = 512;
const BYTES: u64 = SIDE * SIDE * 8;
/// How much more than the least may be moved.
const WASTE: f64 = 1.05;

async fn cluster() -> Client {
    let options = LocalOptions {
        worker_count: WORKERS,
        slots: Some(1),
        ..LocalOptions::default()
    };
    Client::local_with(&options).await.unwrap()
}

fn matrix(chunks: &[Chunks; 2]) -> Array {
    let values: Vec<f64> = (0..SIDE * SIDE).map(|i| i as f64).collect();
    Array::from_slice(&[SIDE, SIDE], chunks, &values).unwrap()
}

/// What the tasks of a kept result fetched together, by the worker that ran them, and how many tasks each ran.
async fn moved(client: &Client, kept: &Persisted, layers: u32) -> BTreeMap<WorkerId, (u64, u64)> {
    let mut moved: BTreeMap<WorkerId, (u64, u64)> = BTreeMap::new();
    for layer in 0..layers {
        let mut block = 0;
        loop {
            let (job, layer) = (kept.id(), LayerId(layer));
            let task = TaskId { job, layer, block };
            let Ok(answer) = client.why(Subject::Task(task)).await else {
                break;
            };
            let done = answer.story.iter().filter_map(|(_, happening)| match happening {
                Happening::Finished { worker, times, .. } => Some((*worker, times.fetched_bytes)),
                _ => None,
            });
            let done: Vec<_> = done.collect();
            assert_eq!(done.len(), 1, "{task} ran once: {answer}");
            let sum = moved.entry(done[0].0).or_default();
            (sum.0, sum.1) = (sum.0 + done[0].1, sum.1 + 1);
            block += 1;
        }
    }
    moved
}

/// From pancakes to pencils each worker has a quarter of what each pencil is made of, so three quarters of all must move.
#[tokio::test(flavor = "multi_thread")]
async fn a_rechunk_moves_what_lies_elsewhere_and_hardly_more() {
    let client = cluster().await;
    let pancakes = client
        .persist(&matrix(&[Chunks::Size(SIDE / 16), Chunks::Whole]))
        .await
        .unwrap();
    pancakes.wait().await.unwrap();
    let pencils = pancakes
        .array()
        .rechunk(&[Chunks::Whole, Chunks::Size(SIDE / 16)])
        .unwrap();
    let pencils = client.persist(&pencils).await.unwrap();
    pencils.wait().await.unwrap();
    let moved = moved(&client, &pencils, 1).await;
    assert_eq!(moved.values().map(|(_, tasks)| tasks).sum::<u64>(), 16);
    let bytes: u64 = moved.values().map(|(bytes, _)| bytes).sum();
    let least = BYTES as f64 * f64::from(WORKERS - 1) / f64::from(WORKERS);
    assert!(bytes as f64 <= least * WASTE, "{bytes} of {least}: {moved:?}");
    assert!(bytes > 0, "several workers took part: {moved:?}");
    client.close().await;
}

/// A chunk that is cut into others stays where it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_rechunk_within_chunks_moves_next_to_nothing() {
    let client = cluster().await;
    let whole_rows = client
        .persist(&matrix(&[Chunks::Size(SIDE / 16), Chunks::Whole]))
        .await
        .unwrap();
    whole_rows.wait().await.unwrap();
    let halves = [Chunks::Size(SIDE / 16), Chunks::Size(SIDE / 2)];
    let halves = client
        .persist(&whole_rows.array().rechunk(&halves).unwrap())
        .await
        .unwrap();
    halves.wait().await.unwrap();
    let moved = moved(&client, &halves, 1).await;
    let bytes: u64 = moved.values().map(|(bytes, _)| bytes).sum();
    assert!(
        bytes as f64 <= BYTES as f64 * (WASTE - 1.0),
        "{bytes} of {BYTES}: {moved:?}"
    );
    client.close().await;
}

/// Where pieces are tiny, each byte moves twice at most, in far fewer of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_rechunk_in_two_steps_moves_each_byte_twice_at_most() {
    let client = cluster().await;
    let pancakes = client
        .persist(&matrix(&[Chunks::Size(4), Chunks::Whole]))
        .await
        .unwrap();
    pancakes.wait().await.unwrap();
    let pencils = pancakes
        .array()
        .rechunk(&[Chunks::Whole, Chunks::Size(4)])
        .unwrap();
    let pencils = client.persist(&pencils).await.unwrap();
    pencils.wait().await.unwrap();
    let moved = moved(&client, &pencils, 2).await;
    let bytes: u64 = moved.values().map(|(bytes, _)| bytes).sum();
    let least = BYTES as f64 * f64::from(WORKERS - 1) / f64::from(WORKERS);
    assert!(
        bytes as f64 <= 2.0 * least * WASTE,
        "{bytes} of twice {least}: {moved:?}"
    );
    client.close().await;
}
