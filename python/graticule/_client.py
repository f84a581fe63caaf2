"""Clients: the one that is used unless another is named, and how results come here."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from . import _dask, _graticule, _html, _logs, _output
from ._about import About
from ._calls import sync
from ._cluster import LocalCluster
from .errors import InvalidValue

_lock = threading.Lock()
_clients: list[Client] = []


class Client(About):
    """A cluster in this process, or a connection to one elsewhere.

    >>> with Client() as client:  # doctest: +SKIP
    ...     client.compute(x)

    While it is open it is the default client: what is computed without naming one goes there. The one before is the default
    again when it is closed.

    Parameters
    ----------
    address
        `grpc://host:port` of a scheduler, or a `LocalCluster`. Without it a scheduler and workers start in this process.
    n_workers, threads_per_worker, memory_limit
        Of the cluster in this process: how many workers (one is best), tasks that each runs at a time (all CPUs), and bytes for
        each worker's chunks (a good half of the memory).
    dashboard_address
        Where the dashboard of the cluster in this process listens, as `127.0.0.1:0`; without it there is none.
    local_directory
        Where chunks go that do not fit the memory.
    processes
        Has functions run in processes of their own, by a `LocalCluster` that is closed with this client.
    log, silence_logs
        What of its log the cluster in this process, or with `processes` its processes, write to standard error; as for `LocalCluster`.
    reconnect_timeout
        Seconds to try to reach a scheduler again whose connection broke, before what is under way fails: 20, of a `LocalCluster` 3.
    asynchronous
        Whether methods that wait give something to await.
    """

    def __init__(
        self,
        address: str | LocalCluster | None = None,
        *,
        n_workers: int = 1,
        threads_per_worker: int | None = None,
        memory_limit: int | str | None = None,
        dashboard_address: str | None = None,
        local_directory: str | os.PathLike[str] | None = None,
        set_as_default: bool = True,
        asynchronous: bool = False,
        processes: bool = False,
        reconnect_timeout: float | None = None,
        log: str | None = None,
        silence_logs: int | str | bool | None = None,
    ) -> None:
        if address is not None and (log, silence_logs) != (None, None):
            raise InvalidValue("what a cluster elsewhere logs is said where it is started: LocalCluster(log=...), or --log")
        self._asynchronous = asynchronous
        self.cluster: LocalCluster | None = None
        self._owns_cluster = processes and address is None
        if self._owns_cluster:
            address = LocalCluster(
                n_workers, threads_per_worker, memory_limit or "auto",
                dashboard_address=dashboard_address, local_directory=local_directory, log=log, silence_logs=silence_logs,
            )
        if isinstance(address, LocalCluster):
            self.cluster, address = address, address.scheduler_address
            if reconnect_timeout is None:
                # A scheduler of this machine that is gone does not come back.
                reconnect_timeout = 3
        elif reconnect_timeout is None:
            reconnect_timeout = 20
        self.is_remote = address is not None
        if address is None:
            _logs.collect(of_functions=True)
            if (log, silence_logs) != (None, None):
                _graticule.show_log(_logs.filter_of(log, silence_logs))
            self._cluster = _graticule.Cluster.local(
                n_workers, threads_per_worker, _bytes(memory_limit), dashboard_address, local_directory
            )
            _output.begin()
            self._end_output = weakref.finalize(self, _output.end)
        else:
            self._cluster = _graticule.Cluster.connect(address, reconnect_timeout)
        if set_as_default:
            with _lock:
                _clients.append(self)
            _tell_xarray()

    def compute(self, *arrays: Any, allow_large: bool = False, sync: bool = False, optimize_graph: bool = True) -> Any:
        """Computes arrays in one plan: what they share is computed once. One array gives its result, several a tuple.

        What is no array is given back as it is; lists, tuples and dicts are looked into. Of collections of Dask's it gives futures, as
        `distributed.Client.compute` does, or with `sync=True` the results.
        """
        computed = _mapped(arrays, lambda lazy: [write(self) for write in lazy], _is_delayed)
        computed = _mapped(computed, lambda lazy: self._results(lazy, allow_large))
        if _dask.is_loaded():
            computed = _mapped(
                computed, lambda lazy: _dask.compute(self, lazy, optimize_graph), _dask.is_collection
            )
            computed = self.gather(computed) if sync else computed
        return computed[0] if len(computed) == 1 else computed

    def persist(self, *arrays: Any, optimize_graph: bool = True) -> Any:
        """Computes arrays and keeps them in the cluster, as long as what is returned or made of it lives.

        Returns at once. What is computed later of an array whose computation fails, fails with it. Collections of Dask's are kept as
        well.
        """
        kept = _mapped(arrays, self._kept)
        if _dask.is_loaded():
            kept = _mapped(kept, lambda lazy: _dask.persist(self, lazy, optimize_graph), _dask.is_collection)
        return kept[0] if len(kept) == 1 else kept

    def stream(self, array: Any) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
        """Computes an array of any size, and gives each block with its place as it is ready. Stopping cancels the rest."""
        for _, extents, buffer in self._cluster.stream(array._x):
            yield tuple(slice(*extent) for extent in extents), as_numpy(buffer)

    def info(self) -> dict[str, Any]:
        """Workers, jobs, and the number of tasks that were executed since the cluster began (`tasks_finished`)."""
        return self._cluster.info()

    def explain(self, *arrays: Any) -> str:
        """What would run on the workers that there are; nothing runs."""
        return self._cluster.explain([array._x for array in arrays])

    @property
    def dashboard_link(self) -> str | None:
        """The dashboard's address, if there is one. On a JupyterHub it goes by jupyter-server-proxy; the environment variable
        `GRATICULE_DASHBOARD_LINK` says otherwise, as `https://{host}/hub/{port}/`."""
        return _html.link(self._cluster.dashboard)

    def _repr_html_(self) -> str:
        return _html.closed("Client") if self.closed else _html.client(self)

    @property
    def closed(self) -> bool:
        return self._cluster.is_closed

    @sync
    def close(self) -> None:
        """Ends the cluster in this process in order, or leaves another one; the default client is the one before again."""
        with _lock:
            if self in _clients:
                _clients.remove(self)
        _tell_xarray()
        self._end_calls()
        self._cluster.close()
        if not self.is_remote:
            self._end_output()
        if self._owns_cluster and self.cluster is not None:
            self.cluster.close()

    def __enter__(self) -> Client:
        # Dask's collections are computed here for as long.
        self._as_scheduler = _dask.AsScheduler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._as_scheduler.end()
        self.close()

    def __repr__(self) -> str:
        if self.closed:
            return "<Client: closed>"
        return f"<Client: {self._cluster.url}>"

    def _results(self, lazy: list[Any], allow_large: bool = False) -> list[np.ndarray]:
        buffers = self._cluster.compute([_plain(array)._x for array in lazy], allow_large)
        made = [as_numpy(buffer) for buffer in buffers]
        return [asked.of(codes) if _is_text(asked) else codes for asked, codes in zip(lazy, made)]

    def _kept(self, lazy: list[Any]) -> list[Any]:
        plain = [_plain(array) for array in lazy]
        kept = self._cluster.persist([array._x for array in plain])
        made = [type(array)(one.expression()) for array, one in zip(plain, kept)]
        for array, job in zip(made, kept):
            array._job = job
        # Arrays of the Array API are given back as such, and text is.
        return [_as(asked, array) for array, asked in zip(made, lazy)]


def as_numpy(buffer: Any) -> np.ndarray:
    """The elements of a buffer as a NumPy array, without a copy."""
    dtype, shape = np.dtype(buffer.dtype), tuple(buffer.shape)
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.frombuffer(buffer, np.uint8).view(dtype).reshape(shape)


def _is_array(value: Any) -> bool:
    from .array import Array

    api = sys.modules.get("graticule.array_api")
    return isinstance(value, Array) or (api is not None and isinstance(value, api.Array)) or _is_text(value)


def _is_text(value: Any) -> bool:
    text = sys.modules.get("graticule.array._text")
    return text is not None and isinstance(value, text.Text)


def _as(asked: Any, array: Any) -> Any:
    """An array in the class of another one."""
    if _is_text(asked):
        return asked.like(array)
    return array if type(array) is type(asked) else type(asked)(array)


def _is_delayed(value: Any) -> bool:
    from .array._store import Delayed

    return isinstance(value, Delayed)


def _plain(array: Any) -> Any:
    """The array with the methods of `graticule.array`."""
    return getattr(array, "lazy", array)


def _mapped(values: Iterable[Any], compute: Any, is_lazy: Any = _is_array) -> tuple[Any, ...]:
    """The values with all arrays in them, or what else is lazy, replaced by what `compute` makes of their list."""
    values, lazy = tuple(values), []
    for value in values:
        _find(value, is_lazy, lazy)
    made = iter(compute(lazy)) if lazy else iter(())
    return tuple(_put(value, is_lazy, made) for value in values)


# Not functions within the one above: those would refer to themselves, and what they hold be kept until the collector comes by.
def _find(value: Any, is_lazy: Any, lazy: list[Any]) -> None:
    if is_lazy(value):
        lazy.append(value)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _find(part, is_lazy, lazy)
    elif isinstance(value, dict):
        for part in value.values():
            _find(part, is_lazy, lazy)
    elif _is_labelled(value):
        lazy.extend(variable._data for variable in _variables(value).values() if is_lazy(variable._data))


def _put(value: Any, is_lazy: Any, made: Iterator[Any]) -> Any:
    if is_lazy(value):
        return next(made)
    if type(value) in (list, tuple):
        return type(value)(_put(part, is_lazy, made) for part in value)
    if type(value) is dict:
        return {key: _put(part, is_lazy, made) for key, part in value.items()}
    if _is_labelled(value):
        variables = {name: one for name, one in _variables(value).items() if is_lazy(one._data)}
        changed = {name: one.copy(data=next(made)) for name, one in variables.items()}
        coords = {name: one for name, one in changed.items() if name in value.coords}
        if hasattr(value, "data_vars"):
            value = value.assign({name: one for name, one in changed.items() if name not in coords})
        elif _OWN in changed:
            value = value.copy(data=changed[_OWN]._data)
        return value.assign_coords(coords) if coords else value
    return value


#: The name of a `DataArray`'s own variable, among its coordinates' names.
_OWN = object()


def _is_labelled(value: Any) -> bool:
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(value, (xarray.DataArray, xarray.Dataset))


def _variables(value: Any) -> dict[Any, Any]:
    if hasattr(value, "data_vars"):
        return dict(value.variables)
    return {_OWN: value.variable, **{name: one.variable for name, one in value.coords.items()}}


def _tell_xarray() -> None:
    """While a client is open, xarray takes Graticule's chunk manager where none is named."""
    if "xarray" in sys.modules:
        from ._xarray_hooks import choose_manager, install

        # Arrays that were never chunked by xarray have made it ask for no chunk manager yet.
        install()
        choose_manager(bool(_clients))


