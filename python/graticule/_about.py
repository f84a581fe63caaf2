"""The half of a client that asks about the cluster, prepares its workers, and names what lies in it."""

from __future__ import annotations

import concurrent.futures
import functools
import importlib.metadata
import inspect
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import _datasets, _graticule, _pickle
from ._calls import Calls, _names, sync
from ._futures import Future, _callbacks, _seconds, futures_of
from .errors import ClusterError, InvalidName, InvalidValue


class About(Calls):
    """Methods of `Client` that do more than call functions."""

    # What there is

    def _workers(self) -> list[dict[str, Any]]:
        return [worker for worker in self._cluster.info()["workers"] if not worker["is_leaving"]]

    @sync
    def scheduler_info(self, n_workers: int = -1, **_: Any) -> dict[str, Any]:
        """The scheduler's address and its workers."""
        info = self._cluster.info()
        workers = {
            worker["name"]: {
                "type": "Worker",
                "id": worker["name"],
                "name": worker["name"],
                "nthreads": worker["slots"],
                "memory_limit": worker["memory_limit"],
                "metrics": {"memory": worker["memory"], "managed_bytes": worker["memory"]},
            }
            for worker in info["workers"][: n_workers if n_workers >= 0 else None]
        }
        about = {"jobs": info["jobs"], "tasks_finished": info["tasks_finished"], "n_workers": len(info["workers"])}
        return {"type": "Scheduler", "address": self._cluster.url, "workers": workers, **about}

    @sync
    def nthreads(self, workers: Any = None) -> dict[str, int]:
        """Calls that each worker runs at a time, by the workers' names.

        >>> client.nthreads()  # doctest: +SKIP
        {'local-0': 4}
        """
        wanted = _names(workers)
        slots = {worker["name"]: worker["slots"] for worker in self._workers()}
        return {name: count for name, count in slots.items() if not wanted or name in wanted}

    ncores = nthreads

    @sync
    def who_has(self, futures: Any = None, **_: Any) -> dict[str, tuple[str, ...]]:
        """The workers that hold each result."""
        calls = self._calls.all() if futures is None else [future._call for future in futures_of(futures)]
        names = {worker["id"]: worker["name"] for worker in self._cluster.info()["workers"]}
        held: dict[str, tuple[str, ...]] = {}
        for call in calls:
            _, workers = call.holders() or (0, [])
            held[call.key] = tuple(names[worker] for worker in workers if worker in names)
        return held

    @sync
    def has_what(self, workers: Any = None, **_: Any) -> dict[str, tuple[str, ...]]:
        """The keys of this client's results that each worker holds."""
        wanted = _names(workers)
        held: dict[str, list[str]] = {name: [] for name in self.nthreads() if not wanted or name in wanted}
        for key, names in self.who_has().items():
            for name in names:
                if name in held:
                    held[name].append(key)
        return {name: tuple(keys) for name, keys in held.items()}

    @sync
    def wait_for_workers(self, n_workers: int, timeout: float | str | None = None) -> None:
        """Waits until so many workers are connected; `TimeoutError` if that takes too long."""
        if not isinstance(n_workers, int) or n_workers < 1:
            raise ValueError(f"a number of workers is 1 or more, not {n_workers!r}")
        seconds = _seconds(timeout)
        end = None if seconds is None else time.monotonic() + seconds
        while (there := len(self._workers())) < n_workers:
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"{there} of {n_workers} workers were connected after {seconds} s")
            time.sleep(0.02)

    @sync
    def get_versions(self, check: bool = False, packages: list[str] | None = None) -> dict[str, Any]:
        """Versions of Python and packages here and on the workers; `check=True` raises where they differ."""
        here = _versions(packages)
        made = {worker["name"]: self.submit(_versions, packages, workers=[worker["name"]], pure=False) for worker in self._workers()}
        workers = {name: future._call.result() for name, future in made.items()}
        if check:
            differ = {
                (name, package): (here["packages"].get(package), version)
                for name, there in workers.items()
                for package, version in there["packages"].items()
                if version != here["packages"].get(package)
            }
            if differ:
                told = [f"{package}: {ours} here, {theirs} on {name}" for (name, package), (ours, theirs) in differ.items()]
                raise ValueError("versions differ: " + "; ".join(told))
        return {"scheduler": {"packages": {"graticule": _graticule.__version__}}, "workers": workers, "client": here}

    # Workers

    @sync
    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        workers: Any = None,
        wait: bool = True,
        nanny: bool = False,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> dict[str, Any] | None:
        """Calls a function on each worker, beside its tasks as soon as a thread is free, and gives what it returned there.

        Where functions run in child processes of their worker, the result is that of the first of them; each of the others, also
        one that is started later, makes the same call before its next task. So what it sets is there for all tasks that begin
        afterwards, and it may be called more often than there are workers. One that raises is not repeated.

        >>> client.run(os.getpid)  # doctest: +SKIP
        {'local-0': 1234}
        """
        if on_error not in ("raise", "return", "ignore"):
            raise ValueError(f"on_error is 'raise', 'return' or 'ignore', not {on_error!r}")
        wanted = _names(workers) or [worker["name"] for worker in self._workers()]
        made = {name: self._everywhere(name, functools.partial(_run_here, function), args, kwargs) for name in wanted}
        if not wait:
            for future in made.values():
                _callbacks.add(future, lambda _: None)
            return None
        results: dict[str, Any] = {}
        for name, future in made.items():
            error = future._call.exception()
            if error is None:
                results[name] = future._call.result()
            elif on_error == "raise":
                raise error
            elif on_error == "return":
                results[name] = error
        return results

    def _everywhere(self, worker: str, function: Callable[..., Any], *args: Any) -> Future:
        """A call that a worker makes in each of its processes that run functions."""
        packed, needs = _pickle.pack((args, {}))
        settings = self._settings([worker], None, None, 1_000_000)
        return Future(self._calls.submit(self._function(function), packed, needs, settings, None, False, everywhere=True), self)

    @sync
    def restart(self, timeout: Any = None, wait_for_workers: bool = True) -> Any:
        """Cancels all calls of this client; worker processes of a `LocalCluster` of its own begin anew."""
        for call in self._calls.all():
            call.cancel()
        cluster = getattr(self, "cluster", None)
        if cluster is not None and hasattr(cluster, "_restart"):
            cluster._restart(self, _seconds(timeout) or 60)
        return self

    @sync
    def upload_file(self, filename: str | os.PathLike[str], load: bool = True) -> dict[str, Any]:
        """Lets all workers import a module of the client's: a `.py` file, or an egg or zip of them.

        Workers that come later have it too.
        """
        from ._plugins import UploadFile

        return self.register_plugin(UploadFile(filename, load))

    @sync
    def register_plugin(self, plugin: Any, name: str | None = None, idempotent: bool | None = None) -> dict[str, Any]:
        """Has `plugin.setup(worker)` called once on each worker, also on those that come later."""
        from ._plugins import Step, setup

        step = Step.of(plugin, name)
        if idempotent and any(one.name == step.name for one in self._cluster_steps):
            return {}
        self._cluster_steps[:] = [one for one in self._cluster_steps if one.name != step.name] + [step]
        try:
            return self.run(setup, step, again=True)
        except BaseException:
            self._cluster_steps[:] = [one for one in self._cluster_steps if one is not step]
            raise

    register_worker_plugin = register_plugin

    @sync
    def unregister_worker_plugin(self, name: str, nanny: bool | None = None) -> dict[str, Any]:
        """Has `plugin.teardown(worker)` called on each worker."""
        from ._plugins import teardown

        steps = [one for one in self._cluster_steps if one.name == name]
        if not steps:
            raise ValueError(f"no plugin has the name {name!r}")
        self._cluster_steps[:] = [one for one in self._cluster_steps if one.name != name]
        return self.run(teardown, name)

    # Results by name

    @sync
    def publish_dataset(self, *args: Any, name: str | None = None, override: bool = False, **kwargs: Any) -> None:
        """Gives arrays, futures, or anything that holds them, names that all clients of the cluster know.

        What is lazy is persisted. The cluster keeps it until `unpublish_dataset`, whatever becomes of this client.

        >>> client.publish_dataset(my_dataset=x)  # doctest: +SKIP
        """
        if args and (len(args) != 1 or name is None):
            raise ValueError("publish_dataset takes name=..., or keywords that are the names")
        named = {**kwargs, **({name: args[0]} if args else {})}
        for known, what in named.items():
            _datasets.publish(self, known, what, override)

    @sync
    def get_dataset(self, name: str, default: Any = _pickle._MISSING, **_: Any) -> Any:
        """What was published under a name, by whichever client."""
        try:
            return _datasets.get(self, name)
        except InvalidName:
            if default is _pickle._MISSING:
                raise
            return default

    @sync
    def list_datasets(self, **_: Any) -> tuple[str, ...]:
        """The names under which something was published."""
        return tuple(_graticule.datasets(self._cluster))

    @sync
    def unpublish_dataset(self, name: str, **_: Any) -> None:
        """Takes a name back; what nobody else holds is released."""
        _graticule.unpublish(self._cluster, name)

    @property
    def datasets(self) -> _Datasets:
        """What was published, as a mapping."""
        return _Datasets(self)

    # The same in other words

    def get_executor(self, **kwargs: Any) -> ClientExecutor:
        """An executor of `concurrent.futures` whose calls run on the cluster. Keywords are those of `submit`."""
        return ClientExecutor(self, **kwargs)


