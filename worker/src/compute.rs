//! The second phase of a task: the kernel on what was fetched.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use graticule_engine::{Failure, FailureKind, Finished, INLINE_BYTES_MAX};
use graticule_kernel::{Chunk, KernelError, run_with_functions};

use crate::{
    fetch::{Inputs, Prepared, Work, permanent},
    tables::TableStore,
};

/// Runs a task. A panic of its kernel is its failure.
pub(crate) fn compute(prepared: Prepared, tables: &TableStore) -> (Option<Chunk>, Result<Finished, Failure>) {
    match prepared.work {
        Work::Run(inputs) => run_program(inputs, tables),
        Work::Value(value) => finished(value, Vec::new(), true),
        Work::Call(call) => called(call.run()),
    }
}

/// What a call's task ends with.
pub(crate) fn called(outcome: Result<Chunk, Failure>) -> (Option<Chunk>, Result<Finished, Failure>) {
    match outcome {
        Ok(chunk) => finished(chunk, Vec::new(), true),
        Err(failure) => (None, Err(failure)),
    }
}

fn run_program(inputs: Inputs, tables: &TableStore) -> (Option<Chunk>, Result<Finished, Failure>) {
    let Inputs {
        program,
        block_index,
        windows,
        sources,
        functions,
        deliver,
        ..
    } = inputs;
    let result = catch_unwind(AssertUnwindSafe(|| {
        run_with_functions(&program, &block_index, &windows, &sources, tables, &functions)
    }));
    let chunk = match result {
        Ok(Ok(chunk)) => chunk,
        Ok(Err(error)) => {
            let mut failure = permanent(chain(&error));
            // A user's function may do better the next time, as far as retries allow.
            if matches!(error, KernelError::Function { .. }) {
                failure.kind = FailureKind::Transient;
            }
            return (None, Err(failure));
        }
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            return (
                None,
                Err(permanent(format!(
                    "a kernel panicked, which is a defect of Graticule: {text}"
                ))),
            );
        }
    };
    let problems = sources
        .problems()
        .iter()
        .map(|problem| {
            let what = if problem.is_item_skipped {
                "item left out"
            } else {
                "read as nodata"
            };
            format!("{}: {what}: {}", problem.place, problem.cause).into()
        })
        .collect();
    finished(chunk, problems, deliver)
}

fn finished(
    chunk: Chunk,
    problems: Vec<Arc<str>>,
    deliver: bool,
) -> (Option<Chunk>, Result<Finished, Failure>) {
    let is_small = deliver && chunk.nbytes() <= INLINE_BYTES_MAX as u64;
    let inline = is_small
        .then(|| chunk.encode())
        .filter(|encoded| encoded.len() <= INLINE_BYTES_MAX);
    let finished = Finished {
        bytes: chunk.nbytes(),
        inline,
        problems,
    };
    (Some(chunk), Ok(finished))
}

/// An error with its causes, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
