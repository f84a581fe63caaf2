//! Products, linear algebra and Fourier transforms.

use graticule_array::{NormOrder, Variables, einsum};
use graticule_ops::FourierNorm;
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    convert,
    error::Failure,
    expression::{Expression, Made, each},
};

type Several = Result<Vec<Expression>, Failure>;

/// A product of two arrays, by NumPy's name.
#[pyfunction]
fn product(name: &str, x: &Expression, y: &Expression) -> Made {
    let (x, y) = (&x.array, &y.array);
    let made = match name {
        "matmul" => x.matmul(y),
        "dot" => x.dot(y),
        "outer" => x.outer(y),
        "vdot" => x.vdot(y),
        "solve" => x.solve(y),
        _ => return Err(unknown(name)),
    };
    Ok(made?.into())
}

#[pyfunction]
fn vecdot(x: &Expression, y: &Expression, axis: i64) -> Made {
    Ok(x.array.vecdot(&y.array, axis)?.into())
}

#[pyfunction]
fn cross(x: &Expression, y: &Expression, axis: i64) -> Made {
    Ok(x.array.cross(&y.array, axis)?.into())
}

#[pyfunction]
fn tensordot(x: &Expression, y: &Expression, axes: Vec<i64>, other_axes: Vec<i64>) -> Made {
    Ok(x.array.tensordot(&y.array, &axes, &other_axes)?.into())
}

#[pyfunction]
#[pyo3(name = "einsum")]
fn summed(subscripts: &str, arrays: Vec<PyRef<'_, Expression>>) -> Made {
    Ok(einsum(subscripts, &convert::arrays(&arrays))?.into())
}

/// What is made of matrices, by the names of `numpy.linalg`.
#[pyfunction]
fn factored(name: &str, x: &Expression) -> Several {
    let x = &x.array;
    Ok(match name {
        "cholesky" => each([x.cholesky(false)?]),
        "cholesky_upper" => each([x.cholesky(true)?]),
        "qr" => pair(x.qr(false)?),
        "qr_complete" => pair(x.qr(true)?),
        "svd" => three(x.svd(true)?),
        "svd_reduced" => three(x.svd(false)?),
        "svdvals" => each([x.svdvals()?]),
        "eigh" => pair(x.eigh()?),
        "eigvalsh" => each([x.eigvalsh()?]),
        "eig" => pair(x.eig()?),
        "eigvals" => each([x.eigvals()?]),
        "slogdet" => pair(x.slogdet()?),
        "det" => each([x.det()?]),
        "inv" => each([x.inv()?]),
        "pinv" => each([x.pinv(None)?]),
        "matrix_rank" => each([x.matrix_rank(None)?]),
        "lu" => three(x.lu()?),
        "tsqr" => pair(x.tsqr()?),
        "sfqr" => pair(x.sfqr()?),
        _ => return Err(unknown(name)),
    })
}

fn pair((first, second): (graticule_array::Array, graticule_array::Array)) -> Vec<Expression> {
    each([first, second])
}

type Three = (
    graticule_array::Array,
    graticule_array::Array,
    graticule_array::Array,
);

fn three((first, second, third): Three) -> Vec<Expression> {
    each([first, second, third])
}

fn unknown(name: &str) -> Failure {
    PyValueError::new_err(format!("there is no operation {name:?}")).into()
}

#[pyfunction]
fn solve_triangular(x: &Expression, b: &Expression, lower: bool) -> Made {
    Ok(x.array.solve_triangular(&b.array, lower)?.into())
}

#[pyfunction]
fn matrix_power(x: &Expression, power: i64) -> Made {
    Ok(x.array.matrix_power(power)?.into())
}

/// Solution, residuals, rank, singular values.
#[pyfunction]
#[pyo3(signature = (x, b, rcond = None))]
fn lstsq(x: &Expression, b: &Expression, rcond: Option<f64>) -> Several {
    let found = x.array.lstsq(&b.array, rcond)?;
    Ok(each([
        found.solution,
        found.residuals,
        found.rank,
        found.singular_values,
    ]))
}

#[pyfunction]
#[pyo3(signature = (x, order, axes, keepdims))]
fn norm(x: &Expression, order: Option<Order>, axes: Option<Vec<i64>>, keepdims: bool) -> Made {
    let order = order.map(Order::parse).transpose()?;
    Ok(x.array.norm(order, convert::axes(axes), keepdims)?.into())
}

/// `"fro"`, `"nuc"` or a number.
#[derive(FromPyObject)]
enum Order {
    Word(String),
    Number(f64),
}

