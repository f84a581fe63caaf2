//! The connection to a scheduler, in this process or in another.

use std::{collections::VecDeque, time::Duration};

use graticule_proto::{
    Answer, ClientToken, DatasetAnswer, DatasetRequest, FromCluster, MESSAGE_BYTES_MAX, Subject, ToCluster,
    check_version, v1, version,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

use crate::{ClientError, ConnectOptions};

/// Messages that tonic may hold before they are on the wire.
const OUTGOING_COUNT_MAX: usize = 64;
/// Messages to the scheduler that may wait here before nothing more is taken in.
const QUEUE_COUNT_MAX: usize = 4096;

/// How long the scheduler may take to hear that this client leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// An open session with a scheduler.
#[derive(Debug)]
pub(crate) enum Link {
    /// A scheduler in this process.
    #[cfg(feature = "local")]
    Embedded(Box<graticule_scheduler::ClientSession>),
    /// A scheduler reached over gRPC.
    Remote(Box<Remote>),
}

#[derive(Debug)]
pub(crate) struct Remote {
    outgoing: mpsc::Sender<v1::ClientMessage>,
    /// Sent while events are taken in: were the two ends to wait for each other to read, both would wait for ever.
    queue: VecDeque<v1::ClientMessage>,
    incoming: Streaming<v1::ClientEvent>,
}

impl Link {
    /// Says something. Waits only where the other end is sure to read on.
    ///
    /// # Errors
    /// Why the connection is lost.
    pub(crate) async fn say(&mut self, message: ToCluster) -> Result<(), String> {
        match self {
            #[cfg(feature = "local")]
            Link::Embedded(session) => session.say(message).await.map_err(|e| e.to_string()),
            Link::Remote(remote) => {
                remote.queue.extend(message.into_messages());
                Ok(())
            }
        }
    }

    /// Whether so much waits to be sent that callers should wait too.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            #[cfg(feature = "local")]
            Link::Embedded(_) => false,
            Link::Remote(remote) => remote.queue.len() >= QUEUE_COUNT_MAX,
        }
    }

    /// The next event; sends what waits to be sent. May be dropped at any time and called again.
    ///
    /// # Errors
    /// Why the connection is lost.
    pub(crate) async fn next(&mut self) -> Result<FromCluster, String> {
        match self {
            #[cfg(feature = "local")]
            Link::Embedded(session) => session
                .events
                .recv()
                .await
                .ok_or_else(|| "the scheduler has stopped".into()),
            Link::Remote(remote) => remote.next().await,
        }
    }

    /// Takes leave: sends what waits to be sent, and waits until the scheduler has heard it.
    pub(crate) async fn leave(&mut self) {
        match self {
            #[cfg(feature = "local")]
            Link::Embedded(_) => {}
            Link::Remote(remote) => {
                remote.queue.extend(ToCluster::Leave.into_messages());
                // It ends the stream when it has heard; one that does not is left all the same.
                let heard = async { while remote.next().await.is_ok() {} };
                let _ = tokio::time::timeout(LEAVE_TIMEOUT, heard).await;
            }
        }
    }
}

impl Remote {
    async fn next(&mut self) -> Result<FromCluster, String> {
        loop {
            tokio::select! {
                permit = self.outgoing.reserve(), if !self.queue.is_empty() => {
                    let permit = permit.map_err(|_| "the scheduler does not listen any more".to_owned())?;
                    permit.send(self.queue.pop_front().expect("not empty, as checked above"));
                }
                event = self.incoming.message() => {
                    let event = event.map_err(|status| said(&status))?;
                    let event = event.ok_or_else(|| "the scheduler ended it".to_owned())?;
                    return FromCluster::try_from(event).map_err(|error| error.to_string());
                }
            }
        }
    }
}

/// A connection, and what the scheduler said first.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) link: Link,
    /// The dashboard's address, if there is one.
    pub(crate) dashboard: Option<String>,
    /// The scheduler knows this client from before.
    pub(crate) is_known: bool,
}

/// Opens a session with the scheduler at `endpoint`, or comes back to one.
///
/// # Errors
/// [`ClientError::Unreachable`], [`ClientError::Version`].
pub(crate) async fn connect(
    url: &str,
    endpoint: Endpoint,
    options: &ConnectOptions,
    token: ClientToken,
    returns: bool,
) -> Result<Opened, ClientError> {
    let seconds = options.connect_timeout.as_secs_f32();
    let hello = v1::Hello {
        version: Some(version()),
        name: options.name.to_string(),
        token: token.bytes(),
        returns,
    };
    let opening = open(url, endpoint, options, hello);
    match tokio::time::timeout(options.connect_timeout, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(unreachable(url, format!("no answer within {seconds} s"))),
    }
}

