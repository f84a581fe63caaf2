"""Zarr, GeoTIFF and STAC, read by the workers: lazy, and equal to what others read."""

import json
import pathlib

import numpy as np
import pytest
import xarray as xr

import graticule.array as ga
import graticule.stac

SCENES = pathlib.Path(__file__).parents[2] / "examples" / "data" / "landsat8-ny"


@pytest.fixture(params=[2, 3])
def store(request, tmp_path):
    """A Zarr store as xarray writes it, with packed integers, times, and text."""
    rng = np.random.default_rng(1)
    ds = xr.Dataset(
        {
            "t2m": (("time", "y", "x"), rng.normal(280, 9, (10, 6, 8)), {"units": "K"}),
            "packed": (("time", "y", "x"), np.where(rng.random((10, 6, 8)) < 0.2, np.nan, rng.integers(0, 500, (10, 6, 8)) * 0.5)),
            "counts": (("y", "x"), rng.integers(0, 9, (6, 8)).astype("i4")),
            "when": (("y",), np.datetime64("2020-01-01", "ns") + np.arange(6) * np.timedelta64(1, "h")),
        },
        coords={"time": xr.date_range("2001-01-01", periods=10), "y": np.arange(6.0), "x": np.arange(8.0)},
        attrs={"title": "of tests"},
    )
    path = str(tmp_path / "store.zarr")
    encoding = {
        "t2m": {"chunks": (4, 3, 8)},
        "packed": {"chunks": (5, 6, 4), "dtype": "i2", "scale_factor": 0.5, "add_offset": 10.0, "_FillValue": -1},
    }
    ds.to_zarr(path, zarr_format=request.param, encoding=encoding, consolidated=True)
    return path


def identical(got, want):
    for name in want.variables:
        assert got[name].dtype == want[name].dtype, name
    xr.testing.assert_identical(got.compute(), want.compute())


def test_the_engine_reads_what_xarrays_reads(store, client):
    want = xr.open_zarr(store, chunks=None)
    got = xr.open_dataset(store, engine="graticule")
    assert isinstance(got.t2m.variable._data, ga.Array) and got.t2m.chunks == ((4, 4, 2), (3, 3), (8,))
    assert all(isinstance(got[name].variable._data, ga.Array) for name in ("packed", "counts"))
    assert not any(isinstance(one.variable._data, ga.Array) for one in got.coords.values())
    identical(got, want)


def test_open_zarr_reads_folders_natively(store, client, executed):
    want = xr.open_zarr(store, chunks=None)
    before = executed()
    got = xr.open_zarr(store, chunked_array_type="graticule")
    assert executed() == before
    assert "read" in got.t2m.data.explain() and "graticule.python" not in got.packed.data.explain()
    identical(got, want)
    np.testing.assert_allclose(got.t2m.mean("time").values, want.t2m.mean("time").values)


def test_a_lazy_array_is_written_to_zarr_by_regions(store, client, tmp_path):
    ds = xr.open_zarr(store, chunked_array_type="graticule")
    made = (ds[["t2m"]] * 2).drop_encoding()
    path = str(tmp_path / "made.zarr")
    made.chunk(time=5).to_zarr(path)
    xr.testing.assert_equal(xr.open_zarr(path, chunks=None).compute(), made.compute())
    part = made.isel(time=slice(5, 10)).chunk(time=5).drop_vars(["y", "x"])
    (part + 1).to_zarr(path, region={"time": slice(5, 10)})
    again = xr.open_zarr(path, chunks=None)
    np.testing.assert_array_equal(again.t2m[5:], made.t2m[5:].compute() + 1)
    np.testing.assert_array_equal(again.t2m[:5], made.t2m[:5].compute())


def test_several_files_are_one_dataset(store, client, tmp_path):
    ds = xr.open_zarr(store, chunks=None)
    paths = []
    for number, part in enumerate((slice(0, 4), slice(4, 10))):
        paths.append(str(tmp_path / f"part{number}.zarr"))
        ds[["t2m"]].isel(time=part).drop_encoding().to_zarr(paths[-1])
    got = xr.open_mfdataset(paths, engine="graticule", combine="by_coords")
    assert isinstance(got.t2m.variable._data, ga.Array)
    identical(got[["t2m"]], ds[["t2m"]])


def test_a_missing_store_is_an_os_error(client):
    with pytest.raises(OSError):
        xr.open_dataset("/nowhere/at/all.zarr", engine="graticule")


