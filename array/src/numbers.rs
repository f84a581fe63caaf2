//! Elementwise operations that are composed of others.

use graticule_ops::{BinaryOp, OpsError, Scalar, UnaryOp, half};
use graticule_plan::{DType, Kind};

use crate::{Array, ArrayError, Operand, Over, binary, where_};

/// Tells of each pair of elements whether they differ by at most `absolute + relative * |y|`.
///
/// # Errors
/// [`ArrayError::Broadcast`].
pub fn isclose(
    x: &Array,
    y: &Array,
    relative: f64,
    absolute: f64,
    equal_nan: bool,
) -> Result<Array, ArrayError> {
    // Not as an integer: the absolute value of the least one is no integer of its dtype.
    x.check_number("isclose")?;
    y.check_number("isclose")?;
    let float = match y.dtype().kind() {
        Kind::Float | Kind::Complex => y.clone(),
        _ => y.astype(DType::Float64)?,
    };
    let allowed = float.absolute()?.multiply(relative)?.add(absolute)?;
    let is_near = x.subtract(&float)?.absolute()?.less_equal(&allowed)?;
    let close = is_near
        .bitwise_and(float.isfinite()?)?
        .bitwise_or(x.equal(&float)?)?;
    if !equal_nan {
        return Ok(close);
    }
    close.bitwise_or(x.isnan()?.bitwise_and(float.isnan()?)?)
}

/// Takes each element of the first array whose condition is true there, or else `default`.
///
/// # Errors
/// [`ArrayError::NoArrays`] without conditions, [`ArrayError::SelectCount`] if there are not as many arrays as conditions,
/// [`ArrayError::Broadcast`].
pub fn select(
    conditions: &[Array],
    choices: &[Array],
    default: impl Into<Operand>,
) -> Result<Array, ArrayError> {
    if conditions.is_empty() {
        return Err(ArrayError::NoArrays {
            operation: "select among",
        });
    }
    if conditions.len() != choices.len() {
        return Err(ArrayError::SelectCount {
            conditions: conditions.len(),
            choices: choices.len(),
        });
    }
    let default = default.into();
    // All choices have a word in the dtype, whichever is taken.
    let operands: Vec<Operand> = choices
        .iter()
        .map(Operand::from)
        .chain([default.clone()])
        .collect();
    let dtype = crate::operand::common_dtype(&operands)?;
    let last = default.into_array(dtype)?.astype(dtype)?;
    let pairs = conditions.iter().zip(choices).rev();
    let mut selected = last;
    for (condition, choice) in pairs {
        selected = where_(condition, choice.astype(dtype)?, selected)?;
    }
    Ok(selected)
}

/// Tells whether all pairs of elements are close, by [`isclose`].
///
/// # Errors
/// [`ArrayError::Broadcast`].
pub fn allclose(
    x: &Array,
    y: &Array,
    relative: f64,
    absolute: f64,
    equal_nan: bool,
) -> Result<Array, ArrayError> {
    isclose(x, y, relative, absolute, equal_nan)?.all(&Over::all())
}

impl Array {
    /// Puts numbers in place of NaN and of the infinities; those that are not given become the dtype's largest and least
    /// ones.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of complex numbers.
    pub fn nan_to_num(
        &self,
        nan: f64,
        positive: Option<f64>,
        negative: Option<f64>,
    ) -> Result<Array, ArrayError> {
        self.check_real("nan_to_num")?;
        let (least, greatest) = match self.dtype() {
            DType::Float16 => (-half::MAX, half::MAX),
            DType::Float32 => (f32::MIN.into(), f32::MAX.into()),
            DType::Float64 => (f64::MIN, f64::MAX),
            _ => return Ok(self.clone()),
        };
        let replaced = where_(self.isnan()?, nan, self)?;
        let replaced = where_(self.isposinf()?, positive.unwrap_or(greatest), replaced)?;
        where_(self.isneginf()?, negative.unwrap_or(least), replaced)
    }

