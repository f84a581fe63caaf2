"""Clusters of processes on this machine."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any

from . import _html, _logs
from .errors import ClusterError, InvalidValue

if TYPE_CHECKING:
    from ._client import Client

#: Seconds that the scheduler may take to start.
START_S = 60
_clusters: weakref.WeakSet[LocalCluster] = weakref.WeakSet()


class LocalCluster:
    """A scheduler and workers as processes on this machine. They end with this process, however it ends.

    >>> cluster = LocalCluster(n_workers=2, threads_per_worker=2, memory_limit="2 GiB")  # doctest: +SKIP
    >>> client = Client(cluster)  # doctest: +SKIP

    A function that crashes fails alone. A worker that does is started anew, and what it ran runs elsewhere.

    Parameters
    ----------
    n_workers
        Worker processes; one for each CPU unless said.
    threads_per_worker
        Functions that each runs at a time; the CPUs are shared out unless said.
    memory_limit
        Bytes of memory of each worker, for example `"2 GiB"`; half of the memory is shared out unless said.
    dashboard_address
        Where the dashboard listens, as `127.0.0.1:0`; without it there is none.
    isolate
        Functions run in child processes of their worker, one for each thread: what crashes or takes too much memory fails alone, and
        the interpreter's lock is nobody else's. `False` runs them in threads of the worker, where a small call takes less time.
    resources
        Countable things that each worker has, by name.
    local_directory
        Where chunks go that do not fit the memory.
    log
        What its processes write to this process' standard error of what they log: `"warn"`, `"info"` or another filter of `--log`;
        nothing unless said here or by the environment variable `GRATICULE_LOG`. The dashboard tells it in any case.
    silence_logs
        The same as `distributed` calls it: a level of `logging` below which nothing is written, or `False`.
    processes
        `True`; a cluster in this process is `Client()`.
    """

    def __init__(
        self,
        n_workers: int | None = None,
        threads_per_worker: int | None = None,
        memory_limit: int | str | float | None = "auto",
        *,
        processes: bool = True,
        dashboard_address: str | None = None,
        host: str = "127.0.0.1",
        scheduler_port: int = 0,
        isolate: bool = True,
        resources: dict[str, int] | None = None,
        local_directory: str | os.PathLike[str] | None = None,
        name: str | None = None,
        log: str | None = None,
        silence_logs: int | str | bool | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise InvalidValue(f"LocalCluster does not take {', '.join(sorted(unknown))}")
        if not processes:
            raise InvalidValue("LocalCluster is of processes; a cluster of threads in this process is graticule.Client()")
        cpus = os.cpu_count() or 1
        if n_workers is None:
            n_workers = max(cpus // threads_per_worker, 1) if threads_per_worker else cpus
        if threads_per_worker is None:
            threads_per_worker = max(cpus // n_workers, 1) if n_workers else 1
        self.name = name or f"local-{os.getpid()}-{len(_clusters)}"
        self._wanted: int | tuple[int, int] = n_workers
        command = [
            sys.executable, "-m", "graticule.scheduler", "--ends-with-stdin", "--listen", f"{host}:{scheduler_port}",
            "--workers", str(n_workers), "--nthreads", str(threads_per_worker),
            "--memory", str(_memory(memory_limit, max(n_workers, 1))), "--log", _logs.filter_of(log, silence_logs),
        ]
        if dashboard_address is not None:
            command += ["--dashboard", dashboard_address]
        further = [] if isolate else ["--no-isolate"]
        if resources:
            further += ["--resources", ",".join(f"{key}={count}" for key, count in resources.items())]
        if local_directory is not None:
            further += ["--local-directory", os.fspath(local_directory)]
        # They import what this process does, from where it does.
        path = os.pathsep.join(part for part in sys.path if part)
        self._process = subprocess.Popen(
            [*command, "--", *further] if further else command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if len(words) != 2:
            self._process.kill()
            raise ClusterError("the scheduler process did not start; what it said stands above")
        self.scheduler_address, self._dashboard = words[0], None if words[1] == "-" else words[1]
        self.status = "running"
        self._client: Client | None = None
        _clusters.add(self)
        if n_workers:
            self.wait_for_workers(n_workers, START_S)

    def _say(self, wanted: str) -> None:
        if self.status != "running" or self._process.poll() is not None or self._process.stdin is None:
            raise ClusterError("this cluster is closed; make another one with graticule.LocalCluster()")
        self._process.stdin.write(wanted + "\n")
        self._process.stdin.flush()

    def scale(self, n: int) -> None:
        """Starts or retires workers until there are so many. What a worker holds that goes is handed to others first."""
        if not isinstance(n, int) or n < 0:
            raise InvalidValue(f"a number of workers is 0 or more, not {n!r}")
        self._wanted = n
        self._say(str(n))

    def adapt(self, minimum: int = 0, maximum: int | None = None, **_: Any) -> None:
        """Starts and retires workers as the work asks for, between these numbers."""
        maximum = maximum if maximum is not None else max(os.cpu_count() or 1, minimum)
        if not 0 <= minimum <= maximum:
            raise InvalidValue(f"from {minimum} to {maximum} workers is no range")
        self._wanted = (minimum, maximum)
        self._say(f"{minimum}..{maximum}")

    def _info(self) -> dict[str, Any]:
        from ._client import Client

        if self._client is None or self._client.closed:
            self._client = Client(self, set_as_default=False)
        return self._client._cluster.info()

    @property
    def dashboard_link(self) -> str | None:
        """The dashboard's address, if there is one; see `Client.dashboard_link`."""
        return _html.link(self._dashboard)

    def _repr_html_(self) -> str:
        return _html.closed("LocalCluster") if self.status != "running" else _html.cluster(self)

    @property
    def workers(self) -> dict[str, Any]:
        """The workers that are connected, by name."""
        return {worker["name"]: worker for worker in self._info()["workers"]}

    def wait_for_workers(self, n_workers: int, timeout: float | None = None) -> None:
        """Waits until so many workers are connected."""
        end = None if timeout is None else time.monotonic() + timeout
        while (there := len(self.workers)) < n_workers:
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"{there} of {n_workers} workers were connected after {timeout} s")
            time.sleep(0.02)

    def _restart(self, client: Any, timeout: float) -> None:
        """Ends all workers and starts as many anew."""
        before = set(self.workers)
        self._say("restart")
        end = time.monotonic() + timeout
        while before & set(self.workers):
            if time.monotonic() > end:
                raise TimeoutError(f"workers did not end within {timeout} s")
            time.sleep(0.02)
        least = self._wanted if isinstance(self._wanted, int) else self._wanted[0]
        self.wait_for_workers(least, max(end - time.monotonic(), 0))

    def get_client(self) -> Client:
        """A client of this cluster."""
        from ._client import Client

        return Client(self)

    def close(self, timeout: float | None = None) -> None:
        """Ends workers and scheduler. The second time nothing happens."""
        if self.status == "closed":
            return
        self.status = "closed"
        if self._client is not None:
            self._client.close()
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                pass
        try:
            self._process.wait(timeout or 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "status", "closed") == "running":
            self.close()

    def __repr__(self) -> str:
        if self.status != "running":
            return "<LocalCluster: closed>"
        workers = self.workers
        threads = sum(worker["slots"] for worker in workers.values())
        return f"<LocalCluster: {self.scheduler_address}, {len(workers)} workers, {threads} threads>"


def _memory(limit: Any, n_workers: int) -> int:
    from ._client import _bytes

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if limit in (None, "auto", 0):
        return total // 2 // n_workers
    if isinstance(limit, float) and limit <= 1:
        return int(total * limit)
    return _bytes(limit if isinstance(limit, str) else int(limit)) or total // 2 // n_workers


@atexit.register
def _close_all() -> None:
    for cluster in list(_clusters):
        cluster.close(timeout=3)
