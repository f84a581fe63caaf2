"""A process that runs functions for a worker: `python -m graticule._child SCHEDULER WORKER NUMBER`, started by the worker alone.

Its standard input is the line to the worker.
"""

from __future__ import annotations

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
    if "" not in sys.path:
        sys.path.insert(0, "")
    if os.environ.get("GRATICULE_TRACEBACKS", "1") != "0":
        faulthandler.enable()
    _graticule.serve_child(line, worker, int(number))


if __name__ == "__main__":
    main()
