//! One call as the client sees it.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use graticule_client::{Arg, CallOptions, Client, ClientError, Future, Value};
use graticule_plan::Digest;
use pyo3::{exceptions::PyTimeoutError, prelude::*};
use tokio::sync::Notify;

use super::{
    nested::{self, Outcome, help},
    raised,
    value::{Reader, decode},
};
use crate::{
    error::Failure,
    wait::{handle, wait_anywhere as wait},
};

/// The calls of a client that somebody holds, by the digest of what they compute.
pub(super) type Table = Mutex<HashMap<Digest, Weak<Entry>>>;

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call and what became of it.
pub(crate) struct Entry {
    pub(super) digest: Digest,
    pub(super) key: Key,
    state: Mutex<State>,
    error: OnceLock<raised::Raised>,
    /// What became of it where whoever waited for it ran it.
    inline: OnceLock<Outcome>,
    /// Is told when that is known, and what is to be done then.
    news: Notify,
    watchers: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    table: Weak<Table>,
}

/// What the user knows a call by.
pub(super) enum Key {
    /// The function's name and the digest.
    Content(Arc<str>),
    Given(Box<str>),
}

struct State {
    /// `None` when it was cancelled.
    future: Option<Future>,
    /// What it takes to make the call again.
    spec: Option<Arc<Spec>>,
}

/// What a call is made of.
pub(super) struct Spec {
    pub(super) function: Arc<str>,
    pub(super) args: Vec<Arg>,
    /// The function and its arguments, as the worker gets them.
    pub(super) values: [Value; 2],
    /// The name of a call within a call.
    pub(super) token: Option<u64>,
    pub(super) needs: Vec<Arc<Entry>>,
    pub(super) options: Arc<CallOptions>,
}

impl Spec {
    /// Makes the call.
    pub(super) fn send(&self, client: &Client) -> Result<Future, ClientError> {
        let mut args = self.args.clone();
        for need in &self.needs {
            args.push(need.future().ok_or(ClientError::Cancelled)?.into());
        }
        args.extend(self.token.map(Arg::from));
        client.call(&self.function, args, &self.options)
    }
}

impl Entry {
    pub(super) fn new(
        digest: Digest,
        key: Key,
        future: Future,
        spec: Option<Arc<Spec>>,
        table: &Arc<Table>,
    ) -> Arc<Self> {
        let entry = Arc::new(Self {
            digest,
            key,
            state: Mutex::new(State {
                future: Some(future),
                spec,
            }),
            error: OnceLock::new(),
            inline: OnceLock::new(),
            news: Notify::new(),
            watchers: Mutex::default(),
            table: Arc::downgrade(table),
        });
        locked(table).insert(digest, Arc::downgrade(&entry));
        entry.forget_when_made();
        entry
    }

    /// Whoever only waits for this call does not hold what the call needed for longer than it.
    fn forget_when_made(self: &Arc<Self>) {
        let state = locked(&self.state);
        let needs_some = state.spec.as_ref().is_some_and(|spec| !spec.needs.is_empty());
        let future = state.future.clone();
        drop(state);
        let Some(future) = future.filter(|_| needs_some) else {
            return;
        };
        let entry = Arc::downgrade(self);
        future.when_done(move || {
            let Some(entry) = entry.upgrade() else { return };
            let mut state = locked(&entry.state);
            let is_made = state
                .future
                .as_ref()
                .is_some_and(|future| future.error().is_none());
            let spec = state.spec.take_if(|_| is_made);
            drop(state);
            drop(spec);
        });
    }

    pub(super) fn future(&self) -> Option<Future> {
        locked(&self.state).future.clone()
    }

    pub(super) fn spec(&self) -> Option<Arc<Spec>> {
        locked(&self.state).spec.clone()
    }

    pub(super) fn inline(&self) -> Option<&Outcome> {
        self.inline.get()
    }

