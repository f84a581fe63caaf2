//! Reductions, scans, windows, groups and order.

use graticule_array::{Along, Grouping, Rolling, Strategy};
use graticule_ops::ReduceKind;
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    convert::{self, Named, Side},
    error::Failure,
    expression::{Expression, Made},
};

/// A reduction by NumPy's name, with what some of them take beside.
fn kind(name: &str, ddof: u32, qs: Option<Vec<f64>>) -> PyResult<ReduceKind> {
    Ok(match name {
        "sum" => ReduceKind::Sum,
        "prod" => ReduceKind::Prod,
        "mean" => ReduceKind::Mean,
        "var" => ReduceKind::Var { ddof },
        "std" => ReduceKind::Std { ddof },
        "min" => ReduceKind::Min,
        "max" => ReduceKind::Max,
        "count" => ReduceKind::Count,
        "any" => ReduceKind::Any,
        "all" => ReduceKind::All,
        "median" => ReduceKind::Median,
        "quantile" => ReduceKind::Quantile {
            qs: qs.unwrap_or_default(),
        },
        "mode" => ReduceKind::Mode,
        "argmin" => ReduceKind::ArgMin,
        "argmax" => ReduceKind::ArgMax,
        "first" => ReduceKind::First,
        "last" => ReduceKind::Last,
        _ => return Err(PyValueError::new_err(format!("there is no reduction {name:?}"))),
    })
}

#[pyfunction]
#[pyo3(signature = (name, x, axes, keepdims, skipna, ddof = 0, qs = None, split_every = None))]
#[allow(clippy::too_many_arguments)] // Python gives them by name.
fn reduce(
    name: &str,
    x: &Expression,
    axes: Option<Vec<i64>>,
    keepdims: bool,
    skipna: bool,
    ddof: u32,
    qs: Option<Vec<f64>>,
    split_every: Option<u64>,
) -> Made {
    let over = convert::over(axes, keepdims, skipna, split_every);
    Ok(x.array.reduce(kind(name, ddof, qs)?, &over)?.into())
}

#[pyfunction]
fn count_nonzero(x: &Expression, axes: Option<Vec<i64>>, keepdims: bool) -> Made {
    Ok(x.array
        .count_nonzero(&convert::over(axes, keepdims, false, None))?
        .into())
}

#[pyfunction]
#[pyo3(signature = (name, x, axis, dtype, skipna))]
fn scan(name: &str, x: &Expression, axis: Option<i64>, dtype: Option<Named>, skipna: bool) -> Made {
    let along = Along {
        axis,
        dtype: dtype.map(|dtype| dtype.0),
        include_initial: false,
        skipna,
    };
    let made = match name {
        "sum" => x.array.cumulative_sum(&along),
        "prod" => x.array.cumulative_prod(&along),
        "min" => x.array.cumulative_min(axis.unwrap_or(0), skipna),
        "max" => x.array.cumulative_max(axis.unwrap_or(0), skipna),
        _ => return Err(PyValueError::new_err(format!("there is no scan {name:?}")).into()),
    };
    Ok(made?.into())
}

/// Fills gaps from before (`forward`) or behind.
#[pyfunction]
fn fill(x: &Expression, axis: i64, limit: Option<u64>, forward: bool) -> Made {
    let filled = match forward {
        true => x.array.ffill(axis, limit),
        false => x.array.bfill(axis, limit),
    };
    Ok(filled?.into())
}

#[pyfunction]
#[pyo3(signature = (name, x, axis, window, min_periods, centered, ddof = 0))]
fn rolling(
    name: &str,
    x: &Expression,
    axis: i64,
    window: u64,
    min_periods: Option<u64>,
    centered: bool,
    ddof: u32,
) -> Made {
    let mut rolling = Rolling::new(window);
    if let Some(min_periods) = min_periods {
        rolling = rolling.min_periods(min_periods);
    }
    if centered {
        rolling = rolling.centered();
    }
    Ok(x.array.rolling(kind(name, ddof, None)?, axis, &rolling)?.into())
}

