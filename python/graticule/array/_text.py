"""Text of a fixed width: an array of code points, or bytes, whose last axis is the text.

So it is cut, moved, compared and kept by the operations that arrays of numbers have, and no worker need know of it. What it
offers is what labels and coordinates are asked for: parts, places, comparisons, joins.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import InvalidType, InvalidValue, Unsupported
from ._array import Array
from ._chunks import normalize_chunks
from ._convert import NO_NUMBERS
from ._create import from_array, full
from ._elementwise import where
from ._lazy import Lazy
from ._reduce import FUNCTIONS as REDUCTIONS
from ._select import compressed
from ._shape import broadcast_to, concatenate, flip, pad, roll, take, take_along_axis
from ._shape import repeat as repeated

__all__ = ["Text", "is_text"]

#: Elements to look for that `isin` takes: each is a comparison of all text.
_LISTED_COUNT_MAX = 256


def is_text(value: Any) -> bool:
    """Whether something is text, or an array of it."""
    return isinstance(value, (str, bytes, Text)) or getattr(getattr(value, "dtype", None), "kind", "") in ("U", "S")


def taking(function: Callable[..., Any], of_text: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays that takes lazy text as well."""

    @functools.wraps(function)
    def either(*args: Any, **kwargs: Any) -> Any:
        has_text = any(isinstance(one, Text) for one in args) or (
            bool(args) and isinstance(args[0], (list, tuple)) and any(isinstance(one, Text) for one in args[0])
        )
        return (of_text if has_text else function)(*args, **kwargs)

    return either


def from_text(x: Any, chunks: Any = "auto") -> Text:
    """The lazy array of what NumPy has as text."""
    if isinstance(x, Text):
        return x if isinstance(chunks, str) and chunks == "auto" else x.rechunk(chunks)
    elements = np.asarray(x)
    elements = elements.astype(elements.dtype.newbyteorder("="), copy=False)
    item = _item_dtype(elements.dtype)
    # An empty width has no elements to look at.
    width = elements.dtype.itemsize // item.itemsize
    codes = np.ascontiguousarray(elements).reshape(*elements.shape, 1).view(item) if width else np.empty((*elements.shape, 0), item)
    lengths = normalize_chunks(chunks, elements.shape, None, elements.dtype)
    return Text(from_array(codes, chunks=(*lengths, (width,))), elements.dtype.kind)


def _item_dtype(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.uint32 if dtype.kind == "U" else np.uint8)


