"""Where xarray is told that what it does for Dask's arrays is meant for Graticule's too.

xarray asks `is_duck_dask_array` in many places, most of which go on to the chunk manager. One function beneath it is replaced, so
that the answer is yes. Some of these places go on to Dask itself, or do eagerly or in many steps what the core does in one; for
those there is a hook each. All of them look at the array first and leave others, and other chunk managers, alone.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

import graticule.array as ga

from . import _xarray_groups
from .array import Array
from .array._store import Delayed

_installed = False


def install() -> None:
    """Puts the hooks in, once."""
    global _installed
    if _installed:
        return
    _installed = True
    _count_as_lazy()
    _index_natively()
    _fill_and_reduce()
    _quantile()
    _roll()
    _fit()
    _interpolate()
    _xarray_groups.install()
    _apply_its_own()
    _map_blocks()
    _open()
    _write_later()


def _count_as_lazy() -> None:
    from xarray.namedarray import core, daskmanager, utils

    is_dask_collection = utils.is_dask_collection

    def is_lazy(x: Any) -> bool:
        return isinstance(x, Array) or is_dask_collection(x)

    def is_duck_dask_array(x: Any) -> bool:
        return utils.is_duck_array(x) and is_dask_collection(x)

    utils.is_dask_collection = is_lazy
    # In these it is about Dask's own protocol and Dask's own chunk manager.
    core.is_duck_dask_array = daskmanager.is_duck_dask_array = is_duck_dask_array


def _index_natively() -> None:
    from xarray.core import indexing

    adapter = indexing.DaskIndexingAdapter
    outer, points = adapter._oindex_get, adapter._vindex_get

    def _oindex_get(self: Any, indexer: Any) -> Any:
        return self.array.oindex[indexer.tuple] if isinstance(self.array, Array) else outer(self, indexer)

    def _vindex_get(self: Any, indexer: Any) -> Any:
        return self.array.vindex[indexer.tuple] if isinstance(self.array, Array) else points(self, indexer)

    adapter._oindex_get, adapter._vindex_get = _oindex_get, _vindex_get


def _fill_and_reduce() -> None:
    from xarray.core import duck_array_ops, missing

    push = duck_array_ops.push

    @functools.wraps(push)
    def native_push(array: Any, n: int | None = None, axis: int = -1, **kwargs: Any) -> Any:
        if isinstance(array, Array):
            return ga.ffill(array, axis % array.ndim, None if n is None else int(n))
        return push(array, n, axis, **kwargs)

    duck_array_ops.push = native_push
    missing.push = native_push

    isnull = duck_array_ops.pandas_isnull

    def native_isnull(values: Any) -> Any:
        return ga.isnull(values) if isinstance(values, Array) else isnull(values)

    duck_array_ops.pandas_isnull = native_isnull

    mean = duck_array_ops.mean

    @functools.wraps(mean)
    def native_mean(array: Any, axis: Any = None, skipna: bool | None = None, **kwargs: Any) -> Any:
        if isinstance(array, Array) and array.dtype.kind in "mM":
            return _mean_of_times(array, axis, skipna is not False, **kwargs)
        return mean(array, axis=axis, skipna=skipna, **kwargs)

    duck_array_ops.mean = native_mean


def _mean_of_times(x: Array, axis: Any, skipna: bool, **kwargs: Any) -> Array:
    """As xarray takes it: the mean of the distances from a year in the middle, as floats, cut off to whole units."""
    reduced = ga._reduce.reduced
    unit = x.dtype.str[4:-1]
    if x.dtype.kind == "m":
        return reduced("mean", x / np.timedelta64(1, unit), axis, skipna=skipna, **kwargs).astype(f"m8[{unit}]")
    first, last = (reduced(name, x, skipna=True).astype("M8[Y]").astype("i8") for name in ("min", "max"))
    middle = (first + (last - first) // 2).astype("M8[Y]").astype(x.dtype)
    distances = (x - middle) / np.timedelta64(1, unit)
    return reduced("mean", distances, axis, skipna=skipna, **kwargs).astype(f"m8[{unit}]") + middle


#: Reductions of moving windows that the core has, by the names of xarray's functions, and those that may be made one axis
#: after the other.
_ROLLED = {"count", "mean", "sum", "prod", "min", "max", "std", "var", "median"}
_ROLLED_BY_AXIS = {"count", "mean", "sum", "min", "max"}
#: What xarray hands on with a reduction of windows, and the core has no use for.
_ROLLING_KWARGS = {
    "bottleneck_move_func", "numbagg_move_func", "rolling_agg_func", "fillna", "ddof", "sliding_window_view_kwargs",
}


def _quantile() -> None:
    from xarray.core.options import _get_keep_attrs
    from xarray.core.variable import Variable

    quantile = Variable.quantile

    @functools.wraps(quantile)
    def native_quantile(
        self: Any, q: Any, dim: Any = None, method: str = "linear", keep_attrs: bool | None = None, skipna: bool | None = None,
        interpolation: Any = None,
    ) -> Any:
        x = self._data
        if not isinstance(x, Array) or method != "linear" or interpolation is not None or x.dtype.kind not in "biuf":
            return quantile(self, q, dim, method, keep_attrs, skipna, interpolation)
        reduced = list(self.dims) if dim is None or dim is ... else [dim] if isinstance(dim, str) else list(dim)
        axes = [self.get_axis_num(one) for one in reduced]
        skipna = x.dtype.kind == "f" if skipna is None else bool(skipna)
        made = ga.quantile(x, np.atleast_1d(np.asarray(q, dtype=np.float64)), axes, _skipna=skipna)
        keep_attrs = _get_keep_attrs(default=True) if keep_attrs is None else keep_attrs
        dims = ("quantile", *(one for one in self.dims if one not in reduced))
        result = Variable(dims, made, self._attrs if keep_attrs else None)
        return result.squeeze("quantile") if np.ndim(q) == 0 else result

    Variable.quantile = native_quantile


def _roll() -> None:
    from xarray.computation.rolling import DataArrayRolling
    from xarray.core.options import set_options

    reduce, count = DataArrayRolling._array_reduce, DataArrayRolling.count

    def like(self: Any, made: Array, keep_attrs: Any) -> Any:
        attrs = self.obj.attrs if keep_attrs else {}
        return self.obj.__class__(made, self.obj.coords, attrs=attrs, name=self.obj.name)

    @functools.wraps(reduce)
    def native_reduce(self: Any, array_agg_func: Any, *args: Any, keep_attrs: Any = None, **kwargs: Any) -> Any:
        if not isinstance(self.obj.data, Array):
            return reduce(self, array_agg_func, *args, keep_attrs=keep_attrs, **kwargs)
        # Means come as a function of their own, which divides the sums that it asks for by the counts.
        function = array_agg_func or kwargs.get("rolling_agg_func")
        name, extra = getattr(function, "__name__", "").lstrip("_"), set(kwargs) - _ROLLING_KWARGS
        made = None if extra else _rolled(self, name, int(kwargs.get("ddof") or 0))
        if made is not None:
            return like(self, made, keep_attrs)
        # Not by bottleneck, whose windows must fit a chunk.
        with set_options(use_bottleneck=False, use_numbagg=False):
            return reduce(self, array_agg_func, *args, keep_attrs=keep_attrs, **kwargs)

    @functools.wraps(count)
    def native_count(self: Any, keep_attrs: Any = None) -> Any:
        made = _rolled(self, "count", 0) if isinstance(self.obj.data, Array) else None
        return count(self, keep_attrs) if made is None else like(self, made, self._get_keep_attrs(keep_attrs))

    DataArrayRolling._array_reduce, DataArrayRolling.count = native_reduce, native_count


def _rolled(rolling: Any, name: str, ddof: int) -> Array | None:
    """The reduction of moving windows as the core does it, which lays no window out; `None` where xarray's own way is left."""
    x, needed = rolling.obj.data, rolling.min_periods
    if name not in _ROLLED or x.dtype.kind not in "iuf" or needed <= 0:
        return None
    axes = [rolling.obj.get_axis_num(dim) for dim in rolling.dim]
    along = list(zip(axes, rolling.window, rolling.center, strict=True))
    if len(along) == 1:
        axis, window, center = along[0]
        made = ga.move(name, x, window, needed, axis, center, ddof)
    elif name in _ROLLED_BY_AXIS:
        made = _rolled_by_axis(name, x, along, needed)
    else:
        return None
    # Integers of at most 16 bits are float32 for xarray where NaN may stand beside them.
    keeps_short = name in ("min", "max", "std", "var", "median") and x.dtype.kind in "iu" and x.dtype.itemsize <= 2
    return made.astype(np.float32) if keeps_short else made


