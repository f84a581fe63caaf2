//! Where there are no child processes: they need memory that has a descriptor. Functions run on the worker's own threads.

use std::sync::Arc;

use graticule_client::{BlockCall, Chunk, FunctionError, Value};
use graticule_worker::Underway;
use pyo3::prelude::*;

use crate::{calls::nested::Outcome, error::Failure, logged::Told};

pub(crate) const CHILD_BYTES: u64 = 0;

/// None.
#[derive(Debug)]
pub(crate) enum Children {}

impl Children {
    pub(crate) fn new(_: Vec<String>, _: String, _: u64, _: u64) -> Option<Self> {
        None
    }

    pub(crate) fn call(&self, _: &[Value], _: bool, _: bool) -> Result<Value, FunctionError> {
        match *self {}
    }

    pub(crate) fn begin(self: &Arc<Self>, _: &[Value]) -> Option<Box<dyn Underway>> {
        match **self {}
    }

    pub(crate) fn block(&self, _: &BlockCall<'_>) -> Result<Chunk, FunctionError> {
        match *self {}
    }
}

#[pyfunction]
pub(crate) fn serve_child(_file: i32, _worker: &str, _number: u64) -> Result<(), Failure> {
    Err(Failure::value("functions run in child processes on Linux alone"))
}

pub(crate) fn is_child() -> bool {
    false
}

pub(crate) fn is_forked() -> bool {
    false
}

pub(crate) fn is_handed_over(_: usize, _: usize) -> bool {
    false
}

pub(crate) fn number() -> u64 {
    0
}

pub(crate) fn claim(_: u64) -> bool {
    false
}

pub(crate) fn settle(_: u64, _: Outcome) {}

pub(crate) fn give_up(_: u64) {}

pub(crate) fn forget(_: u64) {}

pub(crate) fn tell(told: Told) -> Result<(), Told> {
    Err(told)
}
