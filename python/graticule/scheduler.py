"""A scheduler process: `python -m graticule.scheduler`, with worker processes if asked for."""

from __future__ import annotations

import argparse
import sys

from . import _graticule, _logs


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m graticule.scheduler", description="Serves until it is told to end.")
    parser.add_argument("--listen", default="127.0.0.1:8786", metavar="ADDRESS", help="for clients and workers, on this machine")
    parser.add_argument("--dashboard", metavar="ADDRESS", help="where the dashboard listens; none unless said")
    parser.add_argument("--workers", default="0", metavar="COUNT or MIN..MAX", help="worker processes to start")
    parser.add_argument("--nthreads", type=int, default=1, metavar="COUNT", help="tasks that each of them runs at a time")
    parser.add_argument("--memory", type=int, metavar="BYTES", help="memory of each of them")
    parser.add_argument("--prefix", default="worker", help="what the names of workers begin with")
    parser.add_argument("--ends-with-stdin", action="store_true", help="ends when its standard input does; lines say how many workers")
    _logs.add_argument(parser)
    parser.add_argument("worker", nargs="*", help="further arguments of the workers, behind --")
    said = parser.parse_args(arguments)
    _logs.show(parser, said.log)
    # Workers that are told otherwise behind -- hear that last.
    program = [sys.executable, "-m", "graticule.worker", "--log", said.log, *said.worker]
    _graticule.serve_scheduler(
        said.listen, said.dashboard, said.workers, said.nthreads, said.memory, said.prefix, program, said.ends_with_stdin
    )


if __name__ == "__main__":
    main()
