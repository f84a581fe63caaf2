"""The notebooks of the examples, run in a kernel as users run them; their numbers are compared with oracles."""

import pathlib

import nbclient
import nbformat
import numpy as np
import pytest
import xarray as xr

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
DATA = EXAMPLES / "data"


def run(name, tmp_path, **wanted):
    """Runs a notebook, and gives what the wanted expressions are before its last cell, which closes the client."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    results = tmp_path / "results.npz"
    values = ", ".join(f"{key}={value}" for key, value in wanted.items())
    assert notebook.cells[-1].source == "client.close()"
    notebook.cells.insert(-1, nbformat.v4.new_code_cell(f"import numpy\nnumpy.savez({str(results)!r}, {values})"))
    kernel = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": EXAMPLES.parent}})
    kernel.execute()
    with np.load(results) as saved:
        return notebook, {key: saved[key] for key in wanted}


def printed(notebook):
    return "".join(out.text for cell in notebook.cells for out in cell.get("outputs", []) if out.output_type == "stream")


def shown(notebook):
    """What cells show as HTML."""
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    return "".join(out.data["text/html"] for out in outputs if "text/html" in out.get("data", {}))


def test_the_cloudless_mosaic(tmp_path):
    notebook, found = run(
        "cloudless_mosaic.ipynb", tmp_path,
        red="median.sel(band='red').values",
        monthly="monthly.sel(band='red').transpose('month', 'y', 'x').values",
        crs="median.spatial_ref.attrs['crs_wkt']",
    )
    expected = DATA / "landsat8-ny" / "expected"
    np.testing.assert_array_equal(found["red"], np.load(expected / "solar_day_median_red.npy"))
    np.testing.assert_array_equal(found["monthly"], np.load(expected / "solar_day_monthly_median_red.npy"))
    assert found["crs"] == "EPSG:32618"
    assert "in this process" in shown(notebook)


def test_climatology_and_anomaly(tmp_path):
    notebook, found = run(
        "climatology.ipynb", tmp_path,
        climatology="climatology.transpose('month', 'latitude', 'longitude').values",
        anomaly="written.transpose('time', 'latitude', 'longitude').values",
        chunks="written.data.chunksize",
        pacific="pacific.values",
    )
    folder = DATA / "ostia-sst"
    np.testing.assert_allclose(found["climatology"], np.load(folder / "expected" / "month_mean.npy"), rtol=1e-9)
    sst = xr.open_dataset(folder / "monthly.zarr", engine="zarr", chunks=None).surface_temperature.load()
    anomaly = sst.groupby("time.month") - sst.astype("float64").groupby("time.month").mean()
    np.testing.assert_allclose(found["anomaly"], anomaly.values, rtol=0, atol=1e-9)
    assert found["chunks"].tolist() == [54, 6, 72]
    pacific = anomaly.sel(longitude=slice(190, 240)).mean(["latitude", "longitude"])
    np.testing.assert_allclose(found["pacific"], pacific.values, rtol=0, atol=1e-9)
    text = printed(notebook)
    assert f"warmest {pacific.idxmax('time').dt.strftime('%Y-%m').item()}" in text and "100% done" in text


def test_a_model_over_imagery(tmp_path):
    _, found = run(
        "cloud_model.ipynb", tmp_path,
        predicted="predicted.transpose('time', 'y', 'x').values",
        expected="predict(colors.transpose('time', 'y', 'x', 'band').values)",
        by_date="by_date.values",
        right="right.transpose('time', 'y', 'x').values",
    )
    np.testing.assert_array_equal(found["predicted"], found["expected"])
    np.testing.assert_allclose(found["by_date"], np.nanmean(found["right"].astype(float), axis=(1, 2)), rtol=1e-12)
    assert np.nanmean(found["by_date"]) > 0.8


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
