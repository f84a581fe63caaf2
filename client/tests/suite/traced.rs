//! Spans of what an embedded cluster does, as a collector gets them.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::sync::{Arc, Mutex};

use graticule_array::{Array, Chunks, Over};
use graticule_client::{Client, LocalOptions};
use graticule_traces::TraceOptions;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter();
        let scopes = scopes.flat_map(|resource| resource.scope_spans);
        self.0
            .lock()
            .unwrap()
            .extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let service = TraceServiceServer::new(collector.clone());
    let serving = Server::builder().add_service(service);
    let serving = tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));

    let client = Client::local_with(&options(&endpoint)).await.unwrap();
    let elements: Vec<f64> = (0..64).map(f64::from).collect();
    let x = Array::from_slice(&[64], &[Chunks::Size(8)], &elements).unwrap();
    let mean = client.compute(&x.mean(&Over::all()).unwrap()).await.unwrap();
    assert_eq!(mean.as_slice::<f64>(), Some(&[31.5][..]));
    client.close().await;
    serving.abort();

    let spans = collector.0.lock().unwrap();
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
