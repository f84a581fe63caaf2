"""Functions that may run for a limited time."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

#: A function that runs on for so many seconds when it was told to stop does not hear it; its process is ended then.
GRACE_S = 2.0
#: Seconds between one interruption and the next.
AGAIN_S = 0.1
#: The exit code of a worker process that had to be ended.
EXIT_CODE = 124


class _Expired(BaseException):
    """Raised in the function when its time is over."""


class Limited:
    """A function that raises `TimeoutError` where it is when its time is over."""

    def __init__(self, func: Callable[..., Any], seconds: float) -> None:
        self.func, self.seconds = func, seconds

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        watch = _Watch()
        try:
            try:
                watch.begin(self.seconds)
                return self.func(*args, **kwargs)
            finally:
                watch.end()
        except _Expired:
            raise TimeoutError(f"the function did not end within {self.seconds:g} s") from None


class _Watch:
    """Interrupts the thread that made it, from the end of its time until it hears."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.get_ident()

    def begin(self, seconds: float) -> None:
        threading.Thread(target=self._run, args=(seconds,), daemon=True).start()

    def _run(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            return
        grace = time.monotonic() + GRACE_S
        # Once is not enough: what strikes while an object is finalized is ignored there.
        while self._interrupt() and not self._ended.wait(AGAIN_S):
            if time.monotonic() > grace:
                _end_process()

    def _interrupt(self) -> bool:
        with self._lock:
            if self._ended.is_set():
                return False
            _raise_in(self._thread, _Expired)
            return True

    def end(self) -> None:
        """After this nothing is raised any more."""
        while not self._ended.is_set():
            try:
                with self._lock:
                    self._ended.set()
                    _raise_in(self._thread, None)
            except _Expired:
                continue


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Raises in another thread, or takes back what is not raised yet."""
    what = ctypes.py_object(exception) if exception else ctypes.py_object()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def _end_process() -> None:
    from ._worker import _process

    # In the client's own process there is nothing to end.
    if "scheduler" in _process:
        print("a function did not stop in its time, so this worker ends", file=sys.stderr, flush=True)
        os._exit(EXIT_CODE)
