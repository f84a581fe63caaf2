//! Child processes that run the functions of Python's for a worker, one for each of its slots.
//!
//! A function that crashes, runs for ever or takes all memory costs its own process and its own task; the worker with its chunks
//! goes on, and slots do not wait for each other's interpreter lock. A child is started when a slot has a call and all children are busy,
//! and stays warm.
//! Large arrays go there and back as memory that both map; the rest goes through the socket that is the child's standard input.
//!
//! The worker's actor speaks with children itself where nothing has to be waited for ([`begun`]); all else is done on slots' threads.
//!
//! What functions print comes by pipes, which the worker passes on and keeps as lines of the task.
//!
//! Calls within calls are decided on by the worker ([`nested`](crate::calls)), which a child asks in the middle of its call.

mod arrays;
mod begun;
mod child;
mod output;
mod runs;
mod serve;
mod turns;
mod watch;
mod words;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use graticule_client::{BlockCall, Chunk, FunctionError, Value};
use graticule_kernel::Tensor;
use graticule_logs::LogScope;
use graticule_plan::Digest;
use graticule_worker::Underway;

pub(crate) use arrays::is_handed_over;
use child::{Asked, Child, End, Function, Made};
use runs::Runs;
pub(crate) use serve::{claim, forget, give_up, is_child, is_forked, number, serve_child, settle, tell};
use turns::{Turn, Turns};
use watch::Watch;
use words::Ask;

use crate::{calls::raised, functions::BlockAsk};

/// What an interpreter with NumPy takes of memory, which is not the worker's for chunks.
pub(crate) const CHILD_BYTES: u64 = 48 << 20;

/// The child processes of a worker.
#[derive(Debug)]
pub(crate) struct Children {
    /// The interpreter and what it is to run; the worker's name and the child's number follow.
    program: Vec<String>,
    worker: String,
    next: AtomicU64,
    /// Those that run nothing: at most one for each slot.
    idle: Mutex<Vec<Child>>,
    turns: Arc<Turns>,
    watch: Arc<Watch>,
    runs: Runs,
}

impl Children {
    /// Those of a worker whose process, with its children, may have so much memory, of which so much is for chunks.
    pub(crate) fn new(
        program: Vec<String>,
        worker: String,
        memory_bytes: u64,
        ledger_bytes: u64,
    ) -> Option<Self> {
        Some(Self {
            program,
            worker,
            // The worker itself has number 0.
            next: AtomicU64::new(1),
            idle: Mutex::default(),
            turns: Arc::default(),
            watch: Watch::new(memory_bytes, ledger_bytes),
            runs: Runs::default(),
        })
    }

    /// Runs a call, which may be one within a call: its first value is its function, with its digest before it. One that is to run
    /// everywhere goes to all other children before their next call.
    pub(crate) fn call(
        &self,
        inputs: &[Value],
        is_nested: bool,
        is_everywhere: bool,
    ) -> Result<Value, FunctionError> {
        let mut asked = Asked::call(inputs)?;
        asked.is_everywhere = is_everywhere;
        single(self.run(&asked, is_nested)?)
    }

    /// Has a call begin that is none within a call and need not run everywhere, if that can be done without waiting.
    pub(crate) fn begin(self: &Arc<Self>, inputs: &[Value]) -> Option<Box<dyn Underway>> {
        begun::begin(self, Asked::call(inputs).ok()?)
    }

    /// Runs a function on blocks of arrays.
    pub(crate) fn block(&self, call: &BlockCall<'_>) -> Result<Chunk, FunctionError> {
        let digest = Digest::of(call.payload()).0;
        let whole = [&digest[..], call.payload()].concat();
        let asked = Asked {
            ask: Ask::Block(BlockAsk::of(call)),
            function: Function {
                digest,
                whole: Value::from(whole).into_tensor(),
            },
            tensors: call.blocks().iter().map(|block| block.tensor().clone()).collect(),
            is_everywhere: false,
        };
        Ok(Chunk::new(self.run(&asked, false)?)?)
    }