class _Datasets:
    def __init__(self, client: Any) -> None:
        self._client = client

    def __getitem__(self, name: str) -> Any:
        return self._client.get_dataset(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._client.publish_dataset(value, name=name)

    def __delitem__(self, name: str) -> None:
        self._client.unpublish_dataset(name)

    def __contains__(self, name: object) -> bool:
        return name in self._client.list_datasets()

    def __iter__(self) -> Any:
        return iter(self._client.list_datasets())

    def __len__(self) -> int:
        return len(self._client.list_datasets())


def _versions(packages: list[str] | None = None) -> dict[str, Any]:
    found: dict[str, str | None] = {"python": platform.python_version(), "graticule": _graticule.__version__}
    for package in ("numpy", "cloudpickle", "xarray", "pandas", *(packages or ())):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    host = {"OS": platform.system(), "machine": platform.machine(), "byteorder": sys.byteorder}
    return {"host": host, "packages": found}


def _run_here(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from ._worker import get_worker

    try:
        takes_worker = "dask_worker" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        takes_worker = False
    if takes_worker:
        kwargs = {**kwargs, "dask_worker": get_worker()}
    return function(*args, **kwargs)


class ClientExecutor(concurrent.futures.Executor):
    """Calls on the cluster by the interface of `concurrent.futures`."""

    def __init__(self, client: Any, **kwargs: Any) -> None:
        allowed = {"pure", "workers", "resources", "retries", "priority", "allow_other_workers", "fifo_timeout"}
        if unknown := kwargs.keys() - allowed:
            raise TypeError(f"get_executor takes the keywords of submit, not {', '.join(sorted(unknown))}")
        self._client, self._kwargs = client, {"pure": False, **kwargs}
        self._made: set[Future] = set()
        self._is_shut = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        if self._is_shut:
            raise RuntimeError("the executor is shut down")
        future = self._client.submit(functools.partial(fn, *args, **kwargs), **self._kwargs)
        made: concurrent.futures.Future[Any] = concurrent.futures.Future()
        cancel = made.cancel

        def cancels() -> bool:
            if cancel():
                future._call.cancel()
                return True
            return False

        made.cancel = cancels  # type: ignore[method-assign]
        self._made.add(future)

        def ended(future: Future) -> None:
            self._made.discard(future)
            if not made.set_running_or_notify_cancel():
                return
            error = future._call.exception()
            if error is None:
                made.set_result(future._call.result())
            else:
                made.set_exception(error)

        _callbacks.add(future, ended)
        return made

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1, **_: Any) -> Any:
        end = None if timeout is None else time.monotonic() + timeout
        futures = self._client.map(fn, *iterables, **self._kwargs)

        def results() -> Any:
            try:
                for future in futures:
                    yield future._call.result(None if end is None else max(end - time.monotonic(), 0))
            finally:
                for future in futures:
                    if not future._call.done():
                        future._call.cancel()

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._is_shut = True
        made = list(self._made)
        if cancel_futures or not wait:
            for future in made:
                future._call.cancel()
        for future in made:
            future._call.wait()
