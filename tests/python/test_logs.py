"""What functions log, as the dashboard tells it."""

import json
import logging
import time
import urllib.request

import pytest

from graticule import Client, LocalCluster


def complain(times):
    for _ in range(times):
        logging.getLogger("sensor").warning("the %s is warm", "lens")
    logging.getLogger("sensor").info("not told")
    try:
        raise ValueError("no date")
    except ValueError:
        logging.exception("cannot parse")
    return times


def lines(client, query, count):
    """The lines, once there are so many."""
    end = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(f"{client.dashboard_link.rstrip('/')}/api/logs?{query}") as answer:
            told = json.load(answer)["lines"]
        if len(told) >= count or time.monotonic() > end:
            return told
        time.sleep(0.1)


@pytest.fixture(params=["embedded", "processes"])
def client(request):
    if request.param == "embedded":
        with Client(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", set_as_default=False) as client:
            yield client
    else:
        options = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": "1 GiB", "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
            yield client


def test_records_of_functions_are_lines_of_their_worker_and_task(client):
    assert client.submit(complain, 30).result(timeout=60) == 30
    warm, wrong = lines(client, "level=warn&text=e", 2)[:2]
    assert (warm["level"], warm["target"], warm["text"], warm["count"]) == ("warn", "sensor", "the lens is warm", 30)
    assert (wrong["level"], wrong["target"], wrong["text"]) == ("error", "root", "cannot parse\nValueError: no date")
    for line in (warm, wrong):
        assert line["source"] is not None and line["from"] != "scheduler", line
        assert line["block"] == 0 and line["layer"] is not None, line
    started = lines(client, "from=scheduler&text=job+started", 1)
    assert started and started[0]["job"] is not None
