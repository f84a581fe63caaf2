"""What a function sees of the worker that runs it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from . import _graticule
from .errors import ClusterError

_lock = threading.Lock()
_workers: dict[str, Worker] = {}
#: Of a worker process: the address of its scheduler, and its client.
_process: dict[str, Any] = {}


class Worker:
    """The worker that runs a function. What a function sets as an attribute stays for those that run there later."""

    def __init__(self, name: str) -> None:
        self.name = self.id = self.address = name
        self.pid = os.getpid()
        self.plugins: dict[str, Any] = {}
        #: Digests of the plugins that are set up, by name, and of all that ever were.
        self.digests: dict[str, str] = {}
        self.done: set[str] = set()
        self.lock = threading.RLock()

    @property
    def scheduler(self) -> str | None:
        return _process.get("scheduler")

    @property
    def local_directory(self) -> str:
        import tempfile

        if "directory" not in self.__dict__:
            self.directory = tempfile.mkdtemp(prefix="graticule-worker-")
        return self.directory

    def __repr__(self) -> str:
        return f"<Worker: {self.name}>"


def get_worker() -> Worker:
    """The worker that runs this function.

    >>> def f():
    ...     worker = get_worker()  # the worker on which this task is running
    ...     return worker.address
    """
    name = _graticule.running_worker()
    if name is None:
        raise ValueError("no worker found: get_worker is for functions that run on the cluster")
    with _lock:
        worker = _workers.get(name)
        if worker is None:
            worker = _workers[name] = Worker(name)
    return worker


def get_client(address: str | None = None, timeout: Any = None, resolve_address: bool = True) -> Any:
    """The client of the cluster that runs this function; outside of functions the default client.

    >>> def f():
    ...     client = get_client()
    ...     futures = client.map(lambda x: x + 1, range(10))
    ...     return sum(client.gather(futures))
    """
    from ._client import Client, default_client

    address = address or _process.get("scheduler")
    if _graticule.running_worker() is None or address is None:
        return default_client()
    with _lock:
        if "client" not in _process or _process["client"].closed:
            # A thread that runs a function may not wait for the cluster, but this wait needs no place there.
            with concurrent.futures.ThreadPoolExecutor(1) as thread:
                _process["client"] = thread.submit(Client, address, set_as_default=False).result()
        return _process["client"]


@contextlib.contextmanager
def worker_client(timeout: Any = None, separate_thread: bool = True) -> Iterator[Any]:
    """The client of the cluster that runs this function.

    >>> def f():
    ...     with worker_client() as client:
    ...         return client.submit(inc, 1).result()
    """
    yield get_client()


def secede() -> None:
    """Nothing: a function that waits for calls of its own runs them itself where no thread is free."""
    if _graticule.running_worker() is None:
        raise ValueError("secede is for functions that run on the cluster")


def rejoin() -> None:
    """Nothing, see `secede`."""
    if _graticule.running_worker() is None:
        raise ValueError("rejoin is for functions that run on the cluster")


def get_task_metadata() -> None:
    raise ClusterError("Graticule keeps no metadata of tasks")
