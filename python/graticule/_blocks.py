"""What a worker runs for a Python function: it is loaded once, lent blocks, and what it gives is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np

from . import _pickle
from ._client import as_numpy
from .errors import InvalidType, InvalidValue


def dumps(what: Any) -> bytes:
    """The bytes of a function and what goes with it."""
    try:
        return _pickle.by_value(what)
    except Exception as error:
        raise InvalidType(f"the function cannot be pickled, so no worker can have it: {error}") from error


def load(payload: bytes) -> Any:
    return cloudpickle.loads(payload)


@dataclass
class Block:
    """A block that a function is lent: its elements, read-only, and where it lies."""

    elements: np.ndarray
    #: Along each axis the block's number, its first element and the one behind its last.
    place: list[tuple[int, int, int]]
    #: Axes along which it is made of several blocks of the array, and of how many.
    pieces: list[tuple[int, int]]


@dataclass
class Wanted:
    """What a function shall make."""

    place: list[tuple[int, int, int]]
    shape: tuple[int, ...]
    dtypes: list[np.dtype]

    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(start, stop) for _, start, stop in self.place)


def run(
    function: Callable[[list[Block], Wanted], Any],
    blocks: Sequence[Any],
    place: list[tuple[int, int, int]],
    shape: Sequence[int],
    dtypes: Sequence[str],
) -> list[np.ndarray]:
    """Calls a function that was loaded; gives the bytes of each array it made, in C order."""
    lent = [Block(as_numpy(buffer), where, pieces) for buffer, where, pieces in blocks]
    wanted = Wanted(place, tuple(shape), [np.dtype(dtype) for dtype in dtypes])
    made = function(lent, wanted)
    if len(wanted.dtypes) == 1:
        made = (made,)
    elif len(made) != len(wanted.dtypes):
        raise InvalidValue(f"the function gave {len(made)} results, {len(wanted.dtypes)} were declared")
    return [_bytes_of(part, wanted.shape, dtype) for part, dtype in zip(made, wanted.dtypes)]


def _bytes_of(made: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    made = np.asarray(made)
    if made.dtype != dtype:
        raise InvalidType(f"the function gave {made.dtype}, {dtype} was declared; declare its dtype with dtype=")
    if made.shape != shape:
        raise InvalidValue(f"the function gave a block of shape {made.shape}, {shape} was declared")
    return np.ascontiguousarray(made).reshape(-1).view(np.uint8)


@dataclass
class Call:
    """`func(*args, **kwargs)`, with blocks in the places of arrays."""

    func: Callable[..., Any]
    #: For each argument the number of its block, or a value.
    args: list[tuple[int | None, Any]]
    kwargs: dict[str, Any]
    #: What the result is converted to if its dtype is of the same kind; None checks it as it is.
    casts: bool = False
    #: The arguments that the function wants told where it is.
    wants_id: bool = False
    wants_info: bool = False
    dtype: str | None = None

    def __call__(self, blocks: list[Block], wanted: Wanted) -> Any:
        args = [value if number is None else blocks[number].elements for number, value in self.args]
        kwargs = dict(self.kwargs)
        if self.wants_id:
            kwargs["block_id"] = tuple(number for number, _, _ in wanted.place)
        if self.wants_info:
            kwargs["block_info"] = self._info(blocks, wanted)
        return cast(self.func(*args, **kwargs), wanted) if self.casts else self.func(*args, **kwargs)

    def _info(self, blocks: list[Block], wanted: Wanted) -> dict[int | None, Any]:
        def told(place: list[tuple[int, int, int]]) -> dict[str, Any]:
            return {
                "array-location": [(start, stop) for _, start, stop in place],
                "chunk-location": tuple(number for number, _, _ in place),
            }

        info: dict[int | None, Any] = {
            position: told(blocks[number].place)
            for position, (number, _) in enumerate(self.args)
            if number is not None
        }
        info[None] = told(wanted.place) | {"chunk-shape": wanted.shape, "dtype": wanted.dtypes[0]}
        return info


def cast(made: Any, wanted: Wanted) -> Any:
    """Results in the declared dtypes, where NumPy converts within the same kind."""

    def one(part: Any, dtype: np.dtype) -> Any:
        part = np.asarray(part)
        return part.astype(dtype, copy=False) if np.can_cast(part.dtype, dtype, "same_kind") else part

    if len(wanted.dtypes) == 1:
        return one(made, wanted.dtypes[0])
    return tuple(one(part, dtype) for part, dtype in zip(made, wanted.dtypes))


@dataclass
class Sliced:
    """A block of something that can be sliced."""

    source: Any

    def __call__(self, blocks: list[Block], wanted: Wanted) -> Any:
        return np.asarray(self.source[wanted.slices()])


@dataclass
class Step:
    """A step of a reduction by functions: `func(block, axis=..., keepdims=True)`."""

    func: Callable[..., Any]
    axis: tuple[int, ...]
    casts: bool = True

    def __call__(self, blocks: list[Block], wanted: Wanted) -> Any:
        parts = [block.elements for block in blocks]
        axis = self.axis if len(self.axis) != 1 else self.axis[0]
        made = self.func(parts[0] if len(parts) == 1 else tuple(parts), axis=axis, keepdims=True)
        return cast(made, wanted) if self.casts else made
