use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The unit that a time counts in, as NumPy writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TimeUnit {
    /// `Y`
    Year,
    /// `M`
    Month,
    /// `W`
    Week,
    /// `D`
    Day,
    /// `h`
    Hour,
    /// `m`
    Minute,
    /// `s`
    Second,
    /// `ms`
    Millisecond,
    /// `us`
    Microsecond,
    /// `ns`
    Nanosecond,
}

impl TimeUnit {
    /// Every unit, the coarsest first.
    pub const ALL: [TimeUnit; 10] = [
        TimeUnit::Year,
        TimeUnit::Month,
        TimeUnit::Week,
        TimeUnit::Day,
        TimeUnit::Hour,
        TimeUnit::Minute,
        TimeUnit::Second,
        TimeUnit::Millisecond,
        TimeUnit::Microsecond,
        TimeUnit::Nanosecond,
    ];

    /// NumPy's abbreviation.
    pub const fn name(self) -> &'static str {
        match self {
            TimeUnit::Year => "Y",
            TimeUnit::Month => "M",
            TimeUnit::Week => "W",
            TimeUnit::Day => "D",
            TimeUnit::Hour => "h",
            TimeUnit::Minute => "m",
            TimeUnit::Second => "s",
            TimeUnit::Millisecond => "ms",
            TimeUnit::Microsecond => "us",
            TimeUnit::Nanosecond => "ns",
        }
    }

    /// Whether it is a number of months, which are of no fixed length.
    pub const fn is_of_calendar(self) -> bool {
        matches!(self, TimeUnit::Year | TimeUnit::Month)
    }

    /// Nanoseconds of one; of years and months those of the mean Gregorian ones, which are whole too.
    pub const fn nanoseconds(self) -> i128 {
        const DAY: i128 = 86_400_000_000_000;
        // 400 years have 146097 days.
        match self {
            TimeUnit::Year => DAY / 400 * 146_097,
            TimeUnit::Month => DAY / 4800 * 146_097,
            TimeUnit::Week => 7 * DAY,
            TimeUnit::Day => DAY,
            TimeUnit::Hour => DAY / 24,
            TimeUnit::Minute => 60_000_000_000,
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        }
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TimeUnit {
    type Err = String;

    /// Parses NumPy's abbreviation.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = TimeUnit::ALL.into_iter().find(|unit| unit.name() == text);
        found.ok_or_else(|| {
            let known = TimeUnit::ALL.map(TimeUnit::name).join(", ");
            format!("time unit {text:?} is not supported; supported are {known}")
        })
    }
}
