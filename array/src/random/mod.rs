//! Arrays of random numbers.

mod counts;
mod derived;
mod ratios;

use graticule_ops::{AxisSelection, BinaryOp, Distribution, POISSON_MEAN_MAX, Scalar, Variate};
use graticule_plan::DType;

use crate::{
    Array, ArrayError, Chunks, Operand, binary,
    creation::grid_of_chunks,
    expression::{Op, Randoms},
};

/// Makes arrays of random numbers, each another one.
///
/// A number depends on the seed, on how many arrays the generator made before, and on its place in the array: not on
/// chunks, not on slices, and not on who computes it. The numbers are those of Philox-4x32, not NumPy's stream.
///
/// ```
/// use graticule_array::{Chunks, Generator};
/// use graticule_plan::DType;
///
/// let mut random = Generator::new(42);
/// let noise = random.normal(0.0, 0.1, &[1000, 1000], &[Chunks::Size(100), Chunks::Whole])?;
/// let dice = random.integers(1, 7, &[10], &[Chunks::Whole], DType::UInt8)?;
/// assert_eq!((noise.dtype(), dice.dtype()), (DType::Float64, DType::UInt8));
/// # Ok::<(), graticule_array::ArrayError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generator {
    seed: u64,
    /// Arrays made so far.
    count: u32,
}

impl Generator {
    /// A generator; the same seed gives the same arrays.
    pub fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }

    /// Numbers equally within `[0, 1)`, float64 or float32.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for another dtype; as [`Array::rechunk`] for `chunks`.
    pub fn random(&mut self, shape: &[u64], chunks: &[Chunks], dtype: DType) -> Result<Array, ArrayError> {
        self.array(Distribution::Unit, shape, chunks, dtype)
    }

    /// Numbers equally within `[low, high)`, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for numbers that are not finite; as [`Array::rechunk`] for `chunks`.
    pub fn uniform(
        &mut self,
        low: f64,
        high: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check("uniform", (high - low).is_finite(), || {
            format!("low {low} and high {high} must be finite, and not too far apart")
        })?;
        let unit = self.random(shape, chunks, DType::Float64)?;
        scaled(&unit, high - low, low)
    }

    /// Numbers of the normal distribution with mean 0 and deviation 1, float64 or float32.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for another dtype; as [`Array::rechunk`] for `chunks`.
    pub fn standard_normal(
        &mut self,
        shape: &[u64],
        chunks: &[Chunks],
        dtype: DType,
    ) -> Result<Array, ArrayError> {
        self.array(Distribution::Normal, shape, chunks, dtype)
    }

    /// Numbers of the normal distribution, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a negative `scale`; as [`Array::rechunk`] for `chunks`.
    pub fn normal(
        &mut self,
        mean: f64,
        scale: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        check_scale("normal", scale)?;
        let standard = self.standard_normal(shape, chunks, DType::Float64)?;
        scaled(&standard, scale, mean)
    }

    /// Numbers of the exponential distribution with mean 1, float64 or float32.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for another dtype; as [`Array::rechunk`] for `chunks`.
    pub fn standard_exponential(
        &mut self,
        shape: &[u64],
        chunks: &[Chunks],
        dtype: DType,
    ) -> Result<Array, ArrayError> {
        self.array(Distribution::Exponential, shape, chunks, dtype)
    }

    /// Numbers of the exponential distribution with mean `scale`, float64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a negative `scale`; as [`Array::rechunk`] for `chunks`.
    pub fn exponential(&mut self, scale: f64, shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        check_scale("exponential", scale)?;
        let standard = self.standard_exponential(shape, chunks, DType::Float64)?;
        binary(BinaryOp::Multiply, &standard, scale)
    }

    /// Integers equally from `low` up to, not including, `high`.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a dtype that is no integer's, for no integers at all, and for some that `dtype` cannot
    /// hold; as [`Array::rechunk`] for `chunks`.
    pub fn integers(
        &mut self,
        low: i128,
        high: i128,
        shape: &[u64],
        chunks: &[Chunks],
        dtype: DType,
    ) -> Result<Array, ArrayError> {
        let name = "integers";
        let is_integer = Distribution::Integers { low: 0, count: 1 }.gives(dtype);
        check(name, is_integer, || format!("{dtype} is no dtype of integers"))?;
        check(name, low < high, || {
            format!("low {low} must be below high {high}")
        })?;
        let holds = |value| Scalar::from_int(value, dtype).is_some();
        check(name, holds(low) && holds(high - 1), || {
            format!("{low} to {} do not fit {dtype}", high - 1)
        })?;
        let distribution = Distribution::Integers {
            low: low as u64,
            // All 2^64 of them wrap to 0, which stands for that.
            count: (high - low) as u64,
        };
        self.array(distribution, shape, chunks, dtype)
    }

    /// Numbers of events that are `mean` on average, int64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for a mean that is not within 0..=1e9; as [`Array::rechunk`] for `chunks`.
    pub fn poisson(&mut self, mean: f64, shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        check("poisson", (0.0..=POISSON_MEAN_MAX).contains(&mean), || {
            format!("the mean must be within 0 and {POISSON_MEAN_MAX:e}, not {mean}")
        })?;
        let mean = Scalar::Float64(mean);
        self.array(Distribution::Poisson { mean }, shape, chunks, DType::Int64)
    }

    /// Numbers of a distribution that is drawn by rejection, of two parameters, of which those of one leave the second out:
    /// the same numbers in any chunks, float64 or int64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for parameters that it does not take; as [`Array::rechunk`] for `chunks`.
    pub fn variate(
        &mut self,
        kind: Variate,
        a: f64,
        b: f64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        kind.check(a, b).map_err(|why| ArrayError::Random {
            distribution: kind.name(),
            why,
        })?;
        let (first, second) = (Scalar::Float64(a), Scalar::Float64(b));
        let distribution = Distribution::Variate {
            kind,
            a: first,
            b: second,
        };
        self.array(distribution, shape, chunks, kind.dtype())
    }

    fn array(
        &mut self,
        distribution: Distribution,
        shape: &[u64],
        chunks: &[Chunks],
        dtype: DType,
    ) -> Result<Array, ArrayError> {
        let name = distribution.name();
        check(name, distribution.gives(dtype), || {
            format!("it gives no {dtype}; cast its numbers instead")
        })?;
        let stream = self.count;
        check(name, stream < u32::MAX, || {
            "a generator makes fewer than 2^32 arrays; take another seed".into()
        })?;
        let grid = grid_of_chunks(shape, chunks, dtype)?;
        self.count += 1;
        let randoms = Randoms {
            seed: self.seed,
            stream,
            distribution,
            shape: shape.into(),
            selection: shape.iter().map(|&len| AxisSelection::whole(len)).collect(),
        };
        Ok(Array::new(Op::Random(randoms), vec![], dtype, grid))
    }
}

fn check(distribution: &'static str, holds: bool, why: impl FnOnce() -> String) -> Result<(), ArrayError> {
    if holds {
        Ok(())
    } else {
        Err(ArrayError::Random {
            distribution,
            why: why(),
        })
    }
}

fn check_scale(distribution: &'static str, scale: f64) -> Result<(), ArrayError> {
    check(distribution, scale >= 0.0, || {
        format!("scale must be 0 or more, not {scale}")
    })
}

fn scaled(numbers: &Array, scale: f64, offset: f64) -> Result<Array, ArrayError> {
    let scaled = binary(BinaryOp::Multiply, numbers, Operand::from(scale))?;
    binary(BinaryOp::Add, &scaled, Operand::from(offset))
}
