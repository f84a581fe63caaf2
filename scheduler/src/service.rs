//! The gRPC service `Cluster`, in front of the actor.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use graticule_engine::ToScheduler;
use graticule_proto::{
    ClientToken, DatasetError, FromCluster, PlanAssembler, ProtoError, ToCluster, check_version, v1, version,
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, warn};

use crate::{
    SchedulerGone, SchedulerHandle,
    handle::{OpenClient, OpenWorker},
};

/// Refusals to one client that may wait for it; who breaks the rules more often waits.
const REFUSAL_COUNT_MAX: usize = 16;

/// Serves a scheduler's actor.
#[derive(Debug, Clone)]
pub(crate) struct ClusterService {
    pub(crate) scheduler: SchedulerHandle,
    /// The dashboard's address, for clients to show.
    pub(crate) dashboard: String,
}

type MessageStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn gone(_: SchedulerGone) -> Status {
    Status::unavailable("the scheduler is shutting down")
}

fn refuse(error: &ProtoError) -> Status {
    match error {
        ProtoError::Version { .. } => Status::failed_precondition(error.to_string()),
        ProtoError::Malformed(_) | ProtoError::Plan(_) => Status::invalid_argument(error.to_string()),
    }
}

#[tonic::async_trait]
impl v1::cluster_server::Cluster for ClusterService {
    type WorkStream = MessageStream<v1::SchedulerMessage>;
    type ConnectStream = MessageStream<v1::ClientEvent>;

    async fn work(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let mut incoming = request.into_inner();
        let first = incoming
            .message()
            .await?
            .ok_or_else(|| Status::cancelled("no first message"))?;
        let ToScheduler::Announce(announce) = first.try_into().map_err(|e| refuse(&e))? else {
            return Err(Status::failed_precondition("a worker must announce itself first"));
        };
        let session = self.scheduler.open_worker(announce).await.map_err(gone)?;
        let (messages, open) = session.split();
        let (stream, is_heard) = outgoing(messages);
        tokio::spawn(listen_to_worker(open, incoming, is_heard));
        Ok(Response::new(Box::pin(stream)))
    }