def _rolled_by_axis(name: str, x: Array, along: list[tuple[int, int, bool]], needed: int) -> Array:
    """As [`_rolled`], of windows of several dimensions, one after the other."""

    def moved(name: str, x: Array) -> Array:
        for axis, window, center in along:
            x = ga.move(name, x, window, 1, axis, center)
        return x

    is_float = x.dtype.kind == "f"
    # Up to 2**24 elements of a window are counted exactly.
    counts = moved("sum", (~ga.isnan(x) if is_float else ga.ones_like(x, dtype=bool)).astype(np.float32))
    if name == "count":
        made = counts.astype(np.float64)
    elif name in ("min", "max"):
        made = moved(name, x)
    else:
        made = moved("sum", ga.where(ga.isnan(x), np.zeros((), x.dtype), x) if is_float else x)
        made = made / counts.astype(made.dtype) if name == "mean" else made
    return ga.where(counts >= needed, made, np.asarray(np.nan, made.dtype))


def _fit() -> None:
    from xarray.compat import dask_array_ops

    least_squares = dask_array_ops.least_squares

    @functools.wraps(least_squares)
    def native(lhs: Any, rhs: Any, rcond: Any = None, skipna: bool = False) -> Any:
        if not (isinstance(rhs, Array) and skipna and rhs.dtype.kind in "biuf"):
            return least_squares(lhs, rhs, rcond=rcond, skipna=skipna)
        from . import _xarray_fit

        return _xarray_fit.least_squares(lhs, rhs, rcond)

    dask_array_ops.least_squares = native


