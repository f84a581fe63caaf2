//! Arrays made of nothing, of NumPy's arrays, or of chance.

use graticule_array::{Array, Operand, Variate};
use graticule_ops::Scalar;
use graticule_plan::DType;
use pyo3::prelude::*;

use crate::{
    convert::{self, Lengths, Named, Side},
    error::Failure,
    expression::{Expression, Made, constant},
};

/// A number in a dtype.
pub(crate) fn scalar_of(side: Side, dtype: DType) -> Result<Scalar, Failure> {
    let out = || {
        let message = format!("the number does not fit {dtype}");
        Failure::new("OutOfBounds", message)
    };
    match side.0 {
        Operand::Int(value) => match Scalar::time(value as i64, dtype) {
            Some(time) => Ok(time),
            None => Scalar::from_int(value, dtype).ok_or_else(out),
        },
        Operand::Bool(value) => Scalar::from_int(value.into(), dtype).ok_or_else(out),
        Operand::Float(value) if dtype.is_inexact() => Scalar::from_float(value, dtype).ok_or_else(out),
        // As NumPy converts: cut off, then taken as an integer.
        Operand::Float(value) if value.is_finite() => Scalar::from_int(value as i128, dtype).ok_or_else(out),
        Operand::Complex(value) => Scalar::from_complex(value, dtype).ok_or_else(out),
        Operand::Typed(value) if value.dtype() == dtype => Ok(value),
        _ => Err(out()),
    }
}

/// An array of the bytes of a contiguous buffer, copied.
#[pyfunction]
fn from_bytes(dtype: Named, shape: Vec<u64>, chunks: Lengths, data: &Bound<'_, PyAny>) -> Made {
    let data = convert::numbers::<u8>(data)?;
    Ok(Array::from_bytes(dtype.0, &shape, &convert::chunks(chunks), data)?.into())
}

/// One number with a dtype of its own, of its bytes.
#[pyfunction]
fn scalar(dtype: Named, data: &[u8]) -> Made {
    let tensor = graticule_kernel::Tensor::from_bytes(dtype.0, &[], data.to_vec().into())?;
    Ok(constant(tensor.item(0)))
}

#[pyfunction]
fn full(shape: Vec<u64>, chunks: Lengths, value: Side, dtype: Named) -> Made {
    let value = scalar_of(value, dtype.0)?;
    Ok(Array::full(&shape, &convert::chunks(chunks), value)?.into())
}

#[pyfunction]
fn full_like(x: &Expression, value: Side, dtype: Option<Named>) -> Made {
    Ok(x.array.full_like(value.0, dtype.map(|dtype| dtype.0))?.into())
}

#[pyfunction]
fn arange(start: f64, stop: f64, step: f64, dtype: Named, chunks: Lengths) -> Made {
    let chunk = convert::chunks(chunks).swap_remove(0);
    Ok(Array::arange(start, stop, step, dtype.0, chunk)?.into())
}

#[pyfunction]
fn linspace(start: f64, stop: f64, count: u64, has_end: bool, dtype: Named, chunks: Lengths) -> Made {
    let chunk = convert::chunks(chunks).swap_remove(0);
    Ok(Array::linspace(start, stop, count, has_end, dtype.0, chunk)?.into())
}

#[pyfunction]
fn eye(rows: u64, columns: u64, offset: i64, dtype: Named, chunks: Lengths) -> Made {
    Ok(Array::eye(rows, columns, offset, &convert::chunks(chunks), dtype.0)?.into())
}

#[pyfunction]
fn tri(rows: u64, columns: u64, offset: i64, dtype: Named, chunks: Lengths) -> Made {
    Ok(Array::tri(rows, columns, offset, &convert::chunks(chunks), dtype.0)?.into())
}

#[pyfunction]
fn indices(shape: Vec<u64>, chunks: Lengths) -> Made {
    Ok(Array::indices(&shape, &convert::chunks(chunks))?.into())
}

/// Random numbers that depend on the seed and their place, never on chunks.
#[pyclass(module = "graticule._graticule")]
pub(crate) struct Generator {
    random: graticule_array::Generator,
}

#[pymethods]
impl Generator {
    #[new]
    fn new(seed: u64) -> Self {
        Self {
            random: graticule_array::Generator::new(seed),
        }
    }

    fn random(&mut self, shape: Vec<u64>, chunks: Lengths, dtype: Named) -> Made {
        Ok(self
            .random
            .random(&shape, &convert::chunks(chunks), dtype.0)?
            .into())
    }

    fn uniform(&mut self, low: f64, high: f64, shape: Vec<u64>, chunks: Lengths) -> Made {
        Ok(self
            .random
            .uniform(low, high, &shape, &convert::chunks(chunks))?
            .into())
    }

    fn standard_normal(&mut self, shape: Vec<u64>, chunks: Lengths, dtype: Named) -> Made {
        Ok(self
            .random
            .standard_normal(&shape, &convert::chunks(chunks), dtype.0)?
            .into())
    }

    fn normal(&mut self, mean: f64, scale: f64, shape: Vec<u64>, chunks: Lengths) -> Made {
        Ok(self
            .random
            .normal(mean, scale, &shape, &convert::chunks(chunks))?
            .into())
    }

