"""Functions of elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import array as ga
from ..errors import InvalidType
from ._array import Array, array_of, cast
from ._dtypes import (
    ANY,
    BITS,
    BOOLEAN,
    COMPLEX,
    FLOATING,
    INTEGER,
    NUMERIC,
    REAL,
    REAL_FLOATING,
    check,
    is_number,
    number,
    promoted,
)

#: Of one array: the name in `graticule.array`, and the kinds of dtypes.
_UNARY = {
    "abs": ("absolute", NUMERIC), "acos": ("arccos", FLOATING), "acosh": ("arccosh", FLOATING),
    "asin": ("arcsin", FLOATING), "asinh": ("arcsinh", FLOATING), "atan": ("arctan", FLOATING),
    "atanh": ("arctanh", FLOATING), "bitwise_invert": ("invert", BITS), "conj": ("conjugate", NUMERIC),
    "cos": ("cos", FLOATING), "cosh": ("cosh", FLOATING), "exp": ("exp", FLOATING),
    "imag": ("imag", COMPLEX), "isfinite": ("isfinite", NUMERIC), "isinf": ("isinf", NUMERIC),
    "isnan": ("isnan", NUMERIC), "log": ("log", FLOATING), "log1p": ("log1p", FLOATING), "log2": ("log2", FLOATING),
    "log10": ("log10", FLOATING), "logical_not": ("logical_not", BOOLEAN), "negative": ("negative", NUMERIC),
    "positive": ("positive", NUMERIC), "real": ("real", NUMERIC), "reciprocal": ("reciprocal", FLOATING),
    "sign": ("sign", NUMERIC), "signbit": ("signbit", REAL_FLOATING), "sin": ("sin", FLOATING),
    "sinh": ("sinh", FLOATING), "sqrt": ("sqrt", FLOATING), "square": ("square", NUMERIC), "tan": ("tan", FLOATING),
}
#: Integers are whole already.
_ROUNDING = {"ceil": "ceil", "floor": "floor", "trunc": "trunc"}
#: Of pairs of elements.
_BINARY = {
    "add": ("add", NUMERIC), "atan2": ("arctan2", REAL_FLOATING), "bitwise_and": ("bitwise_and", BITS),
    "bitwise_left_shift": ("left_shift", INTEGER), "bitwise_or": ("bitwise_or", BITS),
    "bitwise_right_shift": ("right_shift", INTEGER), "bitwise_xor": ("bitwise_xor", BITS),
    "copysign": ("copysign", REAL_FLOATING), "divide": ("divide", FLOATING), "equal": ("equal", ANY),
    "greater": ("greater", REAL), "greater_equal": ("greater_equal", REAL),
    "hypot": ("hypot", REAL_FLOATING), "less": ("less", REAL), "less_equal": ("less_equal", REAL),
    "logaddexp": ("logaddexp", REAL_FLOATING), "logical_and": ("logical_and", BOOLEAN),
    "logical_or": ("logical_or", BOOLEAN), "logical_xor": ("logical_xor", BOOLEAN), "maximum": ("maximum", REAL),
    "minimum": ("minimum", REAL), "multiply": ("multiply", NUMERIC), "nextafter": ("nextafter", REAL_FLOATING),
    "not_equal": ("not_equal", ANY), "pow": ("power", NUMERIC), "remainder": ("remainder", REAL),
    "subtract": ("subtract", NUMERIC),
}


def is_operand(value: Any) -> bool:
    return isinstance(value, Array) or is_number(value)


def operands(function: str, kinds: str, *values: Any) -> list[ga.Array]:
    """Arrays and numbers as arrays of their common dtype; at least one is an array."""
    dtypes = [value.dtype for value in values if isinstance(value, Array)]
    if not dtypes or not all(map(is_operand, values)):
        names = ", ".join(type(value).__name__ for value in values)
        raise InvalidType(f"{function} takes an array of graticule.array_api and another one or a number of Python's, not {names}")
    common = promoted(dtypes)
    check(function, kinds, common)
    return [
        cast(value._x, common) if isinstance(value, Array) else ga.asarray(number(value, common)) for value in values
    ]


def _one(name: str, own: str, kinds: str) -> Callable[..., Array]:
    function = getattr(ga, own)

    def made(x: Any, /) -> Array:
        lazy = array_of(x, name)
        check(name, kinds, lazy.dtype)
        return Array(function(lazy))

    return _named(made, name)


def _whole(name: str, own: str) -> Callable[..., Array]:
    function = getattr(ga, own)

    def made(x: Any, /) -> Array:
        lazy = array_of(x, name)
        check(name, REAL, lazy.dtype)
        return Array(lazy if lazy.dtype.kind in "iu" else function(lazy))

    return _named(made, name)


def _two(name: str, own: str, kinds: str) -> Callable[..., Array]:
    function = getattr(ga, own)

    def made(x1: Any, x2: Any, /) -> Array:
        return Array(function(*operands(name, kinds, x1, x2)))

    return _named(made, name)


def _named(function: Callable[..., Array], name: str) -> Callable[..., Array]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The Array API's `{name}`, lazy."
    return function


FUNCTIONS: dict[str, Callable[..., Array]] = {name: _one(name, *how) for name, how in _UNARY.items()}
FUNCTIONS |= {name: _whole(name, own) for name, own in _ROUNDING.items()}
FUNCTIONS |= {name: _two(name, *how) for name, how in _BINARY.items()}


def round(x: Array, /) -> Array:
    """To the nearest whole number, halves to the even one."""
    lazy = array_of(x, "round")
    check("round", NUMERIC, lazy.dtype)
    return Array(lazy if lazy.dtype.kind in "iu" else ga.round(lazy))


def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:
    """Brings elements between bounds, which are numbers or arrays that fit the array's dtype."""
    lazy = array_of(x, "clip")
    check("clip", REAL, lazy.dtype)
    bounds = [None if bound is None else _bound(bound, lazy.dtype) for bound in (min, max)]
    made = lazy if bounds != [None, None] else ga.Array(lazy._x)
    if bounds[0] is not None:
        made = ga.maximum(made, bounds[0])
    if bounds[1] is not None:
        made = ga.minimum(made, bounds[1])
    return Array(made)


