"""Random numbers that depend on the seed and their place in the array, never on chunks; not NumPy's stream."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from .. import _graticule
from ..errors import Unsupported
from ._array import Array
from ._convert import dtype_name
from ._create import _lengths, _shape

__all__ = [
    "Generator", "RandomState", "beta", "binomial", "chisquare", "choice", "default_rng", "exponential", "f", "gamma",
    "geometric", "gumbel", "hypergeometric", "laplace", "logistic", "lognormal", "logseries", "multinomial", "negative_binomial", "noncentral_chisquare",
    "noncentral_f", "normal", "pareto", "permutation", "poisson", "power", "randint", "random", "random_integers",
    "random_sample", "rayleigh", "seed", "standard_cauchy", "standard_exponential", "standard_gamma", "standard_normal",
    "standard_t", "triangular", "uniform", "vonmises", "wald", "weibull", "zipf",
]


class Generator:
    """Makes arrays of random numbers, each another one; the same seed gives the same arrays."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = _graticule.Generator(secrets.randbits(64) if seed is None else int(seed))

    def random(self, size: Any = (), dtype: Any = np.float64, chunks: Any = "auto") -> Array:
        shape = _shape(size)
        return Array(self._random.random(shape, _lengths(shape, chunks, dtype), dtype_name(dtype)))

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        shape = _shape(size)
        return Array(self._random.uniform(low, high, shape, _lengths(shape, chunks, float)))

    def standard_normal(self, size: Any = (), dtype: Any = np.float64, chunks: Any = "auto") -> Array:
        shape = _shape(size)
        return Array(self._random.standard_normal(shape, _lengths(shape, chunks, dtype), dtype_name(dtype)))

    def normal(self, loc: float = 0.0, scale: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        shape = _shape(size)
        return Array(self._random.normal(loc, scale, shape, _lengths(shape, chunks, float)))

    def exponential(self, scale: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        shape = _shape(size)
        return Array(self._random.exponential(scale, shape, _lengths(shape, chunks, float)))

    def poisson(self, lam: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        shape = _shape(size)
        return Array(self._random.poisson(lam, shape, _lengths(shape, chunks, float)))

    def integers(
        self, low: int, high: int | None = None, size: Any = (), dtype: Any = np.int64, endpoint: bool = False,
        chunks: Any = "auto",
    ) -> Array:
        if high is None:
            low, high = 0, low
        shape = _shape(size)
        return Array(
            self._random.integers(low, high + bool(endpoint), shape, _lengths(shape, chunks, dtype), dtype_name(dtype))
        )

    def permutation(self, x: int) -> Array:
        """The integers below a number in a random order, in one chunk."""
        return Array(self._random.permutation(int(x)))

    def choice(self, a: int, size: Any = (), replace: bool = True, p: Any = None, chunks: Any = "auto") -> Array:
        """Integers below a number, drawn with or without replacement; of an array, take what they name."""
        if not isinstance(a, (int, np.integer)):
            raise Unsupported("choice from an array; take its elements at choice(len(a), ...)")
        shape = _shape(size)
        chances = None if p is None else np.asarray(p, dtype=np.float64).tolist()
        return Array(self._random.choice(int(a), shape, _lengths(shape, chunks, np.int64), bool(replace), chances))

    def triangular(self, left: float, mode: float, right: float, size: Any = (), chunks: Any = "auto") -> Array:
        shape = _shape(size)
        return Array(self._random.triangular(left, mode, right, shape, _lengths(shape, chunks, float)))

    def lognormal(self, mean: float = 0.0, sigma: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("lognormal", mean, sigma, size, chunks)

    def laplace(self, loc: float = 0.0, scale: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("laplace", loc, scale, size, chunks)

    def logistic(self, loc: float = 0.0, scale: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("logistic", loc, scale, size, chunks)

    def gumbel(self, loc: float = 0.0, scale: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("gumbel", loc, scale, size, chunks)

    def weibull(self, a: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("weibull", a, 0.0, size, chunks)

    def pareto(self, a: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("pareto", a, 0.0, size, chunks)

    def power(self, a: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("power", a, 0.0, size, chunks)

    def rayleigh(self, scale: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("rayleigh", scale, 0.0, size, chunks)

    def geometric(self, p: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("geometric", p, 0.0, size, chunks)

    def standard_cauchy(self, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("standard_cauchy", 0.0, 0.0, size, chunks)

    def gamma(self, shape: float, scale: float = 1.0, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("gamma", shape, scale, size, chunks)

    def standard_gamma(self, shape: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("standard_gamma", shape, 0.0, size, chunks)

    def beta(self, a: float, b: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("beta", a, b, size, chunks)

    def binomial(self, n: float, p: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("binomial", n, p, size, chunks)

    def negative_binomial(self, n: float, p: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("negative_binomial", n, p, size, chunks)

    def chisquare(self, df: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("chisquare", df, 0.0, size, chunks)

    def f(self, dfnum: float, dfden: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("f", dfnum, dfden, size, chunks)

    def standard_t(self, df: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("standard_t", df, 0.0, size, chunks)

    def vonmises(self, mu: float, kappa: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("vonmises", mu, kappa, size, chunks)

    def wald(self, mean: float, scale: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("wald", mean, scale, size, chunks)

    def zipf(self, a: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("zipf", a, 0.0, size, chunks)

    def logseries(self, p: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("logseries", p, 0.0, size, chunks)

    def noncentral_chisquare(self, df: float, nonc: float, size: Any = (), chunks: Any = "auto") -> Array:
        return self._derived("noncentral_chisquare", df, nonc, size, chunks)

    def noncentral_f(self, dfnum: float, dfden: float, nonc: float, size: Any = (), chunks: Any = "auto") -> Array:
        shape = _shape(size)
        return Array(self._random.noncentral_f(float(dfnum), float(dfden), float(nonc), shape, _lengths(shape, chunks, float)))

    def hypergeometric(self, ngood: int, nbad: int, nsample: int, size: Any = (), chunks: Any = "auto") -> Array:
        shape = _shape(size)
        counts = _count(ngood, "ngood"), _count(nbad, "nbad"), _count(nsample, "nsample")
        return Array(self._random.hypergeometric(*counts, shape, _lengths(shape, chunks, np.int64)))

    def multinomial(self, n: int, pvals: Any, size: Any = (), chunks: Any = "auto") -> Array:
        """How many of `n` trials come out as each kind, the kinds along a last axis; each trial is drawn."""
        shape, chances = _shape(size), np.asarray(pvals, dtype=np.float64)
        if chances.ndim != 1:
            raise Unsupported("multinomial numbers of several lists of pvals; draw and stack them one by one")
        lengths = _lengths(shape, chunks, np.int64)
        return Array(self._random.multinomial(_count(n, "n"), chances.tolist(), shape, lengths))

    def _derived(self, name: str, a: float, b: float, size: Any, chunks: Any) -> Array:
        shape = _shape(size)
        return Array(self._random.derived(name, float(a), float(b), shape, _lengths(shape, chunks, float)))

    def standard_exponential(self, size: Any = (), chunks: Any = "auto") -> Array:
        return self.exponential(1.0, size, chunks)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"random numbers of the distribution {name!r}")


def _count(number: Any, name: str) -> int:
    if not isinstance(number, (int, np.integer)) or number < 0:
        raise ValueError(f"{name} must be a whole number of 0 or more, not {number!r}")
    return int(number)


def default_rng(seed: int | None = None) -> Generator:
    return Generator(seed)


class RandomState(Generator):
    """A generator under the older names of `numpy.random`."""

    def random_sample(self, size: Any = (), chunks: Any = "auto") -> Array:
        return self.random(size, chunks=chunks)

    def randint(self, low: int, high: int | None = None, size: Any = (), chunks: Any = "auto", dtype: Any = np.int64) -> Array:
        return self.integers(low, high, size, dtype, chunks=chunks)

    def random_integers(self, low: int, high: int | None = None, size: Any = (), chunks: Any = "auto") -> Array:
        """Integers from `low` to `high`, both of them included; from 1 if there is one bound alone."""
        return self.integers(*((1, low) if high is None else (low, high)), size, endpoint=True, chunks=chunks)

    def seed(self, seed: int | None = None) -> None:
        """Begins anew."""
        Generator.__init__(self, seed)


#: What the functions of this module draw from.
_shared = RandomState()
choice, exponential, geometric, gumbel = _shared.choice, _shared.exponential, _shared.geometric, _shared.gumbel
laplace, logistic, lognormal, normal = _shared.laplace, _shared.logistic, _shared.lognormal, _shared.normal
pareto, permutation, poisson, power = _shared.pareto, _shared.permutation, _shared.poisson, _shared.power
randint, random, random_integers = _shared.randint, _shared.random, _shared.random_integers
random_sample, rayleigh, seed = _shared.random_sample, _shared.rayleigh, _shared.seed
standard_cauchy, standard_exponential = _shared.standard_cauchy, _shared.standard_exponential
standard_normal, triangular, uniform, weibull = _shared.standard_normal, _shared.triangular, _shared.uniform, _shared.weibull
beta, binomial, chisquare, f, gamma = _shared.beta, _shared.binomial, _shared.chisquare, _shared.f, _shared.gamma
logseries, negative_binomial, noncentral_f = _shared.logseries, _shared.negative_binomial, _shared.noncentral_f
noncentral_chisquare, standard_gamma = _shared.noncentral_chisquare, _shared.standard_gamma
standard_t, vonmises, wald, zipf = _shared.standard_t, _shared.vonmises, _shared.wald, _shared.zipf
hypergeometric, multinomial = _shared.hypergeometric, _shared.multinomial
