"""Straight lines between neighbours: what xarray's `interp` does block by block, in Python, with whole dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

import graticule.array as ga

from .array import Array


def interpolated(var: Any, indexes_coords: Any, method: str, kwargs: Any) -> Any:
    """A variable between its places along one dimension, its last one, or `None` where xarray's own way is left."""
    from xarray.core import missing
    from xarray.core.variable import Variable

    if len(indexes_coords) != 1 or method != "linear" or kwargs or not isinstance(var._data, Array):
        return None
    ((dim, (places, wanted)),) = indexes_coords.items()
    # xarray has made lazy arrays of coordinates too.
    places, wanted = _at_hand(places), _at_hand(wanted)
    if var.dtype.kind not in "iuf" or places is None or wanted is None or (set(wanted.dims) - {dim}) & set(var.dims):
        return None
    if var.sizes[dim] < 2 or wanted.size == 0:
        return None
    var, near = missing._localize(var, {dim: (places, wanted)})
    (places,), (wanted,) = missing._floatize_x([near[dim][0]], [near[dim][1]])
    made = _between(var._data, np.asarray(places.values, np.float64), np.ravel(wanted.values).astype(np.float64))
    made = made.reshape(*var.shape[:-1], *wanted.shape)
    return Variable((*var.dims[:-1], *wanted.dims), made, var.attrs)


def _at_hand(variable: Any) -> Any:
    """A coordinate in memory, if it is there."""
    data = variable._data
    if not isinstance(data, Array):
        return variable
    return None if data._known is None else variable.copy(deep=False, data=data._known)


def _between(x: Array, places: np.ndarray, wanted: np.ndarray) -> Array:
    """By the formula of SciPy's `interp1d`, so to the bit, along the last axis."""
    after = np.searchsorted(places, wanted).clip(1, len(places) - 1)
    before = after - 1
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    low, high = ga.take(x, before, axis=-1), ga.take(x, after, axis=-1)
    slope = (high - low) / (places[after] - places[before])
    made = slope * (wanted - places[before]) + low
    is_inside = (wanted >= places[0]) & (wanted <= places[-1])
    return made if is_inside.all() else ga.where(is_inside, made, np.nan)
