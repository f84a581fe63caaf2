//! Operations on each element, with broadcasting and NumPy 2's promotion.

use graticule_ops::{BinaryOp, Complex, Scalar, UnaryOp, promote};
use graticule_plan::{DType, Kind};

use crate::{
    Array, ArrayError, Operand,
    creation::small,
    expression::Op,
    infer::{broadcast_shape, unify},
    operand::common_dtype,
    times::{nat, times_binary},
};

/// Applies `op` to pairs of elements of two operands, of which either may be a number.
///
/// [`Array`] has a method for each operation, with the array on the left.
///
/// # Errors
/// [`ArrayError::Broadcast`] if the shapes do not fit, [`ArrayError::Ops`] if the operation has no meaning for the
/// dtypes or a weak integer is out of bounds for the array's, [`ArrayError::NegativePower`].
pub fn binary(op: BinaryOp, x: impl Into<Operand>, y: impl Into<Operand>) -> Result<Array, ArrayError> {
    let (x, y) = (x.into(), y.into());
    if let Some(result) = times_binary(op, &x, &y) {
        return result;
    }
    let common = common_dtype([&x, &y])?;
    if let Some(result) = compare_far(op, &x, &y, common)? {
        return Ok(result);
    }
    if let Some(result) = compare_mixed(op, &x, &y)? {
        return Ok(result);
    }
    let (operand, result) = op.dtypes(float_common(op, &x, &y).unwrap_or(common))?;
    if op == BinaryOp::Power && !operand.is_inexact() && y.weak_int().is_some_and(|power| power < 0) {
        return Err(ArrayError::NegativePower);
    }
    let (x, y) = (x.into_array(operand)?.astype(operand)?, y.into_array(operand)?);
    // Of float16 NumPy takes every power as one.
    let has_plain = operand.is_inexact() && operand != DType::Float16;
    if let (BinaryOp::Power, true, Op::Constant(power)) = (op, has_plain, &y.0.op)
        && power.as_complex().im == 0.0
        && let Some(plain) = plain_power(&x, power.as_f64())
    {
        return plain;
    }
    let (operands, grid) = unify(vec![x, y.astype(operand)?])?;
    Ok(Array::new(Op::Binary(op), operands, result, grid))
}

/// A float or complex array to the power of one number, where NumPy takes a plainer operation (`fast_scalar_power`). The root is
/// no mere short cut: it gives NaN for -inf and keeps -0.0, of which the power 0.5 is inf and 0.0.
fn plain_power(x: &Array, power: f64) -> Option<Result<Array, ArrayError>> {
    Some(match power {
        -1.0 => x.reciprocal(),
        0.0 => Ok(Array::full_grid(x.chunks(), small(1, x.dtype()))),
        0.5 => x.sqrt(),
        1.0 => Ok(x.clone()),
        2.0 => x.square(),
        _ => return None,
    })
}

/// The dtype in which an operation of two operands is done that needs floats: NumPy looks at each operand for itself, so
/// uint16 with int8 is float32, though their common integer would need float64.
fn float_common(op: BinaryOp, x: &Operand, y: &Operand) -> Option<DType> {
    if !matches!(
        op,
        BinaryOp::Arctan2 | BinaryOp::Hypot | BinaryOp::Copysign | BinaryOp::Nextafter
    ) {
        return None;
    }
    let float = |side: &Operand| Some(UnaryOp::Sqrt.dtypes(side.dtype()?).ok()?.0);
    promote(float(x)?, float(y)?).ok()
}

