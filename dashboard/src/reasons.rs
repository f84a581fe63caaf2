//! Why tasks are where they are, as whoever decides tells it: asked while somebody looks at a task, and else not.
//!
//! One task of the runtime owns what was asked. Of a task that is looked at it asks once a second at most, however many look,
//! and all of them get the same answer. Only so many tasks are asked about at a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use graticule_plan::{TaskId, WorkerId};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use crate::{aggregate::RowKey, hub::Hub};

/// Tasks that are asked about at a time.
pub const EXPLAINED_COUNT_MAX: usize = 8;

/// Between two questions about the same task.
const PAUSE: Duration = Duration::from_secs(1);

/// Who has not asked again for so long does not look any more.
const GLANCE: Duration = Duration::from_secs(4);

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Who wait for an answer at a time.
const WAITING_COUNT_MAX: usize = 256;

/// Tells why a task is where it is. Whoever decides over tasks implements it; the dashboard only shows what it says.
pub trait Explainer: std::fmt::Debug + Send + Sync {
    /// What there is to say of a task at this moment; `None` if it is not known, or nobody has time to tell. Must return at
    /// once; the answer may take a while.
    fn explain(&self, task: TaskId) -> BoxFuture<'static, Option<Explanation>>;
}

/// Why a task is where it is, in sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What there is to say of the task, and below it of those that it waits for.
    pub lines: Vec<ExplanationLine>,
    /// Of a task that is done: the worker on which it ran, and a sentence that says why there.
    pub ran: Option<(WorkerId, Arc<str>)>,
}

/// A sentence of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplanationLine {
    /// How many tasks wait for the one that it is about, one for the other.
    pub depth: u32,
    /// The task that it is about; `None` if it is about several.
    pub task: Option<TaskId>,
    /// What it says.
    pub text: Arc<str>,
}

/// A layer's key, and a block of it.
type TaskKey = (RowKey, u64);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unexplained {
    /// The task is not known, or nobody can tell.
    Unknown,
    /// Others ask about as many tasks as may be.
    Busy,
}

/// An answer, as JSON.
type Told = Result<Bytes, Unexplained>;

/// A way to ask. Clones ask the same one.
#[derive(Debug, Clone)]
pub(crate) struct Reasons {
    inbox: mpsc::Sender<Look>,
    explainer: Arc<OnceLock<Arc<dyn Explainer>>>,
}

/// Somebody looks at a task.
struct Look {
    task: TaskKey,
    reply: oneshot::Sender<Told>,
}

impl Reasons {
    /// A way to ask, and what is to run for it. It ends with the last clone.
    pub(crate) fn new(hub: Hub) -> (Self, impl Future<Output = ()> + Send) {
        let (inbox, looks) = mpsc::channel(WAITING_COUNT_MAX);
        let explainer = Arc::new(OnceLock::new());
        let desk = Desk {
            hub,
            explainer: explainer.clone(),
            watched: BTreeMap::new(),
            asked: FuturesUnordered::new(),
        };
        (Self { inbox, explainer }, desk.run(looks))
    }

    /// From here on `explainer` is asked. The first one stays.
    pub(crate) fn ask_of(&self, explainer: Arc<dyn Explainer>) {
        // A second one has nothing to add.
        let _ = self.explainer.set(explainer);
    }

    /// Why a task is where it is, as of a second ago at most.
    pub(crate) async fn of(&self, layer: RowKey, block: u64) -> Told {
        if self.explainer.get().is_none() {
            return Err(Unexplained::Unknown);
        }
        let (reply, told) = oneshot::channel();
        let task = (layer, block);
        let look = Look { task, reply };
        self.inbox.try_send(look).map_err(|_| Unexplained::Busy)?;
        told.await.unwrap_or(Err(Unexplained::Busy))
    }
}

/// Who asks.
struct Desk {
    hub: Hub,
    explainer: Arc<OnceLock<Arc<dyn Explainer>>>,
    watched: BTreeMap<TaskKey, Watched>,
    /// What was asked and not answered yet.
    asked: FuturesUnordered<BoxFuture<'static, (TaskKey, Told)>>,
}

/// A task that somebody looks at.
struct Watched {
    /// When it was last looked at.
    looked: Instant,
    /// The latest answer, and when it came.
    told: Option<(Instant, Told)>,
    is_asked: bool,
    waiting: Vec<oneshot::Sender<Told>>,
}

impl Desk {
    async fn run(mut self, mut looks: mpsc::Receiver<Look>) {
        loop {
            tokio::select! {
                look = looks.recv() => match look {
                    Some(look) => self.look(look),
                    None => return,
                },
                Some((task, told)) = self.asked.next() => self.answered(task, &told),
            }
        }
    }

    fn look(&mut self, Look { task, reply }: Look) {
        let now = Instant::now();
        self.watched
            .retain(|_, it| it.is_asked || now.duration_since(it.looked) < GLANCE);
        if !self.watched.contains_key(&task) && self.watched.len() >= EXPLAINED_COUNT_MAX {
            // Whoever asked may be gone, here and below.
            let _ = reply.send(Err(Unexplained::Busy));
            return;
        }
        let watched = self.watched.entry(task).or_insert_with(|| Watched {
            looked: now,
            told: None,
            is_asked: false,
            waiting: Vec::new(),
        });
        watched.looked = now;
        if let Some((at, told)) = &watched.told
            && now.duration_since(*at) < PAUSE
        {
            let _ = reply.send(told.clone());
            return;
        }
        if watched.waiting.len() >= WAITING_COUNT_MAX {
            let _ = reply.send(Err(Unexplained::Busy));
            return;
        }
        watched.waiting.push(reply);
        if watched.is_asked {
            return;
        }
        let Some(explainer) = self.explainer.get().cloned() else {
            return self.answered(task, &Err(Unexplained::Unknown));
        };
        watched.is_asked = true;
        let hub = self.hub.clone();
        self.asked.push(Box::pin(async move {
            let told = timeout(ANSWER_TIMEOUT, ask(hub, explainer, task)).await;
            (task, told.ok().flatten().ok_or(Unexplained::Unknown))
        }));
    }

    fn answered(&mut self, task: TaskKey, told: &Told) {
        let Some(watched) = self.watched.get_mut(&task) else {
            return;
        };
        watched.is_asked = false;
        watched.told = Some((Instant::now(), told.clone()));
        for reply in watched.waiting.drain(..) {
            let _ = reply.send(told.clone());
        }
    }
}

/// Asks, and says the answer by the keys that viewers know.
async fn ask(hub: Hub, explainer: Arc<dyn Explainer>, (layer, block): TaskKey) -> Option<Bytes> {
    let task = hub.task_named(layer, block).await?;
    let explanation = explainer.explain(task).await?;
    hub.keyed(explanation).await
}
