//! The lazy array, as Python's `graticule.array.Array` holds it.

use graticule_array::{Array, Boundary, Index, Interpolation, Pad, Spacing, concatenate, stack};
use graticule_ops::Scalar;
use pyo3::{prelude::*, types::PyTuple};

use crate::{
    convert::{self, Lengths, Named, Part, Side},
    creation::scalar_of,
    error::Failure,
};

/// A lazy array: an expression that computes nothing by itself.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct Expression {
    pub(crate) array: Array,
}

impl From<Array> for Expression {
    fn from(array: Array) -> Self {
        Self { array }
    }
}

pub(crate) type Made = Result<Expression, Failure>;
type Several = Result<Vec<Expression>, Failure>;

pub(crate) fn each(arrays: impl IntoIterator<Item = Array>) -> Vec<Expression> {
    arrays.into_iter().map(Expression::from).collect()
}

#[pymethods]
impl Expression {
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.array.shape())
    }

    #[getter]
    fn ndim(&self) -> usize {
        self.array.ndim()
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        self.array.dtype().name()
    }

    #[getter]
    fn nbytes(&self) -> u64 {
        self.array.nbytes()
    }

    #[getter]
    fn size(&self) -> u64 {
        self.array.size()
    }

    /// Lengths of the chunks along each axis.
    #[getter]
    fn chunks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let axes = self.array.chunks().axes().iter();
        let lengths = axes.map(|axis| PyTuple::new(py, axis.lengths()));
        PyTuple::new(py, lengths.collect::<PyResult<Vec<_>>>()?)
    }

    /// Number of chunks along each axis.
    #[getter]
    fn numblocks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.array.chunks().block_counts())
    }

    /// The longest chunk along each axis.
    #[getter]
    fn chunksize<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let axes = self.array.chunks().axes().iter();
        PyTuple::new(py, axes.map(|axis| axis.chunk_max()))
    }

    /// What would run, in words.
    fn explain(&self, py: Python<'_>) -> Result<String, Failure> {
        Ok(py.detach(|| self.array.explain())?)
    }

    fn astype(&self, dtype: Named) -> Made {
        Ok(self.array.astype(dtype.0)?.into())
    }

    #[pyo3(signature = (low, high))]
    fn clip(&self, low: Option<Side>, high: Option<Side>) -> Made {
        Ok(self
            .array
            .clip(low.map(|side| side.0), high.map(|side| side.0))?
            .into())
    }

    fn slice(&self, index: Vec<Part>) -> Made {
        Ok(self.array.slice(&parts(index))?.into())
    }

    fn put_slice(&self, index: Vec<Part>, value: Side) -> Made {
        Ok(self.array.put_slice(&parts(index), value.0)?.into())
    }

    fn put_mask(&self, mask: &Expression, value: Side) -> Made {
        Ok(self.array.put_mask(&mask.array, value.0)?.into())
    }

    /// Takes positions, an int64 buffer, along an axis.
    fn take(&self, positions: &Bound<'_, PyAny>, axis: i64) -> Made {
        Ok(self.array.take(&convert::numbers(positions)?, axis)?.into())
    }

    fn shuffle(&self, groups: Vec<Vec<i64>>, axis: i64) -> Made {
        Ok(self.array.shuffle(&groups, axis)?.into())
    }

    fn take_along_axis(&self, positions: &Expression, axis: i64) -> Made {
        Ok(self.array.take_along_axis(&positions.array, axis)?.into())
    }

    fn permute_dims(&self, axes: Vec<i64>) -> Made {
        Ok(self.array.permute_dims(&axes)?.into())
    }

    fn moveaxis(&self, from: Vec<i64>, to: Vec<i64>) -> Made {
        Ok(self.array.moveaxis(from, to)?.into())
    }

    fn expand_dims(&self, axes: Vec<i64>) -> Made {
        Ok(self.array.expand_dims(axes)?.into())
    }

    fn squeeze(&self, axes: Option<Vec<i64>>) -> Made {
        Ok(self.array.squeeze(axes.as_deref())?.into())
    }

    fn broadcast_to(&self, shape: Vec<u64>) -> Made {
        Ok(self.array.broadcast_to(&shape)?.into())
    }

    fn reshape(&self, shape: Vec<i64>) -> Made {
        Ok(self.array.reshape(&shape)?.into())
    }

    fn flip(&self, axes: Option<Vec<i64>>) -> Made {
        Ok(self.array.flip(convert::axes(axes))?.into())
    }

    fn roll(&self, shifts: Vec<i64>, axes: Option<Vec<i64>>) -> Made {
        Ok(self.array.roll(&shifts, axes.as_deref())?.into())
    }

    fn rot90(&self, count: i64, axes: [i64; 2]) -> Made {
        Ok(self.array.rot90(count, axes)?.into())
    }

    fn rechunk(&self, lengths: Lengths) -> Made {
        Ok(self.array.rechunk(&convert::chunks(lengths))?.into())
    }

    fn repeat(&self, counts: Vec<u64>, axis: Option<i64>) -> Made {
        Ok(self.array.repeat(&counts, axis)?.into())
    }

    fn tile(&self, counts: Vec<u64>) -> Made {
        Ok(self.array.tile(&counts)?.into())
    }

    fn delete(&self, positions: Vec<i64>, axis: i64) -> Made {
        Ok(self.array.delete(&positions, axis)?.into())
    }

    fn insert(&self, position: i64, values: &Expression, axis: i64) -> Made {
        Ok(self.array.insert(position, &values.array, axis)?.into())
    }

    fn split(&self, positions: Vec<i64>, axis: i64) -> Several {
        Ok(each(self.array.split(&positions, axis)?))
    }

    fn split_evenly(&self, count: u64, axis: i64) -> Several {
        Ok(each(self.array.split_evenly(count, axis)?))
    }

    fn array_split(&self, count: u64, axis: i64) -> Several {
        Ok(each(self.array.array_split(count, axis)?))
    }

    fn unstack(&self, axis: i64) -> Several {
        Ok(each(self.array.unstack(axis)?))
    }

    fn diagonal(&self, offset: i64, rows: i64, columns: i64) -> Made {
        Ok(self.array.diagonal(offset, rows, columns)?.into())
    }

    fn trace(&self, offset: i64, rows: i64, columns: i64) -> Made {
        Ok(self.array.trace(offset, rows, columns)?.into())
    }

    fn diag(&self, offset: i64) -> Made {
        Ok(self.array.diag(offset)?.into())
    }

    fn triu(&self, offset: i64) -> Made {
        Ok(self.array.triu(offset)?.into())
    }

    fn tril(&self, offset: i64) -> Made {
        Ok(self.array.tril(offset)?.into())
    }

    #[pyo3(signature = (widths, mode, values = None, ends = None, stat_length = None, odd = false))]
    fn pad(
        &self,
        widths: Vec<(u64, u64)>,
        mode: &str,
        values: Option<Vec<(Side, Side)>>,
        ends: Option<Vec<(f64, f64)>>,
        stat_length: Option<u64>,
        odd: bool,
    ) -> Made {
        let mode = match mode {
            "constant" => {
                let pairs = values.unwrap_or_default().into_iter();
                let number = |side: Side| scalar_of(side, self.array.dtype());
                let pairs = pairs.map(|(a, b)| Ok::<_, Failure>((number(a)?, number(b)?)));
                Pad::Constant(pairs.collect::<Result<_, _>>()?)
            }
            "edge" => Pad::Edge,
            "linear_ramp" => Pad::LinearRamp(ends.unwrap_or_else(|| vec![(0.0, 0.0)])),
            "maximum" => Pad::Maximum(stat_length),
            "mean" => Pad::Mean(stat_length),
            "median" => Pad::Median(stat_length),
            "minimum" => Pad::Minimum(stat_length),
            "reflect" => Pad::Reflect(odd),
            "symmetric" => Pad::Symmetric(odd),
            "wrap" => Pad::Wrap,
            "empty" => Pad::Empty,
            other => return Err(Failure::value(format!("mode {other:?} is not supported"))),
        };
        Ok(self.array.pad(&widths, &mode)?.into())
    }

    fn sliding_window_view(&self, windows: Vec<u64>, axes: Vec<i64>) -> Made {
        Ok(self.array.sliding_window_view(&windows, axes)?.into())
    }

    #[pyo3(signature = (depth, boundary))]
    fn overlap(&self, depth: Vec<(u64, u64)>, boundary: Vec<Edge>) -> Made {
        let boundary = boundaries(boundary, self.array.dtype())?;
        Ok(self.array.overlap(&depth, &boundary)?.into())
    }

    #[pyo3(signature = (depth, boundary))]
    fn trim_overlap(&self, depth: Vec<(u64, u64)>, boundary: Vec<Edge>) -> Made {
        let boundary = boundaries(boundary, self.array.dtype())?;
        Ok(self.array.trim_overlap(&depth, &boundary)?.into())
    }

    fn interp(
        &self,
        x: &Bound<'_, PyAny>,
        at: &Bound<'_, PyAny>,
        axis: i64,
        method: &str,
        outside: Option<f64>,
    ) -> Made {
        let known = [
            ("linear", Interpolation::Linear),
            ("nearest", Interpolation::Nearest),
        ];
        let method = convert::one_of("method", method, &known)?;
        let (x, at) = (convert::numbers::<f64>(x)?, convert::numbers::<f64>(at)?);
        Ok(self.array.interp(&x, &at, axis, method, outside)?.into())
    }

    #[pyo3(signature = (order, axis, before = None, after = None))]
    fn diff(
        &self,
        order: i64,
        axis: i64,
        before: Option<PyRef<'_, Expression>>,
        after: Option<PyRef<'_, Expression>>,
    ) -> Made {
        let (before, after) = (before.as_ref(), after.as_ref());
        let (before, after) = (before.map(|x| &x.array), after.map(|x| &x.array));
        Ok(self.array.diff(order, axis, before, after)?.into())
    }

    fn gradient(&self, spacing: Vec<Distance>, axes: Option<Vec<i64>>, edge_order: u32) -> Several {
        let spacing: Vec<Spacing> = spacing.into_iter().map(Distance::into).collect();
        Ok(each(self.array.gradient(
            &spacing,
            convert::axes(axes),
            edge_order,
        )?))
    }

    #[pyo3(signature = (x, degree, axis, weights = None, skipna = false))]
    fn polyfit(
        &self,
        x: Vec<f64>,
        degree: usize,
        axis: i64,
        weights: Option<Vec<f64>>,
        skipna: bool,
    ) -> Made {
        Ok(self
            .array
            .polyfit(&x, degree, axis, weights.as_deref(), skipna)?
            .into())
    }

    fn polyval(&self, coefficients: &Expression) -> Made {
        Ok(self.array.polyval(&coefficients.array)?.into())
    }

    fn __repr__(&self) -> String {
        let (shape, dtype) = (self.array.shape(), self.array.dtype());
        format!("<Expression {dtype} {shape:?}>")
    }
}

