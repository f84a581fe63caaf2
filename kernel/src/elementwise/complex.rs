//! Arithmetic and comparison of complex numbers as NumPy does them.

use graticule_ops::{BinaryOp, UnaryOp};
use graticule_plan::DType;
use num_complex::Complex;

use super::{BinaryFn, UnaryFn, complex_functions as functions, map, map_each, zip, zip_each};
use crate::Element;

/// A complex number, with NumPy's arithmetic in the dtype of its parts.
trait Arithmetic: Element {
    type Part: Element;

    fn wide(self) -> Complex<f64>;
    fn narrow(wide: Complex<f64>) -> Self;
    fn real(self) -> Self::Part;
    fn imag(self) -> Self::Part;
    fn absolute(self) -> Self::Part;
    fn conjugate(self) -> Self;
    fn negative(self) -> Self;
    fn rint(self) -> Self;
    fn sign(self) -> Self;
    fn is_nan(self) -> bool;
    fn is_inf(self) -> bool;
    fn is_true(self) -> bool;
    fn add(self, y: Self) -> Self;
    fn subtract(self, y: Self) -> Self;
    fn multiply(self, y: Self) -> Self;
    fn divide(self, y: Self) -> Self;
    fn reciprocal(self) -> Self;
    fn power(self, y: Self) -> Self;
    /// By the real part, then by the imaginary one.
    fn is_less(self, y: Self) -> bool;
    fn is_less_or_equal(self, y: Self) -> bool;
}

macro_rules! arithmetic {
    ($($real:ident, $hypot:ident);*) => {$(
        #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
        impl Arithmetic for Complex<$real> {
            type Part = $real;

            #[inline(always)]
            fn wide(self) -> Complex<f64> {
                Complex::new(self.re as f64, self.im as f64)
            }

            #[inline(always)]
            fn narrow(wide: Complex<f64>) -> Self {
                Complex::new(wide.re as $real, wide.im as $real)
            }

            #[inline(always)]
            fn real(self) -> $real {
                self.re
            }

            #[inline(always)]
            fn imag(self) -> $real {
                self.im
            }

            #[inline]
            fn absolute(self) -> $real {
                libm::$hypot(self.re, self.im)
            }

            #[inline(always)]
            fn conjugate(self) -> Self {
                Complex::new(self.re, -self.im)
            }

            #[inline(always)]
            fn negative(self) -> Self {
                -self
            }

            #[inline(always)]
            fn rint(self) -> Self {
                Complex::new(self.re.round_ties_even(), self.im.round_ties_even())
            }

            /// The number divided by its magnitude.
            fn sign(self) -> Self {
                let magnitude = self.absolute();
                if magnitude.is_nan() || (self.re.is_infinite() && self.im.is_infinite()) {
                    Complex::new($real::NAN, $real::NAN)
                } else if self.re.is_infinite() {
                    Complex::new(self.re.signum(), 0.0)
                } else if self.im.is_infinite() {
                    Complex::new(0.0, self.im.signum())
                } else if magnitude == 0.0 {
                    Complex::new(0.0, 0.0)
                } else {
                    Complex::new(self.re / magnitude, self.im / magnitude)
                }
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                self.re.is_nan() | self.im.is_nan()
            }

            #[inline(always)]
            fn is_inf(self) -> bool {
                self.re.is_infinite() | self.im.is_infinite()
            }

            #[inline(always)]
            fn is_true(self) -> bool {
                (self.re != 0.0) | (self.im != 0.0)
            }

            #[inline(always)]
            fn add(self, y: Self) -> Self {
                self + y
            }

            #[inline(always)]
            fn subtract(self, y: Self) -> Self {
                self - y
            }

            #[inline(always)]
            fn multiply(self, y: Self) -> Self {
                Complex::new(self.re * y.re - self.im * y.im, self.re * y.im + self.im * y.re)
            }

            /// Smith: Algorithm 116, Complex division (1962), with the quotient by the scale as a product, as NumPy has it.
            #[inline]
            fn divide(self, y: Self) -> Self {
                let (re, im) = (y.re.abs(), y.im.abs());
                if re == 0.0 && im == 0.0 {
                    return Complex::new(self.re / re, self.im / re);
                }
                if re >= im {
                    let ratio = y.im / y.re;
                    let scale = 1.0 / (y.re + y.im * ratio);
                    Complex::new((self.re + self.im * ratio) * scale, (self.im - self.re * ratio) * scale)
                } else {
                    let ratio = y.re / y.im;
                    let scale = 1.0 / (y.im + y.re * ratio);
                    Complex::new((self.re * ratio + self.im) * scale, (self.im * ratio - self.re) * scale)
                }
            }

            #[inline]
            fn reciprocal(self) -> Self {
                if self.im.abs() <= self.re.abs() {
                    let ratio = self.im / self.re;
                    let scale = self.re + self.im * ratio;
                    Complex::new(1.0 / scale, -ratio / scale)
                } else {
                    let ratio = self.re / self.im;
                    let scale = self.re * ratio + self.im;
                    Complex::new(ratio / scale, -1.0 / scale)
                }
            }

            /// Small whole powers are products; so NumPy has it.
            fn power(self, y: Self) -> Self {
                const PRODUCTS_MAX: $real = 100.0;
                if y.re == 0.0 && y.im == 0.0 {
                    return Complex::new(1.0, 0.0);
                }
                if self.re == 0.0 && self.im == 0.0 {
                    return match y.re > 0.0 {
                        true => Complex::new(0.0, 0.0),
                        false => Complex::new($real::NAN, $real::NAN),
                    };
                }
                if y.im != 0.0 || y.re.fract() != 0.0 || y.re.abs() >= PRODUCTS_MAX {
                    return Self::narrow(functions::power(self.wide(), y.wide()));
                }
                let (mut left, mut square) = (y.re.abs() as u32, self);
                let mut product = Complex::new(1.0, 0.0);
                let mut is_begun = false;
                while left > 0 {
                    if left & 1 == 1 {
                        product = if is_begun { Arithmetic::multiply(product, square) } else { square };
                        is_begun = true;
                    }
                    left >>= 1;
                    if left > 0 {
                        square = Arithmetic::multiply(square, square);
                    }
                }
                if y.re < 0.0 { Arithmetic::divide(Complex::new(1.0, 0.0), product) } else { product }
            }

            #[inline(always)]
            fn is_less(self, y: Self) -> bool {
                (self.re < y.re && !self.im.is_nan() && !y.im.is_nan()) || (self.re == y.re && self.im < y.im)
            }

            #[inline(always)]
            fn is_less_or_equal(self, y: Self) -> bool {
                (self.re < y.re && !self.im.is_nan() && !y.im.is_nan()) || (self.re == y.re && self.im <= y.im)
            }
        }
    )*};
}

