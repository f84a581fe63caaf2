"""Products and covariances, under NumPy's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _graticule
from ..errors import InvalidValue, Unsupported
from ._array import Array
from ._convert import typed
from ._shape import diagonal, matrix_transpose, pad, sliding_window_view, trace

__all__ = [
    "convolve", "corrcoef", "cov", "cross", "diagonal", "dot", "einsum", "inner", "kron", "matmul", "matrix_transpose", "outer",
    "tensordot", "trace", "vdot", "vecdot",
]


def _product(name: str, x: Any, y: Any) -> Array:
    return Array(_graticule.product(name, typed(x), typed(y)))


def matmul(a: Any, b: Any, /, **_: Any) -> Array:
    return _product("matmul", a, b)


def dot(a: Any, b: Any, out: Any = None) -> Array:
    return _product("dot", a, b)


def vdot(a: Any, b: Any) -> Array:
    return _product("vdot", a, b)


def outer(a: Any, b: Any, out: Any = None) -> Array:
    return _product("outer", Array(typed(a)).ravel(), Array(typed(b)).ravel())


def inner(a: Any, b: Any) -> Array:
    x, y = Array(typed(a)), Array(typed(b))
    return x * y if not x.ndim or not y.ndim else tensordot(x, y, (-1, -1))


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1, **_: Any) -> Array:
    return Array(_graticule.vecdot(typed(x1), typed(x2), axis))


def convolve(a: Any, v: Any, mode: str = "full") -> Array:
    """NumPy's `convolve`: the shorter of both lies in one chunk, and slides along the other."""
    x, kernel = Array(typed(a)), Array(typed(v))
    if x.ndim != 1 or kernel.ndim != 1 or not x.size or not kernel.size:
        raise InvalidValue(f"convolve takes two arrays of one axis that are not empty, not shapes {x.shape} and {kernel.shape}")
    if mode not in ("full", "same", "valid"):
        raise InvalidValue(f"mode must be 'full', 'same' or 'valid', not {mode!r}")
    if x.size < kernel.size:
        x, kernel = kernel, x
    x, kernel = (one.astype(np.result_type(x.dtype, kernel.dtype)) for one in (x, kernel))
    beside = kernel.size - 1
    before = {"full": beside, "same": beside - beside // 2, "valid": 0}[mode]
    after = {"full": beside, "same": beside // 2, "valid": 0}[mode]
    wide = pad(x, (before, after)) if before or after else x
    return sliding_window_view(wide, kernel.size) @ kernel[::-1].rechunk(-1)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Array:
    axis = axisa if axis is None else axis
    return Array(_graticule.cross(typed(a), typed(b), axis))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Array:
    x, y = Array(typed(a)), Array(typed(b))
    if isinstance(axes, int):
        axes = (list(range(x.ndim - axes, x.ndim)), list(range(axes)))
    first, second = ([one] if isinstance(one, int) else [int(axis) for axis in one] for one in axes)
    return Array(_graticule.tensordot(x._x, y._x, first, second))


def einsum(subscripts: Any, *operands: Any, optimize: Any = None, **kwargs: Any) -> Array:
    dtype = kwargs.pop("dtype", None)
    operands = [Array(typed(one)) for one in operands]
    if dtype is not None:
        operands = [one.astype(dtype) for one in operands]
    return Array(_graticule.einsum(subscripts, [one._x for one in operands]))


def kron(a: Any, b: Any) -> Array:
    x, y = Array(typed(a)), Array(typed(b))
    ndim = max(x.ndim, y.ndim)
    x, y = (one.reshape((1,) * (ndim - one.ndim) + one.shape) for one in (x, y))
    wide = x.reshape([n for length in x.shape for n in (length, 1)]) * y.reshape([n for length in y.shape for n in (1, length)])
    return wide.reshape([n * m for n, m in zip(x.shape, y.shape)])


def _real(function: str, *arrays: Any) -> None:
    if any(one is not None and np.dtype(one.dtype).kind == "c" for one in arrays):
        raise Unsupported(f"{function} of complex numbers")


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None) -> Array:
    _real("cov", m, y)
    ddof = (0 if bias else 1) if ddof is None else int(ddof)
    return Array(_graticule.cov(typed(m), None if y is None else typed(y), rowvar, ddof))


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Array:
    _real("corrcoef", x, y)
    return Array(_graticule.corrcoef(typed(x), None if y is None else typed(y), rowvar))
