//! Distributions made of uniform, normal and exponential numbers, and what is drawn from a list.

use graticule_ops::BinaryOp;
use graticule_plan::DType;

use super::{Generator, check, check_scale, scaled};
use crate::{Array, ArrayError, Chunks, Operand, binary, where_};

impl Generator {
    /// Numbers whose logarithms are normal, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a negative `sigma`; as [`Array::rechunk`] for `chunks`.
    pub fn lognormal(
        &mut self,
        mean: f64,
        sigma: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check_scale("lognormal", sigma)?;
        self.normal(mean, sigma, shape, chunks)?.exp()
    }

    /// Numbers whose distance from `loc` is exponential to both sides, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a negative `scale`; as [`Array::rechunk`] for `chunks`.
    pub fn laplace(
        &mut self,
        loc: f64,
        scale: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check_scale("laplace", scale)?;
        let above = self.standard_exponential(shape, chunks, DType::Float64)?;
        let below = self.standard_exponential(shape, chunks, DType::Float64)?;
        scaled(&above.subtract(&below)?, scale, loc)
    }

    /// Numbers of the logistic distribution, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a negative `scale`; as [`Array::rechunk`] for `chunks`.
    pub fn logistic(
        &mut self,
        loc: f64,
        scale: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check_scale("logistic", scale)?;
        // The logarithm of u / (1 - u), by the exponential number -ln(1 - u), which is never 0 where u is.
        let exponential = self.standard_exponential(shape, chunks, DType::Float64)?;
        scaled(&exponential.expm1()?.log()?, scale, loc)
    }

    /// Numbers of the Gumbel distribution, that of the greatest of many, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a negative `scale`; as [`Array::rechunk`] for `chunks`.
    pub fn gumbel(
        &mut self,
        loc: f64,
        scale: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check_scale("gumbel", scale)?;
        let exponential = self.standard_exponential(shape, chunks, DType::Float64)?;
        scaled(&exponential.log()?, -scale, loc)
    }

    /// Numbers of the Weibull distribution with scale 1, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a shape parameter that is not above 0; as [`Array::rechunk`] for `chunks`.
    pub fn weibull(&mut self, a: f64, shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        check_positive("weibull", "a", a)?;
        let exponential = self.standard_exponential(shape, chunks, DType::Float64)?;
        binary(BinaryOp::Power, &exponential, 1.0 / a)
    }

    /// Numbers of the Lomax distribution, Pareto's less 1, float64: as NumPy's `pareto`.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a shape parameter that is not above 0; as [`Array::rechunk`] for `chunks`.
    pub fn pareto(&mut self, a: f64, shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        check_positive("pareto", "a", a)?;
        let exponential = self.standard_exponential(shape, chunks, DType::Float64)?;
        exponential.divide(a)?.expm1()
    }

    /// Numbers within 0 and 1 whose distribution is a power, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a power that is not above 0; as [`Array::rechunk`] for `chunks`.
    pub fn power(&mut self, a: f64, shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        check_positive("power", "a", a)?;
        let unit = self.random(shape, chunks, DType::Float64)?;
        binary(BinaryOp::Power, &unit, 1.0 / a)
    }

    /// Lengths of vectors of two normal numbers, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a negative `scale`; as [`Array::rechunk`] for `chunks`.
    pub fn rayleigh(&mut self, scale: f64, shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        check_scale("rayleigh", scale)?;
        let exponential = self.standard_exponential(shape, chunks, DType::Float64)?;
        exponential.multiply(2.0)?.sqrt()?.multiply(scale)
    }

    /// Quotients of two normal numbers, float64.
    ///
    /// # Errors
    /// As [`Array::rechunk`] for `chunks`.
    pub fn standard_cauchy(&mut self, shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        let above = self.standard_normal(shape, chunks, DType::Float64)?;
        above.divide(self.standard_normal(shape, chunks, DType::Float64)?)
    }