arithmetic!(f32, hypotf; f64, hypot);

/// The function of `op` on complex elements, if there is one.
pub(crate) fn unary(op: UnaryOp, dtype: DType) -> Option<UnaryFn> {
    if dtype == DType::Complex64 {
        plain_unary::<Complex<f32>>(op).or_else(|| function::<Complex<f32>>(op))
    } else {
        plain_unary::<Complex<f64>>(op).or_else(|| function::<Complex<f64>>(op))
    }
}

fn plain_unary<T: Arithmetic>(op: UnaryOp) -> Option<UnaryFn> {
    Some(match op {
        UnaryOp::Positive => |x, out| out.copy_from_slice(x),
        UnaryOp::Negative => |x, out| map::<T, T>(x, out, T::negative),
        UnaryOp::Conjugate => |x, out| map::<T, T>(x, out, T::conjugate),
        UnaryOp::Real => |x, out| map::<T, T::Part>(x, out, T::real),
        UnaryOp::Imag => |x, out| map::<T, T::Part>(x, out, T::imag),
        UnaryOp::Absolute => |x, out| map_each::<T, T::Part>(x, out, T::absolute),
        UnaryOp::Sign => |x, out| map_each::<T, T>(x, out, T::sign),
        UnaryOp::Square => |x, out| map::<T, T>(x, out, |x| x.multiply(x)),
        UnaryOp::Reciprocal => |x, out| map_each::<T, T>(x, out, T::reciprocal),
        UnaryOp::Rint => |x, out| map::<T, T>(x, out, T::rint),
        UnaryOp::LogicalNot => |x, out| map::<T, bool>(x, out, |x| !x.is_true()),
        UnaryOp::IsNan => |x, out| map::<T, bool>(x, out, T::is_nan),
        UnaryOp::IsInf => |x, out| map::<T, bool>(x, out, T::is_inf),
        UnaryOp::IsFinite => |x, out| map::<T, bool>(x, out, |x| !x.is_nan() && !x.is_inf()),
        _ => return None,
    })
}

