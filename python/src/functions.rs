//! Functions of Python's on blocks of arrays.
//!
//! An operation carries the function as bytes (cloudpickle); a worker loads them once and keeps what they make by the bytes' digest.
//! Exceptions stay here, with their tracebacks, until the job that failed of them tells its client.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use graticule_array::{
    Array, BlockFunction, BlockReduction, Blockwise, Gufunc, MapBlocks, annotate, apply_gufunc, blockwise,
    map_blocks, map_overlap, reduction,
};
use graticule_client::{BlockCall, Chunk, FunctionError, Registry};
use graticule_kernel::{Tensor, TensorMut};
use graticule_plan::{Annotations, DType, Digest};
use pyo3::{buffer::PyBuffer, prelude::*, sync::PyOnceLock, types::PyList};

use crate::{
    buffer::Buffer,
    calls,
    convert::{self, Length, Named, block_len},
    error::Failure,
    expression::{Edge, Expression, Made, boundaries, each},
    memory,
    wait::in_task,
};

/// The name under which workers know Python's functions.
const NAME: &str = "graticule.python";
/// Loaded functions that are kept.
const LOADED_MAX: usize = 256;
/// Exceptions that wait for their client.
const RAISED_MAX: usize = 64;
/// What stands before and after an exception's number in the message of its task.
const MARKS: (&str, &str) = ("[exception ", "]");

static LOADED: Mutex<Loaded> = Mutex::new(Loaded {
    functions: BTreeMap::new(),
    order: VecDeque::new(),
});
static RAISED: Mutex<Raised> = Mutex::new(Raised {
    next: 0,
    errors: BTreeMap::new(),
});

struct Loaded {
    functions: BTreeMap<Digest, Py<PyAny>>,
    order: VecDeque<Digest>,
}

struct Raised {
    next: u64,
    errors: BTreeMap<u64, PyErr>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What workers can call: those of this process, or this process as a worker, which may be told to say that it runs another
/// version of Python.
pub(crate) fn registry(py: Python<'_>, is_embedded: bool, version: Option<&str>) -> Registry {
    let mut registry = Registry::new();
    registry.block_function(NAME, call);
    if is_embedded {
        // Addresses mean something in this process alone.
        registry.block_function(memory::NAME, memory::call);
    }
    let name = version.map_or_else(|| calls::function_name(py), calls::function_of);
    calls::register_function(&mut registry, &name, is_embedded);
    registry
}

/// Whether this is the name of Python's functions.
pub(crate) fn is_own(name: &str) -> bool {
    name == NAME
}

/// Whether a job failed because no worker is Python.
pub(crate) fn is_unknown(message: &str) -> bool {
    message.contains(&format!("no worker knows the function {NAME:?}"))
}

/// The exception whose number stands in a task's message.
pub(crate) fn raised(message: &str) -> Option<PyErr> {
    let (_, behind) = message.rsplit_once(MARKS.0)?;
    let (number, _) = behind.split_once(MARKS.1)?;
    let error = locked(&RAISED).errors.remove(&number.parse().ok()?)?;
    Python::attach(|py| {
        let note = message
            .rsplit_once(MARKS.0)
            .map_or(message, |(before, _)| before)
            .trim_end();
        let value = error.value(py);
        // Without its note the exception is still the right one.
        let _ = value.call_method1("add_note", (note,));
    });
    Some(error)
}

fn call(call: &BlockCall<'_>) -> Result<Chunk, FunctionError> {
    let made = in_task(|| Python::try_attach(|py| run(py, call).map_err(|error| keep(py, error))));
    made.unwrap_or_else(|| Err("the interpreter is shutting down".into()))
}

/// Keeps an exception for its client, and gives what the task says of it.
fn keep(py: Python<'_>, error: PyErr) -> FunctionError {
    let text = error.to_string();
    let mut raised = locked(&RAISED);
    let number = raised.next;
    raised.next += 1;
    raised.errors.insert(number, error.clone_ref(py));
    if raised.errors.len() > RAISED_MAX {
        raised.errors.pop_first();
    }
    format!("{text} {}{number}{}", MARKS.0, MARKS.1).into()
}

fn run(py: Python<'_>, call: &BlockCall<'_>) -> PyResult<Chunk> {
    static RUN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let function = loaded(py, call.payload())?;
    let run = RUN.get_or_try_init(py, || {
        py.import("graticule._blocks")?.getattr("run").map(Bound::unbind)
    })?;
    let blocks = PyList::empty(py);
    for block in call.blocks() {
        let place: Vec<(u64, u64, u64)> = place(block.place());
        blocks.append((Buffer::lent(block.tensor()), place, block.piece_counts()))?;
    }
    let dtypes: Vec<&str> = call.dtypes().iter().map(|dtype| dtype.name()).collect();
    let made = run.bind(py).call1((
        function,
        blocks,
        place(call.place()),
        call.shape().to_vec(),
        dtypes,
    ))?;
    let made: Vec<Bound<'_, PyAny>> = made.extract()?;
    let parts = made
        .iter()
        .zip(call.dtypes())
        .map(|(part, &dtype)| tensor(py, part, dtype, call.shape()));
    Ok(Chunk::new(parts.collect::<PyResult<_>>()?).map_err(Failure::from)?)
}

/// Along each axis the block's number and its first and last element.
fn place(place: &graticule_kernel::BlockPlace) -> Vec<(u64, u64, u64)> {
    let axes = place.axes().iter();
    axes.map(|axis| (axis.block, axis.elements.start, axis.elements.end))
        .collect()
}

/// A tensor of the bytes of a contiguous array.
fn tensor(py: Python<'_>, bytes: &Bound<'_, PyAny>, dtype: DType, shape: &[usize]) -> PyResult<Tensor> {
    let bytes = PyBuffer::<u8>::get(bytes)?;
    let mut made = TensorMut::for_overwrite(dtype, shape).map_err(Failure::from)?;
    bytes.copy_to_slice(py, made.bytes_mut())?;
    Ok(made.freeze())
}

fn loaded(py: Python<'_>, payload: &[u8]) -> PyResult<Py<PyAny>> {
    let digest = Digest::of(payload);
    if let Some(function) = locked(&LOADED).functions.get(&digest) {
        return Ok(function.clone_ref(py));
    }
    // Two threads may load it at once; loading is the user's code, so no lock is held.
    let function = py
        .import("graticule._blocks")?
        .getattr("load")?
        .call1((payload,))?
        .unbind();
    let mut kept = locked(&LOADED);
    let mut dropped = Vec::new();
    if kept.functions.insert(digest, function.clone_ref(py)).is_none() {
        kept.order.push_back(digest);
    }
    while kept.order.len() > LOADED_MAX {
        let oldest = kept.order.pop_front();
        dropped.extend(oldest.and_then(|oldest| kept.functions.remove(&oldest)));
    }
    drop(kept);
    drop(dropped);
    Ok(function)
}

/// A Python function, pickled, for operations on blocks.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct Function {
    function: BlockFunction,
}

