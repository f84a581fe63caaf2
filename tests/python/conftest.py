"""What the tests of the Python package share: a client, and a counter of executed tasks."""

import os
import sys

import pytest

if "GRATICULE_WITHOUT_DASK" in os.environ:
    # As if it were not installed: neither found nor imported.
    sys.modules["dask"] = sys.modules["distributed"] = None

import graticule  # noqa: E402  (Dask is hidden before)


@pytest.fixture(scope="session")
def client():
    # Not `with`: Dask's collections are what results are compared with.
    client = graticule.Client()
    yield client
    client.close()


@pytest.fixture
def executed(client):
    """Tasks that were executed since the test began."""
    before = client.info()["tasks_finished"]
    return lambda: client.info()["tasks_finished"] - before
