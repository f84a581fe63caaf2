"""xarray's lazy data, read natively: Zarr arrays behind its indexing adapters, and what it decodes them with.

Decoding is xarray's own, said in the core's operations where these give the same bytes; else its functions run block by block.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import graticule.array as ga

from .array import Array
from .array._convert import supports


def native(data: Any) -> Array | None:
    """The array behind xarray's adapters, if the core can read it and decode it; else None."""
    from xarray.core import indexing

    if isinstance(data, (np.ndarray, np.generic)) or data is None:
        return None
    wrapped = getattr(data, "array", None)
    name = type(data).__name__
    if isinstance(data, (indexing.ImplicitToExplicitIndexingAdapter, indexing.CopyOnWriteArray, indexing.MemoryCachedArray)):
        return native(wrapped)
    if isinstance(data, indexing.LazilyIndexedArray):
        inner = native(wrapped)
        key = getattr(data.key, "tuple", None)
        if inner is None or key is None or not all(isinstance(part, (slice, int, np.integer)) for part in key):
            return None
        return inner[key]
    if name == "_ElementwiseFunctionArray":
        inner = native(wrapped)
        return None if inner is None else elementwise(data.func, (inner,), {}, data.dtype)
    if name == "ZarrArrayWrapper":
        return _zarr(getattr(data, "_array", None))
    return None


def _zarr(array: Any) -> Array | None:
    """A Zarr array of zarr-python's whose store is a folder; None if it is another, or the core cannot read it."""
    root = getattr(getattr(array, "store", None), "root", None)
    path = getattr(array, "path", None)
    if root is None or path is None or not supports(np.dtype(array.dtype)):
        return None
    try:
        made = ga.from_zarr(str(root), path or None)
    except OSError:
        return None
    return made if made.shape == tuple(array.shape) and made.dtype == array.dtype else None


def elementwise(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], dtype: Any) -> Array | None:
    """What one of xarray's decoders makes of an array, in the core's operations; None for other functions."""
    given: dict[str, Any] = dict(kwargs)
    while isinstance(func, functools.partial):
        if func.args:
            return None
        given = {**func.keywords, **given}
        func = func.func
    if len(args) != 1 or not isinstance(args[0], Array) or not getattr(func, "__module__", "").startswith("xarray.coding"):
        return None
    known = {"_apply_mask": _mask, "_scale_offset_decoding": _scale}
    decode = known.get(getattr(func, "__name__", ""))
    return None if decode is None else decode(args[0], **given)


def _mask(data: Array, encoded_fill_values: Any, decoded_fill_value: Any, dtype: Any) -> Array | None:
    made = data if dtype is None else data.astype(dtype)
    condition = None
    for fill in encoded_fill_values or ():
        fill = np.asarray(fill)
        if fill.ndim or fill.dtype.kind not in "iufb":
            return None
        # As NumPy compares an array with a scalar that is not weak.
        found = ga.isnan(made) & False if fill.dtype.kind == "f" and np.isnan(fill) and made.dtype.kind == "f" else made == fill[()]
        condition = found if condition is None else condition | found
    if condition is None:
        return made
    return ga.where(condition, np.asarray(decoded_fill_value).astype(made.dtype)[()], made)


def _scale(data: Array, scale_factor: Any, add_offset: Any, dtype: Any) -> Array | None:
    made = data.astype(dtype)
    for factor, operation in ((scale_factor, ga.multiply), (add_offset, ga.add)):
        if factor is None:
            continue
        factor = np.asarray(factor)
        if factor.ndim and factor.size != 1:
            return None
        factor = factor.reshape(())
        # In place in NumPy: done in the common dtype, kept in the array's own.
        made = operation(made, factor[()]).astype(made.dtype)
    return made
