"""Products of arrays."""

from __future__ import annotations

from typing import Any

from .. import array as ga
from ..errors import InvalidValue
from ._array import Array, array_of
from ._dtypes import NUMERIC
from ._elementwise import operands
from ._manipulation import matrix_transpose

__all__ = ["matmul", "matrix_transpose", "tensordot", "vecdot"]


def _pair(function: str, x1: Any, x2: Any) -> list[ga.Array]:
    array_of(x1, function), array_of(x2, function)
    return operands(function, NUMERIC, x1, x2)


def matmul(x1: Array, x2: Array, /) -> Array:
    first, second = _pair("matmul", x1, x2)
    if not first.ndim or not second.ndim:
        raise InvalidValue("matmul of an array without axes; multiply it")
    return Array(ga.matmul(first, second))


def tensordot(x1: Array, x2: Array, /, *, axes: Any = 2) -> Array:
    return Array(ga.tensordot(*_pair("tensordot", x1, x2), axes=axes))


def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    first, second = _pair("vecdot", x1, x2)
    least = min(first.ndim, second.ndim)
    if not -least <= axis < max(least, 1) or not least:
        raise InvalidValue(f"vecdot along axis {axis} of arrays of {first.ndim} and {second.ndim} axes")
    return Array(ga.vecdot(first, second, axis=axis))
