//! Exceptions on their way from a call to whoever asks for its result.
//!
//! The message of a failed task ends with the exception, written down; within one process the exception itself is kept for a
//! while, so that it arrives as the object that was raised.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use graticule_client::FunctionError;
use pyo3::{prelude::*, types::PyBytes};

use crate::error::Failure;

/// What stands before and behind what is written down of an exception: its process, its number, and its bytes as text.
const MARKS: (&str, &str) = (" [python exception ", "]");
/// Exceptions that are kept for clients of this process.
const KEPT_MAX: usize = 256;

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    next: 0,
    errors: BTreeMap::new(),
});

struct Kept {
    next: u64,
    errors: BTreeMap<u64, Py<PyAny>>,
}

/// A word that no other process has.
pub(super) fn process() -> &'static str {
    static WORD: OnceLock<String> = OnceLock::new();
    WORD.get_or_init(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        format!("{}-{}", std::process::id(), now.unwrap_or_default().as_nanos())
    })
}

/// What a task says of an exception that ended it.
pub(crate) fn say(py: Python<'_>, error: PyErr) -> FunctionError {
    let text = error.to_string();
    let written = write_down(&error, py);
    let value = error.into_value(py).into_any();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let number = kept.next;
    kept.next += 1;
    kept.errors.insert(number, value);
    let oldest = (kept.errors.len() > KEPT_MAX).then(|| kept.errors.pop_first());
    drop(kept);
    // What it holds may run code of the user's when it goes.
    drop(oldest);
    let (before, behind) = MARKS;
    format!("{text}{before}{} {number} {written}{behind}", process()).into()
}

fn write_down(error: &PyErr, py: Python<'_>) -> String {
    let write = || -> PyResult<String> {
        py.import("graticule._errors_far")?
            .getattr("write_down")?
            .call1((error.value(py),))?
            .extract()
    };
    // Without it the text alone arrives.
    write().unwrap_or_default()
}

/// What a task says of a failure, without what is written down of the exception.
pub(crate) fn text(message: &str) -> &str {
    message.split(MARKS.0).next().unwrap_or_default()
}

/// A text about failures, without what is written down of exceptions.
pub(crate) fn without_written(text: &str) -> String {
    let (before, behind) = MARKS;
    let mut parts = text.split(before);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| {
        kept + part.split_once(behind).map_or("", |(_, rest)| rest)
    })
}

/// The exception that the message of a job tells of, with what stands before it as a note.
pub(crate) fn told(message: &str) -> Option<PyErr> {
    let (note, behind) = message.split_once(MARKS.0)?;
    Python::attach(|py| {
        let value = found(py, &format!("{}{behind}", MARKS.0))?;
        // Without its note the exception is still the right one.
        let _ = value.call_method1(py, "add_note", (note.trim_end(),));
        Some(PyErr::from_value(value.into_bound(py)))
    })
}

/// An exception that ended a call.
pub(crate) struct Raised {
    message: Box<str>,
    value: Py<PyAny>,
    traceback: Option<Py<PyAny>>,
}

impl Raised {
    /// The exception that a task's message tells of; without one, that the task failed.
    pub(super) fn of(py: Python<'_>, message: &str, key: &str) -> Self {
        let value = found(py, message).unwrap_or_else(|| {
            let error: PyErr = Failure::new("TaskFailed", format!("{key}: {message}")).into();
            error.into_value(py).into_any()
        });
        let traceback = value.getattr(py, "__traceback__").ok();
        Self {
            message: message.into(),
            value,
            traceback: traceback.filter(|traceback| !traceback.is_none(py)),
        }
    }

    pub(super) fn is_of(&self, message: &str) -> bool {
        *self.message == *message
    }

    /// The exception, with the frames that it had when it arrived.
    pub(super) fn error(&self, py: Python<'_>) -> PyErr {
        // One without a settable traceback is raised as it is.
        let _ = self
            .value
            .setattr(py, "__traceback__", self.traceback.as_ref().map(|t| t.bind(py)));
        PyErr::from_value(self.value.bind(py).clone())
    }
}

fn found(py: Python<'_>, message: &str) -> Option<Py<PyAny>> {
    let (text, behind) = message.split_once(MARKS.0)?;
    let (written, _) = behind.split_once(MARKS.1)?;
    let mut words = written.split(' ');
    let (of_process, number, bytes) = (words.next()?, words.next()?, words.next()?);
    let kept = number.parse::<u64>().ok().filter(|_| of_process == process());
    let kept = kept.and_then(|number| {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        kept.errors.get(&number).map(|value| value.clone_ref(py))
    });
    let read = || -> PyResult<Py<PyAny>> {
        let bytes = PyBytes::new(py, bytes.as_bytes());
        let arrived = py
            .import("graticule._errors_far")?
            .getattr("arrived")?
            .call1((kept, bytes, text))?;
        Ok(arrived.unbind())
    };
    read().ok()
}