impl Order {
    fn parse(self) -> PyResult<NormOrder> {
        match self {
            Order::Number(number) => Ok(number.into()),
            Order::Word(word) => convert::one_of(
                "order",
                &word,
                &[("fro", NormOrder::Frobenius), ("nuc", NormOrder::Nuclear)],
            ),
        }
    }
}

fn norm_of(name: Option<&str>) -> PyResult<FourierNorm> {
    let known = [
        ("backward", FourierNorm::Backward),
        ("ortho", FourierNorm::Ortho),
        ("forward", FourierNorm::Forward),
    ];
    convert::one_of("norm", name.unwrap_or("backward"), &known)
}

/// A Fourier transform along one axis, by the names of `numpy.fft`.
#[pyfunction]
#[pyo3(signature = (name, x, n, axis, norm))]
fn fourier(name: &str, x: &Expression, n: Option<u64>, axis: i64, norm: Option<&str>) -> Made {
    let (x, norm) = (&x.array, norm_of(norm)?);
    let made = match name {
        "fft" => x.fft(n, axis, norm),
        "ifft" => x.ifft(n, axis, norm),
        "rfft" => x.rfft(n, axis, norm),
        "irfft" => x.irfft(n, axis, norm),
        "hfft" => x.hfft(n, axis, norm),
        "ihfft" => x.ihfft(n, axis, norm),
        _ => return Err(unknown(name)),
    };
    Ok(made?.into())
}

/// A Fourier transform along several axes.
#[pyfunction]
#[pyo3(signature = (name, x, s, axes, norm))]
fn fourier_n(
    name: &str,
    x: &Expression,
    s: Option<Vec<i64>>,
    axes: Option<Vec<i64>>,
    norm: Option<&str>,
) -> Made {
    let (x, norm) = (&x.array, norm_of(norm)?);
    let (s, axes) = (s.as_deref(), convert::axes(axes));
    let made = match name {
        "fftn" => x.fftn(s, axes, norm),
        "ifftn" => x.ifftn(s, axes, norm),
        "rfftn" => x.rfftn(s, axes, norm),
        "irfftn" => x.irfftn(s, axes, norm),
        _ => return Err(unknown(name)),
    };
    Ok(made?.into())
}

#[pyfunction]
fn fftshift(x: &Expression, axes: Option<Vec<i64>>, inverse: bool) -> Made {
    let axes = convert::axes(axes);
    let shifted = match inverse {
        true => x.array.ifftshift(axes),
        false => x.array.fftshift(axes),
    };
    Ok(shifted?.into())
}

type Other<'py> = Option<PyRef<'py, Expression>>;

/// Covariances of the rows or columns of an array.
#[pyfunction]
#[pyo3(signature = (x, other, rowvar, ddof))]
fn cov(x: &Expression, other: Other<'_>, rowvar: bool, ddof: u32) -> Made {
    Ok(x.array
        .cov(other.as_ref().map(|x| &x.array), variables(rowvar), ddof)?
        .into())
}

#[pyfunction]
#[pyo3(signature = (x, other, rowvar))]
fn corrcoef(x: &Expression, other: Other<'_>, rowvar: bool) -> Made {
    Ok(x.array
        .corrcoef(other.as_ref().map(|x| &x.array), variables(rowvar))?
        .into())
}

fn variables(rowvar: bool) -> Variables {
    if rowvar {
        Variables::Rows
    } else {
        Variables::Columns
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(product, module)?)?;
    module.add_function(wrap_pyfunction!(vecdot, module)?)?;
    module.add_function(wrap_pyfunction!(cross, module)?)?;
    module.add_function(wrap_pyfunction!(tensordot, module)?)?;
    module.add_function(wrap_pyfunction!(summed, module)?)?;
    module.add_function(wrap_pyfunction!(factored, module)?)?;
    module.add_function(wrap_pyfunction!(solve_triangular, module)?)?;
    module.add_function(wrap_pyfunction!(matrix_power, module)?)?;
    module.add_function(wrap_pyfunction!(lstsq, module)?)?;
    module.add_function(wrap_pyfunction!(norm, module)?)?;
    module.add_function(wrap_pyfunction!(fourier, module)?)?;
    module.add_function(wrap_pyfunction!(fourier_n, module)?)?;
    module.add_function(wrap_pyfunction!(fftshift, module)?)?;
    module.add_function(wrap_pyfunction!(cov, module)?)?;
    module.add_function(wrap_pyfunction!(corrcoef, module)?)
}
