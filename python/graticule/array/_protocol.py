"""NumPy's functions on lazy arrays: found by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._graticule import Expression
from ._array import Array
from ._elementwise import BINARY, PAIRS, UNARY

_REDUCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any"}


def _ours(value: Any) -> bool:
    return isinstance(value, (Array, np.ndarray, np.generic, bool, int, float, complex, list, tuple, Expression)) or (
        type(value).__module__.split(".")[0] in ("pandas", "datetime")
    )


def ufunc_of(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A universal function: the core's own, or block by block in Python where the core has none."""
    import graticule.array as ga

    if not all(_ours(value) for value in inputs):
        return NotImplemented
    name = ufunc.__name__
    kwargs = {key: value for key, value in kwargs.items() if key not in ("order", "subok")}
    dtype = kwargs.pop("dtype", None)
    casting = kwargs.pop("casting", None)
    if "out" in kwargs:
        return NotImplemented
    if method == "reduce" and name in _REDUCTIONS:
        return getattr(ga, _REDUCTIONS[name])(inputs[0], axis=kwargs.pop("axis", 0), **kwargs)
    if method == "accumulate" and name in ("add", "multiply"):
        return (ga.cumsum if name == "add" else ga.cumprod)(inputs[0], axis=kwargs.get("axis", 0))
    if method == "outer" and len(inputs) == 2:
        first, second = ga.asarray(inputs[0]), ga.asarray(inputs[1])
        return ufunc(first[(...,) + (None,) * second.ndim], second)
    if method != "__call__":
        return NotImplemented
    where = kwargs.pop("where", True)
    if where is not True or casting not in (None, "same_kind", "unsafe"):
        return NotImplemented
    if name in UNARY | BINARY | PAIRS or name in ("matmul", "divmod", "vecdot"):
        made = getattr(ga, name)(*inputs)
        return made if dtype is None else made.astype(dtype)
    if ufunc.signature is not None:
        return NotImplemented
    arrays = [value if np.ndim(value) == 0 and not isinstance(value, Array) else ga.asarray(value) for value in inputs]
    if ufunc.nout > 1:
        return ga.apply_gufunc(ufunc, ",".join(["()"] * len(arrays)) + "->" + ",".join(["()"] * ufunc.nout), *arrays, **kwargs)
    return ga.map_blocks(ufunc, *arrays, dtype=dtype, **kwargs)


def function_of(func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
    """A function of NumPy's: the one of the same name here, or NumPy's error where there is none."""
    import graticule.array as ga

    if not all(issubclass(one, (Array, np.ndarray, np.generic)) for one in types):
        return NotImplemented
    module = func.__module__
    home: Any = ga
    for part in ("linalg", "fft"):
        if module.startswith(f"numpy.{part}"):
            home = getattr(ga, part)
    own = getattr(home, func.__name__, None)
    if own is None or own is func or not callable(own):
        return NotImplemented
    return own(*args, **kwargs)
