"""Groups of xarray's `groupby` and `resample`, reduced by one operation of the core.

xarray reduces groups one by one and joins the results, or asks flox, which knows Dask and cubed only. Its own way is taken here too,
lazily, for the dimensions, coordinates, attributes and dtype of the result; its elements are then those of one native reduction,
wherever the core has it.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import graticule.array as ga

from .array import Array

#: Names of xarray's functions, and of the core's reductions.
_KINDS = {
    "mean": "mean", "sum": "sum", "min": "min", "max": "max", "std": "std", "var": "var", "median": "median", "prod": "prod",
    "count": "count", "array_any": "any", "array_all": "all", "first": "first", "last": "last",
}

#: NumPy's functions, given to `reduce`: the core's reduction, and whether it leaves NaN out.
_NUMPY = [(getattr(np, name), name, False) for name in ("mean", "sum", "min", "max", "std", "var", "median", "prod", "any", "all")]
_NUMPY += [(getattr(np, f"nan{name}"), name, True) for name in ("mean", "sum", "min", "max", "std", "var", "median", "prod")]


#: What xarray tells flox alone.
_OF_FLOX = ("method", "engine", "fill_value", "numeric_only")


def install() -> None:
    from xarray.core import groupby, resample

    for owner in (groupby.GroupBy, resample.Resample):
        for name in ("_flox_reduce", "_flox_scan"):
            by_flox = owner.__dict__.get(name)
            if by_flox is not None:
                setattr(owner, name, _without_flox(by_flox))

    for owner in (
        groupby.DataArrayGroupByBase, groupby.DatasetGroupByBase, resample.DataArrayResample, resample.DatasetResample,
    ):
        reduce = owner.__dict__.get("reduce")
        if reduce is not None:
            owner.reduce = _reducing(reduce)
    quantile = groupby.GroupBy.quantile
    groupby.GroupBy.quantile = _quantile(quantile)
    _labels()


def _labels() -> None:
    """Has lazy labels computed when groups are formed of them: a reduction is planned by where each group's elements lie."""
    try:
        from xarray import groupers
    except ImportError:
        return

    for grouper in (groupers.UniqueGrouper, groupers.BinGrouper):
        grouper.factorize = _at_hand(grouper.factorize)


def _at_hand(factorize: Any) -> Any:
    @functools.wraps(factorize)
    def known(self: Any, group: Any) -> Any:
        is_lazy = isinstance(getattr(getattr(group, "variable", None), "_data", None), Array)
        return factorize(self, group.compute() if is_lazy else group)

    return known


def _without_flox(by_flox: Any) -> Any:
    """Where flox is installed, xarray asks it for groups of any chunked arrays; ours go xarray's own way."""

    @functools.wraps(by_flox)
    def of_groups(self: Any, dim: Any, *, func: str, keep_attrs: bool | None = None, **kwargs: Any) -> Any:
        if not _are_lazy(self._original_obj):
            return by_flox(self, dim, func=func, keep_attrs=keep_attrs, **kwargs)
        from xarray import set_options

        told = {name: value for name, value in kwargs.items() if name not in _OF_FLOX}
        if func not in ("first", "last"):
            told["dim"] = dim
        with set_options(use_flox=False):
            return getattr(self, func)(keep_attrs=keep_attrs, **told)

    return of_groups


def _are_lazy(data: Any) -> bool:
    variables = data._variables.values() if hasattr(data, "data_vars") else (data._variable,)
    return any(isinstance(variable._data, Array) for variable in variables)


