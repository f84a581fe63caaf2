"""Arrays made of nothing, of NumPy's arrays, and of what can be sliced."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _graticule
from ..errors import InvalidType, InvalidValue
from ._array import Array
from ._chunks import normalize_chunks
from ._convert import dtype_name, expression, from_elements, is_weak, supports, typed


def _shape(shape: Any) -> tuple[int, ...]:
    return (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(one) for one in shape)


def _lengths(shape: Any, chunks: Any, dtype: Any) -> tuple[tuple[int, ...], ...]:
    return normalize_chunks("auto" if chunks is None else chunks, shape, None, dtype)


def from_array(x: Any, chunks: Any = "auto", **_: Any) -> Any:
    """The elements of a NumPy array, or of anything that has a shape and a dtype and can be sliced; of text a `Text`.

    A NumPy array is read, block by block, when the result is computed in this process: do not write into it meanwhile. What else
    can be sliced (an h5py dataset, say) is pickled, and sliced by the workers.
    """
    if isinstance(x, Array):
        return x.rechunk(chunks) if chunks != "auto" else x
    if isinstance(x, (list, tuple)) or np.isscalar(x) or not hasattr(x, "shape"):
        x = np.asarray(x)
    dtype = np.dtype(x.dtype)
    if dtype.kind in "US":
        from ._text import from_text

        return from_text(x, chunks)
    if not supports(dtype):
        dtype_name(dtype)
    lengths = normalize_chunks(chunks, x.shape, None, dtype, getattr(x, "chunks", None))
    if isinstance(x, (np.ndarray, np.generic)):
        return Array(from_elements(np.asarray(x), lengths))
    from .._blocks import Sliced, dumps

    function = _graticule.Function(dumps(Sliced(x)))
    return Array(_graticule.mapped(function, [], dtype_name(dtype), [], [], list(map(list, lengths))))


def from_delayed(value: Any, shape: Any, dtype: Any = None, meta: Any = None, **_: Any) -> Array:
    """An array of one chunk, whose elements a value of `dask.delayed` gives: a file that a function of yours reads, say.

    The task that makes the chunk computes all that the value needs, without Dask's scheduler; what several values share, each
    computes for itself. Join many with `stack`, `concatenate` or `block`.
    """
    dtype = getattr(meta, "dtype", None) if dtype is None else dtype
    if dtype is None:
        raise InvalidValue("nothing is computed to learn a dtype: give from_delayed the dtype of the elements")
    if not hasattr(value, "__dask_graph__"):
        raise InvalidType(f"from_delayed takes a value of dask.delayed, not {type(value).__name__}; of a future, give its result() to from_array")
    shape = _shape(shape)
    return from_array(_Delayed(value, shape, np.dtype(dtype)), chunks=tuple((length,) for length in shape))


class _Delayed:
    """What `dask.delayed` gives, as something that can be sliced."""

    def __init__(self, value: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.value, self.shape, self.dtype = value, shape, dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        made = np.asarray(self.value.compute(scheduler="synchronous"))
        if made.shape != self.shape or not np.can_cast(made.dtype, self.dtype, "same_kind"):
            raise InvalidValue(
                f"a delayed value gave {made.dtype} elements of shape {made.shape}; from_delayed was told of {self.dtype} ones of shape {self.shape}"
            )
        return made[index].astype(self.dtype, copy=False)


def from_zarr(url: Any, component: str | None = None, chunks: Any = None, **_: Any) -> Array:
    """The Zarr array at a path or address, read by the workers themselves, in the chunks in which it is stored."""
    url = str(url) if component is None else f"{str(url).rstrip('/')}/{component}"
    made = Array(_graticule.open_zarr(url)[0])
    return made if chunks is None else made.rechunk(chunks)


def asarray(a: Any, dtype: Any = None, chunks: Any = "auto", **_: Any) -> Any:
    made = from_array(a, chunks)
    return made if dtype is None else made.astype(dtype)


def asanyarray(a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    return asarray(a, dtype, **kwargs)


def array(a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    return asarray(a, dtype, **kwargs)


def full(shape: Any, fill_value: Any, dtype: Any = None, chunks: Any = "auto", **_: Any) -> Array:
    if not is_weak(fill_value) or dtype is None:
        fill_value = np.asarray(fill_value)
        if fill_value.ndim:
            raise InvalidValue(f"fill_value must be a single number, not an array of shape {fill_value.shape}")
        dtype = fill_value.dtype if dtype is None else np.dtype(dtype)
        made = empty(shape, dtype, chunks)
        return Array(_graticule.full_like(made._x, typed(fill_value), dtype_name(dtype)))
    shape = _shape(shape)
    return Array(_graticule.full(shape, _lengths(shape, chunks, dtype), fill_value, dtype_name(dtype)))


def zeros(shape: Any, dtype: Any = float, chunks: Any = "auto", **_: Any) -> Array:
    shape, dtype = _shape(shape), np.dtype(float if dtype is None else dtype)
    return Array(_graticule.full(shape, _lengths(shape, chunks, dtype), 0, dtype_name(dtype)))


def ones(shape: Any, dtype: Any = float, chunks: Any = "auto", **_: Any) -> Array:
    shape, dtype = _shape(shape), np.dtype(float if dtype is None else dtype)
    return Array(_graticule.full(shape, _lengths(shape, chunks, dtype), 1, dtype_name(dtype)))


def empty(shape: Any, dtype: Any = float, chunks: Any = "auto", **_: Any) -> Array:
    """Zeros: a plan gives the same bytes each time."""
    return zeros(shape, dtype, chunks)


def full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = None, subok: bool = True, shape: Any = None, *, chunks: Any = None, **_: Any) -> Array:
    x = Array(typed(a))
    dtype = x.dtype if dtype is None else np.dtype(dtype)
    if not supports(dtype):
        raise InvalidType(f"full_like: dtype {dtype} is not supported")
    if shape is not None and _shape(shape) != x.shape:
        return full(shape, fill_value, dtype, "auto" if chunks is None else chunks)
    value = expression(fill_value, dtype)
    if dtype.kind in "mM" and is_weak(fill_value):
        value = typed(np.asarray(np.datetime64("NaT") if fill_value != fill_value else fill_value).astype(dtype))
    made = Array(_graticule.full_like(x._x, value, dtype_name(dtype)))
    return made if chunks is None else made.rechunk(chunks)


def zeros_like(a: Any, dtype: Any = None, order: Any = None, subok: bool = True, shape: Any = None, **kwargs: Any) -> Array:
    dtype = np.dtype(a.dtype if dtype is None else dtype)
    return full_like(a, np.zeros((), dtype)[()], dtype, shape=shape, **kwargs)


def ones_like(a: Any, dtype: Any = None, order: Any = None, subok: bool = True, shape: Any = None, **kwargs: Any) -> Array:
    dtype = np.dtype(a.dtype if dtype is None else dtype)
    return full_like(a, np.ones((), dtype)[()], dtype, shape=shape, **kwargs)


empty_like = zeros_like


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, *, chunks: Any = "auto", like: Any = None, **_: Any) -> Array:
    if stop is None:
        start, stop = 0, start
    dtype = np.arange(start, start + step, step, dtype=dtype).dtype if step else np.dtype(float)
    if dtype.kind in "iu" and all(isinstance(one, (int, np.integer)) for one in (start, stop, step)):
        start, stop, step = int(start), int(stop), int(step)
        length = max(0, -((start - stop) // step))
        if max(abs(start), abs(stop), abs(step)) >= 2**53:
            return _exact_range(start, step, length, dtype, chunks)
    else:
        length = max(0, int(np.ceil((stop - start) / step)))
    lengths = _lengths((length,), chunks, dtype)
    return Array(_graticule.arange(float(start), float(stop), float(step), dtype_name(dtype), lengths))


def _exact_range(start: int, step: int, length: int, dtype: np.dtype, chunks: Any) -> Array:
    """Integers that a float64 does not hold, counted in their own dtype, which wraps."""
    lengths = _lengths((length,), chunks, dtype)
    numbers = Array(_graticule.arange(0.0, float(length), 1.0, "int64", lengths)).astype(dtype)
    bits = 8 * dtype.itemsize
    first, by = (np.array(one % 2**bits, np.uint64).astype(f"u{dtype.itemsize}").view(dtype)[()] for one in (start, step))
    return numbers * by + first


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, *, chunks: Any = "auto", **_: Any) -> Any:
    dtype = np.dtype(np.result_type(start, stop, float) if dtype is None else dtype)
    made = Array(_graticule.linspace(float(start), float(stop), num, endpoint, dtype_name(dtype), _lengths((num,), chunks, dtype)))
    return (made, (stop - start) / max(num - 1 if endpoint else num, 1)) if retstep else made


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = float, chunks: Any = "auto", **_: Any) -> Array:
    M = N if M is None else M
    return Array(_graticule.eye(N, M, k, dtype_name(dtype), _lengths((N, M), chunks, dtype)))


def identity(n: int, dtype: Any = float, **kwargs: Any) -> Array:
    return eye(n, dtype=dtype, **kwargs)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = float, chunks: Any = "auto", **_: Any) -> Array:
    M = N if M is None else M
    return Array(_graticule.tri(N, M, k, dtype_name(dtype), _lengths((N, M), chunks, dtype)))


def fromfunction(func: Any, shape: Any, dtype: Any = float, chunks: Any = "auto", **kwargs: Any) -> Array:
    from ._apply import map_blocks

    shape = _shape(shape)
    places = [arange(length, chunks=lengths and (lengths,)) for length, lengths in zip(shape, _lengths(shape, chunks, dtype))]
    from ._shape import meshgrid

    grids = [place.astype(dtype) for place in meshgrid(*places, indexing="ij")]
    return map_blocks(func, *grids, **kwargs)
