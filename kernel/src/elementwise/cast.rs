use graticule_ops::half;
use graticule_plan::DType;
use num_complex::Complex;

use super::{UnaryFn, map};

/// The function that converts elements of one dtype to another as NumPy's `astype` does.
///
/// A float outside an integer's range saturates and NaN becomes 0, which NumPy leaves undefined. Of a
/// complex number the real part is taken, but it is true if either part is. Booleans are bytes 0
/// and 1, so they convert as such; and of an integer's bits as many are kept as there is room for, whatever the signs.
pub(crate) fn cast(from: DType, to: DType) -> UnaryFn {
    if from.is_time() || to.is_time() {
        return super::time::cast(from, to, cast);
    }
    match from {
        DType::Bool if to == DType::Bool => from_u8(DType::UInt8),
        DType::Bool | DType::UInt8 => from_u8(to),
        DType::Int8 => from_i8(to),
        DType::Int16 => from_i16(to),
        DType::Int32 => from_i32(to),
        DType::Int64 => from_i64(to),
        DType::UInt16 => from_u16(to),
        DType::UInt32 => from_u32(to),
        DType::UInt64 => from_u64(to),
        DType::Float16 => from_f16(to),
        DType::Float32 => from_f32(to),
        DType::Float64 => from_f64(to),
        DType::Complex64 => from_c64(to),
        DType::Complex128 => from_c128(to),
        DType::DateTime64(_) | DType::TimeDelta64(_) => unreachable!("conversions of times go another way"),
    }
}

macro_rules! from_integers {
    ($($name:ident: $from:ty),*) => {$(
        #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
        fn $name(to: DType) -> UnaryFn {
            match to {
                DType::Bool => |x, out| map::<$from, bool>(x, out, |x| x != 0),
                DType::Int8 | DType::UInt8 => |x, out| map::<$from, u8>(x, out, |x| x as u8),
                DType::Int16 | DType::UInt16 => |x, out| map::<$from, u16>(x, out, |x| x as u16),
                DType::Int32 | DType::UInt32 => |x, out| map::<$from, u32>(x, out, |x| x as u32),
                DType::Int64 | DType::UInt64 => |x, out| map::<$from, u64>(x, out, |x| x as u64),
                DType::Float16 => |x, out| map::<$from, u16>(x, out, |x| half::from_f32(x as f32)),
                DType::Float32 => |x, out| map::<$from, f32>(x, out, |x| x as f32),
                DType::Float64 => |x, out| map::<$from, f64>(x, out, |x| x as f64),
                DType::Complex64 => |x, out| map::<$from, _>(x, out, |x| Complex::new(x as f32, 0.0)),
                DType::Complex128 => |x, out| map::<$from, _>(x, out, |x| Complex::new(x as f64, 0.0)),
                DType::DateTime64(_) | DType::TimeDelta64(_) => unreachable!("conversions of times go another way"),
            }
        }
    )*};
}

from_integers!(
    from_i8: i8, from_i16: i16, from_i32: i32, from_i64: i64, from_u8: u8, from_u16: u16, from_u32: u32,
    from_u64: u64
);

macro_rules! from_floats {
    ($($name:ident: $from:ty),*) => {$(
        #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
        fn $name(to: DType) -> UnaryFn {
            match to {
                DType::Bool => |x, out| map::<$from, bool>(x, out, |x| x != 0.0),
                DType::Int8 => |x, out| map::<$from, i8>(x, out, |x| x as i8),
                DType::Int16 => |x, out| map::<$from, i16>(x, out, |x| x as i16),
                DType::Int32 => |x, out| map::<$from, i32>(x, out, |x| x as i32),
                DType::Int64 => |x, out| map::<$from, i64>(x, out, |x| x as i64),
                DType::UInt8 => |x, out| map::<$from, u8>(x, out, |x| x as u8),
                DType::UInt16 => |x, out| map::<$from, u16>(x, out, |x| x as u16),
                DType::UInt32 => |x, out| map::<$from, u32>(x, out, |x| x as u32),
                DType::UInt64 => |x, out| map::<$from, u64>(x, out, |x| x as u64),
                DType::Float16 => |x, out| map::<$from, u16>(x, out, |x| half::from_f64(x as f64)),
                DType::Float32 => |x, out| map::<$from, f32>(x, out, |x| x as f32),
                DType::Float64 => |x, out| map::<$from, f64>(x, out, |x| x as f64),
                DType::Complex64 => |x, out| map::<$from, _>(x, out, |x| Complex::new(x as f32, 0.0)),
                DType::Complex128 => |x, out| map::<$from, _>(x, out, |x| Complex::new(x as f64, 0.0)),
                DType::DateTime64(_) | DType::TimeDelta64(_) => unreachable!("conversions of times go another way"),
            }
        }
    )*};
}