    fn run(&self, asked: &Asked, is_nested: bool) -> Result<Vec<Tensor>, FunctionError> {
        let turn = self.turns.take(&asked.function.digest, is_nested);
        let outcome = self.run_once(asked)?;
        if is_nested {
            return outcome.map_err(|end| end.told.into());
        }
        self.settled(turn, asked, outcome)
    }

    /// What the task of a call says of its outcome: what was too much beside others runs once more alone.
    fn settled(
        &self,
        turn: Turn,
        asked: &Asked,
        outcome: Result<Vec<Tensor>, End>,
    ) -> Result<Vec<Tensor>, FunctionError> {
        let end = match outcome {
            Ok(made) => return Ok(made),
            Err(end) => end,
        };
        if !end.is_for_memory || turn.is_alone {
            return Err(end.told.into());
        }
        drop(turn);
        self.turns.is_greedy(&asked.function.digest);
        let Some(_alone) = self.turns.take_alone() else {
            return Err(end.told.into());
        };
        self.run_once(asked)?.map_err(|end| end.told.into())
    }

    /// Has a child run a function: what it makes, or how the child ended meanwhile.
    fn run_once(&self, asked: &Asked) -> Result<Result<Vec<Tensor>, End>, FunctionError> {
        let child = match self.idle_child() {
            Some(child) => child,
            None => self.start()?,
        };
        let mut child = self.caught_up(child)?;
        let outcome = child.ask(asked);
        self.judged(child, asked, outcome)
    }

    /// Keeps a child for the next call, or says how it ended.
    fn judged(
        &self,
        mut child: Child,
        asked: &Asked,
        outcome: io::Result<Made>,
    ) -> Result<Result<Vec<Tensor>, End>, FunctionError> {
        let made = match outcome {
            Ok(made) => made,
            Err(error) => return Ok(Err(child.obituary(&error))),
        };
        if asked.is_everywhere && made.is_ok() {
            let (function, tensors) = (asked.function.clone(), asked.tensors.clone());
            self.runs.add(function, tensors, &mut child.done);
        }
        self.keep(child);
        Ok(Ok(made?))
    }

    /// A child that runs nothing, if there is one. Those that have ended meanwhile are let go of.
    fn idle_child(&self) -> Option<Child> {
        loop {
            let mut child = self.idle().pop()?;
            if child.is_there() {
                return Some(child);
            }
        }
    }

    fn keep(&self, child: Child) {
        self.idle().push(child);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Child>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The child, or another one, that has done what `Client.run` had done on this worker.
    fn caught_up(&self, mut child: Child) -> Result<Child, FunctionError> {
        let mut crashed = None;
        'children: loop {
            for run in self.runs.missing(&mut child.done) {
                let outcome = apart(|| child.ask(&run.asked));
                match outcome {
                    Ok(Ok(_)) => {}
                    Ok(Err(message)) => {
                        let message = raised::text(&message);
                        tracing::warn!(
                            message,
                            "what Client.run had done failed in another process of the worker"
                        );
                    }
                    Err(error) => {
                        let told = apart(|| child.obituary(&error)).told;
                        if crashed.replace(run.number) == Some(run.number) {
                            tracing::warn!(
                                message = told,
                                "what Client.run had done crashed other processes of the worker and is not done there any more"
                            );
                            self.runs.forget(&run);
                        }
                        child = self.start()?;
                        continue 'children;
                    }
                }
            }
            return Ok(child);
        }
    }

    fn start(&self) -> Result<Child, FunctionError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let child = Child::start(&self.program, &self.worker, number, &self.watch);
        child.map_err(|error| format!("the process for the function cannot be started: {error}").into())
    }
}

/// The value that a call makes.
fn single(mut made: Vec<Tensor>) -> Result<Value, FunctionError> {
    made.pop()
        .map(Value::from)
        .ok_or_else(|| "a call made nothing".into())
}

/// Does something that is of no task, as far as lines of logs go.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match LogScope::here() {
        Some(scope) => scope.of_no_task().run(work),
        None => work(),
    }
}
