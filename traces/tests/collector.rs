//! Spans of a whole feed, sent to a collector that listens on loopback.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use graticule_dashboard::{Feed, JobOutcome, LayerInfo, Record, TaskFinished};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use graticule_traces::{TraceOptions, Traces};
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

/// Takes what it is sent, and turns away the first so many requests.
#[derive(Debug, Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    services: Arc<Mutex<Vec<String>>>,
    tokens: Arc<Mutex<Vec<String>>>,
    refusals: Arc<Mutex<u32>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err(Status::unavailable("not yet"));
            }
        }
        let token = request
            .metadata()
            .get("x-token")
            .map(|token| token.to_str().unwrap().to_owned());
        self.tokens.lock().unwrap().extend(token);
        for resource_spans in request.into_inner().resource_spans {
            let attributes = resource_spans.resource.unwrap().attributes;
            let service = attributes
                .into_iter()
                .find(|attribute| attribute.key == "service.name");
            self.services
                .lock()
                .unwrap()
                .push(format!("{:?}", service.unwrap().value));
            let spans = resource_spans
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            self.spans.lock().unwrap().extend(spans);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service = TraceServiceServer::new(self.clone());
        let serving = Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        endpoint
    }
}

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
    let (traces, exporter) = Traces::start(options, Instant::now()).unwrap();
    let (feed, receiver) = Feed::new();
    let mut receiver = receiver.observed_by(Box::new(traces));
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
    let (traces, exporter) = Traces::start(&TraceOptions::new(endpoint), Instant::now()).unwrap();
    let (feed, receiver) = Feed::new();
    let mut receiver = receiver.observed_by(Box::new(traces));
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
