"""Gaps filled along a line between their neighbours: what xarray's `interpolate_na` does series by series, in Python."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import graticule.array as ga

from .array import Array


def filled(func: Any, args: Any, signature: Any, keep_attrs: Any) -> Any:
    """What `apply_ufunc` would make of xarray's function for gaps, or `None` if it is another, or asks for another line."""
    from xarray.core import missing
    from xarray.core.variable import Variable

    if not (
        isinstance(func, functools.partial) and func.func is missing.func_interpolate_na
        and func.args == (missing.NumpyInterpolator,) and func.keywords == {"method": "linear"}
    ):
        return None
    values, places = args
    if not isinstance(getattr(values, "_data", None), Array) or values.dtype.kind != "f":
        return None
    (dim,) = signature.input_core_dims[0]
    values = values.transpose(..., dim)
    data = _filled(values._data, np.asarray(getattr(places, "values", places), dtype=np.float64))
    return Variable(values.dims, data, {} if keep_attrs in ("drop", False) else values.attrs)


def _filled(x: Array, places: np.ndarray) -> Array:
    """By `numpy.interp`'s formula and its order, and with its ways out where numbers are infinite."""
    is_there = ~ga.isnan(x)
    wide, at = x.astype(np.float64), ga.where(is_there, places, np.nan)
    before, after = ga.ffill(wide, -1), ga.bfill(wide, -1)
    first, last = ga.ffill(at, -1), ga.bfill(at, -1)
    slope = (after - before) / (last - first)
    made = slope * (places - first) + before
    made = ga.where(ga.isnan(made), slope * (places - last) + after, made)
    made = ga.where(ga.isnan(made) & (before == after), before, made)
    return ga.where(is_there, x, made.astype(x.dtype))
