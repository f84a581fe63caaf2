//! Reductions that are composed of others.

use graticule_ops::promote;
use graticule_plan::{DType, Kind};

use crate::{
    Array, ArrayError, Over,
    infer::{axis_index, axis_indices},
};

impl Array {
    /// Counts the elements that are not zero; NaN is not.
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn count_nonzero(&self, over: &Over) -> Result<Array, ArrayError> {
        self.astype(DType::Bool)?.sum(over)
    }

    /// Takes the difference of the greatest and the least element ("peak to peak").
    ///
    /// # Errors
    /// As [`Array::reduce`], and [`ArrayError::Ops`] of booleans.
    pub fn ptp(&self, over: &Over) -> Result<Array, ArrayError> {
        self.max(over)?.subtract(self.min(over)?)
    }

    /// Takes the mean, with a weight for each element or for each place along the averaged axes, in their order.
    ///
    /// Weights that add up to 0 give NaN or an infinity, where NumPy raises: that is not known before they are computed.
    ///
    /// # Errors
    /// As [`Array::reduce`], and [`ArrayError::WeightShape`].
    pub fn average(&self, weights: Option<&Array>, over: &Over) -> Result<Array, ArrayError> {
        let Some(weights) = weights else {
            return self.mean(over);
        };
        self.check_number("average")?;
        weights.check_number("average")?;
        let weights = self.spread_weights(weights, over)?;
        let common = promote(self.dtype(), weights.dtype())?;
        let common = match self.dtype().kind() {
            Kind::Float | Kind::Complex => common,
            _ => promote(common, DType::Float64)?,
        };
        let common = if common.is_inexact() {
            common
        } else {
            DType::Float64
        };
        let (x, weights) = (self.astype(common)?, weights.astype(common)?);
        let total = weights.broadcast_to(&self.shape())?.sum(over)?;
        x.multiply(&weights)?.sum(over)?.divide(total)
    }

    /// Weights that broadcast with this array.
    fn spread_weights(&self, weights: &Array, over: &Over) -> Result<Array, ArrayError> {
        let shape = self.shape();
        if weights.shape() == shape {
            return Ok(weights.clone());
        }
        let misfit = || ArrayError::WeightShape {
            weights: weights.shape(),
            shape: shape.clone(),
        };
        let given = over.axes.as_ref().ok_or_else(misfit)?;
        axis_indices(given, self.ndim())?;
        let axes: Vec<usize> = given
            .iter()
            .map(|&axis| axis_index(axis, self.ndim()))
            .collect::<Result<_, _>>()?;
        if weights.shape() != axes.iter().map(|&axis| shape[axis]).collect::<Vec<_>>() {
            return Err(misfit());
        }
        let mut order: Vec<usize> = (0..axes.len()).collect();
        order.sort_by_key(|&place| axes[place]);
        let order: Vec<i64> = order.into_iter().map(|place| place as i64).collect();
        let others: Vec<i64> = (0..shape.len())
            .filter(|axis| !axes.contains(axis))
            .map(|axis| axis as i64)
            .collect();
        weights.permute_dims(&order)?.expand_dims(others)
    }
}

macro_rules! nan_reductions {
    ($($(#[$doc:meta])* $name:ident => $plain:ident),* $(,)?) => {
        impl Array {$(
            $(#[$doc])*
            ///
            /// NaN is left out, as by [`Over::skipna`].
            ///
            /// # Errors
            /// As [`Array::reduce`].
            pub fn $name(&self, over: &Over) -> Result<Array, ArrayError> {
                self.$plain(&over.clone().skipna())
            }
        )*}
    };
}

nan_reductions! {
    /// Sums.
    nansum => sum,
    /// Multiplies.
    nanprod => prod,
    /// Takes the mean.
    nanmean => mean,
    /// Takes the least element.
    nanmin => min,
    /// Takes the greatest element.
    nanmax => max,
    /// Takes the median.
    nanmedian => median,
    /// Finds the first position of the least element.
    nanargmin => argmin,
    /// Finds the first position of the greatest element.
    nanargmax => argmax,
}

impl Array {
    /// Takes the variance. NaN is left out, as by [`Over::skipna`].
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn nanvar(&self, ddof: u32, over: &Over) -> Result<Array, ArrayError> {
        self.var(ddof, &over.clone().skipna())
    }

    /// Takes the standard deviation. NaN is left out, as by [`Over::skipna`].
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn nanstd(&self, ddof: u32, over: &Over) -> Result<Array, ArrayError> {
        self.std(ddof, &over.clone().skipna())
    }

    /// Takes percentiles, each within 0..=100, by linear interpolation; the result has a leading axis for them.
    ///
    /// # Errors
    /// As [`Array::quantile`].
    pub fn percentile(&self, qs: &[f64], over: &Over) -> Result<Array, ArrayError> {
        let qs: Vec<f64> = qs.iter().map(|q| q / 100.0).collect();
        self.quantile(&qs, over)
    }

    /// Takes percentiles. NaN is left out, as by [`Over::skipna`].
    ///
    /// # Errors
    /// As [`Array::quantile`].
    pub fn nanpercentile(&self, qs: &[f64], over: &Over) -> Result<Array, ArrayError> {
        self.percentile(qs, &over.clone().skipna())
    }

    /// Takes quantiles. NaN is left out, as by [`Over::skipna`].
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn nanquantile(&self, qs: &[f64], over: &Over) -> Result<Array, ArrayError> {
        self.quantile(qs, &over.clone().skipna())
    }
}
