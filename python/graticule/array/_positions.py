"""Positions, choices among arrays, moments and histograms of several axes, under NumPy's and Dask's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _graticule
from ..errors import InvalidValue, Unsupported
from ._array import Array
from ._convert import axes_of, expression, typed


def unravel_index(indices: Any, shape: Sequence[int], order: str = "C") -> tuple[Array, ...]:
    if order != "C":
        raise Unsupported(f"unravel_index in order {order!r}")
    return tuple(Array(one) for one in _graticule.unravel_index(typed(indices), list(shape)))


def ravel_multi_index(multi_index: Any, dims: Sequence[int], mode: str = "raise", order: str = "C") -> Array:
    if order != "C" or not isinstance(mode, str):
        raise Unsupported("ravel_multi_index in another order, or with several modes")
    return Array(_graticule.ravel_multi_index([typed(one) for one in multi_index], list(dims), mode))


def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Array:
    return Array(_graticule.choose(typed(a), [typed(one) for one in choices], mode))


def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Array:
    """NumPy's `piecewise`; functions are called with the whole array."""
    x = Array(typed(x))
    values = [f(x, *args, **kw) if callable(f) else f for f in funclist]
    made = _graticule.piecewise(x._x, [typed(one) for one in condlist], [expression(v) for v in values])
    return Array(made)


def tril_indices(n: int, k: int = 0, m: int | None = None, **_: Any) -> tuple[Array, Array]:
    return tuple(Array(one) for one in _graticule.triangle(n, n if m is None else m, k, True))


def triu_indices(n: int, k: int = 0, m: int | None = None, **_: Any) -> tuple[Array, Array]:
    return tuple(Array(one) for one in _graticule.triangle(n, n if m is None else m, k, False))


def tril_indices_from(arr: Any, k: int = 0) -> tuple[Array, Array]:
    return tril_indices(arr.shape[-2], k, arr.shape[-1])


def triu_indices_from(arr: Any, k: int = 0) -> tuple[Array, Array]:
    return triu_indices(arr.shape[-2], k, arr.shape[-1])


def moment(a: Any, order: int, axis: Any = None, dtype: Any = None, keepdims: bool = False, ddof: int = 0, **_: Any) -> Array:
    x = Array(typed(a))
    return Array(_graticule.moment(x._x, order, axes_of(axis, x.ndim), keepdims, ddof))


def histogramdd(sample: Any, bins: Any, range: Any = None, density: bool = False, weights: Any = None) -> tuple[Array, list[np.ndarray]]:
    """NumPy's `histogramdd`; numbers of bins need a `range` for each axis."""
    from ._shape import stack

    x = stack([Array(typed(one)).ravel() for one in sample], 1) if isinstance(sample, (tuple, list)) else Array(typed(sample))
    bins = [bins] * x.shape[1] if isinstance(bins, (int, np.integer)) else list(bins)
    if len(bins) != x.shape[1]:
        raise InvalidValue(f"bins for {len(bins)} axes, the sample has {x.shape[1]}")
    edges = []
    for number, one in enumerate(bins):
        if isinstance(one, (int, np.integer)):
            if range is None:
                raise Unsupported("histogramdd with numbers of bins and no range")
            one = np.histogram_bin_edges(np.empty(0), int(one), range[number])
        edges.append(np.asarray(one))
    weights = None if weights is None else typed(weights)
    return Array(_graticule.histogramdd(x._x, [one.astype(np.float64).tolist() for one in edges], weights, bool(density))), edges


def histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None) -> tuple[Any, ...]:
    is_for_both = isinstance(bins, (int, np.integer)) or (np.ndim(bins[0]) == 0 and len(bins) != 2)
    bins = [bins, bins] if is_for_both else bins
    made, (first, second) = histogramdd((x, y), bins, range, density, weights)
    return made, first, second


def coarsen(reduction: Any, x: Any, axes: dict[int, int], trim_excess: bool = False, **kwargs: Any) -> Array:
    """Dask's `coarsen`: a reduction of NumPy's over blocks of neighbours."""
    name = getattr(reduction, "__name__", str(reduction))
    if kwargs:
        raise Unsupported(f"coarsen with {', '.join(kwargs)}=")
    return Array(_graticule.coarsen(name, typed(x), [(int(a), int(n)) for a, n in axes.items()], trim_excess))


def rechunk(x: Any, chunks: Any = "auto", **kwargs: Any) -> Array:
    return Array(typed(x)).rechunk(chunks, **kwargs)


def shuffle(x: Any, indexer: Sequence[Sequence[int]], axis: int, chunks: Any = "auto") -> Array:
    """Takes the elements of groups along an axis, so that no group is cut."""
    made = Array(typed(x).shuffle([[int(place) for place in group] for group in indexer], axis))
    return made if chunks == "auto" else made.rechunk({axis: chunks})
