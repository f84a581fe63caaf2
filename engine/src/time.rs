use std::{fmt, ops::Add};

/// A moment, in microseconds since the shell's (or the simulator's) own zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// The zero.
    pub const ZERO: Time = Time(0);

    /// Microseconds from `earlier` to this moment; 0 if that is later.
    pub fn since_us(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Time {
    type Output = Time;

    /// The moment `us` microseconds later.
    fn add(self, us: u64) -> Time {
        Time(self.0.saturating_add(us))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
