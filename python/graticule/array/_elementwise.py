"""Functions of elements, under NumPy's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _graticule
from ..errors import Unsupported
from ._array import Array, _binary
from ._convert import axes_of, expression, typed

#: Of one array, by NumPy's names.
UNARY = {
    "negative", "positive", "absolute", "sign", "square", "reciprocal", "logical_not", "invert", "isnan", "isfinite",
    "isinf", "sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin",
    "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "floor", "ceil", "trunc", "rint",
    "deg2rad", "rad2deg", "conjugate", "spacing", "signbit", "fabs", "isnat",
}
#: Of one array, not universal functions in NumPy.
UNARY_ONLY = {"real", "imag", "i0", "isposinf", "isneginf", "sinc", "fix", "notnull", "iscomplex", "isreal"}
#: Of pairs of elements.
BINARY = {
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "power", "minimum", "maximum", "fmin",
    "fmax", "arctan2", "hypot", "copysign", "nextafter", "logical_and", "logical_or", "logical_xor", "bitwise_and",
    "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "equal", "not_equal", "less", "less_equal", "greater",
    "greater_equal", "logaddexp", "logaddexp2", "float_power", "ldexp",
}
#: Of one array, with two results.
PAIRS = {"frexp", "modf"}


def _plain(function: str, kwargs: dict[str, Any]) -> None:
    """What NumPy's universal functions take beside their operands and these do not."""
    left = {key for key, value in kwargs.items() if not (key in ("out",) and value is None) and key != "dtype"}
    if left:
        raise Unsupported(f"{function} with {', '.join(sorted(left))}=")


def _cast(made: Array, kwargs: dict[str, Any]) -> Array:
    dtype = kwargs.get("dtype")
    return made if dtype is None else made.astype(dtype)


def _one(name: str) -> Callable[..., Array]:
    def function(x: Any, /, **kwargs: Any) -> Array:
        _plain(name, kwargs)
        return _cast(Array(_graticule.unary(name, typed(x))), kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"NumPy's `{name}`, lazy."
    return function


def _two(name: str) -> Callable[..., Array]:
    def function(x: Any, y: Any, /, **kwargs: Any) -> Array:
        _plain(name, kwargs)
        if not isinstance(x, Array) and not isinstance(y, Array):
            x = Array(typed(x))
        if name in ("logaddexp", "logaddexp2", "float_power", "ldexp") and not isinstance(x, Array):
            x = Array(typed(x))
        return _cast(_binary(name, x, y), kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"NumPy's `{name}`, lazy."
    return function


def _halves(name: str) -> Callable[..., tuple[Array, Array]]:
    def function(x: Any, /) -> tuple[Array, Array]:
        first, second = _graticule.halves(name, typed(x))
        return Array(first), Array(second)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"NumPy's `{name}`, lazy."
    return function


FUNCTIONS: dict[str, Callable[..., Any]] = {name: _one(name) for name in UNARY | UNARY_ONLY}
FUNCTIONS |= {name: _two(name) for name in BINARY}
FUNCTIONS |= {name: _halves(name) for name in PAIRS}
for _alias, _name in {
    "abs": "absolute", "conj": "conjugate", "degrees": "rad2deg", "radians": "deg2rad", "true_divide": "divide",
    "mod": "remainder", "bitwise_not": "invert", "bitwise_invert": "invert", "acos": "arccos", "asin": "arcsin",
    "atan": "arctan", "atan2": "arctan2", "acosh": "arccosh", "asinh": "arcsinh", "atanh": "arctanh", "pow": "power",
    "bitwise_left_shift": "left_shift", "bitwise_right_shift": "right_shift",
}.items():
    FUNCTIONS[_alias] = FUNCTIONS[_name]


def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """NumPy's `where`; of the condition alone the positions, whose number is computed."""
    if x is None and y is None:
        from ._select import nonzero

        return nonzero(condition)
    like = next((one.dtype for one in (x, y) if hasattr(one, "dtype")), None)
    return Array(_graticule.choose_where(expression(condition), expression(x, like), expression(y, like)))


def divmod(x: Any, y: Any, /) -> tuple[Array, Array]:
    return FUNCTIONS["floor_divide"](x, y), FUNCTIONS["remainder"](x, y)


def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None, **_: Any) -> Array:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    return Array(typed(x)).clip(low, high)


def round(x: Any, decimals: int = 0, **_: Any) -> Array:
    return Array(_graticule.round(typed(x), decimals))


around = round


def angle(z: Any, deg: bool = False) -> Array:
    return Array(_graticule.angle(typed(z), deg))


def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Array:
    return Array(_graticule.nan_to_num(typed(x), nan, posinf, neginf))


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    return Array(_graticule.is_close(typed(a), typed(b), rtol, atol, equal_nan))


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    return Array(_graticule.all_close(typed(a), typed(b), rtol, atol, equal_nan))


def array_equal(a: Any, b: Any, equal_nan: bool = False) -> Any:
    a, b = Array(typed(a)), Array(typed(b))
    if a.shape != b.shape:
        return False
    same = a == b
    if equal_nan and a.dtype.kind in "fcmM" and b.dtype.kind in "fcmM":
        same = same | (isnull(a) & isnull(b))
    return Array(_graticule.reduce("all", same._x, None, False, False))


def array_equiv(a: Any, b: Any) -> Any:
    same = Array(typed(a)) == Array(typed(b))
    return Array(_graticule.reduce("all", same._x, None, False, False))


def isnull(x: Any) -> Array:
    """Whether elements are NaN or NaT; of other dtypes all False. As pandas has it."""
    x = Array(typed(x))
    if x.dtype.kind in "mM":
        return FUNCTIONS["isnat"](x)
    if x.dtype.kind in "fc":
        return FUNCTIONS["isnan"](x)
    return Array(_graticule.full_like(x._x, False, "bool"))


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Array:
    conditions = [typed(one) for one in condlist]
    return Array(_graticule.selected(conditions, [typed(one) for one in choicelist], expression(default)))


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """NumPy's `result_type`, of lazy arrays too."""
    return np.result_type(*(one.dtype if isinstance(one, Array) else one for one in arrays_and_dtypes))


def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    return np.can_cast(from_.dtype if isinstance(from_, Array) else from_, to, casting)


def astype(x: Any, dtype: Any, **kwargs: Any) -> Array:
    return Array(typed(x)).astype(dtype, **kwargs)


def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Array:
    made = Array(typed(a))
    for axis in axes_of(axes, made.ndim) or []:
        reduced = func(made, axis)
        made = reduced if reduced.ndim == made.ndim else Array(reduced._x.expand_dims([axis]))
    return made


def size(a: Any, axis: int | None = None) -> int:
    return np.size(np.broadcast_to(0, a.shape), axis)


def ndim(a: Any) -> int:
    return a.ndim


def shape(a: Any) -> tuple[int, ...]:
    return a.shape


def iscomplexobj(x: Any) -> bool:
    return np.dtype(x.dtype).kind == "c"


def isrealobj(x: Any) -> bool:
    return not iscomplexobj(x)


def copy(a: Any, **_: Any) -> Array:
    return Array(typed(a))