    async fn connect(
        &self,
        request: Request<Streaming<v1::ClientMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut incoming = request.into_inner();
        let first = incoming
            .message()
            .await?
            .ok_or_else(|| Status::cancelled("no first message"))?;
        let Some(v1::client_message::Message::Hello(hello)) = first.message else {
            return Err(Status::failed_precondition("a client must say hello first"));
        };
        check_version(hello.version).map_err(|e| refuse(&e))?;
        let token = ClientToken::try_from(&hello.token[..]).map_err(|e| refuse(&e))?;
        let session = self
            .scheduler
            .open_client_with(token, hello.returns)
            .await
            .map_err(gone)?;
        debug!(client = session.client.0, name = %hello.name, "client connected");
        let welcome = v1::ClientWelcome {
            version: Some(version()),
            dashboard: self.dashboard.clone(),
            is_known: session.is_known,
        };
        let welcome = v1::ClientEvent {
            event: Some(v1::client_event::Event::Welcome(welcome)),
        };
        let (events, open) = session.split();
        let (events, is_heard) = outgoing(events);
        let (refused, refusals) = mpsc::channel(REFUSAL_COUNT_MAX);
        tokio::spawn(listen_to_client(open, incoming, refused, is_heard));
        let all = futures::stream::select(ReceiverStream::new(refusals), events);
        let stream = futures::stream::iter([Ok(welcome)]).chain(all);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn info(&self, request: Request<v1::InfoRequest>) -> Result<Response<v1::InfoReply>, Status> {
        check_version(request.into_inner().version).map_err(|e| refuse(&e))?;
        let info = self.scheduler.info().await.map_err(gone)?;
        let jobs = info.jobs.into_iter().map(|(job, name, layers)| v1::JobInfo {
            job: job.0,
            name: name.to_string(),
            layers: layers.into_iter().map(Into::into).collect(),
        });
        Ok(Response::new(v1::InfoReply {
            version: Some(version()),
            dashboard: self.dashboard.clone(),
            workers: info.workers.into_iter().map(Into::into).collect(),
            jobs: jobs.collect(),
            remade_count: info.remade_count,
            peak_bytes: info.peak_bytes,
            finished_count: info.finished_count,
            late_count: info.late_count,
            let_go_count: info.let_go_count,
        }))
    }

    async fn dataset(
        &self,
        request: Request<v1::DatasetRequest>,
    ) -> Result<Response<v1::DatasetReply>, Status> {
        let request = request.into_inner().try_into().map_err(|e| refuse(&e))?;
        let answer = self.scheduler.dataset(request).await.map_err(gone)?;
        let answer = answer.map_err(|error| match &error {
            DatasetError::Unknown { .. } => Status::not_found(error.to_string()),
            DatasetError::Taken { .. } => Status::already_exists(error.to_string()),
            DatasetError::Refused { why } => Status::invalid_argument(why),
        })?;
        Ok(Response::new(answer.into()))
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Result<Response<v1::WhyReply>, Status> {
        let subject = request.into_inner().try_into().map_err(|e| refuse(&e))?;
        let answer = self.scheduler.why(subject).await.map_err(gone)?;
        let answer = answer.map_err(|unknown| Status::not_found(unknown.to_string()))?;
        Ok(Response::new(answer.into()))
    }
}

/// What the scheduler says in a session, as it goes out: nothing lies between, so that nobody is woken to hand it on.
/// The second value resolves when nobody hears it any more, or nothing more is said.
fn outgoing<M, V>(
    messages: mpsc::Receiver<M>,
) -> (
    impl Stream<Item = Result<V, Status>> + Send,
    oneshot::Receiver<()>,
)
where
    M: Into<V> + Send + 'static,
{
    let (heard, is_heard) = oneshot::channel();
    let stream = futures::stream::unfold((messages, heard), |(mut messages, heard)| async move {
        let message = messages.recv().await?;
        Some((Ok(message.into()), (messages, heard)))
    });
    (stream, is_heard)
}

/// Passes on what a worker says until either end is gone. Dropping the session tells the scheduler.
async fn listen_to_worker(
    session: OpenWorker,
    mut incoming: Streaming<v1::WorkerMessage>,
    is_heard: oneshot::Receiver<()>,
) {
    let listen = async {
        while let Ok(Some(message)) = incoming.message().await {
            match ToScheduler::try_from(message) {
                Ok(message) => {
                    if session.say(message).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    warn!(%error, "worker broke the protocol");
                    break;
                }
            }
        }
    };
    tokio::select! {
        () = listen => {}
        _ = is_heard => {}
    }
}

/// Passes on what a client says until either end is gone; what is wrong with it goes back.
async fn listen_to_client(
    session: OpenClient,
    mut incoming: Streaming<v1::ClientMessage>,
    refusals: mpsc::Sender<Result<v1::ClientEvent, Status>>,
    is_heard: oneshot::Receiver<()>,
) {
    let listen = async {
        let mut assembler = PlanAssembler::default();
        while let Ok(Some(message)) = incoming.message().await {
            match assembler.take(message) {
                Ok(None) => {}
                Ok(Some(Ok(command))) => {
                    let is_last = command == ToCluster::Leave;
                    if session.say(command).await.is_err() || is_last {
                        break;
                    }
                }
                Ok(Some(Err((submission, error)))) => {
                    let refused = FromCluster::Submitted {
                        submission,
                        job: Err(error.to_string().into()),
                    };
                    if refusals.send(Ok(refused.into())).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    let _ = refusals.send(Err(refuse(&error))).await;
                    break;
                }
            }
        }
    };
    tokio::select! {
        () = listen => {}
        _ = is_heard => {}
    }
}
