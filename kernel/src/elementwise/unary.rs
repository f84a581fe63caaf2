use graticule_ops::{UnaryOp, half};
use graticule_plan::DType;

use super::{Number, UnaryFn, map, map_each};
use crate::element::with_number;

/// A float's own functions: those of `libm`, so that every host gives the same bytes.
pub(crate) trait Float: Number {
    fn pow(self, y: Self) -> Self;
    fn divide(self, y: Self) -> Self;
    fn arctan2(self, y: Self) -> Self;
    fn hypot(self, y: Self) -> Self;
    fn copysign(self, y: Self) -> Self;
    fn nextafter(self, y: Self) -> Self;
    /// Times 2 to the power of `y`, a whole number.
    fn ldexp(self, y: Self) -> Self;
    fn spacing(self) -> Self;
    fn deg2rad(self) -> Self;
    fn rad2deg(self) -> Self;
    fn function(op: UnaryOp) -> Option<UnaryFn>;
}

macro_rules! floats {
    ($($type:ident: $($op:ident => $function:ident),*; $pow:ident, $atan2:ident, $hypot:ident, $acosh:ident, $nextafter:ident, $ldexp:ident, $frexp:ident);* $(;)?) => {$(
        impl Float for $type {
            #[inline]
            fn pow(self, y: Self) -> Self {
                libm::$pow(self, y)
            }

            #[inline(always)]
            fn divide(self, y: Self) -> Self {
                self / y
            }

            #[inline]
            fn arctan2(self, y: Self) -> Self {
                libm::$atan2(self, y)
            }

            #[inline]
            fn hypot(self, y: Self) -> Self {
                libm::$hypot(self, y)
            }

            #[inline(always)]
            fn copysign(self, y: Self) -> Self {
                $type::copysign(self, y)
            }

            #[inline]
            fn nextafter(self, y: Self) -> Self {
                libm::$nextafter(self, y)
            }

            #[inline]
            fn ldexp(self, y: Self) -> Self {
                libm::$ldexp(self, y as i32)
            }

            #[inline]
            fn spacing(self) -> Self {
                if self.is_infinite() {
                    $type::NAN
                } else if self >= 0.0 {
                    self.next_up() - self
                } else {
                    self.next_down() - self
                }
            }

            #[inline(always)]
            fn deg2rad(self) -> Self {
                self * (std::$type::consts::PI / 180.0)
            }

            #[inline(always)]
            fn rad2deg(self) -> Self {
                self * (180.0 / std::$type::consts::PI)
            }

            #[allow(clippy::unnecessary_cast)]
            fn function(op: UnaryOp) -> Option<UnaryFn> {
                Some(match op {
                    $(UnaryOp::$op => |x, out| map_each::<Self, Self>(x, out, libm::$function),)*
                    // libm's own is not defined below 1.
                    UnaryOp::Arccosh => |x, out| {
                        map_each::<Self, Self>(x, out, |x| if x < 1.0 { $type::NAN } else { libm::$acosh(x) });
                    },
                    UnaryOp::Sqrt => |x, out| map::<Self, Self>(x, out, $type::sqrt),
                    UnaryOp::Floor => |x, out| map::<Self, Self>(x, out, $type::floor),
                    UnaryOp::Ceil => |x, out| map::<Self, Self>(x, out, $type::ceil),
                    UnaryOp::Trunc => |x, out| map::<Self, Self>(x, out, $type::trunc),
                    UnaryOp::Rint => |x, out| map::<Self, Self>(x, out, $type::round_ties_even),
                    UnaryOp::Deg2rad => |x, out| map::<Self, Self>(x, out, Float::deg2rad),
                    UnaryOp::Rad2deg => |x, out| map::<Self, Self>(x, out, Float::rad2deg),
                    UnaryOp::Spacing => |x, out| map_each::<Self, Self>(x, out, Float::spacing),
                    UnaryOp::I0 => |x, out| {
                        map_each::<Self, Self>(x, out, |x| super::bessel::i0(f64::from(x)) as $type);
                    },
                    UnaryOp::Mantissa => |x, out| map_each::<Self, Self>(x, out, |x| libm::$frexp(x).0),
                    UnaryOp::Exponent => |x, out| map_each::<Self, i32>(x, out, |x| libm::$frexp(x).1),
                    _ => return None,
                })
            }
        }
    )*};
}

