"""Futures: results of calls of Python functions, and what waits for them."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import threading
import traceback as traceback_module
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _graticule, _pickle
from .errors import FutureCancelled, InvalidValue

if TYPE_CHECKING:
    from ._client import Client


class Future:
    """The result of a call, before and after it is there.

    The result stays in the memory of the workers as long as a future of it is there; futures of equal calls share it.
    """

    __slots__ = ("_call", "client", "__weakref__")

    def __init__(self, call: Any, client: Client) -> None:
        self._call, self.client = call, client

    @property
    def key(self) -> str:
        """The name of what is computed: the function's, and a digest of the function's code and the arguments."""
        return self._call.key

    @property
    def status(self) -> str:
        """`pending`, `finished`, `error`, `cancelled` or `lost`."""
        return self._call.status

    def done(self) -> bool:
        """Whether the result is there or cannot be had."""
        return self._call.done()

    def cancelled(self) -> bool:
        return self._call.status == "cancelled"

    def cancel(self, reason: str | None = None, msg: str | None = None, force: bool = False) -> Any:
        """Takes the call back; calls that need it fail. What runs already runs to its end, and its result is dropped."""
        self._call.cancel()
        return _nothing() if self.client._is_async() else None

    def retry(self) -> Any:
        """Makes the call again if it failed, and before it those failed ones that it needs."""
        return self.client.retry([self])

    def release(self) -> None:
        """Lets go of the result; nothing can be asked of this future any more but its key."""
        self._call.cancel()

    def result(self, timeout: float | str | None = None) -> Any:
        """Waits for the result and brings it here; raises the exception of the call, or `TimeoutError`."""
        if self.client._is_async():
            return self._result()
        return self._call.result(_seconds(timeout))

    def exception(self, timeout: float | str | None = None) -> Any:
        """Waits for the end; the exception of the call, or `None`."""
        if self.client._is_async():
            return self._exception()
        return self._call.exception(_seconds(timeout))

    def traceback(self, timeout: float | str | None = None) -> Any:
        """Waits for the end; the traceback of the exception, as far as the function's own frames go, or `None`."""
        if self.client._is_async():
            return self._traceback()
        error = self._call.exception(_seconds(timeout))
        return None if error is None else error.__traceback__

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        """Has `callback(future)` called when the call has ended, on a thread of its own."""
        _callbacks.add(self, callback)

    async def _result(self) -> Any:
        await self._ended()
        return await asyncio.to_thread(self._call.result)

    async def _exception(self) -> Any:
        await self._ended()
        return await asyncio.to_thread(self._call.exception)

    async def _traceback(self) -> Any:
        error = await self._exception()
        return None if error is None else error.__traceback__

    async def _ended(self) -> None:
        if self._call.done():
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def tell(_: Future) -> None:
            try:
                loop.call_soon_threadsafe(ended.set)
            except RuntimeError:
                # The loop is closed, and nobody waits.
                pass

        _callbacks.add(self, tell)
        await ended.wait()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    def __reduce__(self) -> Any:
        return _pickle.met(self._call)

    def __dask_tokenize__(self) -> Any:
        return ("graticule.Future", self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Future) and other._call.identity == self._call.identity

    def __hash__(self) -> int:
        return hash(self._call.identity)

    def __repr__(self) -> str:
        return f"<Future: {self.status}, key: {self.key}>"

    def _repr_html_(self) -> str:
        return f"<b>Future: {self.key.rsplit('-', 1)[0]}</b> <font color='gray'>status: </font>{self.status}"


async def _nothing() -> None:
    return None


_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "": 1, "m": 60, "min": 60, "h": 3600, "hr": 3600}


def _seconds(timeout: Any) -> float | None:
    """Seconds, as a number, a timedelta, or a text such as `10s` or `200 ms`."""
    if timeout is None or type(timeout) in (int, float):
        return timeout
    if hasattr(timeout, "total_seconds"):
        return timeout.total_seconds()
    if isinstance(timeout, str):
        number = timeout.rstrip("abcdefghijklmnopqrstuvwxyz ")
        try:
            return float(number) * _UNITS[timeout[len(number) :].strip()]
        except (KeyError, ValueError):
            raise InvalidValue(f"{timeout!r} is no time; write for example '10s'") from None
    return float(timeout)


