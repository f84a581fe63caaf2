"""What xarray does series by series or window by window, and the core does in one operation: right, and really done so."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from xarray.groupers import BinGrouper, UniqueGrouper

import graticule.array as ga

CHUNKS = {"time": 7, "y": 4, "x": 3}


def cube(dtype="f8", gaps=0.2, steps=40, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(steps, 9, 7)) * 10
    if np.dtype(dtype).kind == "f":
        values[rng.random(values.shape) < gaps] = np.nan
    elif np.dtype(dtype).kind == "u":
        values = np.abs(values)
    times = pd.date_range("2001-01-01", periods=steps, freq="17D")
    return xr.DataArray(values.astype(dtype), dims=("time", "y", "x"), coords={"time": times}, name="v", attrs={"units": "K"})


@pytest.mark.parametrize("name", ["count", "mean", "sum", "prod", "min", "max", "std", "var", "median"])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "i2", "u1"])
def test_windows_move_and_are_not_laid_out(name, dtype, client):
    array = cube(dtype, steps=17)
    if name == "prod":
        array = array.clip(-3, 3)
    lazy = array.chunk(CHUNKS)
    for dims in ({"time": 4}, {"x": 3}, {"y": 3, "x": 5}):
        for center in (False, True):
            for needed in (None, 1, 2):
                with xr.set_options(use_bottleneck=False):
                    want = getattr(array.rolling(dims, center=center, min_periods=needed), name)()
                got = getattr(lazy.rolling(dims, center=center, min_periods=needed), name)()
                assert got.dtype == want.dtype
                if len(dims) == 1 or name in ("count", "mean", "sum", "min", "max"):
                    assert "transpose" not in got.data.explain()
                close = {"rtol": 1e-4, "atol": 1e-3} if want.dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-9}
                xr.testing.assert_allclose(want, got.compute(), **close)
                assert got.attrs == want.attrs and got.name == want.name


def test_windows_of_a_dataset_move_too(client):
    data = cube().to_dataset()
    for name in ("mean", "max", "count"):
        got = getattr(data.chunk(CHUNKS).rolling(time=5, min_periods=2), name)()
        assert "transpose" not in got.v.data.explain()
        with xr.set_options(use_bottleneck=False):
            xr.testing.assert_allclose(getattr(data.rolling(time=5, min_periods=2), name)(), got.compute())


@pytest.mark.parametrize("gaps", [0, 0.2, 0.9])
@pytest.mark.parametrize("degree", [0, 1, 2])
@pytest.mark.parametrize("steps", [1, 3, 40])
def test_polynomials_leave_gaps_out(gaps, degree, steps, client):
    array = cube(gaps=gaps, steps=steps)
    for options in ({}, {"full": True}, {"w": np.linspace(1, 2, steps)}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = array.polyfit("time", degree, skipna=True, **options)
            got = array.chunk(CHUNKS).polyfit("time", degree, **options).compute()
        for name, variable in want.data_vars.items():
            scale = float(np.nanmax(np.abs(variable.values), initial=0)) or 1.0
            np.testing.assert_allclose(got[name].values, variable.values, rtol=1e-7, atol=1e-9 * scale, err_msg=name)


def test_polynomials_of_no_steps_are_gaps(client):
    fitted = cube(steps=0).chunk(CHUNKS).polyfit("time", 1).polyfit_coefficients.compute()
    assert fitted.shape == (2, 9, 7) and fitted.isnull().all()


def test_arrays_that_were_there_before_xarray_are_known_to_it():
    script = """
