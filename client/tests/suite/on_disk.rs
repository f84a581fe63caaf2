//! Chunks that workers spill later, as the dashboard draws them, and what is in memory again.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use graticule_array::{Array, Chunks};
use graticule_client::Client;
use graticule_dashboard::aggregate::{CellState, CellView};
use graticule_scheduler::ServeOptions;
use graticule_worker::{ServeOptions as WorkerServeOptions, WorkerOptions};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::moved::get;

const ANYWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const PATIENCE: Duration = Duration::from_secs(60);
/// Chunks of a MiB.
const CHUNK_COUNT: u64 = 40;
const CHUNK_LEN: u64 = 1 << 17;

async fn worker(url: &str, name: &str, budget_bytes: u64) -> graticule_worker::Served {
    let folder = std::env::temp_dir().join(format!("graticule-on-disk-{}-{name}", std::process::id()));
    let options = WorkerServeOptions {
        scheduler: url.into(),
        listen: ANYWHERE.into(),
        worker: WorkerOptions {
            name: name.into(),
            slots: 1,
            budget_bytes,
            spill_dir: folder,
            ..WorkerOptions::default()
        },
    };
    graticule_worker::serve(options).await.unwrap()
}

/// One who follows the cells of a job's arrays.
struct Follower {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
    view: CellView,
}

impl Follower {
    async fn of(client: &Client, job: u64) -> Self {
        let url = client.dashboard_url().unwrap();
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(host).await.unwrap();
        let request = format!("GET /api/events/arrays/{job} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            lines: BufReader::new(stream).lines(),
            view: CellView::default(),
        }
    }

    /// How many chunks of all arrays are in a state.
    fn count(&self, state: CellState) -> u64 {
        let cells = self.view.arrays.values().flat_map(|(_, cells)| cells);
        cells.filter(|cell| cell[0] & 0x0f == state as u8).count() as u64
    }

    /// Follows until the cells are as they should be.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let followed = async {
            while !is_so(self) {
                let line = self
                    .lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the dashboard serves");
                if let Some(frame) = line.strip_prefix("data: ") {
                    let frame = STANDARD.decode(frame).unwrap();
                    self.view.apply(&frame).expect("the frame that follows");
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, followed).await;
        if in_time.is_err() {
            panic!(
                "{} chunks are on disk and {} in memory",
                self.count(CellState::Spilled),
                self.count(CellState::Held)
            );
        }
    }
}

/// What the dashboard says of all that is held: chunks, and those of them on disk.
async fn held(client: &Client) -> (u64, u64) {
    let told: Value = serde_json::from_slice(&get(client, "api/memory/0").await).unwrap();
    let holders = told["holders"].as_array().unwrap();
    let sum = |name: &str| holders.iter().map(|it| it[name].as_u64().unwrap()).sum();
    (sum("chunks"), sum("spilled"))
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_drawn_on_disk_when_they_are_spilled_and_in_memory_when_they_are_back() {
    let options = ServeOptions {
        listen: ANYWHERE.into(),
        dashboard: Some(ANYWHERE.into()),
        ..ServeOptions::default()
    };
    let scheduler = graticule_scheduler::serve(options).await.unwrap();
    let url = format!("grpc://{}", scheduler.address);
    let small = worker(&url, "small", 16 << 20).await;
    let client = Client::connect(&url).await.unwrap();
    let values: Vec<f64> = (0..CHUNK_COUNT * CHUNK_LEN).map(|i| (i as f64).sin()).collect();
    let numbers = Array::from_slice(&[CHUNK_COUNT * CHUNK_LEN], &[Chunks::Size(CHUNK_LEN)], &values).unwrap();
    let kept = client.persist(&numbers).await.unwrap();
    kept.wait().await.unwrap();

    // A job whose start was not told yet has no arrays to follow.
    let mut turn = tokio::time::interval(Duration::from_millis(20));
    while held(&client).await.0 < CHUNK_COUNT {
        turn.tick().await;
    }
    let mut follower = Follower::of(&client, 0).await;
    let budget_chunks = 16;
    follower
        .until(|it| {
            let on_disk = it.count(CellState::Spilled);
            on_disk >= CHUNK_COUNT - budget_chunks && on_disk + it.count(CellState::Held) == CHUNK_COUNT
        })
        .await;
    let (chunks, spilled) = held(&client).await;
    assert_eq!(chunks, CHUNK_COUNT);
    assert!(
        spilled >= CHUNK_COUNT - budget_chunks,
        "{spilled} chunks are on disk"
    );

    // What the small worker has goes to one that has room for all of it.
    let large = worker(&url, "large", 512 << 20).await;
    small.retire(PATIENCE).await;
    follower
        .until(|it| it.count(CellState::Held) == CHUNK_COUNT)
        .await;
    assert_eq!(held(&client).await, (CHUNK_COUNT, 0));

    client.close().await;
    large.stop(PATIENCE).await;
    scheduler.shutdown().await;
}
