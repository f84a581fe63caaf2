//! Objects of Python as values that lie in workers' memory.
//!
//! Most are pickles, with the buffers beside them that pickle's protocol 5 leaves out, so that whoever reads them looks at the
//! elements where they lie. A large NumPy array is the tensor of its elements itself.

use bytes::Bytes;
use graticule_client::Value;
use graticule_kernel::{Tensor, TensorMut};
use graticule_plan::DType;
use pyo3::{
    buffer::PyBuffer,
    ffi,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType},
};

use crate::{buffer::Buffer, children, error::Failure};

/// What the first byte says of the others: a pickle, or a pickle and the buffers that it refers to.
const PLAIN: u8 = 0;
const PARTS: u8 = 1;
/// Buffers begin at multiples of so many bytes.
const ALIGN: usize = 64;
/// Pickles of more bytes are read where they lie.
const COPIED_BYTES_MAX: usize = 64 << 10;

/// What of Python's this module calls again and again.
struct Known {
    dumps: Py<PyAny>,
    loads: Py<PyAny>,
    /// `graticule._pickle.dumps`: a pickle and its buffers.
    dumps_all: Py<PyAny>,
    /// `graticule._pickle.elements`: an array's bytes, dtype and shape, or `None`.
    elements: Py<PyAny>,
    /// `graticule._client.as_numpy`.
    as_numpy: Py<PyAny>,
    array: Py<PyType>,
}

fn known(py: Python<'_>) -> PyResult<&'static Known> {
    static KNOWN: PyOnceLock<Known> = PyOnceLock::new();
    KNOWN.get_or_try_init(py, || {
        let pickle = py.import("pickle")?;
        let own = py.import("graticule._pickle")?;
        Ok(Known {
            dumps: pickle.getattr("dumps")?.unbind(),
            loads: pickle.getattr("loads")?.unbind(),
            dumps_all: own.getattr("dumps")?.unbind(),
            elements: own.getattr("elements")?.unbind(),
            as_numpy: py.import("graticule._client")?.getattr("as_numpy")?.unbind(),
            array: py
                .import("numpy")?
                .getattr("ndarray")?
                .cast_into::<PyType>()?
                .unbind(),
        })
    })
}

/// Where the bytes of large arrays may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// Where they are: the worker is in this process.
    Lent,
    /// In memory of the worker's own, which it can share.
    Own,
}

/// The value of an object.
pub(super) fn encode(object: &Bound<'_, PyAny>, home: Home) -> PyResult<Value> {
    let py = object.py();
    let known = known(py)?;
    let is_plain = object.is_none()
        || object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<PyBool>()
        || object.is_exact_instance_of::<PyString>();
    if is_plain {
        let pickle = known.dumps.bind(py).call1((object, 5))?;
        return Ok(plain(pickle.cast::<PyBytes>()?.as_bytes()));
    }
    if object.get_type().is(known.array.bind(py)) {
        let is_kept = references(object) > 1;
        let elements = known.elements.bind(py).call1((object,))?;
        if !elements.is_none() {
            return array(&elements, is_kept, home);
        }
    }
    pickled(&known.dumps_all.bind(py).call1((object,))?)
}

/// The value of what `graticule._pickle.dumps` gives: a pickle, and its buffers.
pub(super) fn pickled(made: &Bound<'_, PyAny>) -> PyResult<Value> {
    let (pickle, buffers): (Bound<'_, PyBytes>, Bound<'_, PyList>) = made.extract()?;
    if buffers.is_empty() {
        return Ok(plain(pickle.as_bytes()));
    }
    parts(pickle.as_bytes(), &buffers)
}

pub(super) fn plain(pickle: &[u8]) -> Value {
    let mut bytes = Vec::with_capacity(1 + pickle.len());
    bytes.push(PLAIN);
    bytes.extend_from_slice(pickle);
    bytes.into()
}

fn parts(pickle: &[u8], buffers: &Bound<'_, PyList>) -> PyResult<Value> {
    let py = buffers.py();
    let views = buffers.iter().map(|buffer| {
        let raw = buffer.call_method0("raw")?;
        PyBuffer::<u8>::get(&raw)
    });
    let views: Vec<PyBuffer<u8>> = views.collect::<PyResult<_>>()?;
    let mut head = vec![0_u8; 8];
    head[0] = PARTS;
    let lens = [views.len(), pickle.len()]
        .into_iter()
        .chain(views.iter().map(|view| view.len_bytes()));
    lens.for_each(|len| head.extend_from_slice(&(len as u64).to_le_bytes()));
    let mut end = head.len() + pickle.len();
    for view in &views {
        end = end.next_multiple_of(ALIGN) + view.len_bytes();
    }
    let mut made = TensorMut::for_overwrite(DType::UInt8, &[end]).map_err(Failure::from)?;
    let bytes = made.bytes_mut();
    bytes[..head.len()].copy_from_slice(&head);
    let mut at = head.len() + pickle.len();
    bytes[head.len()..at].copy_from_slice(pickle);
    for view in &views {
        let begin = at.next_multiple_of(ALIGN);
        bytes[at..begin].fill(0);
        at = begin + view.len_bytes();
        view.copy_to_slice(py, &mut bytes[begin..at])?;
    }
    Ok(made.freeze().into())
}

/// A buffer of Python's for as long as somebody looks at its bytes.
struct Lent(PyBuffer<u8>);

impl AsRef<[u8]> for Lent {
    #[allow(unsafe_code)]
    fn as_ref(&self) -> &[u8] {
        let len = self.0.len_bytes();
        if len == 0 {
            return &[];
        }
        // SAFETY: the buffer is contiguous, as `array` makes sure, and stays where it is until it is dropped. What a call gives
        // back or a client scatters is not written any more: that is the contract of both.
        unsafe { std::slice::from_raw_parts(self.0.buf_ptr().cast::<u8>().cast_const(), len) }
    }
}

