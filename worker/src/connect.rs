use std::time::Duration;

use graticule_engine::{ToScheduler, ToWorker};
use graticule_proto::{MESSAGE_BYTES_MAX, v1};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::transport::Endpoint;

use crate::WorkerError;

/// Messages that may wait to be sent or taken in.
const QUEUE_COUNT_MAX: usize = 16_384;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection to the scheduler could not be made, or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nobody answers, or the connection broke: try again.
    #[error("{0}")]
    Lost(String),
    /// The scheduler will not have this worker, and would not later.
    #[error("{0}")]
    Refused(String),
}

/// An open connection to the scheduler. The worker's first word must be its announcement.
#[derive(Debug)]
pub struct Session {
    /// What the worker says.
    pub outgoing: mpsc::Sender<ToScheduler>,
    /// What the scheduler says. An error is the last thing that comes.
    pub incoming: mpsc::Receiver<Result<ToWorker, LinkError>>,
}

/// The way to the scheduler.
#[async_trait::async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Opens a connection.
    ///
    /// # Errors
    /// [`LinkError`].
    async fn connect(&self) -> Result<Session, LinkError>;

    /// Whether the worker is alone in its process, so that the process's memory is the worker's.
    fn has_own_process(&self) -> bool {
        false
    }
}

/// A scheduler in another process.
#[derive(Debug, Clone)]
pub struct GrpcConnector {
    endpoint: Endpoint,
}

impl GrpcConnector {
    /// A scheduler at `grpc://host:port` (or `http://host:port`, or `host:port`).
    ///
    /// # Errors
    /// [`WorkerError::Address`].
    pub fn new(url: &str) -> Result<Self, WorkerError> {
        let host = url
            .strip_prefix("grpc://")
            .or_else(|| url.strip_prefix("http://"))
            .unwrap_or(url);
        let failed = |why: String| WorkerError::Address { url: url.into(), why };
        let endpoint = Endpoint::from_shared(format!("http://{host}")).map_err(|e| failed(e.to_string()))?;
        if endpoint.uri().port().is_none() {
            return Err(failed("the port is missing".into()));
        }
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(20));
        Ok(Self { endpoint })
    }
}

#[async_trait::async_trait]
impl Connector for GrpcConnector {
    fn has_own_process(&self) -> bool {
        true
    }

    async fn connect(&self) -> Result<Session, LinkError> {
        let lost = |error: tonic::transport::Error| {
            let cause = std::error::Error::source(&error)
                .map(|s| format!(": {s}"))
                .unwrap_or_default();
            LinkError::Lost(format!("no scheduler at {}{cause}", self.endpoint.uri()))
        };
        let channel = self.endpoint.connect().await.map_err(lost)?;
        let (outgoing, said) = mpsc::channel::<ToScheduler>(QUEUE_COUNT_MAX);
        let (heard, incoming) = mpsc::channel(QUEUE_COUNT_MAX);
        let mut client = v1::cluster_client::ClusterClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        // The answer comes only after the announcement has been sent, so it is awaited elsewhere.
        tokio::spawn(async move {
            let request = ReceiverStream::new(said).map(v1::WorkerMessage::from);
            let error = match client.work(request).await {
                Ok(answer) => listen(answer.into_inner(), &heard).await,
                Err(status) => link_error(&status),
            };
            let _ = heard.send(Err(error)).await;
        });
        Ok(Session { outgoing, incoming })
    }
}

async fn listen(
    mut stream: tonic::Streaming<v1::SchedulerMessage>,
    heard: &mpsc::Sender<Result<ToWorker, LinkError>>,
) -> LinkError {
    loop {
        let message = match stream.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return LinkError::Lost("the scheduler ended the connection".into()),
            Err(status) => return link_error(&status),
        };
        match ToWorker::try_from(message) {
            Ok(message) => {
                if heard.send(Ok(message)).await.is_err() {
                    return LinkError::Lost("the worker ended the connection".into());
                }
            }
            Err(error) => return LinkError::Lost(error.to_string()),
        }
    }
}

fn link_error(status: &tonic::Status) -> LinkError {
    match status.code() {
        tonic::Code::FailedPrecondition | tonic::Code::InvalidArgument => {
            LinkError::Refused(status.message().into())
        }
        _ => LinkError::Lost(format!("connection to the scheduler lost: {}", status.message())),
    }
}
