"""What functions print that run on threads of this process, on its way to the dashboard.

The streams stay what they are: it is their `write` that tells, after it has written. So whoever has one already, such as a handler of
`logging`, needs no other, and what `contextlib.redirect_stdout` catches within a function is not told. What does not go by `write`
(C libraries, `os.write`, `sys.stdout.buffer`) is not seen; child processes have pipes for that.
"""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from typing import Any

from . import _graticule

_lock = threading.Lock()
#: Who keeps what is printed, and whether one of them keeps all of it.
_count = 0
_all = False
#: Streams that tell.
_streams: list[weakref.ref[Any]] = []
_handle = logging.Handler.handle


class _Here(threading.local):
    #: What this thread writes now is told by somebody else.
    is_told = False


_here = _Here()


def begin(all: bool = False) -> None:
    """Has what functions print be kept until as many `end`; or `all` that is printed, for as long as the process lives."""
    global _count, _all
    with _lock:
        _count, _all = _count + 1, _all or all
        logging.Handler.handle = _handled  # type: ignore[method-assign]
        _graticule.keep_printed(True, _all)
    look()


def end() -> None:
    global _count
    with _lock:
        _count -= 1
        if _count:
            return
        _graticule.keep_printed(False, False)
        if logging.Handler.handle is _handled:
            logging.Handler.handle = _handle  # type: ignore[method-assign]
        while _streams:
            stream = _streams.pop()()
            if stream is not None:
                _leave(stream)


def look() -> None:
    """Listens to the streams that are standard output and standard error now."""
    try:
        # Nearly always, and before nearly each function that runs alone.
        sys.stdout.write._graticule_before, sys.stderr.write._graticule_before  # type: ignore[attr-defined]
        return
    except AttributeError:
        pass
    with _lock:
        _listen(sys.stdout, False)
        _listen(sys.stderr, True)


def _listen(stream: Any, is_error: bool) -> None:
    try:
        # Others do the same, and put there again what was there before, as IPython for each cell.
        if hasattr(stream.write, "_graticule_before"):
            return
        tell, of = _teller(stream, is_error), weakref.ref(stream)
        tell._graticule_before = vars(stream).get("write")
        stream.write = tell
    except (AttributeError, TypeError):
        # There is none, or it can be no other than it is.
        return
    _streams[:] = [known for known in _streams if known() not in (None, stream)]
    _streams.append(of)


def _leave(stream: Any) -> None:
    write = vars(stream).get("write")
    # One below another one's stays there, and says nothing.
    while hasattr(write, "_graticule_before"):
        write = write._graticule_before
        if write is None:
            del stream.write
        else:
            stream.write = write


def _teller(stream: Any, is_error: bool) -> Any:
    """What is to be the stream's `write`. It does not refer to the stream: one that nobody has any more is closed at once."""
    own = getattr(type(stream), "write", None)
    if own is None or "write" in vars(stream):
        # It is another one's.
        write = stream.write
        return lambda text: _told(write, is_error, text)
    of = weakref.ref(stream)

    def tell(text: Any) -> Any:
        there = of()
        if there is None:
            raise ValueError("I/O operation on a stream that is gone")
        return _told(own.__get__(there), is_error, text)

    return tell


def _told(write: Any, is_error: bool, text: Any) -> Any:
    if _here.is_told:
        return write(text)
    # A stream that writes to another one is told once.
    _here.is_told = True
    try:
        written = write(text)
    finally:
        _here.is_told = False
    if isinstance(text, str):
        _graticule.note_printed(is_error, text)
    return written


def _handled(self: logging.Handler, record: logging.LogRecord) -> Any:
    """What handlers write of a record that was told is not told once more."""
    if _here.is_told or not getattr(record, "_is_told", False):
        return _handle(self, record)
    _here.is_told = True
    try:
        return _handle(self, record)
    finally:
        _here.is_told = False