#[pymethods]
impl Function {
    /// Takes what `cloudpickle` made of it.
    #[new]
    fn new(payload: Vec<u8>) -> Self {
        Self {
            function: BlockFunction::new(NAME).payload(payload),
        }
    }
}

/// An exception of the user's is not tried again: it would be raised again, later.
fn once<T>(make: impl FnOnce() -> T) -> T {
    annotate(&Annotations::new().retries(0), make)
}

type Arrays<'py> = Vec<PyRef<'py, Expression>>;

fn refs(arrays: &[Array]) -> Vec<&Array> {
    arrays.iter().collect()
}

fn map_options(
    dtype: Named,
    drop_axis: Vec<i64>,
    new_axis: Vec<i64>,
    chunks: Option<Vec<Option<Length>>>,
) -> MapBlocks {
    let options = MapBlocks::new(dtype.0).drop_axis(drop_axis).new_axis(new_axis);
    match chunks {
        None => options,
        Some(chunks) => options.chunks(chunks.into_iter().map(block_len).collect::<Vec<_>>()),
    }
}

#[pyfunction]
#[pyo3(signature = (function, arrays, dtype, drop_axis, new_axis, chunks = None))]
fn mapped(
    function: &Function,
    arrays: Arrays<'_>,
    dtype: Named,
    drop_axis: Vec<i64>,
    new_axis: Vec<i64>,
    chunks: Option<Vec<Option<Length>>>,
) -> Made {
    let (arrays, options) = (
        convert::arrays(&arrays),
        map_options(dtype, drop_axis, new_axis, chunks),
    );
    Ok(once(|| map_blocks(&function.function, &refs(&arrays), &options))?.into())
}

