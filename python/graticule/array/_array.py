"""The lazy array."""

from __future__ import annotations

import itertools
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _graticule
from ..errors import InvalidType, InvalidValue, Unsupported
from ._chunks import Lengths, normalize_chunks
from ._convert import axes_of, dtype_name, expression, is_weak, supports, typed
from ._lazy import Lazy

_numbers = itertools.count()

#: Whether xarray has been told of lazy arrays.
_xarray_knows = False


def _look_for_xarray() -> None:
    """Tells xarray of lazy arrays, once it is there: it may be imported after they were made, and ask for no chunk manager."""
    global _xarray_knows
    if hasattr(sys.modules.get("xarray"), "DataArray"):
        _xarray_knows = True
        from .._client import _tell_xarray

        _tell_xarray()


class Array(Lazy):
    """A lazy chunked array: it knows shape, dtype and chunks, and computes when it is asked for its elements.

    Made by the functions of `graticule.array` (`from_array`, `zeros`, ...). Methods and operators are NumPy's and give new lazy
    arrays. `compute()` brings the elements here; so do `np.asarray`, `float`, `bool` and comparisons in an `if`.
    """

    __slots__ = ("_chunks", "_job", "_known", "_name", "_x")
    __array_priority__ = 12

    def __init__(self, x: Any) -> None:
        self._x = x
        self._chunks: Lengths | None = None
        self._name: str | None = None
        #: What makes it, where it is kept in the cluster.
        self._job: Any = None
        #: Its elements, where they were few and at hand when it was made.
        self._known: np.ndarray | None = None

    # What it is.

    @property
    def shape(self) -> tuple[int, ...]:
        # The first that xarray asks of what it wraps.
        if not _xarray_knows:
            _look_for_xarray()
        return self._x.shape

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self._x.dtype)

    @property
    def ndim(self) -> int:
        return self._x.ndim

    @property
    def size(self) -> int:
        return self._x.size

    @property
    def nbytes(self) -> int:
        return self._x.nbytes

    @property
    def chunks(self) -> Lengths:
        """Lengths of the chunks along each axis."""
        if self._chunks is None:
            self._chunks = self._x.chunks
        return self._chunks

    @property
    def chunksize(self) -> tuple[int, ...]:
        """The longest chunk along each axis."""
        return self._x.chunksize

    @property
    def numblocks(self) -> tuple[int, ...]:
        return self._x.numblocks

    @property
    def name(self) -> str:
        """A name of this array's own."""
        if self._name is None:
            self._name = f"graticule-{next(_numbers)}"
        return self._name

    @property
    def _meta(self) -> np.ndarray:
        return np.empty((0,) * self.ndim, self.dtype)

    def _jobs(self) -> list[Any]:
        return [] if self._job is None else [self._job]

    def explain(self) -> str:
        """What would run, before and after rewriting, in words."""
        return self._x.explain()

    def _repr_html_(self) -> str:
        from ._html import table

        return table(self)

    def __copy__(self) -> Array:
        return Array(self._x)

    def __deepcopy__(self, memo: Any) -> Array:
        return Array(self._x)

    def copy(self) -> Array:
        return Array(self._x)

    def __reduce__(self) -> Any:
        raise InvalidType("a lazy array cannot be pickled; compute or persist it, and hand over its elements")

    def __dask_tokenize__(self) -> Any:
        return ("graticule.array", self.name)

    # Its elements.

    def _scalar(self) -> np.ndarray:
        if self.size != 1:
            raise InvalidValue("the truth value of an array with more than one element is ambiguous; use any() or all()")
        return np.asarray(self)

    def __bool__(self) -> bool:
        return bool(self._scalar())

    def __int__(self) -> int:
        return int(self._scalar().reshape(()))

    def __float__(self) -> float:
        return float(self._scalar().reshape(()))

    def __complex__(self) -> complex:
        return complex(self._scalar().reshape(()))

    def __index__(self) -> int:
        return operator.index(self._scalar().reshape(())[()])

    # NumPy's protocols.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from ._protocol import ufunc_of

        return ufunc_of(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        from ._protocol import function_of

        return function_of(func, types, args, kwargs)

    # Parts.

    def __getitem__(self, index: Any) -> Array:
        from ._indexing import get

        return get(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        from ._indexing import put

        self._x = put(self, index, value)._x
        self._chunks = self._name = None

    @property
    def vindex(self) -> Any:
        """Indexing by points: `x.vindex[rows, columns]` takes one element for each pair."""
        from ._indexing import Pointwise

        return Pointwise(self)

    @property
    def oindex(self) -> Any:
        """Indexing by each axis on its own."""
        from ._indexing import Outer

        return Outer(self)

    @property
    def blocks(self) -> Any:
        """Indexing by chunks: `x.blocks[0, -1]`."""
        from ._indexing import Blocks

        return Blocks(self)

    partitions = blocks

    # Shape and chunks.

    @property
    def mT(self) -> Array:
        return _unary("matrix_transpose", self)

    @property
    def real(self) -> Array:
        return _unary("real", self)

    @property
    def imag(self) -> Array:
        return _unary("imag", self)

    @property
    def flat(self) -> Array:
        return self.ravel()

    def rechunk(self, chunks: Any = "auto", block_size_limit: Any = None, **_: Any) -> Array:
        """The same array in other chunks; see `normalize_chunks`. Axes that are left out of a dict stay as they are."""
        if isinstance(chunks, dict):
            given = {axis % self.ndim if self.ndim else axis: one for axis, one in chunks.items()}
            chunks = tuple(
                given[axis] if given.get(axis) is not None else own for axis, own in enumerate(self.chunks)
            )
        elif isinstance(chunks, (tuple, list)) and len(chunks) == self.ndim:
            chunks = tuple(own if one is None else one for one, own in zip(chunks, self.chunks))
        lengths = normalize_chunks(chunks, self.shape, block_size_limit, self.dtype, self.chunks)
        return Array(self._x.rechunk(lengths))

    def astype(self, dtype: Any, order: Any = None, casting: str = "unsafe", copy: bool = True, **_: Any) -> Array:
        dtype = np.dtype(dtype)
        if dtype.kind in "mM" and np.datetime_data(dtype)[0] == "generic":
            unit = np.datetime_data(self.dtype)[0] if self.dtype.kind in "mM" else "ns"
            dtype = np.dtype(f"{dtype.kind}8[{unit}]")
        if not np.can_cast(self.dtype, dtype, casting):
            raise InvalidType(f"cannot cast from {self.dtype} to {dtype} according to the rule {casting!r}")
        if not supports(dtype):
            raise Unsupported(f"astype({dtype}): arrays of that dtype are not supported; compute() first")
        return Array(self._x.astype(dtype_name(dtype)))

    def view(self, dtype: Any = None) -> Array:
        if dtype is None or np.dtype(dtype) == self.dtype:
            return self
        if np.dtype(dtype).itemsize == self.itemsize and self.dtype.kind + np.dtype(dtype).kind in (
            "mi", "im", "Mi", "iM", "iu", "ui",
        ):
            return self.astype(dtype)
        raise Unsupported(f"view of {self.dtype} as {np.dtype(dtype)}")

    def reshape(self, *shape: Any, order: str = "C", **_: Any) -> Array:
        if order not in ("C", "A", "K"):
            raise Unsupported(f"reshape in order {order!r}")
        shape = shape[0] if len(shape) == 1 else shape
        shape = [int(shape)] if isinstance(shape, (int, np.integer)) else [int(one) for one in shape]
        return Array(self._x.reshape(shape))

    def ravel(self, order: str = "C") -> Array:
        if order not in ("C", "A", "K"):
            raise Unsupported(f"ravel in order {order!r}")
        return _unary("ravel", self)

    flatten = ravel

    def transpose(self, *axes: Any) -> Array:
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
            axes = axes[0]
        if not axes and self.ndim:
            axes = tuple(reversed(range(self.ndim)))
        return Array(self._x.permute_dims([int(axis) for axis in axes or ()]))

    def swapaxes(self, axis1: int, axis2: int) -> Array:
        axes = list(range(self.ndim))
        axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
        return self.transpose(axes)

    def squeeze(self, axis: Any = None) -> Array:
        return Array(self._x.squeeze(axes_of(axis, self.ndim)))

    def repeat(self, repeats: Any, axis: int | None = None) -> Array:
        return Array(self._x.repeat([int(one) for one in np.atleast_1d(repeats)], axis))

    def round(self, decimals: int = 0) -> Array:
        return Array(_graticule.round(self._x, decimals))

    def clip(self, min: Any = None, max: Any = None, **_: Any) -> Array:
        low = None if min is None else expression(min, self.dtype)
        high = None if max is None else expression(max, self.dtype)
        return Array(self._x.clip(low, high))

    def conj(self) -> Array:
        return _unary("conjugate", self) if self.dtype.kind == "c" else self

    conjugate = conj

    def map_blocks(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Array:
        """As the function `map_blocks`, with this array before the others."""
        from ._apply import map_blocks

        return map_blocks(func, self, *args, **kwargs)

    def map_overlap(self, func: Callable[..., Any], depth: Any, boundary: Any = None, trim: bool = True, **kwargs: Any) -> Array:
        from ._apply import map_overlap

        return map_overlap(func, self, depth=depth, boundary=boundary, trim=trim, **kwargs)

    def dot(self, other: Any) -> Array:
        return Array(_graticule.product("dot", self._x, typed(other)))

    def to_zarr(self, *args: Any, **kwargs: Any) -> Any:
        """As the function `to_zarr`."""
        from ._store import to_zarr

        return to_zarr(self, *args, **kwargs)


def _unary(name: str, x: Array) -> Array:
    return Array(_graticule.unary(name, x._x))


def _binary(name: str, x: Any, y: Any) -> Array:
    like = x.dtype if isinstance(x, Array) else y.dtype if isinstance(y, Array) else None
    return Array(_graticule.binary(name, expression(x, like), expression(y, like)))


def _is_operand(value: Any) -> bool:
    return (
        isinstance(value, (Array, np.ndarray, np.generic, list))
        or is_weak(value)
        or isinstance(value, (bool, int, float, complex))
        or type(value).__module__ in ("datetime", "pandas._libs.tslibs.timedeltas", "pandas._libs.tslibs.timestamps")
        or type(value).__name__ in ("Timedelta", "Timestamp")
    )


def _operator(name: str, swapped: bool = False) -> Callable[[Array, Any], Array]:
    def method(self: Array, other: Any) -> Array:
        if not _is_operand(other):
            return NotImplemented
        return _binary(name, other, self) if swapped else _binary(name, self, other)

    return method


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift",
}
_COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}
for _short, _long in _OPERATORS.items():
    setattr(Array, f"__{_short}__", _operator(_long))
    setattr(Array, f"__r{_short}__", _operator(_long, swapped=True))
for _short, _long in _COMPARISONS.items():
    setattr(Array, f"__{_short}__", _operator(_long))
for _short, _long in {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}.items():
    setattr(Array, f"__{_short}__", lambda self, _name=_long: _unary(_name, self))


def _matmul(self: Array, other: Any) -> Array:
    return Array(_graticule.product("matmul", self._x, typed(other))) if _is_operand(other) else NotImplemented


def _rmatmul(self: Array, other: Any) -> Array:
    return Array(_graticule.product("matmul", typed(other), self._x)) if _is_operand(other) else NotImplemented


def _divmod(self: Array, other: Any) -> tuple[Array, Array]:
    return self // other, self % other


Array.__matmul__, Array.__rmatmul__, Array.__divmod__ = _matmul, _rmatmul, _divmod
Array.__hash__ = None
