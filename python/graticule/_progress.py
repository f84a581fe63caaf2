"""How far the work is, as a line of text, or in a notebook as a bar that moves."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ._futures import futures_of
from .errors import GraticuleError

#: A count of what is done and a count of all.
_Counts = tuple[int, int]


class ProgressBar:
    """Shows how far all computations are while it is open, as `dask.diagnostics.ProgressBar` does.

    >>> with ProgressBar():  # doctest: +SKIP
    ...     x.mean().compute()
    [########################################] | 100% done | 1.2 s

    Parameters
    ----------
    minimum
        Seconds before which nothing is shown.
    width
        Characters of the bar.
    dt
        Seconds between two looks.
    out
        Where it writes; standard output, if it is not said, as it is when the bar is opened.
    """

    def __init__(self, minimum: float = 0, width: int = 40, dt: float = 0.1, out: Any = None) -> None:
        self._minimum, self._width, self._dt, self._out = minimum, width, dt, out
        self._over: threading.Event | None = None

    def register(self) -> None:
        """Shows all computations from now on."""
        if self._over is not None:
            return
        self._over = threading.Event()
        line = _Line(self._out or sys.stdout, self._width, self._minimum)
        self._thread = threading.Thread(target=self._run, args=(line, self._over), daemon=True)
        self._thread.start()

    def unregister(self) -> None:
        """Shows nothing any more."""
        if self._over is not None:
            self._over.set()
            self._thread.join()
            self._over = None

    def _run(self, line: _Line, over: threading.Event) -> None:
        seen, before = _Seen(), _finished()
        while not over.wait(self._dt):
            counts = seen.counts()
            if counts[1]:
                line.show(counts)
            if seen.is_idle and line.is_shown:
                # The next computation has a line of its own.
                line.end(counts)
                line, seen, before = _Line(line.out, self._width, self._minimum), _Seen(seen), _finished()
        counts = seen.ended()
        if not counts[1]:
            # What was done between two looks was not seen.
            made = _finished() - before
            counts = (made, made)
        if counts[1]:
            line.end(counts)

    def __enter__(self) -> ProgressBar:
        self.register()
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()


class _Seen:
    """The jobs of the open clients, since this began; one that is seen no more is done."""

    def __init__(self, before: _Seen | None = None) -> None:
        self._jobs: dict[Any, _Counts] = {}
        self._before = set(before._jobs) | before._before if before else {job["id"] for job in _running()}
        self.is_idle = True

    def counts(self) -> _Counts:
        running = {job["id"]: (job["finished"], job["tasks"]) for job in _running() if job["id"] not in self._before}
        self.is_idle = not running
        for number, (_, total) in self._jobs.items():
            if number not in running:
                self._jobs[number] = (total, total)
        self._jobs.update(running)
        return self._sum()

    def ended(self) -> _Counts:
        return self._sum() if not self._jobs else self.counts()

    def _sum(self) -> _Counts:
        return sum(done for done, _ in self._jobs.values()), sum(total for _, total in self._jobs.values())


def _running() -> list[dict[str, Any]]:
    from ._client import open_clients

    jobs = []
    for client in open_clients():
        try:
            info = client._cluster.info()
        except GraticuleError:
            continue
        for job in info["running"]:
            if job["finished"] < job["tasks"]:
                jobs.append({**job, "id": (id(client), job["id"])})
    return jobs


def _finished() -> int:
    """Tasks that the clusters of the open clients have finished."""
    from ._client import open_clients

    count = 0
    for client in open_clients():
        with contextlib.suppress(GraticuleError):
            count += client._cluster.info()["tasks_finished"]
    return count


def progress(*what: Any, notebook: bool | None = None, dt: float = 0.1, out: Any = None, **_: Any) -> None:
    """Shows how far futures and persisted arrays are, in collections of any sort.

    In a terminal it returns when all has ended, in a notebook at once.

    >>> futures = client.map(load, files)  # doctest: +SKIP
    >>> progress(futures)  # doctest: +SKIP
    [#############                           ] | 33% done | 4.1 s
    """
    count = _counter(what)
    if notebook is None:
        notebook = _is_notebook()
    if notebook:
        _in_notebook(count, dt)
        return
    line = _Line(out or sys.stdout, 40, 0)
    while True:
        counts = count()
        if counts[0] >= counts[1]:
            line.end(counts)
            return
        line.show(counts)
        time.sleep(dt)


def _counter(what: Any) -> Callable[[], _Counts]:
    from .array import Array

    jobs: dict[int, Any] = {}

    def find(value: Any) -> None:
        if isinstance(value, Array):
            for job in value._jobs():
                jobs[job.id] = job
        elif hasattr(value, "_variable") or hasattr(value, "_variables"):
            # xarray's arrays and datasets.
            for variable in getattr(value, "_variables", {"": getattr(value, "_variable", None)}).values():
                find(getattr(variable, "_data", None))
        elif isinstance(value, (list, tuple, set, frozenset)):
            for part in value:
                find(part)
        elif isinstance(value, dict):
            for part in value.values():
                find(part)

    find(what)
    futures = futures_of(what)

    def count() -> _Counts:
        counts = [job.progress() for job in jobs.values()]
        done = sum(future.done() for future in futures)
        return done + sum(one[0] for one in counts), len(futures) + sum(one[1] for one in counts)

    return count


class _Line:
    def __init__(self, out: Any, width: int, minimum: float) -> None:
        self.out, self._width, self._minimum = out, width, minimum
        self._began, self.is_shown, self._length = time.monotonic(), False, 0

    def show(self, counts: _Counts) -> None:
        seconds = time.monotonic() - self._began
        if seconds < self._minimum:
            return
        part = counts[0] / counts[1] if counts[1] else 1.0
        bar = "#" * int(self._width * part)
        text = f"[{bar:<{self._width}}] | {int(100 * part)}% done | {_duration(seconds)}"
        self.out.write("\r" + text.ljust(self._length))
        self.out.flush()
        self.is_shown, self._length = True, len(text)

    def end(self, counts: _Counts) -> None:
        self.show(counts)
        if self.is_shown:
            self.out.write("\n")
            self.out.flush()


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _is_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def _in_notebook(count: Callable[[], _Counts], dt: float) -> None:
    from IPython.display import HTML, display

    began = time.monotonic()

    def picture(counts: _Counts) -> Any:
        done, total = counts
        words = f"{done} of {total} done, {_duration(time.monotonic() - began)}"
        return HTML(f"<progress value='{done}' max='{total or 1}' style='width:60%'></progress> {words}")

    handle = display(picture(count()), display_id=True)

    def run() -> None:
        while True:
            counts = count()
            handle.update(picture(counts))
            if counts[0] >= counts[1]:
                return
            time.sleep(max(dt, 0.2))

    threading.Thread(target=run, daemon=True).start()
