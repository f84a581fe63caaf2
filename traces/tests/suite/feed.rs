//! Spans of a whole feed.

use std::time::{Duration, Instant};

use graticule_dashboard::{Feed, JobOutcome, LayerInfo, Record, TaskFinished};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use graticule_traces::{TraceOptions, trace};
use tokio::net::TcpListener;

use crate::collector::Collector;

/// Tells a job of so many tasks.
fn tell(feed: &Feed, count: u64) {
    let job = JobId(1);
    let layer = LayerInfo {
        name: "read".into(),
        task_count: count,
        chunk_bytes: 8,
        origin: None,
        plan: None,
    };
    feed.record(
        1,
        Record::JobStarted {
            job,
            name: "mosaic".into(),
            layers: [layer].into(),
        },
    );
    for block in 0..count {
        let finished = TaskFinished {
            task: TaskId {
                job,
                layer: LayerId(0),
                block,
            },
            worker: WorkerId(1),
            attempt: 0,
            slot: 0,
            started_us: 10 + block,
            duration_us: 5,
            fetch_us: 0,
            bytes: 8,
            spilled: false,
        };
        feed.record(20 + block, Record::TaskFinished(finished));
    }
    let ended = Record::JobEnded {
        job,
        outcome: JobOutcome::Succeeded,
        finished: None,
    };
    feed.record(30 + count, ended);
}

async fn sent(options: &TraceOptions) {
    let (feed, receiver) = Feed::new();
    let (mut receiver, exporter) = trace(receiver, options, Instant::now()).unwrap();
    tell(&feed, 40);
    receiver.drain(100, |_, _| ());
    drop(receiver);
    exporter.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_each_job_with_its_operations_and_tasks() {
    let collector = Collector::default();
    let mut options = TraceOptions::new(collector.start().await);
    options.service = "climate".into();
    options.headers = vec![("x-token".into(), "abc".into())];
    sent(&options).await;
    let spans = collector.spans.lock().unwrap();
    assert_eq!(spans.len(), 42);
    assert!(
        spans
            .iter()
            .all(|span| span.end_time_unix_nano >= span.start_time_unix_nano)
    );
    assert!(
        collector
            .services
            .lock()
            .unwrap()
            .iter()
            .all(|service| service.contains("climate"))
    );
    assert!(
        collector
            .tokens
            .lock()
            .unwrap()
            .iter()
            .all(|token| token == "abc")
    );
    assert!(!collector.tokens.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_busy_at_first_is_asked_again() {
    let collector = Collector::default();
    *collector.refusals.lock().unwrap() = 1;
    sent(&TraceOptions::new(collector.start().await)).await;
    assert_eq!(collector.spans.lock().unwrap().len(), 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_collector_that_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (feed, receiver) = Feed::new();
    let (mut receiver, exporter) = trace(receiver, &TraceOptions::new(endpoint), Instant::now()).unwrap();
    let began = Instant::now();
    for _ in 0..100 {
        tell(&feed, 500);
        receiver.drain(10_000_000, |_, _| ());
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(receiver);
    exporter.finish().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
