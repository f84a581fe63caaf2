"""Spans for OpenTelemetry, switched on by the environment."""

import socket

import pytest

from graticule import Client, ClusterError


def test_spans_go_to_the_collector_that_the_environment_names(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as collector:
        collector.settimeout(30)
        monkeypatch.setenv("GRATICULE_OTLP", f"http://127.0.0.1:{collector.getsockname()[1]}")
        with Client(n_workers=1, dashboard_address="127.0.0.1:0", set_as_default=False) as client:
            assert client.submit(sum, [1, 2]).result(timeout=30) == 3
            asked, _ = collector.accept()
            with asked:
                asked.settimeout(30)
                # The first words of HTTP/2, over which gRPC speaks.
                assert asked.recv(14) == b"PRI * HTTP/2.0"


def test_an_address_that_is_none_says_what_to_write(monkeypatch):
    monkeypatch.setenv("GRATICULE_OTLP", "collector:4317")
    with pytest.raises(ClusterError, match="http://HOST:4317"):
        Client(n_workers=1, dashboard_address="127.0.0.1:0", set_as_default=False)
