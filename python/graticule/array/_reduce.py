"""Reductions, scans and order, under NumPy's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _graticule
from ..errors import InvalidType, InvalidValue, Unsupported
from ._array import Array
from ._convert import axes_of, dtype_name, expression, typed
from ._create import full_like
from ._elementwise import FUNCTIONS as FUNCTIONS_OF_ELEMENTS
from ._elementwise import where as where_of


#: What arguments are that say nothing.
_UNSET = (None, np._NoValue, True)


def _check(function: str, out: Any, where: Any = None) -> None:
    for name, value in (("out", out), ("where", where)):
        if not any(value is one for one in _UNSET):
            raise Unsupported(f"{function} with {name}=")


def reduced(
    name: str,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = False,
    skipna: bool = False,
    ddof: int = 0,
    split_every: int | None = None,
) -> Array:
    """A reduction of the core, with NumPy's arguments."""
    x = Array(typed(a))
    if dtype is not None and np.dtype(dtype) != x.dtype:
        x = x.astype(dtype)
    if axis is not None and len(axes_of(axis, x.ndim) or []) == 0:
        made = _over_nothing(name, x, skipna)
    else:
        keepdims = bool(keepdims) and keepdims is not np._NoValue
        if isinstance(split_every, dict):
            split_every = max(2, int(np.prod(list(split_every.values()))))
        made = Array(
            _graticule.reduce(
                name, x._x, axes_of(axis, x.ndim), keepdims, skipna, ddof=int(ddof), split_every=split_every
            )
        )
    return made if dtype is None else made.astype(dtype)


def _over_nothing(name: str, x: Array, skipna: bool) -> Array:
    """A reduction over no axes: of each element alone."""
    wide = Array(x._x.expand_dims([-1]))
    return Array(_graticule.reduce(name, wide._x, [-1], False, skipna))


#: What changes nothing where it is left out of a reduction, and what takes in one element more.
_NEUTRAL = {"sum": 0, "prod": 1, "any": False, "all": True}
_JOINED = {"sum": "add", "prod": "multiply", "min": "minimum", "max": "maximum"}


def _of_some(
    name: str, a: Any, axis: Any, dtype: Any, keepdims: Any, nan: bool, initial: Any, where: Any, split_every: Any
) -> Array:
    """A reduction of the elements that a mask leaves, and of one more."""
    own, x = f"nan{name}" if nan else name, Array(typed(a))
    has_initial = not any(initial is one for one in _UNSET[:2])
    if has_initial and name not in _JOINED:
        raise InvalidType(f"{own} takes no initial=")
    if not any(where is one for one in _UNSET):
        mask = Array(typed(where))
        if mask.dtype != bool:
            raise InvalidType(f"{own}: where= must be booleans, not {mask.dtype}")
        if name in ("min", "max") and not has_initial:
            raise InvalidValue(f"{own} has no value where a mask leaves nothing: give initial= beside where=")
        neutral = _NEUTRAL.get(name, initial if name in _JOINED else 0)
        left = where_of(mask, x, np.array(neutral, x.dtype)[()])
        if name == "mean":
            if nan:
                mask = mask & FUNCTIONS_OF_ELEMENTS["notnull"](x)
            counted = Array(mask._x.broadcast_to(list(x.shape)))
            total = reduced("sum", left, axis, reduced("mean", x, axis, dtype).dtype, keepdims, nan)
            return (total / reduced("sum", counted, axis, None, keepdims)).astype(total.dtype)
        if name not in _NEUTRAL and name not in _JOINED:
            raise Unsupported(f"{own} with where=")
        x = left
    if has_initial and name in ("min", "max") and not x.size:
        # Of nothing that is all there is; elsewhere such a reduction has no value.
        counts = reduced("sum", x, axis, None, keepdims)
        return full_like(counts, np.array(initial, x.dtype)[()], x.dtype)
    made = reduced(name, x, axis, dtype, keepdims, nan, split_every=split_every)
    if not has_initial:
        return made
    return FUNCTIONS_OF_ELEMENTS[_JOINED[name]](made, np.array(initial, made.dtype)[()])


def _is_of_some(initial: Any, where: Any) -> bool:
    return not (any(initial is one for one in _UNSET) and any(where is one for one in _UNSET))