def _bound(bound: Any, dtype: np.dtype) -> ga.Array:
    if not isinstance(bound, Array):
        return ga.asarray(number(bound, dtype))
    if promoted([bound.dtype, dtype]) != dtype:
        raise InvalidType(f"clip: a bound of {bound.dtype} for an array of {dtype}")
    return cast(bound._x, dtype)


def expm1(x: Array, /) -> Array:
    """`exp(x) - 1`; of complex numbers that are real or infinite what the standard says, where NumPy gives NaN."""
    lazy = array_of(x, "expm1")
    check("expm1", FLOATING, lazy.dtype)
    made = ga.expm1(lazy)
    if lazy.dtype.kind != "c":
        return Array(made)
    real, imag = ga.real(lazy), ga.imag(lazy)
    # Plus zero, for the standard knows no negative one here.
    of_real = (ga.expm1(real) + 0.0).astype(lazy.dtype)
    limits = ga.where(real < 0, _constant(-1, lazy), _constant(complex(np.inf, np.nan), lazy))
    made = ga.where(ga.isinf(real) & ~ga.isfinite(imag), limits, made)
    return Array(ga.where(imag == 0, ga.where(ga.signbit(imag), ga.conj(of_real), of_real), made))


def tanh(x: Array, /) -> Array:
    """The hyperbolic tangent; its imaginary part has the argument's sign where that is infinite, as the standard says."""
    lazy = array_of(x, "tanh")
    check("tanh", FLOATING, lazy.dtype)
    made = ga.tanh(lazy)
    if lazy.dtype.kind != "c":
        return Array(made)
    real, imag = ga.real(lazy), ga.imag(lazy)
    limits = ga.where(real > 0, _constant(1, lazy), _constant(-1, lazy))
    limits = ga.where(imag < 0, ga.conj(limits), limits)
    return Array(ga.where(ga.isinf(real) & ga.isfinite(imag) & (imag != 0), limits, made))


def _constant(value: complex, like: ga.Array) -> ga.Array:
    return ga.asarray(np.asarray(value, like.dtype))


def floor_divide(x1: Any, x2: Any, /) -> Array:
    """The greatest whole number not above the quotient; with infinities the quotient itself, as the standard says and NumPy does not."""
    first, second = operands("floor_divide", REAL, x1, x2)
    made = ga.floor_divide(first, second)
    if made.dtype.kind != "f":
        return Array(made)
    return Array(ga.where(ga.isinf(first) | ga.isinf(second), ga.divide(first, second), made))


FUNCTIONS |= {"round": round, "clip": clip, "expm1": expm1, "floor_divide": floor_divide, "tanh": tanh}
