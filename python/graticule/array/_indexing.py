"""Indexing: basic, by lists and masks, by points, by chunks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from .. import _graticule
from .._client import default_client
from ..errors import InvalidIndex, Unsupported
from ._array import Array
from ._convert import expression


def get(x: Array, index: Any) -> Array:
    """`x[index]`, as NumPy has it. A lazy mask computes how many of each chunk it leaves; nothing else computes."""
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) == 1 and isinstance(parts[0], Array) and parts[0].dtype.kind == "b":
        return _masked(x, parts[0])
    lazy = [place for place, part in enumerate(parts) if isinstance(part, Array) and part.dtype.kind in "iu" and part.ndim]
    if len(lazy) == 1 and all(_is_whole(part) for place, part in enumerate(parts) if place not in lazy):
        return take_lazy(x, parts[lazy[0]], lazy[0])
    parts = tuple(_known(part) for part in parts)
    if any(isinstance(part, np.ndarray) and part.ndim != 1 and part.dtype.kind == "b" for part in parts):
        parts = _spread_masks(parts)
    if not any(isinstance(part, np.ndarray) for part in parts):
        return Array(x._x.slice(list(parts)))
    return _fancy(x, _whole_index(x, parts))


def _is_whole(part: Any) -> bool:
    return isinstance(part, slice) and part == slice(None)


def _known(part: Any) -> Any:
    """A part of an index as an integer, a slice, None, an ellipsis, or a NumPy array of positions or booleans."""
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, slice):
        bounds = (part.start, part.stop, part.step)
        return slice(*(None if bound is None else int(bound) for bound in bounds))
    if isinstance(part, (bool, np.bool_)):
        return np.asarray(part)
    if isinstance(part, (int, np.integer)):
        return int(part)
    elements = np.asarray(part)
    if elements.dtype.kind == "f" and elements.size == 0:
        elements = elements.astype(np.int64)
    if elements.dtype.kind == "b":
        return elements
    if elements.dtype.kind not in "iu":
        raise InvalidIndex(f"arrays used as indices must be of integers or booleans, not {elements.dtype}")
    return int(elements) if elements.ndim == 0 else elements.astype(np.int64)


def _spread_masks(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Masks of several axes as a list of positions for each."""
    spread: list[Any] = []
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind == "b" and part.ndim != 1:
            spread.extend(np.nonzero(part))
        else:
            spread.append(part)
    return tuple(spread)


def _whole_index(x: Array, parts: tuple[Any, ...]) -> list[Any]:
    """One part for each axis, and None for new ones; the ellipsis is filled in."""
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    if taken > x.ndim:
        raise InvalidIndex(f"too many indices: {taken} for an array of {x.ndim} axes")
    fill = [slice(None)] * (x.ndim - taken)
    whole: list[Any] = []
    for part in parts:
        if part is Ellipsis:
            whole.extend(fill)
            fill = []
        else:
            whole.append(part)
    return whole + fill


def _fancy(x: Array, parts: list[Any]) -> Array:
    """An index with at least one list of positions."""
    axes = [part for part in parts if part is not None]
    for axis, part in enumerate(axes):
        if isinstance(part, np.ndarray) and part.dtype.kind == "b":
            if len(part) != x.shape[axis]:
                raise InvalidIndex(f"a mask of {len(part)} elements for axis {axis} of {x.shape[axis]}")
            axes[axis] = np.flatnonzero(part)
    lists = [axis for axis, part in enumerate(axes) if isinstance(part, np.ndarray)]
    positions = [part for part in parts]
    known = iter(axes)
    positions = [None if part is None else next(known) for part in positions]
    if len(lists) == 1 and axes[lists[0]].ndim == 1 and not _moves_first(positions):
        taken = take(x, axes[lists[0]], lists[0])
        return Array(taken._x.slice([slice(None) if isinstance(p, np.ndarray) else p for p in positions]))
    return _points(x, positions)


def _moves_first(parts: list[Any]) -> bool:
    """Whether NumPy puts the axes of lists first: where a slice or a new axis stands between lists and integers."""
    advanced = [place for place, part in enumerate(parts) if isinstance(part, (int, np.ndarray))]
    return advanced[-1] - advanced[0] + 1 != len(advanced)