def _interpolate() -> None:
    from xarray.core import missing

    interpolate_variable = missing.interpolate_variable

    @functools.wraps(interpolate_variable)
    def native(var: Any, indexes_coords: Any, *, method: str, kwargs: Any) -> Any:
        from . import _xarray_interp

        made = _xarray_interp.interpolated(var, indexes_coords, method, kwargs)
        return interpolate_variable(var, indexes_coords, method=method, kwargs=kwargs) if made is None else made

    missing.interpolate_variable = native


def _apply_its_own() -> None:
    apply_ufunc = importlib.import_module("xarray.computation.apply_ufunc")
    apply = apply_ufunc.apply_variable_ufunc

    @functools.wraps(apply)
    def apply_together(func: Any, *args: Any, dask: str = "forbidden", dask_gufunc_kwargs: Any = None, **kwargs: Any) -> Any:
        is_lazy = any(isinstance(getattr(arg, "_data", arg), Array) for arg in args)
        if dask == "parallelized" and is_lazy and _is_its_own(func):
            from . import _xarray_gaps

            made = _xarray_gaps.filled(func, args, kwargs.get("signature"), kwargs.get("keep_attrs"))
            if made is not None:
                return made
            dask_gufunc_kwargs = {"allow_rechunk": True, **(dask_gufunc_kwargs or {})}
        return apply(func, *args, dask=dask, dask_gufunc_kwargs=dask_gufunc_kwargs, **kwargs)

    apply_ufunc.apply_variable_ufunc = apply_together


