"""What functions log, as the dashboard tells it."""

import logging

import pytest

import log_lines
from graticule import Client, LocalCluster
from log_lines import lines


def complain(times):
    for _ in range(times):
        logging.getLogger("sensor").warning("the %s is warm", "lens")
    logging.getLogger("sensor").info("not told")
    try:
        raise ValueError("no date")
    except ValueError:
        logging.exception("cannot parse")
    return times


@pytest.fixture(params=["embedded", "processes"])
def client(request):
    if request.param == "embedded":
        options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
        # Another cluster of the same process must not be told what this one does.
        with Client(**options, set_as_default=False), Client(**options, set_as_default=False) as client:
            yield client
    else:
        options = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": "1 GiB", "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
            yield client


def test_records_of_functions_are_lines_of_their_worker_and_task(client):
    assert client.submit(complain, 30).result(timeout=60) == 30
    # Other clusters of this process may have said something too.
    warm, *more = lines(client, "level=warn&text=is+warm", lambda told: log_lines.count(told) >= 30)
    (wrong,) = lines(client, "level=warn&text=cannot+parse")
    assert (warm["level"], warm["target"], warm["text"]) == ("warn", "sensor", "the lens is warm")
    # They are told each half second, so there may be two lines of them.
    assert log_lines.count([warm, *more]) == 30 and len(more) < 2
    assert (wrong["level"], wrong["target"], wrong["text"]) == ("error", "root", "cannot parse\nValueError: no date")
    for line in (warm, wrong):
        assert line["source"] is not None and line["from"] != "scheduler", line
        assert line["block"] == 0 and line["layer"] is not None, line
    started = lines(client, "from=scheduler&text=job+started")
    assert started and started[0]["job"] is not None
