"""Big chunked arrays on a cluster, or in this process.

`graticule.array` has the arrays, `graticule.Client` the cluster, `graticule.stac` satellite scenes; xarray finds the package by
itself (`chunked_array_type="graticule"`, `engine="graticule"`).
"""

from __future__ import annotations

from ._client import Client, compute, default_client, persist
from ._graticule import __version__
from .errors import (
    Cancelled,
    ClusterError,
    GraticuleError,
    InvalidIndex,
    InvalidType,
    InvalidValue,
    OutOfBounds,
    ResultTooLarge,
    SourceError,
    TaskFailed,
)

__all__ = [
    "Cancelled",
    "Client",
    "ClusterError",
    "GraticuleError",
    "InvalidIndex",
    "InvalidType",
    "InvalidValue",
    "OutOfBounds",
    "ResultTooLarge",
    "SourceError",
    "TaskFailed",
    "__version__",
    "compute",
    "default_client",
    "persist",
]
