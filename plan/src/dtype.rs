use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::TimeUnit;

/// The type of an array's elements, named as NumPy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // Each variant is the NumPy type of the same name.
pub enum DType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    Complex64,
    Complex128,
    DateTime64(TimeUnit),
    TimeDelta64(TimeUnit),
    /// Stored, moved and converted as such; computed in float32. Last, so that encodings of the others stay what they were.
    Float16,
}

/// What a dtype holds; promotion goes by kind first, then by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Kind {
    Bool,
    Unsigned,
    Signed,
    Float,
    Complex,
    TimeDelta,
    DateTime,
}

impl DType {
    /// Every dtype, smallest kind first.
    pub const ALL: [DType; Self::NUMBERS.len() + 2 * TimeUnit::ALL.len()] = {
        let mut all = [DType::Bool; Self::NUMBERS.len() + 2 * TimeUnit::ALL.len()];
        let mut at = 0;
        while at < Self::NUMBERS.len() {
            all[at] = Self::NUMBERS[at];
            at += 1;
        }
        let mut unit = 0;
        while unit < TimeUnit::ALL.len() {
            all[at + unit] = DType::TimeDelta64(TimeUnit::ALL[unit]);
            all[at + TimeUnit::ALL.len() + unit] = DType::DateTime64(TimeUnit::ALL[unit]);
            unit += 1;
        }
        all
    };

    /// Every dtype of numbers and booleans: all but the times.
    pub const NUMBERS: [DType; 14] = [
        DType::Bool,
        DType::UInt8,
        DType::UInt16,
        DType::UInt32,
        DType::UInt64,
        DType::Int8,
        DType::Int16,
        DType::Int32,
        DType::Int64,
        DType::Float16,
        DType::Float32,
        DType::Float64,
        DType::Complex64,
        DType::Complex128,
    ];

    /// Every dtype whose elements are real numbers or booleans.
    pub const REAL: [DType; 12] = [
        DType::Bool,
        DType::UInt8,
        DType::UInt16,
        DType::UInt32,
        DType::UInt64,
        DType::Int8,
        DType::Int16,
        DType::Int32,
        DType::Int64,
        DType::Float16,
        DType::Float32,
        DType::Float64,
    ];

    /// Bytes of one element; a boolean takes one.
    pub const fn size_bytes(self) -> u64 {
        match self {
            DType::Bool | DType::Int8 | DType::UInt8 => 1,
            DType::Int16 | DType::UInt16 | DType::Float16 => 2,
            DType::Int32 | DType::UInt32 | DType::Float32 => 4,
            DType::Int64
            | DType::UInt64
            | DType::Float64
            | DType::Complex64
            | DType::DateTime64(_)
            | DType::TimeDelta64(_) => 8,
            DType::Complex128 => 16,
        }
    }

    /// What it holds.
    pub const fn kind(self) -> Kind {
        match self {
            DType::Bool => Kind::Bool,
            DType::UInt8 | DType::UInt16 | DType::UInt32 | DType::UInt64 => Kind::Unsigned,
            DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => Kind::Signed,
            DType::Float16 | DType::Float32 | DType::Float64 => Kind::Float,
            DType::Complex64 | DType::Complex128 => Kind::Complex,
            DType::TimeDelta64(_) => Kind::TimeDelta,
            DType::DateTime64(_) => Kind::DateTime,
        }
    }

