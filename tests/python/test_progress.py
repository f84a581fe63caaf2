"""What people see of work and clusters: bars, links, and what a notebook shows."""

import io
import re
import time

import numpy as np
import pytest

import graticule
import graticule.array as ga


def slowly(block):
    time.sleep(0.05)
    return block


def lines(out):
    return [line for line in re.split("[\r\n]", out.getvalue()) if line.strip()]


def test_a_bar_follows_computations(client):
    out = io.StringIO()
    x = ga.ones((40, 4), chunks=(1, 4)).map_blocks(slowly, dtype=float)
    with graticule.ProgressBar(out=out, dt=0.02):
        assert x.sum().compute() == 160
    shown = lines(out)
    assert len(shown) > 3, out.getvalue()
    assert shown[-1].startswith("[" + "#" * 40 + "] | 100% done | ")
    parts = [int(re.search(r"(\d+)% done", line)[1]) for line in shown]
    assert parts == sorted(parts) and parts[0] < 100


def test_a_bar_shows_nothing_where_nothing_runs(client):
    out = io.StringIO()
    with graticule.ProgressBar(out=out, dt=0.01):
        time.sleep(0.05)
    assert out.getvalue() == ""


def test_a_bar_keeps_quiet_for_a_while(client):
    out = io.StringIO()
    with graticule.ProgressBar(minimum=60, out=out, dt=0.01):
        ga.ones(8, chunks=2).map_blocks(slowly, dtype=float).compute()
    assert out.getvalue() == ""


def test_progress_waits_for_what_is_persisted(client):
    out = io.StringIO()
    kept = client.persist(ga.ones(20, chunks=2).map_blocks(slowly, dtype=float))
    graticule.progress(kept, out=out, dt=0.02)
    assert lines(out)[-1].startswith("[" + "#" * 40 + "] | 100% done")
    began = time.monotonic()
    np.testing.assert_array_equal(kept.compute(), np.ones(20))
    assert time.monotonic() - began < 5


def test_progress_waits_for_futures(client):
    out = io.StringIO()
    futures = client.map(slowly, range(7), pure=False)
    graticule.progress({"some": futures[:3]}, futures[3:], out=out, dt=0.02)
    assert all(future.done() for future in futures)
    assert "100% done" in lines(out)[-1]


def test_progress_ends_with_what_fails(client):
    def fails(block):
        raise ValueError("broken")

    kept = client.persist(ga.ones(4, chunks=2).map_blocks(fails, dtype=float))
    graticule.progress(kept, out=io.StringIO(), dt=0.02)
    with pytest.raises(ValueError, match="broken"):
        kept.compute()


def test_a_notebook_shows_clients(client):
    shown = client._repr_html_()
    assert "Client" in shown and "in this process" in shown and "threads" in shown
    other = graticule.Client()
    other.close()
    assert other._repr_html_() == "<b>Client</b> closed"


def test_links_go_where_the_browser_is(monkeypatch):
    with graticule.Client(dashboard_address="127.0.0.1:0", set_as_default=False) as client:
        link = client.dashboard_link
        port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/?", link)[1])
        assert f"href='{link}'" in client._repr_html_()
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/anna/")
        assert client.dashboard_link == f"/user/anna/proxy/{port}/"
        monkeypatch.setenv("GRATICULE_DASHBOARD_LINK", "https://hub.example/{JUPYTERHUB_SERVICE_PREFIX}x/{host}:{port}")
        assert client.dashboard_link == f"https://hub.example//user/anna/x/127.0.0.1:{port}"
        monkeypatch.setenv("GRATICULE_DASHBOARD_LINK", "{nothing of the sort}")
        assert client.dashboard_link == link
