"""Writing arrays into what can be assigned to, block by block as they are ready."""

from __future__ import annotations

from typing import Any

from .._client import default_client
from ._array import Array


def store(sources: Any, targets: Any, regions: Any = None, compute: bool = True, **_: Any) -> Any:
    """Computes arrays and writes each block into a target (`target[slices] = block`) as it is ready.

    The blocks are written here, one after another; what is computed runs ahead no further than a few blocks. With
    `compute=False` nothing runs until what is returned is called.
    """
    if isinstance(sources, Array):
        sources, targets = [sources], [targets]
        regions = None if regions is None else [regions]
    regions = [None] * len(sources) if regions is None else regions

    def write() -> None:
        client = default_client()
        for source, target, region in zip(sources, targets, regions):
            for place, block in client.stream(source):
                target[_within(region, place)] = block if source.ndim else block[()]

    return write() if compute else Delayed(write)


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


class Delayed:
    """Something that is done when it is called, or computed."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def __call__(self) -> Any:
        return self._run()

    def compute(self, **_: Any) -> Any:
        return self._run()