def default_client() -> Client:
    """The client that is used where none is named: the one made last, or a cluster in this process, made now."""
    open_ones = open_clients()
    return open_ones[-1] if open_ones else Client()


def open_clients() -> list[Client]:
    with _lock:
        return [client for client in _clients if not client.closed]


def elsewhere() -> Any:
    """The cluster of the default client, if its workers are in other processes."""
    return next((client._cluster for client in _clients[-1:] if client.is_remote), None)


def compute(*arrays: Any, allow_large: bool = False) -> tuple[Any, ...]:
    """Computes arrays by the default client, in one plan."""
    computed = default_client().compute(*arrays, allow_large=allow_large)
    return (computed,) if len(arrays) == 1 else computed


def persist(*arrays: Any) -> tuple[Any, ...]:
    """Keeps arrays in the default client's cluster."""
    kept = default_client().persist(*arrays)
    return (kept,) if len(arrays) == 1 else kept


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def _bytes(text: int | str | None) -> int | None:
    """A number of bytes, as `2 GiB` or a number."""
    if text is None or isinstance(text, int):
        return text
    number = text.rstrip("BbKkMmGgTtIi ")
    unit = text[len(number) :].strip().lower()
    try:
        return int(float(number) * _UNITS[unit])
    except (KeyError, ValueError):
        raise InvalidValue(f"{text!r} is no number of bytes; write for example '2 GiB'") from None


@atexit.register
def _close_all() -> None:
    """Workers' threads must not want the interpreter when it is gone."""
    for client in list(_clients):
        try:
            client.close()
        except Exception:
            pass