class Text(Lazy):
    """A lazy chunked array of text (`<U3`, `S8`), under NumPy's names as far as labels are asked for them."""

    __slots__ = ("_kind", "lazy")
    __array_priority__ = 13

    def __init__(self, codes: Array, kind: str) -> None:
        #: Code points, or bytes, with the text along the last axis, in one chunk.
        self.lazy = codes if codes.numblocks[-1:] in ((1,), (0,)) else codes.rechunk({codes.ndim - 1: -1})
        self._kind = kind

    # What it is.

    @property
    def shape(self) -> tuple[int, ...]:
        return self.lazy.shape[:-1]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(f"{self._kind}{self.lazy.shape[-1]}")

    @property
    def ndim(self) -> int:
        return self.lazy.ndim - 1

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.lazy.nbytes

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        return self.lazy.chunks[:-1]

    @property
    def chunksize(self) -> tuple[int, ...]:
        return self.lazy.chunksize[:-1]

    @property
    def numblocks(self) -> tuple[int, ...]:
        return self.lazy.numblocks[:-1]

    @property
    def name(self) -> str:
        return self.lazy.name

    @property
    def _x(self) -> Any:
        """What operations on numbers ask for."""
        raise InvalidType(NO_NUMBERS)

    def explain(self) -> str:
        return self.lazy.explain()

    def copy(self) -> Text:
        return Text(self.lazy, self._kind)

    # Its elements.

    def of(self, elements: np.ndarray) -> np.ndarray:
        """Computed codes as text."""
        if not elements.shape[-1]:
            return np.empty(elements.shape[:-1], self.dtype)
        return np.ascontiguousarray(elements).view(self.dtype)[..., 0]

    def like(self, codes: Array) -> Text:
        """Other codes of the same kind."""
        return Text(codes, self._kind)

    # Parts and places.

    def __getitem__(self, index: Any) -> Text:
        if isinstance(index, Array) and index.dtype == bool:
            if index.ndim != 1:
                raise Unsupported("a part of text by a lazy mask of several axes; compute() the mask")
            return self.like(compressed(index, self.lazy, 0))
        parts = index if isinstance(index, tuple) else (index,)
        whole = (*parts, slice(None)) if any(part is Ellipsis for part in parts) else (*parts, Ellipsis, slice(None))
        return self.like(self.lazy[whole])

    def transpose(self, *axes: Any) -> Text:
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
            axes = axes[0] or ()
        axes = tuple(self._axis(axis) for axis in axes) or tuple(reversed(range(self.ndim)))
        return self.like(self.lazy.transpose((*axes, self.ndim)))

    def swapaxes(self, axis1: int, axis2: int) -> Text:
        return self.like(self.lazy.swapaxes(self._axis(axis1), self._axis(axis2)))

    def reshape(self, *shape: Any, **_: Any) -> Text:
        shape = shape[0] if len(shape) == 1 else shape
        lengths = [int(shape)] if isinstance(shape, (int, np.integer)) else [int(one) for one in shape]
        if -1 in lengths:
            rest = math.prod(length for length in lengths if length != -1)
            lengths[lengths.index(-1)] = self.size // rest if rest else 0
        return self.like(self.lazy.reshape((*lengths, self.lazy.shape[-1])))

    def ravel(self, *_: Any, **__: Any) -> Text:
        return self.reshape(self.size)

    flatten = ravel

    def squeeze(self, axis: Any = None) -> Text:
        if axis is None:
            axes = [place for place, length in enumerate(self.shape) if length == 1]
        else:
            axes = [self._axis(one) for one in np.atleast_1d(axis).tolist()]
        return self.like(self.lazy.squeeze(tuple(axes)) if axes else self.lazy)

    def rechunk(self, chunks: Any = "auto", **kwargs: Any) -> Text:
        if isinstance(chunks, dict):
            return self.like(self.lazy.rechunk({self._axis(axis): one for axis, one in chunks.items()}))
        if isinstance(chunks, (tuple, list)) and len(chunks) == self.ndim:
            return self.like(self.lazy.rechunk((*chunks, -1)))
        return self.like(self.lazy.rechunk((*[chunks] * self.ndim, -1), **kwargs))

    def repeat(self, repeats: Any, axis: int | None = None) -> Text:
        x = self.ravel() if axis is None else self
        return self.like(repeated(x.lazy, repeats, 0 if axis is None else self._axis(axis)))

    def astype(self, dtype: Any, **_: Any) -> Text:
        """Text of another width: cut off, or filled up."""
        dtype = np.dtype(dtype)
        if dtype.kind != self._kind:
            raise Unsupported(f"astype({dtype}) of text; compute() first")
        width = dtype.itemsize // _item_dtype(dtype).itemsize
        return self._of_width(width) if width else self

    def _of_width(self, width: int) -> Text:
        own = self.lazy.shape[-1]
        if width <= own:
            return self if width == own else self.like(self.lazy[..., :width])
        return self.like(pad(self.lazy, [(0, 0)] * self.ndim + [(0, width - own)]))

    def _axis(self, axis: int) -> int:
        if not -self.ndim <= axis < self.ndim:
            raise InvalidValue(f"axis {axis} is out of bounds for an array of {self.ndim} axes")
        return axis % self.ndim

    # Comparisons.

    def _beside(self, other: Any) -> tuple[Array, Array] | None:
        """Both as codes of one width; `None` for what is no text."""
        if not is_text(other):
            return None
        other = from_text(other)
        if other._kind != self._kind:
            return None
        width = max(self.lazy.shape[-1], other.lazy.shape[-1])
        return self._of_width(width).lazy, other._of_width(width).lazy

    def __eq__(self, other: Any) -> Any:
        pair = self._beside(other)
        return self._all(False, other) if pair is None else REDUCTIONS["all"](pair[0] == pair[1], axis=-1)

    def __ne__(self, other: Any) -> Any:
        pair = self._beside(other)
        return self._all(True, other) if pair is None else REDUCTIONS["any"](pair[0] != pair[1], axis=-1)

    def _all(self, value: bool, other: Any) -> Array:
        """What comparing with something else than text gives: the same everywhere, as with NumPy."""
        return full(np.broadcast_shapes(self.shape, np.shape(other)), value, bool)

    __hash__ = None  # type: ignore[assignment]

    def _difference(self, other: Any) -> Any:
        """By how much the first code that differs does, which says what comes first."""
        pair = self._beside(other)
        if pair is None:
            return None
        if not pair[0].shape[-1]:
            return REDUCTIONS["sum"](pair[0].astype(np.int64) - pair[1].astype(np.int64), axis=-1)
        by = pair[0].astype(np.int64) - pair[1].astype(np.int64)
        first = REDUCTIONS["argmax"](by != 0, axis=-1, keepdims=True)
        return take_along_axis(by, first, -1)[..., 0]

    def __lt__(self, other: Any) -> Any:
        by = self._difference(other)
        return NotImplemented if by is None else by < 0

    def __le__(self, other: Any) -> Any:
        by = self._difference(other)
        return NotImplemented if by is None else by <= 0

    def __gt__(self, other: Any) -> Any:
        by = self._difference(other)
        return NotImplemented if by is None else by > 0

    def __ge__(self, other: Any) -> Any:
        by = self._difference(other)
        return NotImplemented if by is None else by >= 0

    # NumPy's protocols.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        own = _COMPARED.get(ufunc.__name__)
        if own is None or method != "__call__" or kwargs or len(inputs) != 2:
            return NotImplemented
        first, second = inputs
        if isinstance(first, Text):
            return getattr(first, own)(second)
        return getattr(second, _TURNED.get(own, own))(first)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        own = FUNCTIONS.get(func.__name__) if func.__module__ == "numpy" else None
        return NotImplemented if own is None else own(*args, **kwargs)


