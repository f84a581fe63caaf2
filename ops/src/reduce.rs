use graticule_plan::{DType, Kind};
use serde::{Deserialize, Serialize};

use crate::OpsError;

/// What a reduction makes of the elements along its axes, named as NumPy's function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ReduceKind {
    /// `sum`; of nothing 0.
    Sum,
    /// `prod`; of nothing 1.
    Prod,
    /// `mean`; of nothing NaN.
    Mean,
    /// `var` with `ddof` degrees of freedom taken off the count.
    Var {
        /// Delta degrees of freedom.
        ddof: u32,
    },
    /// `std` with `ddof` degrees of freedom taken off the count.
    Std {
        /// Delta degrees of freedom.
        ddof: u32,
    },
    /// `min`; of nothing an error, of only NaN with skipping NaN.
    Min,
    /// `max`; as `min`.
    Max,
    /// The number of elements that are not NaN (xarray's `count`).
    Count,
    /// `any`.
    Any,
    /// `all`.
    All,
    /// `median`: the mean of the two middle values where the count is even.
    Median,
    /// `quantile` with linear interpolation; the result has one leading axis of `qs.len()`.
    Quantile {
        /// Each within 0..=1.
        qs: Vec<f64>,
    },
    /// The most frequent element, of several the least one (SciPy's `mode`); of nothing NaN or an error.
    Mode,
    /// `argmin`: the first index of the least element.
    ArgMin,
    /// `argmax`: the first index of the greatest element.
    ArgMax,
    /// The first element (by position) that is not NaN where NaN is skipped.
    First,
    /// The last such element.
    Last,
}

/// A reduction: what, whether NaN is left out, and of what dtype.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reduction {
    /// What is made of the elements.
    pub kind: ReduceKind,
    /// Leave NaN and NaT out (`nansum` and so on). Without meaning for dtypes that cannot hold either.
    pub skipna: bool,
    /// The dtype of the elements that are reduced (not of partials).
    pub dtype: DType,
}

/// Which step of a reduction a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Elements to result, in one task.
    Whole,
    /// Elements to a partial (a tuple chunk of length 1 along each reduced axis).
    Partial,
    /// Several partials, in order along the reduced axes, to one.
    Combine,
    /// One partial to the result.
    Final,
}

/// A part of a partial: what stands in that position of the tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PartKind {
    /// A running total, product, extreme, truth value or element.
    Value,
    /// The number of elements that took part, int64.
    Count,
    /// The mean, float64 or complex128.
    Mean,
    /// The sum of squared distances from the mean, float64.
    M2,
    /// The position of the element along the flattened reduced axes, int64; -1 where there is none.
    Index,
}

impl ReduceKind {
    /// NumPy's name without `nan`.
    pub const fn name(&self) -> &'static str {
        match self {
            ReduceKind::Sum => "sum",
            ReduceKind::Prod => "prod",
            ReduceKind::Mean => "mean",
            ReduceKind::Var { .. } => "var",
            ReduceKind::Std { .. } => "std",
            ReduceKind::Min => "min",
            ReduceKind::Max => "max",
            ReduceKind::Count => "count",
            ReduceKind::Any => "any",
            ReduceKind::All => "all",
            ReduceKind::Median => "median",
            ReduceKind::Quantile { .. } => "quantile",
            ReduceKind::Mode => "mode",
            ReduceKind::ArgMin => "argmin",
            ReduceKind::ArgMax => "argmax",
            ReduceKind::First => "first",
            ReduceKind::Last => "last",
        }
    }
}

impl Reduction {
    /// NumPy's name, `nanmedian` where NaN is left out.
    pub fn name(&self) -> String {
        let nan = if self.skipna && self.dtype.holds_nan() {
            "nan"
        } else {
            ""
        };
        format!("{nan}{}", self.kind.name())
    }

