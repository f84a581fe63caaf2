"""Statistics, truth, searching, sorting and sets."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

from .. import array as ga
from ..errors import InvalidType, InvalidValue
from ._array import Array, array_of, cast
from ._dtypes import ANY, FLOATING, NUMERIC, REAL, REAL_FLOATING, check, is_number, known, number, promoted
from ._elementwise import operands
from ._manipulation import axes_of, axis_of

UniqueAllResult = namedtuple("UniqueAllResult", ["values", "indices", "inverse_indices", "counts"])
UniqueCountsResult = namedtuple("UniqueCountsResult", ["values", "counts"])
UniqueInverseResult = namedtuple("UniqueInverseResult", ["values", "inverse_indices"])


def _named(function: Callable[..., Array], name: str) -> Callable[..., Array]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The Array API's `{name}`, lazy."
    return function


def _plain(name: str, kinds: str) -> Callable[..., Array]:
    own = getattr(ga, name)

    def function(x: Array, /, *, axis: Any = None, keepdims: bool = False) -> Array:
        lazy = array_of(x, name)
        check(name, kinds, lazy.dtype)
        return Array(own(lazy, axis=axes_of(axis, lazy.ndim), keepdims=keepdims))

    return _named(function, name)


def _typed(name: str) -> Callable[..., Array]:
    own = getattr(ga, name)

    def function(x: Array, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
        lazy = array_of(x, name)
        check(name, NUMERIC, lazy.dtype)
        dtype = None if dtype is None else known(dtype)
        return Array(own(lazy, axis=axes_of(axis, lazy.ndim), dtype=dtype, keepdims=keepdims))

    return _named(function, name)


def _spread(name: str) -> Callable[..., Array]:
    own = getattr(ga, name)

    def function(x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
        lazy = array_of(x, name)
        check(name, REAL_FLOATING, lazy.dtype)
        return Array(own(lazy, axis=axes_of(axis, lazy.ndim), ddof=correction, keepdims=keepdims))

    return _named(function, name)


def _extreme(name: str) -> Callable[..., Array]:
    own = getattr(ga, name)

    def function(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
        lazy = array_of(x, name)
        check(name, REAL, lazy.dtype)
        axis = None if axis is None else axis_of(axis, lazy.ndim)
        return Array(own(lazy, axis=axis, keepdims=keepdims))

    return _named(function, name)


def _cumulative(name: str) -> Callable[..., Array]:
    own = getattr(ga, name)

    def function(
        x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
    ) -> Array:
        lazy = array_of(x, name)
        check(name, NUMERIC, lazy.dtype)
        if axis is None and lazy.ndim != 1:
            raise InvalidValue(f"{name} needs an axis of an array of {lazy.ndim}")
        axis = 0 if axis is None else axis_of(axis, lazy.ndim)
        dtype = None if dtype is None else known(dtype)
        return Array(own(lazy, axis=axis, dtype=dtype, include_initial=include_initial))

    return _named(function, name)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "all": _plain("all", ANY), "any": _plain("any", ANY), "max": _plain("max", REAL), "min": _plain("min", REAL),
    "mean": _plain("mean", FLOATING), "count_nonzero": _plain("count_nonzero", ANY), "sum": _typed("sum"),
    "prod": _typed("prod"), "var": _spread("var"), "std": _spread("std"), "argmax": _extreme("argmax"),
    "argmin": _extreme("argmin"), "cumulative_sum": _cumulative("cumulative_sum"),
    "cumulative_prod": _cumulative("cumulative_prod"),
}


def diff(x: Array, /, *, axis: int = -1, n: int = 1, prepend: Array | None = None, append: Array | None = None) -> Array:
    lazy = array_of(x, "diff")
    check("diff", NUMERIC, lazy.dtype)
    axis = axis_of(axis, lazy.ndim)
    parts = [array_of(one, "diff") for one in (prepend, x, append) if one is not None]
    if len(parts) > 1:
        common = promoted(one.dtype for one in parts)
        lazy = ga.concatenate([cast(one, common) for one in parts], axis)
    return Array(ga.diff(lazy, n, axis)) if n else Array(lazy)


def nonzero(x: Array, /) -> tuple[Array, ...]:
    """The positions of what is not zero; how many there are is computed at once."""
    lazy = array_of(x, "nonzero")
    if not lazy.ndim:
        raise InvalidValue("nonzero of an array without axes")
    return tuple(Array(one) for one in ga.nonzero(lazy))


def searchsorted(x1: Array, x2: Any, /, *, side: str = "left", sorter: Array | None = None) -> Array:
    lazy = array_of(x1, "searchsorted")
    if lazy.ndim != 1:
        raise InvalidValue(f"searchsorted in an array of {lazy.ndim} axes; it takes one")
    if side not in ("left", "right"):
        raise InvalidValue(f"side is 'left' or 'right', not {side!r}")
    check("searchsorted", REAL, lazy.dtype)
    if sorter is not None:
        order = array_of(sorter, "searchsorted")
        check("searchsorted", "iu", order.dtype)
        lazy = lazy[order]
    lazy, values = operands("searchsorted", REAL, Array(lazy), x2)
    return Array(ga.searchsorted(lazy, values, side=side))


def where(condition: Array, x1: Any, x2: Any, /) -> Array:
    lazy = array_of(condition, "where")
    check("where", "b", lazy.dtype)
    if is_number(x1) and is_number(x2):
        raise InvalidType("where needs an array to choose from; make one of the numbers with asarray")
    return Array(ga.where(lazy, *operands("where", ANY, x1, x2)))


def sort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    lazy = array_of(x, "sort")
    check("sort", REAL, lazy.dtype)
    return Array(ga.sort(lazy, axis_of(axis, lazy.ndim), descending=descending))


def argsort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    lazy = array_of(x, "argsort")
    check("argsort", REAL, lazy.dtype)
    return Array(ga.argsort(lazy, axis_of(axis, lazy.ndim), descending=descending))


def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Array:
    if not isinstance(x1, Array) and not isinstance(x2, Array):
        raise InvalidType("isin needs an array of graticule.array_api")
    like = x1.dtype if isinstance(x1, Array) else x2.dtype
    lazy = [one._x if isinstance(one, Array) else ga.asarray(number(one, like)) for one in (x1, x2)]
    common = promoted(one.dtype for one in lazy)
    return Array(ga.isin(cast(lazy[0], common), cast(lazy[1], common).ravel(), invert=invert))


def _unique(x: Array, function: str, *wanted: bool) -> tuple[Array, ...]:
    lazy = array_of(x, function)
    found = ga.unique(lazy, *wanted, equal_nan=False)
    return tuple(Array(one) for one in (found if isinstance(found, tuple) else (found,)))


def unique_values(x: Array, /) -> Array:
    """The elements without repetitions, found at once."""
    return _unique(x, "unique_values")[0]


def unique_counts(x: Array, /) -> UniqueCountsResult:
    return UniqueCountsResult(*_unique(x, "unique_counts", False, False, True))


def unique_inverse(x: Array, /) -> UniqueInverseResult:
    values, inverse = _unique(x, "unique_inverse", False, True, False)
    return UniqueInverseResult(values, Array(inverse._x.reshape(x.shape)))


def unique_all(x: Array, /) -> UniqueAllResult:
    values, indices, inverse, counts = _unique(x, "unique_all", True, True, True)
    return UniqueAllResult(values, indices, Array(inverse._x.reshape(x.shape)), counts)
