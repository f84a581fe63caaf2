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

__all__ = ["Generator", "default_rng"]


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

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"random numbers of the distribution {name!r}")


def default_rng(seed: int | None = None) -> Generator:
    return Generator(seed)
