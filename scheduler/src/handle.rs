use std::{sync::Arc, time::Duration};

use graticule_dashboard::Record;
use graticule_engine::{
    Announce, SessionId, ToScheduler, ToWorker,
    scheduler::{ClientId, LayerProgress, Unknown, WorkerInfo},
};
use graticule_plan::{JobId, WorkerId};
use graticule_proto::{
    Answer, ClientToken, DatasetAnswer, DatasetError, DatasetRequest, FromCluster, Subject, ToCluster,
};
use tokio::sync::{mpsc, oneshot};

use crate::Snapshot;

/// What the actor's inbox takes.
#[derive(Debug)]
pub(crate) enum Input {
    WorkerOpened {
        announce: Announce,
        outbox: mpsc::Sender<ToWorker>,
        reply: oneshot::Sender<SessionId>,
    },
    WorkerSaid {
        session: SessionId,
        message: ToScheduler,
    },
    WorkerClosed {
        session: SessionId,
    },
    ClientOpened {
        token: Option<ClientToken>,
        /// The client was here before; if it is not known, it will not stay.
        returns: bool,
        outbox: mpsc::Sender<FromCluster>,
        reply: oneshot::Sender<ClientOpened>,
    },
    ClientSaid {
        client: ClientId,
        connection: u64,
        message: ToCluster,
    },
    ClientClosed {
        client: ClientId,
        connection: u64,
    },
    Info {
        reply: oneshot::Sender<Info>,
    },
    Snapshot {
        reply: oneshot::Sender<Snapshot>,
    },
    WorkerEnded {
        name: Arc<str>,
        how: Arc<str>,
    },
    /// What those who watch shall see, and the engine need not know.
    Watched(Record),
    Retire {
        worker: WorkerId,
        deadline_us: u64,
    },
    Stay {
        worker: WorkerId,
    },
    Why {
        subject: Subject,
        reply: oneshot::Sender<Result<Answer, Unknown>>,
    },
    Dataset {
        request: DatasetRequest,
        reply: oneshot::Sender<Result<DatasetAnswer, DatasetError>>,
    },
    /// The process ends, and another one shall go on: nothing that happens from here on is taken in.
    Suspend,
}

impl Input {
    /// Whether taking it in depends on how jobs are.
    pub(crate) fn looks_at_jobs(&self) -> bool {
        let message = match self {
            Input::ClientSaid { message, .. } => message,
            Input::Dataset { .. } => return true,
            _ => return false,
        };
        matches!(message, ToCluster::Resume(_))
    }
}

/// A client's session as the actor has entered it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientOpened {
    pub(crate) client: ClientId,
    /// Tells this connection from the client's earlier and later ones.
    pub(crate) connection: u64,
    /// The client was here before, and its jobs are.
    pub(crate) is_known: bool,
}

/// The scheduler is not running any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scheduler has stopped")]
pub struct SchedulerGone;

/// The state of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// Connected workers.
    pub workers: Vec<WorkerInfo>,
    /// Running jobs with their names and how far they are.
    pub jobs: Vec<(JobId, Arc<str>, Vec<LayerProgress>)>,
    /// Tasks whose chunks were lost and made again, since the scheduler began.
    pub remade_count: u64,
    /// The most bytes that chunks in passing and running tasks took at a time, since the scheduler began.
    pub peak_bytes: u64,
    /// Tasks that workers finished, since the scheduler began.
    pub finished_count: u64,
    /// What workers said too late for it to have a meaning, since the scheduler began: it was dropped.
    pub late_count: u64,
    /// Chunks that workers short of memory dropped, since they cost less to make again than to spill; since the scheduler
    /// began.
    pub let_go_count: u64,
}

/// A way to the scheduler's actor. Clones are cheap; the actor ends when the last one is dropped.
#[derive(Debug, Clone)]
pub struct SchedulerHandle {
    pub(crate) inbox: mpsc::Sender<Input>,
}

