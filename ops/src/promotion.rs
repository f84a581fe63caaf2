use graticule_plan::{DType, Kind};

use crate::{OpsError, Scalar};

/// NumPy 2's `result_type` of two array dtypes (NEP 50, and `promote_types`).
///
/// ```
/// use graticule_ops::promote;
/// use graticule_plan::DType::*;
///
/// assert_eq!(promote(UInt8, Int8)?, Int16);
/// assert_eq!(promote(UInt64, Int8)?, Float64);
/// assert_eq!(promote(Int16, Float32)?, Float32);
/// assert_eq!(promote(Int32, Float32)?, Float64);
/// assert_eq!(promote(Float64, Complex64)?, Complex128);
/// # Ok::<(), graticule_ops::OpsError>(())
/// ```
///
/// Of times the finer unit is common; integers beside lengths of time count their units. NumPy also takes points in
/// time and lengths for points, which is refused here.
///
/// # Errors
/// [`OpsError::Promotion`] for times beside what is none, and for lengths of months beside those of days.
pub fn promote(a: DType, b: DType) -> Result<DType, OpsError> {
    if a == b {
        return Ok(a);
    }
    if a.is_time() || b.is_time() {
        return promote_times(a, b).ok_or(OpsError::Promotion { a, b });
    }
    Ok(promote_numbers(a, b))
}

fn promote_times(a: DType, b: DType) -> Option<DType> {
    let (small, large) = if a.kind() <= b.kind() { (a, b) } else { (b, a) };
    match (small, large) {
        (DType::DateTime64(x), DType::DateTime64(y)) => Some(DType::DateTime64(x.max(y))),
        (DType::TimeDelta64(x), DType::TimeDelta64(y)) if x.is_of_calendar() == y.is_of_calendar() => {
            Some(DType::TimeDelta64(x.max(y)))
        }
        (DType::UInt64, _) => None,
        (number, DType::TimeDelta64(_)) => {
            let is_whole = matches!(number.kind(), Kind::Bool | Kind::Unsigned | Kind::Signed);
            is_whole.then_some(large)
        }
        _ => None,
    }
}

fn promote_numbers(a: DType, b: DType) -> DType {
    let (small, large) = if a.kind() <= b.kind() { (a, b) } else { (b, a) };
    match (small.kind(), large.kind()) {
        (Kind::Bool, _) => large,
        (x, y) if x == y => {
            if small.size_bytes() >= large.size_bytes() {
                small
            } else {
                large
            }
        }
        (Kind::Unsigned, Kind::Signed) => match small.size_bytes().max(large.size_bytes() / 2) {
            1 => DType::Int16,
            2 => DType::Int32,
            4 => DType::Int64,
            _ => DType::Float64,
        }
        .max_signed(large),
        // One of 8 bits fits the 11-bit mantissa of a float16.
        (_, Kind::Float) if large == DType::Float16 => match small.size_bytes() {
            1 => DType::Float16,
            2 => DType::Float32,
            _ => DType::Float64,
        },
        // An integer of 16 bits or fewer fits the 24-bit mantissa of a float32.
        (_, Kind::Float | Kind::Complex) if small.size_bytes() <= 2 => large,
        (Kind::Float, Kind::Complex) if small.size_bytes() <= large.size_bytes() / 2 => large,
        (_, Kind::Complex) => DType::Complex128,
        _ => DType::Float64,
    }
}

trait MaxSigned {
    fn max_signed(self, signed: DType) -> DType;
}

impl MaxSigned for DType {
    /// The wider of the two; float64 stands above every integer.
    fn max_signed(self, signed: DType) -> DType {
        if self.is_float() || self.size_bytes() >= signed.size_bytes() {
            self
        } else {
            signed
        }
    }
}

/// The dtype of an array operation with a Python scalar of kind `scalar`, which is weak: it never widens within its
/// kind (`float32 * 2.0` stays float32), and a higher kind brings its default (`int16 * 2.0` is float64; only `float32 * 2j`
/// and `float16 * 2j` are complex64). An integer beside lengths of time counts their units.
///
/// # Errors
/// [`OpsError::Promotion`] for numbers beside times that do not go with them.
pub fn promote_weak(array: DType, scalar: Kind) -> Result<DType, OpsError> {
    Ok(match (array.kind(), scalar) {
        (Kind::TimeDelta, Kind::Bool | Kind::Unsigned | Kind::Signed) => array,
        (Kind::TimeDelta | Kind::DateTime, _) => {
            let b = match scalar {
                Kind::Bool => DType::Bool,
                Kind::Float => DType::Float64,
                Kind::Complex => DType::Complex128,
                _ => DType::Int64,
            };
            return Err(OpsError::Promotion { a: array, b });
        }
        (Kind::Complex, _) | (_, Kind::Bool) => array,
        (_, Kind::Complex) if matches!(array, DType::Float16 | DType::Float32) => DType::Complex64,
        (_, Kind::Complex) => DType::Complex128,
        (Kind::Float, _) => array,
        (Kind::Bool, Kind::Unsigned | Kind::Signed) => DType::Int64,
        (_, Kind::Float) => DType::Float64,
        _ => array,
    })
}

/// Whether `dtype` holds `value` without loss; the error is NumPy 2's `OverflowError` for Python integers.
///
/// # Errors
/// [`OpsError::OutOfBounds`].
pub fn can_hold(dtype: DType, value: i128) -> Result<Scalar, OpsError> {
    Scalar::from_int(value, dtype).ok_or(OpsError::OutOfBounds { value, dtype })
}
