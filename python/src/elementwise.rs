//! Operations on elements, by NumPy's names.

use graticule_array::{
    Array, ArrayError, allclose, binary, broadcast_arrays, broadcast_shapes, isclose, result_type, select,
    where_,
};
use graticule_ops::{BinaryOp, UnaryOp};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    convert::{self, Side},
    error::Failure,
    expression::{Expression, Made, each},
};

macro_rules! by_name {
    ($kind:ident, $name:expr, $($word:literal => $variant:ident),* $(,)?) => {
        match $name {
            $($word => Some($kind::$variant),)*
            _ => None,
        }
    };
}

fn unary_op(name: &str) -> Option<UnaryOp> {
    by_name!(
        UnaryOp, name, "negative" => Negative, "positive" => Positive, "absolute" => Absolute, "sign" => Sign,
        "square" => Square, "reciprocal" => Reciprocal, "logical_not" => LogicalNot, "invert" => Invert,
        "isnan" => IsNan, "isfinite" => IsFinite, "isinf" => IsInf, "sqrt" => Sqrt, "cbrt" => Cbrt, "exp" => Exp,
        "exp2" => Exp2, "expm1" => Expm1, "log" => Log, "log2" => Log2, "log10" => Log10, "log1p" => Log1p,
        "sin" => Sin, "cos" => Cos, "tan" => Tan, "arcsin" => Arcsin, "arccos" => Arccos, "arctan" => Arctan,
        "sinh" => Sinh, "cosh" => Cosh, "tanh" => Tanh, "arcsinh" => Arcsinh, "arccosh" => Arccosh,
        "arctanh" => Arctanh, "floor" => Floor, "ceil" => Ceil, "trunc" => Trunc, "rint" => Rint,
        "deg2rad" => Deg2rad, "rad2deg" => Rad2deg, "conjugate" => Conjugate, "real" => Real, "imag" => Imag,
        "spacing" => Spacing, "i0" => I0,
    )
}

fn binary_op(name: &str) -> Option<BinaryOp> {
    by_name!(
        BinaryOp, name, "add" => Add, "subtract" => Subtract, "multiply" => Multiply, "divide" => Divide,
        "floor_divide" => FloorDivide, "remainder" => Remainder, "fmod" => Fmod, "power" => Power,
        "minimum" => Minimum, "maximum" => Maximum, "fmin" => Fmin, "fmax" => Fmax, "arctan2" => Arctan2,
        "hypot" => Hypot, "copysign" => Copysign, "nextafter" => Nextafter, "logical_and" => LogicalAnd,
        "logical_or" => LogicalOr, "logical_xor" => LogicalXor, "bitwise_and" => BitwiseAnd,
        "bitwise_or" => BitwiseOr, "bitwise_xor" => BitwiseXor, "left_shift" => LeftShift,
        "right_shift" => RightShift, "equal" => Equal, "not_equal" => NotEqual, "less" => Less,
        "less_equal" => LessEqual, "greater" => Greater, "greater_equal" => GreaterEqual,
    )
}

/// What is made of an array alone, by NumPy's name.
#[pyfunction]
fn unary(name: &str, x: &Expression) -> Made {
    let x = &x.array;
    if let Some(op) = unary_op(name) {
        return Ok(x.unary(op)?.into());
    }
    let made = match name {
        "isposinf" => x.isposinf(),
        "isneginf" => x.isneginf(),
        "signbit" => x.signbit(),
        "fabs" => x.fabs(),
        "sinc" => x.sinc(),
        "fix" => x.fix(),
        "notnull" => x.notnull(),
        "isnat" => x.isnat(),
        "iscomplex" => x.iscomplex(),
        "isreal" => x.isreal(),
        "weekday" => x.weekday(),
        "year" => x.year(),
        "quarter" => x.quarter(),
        "month" => x.month(),
        "day" => x.day(),
        "dayofyear" => x.dayofyear(),
        "hour" => x.hour(),
        "minute" => x.minute(),
        "second" => x.second(),
        "microsecond" => x.microsecond(),
        "nanosecond" => x.nanosecond(),
        "days_in_month" => x.days_in_month(),
        "is_leap_year" => x.is_leap_year(),
        "atleast_1d" => x.atleast_1d(),
        "atleast_2d" => x.atleast_2d(),
        "atleast_3d" => x.atleast_3d(),
        "matrix_transpose" => x.matrix_transpose(),
        "ravel" => x.ravel(),
        _ => return Err(unknown(name)),
    };
    Ok(made?.into())
}

