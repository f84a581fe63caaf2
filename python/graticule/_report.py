"""Reports: one file that replays what jobs did, for a browser without a server."""

from __future__ import annotations

import os
import tempfile
import urllib.error
import urllib.request
from types import TracebackType
from typing import TYPE_CHECKING

from .errors import ClusterError

if TYPE_CHECKING:
    from ._client import Client

#: Seconds that the dashboard may take to answer; the report of a million tasks takes a few.
_TIMEOUT_S = 120


class performance_report:  # noqa: N801, as in distributed
    """Writes a report of the jobs that run inside it, as `distributed.performance_report` does.

    >>> with performance_report(filename="report.html"):  # doctest: +SKIP
    ...     x.mean().compute()

    The report is one file that opens in a browser, without a server and without the network: it replays each job on the pages of
    the dashboard, from what each slot did to a single task. It is written if the computation fails, too.

    Parameters
    ----------
    filename
        Where it is written. It is there as a whole or not at all.
    client
        Whose cluster; by default the default client's. A cluster elsewhere needs its dashboard, which makes the report.
    """

    def __init__(self, filename: str | os.PathLike[str] = "graticule-report.html", *, client: Client | None = None) -> None:
        self._path = os.fspath(filename)
        self._client = client

    def __enter__(self) -> None:
        from ._client import default_client

        folder = os.path.dirname(os.path.abspath(self._path))
        if not os.path.isdir(folder):
            # Better now than when the computation is over.
            raise FileNotFoundError(f"there is no folder {folder} to write the report to")
        self._of = self._client or default_client()
        self._mark = _mark(self._of)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            _write(self._path, _report(self._of, self._mark))
        except Exception as broken:
            if error is None:
                raise
            # What went wrong inside counts for more.
            error.add_note(f"the report {self._path} could not be written: {broken}")

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def _mark(client: Client) -> int:
    if client._cluster.is_embedded:
        return client._cluster.report_mark()
    return int(_ask(client, "api/now"))


def _report(client: Client, mark_us: int) -> bytes:
    if client._cluster.is_embedded:
        return client._cluster.report(mark_us)
    return _ask(client, f"api/reports/{mark_us}")


def _ask(client: Client, path: str) -> bytes:
    dashboard = client._cluster.dashboard
    if dashboard is None:
        raise ClusterError(
            "this cluster has no dashboard, which makes reports: start it with one, as LocalCluster(dashboard_address='127.0.0.1:0')"
        )
    # The environment's proxies are for other machines.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(dashboard + path, timeout=_TIMEOUT_S) as answer:
            return answer.read()
    except (urllib.error.URLError, OSError) as error:
        raise ClusterError(f"the dashboard at {dashboard} does not answer, and it makes reports: {error}") from error


def _write(path: str, report: bytes) -> None:
    handle, aside = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=".report-", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(report)
        # mkstemp's files are for their owner alone; a report has what any new file has.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(aside, 0o666 & ~umask)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
