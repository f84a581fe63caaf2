//! What an operation takes beside arrays, and NumPy 2's promotion (NEP 50).

use std::cmp::Reverse;

use graticule_ops::{Complex, OpsError, Scalar, promote, promote_weak};
use graticule_plan::{DType, Kind};

use crate::{Array, Element};

/// An operand: an array, or a number that becomes one.
///
/// Rust's `i64`, `i32`, `f64` and `bool`, and the complex numbers of `f64`, are *weak*, as Python's numbers are: they take the dtype of the array they
/// meet (`float32 * 2.0` stays float32; `uint8 + 300` is an error). A [`Scalar`] is typed and promotes as an array does.
#[derive(Debug, Clone)]
pub enum Operand {
    /// An array.
    Array(Array),
    /// A weak integer.
    Int(i128),
    /// A weak float.
    Float(f64),
    /// A weak complex number.
    Complex(Complex<f64>),
    /// A weak boolean.
    Bool(bool),
    /// A number with a dtype of its own.
    Typed(Scalar),
}

impl From<Array> for Operand {
    fn from(array: Array) -> Self {
        Operand::Array(array)
    }
}

impl From<&Array> for Operand {
    fn from(array: &Array) -> Self {
        Operand::Array(array.clone())
    }
}

impl From<Scalar> for Operand {
    fn from(scalar: Scalar) -> Self {
        Operand::Typed(scalar)
    }
}

impl From<f64> for Operand {
    fn from(value: f64) -> Self {
        Operand::Float(value)
    }
}

impl From<Complex<f64>> for Operand {
    fn from(value: Complex<f64>) -> Self {
        Operand::Complex(value)
    }
}

impl From<i64> for Operand {
    fn from(value: i64) -> Self {
        Operand::Int(value.into())
    }
}

impl From<i32> for Operand {
    fn from(value: i32) -> Self {
        Operand::Int(value.into())
    }
}

impl From<bool> for Operand {
    fn from(value: bool) -> Self {
        Operand::Bool(value)
    }
}

impl Operand {
    /// The number as a typed operand, whatever it meets.
    pub fn typed<T: Element>(value: T) -> Self {
        Operand::Typed(value.scalar())
    }

    /// The dtype, or the kind where the operand is weak.
    fn strength(&self) -> Result<DType, Kind> {
        match self {
            Operand::Array(array) => Ok(array.dtype()),
            Operand::Typed(scalar) => Ok(scalar.dtype()),
            Operand::Int(_) => Err(Kind::Signed),
            Operand::Float(_) => Err(Kind::Float),
            Operand::Complex(_) => Err(Kind::Complex),
            Operand::Bool(_) => Err(Kind::Bool),
        }
    }

    /// The dtype, unless the operand is weak.
    pub(crate) fn dtype(&self) -> Option<DType> {
        self.strength().ok()
    }

    /// The integer, if the operand is a weak one.
    pub(crate) fn weak_int(&self) -> Option<i128> {
        match self {
            Operand::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The operand as an array, to be cast to `common` later; a weak number is put in `common` right away.
    ///
    /// # Errors
    /// [`OpsError::OutOfBounds`] for a weak integer that `common` cannot hold.
    pub(crate) fn into_array(self, common: DType) -> Result<Array, OpsError> {
        let scalar = match self {
            Operand::Array(array) => return Ok(array),
            Operand::Typed(scalar) => scalar,
            Operand::Int(value) => weak_int(value, common)?,
            Operand::Float(value) => weak_float(value, common),
            Operand::Complex(value) => Scalar::from_complex(value, common)
                .expect("promotion of a weak complex number gives a complex dtype"),
            Operand::Bool(value) => {
                Scalar::from_int(value.into(), common).expect("every dtype holds 0 and 1")
            }
        };
        Ok(Array::scalar(scalar))
    }
}

/// A weak integer in `dtype`: Python's int goes through a C double to become a float.
pub(crate) fn weak_int(value: i128, dtype: DType) -> Result<Scalar, OpsError> {
    match dtype {
        DType::Float16 | DType::Float32 | DType::Complex64 => {
            let value = Scalar::from_float(value as f64, dtype);
            Ok(value.expect("a float or complex dtype"))
        }
        _ => graticule_ops::can_hold(dtype, value),
    }
}

fn weak_float(value: f64, dtype: DType) -> Scalar {
    Scalar::from_float(value, dtype).expect("promotion of a weak float gives a float or complex dtype")
}

/// The common dtype of several operands, of which at least one may be strong: NumPy's `result_type`.
///
/// Weak numbers alone take their kind's default: bool, int64, float64, complex128.
///
/// # Errors
/// [`OpsError::Promotion`] for times beside what does not go with them.
pub(crate) fn common_dtype<'a>(operands: impl IntoIterator<Item = &'a Operand>) -> Result<DType, OpsError> {
    let (mut strong, mut weak) = (Vec::new(), None);
    for operand in operands {
        match operand.strength() {
            Ok(dtype) => strong.push(dtype),
            Err(kind) => weak = weak.max(Some(kind)),
        }
    }
    Ok(match (promote_all(strong)?, weak) {
        (Some(dtype), None) => dtype,
        (Some(dtype), Some(kind)) => promote_weak(dtype, kind)?,
        (None, Some(Kind::Float)) => DType::Float64,
        (None, Some(Kind::Complex)) => DType::Complex128,
        (None, Some(Kind::Bool)) => DType::Bool,
        (None, _) => DType::Int64,
    })
}

/// The dtype that all promote to. As in NumPy those of the highest kind come first: int8, uint16 and float32 are float32
/// together, though the int32 of the first two would need float64.
///
/// # Errors
/// [`OpsError::Promotion`].
pub(crate) fn promote_all(mut dtypes: Vec<DType>) -> Result<Option<DType>, OpsError> {
    dtypes.sort_by_key(|dtype| Reverse(dtype.kind()));
    let mut dtypes = dtypes.into_iter();
    let Some(first) = dtypes.next() else {
        return Ok(None);
    };
    dtypes.try_fold(first, promote).map(Some)
}
