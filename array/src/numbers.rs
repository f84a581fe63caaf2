//! Elementwise operations that are composed of others.

use graticule_ops::Scalar;
use graticule_plan::{DType, Kind};

use crate::{Array, ArrayError, Operand, Over, where_};

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
    let float = match y.dtype().kind() {
        Kind::Float => y.clone(),
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
    /// None today.
    pub fn nan_to_num(
        &self,
        nan: f64,
        positive: Option<f64>,
        negative: Option<f64>,
    ) -> Result<Array, ArrayError> {
        let (least, greatest) = match self.dtype() {
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
    /// None today.
    pub fn isposinf(&self) -> Result<Array, ArrayError> {
        self.equal(f64::INFINITY)
    }

    /// Tells of each element whether it is negative infinity.
    ///
    /// # Errors
    /// None today.
    pub fn isneginf(&self) -> Result<Array, ArrayError> {
        self.equal(f64::NEG_INFINITY)
    }

    /// Tells of each element whether its sign bit is set: of -0.0 and of some NaN too.
    ///
    /// # Errors
    /// None today.
    pub fn signbit(&self) -> Result<Array, ArrayError> {
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
        let other = other.into();
        let larger = crate::binary(graticule_ops::BinaryOp::Maximum, self, other.clone())?;
        let equal = self.equal(other.clone())?;
        let distance = self.subtract(other)?.absolute()?.negative()?;
        let sum = larger.add(distance.exp()?.log1p()?)?;
        // Of two equal infinities the distance is NaN.
        where_(equal, larger.add(std::f64::consts::LN_2)?, sum)
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
}
