//! What reductions need to know of each element type.

use std::cmp::Ordering;

use num_complex::Complex;

use crate::{Element, Time, elementwise::Number};

/// A type whose elements can be reduced.
pub(crate) trait Reducible: Element {
    /// Whether some values are NaN.
    const IS_FLOAT: bool;
    /// No value is greater.
    const HIGHEST: Self;
    /// No value is less.
    const LOWEST: Self;
    /// What sums and products are made in.
    type Total: Element;
    /// The dtype of `sum` and `prod`.
    type SumOut: Element;

    fn is_nan(self) -> bool;
    /// Whether it stands before another one; NaN stands before none and after none.
    fn is_less(self, other: Self) -> bool;
    /// The order in which NumPy sorts: NaN behind all others.
    fn order(self, other: Self) -> Ordering;
    /// The value as a float, of a complex number the real part.
    fn float(self) -> f64;
    fn widen(self) -> Self::Total;
    fn total_one() -> Self::Total;
    fn total_add(a: Self::Total, b: Self::Total) -> Self::Total;
    fn total_multiply(a: Self::Total, b: Self::Total) -> Self::Total;
    fn sum_out(total: Self::Total) -> Self::SumOut;
    /// What a reduction without elements gives where it can.
    fn nothing() -> Option<Self>;
}

/// A type whose elements lie on a line, so that there is something between two of them.
pub(crate) trait Real: Reducible {
    /// The dtype of a median.
    type Median: Element;

    fn median_out(median: f64) -> Self::Median;
    /// The mean of two values, computed as NumPy does for the middle of a median.
    fn middle(low: Self, high: Self) -> Self::Median;
    /// `high - low` for `low <= high`: exact for integers, rounded in the own type for floats.
    fn distance(low: Self, high: Self) -> f64;
}

/// A type of which means and variances are taken.
pub(crate) trait Moments: Reducible {
    /// What a mean is taken in.
    type Center: Element;
    /// The dtype of `var` and `std`.
    type Spread: Element;

    fn center(self) -> Self::Center;
    fn add(a: Self::Center, b: Self::Center) -> Self::Center;
    fn subtract(a: Self::Center, b: Self::Center) -> Self::Center;
    fn scale(a: Self::Center, factor: f64) -> Self::Center;
    fn divide(a: Self::Center, by: f64) -> Self::Center;
    /// The square of a distance.
    fn square(a: Self::Center) -> f64;
    fn mean_out(mean: Self::Center) -> Self;
    fn spread_out(spread: f64) -> Self::Spread;
}

macro_rules! integers {
    ($($type:ty => $total:ty),*) => {$(
        impl Reducible for $type {
            const IS_FLOAT: bool = false;
            const HIGHEST: Self = <$type>::MAX;
            const LOWEST: Self = <$type>::MIN;
            type Total = $total;
            type SumOut = $total;

            #[inline(always)]
            fn is_nan(self) -> bool {
                false
            }

            #[inline(always)]
            fn is_less(self, other: Self) -> bool {
                self < other
            }

            #[inline(always)]
            fn order(self, other: Self) -> Ordering {
                self.cmp(&other)
            }

            #[inline(always)]
            fn float(self) -> f64 {
                Number::to_f64(self)
            }

            #[inline(always)]
            fn widen(self) -> $total {
                <$total>::from(self)
            }

            fn total_one() -> $total {
                1
            }

            #[inline(always)]
            fn total_add(a: $total, b: $total) -> $total {
                a.wrapping_add(b)
            }

            #[inline(always)]
            fn total_multiply(a: $total, b: $total) -> $total {
                a.wrapping_mul(b)
            }

            fn sum_out(total: $total) -> $total {
                total
            }

            fn nothing() -> Option<Self> {
                None
            }
        }

        impl Real for $type {
            type Median = f64;

            fn median_out(median: f64) -> f64 {
                median
            }

            #[inline(always)]
            fn middle(low: Self, high: Self) -> f64 {
                (Number::to_f64(low) + Number::to_f64(high)) / 2.0
            }

            #[inline(always)]
            fn distance(low: Self, high: Self) -> f64 {
                high.distance_above(low)
            }
        }
    )*};
}

integers!(
    i8 => i64, i16 => i64, i32 => i64, i64 => i64, u8 => u64, u16 => u64, u32 => u64, u64 => u64
);

