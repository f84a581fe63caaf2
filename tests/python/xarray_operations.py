"""Operations of xarray, each a function of a dataset whose arrays are NumPy's or Graticule's."""

import numpy as np
import pandas as pd
import xarray as xr

OPERATIONS = {}


def dataset(rng):
    """Small arrays of several dtypes. Floats are multiples of 1/4, so that sums are exact whatever their order."""
    shape = (24, 5, 6)
    floats = rng.integers(-40, 40, shape) / 4
    gaps = np.where(rng.random(shape) < 0.2, np.nan, floats)
    times = pd.date_range("2001-11-15", periods=24, freq="17D")
    stamps = np.datetime64("2020-01-01T00:00:00", "ns") + rng.integers(0, 10**9, (5, 6)) * np.timedelta64(10**6, "ns")
    return xr.Dataset(
        {
            "gaps": (("time", "y", "x"), gaps, {"units": "K", "long_name": "with gaps"}),
            "full": (("time", "y", "x"), floats),
            "single": (("time", "y", "x"), gaps.astype("f4"), {"units": "m"}),
            "counts": (("time", "y", "x"), rng.integers(0, 200, shape).astype("u2")),
            "signed": (("y", "x"), rng.integers(-9, 9, (5, 6)).astype("i4")),
            "flags": (("time", "y", "x"), rng.random(shape) < 0.4),
            "stamps": (("y", "x"), stamps),
            "spans": (("y", "x"), stamps - stamps.min()),
            "waves": (("time", "x"), floats[:, 0] + 1j * floats[:, 1]),
            "weights": (("y",), np.array([0.5, 1.0, 1.5, 2.0, 0.0])),
        },
        coords={
            "time": times,
            "y": np.array([50.0, 40.0, 30.0, 20.0, 10.0]),
            "x": np.arange(6) * 0.5,
            "zone": (("y", "x"), np.array([2, 0, 1, 1, 2, 7] * 5).reshape(5, 6)),
            "letter": ("x", list("abcabc")),
        },
        attrs={"title": "of tests"},
    )


def op(group, name, function):
    assert name not in OPERATIONS, name
    OPERATIONS[name] = (group, function)


def each(group, table):
    for name, function in table.items():
        op(group, name, function)


def whole(array, *dims):
    """In one chunk along dimensions, where xarray asks for that of any chunked array."""
    return array.chunk(dict.fromkeys(dims, -1)).assign_coords(array.coords) if array.chunks else array


def few(array):
    """Some blocks of many, for functions that are called for each."""
    return array.isel(time=slice(0, 4), y=slice(0, 3))


def _labels(ds):
    return xr.DataArray(np.arange(24) % 5, dims="time", name="label")


REDUCTIONS = ("sum", "mean", "min", "max", "std", "var", "prod", "median", "count", "any", "all")
for _name in REDUCTIONS:
    _of = {"any": "flags", "all": "flags", "prod": "signed"}.get(_name, "gaps")
    each("Reductions", {
        f"{_name}()": lambda ds, n=_name, v=_of: getattr(ds[v], n)(),
        f'{_name}("y")': lambda ds, n=_name, v=_of: getattr(ds[v], n)("y"),
    })
for _name in ("sum", "mean", "min", "max", "std", "median"):
    each("Reductions", {
        f'{_name}(["y", "x"])': lambda ds, n=_name: getattr(ds.gaps, n)(["y", "x"]),
        f'{_name}("time", skipna=False)': lambda ds, n=_name: getattr(ds.gaps, n)("time", skipna=False),
        f"{_name}() of float32": lambda ds, n=_name: getattr(ds.single, n)("time"),
        f"{_name}() of integers": lambda ds, n=_name: getattr(ds.counts, n)("time"),
    })