def take(x: Array, positions: np.ndarray, axis: int) -> Array:
    """Positions along an axis; a row of neighbours is a slice."""
    if len(positions) > 1:
        step = int(positions[1] - positions[0])
        if step and np.all(np.diff(positions) == step) and positions[0] >= 0 and positions[-1] >= 0:
            start, stop = int(positions[0]), int(positions[-1]) + (1 if step > 0 else -1)
            if max(start, int(positions[-1])) < x.shape[axis]:
                part = slice(start, None if stop < 0 else stop, step)
                return Array(x._x.slice([slice(None)] * axis + [part]))
    return Array(x._x.take(np.ascontiguousarray(positions), axis))


def take_lazy(x: Array, positions: Array, axis: int) -> Array:
    """Positions that are computed, along an axis, which is brought to one chunk."""
    shape = x.shape[:axis] + positions.shape + x.shape[axis + 1 :]
    flat = positions.ravel().astype(np.int64)
    wide = flat.reshape([-1 if place == axis else 1 for place in range(x.ndim)])
    lengths = [flat.shape[0] if place == axis else length for place, length in enumerate(x.shape)]
    taken = Array(x._x.take_along_axis(wide._x.broadcast_to(lengths), axis))
    return taken if positions.ndim == 1 else taken.reshape(shape)


def _points(x: Array, parts: list[Any]) -> Array:
    """Several lists that broadcast: one element for each place of them, in the place where NumPy puts them."""
    moves_first = _moves_first(parts)
    new = [place for place, part in enumerate(parts) if part is None]
    axes = [part for part in parts if part is not None]
    advanced = [axis for axis, part in enumerate(axes) if isinstance(part, (int, np.ndarray))]
    sliced = Array(x._x.slice([p if isinstance(p, slice) else slice(None) for p in axes]))
    lists = np.broadcast_arrays(*(np.asarray(axes[axis]) for axis in advanced))
    lengths = [x.shape[axis] for axis in advanced]
    wrapped = [_wrap(one, length, axis) for one, length, axis in zip(lists, lengths, advanced)]
    picked = _pick(sliced, wrapped, advanced)
    # The points' axes come first; NumPy leaves them where the lists stood side by side.
    if moves_first:
        where = 0
    else:
        place = [p for p, part in enumerate(parts) if isinstance(part, (int, np.ndarray))][0]
        where = sum(isinstance(part, slice) for part in parts[:place])
    count, ndim = lists[0].ndim, picked.ndim
    order = list(range(count, count + where)) + list(range(count)) + list(range(count + where, ndim))
    picked = picked.transpose(order)
    return _with_new_axes(picked, parts, new, count, where, moves_first) if new else picked


def _with_new_axes(
    picked: Array, parts: list[Any], new: list[int], count: int, where: int, moves_first: bool
) -> Array:
    """Puts in the axes that None asks for."""
    places, done = [], moves_first
    axis = count if moves_first else 0
    for part in parts:
        if part is None:
            places.append(axis)
            axis += 1
        elif isinstance(part, slice):
            axis += 1
        elif not done:
            axis, done = axis + count, True
    return Array(picked._x.expand_dims(places))


def _wrap(positions: np.ndarray, length: int, axis: int) -> np.ndarray:
    if positions.size and (positions.min() < -length or positions.max() >= length):
        worst = int(positions.max() if positions.max() >= length else positions.min())
        raise InvalidIndex(f"index {worst} is out of bounds for axis {axis} with size {length}")
    return np.where(positions < 0, positions + length, positions).astype(np.int64)


def _pick(x: Array, points: list[np.ndarray], axes: list[int]) -> Array:
    """One element of the axes for each point: their axes come first."""
    shape = points[0].shape
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    front = x.transpose(axes + rest)
    if not math.prod(shape):
        flat = Array(front._x.slice([slice(0, 0)] + [0] * (len(axes) - 1)))
        return flat.reshape(shape + tuple(x.shape[axis] for axis in rest))
    if len(axes) == 1:
        return take(front, points[0].reshape(-1), 0).reshape(shape + front.shape[1:])
    # Points of one block of chunks after another, so that each piece looks at one block only.
    blocks = [np.searchsorted(np.cumsum(x.chunks[axis]), one.reshape(-1), "right") for axis, one in zip(axes, points)]
    code = np.ravel_multi_index(blocks, [len(x.chunks[axis]) for axis in axes])
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(code[order]) != 0])
    pieces = [
        _pick_in_block(front, [one.reshape(-1)[members] for one in points])
        for members in np.split(order, starts[1:])
    ]
    joined = pieces[0] if len(pieces) == 1 else Array(_graticule.concatenated([p._x for p in pieces], 0))
    back = np.argsort(order, kind="stable")
    return take(joined, back, 0).reshape(shape + tuple(x.shape[axis] for axis in rest))


