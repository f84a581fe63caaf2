"""Writing arrays into what can be assigned to, block by block as they are ready."""

from __future__ import annotations

import functools
import itertools
import pathlib
import pickle
import uuid
from typing import Any

import numpy as np

from .._client import default_client
from ..errors import InvalidType, InvalidValue, Unsupported
from ._array import Array
from ._lazy import Lazy
from ._zarr_write import is_computed_from, written


def store(
    sources: Any, targets: Any, regions: Any = None, compute: bool = True, *, by_workers: bool = True, **_: Any
) -> Any:
    """Computes arrays and writes each block into a target (`target[slices] = block`) as it is ready.

    Zarr arrays in a folder are written by the workers, each chunk where it is computed, all of them in one job; the workers must
    reach the folder at the same path. That is so where the core writes what the array is stored as, and regions are of whole
    chunks. What else can be assigned to is written here, one block after another; what is computed runs ahead no further than a
    few blocks. So is everything with `by_workers=False`. With `compute=False` nothing runs until what is returned is called or
    computed.
    """
    if isinstance(sources, Lazy):
        sources, targets = [sources], [targets]
        regions = None if regions is None else [regions]
    regions = [None] * len(sources) if regions is None else regions
    for source in sources:
        _check_numbers(source)

    def write(client: Any) -> None:
        made = written(sources, targets, regions) if by_workers else [None] * len(sources)
        by_job = [array for array in made if array is not None]
        if by_job:
            client.compute(*by_job)
        for source, target, region, writer in zip(sources, targets, regions, made):
            if writer is not None:
                continue
            for place, block in client.stream(source):
                target[_within(region, place)] = block if source.ndim else block[()]

    return write(default_client()) if compute else Delayed(write)


def _within(region: Any, place: tuple[slice, ...]) -> tuple[Any, ...]:
    """A place in an array as a place in the region of a target."""
    if region is None:
        return place if place else (...,)
    region = region if isinstance(region, tuple) else (region,)
    left = iter(place)
    made = []
    for part in region:
        if not isinstance(part, slice):
            made.append(part)
            continue
        inner, start, step = next(left), part.start or 0, part.step or 1
        made.append(slice(start + inner.start * step, start + inner.stop * step, step))
    return tuple(made) + tuple(left)


def _check_numbers(array: Any) -> None:
    """Refuses text before anything is written."""
    if isinstance(array, Lazy) and not isinstance(array, Array):
        raise InvalidType("text is not written; compute() it, and write what NumPy has")


def to_zarr(
    arr: Array, url: Any, component: str | None = None, overwrite: bool = False, region: Any = None, compute: bool = True, *,
    by_workers: bool = True, **kwargs: Any,
) -> Any:
    """Writes an array as a Zarr array: its metadata by the package `zarr`, its chunks by the workers, as `store` does.

    `url` is a path, an address that `zarr` can write to, or a Zarr array that is there. A new one is stored in the array's
    chunks, which must be of one length along each axis but for the last one.
    """
    _check_numbers(arr)
    if hasattr(url, "shape"):
        return store(arr, url, region, compute, by_workers=by_workers)
    try:
        import zarr
    except ImportError:
        raise Unsupported("to_zarr without the package zarr; install it") from None
    for axis, lengths in enumerate(arr.chunks):
        if len(set(lengths[:-1])) > 1 or lengths[-1:] > lengths[:1]:
            raise InvalidValue(f"to_zarr: chunks {lengths} of axis {axis} are of several lengths; rechunk the array first")
    if overwrite and is_computed_from(arr, url, component):
        raise InvalidValue(f"to_zarr: the array is computed from {url}, which would be removed first; write to another place")
    target = zarr.create_array(
        store=str(url), name=component, shape=arr.shape, dtype=arr.dtype, overwrite=overwrite,
        chunks=tuple(max(1, length) for length in arr.chunksize), **kwargs,
    )
    return store(arr, target, region, compute, by_workers=by_workers)


def to_npy_stack(dirname: Any, x: Array, axis: int = 0) -> None:
    """Writes each block along an axis as a file of NumPy's into a folder, as Dask does."""
    _check_numbers(x)
    axis %= x.ndim
    whole = x.rechunk({other: -1 for other in range(x.ndim) if other != axis})
    folder = pathlib.Path(dirname)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "info").open("wb") as file:
        pickle.dump({"chunks": whole.chunks, "dtype": whole.dtype, "axis": axis}, file)
    spans = list(itertools.pairwise(itertools.accumulate(whole.chunks[axis], initial=0)))
    for place, block in default_client().stream(whole):
        for number, span in enumerate(spans):
            if span == (place[axis].start, place[axis].stop):
                np.save(folder / f"{number}.npy", block)


def from_npy_stack(dirname: Any, mmap_mode: str | None = "r") -> Array:
    """What `to_npy_stack` wrote, read block by block where it is computed. The file `info` is a pickle: trust who wrote it."""
    from ._apply import map_blocks

    folder = pathlib.Path(dirname).resolve()
    with (folder / "info").open("rb") as file:
        info = pickle.load(file)
    return map_blocks(
        functools.partial(_loaded, str(folder), info["axis"], mmap_mode), dtype=info["dtype"], chunks=info["chunks"]
    )


def _loaded(folder: str, axis: int, mmap_mode: str | None, block_id: tuple[int, ...]) -> np.ndarray:
    return np.load(f"{folder}/{block_id[axis]}.npy", mmap_mode=mmap_mode)


class Delayed:
    """Something that is done when it is called, or computed: by itself, or as one of Dask's collections by `dask.compute`."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._key = f"store-{uuid.uuid4().hex}"

    def __call__(self, client: Any = None) -> Any:
        return self._run(default_client() if client is None else client)

    def compute(self, **_: Any) -> Any:
        return self()

    def __dask_graph__(self) -> dict[str, Any]:
        return {self._key: (self,)}

    def __dask_keys__(self) -> list[str]:
        return [self._key]

    # Nothing is to be optimized.
    __dask_optimize__ = None

    def __dask_tokenize__(self) -> str:
        return self._key

    @staticmethod
    def __dask_scheduler__(graph: Any, keys: Any, **kwargs: Any) -> Any:
        """Runs it in this thread, unless Dask has been told of a scheduler."""
        from dask.local import get_sync

        return get_sync(graph, keys, **kwargs)

    def __dask_postcompute__(self) -> tuple[Any, tuple[Any, ...]]:
        return _only, ()

    def __dask_postpersist__(self) -> tuple[Any, tuple[Any, ...]]:
        return _done, ()


def _only(results: Any) -> Any:
    return results[0]


def _done(*_: Any, **__: Any) -> Delayed:
    return Delayed(_nothing)


def _nothing(_: Any) -> None:
    return None