    /// Tells of each element whether it is positive infinity.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of complex numbers.
    pub fn isposinf(&self) -> Result<Array, ArrayError> {
        self.check_real("isposinf")?;
        self.equal(f64::INFINITY)
    }

    /// Tells of each element whether it is negative infinity.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of complex numbers.
    pub fn isneginf(&self) -> Result<Array, ArrayError> {
        self.check_real("isneginf")?;
        self.equal(f64::NEG_INFINITY)
    }

    /// Tells of each element whether its sign bit is set: of -0.0 and of some NaN too.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of complex numbers.
    pub fn signbit(&self) -> Result<Array, ArrayError> {
        self.check_real("signbit")?;
        if !self.dtype().is_float() {
            return self.less(0);
        }
        let one = Array::scalar(Scalar::from_float(1.0, self.dtype()).expect("a float dtype"));
        one.copysign(self)?.less(0)
    }

    /// Rounds to so many decimals, halves to even digits; negative ones round before the point.
    ///
    /// As in NumPy the element is multiplied, rounded, and divided, in its own dtype.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of booleans.
    pub fn round(&self, decimals: i32) -> Result<Array, ArrayError> {
        self.check_number("round")?;
        let is_integer = matches!(self.dtype().kind(), Kind::Signed | Kind::Unsigned);
        if is_integer && decimals >= 0 {
            return Ok(self.clone());
        }
        if decimals == 0 {
            return self.rint();
        }
        let scale = 10f64.powi(decimals.abs());
        let rounded = match decimals {
            1.. => self.multiply(scale)?.rint()?.divide(scale)?,
            _ => self.divide(scale)?.rint()?.multiply(scale)?,
        };
        if is_integer {
            rounded.astype(self.dtype())
        } else {
            Ok(rounded)
        }
    }

    /// Adds numbers that are given as logarithms: `log(exp(x) + exp(y))`, without overflow.
    ///
    /// # Errors
    /// As [`binary`](crate::binary).
    pub fn logaddexp(&self, other: impl Into<Operand>) -> Result<Array, ArrayError> {
        let (x, other) = (self.as_float()?, floating(other.into())?);
        let larger = binary(BinaryOp::Maximum, &x, other.clone())?;
        larger.check_real("logaddexp")?;
        let equal = x.equal(other.clone())?;
        let more = x.subtract(other)?.absolute()?.negative()?.exp()?.log1p()?;
        // Of two equal infinities the distance is NaN.
        where_(equal, larger.add(std::f64::consts::LN_2)?, larger.add(more)?)
    }

    /// As [`Array::logaddexp`] of logarithms to base 2.
    ///
    /// # Errors
    /// As [`binary`](crate::binary).
    pub fn logaddexp2(&self, other: impl Into<Operand>) -> Result<Array, ArrayError> {
        let (x, other) = (self.as_float()?, floating(other.into())?);
        let larger = binary(BinaryOp::Maximum, &x, other.clone())?;
        larger.check_real("logaddexp2")?;
        let equal = x.equal(other.clone())?;
        let power = x.subtract(other)?.absolute()?.negative()?.exp2()?;
        let more = power.log1p()?.multiply(std::f64::consts::LOG2_E)?;
        where_(equal, larger.add(1.0)?, larger.add(more)?)
    }

    /// The array in the float dtype in which NumPy's functions of floats take it.
    fn as_float(&self) -> Result<Array, ArrayError> {
        let (float, _) = UnaryOp::Sqrt.dtypes(self.dtype())?;
        self.astype(float)
    }

    /// Drops the sign of each element, as a float.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of complex numbers.
    pub fn fabs(&self) -> Result<Array, ArrayError> {
        self.check_real("fabs")?;
        self.as_float()?.absolute()
    }

    /// Raises to a power in float64, of complex numbers in complex128.
    ///
    /// # Errors
    /// As [`binary`](crate::binary).
    pub fn float_power(&self, other: impl Into<Operand>) -> Result<Array, ArrayError> {
        self.check_number("float_power")?;
        let other = other.into();
        let wide = |dtype: DType| {
            if dtype.is_complex() {
                DType::Complex128
            } else {
                DType::Float64
            }
        };
        let power = match other {
            Operand::Array(other) => {
                other.check_number("float_power")?;
                Operand::Array(other.astype(wide(other.dtype()))?)
            }
            other => other,
        };
        self.astype(wide(self.dtype()))?.power(power)
    }

