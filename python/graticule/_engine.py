"""The engine `graticule` of `xarray.open_dataset`: Zarr and GeoTIFF read by the workers, without zarr-python or GDAL."""

from __future__ import annotations

import base64
import json
import os
import struct
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

    description = "Zarr and GeoTIFF, read by Graticule's workers"
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
        if url.lower().endswith((".tif", ".tiff")):
            return _tiff_dataset(url, bool(mask_and_scale))
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
        # Of version 2, whose fill value xarray takes for the one that marks missing elements.
        if attrs.pop("_ARRAY_DIMENSIONS", None) is not None and "_FillValue" not in attrs and fill_value != "null":
            attrs["_FillValue"] = _fill_value(fill_value, data.dtype)
        elif "_FillValue" in attrs:
            attrs["_FillValue"] = _decoded(attrs["_FillValue"], data.dtype)
        if dims is None and data.ndim == 0:
            dims = ()
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


def _tiff_dataset(url: str, mask_and_scale: bool) -> xr.Dataset:
    """The file's bands as `band_data` (band, y, x), as an item of its own is stacked."""
    from . import stac

    header = _graticule.tiff_header(url)
    if header["transform"] is None or header["epsg"] is None:
        raise SourceError(f"{url}: the file does not say where it lies (no transform, or no EPSG code)")
    bands = [
        {"name": description or f"{number + 1}", "data_type": header["dtype"], "scale": scale, "offset": offset}
        | ({} if header["nodata"] is None else {"nodata": header["nodata"]})
        for number, (description, scale, offset, _) in enumerate(header["bands"])
    ]
    asset = {
        "href": header["href"], "proj:code": f"EPSG:{header['epsg']}", "proj:shape": list(header["shape"]),
        "proj:transform": header["transform"], "raster:bands": bands, "eo:bands": [{"name": band["name"]} for band in bands],
    }
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": header["href"], "properties": {"datetime": "1970-01-01T00:00:00Z"},
        "links": [], "assets": {"file": asset},
    }
    # Chunks of whole blocks, at least some hundred pixels a side.
    block = [length * max(1, 512 // max(length, 1)) for length in header["block"]]
    kept = np.dtype(header["dtype"]).name if np.dtype(header["dtype"]).kind == "f" else "float64" if np.dtype(header["dtype"]).itemsize > 2 else "float32"
    dtype = kept if mask_and_scale and (header["nodata"] is not None or any(b["scale"] != 1 or b["offset"] for b in bands)) else "source"
    made = stac.search(item).stack("file", dtype=dtype, chunks=(1, 1, *block)).isel(time=0, drop=True)
    made = made.drop_vars([name for name in made.coords if name not in ("band", "y", "x", "spatial_ref")])
    made = made.assign_coords(band=np.arange(1, made.sizes["band"] + 1))
    long_names = [band["name"] for band in bands]
    if header["nodata"] is not None and dtype == "source":
        made.attrs["_FillValue"] = header["nodata"]
    made.attrs["long_name"] = long_names[0] if len(long_names) == 1 else long_names
    return xr.Dataset({"band_data": made})


def _fill_value(text: str, dtype: np.dtype) -> Any:
    value = json.loads(text)
    if isinstance(value, str):
        value = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}.get(value, value)
    return dtype.type(value) if dtype.kind in "iufb" else value


def _decoded(value: Any, dtype: np.dtype) -> Any:
    """A float as xarray writes it into attributes, base64 of its bytes in little-endian order; other writers' is a number."""
    if dtype.kind == "c" and isinstance(value, list):
        return complex(*(_decoded(part, np.dtype(float)) for part in value))
    if dtype.kind != "f" or not isinstance(value, str):
        return value
    try:
        return struct.unpack("<d", base64.b64decode(value, validate=True))[0]
    except (ValueError, struct.error):
        return {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}.get(value, value)


def _with_loaded_coordinates(dataset: xr.Dataset) -> xr.Dataset:
    lazy = [name for name in dataset.coords if isinstance(dataset[name].variable._data, Array)]
    return dataset.assign_coords({name: dataset[name].variable.compute() for name in lazy}) if lazy else dataset
