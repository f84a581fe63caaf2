//! Child processes that run the functions of Python's for a worker, one for each of its slots.
//!
//! A function that crashes, runs for ever or takes all memory costs its own process and its own task; the worker with its chunks
//! goes on, and slots do not wait for each other's interpreter lock. A slot's child is started by its first call and stays warm.
//! Large arrays go there and back as memory that both map; the rest goes through the socket that is the child's standard input.
//!
//! What functions print comes by pipes, which the worker passes on and keeps as lines of the task.
//!
//! Calls within calls are decided on by the worker ([`nested`](crate::calls)), which a child asks in the middle of its call.

mod arrays;
mod child;
mod output;
mod runs;
mod serve;
mod turns;
mod watch;
mod words;

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use graticule_client::{BlockCall, Chunk, FunctionError, Value};
use graticule_kernel::Tensor;
use graticule_logs::LogScope;
use graticule_plan::Digest;

pub(crate) use arrays::is_handed_over;
use child::{Child, End, Function};
use runs::Runs;
pub(crate) use serve::{claim, forget, give_up, is_child, is_forked, number, serve_child, settle, tell};
use turns::Turns;
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
    turns: Turns,
    watch: Arc<Watch>,
    runs: Runs,
}

thread_local! {
    /// The child of the slot whose thread this is.
    static CHILD: RefCell<Option<Child>> = const { RefCell::new(None) };
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
            turns: Turns::default(),
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
        let Some((function, rest)) = inputs.split_first() else {
            return Err("a call without a function".into());
        };
        let bytes = function.bytes().unwrap_or_default();
        let Some((digest, _)) = bytes.split_first_chunk() else {
            return Err("a call without a function".into());
        };
        let function = Function {
            digest: *digest,
            whole: function.tensor().clone(),
        };
        let tensors: Vec<Tensor> = rest.iter().map(|value| value.tensor().clone()).collect();
        let mut made = self.run(&Ask::Call, &function, &tensors, is_nested)?;
        if is_everywhere {
            CHILD.with_borrow_mut(|child| {
                if let Some(child) = child {
                    self.runs.add(function, tensors, &mut child.done);
                }
            });
        }
        made.pop()
            .map(Value::from)
            .ok_or_else(|| "a call made nothing".into())
    }

    /// Runs a function on blocks of arrays.
    pub(crate) fn block(&self, call: &BlockCall<'_>) -> Result<Chunk, FunctionError> {
        let digest = Digest::of(call.payload()).0;
        let whole = [&digest[..], call.payload()].concat();
        let function = Function {
            digest,
            whole: Value::from(whole).into_tensor(),
        };
        let tensors: Vec<Tensor> = call.blocks().iter().map(|block| block.tensor().clone()).collect();
        let made = self.run(&Ask::Block(BlockAsk::of(call)), &function, &tensors, false)?;
        Ok(Chunk::new(made)?)
    }

    fn run(
        &self,
        ask: &Ask,
        function: &Function,
        tensors: &[Tensor],
        is_nested: bool,
    ) -> Result<Vec<Tensor>, FunctionError> {
        let turn = self.turns.take(&function.digest, is_nested);
        let end = match self.run_once(ask, function, tensors)? {
            Ok(made) => return Ok(made),
            Err(end) => end,
        };
        if !end.is_for_memory || turn.is_alone || is_nested {
            return Err(end.told.into());
        }
        // Beside others it was too much, which it may not be alone.
        drop(turn);
        self.turns.is_greedy(&function.digest);
        let Some(_alone) = self.turns.take_alone() else {
            return Err(end.told.into());
        };
        self.run_once(ask, function, tensors)?
            .map_err(|end| end.told.into())
    }

    /// Has the slot's child run a function: what it makes, or how the child ended meanwhile.
    fn run_once(
        &self,
        ask: &Ask,
        function: &Function,
        tensors: &[Tensor],
    ) -> Result<Result<Vec<Tensor>, End>, FunctionError> {
        CHILD.with_borrow_mut(|place| {
            let mut child = match place.take().map(|mut child| (child.is_there(), child)) {
                Some((true, child)) => child,
                _ => self.start()?,
            };
            child = self.caught_up(child)?;
            match child.ask(ask, function, tensors) {
                Ok(outcome) => {
                    *place = Some(child);
                    Ok(Ok(outcome?))
                }
                Err(error) => Ok(Err(child.obituary(&error))),
            }
        })
    }

    /// The child, or another one, that has done what `Client.run` had done on this worker.
    fn caught_up(&self, mut child: Child) -> Result<Child, FunctionError> {
        let mut crashed = None;
        'children: loop {
            for run in self.runs.missing(&mut child.done) {
                let outcome = apart(|| child.ask(&Ask::Call, &run.function, &run.tensors));
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

/// Does something that is of no task, as far as lines of logs go.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match LogScope::here() {
        Some(scope) => scope.of_no_task().run(work),
        None => work(),
    }
}
