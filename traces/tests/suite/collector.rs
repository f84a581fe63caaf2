//! A collector that listens on loopback.

use std::sync::{Arc, Mutex};

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
pub(crate) struct Collector {
    pub(crate) spans: Arc<Mutex<Vec<Span>>>,
    pub(crate) services: Arc<Mutex<Vec<String>>>,
    pub(crate) tokens: Arc<Mutex<Vec<String>>>,
    pub(crate) refusals: Arc<Mutex<u32>>,
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
    pub(crate) async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service = TraceServiceServer::new(self.clone());
        let serving = Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        endpoint
    }
}
