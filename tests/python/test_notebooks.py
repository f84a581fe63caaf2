"""The notebooks of the examples, run cell by cell; their numbers are compared with oracles."""

import json
import pathlib

import numpy as np

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def run(name):
    notebook = json.loads((EXAMPLES / name).read_text())
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), name, "exec"), names)
    return names


def test_the_cloudless_mosaic(monkeypatch):
    monkeypatch.chdir(EXAMPLES.parent)
    names = run("cloudless_mosaic.ipynb")
    expected = EXAMPLES / "data" / "landsat8-ny" / "expected"
    red = names["median"].sel(band="red")
    np.testing.assert_array_equal(red.values, np.load(expected / "solar_day_median_red.npy"))
    monthly = names["monthly"].sel(band="red")
    np.testing.assert_array_equal(monthly.transpose("month", "y", "x").values, np.load(expected / "solar_day_monthly_median_red.npy"))
    assert red.spatial_ref.attrs["crs_wkt"] == "EPSG:32618"
    assert names["client"].closed
