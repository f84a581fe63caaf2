"""Shape, order of axes, joining and splitting, under NumPy's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _graticule
from ..errors import InvalidType, InvalidValue, Unsupported
from ._array import Array
from ._convert import axes_of, typed


def _arrays(values: Any) -> list[Array]:
    return [Array(typed(value)) for value in values]


def _shared(values: Any, dtype: Any = None) -> list[Any]:
    """Arrays in their common dtype."""
    arrays = _arrays(values)
    if not arrays:
        raise InvalidValue("need at least one array")
    common = np.dtype(dtype) if dtype is not None else np.result_type(*(array.dtype for array in arrays))
    return [array.astype(common)._x for array in arrays]


def concatenate(arrays: Any, axis: int | None = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind", **_: Any) -> Array:
    joined = _shared(arrays, dtype)
    if axis is None:
        joined, axis = [_graticule.unary("ravel", x) for x in joined], 0
    return Array(_graticule.concatenated(joined, axis))


concat = concatenate


def stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind", **_: Any) -> Array:
    return Array(_graticule.stacked(_shared(arrays, dtype), axis))


def vstack(tup: Any, **_: Any) -> Array:
    return concatenate([atleast_2d(one) for one in tup], 0)


def hstack(tup: Any, **_: Any) -> Array:
    arrays = [atleast_1d(one) for one in tup]
    return concatenate(arrays, 0 if arrays[0].ndim == 1 else 1)


def dstack(tup: Any) -> Array:
    return concatenate([atleast_3d(one) for one in tup], 2)


def column_stack(tup: Any) -> Array:
    return concatenate([one if one.ndim > 1 else one[:, None] for one in map(atleast_1d, tup)], 1)


def _at_least(name: str) -> Any:
    def function(*arrays: Any) -> Any:
        made = [Array(_graticule.unary(name, typed(one))) for one in arrays]
        return made[0] if len(made) == 1 else tuple(made)

    function.__name__ = function.__qualname__ = name
    return function


atleast_1d, atleast_2d, atleast_3d = _at_least("atleast_1d"), _at_least("atleast_2d"), _at_least("atleast_3d")


def transpose(a: Any, axes: Any = None) -> Array:
    return Array(typed(a)).transpose(axes)


permute_dims = transpose


def matrix_transpose(x: Any, /) -> Array:
    return Array(typed(x)).mT


def moveaxis(a: Any, source: Any, destination: Any) -> Array:
    x = Array(typed(a))
    return Array(x._x.moveaxis(axes_of(source, x.ndim), axes_of(destination, x.ndim)))


def rollaxis(a: Any, axis: int, start: int = 0) -> Array:
    x = Array(typed(a))
    axis, start = axis % x.ndim, start + x.ndim if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


def swapaxes(a: Any, axis1: int, axis2: int) -> Array:
    return Array(typed(a)).swapaxes(axis1, axis2)


def expand_dims(a: Any, axis: Any) -> Array:
    x = Array(typed(a))
    return Array(x._x.expand_dims(axes_of(axis, x.ndim)))


def squeeze(a: Any, axis: Any = None) -> Array:
    return Array(typed(a)).squeeze(axis)


def broadcast_to(array: Any, shape: Any, chunks: Any = None, **_: Any) -> Array:
    shape = (shape,) if isinstance(shape, (int, np.integer)) else shape
    made = Array(typed(array).broadcast_to([int(n) for n in shape]))
    return made if chunks is None else made.rechunk(chunks)


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Array, ...]:
    return tuple(Array(x) for x in _graticule.broadcast([typed(one) for one in args]))


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    return tuple(_graticule.common_shape([list(shape) for shape in shapes]))


def reshape(a: Any, /, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None, **_: Any) -> Array:
    return Array(typed(a)).reshape(newshape if shape is None else shape, order=order)


def reshape_blockwise(x: Array, shape: Any, chunks: Any = None) -> Array:
    """A reshape after which nothing asks for the order of the merged axes; here it is C order all the same."""
    made = x.reshape(shape)
    return made if chunks is None else made.rechunk(chunks)


def ravel(a: Any, order: str = "C") -> Array:
    return Array(typed(a)).ravel(order)


def flip(m: Any, axis: Any = None) -> Array:
    x = Array(typed(m))
    return Array(x._x.flip(axes_of(axis, x.ndim)))


def flipud(m: Any) -> Array:
    return flip(m, 0)


def fliplr(m: Any) -> Array:
    return flip(m, 1)


def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    return Array(typed(m).rot90(k, list(axes)))


def roll(a: Any, shift: Any, axis: Any = None) -> Array:
    x = Array(typed(a))
    shifts, axes = axes_of(shift, x.ndim), axes_of(axis, x.ndim)
    if axes is not None and len(shifts) != len(axes):
        count = max(len(shifts), len(axes))
        shifts, axes = (one * count if len(one) == 1 else one for one in (shifts, axes))
    return Array(x._x.roll(shifts, axes))


def tile(A: Any, reps: Any) -> Array:
    return Array(typed(A).tile([int(one) for one in np.atleast_1d(reps)]))


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Array:
    return Array(typed(a)).repeat(repeats, axis)


def delete(arr: Any, obj: Any, axis: int | None = None) -> Array:
    x = Array(typed(arr))
    if axis is None:
        x, axis = x.ravel(), 0
    length = x.shape[axis]
    if isinstance(obj, slice):
        obj = np.arange(length)[obj]
    obj = np.asarray(obj)
    obj = np.flatnonzero(obj) if obj.dtype.kind == "b" else np.atleast_1d(obj)
    return Array(x._x.delete([int(one) for one in obj], axis))


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Array:
    x = Array(typed(arr))
    if axis is None:
        x, axis = x.ravel(), 0
    if not isinstance(obj, (int, np.integer)):
        raise Unsupported("insert at several places at once")
    return Array(x._x.insert(int(obj), Array(typed(values)).astype(x.dtype)._x, axis))


def append(arr: Any, values: Any, axis: int | None = None) -> Array:
    return concatenate([arr, values], axis)


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    x = typed(ary)
    if isinstance(indices_or_sections, (int, np.integer)):
        return [Array(part) for part in x.split_evenly(int(indices_or_sections), axis)]
    return [Array(part) for part in x.split([int(one) for one in indices_or_sections], axis)]


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    if isinstance(indices_or_sections, (int, np.integer)):
        return [Array(part) for part in typed(ary).array_split(int(indices_or_sections), axis)]
    return split(ary, indices_or_sections, axis)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    return split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    return split(ary, indices_or_sections, 0)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    return split(ary, indices_or_sections, 2)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Array, ...]:
    return tuple(Array(part) for part in typed(x).unstack(axis))


def take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Array:
    x = Array(typed(a))
    if axis is None:
        x, axis = x.ravel(), 0
    axis = axis % x.ndim
    if isinstance(indices, Array):
        raise InvalidType("take by lazy positions; use take_along_axis, or compute the positions")
    indices = np.asarray(indices)
    if indices.ndim == 0:
        return x[(slice(None),) * axis + (int(indices),)]
    taken = x[(slice(None),) * axis + (indices.reshape(-1),)]
    return taken if indices.ndim == 1 else taken.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Array:
    x = Array(typed(arr))
    if axis is None:
        x, axis = x.ravel(), 0
    return Array(x._x.take_along_axis(typed(indices), axis))


def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Array:
    from ._select import compressed

    return compressed(condition, a, axis)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    return Array(typed(a).diagonal(offset, axis1, axis2))


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Array:
    made = Array(typed(a).trace(offset, axis1, axis2))
    return made if dtype is None else made.astype(dtype)


def diag(v: Any, k: int = 0) -> Array:
    """A matrix with a line on a diagonal, or the diagonal of a matrix."""
    x = Array(typed(v))
    return diagonal(x, k) if x.ndim == 2 else Array(x._x.diag(k))


def triu(m: Any, k: int = 0) -> Array:
    return Array(typed(m).triu(k))


def tril(m: Any, k: int = 0) -> Array:
    return Array(typed(m).tril(k))


def meshgrid(*xi: Any, sparse: bool = False, indexing: str = "xy", **_: Any) -> list[Array]:
    arrays = [Array(typed(one)).ravel() for one in xi]
    order = list(range(len(arrays)))
    if indexing == "xy" and len(order) > 1:
        order[0], order[1] = order[1], order[0]
    open_ones = []
    for place, array in enumerate(arrays):
        shape = [1] * len(arrays)
        shape[order[place]] = array.shape[0]
        open_ones.append(array.reshape(shape))
    return open_ones if sparse or not open_ones else list(broadcast_arrays(*open_ones))


def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Array:
    """NumPy's `pad`, in all its modes but a function of your own."""
    x = Array(typed(array))
    if callable(mode):
        raise Unsupported("pad with a function as mode")
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(axis, pad_width.get(axis - x.ndim, 0)) for axis in range(x.ndim)]
        pad_width = [(one, one) if isinstance(one, (int, np.integer)) else tuple(one) for one in pad_width]
    widths = _pairs(pad_width, x.ndim, int)
    values = ends = None
    if mode == "constant":
        values = [
            (_number(a, x.dtype), _number(b, x.dtype)) for a, b in _pairs(kwargs.pop("constant_values", 0), x.ndim, None)
        ]
    if mode == "linear_ramp":
        ends = _pairs(kwargs.pop("end_values", 0), x.ndim, float)
    stat = kwargs.pop("stat_length", None)
    if stat is not None:
        stats = {one for pair in _pairs(stat, x.ndim, int) for one in pair}
        if len(stats) > 1:
            raise Unsupported("pad with more than one stat_length")
        stat = stats.pop()
    odd = kwargs.pop("reflect_type", "even") == "odd"
    if not x.ndim:
        return x
    return Array(x._x.pad(widths, mode, values, ends, stat, odd))


