//! Graphs of users' functions: calls that return at once, with futures for their results.
//!
//! Calls are sent in batches of at most a millisecond: those of the same function become one layer of a small plan, and
//! a plan's inputs name blocks of the plans before it. So the graph grows while it runs, and the scheduler knows no other
//! graphs than those of arrays.

mod arg;
mod batch;
mod draft;
mod future;
mod route;
mod scatter;
mod scatter_array;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use futures::{StreamExt, TryStreamExt};
use graticule_kernel::Value;
use graticule_plan::Annotations;

pub use arg::Arg;
pub use future::Future;
pub use scatter::ScatterOptions;

pub(crate) use batch::{Call, start};
pub(crate) use future::Promise;
pub(crate) use route::{CallJobs, CallSubmission, Releases};

use crate::{Client, ClientError};

/// Calls that may wait to be sent.
const CALLS_WAITING_MAX: u64 = 1 << 22;
/// The most bytes of values that one call may carry along.
pub(crate) const CALL_BYTES_MAX: u64 = 8 << 20;
/// What a result is counted with where the caller says nothing, until the scheduler has learnt better.
const RESULT_BYTES_GUESS: u64 = 16 << 10;
/// Results that are fetched at a time.
const GATHER_COUNT_MAX: usize = 64;

/// How calls shall run.
///
/// ```
/// use graticule_client::CallOptions;
///
/// let on_gpu = CallOptions::new().resource("GPU", 1).retries(2).priority(10).output_bytes(64 << 20);
/// # let _ = on_gpu;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// Priority, retries, resources and workers. Calls of higher priority go first whenever they were submitted.
    pub annotations: Annotations,
    /// The most bytes of a result, if that is known; else it is learnt from results of the same function, the first of
    /// which is made with nothing beside it.
    pub output_bytes: Option<u64>,
    /// The most bytes that the function uses beside its arguments and its result.
    pub scratch_bytes: u64,
}

impl CallOptions {
    /// Nothing said.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.annotations = self.annotations.priority(priority);
        self
    }

    /// With a number of failures that each call may have.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.annotations = self.annotations.retries(retries);
        self
    }

    /// With so many of a countable thing for each call.
    #[must_use]
    pub fn resource(mut self, name: &str, count: u32) -> Self {
        self.annotations = self.annotations.resource(name, count);
        self
    }

    /// With one more worker that may run the calls.
    #[must_use]
    pub fn worker(mut self, name: &str) -> Self {
        self.annotations = self.annotations.worker(name);
        self
    }

    /// With the most bytes that a result takes.
    #[must_use]
    pub fn output_bytes(mut self, bytes: u64) -> Self {
        self.output_bytes = Some(bytes);
        self
    }

    /// With the most bytes that the function uses beside its arguments and its result.
    #[must_use]
    pub fn scratch_bytes(mut self, bytes: u64) -> Self {
        self.scratch_bytes = bytes;
        self
    }
}

/// What the calls of one client have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Calls that wait to be sent.
    waiting_count: AtomicU64,
    known: Mutex<Known>,
}

/// The functions that workers can call, as far as that is known.
#[derive(Debug, Default)]
struct Known {
    names: Vec<Arc<str>>,
    /// They are those of this process, and no others will come.
    is_fixed: bool,
    is_known: bool,
}

impl Shared {
    /// The workers are those of this process.
    pub(crate) fn fix_functions(&self, names: Vec<Arc<str>>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Known {
            names,
            is_fixed: true,
            is_known: true,
        };
    }

    /// Notes what the workers that are connected now can call.
    pub(crate) fn note_functions(&self, names: Vec<Arc<str>>, workers: u32) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_fixed {
            (known.names, known.is_known) = (names, workers > 0);
        }
    }

    fn check(&self, function: &str) -> Result<(), ClientError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_known || known.names.iter().any(|name| **name == *function) {
            return Ok(());
        }
        Err(ClientError::UnknownFunction {
            name: function.into(),
            known: known
                .names
                .iter()
                .filter(|name| !name.starts_with("graticule."))
                .map(|name| name.to_string())
                .collect(),
        })
    }

    fn names(&self) -> Vec<Arc<str>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.names.clone()
    }

    fn enter(&self) -> Result<(), ClientError> {
        if self.waiting_count.fetch_add(1, Ordering::Relaxed) < CALLS_WAITING_MAX {
            return Ok(());
        }
        self.leave(1);
        Err(ClientError::TooManyCalls {
            limit: CALLS_WAITING_MAX,
        })
    }

    fn leave(&self, count: u64) {
        self.waiting_count.fetch_sub(count, Ordering::Relaxed);
    }
}

