//! What it costs to keep a run, and how large its report is.
//!
//! Tells of a made-up job of many tasks on 16 workers, writes its report, and prints bytes and times.
//!
//! ```text
//! cargo run --release -p graticule-dashboard --example report -- [TASKS] [FILE]
//! ```

#![allow(clippy::print_stdout, reason = "it says what it measured")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_dashboard::{
    Dashboard, DashboardOptions, Feed, JobOutcome, LayerInfo, LayerPlan, Record, TaskFinished,
};
use graticule_plan::{ChunkGrid, JobId, LayerId, TaskId, WorkerId};
use tokio::net::TcpListener;

const WORKER_COUNT: u64 = 16;
const SLOT_COUNT: u64 = 8;

/// How long a task and what it waits for take at most.
const TASK_SPAN: Duration = Duration::from_millis(52);

/// Records that are told before the dashboard gets time to take them in.
const BATCH_LEN: u64 = 50_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let tasks: u64 = words.next().map_or(Ok(100_000), |word| word.parse())?;
    let path = words.next();
    let (feed, receiver) = Feed::new();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    // The cluster began so long ago that all of it is over by now.
    let over = TASK_SPAN * u32::try_from(tasks / (WORKER_COUNT * SLOT_COUNT) + 2)?;
    let options = DashboardOptions {
        started: Instant::now().checked_sub(over).unwrap_or_else(Instant::now),
        ..Default::default()
    };
    let dashboard = Dashboard::start(listener, receiver, options)?;
    let recording = dashboard.recording();

    let telling = tell(&feed, tasks).await?;
    println!(
        "telling: {:.0} ns a record, {} had no room",
        telling.as_nanos() as f64 / tasks as f64,
        feed.dropped_count()
    );
    let begun = Instant::now();
    let report = recording.report_since(0).await.ok_or("the dashboard has ended")?;
    println!(
        "report: {} bytes, made in {:.0} ms",
        report.len(),
        begun.elapsed().as_secs_f64() * 1e3
    );
    let bytes = recording
        .archive_since(0)
        .await
        .ok_or("the dashboard has ended")?;
    println!("archive: {:.2} bytes a task", bytes.len() as f64 / tasks as f64);
    if let Some(path) = path {
        std::fs::write(path, report)?;
    }
    dashboard.shutdown().await;
    Ok(())
}

/// Tells of the whole job; returns how long that took, without the pauses.
async fn tell(feed: &Feed, tasks: u64) -> Result<Duration, graticule_plan::PlanError> {
    for worker in 1..=WORKER_COUNT {
        let record = Record::WorkerJoined {
            worker: WorkerId(worker),
            name: format!("worker-{worker}").into(),
            address: format!("10.0.0.{worker}:4000").into(),
            slots: SLOT_COUNT as u32,
            budget_bytes: 8 << 30,
        };
        feed.record(0, record);
    }
    let layer = LayerInfo {
        name: "read+where+nanmedian".into(),
        task_count: tasks,
        chunk_bytes: 8 << 20,
        origin: Some("mosaic.py:14".into()),
        plan: Some(Arc::new(LayerPlan {
            grid: ChunkGrid::regular(&[tasks << 20], &[1 << 20])?,
            item_bytes: 8,
            inputs: Vec::new(),
            keys: Vec::new(),
            is_output: true,
        })),
    };
    let start = Record::JobStarted {
        job: JobId(1),
        name: "mosaic".into(),
        layers: Arc::new([layer]),
    };
    feed.record(0, start);
    let lane_count = (WORKER_COUNT * SLOT_COUNT) as usize;
    let mut free_us = vec![0; lane_count];
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = move |end: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % end
    };
    let mut telling = Duration::ZERO;
    for first in (0..tasks).step_by(BATCH_LEN as usize) {
        let mut batch = Vec::new();
        for block in first..tasks.min(first + BATCH_LEN) {
            let lane = (block % lane_count as u64) as usize;
            let fetch_us = 2_000 + below(6_000);
            let finished = TaskFinished {
                task: TaskId {
                    job: JobId(1),
                    layer: LayerId(0),
                    block,
                },
                worker: WorkerId(1 + lane as u64 % WORKER_COUNT),
                attempt: 0,
                slot: (lane as u64 / WORKER_COUNT) as u32,
                started_us: free_us[lane] + below(400),
                duration_us: 30_000 + below(20_000),
                fetch_us,
                bytes: 8 << 20,
                spilled: false,
            };
            free_us[lane] = finished.started_us + finished.duration_us;
            batch.push((free_us[lane] + 200 + below(800), Record::TaskFinished(finished)));
        }
        let begun = Instant::now();
        for (at_us, record) in batch {
            feed.record(at_us, record);
        }
        telling += begun.elapsed();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let end = Record::JobEnded {
        job: JobId(1),
        outcome: JobOutcome::Succeeded,
        finished: None,
    };
    feed.record(free_us.iter().copied().max().unwrap_or(0) + 2_000, end);
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(telling)
}
