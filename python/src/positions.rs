//! Positions, choices among arrays, and moments.

use graticule_array::{Array, Bounds, Compression, ravel_multi_index, tril_indices, triu_indices};
use pyo3::prelude::*;

use crate::{
    convert::{self, Side},
    error::Failure,
    expression::{Expression, Made, each},
};

type Several = Result<Vec<Expression>, Failure>;
type Arrays<'py> = Vec<PyRef<'py, Expression>>;

fn bounds(mode: &str) -> PyResult<Bounds> {
    let known = [
        ("raise", Bounds::Raise),
        ("wrap", Bounds::Wrap),
        ("clip", Bounds::Clip),
    ];
    convert::one_of("mode", mode, &known)
}

#[pyfunction]
fn unravel_index(positions: &Expression, shape: Vec<u64>) -> Several {
    Ok(each(positions.array.unravel_index(&shape)?))
}

#[pyfunction]
#[pyo3(name = "ravel_multi_index")]
fn ravelled(positions: Arrays<'_>, shape: Vec<u64>, mode: &str) -> Made {
    Ok(ravel_multi_index(&convert::arrays(&positions), &shape, bounds(mode)?)?.into())
}

#[pyfunction]
fn choose(numbers: &Expression, choices: Arrays<'_>, mode: &str) -> Made {
    let choices = convert::arrays(&choices);
    Ok(numbers.array.choose(&choices, bounds(mode)?)?.into())
}

#[pyfunction]
fn piecewise(x: &Expression, conditions: Arrays<'_>, values: Vec<Side>) -> Made {
    let values: Vec<_> = values.into_iter().map(|side| side.0).collect();
    Ok(x.array.piecewise(&convert::arrays(&conditions), &values)?.into())
}

/// Rows and columns of the elements below the diagonal, or above it.
#[pyfunction]
fn triangle(rows: u64, columns: u64, offset: i64, lower: bool) -> Several {
    let whole = graticule_array::Chunks::Auto;
    let found: [Array; 2] = match lower {
        true => tril_indices(rows, columns, offset, whole)?,
        false => triu_indices(rows, columns, offset, whole)?,
    };
    Ok(each(found))
}

#[pyfunction]
fn moment(x: &Expression, order: u32, axes: Option<Vec<i64>>, keepdims: bool, ddof: u32) -> Made {
    let over = convert::over(axes, keepdims, false, None);
    Ok(x.array.moment(order, ddof, &over)?.into())
}

#[pyfunction]
#[pyo3(signature = (x, edges, weights, density))]
fn histogramdd(
    x: &Expression,
    edges: Vec<Vec<f64>>,
    weights: Option<PyRef<'_, Expression>>,
    density: bool,
) -> Made {
    let edges: Vec<&[f64]> = edges.iter().map(Vec::as_slice).collect();
    let weights = weights.as_ref().map(|x| &x.array);
    Ok(x.array.histogramdd(&edges, weights, density)?.into())
}

#[pyfunction]
fn svd_compressed(x: &Expression, rank: u64, power_iterations: u32, oversamples: u64, seed: u64) -> Several {
    let compression = Compression {
        oversamples,
        power_iterations,
        seed,
        ..Compression::of_rank(rank)
    };
    let (u, s, vh) = x.array.svd_compressed(compression)?;
    Ok(each([u, s, vh]))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(unravel_index, module)?)?;
    module.add_function(wrap_pyfunction!(ravelled, module)?)?;
    module.add_function(wrap_pyfunction!(choose, module)?)?;
    module.add_function(wrap_pyfunction!(piecewise, module)?)?;
    module.add_function(wrap_pyfunction!(triangle, module)?)?;
    module.add_function(wrap_pyfunction!(moment, module)?)?;
    module.add_function(wrap_pyfunction!(histogramdd, module)?)?;
    module.add_function(wrap_pyfunction!(svd_compressed, module)?)
}