impl SchedulerHandle {
    /// Opens a worker's session with its first word.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn open_worker(&self, announce: Announce) -> Result<WorkerSession, SchedulerGone> {
        let (outbox, messages) = mpsc::channel(crate::OUTBOX_COUNT_MAX);
        let (reply, answer) = oneshot::channel();
        self.send(Input::WorkerOpened {
            announce,
            outbox,
            reply,
        })
        .await?;
        let session = answer.await.map_err(|_| SchedulerGone)?;
        Ok(WorkerSession {
            session,
            messages,
            closer: Closer::new(self, Input::WorkerClosed { session }),
        })
    }

    /// Opens a client's session. Its jobs and kept results end with it.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn open_client(&self) -> Result<ClientSession, SchedulerGone> {
        self.open(None, false).await
    }

    /// Opens a session of a client that may come back with its token after its connection broke: its jobs and kept
    /// results end when it says [`ToCluster::Leave`], or is away for too long. One that says that it `returns` and is not
    /// known learns so, and is not remembered.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn open_client_with(
        &self,
        token: ClientToken,
        returns: bool,
    ) -> Result<ClientSession, SchedulerGone> {
        self.open(Some(token), returns).await
    }

    async fn open(&self, token: Option<ClientToken>, returns: bool) -> Result<ClientSession, SchedulerGone> {
        let (outbox, events) = mpsc::channel(crate::OUTBOX_COUNT_MAX);
        let (reply, answer) = oneshot::channel();
        self.send(Input::ClientOpened {
            token,
            returns,
            outbox,
            reply,
        })
        .await?;
        let ClientOpened {
            client,
            connection,
            is_known,
        } = answer.await.map_err(|_| SchedulerGone)?;
        Ok(ClientSession {
            client,
            is_known,
            connection,
            events,
            closer: Closer::new(self, Input::ClientClosed { client, connection }),
        })
    }

    /// Ends the actor as it is, for another process to go on by the journal.
    pub(crate) async fn suspend(&self) {
        // One that has ended is suspended already.
        let _ = self.send(Input::Suspend).await;
        self.inbox.closed().await;
    }

    /// The state of the cluster.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn info(&self) -> Result<Info, SchedulerGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Info { reply }).await?;
        answer.await.map_err(|_| SchedulerGone)
    }

    /// The cluster as the policy sees it.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn snapshot(&self) -> Result<Snapshot, SchedulerGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Snapshot { reply }).await?;
        answer.await.map_err(|_| SchedulerGone)
    }

    /// Has a worker leave, once what only it holds is copied to others; at the latest after `patience`. A worker that
    /// is not connected is no error.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn retire(&self, worker: WorkerId, patience: Duration) -> Result<(), SchedulerGone> {
        let deadline_us = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
        self.send(Input::Retire { worker, deadline_us }).await
    }

    /// Has a worker stay that was to leave by [`SchedulerHandle::retire`], if it was not told to go yet.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn stay(&self, worker: WorkerId) -> Result<(), SchedulerGone> {
        self.send(Input::Stay { worker }).await
    }

    /// Why a task is where it is, or how a worker is, and what was observed of it.
    ///
    /// # Errors
    /// [`SchedulerGone`]; within, what there is instead of what was asked for.
    pub async fn why(&self, subject: Subject) -> Result<Result<Answer, Unknown>, SchedulerGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Why { subject, reply }).await?;
        answer.await.map_err(|_| SchedulerGone)
    }

    /// Publishes results under a name, or says what is published.
    ///
    /// # Errors
    /// [`SchedulerGone`]; within, what is wrong with the name or with what it shall stand for.
    pub async fn dataset(
        &self,
        request: DatasetRequest,
    ) -> Result<Result<DatasetAnswer, DatasetError>, SchedulerGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Dataset { request, reply }).await?;
        answer.await.map_err(|_| SchedulerGone)
    }

    /// Tells how a worker's process ended, so that the failure of a task that ended it can say so.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn worker_ended(&self, name: &str, how: &str) -> Result<(), SchedulerGone> {
        let (name, how) = (name.into(), how.into());
        self.send(Input::WorkerEnded { name, how }).await
    }

    /// Shows those who watch how the number of workers is decided on.
    pub(crate) async fn watchers_see(&self, record: Record) -> Result<(), SchedulerGone> {
        self.send(Input::Watched(record)).await
    }

    pub(crate) async fn send(&self, input: Input) -> Result<(), SchedulerGone> {
        self.inbox.send(input).await.map_err(|_| SchedulerGone)
    }
}