fn parts(index: Vec<Part>) -> Vec<Index> {
    index.into_iter().map(|part| part.0).collect()
}

/// What lies beyond the ends of an axis: a word, a number, or nothing.
#[derive(FromPyObject)]
pub(crate) enum Edge {
    Word(String),
    Number(Side),
}

pub(crate) fn boundaries(edges: Vec<Edge>, dtype: graticule_plan::DType) -> Result<Vec<Boundary>, Failure> {
    let known = [
        ("none", Boundary::None),
        ("periodic", Boundary::Periodic),
        ("reflect", Boundary::Reflect),
        ("nearest", Boundary::Nearest),
    ];
    let boundary = |edge: Edge| match edge {
        Edge::Word(word) => Ok(convert::one_of("boundary", &word, &known)?),
        Edge::Number(side) => Ok(Boundary::Constant(scalar_of(side, dtype)?)),
    };
    edges.into_iter().map(boundary).collect()
}

/// How far elements lie from each other.
#[derive(FromPyObject)]
enum Distance {
    Step(f64),
    At(Vec<f64>),
}

impl From<Distance> for Spacing {
    fn from(distance: Distance) -> Self {
        match distance {
            Distance::Step(step) => Spacing::Step(step),
            Distance::At(at) => Spacing::At(at),
        }
    }
}

/// Joins arrays along an axis that they have.
#[pyfunction]
pub(crate) fn concatenated(arrays: Vec<PyRef<'_, Expression>>, axis: i64) -> Made {
    Ok(concatenate(&convert::arrays(&arrays), axis)?.into())
}

/// Joins arrays along a new axis.
#[pyfunction]
pub(crate) fn stacked(arrays: Vec<PyRef<'_, Expression>>, axis: i64) -> Made {
    Ok(stack(&convert::arrays(&arrays), axis)?.into())
}

/// One number, typed.
pub(crate) fn constant(value: Scalar) -> Expression {
    Array::scalar(value).into()
}