_COMPARED = {
    "equal": "__eq__", "not_equal": "__ne__", "less": "__lt__", "less_equal": "__le__", "greater": "__gt__",
    "greater_equal": "__ge__",
}
_TURNED = {"__lt__": "__gt__", "__le__": "__ge__", "__gt__": "__lt__", "__ge__": "__le__"}


def _alike(arrays: Any, function: str) -> list[Text]:
    """Text of one kind and width."""
    arrays = list(arrays)
    if not all(is_text(one) for one in arrays):
        raise InvalidType(f"{function} of text and what is none")
    texts = [from_text(one) for one in arrays]
    if len({one._kind for one in texts}) > 1:
        raise Unsupported(f"{function} of text and bytes")
    width = max(one.lazy.shape[-1] for one in texts)
    return [one._of_width(width) for one in texts]


def _concatenate(arrays: Any, axis: int | None = 0, **_: Any) -> Text:
    texts = _alike(arrays, "concatenate")
    if axis is None:
        texts, axis = [one.ravel() for one in texts], 0
    return texts[0].like(concatenate([one.lazy for one in texts], axis=texts[0]._axis(axis)))


def _stack(arrays: Any, axis: int = 0, **_: Any) -> Text:
    texts = _alike(arrays, "stack")
    axis = axis + texts[0].ndim + 1 if axis < 0 else axis
    return _concatenate([_expand_dims(one, axis) for one in texts], axis)


def _expand_dims(a: Text, axis: int) -> Text:
    axis = axis + a.ndim + 1 if axis < 0 else axis
    return a[(*[slice(None)] * axis, None)]


def _where(condition: Any, x: Any, y: Any) -> Text:
    x, y = _alike((x, y), "where")
    condition = from_array(condition)
    return x.like(where(condition[..., None], x.lazy, y.lazy))


def _isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, **_: Any) -> Array:
    x, listed = from_text(element), np.unique(np.asarray(test_elements))
    if listed.dtype.kind != x._kind or not listed.size:
        found = from_array(np.zeros(x.shape, bool), chunks=x.chunks)
    elif listed.size > _LISTED_COUNT_MAX:
        raise Unsupported(f"isin of text in a list of {listed.size}; up to {_LISTED_COUNT_MAX} are looked for")
    else:
        found = x == listed[0]
        for one in listed[1:]:
            found = found | (x == one)
    return ~found if invert else found


def _take(a: Text, indices: Any, axis: int | None = None, **_: Any) -> Text:
    x = a.ravel() if axis is None else a
    return a.like(take(x.lazy, indices, axis=0 if axis is None else a._axis(axis)))


def _flip(m: Text, axis: Any = None) -> Text:
    axes = range(m.ndim) if axis is None else [m._axis(one) for one in np.atleast_1d(axis).tolist()]
    return m.like(flip(m.lazy, tuple(axes)))


def _moveaxis(a: Text, source: int, destination: int) -> Text:
    axes = [axis for axis in range(a.ndim) if axis != a._axis(source)]
    axes.insert(a._axis(destination), a._axis(source))
    return a.transpose(axes)


def _array_equal(a1: Any, a2: Any, **_: Any) -> bool:
    x, y = from_text(a1), from_text(a2) if is_text(a2) else None
    return y is not None and x.shape == y.shape and x._kind == y._kind and bool(REDUCTIONS["all"](x == y))


#: NumPy's functions that take text.
FUNCTIONS: dict[str, Any] = {
    "array_equal": _array_equal, "concatenate": _concatenate, "expand_dims": _expand_dims, "flip": _flip, "isin": _isin,
    "moveaxis": _moveaxis, "stack": _stack, "take": _take, "where": _where,
    "broadcast_to": lambda array, shape, **_: array.like(broadcast_to(array.lazy, (*np.atleast_1d(shape).tolist(), array.lazy.shape[-1]))),
    "ravel": lambda a, **_: a.ravel(), "reshape": lambda a, shape, **_: a.reshape(shape),
    "repeat": lambda a, repeats, axis=None: a.repeat(repeats, axis),
    "roll": lambda a, shift, axis=None: (
        a.ravel().like(roll(a.ravel().lazy, shift, 0)).reshape(a.shape) if axis is None else a.like(roll(a.lazy, shift, a._axis(axis)))
    ),
    "squeeze": lambda a, axis=None: a.squeeze(axis), "swapaxes": lambda a, axis1, axis2: a.swapaxes(axis1, axis2),
    "transpose": lambda a, axes=None: a.transpose(axes), "shape": lambda a: a.shape, "ndim": lambda a: a.ndim, "size": lambda a: a.size,
}
