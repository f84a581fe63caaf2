"""Python functions on the blocks of arrays, under Dask's names."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _graticule
from .._blocks import Call, Step, dumps
from ..errors import InvalidType, InvalidValue, Unsupported
from ._array import Array
from ._convert import dtype_name, typed

_LABELS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def infer(what: str, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a function gives for arrays of one element."""

    def small(value: Any) -> Any:
        return np.ones((1,) * value.ndim, value.dtype) if isinstance(value, Array) else value

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return func(*map(small, args), **kwargs)
    except Exception as error:
        raise InvalidType(
            f"{what} tried its function on arrays of one element to learn the dtype, and it raised {type(error).__name__}: "
            f"{error}; declare the dtype with dtype= (or meta=)"
        ) from error


def _dtype(what: str, dtype: Any, meta: Any, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> np.dtype:
    if dtype is not None:
        return np.dtype(dtype)
    if meta is not None:
        return np.dtype(meta.dtype)
    return np.asarray(infer(what, func, args, kwargs)).dtype


def _wants(func: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(func).parameters
    except (TypeError, ValueError):
        return False


def _taken(args: Sequence[Any]) -> tuple[list[Array], list[tuple[int | None, Any]]]:
    """The arrays among arguments, and for each argument its number or itself."""
    arrays: list[Array] = []
    places: list[tuple[int | None, Any]] = []
    for value in args:
        if isinstance(value, Array):
            places.append((len(arrays), None))
            arrays.append(value)
        else:
            places.append((None, value))
    return arrays, places


def _result_chunks(chunks: Any, arrays: list[Array]) -> list[Any] | None:
    """Chunks of a result: for each axis a length of every block, or the lengths of all."""
    if chunks is None:
        return None
    if isinstance(chunks, (int, np.integer)):
        chunks = (chunks,)
    return [int(one) if isinstance(one, (int, np.integer)) else [int(length) for length in one] for one in chunks]


def map_blocks(
    func: Callable[..., Any],
    *args: Any,
    name: Any = None,
    token: Any = None,
    dtype: Any = None,
    chunks: Any = None,
    drop_axis: Any = None,
    new_axis: Any = None,
    enforce_ndim: bool = False,
    meta: Any = None,
    _casts: bool = False,
    **kwargs: Any,
) -> Array:
    """Calls a function with each block of arrays that are cut alike; its results are the blocks of a new array.

    The function is lent read-only NumPy arrays. What it gives must have the declared dtype (or the one that it gives for arrays of
    one element) and the shape of its arguments, or the one that `chunks` says. `block_id` and `block_info` are given to a function
    that has parameters of these names.
    """
    if any(isinstance(value, np.ndarray) and value.ndim for value in args) and any(isinstance(v, Array) for v in args):
        args = _as_wide(args)
    arrays, places = _taken(args)
    wants_id, wants_info = _wants(func, "block_id"), _wants(func, "block_info")
    tried = dict(kwargs)
    if wants_id:
        tried["block_id"] = (0,) * max((array.ndim for array in arrays), default=0)
    if wants_info:
        tried["block_info"] = {}
    dtype = _dtype("map_blocks", dtype, meta, func, args, tried)
    drop = [] if drop_axis is None else [drop_axis] if isinstance(drop_axis, int) else list(drop_axis)
    new = [] if new_axis is None else [new_axis] if isinstance(new_axis, int) else list(new_axis)
    call = Call(func, places, kwargs, casts=_casts, wants_id=wants_id, wants_info=wants_info)
    function = _graticule.Function(dumps(call))
    made = _graticule.mapped(
        function, [array._x for array in arrays], dtype_name(dtype), drop, new, _result_chunks(chunks, arrays)
    )
    return Array(made)


def _as_wide(args: Sequence[Any]) -> list[Any]:
    """NumPy arrays that have the shape of a lazy one are cut as it is; others go whole to each call."""
    widest = max((value for value in args if isinstance(value, Array)), key=lambda array: array.ndim)

    def wide(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.shape == widest.shape:
            return Array(typed(value)).rechunk(widest.chunks)
        return value

    return [wide(value) for value in args]


def _per_axis(value: Any, ndim: int, default: Any) -> list[Any]:
    if isinstance(value, dict):
        wrapped = {axis % ndim: one for axis, one in value.items()}
        return [wrapped.get(axis, default) for axis in range(ndim)]
    if isinstance(value, (tuple, list)) and len(value) == ndim and not isinstance(value, str):
        return list(value)
    return [value] * ndim


def _depth(depth: Any, ndim: int) -> list[tuple[int, int]]:
    pairs = [one if isinstance(one, (tuple, list)) else (one, one) for one in _per_axis(depth, ndim, 0)]
    return [(int(before), int(after)) for before, after in pairs]


def _boundary(boundary: Any, ndim: int) -> list[Any]:
    return ["none" if one is None else one for one in _per_axis(boundary, ndim, None)]


def overlap(x: Array, depth: Any, boundary: Any = None, **_: Any) -> Array:
    """Gives each chunk the elements around it."""
    return Array(x._x.overlap(_depth(depth, x.ndim), _boundary(boundary, x.ndim)))


def trim_overlap(x: Array, depth: Any, boundary: Any = None) -> Array:
    return Array(x._x.trim_overlap(_depth(depth, x.ndim), _boundary(boundary, x.ndim)))


def map_overlap(
    func: Callable[..., Any],
    *args: Any,
    depth: Any = None,
    boundary: Any = None,
    trim: bool = True,
    align_arrays: bool = True,
    allow_rechunk: bool = True,
    dtype: Any = None,
    meta: Any = None,
    chunks: Any = None,
    drop_axis: Any = None,
    new_axis: Any = None,
    _casts: bool = False,
    **kwargs: Any,
) -> Array:
    """As `map_blocks`, with each block together with `depth` elements around it, of which the result is rid again."""
    kwargs.pop("name", None), kwargs.pop("token", None)
    arrays, places = _taken(args)
    if not arrays:
        raise InvalidValue("map_overlap needs an array")
    ndim = arrays[0].ndim
    dtype = _dtype("map_overlap", dtype, meta, func, args, kwargs)
    drop = [] if drop_axis is None else [drop_axis] if isinstance(drop_axis, int) else list(drop_axis)
    new = [] if new_axis is None else [new_axis] if isinstance(new_axis, int) else list(new_axis)
    function = _graticule.Function(dumps(Call(func, places, kwargs, casts=_casts)))
    made = _graticule.map_overlapped(
        function, [array._x for array in arrays], _depth(depth or 0, ndim), _boundary(boundary, ndim), trim,
        dtype_name(dtype), drop, new, _result_chunks(chunks, arrays),
    )
    return Array(made)


def blockwise(
    func: Callable[..., Any],
    out_ind: Any,
    *args: Any,
    name: Any = None,
    token: Any = None,
    dtype: Any = None,
    adjust_chunks: Any = None,
    new_axes: Any = None,
    align_arrays: bool = True,
    concatenate: Any = None,
    meta: Any = None,
    _casts: bool = False,
    **kwargs: Any,
) -> Array:
    """Calls a function for each block of the result with the blocks that have its labels: `blockwise(f, "ij", a, "ij", b, "j")`.

    Along axes that the result lacks the function is given all elements in one array (Dask's `concatenate=True`), or, with
    `concatenate` left out, lists of blocks as Dask gives them.
    """
    pairs = list(zip(args[::2], args[1::2]))
    labels: dict[Any, str] = {}

    def label(one: Any) -> str:
        return labels.setdefault(one, _LABELS[len(labels)])

    result = "".join(label(one) for one in out_ind)
    arrays: list[tuple[Any, str]] = []
    places: list[tuple[int | None, Any]] = []
    for value, index in pairs:
        if index is None or np.ndim(value) == 0 and not isinstance(value, Array):
            places.append((None, value))
            continue
        places.append((len(arrays), None))
        arrays.append((Array(typed(value)), "".join(label(one) for one in index)))
    if dtype is None and meta is None:
        dtype = np.asarray(infer("blockwise", func, [one for one, _ in pairs], kwargs)).dtype
    dtype = np.dtype(meta.dtype if dtype is None else dtype)
    new = [(label(one), _length(length)) for one, length in (new_axes or {}).items()]
    adjust = []
    for one, change in (adjust_chunks or {}).items():
        if callable(change):
            of = next(array.chunks[text.index(label(one))] for array, text in arrays if label(one) in text)
            change = [int(change(length)) for length in of]
        adjust.append((label(one), _length(change)))
    summed = any(one not in result for _, text in arrays for one in text)
    call: Any = Call(func, places, kwargs, casts=_casts)
    if summed and not concatenate:
        call = Nested(call, [[axis for axis, one in enumerate(text) if one not in result] for _, text in arrays])
    function = _graticule.Function(dumps(call))
    made = _graticule.blockwise_of(
        function, result, [(array._x, text) for array, text in arrays], dtype_name(dtype), new, adjust, summed
    )
    return Array(made)


def _length(length: Any) -> Any:
    return int(length) if isinstance(length, (int, np.integer)) else [int(one) for one in length]


class Nested:
    """Gives a function lists of blocks along the axes that its result lacks, as Dask does."""

    def __init__(self, call: Call, axes: list[list[int]]) -> None:
        self.call, self.axes = call, axes

    def __call__(self, blocks: list[Any], wanted: Any) -> Any:
        for block, axes in zip(blocks, self.axes):
            counts = dict(block.pieces)
            block.elements = _cut(block.elements, [(axis, counts.get(axis, 1)) for axis in axes])
        return self.call(blocks, wanted)


def _cut(elements: np.ndarray, axes: list[tuple[int, int]]) -> Any:
    if not axes:
        return elements
    (axis, count), rest = axes[0], axes[1:]
    return [_cut(part, rest) for part in np.array_split(elements, count, axis)]


def apply_gufunc(
    func: Callable[..., Any],
    signature: str,
    *args: Any,
    axes: Any = None,
    axis: int | None = None,
    keepdims: bool = False,
    output_dtypes: Any = None,
    output_sizes: Any = None,
    vectorize: bool | None = None,
    allow_rechunk: bool = False,
    meta: Any = None,
    _casts: bool = False,
    **kwargs: Any,
) -> Any:
    """Calls a generalised function, whose signature says which axes go into one call: `"(i,j),(j)->(i)"`."""
    signature = signature.replace(" ", "")
    outputs = _outputs(signature)
    several = len(outputs) > 1
    arrays = [Array(typed(value)) for value in args]
    call = Call(func, [(number, None) for number in range(len(arrays))], kwargs, casts=_casts)
    if output_dtypes is None and meta is not None:
        metas = meta if isinstance(meta, (tuple, list)) else (meta,)
        output_dtypes = [one.dtype for one in metas]
    if output_dtypes is None:
        tried = _try_gufunc(func, signature, arrays, vectorize, kwargs)
        output_dtypes = [np.asarray(one).dtype for one in (tried if several else (tried,))]
    if not isinstance(output_dtypes, (tuple, list)):
        output_dtypes = [output_dtypes] * len(outputs)
    sizes = [(str(one), int(size)) for one, size in (output_sizes or {}).items()]
    if vectorize:
        call.func = Loops(func, signature, output_dtypes, dict(sizes))
    own_axes = None if axes is None else [[one] if isinstance(one, int) else list(one) for one in axes]

    def made(function: Any, signature: str, dtypes: Any) -> list[Array]:
        found = _graticule.gufunc(
            _graticule.Function(dumps(function)), signature, [array._x for array in arrays],
            [dtype_name(dtype) for dtype in dtypes], own_axes, axis, keepdims, sizes, False, allow_rechunk,
        )
        return [Array(one) for one in found]

    if len(set(outputs)) <= 1:
        results = made(call, signature, output_dtypes)
    else:
        # Results with axes of their own that differ come of calls of their own.
        inputs = signature.split("->")[0]
        results = [
            made(OneOf(call, number), f"{inputs}->{own}", [output_dtypes[number]])[0]
            for number, own in enumerate(outputs)
        ]
    return tuple(results) if several else results[0]


def _outputs(signature: str) -> list[str]:
    return [f"({part})" for part in _parts(signature.split("->")[1])]


def _try_gufunc(func: Any, signature: str, arrays: list[Array], vectorize: Any, kwargs: Any) -> Any:
    if vectorize:
        counts = [len(names) for names in _names(signature.split("->")[0])]
        small = [np.ones((1,) * count, array.dtype)[()] for array, count in zip(arrays, counts)]
        return infer("apply_gufunc", func, small, kwargs)
    return infer("apply_gufunc", func, arrays, kwargs)


class Loops:
    """A function that knows no leading axes, called for each place of them."""

    def __init__(self, func: Callable[..., Any], signature: str, dtypes: Any, sizes: dict[str, int]) -> None:
        inputs, outputs = map(_names, signature.split("->"))
        self.func, self.inputs, self.outputs = func, inputs, outputs
        self.dtypes, self.sizes = [np.dtype(one) for one in dtypes], sizes

    def __call__(self, *blocks: Any, **kwargs: Any) -> Any:
        sizes, places, cores = dict(self.sizes), [], []
        for block, names in zip(blocks, self.inputs):
            last = np.ndim(block) - len(names)
            places.append(np.shape(block)[:last])
            cores.append(np.shape(block)[last:])
            sizes.update(zip(names, cores[-1]))
        loops = np.broadcast_shapes(*places)
        inputs = [np.broadcast_to(block, (*loops, *core)) for block, core in zip(blocks, cores)]
        shapes = [tuple(sizes[name] for name in names) for names in self.outputs]
        made = [np.empty((*loops, *shape), dtype) for shape, dtype in zip(shapes, self.dtypes)]
        for place in np.ndindex(*loops):
            results = self.func(*(block[place] for block in inputs), **kwargs)
            for one, result in zip(made, self._told_apart(results)):
                one[place] = _checked(result, one.shape[len(loops) :], one.dtype)
        return tuple(made) if len(made) > 1 else made[0]

    def _told_apart(self, results: Any) -> Sequence[Any]:
        count = len(self.outputs)
        if count == 1:
            return (results,)
        if not isinstance(results, (tuple, list)) or len(results) != count:
            got = f"{len(results)} results" if isinstance(results, (tuple, list)) else type(results).__name__
            raise InvalidValue(f"a call gave {got} where the signature says {count} results: give them as a tuple")
        return results


def _checked(result: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What a call gave, if it is what was said."""
    made = np.asarray(result)
    if made.shape != shape:
        raise InvalidValue(f"a call gave an array of shape {made.shape} where the signature says {shape}")
    # Python's whole numbers take any dtype of whole numbers.
    is_weak = isinstance(result, int) and dtype.kind in "iu"
    if not (made.dtype == dtype or is_weak or np.can_cast(made.dtype, dtype, "same_kind")):
        raise InvalidType(f"a call gave {made.dtype}, {dtype} was declared; declare its dtype with output_dtypes=")
    return made


def _parts(side: str) -> list[str]:
    """What stands between the brackets of a signature's side."""
    return re.findall(r"\(([^)]*)\)", side) or [""]


def _names(side: str) -> list[list[str]]:
    """The core dimensions of each array of a signature's side."""
    return [[name for name in part.split(",") if name] for part in _parts(side)]


class OneOf:
    """One of several results of a call."""

    def __init__(self, call: Call, number: int) -> None:
        self.call, self.number = call, number

    def __call__(self, blocks: list[Any], wanted: Any) -> Any:
        from .._blocks import cast

        casts, self.call.casts = self.call.casts, False
        made = self.call(blocks, wanted)[self.number]
        self.call.casts = casts
        return cast(made, wanted) if casts else made


def as_gufunc(signature: str | None = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that makes `apply_gufunc` of a function."""

    def decorate(func: Callable[..., Any]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return apply_gufunc(func, signature, *args, **options, **kwargs)

        return call

    return decorate


gufunc = as_gufunc


def reduction(
    x: Any,
    chunk: Callable[..., Any],
    aggregate: Callable[..., Any],
    axis: Any = None,
    keepdims: bool = False,
    dtype: Any = None,
    split_every: Any = None,
    combine: Callable[..., Any] | None = None,
    name: Any = None,
    out: Any = None,
    concatenate: bool = True,
    output_size: int = 1,
    meta: Any = None,
    weights: Any = None,
) -> Array:
    """A reduction by functions `(block, axis, keepdims)`: of each block, of what several gave, and of the last ones."""
    if not concatenate or output_size != 1 or weights is not None or out is not None:
        raise Unsupported("reduction with concatenate=False, output_size=, weights= or out=")
    x = Array(typed(x))
    axes = tuple(range(x.ndim)) if axis is None else tuple(one % x.ndim for one in np.atleast_1d(axis).tolist())
    dtype = _dtype("reduction", dtype, meta, lambda block: aggregate(chunk(block, axis=axes, keepdims=True), axis=axes, keepdims=True), [x], {})
    steps = [None if func is None else _graticule.Function(dumps(Step(func, axes))) for func in (chunk, combine, aggregate)]
    small = np.asarray(infer("reduction", lambda block: chunk(block, axis=axes if len(axes) != 1 else axes[0], keepdims=True), [x], {}))
    partial = None if combine is None and small.dtype == dtype else [dtype_name(small.dtype)]
    split = int(np.prod(list(split_every.values()))) if isinstance(split_every, dict) else split_every
    return Array(
        _graticule.reduction_of(
            x._x, steps[0], steps[1] or (steps[2] if partial else None), steps[2], partial, dtype_name(dtype), list(axes), keepdims, split
        )
    )


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, dtype: Any = None, shape: Any = None, **kwargs: Any) -> Array:
    """NumPy's `apply_along_axis`: the axis is brought to one chunk."""
    x = Array(typed(arr))
    if dtype is None or shape is None:
        tried = np.asarray(infer("apply_along_axis", func1d, [np.ones(x.shape[axis], x.dtype), *map(_loaded, args)], kwargs))
        dtype, shape = tried.dtype, tried.shape
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    names = [f"o{number}" for number in range(len(shape))]
    moved = Array(x._x.moveaxis([axis], [-1]))
    # Lazy arguments go whole to each call, as inputs of their own.
    lazy = [arg for arg in args if isinstance(arg, Array)]
    wholes = [f",({','.join(f'a{number}_{place}' for place in range(arg.ndim))})" for number, arg in enumerate(lazy)]
    made = apply_gufunc(
        Along(func1d, [None if isinstance(arg, Array) else arg for arg in args], kwargs),
        f"(i){''.join(wholes)}->({','.join(names)})", moved, *lazy, output_dtypes=[dtype],
        output_sizes=dict(zip(names, shape)), allow_rechunk=True,
    )
    last, place = x.ndim - 1, axis % x.ndim
    return Array(made._x.moveaxis([last + n for n in range(len(shape))], [place + n for n in range(len(shape))]))


def _loaded(value: Any) -> Any:
    """An argument that goes whole to each call."""
    return np.asarray(value) if isinstance(value, Array) else value


class Along:
    """`numpy.apply_along_axis` over the last axis of a block."""

    def __init__(self, func: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
        self.func, self.args, self.kwargs = func, args, kwargs

    def __call__(self, block: np.ndarray, *lazy: np.ndarray) -> np.ndarray:
        given = iter(lazy)
        args = [next(given) if arg is None else arg for arg in self.args]
        return np.apply_along_axis(self.func, -1, block, *args, **self.kwargs)


def vectorize(func: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    vectorized = np.vectorize(func, **options)
    return lambda *args, **kwargs: map_blocks(vectorized, *args, **kwargs)


def unify_chunks(*args: Any, **_: Any) -> tuple[dict[Any, tuple[int, ...]], list[Any]]:
    """Brings arrays to the same chunks along axes of the same label: `unify_chunks(x, "ij", y, "jk")`."""
    pairs = list(zip(args[::2], args[1::2]))
    cuts: dict[Any, tuple[int, ...]] = {}
    for value, index in pairs:
        if index is None:
            continue
        for one, lengths in zip(index, value.chunks if isinstance(value, Array) else [(n,) for n in value.shape]):
            known = cuts.get(one)
            if known is None or sum(known) == 1:
                cuts[one] = tuple(lengths)
            elif sum(lengths) not in (1, sum(known)):
                raise InvalidValue(f"axes {one!r} have lengths {sum(known)} and {sum(lengths)}")
            elif sum(lengths) == sum(known):
                ends = sorted({int(end) for cut in (known, lengths) for end in np.cumsum(cut)})
                cuts[one] = tuple(int(length) for length in np.diff([0, *ends]))
    made = []
    for value, index in pairs:
        if index is None:
            made.append(value)
            continue
        x = value if isinstance(value, Array) else Array(typed(value))
        made.append(x.rechunk(tuple(cuts[one] if sum(cuts[one]) == n else (n,) for one, n in zip(index, x.shape))))
    return cuts, made
