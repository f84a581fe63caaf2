"""The Array API standard, 2025.12, on lazy chunked arrays.

>>> import graticule.array_api as xp
>>> x = xp.reshape(xp.arange(6, dtype=xp.float64), (2, 3))
>>> float(xp.sum(x * 2))
30.0

What the standard leaves open raises here: numbers of different kinds do not meet, and arrays of other libraries neither. What needs
all that `graticule.array` can do takes an array's `lazy`, and `asarray` brings it back.
"""

from __future__ import annotations

import math as _math

from . import fft, linalg
from ._array import Array
from ._creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from ._dtypes import (
    bool,
    can_cast,
    complex64,
    complex128,
    finfo,
    float32,
    float64,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    isdtype,
    result_type,
    uint8,
    uint16,
    uint32,
    uint64,
)
from ._elementwise import FUNCTIONS as _of_elements
from ._info import __array_namespace_info__
from ._manipulation import (
    astype,
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    concat,
    expand_dims,
    flip,
    matrix_transpose,
    moveaxis,
    permute_dims,
    repeat,
    reshape,
    roll,
    squeeze,
    stack,
    take,
    take_along_axis,
    tile,
    unstack,
)
from ._products import matmul, tensordot, vecdot
from ._reductions import FUNCTIONS as _of_axes
from ._reductions import (
    argsort,
    diff,
    isin,
    nonzero,
    searchsorted,
    sort,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    where,
)

__array_api_version__ = "2025.12"

e, inf, nan, pi, newaxis = _math.e, _math.inf, _math.nan, _math.pi, None

globals().update(_of_elements)
globals().update(_of_axes)

__all__ = sorted(name for name in globals() if not name.startswith("_") and name != "annotations")
__all__ += ["__array_api_version__", "__array_namespace_info__"]