impl Client {
    /// Has a worker call a function, by the name under which it was registered there, and returns at once.
    ///
    /// Arguments are values, or futures of other calls, which need not be done. The call runs as soon as they are; its
    /// result stays in the memory of the workers for as long as a clone of the future is there. When the last one is
    /// dropped before, the call is taken back, unless another one needs it.
    ///
    /// ```
    /// use graticule_client::{Client, LocalOptions, Registry, Value};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let mut registry = Registry::new();
    /// registry.function("length", |inputs| Ok(Value::from(inputs[0].nbytes())));
    /// registry.function("sum", |inputs| Ok(Value::from(inputs.iter().filter_map(Value::number::<u64>).sum::<u64>())));
    /// let client = Client::local_with(&LocalOptions { functions: registry, ..Default::default() }).await?;
    ///
    /// let lengths = client.map("length", ["one", "three"])?;
    /// let sum = client.submit("sum", &lengths)?;
    /// assert_eq!(sum.result().await?.number::<u64>(), Some(8));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::UnknownFunction`], [`ClientError::ValueTooLarge`], [`ClientError::TooManyCalls`],
    /// [`ClientError::ConnectionLost`]. What goes wrong later is told by [`Future::result`].
    pub fn submit<A: Into<Arg>>(
        &self,
        function: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Future, ClientError> {
        self.submit_with(function, args, &CallOptions::default())
    }

    /// As [`Client::submit`], with options.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub fn submit_with<A: Into<Arg>>(
        &self,
        function: &str,
        args: impl IntoIterator<Item = A>,
        options: &CallOptions,
    ) -> Result<Future, ClientError> {
        self.session.calls().check(function)?;
        let args = args.into_iter().map(Into::into).collect();
        self.call(&function.into(), args, &Arc::new(options.clone()))
    }

    /// Has a function called once for each argument.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub fn map<A: Into<Arg>>(
        &self,
        function: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Future>, ClientError> {
        self.map_with(function, args, &CallOptions::default())
    }

    /// As [`Client::map`], with options.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub fn map_with<A: Into<Arg>>(
        &self,
        function: &str,
        args: impl IntoIterator<Item = A>,
        options: &CallOptions,
    ) -> Result<Vec<Future>, ClientError> {
        self.session.calls().check(function)?;
        let (function, options) = (function.into(), Arc::new(options.clone()));
        let calls = args.into_iter();
        calls
            .map(|arg| self.call(&function, vec![arg.into()], &options))
            .collect()
    }

    /// Whether workers can call a function, as far as that is known; before any worker was there, all is taken to be.
    ///
    /// # Errors
    /// [`ClientError::UnknownFunction`], with the names of the others.
    pub fn check_function(&self, function: &str) -> Result<(), ClientError> {
        self.session.calls().check(function)
    }

    /// The names of the functions that workers can call, as far as that is known.
    pub fn known_functions(&self) -> Vec<Arc<str>> {
        self.session.calls().names()
    }

    /// As [`Client::submit_with`], for who makes many calls: name and options are handles, and the name is not looked up
    /// each time (see [`Client::check_function`]).
    ///
    /// # Errors
    /// As [`Client::submit`], but for unknown functions, of which the call will tell.
    pub fn call(
        &self,
        function: &Arc<str>,
        args: Vec<Arg>,
        options: &Arc<CallOptions>,
    ) -> Result<Future, ClientError> {
        let bytes = args.iter().map(Arg::nbytes).fold(0, u64::saturating_add);
        if bytes > CALL_BYTES_MAX {
            return Err(ClientError::ValueTooLarge {
                bytes,
                limit: CALL_BYTES_MAX,
            });
        }
        self.session.calls().enter()?;
        let promise = Arc::new(Promise::new(function.clone(), self.session.clone()));
        let call = Call {
            args,
            bytes,
            options: options.clone(),
            promise: Arc::downgrade(&promise),
            asked: std::time::Instant::now(),
        };
        self.session.call(call)?;
        Ok(Future::new(promise))
    }

    /// Waits for the results of calls and brings them here, in the order of the futures.
    ///
    /// # Errors
    /// The first error of a call, or of a result that cannot be had.
    pub async fn gather<'a>(
        &self,
        futures: impl IntoIterator<Item = &'a Future>,
    ) -> Result<Vec<Value>, ClientError> {
        let futures: Vec<Future> = futures.into_iter().cloned().collect();
        let results = futures
            .into_iter()
            .map(|future| async move { future.result().await });
        futures::stream::iter(results)
            .buffered(GATHER_COUNT_MAX)
            .try_collect()
            .await
    }
}
