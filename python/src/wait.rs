//! Waiting, without the interpreter's lock and with an ear for Ctrl-C.

use std::{cell::Cell, sync::OnceLock, time::Duration};

use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::Failure;

/// How often a wait looks for signals.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);
/// Threads of the runtime: scheduler, workers' actors and fetches; computing has threads of its own.
const THREAD_COUNT: usize = 2;

thread_local! {
    /// Whether this thread runs a function of a task.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs the function of a task.
pub(crate) fn is_in_task() -> bool {
    IN_TASK.get()
}

/// Runs the function of a task, which may not wait for the cluster.
pub(crate) fn in_task<T>(run: impl FnOnce() -> T) -> T {
    let before = IN_TASK.replace(true);
    let made = run();
    IN_TASK.set(before);
    made
}

/// The runtime of this process, and the process that it belongs to.
struct Home {
    runtime: Runtime,
    pid: u32,
}

fn home() -> Result<&'static Home, Failure> {
    static HOME: OnceLock<Home> = OnceLock::new();
    if let Some(home) = HOME.get() {
        if home.pid != std::process::id() {
            return Err(Failure::new(
                "ClusterError",
                "this process was forked from one that uses graticule, and threads do not survive a fork; \
                 start processes with multiprocessing's \"spawn\" instead",
            ));
        }
        return Ok(home);
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREAD_COUNT)
        .thread_name("graticule")
        .enable_all()
        .build()
        .map_err(|error| Failure::new("ClusterError", format!("no thread for the client: {error}")))?;
    let pid = std::process::id();
    Ok(HOME.get_or_init(|| Home { runtime, pid }))
}

/// The runtime, entered, for what only starts something or is dropped there.
pub(crate) fn handle() -> Result<Handle, Failure> {
    Ok(home()?.runtime.handle().clone())
}

/// Waits for a future. A signal whose handler raises (Ctrl-C) drops it, which cancels the job that it waits for.
pub(crate) fn wait<T: Send, E: Into<Failure> + Send>(
    py: Python<'_>,
    future: impl Future<Output = Result<T, E>> + Send,
) -> Result<T, Failure> {
    if IN_TASK.get() {
        return Err(Failure::new(
            "ClusterError",
            "a function that runs on the cluster cannot wait for the cluster: it would occupy the place that it waits for",
        ));
    }
    wait_anywhere(py, future)
}

/// As [`wait`], for what the function of a task may wait for, since it goes on by itself.
pub(crate) fn wait_anywhere<T: Send, E: Into<Failure> + Send>(
    py: Python<'_>,
    future: impl Future<Output = Result<T, E>> + Send,
) -> Result<T, Failure> {
    let runtime = &home()?.runtime;
    let outcome: Result<Result<T, E>, PyErr> = py.detach(|| {
        runtime.block_on(async {
            tokio::pin!(future);
            loop {
                tokio::select! {
                    outcome = &mut future => return Ok(outcome),
                    () = tokio::time::sleep(SIGNALS_EVERY) => Python::attach(|py| py.check_signals())?,
                }
            }
        })
    });
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.into()),
        Err(signal) => Err(signal.into()),
    }
}
