//! Functions of Python's on blocks of arrays.
//!
//! An operation carries the function as bytes (cloudpickle); a worker loads them once and keeps what they make by the bytes' digest.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use graticule_array::{
    Array, BlockFunction, BlockReduction, Blockwise, Gufunc, MapBlocks, annotate, apply_gufunc, blockwise,
    map_blocks, map_overlap, reduction,
};
use graticule_client::{BlockCall, Chunk, FunctionError, Registry};
use graticule_kernel::Tensor;
use graticule_plan::{Annotations, DType, Digest};
use pyo3::{prelude::*, sync::PyOnceLock, types::PyList};
use serde::{Deserialize, Serialize};

use crate::{
    buffer::Buffer,
    calls::{
        self,
        value::{Home, elements_of, owner_count},
    },
    convert::{self, Length, Named, block_len},
    error::Failure,
    expression::{Edge, Expression, Made, boundaries, each},
    memory, printed,
    wait::in_task,
};

/// The name under which workers know Python's functions.
const NAME: &str = "graticule.python";
/// Loaded functions that are kept.
const LOADED_MAX: usize = 256;
static LOADED: Mutex<Loaded> = Mutex::new(Loaded {
    functions: BTreeMap::new(),
    order: VecDeque::new(),
});
struct Loaded {
    functions: BTreeMap<Digest, Py<PyAny>>,
    order: VecDeque<Digest>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What workers can call, and where they run it; they may be told to say that they run another version of Python.
pub(crate) fn registry(py: Python<'_>, at: calls::Place, version: Option<&str>) -> Registry {
    let mut registry = Registry::new();
    match &at {
        calls::Place::Embedded => {
            registry.block_function(NAME, call);
            // Addresses mean something in this process alone.
            registry.block_function(memory::NAME, memory::call);
        }
        calls::Place::Here => {
            registry.block_function(NAME, call);
        }
        calls::Place::Children(children) => {
            let children = children.clone();
            registry.block_function(NAME, move |call| children.block(call));
        }
    }
    let name = version.map_or_else(|| calls::function_name(py), calls::function_of);
    calls::register_function(&mut registry, &name, at);
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

fn call(call: &BlockCall<'_>) -> Result<Chunk, FunctionError> {
    let blocks: Vec<&Tensor> = call.blocks().iter().map(|block| block.tensor()).collect();
    attached(
        Digest::of(call.payload()),
        call.payload(),
        &BlockAsk::of(call),
        &blocks,
    )
}

/// In a child process: makes a block; `None` if its function has to be sent first.
pub(crate) fn serve(ask: &BlockAsk, tensors: Vec<Tensor>) -> Option<Result<Vec<Tensor>, FunctionError>> {
    let Some((function, blocks)) = tensors.split_first() else {
        return Some(Err("a block without a function".into()));
    };
    let Some((digest, payload)) = function.bytes().split_first_chunk() else {
        return Some(Err("a block without a function".into()));
    };
    let digest = Digest(*digest);
    if payload.is_empty() && !locked(&LOADED).functions.contains_key(&digest) {
        return None;
    }
    let blocks: Vec<&Tensor> = blocks.iter().collect();
    let made = attached(digest, payload, ask, &blocks);
    Some(made.map(|chunk| chunk.parts().to_vec()))
}

fn attached(
    digest: Digest,
    payload: &[u8],
    ask: &BlockAsk,
    blocks: &[&Tensor],
) -> Result<Chunk, FunctionError> {
    let made = in_task(|| {
        Python::try_attach(|py| {
            printed::of_task(py, || {
                run(py, digest, payload, ask, blocks).map_err(|error| calls::raised::say(py, error))
            })
        })
    });
    made.unwrap_or_else(|| Err("the interpreter is shutting down".into()))
}

/// Along each axis the block's number and its first and last element.
type Extents = Vec<(u64, u64, u64)>;

/// What a block is to be made of, beside the elements.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BlockAsk {
    /// Where each of the blocks lies, and of how many pieces it is made along some axes.
    blocks: Vec<(Extents, Vec<(usize, u64)>)>,
    place: Extents,
    shape: Vec<usize>,
    dtypes: Vec<DType>,
}

impl BlockAsk {
    pub(crate) fn of(call: &BlockCall<'_>) -> Self {
        let blocks = call.blocks().iter();
        Self {
            blocks: blocks
                .map(|block| (place(block.place()), block.piece_counts()))
                .collect(),
            place: place(call.place()),
            shape: call.shape().to_vec(),
            dtypes: call.dtypes().to_vec(),
        }
    }
}

fn run(
    py: Python<'_>,
    digest: Digest,
    payload: &[u8],
    ask: &BlockAsk,
    tensors: &[&Tensor],
) -> PyResult<Chunk> {
    static RUN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let function = loaded(py, digest, payload)?;
    let run = RUN.get_or_try_init(py, || {
        py.import("graticule._blocks")?.getattr("run").map(Bound::unbind)
    })?;
    let blocks = PyList::empty(py);
    for (tensor, (place, pieces)) in tensors.iter().zip(&ask.blocks) {
        blocks.append((Buffer::lent(tensor), place.clone(), pieces.clone()))?;
    }
    let dtypes: Vec<&str> = ask.dtypes.iter().map(|dtype| dtype.name()).collect();
    let made = run
        .bind(py)
        .call1((function, blocks, ask.place.clone(), ask.shape.clone(), dtypes))?;
    let made: Vec<Bound<'_, PyAny>> = made.extract()?;
    let parts = made
        .iter()
        .zip(&ask.dtypes)
        .map(|(part, &dtype)| tensor(part, dtype, &ask.shape));
    Ok(Chunk::new(parts.collect::<PyResult<_>>()?).map_err(Failure::from)?)
}

fn place(place: &graticule_kernel::BlockPlace) -> Extents {
    let axes = place.axes().iter();
    axes.map(|axis| (axis.block, axis.elements.start, axis.elements.end))
        .collect()
}

/// A tensor of the bytes of a contiguous array, which a view has that nobody else knows.
fn tensor(bytes: &Bound<'_, PyAny>, dtype: DType, shape: &[usize]) -> PyResult<Tensor> {
    let is_alone = owner_count(bytes) == Some(1);
    elements_of(bytes, dtype, shape, Home::Own, is_alone)
}

fn loaded(py: Python<'_>, digest: Digest, payload: &[u8]) -> PyResult<Py<PyAny>> {
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
