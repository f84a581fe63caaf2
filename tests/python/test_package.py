"""The package itself: what importing it brings along, its stub, and its doors for xarray."""

import ast
import importlib.metadata
import pathlib
import subprocess
import sys

import graticule
from graticule import _graticule


def test_importing_it_brings_numpy_and_nothing_large():
    program = "import sys, graticule, graticule.array; print([m for m in ('xarray', 'dask', 'pandas', 'zarr') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_stub_has_every_name():
    stub = ast.parse(pathlib.Path(graticule.__file__).with_name("_graticule.pyi").read_text())
    written = {node.name: node for node in stub.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own = {name: value for name, value in vars(_graticule).items() if not name.startswith("__")}
    assert set(written) == set(own)
    for name, value in own.items():
        if isinstance(value, type):
            methods = {node.name for node in written[name].body if isinstance(node, ast.FunctionDef)}
            assert {one for one in vars(value) if not one.startswith("_")} <= methods, name


def test_xarray_finds_manager_and_engine():
    for group, name in (("xarray.chunkmanagers", "GraticuleManager"), ("xarray.backends", "GraticuleBackend")):
        (entry,) = importlib.metadata.entry_points(group=group, name="graticule")
        assert entry.value == f"graticule.xarray:{name}"


def test_xarrays_default_manager_is_restored():
    program = """if True:
        import xarray as xr, graticule, numpy as np
        before = xr.get_options()["chunk_manager"]
        da = xr.DataArray(np.arange(6.0), dims="x")
        with graticule.Client():
            assert type(da.chunk(x=2).data) is graticule.array.Array
            with graticule.Client():
                pass
            assert type(da.chunk(x=2).data) is graticule.array.Array
        assert xr.get_options()["chunk_manager"] == before
    """
    subprocess.run([sys.executable, "-c", program], check=True)
