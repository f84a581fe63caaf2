use graticule_ops::{BinaryOp, half};
use graticule_plan::DType;

use super::{BinaryFn, Number, unary::Float, zip, zip_each};
use crate::{Element, KernelError, element::with_number};

/// A `BinaryFn` of a function of two elements that vectorises.
macro_rules! zipped {
    ($T:ty => $U:ty, $f:expr) => {
        |x, y, out| {
            zip::<$T, $U>(x, y, out, $f);
            Ok(())
        }
    };
}

/// A `BinaryFn` of one that does not.
macro_rules! zipped_each {
    ($T:ty, $f:expr) => {
        |x, y, out| {
            zip_each::<$T, $T>(x, y, out, $f);
            Ok(())
        }
    };
}

/// The function of `op` on two operands of `dtype`, if there is one; its result has the dtype that
/// [`BinaryOp::dtypes`] says.
pub(crate) fn binary(op: BinaryOp, dtype: DType) -> Option<BinaryFn> {
    if dtype.is_complex() {
        return super::complex::binary(op, dtype);
    }
    if dtype.is_time() {
        return super::time::binary(op);
    }
    if dtype == DType::Float16 {
        // All else is done in float32; this depends on how far apart float16 lie.
        return (op == BinaryOp::Nextafter).then_some(zipped_each!(u16, half::nextafter));
    }
    let special = || match dtype {
        DType::Bool => None,
        DType::Float32 => float::<f32>(op).or_else(|| ordered::<f32>(op)),
        DType::Float64 => float::<f64>(op).or_else(|| ordered::<f64>(op)),
        _ => bits(op, dtype).or_else(|| with_number!(dtype, T => ordered::<T>(op), None)),
    };
    compared(op, dtype)
        .or_else(|| logical(op, dtype))
        .or_else(special)
}

fn compared(op: BinaryOp, dtype: DType) -> Option<BinaryFn> {
    fn order<T: Element + PartialOrd>(op: BinaryOp) -> Option<BinaryFn> {
        Some(match op {
            BinaryOp::Less => zipped!(T => bool, |x, y| x < y),
            BinaryOp::LessEqual => zipped!(T => bool, |x, y| x <= y),
            BinaryOp::Greater => |x, y, out| {
                zip::<T, bool>(y, x, out, |y, x| y < x);
                Ok(())
            },
            BinaryOp::GreaterEqual => |x, y, out| {
                zip::<T, bool>(y, x, out, |y, x| y <= x);
                Ok(())
            },
            _ => return None,
        })
    }
    fn equality<T: Element>(op: BinaryOp) -> Option<BinaryFn> {
        Some(match op {
            BinaryOp::Equal => zipped!(T => bool, |x, y| x == y),
            BinaryOp::NotEqual => zipped!(T => bool, |x, y| x != y),
            _ => return None,
        })
    }
    match op {
        // Whether integers are equal does not depend on their signs.
        BinaryOp::Equal | BinaryOp::NotEqual => match dtype {
            DType::Bool | DType::Int8 | DType::UInt8 => equality::<u8>(op),
            DType::Int16 | DType::UInt16 => equality::<u16>(op),
            DType::Int32 | DType::UInt32 => equality::<u32>(op),
            DType::Int64 | DType::UInt64 => equality::<u64>(op),
            DType::Float32 => equality::<f32>(op),
            DType::Float64 => equality::<f64>(op),
            DType::Float16
            | DType::Complex64
            | DType::Complex128
            | DType::DateTime64(_)
            | DType::TimeDelta64(_) => None,
        },
        _ if dtype == DType::Bool => order::<u8>(op),
        _ => with_number!(dtype, T => order::<T>(op), None),
    }
}

/// Logic, and arithmetic on booleans, which is logic too.
fn logical(op: BinaryOp, dtype: DType) -> Option<BinaryFn> {
    use BinaryOp::*;
    if dtype == DType::Bool {
        return Some(match op {
            Add | Maximum | Fmax | BitwiseOr | LogicalOr => zipped!(bool => bool, |x, y| x | y),
            Multiply | Minimum | Fmin | BitwiseAnd | LogicalAnd => zipped!(bool => bool, |x, y| x & y),
            BitwiseXor | LogicalXor => zipped!(bool => bool, |x, y| x ^ y),
            _ => return None,
        });
    }
    fn of<T: Element>(op: BinaryOp) -> Option<BinaryFn> {
        Some(match op {
            LogicalAnd => |x, y, out| {
                zip_each::<T, bool>(x, y, out, |x, y| (x != T::default()) & (y != T::default()));
                Ok(())
            },
            LogicalOr => |x, y, out| {
                zip_each::<T, bool>(x, y, out, |x, y| (x != T::default()) | (y != T::default()));
                Ok(())
            },
            LogicalXor => |x, y, out| {
                zip_each::<T, bool>(x, y, out, |x, y| (x != T::default()) ^ (y != T::default()));
                Ok(())
            },
            _ => return None,
        })
    }
    match dtype {
        DType::Float32 => of::<f32>(op),
        DType::Float64 => of::<f64>(op),
        _ => match dtype.size_bytes() {
            1 => of::<u8>(op),
            2 => of::<u16>(op),
            4 => of::<u32>(op),
            _ => of::<u64>(op),
        },
    }
}