fn is_comparison(op: BinaryOp) -> bool {
    use BinaryOp::*;
    matches!(op, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
}

/// Compares an integer array with a weak integer that its dtype cannot hold: the answer is known, and NumPy gives it.
fn compare_far(op: BinaryOp, x: &Operand, y: &Operand, common: DType) -> Result<Option<Array>, ArrayError> {
    if !is_comparison(op) || common.is_inexact() {
        return Ok(None);
    }
    let (array, value, number_is_left) = match (x, y) {
        (Operand::Array(array), Operand::Int(value)) => (array, *value, false),
        (Operand::Int(value), Operand::Array(array)) => (array, *value, true),
        _ => return Ok(None),
    };
    if Scalar::from_int(value, common).is_some() {
        return Ok(None);
    }
    // Every element of the array lies on the same side of the number.
    let left_is_less = (value > 0) != number_is_left;
    let truth = match op {
        BinaryOp::Equal => false,
        BinaryOp::NotEqual => true,
        BinaryOp::Less | BinaryOp::LessEqual => left_is_less,
        _ => !left_is_less,
    };
    Ok(Some(Array::full_grid(array.chunks(), Scalar::Bool(truth))))
}

/// Compares unsigned 64-bit with signed integers exactly, as NumPy does; float64, to which they promote, would round.
fn compare_mixed(op: BinaryOp, x: &Operand, y: &Operand) -> Result<Option<Array>, ArrayError> {
    let (Some(a), Some(b)) = (x.dtype(), y.dtype()) else {
        return Ok(None);
    };
    let signed_is_left = match (a.kind(), b.kind()) {
        (Kind::Signed, Kind::Unsigned) => true,
        (Kind::Unsigned, Kind::Signed) => false,
        _ => return Ok(None),
    };
    if !is_comparison(op) || promote(a, b) != Ok(DType::Float64) {
        return Ok(None);
    }
    let (left, right) = (x.clone().into_array(a)?, y.clone().into_array(b)?);
    let signed = if signed_is_left { &left } else { &right };
    let below = signed.less(0)?;
    let compared = binary(op, left.astype(DType::UInt64)?, right.astype(DType::UInt64)?)?;
    let truth = match op {
        BinaryOp::Equal => false,
        BinaryOp::NotEqual => true,
        BinaryOp::Less | BinaryOp::LessEqual => signed_is_left,
        _ => !signed_is_left,
    };
    Ok(Some(where_(below, truth, compared)?))
}

/// Takes the elements of `x` where `condition` is true, else those of `y`.
///
/// # Errors
/// [`ArrayError::Broadcast`], [`ArrayError::Ops`] for a weak integer out of bounds.
pub fn where_(
    condition: impl Into<Operand>,
    x: impl Into<Operand>,
    y: impl Into<Operand>,
) -> Result<Array, ArrayError> {
    let (condition, x, y) = (condition.into(), x.into(), y.into());
    let common = common_dtype([&x, &y])?;
    let condition_dtype = common_dtype([&condition])?;
    let condition = condition.into_array(condition_dtype)?.astype(DType::Bool)?;
    let cast = |side: Operand| -> Result<Array, ArrayError> { side.into_array(common)?.astype(common) };
    let (operands, grid) = unify(vec![condition, cast(x)?, cast(y)?])?;
    Ok(Array::new(Op::Where, operands, common, grid))
}

/// Broadcasts arrays to their common shape.
///
/// # Errors
/// [`ArrayError::Broadcast`].
pub fn broadcast_arrays(arrays: &[Array]) -> Result<Vec<Array>, ArrayError> {
    let shape = broadcast_shape(&arrays.iter().map(Array::shape).collect::<Vec<_>>())?;
    arrays.iter().map(|array| array.broadcast_to(&shape)).collect()
}

impl Array {
    /// Applies `op` to each element.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] if the operation has no meaning for the dtype.
    pub fn unary(&self, op: UnaryOp) -> Result<Array, ArrayError> {
        let (operand, result) = op.dtypes(self.dtype())?;
        let operand = self.astype(operand)?;
        let grid = self.chunks().clone();
        Ok(Array::new(Op::Unary(op), vec![operand], result, grid))
    }

    /// Converts each element to `dtype`; the array itself if it is of that dtype.
    ///
    /// Floats outside an integer's range saturate and NaN gives 0, where NumPy's result is undefined. Of complex numbers the
    /// real part is kept. Numbers and times convert to each other by the number of units, times of one sort by their
    /// units and rounded down, points in time and lengths as so many units of whatever both have.
    ///
    /// # Errors
    /// None today: every dtype converts to every other.
    pub fn astype(&self, dtype: DType) -> Result<Array, ArrayError> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        Ok(Array::new(
            Op::Cast,
            vec![self.clone()],
            dtype,
            self.chunks().clone(),
        ))
    }

    /// Limits each element to `min..=max`; either may be left out. NaN in a bound gives NaN.
    ///
    /// # Errors
    /// As [`binary`].
    pub fn clip(&self, min: Option<Operand>, max: Option<Operand>) -> Result<Array, ArrayError> {
        let own = Operand::from(self);
        let common = common_dtype([Some(&own), min.as_ref(), max.as_ref()].into_iter().flatten())?;
        let mut clipped = self.astype(common)?;
        // A weak integer at or beyond the end of the dtype limits nothing.
        let (low, high) = integer_bounds(self.dtype());
        let limits = |bound: &Operand, beyond: &dyn Fn(i128) -> bool| !bound.weak_int().is_some_and(beyond);
        if let Some(min) = min.filter(|min| limits(min, &|value| value <= low)) {
            clipped = clipped.maximum(min.into_array(common)?)?;
        }
        if let Some(max) = max.filter(|max| limits(max, &|value| value >= high)) {
            clipped = clipped.minimum(max.into_array(common)?)?;
        }
        Ok(clipped)
    }

    /// Keeps the elements where `condition` is true and puts NaN elsewhere; integers become float64 first, those of up
    /// to 16 bits float32, as xarray's `where` does. Times get NaT.
    ///
    /// # Errors
    /// [`ArrayError::Broadcast`].
    pub fn where_valid(&self, condition: impl Into<Operand>) -> Result<Array, ArrayError> {
        let float = match self.dtype() {
            dtype if dtype.is_time() => return where_(condition, self, Operand::Typed(nat(dtype))),
            dtype if dtype.is_inexact() => dtype,
            dtype if dtype.size_bytes() <= 2 => DType::Float32,
            _ => DType::Float64,
        };
        let nan = if float.is_complex() {
            Complex::new(f64::NAN, f64::NAN).into()
        } else {
            Operand::Float(f64::NAN)
        };
        where_(condition, self.astype(float)?, nan)
    }
}