def _reduction(name: str, nan: bool, typed_too: bool) -> Any:
    own = f"nan{name}" if nan else name

    def with_dtype(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None,
        where: Any = None, *, split_every: Any = None,
    ) -> Array:
        _check(own, out)
        if _is_of_some(initial, where):
            return _of_some(name, a, axis, dtype, keepdims, nan, initial, where, split_every)
        return reduced(name, a, axis, dtype, keepdims, nan, split_every=split_every)

    def without(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None, where: Any = None, *,
        split_every: Any = None, **kwargs: Any,
    ) -> Array:
        _check(own, out)
        if _is_of_some(initial, where):
            return _of_some(name, a, axis, None, keepdims, nan, initial, where, split_every)
        return reduced(name, a, axis, None, keepdims, nan, split_every=split_every)

    function = with_dtype if typed_too else without
    function.__name__ = function.__qualname__ = own
    function.__doc__ = f"NumPy's `{own}`, lazy."
    return function


FUNCTIONS: dict[str, Any] = {}
for _name in ("sum", "prod", "mean"):
    for _nan in (False, True):
        FUNCTIONS[("nan" if _nan else "") + _name] = _reduction(_name, _nan, True)
for _name in ("min", "max", "median"):
    for _nan in (False, True):
        FUNCTIONS[("nan" if _nan else "") + _name] = _reduction(_name, _nan, False)
for _name in ("any", "all"):
    FUNCTIONS[_name] = _reduction(_name, False, False)
FUNCTIONS["amin"], FUNCTIONS["amax"] = FUNCTIONS["min"], FUNCTIONS["max"]


def _spread(name: str, nan: bool) -> Any:
    own = f"nan{name}" if nan else name

    def function(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False, *,
        where: Any = None, mean: Any = None, correction: Any = None, split_every: Any = None,
    ) -> Array:
        _check(own, out, where)
        ddof = correction if correction is not None and correction is not np._NoValue else ddof
        if ddof != int(ddof) or ddof < 0:
            return _corrected(name, nan, a, axis, dtype, keepdims, ddof, split_every)
        return reduced(name, a, axis, dtype, keepdims, nan, ddof, split_every)

    function.__name__ = function.__qualname__ = own
    function.__doc__ = f"NumPy's `{own}`, lazy."
    return function


def _corrected(name: str, nan: bool, a: Any, axis: Any, dtype: Any, keepdims: Any, ddof: float, split_every: Any) -> Array:
    """A variance or deviation whose correction is no count: the one without, times the ratio of what both divide by."""
    x = Array(typed(a))
    made = reduced("var", x, axis, dtype, keepdims, nan, 0, split_every)
    if nan:
        count = reduced("sum", FUNCTIONS_OF_ELEMENTS["notnull"](x), axis, None, keepdims)
    else:
        axes = range(x.ndim) if axis is None else axes_of(axis, x.ndim) or []
        count = np.prod([x.shape[one] for one in axes], dtype=np.int64)
    left = np.maximum(count - ddof, 0) if isinstance(count, np.generic) else FUNCTIONS_OF_ELEMENTS["maximum"](count - ddof, 0)
    with np.errstate(all="ignore"):
        ratio = count / left
    made = made * (ratio if isinstance(ratio, Array) else np.asarray(ratio))
    made = made.astype(reduced("var", x, axis, dtype, keepdims, nan, 0).dtype)
    return FUNCTIONS_OF_ELEMENTS["sqrt"](made) if name == "std" else made


for _name in ("var", "std"):
    FUNCTIONS[_name], FUNCTIONS["nan" + _name] = _spread(_name, False), _spread(_name, True)


def _extreme(name: str, nan: bool) -> Any:
    own = f"nan{name}" if nan else name

    def function(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False, split_every: Any = None) -> Array:
        _check(own, out)
        return reduced(name, a, axis, None, keepdims, nan, split_every=split_every)

    function.__name__ = function.__qualname__ = own
    function.__doc__ = f"NumPy's `{own}`, lazy."
    return function


for _name in ("argmin", "argmax"):
    FUNCTIONS[_name], FUNCTIONS["nan" + _name] = _extreme(_name, False), _extreme(_name, True)


