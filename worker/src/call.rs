//! A task that calls a function: its arguments together, then the call.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures::{StreamExt, TryStreamExt, stream};
use graticule_engine::{Failure, FailureKind, worker::LayerEntry};
use graticule_kernel::{Chunk, Value};
use graticule_ops::{Argument, Calls};
use graticule_plan::ChunkId;

use crate::{
    compute::chain,
    fetch::{Fetcher, Needs, permanent},
    functions::{FunctionError, ValueFunction},
    underway::Underway,
};

/// Chunks that one call fetches at a time.
const CHUNKS_AT_ONCE: usize = 16;

/// A call that has all it needs.
pub(crate) struct Call {
    pub(crate) function: ValueFunction,
    arguments: Vec<Value>,
}

impl Fetcher {
    /// Brings the arguments of a call together. Returns it with the bytes that came from peers.
    pub(crate) async fn prepare_call(
        &self,
        layer: &LayerEntry,
        block: u64,
        needs: &Needs,
    ) -> Result<(Call, u64), Failure> {
        let calls = self.tables.calls(&layer.spec.layer.body).map_err(permanent)?;
        let function = self.functions.find(&calls.function).map_err(permanent)?;
        let mut bytes = 0;
        let mut results = Vec::with_capacity(layer.maps.len());
        for (map, source) in layer.maps.iter().zip(&layer.spec.sources) {
            let id = |block| ChunkId {
                job: source.job,
                layer: source.layer,
                block,
            };
            let chunks: Vec<ChunkId> = map.sources(block).into_iter().map(id).collect();
            let chunks = chunks.into_iter().map(|chunk| self.whole(chunk, needs));
            let mut row = Vec::new();
            let mut chunks = stream::iter(chunks).buffered(CHUNKS_AT_ONCE);
            while let Some((chunk, is_remote)) = chunks.try_next().await? {
                bytes += if is_remote { chunk.nbytes() } else { 0 };
                row.push(Value::from_chunk(chunk).map_err(permanent)?);
            }
            results.push(row);
        }
        let arguments = arguments(&calls, block, &results)?;
        Ok((Call { function, arguments }, bytes))
    }
}

fn arguments(calls: &Calls, block: u64, results: &[Vec<Value>]) -> Result<Vec<Value>, Failure> {
    let of_call = usize::try_from(block).ok().and_then(|at| calls.arguments.get(at));
    let of_call = of_call.ok_or_else(|| permanent(format!("call {block} has no arguments written down")))?;
    let value = |argument: &Argument| match *argument {
        Argument::Value(at) => Value::from_inline(&calls.values[at as usize]).map_err(permanent),
        Argument::Result { input, place } => {
            let row = results.get(input as usize);
            let found = row.and_then(|row| row.get(place as usize));
            found
                .cloned()
                .ok_or_else(|| permanent(format!("call {block} has no result {place} of its input {input}")))
        }
    };
    of_call.iter().map(value).collect()
}

impl Call {
    /// Calls the function. Its panic is a failure like others.
    pub(crate) fn run(self) -> Result<Chunk, Failure> {
        outcome(caught(|| self.function.call(&self.arguments)))
    }

    /// Has the function begin elsewhere, if it can at once.
    pub(crate) fn begin(&self) -> Option<Box<dyn Underway>> {
        self.function.begin(&self.arguments)
    }
}

/// What a function makes; its panic is an error like others.
pub(crate) fn caught(call: impl FnOnce() -> Result<Value, FunctionError>) -> Result<Value, FunctionError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panic_text(&*panic).into()))
}

/// What a call's task makes of what its function made.
pub(crate) fn outcome(called: Result<Value, FunctionError>) -> Result<Chunk, Failure> {
    called.map(Chunk::from).map_err(|error| Failure {
        kind: FailureKind::Transient,
        message: chain(&*error).into(),
    })
}

/// What is told of a function that panicked.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the function panicked: {}", text.unwrap_or_default())
}
