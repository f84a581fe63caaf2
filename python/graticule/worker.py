"""A worker process: `python -m graticule.worker grpc://host:port`.

It runs functions of clients with the same minor version of Python, and everything that a worker of the binary `graticule` runs.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys

from . import _graticule, _logs, _output, _worker
from ._client import _bytes


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m graticule.worker", description="Works for a scheduler until it is told to end.")
    parser.add_argument("scheduler", help="the scheduler's address, grpc://host:port")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="ADDRESS", help="for peers and clients, on this machine")
    parser.add_argument("--name", default=f"python-{os.getpid()}", help="a name for people")
    parser.add_argument("--nthreads", type=int, metavar="COUNT", help="tasks at a time; all CPUs unless said")
    parser.add_argument("--memory-limit", metavar="BYTES", help="memory of the process, for example '2 GiB'")
    parser.add_argument("--resources", default="", metavar="NAME=COUNT,...", help="countable things that calls may need")
    parser.add_argument("--local-directory", metavar="DIR", help="where chunks go that do not fit memory")
    parser.add_argument(
        "--isolate", default=True, action=argparse.BooleanOptionalAction,
        help="runs functions in child processes, one for each task at a time; else in threads of the worker",
    )
    parser.add_argument("--ends-with-stdin", action="store_true", help="ends when its standard input does")
    _logs.add_argument(parser)
    said = parser.parse_args(arguments)
    _logs.show(parser, said.log)
    resources = {}
    for part in filter(None, said.resources.split(",")):
        name, _, count = part.partition("=")
        resources[name.strip()] = int(count or 1)
    _worker._process["scheduler"] = said.scheduler
    _logs.collect()
    # Modules beside the client's script are importable as they are there.
    if "" not in sys.path:
        sys.path.insert(0, "")
    if os.environ.get("GRATICULE_TRACEBACKS", "1") != "0":
        faulthandler.enable()
    children = [sys.executable, "-m", "graticule._child", said.scheduler] if said.isolate and sys.platform == "linux" else None
    if children is None:
        _output.begin(all=True)
    _graticule.serve_worker(
        said.scheduler, said.listen, said.name, said.nthreads, _bytes(said.memory_limit), resources, said.local_directory,
        said.ends_with_stdin, children,
    )


if __name__ == "__main__":
    main()