def _pairs(value: Any, ndim: int, kind: Any) -> list[tuple[Any, Any]]:
    """A pair for each axis, of a number, a pair, or pairs."""
    if isinstance(value, np.generic) and value.dtype.kind in "mM":
        pairs = [[value, value]] * ndim
    else:
        value = np.asarray(value)
        if value.shape == (1,):
            value = value[0]
        pairs = np.broadcast_to(value, (ndim, 2))
    return [tuple(one if kind is None else kind(one) for one in pair) for pair in pairs]


def _number(value: Any, dtype: np.dtype) -> Any:
    """A number as the core takes it for a dtype."""
    if dtype.kind in "mM":
        if not isinstance(value, (np.datetime64, np.timedelta64)) and value != value:
            value = np.array("NaT", dtype)
        return int(np.asarray(value).astype(dtype).view(np.int64))
    return np.asarray(value).astype(dtype).item()


def sliding_window_view(x: Any, window_shape: Any, axis: Any = None, *, automatic_rechunk: bool = True, **_: Any) -> Array:
    x = Array(typed(x))
    windows = axes_of(window_shape, x.ndim)
    axes = axes_of(axis, x.ndim)
    if axes is None:
        axes = list(range(x.ndim))
    return Array(x._x.sliding_window_view(windows, axes))


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Array:
    x = Array(typed(a))
    ends = [None if one is None or one is np._NoValue else typed(one, x.dtype) for one in (prepend, append)]
    return Array(x._x.diff(n, axis, *ends))


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Array:
    parts = [diff(ravel(ary))]
    if to_begin is not None:
        parts.insert(0, ravel(to_begin))
    if to_end is not None:
        parts.append(ravel(to_end))
    return concatenate(parts)


