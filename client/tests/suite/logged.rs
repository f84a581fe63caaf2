//! What an embedded cluster logs, as its dashboard tells it.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::time::Duration;

use graticule_client::{Client, LocalOptions, Registry, Value};
use graticule_dashboard::{LogLevel, aggregate::LineRow, aggregate::Lines};
use tracing_subscriber::{layer::SubscriberExt, registry};

use crate::moved::get;

/// Asks until there is such a line: workers tell theirs with their signs of life.
async fn line(client: &Client, query: &str, is_it: impl Fn(&LineRow) -> bool) -> LineRow {
    let mut turn = tokio::time::interval(Duration::from_millis(50));
    let mut last = None;
    for _ in 0..400 {
        turn.tick().await;
        let answer = get(client, &format!("api/logs?{query}")).await;
        let told: Lines = serde_json::from_slice(&answer).unwrap();
        if let Some(found) = told.lines.iter().find(|row| is_it(row)) {
            return found.clone();
        }
        last = Some(told);
    }
    panic!("the dashboard was not told of it: {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_functions_workers_and_the_scheduler_log_is_told_with_its_worker_and_task() {
    // Of the whole process, as programs set it: the cluster's threads are not this one.
    let _ = tracing::subscriber::set_global_default(registry().with(graticule_logs::layer()));
    let mut functions = Registry::new();
    functions.function("wary", |_| {
        for _ in 0..20 {
            tracing::warn!(free_bytes = 12, "the sensor is warm");
        }
        Ok(Value::from(1_i64))
    });
    let options = LocalOptions {
        worker_count: 2,
        slots: Some(1),
        functions,
        dashboard: Some(([127, 0, 0, 1], 0).into()),
        ..LocalOptions::default()
    };
    let client = Client::local_with(&options).await.unwrap();
    let future = client.submit("wary", [0_u64]).unwrap();
    future.result().await.unwrap();

    let warm = line(&client, "level=warn&text=SENSOR", |_| true).await;
    assert_eq!(
        (warm.level, &*warm.text),
        (LogLevel::Warn, "the sensor is warm free_bytes=12")
    );
    assert_eq!((warm.count, warm.block), (20, Some(0)));
    assert!(
        warm.from.starts_with("local-") && warm.source.is_some(),
        "{warm:?}"
    );
    assert!(warm.job.is_some() && warm.layer.is_some(), "{warm:?}");
    assert!(warm.target.contains("logged"), "{warm:?}");
    let of_worker = format!("from={}", warm.source.unwrap());
    assert_eq!(line(&client, &of_worker, |row| row.seq == warm.seq).await, warm);

    let started = line(&client, "from=scheduler", |row| {
        row.text.starts_with("job started")
    })
    .await;
    assert_eq!((&*started.from, started.source), ("scheduler", None));
    client.close().await;
}