floats!(
    f32: Cbrt => cbrtf, Exp => expf, Exp2 => exp2f, Expm1 => expm1f, Log => logf, Log2 => log2f,
        Log10 => log10f, Log1p => log1pf, Sin => sinf, Cos => cosf, Tan => tanf, Arcsin => asinf, Arccos => acosf,
        Arctan => atanf, Sinh => sinhf, Cosh => coshf, Tanh => tanhf, Arcsinh => asinhf,
        Arctanh => atanhf; powf, atan2f, hypotf, acoshf, nextafterf, ldexpf, frexpf;
    f64: Cbrt => cbrt, Exp => exp, Exp2 => exp2, Expm1 => expm1, Log => log, Log2 => log2,
        Log10 => log10, Log1p => log1p, Sin => sin, Cos => cos, Tan => tan, Arcsin => asin, Arccos => acos,
        Arctan => atan, Sinh => sinh, Cosh => cosh, Tanh => tanh, Arcsinh => asinh,
        Arctanh => atanh; pow, atan2, hypot, acosh, nextafter, ldexp, frexp;
);

/// The function of `op` on elements of `dtype`, if there is one; its result has the dtype that
/// [`UnaryOp::dtypes`] says.
pub(crate) fn unary(op: UnaryOp, dtype: DType) -> Option<UnaryFn> {
    match dtype {
        DType::Bool => boolean(op),
        DType::Complex64 | DType::Complex128 => super::complex::unary(op, dtype),
        DType::DateTime64(_) | DType::TimeDelta64(_) => super::time::unary(op),
        // All else is done in float32; this depends on how far apart float16 lie.
        DType::Float16 => {
            (op == UnaryOp::Spacing).then_some(|x, out| map_each::<u16, u16>(x, out, half::spacing))
        }
        DType::Float32 => f32::function(op).or_else(|| number::<f32>(op)),
        DType::Float64 => f64::function(op).or_else(|| number::<f64>(op)),
        _ => integer(op, dtype).or_else(|| with_number!(dtype, T => number::<T>(op), None)),
    }
}

fn number<T: Number>(op: UnaryOp) -> Option<UnaryFn> {
    Some(match op {
        UnaryOp::Negative => |x, out| map::<T, T>(x, out, T::negative),
        UnaryOp::Positive | UnaryOp::Conjugate | UnaryOp::Real => |x, out| out.copy_from_slice(x),
        UnaryOp::Imag => |_, out| out.fill(0),
        UnaryOp::Absolute => |x, out| map::<T, T>(x, out, T::absolute),
        UnaryOp::Sign => |x, out| map::<T, T>(x, out, T::sign),
        UnaryOp::Square => |x, out| map::<T, T>(x, out, |x| x.multiply(x)),
        UnaryOp::Reciprocal => |x, out| map_each::<T, T>(x, out, T::reciprocal),
        UnaryOp::LogicalNot => |x, out| map::<T, bool>(x, out, |x| x == T::default()),
        UnaryOp::IsNan | UnaryOp::IsInf if !T::IS_FLOAT => |_, out| out.fill(0),
        UnaryOp::IsFinite if !T::IS_FLOAT => |_, out| out.fill(1),
        UnaryOp::IsNan => |x, out| map::<T, bool>(x, out, T::is_nan),
        UnaryOp::IsFinite => |x, out| map::<T, bool>(x, out, T::is_finite),
        UnaryOp::IsInf => |x, out| map::<T, bool>(x, out, |x| !x.is_finite() && !x.is_nan()),
        _ => return None,
    })
}

fn integer(op: UnaryOp, dtype: DType) -> Option<UnaryFn> {
    macro_rules! of {
        ($type:ty) => {
            Some(match op {
                UnaryOp::Invert => |x, out| map::<$type, $type>(x, out, |x| !x),
                UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Trunc => |x, out| out.copy_from_slice(x),
                _ => return None,
            })
        };
    }
    match dtype {
        DType::Int8 => of!(i8),
        DType::Int16 => of!(i16),
        DType::Int32 => of!(i32),
        DType::Int64 => of!(i64),
        DType::UInt8 => of!(u8),
        DType::UInt16 => of!(u16),
        DType::UInt32 => of!(u32),
        DType::UInt64 => of!(u64),
        _ => None,
    }
}

fn boolean(op: UnaryOp) -> Option<UnaryFn> {
    Some(match op {
        UnaryOp::Absolute | UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Trunc | UnaryOp::Real => {
            |x, out| out.copy_from_slice(x)
        }
        UnaryOp::LogicalNot | UnaryOp::Invert => |x, out| map::<bool, bool>(x, out, |x| !x),
        UnaryOp::IsNan | UnaryOp::IsInf | UnaryOp::Imag => |_, out| out.fill(0),
        UnaryOp::IsFinite => |_, out| out.fill(1),
        _ => return None,
    })
}
