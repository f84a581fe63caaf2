use std::fmt;

use graticule_plan::{DType, TimeUnit};
use num_complex::Complex;
use serde::{Deserialize, Serialize};

use crate::half;

/// One typed number. Floats compare and hash by their bits, so that equal programs have equal bytes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(missing_docs)] // Each variant is the dtype of the same name.
pub enum Scalar {
    Bool(bool),
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    UInt8(u8),
    UInt16(u16),
    UInt32(u32),
    UInt64(u64),
    Float32(f32),
    Float64(f64),
    Complex64(Complex<f32>),
    Complex128(Complex<f64>),
    /// Units since 1970; the least integer is NaT.
    DateTime64(i64, TimeUnit),
    /// Units; the least integer is NaT.
    TimeDelta64(i64, TimeUnit),
    /// The bits of one; see [`half`](crate::half).
    Float16(u16),
}

impl Scalar {
    /// The scalar's dtype.
    pub const fn dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int8(_) => DType::Int8,
            Scalar::Int16(_) => DType::Int16,
            Scalar::Int32(_) => DType::Int32,
            Scalar::Int64(_) => DType::Int64,
            Scalar::UInt8(_) => DType::UInt8,
            Scalar::UInt16(_) => DType::UInt16,
            Scalar::UInt32(_) => DType::UInt32,
            Scalar::UInt64(_) => DType::UInt64,
            Scalar::Float16(_) => DType::Float16,
            Scalar::Float32(_) => DType::Float32,
            Scalar::Float64(_) => DType::Float64,
            Scalar::Complex64(_) => DType::Complex64,
            Scalar::Complex128(_) => DType::Complex128,
            Scalar::DateTime64(_, unit) => DType::DateTime64(unit),
            Scalar::TimeDelta64(_, unit) => DType::TimeDelta64(unit),
        }
    }

    /// The integer `value` as `dtype`, or `None` where it does not fit. Floats round, booleans take 0 and 1.
    pub fn from_int(value: i128, dtype: DType) -> Option<Self> {
        Some(match dtype {
            DType::Bool => Scalar::Bool(match value {
                0 => false,
                1 => true,
                _ => return None,
            }),
            DType::Int8 => Scalar::Int8(value.try_into().ok()?),
            DType::Int16 => Scalar::Int16(value.try_into().ok()?),
            DType::Int32 => Scalar::Int32(value.try_into().ok()?),
            DType::Int64 => Scalar::Int64(value.try_into().ok()?),
            DType::UInt8 => Scalar::UInt8(value.try_into().ok()?),
            DType::UInt16 => Scalar::UInt16(value.try_into().ok()?),
            DType::UInt32 => Scalar::UInt32(value.try_into().ok()?),
            DType::UInt64 => Scalar::UInt64(value.try_into().ok()?),
            DType::Float16 => Scalar::Float16(half::from_f64(value as f64)),
            DType::Float32 => Scalar::Float32(value as f32),
            DType::Float64 => Scalar::Float64(value as f64),
            DType::Complex64 => Scalar::Complex64(Complex::new(value as f32, 0.0)),
            DType::Complex128 => Scalar::Complex128(Complex::new(value as f64, 0.0)),
            DType::DateTime64(_) | DType::TimeDelta64(_) => {
                return Self::time(value.try_into().ok()?, dtype);
            }
        })
    }

    /// So many units of a dtype of times, `i64::MIN` being NaT; `None` for other dtypes.
    pub fn time(count: i64, dtype: DType) -> Option<Self> {
        match dtype {
            DType::DateTime64(unit) => Some(Scalar::DateTime64(count, unit)),
            DType::TimeDelta64(unit) => Some(Scalar::TimeDelta64(count, unit)),
            _ => None,
        }
    }

    /// The units of a time, `i64::MIN` being NaT; `None` for numbers.
    pub const fn as_time(self) -> Option<i64> {
        match self {
            Scalar::DateTime64(count, _) | Scalar::TimeDelta64(count, _) => Some(count),
            _ => None,
        }
    }

    /// The float `value` as `dtype`; `None` where `dtype` is neither float nor complex and `value` no whole number that
    /// it holds.
    pub fn from_float(value: f64, dtype: DType) -> Option<Self> {
        match dtype {
            DType::Float16 => Some(Scalar::Float16(half::from_f64(value))),
            DType::Float32 => Some(Scalar::Float32(value as f32)),
            DType::Float64 => Some(Scalar::Float64(value)),
            DType::Complex64 => Some(Scalar::Complex64(Complex::new(value as f32, 0.0))),
            DType::Complex128 => Some(Scalar::Complex128(Complex::new(value, 0.0))),
            _ if dtype.is_time() && value.is_nan() => Self::time(i64::MIN, dtype),
            // 2^64 and -2^63 bound every integer dtype; beyond them the conversion to i128 is not needed.
            _ if value.fract() == 0.0 && value.abs() < 1e20 => Self::from_int(value as i128, dtype),
            _ => None,
        }
    }

    /// The complex `value` as `dtype`, or `None` where `dtype` is not complex.
    pub fn from_complex(value: Complex<f64>, dtype: DType) -> Option<Self> {
        match dtype {
            DType::Complex64 => Some(Scalar::Complex64(Complex::new(value.re as f32, value.im as f32))),
            DType::Complex128 => Some(Scalar::Complex128(value)),
            _ => None,
        }
    }

    /// The value as a complex number; large 64-bit integers round.
    pub fn as_complex(self) -> Complex<f64> {
        match self {
            Scalar::Complex64(v) => Complex::new(v.re.into(), v.im.into()),
            Scalar::Complex128(v) => v,
            real => Complex::new(real.as_f64(), 0.0),
        }
    }

    /// The value as a float, of a complex one the real part; large 64-bit integers round.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::Bool(v) => f64::from(u8::from(v)),
            Scalar::Int8(v) => v.into(),
            Scalar::Int16(v) => v.into(),
            Scalar::Int32(v) => v.into(),
            Scalar::Int64(v) => v as f64,
            Scalar::UInt8(v) => v.into(),
            Scalar::UInt16(v) => v.into(),
            Scalar::UInt32(v) => v.into(),
            Scalar::UInt64(v) => v as f64,
            Scalar::Float16(v) => half::to_f32(v).into(),
            Scalar::Float32(v) => v.into(),
            Scalar::Float64(v) => v,
            Scalar::Complex64(v) => v.re.into(),
            Scalar::Complex128(v) => v.re,
            Scalar::DateTime64(i64::MIN, _) | Scalar::TimeDelta64(i64::MIN, _) => f64::NAN,
            Scalar::DateTime64(v, _) | Scalar::TimeDelta64(v, _) => v as f64,
        }
    }

    /// The value as an integer, if it is of an integer dtype or a boolean.
    pub fn as_int(self) -> Option<i128> {
        Some(match self {
            Scalar::Bool(v) => v.into(),
            Scalar::Int8(v) => v.into(),
            Scalar::Int16(v) => v.into(),
            Scalar::Int32(v) => v.into(),
            Scalar::Int64(v) => v.into(),
            Scalar::UInt8(v) => v.into(),
            Scalar::UInt16(v) => v.into(),
            Scalar::UInt32(v) => v.into(),
            Scalar::UInt64(v) => v.into(),
            Scalar::Float16(_)
            | Scalar::Float32(_)
            | Scalar::Float64(_)
            | Scalar::Complex64(_)
            | Scalar::Complex128(_)
            | Scalar::DateTime64(..)
            | Scalar::TimeDelta64(..) => return None,
        })
    }

    /// Whether the value is NaN, or a part of it, or NaT.
    pub fn is_nan(self) -> bool {
        let value = self.as_complex();
        self.dtype().holds_nan() && (value.re.is_nan() || value.im.is_nan())
    }

    fn bits(self) -> (DType, i128) {
        match self {
            Scalar::Complex64(v) => {
                let parts = u64::from(v.re.to_bits()) << 32 | u64::from(v.im.to_bits());
                (DType::Complex64, parts.into())
            }
            Scalar::Complex128(v) => {
                let parts = u128::from(v.re.to_bits()) << 64 | u128::from(v.im.to_bits());
                (DType::Complex128, parts.cast_signed())
            }
            Scalar::DateTime64(v, unit) => (DType::DateTime64(unit), v.into()),
            Scalar::TimeDelta64(v, unit) => (DType::TimeDelta64(unit), v.into()),
            Scalar::Float16(v) => (DType::Float16, v.into()),
            Scalar::Float32(v) => (DType::Float32, v.to_bits().into()),
            Scalar::Float64(v) => (DType::Float64, v.to_bits().into()),
            other => (other.dtype(), other.as_int().expect("floats are handled above")),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Scalar {}

impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_int() {
            Some(int) => write!(f, "{int}"),
            None if self.dtype().is_time() => match (self.as_time(), self.dtype().unit()) {
                (Some(count), Some(unit)) if count != i64::MIN => write!(f, "{count} {unit}"),
                _ => f.write_str("NaT"),
            },
            None if self.dtype().is_complex() => {
                let Complex { re, im } = self.as_complex();
                let plus = if im.is_nan() { "+" } else { "" };
                write!(f, "({re}{plus}{im:+}j)")
            }
            None => write!(f, "{}", self.as_f64()),
        }
    }
}