/// Reduces groups of elements along axes; `codes` is an int32 buffer with a number for each element over the axes.
#[pyfunction]
#[pyo3(signature = (name, x, axes, codes, group_count, skipna, fill = None, min_count = 0, ddof = 0, qs = None))]
#[allow(clippy::too_many_arguments)] // Python gives them by name.
fn group_reduce(
    name: &str,
    x: &Expression,
    axes: Vec<i64>,
    codes: &Bound<'_, PyAny>,
    group_count: u64,
    skipna: bool,
    fill: Option<Side>,
    min_count: u64,
    ddof: u32,
    qs: Option<Vec<f64>>,
) -> Made {
    let grouping = Grouping {
        axes,
        codes: convert::numbers(codes)?,
        group_count,
        skipna,
        fill: fill.map(|side| side.0),
        min_count,
        strategy: Strategy::Cheapest,
    };
    Ok(x.array.group_reduce(&grouping, kind(name, ddof, qs)?)?.into())
}

#[pyfunction]
fn sort(x: &Expression, axis: i64, descending: bool, positions: bool) -> Made {
    let sorted = match positions {
        true => x.array.argsort(axis, descending),
        false => x.array.sort(axis, descending),
    };
    Ok(sorted?.into())
}

#[pyfunction]
fn topk(x: &Expression, count: i64, axis: i64, positions: bool) -> Made {
    let found = match positions {
        true => x.array.argtopk(count, axis),
        false => x.array.topk(count, axis),
    };
    Ok(found?.into())
}

#[pyfunction]
fn searchsorted(x: &Expression, values: &Expression, right: bool) -> Made {
    Ok(x.array.searchsorted(&values.array, right)?.into())
}

#[pyfunction]
fn isin(x: &Expression, test_elements: &Expression, invert: bool) -> Made {
    Ok(x.array.isin(&test_elements.array, invert)?.into())
}

#[pyfunction]
fn digitize(x: &Expression, edges: Vec<f64>, right: bool) -> Made {
    Ok(x.array.digitize(&edges, right)?.into())
}

type Weights<'py> = Option<PyRef<'py, Expression>>;

#[pyfunction]
#[pyo3(signature = (x, length, weights = None))]
fn bincount(x: &Expression, length: u64, weights: Weights<'_>) -> Made {
    Ok(x.array
        .bincount(length, weights.as_ref().map(|x| &x.array))?
        .into())
}

#[pyfunction]
#[pyo3(signature = (x, edges, weights = None, density = false))]
fn histogram(x: &Expression, edges: Vec<f64>, weights: Weights<'_>, density: bool) -> Made {
    Ok(x.array
        .histogram(&edges, weights.as_ref().map(|x| &x.array), density)?
        .into())
}

#[pyfunction]
fn coarsen(name: &str, x: &Expression, factors: Vec<(i64, u64)>, trim_excess: bool) -> Made {
    Ok(x.array
        .coarsen(kind(name, 0, None)?, &factors, trim_excess)?
        .into())
}

#[pyfunction]
#[pyo3(signature = (x, weights, axes, keepdims))]
fn average(
    x: &Expression,
    weights: Weights<'_>,
    axes: Option<Vec<i64>>,
    keepdims: bool,
) -> Result<Expression, Failure> {
    let over = convert::over(axes, keepdims, false, None);
    Ok(x.array.average(weights.as_ref().map(|x| &x.array), &over)?.into())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(reduce, module)?)?;
    module.add_function(wrap_pyfunction!(count_nonzero, module)?)?;
    module.add_function(wrap_pyfunction!(scan, module)?)?;
    module.add_function(wrap_pyfunction!(fill, module)?)?;
    module.add_function(wrap_pyfunction!(rolling, module)?)?;
    module.add_function(wrap_pyfunction!(group_reduce, module)?)?;
    module.add_function(wrap_pyfunction!(sort, module)?)?;
    module.add_function(wrap_pyfunction!(topk, module)?)?;
    module.add_function(wrap_pyfunction!(searchsorted, module)?)?;
    module.add_function(wrap_pyfunction!(isin, module)?)?;
    module.add_function(wrap_pyfunction!(digitize, module)?)?;
    module.add_function(wrap_pyfunction!(bincount, module)?)?;
    module.add_function(wrap_pyfunction!(histogram, module)?)?;
    module.add_function(wrap_pyfunction!(coarsen, module)?)?;
    module.add_function(wrap_pyfunction!(average, module)?)
}
