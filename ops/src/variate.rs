use graticule_plan::DType;
use serde::{Deserialize, Serialize};

use crate::POISSON_MEAN_MAX;

/// A distribution of two parameters or one, of which numbers are drawn by rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Variate {
    /// The gamma distribution of scale 1: its shape.
    Gamma,
    /// The beta distribution: both its shapes.
    Beta,
    /// How many of so many trials succeed: trials, and the chance of each.
    Binomial,
    /// How many trials fail before so many have succeeded: successes, which need not be whole, and the chance of each.
    NegativeBinomial,
    /// Directions around 0, within -pi and pi: their concentration.
    VonMises,
    /// Whole numbers whose chance is a power of them: the power's negative, above 1.
    Zipf,
    /// The logarithmic series: its parameter, below 1.
    LogSeries,
    /// The inverse Gaussian distribution: mean and scale.
    Wald,
    /// Sums of squares of normal numbers whose means are not 0: degrees of freedom, and the sum of squares of the means.
    NoncentralChisquare,
}

impl Variate {
    /// NumPy's name.
    pub const fn name(self) -> &'static str {
        match self {
            Variate::Gamma => "standard_gamma",
            Variate::Beta => "beta",
            Variate::Binomial => "binomial",
            Variate::NegativeBinomial => "negative_binomial",
            Variate::VonMises => "vonmises",
            Variate::Zipf => "zipf",
            Variate::LogSeries => "logseries",
            Variate::Wald => "wald",
            Variate::NoncentralChisquare => "noncentral_chisquare",
        }
    }

    /// The dtype of its numbers.
    pub const fn dtype(self) -> DType {
        match self {
            Variate::Binomial | Variate::NegativeBinomial | Variate::Zipf | Variate::LogSeries => {
                DType::Int64
            }
            _ => DType::Float64,
        }
    }

    /// Checks parameters; the second one of distributions of one parameter has no meaning.
    ///
    /// # Errors
    /// A sentence that says what they must be.
    pub fn check(self, a: f64, b: f64) -> Result<(), String> {
        let is_positive = |x: f64| x > 0.0 && x.is_finite();
        let (fits, want) = match self {
            Variate::Gamma => (a >= 0.0 && a.is_finite(), "a shape of 0 or more"),
            Variate::Beta => (is_positive(a) && is_positive(b), "shapes above 0"),
            Variate::Binomial => (
                (0.0..=POISSON_MEAN_MAX).contains(&a) && a.fract() == 0.0 && (0.0..=1.0).contains(&b),
                "a whole number of trials within 0 and 1e9, and a chance within 0 and 1",
            ),
            Variate::NegativeBinomial => (
                is_positive(a) && b > 0.0 && b <= 1.0 && a * (1.0 - b) / b <= POISSON_MEAN_MAX / 10.0,
                "successes above 0, a chance above 0 and up to 1, and no more than 1e8 failures on average",
            ),
            Variate::VonMises => (a >= 0.0 && a.is_finite(), "a concentration of 0 or more"),
            Variate::Zipf => (a > 1.0 && a.is_finite(), "a power above 1"),
            Variate::LogSeries => ((0.0..1.0).contains(&a), "a parameter from 0 and below 1"),
            Variate::Wald => (is_positive(a) && is_positive(b), "a mean and a scale above 0"),
            Variate::NoncentralChisquare => (
                is_positive(a) && (0.0..=POISSON_MEAN_MAX).contains(&b),
                "degrees of freedom above 0, and a noncentrality within 0 and 1e9",
            ),
        };
        if fits {
            Ok(())
        } else {
            Err(format!("it takes {want}, not {a} and {b}"))
        }
    }
}
