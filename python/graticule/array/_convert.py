"""What becomes of arguments: arrays, numbers that are weak, and everything else by way of NumPy."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from .. import _graticule
from ..errors import InvalidType

#: The kinds of dtypes that there are, by NumPy's letters.
_KINDS = "biufcmM"


#: What is said where text is given to what takes numbers.
NO_NUMBERS = "text is taken by comparisons, isin, where, concatenate, stack, and what moves elements; compute() it for others"


def supports(dtype: np.dtype) -> bool:
    """Whether arrays can have this dtype."""
    if dtype.kind not in _KINDS or dtype.subdtype is not None:
        return False
    if dtype.kind in "mM":
        unit, count = np.datetime_data(dtype)
        return unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns") and count == 1
    if dtype.kind in "fc":
        return dtype in (np.float16, np.float32, np.float64, np.complex64, np.complex128)
    return True


def dtype_name(dtype: Any) -> str:
    """The name by which the core knows a dtype."""
    dtype = np.dtype(dtype)
    if not supports(dtype):
        raise InvalidType(
            f"dtype {dtype} is not supported; booleans, integers, float16, float32, float64, complex numbers, datetime64 and timedelta64 "
            "of a single unit are"
        )
    return str(dtype.newbyteorder("="))


def is_weak(value: Any) -> bool:
    """Whether a number of Python's takes the dtype of the array that it meets."""
    return type(value) in (bool, int, float, complex)


def expression(value: Any, like: Any = None) -> Any:
    """The expression of an array-like, or the number itself where it is weak."""
    from ._array import Array

    if isinstance(value, Array):
        return value._x
    if is_weak(value):
        return value
    return typed(value, like)


def typed(value: Any, like: Any = None) -> Any:
    """The expression of an array-like; numbers get the dtype that NumPy gives them."""
    from ._array import Array

    if isinstance(value, Array):
        return value._x
    if hasattr(value, "lazy") and getattr(value, "dtype", np.dtype(bool)).kind in "US":
        raise InvalidType(NO_NUMBERS)
    if isinstance(value, (datetime.datetime, datetime.date)):
        value = np.datetime64(value)
    elif isinstance(value, datetime.timedelta):
        value = value.to_timedelta64() if hasattr(value, "to_timedelta64") else np.timedelta64(value)
    elements = np.asarray(value)
    if elements.dtype.kind in "mM" and np.datetime_data(elements.dtype)[0] == "generic":
        unit = np.datetime_data(like)[0] if like is not None and np.dtype(like).kind in "mM" else "ns"
        elements = elements.astype(f"{elements.dtype.kind}8[{unit}]")
    if elements.ndim == 0:
        return _graticule.scalar(dtype_name(elements.dtype), _plain(elements).tobytes())
    return from_elements(elements, [(length,) for length in elements.shape])


#: Arrays up to this size travel with their plan.
_INLINE_BYTES = 64 * 2**10
#: Up to this one they do too, where the cluster is in other processes: then each task that reads one decodes it.
_FAR_INLINE_BYTES = 4 * 2**20
#: Workers that hold a larger one, if they have room: the client's memory does not stand behind it any more.
_COPIES = 2


def from_elements(elements: np.ndarray, chunks: Any) -> Any:
    """The expression of the elements of a NumPy array.

    Small ones are copied into it; others are looked at when they are computed. To a cluster in other processes they are sent at once.
    """
    from .._client import elsewhere

    name = dtype_name(elements.dtype)
    flat = np.ascontiguousarray(_plain(elements)).reshape(-1).view(np.uint8)
    far = elsewhere()
    if flat.nbytes <= (_INLINE_BYTES if far is None else _FAR_INLINE_BYTES):
        return _graticule.from_bytes(name, elements.shape, chunks, flat)
    if far is not None:
        row = chunks[0][0] if chunks else 1
        return _graticule.scatter_array(far, name, elements.shape, row, _COPIES, flat).rechunk(chunks)
    return _graticule.from_memory(name, elements.shape, chunks, flat)


def _plain(elements: np.ndarray) -> np.ndarray:
    """In native byte order; times as integers, which buffers can carry."""
    if not elements.dtype.isnative:
        elements = elements.astype(elements.dtype.newbyteorder("="))
    return elements.view(np.int64) if elements.dtype.kind in "mM" else elements


def axes_of(axis: Any, ndim: int) -> list[int] | None:
    """Axes as NumPy takes them: None for all, one, or several."""
    if axis is None:
        return None
    return [int(axis)] if np.ndim(axis) == 0 else [int(one) for one in axis]
