"""Arrays made of nothing, of numbers, and of other libraries' arrays."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import array as ga
from ..errors import InvalidType, InvalidValue, OutOfBounds
from ._array import Array, array_of
from ._dtypes import FLOATING, NUMERIC, check, complex128, float64, int64, is_number, known, number, promoted
from ._info import check_device

#: Elements of a chunk along each axis in turn, of arrays made here; for tests of what arrays of one chunk would hide.
_FORCED = [int(one) for one in os.environ.get("GRATICULE_ARRAY_API_CHUNKS", "").split(",") if one]


def chunks_for(shape: Any) -> Any:
    """How an array of a shape is cut: as `graticule.array` does, unless the environment forces a length."""
    if not _FORCED:
        return "auto"
    return tuple(_FORCED[axis % len(_FORCED)] for axis in range(len(shape)))


def _shape(shape: Any) -> tuple[int, ...]:
    shape = (shape,) if isinstance(shape, (int, Array)) else tuple(shape)
    lengths = tuple(one.__index__() for one in shape)
    if any(length < 0 for length in lengths):
        raise InvalidValue(f"the lengths of axes must not be negative: {lengths}")
    return lengths


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Array:
    """An array of one, of one of `graticule.array` or NumPy, of numbers in nested lists, or of what speaks DLPack or buffers."""
    check_device(device)
    dtype = None if dtype is None else known(dtype)
    if isinstance(obj, (Array, ga.Array)):
        lazy = obj._x if isinstance(obj, Array) else obj
        if dtype is not None and dtype != lazy.dtype:
            if copy is False:
                raise InvalidValue(f"asarray with copy=False cannot make {dtype} of {lazy.dtype}")
            return Array(lazy.astype(dtype))
        known(lazy.dtype)
        return obj if copy is not True and isinstance(obj, Array) else Array(ga.Array(lazy._x))
    if copy is False:
        raise InvalidValue(f"asarray with copy=False: {type(obj).__name__} is copied")
    if hasattr(obj, "__dlpack__") and not isinstance(obj, np.ndarray):
        obj = np.from_dlpack(obj)
    elements = _elements(obj, dtype)
    # The caller may write into an array of its own later.
    elements = elements.copy() if isinstance(obj, np.ndarray) else elements
    return Array(ga.from_array(elements, chunks=chunks_for(elements.shape)))


def _elements(obj: Any, dtype: np.dtype | None) -> np.ndarray:
    obj = _plain(obj)
    if is_number(obj) and dtype is not None and dtype.kind in "iu" and isinstance(obj, int):
        return number(int(obj), dtype)
    try:
        elements = np.asarray(obj, dtype=dtype)
    except OverflowError as error:
        raise OutOfBounds(str(error)) from None
    if dtype is None and not isinstance(obj, np.ndarray):
        if elements.dtype.kind == "O" or elements.dtype == np.uint64:
            raise OutOfBounds("integers that int64 does not hold; name a dtype that holds them")
        if not elements.size and elements.dtype == float64:
            return elements
    known(elements.dtype)
    return elements


def _plain(obj: Any) -> Any:
    """Nested lists with numbers in the place of arrays without axes."""
    if isinstance(obj, (list, tuple)):
        return [_plain(one) for one in obj]
    return np.asarray(obj)[()] if isinstance(obj, (Array, ga.Array)) else obj


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Array:
    check_device(device)
    if isinstance(x, Array):
        return asarray(x, copy=copy)
    return asarray(np.array(np.from_dlpack(x)))


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Array:
    check_device(device)
    if stop is None:
        start, stop = 0, start
    start, stop, step = (np.asarray(one)[()] if isinstance(one, Array) else one for one in (start, stop, step))
    if dtype is None:
        dtype = int64 if all(isinstance(one, (int, np.integer)) for one in (start, stop, step)) else float64
    dtype = known(dtype)
    check("arange", NUMERIC, dtype)
    return Array(ga.arange(start, stop, step, dtype=dtype, chunks=chunks_for((1,))))


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Array:
    check_device(device)
    start, stop = (np.asarray(one)[()] if isinstance(one, Array) else one for one in (start, stop))
    is_complex = isinstance(start, complex) or isinstance(stop, complex)
    if dtype is None:
        dtype = complex128 if is_complex else float64
    dtype = known(dtype)
    check("linspace", FLOATING if is_complex else NUMERIC, dtype)
    chunks = chunks_for((1,))
    if is_complex or dtype.kind == "c":
        start, stop = complex(start), complex(stop)
        parts = [
            ga.linspace(a, b, num, endpoint, dtype=float64, chunks=chunks)
            for a, b in ((start.real, stop.real), (start.imag, stop.imag))
        ]
        return Array((parts[0] + parts[1] * 1j).astype(dtype))
    return Array(ga.linspace(start, stop, num, endpoint, dtype=dtype, chunks=chunks))


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    check_device(device)
    shape = _shape(shape)
    if isinstance(fill_value, Array):
        if fill_value.ndim:
            raise InvalidValue("fill_value must be a number, or an array without axes")
        fill_value = np.asarray(fill_value)[()].item()
    if not is_number(fill_value):
        raise InvalidType(f"fill_value must be a number, not {type(fill_value).__name__}")
    value = _elements(fill_value, None if dtype is None else known(dtype))
    return Array(ga.full(shape, value, dtype=value.dtype, chunks=chunks_for(shape)))


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Array:
    return full(shape, 0, dtype=float64 if dtype is None else dtype, device=device)


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Array:
    return full(shape, 1, dtype=float64 if dtype is None else dtype, device=device)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """Zeros: a plan gives the same bytes each time."""
    return zeros(shape, dtype=dtype, device=device)


def full_like(x: Array, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    own = array_of(x, "full_like")
    check_device(device)
    made = full((), fill_value, dtype=own.dtype if dtype is None else dtype)
    return Array(ga.full_like(own, made._x, dtype=made.dtype))


def zeros_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    return full_like(x, 0, dtype=dtype, device=device)


def ones_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    return full_like(x, 1, dtype=dtype, device=device)


def empty_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    return zeros_like(x, dtype=dtype, device=device)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Array:
    check_device(device)
    dtype = float64 if dtype is None else known(dtype)
    shape = _shape((n_rows, n_rows if n_cols is None else n_cols))
    # Beyond the corners there is nothing, however far.
    k = max(-shape[0] - 1, min(shape[1] + 1, int(k)))
    return Array(ga.eye(*shape, k, dtype=dtype, chunks=chunks_for(shape)))


def _offset(k: Any, shape: tuple[int, ...]) -> int:
    return max(-shape[-2] - 1, min(shape[-1] + 1, int(k)))


def _matrix(x: Any, function: str) -> ga.Array:
    lazy = array_of(x, function)
    if lazy.ndim < 2:
        raise InvalidValue(f"{function} takes arrays of two axes or more, not {lazy.ndim}")
    return lazy


def tril(x: Array, /, *, k: int = 0) -> Array:
    lazy = _matrix(x, "tril")
    return Array(ga.tril(lazy, _offset(k, lazy.shape)))


def triu(x: Array, /, *, k: int = 0) -> Array:
    lazy = _matrix(x, "triu")
    return Array(ga.triu(lazy, _offset(k, lazy.shape)))


def meshgrid(*arrays: Array, indexing: str = "xy") -> tuple[Array, ...]:
    lazy = [array_of(one, "meshgrid") for one in arrays]
    if any(one.ndim != 1 for one in lazy):
        raise InvalidValue("meshgrid takes arrays of one axis")
    if indexing not in ("xy", "ij"):
        raise InvalidValue(f"indexing is 'xy' or 'ij', not {indexing!r}")
    if lazy:
        promoted(one.dtype for one in lazy)
    return tuple(Array(one) for one in ga.meshgrid(*lazy, indexing=indexing))
