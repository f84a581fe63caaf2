//! What it costs to keep a run, and how large its report is.
//!
//! Tells of a made-up job of many tasks on 16 workers, of what they move, and log with each hundredth, writes its report, and
//! prints bytes and times.
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
    Dashboard, DashboardOptions, Feed, JobOutcome, LayerInfo, LayerPlan, LogLevel, LogLine, LogSource, Moved,
    MovedKind, Record, TaskFinished, WorkerStatus,
};
use graticule_plan::{ChunkGrid, JobId, LayerId, TaskId, WorkerId};
use tokio::net::TcpListener;

const WORKER_COUNT: u64 = 16;
const SLOT_COUNT: u64 = 8;

/// How long a task and what it waits for take at most.
const TASK_SPAN: Duration = Duration::from_millis(52);

/// Records that are told before the dashboard gets time to take them in.
const BATCH_LEN: u64 = 25_000;

/// Between two times that workers tell what they moved.
const MOVES_PAUSE_US: u64 = 100_000;

/// One of so many tasks logs a line.
const TASKS_PER_LINE: u64 = 100;

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
    let mut told_us = 0;
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
            let given = Record::TaskAssigned {
                task: finished.task,
                worker: finished.worker,
                attempt: 0,
            };
            batch.push((finished.started_us.saturating_sub(fetch_us + below(9_000)), given));
            if block % TASKS_PER_LINE == 7 {
                batch.push((free_us[lane], logged(free_us[lane], &finished, below(5_000))));
            }
            batch.push((free_us[lane] + 200 + below(800), Record::TaskFinished(finished)));
        }
        let now_us = free_us.iter().copied().min().unwrap_or(0);
        while told_us + MOVES_PAUSE_US <= now_us {
            told_us += MOVES_PAUSE_US;
            batch.extend((1..=WORKER_COUNT).map(|worker| (told_us, moved(told_us, worker, &mut below))));
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
    let end_us = free_us.iter().copied().max().unwrap_or(0) + 2_000;
    feed.record(end_us, end);
    for worker in 1..=WORKER_COUNT {
        let record = Record::WorkerStatus {
            worker: WorkerId(worker),
            status: WorkerStatus::default(),
        };
        feed.record(end_us + 1, record);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(telling)
}

/// What a worker moved within the last tenth of a second: from outside, from three others, and its own calls.
fn moved(at_us: u64, worker: u64, below: &mut impl FnMut(u64) -> u64) -> Record {
    let layer = Some((JobId(1), LayerId(0)));
    let mut row = |kind, of| Moved {
        kind,
        of,
        by: layer,
        count: 1 + below(20),
        bytes: below(80 << 20),
        busy_us: below(90_000),
        cpu_us: 0,
        began_us: at_us - MOVES_PAUSE_US + below(20_000),
        ended_us: at_us - below(20_000),
    };
    let peer = |step: u64| MovedKind::Peer(WorkerId(1 + (worker + step) % WORKER_COUNT));
    let moves = [
        row(MovedKind::Source, None),
        row(peer(1), layer),
        row(peer(5), layer),
        row(peer(9), layer),
        row(MovedKind::Call, None),
    ];
    Record::Moved {
        worker: WorkerId(worker),
        moves: moves.into(),
        lost: 0,
    }
}

fn logged(at_us: u64, finished: &TaskFinished, retry_ms: u64) -> Record {
    let line = LogLine {
        level: LogLevel::Warn,
        target: "graticule_data::http".into(),
        text: format!("HTTP 429, asked again host=tiles.example.org retry_ms={retry_ms}").into(),
        job: None,
        task: Some(finished.task),
        worker: None,
        count: 1,
        first_us: at_us,
        last_us: at_us,
    };
    Record::Logged {
        source: LogSource::Worker(finished.worker),
        lines: [line].into(),
        lost: 0,
    }
}
