"""What functions log, on its way to the dashboard."""

from __future__ import annotations

import logging
import sys
from typing import Any

from . import _graticule

#: Records below this level stay in their process.
LEVEL = logging.WARNING


def collect(of_functions: bool = False) -> None:
    """Has the records of `logging` told to the cluster, beside whatever handlers do with them.

    Not a handler: with one on the root logger `logging.basicConfig` in a function would do nothing, and warnings would not
    be written to standard error any more. `of_functions` leaves out what is logged outside of functions of a cluster, such as
    in a program that has a cluster within itself.
    """
    make = logging.getLogRecordFactory()
    if getattr(make, "_is_told", False):
        return

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if record.levelno >= LEVEL and (not of_functions or _graticule.running_worker() is not None):
            record._is_told = _note(record)
        return record

    made._is_told = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(made)


def _note(record: logging.LogRecord) -> bool:
    try:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}\n{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        return _graticule.note_record(record.levelno, record.name, text)
    except Exception:
        # As with handlers, what is wrong with a record is no failure of who logs it; they tell of it.
        return False


#: What a worker finds around lines on standard error that it need not tell once more (`children/output.rs`).
_TOLD, _NOT_TOLD = "\x1b]graticule;told\x07", "\x1b]graticule;new\x07"


def mark_told() -> None:
    """Has handlers of `logging` mark what they write to standard output and standard error of records that were told already."""
    emit = logging.StreamHandler.emit

    def marked(self: Any, record: logging.LogRecord) -> None:
        stream = self.stream
        if not getattr(record, "_is_told", False) or stream is None or stream not in (sys.__stderr__, sys.__stdout__):
            return emit(self, record)
        # As `emit`, with the marks in one piece with the text: other processes may write there too.
        try:
            stream.write(_TOLD + self.format(record) + _NOT_TOLD + self.terminator)
            self.flush()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    logging.StreamHandler.emit = marked  # type: ignore[method-assign]


def flush() -> None:
    """Has what was printed leave this process."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            # A function may have put there, or closed, what it likes.
            pass
