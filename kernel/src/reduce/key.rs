//! Integers that stand in the order of the elements that they stand for, so that comparing takes an instruction or two.

use super::reducible::Real;
use crate::Time;

/// An integer that a network compares.
pub(crate) trait Key: Copy + Ord + Send + Sync + 'static {
    /// The lesser and the greater of two.
    fn in_order(x: Self, y: Self) -> (Self, Self);
}

macro_rules! small {
    ($($type:ty),*) => {$(
        impl Key for $type {
            #[inline(always)]
            fn in_order(x: Self, y: Self) -> (Self, Self) {
                (x.min(y), x.max(y))
            }
        }
    )*};
}

small!(u8, u16, u32, i8, i16, i32);

impl Key for i64 {
    /// By exchanging bits under a mask: vectors of 64 bits have a comparison, but no minimum, and a choice would be
    /// compiled to masked stores, which are slow.
    #[inline(always)]
    fn in_order(x: Self, y: Self) -> (Self, Self) {
        let exchanged = (x ^ y) & -i64::from(y < x);
        (x ^ exchanged, y ^ exchanged)
    }
}

/// A type whose elements have keys. NaN has none.
pub(crate) trait Keyed: Real {
    type Key: Key;
    /// The key of no lesser element.
    const HIGHEST_KEY: Self::Key;

    fn key(self) -> Self::Key;
    fn of_key(key: Self::Key) -> Self;
}

macro_rules! own {
    ($($type:ty),*) => {$(
        impl Keyed for $type {
            type Key = Self;
            const HIGHEST_KEY: Self = Self::MAX;

            #[inline(always)]
            fn key(self) -> Self {
                self
            }

            #[inline(always)]
            fn of_key(key: Self) -> Self {
                key
            }
        }
    )*};
}

own!(u8, u16, u32, i8, i16, i32, i64);

impl Keyed for u64 {
    type Key = i64;
    const HIGHEST_KEY: i64 = i64::MAX;

    #[inline(always)]
    fn key(self) -> i64 {
        (self ^ 1 << 63) as i64
    }

    #[inline(always)]
    fn of_key(key: i64) -> Self {
        key as u64 ^ 1 << 63
    }
}

impl Keyed for Time {
    type Key = i64;
    const HIGHEST_KEY: i64 = i64::MAX;

    #[inline(always)]
    fn key(self) -> i64 {
        self.0
    }

    #[inline(always)]
    fn of_key(key: i64) -> Self {
        Time(key)
    }
}

macro_rules! floats {
    ($($type:ty, $key:ty, $bits:literal);*) => {$(
        impl Keyed for $type {
            type Key = $key;
            const HIGHEST_KEY: $key = <$key>::MAX;

            /// The bits, with all but the sign turned over where it is set (IEEE 754, totalOrder).
            #[inline(always)]
            fn key(self) -> $key {
                let bits = self.to_bits() as $key;
                bits ^ (bits >> ($bits - 1) & <$key>::MAX)
            }

            #[inline(always)]
            fn of_key(key: $key) -> Self {
                Self::from_bits((key ^ (key >> ($bits - 1) & <$key>::MAX)).cast_unsigned())
            }
        }
    )*};
}

floats!(f32, i32, 32; f64, i64, 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_the_order_of_their_floats_and_lead_back() {
        let values = [
            f64::NEG_INFINITY,
            -1e300,
            -1.0,
            -1e-320,
            -0.0,
            0.0,
            1e-320,
            1.0,
            1e300,
            f64::INFINITY,
        ];
        assert!(values.map(Keyed::key).is_sorted());
        assert!(
            values
                .iter()
                .all(|&x| f64::of_key(x.key()).to_bits() == x.to_bits())
        );
        let singles = values.map(|x| x as f32);
        assert!(singles.map(Keyed::key).is_sorted());
        assert!(
            singles
                .iter()
                .all(|&x| f32::of_key(x.key()).to_bits() == x.to_bits())
        );
        assert!([0, 1, 1 << 63, u64::MAX].map(Keyed::key).is_sorted());
    }

    #[test]
    fn exchange_orders_extremes() {
        let values = [i64::MIN, -1, 0, 1, i64::MAX];
        for x in values {
            for y in values {
                assert_eq!(i64::in_order(x, y), (x.min(y), x.max(y)));
            }
        }
    }
}
