"""The half of a client that calls Python functions on the cluster."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import pickle
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Any

from . import _graticule, _pickle
from ._futures import Future, _seconds, futures_of
from ._futures import wait as wait_for
from .errors import ClusterError, InvalidValue

_annotations: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("graticule_annotations", default={})


@contextlib.contextmanager
def annotate(**annotations: Any) -> Iterator[None]:
    """How calls that are made within shall run: `priority`, `retries`, `resources`, `workers`, and `timeout`.

    A function whose `timeout` is over gets a `TimeoutError` where it is; a worker process in which it does not stop is ended.

    >>> with graticule.annotate(priority=100, retries=2):  # doctest: +SKIP
    ...     future = client.submit(inc, 1)
    """
    unknown = annotations.keys() - {"priority", "retries", "resources", "workers", "allow_other_workers", "timeout"}
    if unknown:
        raise InvalidValue(f"annotate takes priority, retries, resources, workers and timeout, not {', '.join(sorted(unknown))}")
    before = _annotations.set({**_annotations.get(), **annotations})
    try:
        yield
    finally:
        _annotations.reset(before)


def sync(method: Callable[..., Any]) -> Callable[..., Any]:
    """Has a method that waits give something to await, where the client is asynchronous and a loop runs."""

    @functools.wraps(method)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._is_async():
            return asyncio.to_thread(method, self, *args, **kwargs)
        return method(self, *args, **kwargs)

    return called


class Calls:
    """Methods of `Client` by the names of `distributed.Client`."""

    _cluster: Any
    _asynchronous = False

    @functools.cached_property
    def _calls(self) -> Any:
        return _graticule.Calls(self._cluster, self._cluster.is_embedded)

    @functools.cached_property
    def _settings_made(self) -> dict[Any, Any]:
        return {}

    @property
    def asynchronous(self) -> bool:
        """Whether methods that wait give something to await."""
        return self._is_async()

    def _is_async(self) -> bool:
        if not self._asynchronous:
            return False
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    def __await__(self) -> Any:
        async def same() -> Any:
            return self

        return same().__await__()

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)  # type: ignore[attr-defined]

    # Calls

    def submit(
        self,
        func: Callable[..., Any],
        *args: Any,
        key: Any = None,
        workers: Any = None,
        resources: dict[str, Any] | None = None,
        retries: int | None = None,
        priority: int | None = None,
        fifo_timeout: Any = None,
        allow_other_workers: bool = False,
        actor: bool = False,
        actors: bool = False,
        pure: bool = True,
        **kwargs: Any,
    ) -> Future:
        """Has `func(*args, **kwargs)` called on a worker, and returns at once.

        Futures among the arguments, and in them, stand for their results. Equal calls (same code of the function, same
        arguments) are one as long as somebody holds a future of theirs, unless `pure=False`.

        >>> c = client.submit(add, a, b)  # doctest: +SKIP
        """
        if not callable(func):
            raise TypeError("the first argument of submit is a function")
        if actor or actors:
            raise _no_actors()
        function = self._function(func)
        packed, needs = _pickle.pack((args, kwargs))
        settings = self._settings(workers, resources, retries, priority, allow_other_workers)
        key = None if key is None else str(key)
        return Future(self._calls.submit(function, packed, needs, settings, key, pure), self)

    def map(
        self,
        func: Callable[..., Any],
        *iterables: Iterable[Any],
        key: Any = None,
        workers: Any = None,
        retries: int | None = None,
        resources: dict[str, Any] | None = None,
        priority: int | None = None,
        allow_other_workers: bool = False,
        fifo_timeout: Any = None,
        actor: bool = False,
        actors: bool = False,
        pure: bool = True,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[Future]:
        """Has a function called for each tuple of elements of the iterables, with the keywords.

        >>> L = client.map(func, sequence)  # doctest: +SKIP
        """
        if not callable(func):
            raise TypeError("the first argument of map is a function")
        if actor or actors:
            raise _no_actors()
        if not iterables:
            raise ValueError("map needs at least one iterable")
        function = self._function(func)
        settings = self._settings(workers, resources, retries, priority, allow_other_workers)
        rows = zip(*iterables)
        make, calls, futures = self._calls, [], []
        keys = key if isinstance(key, list) else None
        if kwargs and futures_of(kwargs):
            packed = (_pickle.pack((args, kwargs)) for args in rows)
        elif kwargs and not _pickle._SIMPLE.issuperset(map(type, kwargs.values())):
            packed = (_pickle.pack((args, kwargs)) for args in rows)
        else:
            dumps, simple, pack = pickle.dumps, _pickle._SIMPLE.issuperset, _pickle.pack
            packed = (
                (dumps((args, kwargs), 5), None) if simple(map(type, args)) else pack((args, kwargs)) for args in rows
            )
        number = 0
        plain: list[Any] = []

        def flush() -> None:
            nonlocal plain
            if plain:
                named = None if key is None else _keys(keys, key, number, len(plain))
                calls.extend(make.map(function, plain, named, settings, pure))
                plain = []

        for written, needs in packed:
            if needs:
                flush()
                number = len(calls)
                named = None if key is None else _keys(keys, key, number, 1)[0]
                calls.append(make.submit(function, written, needs, settings, named, pure))
            else:
                if not plain:
                    number = len(calls)
                plain.append(written)
                if len(plain) >= 1024:
                    flush()
        flush()
        futures.extend(Future(call, self) for call in calls)
        return futures

    @sync
    def gather(self, futures: Any, errors: str = "raise", direct: bool | None = None, asynchronous: bool | None = None) -> Any:
        """Brings the results of futures here, in lists, tuples, sets and dicts as they stand.

        With `errors="skip"` those that failed are left out.

        >>> client.gather([x, [x, [x], x]])  # doctest: +SKIP
        """
        if errors not in ("raise", "skip"):
            raise InvalidValue(f"errors is 'raise' or 'skip', not {errors!r}")
        if isinstance(futures, Iterator):
            futures = list(futures)
        if isinstance(futures, Future):
            found = [futures]
        elif type(futures) is list and all(type(future) is Future for future in futures):
            results, there = self._calls.gather([future._call for future in futures], errors == "skip")
            return [result for result, is_there in zip(results, there) if is_there] if errors == "skip" else results
        else:
            found = futures_of(futures)
        results, there = self._calls.gather([future._call for future in found], errors == "skip")
        made = {future: result for future, result, is_there in zip(found, results, there) if is_there}
        return _filled(futures, made)

    @sync
    def scatter(
        self,
        data: Any,
        workers: Any = None,
        broadcast: bool | int = False,
        direct: bool | None = None,
        hash: bool = True,
        timeout: Any = None,
        asynchronous: bool | None = None,
    ) -> Any:
        """Puts objects into the memory of workers. A list gives a list of futures, a dict a dict, anything else one future.

        With `broadcast` every worker gets them. Arrays must not be written afterwards: a worker in this process has them
        where they are.

        >>> x, y = client.scatter([1, 2])  # doctest: +SKIP
        """
        if isinstance(data, dict):
            return dict(zip(data, self.scatter(list(data.values()), workers, broadcast, hash=hash)))
        if isinstance(data, (list, tuple, set, frozenset)) or isinstance(data, (range, Iterator)):
            objects = list(data)
        else:
            return self.scatter([data], workers, broadcast, hash=hash)[0]
        copies = 1
        if broadcast:
            copies = len(self._workers()) if broadcast is True else int(broadcast)
        calls = self._calls.scatter(objects, copies, _names(workers), hash)
        made: list[Any] = [Future(call, self) for call in calls]
        return type(data)(made) if isinstance(data, (tuple, set, frozenset)) else made

    def cancel(self, futures: Any, asynchronous: bool | None = None, force: bool = False, **_: Any) -> Any:
        """Takes calls back; calls that need them fail."""
        for future in futures_of(futures):
            future._call.cancel()
        return _done() if self._is_async() else None

    def retry(self, futures: Any, asynchronous: bool | None = None) -> Any:
        """Makes calls again that failed, and before them those failed ones that they need."""
        self._calls.retry([future._call for future in futures_of(futures)])
        return _done() if self._is_async() else None

    @sync
    def get(self, dsk: Any, keys: Any, sync: bool = True, **kwargs: Any) -> Any:
        """Computes a graph: a dict of tasks, each a tuple of a function and its arguments, keys among them; or any graph of Dask's,
        which finds its scheduler's `get` here. With `sync=False` futures take the places of the results.

        >>> client.get({"x": (add, 1, 2)}, "x")  # doctest: +SKIP
        3
        """
        from . import _dask, _graph

        submit_graph = _dask.submit_graph if _dask.is_loaded() else _graph.submit_graph
        futures = submit_graph(self, dsk, keys)
        return self.gather(futures) if sync else futures

    def _end_calls(self) -> None:
        if "_calls" in self.__dict__:
            self._calls.end()

    def _function(self, func: Callable[..., Any]) -> Any:
        function, limit = _pickle.function(func), _annotations.get().get("timeout")
        steps = tuple(self._cluster_steps)
        if not steps and limit is None:
            return function
        of = (function.digest, limit, *(step.digest for step in steps))
        if of not in self._prepared:
            if limit is not None:
                function = _pickle.timed(function, _seconds(limit))
            self._prepared[of] = _pickle.prepared(function, steps) if steps else function
        return self._prepared[of]

    @functools.cached_property
    def _cluster_steps(self) -> list[Any]:
        """What each worker does before it runs calls of this client."""
        return []

    @functools.cached_property
    def _prepared(self) -> dict[Any, Any]:
        return {}

    def _settings(self, workers: Any, resources: Any, retries: Any, priority: Any, allow_other: bool = False) -> Any:
        said = _annotations.get()
        if said:
            workers = said.get("workers") if workers is None else workers
            resources = said.get("resources") if resources is None else resources
            retries = said.get("retries") if retries is None else retries
            priority = said.get("priority") if priority is None else priority
            allow_other = allow_other or said.get("allow_other_workers", False)
        names = () if allow_other else tuple(_names(workers))
        if not names and (here := _graticule.running_worker()) is not None:
            # Whoever waits for it can run it then, should no thread be free.
            names = (here,)
        counts = tuple(sorted(_counts(resources).items()))
        of = (names, counts, retries or 0, priority or 0)
        made = self._settings_made.get(of)
        if made is None:
            if not isinstance(of[2], int) or of[2] < 0:
                raise InvalidValue(f"retries is a number of attempts, not {retries!r}")
            made = _graticule.CallSettings(int(of[3]), of[2], dict(counts), list(names))
            self._settings_made[of] = made
        return made


def _no_actors() -> Exception:
    from .errors import Unsupported

    return Unsupported("actors: Graticule's calls have no state; keep it in an attribute of get_worker(), or in the client")


async def _done() -> None:
    return None


def _keys(given: list[Any] | None, prefix: Any, first: int, count: int) -> list[str]:
    if given is not None:
        return [str(key) for key in given[first : first + count]]
    return [f"{prefix}-{number}" for number in range(first, first + count)]


def _names(workers: Any) -> list[str]:
    if workers is None:
        return []
    return [workers] if isinstance(workers, str) else [str(worker) for worker in workers]


def _counts(resources: dict[str, Any] | None) -> dict[str, int]:
    counts = {}
    for name, count in (resources or {}).items():
        if count != int(count) or count < 0:
            raise InvalidValue(f"resources are counted in whole numbers, {name!r} in {count!r} is not")
        counts[name] = int(count)
    return counts


_SKIPPED = object()


def _filled(structure: Any, made: dict[Future, Any]) -> Any:
    """The structure with results in the places of futures; without those that failed."""
    filled = _fill(structure, made)
    return None if filled is _SKIPPED else filled


def _fill(part: Any, made: dict[Future, Any]) -> Any:
    if isinstance(part, Future):
        return made.get(part, _SKIPPED)
    if isinstance(part, dict):
        filled = {key: _fill(one, made) for key, one in part.items()}
        return {key: one for key, one in filled.items() if one is not _SKIPPED}
    if isinstance(part, (list, tuple, set, frozenset)):
        parts = [one for one in (_fill(one, made) for one in part) if one is not _SKIPPED]
        return type(part)(*parts) if hasattr(part, "_fields") else type(part)(parts)
    return part