    /// The dtype of the result.
    ///
    /// # Errors
    /// [`OpsError::DType`] where NumPy raises too.
    pub fn result_dtype(&self) -> Result<DType, OpsError> {
        let float = if self.dtype.is_inexact() {
            self.dtype
        } else {
            DType::Float64
        };
        let refuse = |hint| {
            Err(OpsError::DType {
                operation: self.kind.name(),
                dtype: self.dtype,
                hint,
            })
        };
        if self.dtype.is_time() {
            let is_length = self.dtype.kind() == Kind::TimeDelta;
            return match &self.kind {
                ReduceKind::Min
                | ReduceKind::Max
                | ReduceKind::Mode
                | ReduceKind::First
                | ReduceKind::Last => Ok(self.dtype),
                ReduceKind::Sum | ReduceKind::Mean | ReduceKind::Median if is_length => Ok(self.dtype),
                ReduceKind::Count | ReduceKind::ArgMin | ReduceKind::ArgMax => Ok(DType::Int64),
                ReduceKind::Any | ReduceKind::All => Ok(DType::Bool),
                _ => refuse(": convert to a number of units first"),
            };
        }
        Ok(match &self.kind {
            ReduceKind::Sum | ReduceKind::Prod => self.total_dtype(),
            ReduceKind::Mean => float,
            ReduceKind::Var { .. } | ReduceKind::Std { .. } => float.real(),
            ReduceKind::Median | ReduceKind::Quantile { .. } | ReduceKind::Mode
                if self.dtype.is_complex() =>
            {
                return refuse(": complex numbers have no order; take one of their real parts");
            }
            ReduceKind::Median => float,
            // The probabilities are float64, and so is what lies between two elements.
            ReduceKind::Quantile { .. } if self.dtype != DType::Bool => DType::Float64,
            ReduceKind::Quantile { .. } => return refuse(": cast to an integer first"),
            ReduceKind::Min | ReduceKind::Max | ReduceKind::Mode | ReduceKind::First | ReduceKind::Last => {
                self.dtype
            }
            ReduceKind::Count | ReduceKind::ArgMin | ReduceKind::ArgMax => DType::Int64,
            ReduceKind::Any | ReduceKind::All => DType::Bool,
        })
    }

    /// What `sum` and `prod` give: 64-bit integers for integers and booleans, else the dtype itself.
    fn total_dtype(&self) -> DType {
        match self.dtype.kind() {
            Kind::Bool | Kind::Signed => DType::Int64,
            Kind::Unsigned => DType::UInt64,
            Kind::Float | Kind::Complex | Kind::TimeDelta | Kind::DateTime => self.dtype,
        }
    }

    /// The parts of a partial with their dtypes, or `None` if the reduction needs all elements at once.
    ///
    /// Floats total in float64 whatever the dtype, complex numbers in complex128; they are rounded once at the end.
    pub fn partial(&self) -> Option<Vec<(PartKind, DType)>> {
        let total = match self.dtype.kind() {
            Kind::Float => DType::Float64,
            Kind::Complex => DType::Complex128,
            _ => self.total_dtype(),
        };
        let center = match self.dtype.kind() {
            Kind::Complex => DType::Complex128,
            Kind::TimeDelta => self.dtype,
            _ => DType::Float64,
        };
        Some(match &self.kind {
            ReduceKind::Sum | ReduceKind::Prod => vec![(PartKind::Value, total)],
            ReduceKind::Mean => vec![(PartKind::Count, DType::Int64), (PartKind::Value, center)],
            ReduceKind::Var { .. } | ReduceKind::Std { .. } => vec![
                (PartKind::Count, DType::Int64),
                (PartKind::Mean, center),
                (PartKind::M2, DType::Float64),
            ],
            ReduceKind::Min | ReduceKind::Max => {
                vec![(PartKind::Count, DType::Int64), (PartKind::Value, self.dtype)]
            }
            ReduceKind::Count => vec![(PartKind::Count, DType::Int64)],
            ReduceKind::Any | ReduceKind::All => vec![(PartKind::Value, DType::Bool)],
            ReduceKind::ArgMin | ReduceKind::ArgMax | ReduceKind::First | ReduceKind::Last => {
                vec![(PartKind::Index, DType::Int64), (PartKind::Value, self.dtype)]
            }
            ReduceKind::Median | ReduceKind::Quantile { .. } | ReduceKind::Mode => return None,
        })
    }

    /// Bytes of one element of a partial.
    pub fn partial_item_bytes(&self) -> Option<u64> {
        Some(self.partial()?.iter().map(|(_, dtype)| dtype.size_bytes()).sum())
    }
}
