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
use graticule_plan::Digest;

pub(crate) use arrays::is_handed_over;
use child::{Child, End, Function};
pub(crate) use serve::{claim, forget, give_up, is_child, number, serve_child, settle, tell};
use turns::Turns;
use watch::Watch;
use words::Ask;

use crate::functions::BlockAsk;

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
        })
    }

    /// Runs a call, which may be one within a call: its first value is its function, with its digest before it.
    pub(crate) fn call(&self, inputs: &[Value], is_nested: bool) -> Result<Value, FunctionError> {
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
                _ => self
                    .start()
                    .map_err(|error| format!("the process for the function cannot be started: {error}"))?,
            };
            match child.ask(ask, function, tensors) {
                Ok(outcome) => {
                    *place = Some(child);
                    Ok(Ok(outcome?))
                }
                Err(error) => Ok(Err(child.obituary(&error))),
            }
        })
    }

    fn start(&self) -> std::io::Result<Child> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Child::start(&self.program, &self.worker, number, &self.watch)
    }
}