/// Arithmetic that depends on the sign.
fn ordered<T: Number>(op: BinaryOp) -> Option<BinaryFn> {
    Some(match op {
        BinaryOp::FloorDivide => zipped_each!(T, T::floor_divide),
        BinaryOp::Remainder => zipped_each!(T, T::remainder),
        BinaryOp::Fmod => zipped_each!(T, T::fmod),
        BinaryOp::Power => power::<T>,
        BinaryOp::Minimum => zipped!(T => T, T::minimum),
        BinaryOp::Maximum => zipped!(T => T, T::maximum),
        BinaryOp::Fmin if !T::IS_FLOAT => zipped!(T => T, T::minimum),
        BinaryOp::Fmax if !T::IS_FLOAT => zipped!(T => T, T::maximum),
        BinaryOp::Fmin => zipped!(T => T, T::fmin),
        BinaryOp::Fmax => zipped!(T => T, T::fmax),
        _ => return None,
    })
}

/// As NumPy, refuses negative exponents of integers wherever one stands.
fn power<T: Number>(x: &[u8], y: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
    if !T::IS_FLOAT && T::slice(y).iter().any(|y| y.is_negative()) {
        return Err(KernelError::NegativePower);
    }
    zip_each::<T, T>(x, y, out, T::power);
    Ok(())
}

fn float<T: Float>(op: BinaryOp) -> Option<BinaryFn> {
    Some(match op {
        BinaryOp::Add => zipped!(T => T, T::add),
        BinaryOp::Subtract => zipped!(T => T, T::subtract),
        BinaryOp::Multiply => zipped!(T => T, T::multiply),
        BinaryOp::Divide => zipped!(T => T, T::divide),
        BinaryOp::Arctan2 => zipped_each!(T, T::arctan2),
        BinaryOp::Hypot => zipped_each!(T, T::hypot),
        BinaryOp::Copysign => zipped!(T => T, Float::copysign),
        BinaryOp::Nextafter => zipped_each!(T, T::nextafter),
        BinaryOp::Ldexp => zipped_each!(T, T::ldexp),
        _ => return None,
    })
}

/// Operations on an integer's bits: those that wrap do the same to signed and unsigned ones.
fn bits(op: BinaryOp, dtype: DType) -> Option<BinaryFn> {
    macro_rules! of {
        ($U:ty, $S:ty) => {
            Some(match op {
                BinaryOp::Add => zipped!($U => $U, Number::add),
                BinaryOp::Subtract => zipped!($U => $U, Number::subtract),
                BinaryOp::Multiply => zipped!($U => $U, Number::multiply),
                BinaryOp::BitwiseAnd => zipped!($U => $U, |x, y| x & y),
                BinaryOp::BitwiseOr => zipped!($U => $U, |x, y| x | y),
                BinaryOp::BitwiseXor => zipped!($U => $U, |x, y| x ^ y),
                // A shift by a negative number is, as an unsigned one, a shift beyond the width.
                BinaryOp::LeftShift => zipped!($U => $U, |x, y| {
                    if y < <$U>::BITS as $U { x.wrapping_shl(y as u32) } else { 0 }
                }),
                BinaryOp::RightShift if dtype.kind() == graticule_plan::Kind::Signed => zipped!($S => $S, |x, y| {
                    let by = (y as $U).min(<$U>::BITS as $U - 1);
                    x.wrapping_shr(by as u32)
                }),
                BinaryOp::RightShift => zipped!($U => $U, |x, y| {
                    if y < <$U>::BITS as $U { x.wrapping_shr(y as u32) } else { 0 }
                }),
                _ => return None,
            })
        };
    }
    match dtype.size_bytes() {
        1 => of!(u8, i8),
        2 => of!(u16, i16),
        4 => of!(u32, i32),
        _ => of!(u64, i64),
    }
}