each("Reductions", {
    'sum("time", min_count=22)': lambda ds: ds.gaps.sum("time", min_count=22),
    'prod("y", min_count=2)': lambda ds: ds.gaps.prod("y", min_count=2),
    'std("x", ddof=1)': lambda ds: ds.gaps.std("x", ddof=1),
    'var("x", ddof=1)': lambda ds: ds.full.var("x", ddof=1),
    "mean(keep_attrs=True)": lambda ds: ds.gaps.mean("time", keep_attrs=True),
    "mean(keepdims)": lambda ds: ds.gaps.mean("time", keepdims=True),
    "max of flags": lambda ds: ds.flags.max("time"),
    "sum of flags": lambda ds: ds.flags.sum("time"),
    "sum of complex": lambda ds: ds.waves.sum("time"),
    "min of times": lambda ds: ds.stamps.min("x"),
    "max of times": lambda ds: ds.stamps.max(),
    "sum of lengths of time": lambda ds: ds.spans.sum("x"),
    "Dataset.mean()": lambda ds: ds[["gaps", "counts", "signed"]].mean("x"),
    "Dataset.max()": lambda ds: ds[["gaps", "counts"]].max(),
    "argmin()": lambda ds: ds.full.argmin("time"),
    "argmax()": lambda ds: ds.full.argmax("time"),
    "argmax() with gaps": lambda ds: ds.gaps.argmax("time"),
    "idxmin()": lambda ds: ds.full.idxmin("time"),
    "idxmax()": lambda ds: ds.full.idxmax("x"),
    "idxmax() with gaps": lambda ds: ds.gaps.idxmax("x"),
    "quantile(0.3)": lambda ds: ds.full.quantile(0.3, "time"),
    "quantile([0.1, 0.9])": lambda ds: ds.gaps.quantile([0.1, 0.9], "time"),
    "quantile() of float32": lambda ds: ds.single.quantile(0.5, "time"),
    "quantile(skipna=False)": lambda ds: ds.gaps.quantile(0.5, "y", skipna=False),
    "quantile() of two dimensions": lambda ds: ds.gaps.quantile(0.25, ["y", "x"]),
    "first and last by isel": lambda ds: ds.gaps.isel(time=-1) - ds.gaps.isel(time=0),
    "reduce(np.ptp)": lambda ds: ds.full.reduce(np.ptp, "time"),
    "reduce(np.nansum)": lambda ds: ds.gaps.reduce(np.nansum, "time"),
})
each("Scans and gaps", {
    "cumsum()": lambda ds: ds.gaps.cumsum("time"),
    "cumsum() of integers": lambda ds: ds.counts.cumsum("time"),
    "cumsum(skipna=False)": lambda ds: ds.gaps.cumsum("x", skipna=False),
    "cumsum() of two dimensions": lambda ds: ds.full.cumsum(["y", "x"]),
    "cumprod()": lambda ds: (ds.gaps / 8).cumprod("x"),
    "ffill()": lambda ds: ds.gaps.ffill("time"),
    "ffill(limit=1)": lambda ds: ds.gaps.ffill("time", limit=1),
    "bfill()": lambda ds: ds.gaps.bfill("time"),
    "bfill(limit=2)": lambda ds: ds.gaps.bfill("time", limit=2),
    "fillna(0)": lambda ds: ds.gaps.fillna(0),
    "fillna(array)": lambda ds: ds.gaps.fillna(ds.full),
    "isnull()": lambda ds: ds.gaps.isnull(),
    "notnull()": lambda ds: ds.gaps.notnull(),
    "isnull() of integers": lambda ds: ds.counts.isnull(),
    "interpolate_na()": lambda ds: ds.gaps.interpolate_na("time"),
    "interpolate_na(limit=)": lambda ds: ds.gaps.interpolate_na("time", limit=2),
    "interpolate_na(max_gap=)": lambda ds: ds.gaps.interpolate_na("time", max_gap="40D"),
    "interpolate_na(method='nearest')": lambda ds: ds.single.interpolate_na("time", method="nearest", use_coordinate=False),
    "interpolate_na() of a dataset": lambda ds: ds[["gaps", "single"]].interpolate_na("x"),
    "diff()": lambda ds: ds.full.diff("time"),
    "diff(n=2, label=lower)": lambda ds: ds.full.diff("x", n=2, label="lower"),
    "differentiate()": lambda ds: ds.full.differentiate("x"),
    "integrate()": lambda ds: ds.full.integrate("x"),
    "cumulative_integrate()": lambda ds: ds.full.cumulative_integrate("x"),
    "combine_first()": lambda ds: ds.gaps.combine_first(ds.full),
})
for _symbol, _function in {
    "x + y": lambda a, b: a + b, "x - y": lambda a, b: a - b, "x * y": lambda a, b: a * b,
    "x / y": lambda a, b: a / (b + 1), "x // y": lambda a, b: a // (b + 1), "x % y": lambda a, b: a % (b + 1),
    "x ** 2": lambda a, b: a**2, "x > y": lambda a, b: a > b, "x == y": lambda a, b: a == b, "-x": lambda a, b: -a,
    "abs(x)": lambda a, b: abs(a), "2 - x": lambda a, b: 2 - a,
}.items():
    op("Arithmetic", _symbol, lambda ds, f=_function: f(ds.gaps, ds.counts))