    /// Numbers within `left` and `right`, most often near `mode`, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] unless `left <= mode <= right` and `left < right`; as [`Array::rechunk`] for `chunks`.
    pub fn triangular(
        &mut self,
        (left, mode, right): (f64, f64, f64),
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        let rises = left <= mode && mode <= right && left < right && (right - left).is_finite();
        check("triangular", rises, || {
            format!("left {left}, mode {mode} and right {right} must rise")
        })?;
        let unit = self.random(shape, chunks, DType::Float64)?;
        let (width, below, above) = (right - left, mode - left, right - mode);
        let first = unit.multiply(width * below)?.sqrt()?.add(left)?;
        let rest = Operand::from(1.0);
        let rest = binary(BinaryOp::Subtract, rest, &unit)?;
        let last = rest.multiply(width * above)?.sqrt()?;
        let last = binary(BinaryOp::Subtract, Operand::from(right), &last)?;
        where_(unit.less(below / width)?, first, last)
    }

    /// Trials until the first success, each of probability `p`, int64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a probability that is not above 0 and at most 1; as [`Array::rechunk`] for `chunks`.
    pub fn geometric(&mut self, p: f64, shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        check("geometric", p > 0.0 && p <= 1.0, || {
            format!("p must be above 0 and at most 1, not {p}")
        })?;
        let exponential = self.standard_exponential(shape, chunks, DType::Float64)?;
        let trials = exponential.divide(-(-p).ln_1p())?.ceil()?;
        trials.clip(Some(1.0.into()), None)?.astype(DType::Int64)
    }

    /// The integers below `len` in a random order, int64, in one chunk.
    ///
    /// # Errors
    /// [`ArrayError::Plan`] for more than an array can have.
    pub fn permutation(&mut self, len: u64) -> Result<Array, ArrayError> {
        self.random(&[len], &[Chunks::Whole], DType::Float64)?
            .argsort(0, false)
    }

    /// Integers below `len`, int64: with `replace` each drawn among all, else no two the same, in one chunk.
    ///
    /// With probabilities, one for each integer, each is drawn as often as its probability says, with `replace` alone.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for more draws than there are integers without `replace`, and for probabilities that are not
    /// as many as integers, not within 0 and 1, or do not add up to 1; as [`Array::rechunk`] for `chunks`.
    pub fn choice(
        &mut self,
        len: u64,
        shape: &[u64],
        chunks: &[Chunks],
        replace: bool,
        probabilities: Option<&[f64]>,
    ) -> Result<Array, ArrayError> {
        let name = "choice";
        check(name, len > 0, || "there is nothing to choose from".into())?;
        if let Some(probabilities) = probabilities {
            check(name, replace, || {
                "probabilities are for draws with replacement; leave out p, or draw with replace".into()
            })?;
            return self.weighted(len, shape, chunks, probabilities);
        }
        if replace {
            return self.integers(0, i128::from(len), shape, chunks, DType::Int64);
        }
        let count = shape.iter().copied().fold(1u64, u64::saturating_mul);
        check(name, count <= len, || {
            format!("{count} draws from {len} without replacement: draw fewer, or with replace")
        })?;
        let shape: Vec<i64> = shape.iter().map(|&len| len as i64).collect();
        let first = self.permutation(len)?.part(0, 0, count).reshape(&shape)?;
        first.rechunk(chunks)
    }

    fn weighted(
        &mut self,
        len: u64,
        shape: &[u64],
        chunks: &[Chunks],
        probabilities: &[f64],
    ) -> Result<Array, ArrayError> {
        let name = "choice";
        check(name, probabilities.len() as u64 == len, || {
            format!("{} probabilities for {len} integers", probabilities.len())
        })?;
        let is_one = |p: &f64| (0.0..=1.0).contains(p);
        check(name, probabilities.iter().all(is_one), || {
            "probabilities must be within 0 and 1".into()
        })?;
        let mut sum = 0.0;
        let mut ends: Vec<f64> = Vec::with_capacity(probabilities.len());
        for p in probabilities {
            sum += p;
            ends.push(sum);
        }
        check(name, (sum - 1.0).abs() < 1e-8, || {
            format!("probabilities add up to {sum}, not to 1: divide them by their sum")
        })?;
        ends.iter_mut().for_each(|end| *end /= sum);
        let ends = Array::from_slice(&[len], &[Chunks::Whole], &ends)?;
        ends.searchsorted(&self.random(shape, chunks, DType::Float64)?, true)
    }
}

fn check_positive(distribution: &'static str, name: &str, value: f64) -> Result<(), ArrayError> {
    check(distribution, value > 0.0 && value.is_finite(), || {
        format!("{name} must be above 0, not {value}")
    })
}