macro_rules! floats {
    ($($type:ident),*) => {$(
        #[allow(clippy::unnecessary_cast)]
        impl Reducible for $type {
            const IS_FLOAT: bool = true;
            const HIGHEST: Self = $type::INFINITY;
            const LOWEST: Self = $type::NEG_INFINITY;
            type Total = f64;
            type SumOut = $type;

            #[inline(always)]
            fn is_nan(self) -> bool {
                $type::is_nan(self)
            }

            #[inline(always)]
            fn is_less(self, other: Self) -> bool {
                self < other
            }

            #[inline(always)]
            fn order(self, other: Self) -> Ordering {
                self.partial_cmp(&other).unwrap_or_else(|| self.is_nan().cmp(&other.is_nan()))
            }

            #[inline(always)]
            fn float(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn widen(self) -> f64 {
                f64::from(self)
            }

            fn total_one() -> f64 {
                1.0
            }

            #[inline(always)]
            fn total_add(a: f64, b: f64) -> f64 {
                a + b
            }

            #[inline(always)]
            fn total_multiply(a: f64, b: f64) -> f64 {
                a * b
            }

            #[inline(always)]
            fn sum_out(total: f64) -> $type {
                total as $type
            }

            fn nothing() -> Option<Self> {
                Some($type::NAN)
            }
        }

        #[allow(clippy::unnecessary_cast)]
        impl Real for $type {
            type Median = $type;

            fn median_out(median: f64) -> $type {
                median as $type
            }

            #[inline(always)]
            fn middle(low: Self, high: Self) -> $type {
                (low + high) / 2.0
            }

            #[inline(always)]
            fn distance(low: Self, high: Self) -> f64 {
                high.distance_above(low)
            }
        }

        #[allow(clippy::unnecessary_cast)]
        impl Moments for $type {
            type Center = f64;
            type Spread = $type;

            #[inline(always)]
            fn center(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn add(a: f64, b: f64) -> f64 {
                a + b
            }

            #[inline(always)]
            fn subtract(a: f64, b: f64) -> f64 {
                a - b
            }

            #[inline(always)]
            fn scale(a: f64, factor: f64) -> f64 {
                a * factor
            }

            #[inline(always)]
            fn divide(a: f64, by: f64) -> f64 {
                a / by
            }

            #[inline(always)]
            fn square(a: f64) -> f64 {
                a * a
            }

            #[inline(always)]
            fn mean_out(mean: f64) -> $type {
                mean as $type
            }

            #[inline(always)]
            fn spread_out(spread: f64) -> $type {
                spread as $type
            }
        }
    )*};
}

floats!(f32, f64);

impl Reducible for bool {
    const IS_FLOAT: bool = false;
    const HIGHEST: Self = true;
    const LOWEST: Self = false;
    type Total = i64;
    type SumOut = i64;

    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }

    #[inline(always)]
    fn is_less(self, other: Self) -> bool {
        !self & other
    }

    #[inline(always)]
    fn order(self, other: Self) -> Ordering {
        self.cmp(&other)
    }

    #[inline(always)]
    fn float(self) -> f64 {
        f64::from(u8::from(self))
    }

    #[inline(always)]
    fn widen(self) -> i64 {
        i64::from(self)
    }

    fn total_one() -> i64 {
        1
    }

    #[inline(always)]
    fn total_add(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }

    #[inline(always)]
    fn total_multiply(a: i64, b: i64) -> i64 {
        a.wrapping_mul(b)
    }

    fn sum_out(total: i64) -> i64 {
        total
    }

    fn nothing() -> Option<Self> {
        None
    }
}

macro_rules! complex {
    ($($real:ident),*) => {$(
        #[allow(clippy::unnecessary_cast)]
        impl Reducible for Complex<$real> {
            const IS_FLOAT: bool = true;
            const HIGHEST: Self = Complex::new($real::INFINITY, $real::INFINITY);
            const LOWEST: Self = Complex::new($real::NEG_INFINITY, $real::NEG_INFINITY);
            type Total = Complex<f64>;
            type SumOut = Self;

            #[inline(always)]
            fn is_nan(self) -> bool {
                self.re.is_nan() | self.im.is_nan()
            }

            /// By the real part, then by the imaginary one.
            #[inline(always)]
            fn is_less(self, other: Self) -> bool {
                let (x, y) = (self, other);
                (x.re < y.re && !x.im.is_nan() && !y.im.is_nan()) || (x.re == y.re && x.im < y.im)
            }

            /// What has NaN in the imaginary part stands behind what has none, then what has it in the real part.
            fn order(self, other: Self) -> Ordering {
                let nans = |z: Self| (z.re.is_nan(), z.im.is_nan());
                let by = |x: $real, y: $real| x.partial_cmp(&y).unwrap_or(Ordering::Equal);
                let by_parts = || by(self.re, other.re).then(by(self.im, other.im));
                nans(self).cmp(&nans(other)).then_with(by_parts)
            }

            #[inline(always)]
            fn float(self) -> f64 {
                self.re as f64
            }

            #[inline(always)]
            fn widen(self) -> Complex<f64> {
                Complex::new(self.re as f64, self.im as f64)
            }

            fn total_one() -> Complex<f64> {
                Complex::new(1.0, 0.0)
            }

            #[inline(always)]
            fn total_add(a: Complex<f64>, b: Complex<f64>) -> Complex<f64> {
                a + b
            }

            #[inline(always)]
            fn total_multiply(a: Complex<f64>, b: Complex<f64>) -> Complex<f64> {
                a * b
            }

            fn sum_out(total: Complex<f64>) -> Self {
                Complex::new(total.re as $real, total.im as $real)
            }

            fn nothing() -> Option<Self> {
                Some(Complex::new($real::NAN, $real::NAN))
            }
        }

        #[allow(clippy::unnecessary_cast)]
        impl Moments for Complex<$real> {
            type Center = Complex<f64>;
            type Spread = $real;

            #[inline(always)]
            fn center(self) -> Complex<f64> {
                self.widen()
            }

            #[inline(always)]
            fn add(a: Complex<f64>, b: Complex<f64>) -> Complex<f64> {
                a + b
            }

            #[inline(always)]
            fn subtract(a: Complex<f64>, b: Complex<f64>) -> Complex<f64> {
                a - b
            }

            #[inline(always)]
            fn scale(a: Complex<f64>, factor: f64) -> Complex<f64> {
                a * factor
            }

            /// As NumPy, by a complex number: an infinite part makes NaN of the other one.
            #[inline(always)]
            fn divide(a: Complex<f64>, by: f64) -> Complex<f64> {
                Complex::new((a.re + a.im * 0.0) / by, (a.im - a.re * 0.0) / by)
            }

            #[inline(always)]
            fn square(a: Complex<f64>) -> f64 {
                a.re * a.re + a.im * a.im
            }

            fn mean_out(mean: Complex<f64>) -> Self {
                Self::sum_out(mean)
            }

            fn spread_out(spread: f64) -> $real {
                spread as $real
            }
        }
    )*};
}

complex!(f32, f64);

impl Reducible for Time {
    const IS_FLOAT: bool = true;
    const HIGHEST: Self = Time(i64::MAX);
    const LOWEST: Self = Time(i64::MIN + 1);
    type Total = Time;
    type SumOut = Time;

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nat()
    }

    #[inline(always)]
    fn is_less(self, other: Self) -> bool {
        // NaT is the least integer, so only that before another time is in the way.
        (self.0 < other.0) & !self.is_nat()
    }

    #[inline(always)]
    fn order(self, other: Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    #[inline(always)]
    fn float(self) -> f64 {
        if self.is_nat() { f64::NAN } else { self.0 as f64 }
    }

    #[inline(always)]
    fn widen(self) -> Time {
        self
    }

    fn total_one() -> Time {
        Time(1)
    }

    #[inline(always)]
    fn total_add(a: Time, b: Time) -> Time {
        a.with(b, i64::wrapping_add)
    }

    /// No product of times is ever asked for.
    fn total_multiply(a: Time, b: Time) -> Time {
        a.with(b, i64::wrapping_mul)
    }

    fn sum_out(total: Time) -> Time {
        total
    }

    fn nothing() -> Option<Self> {
        Some(Time::NAT)
    }
}

impl Real for Time {
    type Median = Time;

    fn median_out(median: f64) -> Time {
        Time::from_float(median)
    }

    #[inline(always)]
    fn middle(low: Self, high: Self) -> Time {
        Self::total_add(low, high).divided(2)
    }

    #[inline(always)]
    fn distance(low: Self, high: Self) -> f64 {
        high.0.distance_above(low.0)
    }
}

impl Moments for Time {
    type Center = Time;
    type Spread = f64;

    #[inline(always)]
    fn center(self) -> Time {
        self
    }

    #[inline(always)]
    fn add(a: Time, b: Time) -> Time {
        Self::total_add(a, b)
    }

    #[inline(always)]
    fn subtract(a: Time, b: Time) -> Time {
        a.with(b, i64::wrapping_sub)
    }

    #[inline(always)]
    fn scale(a: Time, factor: f64) -> Time {
        Time::from_float(a.float() * factor)
    }

    /// By a count.
    #[inline(always)]
    fn divide(a: Time, by: f64) -> Time {
        a.divided(by as i64)
    }

    #[inline(always)]
    fn square(a: Time) -> f64 {
        a.float() * a.float()
    }

    fn mean_out(mean: Time) -> Self {
        mean
    }

    fn spread_out(spread: f64) -> f64 {
        spread
    }
}
