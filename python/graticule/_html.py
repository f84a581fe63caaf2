"""What a notebook shows of clients and clusters, and links that can be followed from there."""

from __future__ import annotations

import html
import os
import urllib.parse
from collections.abc import Iterable
from typing import Any

#: Workers that are listed.
_WORKERS_MAX = 64


def link(url: str | None) -> str | None:
    """The address of a page of this machine, as the user's browser finds it."""
    if url is None:
        return None
    parts = urllib.parse.urlsplit(url)
    pattern = os.environ.get("GRATICULE_DASHBOARD_LINK")
    hub = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if pattern is None and hub is not None:
        pattern = hub.rstrip("/") + ("/proxy/{port}/" if parts.hostname in ("127.0.0.1", "localhost", "::1") else "/proxy/{host}:{port}/")
    if pattern is None:
        return url
    try:
        return pattern.format_map({**os.environ, "scheme": parts.scheme, "host": parts.hostname, "port": parts.port})
    except (KeyError, ValueError, IndexError):
        return url


def closed(name: str) -> str:
    return f"<b>{name}</b> closed"


def client(client: Any) -> str:
    info = client._cluster.info()
    kind = "in this process" if client._cluster.is_embedded else client._cluster.url
    rows = [("cluster", kind), *_about(info, client.dashboard_link)]
    running = [
        (job["name"] or f"job {job['id']}", f"{job['finished']} of {job['tasks']} tasks")
        for job in info["running"]
        if job["finished"] < job["tasks"]
    ]
    return _page("Client", rows, info["workers"], running)


def cluster(cluster: Any) -> str:
    info = cluster._info()
    rows = [("cluster", cluster.scheduler_address), *_about(info, cluster.dashboard_link)]
    return _page("LocalCluster", rows, info["workers"], [])


def _about(info: dict[str, Any], dashboard: str | None) -> Iterable[tuple[str, Any]]:
    workers = info["workers"]
    if dashboard:
        yield "dashboard", _Link(dashboard)
    yield "workers", len(workers)
    yield "threads", sum(worker["slots"] for worker in workers)
    yield "memory", size(sum(worker["memory_limit"] for worker in workers))
    yield "tasks finished", info["tasks_finished"]


class _Link(str):
    pass


def _page(title: str, rows: Iterable[tuple[str, Any]], workers: list[dict[str, Any]], running: list[tuple[str, str]]) -> str:
    listed = "".join(
        f"<tr><td>{_escaped(worker['name'])}</td><td>{worker['slots']} threads</td>"
        f"<td>{size(worker['memory'])} of {size(worker['memory_limit'])}</td></tr>"
        for worker in workers[:_WORKERS_MAX]
    )
    if len(workers) > _WORKERS_MAX:
        listed += f"<tr><td colspan='3'>and {len(workers) - _WORKERS_MAX} more</td></tr>"
    jobs = "".join(_row(name, text) for name, text in running)
    return (
        f"<div><b>{title}</b><table>{''.join(_row(name, value) for name, value in rows)}{jobs}</table>"
        f"<details><summary>Workers</summary><table>{listed}</table></details></div>"
    )


def _row(name: str, value: Any) -> str:
    shown = _escaped(value)
    if isinstance(value, _Link):
        shown = f"<a href='{shown}' target='_blank'>{shown}</a>"
    return f"<tr><th style='text-align:left'>{_escaped(name)}</th><td style='text-align:left'>{shown}</td></tr>"


def _escaped(value: Any) -> str:
    return html.escape(str(value))


def size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} TiB"
