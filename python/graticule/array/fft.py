"""Fourier transforms, under NumPy's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _graticule
from ._array import Array
from ._convert import axes_of, typed
from ._create import asarray

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]


def _one(name: str) -> Any:
    def function(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
        return Array(_graticule.fourier(name, typed(a), n, axis, norm))

    function.__name__ = function.__qualname__ = name
    return function


def _several(name: str, default: Any) -> Any:
    def function(a: Any, s: Any = None, axes: Any = default, norm: str | None = None) -> Array:
        x = Array(typed(a))
        s = None if s is None else [int(one) for one in s]
        if s is not None and axes is None:
            axes = tuple(range(-len(s), 0))
        core = name.replace("2", "n")
        return Array(_graticule.fourier_n(core, x._x, s, axes_of(axes, x.ndim), norm))

    function.__name__ = function.__qualname__ = name
    return function


fft, ifft, rfft, irfft, hfft, ihfft = map(_one, ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"))
fftn, ifftn, rfftn, irfftn = (_several(name, None) for name in ("fftn", "ifftn", "rfftn", "irfftn"))
fft2, ifft2, rfft2, irfft2 = (_several(name, (-2, -1)) for name in ("fft2", "ifft2", "rfft2", "irfft2"))


def fftshift(x: Any, axes: Any = None) -> Array:
    return Array(_graticule.fftshift(typed(x), axes_of(axes, x.ndim), False))


def ifftshift(x: Any, axes: Any = None) -> Array:
    return Array(_graticule.fftshift(typed(x), axes_of(axes, x.ndim), True))


def fftfreq(n: int, d: float = 1.0, chunks: Any = "auto") -> Array:
    return asarray(np.fft.fftfreq(n, d), chunks=chunks)


def rfftfreq(n: int, d: float = 1.0, chunks: Any = "auto") -> Array:
    return asarray(np.fft.rfftfreq(n, d), chunks=chunks)