def _pick_in_block(front: Array, points: list[np.ndarray]) -> Array:
    """Points of one block: the box around them, flattened, and a list of positions in it."""
    low = [int(one.min()) for one in points]
    high = [int(one.max()) + 1 for one in points]
    box = Array(front._x.slice([slice(a, b) for a, b in zip(low, high)]))
    lengths = [b - a for a, b in zip(low, high)]
    rest = front.shape[len(points) :]
    flat = box.rechunk({axis: -1 for axis in range(len(points))}).reshape((math.prod(lengths), *rest))
    positions = np.ravel_multi_index([one - a for one, a in zip(points, low)], lengths)
    return Array(flat._x.take(np.ascontiguousarray(positions), 0))


def _along(x: Array, parts: list[Any], lazy: list[int]) -> Array | None:
    """Lazy positions along one axis, one for each element of others, as `argmax` gives them; whole axes come last.

    `None` for positions of other kinds.
    """
    if len(lazy) != 1 or len(parts) != x.ndim or parts[lazy[0]].dtype.kind not in "iu":
        return None
    (axis,) = lazy
    positions = parts[axis]
    whole = [place for place, part in enumerate(parts) if _is_whole(part)]
    others = [place for place in range(x.ndim) if place not in whole and place != axis]
    # By axis of the positions, which axis of the array it is; axes of one element take what is left.
    of_axis: dict[int, int] = {}
    for place in sorted(others, key=lambda place: x.shape[place] == 1):
        part = np.asarray(parts[place])
        long = [part.ndim - dim for dim, length in enumerate(part.shape) if length > 1]
        left = [back for back in range(positions.ndim, 0, -1) if back not in of_axis]
        back = long[0] if len(long) == 1 else left[0] if left and x.shape[place] == 1 else 0
        if len(long) > 1 or back not in left or part.dtype.kind not in "iu":
            return None
        of_axis[back] = place
        listed = part.reshape(-1)
        if not np.array_equal(listed, np.arange(x.shape[place])):
            x = take(x, _wrap(listed, x.shape[place], place), place)
    if positions.ndim != len(others):
        return None
    order = [of_axis[back] for back in range(positions.ndim, 0, -1)]
    front = x.transpose([*order, axis, *whole])
    wide = positions.astype(np.int64)._x.reshape([*positions.shape, *[1] * (1 + len(whole))])
    lengths = [*positions.shape, 1, *(x.shape[place] for place in whole)]
    taken = Array(front._x.take_along_axis(wide.broadcast_to(lengths), positions.ndim))
    return Array(taken._x.squeeze([positions.ndim]))


def _masked(x: Array, mask: Array) -> Array:
    selected = _graticule.Selected.masked(x._x, mask._x)
    return Array(default_client()._cluster.sized([selected])[0])


def put(x: Array, index: Any, value: Any) -> Array:
    """The array with other elements where the index points."""
    value = expression(value, x.dtype)
    if isinstance(index, Array) and index.dtype.kind == "b":
        return Array(x._x.put_mask(index._x, value))
    parts = tuple(_known(part) for part in (index if isinstance(index, tuple) else (index,)))
    if not any(isinstance(part, np.ndarray) for part in parts):
        return Array(x._x.put_slice(list(parts), value))
    if len(parts) == 1 and parts[0].dtype.kind == "b":
        return Array(x._x.put_mask(expression(parts[0]), value))
    whole = _whole_index(x, parts)
    lists = [axis for axis, part in enumerate(whole) if isinstance(part, np.ndarray)]
    if any(part is None for part in whole) or len(lists) != 1 or whole[lists[0]].ndim != 1:
        raise Unsupported("assignment by several lists at once")
    return _put_list(x, whole, lists[0], value)