from_floats!(from_f32: f32, from_f64: f64);

macro_rules! from_complex {
    ($($name:ident: $from:ty),*) => {$(
        #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
        fn $name(to: DType) -> UnaryFn {
            match to {
                DType::Bool => |x, out| map::<Complex<$from>, bool>(x, out, |x| x.re != 0.0 || x.im != 0.0),
                DType::Int8 => |x, out| map::<Complex<$from>, i8>(x, out, |x| x.re as i8),
                DType::Int16 => |x, out| map::<Complex<$from>, i16>(x, out, |x| x.re as i16),
                DType::Int32 => |x, out| map::<Complex<$from>, i32>(x, out, |x| x.re as i32),
                DType::Int64 => |x, out| map::<Complex<$from>, i64>(x, out, |x| x.re as i64),
                DType::UInt8 => |x, out| map::<Complex<$from>, u8>(x, out, |x| x.re as u8),
                DType::UInt16 => |x, out| map::<Complex<$from>, u16>(x, out, |x| x.re as u16),
                DType::UInt32 => |x, out| map::<Complex<$from>, u32>(x, out, |x| x.re as u32),
                DType::UInt64 => |x, out| map::<Complex<$from>, u64>(x, out, |x| x.re as u64),
                DType::Float16 => {
                    |x, out| map::<Complex<$from>, u16>(x, out, |x| half::from_f64(x.re as f64))
                }
                DType::Float32 => |x, out| map::<Complex<$from>, f32>(x, out, |x| x.re as f32),
                DType::Float64 => |x, out| map::<Complex<$from>, f64>(x, out, |x| x.re as f64),
                DType::Complex64 => {
                    |x, out| map::<Complex<$from>, _>(x, out, |x| Complex::new(x.re as f32, x.im as f32))
                }
                DType::Complex128 => {
                    |x, out| map::<Complex<$from>, _>(x, out, |x| Complex::new(x.re as f64, x.im as f64))
                }
                DType::DateTime64(_) | DType::TimeDelta64(_) => unreachable!("conversions of times go another way"),
            }
        }
    )*};
}

from_complex!(from_c64: f32, from_c128: f64);

/// Float32 holds every float16, so that is what they are converted by.
#[allow(clippy::cast_lossless)]
fn from_f16(to: DType) -> UnaryFn {
    macro_rules! via_f32 {
        ($to:ty, $convert:expr) => {
            |x, out| map::<u16, $to>(x, out, |x| $convert(half::to_f32(x)))
        };
    }
    match to {
        DType::Bool => |x, out| map::<u16, bool>(x, out, |x| x << 1 != 0),
        DType::Int8 => via_f32!(i8, |x| x as i8),
        DType::Int16 => via_f32!(i16, |x| x as i16),
        DType::Int32 => via_f32!(i32, |x| x as i32),
        DType::Int64 => via_f32!(i64, |x| x as i64),
        DType::UInt8 => via_f32!(u8, |x| x as u8),
        DType::UInt16 => via_f32!(u16, |x| x as u16),
        DType::UInt32 => via_f32!(u32, |x| x as u32),
        DType::UInt64 => via_f32!(u64, |x| x as u64),
        DType::Float16 => |x, out| out.copy_from_slice(x),
        DType::Float32 => |x, out| map::<u16, f32>(x, out, half::to_f32),
        DType::Float64 => via_f32!(f64, f64::from),
        DType::Complex64 => via_f32!(Complex<f32>, |x| Complex::new(x, 0.0)),
        DType::Complex128 => via_f32!(Complex<f64>, |x| Complex::new(f64::from(x), 0.0)),
        DType::DateTime64(_) | DType::TimeDelta64(_) => unreachable!("conversions of times go another way"),
    }
}
