"""Big chunked arrays on a cluster, or in this process.

`graticule.array` has the arrays, `graticule.Client` the cluster, `graticule.stac` satellite scenes; xarray finds the package by
itself (`chunked_array_type="graticule"`, `engine="graticule"`).
"""

from __future__ import annotations

from ._calls import annotate
from ._cluster import LocalCluster
from ._client import Client, compute, default_client, persist
from ._futures import Future, as_completed, fire_and_forget, futures_of, wait
from ._graticule import __version__
from ._plugins import Environ, PipInstall, UploadFile, WorkerPlugin
from ._progress import ProgressBar, progress
from ._report import performance_report
from ._worker import get_client, get_worker, rejoin, secede, worker_client
from .errors import (
    Cancelled,
    ClusterError,
    FutureCancelled,
    GraticuleError,
    InvalidIndex,
    InvalidType,
    InvalidValue,
    OutOfBounds,
    ResultTooLarge,
    SourceError,
    TaskFailed,
    VersionMismatch,
)

__all__ = [
    "Cancelled",
    "Client",
    "ClusterError",
    "Environ",
    "Future",
    "FutureCancelled",
    "GraticuleError",
    "InvalidIndex",
    "InvalidType",
    "InvalidValue",
    "LocalCluster",
    "OutOfBounds",
    "PipInstall",
    "ProgressBar",
    "ResultTooLarge",
    "SourceError",
    "TaskFailed",
    "UploadFile",
    "VersionMismatch",
    "WorkerPlugin",
    "__version__",
    "annotate",
    "as_completed",
    "compute",
    "default_client",
    "fire_and_forget",
    "futures_of",
    "get_client",
    "get_worker",
    "performance_report",
    "persist",
    "progress",
    "rejoin",
    "secede",
    "wait",
    "worker_client",
]
