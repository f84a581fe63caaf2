//! A call on a worker: its function is loaded once, its arguments are looked at where they lie.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use graticule_client::{FunctionError, Registry, Value};
use graticule_kernel::Tensor;
use pyo3::{
    ffi,
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyList, PyTuple},
};

use super::{
    nested,
    raised::say,
    settings::DIGEST_BYTES,
    value::{Home, Reader, decode, encode},
};
use crate::{children::Children, printed, wait::in_task};

/// What stands before the version of Python in the name.
pub(super) const PREFIX: &str = "graticule.python-";
/// The same, of calls that a worker makes in each of its processes.
const EVERYWHERE: &str = "graticule.everywhere-";
/// Loaded functions that are kept.
const LOADED_MAX: usize = 1024;

static LOADED: Mutex<Loaded> = Mutex::new(Loaded {
    functions: BTreeMap::new(),
    order: VecDeque::new(),
});

struct Loaded {
    functions: BTreeMap<Name, Py<PyAny>>,
    order: VecDeque<Name>,
}

/// A function's digest, and a digest of the worker's name: a worker may have to be prepared before it loads a function.
type Name = ([u8; DIGEST_BYTES], u64);

/// The worker whose thread this is.
fn worker_name(thread: &str) -> Option<&str> {
    let (name, slot) = thread.rsplit_once("-cpu-")?;
    slot.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)
}

/// The name of the worker that runs the caller's function.
#[pyfunction]
pub(super) fn running_worker() -> Option<String> {
    let thread = std::thread::current();
    worker_name(thread.name()?).map(str::to_owned)
}

/// The same for each thread of a worker, and another for other workers.
fn worker_digest() -> u64 {
    thread_local! {
        static DIGEST: u64 = {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            let thread = std::thread::current();
            worker_name(thread.name().unwrap_or_default()).hash(&mut hasher);
            hasher.finish()
        };
    }
    DIGEST.with(|digest| *digest)
}

/// The name under which workers with this Python announce that they run calls.
pub(crate) fn name(py: Python<'_>) -> String {
    let version = py.version_info();
    name_of(&format!("{}.{}", version.major, version.minor))
}

/// That name, of workers with another Python.
pub(crate) fn name_of(version: &str) -> String {
    format!("{PREFIX}{version}")
}

/// As such a name, of calls that a worker makes in each of its processes.
pub(super) fn everywhere(name: &str) -> String {
    format!("{EVERYWHERE}{}", name.strip_prefix(PREFIX).unwrap_or(name))
}

/// Where a worker runs functions.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In this process, which is the client's too: results stay where they are.
    Embedded,
    /// In this process.
    Here,
    /// In child processes.
    Children(Arc<Children>),
}

/// Lets workers run calls.
pub(crate) fn register(registry: &mut Registry, name: &str, place: Place) {
    for (name, is_everywhere) in [(name.to_owned(), false), (everywhere(name), true)] {
        let (place, begins_at) = (place.clone(), place.clone());
        let function = move |inputs: &[Value]| {
            let make = |inputs: &[Value], is_nested| match &place {
                Place::Embedded => attached(inputs, Home::Lent),
                Place::Here => attached(inputs, Home::Own),
                Place::Children(children) => children.call(inputs, is_nested, is_everywhere),
            };
            match nested::token_of(inputs) {
                Some(token) => nested::on_slot(token, || make(&inputs[..inputs.len() - 1], true)),
                None => make(inputs, false),
            }
        };
        registry.far_function(&name, function, move |inputs| match &begins_at {
            Place::Children(children) if !is_everywhere && nested::token_of(inputs).is_none() => {
                children.begin(inputs)
            }
            Place::Embedded | Place::Here | Place::Children(_) => None,
        });
    }
}

/// In a child process: runs a call; `None` if its function has to be sent first.
pub(crate) fn serve(tensors: Vec<Tensor>) -> Option<Result<Vec<Tensor>, FunctionError>> {
    let inputs: Vec<Value> = tensors.into_iter().map(Value::from).collect();
    let function = inputs.first().and_then(Value::bytes).unwrap_or_default();
    if function.len() == DIGEST_BYTES && !is_loaded(function) {
        return None;
    }
    let made = attached(&inputs, Home::Own);
    Some(made.map(|value| vec![value.into_tensor()]))
}

fn is_loaded(digest: &[u8]) -> bool {
    let Ok(digest) = digest.try_into() else {
        return false;
    };
    let known = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    known.functions.contains_key(&(digest, worker_digest()))
}

/// Runs a call in the place of who waits for it.
pub(super) fn run_here(py: Python<'_>, inputs: &[Value], home: Home) -> Result<Value, FunctionError> {
    run(py, inputs, home).map_err(|error| say(py, error))
}

fn attached(inputs: &[Value], home: Home) -> Result<Value, FunctionError> {
    let made = in_task(|| {
        Python::try_attach(|py| {
            stay(py);
            printed::of_task(py, || run(py, inputs, home).map_err(|error| say(py, error)))
        })
    });
    made.unwrap_or_else(|| Err("the interpreter is shutting down".into()))
}

/// Keeps what the interpreter knows of this thread until the process ends: libraries hang their own state on it, and to make
/// it for each call takes longer than most calls.
pub(crate) fn stay(_: Python<'_>) {
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
    if made.get_type().is(coroutine(py)?) {
        let asyncio = py.import("asyncio")?;
        return encode(&asyncio.call_method1("run", (made,))?, home);
    }
    encode(&made, home)
}

/// The class of what functions give that are written with `async`.
fn coroutine(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS.get_or_try_init(py, || {
        py.import("types")?.getattr("CoroutineType").map(Bound::unbind)
    })?;
    Ok(class.bind(py))
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
    let before = places.getattr("results")?;
    places.setattr("results", objects)?;
    let made = decode(py, args, Reader::Call);
    places.setattr("results", before)?;
    made
}

fn loaded(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    let bytes = value.bytes().unwrap_or_default();
    let Some((digest, payload)) = bytes.split_first_chunk::<DIGEST_BYTES>() else {
        return Err(crate::error::Failure::value("a call without a function").into());
    };
    let name = (*digest, worker_digest());
    let known = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(function) = known.functions.get(&name) {
        return Ok(function.clone_ref(py));
    }
    drop(known);
    // Two threads may load it at once; loading is the user's code, so no lock is held.
    let load = py.import("graticule._pickle")?.getattr("load_function")?;
    let function = load.call1((payload,))?.unbind();
    let mut kept = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    // What is dropped may run the user's code, so it is dropped when the lock is not held.
    let mut dropped = Vec::new();
    match kept.functions.insert(name, function.clone_ref(py)) {
        None => kept.order.push_back(name),
        Some(same) => dropped.push(same),
    }
    while kept.order.len() > LOADED_MAX {
        let oldest = kept.order.pop_front();
        dropped.extend(oldest.and_then(|oldest| kept.functions.remove(&oldest)));
    }
    drop(kept);
    drop(dropped);
    Ok(function)
}