each("Arithmetic", {
    "x & y": lambda ds: (ds.gaps > 0) & ds.flags,
    "x | y": lambda ds: (ds.gaps > 0) | ds.flags,
    "~x": lambda ds: ~ds.flags,
    "uint16 * float": lambda ds: ds.counts * 0.0001,
    "uint16 wraps": lambda ds: ds.counts - np.uint16(100),
    "float32 * float": lambda ds: ds.single * 1.5,
    "float32 * float64 scalar": lambda ds: ds.single * np.float64(1.5),
    "broadcast x - mean": lambda ds: ds.gaps - ds.gaps.mean("time"),
    "with a coordinate": lambda ds: ds.gaps * ds.x,
    "with a NumPy array": lambda ds: ds.gaps + np.arange(6),
    "Dataset + Dataset": lambda ds: ds[["gaps", "full"]] + ds[["gaps", "full"]],
    "times - times": lambda ds: ds.stamps - ds.stamps.min(),
    "times + lengths": lambda ds: ds.stamps + np.timedelta64(3, "h"),
    "lengths / unit": lambda ds: ds.spans / np.timedelta64(1, "s"),
    "lengths > unit": lambda ds: ds.spans > np.timedelta64(5, "D"),
    "complex * conj": lambda ds: ds.waves * ds.waves.conj(),
    "real and imag": lambda ds: ds.waves.real + ds.waves.imag,
    "np.sqrt(abs(x))": lambda ds: np.sqrt(abs(ds.gaps)),
    "np.maximum(x, y)": lambda ds: np.maximum(ds.gaps, ds.full),
    "np.exp, np.log1p": lambda ds: np.log1p(abs(ds.full)),
    "xr.ufuncs-like np.isfinite": lambda ds: np.isfinite(ds.gaps),
    "clip()": lambda ds: ds.gaps.clip(-2, 3),
    "clip(min only)": lambda ds: ds.counts.clip(min=50),
    "round()": lambda ds: ds.gaps.round(),
    "astype(float32)": lambda ds: ds.full.astype("f4"),
    "astype(int)": lambda ds: ds.full.astype("i8"),
    "isin()": lambda ds: ds.counts.isin([3, 5, 77, 100]),
    "where(cond)": lambda ds: ds.gaps.where(ds.full > 0),
    "where() of uint16": lambda ds: ds.counts.where(ds.counts > 100),
    "where() of int32": lambda ds: ds.signed.where(ds.signed > 0),
    "where(cond, other)": lambda ds: ds.gaps.where(ds.flags, -1),
    "where(cond, array)": lambda ds: ds.gaps.where(ds.flags, ds.full),
    "where(drop=True) on a coordinate": lambda ds: ds.gaps.where(ds.x > 1, drop=True),
    "xr.where()": lambda ds: xr.where(ds.flags, ds.gaps, 0.0),
    "where() of times": lambda ds: ds.stamps.where(ds.signed > 0),
    "xr.dot()": lambda ds: xr.dot(ds.full, ds.weights, dim="y"),
    "dot()": lambda ds: ds.full.dot(ds.full, dim=["y", "x"]),
    "x @ y": lambda ds: ds.signed @ ds.weights,
    "xr.cov()": lambda ds: xr.cov(ds.gaps, ds.full, "time"),
    "xr.corr()": lambda ds: xr.corr(ds.gaps, ds.full, "time"),
    "xr.cross()": lambda ds: xr.cross(
        ds.full.isel(x=slice(0, 3)), ds.full.isel(x=slice(0, 3)) + 1, dim="x"
    ),
    "xr.polyval()": lambda ds: xr.polyval(ds.full, xr.DataArray([1.0, 2.0], dims="degree", coords={"degree": [0, 1]})),
    "map(abs)": lambda ds: ds[["gaps", "signed"]].map(abs),
    "pipe()": lambda ds: ds.gaps.pipe(lambda x: x + 1),
    "equals of itself": lambda ds: ds.gaps + 0 * ds.gaps,
})
each("Selection", {
    "isel(int)": lambda ds: ds.gaps.isel(time=3),
    "isel(negative)": lambda ds: ds.gaps.isel(time=-2, x=-1),
    "isel(slice)": lambda ds: ds.gaps.isel(time=slice(2, 20, 3)),
    "isel(reversed)": lambda ds: ds.gaps.isel(x=slice(None, None, -1)),
    "isel(list)": lambda ds: ds.gaps.isel(time=[5, 1, 1, 20]),
    "isel(two lists)": lambda ds: ds.gaps.isel(time=[5, 1], x=[0, 4, 2]),
    "isel(mask)": lambda ds: ds.gaps.isel(x=np.array([True, False, True, True, False, False])),
    "isel(points)": lambda ds: ds.gaps.isel(y=xr.DataArray([0, 3, 4], dims="p"), x=xr.DataArray([5, 0, 2], dims="p")),
    "isel(points and a slice)": lambda ds: ds.gaps.isel(time=slice(3, 9), y=xr.DataArray([0, 3], dims="p"), x=xr.DataArray([5, 0], dims="p")),
    "isel(points of two dimensions)": lambda ds: ds.gaps.isel(x=xr.DataArray([[0, 3], [5, 1]], dims=("a", "b"))),
    "isel(points of time and x)": lambda ds: ds.gaps.isel(time=xr.DataArray([0, 23, 4], dims="p"), x=xr.DataArray([5, 0, 2], dims="p")),
    "sel(label)": lambda ds: ds.gaps.sel(x=1.5),
    "sel(slice)": lambda ds: ds.gaps.sel(y=slice(40, 20)),
    "sel(nearest)": lambda ds: ds.gaps.sel(x=1.3, method="nearest"),
    "sel(nearest points)": lambda ds: ds.gaps.sel(x=xr.DataArray([0.4, 2.4], dims="p"), y=xr.DataArray([11, 38], dims="p"), method="nearest"),
    "sel(date)": lambda ds: ds.gaps.sel(time="2002-03"),
    "sel(dates)": lambda ds: ds.gaps.sel(time=slice("2002-01-01", "2002-06-30")),
    "loc[]": lambda ds: ds.gaps.loc[{"x": [0.5, 2.5]}],
    "x[..., 0]": lambda ds: ds.gaps[..., 0],
    "head, tail, thin": lambda ds: ds.gaps.head(time=5).tail(x=3).thin(y=2),
    "drop_sel()": lambda ds: ds.gaps.drop_sel(x=0.5),
    "drop_isel()": lambda ds: ds.gaps.drop_isel(time=[0, 3]),
    "sortby()": lambda ds: ds.gaps.sortby("y"),
    "sortby(letter)": lambda ds: ds.gaps.sortby("letter"),
    "reindex()": lambda ds: ds.gaps.reindex(x=[0.5, 9.0, 1.0]),
    "reindex(nearest)": lambda ds: ds.gaps.reindex(x=[0.6, 1.1], method="nearest"),
    "reindex_like()": lambda ds: ds.gaps.reindex_like(ds.gaps.isel(x=slice(0, 3))),
    "align by arithmetic": lambda ds: ds.gaps.isel(x=slice(0, 4)) + ds.full.isel(x=slice(2, 6)),
    "xr.align(outer)": lambda ds: xr.align(ds.gaps.isel(x=slice(0, 4)), ds.full.isel(x=slice(2, 6)), join="outer")[0],
    "Dataset.isel()": lambda ds: ds.isel(x=[1, 3]),
    "Dataset[list]": lambda ds: ds[["gaps", "flags"]],
    "query of a coordinate": lambda ds: ds.gaps.isel(x=(ds.x > 0.7).values),
})
each("Shape", {
    "transpose()": lambda ds: ds.gaps.transpose("x", "time", "y"),
    "T": lambda ds: ds.signed.T,
    "stack()": lambda ds: ds.gaps.stack(p=("y", "x")),
    "stack and unstack": lambda ds: ds.gaps.stack(p=("y", "x")).unstack("p"),
    "expand_dims()": lambda ds: ds.gaps.expand_dims("new"),
    "expand_dims(n)": lambda ds: ds.signed.expand_dims(new=3),
    "squeeze()": lambda ds: ds.gaps.isel(x=[2]).squeeze("x"),
    "swap_dims()": lambda ds: ds.gaps.swap_dims(x="letter"),
    "rename()": lambda ds: ds.gaps.rename(x="east"),
    "assign_coords()": lambda ds: ds.gaps.assign_coords(x=ds.x * 2),
    "reset_index()": lambda ds: ds.gaps.reset_index("x"),
    "set_index()": lambda ds: ds.gaps.set_index(x="letter"),
    "broadcast_like()": lambda ds: ds.signed.broadcast_like(ds.gaps),
    "xr.broadcast()": lambda ds: xr.broadcast(ds.signed, ds.weights)[1],
    "shift()": lambda ds: ds.gaps.shift(time=2),
    "shift(negative)": lambda ds: ds.gaps.shift(x=-1),
    "shift() of integers": lambda ds: ds.counts.shift(time=1),
    "shift(fill_value)": lambda ds: ds.counts.shift(time=1, fill_value=7),
    "roll()": lambda ds: ds.gaps.roll(x=2),
    "roll(roll_coords)": lambda ds: ds.gaps.roll(x=-1, roll_coords=True),
    "pad(constant)": lambda ds: ds.gaps.pad(x=(1, 2)),
    "pad(constant of integers)": lambda ds: ds.counts.pad(x=1, constant_values=5),
    "pad(edge)": lambda ds: ds.gaps.pad(x=(1, 2), mode="edge"),
    "pad(reflect)": lambda ds: ds.gaps.pad(x=(2, 1), mode="reflect"),
    "pad(wrap)": lambda ds: ds.gaps.pad(y=2, mode="wrap"),
    "xr.concat(old dimension)": lambda ds: xr.concat([ds.gaps.isel(x=slice(0, 2)), ds.gaps.isel(x=slice(2, 6))], "x"),
    "xr.concat(new dimension)": lambda ds: xr.concat([ds.gaps, ds.full], "new", combine_attrs="drop", coords="minimal", compat="override"),
    "xr.concat of dtypes": lambda ds: xr.concat([ds.counts, ds.full], "new", coords="minimal", compat="override"),
    "xr.merge()": lambda ds: xr.merge([ds[["gaps"]], ds[["full"]]]),
    "xr.combine_by_coords()": lambda ds: xr.combine_by_coords([ds[["gaps"]].isel(x=slice(0, 3)), ds[["gaps"]].isel(x=slice(3, 6))], combine_attrs="override"),
    "to_dataarray()": lambda ds: ds[["gaps", "full"]].to_dataarray(),
    "to_dataset()": lambda ds: ds.gaps.to_dataset(),
    "to_dataset(dim)": lambda ds: ds.signed.drop_vars(["zone", "letter"]).assign_coords(y=list("pqrst")).to_dataset("y"),
    "xr.full_like()": lambda ds: xr.full_like(ds.gaps, 3),
    "xr.zeros_like()": lambda ds: xr.zeros_like(ds.gaps),
    "xr.ones_like()": lambda ds: xr.ones_like(ds.counts),
    "copy(deep=True)": lambda ds: ds.gaps.copy(deep=True),
    "chunk(other)": lambda ds: ds.gaps.chunk(time=7, x=2) if ds.gaps.chunks else ds.gaps,
    "unify_chunks()": lambda ds: ds[["gaps", "full"]].unify_chunks(),
    "coarsen().construct()": lambda ds: ds.gaps.coarsen(x=3).construct(x=("big", "small")),
    "update a variable": lambda ds: ds.assign(gaps=ds.gaps + 1)[["gaps"]],
})
for _name in ("mean", "sum", "min", "max", "count", "std", "var", "median", "prod", "first", "last"):
    each("Group-by and resample", {
        f'groupby("time.month").{_name}()': lambda ds, n=_name: getattr((ds.gaps / 4 if n == "prod" else ds.gaps).groupby("time.month"), n)(),
        f'resample(time="2MS").{_name}()': lambda ds, n=_name: getattr((ds.gaps / 4 if n == "prod" else ds.gaps).resample(time="2MS"), n)(),
    })
