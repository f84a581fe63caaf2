"""Nothing of what xarray does on Graticule's arrays needs Dask: the table's operations are tried with Dask hidden."""

import os
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.skipif("GRATICULE_WITHOUT_DASK" in os.environ, reason="this is that run")
def test_all_operations_are_the_same_without_dask():
    table = pathlib.Path(__file__).with_name("test_xarray_table.py")
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", str(table)]
    environment = {**os.environ, "GRATICULE_WITHOUT_DASK": "1"}
    environment.pop("GRATICULE_WRITE", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-4000:]
