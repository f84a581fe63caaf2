"""What has as many elements as data say: their number is computed when the array is made, one number a block."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _graticule
from .._client import default_client
from ._array import Array
from ._convert import typed

_Selected = _graticule.Selected


def _sized(*selections: Any) -> list[Array]:
    return [Array(x) for x in default_client()._cluster.sized(list(selections))]


def nonzero(a: Any) -> tuple[Array, ...]:
    return tuple(_sized(*_Selected.nonzero(typed(a))))


def argwhere(a: Any) -> Array:
    return _sized(_Selected.argwhere(typed(a)))[0]


def flatnonzero(a: Any) -> Array:
    return _sized(_Selected.flatnonzero(typed(a)))[0]


def extract(condition: Any, arr: Any) -> Array:
    return compressed(Array(typed(condition)).ravel().astype(bool), Array(typed(arr)).ravel(), 0)


def compressed(condition: Any, a: Any, axis: int | None = None) -> Array:
    x = Array(typed(a))
    if axis is None:
        x, axis = x.ravel(), 0
    if isinstance(condition, Array):
        return _sized(_Selected.compressed(x._x, condition._x, axis))[0]
    positions = np.flatnonzero(np.asarray(condition))
    return x[(slice(None),) * (axis % x.ndim) + (positions,)]


def _unique(x: Any, positions: bool, counts: bool, equal_nan: bool) -> list[Array | None]:
    found = default_client()._cluster.unique(typed(x), positions, counts, equal_nan)
    return [None if one is None else Array(one) for one in found]


def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: Any = None, *,
    equal_nan: bool = True, sorted: bool = True,
) -> Any:
    """NumPy's `unique`; which elements there are is computed at once, the inverse is lazy."""
    from ..errors import Unsupported

    if axis is not None:
        raise Unsupported("unique along an axis")
    values, positions, counts, inverse = _unique(ar, return_index, return_counts, equal_nan)
    wanted = [values]
    wanted += [positions] if return_index else []
    wanted += [inverse] if return_inverse else []
    wanted += [counts] if return_counts else []
    return wanted[0] if len(wanted) == 1 else tuple(wanted)


def unique_values(x: Any, /) -> Array:
    return unique(x, equal_nan=False)


def unique_counts(x: Any, /) -> Any:
    return unique(x, return_counts=True, equal_nan=False)


def unique_inverse(x: Any, /) -> Any:
    return unique(x, return_inverse=True, equal_nan=False)


def unique_all(x: Any, /) -> Any:
    return unique(x, True, True, True, equal_nan=False)


def union1d(ar1: Any, ar2: Any) -> Array:
    from ._shape import concatenate

    return unique(concatenate([Array(typed(ar1)).ravel(), Array(typed(ar2)).ravel()]))


def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Array:
    if return_indices:
        from ..errors import Unsupported

        raise Unsupported("intersect1d with return_indices=; ask unique(..., return_index=True) and isin")
    from ._reduce import isin

    own = unique(ar1)
    return own[isin(own, unique(ar2))]


def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Array:
    from ._reduce import isin

    own = Array(typed(ar1)).ravel() if assume_unique else unique(ar1)
    return own[isin(own, unique(ar2), invert=True)]


def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Array:
    from ._reduce import sort
    from ._shape import concatenate

    return sort(concatenate([setdiff1d(ar1, ar2), setdiff1d(ar2, ar1)]))