def unwrap(p: Any, discont: float | None = None, axis: int = -1, *, period: float = 2 * np.pi) -> Array:
    """NumPy's `unwrap`: leaps of more than half a period become their complement."""
    from ._elementwise import where
    from ._reduce import cumulative_sum

    x = Array(typed(p))
    dtype = (np.empty(0, x.dtype) + period).dtype
    x = x.astype(dtype)
    discont = period / 2 if discont is None else discont
    half, rest = divmod(period, 2) if dtype.kind in "iu" else (period / 2, 0)
    leaps = diff(x, axis=axis)
    within = np.mod(leaps + half, period) - half
    if rest == 0:
        # Half a period could be meant either way.
        within = where((within == -half) & (leaps > 0), half, within)
    amends = where(np.abs(leaps) < discont, 0, within - leaps)
    first = [slice(None)] * x.ndim
    first[axis] = slice(0, 1)
    return x + concatenate([x[tuple(first)] * 0, cumulative_sum(amends, axis=axis)], axis=axis).astype(x.dtype)


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1, **_: Any) -> Any:
    x = Array(typed(f))
    spacing = [float(one) if np.ndim(one) == 0 else np.asarray(one, dtype=np.float64).tolist() for one in varargs]
    made = [Array(one) for one in x._x.gradient(spacing, axes_of(axis, x.ndim), edge_order)]
    return made[0] if len(made) == 1 else made


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Array:
    """NumPy's `interp`, block by block in Python."""
    from ._apply import map_blocks

    return map_blocks(np.interp, Array(typed(x)), np.asarray(xp), np.asarray(fp), left=left, right=right, period=period, dtype=float)


def polyval(p: Any, x: Any) -> Array:
    return Array(typed(x).polyval(typed(p)))


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Array:
    y = Array(typed(y))
    later = (slice(None),) * (axis % y.ndim) + (slice(1, None),)
    earlier = (slice(None),) * (axis % y.ndim) + (slice(None, -1),)
    if x is not None:
        steps = diff(x, axis=-1 if np.ndim(x) == 1 else axis)
        dx = steps if steps.ndim > 1 else steps.reshape([-1 if a == axis % y.ndim else 1 for a in range(y.ndim)])
    from ._reduce import FUNCTIONS

    return FUNCTIONS["sum"](dx * (y[later] + y[earlier]) / 2.0, axis)


def block(arrays: Any) -> Array:
    def depth(one: Any) -> int:
        return 1 + max(map(depth, one)) if isinstance(one, list) else 0

    def join(one: Any, level: int) -> Array:
        if not isinstance(one, list):
            return Array(typed(one))
        parts = [join(part, level - 1) for part in one]
        ndim = max(levels, max(part.ndim for part in parts))
        parts = [part.reshape((1,) * (ndim - part.ndim) + part.shape) for part in parts]
        return concatenate(parts, -level)

    levels = depth(arrays)
    return join(arrays, levels)


def indices(dimensions: Sequence[int], dtype: Any = int, chunks: Any = "auto") -> Array:
    from ._chunks import normalize_chunks

    lengths = normalize_chunks(chunks, dimensions, None, np.int64)
    return Array(_graticule.indices(list(dimensions), lengths)).astype(dtype)