def _is_its_own(func: Any) -> bool:
    """Whether a function is one that a method of xarray's applies: then nobody was told of chunks along its dimensions."""
    while isinstance(func, functools.partial):
        func = func.func
    module = getattr(func, "__module__", None) or ""
    return module.startswith("xarray.") or getattr(func, "__name__", "") in ("rankdata", "nanrankdata")


def _map_blocks() -> None:
    import xarray as xr
    from xarray.core import parallel

    map_blocks = parallel.map_blocks

    @functools.wraps(map_blocks)
    def native(func: Any, obj: Any, args: Any = (), kwargs: Any = None, template: Any = None) -> Any:
        from . import _xarray_blocks

        own = _xarray_blocks.map_blocks if _xarray_blocks.is_lazy(obj, *args) else map_blocks
        return own(func, obj, args, kwargs, template)

    parallel.map_blocks = xr.map_blocks = native


def _open() -> None:
    from xarray.backends import api

    protect = api._protect_dataset_variables_inplace

    @functools.wraps(protect)
    def protect_others(dataset: Any, cache: Any) -> None:
        # Lazy arrays need no cache, and no protection from being written: they stay what they are.
        lazy = {name: one._data for name, one in dataset.variables.items() if isinstance(one._data, Array)}
        protect(dataset, cache)
        for name, data in lazy.items():
            dataset.variables[name]._data = data

    api._protect_dataset_variables_inplace = protect_others


def native_reduction(func: Any, x: Array, axis: Any) -> Array | None:
    """The first or last element along an axis that is not NaN, which xarray says by functions of its own."""
    own = {"nanfirst": "first", "nanlast": "last"}
    op = func.keywords.get("op") if isinstance(func, functools.partial) else None
    name = own.get(getattr(op, "__name__", ""))
    return None if name is None else ga._reduce.reduced(name, x, axis, skipna=True)


#: Fields of points in time that the core has, by pandas' names.
_FIELDS = {name: name for name in ("year", "quarter", "month", "day", "hour", "minute", "second", "weekday", "dayofyear")}
_FIELDS |= {"dayofweek": "weekday", "day_of_week": "weekday", "day_of_year": "dayofyear"}
_FIELDS |= {"days_in_month": "days_in_month", "daysinmonth": "days_in_month"}


def native_field(func: Any, args: tuple[Any, ...], dtype: Any) -> Array | None:
    """A field of datetime64, which xarray asks pandas for; NaT is no integer, and has none."""
    if getattr(func, "__name__", "") != "_access_through_series" or len(args) != 2:
        return None
    values, name = args
    if name not in _FIELDS or values.dtype.kind != "M":
        return None
    return ga._array._unary(_FIELDS[name], values).astype(dtype)


#: What xarray's option was before the clients that are open now.
_before: list[str] = []


def choose_manager(is_default: bool) -> None:
    """Makes Graticule the chunk manager that xarray takes where none is named, or the one before again."""
    import xarray as xr

    try:
        if is_default and not _before:
            _before.append(xr.get_options()["chunk_manager"])
            xr.set_options(chunk_manager="graticule")
        elif not is_default and _before:
            xr.set_options(chunk_manager=_before.pop())
    except (KeyError, ValueError):
        # An xarray without that option takes the manager that is named.
        _before.clear()


def _write_later() -> None:
    """What `compute=False` gives is written when it is computed, in the client's own process; xarray would ask Dask for it."""
    from xarray.backends import writers

    close_after = writers.delayed_close_after_writes

    @functools.wraps(close_after)
    def delayed_close_after_writes(writes: Any, store: Any) -> Any:
        return Delayed(functools.partial(_write_and_close, writes, store)) if isinstance(writes, Delayed) else close_after(writes, store)

    writers.delayed_close_after_writes = delayed_close_after_writes


def _write_and_close(writes: Delayed, store: Any, client: Any) -> None:
    writes(client)
    store.close()
