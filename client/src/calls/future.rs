//! The result of a call, before and after it is there.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use graticule_kernel::{Chunk, Value};
use graticule_plan::{ChunkId, JobId, Key, LayerId, WorkerId};
use graticule_proto::{ToCluster, engine::Peer};
use tokio::sync::Notify;

use crate::{ClientError, session::Session};

/// How often a result is asked for where it should be.
const FETCH_ATTEMPT_COUNT_MAX: u32 = 5;

/// The result of a call or a scattered value, in the memory of the workers. Clones share it; when the last one is
/// dropped, the result is released, or the call taken back if it has not run.
#[derive(Clone)]
pub struct Future {
    promise: Arc<Promise>,
}

/// What the client knows of one call.
pub(crate) struct Promise {
    pub(crate) function: Arc<str>,
    pub(crate) session: Session,
    place: OnceLock<Place>,
    state: Mutex<State>,
    changed: Notify,
    /// What is to be told when the result is there, or cannot be had.
    watchers: Mutex<Vec<Watcher>>,
    /// Of a value that is scattered what workers do not have yet.
    value: Mutex<Option<Chunk>>,
    /// How often there was news of it: a worker waits for the value, it is there, or cannot be had.
    pub(super) news_count: AtomicU64,
}

/// Is called once, from the session's task or from whoever asks, and must not wait.
type Watcher = Box<dyn FnOnce() + Send>;

/// Where a call stands in the plan that carried it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The number of the batch, as this client counts.
    pub(crate) batch: u64,
    pub(crate) key: Key,
    pub(crate) layer: LayerId,
    pub(crate) block: u64,
}

#[derive(Debug, Clone)]
enum State {
    Pending,
    There(There),
    Failed(ClientError),
}

/// Where a result can be had.
#[derive(Debug, Clone)]
pub(crate) struct There {
    pub(crate) job: JobId,
    pub(crate) bytes: u64,
    pub(crate) peers: Vec<Peer>,
    pub(crate) inline: Option<Bytes>,
}

impl Promise {
    pub(crate) fn new(function: Arc<str>, session: Session) -> Self {
        Self {
            function,
            session,
            place: OnceLock::new(),
            state: Mutex::new(State::Pending),
            changed: Notify::new(),
            watchers: Mutex::new(Vec::new()),
            value: Mutex::new(None),
            news_count: AtomicU64::new(0),
        }
    }

    /// With a value that workers are to take.
    pub(super) fn with_value(mut self, value: Chunk) -> Self {
        self.value = Mutex::new(Some(value));
        self
    }

    pub(super) fn value(&self) -> Option<Chunk> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The workers have it.
    pub(super) fn forget_value(&self) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn place(&self) -> Option<Place> {
        self.place.get().copied()
    }

    /// The call goes out in a plan.
    pub(crate) fn put(&self, place: Place) {
        let before = self.place.set(place);
        debug_assert!(before.is_ok(), "a call goes out once");
    }

    /// The result can be had. One that is here already stays.
    pub(crate) fn there(&self, there: There) {
        self.news_count.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state();
        match &*state {
            State::Failed(_) => return,
            State::There(There { inline: Some(_), .. }) => return,
            State::There(_) | State::Pending => *state = State::There(there),
        }
        drop(state);
        self.tell();
    }

    /// The result cannot be had; the first news counts.
    pub(crate) fn fail(&self, error: ClientError) {
        self.news_count.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state();
        if matches!(*state, State::Failed(_)) {
            return;
        }
        *state = State::Failed(error);
        drop(state);
        self.tell();
    }

    /// Tells all who wait that the state is another one.
    fn tell(&self) {
        self.changed.notify_waiters();
        let watchers = std::mem::take(&mut *self.watchers.lock().unwrap_or_else(PoisonError::into_inner));
        watchers.into_iter().for_each(|watcher| watcher());
    }

    /// As [`fail`](Self::fail), unless the result is there.
    pub(crate) fn fail_if_pending(&self, error: &ClientError) {
        if matches!(*self.state(), State::Pending) {
            self.fail(error.clone());
        }
    }

    /// Why the result cannot be had, if so.
    pub(super) fn is_cancelled(&self) -> bool {
        matches!(*self.state(), State::Failed(ClientError::Cancelled))
    }

    pub(crate) fn error(&self) -> Option<ClientError> {
        match &*self.state() {
            State::Failed(error) => Some(error.clone()),
            State::Pending | State::There(_) => None,
        }
    }

    /// What was said to be there is not: waits for news, unless these have come meanwhile.
    fn is_gone(&self, was: &There) {
        let mut state = self.state();
        if let State::There(there) = &*state
            && there.peers == was.peers
            && there.job == was.job
        {
            *state = State::Pending;
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(place) = self.place.get() {
            self.session.let_go(place.key, place.block);
        }
    }
}

impl Future {
    /// The name under which the cluster keeps it, once it has gone out.
    pub(crate) fn key(&self) -> Option<Key> {
        self.promise.place().map(|place| place.key)
    }

