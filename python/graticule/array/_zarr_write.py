"""Arrays that workers write into Zarr arrays by themselves, each block where it is computed."""

from __future__ import annotations

import pathlib
import sys
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _graticule
from ._array import Array
from ._convert import supports

# A region's first and last element along each axis.
Span = tuple[tuple[int, int], ...]


def written(sources: Sequence[Any], targets: Sequence[Any], regions: Sequence[Any]) -> list[Array | None]:
    """For each source what writes it, to be computed; None for those that have to be written by the client, after the others.

    A target is written by workers if it is one of zarr-python's arrays in a folder, stored in a way that the core writes, and the
    region is one of whole chunks (whole shards). Where sources go to one place, their order counts: the client writes all but the
    first. So does it what is computed from the array that it goes to: a task that runs again would read what it has written.
    """
    read = {path for source in sources if isinstance(source, Array) for path in _read(source)}
    made: list[Array | None] = []
    taken: list[tuple[str, Span | None]] = []
    for source, target, region in zip(sources, targets, regions):
        target = getattr(target, "_array", target)  # xarray's wrapper, or the array itself
        path = _folder(target)
        span = None if path is None else _span(region, target.shape, source.shape)
        is_free = path is not None and not any(path == other and _meet(span, its) for other, its in taken)
        is_writable = is_free and span is not None and path not in read
        made.append(_writer(source, target, path, span) if is_writable else None)
        if path is not None:
            taken.append((path, span))
    return made


def is_computed_from(array: Array, url: Any, component: str | None) -> bool:
    """Whether an array is computed from the Zarr array at a path or address, as far as it is read by the core."""
    address = str(url) if "://" in str(url) else pathlib.Path(url).absolute().as_uri()
    return str(pathlib.Path(_path(address), component or "").resolve()) in _read(array)


def _read(array: Array) -> set[str]:
    return {_path(url) for url in _graticule.zarr_sources(array._x)}


def _writer(source: Array, target: Any, path: str, span: Span) -> Array | None:
    dtype = np.dtype(target.dtype).newbyteorder("=")
    if not supports(dtype) or dtype != source.dtype:
        return None
    config = getattr(target, "config", None)  # how the array was opened
    stores_empty = bool(getattr(config, "write_empty_chunks", False))
    made = _graticule.write_zarr(source._x, path, [start for start, _ in span], stores_empty)
    return None if made is None else Array(made)


def _folder(target: Any) -> str | None:
    """Where an array of zarr-python's lies, if that is a folder of this machine that may be written to."""
    zarr = sys.modules.get("zarr")
    local = getattr(getattr(zarr, "storage", None), "LocalStore", None)
    if local is None or not isinstance(target, zarr.Array) or type(target.store) is not local or target.store.read_only:
        return None
    return str(pathlib.Path(target.store.root, target.path).resolve())


def _path(url: str) -> str:
    """The folder of an address, as `_folder` says it."""
    parts = urllib.parse.urlsplit(url)
    return str(pathlib.Path(urllib.request.url2pathname(parts.path)).resolve()) if parts.scheme == "file" else url


def _span(region: Any, shape: tuple[int, ...], lengths: tuple[Any, ...]) -> Span | None:
    parts = region if isinstance(region, tuple) else (slice(None),) * len(shape) if region is None else (region,)
    if len(parts) != len(shape) or len(lengths) != len(shape) or not all(isinstance(part, slice) for part in parts):
        return None
    span = []
    for part, all_, length in zip(parts, shape, lengths):
        start, stop, step = part.indices(all_)
        if step != 1 or stop - start != length:
            return None
        span.append((start, stop))
    return tuple(span)


def _meet(one: Span | None, other: Span | None) -> bool:
    """Whether two regions of an array have elements in common; None is one that is not known."""
    return one is None or other is None or all(a[0] < b[1] and b[0] < a[1] for a, b in zip(one, other))