    /// Gives `sin(pi x) / (pi x)`, and 1 at 0.
    ///
    /// # Errors
    /// None today.
    pub fn sinc(&self) -> Result<Array, ArrayError> {
        self.check_number("sinc")?;
        let float = if self.dtype().is_inexact() {
            self.clone()
        } else {
            self.astype(DType::Float64)?
        };
        let angle = float.multiply(std::f64::consts::PI)?;
        // NumPy too takes a small number for 0.
        let small = match angle.dtype() {
            DType::Float16 => f64::from(2_f32.powi(-10)),
            DType::Float32 => f64::from(f32::EPSILON),
            DType::Float64 => f64::EPSILON,
            _ => 1e-20,
        };
        let angle = where_(angle.equal(0)?, small, angle)?;
        angle.sin()?.divide(&angle)
    }

    /// Tells of each element whether it is a value, not NaN.
    ///
    /// # Errors
    /// None today.
    pub fn notnull(&self) -> Result<Array, ArrayError> {
        self.isnan()?.logical_not()
    }

    /// Rounds each element towards zero.
    ///
    /// # Errors
    /// As [`Array::trunc`].
    pub fn fix(&self) -> Result<Array, ArrayError> {
        self.trunc()
    }

    /// Divides and rounds down, and gives the remainder too.
    ///
    /// # Errors
    /// As [`binary`](crate::binary).
    pub fn divmod(&self, other: impl Into<Operand>) -> Result<(Array, Array), ArrayError> {
        let other = other.into();
        Ok((self.floor_divide(other.clone())?, self.remainder(other)?))
    }

    /// Takes each element apart into a fraction within 0.5..1, with its sign, and the power of 2 (int32) that it is
    /// multiplied by. Of 0, infinities and NaN the fraction is the element and the power 0.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of complex numbers.
    pub fn frexp(&self) -> Result<(Array, Array), ArrayError> {
        Ok((self.unary(UnaryOp::Mantissa)?, self.unary(UnaryOp::Exponent)?))
    }

    /// Multiplies by 2 to the power of whole numbers.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of complex numbers, and of powers other than integers of up to 63 bits.
    pub fn ldexp(&self, powers: impl Into<Operand>) -> Result<Array, ArrayError> {
        let (x, powers) = (self.as_float()?, powers.into());
        let dtype = crate::operand::common_dtype([&powers])?;
        if !matches!(dtype.kind(), Kind::Bool | Kind::Signed | Kind::Unsigned) || dtype == DType::UInt64 {
            let hint = ": powers of 2 are integers of up to 63 bits";
            return Err(OpsError::DType {
                operation: "ldexp",
                dtype,
                hint,
            }
            .into());
        }
        let powers = powers.into_array(dtype)?.astype(x.dtype())?;
        binary(BinaryOp::Ldexp, x, powers)
    }

    /// Takes each element apart into what stands behind the point and the whole number before it, both with its sign.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of complex numbers.
    pub fn modf(&self) -> Result<(Array, Array), ArrayError> {
        self.check_real("modf")?;
        let x = self.as_float()?;
        let whole = x.trunc()?;
        // An infinity less itself is NaN, but has no fraction.
        let fraction = where_(x.isinf()?, 0.0, x.subtract(&whole)?)?;
        Ok((fraction.copysign(&x)?, whole))
    }
}

/// An operand in the float dtype in which NumPy's functions of floats take it; weak numbers stay weak.
fn floating(operand: Operand) -> Result<Operand, ArrayError> {
    Ok(match operand {
        Operand::Array(array) => array.as_float()?.into(),
        Operand::Typed(scalar) => Array::scalar(scalar).as_float()?.into(),
        weak => weak,
    })
}
