"""The standard's dtypes, their kinds, and how they are promoted: never from one kind to another."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InvalidType, InvalidValue, OutOfBounds

bool = np.dtype("bool")
int8, int16, int32, int64 = map(np.dtype, ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = map(np.dtype, ("uint8", "uint16", "uint32", "uint64"))
float32, float64 = np.dtype("float32"), np.dtype("float64")
complex64, complex128 = np.dtype("complex64"), np.dtype("complex128")

#: The dtypes of the standard by their names.
DTYPES: dict[str, np.dtype] = {
    str(one): one
    for one in (
        bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, complex64, complex128,
    )
}

#: NumPy's letters for the standard's names of kinds.
KINDS = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
    "complex floating": "c", "numeric": "iufc",
}
#: Kinds of what functions take.
BOOLEAN, INTEGER, REAL, NUMERIC, FLOATING, REAL_FLOATING, COMPLEX = "b", "iu", "iuf", "iufc", "fc", "f", "c"
ANY, BITS = "biufc", "biu"

_WORDS = {
    BOOLEAN: "boolean", INTEGER: "integer", REAL: "real", NUMERIC: "numeric", FLOATING: "floating-point",
    REAL_FLOATING: "real floating-point", COMPLEX: "complex floating-point", BITS: "boolean or integer",
    ANY: "any",
}


def known(dtype: Any) -> np.dtype:
    """A dtype of the standard, of what a caller gave as one."""
    try:
        made = np.dtype(dtype) if dtype is not None else None
    except TypeError:
        made = None
    if made is None or str(made) not in DTYPES:
        raise InvalidType(f"{dtype!r} is no dtype of the Array API; there are {', '.join(DTYPES)}")
    return made


def check(function: str, kinds: str, *dtypes: np.dtype) -> None:
    """Raises unless the dtypes are of these kinds."""
    for dtype in dtypes:
        if dtype.kind not in kinds:
            raise InvalidType(f"{function} takes arrays of {_WORDS[kinds]} dtypes, not {dtype}; convert them with astype")


def promoted(dtypes: Iterable[np.dtype]) -> np.dtype:
    """The dtype of what is made of arrays of several, by the standard's table.

    Integers of both signs meet in one that holds both, real and complex numbers meet; all else is of different kinds, and raises.
    """
    dtypes = list(dtypes)
    kinds = {dtype.kind for dtype in dtypes}
    if len(kinds) == 1 or kinds <= {"i", "u"} or kinds <= {"f", "c"}:
        made = np.result_type(*dtypes)
        if made.kind in kinds:
            return made
    names = " and ".join(sorted({str(dtype) for dtype in dtypes}))
    raise InvalidType(f"the Array API does not promote {names}: they are of different kinds; convert one with astype")


def is_number(value: Any) -> builtins.bool:
    """Whether something is a number of Python's."""
    return isinstance(value, (builtins.bool, int, float, complex))


def fits(value: Any, dtype: np.dtype) -> builtins.bool:
    """Whether a number of Python's is of a kind that an array of a dtype meets."""
    if isinstance(value, builtins.bool):
        return dtype.kind == "b"
    if isinstance(value, int):
        return dtype.kind in "iufc"
    return dtype.kind in ("fc" if isinstance(value, float) else "c")


def number(value: Any, dtype: np.dtype) -> np.ndarray:
    """A number of Python's in the dtype of the array that it meets."""
    if not fits(value, dtype):
        raise InvalidType(f"a {type(value).__name__} of Python's does not meet arrays of {dtype}; convert one of them")
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise OutOfBounds(f"Python integer {value} is out of bounds for {dtype}")
    with np.errstate(over="ignore"):
        return np.asarray(value, dtype)


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether a dtype is of a kind, by name (`"real floating"`), or equals another one; of several, whether one of them says so."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, str):
        if kind not in KINDS:
            raise InvalidValue(f"there is no kind {kind!r} of dtypes; there are {', '.join(KINDS)}")
        return np.dtype(dtype).kind in KINDS[kind]
    return builtins.bool(np.dtype(dtype) == kind)


def dtype_of(value: Any) -> np.dtype:
    """The dtype of an array, or a dtype itself."""
    return known(getattr(value, "dtype", value) if not isinstance(value, (np.dtype, type)) else value)


def can_cast(from_: Any, to: Any, /) -> builtins.bool:
    """Whether the promotion of both is the second."""
    first, second = dtype_of(from_), known(to)
    try:
        return promoted([first, second]) == second
    except InvalidType:
        return False


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype of what is made of arrays, dtypes and numbers of Python's."""
    numbers = [one for one in arrays_and_dtypes if is_number(one)]
    dtypes = [dtype_of(one) for one in arrays_and_dtypes if not is_number(one)]
    if not dtypes:
        raise InvalidValue("result_type needs an array or a dtype")
    made = promoted(dtypes)
    for one in numbers:
        if isinstance(one, complex) and made.kind == "f":
            made = np.result_type(made, complex64)
        elif not fits(one, made):
            raise InvalidType(f"a {type(one).__name__} of Python's does not meet {made}")
    return made


@dataclass(frozen=True)
class finfo_object:
    """Limits of a floating-point dtype; of a complex one those of its parts."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype


@dataclass(frozen=True)
class iinfo_object:
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: np.dtype


def finfo(type: Any, /) -> finfo_object:
    dtype = dtype_of(type)
    check("finfo", FLOATING, dtype)
    own = np.finfo(dtype)
    return finfo_object(
        int(own.bits), float(own.eps), float(own.max), float(own.min), float(own.smallest_normal), np.dtype(own.dtype)
    )


def iinfo(type: Any, /) -> iinfo_object:
    dtype = dtype_of(type)
    check("iinfo", INTEGER, dtype)
    own = np.iinfo(dtype)
    return iinfo_object(int(own.bits), int(own.max), int(own.min), dtype)