/// What is made of pairs of elements, by NumPy's name.
#[pyfunction]
#[pyo3(name = "binary")]
fn pairs(name: &str, x: Side, y: Side) -> Made {
    if let Some(op) = binary_op(name) {
        return Ok(binary(op, x.0, y.0)?.into());
    }
    let x: Array = match x.0 {
        graticule_array::Operand::Array(array) => array,
        _ => {
            return Err(Failure::value(format!(
                "the first operand of {name} must be an array"
            )));
        }
    };
    let y = y.0;
    let made: Result<Array, ArrayError> = match name {
        "logaddexp" => x.logaddexp(y),
        "logaddexp2" => x.logaddexp2(y),
        "float_power" => x.float_power(y),
        "ldexp" => x.ldexp(y),
        _ => return Err(unknown(name)),
    };
    Ok(made?.into())
}

fn unknown(name: &str) -> Failure {
    PyValueError::new_err(format!("there is no operation {name:?}")).into()
}

/// Two results of one operation: `frexp`, `modf`.
#[pyfunction]
fn halves(name: &str, x: &Expression) -> Result<(Expression, Expression), Failure> {
    let (first, second) = match name {
        "frexp" => x.array.frexp()?,
        "modf" => x.array.modf()?,
        _ => return Err(unknown(name)),
    };
    Ok((first.into(), second.into()))
}

#[pyfunction]
fn choose_where(condition: Side, x: Side, y: Side) -> Made {
    Ok(where_(condition.0, x.0, y.0)?.into())
}

#[pyfunction]
fn angle(x: &Expression, in_degrees: bool) -> Made {
    Ok(x.array.angle(in_degrees)?.into())
}

#[pyfunction]
fn round(x: &Expression, decimals: i32) -> Made {
    Ok(x.array.round(decimals)?.into())
}

#[pyfunction]
fn nan_to_num(x: &Expression, nan: f64, positive: Option<f64>, negative: Option<f64>) -> Made {
    Ok(x.array.nan_to_num(nan, positive, negative)?.into())
}

#[pyfunction]
fn is_close(x: &Expression, y: &Expression, relative: f64, absolute: f64, equal_nan: bool) -> Made {
    Ok(isclose(&x.array, &y.array, relative, absolute, equal_nan)?.into())
}

#[pyfunction]
fn all_close(x: &Expression, y: &Expression, relative: f64, absolute: f64, equal_nan: bool) -> Made {
    Ok(allclose(&x.array, &y.array, relative, absolute, equal_nan)?.into())
}

#[pyfunction]
fn selected(
    conditions: Vec<PyRef<'_, Expression>>,
    choices: Vec<PyRef<'_, Expression>>,
    default: Side,
) -> Made {
    let (conditions, choices) = (convert::arrays(&conditions), convert::arrays(&choices));
    Ok(select(&conditions, &choices, default.0)?.into())
}

#[pyfunction]
fn broadcast(arrays: Vec<PyRef<'_, Expression>>) -> Result<Vec<Expression>, Failure> {
    Ok(each(broadcast_arrays(&convert::arrays(&arrays))?))
}

#[pyfunction]
fn common_shape(shapes: Vec<Vec<u64>>) -> Result<Vec<u64>, Failure> {
    Ok(broadcast_shapes(&shapes)?)
}

#[pyfunction]
fn common_dtype(arrays: Vec<PyRef<'_, Expression>>) -> Result<&'static str, Failure> {
    Ok(result_type(&convert::arrays(&arrays))?.name())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(unary, module)?)?;
    module.add_function(wrap_pyfunction!(pairs, module)?)?;
    module.add_function(wrap_pyfunction!(halves, module)?)?;
    module.add_function(wrap_pyfunction!(choose_where, module)?)?;
    module.add_function(wrap_pyfunction!(angle, module)?)?;
    module.add_function(wrap_pyfunction!(round, module)?)?;
    module.add_function(wrap_pyfunction!(nan_to_num, module)?)?;
    module.add_function(wrap_pyfunction!(is_close, module)?)?;
    module.add_function(wrap_pyfunction!(all_close, module)?)?;
    module.add_function(wrap_pyfunction!(selected, module)?)?;
    module.add_function(wrap_pyfunction!(broadcast, module)?)?;
    module.add_function(wrap_pyfunction!(common_shape, module)?)?;
    module.add_function(wrap_pyfunction!(common_dtype, module)?)?;
    module.add_function(wrap_pyfunction!(crate::expression::concatenated, module)?)?;
    module.add_function(wrap_pyfunction!(crate::expression::stacked, module)?)
}
