"""What functions log, on its way to the dashboard."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import Any

from . import _graticule
from .errors import InvalidValue

#: Records below this level stay in their process.
LEVEL = logging.WARNING

#: As of the command `graticule`: what says which lines go to standard error, and which do if nobody does.
VARIABLE, USUAL = "GRATICULE_LOG", "warn"


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Lets a process of a cluster be told which of its lines go to standard error."""
    parser.add_argument(
        "--log", default=os.environ.get(VARIABLE) or USUAL, metavar="FILTER",
        help="what is logged to standard error: off, error, warn, info, debug, trace, or a filter such as graticule_worker=debug; "
        f"by default warnings, or what {VARIABLE} says",
    )


def show(parser: argparse.ArgumentParser, wanted: str) -> None:
    try:
        _graticule.show_log(wanted)
    except InvalidValue as error:
        parser.error(str(error))


def filter_of(log: str | None, silence_logs: Any) -> str:
    """What the processes of a `LocalCluster` are told: nothing goes to standard error unless the caller or the environment says so.

    `silence_logs` is a level of `logging` as for distributed: what is below it is left out. `False` leaves out nothing from `info` on.
    """
    if log is not None:
        return log
    if silence_logs is None:
        return os.environ.get(VARIABLE) or "off"
    if isinstance(silence_logs, bool):
        return "off" if silence_logs else "info"
    level = logging.getLevelName(silence_logs.upper()) if isinstance(silence_logs, str) else silence_logs
    if not isinstance(level, int):
        raise InvalidValue(f"silence_logs={silence_logs!r} is no level; write logging.WARNING, \"WARNING\", True or False")
    names = ((logging.DEBUG, "debug"), (logging.INFO, "info"), (logging.WARNING, "warn"), (logging.CRITICAL, "error"))
    return next((name for most, name in names if level <= most), "off")


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


#: What a worker finds around lines on standard error that it need not tell once more (`logs/src/output.rs`).
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