import graticule.array as ga, numpy as np
x = ga.from_array(np.array([1.0, np.nan, 3.0, np.nan]), chunks=2)
import xarray as xr
x = xr.DataArray(x, dims="time")
print(x.rolling(time=2, min_periods=1).max().ffill("time").values.tolist())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[1.0, 1.0, 3.0, 3.0]\n", done.stderr


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("gaps", [0, 0.3, 0.9, 1])
def test_gaps_are_filled_between_neighbours_to_the_bit(dtype, gaps, client):
    array = cube(dtype, gaps)
    if gaps == 0.3:
        array.values[[5, 8, 9], 2, 2] = np.inf, np.inf, -np.inf
    for options in ({}, {"use_coordinate": False}, {"limit": 2}, {"max_gap": "40D"}, {"keep_attrs": False}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = array.interpolate_na("time", **options)
        got = array.chunk(CHUNKS).interpolate_na("time", **options)
        assert "graticule.python" not in got.data.explain()
        assert got.dtype == dtype
        xr.testing.assert_identical(want, got.compute())


def test_other_ways_to_fill_gaps_are_xarrays(client):
    array = cube(gaps=0.3)
    for options in ({"fill_value": "extrapolate"}, {"method": "nearest"}):
        xr.testing.assert_identical(array.interpolate_na("time", **options), array.chunk(CHUNKS).interpolate_na("time", **options).compute())


def test_a_vectorized_function_is_told_where_its_shape_is_wrong(client):
    lazy = cube().chunk({"time": -1, "y": 4, "x": 3})

    def fitted(function):
        return xr.apply_ufunc(
            function, lazy, input_core_dims=[["time"]], output_core_dims=[["part"]], vectorize=True, dask="parallelized",
            output_dtypes=["f8"], dask_gufunc_kwargs={"output_sizes": {"part": 2}},
        )

    halves = fitted(lambda series: [np.nansum(series), 1]).compute()
    np.testing.assert_allclose(halves.isel(part=0), lazy.sum("time").compute())
    assert (halves.isel(part=1) == 1).all()
    with pytest.raises(ValueError, match=r"shape \(3,\) where the signature says \(2,\)"):
        fitted(lambda series: series[:3]).compute()


POINTS = xr.DataArray([0.3, 1.1], dims="p")
INTERPOLATED = {
    "within": lambda x: x.interp(x=[0.25, 1.1, 2.0]),
    "beyond": lambda x: x.interp(x=[-1, 0.3, 9]),
    "two dimensions": lambda x: x.interp(x=[0.1, 1.5, 2.9], y=[49.0, 12.0, 33.3]),
    "finer": lambda x: x.interp(x=np.linspace(0, 3, 100), y=np.linspace(10, 50, 77)),
    "one place": lambda x: x.interp(x=0.7),
    "another dimension": lambda x: x.interp(x=POINTS),
    "two other dimensions": lambda x: x.interp(x=xr.DataArray([[0.3, 1.1], [2.0, 2.2]], dims=("p", "q"))),
    "times": lambda x: x.interp(time=x.time[:-1] + np.timedelta64(3, "D")),
    "not a place": lambda x: x.interp(x=[0.2, np.nan]),
}
INTERPOLATED_IN_PYTHON = {
    "points": lambda x: x.interp(x=POINTS, y=xr.DataArray([33.0, 41.0], dims="p")),
    "a place for each row": lambda x: x.interp(x=xr.DataArray(np.linspace(0, 3, 9), dims="y")),
    "nearest": lambda x: x.interp(x=[0.3, 1.1], method="nearest"),
    "cubic": lambda x: x.interp(x=[0.2, 0.9], method="cubic"),
    "extrapolated": lambda x: x.interp(x=[-1, 0.3, 9], kwargs={"fill_value": "extrapolate"}),
}


def placed(dtype):
    return np.abs(cube(dtype)).assign_coords(y=np.linspace(50, 10, 9), x=np.arange(7) * 0.5, z=("y", np.arange(9.0) ** 2))


@pytest.mark.parametrize("name", INTERPOLATED)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u1"])
def test_lines_between_neighbours_are_drawn_to_the_bit(name, dtype, client):
    array = placed(dtype)
    got = INTERPOLATED[name](array.chunk(CHUNKS).assign_coords(array.coords))
    assert "graticule.python" not in got.data.explain()
    want = INTERPOLATED[name](array)
    assert got.dtype == want.dtype
    xr.testing.assert_identical(want, got.compute())


@pytest.mark.parametrize("name", INTERPOLATED_IN_PYTHON)
def test_other_ways_to_interpolate_are_xarrays(name, client):
    array = placed("f8")
    got = INTERPOLATED_IN_PYTHON[name](array.chunk(CHUNKS).assign_coords(array.coords)).compute()
    xr.testing.assert_allclose(INTERPOLATED_IN_PYTHON[name](array), got)


LABELLED = {
    "labels": lambda x: x.groupby(zone=UniqueGrouper(labels=[0, 1, 2])).mean(),
    "some labels": lambda x: x.groupby(zone=UniqueGrouper(labels=[0, 2])).count(),
    "median": lambda x: x.groupby(zone=UniqueGrouper(labels=[0, 1, 2])).median(),
    "bins": lambda x: x.groupby(height=BinGrouper([0, 3, 8])).sum(),
    "anomaly": lambda x: x.groupby(zone=UniqueGrouper(labels=[0, 1, 2])) - x.groupby(zone=UniqueGrouper(labels=[0, 1, 2])).mean(),
}


@pytest.mark.parametrize("name", LABELLED)
def test_labels_may_be_lazy_where_xarray_is_told_which_there_are(name, client):
    zones = np.random.default_rng(3).integers(0, 3, (9, 7))
    array = np.abs(cube()).assign_coords(zone=(("y", "x"), zones), height=("y", np.arange(9.0)))
    lazy = array.chunk(CHUNKS).assign_coords(zone=array.zone.chunk(y=4), height=array.height.chunk(y=4))
    got = LABELLED[name](lazy)
    assert type(got.data) is ga.Array
    xr.testing.assert_allclose(LABELLED[name](array), got.compute())
    with pytest.raises(ValueError, match="Please pass `labels`"):
        lazy.groupby("zone").mean()


ALONG = {
    "the greatest": lambda x: x.isel(x.argmax(["time"])),
    "one for several": lambda x: x.isel(time=x.mean("x").argmax("time")),
    "in another order": lambda x: x.isel(time=x.argmax("time").transpose("x", "y")),
    "the last dimension": lambda x: x.isel(x=x.argmax("x")),
    "of a part": lambda x: x.isel(time=x.isel(y=slice(1, 4)).argmax("time"), y=[1, 2, 3]),
}


@pytest.mark.parametrize("name", ALONG)
def test_positions_along_a_dimension_may_be_lazy(name, client):
    array = cube(gaps=0).drop_vars("time")
    got = ALONG[name](array.chunk(CHUNKS))
    assert type(got.data) is ga.Array
    xr.testing.assert_identical(ALONG[name](array), got.compute())


def test_positions_of_other_lazy_points_are_computed(client):
    array = cube(gaps=0).drop_vars("time")
    lazy = array.chunk(CHUNKS)
    places = {dim: xr.DataArray(np.arange(7) % length, dims="p") for dim, length in (("time", 40), ("y", 9))}
    got = lazy.isel({dim: one.chunk(p=3) for dim, one in places.items()})
    xr.testing.assert_identical(array.isel(places), got.compute())


def test_points_by_lazy_lists_masks_and_numbers_are_numpys(client):
    x = np.arange(24.0).reshape(4, 6)
    lazy, list_, mask = ga.from_array(x, chunks=2), ga.array([0, 3]), ga.array([True, False, True, False])
    for got, want in (
        (lazy.vindex[list_, 3], x[[0, 3], 3]),
        (lazy.vindex[list_, [1, 2]], x[[0, 3], [1, 2]]),
        (lazy.vindex[list_, ga.array([1, 2])], x[[0, 3], [1, 2]]),
        (lazy.vindex[mask, [1, 2]], x[[0, 2], [1, 2]]),
    ):
        np.testing.assert_array_equal(got.compute(), want)
