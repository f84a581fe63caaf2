use bytemuck::{NoUninit, Pod};
use graticule_ops::Scalar;
use graticule_plan::{DType, TimeUnit};
use num_complex::Complex;

use crate::Time;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that is the element of some dtype: `bool`, the integers of 8 to 64 bits, `f32` and `f64`, the complex
/// numbers of those, and [`Time`] for times of every unit. The bits of float16 are `u16`, which no computing node takes:
/// they are moved, and converted to float32.
pub trait Element:
    sealed::Sealed + NoUninit + PartialEq + Default + Send + Sync + std::fmt::Debug + 'static
{
    /// The dtype; of times one of several, see [`is_of`](Self::is_of).
    const DTYPE: DType;

    /// Whether elements of a dtype are of this type.
    fn is_of(dtype: DType) -> bool {
        dtype == Self::DTYPE
    }

    /// The scalar's value, if it is of this dtype.
    fn from_scalar(scalar: Scalar) -> Option<Self>;

    /// The value as a scalar of a dtype, which must be one of this type.
    fn to_scalar(self, dtype: DType) -> Scalar;

    #[doc(hidden)]
    fn slice(bytes: &[u8]) -> &[Self];

    #[doc(hidden)]
    fn slice_mut(bytes: &mut [u8]) -> &mut [Self];
}

macro_rules! numbers {
    ($($type:ty => $variant:ident),*) => {$(
        impl sealed::Sealed for $type {}

        impl Element for $type {
            const DTYPE: DType = DType::$variant;

            fn from_scalar(scalar: Scalar) -> Option<Self> {
                if let Scalar::$variant(value) = scalar { Some(value) } else { None }
            }

            fn to_scalar(self, _: DType) -> Scalar {
                Scalar::$variant(self)
            }

            fn slice(bytes: &[u8]) -> &[Self] {
                bytemuck::cast_slice(bytes)
            }

            fn slice_mut(bytes: &mut [u8]) -> &mut [Self] {
                bytemuck::cast_slice_mut(bytes)
            }
        }

        const _: () = {
            const fn is_pod<T: Pod>() {}
            is_pod::<$type>()
        };
    )*};
}

numbers!(
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    u8 => UInt8, u32 => UInt32, u64 => UInt64,
    f32 => Float32, f64 => Float64, Complex<f32> => Complex64, Complex<f64> => Complex128
);

impl sealed::Sealed for u16 {}

impl Element for u16 {
    const DTYPE: DType = DType::UInt16;

    fn is_of(dtype: DType) -> bool {
        matches!(dtype, DType::UInt16 | DType::Float16)
    }

    fn from_scalar(scalar: Scalar) -> Option<Self> {
        match scalar {
            Scalar::UInt16(bits) | Scalar::Float16(bits) => Some(bits),
            _ => None,
        }
    }

    fn to_scalar(self, dtype: DType) -> Scalar {
        match dtype {
            DType::Float16 => Scalar::Float16(self),
            _ => Scalar::UInt16(self),
        }
    }

    fn slice(bytes: &[u8]) -> &[Self] {
        bytemuck::cast_slice(bytes)
    }

    fn slice_mut(bytes: &mut [u8]) -> &mut [Self] {
        bytemuck::cast_slice_mut(bytes)
    }
}

impl sealed::Sealed for Time {}

impl Element for Time {
    const DTYPE: DType = DType::TimeDelta64(TimeUnit::Nanosecond);

    fn is_of(dtype: DType) -> bool {
        dtype.is_time()
    }

    fn from_scalar(scalar: Scalar) -> Option<Self> {
        scalar.as_time().map(Time)
    }

    fn to_scalar(self, dtype: DType) -> Scalar {
        Scalar::time(self.0, dtype).expect("the caller has a dtype of times")
    }

    fn slice(bytes: &[u8]) -> &[Self] {
        bytemuck::cast_slice(bytes)
    }

    fn slice_mut(bytes: &mut [u8]) -> &mut [Self] {
        bytemuck::cast_slice_mut(bytes)
    }
}

impl sealed::Sealed for bool {}

impl Element for bool {
    const DTYPE: DType = DType::Bool;

    fn from_scalar(scalar: Scalar) -> Option<Self> {
        if let Scalar::Bool(value) = scalar {
            Some(value)
        } else {
            None
        }
    }

    fn to_scalar(self, _: DType) -> Scalar {
        Scalar::Bool(self)
    }

    fn slice(bytes: &[u8]) -> &[Self] {
        debug_assert!(bytes.iter().all(|&byte| byte <= 1));
        // SAFETY: a bool has the size and alignment of a u8. Every buffer of dtype bool in this crate holds only 0
        // and 1: foreign bytes pass `normalise_bools` before they become a tensor, all others are written as bool.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len())
        }
    }

    fn slice_mut(bytes: &mut [u8]) -> &mut [Self] {
        debug_assert!(bytes.iter().all(|&byte| byte <= 1));
        // SAFETY: as in `slice`; through the result only 0 and 1 can be written.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len())
        }
    }
}

/// Makes every byte that is not 0 a 1.
pub(crate) fn normalise_bools(bytes: &mut [u8]) {
    bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
}

/// Whether bytes can be booleans as they are.
pub(crate) fn are_bools(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, &byte| all | byte) <= 1
}

/// Calls `$body` with the type alias `$T` for the Rust type of a dtype, or gives `$otherwise` for booleans, float16,
/// complex numbers and times.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $body:expr, $otherwise:expr) => {{
        use graticule_plan::DType as D;
        match $dtype {
            D::Bool | D::Float16 | D::Complex64 | D::Complex128 | D::DateTime64(_) | D::TimeDelta64(_) => {
                $otherwise
            }
            D::Int8 => {
                type $T = i8;
                $body
            }
            D::Int16 => {
                type $T = i16;
                $body
            }
            D::Int32 => {
                type $T = i32;
                $body
            }
            D::Int64 => {
                type $T = i64;
                $body
            }
            D::UInt8 => {
                type $T = u8;
                $body
            }
            D::UInt16 => {
                type $T = u16;
                $body
            }
            D::UInt32 => {
                type $T = u32;
                $body
            }
            D::UInt64 => {
                type $T = u64;
                $body
            }
            D::Float32 => {
                type $T = f32;
                $body
            }
            D::Float64 => {
                type $T = f64;
                $body
            }
        }
    }};
}
pub(crate) use with_number;

/// Calls `$body` with the type alias `$T` for the Rust type of a dtype.
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            graticule_plan::DType::Complex64 => {
                type $T = num_complex::Complex<f32>;
                $body
            }
            graticule_plan::DType::Complex128 => {
                type $T = num_complex::Complex<f64>;
                $body
            }
            graticule_plan::DType::DateTime64(_) | graticule_plan::DType::TimeDelta64(_) => {
                type $T = $crate::Time;
                $body
            }
            graticule_plan::DType::Float16 => {
                type $T = u16;
                $body
            }
            dtype => $crate::element::with_number!(dtype, $T => $body, {
                type $T = bool;
                $body
            }),
        }
    };
}
pub(crate) use with_element;
