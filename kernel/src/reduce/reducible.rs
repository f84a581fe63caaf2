//! What reductions need to know of each element type.

use crate::{Element, elementwise::Number};

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
    /// The dtype of `mean`, and of a median.
    type Mean: Element;

    fn is_nan(self) -> bool;
    fn widen(self) -> Self::Total;
    fn float(self) -> f64;
    fn total_one() -> Self::Total;
    fn total_add(a: Self::Total, b: Self::Total) -> Self::Total;
    fn total_multiply(a: Self::Total, b: Self::Total) -> Self::Total;
    fn sum_out(total: Self::Total) -> Self::SumOut;
    fn mean_out(mean: f64) -> Self::Mean;
    /// What a reduction without elements gives where it can.
    fn nothing() -> Option<Self>;
    /// The mean of two values, computed as NumPy does for the middle of a median.
    fn middle(low: Self, high: Self) -> Self::Mean;
    /// `high - low` for `low <= high`: exact for integers, rounded in the own type for floats.
    fn distance(low: Self, high: Self) -> f64;
}

macro_rules! integers {
    ($($type:ty => $total:ty),*) => {$(
        impl Reducible for $type {
            const IS_FLOAT: bool = false;
            const HIGHEST: Self = <$type>::MAX;
            const LOWEST: Self = <$type>::MIN;
            type Total = $total;
            type SumOut = $total;
            type Mean = f64;

            #[inline(always)]
            fn is_nan(self) -> bool {
                false
            }

            #[inline(always)]
            fn widen(self) -> $total {
                <$total>::from(self)
            }

            #[inline(always)]
            fn float(self) -> f64 {
                Number::to_f64(self)
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

            fn mean_out(mean: f64) -> f64 {
                mean
            }

            fn nothing() -> Option<Self> {
                None
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
            type Mean = $type;

            #[inline(always)]
            fn is_nan(self) -> bool {
                $type::is_nan(self)
            }

            #[inline(always)]
            fn widen(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn float(self) -> f64 {
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

            fn sum_out(total: f64) -> $type {
                total as $type
            }

            fn mean_out(mean: f64) -> $type {
                mean as $type
            }

            fn nothing() -> Option<Self> {
                Some($type::NAN)
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
    )*};
}

floats!(f32, f64);

impl Reducible for bool {
    const IS_FLOAT: bool = false;
    const HIGHEST: Self = true;
    const LOWEST: Self = false;
    type Total = i64;
    type SumOut = i64;
    type Mean = f64;

    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }

    #[inline(always)]
    fn widen(self) -> i64 {
        i64::from(self)
    }

    #[inline(always)]
    fn float(self) -> f64 {
        f64::from(u8::from(self))
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

    fn mean_out(mean: f64) -> f64 {
        mean
    }

    fn nothing() -> Option<Self> {
        None
    }

    #[inline(always)]
    fn middle(low: Self, high: Self) -> f64 {
        (low.float() + high.float()) / 2.0
    }

    #[inline(always)]
    fn distance(low: Self, high: Self) -> f64 {
        high.float() - low.float()
    }
}
