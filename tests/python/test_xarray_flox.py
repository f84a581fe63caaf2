"""Groups of lazy arrays where flox is installed too, which xarray asks first and which knows other arrays only."""

import warnings

import flox  # noqa: F401  (what all of this is about)
import numpy as np
import pytest
import xarray as xr

import graticule

REDUCTIONS = ["mean", "sum", "min", "max", "std", "var", "median", "prod", "count", "any", "all", "first", "last"]
GROUPS = {
    "months": lambda data: data.groupby("time.month"),
    "days, resampled": lambda data: data.resample(time="7D"),
    "bins": lambda data: data.groupby_bins("x", [0, 2, 4]),
}


def series():
    random = np.random.default_rng(3)
    values = random.standard_normal((40, 5)).astype("f4")
    values[random.random(values.shape) < 0.2] = np.nan
    time = np.datetime64("2021-01-25", "ns") + np.arange(40).astype("m8[D]")
    coords = {"time": time, "x": np.arange(5.0)}
    return xr.DataArray(values, dims=("time", "x"), coords=coords, attrs={"units": "K"}, name="t")


@pytest.fixture(scope="module")
def client():
    with graticule.Client() as client:
        yield client


def close(want, got):
    assert got.dtype == want.dtype
    xr.testing.assert_allclose(want, got, rtol=1e-5, atol=1e-5)
    assert got.attrs == want.attrs


#: xarray itself has no sums along the way where bins leave something out.
CASES = [(reduction, groups) for reduction in (*REDUCTIONS, "quantile", "cumsum") for groups in GROUPS]
CASES.remove(("cumsum", "bins"))


@pytest.mark.parametrize("is_dataset", [False, True])
@pytest.mark.parametrize("reduction, groups", CASES)
def test_groups_are_lazy_and_right_beside_flox(client, reduction, groups, is_dataset):
    arguments = {"quantile": ([0.25, 0.5],)}.get(reduction, ())

    def applied(data):
        data = data.to_dataset() if is_dataset else data
        made = getattr(GROUPS[groups](data), reduction)(*arguments)
        return made["t"] if is_dataset else made

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with xr.set_options(use_flox=False):
            want = applied(series())
        before = client.info()["tasks_finished"]
        lazy = applied(series().chunk({"time": 1}, chunked_array_type="graticule"))
        assert client.info()["tasks_finished"] == before
        assert isinstance(lazy.data, graticule.array.Array)
        close(want, lazy.compute())


def test_what_is_not_lazy_is_still_left_to_flox(client):
    with xr.set_options(use_flox=True):
        made = series().groupby("time.month").mean()
    assert isinstance(made.data, np.ndarray)
