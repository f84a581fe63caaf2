"""A process that runs functions for a worker: `python -m graticule._child SCHEDULER WORKER NUMBER`, started by the worker alone.

Its standard input is the line to the worker.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import sys

from . import _graticule, _logs, _worker


def main() -> None:
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    scheduler, worker, number = sys.argv[1:]
    _worker._process["scheduler"] = scheduler
    _logs.collect()
    _logs.mark_told()
    _by_lines()
    if "" not in sys.path:
        sys.path.insert(0, "")
    if os.environ.get("GRATICULE_TRACEBACKS", "1") != "0":
        faulthandler.enable()
    _graticule.serve_child(line, worker, int(number))


def _by_lines() -> None:
    """Standard output is a pipe, of which the worker tells each line when it is there."""
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        library = ctypes.CDLL(None)
        library.setvbuf(ctypes.c_void_p.in_dll(library, "stdout"), None, 1, ctypes.c_size_t(0))
    except (AttributeError, OSError, ValueError):
        # Then what C's own functions print comes later.
        pass


if __name__ == "__main__":
    main()