    pub(crate) fn new(promise: Arc<Promise>) -> Self {
        Self { promise }
    }

    pub(crate) fn promise(&self) -> &Arc<Promise> {
        &self.promise
    }

    /// The function's name.
    pub fn function(&self) -> &str {
        &self.promise.function
    }

    /// Whether the result is there, or cannot be had.
    pub fn is_done(&self) -> bool {
        !matches!(*self.promise.state(), State::Pending)
    }

    /// Has the call not run, or its result dropped as it comes; calls that need it fail. A result that is there stays.
    pub fn cancel(&self) {
        let mut state = self.promise.state();
        if !matches!(*state, State::Pending) {
            return;
        }
        *state = State::Failed(ClientError::Cancelled);
        drop(state);
        self.promise.tell();
        if let Some(place) = self.promise.place() {
            self.promise.session.cancel_block(place.key, place.block);
        }
    }

    /// Has something told once when the result is there or cannot be had; at once, if so already. It must not wait, since
    /// whoever brings the news calls it.
    pub fn when_done(&self, watcher: impl FnOnce() + Send + 'static) {
        let state = self.promise.state();
        if matches!(*state, State::Pending) {
            let mut watchers = self
                .promise
                .watchers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            watchers.push(Box::new(watcher));
            return;
        }
        drop(state);
        watcher();
    }

    /// Why the result cannot be had, if that is known by now.
    pub fn error(&self) -> Option<ClientError> {
        self.promise.error()
    }

    /// The result, if it is so small that it came along with the news of it.
    ///
    /// # Errors
    /// [`ClientError::Kernel`] for bytes that are no value.
    pub fn small_result(&self) -> Result<Option<Value>, ClientError> {
        let inline = match &*self.promise.state() {
            State::There(there) => there.inline.clone(),
            State::Pending | State::Failed(_) => None,
        };
        let decoded = inline.map(|inline| Chunk::decode(&inline)).transpose()?;
        Ok(decoded.map(Value::from_chunk).transpose()?)
    }

    /// Where the result lies: its bytes and the workers that held it when this was heard. `None` before it is there.
    pub fn holders(&self) -> Option<(u64, Vec<WorkerId>)> {
        match &*self.promise.state() {
            State::There(there) => {
                let workers = there.peers.iter().map(|peer| peer.worker);
                Some((there.bytes, workers.collect()))
            }
            State::Pending | State::Failed(_) => None,
        }
    }

    /// Waits until the result is in the memory of a worker.
    ///
    /// # Errors
    /// [`ClientError::Failed`] with the function's error and where it happened; [`ClientError::Cancelled`],
    /// [`ClientError::ConnectionLost`].
    pub async fn wait(&self) -> Result<(), ClientError> {
        self.there().await.map(drop)
    }

    async fn there(&self) -> Result<There, ClientError> {
        loop {
            let changed = self.promise.changed.notified();
            tokio::pin!(changed);
            // From here on no change goes unseen.
            changed.as_mut().enable();
            let state = self.promise.state().clone();
            match state {
                State::Pending => changed.await,
                State::There(there) => return Ok(there),
                State::Failed(error) => return Err(error),
            }
        }
    }

    /// Waits for the result and brings it here.
    ///
    /// # Errors
    /// As [`Future::wait`]; [`ClientError::ChunkUnreachable`].
    pub async fn result(&self) -> Result<Value, ClientError> {
        let mut attempts = 0;
        loop {
            let there = self.there().await?;
            if let Some(inline) = &there.inline {
                return Ok(Value::from_chunk(Chunk::decode(inline)?)?);
            }
            let place = self.promise.place().expect("what is there was sent");
            let chunk = ChunkId {
                job: there.job,
                layer: place.layer,
                block: place.block,
            };
            let mut why = "no worker holds it".to_owned();
            let mut failed = Vec::new();
            for peer in &there.peers {
                let fetcher = &self.promise.session.about.fetcher;
                match fetcher.fetch(peer, chunk, there.bytes).await {
                    Ok(found) => return Ok(Value::from_chunk(found)?),
                    Err(error) => {
                        failed.push(peer.worker);
                        why = error;
                    }
                }
            }
            attempts += 1;
            if attempts >= FETCH_ATTEMPT_COUNT_MAX {
                return Err(ClientError::ChunkUnreachable { chunk, attempts, why });
            }
            self.promise.is_gone(&there);
            for worker in failed {
                let room = self.promise.session.reserve().await?;
                room.say(ToCluster::DeliveryFailed { chunk, worker });
            }
        }
    }
}

impl fmt::Debug for Future {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.promise.state() {
            State::Pending => "pending",
            State::There(_) => "there",
            State::Failed(_) => "failed",
        };
        write!(f, "Future({}, {state})", self.promise.function)
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise")
            .field("function", &self.function)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
