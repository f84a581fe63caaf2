"""xarray's door to Graticule: the chunk manager, and the engine that reads Zarr natively.

xarray finds both by the package's entry points. What it does for Dask alone, it is told to do for Graticule's arrays too when the
chunk manager is made; `graticule._xarray_hooks` says where.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from xarray.namedarray.parallelcompat import ChunkManagerEntrypoint

import graticule.array as ga

from . import _cf, _xarray_hooks
from ._client import _tell_xarray, default_client
from ._engine import GraticuleBackend
from .array import Array
from .array._apply import apply_gufunc, blockwise, infer, map_blocks, reduction, unify_chunks
from .array._chunks import AUTO_BYTES, normalize_chunks
from .array._convert import supports
from .errors import Unsupported

__all__ = ["GraticuleBackend", "GraticuleManager"]

#: Coordinates of at most so many bytes stay at hand, for operations that are planned by their values.
_KNOWN_BYTES_MAX = 1 << 20

_xarray_hooks.install()


class GraticuleManager(ChunkManagerEntrypoint[Array]):
    """Lets xarray keep its data in Graticule's arrays: `chunk(chunked_array_type="graticule")`."""

    array_cls = Array

    def __init__(self) -> None:
        self.array_cls = Array
        _tell_xarray()

    def chunks(self, data: Array) -> tuple[tuple[int, ...], ...]:
        return data.chunks

    def normalize_chunks(
        self, chunks: Any, shape: Any = None, limit: Any = None, dtype: Any = None, previous_chunks: Any = None
    ) -> tuple[tuple[int, ...], ...]:
        return normalize_chunks(chunks, shape, limit, dtype, previous_chunks)

    def from_array(self, data: Any, chunks: Any, **kwargs: Any) -> Any:
        """Data as a lazy array; data of a dtype that cannot be one (text, objects) stays as it is, as it was read."""
        if isinstance(data, Array):
            return data.rechunk(chunks)
        if not supports(np.dtype(data.dtype)):
            return data
        native = _cf.native(data)
        if native is not None:
            return native.rechunk(normalize_chunks(chunks, native.shape, None, native.dtype, native.chunks))
        made = ga.from_array(data, chunks)
        if made.nbytes <= _KNOWN_BYTES_MAX and _is_in_memory(data):
            made._known = np.array(data)
        return made

    def rechunk(self, data: Array, chunks: Any, **kwargs: Any) -> Array:
        return data.rechunk(chunks)

    def compute(self, *data: Any, **kwargs: Any) -> tuple[Any, ...]:
        kwargs = {key: value for key, value in kwargs.items() if key == "allow_large"}
        made = default_client().compute(*data, **kwargs)
        return (made,) if len(data) == 1 else made

    def persist(self, *data: Any, **kwargs: Any) -> tuple[Any, ...]:
        made = default_client().persist(*data)
        return (made,) if len(data) == 1 else made

    @property
    def array_api(self) -> Any:
        return ga

    def reduction(
        self,
        arr: Array,
        func: Callable[..., Any],
        combine_func: Callable[..., Any] | None = None,
        aggregate_func: Callable[..., Any] | None = None,
        axis: int | Sequence[int] | None = None,
        dtype: Any = None,
        keepdims: bool = False,
    ) -> Array:
        own = _xarray_hooks.native_reduction(func, arr, axis)
        if own is not None:
            return own
        return reduction(
            arr, chunk=func, combine=combine_func, aggregate=aggregate_func or func, axis=axis, dtype=dtype, keepdims=keepdims
        )

    def scan(
        self, func: Callable[..., Any], binop: Callable[..., Any], ident: float, arr: Array, axis: int | None = None,
        dtype: Any = None, **kwargs: Any,
    ) -> Array:
        known = {"_dtype_push": ga.ffill, "push": ga.ffill, "cumsum": ga.cumsum, "nancumsum": ga.nancumsum}
        known |= {"cumprod": ga.cumprod, "nancumprod": ga.nancumprod}
        native = known.get(getattr(func, "__name__", ""))
        if native is None:
            raise Unsupported(f"scan with the function {func!r}; of cumsum, cumprod and push there are native ones")
        return native(arr, axis=axis)

    def apply_gufunc(
        self, func: Callable[..., Any], signature: str, *args: Any, axes: Any = None, keepdims: bool = False,
        output_dtypes: Any = None, vectorize: bool | None = None, axis: int | None = None, output_sizes: Any = None,
        allow_rechunk: bool = False, meta: Any = None, **kwargs: Any,
    ) -> Any:
        return apply_gufunc(
            func, signature, *args, axes=axes, axis=axis, keepdims=keepdims, output_dtypes=output_dtypes, vectorize=vectorize,
            output_sizes=output_sizes, allow_rechunk=allow_rechunk, meta=meta, _casts=True, **kwargs,
        )

    def map_blocks(
        self, func: Callable[..., Any], *args: Any, dtype: Any = None, chunks: Any = None, drop_axis: Any = None,
        new_axis: Any = None, **kwargs: Any,
    ) -> Array:
        own = _cf.elementwise(func, args, kwargs, dtype)
        own = _xarray_hooks.native_field(func, args, dtype) if own is None else own
        if own is not None:
            return own
        if dtype is None:
            # As Dask does it: what the function gives for arrays of one element.
            dtype = np.asarray(infer(_named(func), func, args, kwargs)).dtype
        if not supports(np.dtype(dtype)):
            raise Unsupported(f"{_named(func)} gives {np.dtype(dtype)}, of which there are no lazy arrays; compute() first")
        if chunks is not None and new_axis is not None and args:
            # xarray gives the longest chunk along each axis that is not new.
            new = [new_axis] if isinstance(new_axis, int) else list(new_axis)
            chunks = tuple(one if axis in new else None for axis, one in enumerate(chunks))
            chunks = tuple(one if one is not None else args[0].chunks[axis - len(new)] for axis, one in enumerate(chunks))
        return map_blocks(
            func, *args, dtype=dtype, chunks=chunks, drop_axis=drop_axis, new_axis=new_axis, _casts=True, **kwargs
        )

    def blockwise(
        self, func: Callable[..., Any], out_ind: Any, *args: Any, adjust_chunks: Any = None, new_axes: Any = None,
        align_arrays: bool = True, **kwargs: Any,
    ) -> Array:
        return blockwise(
            func, out_ind, *args, adjust_chunks=adjust_chunks, new_axes=new_axes, align_arrays=align_arrays, _casts=True,
            **kwargs,
        )

    def unify_chunks(self, *args: Any, **kwargs: Any) -> tuple[dict[Any, Any], list[Any]]:
        return unify_chunks(*args, **kwargs)

    def store(self, sources: Any, targets: Any, **kwargs: Any) -> Any:
        known = {name: kwargs[name] for name in ("regions", "compute", "by_workers") if name in kwargs}
        return ga.store(sources, targets, **known)

    def shuffle(self, x: Array, indexer: list[list[int]], axis: int, chunks: Any) -> Array:
        return ga.shuffle(x, indexer, axis, "auto" if chunks is None else chunks)

    def get_auto_chunk_size(self) -> int:
        return AUTO_BYTES


def _named(func: Callable[..., Any]) -> str:
    while isinstance(func, functools.partial):
        func = func.func
    return getattr(func, "__name__", repr(func))


def _is_in_memory(data: Any) -> bool:
    """Whether elements are there already: NumPy's, or those of an index."""
    inner = getattr(data, "array", data)
    return isinstance(inner, np.ndarray) or isinstance(getattr(inner, "array", None), pd.Index)