    fn exponential(&mut self, scale: f64, shape: Vec<u64>, chunks: Lengths) -> Made {
        Ok(self
            .random
            .exponential(scale, &shape, &convert::chunks(chunks))?
            .into())
    }

    fn poisson(&mut self, mean: f64, shape: Vec<u64>, chunks: Lengths) -> Made {
        Ok(self
            .random
            .poisson(mean, &shape, &convert::chunks(chunks))?
            .into())
    }

    /// A distribution of two numbers or fewer, by its name.
    fn derived(&mut self, name: &str, a: f64, b: f64, shape: Vec<u64>, chunks: Lengths) -> Made {
        let (random, chunks) = (&mut self.random, &convert::chunks(chunks));
        let made = match name {
            "lognormal" => random.lognormal(a, b, &shape, chunks),
            "laplace" => random.laplace(a, b, &shape, chunks),
            "logistic" => random.logistic(a, b, &shape, chunks),
            "gumbel" => random.gumbel(a, b, &shape, chunks),
            "weibull" => random.weibull(a, &shape, chunks),
            "pareto" => random.pareto(a, &shape, chunks),
            "power" => random.power(a, &shape, chunks),
            "rayleigh" => random.rayleigh(a, &shape, chunks),
            "standard_cauchy" => random.standard_cauchy(&shape, chunks),
            "geometric" => random.geometric(a, &shape, chunks),
            "gamma" => random.gamma(a, b, &shape, chunks),
            "chisquare" => random.chisquare(a, &shape, chunks),
            "f" => random.f(a, b, &shape, chunks),
            "standard_t" => random.standard_t(a, &shape, chunks),
            "vonmises" => random.vonmises(a, b, &shape, chunks),
            "standard_gamma" => random.variate(Variate::Gamma, a, 0.0, &shape, chunks),
            "beta" => random.variate(Variate::Beta, a, b, &shape, chunks),
            "binomial" => random.variate(Variate::Binomial, a, b, &shape, chunks),
            "negative_binomial" => random.variate(Variate::NegativeBinomial, a, b, &shape, chunks),
            "zipf" => random.variate(Variate::Zipf, a, 0.0, &shape, chunks),
            "logseries" => random.variate(Variate::LogSeries, a, 0.0, &shape, chunks),
            "wald" => random.variate(Variate::Wald, a, b, &shape, chunks),
            "noncentral_chisquare" => random.variate(Variate::NoncentralChisquare, a, b, &shape, chunks),
            _ => return Err(Failure::value(format!("there is no distribution {name:?}"))),
        };
        Ok(made?.into())
    }

    fn noncentral_f(
        &mut self,
        above: f64,
        below: f64,
        noncentrality: f64,
        shape: Vec<u64>,
        chunks: Lengths,
    ) -> Made {
        let (freedom, chunks) = ((above, below), convert::chunks(chunks));
        let made = self.random.noncentral_f(freedom, noncentrality, &shape, &chunks);
        Ok(made?.into())
    }

    fn triangular(&mut self, left: f64, mode: f64, right: f64, shape: Vec<u64>, chunks: Lengths) -> Made {
        let corners = (left, mode, right);
        let made = self.random.triangular(corners, &shape, &convert::chunks(chunks));
        Ok(made?.into())
    }

    fn hypergeometric(&mut self, good: u64, bad: u64, drawn: u64, shape: Vec<u64>, chunks: Lengths) -> Made {
        let chunks = convert::chunks(chunks);
        Ok(self
            .random
            .hypergeometric(good, bad, drawn, &shape, &chunks)?
            .into())
    }

    fn multinomial(&mut self, trials: u64, chances: Vec<f64>, shape: Vec<u64>, chunks: Lengths) -> Made {
        let chunks = convert::chunks(chunks);
        Ok(self.random.multinomial(trials, &chances, &shape, &chunks)?.into())
    }

    fn permutation(&mut self, len: u64) -> Made {
        Ok(self.random.permutation(len)?.into())
    }

    fn choice(
        &mut self,
        len: u64,
        shape: Vec<u64>,
        chunks: Lengths,
        replace: bool,
        chances: Option<Vec<f64>>,
    ) -> Made {
        let chunks = convert::chunks(chunks);
        let made = self
            .random
            .choice(len, &shape, &chunks, replace, chances.as_deref());
        Ok(made?.into())
    }

    fn integers(&mut self, low: i64, high: i64, shape: Vec<u64>, chunks: Lengths, dtype: Named) -> Made {
        let (low, high) = (low.into(), high.into());
        Ok(self
            .random
            .integers(low, high, &shape, &convert::chunks(chunks), dtype.0)?
            .into())
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(from_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(crate::memory::from_memory, module)?)?;
    module.add_function(wrap_pyfunction!(crate::memory::scatter_array, module)?)?;
    module.add_function(wrap_pyfunction!(scalar, module)?)?;
    module.add_function(wrap_pyfunction!(full, module)?)?;
    module.add_function(wrap_pyfunction!(full_like, module)?)?;
    module.add_function(wrap_pyfunction!(arange, module)?)?;
    module.add_function(wrap_pyfunction!(linspace, module)?)?;
    module.add_function(wrap_pyfunction!(eye, module)?)?;
    module.add_function(wrap_pyfunction!(tri, module)?)?;
    module.add_function(wrap_pyfunction!(indices, module)?)
}
