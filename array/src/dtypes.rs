//! What there is to know of dtypes before there is an array.

use graticule_ops::{OpsError, half, promote};
use graticule_plan::{DType, Kind};

use crate::ArrayError;

/// How much a conversion may lose, as NumPy's `casting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Casting {
    /// Nothing is converted.
    No,
    /// Every value is kept; of 64-bit integers as floats nearly.
    Safe,
    /// Values may lose digits or overflow, but stay of their kind or become of a wider one.
    SameKind,
    /// Anything.
    Unsafe,
}

/// A set of dtypes, named as the Array API standard names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DTypeSet {
    /// One dtype.
    Is(DType),
    /// `bool`.
    Bool,
    /// `signed integer`.
    SignedInteger,
    /// `unsigned integer`.
    UnsignedInteger,
    /// `integral`: integers with a sign or without.
    Integral,
    /// `real floating`.
    RealFloating,
    /// `complex floating`.
    ComplexFloating,
    /// `numeric`: integers, floats and complex numbers.
    Numeric,
}

/// The limits of a float dtype.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloatInfo {
    /// The dtype; of a complex dtype that of its parts.
    pub dtype: DType,
    /// Bits of an element.
    pub bits: u32,
    /// The distance from 1 to the next float.
    pub eps: f64,
    /// The greatest finite float.
    pub max: f64,
    /// The least finite float.
    pub min: f64,
    /// The least positive float of full precision.
    pub smallest_normal: f64,
    /// The least positive float.
    pub smallest_subnormal: f64,
    /// Decimal digits that survive.
    pub precision: u32,
}

/// The limits of an integer dtype.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntInfo {
    /// The dtype.
    pub dtype: DType,
    /// Bits of an element.
    pub bits: u32,
    /// The greatest integer.
    pub max: i128,
    /// The least integer.
    pub min: i128,
}

/// Tells whether NumPy converts one dtype to another under a rule.
///
/// ```
/// use graticule_array::{Casting, can_cast};
/// use graticule_plan::DType::*;
///
/// assert!(can_cast(Int32, Float64, Casting::Safe));
/// assert!(!can_cast(Int32, Float32, Casting::Safe));
/// assert!(can_cast(Int32, Float32, Casting::SameKind));
/// ```
pub fn can_cast(from: DType, to: DType, casting: Casting) -> bool {
    match casting {
        Casting::No => from == to,
        Casting::Safe => promote(from, to) == Ok(to),
        Casting::SameKind => promote(from, to) == Ok(to) || is_same_kind(from, to),
        Casting::Unsafe => true,
    }
}

/// Whether a conversion stays in its kind or leads to a wider one; any integer may count units of lengths of time.
fn is_same_kind(from: DType, to: DType) -> bool {
    match (from, to) {
        (DType::DateTime64(_), DType::DateTime64(_)) => true,
        (DType::TimeDelta64(from), DType::TimeDelta64(to)) => from.is_of_calendar() == to.is_of_calendar(),
        (DType::UInt64, DType::TimeDelta64(_)) => true,
        _ if from.is_time() || to.is_time() => false,
        _ => from.kind() <= to.kind(),
    }
}

/// Tells whether a dtype is of any of several sets.
///
/// ```
/// use graticule_array::{DTypeSet, isdtype};
/// use graticule_plan::DType::*;
///
/// assert!(isdtype(Int16, &[DTypeSet::RealFloating, DTypeSet::Integral]));
/// assert!(!isdtype(Bool, &[DTypeSet::Numeric]));
/// ```
pub fn isdtype(dtype: DType, sets: &[DTypeSet]) -> bool {
    let kind = dtype.kind();
    let is_integer = matches!(kind, Kind::Signed | Kind::Unsigned);
    sets.iter().any(|set| match set {
        DTypeSet::Is(other) => dtype == *other,
        DTypeSet::Bool => kind == Kind::Bool,
        DTypeSet::SignedInteger => kind == Kind::Signed,
        DTypeSet::UnsignedInteger => kind == Kind::Unsigned,
        DTypeSet::Integral => is_integer,
        DTypeSet::RealFloating => kind == Kind::Float,
        DTypeSet::ComplexFloating => kind == Kind::Complex,
        DTypeSet::Numeric => is_integer || dtype.is_inexact(),
    })
}

/// Gives the limits of a float dtype, of a complex one those of its parts.
///
/// # Errors
/// [`ArrayError::Ops`] of other dtypes.
pub fn finfo(dtype: DType) -> Result<FloatInfo, ArrayError> {
    let info = |bits, eps, max, smallest_normal: f64, precision| FloatInfo {
        dtype: dtype.real(),
        bits,
        eps,
        max,
        min: -max,
        smallest_normal,
        smallest_subnormal: smallest_normal * eps,
        precision,
    };
    match dtype.real() {
        DType::Float16 => Ok(info(16, half::EPSILON, half::MAX, half::MIN_POSITIVE, 3)),
        DType::Float32 => {
            let [eps, max, least] = [f32::EPSILON, f32::MAX, f32::MIN_POSITIVE].map(f64::from);
            Ok(info(32, eps, max, least, 6))
        }
        DType::Float64 => Ok(info(64, f64::EPSILON, f64::MAX, f64::MIN_POSITIVE, 15)),
        _ => refuse(
            "finfo",
            dtype,
            ": its elements are no floats; iinfo tells of integers",
        ),
    }
}

/// Gives the limits of an integer dtype.
///
/// # Errors
/// [`ArrayError::Ops`] of other dtypes.
pub fn iinfo(dtype: DType) -> Result<IntInfo, ArrayError> {
    let bits = 8 * dtype.size_bytes() as u32;
    let (min, max) = match dtype.kind() {
        Kind::Unsigned => (0, (1 << bits) - 1),
        Kind::Signed => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        _ => {
            return refuse(
                "iinfo",
                dtype,
                ": its elements are no integers; finfo tells of floats",
            );
        }
    };
    Ok(IntInfo {
        dtype,
        bits,
        max,
        min,
    })
}

fn refuse<T>(operation: &'static str, dtype: DType, hint: &'static str) -> Result<T, ArrayError> {
    Err(OpsError::DType {
        operation,
        dtype,
        hint,
    }
    .into())
}
