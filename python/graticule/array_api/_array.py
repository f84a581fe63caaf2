"""The array of the standard: lazy, and only what the standard says."""

from __future__ import annotations

import operator
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np

from .. import array as ga
from ..errors import InvalidIndex, InvalidType, InvalidValue
from ._dtypes import check, known, number, promoted
from ._info import DEVICE, check_device


class DeviceType(IntEnum):
    """DLPack's number of the only device."""

    CPU = 1


#: The newest revision of the standard that the namespace follows, and older ones that ask no more.
VERSIONS = ("2025.12", "2024.12", "2023.12", "2022.12", "2021.12")


class Array:
    """A lazy chunked array that does what the Array API says, and no more.

    Made by the functions of `graticule.array_api`; `asarray` takes arrays of `graticule.array` as they are, and `lazy` gives them
    back, with all that the standard lacks. `bool`, `int`, `float`, `complex`, DLPack and NumPy's `asarray` compute.
    """

    __slots__ = ("_x",)
    #: NumPy leaves operators to this class, which raises: arrays of two libraries do not meet.
    __array_ufunc__ = None

    def __init__(self, x: ga.Array) -> None:
        self._x = x

    @property
    def lazy(self) -> ga.Array:
        """The same array with the methods of `graticule.array`."""
        return ga.Array(self._x._x)

    @property
    def dtype(self) -> np.dtype:
        return self._x.dtype

    @property
    def device(self) -> str:
        return DEVICE

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._x.shape)

    @property
    def ndim(self) -> int:
        return self._x.ndim

    @property
    def size(self) -> int:
        return self._x.size

    @property
    def chunks(self) -> Any:
        """Lengths of the chunks along each axis; not of the standard."""
        return self._x.chunks

    @property
    def T(self) -> Array:
        if self.ndim != 2:
            raise InvalidValue(f"T is of two axes, this array has {self.ndim}; see permute_dims and mT")
        return Array(self._x.T)

    @property
    def mT(self) -> Array:
        from ._manipulation import matrix_transpose

        return matrix_transpose(self)

    def __repr__(self) -> str:
        return f"graticule.array_api.Array<shape={self.shape}, dtype={self.dtype}, chunksize={self._x.chunksize}>"

    # Its elements.

    def compute(self, **options: Any) -> Any:
        """The elements, as NumPy's array; not of the standard."""
        return self._x.compute(**options)

    def persist(self) -> Array:
        """The same array, computed and kept in the cluster; not of the standard."""
        return Array(self._x.persist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._x.__array__(dtype, copy)

    def _scalar(self, kind: type) -> np.ndarray:
        if self.ndim:
            raise InvalidType(f"{kind.__name__}() of an array with axes; it is of arrays without")
        return np.asarray(self._x)

    def __bool__(self) -> bool:
        return bool(self._scalar(bool))

    def __int__(self) -> int:
        if self.dtype.kind == "c":
            raise InvalidType("int() of a complex number")
        return int(self._scalar(int))

    def __float__(self) -> float:
        if self.dtype.kind == "c":
            raise InvalidType("float() of a complex number")
        return float(self._scalar(float))

    def __complex__(self) -> complex:
        return complex(self._scalar(complex))

    def __index__(self) -> int:
        check("an index", "iu", self.dtype)
        return operator.index(self._scalar(int)[()])

    # Where it is, and other libraries.

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        from .. import array_api

        if api_version is not None and api_version not in VERSIONS:
            raise InvalidValue(f"there is no version {api_version!r} of the Array API here; there are {', '.join(VERSIONS)}")
        return array_api

    def to_device(self, device: Any, /, *, stream: Any = None) -> Array:
        check_device(device)
        if stream is not None:
            raise InvalidValue("the CPU has no streams")
        return self

    def __dlpack_device__(self) -> tuple[DeviceType, int]:
        return (DeviceType.CPU, 0)

    def __dlpack__(
        self, /, *, stream: Any = None, max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None, copy: bool | None = None,
    ) -> Any:
        """The elements, computed for the caller alone: never a copy, and never shared with this array."""
        if stream is not None:
            raise InvalidValue("the CPU has no streams")
        if dl_device is not None and tuple(map(int, dl_device)) != (1, 0):
            raise BufferError(f"there is no device {dl_device}; the elements are on the CPU")
        elements = np.asarray(self._x)
        return elements.__dlpack__(max_version=max_version)

    # Parts.

    def __getitem__(self, key: Any, /) -> Array:
        return Array(get(self._x, key))

    def __setitem__(self, key: Any, value: Any, /) -> None:
        value = self._assigned(value)
        target = ga.Array(self._x._x)
        put(target, key, value)
        self._x = target

    def _assigned(self, value: Any) -> ga.Array:
        """A value in this array's dtype, unless that would lose of it."""
        if not isinstance(value, Array):
            return ga.asarray(number(value, self.dtype))
        if promoted([self.dtype, value.dtype]) != self.dtype:
            raise InvalidType(f"an array of {value.dtype} does not go into one of {self.dtype}; convert it with astype")
        return value._x.astype(self.dtype)


def get(x: ga.Array, key: Any) -> ga.Array:
    """`x[key]`, by integers, slices, new axes, a mask, or arrays of integers."""
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) == 1 and isinstance(parts[0], Array) and parts[0].dtype.kind == "b":
        return _masked(x, parts[0])
    count = sum(part is not None and part is not Ellipsis for part in parts)
    if count < x.ndim and not any(part is Ellipsis for part in parts):
        raise InvalidIndex(f"{count} indices for an array of {x.ndim} axes; put an ellipsis where the others are")
    return x[tuple(map(_part, parts))]


