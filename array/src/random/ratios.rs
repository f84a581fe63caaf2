//! Distributions made of gamma and normal numbers.

use graticule_ops::Variate;
use graticule_plan::DType;

use super::{Generator, check, check_scale};
use crate::{Array, ArrayError, Chunks};

impl Generator {
    /// Numbers of the gamma distribution, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a negative shape parameter or `scale`; as [`Array::rechunk`] for `chunks`.
    pub fn gamma(
        &mut self,
        a: f64,
        scale: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check_scale("gamma", scale)?;
        self.variate(Variate::Gamma, a, 1.0, shape, chunks)?
            .multiply(scale)
    }

    /// Sums of squares of so many normal numbers, float64; `freedom` need not be whole.
    ///
    /// # Errors
    /// [`ArrayError::Random`] unless `freedom` is above 0; as [`Array::rechunk`] for `chunks`.
    pub fn chisquare(&mut self, freedom: f64, shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        check_freedom("chisquare", freedom)?;
        self.gamma(freedom / 2.0, 2.0, shape, chunks)
    }

    /// Ratios of two means of squares: Fisher's distribution, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] unless both are above 0; as [`Array::rechunk`] for `chunks`.
    pub fn f(
        &mut self,
        above: f64,
        below: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check_freedom("f", above.min(below))?;
        let numerator = self.gamma(above / 2.0, 2.0 / above, shape, chunks)?;
        numerator.divide(&self.gamma(below / 2.0, 2.0 / below, shape, chunks)?)
    }

    /// Ratios of normal numbers to the roots of means of squares: Student's distribution, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] unless `freedom` is above 0; as [`Array::rechunk`] for `chunks`.
    pub fn standard_t(
        &mut self,
        freedom: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check_freedom("standard_t", freedom)?;
        let normal = self.standard_normal(shape, chunks, DType::Float64)?;
        normal.divide(&self.gamma(freedom / 2.0, 2.0 / freedom, shape, chunks)?.sqrt()?)
    }

    /// As [`Generator::f`], of normal numbers above whose means are not 0.
    ///
    /// # Errors
    /// As [`Generator::f`], and for a negative sum of squares of these means.
    pub fn noncentral_f(
        &mut self,
        (above, below): (f64, f64),
        noncentrality: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check_freedom("noncentral_f", above.min(below))?;
        let numerator = self.variate(Variate::NoncentralChisquare, above, noncentrality, shape, chunks)?;
        let mean = self.gamma(below / 2.0, 2.0 / below, shape, chunks)?;
        numerator.divide(above)?.divide(&mean)
    }

    /// Directions around `mean`, within -pi and pi, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a negative concentration; as [`Array::rechunk`] for `chunks`.
    pub fn vonmises(
        &mut self,
        mean: f64,
        concentration: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        use std::f64::consts::{PI, TAU};
        let around = self.variate(Variate::VonMises, concentration, 0.0, shape, chunks)?;
        around.add(mean)?.add(PI)?.remainder(TAU)?.subtract(PI)
    }
}

fn check_freedom(distribution: &'static str, freedom: f64) -> Result<(), ArrayError> {
    check(distribution, freedom > 0.0 && freedom.is_finite(), || {
        format!("degrees of freedom must be above 0, not {freedom}")
    })
}