each("Group-by and resample", {
    'groupby("time.season").mean()': lambda ds: ds.gaps.groupby("time.season").mean(),
    'groupby("letter").mean()': lambda ds: ds.gaps.groupby("letter").mean(),
    'groupby("letter").mean(...)': lambda ds: ds.gaps.groupby("letter").mean(...),
    'groupby("zone").mean()': lambda ds: ds.gaps.groupby("zone").mean(),
    'groupby("zone").max()': lambda ds: ds.gaps.groupby("zone").max(),
    "groupby(array).sum()": lambda ds: ds.gaps.groupby(_labels(ds)).sum(),
    "groupby().quantile()": lambda ds: ds.gaps.groupby("time.month").quantile(0.5),
    "groupby().any()": lambda ds: ds.flags.groupby("time.month").any(),
    "groupby().map()": lambda ds: ds.gaps.groupby("time.month").map(lambda g: g - g.mean("time")),
    "groupby() anomaly": lambda ds: ds.gaps.groupby("time.month") - ds.gaps.groupby("time.month").mean(),
    "groupby_bins().mean()": lambda ds: ds.gaps.groupby_bins("x", [0, 1, 2, 3]).mean(),
    "groupby_bins() with an empty bin": lambda ds: ds.gaps.groupby_bins("x", [0, 1, 2, 3, 4, 9]).sum(),
    "groupby of a Dataset": lambda ds: ds[["gaps", "counts"]].groupby("time.month").mean(),
    "groupby().mean() of float32": lambda ds: ds.single.groupby("time.month").mean(),
    "groupby().sum() of integers": lambda ds: ds.counts.groupby("time.month").sum(),
    "groupby().min() of integers": lambda ds: ds.counts.groupby("time.month").min(),
    "groupby(two variables).mean()": lambda ds: ds.gaps.groupby(letter=xr.groupers.UniqueGrouper(), y=xr.groupers.BinGrouper([0, 25, 60])).mean(),
    "groupby().mean(skipna=False)": lambda ds: ds.gaps.groupby("time.month").mean(skipna=False),
    "groupby().std(ddof=1)": lambda ds: ds.gaps.groupby("time.month").std(ddof=1),
    "groupby().sum(min_count)": lambda ds: ds.gaps.groupby("time.month").sum(min_count=3),
    'resample(time="10D").mean() with empty bins': lambda ds: ds.gaps.resample(time="10D").mean(),
    'resample(time="10D").sum() with empty bins': lambda ds: ds.gaps.resample(time="10D").sum(),
    'resample(time="ME").mean()': lambda ds: ds.gaps.resample(time="ME").mean(),
    'resample(time="QS-DEC").max()': lambda ds: ds.gaps.resample(time="QS-DEC").max(),
    'resample(time="7D").ffill()': lambda ds: ds.full.resample(time="7D").ffill(),
    'resample(time="7D").nearest()': lambda ds: ds.full.resample(time="7D").nearest(),
    'resample(time="7D").asfreq()': lambda ds: ds.full.resample(time="17D").asfreq(),
    'resample(time="7D").interpolate()': lambda ds: ds.full.resample(time="7D").interpolate("linear"),
})
for _name in ("mean", "sum", "min", "max", "std", "var", "median", "count"):
    op("Windows", f"rolling(time=4).{_name}()", lambda ds, n=_name: getattr(ds.gaps.rolling(time=4), n)())
