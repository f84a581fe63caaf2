//! Sends spans to a collector, in batches, as long as it takes them.

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::v1::InstrumentationScope,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tonic::{Code, Request, Status, transport::Channel};
use tracing::{info, warn};

use crate::{
    TraceError, TraceOptions,
    options::Header,
    spans::{number, text},
};

/// Spans of one request.
const BATCH_COUNT_MAX: usize = 512;

/// How long spans are collected before they are sent.
const BATCH_TIME: Duration = Duration::from_secs(1);

/// How long a collector may take for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Pauses before a batch that was not taken is sent again; then it is dropped.
const RETRY_PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// How long [`Exporter::finish`] waits for what is left.
const FINISH_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends spans in the background.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
}

impl Exporter {
    pub(crate) fn start(options: &TraceOptions, inbox: mpsc::Receiver<Span>) -> Result<Self, TraceError> {
        let channel = options
            .endpoint()?
            .connect_timeout(REQUEST_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .connect_lazy();
        let sender = Sender {
            collector: TraceServiceClient::new(channel),
            endpoint: options.endpoint.clone(),
            headers: options.metadata()?,
            resource: Resource {
                attributes: vec![
                    text("service.name", &options.service),
                    text("service.version", env!("CARGO_PKG_VERSION")),
                    number("process.pid", u64::from(std::process::id())),
                ],
                ..Resource::default()
            },
            unsent: None,
        };
        Ok(Self {
            task: tokio::spawn(sender.run(inbox)),
        })
    }

    /// Waits until what there is has been sent, once the receiver that they are made of is gone; not for ever.
    pub async fn finish(mut self) {
        if tokio::time::timeout(FINISH_TIMEOUT, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
            warn!("the last spans were dropped: the collector did not take them in time");
        }
    }
}

struct Sender {
    collector: TraceServiceClient<Channel>,
    endpoint: String,
    headers: Vec<Header>,
    resource: Resource,
    /// Spans that were dropped since the collector took the last ones, if it does not now.
    unsent: Option<u64>,
}

impl Sender {
    async fn run(mut self, mut inbox: mpsc::Receiver<Span>) {
        let mut batch = Vec::with_capacity(BATCH_COUNT_MAX);
        while let Some(first) = inbox.recv().await {
            batch.push(first);
            let deadline = Instant::now() + BATCH_TIME;
            while batch.len() < BATCH_COUNT_MAX {
                match timeout_at(deadline, inbox.recv()).await {
                    Ok(Some(span)) => batch.push(span),
                    Ok(None) | Err(_) => break,
                }
            }
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    async fn send(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        // A collector that is known to be away is asked once a batch: what waits meanwhile is dropped where it is made.
        let pauses = if self.unsent.is_some() {
            &[][..]
        } else {
            &RETRY_PAUSES
        };
        let mut sent = self.send_once(&spans).await;
        for pause in pauses {
            match &sent {
                Err(status) if may_be_sent_again(status) => tokio::time::sleep(*pause).await,
                Ok(()) | Err(_) => break,
            }
            sent = self.send_once(&spans).await;
        }
        match (sent, self.unsent) {
            (Ok(()), None) => {}
            (Ok(()), Some(dropped)) => {
                self.unsent = None;
                info!(collector = self.endpoint, dropped, "spans are taken again");
            }
            (Err(status), None) => {
                self.unsent = Some(count);
                warn!(
                    collector = self.endpoint,
                    code = ?status.code(),
                    why = status.message(),
                    "spans are dropped: the collector does not take them"
                );
            }
            (Err(_), Some(dropped)) => self.unsent = Some(dropped + count),
        }
    }

    async fn send_once(&mut self, spans: &[Span]) -> Result<(), Status> {
        let scope_spans = ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "graticule".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                ..InstrumentationScope::default()
            }),
            spans: spans.to_vec(),
            ..ScopeSpans::default()
        };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        let mut request = Request::new(ExportTraceServiceRequest {
            resource_spans: vec![resource_spans],
        });
        for (name, value) in &self.headers {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        let answer = self.collector.export(request).await?.into_inner();
        if let Some(partial) = answer
            .partial_success
            .filter(|partial| partial.rejected_spans > 0)
        {
            warn!(
                collector = self.endpoint,
                spans = partial.rejected_spans,
                why = partial.error_message,
                "the collector refused spans"
            );
        }
        Ok(())
    }
}

/// As OTLP's specification says of errors over gRPC.
fn may_be_sent_again(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    )
}