def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False, *, weights: Any = None, interpolation: Any = None, _skipna: bool = False, **_: Any,
) -> Array:
    """NumPy's `quantile`, by linear interpolation."""
    _check("quantile", out)
    if method != "linear" or weights is not None:
        raise Unsupported(f"quantile with method={method!r}" if weights is None else "quantile with weights=")
    x, qs = Array(typed(a)), np.asarray(q, dtype=np.float64)
    made = Array(
        _graticule.reduce(
            "quantile", x._x, axes_of(axis, x.ndim), bool(keepdims) and keepdims is not np._NoValue, _skipna,
            qs=qs.reshape(-1).tolist(),
        )
    )
    if qs.ndim == 0:
        made = made[0]
    elif qs.ndim > 1:
        made = made.reshape(qs.shape + made.shape[1:])
    if not isinstance(q, (int, float)) or isinstance(q, np.generic):
        dtype = np.result_type(x.dtype if x.dtype.kind == "f" else np.float64, qs.dtype)
        made = made.astype(dtype)
    elif x.dtype in (np.float16, np.float32):
        made = made.astype(x.dtype)
    return made


def nanquantile(a: Any, q: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Array:
    return quantile(a, q, axis, *args, _skipna=True, **kwargs)


def percentile(a: Any, q: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Array:
    q = q / 100 if isinstance(q, (int, float)) else np.asarray(q) / 100
    return quantile(a, q, axis, *args, **kwargs)


def nanpercentile(a: Any, q: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Array:
    return percentile(a, q, axis, *args, _skipna=True, **kwargs)


def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Array:
    return FUNCTIONS["max"](a, axis, keepdims=keepdims) - FUNCTIONS["min"](a, axis, keepdims=keepdims)


def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Array:
    x = Array(typed(a))
    return Array(_graticule.count_nonzero(x._x, axes_of(axis, x.ndim), keepdims))


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    x = Array(typed(a))
    keepdims = bool(keepdims) and keepdims is not np._NoValue
    weights = None if weights is None else Array(typed(weights))
    made = Array(_graticule.average(x._x, None if weights is None else weights._x, axes_of(axis, x.ndim), keepdims))
    if not returned:
        return made
    if weights is None:
        count = x.size / max(made.size, 1)
        return made, Array(_graticule.full_like(made._x, float(count), None))
    total = FUNCTIONS["sum"](weights, axis if weights.shape == x.shape else None)
    return made, Array(total._x.broadcast_to(made.shape)).astype(made.dtype)


def _scan(name: str, nan: bool) -> Any:
    own = ("nancum" if nan else "cum") + name

    def function(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None, *, method: Any = None) -> Array:
        _check(own, out)
        x = Array(typed(a))
        if axis is None:
            x, axis = x.ravel(), 0
        given = None if dtype is None else dtype_name(dtype)
        return Array(_graticule.scan(name, x._x, axis, given, nan))

    function.__name__ = function.__qualname__ = own
    function.__doc__ = f"NumPy's `{own}`, lazy."
    return function


for _name in ("sum", "prod"):
    FUNCTIONS["cum" + _name], FUNCTIONS["nancum" + _name] = _scan(_name, False), _scan(_name, True)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    return _cumulative("sum", x, axis, dtype, include_initial)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    return _cumulative("prod", x, axis, dtype, include_initial)


def _cumulative(name: str, x: Any, axis: int | None, dtype: Any, include_initial: bool) -> Array:
    x = Array(typed(x))
    if axis is None:
        if x.ndim != 1:
            raise InvalidValue("an axis is needed for an array of more than one axis")
        axis = 0
    made = FUNCTIONS["cum" + name](x, axis, dtype)
    if not include_initial:
        return made
    lengths = [1 if place == axis % x.ndim else length for place, length in enumerate(made.shape)]
    start = _graticule.full(lengths, [(length,) for length in lengths], 0 if name == "sum" else 1, made._x.dtype)
    return Array(_graticule.concatenated([start, made._x], axis))


def ffill(a: Any, axis: int, limit: int | None = None) -> Array:
    """Puts the last element that is not NaN in the place of NaN, at most `limit` times in a row."""
    return Array(_graticule.fill(typed(a), axis, limit, True))


def bfill(a: Any, axis: int, limit: int | None = None) -> Array:
    """As `ffill`, with the next element that is not NaN."""
    return Array(_graticule.fill(typed(a), axis, limit, False))


def push(array: Any, n: int | None = None, axis: int = -1, method: Any = None) -> Array:
    """Dask's name for `ffill`."""
    return ffill(array, axis, n)


def sort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None, descending: bool = False) -> Array:
    x = Array(typed(a))
    if axis is None:
        x, axis = x.ravel(), -1
    return Array(_graticule.sort(x._x, axis, descending, False))


def argsort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None, descending: bool = False) -> Array:
    x = Array(typed(a))
    if axis is None:
        x, axis = x.ravel(), -1
    return Array(_graticule.sort(x._x, axis, descending, True))


def partition(a: Any, kth: Any, axis: int | None = -1, kind: Any = None, order: Any = None) -> Array:
    """NumPy's `partition`; elements on both sides of `kth` are in order too."""
    _check_kth(a, kth, axis)
    return sort(a, axis)


def argpartition(a: Any, kth: Any, axis: int | None = -1, kind: Any = None, order: Any = None) -> Array:
    """NumPy's `argpartition`; positions on both sides of `kth` are in order too."""
    _check_kth(a, kth, axis)
    return argsort(a, axis)


def _check_kth(a: Any, kth: Any, axis: int | None) -> None:
    x = Array(typed(a))
    length = x.size if axis is None else x.shape[axis]
    for one in np.atleast_1d(kth).tolist():
        if not -length <= one < length:
            raise InvalidValue(f"kth={one} is out of bounds for {length} elements")


def topk(a: Any, k: int, axis: int = -1, split_every: Any = None) -> Array:
    return Array(_graticule.topk(typed(a), k, axis, False))


def argtopk(a: Any, k: int, axis: int = -1, split_every: Any = None) -> Array:
    return Array(_graticule.topk(typed(a), k, axis, True))


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Array:
    if sorter is not None:
        raise Unsupported("searchsorted with sorter=")
    return Array(_graticule.searchsorted(typed(a), typed(v), side == "right"))


def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, **_: Any) -> Array:
    return Array(_graticule.isin(typed(element), typed(test_elements), invert))


