//! A child process, as it sees itself.

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use graticule_client::FunctionError;
use graticule_kernel::Tensor;
use graticule_transfer::{Line, Message};
use pyo3::{prelude::*, sync::PyOnceLock};

use super::{
    arrays,
    words::{Answer, Ask, What, read, write},
};
use crate::{
    calls::{self, nested::Outcome},
    error::Failure,
    functions,
    logged::{self, Told},
};

/// Bits of a token that count; those above are the child's number.
const COUNTING_BITS: u32 = 40;

/// Results whose memory comes back to be used again, in all.
const LENT_BYTES_MAX: usize = 128 << 20;
/// Of memory that came back or that NumPy let go of, so much is kept for the next arrays.
const SPARE_BYTES_MAX: usize = 64 << 20;

static WORKER: OnceLock<Worker> = OnceLock::new();

/// The line to the worker, and whether it listens beyond what it asked for: it does while it waits for an answer.
struct Spoken {
    line: Line,
    is_awaited: bool,
}

/// The worker whose child this process is.
struct Worker {
    /// Of this process: what a function forks has the line too, and may not use it.
    pid: u32,
    number: u64,
    line: Mutex<Spoken>,
    forgot: Mutex<Vec<u64>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process runs functions for a worker.
pub(crate) fn is_child() -> bool {
    WORKER.get().is_some()
}

/// What the tokens of this process begin with, so that they are no other child's.
pub(crate) fn number() -> u64 {
    WORKER.get().map_or(0, |worker| worker.number << COUNTING_BITS)
}

/// Runs functions for a worker until it has gone.
#[pyfunction]
pub(crate) fn serve_child(py: Python<'_>, file: i32, worker: &str, number: u64) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::new("ClusterError", format!("the worker does not speak: {error}"));
    // What nobody waits for any more ends, also in the middle of it.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| failed(error.into()))?;
    #[allow(unsafe_code)]
    // SAFETY: the caller gives the descriptor away; nobody else in this process has it.
    let mut line = Line::of(unsafe { OwnedFd::from_raw_fd(file) });
    line.lend(LENT_BYTES_MAX);
    graticule_transfer::share_large_buffers();
    graticule_kernel::limit_spare_bytes(SPARE_BYTES_MAX);
    let worker_of = Worker {
        pid: std::process::id(),
        number,
        line: Mutex::new(Spoken {
            line,
            is_awaited: false,
        }),
        forgot: Mutex::default(),
    };
    let worker_of = WORKER.get_or_init(|| worker_of);
    // As on a slot's own thread, so that the function finds its worker's name.
    let builder = std::thread::Builder::new().name(format!("{worker}-cpu-{number}"));
    let thread = builder.spawn(|| worker_of.serve()).map_err(failed)?;
    py.detach(|| thread.join())
        .map_err(|_| Failure::new("ClusterError", "the thread of functions panicked"))?
        .map_err(failed)
}

impl Worker {
    fn serve(&self) -> io::Result<()> {
        Python::attach(|py| {
            // What is set for this thread is to last as long as it.
            calls::stay(py);
            // Without it results are copied.
            let _ = arrays::lay_large_arrays(py);
        });
        loop {
            // The lock is free while a function runs, which may have to ask.
            let heard = locked(&self.line).asked()?;
            let Some((words, tensors)) = heard else {
                return Ok(());
            };
            let (what, made) = match read(&words)? {
                Ask::Call => answered(calls::serve(tensors)),
                Ask::Block(ask) => answered(functions::serve(&ask, tensors)),
                Ask::Claimed(_) => return Err(io::Error::other("an answer to nothing")),
            };
            flush();
            self.say(what, &made)?;
        }
    }

    fn say(&self, what: What, tensors: &[Tensor]) -> io::Result<()> {
        let forgot = std::mem::take(&mut *locked(&self.forgot));
        let logged = logged::told();
        let answer = Answer { forgot, logged, what };
        let (words, what) = (write(&answer)?, answer.what);
        let mut spoken = locked(&self.line);
        spoken.is_awaited &= matches!(
            what,
            What::Claim(_) | What::Settled { .. } | What::GaveUp(_) | What::Noted
        );
        spoken.line.say(&words, tensors)
    }

    fn claim(&self, token: u64) -> io::Result<bool> {
        self.say(What::Claim(token), &[])?;
        match locked(&self.line).line.hear()? {
            Some((words, _)) => match read(&words)? {
                Ask::Claimed(is_claimed) => Ok(is_claimed),
                _ => Err(io::Error::other("no answer to a claim")),
            },
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn answered(made: Option<Result<Vec<Tensor>, FunctionError>>) -> (What, Vec<Tensor>) {
    match made {
        Some(Ok(made)) => (What::Made, made),
        Some(Err(error)) => (What::Failed(error.to_string()), Vec::new()),
        None => (What::Unknown, Vec::new()),
    }
}

impl Spoken {
    /// Waits for what the worker asks.
    fn asked(&mut self) -> io::Result<Option<Message>> {
        let heard = self.line.hear()?;
        self.is_awaited = true;
        Ok(heard)
    }
}

/// Has what a function printed leave the process before its task ends.
fn flush() {
    static FLUSH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Python::attach(|py| {
        let flush = FLUSH.get_or_try_init(py, || {
            py.import("graticule._logs")?.getattr("flush").map(Bound::unbind)
        });
        // What cannot be flushed is lost, as it is when a process ends.
        let _ = flush.and_then(|flush| flush.call0(py));
    });
}

/// Whether this process is one that a child has forked.
pub(crate) fn is_forked() -> bool {
    WORKER
        .get()
        .is_some_and(|worker| worker.pid != std::process::id())
}

/// Tells the worker at once what a function logs; gives it back where the worker does not listen.
pub(crate) fn tell(told: Told) -> Result<(), Told> {
    // While somebody waits for a word of the worker's the line is not free, nor needed: what is kept goes with the next word.
    let worker = WORKER.get().filter(|_| !is_forked());
    let spoken = worker.and_then(|worker| worker.line.try_lock().ok());
    let Some(mut spoken) = spoken.filter(|spoken| spoken.is_awaited) else {
        return Err(told);
    };
    let answer = Answer {
        forgot: Vec::new(),
        logged: vec![told],
        what: What::Noted,
    };
    // A worker that has gone takes this process with it.
    let _ = write(&answer).and_then(|words| spoken.line.say(&words, &[]));
    Ok(())
}

/// Whether the worker lets this process run a call within a call; without a worker there is nothing to run.
pub(crate) fn claim(token: u64) -> bool {
    WORKER
        .get()
        .is_some_and(|worker| worker.claim(token).unwrap_or(false))
}

/// Tells the worker what became of a claimed call.
pub(crate) fn settle(token: u64, outcome: Outcome) {
    let Some(worker) = WORKER.get() else { return };
    let (failed, made) = match outcome {
        Ok(value) => (None, vec![value.tensor().clone()]),
        Err(message) => (Some(message.to_string()), Vec::new()),
    };
    // A worker that has gone takes this process with it.
    let _ = worker.say(What::Settled { token, failed }, &made);
}

/// Tells the worker that a claimed call was not run.
pub(crate) fn give_up(token: u64) {
    if let Some(worker) = WORKER.get() {
        // As above.
        let _ = worker.say(What::GaveUp(token), &[]);
    }
}

/// Tells the worker, with the next word, that nobody holds a call within a call.
pub(crate) fn forget(token: u64) {
    if let Some(worker) = WORKER.get() {
        locked(&worker.forgot).push(token);
    }
}