def _part(part: Any) -> Any:
    """A part of an index as `graticule.array` takes it."""
    if isinstance(part, Array):
        if part.dtype.kind == "b":
            raise InvalidIndex("a mask must be the only index")
        check("an index", "iu", part.dtype)
        return int(part) if not part.ndim else part._x
    if isinstance(part, slice):
        bounds = (part.start, part.stop, part.step)
        return slice(*(None if bound is None else operator.index(bound) for bound in bounds))
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, (bool, np.bool_)):
        raise InvalidIndex("a bool of Python's is no index; use an array of booleans without axes")
    try:
        return operator.index(part)
    except TypeError:
        raise InvalidIndex(f"{type(part).__name__} is no index of the Array API") from None


def _masked(x: ga.Array, mask: Array) -> ga.Array:
    if mask.ndim > x.ndim:
        raise InvalidIndex(f"a mask of {mask.ndim} axes for an array of {x.ndim}")
    for axis, (length, own) in enumerate(zip(mask.shape, x.shape)):
        if length not in (own, 0):
            raise InvalidIndex(f"a mask of {length} elements along axis {axis}, the array has {own}")
    rest = x.shape[mask.ndim :]
    if not mask.ndim:
        return x[None][: int(bool(mask))]
    if 0 in mask.shape:
        return ga.zeros((0, *rest), x.dtype)
    if mask.ndim == x.ndim:
        return x[mask._x]
    flat = x.reshape((mask.size, *rest))
    return ga.compress(mask._x.ravel(), flat, axis=0)


def put(x: ga.Array, key: Any, value: ga.Array) -> None:
    """`x[key] = value`."""
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) == 1 and isinstance(parts[0], Array) and parts[0].dtype.kind == "b":
        mask = parts[0]
        if mask.shape != x.shape or value.ndim:
            raise InvalidIndex(
                f"a mask of shape {mask.shape} and a value of shape {value.shape} for an array of shape {x.shape}; the mask must "
                "have the array's shape, and the value no axes"
            )
        x[mask._x] = value
        return
    x[tuple(map(_part, parts))] = value


def array_of(value: Any, function: str) -> ga.Array:
    """The lazy array in an argument that must be one."""
    if not isinstance(value, Array):
        raise InvalidType(f"{function} takes arrays of graticule.array_api, not {type(value).__name__}; see asarray")
    return value._x


def cast(x: ga.Array, dtype: Any) -> ga.Array:
    return x if x.dtype == dtype else x.astype(known(dtype))


def _binary(name: str, swapped: bool = False) -> Callable[[Array, Any], Any]:
    def method(self: Array, other: Any, /) -> Any:
        from . import _elementwise

        if not _elementwise.is_operand(other):
            return NotImplemented
        function = _elementwise.FUNCTIONS[name]
        return function(other, self) if swapped else function(self, other)

    return method


def _in_place(name: str) -> Callable[[Array, Any], Any]:
    def method(self: Array, other: Any, /) -> Any:
        from . import _elementwise

        if not _elementwise.is_operand(other):
            return NotImplemented
        made = _elementwise.FUNCTIONS[name](self, other)
        if made.dtype != self.dtype or made.shape != self.shape:
            raise InvalidType(
                f"{name} in place would make an array of shape {made.shape} and {made.dtype} of one of shape {self.shape} and "
                f"{self.dtype}"
            )
        self._x = made._x
        return self

    return method


def _unary(name: str) -> Callable[[Array], Array]:
    def method(self: Array, /) -> Array:
        from . import _elementwise

        return _elementwise.FUNCTIONS[name](self)

    return method


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}
_COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}
for _short, _long in _OPERATORS.items():
    setattr(Array, f"__{_short}__", _binary(_long))
    setattr(Array, f"__r{_short}__", _binary(_long, swapped=True))
    setattr(Array, f"__i{_short}__", _in_place(_long))
for _short, _long in _COMPARISONS.items():
    setattr(Array, f"__{_short}__", _binary(_long))
for _short, _long in {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}.items():
    setattr(Array, f"__{_short}__", _unary(_long))


def _matmul(self: Array, other: Any, /) -> Any:
    from ._products import matmul

    return matmul(self, other) if isinstance(other, Array) else NotImplemented


def _imatmul(self: Array, other: Any, /) -> Any:
    if not isinstance(other, Array):
        return NotImplemented
    made = _matmul(self, other)
    if made.dtype != self.dtype or made.shape != self.shape:
        raise InvalidType(f"matmul in place would make an array of shape {made.shape} and {made.dtype}")
    self._x = made._x
    return self


Array.__matmul__, Array.__imatmul__ = _matmul, _imatmul
Array.__rmatmul__ = lambda self, other, /: NotImplemented
Array.__hash__ = None