#[pyfunction]
#[pyo3(signature = (function, arrays, depth, boundary, trim, dtype, drop_axis, new_axis, chunks = None))]
#[allow(clippy::too_many_arguments)] // Python gives them by name.
fn map_overlapped(
    function: &Function,
    arrays: Arrays<'_>,
    depth: Vec<(u64, u64)>,
    boundary: Vec<Edge>,
    trim: bool,
    dtype: Named,
    drop_axis: Vec<i64>,
    new_axis: Vec<i64>,
    chunks: Option<Vec<Option<Length>>>,
) -> Made {
    let arrays = convert::arrays(&arrays);
    let of = arrays.first().map_or(DType::Float64, Array::dtype);
    let boundary = boundaries(boundary, of)?;
    let options = map_options(dtype, drop_axis, new_axis, chunks);
    let make = || {
        map_overlap(
            &function.function,
            &refs(&arrays),
            &depth,
            &boundary,
            trim,
            &options,
        )
    };
    Ok(once(make)?.into())
}

type Labelled = Vec<(char, Option<Length>)>;

#[pyfunction]
#[pyo3(signature = (function, result, arrays, dtype, new_axes, adjust, pieces))]
fn blockwise_of(
    function: &Function,
    result: &str,
    arrays: Vec<(PyRef<'_, Expression>, String)>,
    dtype: Named,
    new_axes: Labelled,
    adjust: Labelled,
    pieces: bool,
) -> Made {
    let mut options = Blockwise::new(dtype.0);
    for (label, len) in new_axes {
        options = options.new_axis(label, block_len(len));
    }
    for (label, len) in adjust {
        options = options.adjust(label, block_len(len));
    }
    if pieces {
        options = options.pieces();
    }
    let arrays: Vec<(&Array, &str)> = arrays
        .iter()
        .map(|(array, labels)| (&array.array, &labels[..]))
        .collect();
    Ok(once(|| blockwise(&function.function, result, &arrays, &options))?.into())
}

#[pyfunction]
#[pyo3(signature = (function, signature, arrays, dtypes, axes, axis, keepdims, sizes, vectorize, allow_rechunk))]
#[allow(clippy::too_many_arguments)] // Python gives them by name.
fn gufunc(
    function: &Function,
    signature: &str,
    arrays: Arrays<'_>,
    dtypes: Vec<Named>,
    axes: Option<Vec<Vec<i64>>>,
    axis: Option<i64>,
    keepdims: bool,
    sizes: Vec<(String, u64)>,
    vectorize: bool,
    allow_rechunk: bool,
) -> Result<Vec<Expression>, Failure> {
    let mut options = Gufunc::new(dtypes.into_iter().map(|dtype| dtype.0).collect::<Vec<_>>());
    if let Some(axes) = axes {
        options = options.axes(axes);
    }
    if let Some(axis) = axis {
        options = options.axis(axis);
    }
    if keepdims {
        options = options.keepdims();
    }
    for (name, len) in &sizes {
        options = options.size(name, *len);
    }
    if vectorize {
        options = options.vectorize();
    }
    if allow_rechunk {
        options = options.allow_rechunk();
    }
    let arrays = convert::arrays(&arrays);
    Ok(each(once(|| {
        apply_gufunc(&function.function, signature, &refs(&arrays), &options)
    })?))
}

#[pyfunction]
#[pyo3(signature = (array, chunk, combine, aggregate, partials, dtype, axes, keepdims, split_every))]
#[allow(clippy::too_many_arguments)] // Python gives them by name.
fn reduction_of(
    array: &Expression,
    chunk: &Function,
    combine: Option<PyRef<'_, Function>>,
    aggregate: &Function,
    partials: Option<Vec<Named>>,
    dtype: Named,
    axes: Option<Vec<i64>>,
    keepdims: bool,
    split_every: Option<u64>,
) -> Made {
    let mut functions = BlockReduction::new(chunk.function.clone(), aggregate.function.clone(), dtype.0);
    if let Some(combine) = combine {
        functions = functions.combine(combine.function.clone());
    }
    if let Some(partials) = partials {
        functions = functions.partials(partials.into_iter().map(|dtype| dtype.0).collect::<Vec<_>>());
    }
    let over = convert::over(axes, keepdims, false, split_every);
    Ok(once(|| reduction(&array.array, &functions, &over))?.into())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(mapped, module)?)?;
    module.add_function(wrap_pyfunction!(map_overlapped, module)?)?;
    module.add_function(wrap_pyfunction!(blockwise_of, module)?)?;
    module.add_function(wrap_pyfunction!(gufunc, module)?)?;
    module.add_function(wrap_pyfunction!(reduction_of, module)?)
}
