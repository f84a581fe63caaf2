"""What goes wrong, as classes of its own that are also the built-in ones that users of NumPy expect."""

from __future__ import annotations

import concurrent.futures

import numpy as np


class GraticuleError(Exception):
    """Everything that Graticule itself raises."""


class InvalidValue(GraticuleError, ValueError):
    """Shapes, chunks, axes or options that do not fit."""


class InvalidType(GraticuleError, TypeError):
    """A dtype that an operation has no meaning for."""


class InvalidIndex(GraticuleError, IndexError):
    """An index that is out of bounds or of the wrong sort."""


class InvalidName(GraticuleError, KeyError):
    """A name that nothing has, or that something has already."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InvalidAxis(GraticuleError, np.exceptions.AxisError):
    """An axis that the array does not have."""


class OutOfBounds(GraticuleError, OverflowError):
    """A Python integer that the array's dtype cannot hold."""


class Unsupported(GraticuleError, NotImplementedError):
    """Something that NumPy, Dask or xarray can do and Graticule cannot, by its name."""


class SourceError(GraticuleError, OSError):
    """A file, store or catalog that cannot be described."""


class ClusterError(GraticuleError, RuntimeError):
    """The cluster cannot be reached, or this client is closed."""


class TaskFailed(ClusterError):
    """A task failed, and with it the job. (An exception of a Python function arrives as itself.)"""


class Cancelled(ClusterError):
    """The job was cancelled."""


class ResultTooLarge(ClusterError, MemoryError):
    """A result that would take more than half of the free memory."""


class FutureCancelled(Cancelled, concurrent.futures.CancelledError):
    """The result of a call that was cancelled, or that needs one that was."""


class VersionMismatch(ClusterError):
    """Workers run another version of Python, whose functions and objects this one cannot exchange with them."""