async fn open(
    url: &str,
    endpoint: Endpoint,
    options: &ConnectOptions,
    hello: v1::Hello,
) -> Result<Opened, ClientError> {
    let mut client = service(url, endpoint, options.connect_timeout).await?;
    let (outgoing, messages) = mpsc::channel(OUTGOING_COUNT_MAX);
    let hello = v1::ClientMessage {
        message: Some(v1::client_message::Message::Hello(hello)),
    };
    let lost = |status: tonic::Status| refused(url, &status);
    // There is room for the first message, and the receiver is in scope.
    let _ = outgoing.try_send(hello);
    let answer = client.connect(ReceiverStream::new(messages)).await;
    let mut incoming = answer.map_err(lost)?.into_inner();
    let first = incoming
        .message()
        .await
        .map_err(lost)?
        .and_then(|event| event.event);
    let Some(v1::client_event::Event::Welcome(welcome)) = first else {
        return Err(unreachable(url, "what answers is no Graticule scheduler".into()));
    };
    check_version(welcome.version).map_err(|error| ClientError::Version {
        url: url.into(),
        why: error.to_string(),
    })?;
    let remote = Remote {
        outgoing,
        queue: VecDeque::new(),
        incoming,
    };
    Ok(Opened {
        link: Link::Remote(Box::new(remote)),
        dashboard: Some(welcome.dashboard).filter(|url| !url.is_empty()),
        is_known: welcome.is_known,
    })
}

/// Asks a scheduler for the state of its cluster.
///
/// # Errors
/// [`ClientError::Unreachable`], [`ClientError::Version`].
pub(crate) async fn info(
    url: &str,
    endpoint: Endpoint,
    timeout: Duration,
) -> Result<v1::InfoReply, ClientError> {
    let ask = async {
        let mut client = service(url, endpoint, timeout).await?;
        let request = v1::InfoRequest {
            version: Some(version()),
        };
        let answer = client.info(request).await;
        Ok(answer.map_err(|status| refused(url, &status))?.into_inner())
    };
    let seconds = timeout.as_secs_f32();
    match tokio::time::timeout(timeout, ask).await {
        Ok(answer) => answer,
        Err(_) => Err(unreachable(url, format!("no answer within {seconds} s"))),
    }
}

/// Asks a scheduler why something is as it is.
///
/// # Errors
/// [`ClientError::Unknown`], [`ClientError::Unreachable`], [`ClientError::Version`].
pub(crate) async fn why(
    url: &str,
    endpoint: Endpoint,
    timeout: Duration,
    subject: Subject,
) -> Result<Answer, ClientError> {
    let ask = async {
        let mut client = service(url, endpoint, timeout).await?;
        let reply = client.why(v1::WhyRequest::from(subject)).await;
        let reply = reply.map_err(|status| match status.code() {
            tonic::Code::NotFound => ClientError::Unknown {
                why: status.message().into(),
            },
            _ => refused(url, &status),
        })?;
        Answer::try_from(reply.into_inner()).map_err(|error| unreachable(url, error.to_string()))
    };
    let seconds = timeout.as_secs_f32();
    match tokio::time::timeout(timeout, ask).await {
        Ok(answer) => answer,
        Err(_) => Err(unreachable(url, format!("no answer within {seconds} s"))),
    }
}

/// Asks a scheduler about names of results.
///
/// # Errors
/// [`ClientError::Unknown`], [`ClientError::NameTaken`], [`ClientError::Refused`], [`ClientError::Unreachable`],
/// [`ClientError::Version`].
pub(crate) async fn dataset(
    url: &str,
    endpoint: Endpoint,
    (connect, answer): (Duration, Duration),
    request: DatasetRequest,
) -> Result<DatasetAnswer, ClientError> {
    let ask = async {
        let mut client = service(url, endpoint, connect).await?;
        let reply = client.dataset(v1::DatasetRequest::from(request)).await;
        let reply = reply.map_err(|status| {
            let why = status.message().to_owned();
            match status.code() {
                tonic::Code::NotFound => ClientError::Unknown { why },
                tonic::Code::AlreadyExists => ClientError::NameTaken { why },
                tonic::Code::InvalidArgument => ClientError::Refused { why },
                _ => refused(url, &status),
            }
        })?;
        Ok(reply.into_inner().into())
    };
    let seconds = answer.as_secs_f32();
    match tokio::time::timeout(answer, ask).await {
        Ok(answer) => answer,
        Err(_) => Err(unreachable(url, format!("no answer within {seconds} s"))),
    }
}

async fn service(
    url: &str,
    endpoint: Endpoint,
    timeout: Duration,
) -> Result<v1::cluster_client::ClusterClient<tonic::transport::Channel>, ClientError> {
    let endpoint = endpoint
        .connect_timeout(timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true);
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| unreachable(url, causes(&error)))?;
    Ok(v1::cluster_client::ClusterClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX))
}

fn unreachable(url: &str, why: String) -> ClientError {
    ClientError::Unreachable { url: url.into(), why }
}

fn refused(url: &str, status: &tonic::Status) -> ClientError {
    match status.code() {
        tonic::Code::FailedPrecondition => ClientError::Version {
            url: url.into(),
            why: status.message().into(),
        },
        _ => unreachable(url, said(status)),
    }
}

fn said(status: &tonic::Status) -> String {
    match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    }
}

/// The innermost causes are what a person can act on; tonic's own words are only "transport error".
fn causes(error: &dyn std::error::Error) -> String {
    let mut said = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push(error.to_string());
        cause = error.source();
    }
    said.dedup();
    if said.is_empty() {
        error.to_string()
    } else {
        said.join(": ")
    }
}