    /// Whether the dtype is a real floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self.kind(), Kind::Float)
    }

    /// Whether the dtype is complex.
    pub const fn is_complex(self) -> bool {
        matches!(self.kind(), Kind::Complex)
    }

    /// Whether elements are floats or made of floats, and so can hold NaN.
    pub const fn is_inexact(self) -> bool {
        matches!(self.kind(), Kind::Float | Kind::Complex)
    }

    /// Whether elements are points in time or lengths of time.
    pub const fn is_time(self) -> bool {
        matches!(self, DType::DateTime64(_) | DType::TimeDelta64(_))
    }

    /// The unit of a dtype of times.
    pub const fn unit(self) -> Option<TimeUnit> {
        match self {
            DType::DateTime64(unit) | DType::TimeDelta64(unit) => Some(unit),
            _ => None,
        }
    }

    /// Whether elements can be missing: NaN, or NaT of times.
    pub const fn holds_nan(self) -> bool {
        self.is_inexact() || self.is_time()
    }

    /// The dtype of the real and of the imaginary part; of a real dtype itself.
    pub const fn real(self) -> DType {
        match self {
            DType::Complex64 => DType::Float32,
            DType::Complex128 => DType::Float64,
            real => real,
        }
    }

    /// NumPy's name, such as `uint16`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::Int8 => "int8",
            DType::Int16 => "int16",
            DType::Int32 => "int32",
            DType::Int64 => "int64",
            DType::UInt8 => "uint8",
            DType::UInt16 => "uint16",
            DType::UInt32 => "uint32",
            DType::UInt64 => "uint64",
            DType::Float16 => "float16",
            DType::Float32 => "float32",
            DType::Float64 => "float64",
            DType::Complex64 => "complex64",
            DType::Complex128 => "complex128",
            DType::DateTime64(unit) => match unit {
                TimeUnit::Year => "datetime64[Y]",
                TimeUnit::Month => "datetime64[M]",
                TimeUnit::Week => "datetime64[W]",
                TimeUnit::Day => "datetime64[D]",
                TimeUnit::Hour => "datetime64[h]",
                TimeUnit::Minute => "datetime64[m]",
                TimeUnit::Second => "datetime64[s]",
                TimeUnit::Millisecond => "datetime64[ms]",
                TimeUnit::Microsecond => "datetime64[us]",
                TimeUnit::Nanosecond => "datetime64[ns]",
            },
            DType::TimeDelta64(unit) => match unit {
                TimeUnit::Year => "timedelta64[Y]",
                TimeUnit::Month => "timedelta64[M]",
                TimeUnit::Week => "timedelta64[W]",
                TimeUnit::Day => "timedelta64[D]",
                TimeUnit::Hour => "timedelta64[h]",
                TimeUnit::Minute => "timedelta64[m]",
                TimeUnit::Second => "timedelta64[s]",
                TimeUnit::Millisecond => "timedelta64[ms]",
                TimeUnit::Microsecond => "timedelta64[us]",
                TimeUnit::Nanosecond => "timedelta64[ns]",
            },
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = String;

    /// Parses NumPy's name (`float32`, `datetime64[ns]`) or its short form (`f4`, `<u2`, `<M8[ns]`).
    fn from_str(text: &str) -> Result<Self, String> {
        let short = text.trim_start_matches(['<', '>', '|', '=']);
        if let Some(times) = parse_times(short) {
            return times;
        }
        let found = match short {
            "bool" | "b1" | "?" => DType::Bool,
            "int8" | "i1" => DType::Int8,
            "int16" | "i2" => DType::Int16,
            "int32" | "i4" => DType::Int32,
            "int64" | "i8" => DType::Int64,
            "uint8" | "u1" => DType::UInt8,
            "uint16" | "u2" => DType::UInt16,
            "uint32" | "u4" => DType::UInt32,
            "uint64" | "u8" => DType::UInt64,
            "float16" | "f2" => DType::Float16,
            "float32" | "f4" => DType::Float32,
            "float64" | "f8" => DType::Float64,
            "complex64" | "c8" => DType::Complex64,
            "complex128" | "c16" => DType::Complex128,
            _ => {
                let known: Vec<_> = DType::NUMBERS.iter().map(|d| d.name()).collect();
                return Err(format!(
                    "dtype {text:?} is not supported; supported are {}, datetime64 and timedelta64 with a unit",
                    known.join(", ")
                ));
            }
        };
        Ok(found)
    }
}

/// A dtype of times, or what is wrong with its unit; `None` if it is none of them.
fn parse_times(short: &str) -> Option<Result<DType, String>> {
    let (name, unit) = short.strip_suffix(']')?.split_once('[')?;
    let unit = unit.parse();
    match name {
        "datetime64" | "M8" => Some(unit.map(DType::DateTime64)),
        "timedelta64" | "m8" => Some(unit.map(DType::TimeDelta64)),
        _ => None,
    }
}
