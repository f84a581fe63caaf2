use graticule_plan::{DType, Kind};
use serde::{Deserialize, Serialize};

use crate::{AxisSelection, BlockAxis, Scalar, Variate};

/// How random numbers are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Distribution {
    /// Equally within `[0, 1)`, in steps of 2^-53 (2^-24 for float32).
    Unit,
    /// Normally, with mean 0 and deviation 1.
    Normal,
    /// Exponentially, with mean 1.
    Exponential,
    /// Integers from `low` on, `count` different ones, equally; a count of 0 stands for 2^64.
    Integers {
        /// The least; wraps to the dtype.
        low: u64,
        /// How many.
        count: u64,
    },
    /// Numbers of rare events: Poisson's, with this mean.
    Poisson {
        /// The mean, a float64: from 0 to [`POISSON_MEAN_MAX`].
        mean: Scalar,
    },
    /// One that is drawn by rejection.
    Variate {
        /// Which.
        kind: Variate,
        /// Its first parameter, a float64.
        a: Scalar,
        /// Its second one, without meaning where there is one.
        b: Scalar,
    },
}

/// The largest mean of Poisson's distribution: above it the logarithms by which numbers are chosen lose too many digits.
pub const POISSON_MEAN_MAX: f64 = 1e9;

/// An array of random numbers, each of which depends on the seed and its own place alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Random {
    /// Chooses the numbers.
    pub seed: u64,
    /// Tells arrays of one seed apart.
    pub stream: u32,
    /// How they are spread.
    pub distribution: Distribution,
    /// Floats for the continuous distributions, integers for the others.
    pub dtype: DType,
    /// The shape of the array in which a number's place counts.
    pub shape: Vec<u64>,
    /// For each axis the elements of it that this node sees as its own axis.
    pub selection: Vec<AxisSelection>,
    /// For each axis the elements, counted within the selection, that a block makes.
    pub axes: Vec<BlockAxis>,
}

impl Distribution {
    /// NumPy's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Distribution::Unit => "random",
            Distribution::Normal => "standard_normal",
            Distribution::Exponential => "standard_exponential",
            Distribution::Integers { .. } => "integers",
            Distribution::Poisson { .. } => "poisson",
            Distribution::Variate { kind, .. } => kind.name(),
        }
    }

    /// Whether numbers can be of a dtype.
    pub fn gives(&self, dtype: DType) -> bool {
        match self {
            Distribution::Unit | Distribution::Normal | Distribution::Exponential => {
                matches!(dtype, DType::Float32 | DType::Float64)
            }
            Distribution::Integers { .. } => matches!(dtype.kind(), Kind::Signed | Kind::Unsigned),
            Distribution::Poisson { .. } => dtype == DType::Int64,
            Distribution::Variate { kind, .. } => dtype == kind.dtype(),
        }
    }
}