/// Functions that are computed in complex128 whatever the dtype.
fn function<T: Arithmetic>(op: UnaryOp) -> Option<UnaryFn> {
    macro_rules! wide {
        ($function:ident) => {
            |x, out| map_each::<T, T>(x, out, |x| T::narrow(functions::$function(x.wide())))
        };
    }
    Some(match op {
        UnaryOp::Sqrt => wide!(sqrt),
        UnaryOp::Exp => wide!(exp),
        UnaryOp::Exp2 => wide!(exp2),
        UnaryOp::Expm1 => wide!(expm1),
        UnaryOp::Log => wide!(log),
        UnaryOp::Log2 => wide!(log2),
        UnaryOp::Log10 => wide!(log10),
        UnaryOp::Log1p => wide!(log1p),
        UnaryOp::Sin => wide!(sin),
        UnaryOp::Cos => wide!(cos),
        UnaryOp::Tan => wide!(tan),
        UnaryOp::Sinh => wide!(sinh),
        UnaryOp::Cosh => wide!(cosh),
        UnaryOp::Tanh => wide!(tanh),
        UnaryOp::Arcsin => wide!(arcsin),
        UnaryOp::Arccos => wide!(arccos),
        UnaryOp::Arctan => wide!(arctan),
        UnaryOp::Arcsinh => wide!(arcsinh),
        UnaryOp::Arccosh => wide!(arccosh),
        UnaryOp::Arctanh => wide!(arctanh),
        _ => return None,
    })
}

/// The function of `op` on two complex operands, if there is one.
pub(crate) fn binary(op: BinaryOp, dtype: DType) -> Option<BinaryFn> {
    if dtype == DType::Complex64 {
        of::<Complex<f32>>(op)
    } else {
        of::<Complex<f64>>(op)
    }
}

fn of<T: Arithmetic>(op: BinaryOp) -> Option<BinaryFn> {
    macro_rules! zipped {
        ($zip:ident, $U:ty, $f:expr) => {
            |x, y, out| {
                $zip::<T, $U>(x, y, out, $f);
                Ok(())
            }
        };
    }
    Some(match op {
        BinaryOp::Add => zipped!(zip, T, T::add),
        BinaryOp::Subtract => zipped!(zip, T, T::subtract),
        BinaryOp::Multiply => zipped!(zip, T, T::multiply),
        BinaryOp::Divide => zipped!(zip_each, T, T::divide),
        BinaryOp::Power => zipped!(zip_each, T, T::power),
        BinaryOp::Equal => zipped!(zip, bool, |x, y| x == y),
        BinaryOp::NotEqual => zipped!(zip, bool, |x, y| x != y),
        BinaryOp::Less => zipped!(zip, bool, T::is_less),
        BinaryOp::LessEqual => zipped!(zip, bool, T::is_less_or_equal),
        BinaryOp::Greater => zipped!(zip, bool, |x: T, y: T| y.is_less(x)),
        BinaryOp::GreaterEqual => zipped!(zip, bool, |x: T, y: T| y.is_less_or_equal(x)),
        BinaryOp::Minimum => zipped!(zip, T, |x: T, y: T| choose(
            x.is_less_or_equal(y) | x.is_nan(),
            x,
            y
        )),
        BinaryOp::Maximum => zipped!(zip, T, |x: T, y: T| choose(
            y.is_less_or_equal(x) | x.is_nan(),
            x,
            y
        )),
        BinaryOp::Fmin => zipped!(zip, T, |x: T, y: T| choose(
            x.is_less_or_equal(y) | y.is_nan(),
            x,
            y
        )),
        BinaryOp::Fmax => zipped!(zip, T, |x: T, y: T| choose(
            y.is_less_or_equal(x) | y.is_nan(),
            x,
            y
        )),
        BinaryOp::LogicalAnd => zipped!(zip, bool, |x: T, y: T| x.is_true() & y.is_true()),
        BinaryOp::LogicalOr => zipped!(zip, bool, |x: T, y: T| x.is_true() | y.is_true()),
        BinaryOp::LogicalXor => zipped!(zip, bool, |x: T, y: T| x.is_true() ^ y.is_true()),
        _ => return None,
    })
}

#[inline(always)]
fn choose<T>(is_first: bool, x: T, y: T) -> T {
    if is_first { x } else { y }
}