each("Windows", {
    "rolling(center=True).mean()": lambda ds: ds.full.rolling(time=5, center=True).mean(),
    "rolling(min_periods=1).mean()": lambda ds: ds.gaps.rolling(time=4, min_periods=1).mean(),
    "rolling(min_periods=2).sum()": lambda ds: ds.gaps.rolling(time=3, min_periods=2, center=True).sum(),
    "rolling(two dimensions).mean()": lambda ds: ds.full.rolling(y=2, x=3).mean(),
    "rolling().construct()": lambda ds: ds.full.rolling(x=3).construct("window"),
    "rolling().construct(stride)": lambda ds: ds.full.rolling(x=3).construct("window", stride=2),
    "rolling().reduce(np.sum)": lambda ds: ds.full.rolling(x=3).reduce(np.sum),
    "rolling() of float32": lambda ds: ds.single.rolling(time=3, min_periods=1).mean(),
    "rolling() of integers": lambda ds: ds.counts.rolling(time=3).sum(),
    "rolling() of a Dataset": lambda ds: ds[["gaps", "full"]].rolling(time=3).mean(),
    "rolling().argmax()": lambda ds: ds.full.rolling(time=3).argmax(),
    "coarsen(x=2).mean()": lambda ds: ds.gaps.drop_vars("letter").coarsen(x=2).mean(),
    "coarsen(trim).max()": lambda ds: ds.gaps.coarsen(time=5, boundary="trim").max(),
    "coarsen(pad).sum()": lambda ds: ds.gaps.coarsen(time=5, boundary="pad").sum(),
    "coarsen(two).median()": lambda ds: ds.gaps.drop_vars("letter").coarsen(time=4, x=3).median(),
    "coarsen().std()": lambda ds: ds.full.coarsen(time=4).std(),
    "cumulative().sum()": lambda ds: ds.full.cumulative("time").sum(),
    "weighted().mean()": lambda ds: ds.gaps.weighted(ds.weights).mean("y"),
    "weighted().sum()": lambda ds: ds.gaps.weighted(ds.weights).sum(["y", "x"]),
    "weighted().std()": lambda ds: ds.gaps.weighted(ds.weights).std("y"),
    "weighted().sum_of_weights()": lambda ds: ds.gaps.weighted(ds.weights).sum_of_weights("y"),
    "weighted().quantile()": lambda ds: ds.full.weighted(xr.zeros_like(ds.y) + 0.5 * np.arange(1, 6)).quantile(0.5, dim="y"),
    "weighted() by a coordinate": lambda ds: ds.gaps.weighted(np.cos(np.deg2rad(ds.y))).mean(["y", "x"]),
})
for _field in ("year", "month", "day", "hour", "minute", "second", "dayofyear", "dayofweek", "quarter", "days_in_month"):
    op("Times", f"dt.{_field}", lambda ds, f=_field: getattr(ds.stamps.dt, f))