class _Callbacks:
    """Calls what is to be called when calls end, one after the other on a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[Future, Callable[[Future], Any]]] = {}
        self._completions: Any = None
        self._ends = False

    def add(self, future: Future, callback: Callable[[Future], Any]) -> None:
        with self._lock:
            if self._completions is None:
                self._completions = _graticule.Completions()
                threading.Thread(target=self._run, name="graticule-callbacks", daemon=True).start()
            number = next(self._numbers)
            self._waiting[number] = (future, callback)
        self._completions.add(future._call, number)

    def _run(self) -> None:
        while not self._ends:
            for number in self._completions.park(0.2) or ():
                future, callback = self._waiting.pop(number)
                try:
                    callback(future)
                except Exception:
                    traceback_module.print_exc()
                del future, callback

    def end(self) -> None:
        self._ends = True


_callbacks = _Callbacks()
atexit.register(_callbacks.end)

#: Calls that go on though nobody holds a future of theirs.
_forgotten: set[Future] = set()


def fire_and_forget(obj: Any) -> None:
    """Has calls made though nobody holds their futures.

    >>> fire_and_forget(client.submit(write, path))  # doctest: +SKIP
    """
    for future in futures_of(obj):
        _forgotten.add(future)
        _callbacks.add(future, _forgotten.discard)


def futures_of(obj: Any) -> list[Future]:
    """The futures in lists, tuples, sets, dicts and their nests, each once."""
    found: dict[Future, None] = {}
    _look(obj, found)
    return list(found)


def _look(part: Any, found: dict[Future, None]) -> None:
    # No function within a function: those that call themselves are cycles, and would keep results until Python looks for such.
    if isinstance(part, Future):
        found[part] = None
    elif isinstance(part, (list, tuple, set, frozenset)):
        for one in part:
            _look(one, found)
    elif isinstance(part, dict):
        for one in part.values():
            _look(one, found)


class DoneAndNotDoneFutures(NamedTuple):
    """What `wait` gives."""

    done: set[Future]
    not_done: set[Future]


ALL_COMPLETED = "ALL_COMPLETED"
FIRST_COMPLETED = "FIRST_COMPLETED"


def wait(fs: Any, timeout: float | str | None = None, return_when: str = ALL_COMPLETED) -> Any:
    """Waits until all calls have ended, or one of them has; `TimeoutError` if that takes too long.

    >>> done, not_done = wait(futures)  # doctest: +SKIP
    """
    futures = futures_of(fs)
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED):
        raise InvalidValue(f"return_when is {ALL_COMPLETED} or {FIRST_COMPLETED}, not {return_when!r}")
    if any(future.client._is_async() for future in futures[:1]):
        return asyncio.to_thread(_wait, futures, timeout, return_when)
    return _wait(futures, timeout, return_when)


def _wait(futures: list[Future], timeout: Any, return_when: str) -> DoneAndNotDoneFutures:
    completions = _graticule.Completions()
    missing = 0
    for number, future in enumerate(futures):
        if not future._call.done():
            completions.add(future._call, number)
            missing += 1
    if return_when == FIRST_COMPLETED:
        missing = min(missing, 1) if missing == len(futures) else 0
    deadline = _Deadline(timeout)
    while missing > 0:
        missing -= len(completions.take(missing, deadline.left()))
    done = {future for future in futures if future._call.done()}
    return DoneAndNotDoneFutures(done, set(futures) - done)


class _Deadline:
    def __init__(self, timeout: Any) -> None:
        import time

        self._clock, seconds = time.monotonic, _seconds(timeout)
        self._end = None if seconds is None else self._clock() + seconds

    def left(self) -> float | None:
        return None if self._end is None else max(self._end - self._clock(), 0.0)


class as_completed:
    """Futures in the order in which they end; more may be added meanwhile.

    >>> for future in as_completed([x, y, z]):  # doctest: +SKIP
    ...     print(future.result())
    >>> for future, result in as_completed([x, y, z], with_results=True):  # doctest: +SKIP
    ...     print(result)
    """

    def __init__(
        self,
        futures: Iterable[Future] | None = None,
        loop: Any = None,
        with_results: bool = False,
        raise_errors: bool = True,
        *,
        timeout: float | str | None = None,
    ) -> None:
        self._completions = _graticule.Completions()
        self._numbers = itertools.count()
        self._futures: dict[int, Future] = {}
        self._lock = threading.Lock()
        self.with_results, self.raise_errors = with_results, raise_errors
        self._deadline = _Deadline(timeout)
        self.update(futures or ())

    def add(self, future: Future) -> None:
        with self._lock:
            number = next(self._numbers)
            self._futures[number] = future
        self._completions.add(future._call, number)

    def update(self, futures: Iterable[Any]) -> None:
        for future in futures:
            if not isinstance(future, Future):
                raise TypeError(f"as_completed takes futures, not {type(future).__name__}")
            self.add(future)

    def is_empty(self) -> bool:
        """Whether no future is left."""
        return not self._futures

    def has_ready(self) -> bool:
        """Whether one has ended that was not given yet."""
        return any(future._call.done() for future in list(self._futures.values()))

    def count(self) -> int:
        """How many futures are left."""
        return len(self._futures)

    def clear(self) -> None:
        """Forgets all futures."""
        with self._lock:
            self._futures.clear()
            self._completions = _graticule.Completions()

    def _given(self, number: int) -> Any:
        with self._lock:
            future = self._futures.pop(number)
        if not self.with_results:
            return future
        try:
            return future, future._call.result()
        except FutureCancelled as error:
            return future, error
        except Exception as error:
            if self.raise_errors:
                raise
            return future, (type(error), error, error.__traceback__)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self._futures:
            raise StopIteration
        (number,) = self._completions.take(1, self._deadline.left())
        return self._given(number)

    next = __next__

    def next_batch(self, block: bool = True) -> list[Any]:
        """All futures that have ended and were not given yet; without any it waits for one, unless told not to."""
        if not self._futures:
            return []
        most = len(self._futures)
        numbers = self._completions.take(most, self._deadline.left()) if block else self._completions.poll(most)
        return [self._given(number) for number in numbers]

    def batches(self) -> Iterator[list[Any]]:
        """What has ended, all at a time.

        >>> for batch in as_completed(futures).batches():  # doctest: +SKIP
        ...     for future in batch:
        ...         pass
        """
        while self._futures:
            yield self.next_batch()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self._futures:
            raise StopAsyncIteration
        return await asyncio.to_thread(self.__next__)
