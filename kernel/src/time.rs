//! Points in time and lengths of time as elements: 64-bit integers of which the least means no time at all.

use bytemuck::{Pod, Zeroable};

use crate::elementwise::Number;

/// A count of some unit, since 1970 or as such. Whether and of what unit, the dtype alone knows.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(transparent)]
pub struct Time(pub i64);

impl Time {
    /// No time, NumPy's NaT.
    pub const NAT: Time = Time(i64::MIN);

    /// Whether it is no time.
    #[inline(always)]
    pub const fn is_nat(self) -> bool {
        self.0 == i64::MIN
    }

    /// What becomes of two times; NaT if either is none.
    #[inline(always)]
    pub(crate) fn with(self, y: Self, f: impl Fn(i64, i64) -> i64) -> Self {
        if self.is_nat() | y.is_nat() {
            Self::NAT
        } else {
            Time(f(self.0, y.0))
        }
    }

    /// A place among others: NaT stands behind all.
    #[inline(always)]
    pub(crate) const fn rank(self) -> u64 {
        (self.0 ^ i64::MIN).cast_unsigned().wrapping_sub(1)
    }

    /// The time of a place.
    #[inline(always)]
    pub(crate) const fn of_rank(rank: u64) -> Self {
        Time(rank.wrapping_add(1).cast_signed() ^ i64::MIN)
    }

    /// Divided by a number and cut off; by 0 NaT.
    #[inline(always)]
    pub(crate) const fn divided(self, by: i64) -> Self {
        if self.is_nat() || by == 0 {
            Self::NAT
        } else {
            Time(self.0.wrapping_div(by))
        }
    }

    /// A float cut off; NaT where an integer cannot hold it.
    #[inline(always)]
    pub(crate) fn from_float(value: f64) -> Self {
        // The bound is exact as a float, and NaN lies on neither side of it.
        const END: f64 = 9_223_372_036_854_775_808.0;
        if value > -END && value < END {
            Time(value as i64)
        } else {
            Self::NAT
        }
    }
}

impl PartialEq for Time {
    /// NaT equals none, nor itself.
    fn eq(&self, other: &Self) -> bool {
        (self.0 == other.0) & !self.is_nat()
    }
}

impl PartialOrd for Time {
    /// NaT stands before none and after none.
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        if self.is_nat() | other.is_nat() {
            None
        } else {
            Some(self.0.cmp(&other.0))
        }
    }
}

/// NumPy's quotient rounded down; of NaT and by 0 it is 0.
#[inline(always)]
pub(crate) fn floor_divided(x: Time, y: Time) -> i64 {
    if x.is_nat() | y.is_nat() {
        0
    } else {
        Number::floor_divide(x.0, y.0)
    }
}
