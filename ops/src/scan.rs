use graticule_plan::{DType, Kind};
use serde::{Deserialize, Serialize};

use crate::{NodeId, OpsError};

/// What a scan makes of each element and those before it, named as NumPy's function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScanKind {
    /// `cumulative_sum`.
    Sum,
    /// `cumulative_prod`.
    Prod,
    /// `minimum.accumulate`.
    Min,
    /// `maximum.accumulate`.
    Max,
    /// The last element that is not NaN (xarray's `ffill`).
    Last,
}

/// A scan along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scan {
    /// What is made of the elements.
    pub kind: ScanKind,
    /// Leave NaN out: it adds 0, multiplies by 1, and is neither least nor greatest. [`ScanKind::Last`] always does.
    pub skipna: bool,
    /// The dtype of the elements.
    pub dtype: DType,
    /// The axis.
    pub axis: usize,
}

impl Scan {
    /// A name for layers and messages.
    pub const fn name(&self) -> &'static str {
        match (self.kind, self.skipna && self.dtype.holds_nan()) {
            (ScanKind::Sum, false) => "cumsum",
            (ScanKind::Sum, true) => "nancumsum",
            (ScanKind::Prod, false) => "cumprod",
            (ScanKind::Prod, true) => "nancumprod",
            (ScanKind::Min, false) => "cummin",
            (ScanKind::Min, true) => "nancummin",
            (ScanKind::Max, false) => "cummax",
            (ScanKind::Max, true) => "nancummax",
            (ScanKind::Last, _) => "ffill",
        }
    }

    /// Whether the dtype can be scanned so.
    ///
    /// # Errors
    /// [`OpsError::DType`] where NumPy raises too.
    pub const fn check(&self) -> Result<(), OpsError> {
        match (self.kind, self.dtype.kind()) {
            (ScanKind::Sum, Kind::DateTime) | (ScanKind::Prod, Kind::DateTime | Kind::TimeDelta) => {
                Err(OpsError::DType {
                    operation: self.name(),
                    dtype: self.dtype,
                    hint: ": convert to a number of units first",
                })
            }
            _ => Ok(()),
        }
    }

    /// The dtype of the result: 64-bit integers for sums and products of integers, else that of the elements.
    pub const fn result_dtype(&self) -> DType {
        match (self.kind, self.dtype.kind()) {
            (ScanKind::Sum | ScanKind::Prod, Kind::Bool | Kind::Signed) => DType::Int64,
            (ScanKind::Sum | ScanKind::Prod, Kind::Unsigned) => DType::UInt64,
            _ => self.dtype,
        }
    }

    /// The dtype of a state: what elements have become so far. Floats add up in float64, complex numbers in
    /// complex128, and are rounded once.
    pub const fn state_dtype(&self) -> DType {
        match (self.kind, self.dtype.kind()) {
            (ScanKind::Sum | ScanKind::Prod, Kind::Float) => DType::Float64,
            (ScanKind::Sum | ScanKind::Prod, Kind::Complex) => DType::Complex128,
            _ => self.result_dtype(),
        }
    }
}

/// One step of a scan: states that stand before, in order along the axis, and then elements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanStep {
    /// The scan.
    pub scan: Scan,
    /// States of what stands before the elements, any number along the axis, one operand after another.
    pub states: Vec<NodeId>,
    /// The elements, if there are any.
    pub x: Option<NodeId>,
    /// Whether the result is the state after all of them, of length 1 along the axis, rather than what the scan gives at
    /// each element.
    pub to_state: bool,
}

impl ScanStep {
    /// The nodes that the step takes.
    pub fn operands(&self) -> Vec<NodeId> {
        self.states.iter().copied().chain(self.x).collect()
    }

    /// The same, to be changed.
    pub fn operands_mut(&mut self) -> impl Iterator<Item = &mut NodeId> {
        self.states.iter_mut().chain(&mut self.x)
    }
}
