"""The engine `graticule` of `xarray.open_dataset`: Zarr read by the workers, without zarr-python."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from . import _graticule
from .array import Array
from .errors import SourceError


class GraticuleBackend(BackendEntrypoint):
    """`xr.open_dataset(path_or_address, engine="graticule")`: lazy in the chunks that are stored, coordinates at hand."""

    description = "Zarr, read by Graticule's workers"
    url = "https://github.com/graticule/graticule"

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        return False

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: Any = None,
        mask_and_scale: Any = True,
        decode_times: Any = True,
        concat_characters: Any = True,
        decode_coords: Any = True,
        use_cftime: Any = None,
        decode_timedelta: Any = None,
        group: str | None = None,
    ) -> xr.Dataset:
        url = os.fspath(filename_or_obj)
        if group:
            url = f"{url.rstrip('/')}/{group.strip('/')}"
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        dataset = _zarr_dataset(url, dropped)
        options: dict[str, Any] = {"use_cftime": use_cftime} if use_cftime is not None else {}
        decoded = xr.conventions.decode_cf(
            dataset, concat_characters=concat_characters, mask_and_scale=mask_and_scale, decode_times=decode_times,
            decode_coords=decode_coords, decode_timedelta=decode_timedelta, **options,
        )
        return _with_loaded_coordinates(decoded)


def _zarr_dataset(url: str, dropped: set[str]) -> xr.Dataset:
    arrays, refused, attributes = _graticule.open_group(url)
    variables = {}
    for name, (expression, dims, own, fill_value) in arrays.items():
        if name in dropped:
            continue
        data, attrs = Array(expression), json.loads(own)
        if dims is None:
            dims = attrs.pop("_ARRAY_DIMENSIONS", None)
            if "_FillValue" not in attrs and fill_value not in ("null", ""):
                attrs["_FillValue"] = _fill_value(fill_value, data.dtype)
        attrs.pop("_ARRAY_DIMENSIONS", None)
        if dims is None or any(dim is None for dim in dims):
            raise SourceError(f"{url}: the array {name!r} does not name its dimensions, so it is no variable of a dataset")
        # Variables along their own dimension become indexes, which are never lazy.
        if list(dims) == [name]:
            data = data.compute()
        encoding = {"chunks": data.chunksize, "preferred_chunks": dict(zip(dims, data.chunks))} if isinstance(data, Array) else {}
        variables[name] = xr.Variable(tuple(dims), data, attrs, encoding)
    for name, why in refused.items():
        if name not in dropped:
            warnings.warn(f"{url}: the array {name!r} is left out: {why}", stacklevel=3)
    return xr.Dataset(variables, attrs=json.loads(attributes))


def _fill_value(text: str, dtype: np.dtype) -> Any:
    value = json.loads(text)
    if isinstance(value, str):
        value = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}.get(value, value)
    return dtype.type(value) if dtype.kind in "iufb" else value


def _with_loaded_coordinates(dataset: xr.Dataset) -> xr.Dataset:
    lazy = [name for name in dataset.coords if isinstance(dataset[name].variable._data, Array)]
    return dataset.assign_coords({name: dataset[name].variable.compute() for name in lazy}) if lazy else dataset
