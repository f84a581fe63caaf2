"""Linear algebra, under NumPy's names."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from .. import _graticule
from ..errors import InvalidValue
from ._array import Array
from ._convert import axes_of, typed
from ._products import cross, diagonal, einsum, matmul, matrix_transpose, outer, tensordot, trace, vecdot

__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "lstsq", "lu", "matmul",
    "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "qr", "sfqr", "slogdet",
    "solve", "solve_triangular", "svd", "svd_compressed", "svdvals", "tensordot", "trace", "tsqr", "vecdot", "vector_norm",
]

QRResult = namedtuple("QRResult", ["Q", "R"])
SVDResult = namedtuple("SVDResult", ["U", "S", "Vh"])
EighResult = namedtuple("EighResult", ["eigenvalues", "eigenvectors"])
EigResult = namedtuple("EigResult", ["eigenvalues", "eigenvectors"])
SlogdetResult = namedtuple("SlogdetResult", ["sign", "logabsdet"])


def _factored(name: str, a: Any) -> list[Array]:
    return [Array(one) for one in _graticule.factored(name, typed(a))]


def cholesky(a: Any, /, *, upper: bool = False) -> Array:
    return _factored("cholesky_upper" if upper else "cholesky", a)[0]


def qr(a: Any, mode: str = "reduced") -> Any:
    made = QRResult(*_factored("qr_complete" if mode == "complete" else "qr", a))
    return made.R if mode == "r" else made


def tsqr(a: Any) -> QRResult:
    return QRResult(*_factored("tsqr", a))


def sfqr(a: Any) -> QRResult:
    return QRResult(*_factored("sfqr", a))


def svd(a: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """Unlike NumPy's the reduced one unless told otherwise, as Dask's."""
    return SVDResult(*_factored("svd" if full_matrices else "svd_reduced", a)) if compute_uv else svdvals(a)


def svd_compressed(a: Any, k: int, n_power_iter: int = 0, n_oversamples: int = 10, seed: int = 0, **_: Any) -> SVDResult:
    """The greatest singular values and their vectors, nearly, from products with random directions."""
    return SVDResult(*(Array(one) for one in _graticule.svd_compressed(typed(a), k, n_power_iter, n_oversamples, seed)))


def svdvals(x: Any, /) -> Array:
    return _factored("svdvals", x)[0]


def eigh(a: Any) -> EighResult:
    return EighResult(*_factored("eigh", a))


def eigvalsh(a: Any) -> Array:
    return _factored("eigvalsh", a)[0]


def eig(a: Any) -> EigResult:
    return EigResult(*_factored("eig", a))


def eigvals(a: Any) -> Array:
    return _factored("eigvals", a)[0]


def slogdet(a: Any) -> SlogdetResult:
    return SlogdetResult(*_factored("slogdet", a))


def det(a: Any) -> Array:
    return _factored("det", a)[0]


def inv(a: Any) -> Array:
    return _factored("inv", a)[0]


def pinv(a: Any) -> Array:
    return _factored("pinv", a)[0]


def matrix_rank(A: Any) -> Array:
    return _factored("matrix_rank", A)[0]


def lu(a: Any) -> tuple[Array, Array, Array]:
    return tuple(_factored("lu", a))


def solve(a: Any, b: Any, **_: Any) -> Array:
    return Array(_graticule.product("solve", typed(a), typed(b)))


def solve_triangular(a: Any, b: Any, lower: bool = False) -> Array:
    return Array(_graticule.solve_triangular(typed(a), typed(b), lower))


def lstsq(a: Any, b: Any, rcond: float | None = None) -> tuple[Array, Array, Array, Array]:
    return tuple(Array(one) for one in _graticule.lstsq(typed(a), typed(b), rcond))


def matrix_power(a: Any, n: int) -> Array:
    return Array(_graticule.matrix_power(typed(a), n))


def multi_dot(arrays: Any, *, out: Any = None) -> Array:
    """The product of several matrices, in the order with the fewest products."""
    parts = [Array(typed(one)) for one in arrays]
    if len(parts) < 2:
        raise InvalidValue(f"multi_dot takes two arrays at least, not {len(parts)}")
    letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    left, names = next(letters), []
    for number, part in enumerate(parts):
        if part.ndim not in ((1, 2) if number in (0, len(parts) - 1) else (2,)):
            raise InvalidValue(f"array {number} of multi_dot has {part.ndim} axes; matrices have two, and the first and the last may have one")
        names.append(left if part.ndim == 1 else left + (left := next(letters)))
    ends = (names[0][:-1] if parts[0].ndim == 2 else "") + (names[-1][-1] if parts[-1].ndim == 2 else "")
    return einsum(",".join(names) + "->" + ends, *parts)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    x = Array(typed(x))
    ord = float(ord) if isinstance(ord, (int, float)) else ord
    return Array(_graticule.norm(x._x, ord, axes_of(axis, x.ndim), keepdims))


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    x = Array(typed(x))
    if axis is None:
        made = norm(x.ravel(), ord, 0)
        return made.reshape((1,) * x.ndim) if keepdims else made
    return norm(x, ord, axis, keepdims)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    return norm(x, ord, (-2, -1), keepdims)


def cond(x: Any) -> Array:
    values = svdvals(x)
    return values[..., 0] / values[..., -1]