/// An open session of a worker. It ends when this is dropped.
#[derive(Debug)]
pub struct WorkerSession {
    /// Its number.
    pub session: SessionId,
    /// What the scheduler says; ends when the scheduler closes the session.
    pub messages: mpsc::Receiver<ToWorker>,
    closer: Closer,
}

/// An open session of a worker, apart from what is said to it. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct OpenWorker {
    speaker: WorkerSpeaker,
    _closer: Closer,
}

impl OpenWorker {
    /// As [`WorkerSpeaker::say`].
    pub(crate) async fn say(&self, message: ToScheduler) -> Result<(), SchedulerGone> {
        self.speaker.say(message).await
    }
}

impl WorkerSession {
    /// Takes what the scheduler says apart from the session itself.
    pub(crate) fn split(self) -> (mpsc::Receiver<ToWorker>, OpenWorker) {
        let speaker = self.speaker();
        let open = OpenWorker {
            speaker,
            _closer: self.closer,
        };
        (self.messages, open)
    }

    /// Splits off a way to speak, for another task.
    pub fn speaker(&self) -> WorkerSpeaker {
        WorkerSpeaker {
            inbox: self.closer.inbox.clone(),
            session: self.session,
        }
    }
}

/// A way to speak in a worker's session, apart from listening.
#[derive(Debug, Clone)]
pub struct WorkerSpeaker {
    inbox: mpsc::Sender<Input>,
    session: SessionId,
}

impl WorkerSpeaker {
    /// Passes on what the worker says; waits while the scheduler is behind.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn say(&self, message: ToScheduler) -> Result<(), SchedulerGone> {
        let session = self.session;
        self.inbox
            .send(Input::WorkerSaid { session, message })
            .await
            .map_err(|_| SchedulerGone)
    }
}

/// An open session of a client, or one of its connections if it has a token. A session without one ends when this is
/// dropped: its jobs are cancelled, its kept results released.
#[derive(Debug)]
pub struct ClientSession {
    /// Its number.
    pub client: ClientId,
    /// The client was here before with its token, and its jobs are.
    pub is_known: bool,
    connection: u64,
    /// What the client hears; ends when the scheduler stops.
    pub events: mpsc::Receiver<FromCluster>,
    closer: Closer,
}

/// An open session of a client, apart from what it hears; see [`ClientSession`].
#[derive(Debug)]
pub(crate) struct OpenClient {
    client: ClientId,
    connection: u64,
    closer: Closer,
}

impl OpenClient {
    /// Passes on what the client says; waits while the scheduler is behind.
    pub(crate) async fn say(&self, message: ToCluster) -> Result<(), SchedulerGone> {
        let said = Input::ClientSaid {
            client: self.client,
            connection: self.connection,
            message,
        };
        self.closer.inbox.send(said).await.map_err(|_| SchedulerGone)
    }
}

impl ClientSession {
    /// Takes what the client hears apart from the session itself.
    pub(crate) fn split(self) -> (mpsc::Receiver<FromCluster>, OpenClient) {
        let open = OpenClient {
            client: self.client,
            connection: self.connection,
            closer: self.closer,
        };
        (self.events, open)
    }

    /// Passes on what the client says; waits while the scheduler is behind.
    ///
    /// # Errors
    /// [`SchedulerGone`].
    pub async fn say(&self, message: ToCluster) -> Result<(), SchedulerGone> {
        let (client, connection) = (self.client, self.connection);
        self.closer
            .inbox
            .send(Input::ClientSaid {
                client,
                connection,
                message,
            })
            .await
            .map_err(|_| SchedulerGone)
    }
}

/// Tells the actor that a session is over, whoever drops it and however.
#[derive(Debug)]
struct Closer {
    inbox: mpsc::Sender<Input>,
    last_word: Option<Input>,
}

impl Closer {
    fn new(handle: &SchedulerHandle, last_word: Input) -> Self {
        Self {
            inbox: handle.inbox.clone(),
            last_word: Some(last_word),
        }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        let Some(last_word) = self.last_word.take() else {
            return;
        };
        // Usually there is room; else it must not be lost, and a destructor cannot wait.
        if let Err(mpsc::error::TrySendError::Full(last_word)) = self.inbox.try_send(last_word)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let inbox = self.inbox.clone();
            runtime.spawn(async move { inbox.send(last_word).await });
        }
    }
}
