"""Reports: one file that replays what ran."""

import asyncio
import base64
import gzip
import json
import logging
import os
import re
import stat

import pytest

import graticule
import graticule.array as ga


def unpacked(path):
    """What a report has inside: a head, and bytes that it leads to."""
    html = path.read_text()
    assert html.startswith("<!doctype html>")
    packed = re.search(r'id="film">([A-Za-z0-9+/=]*)</script>', html)[1]
    told = gzip.decompress(base64.b64decode(packed))
    length = int.from_bytes(told[:4], "little")
    return json.loads(told[4 : 4 + length]), told[4 + length :]


def film(path):
    """The head of what a report has inside."""
    return unpacked(path)[0]


def jobs(told):
    """The jobs at the end, by their names."""
    rows = {}
    for frames in told["frames"]:
        for frame in frames:
            rows |= {job["k"]: job for job in frame.get("jobs", ())}
    return {job["name"]: job for job in rows.values()}


def test_a_report_has_the_jobs_that_ran_inside(client, tmp_path):
    path = tmp_path / "report.html"
    ga.ones(400, chunks=4).sum().compute()
    with graticule.performance_report(filename=path):
        assert ga.ones((40, 4), chunks=(4, 4)).sum().compute() == 160
    told = film(path)
    assert len(jobs(told)) == 1
    (job,) = jobs(told).values()
    assert job["state"] == "succeeded" and job["done"] == job["total"] == told["tasks"] > 0
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 & ~_umask()
    assert [it.name for it in tmp_path.iterdir()] == ["report.html"]


def test_a_report_has_what_was_logged_and_where_the_time_of_slots_went(client, tmp_path):
    def loud(block):
        logging.getLogger("study").warning("cloudy <img src=x>")
        return block

    path = tmp_path / "report.html"
    with graticule.performance_report(path):
        ga.ones((40, 4), chunks=(4, 4)).map_blocks(loud, dtype=float).sum().compute()
    told, blobs = unpacked(path)
    at, length = told["topics"]["lines"]
    lines = json.loads(blobs[at : at + length])["lines"]
    loud_lines = [line for line in lines if line["text"] == "cloudy <img src=x>"]
    # Lines of different tasks are lines of their own.
    assert sum(line["count"] for line in loud_lines) == 10
    assert all(line["level"] == "warn" and line["block"] is not None for line in loud_lines)
    _, at, length = told["topics"]["insights"][-1]
    insights = json.loads(blobs[at : at + length])
    function = insights["accounts"]["columns"].index("function")
    assert sum(used[function] for _, used in insights["accounts"]["workers"]) > 0


def _umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_a_report_asks_nobody_for_anything(client, tmp_path):
    path = tmp_path / "report.html"
    with graticule.performance_report(path):
        ga.ones(8, chunks=4).sum().compute()
    html = path.read_text()
    assert "default-src 'none'" in html
    assert not re.search(r"""(src|href)=["']?(https?:|//|\.)""", html.split("<script")[0])


def test_a_report_of_what_failed_is_written_and_the_error_is_the_same(client, tmp_path):
    def broken(block):
        raise ValueError("the sensor was off")

    path = tmp_path / "report.html"
    with pytest.raises(Exception, match="the sensor was off"), graticule.performance_report(path):
        ga.ones(8, chunks=4).map_blocks(broken, dtype=float).compute()
    (job,) = jobs(film(path)).values()
    assert job["state"] == "failed"


def test_a_folder_that_is_not_there_is_told_before_anything_runs(client, tmp_path, executed):
    with pytest.raises(FileNotFoundError, match="no folder"), graticule.performance_report(tmp_path / "a" / "b.html"):
        ga.ones(8, chunks=4).sum().compute()
    assert executed() == 0


def test_a_report_can_be_written_in_async_code(client, tmp_path):
    path = tmp_path / "report.html"

    async def run():
        async with graticule.performance_report(path):
            ga.ones(8, chunks=4).sum().compute()

    asyncio.run(run())
    assert len(jobs(film(path))) == 1


def test_the_dashboard_of_a_cluster_elsewhere_makes_its_report(tmp_path):
    path = tmp_path / "report.html"
    with (
        graticule.LocalCluster(1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        graticule.Client(cluster) as client,
    ):
        client.compute(ga.ones(8, chunks=4).sum())
        with graticule.performance_report(path, client=client):
            assert client.compute(ga.ones(400, chunks=4).sum()) == 400
    (job,) = jobs(film(path)).values()
    assert job["state"] == "succeeded"


def test_a_cluster_elsewhere_without_a_dashboard_says_what_to_do(tmp_path):
    with (
        graticule.LocalCluster(1, threads_per_worker=1) as cluster,
        graticule.Client(cluster) as client,
        pytest.raises(graticule.ClusterError, match="has no dashboard.*start it with one"),
        graticule.performance_report(tmp_path / "report.html", client=client),
    ):
        pass
