//! A call on a worker: its function is loaded once, its arguments are looked at where they lie.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use graticule_client::{FunctionError, Registry, Value};
use pyo3::{
    ffi,
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyList, PyTuple},
};

use super::{
    raised::say,
    settings::DIGEST_BYTES,
    value::{Home, Reader, decode, encode},
};
use crate::wait::in_task;

/// Loaded functions that are kept.
const LOADED_MAX: usize = 1024;

static LOADED: Mutex<Loaded> = Mutex::new(Loaded {
    functions: BTreeMap::new(),
    order: VecDeque::new(),
});

struct Loaded {
    functions: BTreeMap<[u8; DIGEST_BYTES], Py<PyAny>>,
    order: VecDeque<[u8; DIGEST_BYTES]>,
}

/// The name under which workers with this Python announce that they run calls.
pub(crate) fn name(py: Python<'_>) -> String {
    let version = py.version_info();
    format!("graticule.python-{}.{}", version.major, version.minor)
}

/// Lets workers run calls. Of workers in this process results stay where they are.
pub(crate) fn register(py: Python<'_>, registry: &mut Registry, is_embedded: bool) {
    let home = if is_embedded { Home::Lent } else { Home::Own };
    registry.function(&name(py), move |inputs| call(inputs, home));
}

fn call(inputs: &[Value], home: Home) -> Result<Value, FunctionError> {
    let made = in_task(|| {
        Python::try_attach(|py| {
            stay(py);
            run(py, inputs, home).map_err(|error| say(py, error))
        })
    });
    made.unwrap_or_else(|| Err("the interpreter is shutting down".into()))
}

/// Keeps what the interpreter knows of this thread until the process ends: libraries hang their own state on it, and to make
/// it for each call takes longer than most calls.
fn stay(_: Python<'_>) {
    thread_local! {
        static STAYS: Cell<bool> = const { Cell::new(false) };
    }
    if !STAYS.replace(true) {
        #[allow(unsafe_code)]
        // SAFETY: the interpreter is attached, as the token says; another reference to the thread's state is counted, and never
        // given back.
        unsafe {
            ffi::PyGILState_Ensure();
        }
    }
}

fn run(py: Python<'_>, inputs: &[Value], home: Home) -> PyResult<Value> {
    let [function, args, results @ ..] = inputs else {
        return Err(crate::error::Failure::value("a call without a function").into());
    };
    let function = loaded(py, function)?;
    let arguments = if results.is_empty() {
        decode(py, args, Reader::Call)?
    } else {
        with_results(py, args, results)?
    };
    let (args, kwargs): (Bound<'_, PyTuple>, Bound<'_, PyDict>) = arguments.extract(py)?;
    let made = function.bind(py).call(args, Some(&kwargs))?;
    encode(&made, home)
}

/// The arguments, with the results of other calls in their places.
fn with_results(py: Python<'_>, args: &Value, results: &[Value]) -> PyResult<Py<PyAny>> {
    static PLACES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let objects = results.iter().map(|value| decode(py, value, Reader::Call));
    let objects = PyList::new(py, objects.collect::<PyResult<Vec<_>>>()?)?;
    let places = PLACES.get_or_try_init(py, || {
        py.import("graticule._pickle")?
            .getattr("places")
            .map(Bound::unbind)
    })?;
    let places = places.bind(py);
    places.setattr("results", objects)?;
    let made = decode(py, args, Reader::Call);
    places.setattr("results", py.None())?;
    made
}

fn loaded(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    let bytes = value.bytes().unwrap_or_default();
    let Some((digest, payload)) = bytes.split_first_chunk::<DIGEST_BYTES>() else {
        return Err(crate::error::Failure::value("a call without a function").into());
    };
    let known = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(function) = known.functions.get(digest) {
        return Ok(function.clone_ref(py));
    }
    drop(known);
    // Two threads may load it at once; loading is the user's code, so no lock is held.
    let load = py.import("graticule._pickle")?.getattr("load_function")?;
    let function = load.call1((payload,))?.unbind();
    let mut kept = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.functions.insert(*digest, function.clone_ref(py)).is_none() {
        kept.order.push_back(*digest);
    }
    let mut dropped = Vec::new();
    while kept.order.len() > LOADED_MAX {
        let oldest = kept.order.pop_front();
        dropped.extend(oldest.and_then(|oldest| kept.functions.remove(&oldest)));
    }
    drop(kept);
    drop(dropped);
    Ok(function)
}
