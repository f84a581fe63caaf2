//! Spans of what an embedded cluster does.

use graticule_array::{Array, Chunks, Over};
use graticule_client::{Client, LocalOptions, Registry, Value};
use graticule_traces::TraceOptions;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::collector::Collector;

fn options(endpoint: &str) -> LocalOptions {
    LocalOptions {
        dashboard: Some(([127, 0, 0, 1], 0).into()),
        traces: Some(TraceOptions::new(endpoint)),
        ..LocalOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computed_array_is_a_trace_of_its_operations_and_tasks() {
    let collector = Collector::default();
    let client = Client::local_with(&options(&collector.start().await))
        .await
        .unwrap();
    let elements: Vec<f64> = (0..64).map(f64::from).collect();
    let x = Array::from_slice(&[64], &[Chunks::Size(8)], &elements).unwrap();
    let mean = client.compute(&x.mean(&Over::all()).unwrap()).await.unwrap();
    assert_eq!(mean.as_slice::<f64>(), Some(&[31.5][..]));
    client.close().await;

    let spans = collector.spans.lock().unwrap();
    let (jobs, rest): (Vec<&Span>, Vec<&Span>) =
        spans.iter().partition(|span| span.parent_span_id.is_empty());
    assert_eq!(jobs.len(), 1, "{spans:?}");
    let of = |parent: &Span| {
        rest.iter()
            .filter(|span| span.parent_span_id == parent.span_id)
            .count()
    };
    let operations = rest.iter().filter(|span| span.parent_span_id == jobs[0].span_id);
    let (operations, tasks): (usize, usize) =
        operations.fold((0, 0), |(n, tasks), span| (n + 1, tasks + of(span)));
    assert!(operations >= 1 && tasks >= 8, "{operations} {tasks}");
    assert_eq!(operations + tasks, rest.len(), "each span hangs in the tree");
    let within = |span: &&Span| {
        span.trace_id == jobs[0].trace_id
            && span.start_time_unix_nano <= span.end_time_unix_nano
            && span.end_time_unix_nano <= jobs[0].end_time_unix_nano + 1_000_000
    };
    assert!(rest.iter().all(within), "{spans:?}");
}

#[tokio::test]
async fn an_address_that_is_none_and_spans_without_a_dashboard_are_refused() {
    let told = Client::local_with(&options("collector:4317"))
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("http://HOST:4317"), "{told}");
    let blind = LocalOptions {
        dashboard: None,
        ..options("http://127.0.0.1:4317")
    };
    let told = Client::local_with(&blind).await.unwrap_err().to_string();
    assert!(told.contains("dashboard"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_functions_are_tasks_of_their_operation() {
    let collector = Collector::default();
    let mut functions = Registry::new();
    functions.function("double", |inputs| {
        let number: i64 = inputs[0].number().ok_or("it takes a number")?;
        Ok(Value::from(number * 2))
    });
    let options = LocalOptions {
        functions,
        ..options(&collector.start().await)
    };
    let client = Client::local_with(&options).await.unwrap();
    for number in 0..5_i64 {
        client.submit("double", [number]).unwrap().result().await.unwrap();
    }
    client.close().await;
    let spans = collector.spans.lock().unwrap();
    let named = |name: &str| spans.iter().filter(|span| span.name.starts_with(name)).count();
    assert_eq!(named("task double"), 5, "{spans:?}");
    assert!(named("operation double") >= 1 && named("job ") >= 1, "{spans:?}");
}
