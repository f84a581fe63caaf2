"""The standard's linear algebra."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from .. import array as ga
from ..errors import InvalidValue
from ._array import Array, array_of, cast
from ._dtypes import FLOATING, NUMERIC, check, finfo, known
from ._elementwise import operands
from ._manipulation import axes_of, matrix_transpose
from ._products import _pair, matmul, tensordot, vecdot

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul", "matrix_norm",
    "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals",
    "tensordot", "trace", "vecdot", "vector_norm",
]

EighResult = namedtuple("EighResult", ["eigenvalues", "eigenvectors"])
EigResult = namedtuple("EigResult", ["eigenvalues", "eigenvectors"])
QRResult = namedtuple("QRResult", ["Q", "R"])
SlogdetResult = namedtuple("SlogdetResult", ["sign", "logabsdet"])
SVDResult = namedtuple("SVDResult", ["U", "S", "Vh"])


def _matrices(x: Any, function: str, kinds: str = FLOATING, square: bool = False) -> ga.Array:
    lazy = array_of(x, function)
    check(function, kinds, lazy.dtype)
    if lazy.ndim < 2:
        raise InvalidValue(f"{function} takes arrays of two axes or more, not {lazy.ndim}")
    if square and lazy.shape[-1] != lazy.shape[-2]:
        raise InvalidValue(f"{function} takes square matrices, not {lazy.shape[-2:]}")
    return lazy


def _arrays(made: Any) -> list[Array]:
    return [Array(one) for one in made]


def cholesky(x: Array, /, *, upper: bool = False) -> Array:
    return Array(ga.linalg.cholesky(_matrices(x, "cholesky", square=True), upper=upper))


def cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    first, second = _pair("cross", x1, x2)
    ndim = min(first.ndim, second.ndim)
    if not -ndim <= axis < ndim:
        raise InvalidValue(f"cross along axis {axis} of arrays of {first.ndim} and {second.ndim} axes")
    # Counted from the last one: shapes are broadcast from there.
    if axis >= 0 and first.ndim != second.ndim:
        raise InvalidValue("cross along an axis counted from the first one takes arrays of as many axes")
    if first.shape[axis] != 3 or second.shape[axis] != 3:
        raise InvalidValue(f"cross takes vectors of 3 elements, not {first.shape[axis]} and {second.shape[axis]}")
    return Array(ga.cross(*ga.broadcast_arrays(first, second), axis=axis))


def det(x: Array, /) -> Array:
    return Array(ga.linalg.det(_matrices(x, "det", square=True)))


def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    lazy = _matrices(x, "diagonal", "biufc")
    return Array(ga.diagonal(lazy, _offset(offset, lazy.shape), -2, -1))


def _offset(offset: Any, shape: tuple[int, ...]) -> int:
    """Beyond the corners there is nothing, however far."""
    return max(-shape[-2] - 1, min(shape[-1] + 1, int(offset)))


def trace(x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    lazy = _matrices(x, "trace", NUMERIC)
    parts = ga.diagonal(lazy, _offset(offset, lazy.shape), -2, -1)
    return Array(ga.sum(parts, axis=-1, dtype=None if dtype is None else known(dtype)))


def eigh(x: Array, /) -> EighResult:
    return EighResult(*_arrays(ga.linalg.eigh(_matrices(x, "eigh", square=True))))


def eigvalsh(x: Array, /) -> Array:
    return Array(ga.linalg.eigvalsh(_matrices(x, "eigvalsh", square=True)))


def eig(x: Array, /) -> EigResult:
    return EigResult(*_arrays(ga.linalg.eig(_matrices(x, "eig", square=True))))


def eigvals(x: Array, /) -> Array:
    return Array(ga.linalg.eigvals(_matrices(x, "eigvals", square=True)))


def inv(x: Array, /) -> Array:
    return Array(ga.linalg.inv(_matrices(x, "inv", square=True)))


def matrix_power(x: Array, n: int, /) -> Array:
    return Array(ga.linalg.matrix_power(_matrices(x, "matrix_power", square=True), n.__index__()))


def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    return Array(ga.linalg.matrix_norm(_matrices(x, "matrix_norm"), keepdims=keepdims, ord=ord))


def _cutoff(rtol: Any, lazy: ga.Array, greatest: ga.Array) -> ga.Array:
    """The least singular value that counts, for stacks of matrices."""
    if rtol is None:
        rtol = max(lazy.shape[-2:]) * finfo(lazy.dtype).eps
    rtol = rtol._x if isinstance(rtol, Array) else ga.asarray(np.asarray(rtol, greatest.dtype))
    return (cast(rtol, greatest.dtype) * greatest)[..., None]


def matrix_rank(x: Array, /, *, rtol: Any = None) -> Array:
    lazy = _matrices(x, "matrix_rank")
    if 0 in lazy.shape[-2:]:
        return Array(ga.zeros(lazy.shape[:-2], np.int64))
    values = ga.linalg.svdvals(lazy)
    return Array(ga.count_nonzero(values > _cutoff(rtol, lazy, ga.max(values, axis=-1)), axis=-1))


def pinv(x: Array, /, *, rtol: Any = None) -> Array:
    lazy = _matrices(x, "pinv")
    if 0 in lazy.shape[-2:]:
        return Array(ga.zeros((*lazy.shape[:-2], lazy.shape[-1], lazy.shape[-2]), lazy.dtype))
    u, s, vh = ga.linalg.svd(lazy)
    counts = s > _cutoff(rtol, lazy, ga.max(s, axis=-1))
    inverse = ga.where(counts, ga.reciprocal(ga.where(counts, s, ga.ones_like(s))), ga.zeros_like(s))
    wide = ga.conj(vh.mT) * inverse[..., None, :].astype(lazy.dtype)
    return Array(ga.matmul(wide, ga.conj(u.mT)))


def outer(x1: Array, x2: Array, /) -> Array:
    first, second = _pair("outer", x1, x2)
    if first.ndim != 1 or second.ndim != 1:
        raise InvalidValue(f"outer takes arrays of one axis, not {first.ndim} and {second.ndim}")
    return Array(first[:, None] * second[None, :])


def qr(x: Array, /, *, mode: str = "reduced") -> QRResult:
    if mode not in ("reduced", "complete"):
        raise InvalidValue(f"mode is 'reduced' or 'complete', not {mode!r}")
    return QRResult(*_arrays(ga.linalg.qr(_matrices(x, "qr"), mode)))


def slogdet(x: Array, /) -> SlogdetResult:
    return SlogdetResult(*_arrays(ga.linalg.slogdet(_matrices(x, "slogdet", square=True))))


def solve(x1: Array, x2: Array, /) -> Array:
    _matrices(x1, "solve", square=True)
    array_of(x2, "solve")
    first, second = operands("solve", FLOATING, x1, x2)
    if second.ndim == 1:
        return Array(ga.linalg.solve(first, second[:, None])[..., 0])
    return Array(ga.linalg.solve(first, second))


def svd(x: Array, /, *, full_matrices: bool = True) -> SVDResult:
    return SVDResult(*_arrays(ga.linalg.svd(_matrices(x, "svd"), full_matrices)))


def svdvals(x: Array, /) -> Array:
    return Array(ga.linalg.svdvals(_matrices(x, "svdvals")))


def vector_norm(x: Array, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    lazy = array_of(x, "vector_norm")
    check("vector_norm", FLOATING, lazy.dtype)
    axes = axes_of(axis, lazy.ndim)
    rest = [place for place in range(lazy.ndim) if place not in axes]
    # All axes of the vectors in one, at the end.
    flat = lazy.transpose([*rest, *axes]) if lazy.ndim else lazy
    count = int(np.prod([lazy.shape[place] for place in axes], dtype=np.int64))
    flat = flat.reshape([lazy.shape[place] for place in rest] + [count])
    made = _norm(ga.abs(flat), ord)
    if keepdims:
        made = made.reshape([1 if place in axes else length for place, length in enumerate(lazy.shape)])
    return Array(made)


def _norm(sizes: ga.Array, ord: Any) -> ga.Array:
    """Norms of vectors along the last axis, of their elements' sizes."""
    if ord == 0:
        return ga.count_nonzero(sizes, axis=-1).astype(sizes.dtype)
    if ord in (np.inf, -np.inf):
        return (ga.max if ord > 0 else ga.min)(sizes, axis=-1)
    if ord == 1:
        return ga.sum(sizes, axis=-1)
    if ord == 2:
        return ga.sqrt(ga.sum(ga.square(sizes), axis=-1))
    powers = ga.power(sizes, ga.asarray(np.asarray(ord, sizes.dtype)))
    return ga.power(ga.sum(powers, axis=-1), ga.asarray(np.asarray(1 / ord, sizes.dtype)))
