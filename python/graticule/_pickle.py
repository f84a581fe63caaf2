"""How functions, arguments and results are written down for another thread or process."""

from __future__ import annotations

import collections
import copyreg
import functools
import io
import marshal
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np

from . import _graticule
from .errors import InvalidType

#: Arrays of fewer bytes are pickled like everything else.
ARRAY_BYTES_MIN = 64 << 10
_ARRAYS = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128".split()
    + [f"{kind}[{unit}]" for kind in ("datetime64", "timedelta64") for unit in "Y M W D h m s ms us ns".split()]
)
#: Arguments of these types alone need nobody to look into them.
_SIMPLE = frozenset({int, float, bool, str, bytes, type(None), complex})


class _Places(threading.local):
    """Where the results of other calls stand among the arguments of one."""

    #: While arguments are written down: the calls that were met.
    met: list[Any] | None = None
    #: While they are read: the results of these.
    results: list[Any] | None = None


places = _Places()


#: Arrays of times below are left to NumPy, which writes their bytes into the pickle.
_TIMES_BYTES_MIN = 1024


def _reduced(array: np.ndarray) -> Any:
    """An array for pickle. NumPy's own way gives pickle no buffer of times, and has who reads an array that may not be written
    get such a one, though a client may write what it gets."""
    dtype = array.dtype
    is_times = dtype.kind in "mM" and array.nbytes >= _TIMES_BYTES_MIN
    if not (is_times or not array.flags.writeable and array.nbytes) or dtype.kind not in "biufcmM" or not dtype.isnative or dtype.metadata is not None:
        return array.__reduce_ex__(5)
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    rows = np.ascontiguousarray(array.T if order == "F" else array)
    return _array, (pickle.PickleBuffer(rows.reshape(-1).view(np.uint8)), dtype.str, array.shape, order)


def _array(buffer: Any, dtype: str, shape: tuple[int, ...], order: Any) -> np.ndarray:
    # Pickle gives a view that may not be written, also of what a client has for itself.
    own = buffer.obj if isinstance(buffer, memoryview) and isinstance(buffer.obj, bytearray) else buffer
    return np.frombuffer(own, np.uint8).view(dtype).reshape(shape, order=order)


class _Plain(pickle.Pickler):
    """pickle's, by which arrays of times are buffers like others."""

    dispatch_table = collections.ChainMap({np.ndarray: _reduced}, copyreg.dispatch_table)


class _Pickler(cloudpickle.Pickler):
    """cloudpickle's, that lets code keep the name of its file: tracebacks of what runs elsewhere say where it was written."""

    dispatch_table = cloudpickle.Pickler.dispatch_table.new_child({np.ndarray: _reduced})

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is types.CodeType:
            reduced = self.dispatch_table[types.CodeType](obj)
            named = tuple(obj.co_filename if part == "<dynamic-code>" else part for part in reduced[1])
            return (reduced[0], named, *reduced[2:])
        return super().reducer_override(obj)


def by_value(what: Any, buffer_callback: Any = None) -> bytes:
    with io.BytesIO() as out:
        _Pickler(out, protocol=5, buffer_callback=buffer_callback).dump(what)
        return out.getvalue()


def place(number: int) -> Any:
    """The result that stands here; it is called as arguments are read."""
    if places.results is None:
        raise InvalidType("a future was pickled on its own; hand it to submit or map as an argument instead")
    return places.results[number]


def met(call: Any) -> tuple[Callable[[int], Any], tuple[int]]:
    """What stands for a call among arguments; what `Future.__reduce__` gives."""
    if places.met is None:
        raise InvalidType(
            "a future can be an argument of submit and map, or lie in one, but it cannot be pickled for other uses"
        )
    places.met.append(call)
    return place, (len(places.met) - 1,)


def dumps(what: Any) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """A pickle and the buffers that are not in it. What other processes cannot import is written out."""
    first = len(places.met) if places.met is not None else 0
    buffers: list[pickle.PickleBuffer] = []
    if not cloudpickle.list_registry_pickle_by_value():
        try:
            with io.BytesIO() as out:
                _Plain(out, 5, buffer_callback=buffers.append).dump(what)
                made = out.getvalue()
            if b"__main__" not in made:
                return made, buffers
        except Exception:
            # cloudpickle may know how.
            pass
        buffers.clear()
        if places.met is not None:
            del places.met[first:]
    return by_value(what, buffers.append), buffers


def pack(what: Any) -> tuple[tuple[bytes, list[pickle.PickleBuffer]], list[Any]]:
    """Arguments, pickled, and the calls whose results they need, wherever these lie in them."""
    args, kwargs = what
    if _SIMPLE.issuperset(map(type, args)) and _SIMPLE.issuperset(map(type, kwargs.values())):
        return (pickle.dumps(what, 5), []), []
    before, places.met = places.met, []
    try:
        return dumps(what), places.met
    except InvalidType:
        raise
    except Exception as error:
        raise InvalidType(f"the arguments cannot be pickled, so no worker can have them: {error}") from error
    finally:
        places.met = before


def elements(array: np.ndarray) -> tuple[np.ndarray, str, tuple[int, ...]] | None:
    """The bytes of a large array with its dtype and shape, if it can lie in memory as it is."""
    dtype = array.dtype
    if array.nbytes < ARRAY_BYTES_MIN or not array.flags.c_contiguous or array.ndim == 0 or not dtype.isnative:
        return None
    # A row of bytes is taken for a pickle.
    if dtype.name not in _ARRAYS or dtype.metadata is not None or (dtype == np.uint8 and array.ndim == 1):
        return None
    return array.reshape(-1).view(np.uint8), dtype.name, array.shape