    /// The result of a call that was run by who waited for it.
    pub(super) fn inline_result(&self) -> Result<Value, ClientError> {
        match self.inline() {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(message)) => Err(ClientError::Failed {
                message: message.to_string(),
            }),
            None => Err(ClientError::Cancelled),
        }
    }

    pub(super) fn set_inline(&self, outcome: Outcome) {
        // Whoever ran it has claimed it before.
        let _ = self.inline.set(outcome);
        self.news.notify_waiters();
        let watchers = std::mem::take(&mut *locked(&self.watchers));
        watchers.into_iter().for_each(|watcher| watcher());
    }

    /// Waits for the result: of the call's task, or of whoever runs it in its place, which may be long before the task has a
    /// slot to say so.
    pub(super) async fn result(self: Arc<Self>) -> Result<Value, ClientError> {
        self.either(Future::result)
            .await
            .unwrap_or_else(|| self.inline_result())
    }

    /// As [`result`](Self::result), without bringing it here.
    pub(super) async fn ended(self: Arc<Self>) -> Result<(), ClientError> {
        self.either(Future::wait)
            .await
            .unwrap_or_else(|| self.inline_result().map(drop))
    }

    /// What a future of the task says, or `None` if the call was run by who waited for it.
    async fn either<T>(
        &self,
        ask: impl AsyncFn(&Future) -> Result<T, ClientError>,
    ) -> Option<Result<T, ClientError>> {
        let news = self.news.notified();
        tokio::pin!(news);
        // From here on no news goes unseen.
        news.as_mut().enable();
        if self.inline().is_some() {
            return None;
        }
        let Some(future) = self.future() else {
            return Some(Err(ClientError::Cancelled));
        };
        tokio::select! {
            outcome = ask(&future) => Some(outcome),
            () = news => None,
        }
    }

    /// Has something done when the call has ended, wherever it was run; perhaps twice.
    pub(super) fn when_done(&self, watcher: impl Fn() + Send + Clone + 'static) {
        locked(&self.watchers).push(Box::new(watcher.clone()));
        match self.future().filter(|_| self.inline().is_none()) {
            Some(future) => future.when_done(watcher),
            None => watcher(),
        }
    }

    pub(super) fn key_text(&self) -> String {
        match &self.key {
            Key::Given(text) => text.to_string(),
            Key::Content(name) => {
                let mut text = format!("{name}-");
                for byte in &self.digest.0[..16] {
                    // Text takes everything.
                    let _ = write!(text, "{byte:02x}");
                }
                text
            }
        }
    }

    pub(super) fn status(&self) -> &'static str {
        let Some(future) = self.future() else {
            return "cancelled";
        };
        match self.inline() {
            Some(Ok(_)) => return "finished",
            Some(Err(_)) => return "error",
            None => {}
        }
        if !future.is_done() {
            return "pending";
        }
        match future.error() {
            None => "finished",
            Some(ClientError::Cancelled) => "cancelled",
            Some(ClientError::ConnectionLost { .. }) => "lost",
            Some(_) => "error",
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.inline().is_some() || self.future().is_none_or(|future| future.is_done())
    }

    /// Lets go of it, whatever others hold.
    pub(super) fn cancel(&self) {
        let mut state = locked(&self.state);
        let future = state.future.take();
        let spec = state.spec.take();
        drop(state);
        if let Some(future) = future {
            future.cancel();
        }
        drop(spec);
        self.leave_table();
    }

    fn leave_table(&self) {
        let Some(table) = self.table.upgrade() else { return };
        let mut table = locked(&table);
        let is_own = table
            .get(&self.digest)
            .is_some_and(|entry| std::ptr::eq(entry.as_ptr(), self));
        if is_own {
            table.remove(&self.digest);
        }
    }

    /// Makes the call again, and before it those that it needs, where they failed.
    pub(super) fn retry(self: &Arc<Self>, client: &Client) -> Result<(), ClientError> {
        if self.status() != "error" {
            return Ok(());
        }
        let Some(spec) = self.spec().filter(|spec| spec.token.is_none()) else {
            return Ok(());
        };
        for need in &spec.needs {
            need.retry(client)?;
        }
        let future = spec.send(client)?;
        locked(&self.state).future = Some(future);
        self.forget_when_made();
        Ok(())
    }

    fn cancelled_need(&self) -> Option<Arc<Self>> {
        let spec = locked(&self.state).spec.clone()?;
        spec.needs.iter().find_map(|need| match need.status() {
            "cancelled" => Some(need.clone()),
            _ => need.cancelled_need(),
        })
    }

    /// What the user is told of a failure.
    pub(super) fn failure(&self, py: Python<'_>, error: ClientError) -> PyErr {
        let ClientError::Failed { message } = &error else {
            return match error {
                ClientError::Cancelled => {
                    Failure::new("FutureCancelled", format!("{} was cancelled", self.key_text())).into()
                }
                other => Failure::from(other).into(),
            };
        };
        if let Some(need) = self.cancelled_need() {
            let why = format!(
                "{} needs {}, which was cancelled",
                self.key_text(),
                need.key_text()
            );
            return Failure::new("FutureCancelled", why).into();
        }
        // One that was tried again may have failed of something else.
        match self.error.get() {
            Some(raised) if raised.is_of(message) => raised.error(py),
            Some(_) => raised::Raised::of(py, message, &self.key_text()).error(py),
            None => {
                let raised = raised::Raised::of(py, message, &self.key_text());
                self.error.get_or_init(|| raised).error(py)
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.leave_table();
        if let Some(token) = self.spec().and_then(|spec| spec.token) {
            nested::forget(token);
        }
        if let Ok(handle) = handle() {
            let _entered = handle.enter();
            let mut state = locked(&self.state);
            (state.future, state.spec) = (None, None);
        }
    }
}

/// A call. The result is released with the last object that has it.
#[pyclass(frozen, weakref, module = "graticule._graticule")]
pub(crate) struct Call {
    pub(super) entry: Arc<Entry>,
}

pub(super) fn limited(timeout: Option<f64>) -> Result<Option<Duration>, Failure> {
    let wrong = |_| Failure::value("a timeout is a number of seconds, 0 or more");
    timeout
        .map(|seconds| Duration::try_from_secs_f64(seconds).map_err(wrong))
        .transpose()
}

/// Waits for at most so long.
pub(super) async fn within<T>(
    timeout: Option<Duration>,
    future: impl std::future::Future<Output = T>,
) -> Result<T, Failure> {
    match timeout {
        None => Ok(future.await),
        Some(timeout) => tokio::time::timeout(timeout, future).await.map_err(|_| {
            PyTimeoutError::new_err(format!("not done within {} s", timeout.as_secs_f64())).into()
        }),
    }
}

#[pymethods]
impl Call {
    #[getter]
    fn key(&self) -> String {
        self.entry.key_text()
    }

    #[getter]
    fn status(&self) -> &'static str {
        self.entry.status()
    }

    fn done(&self) -> bool {
        self.entry.is_done()
    }

    fn cancel(&self) {
        self.entry.cancel();
    }

    /// A number that is the same for objects of the same call.
    #[getter]
    fn identity(&self) -> usize {
        Arc::as_ptr(&self.entry).addr()
    }

    /// Bytes of the result, and the numbers of the workers that hold it.
    fn holders(&self) -> Option<(u64, Vec<u64>)> {
        let (bytes, workers) = self.entry.future()?.holders()?;
        Some((bytes, workers.iter().map(|worker| worker.0).collect()))
    }

    /// Waits for the result and brings it here.
    #[pyo3(signature = (timeout = None))]
    fn result(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let value = match self.small_result()? {
            Some(value) => Ok(value),
            None => {
                help(py, &self.entry)?;
                self.fetch(py, limited(timeout)?)?
            }
        };
        match value {
            Ok(value) => decode(py, &value, Reader::Client),
            Err(error) => Err(self.entry.failure(py, error)),
        }
    }

    /// Waits for the end, and gives the exception if there is one.
    #[pyo3(signature = (timeout = None))]
    fn exception(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<PyAny>>> {
        let timeout = limited(timeout)?;
        help(py, &self.entry)?;
        let outcome = match self.entry.future().filter(|_| self.entry.inline().is_none()) {
            Some(future) if future.is_done() => future.error().map_or(Ok(()), Err),
            _ => {
                let ended = self.entry.clone().ended();
                wait(py, async move { within(timeout, ended).await })?
            }
        };
        let error = outcome.err().map(|error| self.entry.failure(py, error));
        Ok(error.map(|error| error.into_value(py).into_any()))
    }

    /// What fails while it is waited for is told by the others.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let timeout = limited(timeout)?;
        help(py, &self.entry)?;
        if self.entry.is_done() {
            return Ok(());
        }
        let ended = self.entry.clone().ended();
        let waited = wait(py, async move { within(timeout, ended).await });
        drop(waited?);
        Ok(())
    }
}

impl Call {
    fn small_result(&self) -> Result<Option<Value>, Failure> {
        match self.entry.future() {
            Some(future) => Ok(future.small_result()?),
            None => Ok(None),
        }
    }

    fn fetch(
        &self,
        py: Python<'_>,
        timeout: Option<Duration>,
    ) -> Result<Result<Value, ClientError>, Failure> {
        if self.entry.inline().is_some() {
            return Ok(self.entry.inline_result());
        }
        let result = self.entry.clone().result();
        wait(py, async move { within(timeout, result).await })
    }
}

/// Notes the size of a result with its function, for calls to come.
pub(super) fn learn_size(future: &Future, largest: &std::sync::atomic::AtomicU64) {
    if let Some((bytes, _)) = future.holders() {
        largest.fetch_max(bytes, Ordering::Relaxed);
    }
}