/// The least and the greatest integer of an integer dtype; beyond all integers for the others.
fn integer_bounds(dtype: DType) -> (i128, i128) {
    let bits = 8 * dtype.size_bytes();
    match dtype.kind() {
        Kind::Unsigned => (0, (1 << bits) - 1),
        Kind::Signed => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        Kind::Bool | Kind::Float | Kind::Complex | Kind::TimeDelta | Kind::DateTime => (i128::MIN, i128::MAX),
    }
}

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $name:ident => $op:ident),* $(,)?) => {
        impl Array {$(
            $(#[$doc])*
            ///
            /// NumPy's function of the same name.
            ///
            /// # Errors
            /// As [`Array::unary`].
            pub fn $name(&self) -> Result<Array, ArrayError> {
                self.unary(UnaryOp::$op)
            }
        )*}
    };
}

unary_methods! {
    /// Changes the sign of each element; unsigned integers wrap.
    negative => Negative,
    /// Returns each element as it is.
    positive => Positive,
    /// Drops the sign of each element.
    absolute => Absolute,
    /// Gives -1, 0 or 1 by each element's sign.
    sign => Sign,
    /// Multiplies each element by itself.
    square => Square,
    /// Gives 1 over each element.
    reciprocal => Reciprocal,
    /// Tells of each element whether it is zero.
    logical_not => LogicalNot,
    /// Inverts the bits of each integer, or the truth of each boolean.
    invert => Invert,
    /// Tells of each element whether it is NaN.
    isnan => IsNan,
    /// Tells of each element whether it is neither infinite nor NaN.
    isfinite => IsFinite,
    /// Tells of each element whether it is infinite.
    isinf => IsInf,
    /// Takes the square root of each element.
    sqrt => Sqrt,
    /// Takes the cube root of each element.
    cbrt => Cbrt,
    /// Raises e to each element.
    exp => Exp,
    /// Raises 2 to each element.
    exp2 => Exp2,
    /// Raises e to each element and subtracts 1.
    expm1 => Expm1,
    /// Takes the natural logarithm of each element.
    log => Log,
    /// Takes the logarithm to base 2 of each element.
    log2 => Log2,
    /// Takes the logarithm to base 10 of each element.
    log10 => Log10,
    /// Takes the natural logarithm of 1 plus each element.
    log1p => Log1p,
    /// Takes the sine of each element, in radians.
    sin => Sin,
    /// Takes the cosine of each element, in radians.
    cos => Cos,
    /// Takes the tangent of each element, in radians.
    tan => Tan,
    /// Takes the inverse sine of each element.
    arcsin => Arcsin,
    /// Takes the inverse cosine of each element.
    arccos => Arccos,
    /// Takes the inverse tangent of each element.
    arctan => Arctan,
    /// Takes the hyperbolic sine of each element.
    sinh => Sinh,
    /// Takes the hyperbolic cosine of each element.
    cosh => Cosh,
    /// Takes the hyperbolic tangent of each element.
    tanh => Tanh,
    /// Takes the inverse hyperbolic sine of each element.
    arcsinh => Arcsinh,
    /// Takes the inverse hyperbolic cosine of each element.
    arccosh => Arccosh,
    /// Takes the inverse hyperbolic tangent of each element.
    arctanh => Arctanh,
    /// Rounds each element down.
    floor => Floor,
    /// Rounds each element up.
    ceil => Ceil,
    /// Rounds each element towards zero.
    trunc => Trunc,
    /// Rounds each element to the nearest whole number, halves to even ones.
    rint => Rint,
    /// Converts degrees to radians.
    deg2rad => Deg2rad,
    /// Converts radians to degrees.
    rad2deg => Rad2deg,
    /// Changes the sign of each imaginary part.
    conjugate => Conjugate,
    /// Takes the real part of each element.
    real => Real,
    /// Takes the imaginary part of each element; of a real one 0.
    imag => Imag,
    /// Gives the distance from each element to the next float away from 0, with the element's sign.
    spacing => Spacing,
    /// Gives the modified Bessel function of the first kind, of order 0, of each element.
    i0 => I0,
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $name:ident => $op:ident),* $(,)?) => {
        impl Array {$(
            $(#[$doc])*
            ///
            /// NumPy's function of the same name; shapes broadcast.
            ///
            /// # Errors
            /// As [`binary`].
            pub fn $name(&self, other: impl Into<Operand>) -> Result<Array, ArrayError> {
                binary(BinaryOp::$op, self, other)
            }
        )*}
    };
}