def test_geotiff_is_what_rasterio_reads(client):
    import rasterio

    path = next(SCENES.glob("*/red.tif"))
    got = xr.open_dataset(path, engine="graticule").band_data
    raw = xr.open_dataset(path, engine="graticule", mask_and_scale=False).band_data
    with rasterio.open(path) as file:
        stored = file.read()
        assert got.spatial_ref.attrs["crs_wkt"] == str(file.crs)
        columns = [file.xy(0, column)[0] for column in (0, file.width - 1)]
        np.testing.assert_allclose(got.x.values[[0, -1]], columns)
    assert raw.dtype == stored.dtype and raw.dims == ("band", "y", "x")
    np.testing.assert_array_equal(raw.values, stored)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.values, np.where(stored == 0, np.nan, stored).astype("f4"))


def test_a_search_takes_what_stac_apis_take(client):
    items = SCENES / "items.json"
    assert len(graticule.stac.search(items)) == 19
    summer = graticule.stac.search(items, datetime="2018-05/2018-09", query={"eo:cloud_cover": {"lt": 40}})
    assert 0 < len(summer) < 19
    assert len(summer) == len(graticule.stac.search(items, datetime="2018-05/2018-09", query="eo:cloud_cover<40"))
    assert all(one["eo:cloud_cover"] < 40 for one in summer.properties)
    document = json.loads(items.read_text())
    assert graticule.stac.search(document, base=str(items)).ids == graticule.stac.search(items).ids
    with pytest.raises(OSError, match="datetime"):
        graticule.stac.search(items, datetime="1999")


@pytest.fixture
def expected():
    return json.loads((SCENES / "expected" / "expected.json").read_text())


def test_a_stack_is_what_odc_stac_makes(client, executed):
    stack = graticule.stac.search(SCENES / "items.json").stack(["red", "qa"], resolution=3000, groupby="solar_day", dtype="source")
    assert executed() == 0
    assert stack.dims == ("time", "band", "y", "x") and stack.time.dtype == "M8[us]"
    np.testing.assert_array_equal(stack.sel(band="red").values, np.load(SCENES / "expected" / "solar_day_red.npy"))
    np.testing.assert_array_equal(stack.sel(band="qa").values, np.load(SCENES / "expected" / "solar_day_qa.npy"))
    median = stack.sel(band="red").median("time")
    assert median.spatial_ref.attrs["spatial_ref"] == "EPSG:32618"


def test_the_cloudless_mosaic_is_the_median_of_clear_pixels(client):
    stack = graticule.stac.search(SCENES / "items.json").stack(["red", "qa"], resolution=3000, groupby="solar_day", dtype="source")
    red, qa = stack.sel(band="red"), stack.sel(band="qa")
    clear = red.where((red != 0) & ((qa & 0b10001) == 0)).astype("f8")
    median = clear.median("time")
    np.testing.assert_array_equal(median.values, np.load(SCENES / "expected" / "solar_day_median_red.npy"))
    monthly = clear.groupby("time.month").median()
    np.testing.assert_array_equal(monthly.values, np.load(SCENES / "expected" / "solar_day_monthly_median_red.npy"))


def test_floats_have_nan_where_pixels_are_missing(client):
    items = graticule.stac.search(SCENES / "items.json", max_cloud=10)
    floats, valid = items.stack("red", resolution=3000, validity=True)
    assert floats.dtype == np.float32 and valid.dtype == bool
    np.testing.assert_array_equal(np.isnan(floats.values), ~valid.values)
    with pytest.raises(ValueError, match="EPSG"):
        items.stack("red", crs="WGS84")
    with pytest.raises(OSError, match="nir"):
        items.stack("nir")


def test_a_single_number_needs_no_names_of_dimensions(client, tmp_path):
    import zarr

    group = zarr.open_group(tmp_path / "numbers.zarr", mode="w", zarr_format=3)
    group.create_array("height", shape=(), dtype="i4")[...] = 7
    assert group["height"].metadata.dimension_names is None
    assert int(xr.open_dataset(tmp_path / "numbers.zarr", engine="graticule").height) == 7
    group.create_array("nameless", shape=(3,), dtype="i4")
    with pytest.raises(graticule.SourceError, match="'nameless' does not name its dimensions"):
        xr.open_dataset(tmp_path / "numbers.zarr", engine="graticule")


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("version", [2, 3])
def test_what_stands_for_missing_is_missing(client, tmp_path, version, consolidated, dtype):
    missing = 1e20 if dtype[0] == "f" else -999
    values = np.array([[1, 2, np.nan], [np.nan, 5, 6]])
    ds = xr.Dataset({"sst": (("y", "x"), values)})
    ds.sst.encoding = {"_FillValue": missing, "dtype": dtype}
    path = tmp_path / "sst.zarr"
    ds.to_zarr(path, zarr_format=version, consolidated=consolidated)
    plain = xr.open_zarr(path, chunks=None, consolidated=consolidated)
    xr.testing.assert_identical(xr.open_dataset(path, engine="graticule").compute(), plain.load())
    np.testing.assert_array_equal(plain.sst, values)