def digitize(x: Any, bins: Any, right: bool = False) -> Array:
    return Array(_graticule.digitize(typed(x), np.asarray(bins, dtype=np.float64).tolist(), right))


def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Array:
    """NumPy's `bincount`; how long it is, is computed if `minlength` does not say it."""
    x = Array(typed(x))
    length = int(minlength) or int(FUNCTIONS["max"](x)) + 1
    return Array(_graticule.bincount(x._x, length, None if weights is None else typed(weights)))


def histogram(a: Any, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None) -> tuple[Array, np.ndarray]:
    x = Array(typed(a))
    if isinstance(bins, str):
        raise Unsupported(f"histogram with bins={bins!r}: give their number, or edges")
    if isinstance(bins, (int, np.integer)):
        ends = np.empty(0)
        if range is None and x.size:
            from .._client import compute

            ends = np.asarray(compute(FUNCTIONS["min"](x), FUNCTIONS["max"](x)), dtype=np.float64)
        edges = np.histogram_bin_edges(ends, int(bins), range)
    else:
        edges = np.asarray(bins)
    flat = x.ravel()
    weights = None if weights is None else Array(typed(weights)).ravel()._x
    return Array(_graticule.histogram(flat._x, edges.astype(np.float64).tolist(), weights, bool(density))), edges


def move(name: str, a: Any, window: int, min_count: int | None = None, axis: int = -1, center: bool = False, ddof: int = 0) -> Array:
    """A reduction of windows that move along an axis (`sum`, `mean`, `std`, `min`, ...), NaN left out of them."""
    return Array(_graticule.rolling(name, typed(a), axis, window, min_count, center, ddof))


def group_reduce(
    name: str, a: Any, axes: Any, codes: Any, group_count: int, *, skipna: bool = False, fill_value: Any = None,
    min_count: int = 0, ddof: int = 0, q: Any = None,
) -> Array:
    """Reduces groups of elements along axes: the first of them gets an element for each group.

    `codes` has the number of its group for each element over the axes, -1 for none.
    """
    x = Array(typed(a))
    codes = np.ascontiguousarray(codes, dtype=np.int32).reshape(-1)
    fill = None if fill_value is None else expression(fill_value, x.dtype)
    qs = None if q is None else np.asarray(q, dtype=np.float64).reshape(-1).tolist()
    return Array(
        _graticule.group_reduce(
            name, x._x, axes_of(axes, x.ndim), codes, group_count, skipna, fill, min_count, int(ddof), qs
        )
    )
