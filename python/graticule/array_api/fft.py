"""The standard's Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import array as ga
from ..errors import InvalidValue
from ._array import Array, array_of
from ._creation import chunks_for
from ._dtypes import FLOATING, REAL_FLOATING, check, float64, known
from ._info import check_device
from ._manipulation import axes_of, axis_of

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft",
    "rfftfreq", "rfftn",
]


def _named(function: Callable[..., Array], name: str) -> Callable[..., Array]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The Array API's `{name}`, lazy."
    return function


def _one(name: str, kinds: str) -> Callable[..., Array]:
    own = getattr(ga.fft, name)

    def function(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
        lazy = array_of(x, name)
        check(name, kinds, lazy.dtype)
        return Array(own(lazy, n, axis_of(axis, lazy.ndim), norm))

    return _named(function, name)


def _several(name: str, kinds: str) -> Callable[..., Array]:
    own = getattr(ga.fft, name)

    def function(x: Array, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Array:
        lazy = array_of(x, name)
        check(name, kinds, lazy.dtype)
        if axes is not None:
            axes = axes_of(tuple(axes), lazy.ndim)
            if s is not None and len(s) != len(axes):
                raise InvalidValue(f"{name}: lengths {s} for axes {axes}")
        return Array(own(lazy, s, axes, norm))

    return _named(function, name)


fft, ifft = _one("fft", FLOATING), _one("ifft", FLOATING)
rfft, irfft = _one("rfft", REAL_FLOATING), _one("irfft", FLOATING)
hfft, ihfft = _one("hfft", FLOATING), _one("ihfft", REAL_FLOATING)
fftn, ifftn = _several("fftn", FLOATING), _several("ifftn", FLOATING)
rfftn, irfftn = _several("rfftn", REAL_FLOATING), _several("irfftn", FLOATING)


def _shifted(name: str) -> Callable[..., Array]:
    own = getattr(ga.fft, name)

    def function(x: Array, /, *, axes: Any = None) -> Array:
        lazy = array_of(x, name)
        check(name, FLOATING, lazy.dtype)
        return Array(own(lazy, axes_of(axes, lazy.ndim)))

    return _named(function, name)


fftshift, ifftshift = _shifted("fftshift"), _shifted("ifftshift")


def _frequencies(name: str) -> Callable[..., Array]:
    own = getattr(np.fft, name)

    def function(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Array:
        check_device(device)
        dtype = float64 if dtype is None else known(dtype)
        check(name, REAL_FLOATING, dtype)
        return Array(ga.asarray(own(n, d).astype(dtype), chunks=chunks_for((1,))))

    return _named(function, name)


fftfreq, rfftfreq = _frequencies("fftfreq"), _frequencies("rfftfreq")