binary_methods! {
    /// Adds; integers wrap.
    add => Add,
    /// Subtracts; integers wrap.
    subtract => Subtract,
    /// Multiplies; integers wrap.
    multiply => Multiply,
    /// Divides as floats.
    divide => Divide,
    /// Divides and rounds down.
    floor_divide => FloorDivide,
    /// Gives the remainder with the divisor's sign.
    remainder => Remainder,
    /// Gives the remainder with the dividend's sign.
    fmod => Fmod,
    /// Raises to a power. As in NumPy, the number 0.5 (unlike an array of them) takes the square root: -inf gives NaN.
    power => Power,
    /// Takes the smaller of two elements; NaN wins.
    minimum => Minimum,
    /// Takes the larger of two elements; NaN wins.
    maximum => Maximum,
    /// Takes the smaller of two elements; NaN loses.
    fmin => Fmin,
    /// Takes the larger of two elements; NaN loses.
    fmax => Fmax,
    /// Gives the angle of the point (other, self).
    arctan2 => Arctan2,
    /// Gives the hypotenuse of a right triangle's legs.
    hypot => Hypot,
    /// Gives self the sign of other.
    copysign => Copysign,
    /// Gives the next float after self towards other.
    nextafter => Nextafter,
    /// Tells whether both elements are true.
    logical_and => LogicalAnd,
    /// Tells whether an element is true.
    logical_or => LogicalOr,
    /// Tells whether exactly one element is true.
    logical_xor => LogicalXor,
    /// Gives the bits that both elements have.
    bitwise_and => BitwiseAnd,
    /// Gives the bits that an element has.
    bitwise_or => BitwiseOr,
    /// Gives the bits that exactly one element has.
    bitwise_xor => BitwiseXor,
    /// Shifts bits up.
    left_shift => LeftShift,
    /// Shifts bits down.
    right_shift => RightShift,
    /// Tells whether the elements are equal.
    equal => Equal,
    /// Tells whether the elements differ.
    not_equal => NotEqual,
    /// Tells whether self is less.
    less => Less,
    /// Tells whether self is less or equal.
    less_equal => LessEqual,
    /// Tells whether self is greater.
    greater => Greater,
    /// Tells whether self is greater or equal.
    greater_equal => GreaterEqual,
}
