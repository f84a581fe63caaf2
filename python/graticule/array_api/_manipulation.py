"""Shapes, order of axes, joining, splitting and taking."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import array as ga
from ..errors import InvalidAxis, InvalidIndex, InvalidType, InvalidValue
from ._array import Array, array_of, cast
from ._dtypes import check, known, promoted
from ._info import check_device


def astype(x: Array, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    lazy = array_of(x, "astype")
    check_device(device)
    dtype = known(dtype)
    if lazy.dtype.kind == "c" and dtype.kind != "c":
        raise InvalidType(f"astype of {lazy.dtype} to {dtype} would lose the imaginary part; take real() or imag() first")
    return x if dtype == lazy.dtype and not copy else Array(ga.Array(cast(lazy, dtype)._x))


def axis_of(axis: Any, ndim: int) -> int:
    """An axis counted from the first one."""
    axis = axis.__index__()
    if not -ndim <= axis < ndim:
        raise InvalidAxis(f"axis {axis} of an array of {ndim} axes")
    return axis % ndim


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from the first one: None for all, one, or several different ones."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis_of(one, ndim) for one in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len(set(axes)) != len(axes):
        raise InvalidValue(f"an axis stands twice among {axis}")
    return axes


def broadcast_arrays(*arrays: Array) -> tuple[Array, ...]:
    return tuple(Array(one) for one in ga.broadcast_arrays(*(array_of(one, "broadcast_arrays") for one in arrays)))


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    return ga.broadcast_shapes(*shapes)


def broadcast_to(x: Array, /, shape: tuple[int, ...]) -> Array:
    return Array(ga.broadcast_to(array_of(x, "broadcast_to"), tuple(shape)))


def _joined(function: str, arrays: Any) -> list[ga.Array]:
    lazy = [array_of(one, function) for one in arrays]
    if not lazy:
        raise InvalidValue(f"{function} takes one array or more")
    common = promoted(one.dtype for one in lazy)
    return [cast(one, common) for one in lazy]


def concat(arrays: Any, /, *, axis: int | None = 0) -> Array:
    lazy = _joined("concat", arrays)
    if axis is not None and not lazy[0].ndim:
        raise InvalidValue("concat of arrays without axes; stack them, or give axis=None")
    return Array(ga.concatenate(lazy, axis))


def stack(arrays: Any, /, *, axis: int = 0) -> Array:
    return Array(ga.stack(_joined("stack", arrays), axis))


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    lazy = array_of(x, "unstack")
    return tuple(Array(one) for one in ga.unstack(lazy, axis=axis_of(axis, lazy.ndim)))


def expand_dims(x: Array, /, axis: Any) -> Array:
    lazy = array_of(x, "expand_dims")
    several = axis if isinstance(axis, tuple) else (axis,)
    return Array(ga.expand_dims(lazy, axes_of(several, lazy.ndim + len(several))))


def squeeze(x: Array, /, axis: Any) -> Array:
    lazy = array_of(x, "squeeze")
    axes = axes_of(axis, lazy.ndim)
    if any(lazy.shape[one] != 1 for one in axes):
        raise InvalidValue(f"squeeze of axes {axes} of an array of shape {lazy.shape}: they must have length 1")
    return Array(lazy.squeeze(axes)) if axes else Array(lazy)


def flip(x: Array, /, *, axis: Any = None) -> Array:
    lazy = array_of(x, "flip")
    return Array(ga.flip(lazy, axes_of(axis, lazy.ndim)))


def moveaxis(x: Array, source: Any, destination: Any, /) -> Array:
    lazy = array_of(x, "moveaxis")
    return Array(ga.moveaxis(lazy, axes_of(source, lazy.ndim), axes_of(destination, lazy.ndim)))


def permute_dims(x: Array, /, axes: tuple[int, ...]) -> Array:
    lazy = array_of(x, "permute_dims")
    order = axes_of(tuple(axes), lazy.ndim)
    if len(order) != lazy.ndim:
        raise InvalidValue(f"permute_dims takes each of the {lazy.ndim} axes once, not {axes}")
    return Array(lazy.transpose(order)) if order else Array(lazy)


def matrix_transpose(x: Array, /) -> Array:
    lazy = array_of(x, "matrix_transpose")
    if lazy.ndim < 2:
        raise InvalidValue(f"matrix_transpose takes arrays of two axes or more, not {lazy.ndim}")
    return Array(lazy.mT)


def reshape(x: Array, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Array:
    lazy = array_of(x, "reshape")
    return Array(lazy.reshape(tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)))


def roll(x: Array, /, shift: Any, *, axis: Any = None) -> Array:
    lazy = array_of(x, "roll")
    if isinstance(shift, tuple):
        if not isinstance(axis, tuple) or len(axis) != len(shift):
            raise InvalidValue(f"roll by {shift} along {axis}: each shift needs an axis")
    if axis is None:
        return Array(ga.roll(lazy, _within(shift, lazy.size)))
    axes = [axis_of(one, lazy.ndim) for one in (axis if isinstance(axis, tuple) else (axis,))]
    shifts = shift if isinstance(shift, tuple) else (shift,) * len(axes)
    made = lazy
    for one, place in zip(shifts, axes):
        made = ga.roll(made, _within(one, lazy.shape[place]), place)
    return Array(made)


def _within(shift: Any, length: int) -> int:
    """A shift that does the same and is no longer than the axis."""
    return shift.__index__() % length if length else 0


def tile(x: Array, repetitions: tuple[int, ...], /) -> Array:
    lazy = array_of(x, "tile")
    return Array(ga.tile(lazy, repetitions) if len(repetitions) else lazy)


def repeat(x: Array, repeats: Any, /, *, axis: int | None = None) -> Array:
    """Repeats elements; how often is computed at once if it is an array, for the shape depends on it."""
    lazy = array_of(x, "repeat")
    if isinstance(repeats, Array):
        check("repeat", "iu", repeats.dtype)
        counts = np.atleast_1d(np.asarray(repeats)).tolist()
    else:
        counts = [repeats.__index__()]
    if any(count < 0 for count in counts):
        raise InvalidValue("repeats must not be negative")
    if axis is None:
        lazy, axis = lazy.ravel(), 0
    axis = axis_of(axis, lazy.ndim)
    length = lazy.shape[axis]
    if len(counts) not in (1, length):
        raise InvalidValue(f"{len(counts)} repeats for an axis of {length} elements")
    return Array(lazy.repeat(counts, axis))


def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    lazy, positions = array_of(x, "take"), array_of(indices, "take")
    check("take", "iu", positions.dtype)
    if axis is None:
        if lazy.ndim != 1:
            raise InvalidValue(f"take needs an axis of an array of {lazy.ndim}")
        axis = 0
    if positions.ndim > 1:
        raise InvalidIndex(f"take by positions of {positions.ndim} axes; it takes one")
    axis = axis_of(axis, lazy.ndim)
    part: Any = positions if positions.ndim else int(positions)
    return Array(lazy[(slice(None),) * axis + (part,)])


def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    lazy, positions = array_of(x, "take_along_axis"), array_of(indices, "take_along_axis")
    check("take_along_axis", "iu", positions.dtype)
    axis = axis_of(axis, lazy.ndim)
    if positions.ndim != lazy.ndim:
        raise InvalidValue(f"take_along_axis of {lazy.ndim} axes by positions of {positions.ndim}; they must have as many")
    lengths = _beside(lazy.shape, positions.shape, axis)
    return Array(ga.take_along_axis(ga.broadcast_to(lazy, lengths[0]), ga.broadcast_to(positions, lengths[1]), axis))


def _beside(shape: tuple[int, ...], other: tuple[int, ...], axis: int) -> list[list[int]]:
    """Two shapes, broadcast in all axes but one."""
    pairs = [(n, m) if place == axis else ga.broadcast_shapes((n,), (m,)) * 2 for place, (n, m) in enumerate(zip(shape, other))]
    return [[n for n, _ in pairs], [m for _, m in pairs]]
