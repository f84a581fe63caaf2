//! Arguments from Python.

use graticule_array::{Array, Axes, BlockLen, Chunks, Index, Operand, Over};
use graticule_ops::Complex;
use graticule_plan::DType;
use pyo3::{
    Borrowed,
    buffer::PyBuffer,
    exceptions::{PyOverflowError, PyTypeError, PyValueError},
    prelude::*,
    types::{PyBool, PyComplex, PyEllipsis, PyFloat, PyInt, PySlice},
};

use crate::expression::Expression;

/// An array, or a number of Python's, which is weak.
pub(crate) struct Side(pub(crate) Operand);

impl<'py> FromPyObject<'_, 'py> for Side {
    type Error = PyErr;

    fn extract(side: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(expression) = side.cast::<Expression>() {
            return Ok(Self(Operand::Array(expression.get().array.clone())));
        }
        if side.is_instance_of::<PyBool>() {
            return Ok(Self(Operand::Bool(side.extract()?)));
        }
        if side.is_instance_of::<PyInt>() {
            let number: i128 = side
                .extract()
                .map_err(|_| PyOverflowError::new_err("Python integer is out of bounds of every dtype"))?;
            return Ok(Self(Operand::Int(number)));
        }
        if side.is_instance_of::<PyFloat>() {
            return Ok(Self(Operand::Float(side.extract()?)));
        }
        if let Ok(number) = side.cast::<PyComplex>() {
            use pyo3::types::PyComplexMethods;
            let number = Complex::new(number.real(), number.imag());
            return Ok(Self(Operand::Complex(number)));
        }
        let name = side.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "{name} is neither an array nor a number"
        )))
    }
}

/// A dtype by NumPy's name.
pub(crate) struct Named(pub(crate) DType);

impl<'py> FromPyObject<'_, 'py> for Named {
    type Error = PyErr;

    fn extract(name: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let name: String = name.extract()?;
        name.parse().map(Self).map_err(PyTypeError::new_err)
    }
}

/// One part of a basic index.
pub(crate) struct Part(pub(crate) Index);

impl<'py> FromPyObject<'_, 'py> for Part {
    type Error = PyErr;

    fn extract(part: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if part.is_none() {
            return Ok(Self(Index::NewAxis));
        }
        if part.is_instance_of::<PyEllipsis>() {
            return Ok(Self(Index::Ellipsis));
        }
        if part.is_instance_of::<PySlice>() {
            let bound = |name: &str| -> PyResult<Option<i64>> { clamped(&part.getattr(name)?) };
            return Ok(Self(Index::Slice {
                start: bound("start")?,
                stop: bound("stop")?,
                step: bound("step")?.unwrap_or(1),
            }));
        }
        Ok(Self(Index::At(part.extract()?)))
    }
}

/// A bound of a slice; one beyond all integers is as good as the outermost.
fn clamped(bound: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if bound.is_none() {
        return Ok(None);
    }
    let index = bound.call_method0("__index__")?;
    match index.extract::<i64>() {
        Ok(bound) => Ok(Some(bound)),
        Err(_) if index.lt(0)? => Ok(Some(i64::MIN + 1)),
        Err(_) => Ok(Some(i64::MAX)),
    }
}

/// Lengths of the chunks along each axis, as `Array.chunks` gives them.
pub(crate) type Lengths = Vec<Vec<u64>>;

pub(crate) fn chunks(lengths: Lengths) -> Vec<Chunks> {
    lengths.into_iter().map(axis_chunks).collect()
}

fn axis_chunks(lengths: Vec<u64>) -> Chunks {
    match &lengths[..] {
        [] => Chunks::Whole,
        [_] => Chunks::Lengths(lengths),
        [first, .., last] => {
            let size = *first;
            let even = lengths[..lengths.len() - 1].iter().all(|&len| len == size);
            if even && *last <= size && *last > 0 && size > 0 {
                Chunks::Size(size)
            } else {
                Chunks::Lengths(lengths)
            }
        }
    }
}

/// Lengths of the blocks that a function makes: `None` for as many as it is given, a number, or one for each block.
#[derive(FromPyObject)]
pub(crate) enum Length {
    Each(u64),
    Lengths(Vec<u64>),
}

pub(crate) fn block_len(length: Option<Length>) -> BlockLen {
    match length {
        None => BlockLen::Same,
        Some(Length::Each(len)) => BlockLen::Each(len),
        Some(Length::Lengths(lengths)) => BlockLen::Lengths(lengths),
    }
}

pub(crate) fn axes(axes: Option<Vec<i64>>) -> Axes {
    axes.map_or_else(Axes::all, Axes::from)
}

pub(crate) fn over(axes: Option<Vec<i64>>, keepdims: bool, skipna: bool, split_every: Option<u64>) -> Over {
    Over {
        axes,
        keepdims,
        skipna,
        split_every,
    }
}

pub(crate) fn arrays(expressions: &[PyRef<'_, Expression>]) -> Vec<Array> {
    expressions
        .iter()
        .map(|expression| expression.array.clone())
        .collect()
}

/// The numbers of a contiguous buffer.
pub(crate) fn numbers<T: pyo3::buffer::Element>(buffer: &Bound<'_, PyAny>) -> PyResult<Vec<T>> {
    PyBuffer::<T>::get(buffer)?.to_vec(buffer.py())
}

pub(crate) fn one_of<T: Copy>(what: &str, name: &str, known: &[(&str, T)]) -> PyResult<T> {
    let found = known.iter().find(|(own, _)| *own == name);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(own, _)| *own).collect();
        PyValueError::new_err(format!(
            "{what} {name:?} is not known; known are {}",
            names.join(", ")
        ))
    })
}
