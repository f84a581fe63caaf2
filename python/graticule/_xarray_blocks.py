"""`xr.map_blocks` on Graticule's arrays: a function of xarray's objects, called once for each block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

import graticule.array as ga

from .array import Array
from .array._apply import _LABELS
from .array._convert import dtype_name
from .errors import InvalidValue, Unsupported

#: The name of a data array within the datasets that travel.
_OWN = "__graticule_data__"


def is_lazy(*objects: Any) -> bool:
    return any(
        isinstance(one._data, Array)
        for value in objects
        if isinstance(value, (xr.Dataset, xr.DataArray))
        for one in _dataset(value)[0].variables.values()
    )


def map_blocks(
    func: Callable[..., Any], obj: Any, args: Sequence[Any] = (), kwargs: Any = None, template: Any = None
) -> Any:
    """Calls `func(block, *args, **kwargs)` for each block of `obj`, with the same blocks of the xarray objects among `args`.

    Without a template the function is tried on ones in the place of the first block, to learn what it makes.
    """
    kwargs = dict(kwargs or {})
    values = [obj, *args]
    inputs = [_dataset(value) if isinstance(value, (xr.Dataset, xr.DataArray)) else None for value in values]
    chunks = _chunks([one[0] for one in inputs if one is not None])
    if template is None:
        template = _tried(func, values, inputs, chunks, kwargs)
    made, is_array = _dataset(template)
    lazy: list[Array] = []
    dims: list[tuple[Any, ...]] = []
    parts = [None if one is None else _taken(one, chunks, lazy, dims) for one in inputs]
    # Beside the parts, the names of data arrays, and what is no object of xarray's.
    rest = [getattr(v, "name", None) if p is not None else v for p, v in zip(parts, values)]
    call = _Call(func, parts, rest, kwargs)
    variables = {}
    for name, one in made.variables.items():
        if name in made.data_vars:
            data = _variable(call, name, one, lazy, dims, chunks, made)
            variables[name] = xr.Variable(one.dims, data, one.attrs)
    result = made.assign(variables)
    if not is_array:
        return result
    return result[_OWN].rename(template.name)


def _dataset(value: Any) -> tuple[xr.Dataset, bool]:
    if isinstance(value, xr.Dataset):
        return value, False
    return value._to_temp_dataset().rename({next(iter(value._to_temp_dataset().data_vars)): _OWN}), True


def _chunks(datasets: list[xr.Dataset]) -> dict[Any, tuple[int, ...]]:
    """Lengths of the blocks along each dimension: those of the lazy variables, whole where there are none."""
    chunks: dict[Any, tuple[int, ...]] = {}
    for ds in datasets:
        for one in ds.variables.values():
            if not isinstance(one._data, Array):
                continue
            for dim, lengths in zip(one.dims, one._data.chunks):
                if chunks.setdefault(dim, lengths) != lengths:
                    raise InvalidValue(f"dimension {dim!r} is cut in different ways; call unify_chunks() first")
    return chunks


def _taken(
    one: tuple[xr.Dataset, bool], chunks: dict[Any, tuple[int, ...]], lazy: list[Array], dims: list[tuple[Any, ...]]
) -> tuple[xr.Dataset, bool, dict[Any, int]]:
    """What travels with the call, and which lazy variables come as blocks."""
    ds, is_array = one
    numbers = {}
    for name, variable in ds.variables.items():
        if isinstance(variable._data, Array):
            numbers[name] = len(lazy)
            lazy.append(variable._data)
            dims.append(variable.dims)
    return ds.drop_vars(list(numbers)), is_array, {n: (i, ds[n].dims, ds[n].attrs, n in ds.coords) for n, i in numbers.items()}


class _Call:
    def __init__(self, func: Any, parts: Any, values: Any, kwargs: Any) -> None:
        self.func, self.parts, self.values, self.kwargs = func, parts, values, kwargs

    def __call__(self, blocks: list[np.ndarray], slices: dict[Any, slice]) -> Any:
        given = []
        for part, value in zip(self.parts, self.values):
            if part is None:
                given.append(value)
                continue
            ds, is_array, numbers = part
            ds = ds.isel({dim: one for dim, one in slices.items() if dim in ds.dims})
            for name, (number, dims, attrs, is_coord) in numbers.items():
                ds[name] = xr.Variable(dims, blocks[number], attrs)
                if is_coord:
                    ds = ds.set_coords(name)
            given.append(_array(ds, value) if is_array else ds)
        return self.func(*given, **self.kwargs)


def _array(ds: xr.Dataset, name: Any) -> xr.DataArray:
    return ds[_OWN].assign_coords(ds.coords).rename(name)


class _Block:
    """One variable of what the function makes of a block."""

    def __init__(self, call: _Call, name: Any, dims: tuple[Any, ...], of: list[tuple[Any, ...]]) -> None:
        self.call, self.name, self.dims, self.of = call, name, dims, of

    def __call__(self, blocks: list[Any], wanted: Any) -> np.ndarray:
        slices = {dim: slice(start, stop) for dim, (_, start, stop) in zip(self.dims, wanted.place)}
        for block, dims in zip(blocks, self.of):
            slices |= {dim: slice(start, stop) for dim, (_, start, stop) in zip(dims, block.place)}
        made = self.call([block.elements for block in blocks], slices)
        if not isinstance(made, (xr.Dataset, xr.DataArray)):
            raise InvalidValue(f"the function gave {type(made).__name__}, not a Dataset or a DataArray")
        found = _dataset(made)[0]
        if self.name not in found:
            raise InvalidValue(f"the function gave no variable {self.name!r}; it gave {sorted(map(str, found.data_vars))}")
        return found[self.name].transpose(*self.dims).values


def _variable(
    call: _Call, name: Any, one: xr.Variable, lazy: list[Array], of: list[tuple[Any, ...]],
    chunks: dict[Any, tuple[int, ...]], made: xr.Dataset,
) -> Array:
    from . import _graticule
    from ._blocks import dumps

    missing = [dim for dim, lengths in chunks.items() if len(lengths) > 1 and dim not in one.dims]
    if missing:
        raise Unsupported(f"xr.map_blocks where {name!r} lacks {missing[0]!r}, which has several chunks; rechunk it to one")
    names = list(dict.fromkeys([*one.dims, *(dim for dims in of for dim in dims)]))
    label = dict(zip(names, _LABELS))
    known = {dim for dims in of for dim in dims}
    own = one._data.chunks if isinstance(one._data, Array) else [None] * one.ndim
    new, adjust = [], []
    for dim, length, lengths in zip(one.dims, one.shape, own):
        if dim not in known:
            new.append((label[dim], int(length)))
        elif length != sum(chunks[dim]):
            adjust.append((label[dim], list(lengths) if lengths else _share(length, chunks[dim], dim)))
    function = _graticule.Function(dumps(_Block(call, name, one.dims, of)))
    text = "".join(label[dim] for dim in one.dims)
    arrays = [(x._x, "".join(label[dim] for dim in dims)) for x, dims in zip(lazy, of)]
    return Array(_graticule.blockwise_of(function, text, arrays, dtype_name(one.dtype), new, adjust, False))


def _share(length: int, lengths: tuple[int, ...], dim: Any) -> list[int]:
    if length % len(lengths):
        raise InvalidValue(f"{length} elements along {dim!r} do not go into {len(lengths)} blocks; give a template with chunks")
    return [length // len(lengths)] * len(lengths)


def _tried(func: Any, values: list[Any], inputs: Any, chunks: dict[Any, tuple[int, ...]], kwargs: dict[str, Any]) -> Any:
    """What the function makes of ones in the place of the first block, with the lengths of the whole."""
    first = {dim: slice(0, lengths[0]) for dim, lengths in chunks.items()}
    small, whole = [], {}
    for value, one in zip(values, inputs):
        if one is None:
            small.append(value)
            continue
        ds, is_array = one
        whole |= {name: v for name, v in ds.coords.items()}
        part = ds.isel({dim: s for dim, s in first.items() if dim in ds.dims})
        filled = {
            name: xr.Variable(v.dims, np.ones(v.shape, v.dtype), v.attrs)
            for name, v in part.variables.items()
            if isinstance(v._data, Array)
        }
        coords = {name: v for name, v in filled.items() if name in part.coords}
        part = part.assign({n: v for n, v in filled.items() if n not in coords}).assign_coords(coords)
        small.append(_array(part, value.name) if is_array else part)
    try:
        made = func(*small, **kwargs)
    except Exception as error:
        raise InvalidValue(
            f"xr.map_blocks tried its function on ones, to learn what it makes, and it raised {type(error).__name__}: {error}; "
            "give it a template"
        ) from error
    if not isinstance(made, (xr.Dataset, xr.DataArray)):
        raise TypeError(f"the function must give a DataArray or a Dataset, not {type(made).__name__}")
    ds, is_array = _dataset(made)
    sizes = {
        dim: sum(chunks[dim]) if dim in chunks and length == chunks[dim][0] else length * len(chunks.get(dim, (0,)))
        for dim, length in ds.sizes.items()
    }
    variables = {
        name: xr.Variable(v.dims, np.broadcast_to(np.zeros((), v.dtype), [sizes[dim] for dim in v.dims]), v.attrs)
        for name, v in ds.data_vars.items()
    }
    coords = {n: whole[n] if n in whole and whole[n].sizes == {d: sizes[d] for d in v.dims} else v for n, v in ds.coords.items()}
    coords = {n: v for n, v in coords.items() if all(v.sizes[d] == sizes[d] for d in v.dims)}
    full = xr.Dataset({n: v for n, v in variables.items()}, coords, ds.attrs)
    if not is_array:
        return full
    return full[_OWN].rename(made.name)