def _put_list(x: Array, parts: list[Any], axis: int, value: Any) -> Array:
    """Assigns along one list of positions, run by run."""
    positions = parts[axis]
    positions = np.flatnonzero(positions) if positions.dtype.kind == "b" else _wrap(positions, x.shape[axis], axis)
    selected = get(x, tuple(positions if place == axis else part for place, part in enumerate(parts)))
    lead = sum(not isinstance(part, int) for part in parts[:axis])
    values = value if not hasattr(value, "shape") else Array(value.broadcast_to(selected.shape))
    made = x
    for number, position in enumerate(positions):
        part = values if values is value and not hasattr(value, "shape") else values[(slice(None),) * lead + (number,)]
        index = [int(position) if place == axis else one for place, one in enumerate(parts)]
        made = Array(made._x.put_slice(index, expression(part)))
    return made


class Pointwise:
    """`x.vindex[...]`: lists broadcast, and their axes come first."""

    def __init__(self, x: Array) -> None:
        self._x = x

    def __getitem__(self, index: Any) -> Array:
        index = index if isinstance(index, tuple) else (index,)
        lazy = [place for place, part in enumerate(index) if isinstance(part, Array) and part.ndim]
        if len(lazy) == 1 and all(_is_whole(part) for place, part in enumerate(index) if place not in lazy):
            taken = take_lazy(self._x, index[lazy[0]], lazy[0])
            count = index[lazy[0]].ndim
            rest = [axis for axis in range(taken.ndim) if not lazy[0] <= axis < lazy[0] + count]
            return taken.transpose([*range(lazy[0], lazy[0] + count), *rest])
        along = _along(self._x, list(index) + [slice(None)] * (self._x.ndim - len(index)), lazy)
        if along is not None:
            return along
        # Of other points the positions are computed.
        parts = [_known(p) for p in index]
        parts = _whole_index(self._x, tuple(parts))
        if any(part is None for part in parts):
            raise InvalidIndex("vindex takes no new axes")
        for axis, part in enumerate(parts):
            if isinstance(part, np.ndarray) and part.dtype.kind == "b":
                parts[axis] = np.flatnonzero(part)
        axes = [axis for axis, part in enumerate(parts) if not isinstance(part, slice)]
        sliced = Array(self._x._x.slice([p if isinstance(p, slice) else slice(None) for p in parts]))
        if not axes:
            return sliced
        lists = np.broadcast_arrays(*(np.asarray(parts[axis]) for axis in axes))
        wrapped = [_wrap(one, self._x.shape[axis], axis) for one, axis in zip(lists, axes)]
        return _pick(sliced, wrapped, axes)


class Outer:
    """`x.oindex[...]`: each axis on its own."""

    def __init__(self, x: Array) -> None:
        self._x = x

    def __getitem__(self, index: Any) -> Array:
        return outer(self._x, index if isinstance(index, tuple) else (index,))


def outer(x: Array, index: tuple[Any, ...]) -> Array:
    parts = _whole_index(x, tuple(_known(part) for part in index))
    made = x
    for axis, part in enumerate(parts):
        if isinstance(part, np.ndarray):
            positions = np.flatnonzero(part) if part.dtype.kind == "b" else part
            made = take(made, positions, axis)
    return Array(made._x.slice([p if isinstance(p, (slice, int)) else slice(None) for p in parts]))


class Blocks:
    """`x.blocks[...]`: chunks by their numbers."""

    def __init__(self, x: Array) -> None:
        self._x = x

    @property
    def shape(self) -> tuple[int, ...]:
        return self._x.numblocks

    @property
    def size(self) -> int:
        return self._x.npartitions

    def __getitem__(self, index: Any) -> Array:
        parts = _whole_index(self._x, tuple(_known(p) for p in (index if isinstance(index, tuple) else (index,))))
        made = self._x
        for axis, (part, lengths) in enumerate(zip(parts, self._x.chunks)):
            ends = list(itertools.accumulate(lengths, initial=0))
            numbers = range(len(lengths))
            chosen = numbers[part] if isinstance(part, slice) else np.atleast_1d(part)
            if isinstance(part, slice) and part.step in (None, 1):
                start, stop = (ends[chosen[0]], ends[chosen[-1] + 1]) if len(chosen) else (0, 0)
                made = Array(made._x.slice([slice(None)] * axis + [slice(start, stop)]))
                continue
            chosen = [numbers[int(one)] for one in chosen]
            runs = [np.arange(ends[one], ends[one + 1]) for one in chosen]
            made = take(made, np.concatenate(runs) if runs else np.empty(0, np.int64), axis)
            made = made.rechunk({axis: tuple(lengths[one] for one in chosen) or -1})
        return made

    def ravel(self) -> list[Array]:
        return [self[index] for index in np.ndindex(self.shape)]
