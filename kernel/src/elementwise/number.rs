//! Arithmetic of each number type as NumPy does it.

use crate::Element;

/// An integer or a float, with NumPy's arithmetic.
pub(crate) trait Number: Element + PartialOrd {
    /// Whether some values of the type are NaN.
    const IS_FLOAT: bool;

    fn add(self, y: Self) -> Self;
    fn subtract(self, y: Self) -> Self;
    fn multiply(self, y: Self) -> Self;
    fn floor_divide(self, y: Self) -> Self;
    fn remainder(self, y: Self) -> Self;
    fn fmod(self, y: Self) -> Self;
    fn power(self, y: Self) -> Self;
    fn minimum(self, y: Self) -> Self;
    fn maximum(self, y: Self) -> Self;
    fn fmin(self, y: Self) -> Self;
    fn fmax(self, y: Self) -> Self;
    fn negative(self) -> Self;
    fn absolute(self) -> Self;
    fn sign(self) -> Self;
    fn reciprocal(self) -> Self;
    fn is_nan(self) -> bool;
    fn is_finite(self) -> bool;
    fn is_negative(self) -> bool;
    fn to_f64(self) -> f64;
    /// `self - low` for `low <= self`: exact for integers, rounded in the own type for floats.
    fn distance_above(self, low: Self) -> f64;
}

macro_rules! integers {
    ($($type:ty, $unsigned:ty);*) => {$(
        #[allow(unused_comparisons, clippy::unnecessary_cast, clippy::cast_lossless)]
        impl Number for $type {
            const IS_FLOAT: bool = false;

            #[inline(always)]
            fn add(self, y: Self) -> Self {
                self.wrapping_add(y)
            }

            #[inline(always)]
            fn subtract(self, y: Self) -> Self {
                self.wrapping_sub(y)
            }

            #[inline(always)]
            fn multiply(self, y: Self) -> Self {
                self.wrapping_mul(y)
            }

            /// Division by zero gives 0, as in NumPy.
            #[inline(always)]
            fn floor_divide(self, y: Self) -> Self {
                if y == 0 {
                    return 0;
                }
                let quotient = self.wrapping_div(y);
                let is_between = self.wrapping_rem(y) != 0;
                if is_between && ((self < 0) != (y < 0)) { quotient.wrapping_sub(1) } else { quotient }
            }

            #[inline(always)]
            fn remainder(self, y: Self) -> Self {
                let rest = self.fmod(y);
                if rest != 0 && ((rest < 0) != (y < 0)) { rest.wrapping_add(y) } else { rest }
            }

            #[inline(always)]
            fn fmod(self, y: Self) -> Self {
                if y == 0 { 0 } else { self.wrapping_rem(y) }
            }

            /// For `y` that is not negative.
            #[inline]
            fn power(self, y: Self) -> Self {
                let (mut base, mut left, mut result) = (self, y, 1 as Self);
                while left > 0 {
                    if left & 1 == 1 {
                        result = result.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    left >>= 1;
                }
                result
            }

            #[inline(always)]
            fn minimum(self, y: Self) -> Self {
                self.min(y)
            }

            #[inline(always)]
            fn maximum(self, y: Self) -> Self {
                self.max(y)
            }

            #[inline(always)]
            fn fmin(self, y: Self) -> Self {
                self.min(y)
            }

            #[inline(always)]
            fn fmax(self, y: Self) -> Self {
                self.max(y)
            }

            #[inline(always)]
            fn negative(self) -> Self {
                self.wrapping_neg()
            }

            #[inline(always)]
            fn absolute(self) -> Self {
                if self < 0 { self.wrapping_neg() } else { self }
            }

            #[inline(always)]
            fn sign(self) -> Self {
                if self < 0 { (0 as Self).wrapping_sub(1) } else { Self::from(self > 0) }
            }

            /// Of 0 it is 0, as is every integer division by zero; NumPy leaves it undefined.
            #[inline(always)]
            fn reciprocal(self) -> Self {
                if self == 0 { 0 } else { (1 as Self).wrapping_div(self) }
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                false
            }

            #[inline(always)]
            fn is_finite(self) -> bool {
                true
            }

            #[inline(always)]
            fn is_negative(self) -> bool {
                self < 0
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn distance_above(self, low: Self) -> f64 {
                self.wrapping_sub(low) as $unsigned as f64
            }
        }
    )*};
}

integers!(
    i8, u8; i16, u16; i32, u32; i64, u64;
    u8, u8; u16, u16; u32, u32; u64, u64
);

macro_rules! floats {
    ($($type:ident),*) => {$(
        #[allow(clippy::cast_lossless, clippy::unnecessary_cast)]
        impl Number for $type {
            const IS_FLOAT: bool = true;

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
                self * y
            }

            /// NumPy's `npy_floor_divide`: by way of the remainder, so that `a == b * (a // b) + a % b` nearly.
            #[inline]
            fn floor_divide(self, y: Self) -> Self {
                if y == 0.0 {
                    return self / y;
                }
                let rest = self % y;
                let mut quotient = (self - rest) / y;
                if rest != 0.0 && ((y < 0.0) != (rest < 0.0)) {
                    quotient -= 1.0;
                }
                if quotient == 0.0 {
                    return (0.0 as Self).copysign(self / y);
                }
                let floor = quotient.floor();
                if quotient - floor > 0.5 { floor + 1.0 } else { floor }
            }

            /// NumPy's `npy_remainder`.
            #[inline]
            fn remainder(self, y: Self) -> Self {
                let rest = self % y;
                if y == 0.0 {
                    rest
                } else if rest == 0.0 {
                    (0.0 as Self).copysign(y)
                } else if (y < 0.0) != (rest < 0.0) {
                    rest + y
                } else {
                    rest
                }
            }

            #[inline]
            fn fmod(self, y: Self) -> Self {
                self % y
            }

            #[inline]
            fn power(self, y: Self) -> Self {
                if y == 2.0 { self * self } else { super::unary::Float::pow(self, y) }
            }

            #[inline(always)]
            fn minimum(self, y: Self) -> Self {
                if self < y || self.is_nan() { self } else { y }
            }

            #[inline(always)]
            fn maximum(self, y: Self) -> Self {
                if self > y || self.is_nan() { self } else { y }
            }

            #[inline(always)]
            fn fmin(self, y: Self) -> Self {
                if self <= y || y.is_nan() { self } else { y }
            }

            #[inline(always)]
            fn fmax(self, y: Self) -> Self {
                if self >= y || y.is_nan() { self } else { y }
            }

            #[inline(always)]
            fn negative(self) -> Self {
                -self
            }

            #[inline(always)]
            fn absolute(self) -> Self {
                self.abs()
            }

            #[inline(always)]
            fn sign(self) -> Self {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else if self == 0.0 {
                    0.0
                } else {
                    self
                }
            }

            #[inline(always)]
            fn reciprocal(self) -> Self {
                1.0 / self
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                $type::is_nan(self)
            }

            #[inline(always)]
            fn is_finite(self) -> bool {
                $type::is_finite(self)
            }

            #[inline(always)]
            fn is_negative(self) -> bool {
                self < 0.0
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn distance_above(self, low: Self) -> f64 {
                (self - low) as f64
            }
        }
    )*};
}

floats!(f32, f64);