def load_function(payload: bytes) -> Any:
    made = pickle.loads(payload)
    while type(made) in (Prepared, Timed):
        made = made.load()
    return made


class Prepared:
    """A function, pickled, and what a worker does before it loads it."""

    def __init__(self, steps: tuple[Any, ...], payload: bytes) -> None:
        self.steps, self.payload = steps, payload

    def load(self) -> Any:
        from ._plugins import setup

        for step in self.steps:
            setup(step)
        return pickle.loads(self.payload)


class Timed:
    """A function, pickled, that may run for so many seconds."""

    def __init__(self, payload: bytes, seconds: float) -> None:
        self.payload, self.seconds = payload, seconds

    def load(self) -> Any:
        from ._timeout import Limited

        return Limited(load_function(self.payload), self.seconds)


def timed(function: Any, seconds: float) -> Any:
    return _graticule.CallFunction(function.name, pickle.dumps(Timed(bytes(function.payload), seconds), 5), b"")


def prepared(function: Any, steps: tuple[Any, ...]) -> Any:
    return _graticule.CallFunction(function.name, pickle.dumps(Prepared(steps, bytes(function.payload)), 5), b"")


# Functions: pickled when first used, and again when they or what they refer to may have changed.


class _Kept:
    """A pickled function, and what it was pickled with."""

    __slots__ = ("function", "of", "watched")

    def __init__(self, of: Any, function: Any, watched: list[Any]) -> None:
        self.of, self.function, self.watched = of, function, watched

    def is_fresh(self) -> bool:
        return all(holder.get(name, _MISSING) is value for holder, name, value in self.watched)


_MISSING = object()
_kept: dict[int, _Kept] = {}
#: What cannot change behind a name.
_CONSTANT = (type(None), bool, int, float, complex, str, bytes, range, types.ModuleType, types.BuiltinFunctionType, np.ufunc, np.generic)
_WATCHED_MAX = 64


def function(func: Callable[..., Any]) -> Any:
    """The function as calls have it. Equal bytes are one function: with another closure or other globals it is another one."""
    kept = _kept.get(id(func))
    if kept is not None and kept.of() is func and kept.is_fresh():
        return kept.function
    name, salt = _name(func), b""
    watched: list[Any] | None = None
    if isinstance(func, types.FunctionType) and _is_importable(func):
        payload, watched = pickle.dumps(func, 5), []
        # A module that is loaded anew has other code behind the same name.
        salt = marshal.dumps(func.__code__)
    elif isinstance(func, types.BuiltinFunctionType | type | np.ufunc):
        payload = _written(func)
        watched = [] if b"__main__" not in payload[:200] and _is_importable(func) else None
    else:
        payload = _written(func)
        if isinstance(func, types.FunctionType):
            watched = _watched(func)
    made = _graticule.CallFunction(name, payload, salt)
    if watched is not None:
        _kept[id(func)] = _Kept(_reference(func), made, watched)
    return made


def _reference(func: Any) -> Callable[[], Any]:
    number = id(func)
    try:
        return weakref.ref(func, lambda _: _kept.pop(number, None))
    except TypeError:
        return lambda: func


def _written(func: Any) -> bytes:
    try:
        return by_value(func)
    except Exception as error:
        raise InvalidType(
            f"the function {_name(func)} cannot be pickled, so no worker can have it: {error}; make what it refers to inside it, "
            f"or hand it over as an argument that can be pickled"
        ) from error


def _name(func: Any) -> str:
    while isinstance(func, functools.partial):
        func = func.func
    return getattr(func, "__name__", None) or type(func).__name__


def _is_importable(func: Any) -> bool:
    """Whether pickle names it, rather than writing it out."""
    module = sys.modules.get(getattr(func, "__module__", None) or "")
    if module is None or module.__name__ == "__main__" or module.__name__ in cloudpickle.list_registry_pickle_by_value():
        return False
    found: Any = module
    for part in getattr(func, "__qualname__", "").split("."):
        found = getattr(found, part, None)
    return found is func


def _watched(func: types.FunctionType) -> list[Any] | None:
    """All that a function's pickle has from elsewhere, as (where, name, value); `None` if some of it may change in place."""
    found: list[Any] = []
    seen: set[int] = set()

    def constant(value: Any) -> bool:
        if isinstance(value, types.FunctionType):
            return _is_importable(value) or look(value)
        if isinstance(value, type):
            return _is_importable(value)
        if type(value) in (tuple, frozenset):
            return len(value) <= _WATCHED_MAX and all(constant(part) for part in value)
        return isinstance(value, _CONSTANT)

    def look(func: types.FunctionType) -> bool:
        if id(func) in seen:
            return True
        seen.add(id(func))
        if func.__dict__ or func.__kwdefaults__ or not constant(func.__defaults__):
            return False
        names: set[str] = set()
        codes = [func.__code__]
        while codes:
            code = codes.pop()
            names.update(code.co_names)
            codes.extend(const for const in code.co_consts if isinstance(const, types.CodeType))
        found.append((_Attributes(func), "__code__", func.__code__))
        found.append((_Attributes(func), "__defaults__", func.__defaults__))
        for name in sorted(names & func.__globals__.keys()):
            value = func.__globals__[name]
            found.append((func.__globals__, name, value))
            if not constant(value):
                return False
        for cell in func.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:
                return False
            found.append((_Attributes(cell), "cell_contents", value))
            if not constant(value):
                return False
        return len(found) <= _WATCHED_MAX

    return found if look(func) else None


class _Attributes:
    """An object's attributes, looked up as in a dict."""

    __slots__ = ("of",)

    def __init__(self, of: Any) -> None:
        self.of = of

    def get(self, name: str, default: Any) -> Any:
        return getattr(self.of, name, default)
