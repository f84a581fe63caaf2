//! What the dashboard is told of what workers move, against what their tasks say themselves.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::time::Duration;

use graticule_array::{Array, Chunks, Over};
use graticule_client::{Client, LocalOptions};
use graticule_dashboard::aggregate::{Communication, MoveClass};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SIDE: u64 = 512;
const BYTES: u64 = SIDE * SIDE * 8;

fn options(worker_count: u32) -> LocalOptions {
    LocalOptions {
        worker_count,
        slots: Some(1),
        dashboard: Some(([127, 0, 0, 1], 0).into()),
        ..LocalOptions::default()
    }
}

fn matrix(rows: u64, chunks: &[Chunks; 2]) -> Array {
    let values: Vec<f64> = (0..rows * SIDE).map(|i| i as f64).collect();
    Array::from_slice(&[rows, SIDE], chunks, &values).unwrap()
}

/// What the dashboard answers.
pub(crate) async fn get(client: &Client, path: &str) -> Vec<u8> {
    let url = client.dashboard_url().unwrap();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let head = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    answer.split_off(head + 4)
}

/// Asks until what is told is enough: workers tell it with their signs of life.
async fn told(client: &Client, is_enough: impl Fn(&Communication) -> bool) -> Communication {
    let mut turn = tokio::time::interval(Duration::from_millis(50));
    let mut last = None;
    for _ in 0..400 {
        turn.tick().await;
        let answer: Communication = serde_json::from_slice(&get(client, "api/communication").await).unwrap();
        if is_enough(&answer) {
            return answer;
        }
        last = Some(answer);
    }
    panic!("the dashboard was not told of it: {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rechunk_is_told_byte_by_byte() {
    let client = Client::local_with(&options(4)).await.unwrap();
    let pancakes = client
        .persist(&matrix(SIDE, &[Chunks::Size(SIDE / 16), Chunks::Whole]))
        .await
        .unwrap();
    pancakes.wait().await.unwrap();
    let pencils = pancakes
        .array()
        .rechunk(&[Chunks::Whole, Chunks::Size(SIDE / 16)])
        .unwrap();
    let pencils = client.persist(&pencils).await.unwrap();
    pencils.wait().await.unwrap();
    let moved = |it: &Communication| it.pairs.iter().map(|row| row.2.bytes).sum::<u64>();
    // A quarter of each pencil may lie where it is made.
    let answer = told(&client, |it| moved(it) >= BYTES / 4 * 3).await;
    assert!(answer.pairs.iter().all(|(from, to, _)| from != to));
    let of_flows: u64 = answer.flows.iter().map(|row| row.2.bytes).sum();
    let of_layers: u64 = answer.layers.iter().map(|row| row.moved).sum();
    assert_eq!((of_flows, of_layers), (moved(&answer), moved(&answer)));
    // What is needed leaves out the largest part of each task's input alone, so no more than that can travel.
    for row in answer.layers.iter().filter(|row| row.moved > 0) {
        assert!(row.needed.is_some_and(|needed| needed > 0), "{row:?}");
    }
    assert_eq!((answer.lost, answer.left_out.count), (0, 0));
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spilled_chunks_are_told_and_named_as_what_slows_the_run_down() {
    let options = LocalOptions {
        budget_bytes: Some(16 << 20),
        ..options(1)
    };
    let client = Client::local_with(&options).await.unwrap();
    let rows = SIDE * 16;
    let kept = client
        .persist(&matrix(rows, &[Chunks::Size(SIDE / 4), Chunks::Whole]))
        .await
        .unwrap();
    kept.wait().await.unwrap();
    let sum = client
        .compute(&kept.array().sum(&Over::all()).unwrap())
        .await
        .unwrap();
    drop(sum);
    let bytes = |it: &Communication, class| {
        let own = it.own.iter().filter(|row| row.1 == class);
        own.map(|row| row.2.bytes).sum::<u64>()
    };
    let spilled = |it: &Communication| (bytes(it, MoveClass::Spill), bytes(it, MoveClass::ReadBack));
    let answer = told(&client, |it| spilled(it).0 >= 8 << 20 && spilled(it).1 > 0).await;
    assert!(
        answer
            .layers
            .iter()
            .any(|row| row.spilled > 0 && row.read_back > 0)
    );
    let insights: Value = serde_json::from_slice(&get(&client, "api/insights").await).unwrap();
    let findings = insights["findings"].as_array().unwrap();
    assert!(findings.iter().any(|it| it["kind"] == "spill"), "{findings:?}");
    client.close().await;
}