def _reducing(reduce: Any) -> Any:
    @functools.wraps(reduce)
    def reduce_groups(self: Any, func: Any, dim: Any = None, **kwargs: Any) -> Any:
        made = reduce(self, func, dim, **kwargs)
        kind = None
        if (getattr(func, "__module__", None) or "").startswith("xarray."):
            kind = _KINDS.get(getattr(func, "__name__", ""))
        for own, name, skipna in _NUMPY:
            if own is func and "skipna" not in kwargs:
                kind, kwargs = name, {**kwargs, "skipna": skipna}
        known = {"skipna", "keep_attrs", "ddof", "min_count", "axis", "shortcut", "numeric_only", "keepdims"}
        if kind is None or set(kwargs) - known or kwargs.get("axis") is not None or kwargs.get("keepdims"):
            return made
        return _natively(self, made, kind, kwargs)

    return reduce_groups


def _quantile(quantile: Any) -> Any:
    @functools.wraps(quantile)
    def quantile_groups(self: Any, q: Any, dim: Any = None, **kwargs: Any) -> Any:
        made = quantile(self, q, dim, **kwargs)
        method = kwargs.get("method", "linear")
        if method != "linear" or kwargs.get("interpolation") not in (None, "linear") or np.ndim(q) > 1:
            return made
        return _natively(self, made, "quantile", {"skipna": kwargs.get("skipna"), "q": q})

    return quantile_groups


def _natively(groups: Any, made: Any, kind: str, kwargs: dict[str, Any]) -> Any:
    """The result with its lazy variables reduced by the core, where it can say all that xarray says."""
    if len(groups.groupers) != 1 or getattr(groups, "_by_chunked", False):
        return made
    source = groups._original_obj
    codes = groups.encoded.codes
    if not isinstance(codes._variable._data, np.ndarray):
        return made
    # What is resampled has the dimension that it had, under its own name.
    name, count = getattr(groups, "_dim", groups.groupers[0].name), len(groups.encoded.full_index)
    if hasattr(made, "data_vars"):
        natives = {
            key: _native(source[key].variable, one.variable, codes, name, count, kind, kwargs)
            for key, one in made.data_vars.items()
            if key in source
        }
        changed = {key: made.variables[key]._replace(data=x) for key, x in natives.items() if x is not None}
        return made._replace(variables={**made._variables, **changed}) if changed else made
    x = _native(source.variable, made.variable, codes, name, count, kind, kwargs)
    return made if x is None else made._replace(variable=made.variable._replace(data=x))


def _native(source: Any, made: Any, codes: Any, name: Any, count: int, kind: str, kwargs: dict[str, Any]) -> Array | None:
    x = source._data
    if not isinstance(x, Array) or not isinstance(made._data, Array) or name not in made.dims:
        return None
    if made.sizes[name] != count or x.dtype.kind in "mMc" or not set(codes.dims) <= set(source.dims):
        return None
    reduced = [dim for dim in source.dims if dim not in made.dims or dim in codes.dims]
    added = ["quantile"] if np.ndim(kwargs.get("q", 0.0)) else []
    if not set(codes.dims) <= set(reduced) or set(made.dims) - {name} - set(source.dims) != set(added):
        return None
    numbers = codes.variable.set_dims({dim: source.sizes[dim] for dim in reduced}).transpose(*reduced).values
    skipna = kwargs.get("skipna")
    skipna = x.dtype.kind == "f" if skipna is None else bool(skipna)
    occurring = np.unique(numbers[numbers >= 0]).size
    min_count = int(kwargs.get("min_count") or 0)
    if min_count and kind not in ("sum", "prod"):
        return None
    fill = np.nan if occurring < count or min_count else None
    axes = [source.get_axis_num(dim) for dim in reduced]
    native = ga.group_reduce(
        kind, x, axes, numbers, count, skipna=skipna and kind not in ("any", "all"), fill_value=fill,
        min_count=min_count, ddof=int(kwargs.get("ddof") or 0), q=kwargs.get("q"),
    )
    if kind == "quantile" and not added:
        native = native[0]
    dims = added + [name if dim == reduced[0] else dim for dim in source.dims if dim == reduced[0] or dim not in reduced]
    native = native.transpose([dims.index(dim) for dim in made.dims])
    if native.shape != made.shape:
        return None
    return native if native.dtype == made.dtype else native.astype(made.dtype)
