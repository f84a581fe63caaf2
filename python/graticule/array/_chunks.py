"""Chunks as people write them, made to the lengths along each axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._client import _bytes
from ..errors import InvalidValue

#: Bytes of a decoded chunk that "auto" aims at.
AUTO_BYTES = 128 * 2**20

Lengths = tuple[tuple[int, ...], ...]


def normalize_chunks(
    chunks: Any,
    shape: Sequence[int] | None = None,
    limit: int | str | None = None,
    dtype: Any = None,
    previous_chunks: Any = None,
) -> Lengths:
    """The lengths of the chunks along each axis.

    `chunks` is a number for all axes, one entry for each axis, or a dict of some: a length, lengths that add up to the axis, -1 or
    None for the whole axis, `"auto"`, or a number of bytes as text. `"auto"` aims at `limit` bytes (128 MiB), at multiples of the
    chunks before.
    """
    if shape is None:
        if not isinstance(chunks, (tuple, list)) or not all(isinstance(c, (tuple, list)) for c in chunks):
            raise InvalidValue("without a shape the lengths of all chunks are needed")
        shape = [sum(axis) for axis in chunks]
    shape = tuple(int(length) for length in shape)
    wanted = _per_axis(chunks, shape)
    for axis, one in enumerate(wanted):
        if isinstance(one, str) and one != "auto":
            limit, wanted[axis] = _bytes(one), "auto"
    lengths: list[Any] = [None if one == "auto" else _axis(one, length) for one, length in zip(wanted, shape)]
    if any(one is None for one in lengths):
        _fill_auto(lengths, shape, limit, dtype, previous_chunks)
    return tuple(lengths)


def _per_axis(chunks: Any, shape: tuple[int, ...]) -> list[Any]:
    if isinstance(chunks, Mapping):
        return [chunks.get(axis, chunks.get(axis - len(shape), -1)) for axis in range(len(shape))]
    if chunks is None or isinstance(chunks, (int, np.integer, str, float)):
        return [chunks] * len(shape)
    chunks = list(chunks)
    if len(shape) == 1 and len(chunks) != 1 and all(isinstance(c, (int, np.integer)) for c in chunks):
        return [tuple(chunks)]
    if len(chunks) != len(shape):
        raise InvalidValue(f"chunks {tuple(chunks)} have {len(chunks)} axes, the array has {len(shape)}")
    return chunks


def _axis(one: Any, length: int) -> tuple[int, ...]:
    if one is None:
        return (length,)
    if isinstance(one, (int, np.integer, float)):
        size = int(one)
        if size == -1 or size >= length:
            return (length,)
        if size <= 0:
            raise InvalidValue(f"a chunk of {size} elements")
        whole, rest = divmod(length, size)
        return (size,) * whole + ((rest,) if rest else ())
    lengths = tuple(int(part) for part in one)
    if sum(lengths) != length:
        raise InvalidValue(f"chunks {lengths} add up to {sum(lengths)}, the axis has {length} elements")
    return lengths


def _fill_auto(
    lengths: list[Any], shape: tuple[int, ...], limit: Any, dtype: Any, previous: Any
) -> None:
    """Cuts the axes that are left to it, the one with the most pieces first, in multiples of the chunks before."""
    limit = _bytes(limit) or AUTO_BYTES
    item = np.dtype(dtype).itemsize if dtype is not None else 8
    free = [axis for axis, one in enumerate(lengths) if one is None]
    step = {axis: max(1, _first(previous, axis, shape)) for axis in free}
    size = {axis: max(1, shape[axis]) for axis in free}
    fixed = math.prod(max(one, default=1) for one in lengths if one is not None) * item
    for whole_steps in (True, False):
        while fixed * math.prod(size.values()) > limit:
            unit = {axis: step[axis] if whole_steps else 1 for axis in free}
            axis = max(free, key=lambda axis: -(-size[axis] // unit[axis]))
            pieces = -(-size[axis] // unit[axis])
            if pieces < 2:
                break
            size[axis] = -(-pieces // 2) * unit[axis]
    for axis in free:
        lengths[axis] = _axis(size[axis], shape[axis])


def _first(previous: Any, axis: int, shape: tuple[int, ...]) -> int:
    if previous is None:
        return 1
    one = previous[axis]
    one = one[0] if isinstance(one, (tuple, list)) else one
    return min(int(one), max(1, shape[axis])) if one else 1