fn array(elements: &Bound<'_, PyAny>, is_kept: bool, home: Home) -> PyResult<Value> {
    let (bytes, dtype, shape): (Bound<'_, PyAny>, String, Vec<usize>) = elements.extract()?;
    let dtype: DType = dtype
        .parse()
        .map_err(|_| Failure::value(format!("{dtype} is no dtype of an array")))?;
    // The array, which the caller has, is the owner of its elements, or a view that has it.
    let is_alone = home == Home::Lent || !is_kept && owner_count(&bytes) == Some(2);
    Ok(elements_of(&bytes, dtype, &shape, home, is_alone)?.into())
}

/// How many refer to the array that has the elements of a view; `None` if something else has them.
pub(crate) fn owner_count(view: &Bound<'_, PyAny>) -> Option<isize> {
    let owner = view.getattr("base").ok()?;
    let is_owner = owner.getattr("base").is_ok_and(|base| base.is_none());
    // But for this one.
    is_owner.then(|| references(&owner) - 1)
}

/// How many refer to an object, the caller included.
fn references(object: &Bound<'_, PyAny>) -> isize {
    #[allow(unsafe_code)]
    // SAFETY: the object is there, and the interpreter attached.
    unsafe {
        ffi::Py_REFCNT(object.as_ptr())
    }
}

/// A tensor of the bytes of an array: where they are, if that is where they may lie and nobody else can change them, or a copy.
pub(crate) fn elements_of(
    bytes: &Bound<'_, PyAny>,
    dtype: DType,
    shape: &[usize],
    home: Home,
    is_alone: bool,
) -> PyResult<Tensor> {
    let view = PyBuffer::<u8>::get(bytes)?;
    let is_handed_over = || is_alone && children::is_handed_over(view.buf_ptr().addr(), view.len_bytes());
    if view.is_c_contiguous() && (home == Home::Lent || is_handed_over()) {
        let lent = Bytes::from_owner(Lent(view));
        return Ok(Tensor::from_bytes(dtype, shape, lent).map_err(Failure::from)?);
    }
    let mut made = TensorMut::for_overwrite(dtype, shape).map_err(Failure::from)?;
    view.copy_to_slice(bytes.py(), made.bytes_mut())?;
    Ok(made.freeze())
}

/// Who looks at a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A call: it is lent the elements, and may not write them.
    Call,
    /// The client: it gets elements of its own.
    Client,
}

/// The object that a value stands for.
pub(super) fn decode(py: Python<'_>, value: &Value, reader: Reader) -> PyResult<Py<PyAny>> {
    let known = known(py)?;
    let Some(bytes) = value.bytes() else {
        let buffer = Bound::new(py, Buffer::lent(value.tensor()))?;
        let lent = known.as_numpy.bind(py).call1((buffer,))?;
        return match reader {
            Reader::Call => Ok(lent.unbind()),
            Reader::Client => Ok(lent.call_method0("copy")?.unbind()),
        };
    };
    let loads = known.loads.bind(py);
    match bytes.split_first() {
        Some((&PLAIN, pickle)) if pickle.len() <= COPIED_BYTES_MAX => {
            Ok(loads.call1((PyBytes::new(py, pickle),))?.unbind())
        }
        Some((&PLAIN, _)) => {
            let view = view(py, value)?;
            Ok(loads.call1((slice(&view, 1, bytes.len())?,))?.unbind())
        }
        Some((&PARTS, _)) => {
            let (pickle, buffers) = split(py, value, bytes, reader)?;
            let keywords = PyDict::new(py);
            keywords.set_item("buffers", buffers)?;
            Ok(loads.call((pickle,), Some(&keywords))?.unbind())
        }
        _ => Err(Failure::value("a value that no function of Python's gave").into()),
    }
}

fn view<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    let buffer = Bound::new(py, Buffer::lent(value.tensor()))?;
    py.get_type::<pyo3::types::PyMemoryView>().call1((buffer,))
}

fn slice<'py>(view: &Bound<'py, PyAny>, from: usize, to: usize) -> PyResult<Bound<'py, PyAny>> {
    view.get_item(pyo3::types::PySlice::new(
        view.py(),
        from as isize,
        to as isize,
        1,
    ))
}

/// The pickle and the buffers of a value of parts.
fn split<'py>(
    py: Python<'py>,
    value: &Value,
    bytes: &[u8],
    reader: Reader,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
    let broken = || Failure::value("the parts of a value are not where its head says");
    let number = |at: usize| {
        let bytes = bytes.get(8 * at..8 * at + 8);
        let bytes: Option<[u8; 8]> = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes
            .and_then(|bytes| usize::try_from(u64::from_le_bytes(bytes)).ok())
            .filter(|&len| len <= isize::MAX as usize / 2)
            .ok_or_else(broken)
    };
    let (count, pickle_len) = (number(1)?, number(2)?);
    let view = view(py, value)?;
    let head = count.saturating_add(3).saturating_mul(8);
    let mut at = head.saturating_add(pickle_len);
    let pickle = slice(&view, head, at)?;
    let mut buffers = Vec::new();
    for index in 0..count {
        let begin = at.next_multiple_of(ALIGN);
        at = begin + number(3 + index)?;
        if at > bytes.len() {
            return Err(broken().into());
        }
        let part = slice(&view, begin, at)?;
        buffers.push(match reader {
            Reader::Call => part,
            Reader::Client => py.get_type::<pyo3::types::PyByteArray>().call1((part,))?,
        });
    }
    Ok((pickle, PyTuple::new(py, buffers)?))
}