each("Times", {
    "dt.season": lambda ds: ds.stamps.dt.season,
    "dt.date": lambda ds: ds.stamps.dt.date,
    "dt.floor()": lambda ds: ds.stamps.dt.floor("D"),
    "dt.ceil()": lambda ds: ds.stamps.dt.ceil("h"),
    "dt.round()": lambda ds: ds.stamps.dt.round("D"),
    "dt.strftime()": lambda ds: ds.stamps.dt.strftime("%Y"),
    "dt.isocalendar()": lambda ds: ds.stamps.dt.isocalendar().week,
    "dt.total_seconds()": lambda ds: ds.spans.dt.total_seconds(),
    "dt.days": lambda ds: ds.spans.dt.days,
    "mean of times": lambda ds: ds.stamps.mean("x"),
    "mean of lengths of time": lambda ds: ds.spans.mean(),
    "mean of times with gaps": lambda ds: ds.stamps.where(ds.signed > 0).mean("y"),
    "min of times with gaps": lambda ds: ds.stamps.where(ds.signed > 0).min("y"),
    "sel by a season": lambda ds: ds.gaps.sel(time=ds.time.dt.season == "DJF"),
})
each("Fitting and functions", {
    "polyfit()": lambda ds: ds.full.polyfit("time", 1).polyfit_coefficients,
    "polyfit(2) with gaps": lambda ds: ds.gaps.polyfit("time", 2, skipna=True).polyfit_coefficients,
    "polyfit(skipna=False)": lambda ds: ds.full.polyfit("x", 1, skipna=False).polyfit_coefficients,
    "interp()": lambda ds: ds.full.interp(x=[0.25, 1.1, 2.0]),
    "interp(two dimensions)": lambda ds: ds.full.interp(x=[0.25, 1.1], y=[33.0, 41.0]),
    "interp(nearest)": lambda ds: ds.full.interp(x=[0.3, 1.1], method="nearest"),
    "interp(points)": lambda ds: ds.full.interp(x=xr.DataArray([0.3, 1.1], dims="p"), y=xr.DataArray([33.0, 41.0], dims="p")),
    "interp() of time": lambda ds: ds.full.interp(time=ds.time[:-1] + np.timedelta64(3, "D")),
    "interp_like()": lambda ds: ds.full.interp_like(ds.full.isel(x=slice(0, 3)) * 1.0),
    "rank()": lambda ds: ds.full.rank("x"),
    "rank(pct=True)": lambda ds: ds.gaps.rank("time", pct=True),
    "apply_ufunc(parallelized)": lambda ds: xr.apply_ufunc(lambda a, b: a * 2 + b, ds.full, ds.weights, dask="parallelized", output_dtypes=[float]),
    "apply_ufunc(core dimension)": lambda ds: xr.apply_ufunc(lambda a: a.sum(-1), ds.full, input_core_dims=[["x"]], dask="parallelized", output_dtypes=[float], dask_gufunc_kwargs={"allow_rechunk": True}),
    "apply_ufunc(new dimension)": lambda ds: xr.apply_ufunc(lambda a: np.stack([a, a + 1], -1), ds.full, output_core_dims=[["new"]], dask="parallelized", output_dtypes=[float], dask_gufunc_kwargs={"output_sizes": {"new": 2}}),
    "apply_ufunc(vectorize)": lambda ds: xr.apply_ufunc(lambda a: float(np.sort(a)[1]), ds.full, input_core_dims=[["x"]], vectorize=True, dask="parallelized", output_dtypes=[float], dask_gufunc_kwargs={"allow_rechunk": True}),
    "apply_ufunc(two results)": lambda ds: xr.apply_ufunc(lambda a: (a + 1, a - 1), ds.full, output_core_dims=[[], []], dask="parallelized", output_dtypes=[float, float])[1],
    "apply_ufunc(allowed)": lambda ds: xr.apply_ufunc(lambda a: a + 1, ds.full, dask="allowed"),
    "xr.map_blocks()": lambda ds: xr.map_blocks(lambda block: block + 1, few(ds.full), template=few(ds.full)),
    "DataArray.map_blocks()": lambda ds: few(ds.full).map_blocks(lambda block: block * 2, template=few(ds.full)),
    "xr.map_blocks() without a template": lambda ds: xr.map_blocks(lambda block: block * block.x, few(ds.full)),
    "xr.map_blocks() with arguments": lambda ds: xr.map_blocks(lambda block, other, by: block + other * by, few(ds.full), [few(ds.gaps)], {"by": 2}),
    "Dataset.map_blocks()": lambda ds: few(ds[["full", "gaps"]]).map_blocks(lambda block: block.fillna(0) + 1),
    "xr.map_blocks() that drops a dimension": lambda ds: xr.map_blocks(lambda block: block.mean("x"), whole(few(ds.full), "x")),
    "curvefit()": lambda ds: ds.full.isel(y=0, x=[0]).curvefit("time", lambda t, a: a + 0 * t).curvefit_coefficients,
    "sum of a scipy function": lambda ds: xr.apply_ufunc(np.cbrt, ds.full, dask="parallelized"),
    "np.where through xarray": lambda ds: xr.apply_ufunc(np.where, ds.flags, ds.full, 0.0, dask="allowed"),
    "to_numpy round trip": lambda ds: ds.full.copy(data=ds.full.data),
    "xr.decode_cf()": lambda ds: xr.decode_cf(
        xr.Dataset({"p": ds.counts.assign_attrs(scale_factor=0.5, add_offset=10.0, _FillValue=np.uint16(7)).drop_vars("time")})
    ).p,
    "xr.decode_cf() of float32 scale": lambda ds: xr.decode_cf(
        xr.Dataset({"p": ds.counts.assign_attrs(scale_factor=np.float32(0.5), _FillValue=np.uint16(7)).drop_vars("time")})
    ).p,
    "Dataset.to_stacked_array()": lambda ds: ds[["gaps", "full"]].to_stacked_array("f", ["time"]),
    "facet-free plot data": lambda ds: ds.gaps.isel(time=0).mean("y"),
})
