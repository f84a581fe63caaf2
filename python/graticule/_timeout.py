"""Functions that may run for a limited time."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

#: A function that runs on for so many seconds when it was told to stop does not hear it; its process is ended then.
GRACE_S = 2.0
#: The exit code of a worker process that had to be ended.
EXIT_CODE = 124


class _Expired(BaseException):
    """Raised in the function when its time is over."""


class Limited:
    """A function that raises `TimeoutError` where it is when its time is over."""

    def __init__(self, func: Callable[..., Any], seconds: float) -> None:
        self.func, self.seconds = func, seconds

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        watch = _Watch(self.seconds)
        try:
            try:
                return self.func(*args, **kwargs)
            finally:
                watch.end()
        except _Expired:
            raise TimeoutError(f"the function did not end within {self.seconds:g} s") from None


class _Watch:
    def __init__(self, seconds: float) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._thread = threading.get_ident()
        self._timer = self._later(seconds, self._stop)

    def _later(self, seconds: float, act: Callable[[], None]) -> threading.Timer:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()
        return timer

    def _stop(self) -> None:
        with self._lock:
            if self._ended:
                return
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(_Expired))
            self._timer = self._later(GRACE_S, self._kill)

    def _kill(self) -> None:
        from ._worker import _process

        # In the client's own process there is nothing to end.
        if not self._ended and "scheduler" in _process:
            print("a function did not stop in its time, so this worker ends", file=sys.stderr, flush=True)
            os._exit(EXIT_CODE)

    def end(self) -> None:
        with self._lock:
            self._ended = True
        self._timer.cancel()
