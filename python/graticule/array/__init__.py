"""NumPy's and dask.array's functions on lazy chunked arrays.

>>> import graticule.array as ga
>>> x = ga.ones((4, 6), chunks=2)
>>> x.sum(axis=0).shape
(6,)
"""

from __future__ import annotations

import numpy as _np

from .._client import compute
from . import _elementwise, _reduce, _text, fft, linalg, random
from ._apply import (
    apply_along_axis,
    apply_gufunc,
    as_gufunc,
    blockwise,
    gufunc,
    map_blocks,
    map_overlap,
    overlap,
    reduction,
    trim_overlap,
    unify_chunks,
    vectorize,
)
from ._array import Array
from ._chunks import normalize_chunks
from ._create import (
    arange,
    array,
    asanyarray,
    asarray,
    empty,
    empty_like,
    eye,
    from_array,
    from_delayed,
    from_zarr,
    fromfunction,
    full,
    full_like,
    identity,
    linspace,
    ones,
    ones_like,
    tri,
    zeros,
    zeros_like,
)
from ._elementwise import (
    allclose,
    angle,
    apply_over_axes,
    around,
    array_equal,
    array_equiv,
    astype,
    can_cast,
    clip,
    copy,
    divmod,
    iscomplexobj,
    isclose,
    isnull,
    isrealobj,
    nan_to_num,
    ndim,
    result_type,
    round,
    select,
    shape,
    size,
    where,
)
from ._positions import (
    choose,
    coarsen,
    histogram2d,
    histogramdd,
    moment,
    piecewise,
    ravel_multi_index,
    rechunk,
    shuffle,
    tril_indices,
    tril_indices_from,
    triu_indices,
    triu_indices_from,
    unravel_index,
)
from ._products import convolve, corrcoef, cov, cross, dot, einsum, inner, kron, matmul, outer, tensordot, vdot, vecdot
from ._reduce import (
    argpartition,
    argsort,
    argtopk,
    average,
    bfill,
    bincount,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    digitize,
    ffill,
    group_reduce,
    histogram,
    isin,
    move,
    nanpercentile,
    nanquantile,
    partition,
    percentile,
    ptp,
    push,
    quantile,
    searchsorted,
    sort,
    topk,
)
from ._select import (
    argwhere,
    extract,
    flatnonzero,
    intersect1d,
    nonzero,
    setdiff1d,
    setxor1d,
    union1d,
    unique,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from ._shape import (
    append,
    array_split,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block,
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    column_stack,
    compress,
    concat,
    concatenate,
    delete,
    diag,
    diagonal,
    diff,
    dsplit,
    dstack,
    ediff1d,
    expand_dims,
    flip,
    fliplr,
    flipud,
    gradient,
    hsplit,
    hstack,
    indices,
    insert,
    interp,
    matrix_transpose,
    meshgrid,
    moveaxis,
    pad,
    permute_dims,
    polyval,
    ravel,
    repeat,
    reshape,
    reshape_blockwise,
    roll,
    rollaxis,
    rot90,
    sliding_window_view,
    split,
    squeeze,
    stack,
    swapaxes,
    take,
    take_along_axis,
    tile,
    trace,
    transpose,
    trapezoid,
    tril,
    triu,
    unstack,
    unwrap,
    vsplit,
    vstack,
)
from ._store import from_npy_stack, store, to_npy_stack, to_zarr
from ._text import Text

globals().update(_elementwise.FUNCTIONS)
globals().update(_reduce.FUNCTIONS)

for _name in (
    "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64",
    "complex128", "datetime64", "timedelta64", "newaxis", "nan", "inf", "pi", "e", "dtype",
):
    globals()[_name] = getattr(_np, _name)


for _name, _function in _text.FUNCTIONS.items():
    if _name in globals():
        globals()[_name] = _text.taking(globals()[_name], _function)


def _methods() -> None:
    """The functions that NumPy's arrays have as methods too."""
    for name in (
        "all", "any", "argmax", "argmin", "argsort", "cumprod", "cumsum", "diagonal", "max", "mean", "min", "nonzero", "prod",
        "ptp", "searchsorted", "sort", "std", "sum", "take", "topk", "argtopk", "trace", "var", "compress", "moveaxis",
        "choose", "moment", "shuffle",
    ):
        setattr(Array, name, globals()[name])


_methods()

__all__ = sorted(name for name in globals() if not name.startswith("_") and name != "annotations")
