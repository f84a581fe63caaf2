"""Satellite scenes: STAC items, searched and stacked to a lazy `xarray.DataArray` (time, band, y, x)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from . import _graticule
from .array import Array
from .errors import InvalidValue

__all__ = ["Items", "search", "stack"]

#: Comparisons as STAC APIs name them.
_SIGNS = {"eq": "=", "neq": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


def search(
    items: Any,
    *,
    bbox: Sequence[float] | None = None,
    datetime: str | None = None,
    query: Any = None,
    max_cloud: float | None = None,
    base: str | None = None,
) -> Items:
    """The items that fit, by date.

    Parameters
    ----------
    items
        The path or address of an item collection, an item or a static catalog; or a document that is at hand: a dict, or an
        object of pystac's (anything with `to_dict()`, or a list of such). Relative links of the latter resolve against `base`.
    bbox
        West, south, east, north in degrees.
    datetime
        An instant, a day, a month, a year, or two of them with a slash between: `"2018-04/2018-09"`.
    query
        Conditions on properties: `{"eo:cloud_cover": {"lt": 40}}`, or `["eo:cloud_cover<40"]`.
    max_cloud
        The highest cloud cover in percent.
    """
    wanted = (None if bbox is None else list(bbox), datetime, _conditions(query), max_cloud)
    if isinstance(items, (str, os.PathLike)):
        return Items(_graticule.Items.search(os.fspath(items), *wanted))
    document = json.dumps(_document(items))
    return Items(_graticule.Items.parse(document, base or os.getcwd() + "/items.json", *wanted))


def stack(items: Any, assets: str | Sequence[str], **options: Any) -> Any:
    """As `search(items).stack(assets, ...)`."""
    return (items if isinstance(items, Items) else search(items)).stack(assets, **options)


def _document(items: Any) -> Any:
    if hasattr(items, "to_dict"):
        return items.to_dict()
    if isinstance(items, Mapping):
        return items
    return {"type": "FeatureCollection", "features": [_document(item) for item in items]}


def _conditions(query: Any) -> list[str] | None:
    if query is None or not isinstance(query, Mapping):
        return None if query is None else [query] if isinstance(query, str) else list(query)
    made = []
    for name, conditions in query.items():
        for sign, value in conditions.items():
            if sign not in _SIGNS:
                raise InvalidValue(f"comparison {sign!r} is not known; known are {', '.join(_SIGNS)}")
            made.append(f"{name}{_SIGNS[sign]}{json.dumps(value)}")
    return made


class Items:
    """Items that a search found."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __repr__(self) -> str:
        return f"<{len(self)} items with the assets {', '.join(self.assets)}>"

    @property
    def ids(self) -> list[str]:
        return self._items.ids

    @property
    def assets(self) -> list[str]:
        return self._items.assets

    @property
    def duplicates(self) -> list[str]:
        """Ids that came again and were dropped."""
        return self._items.duplicates

    @property
    def datetimes(self) -> np.ndarray:
        return np.array(self._items.times, "M8[us]")

    @property
    def properties(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self._items.properties]

    def stack(
        self,
        assets: str | Sequence[str],
        *,
        resolution: float | tuple[float, float] | None = None,
        bounds: Sequence[float] | None = None,
        bbox: Sequence[float] | None = None,
        crs: int | str | None = None,
        groupby: str = "time",
        dtype: Any = "float32",
        on_error: str = "raise",
        chunks: Any = None,
        validity: bool = False,
        name: str | None = None,
    ) -> Any:
        """The assets as one lazy array (time, band, y, x), from metadata alone: no file is opened.

        Parameters
        ----------
        resolution
            Size of a pixel, or its width and height, in units of the coordinate reference system; the items' own by default.
        bounds, bbox
            What is covered, in the items' system or in degrees; all footprints by default.
        crs
            An EPSG code, which must be the items' own.
        groupby
            Which items share a time: `"id"`, `"time"` or `"solar_day"`. The first valid pixel wins.
        dtype
            `"float32"` or `"float64"`, with scale and offset applied and NaN where a pixel is missing; or `"source"`, the integers
            as they are stored, with the nodata value in missing ones.
        on_error
            What a file that cannot be read does: `"raise"`, `"nodata"`, or `"skip-item"`.
        chunks
            Lengths along time, band, y and x, as a tuple or a dict; or one for y and x, in chunks of one time and band.
        validity
            Give a second array of booleans too, which tells valid pixels from missing ones.
        """
        assets = [assets] if isinstance(assets, str) else list(assets)
        x, valid, labels = self._items.stack(
            assets, _pair(resolution), None if bounds is None else list(bounds), None if bbox is None else list(bbox),
            _epsg(crs), groupby, dtype if isinstance(dtype, str) else np.dtype(dtype).name, on_error, _chunks(chunks),
        )
        made = _data_array(x, labels, self, name)
        return (made, _data_array(valid, labels, self, name)) if validity else made


def _pair(resolution: Any) -> list[float] | None:
    if resolution is None:
        return None
    pair = [resolution, resolution] if np.ndim(resolution) == 0 else list(resolution)
    return [abs(float(one)) for one in pair]


def _epsg(crs: Any) -> int | None:
    if crs is None or isinstance(crs, int):
        return crs
    text = str(crs).upper().removeprefix("EPSG:")
    if not text.isdigit():
        raise InvalidValue(f"crs {crs!r} is no EPSG code; write for example 'EPSG:32618'")
    return int(text)


def _chunks(chunks: Any) -> list[int] | None:
    if chunks is None or chunks == "auto":
        return None
    if isinstance(chunks, Mapping):
        usual = {"time": 1, "band": 1, "y": 1024, "x": 1024}
        if unknown := [dim for dim in chunks if dim not in usual]:
            raise InvalidValue(f"chunks are along time, band, y and x, not {unknown[0]!r}")
        chunks = [chunks.get(dim, length) for dim, length in usual.items()]
    elif np.ndim(chunks) == 0:
        chunks = (1, 1, chunks, chunks)
    elif len(chunks) == 2:
        chunks = (1, 1, *chunks)
    if len(chunks) != 4:
        raise InvalidValue(f"chunks are lengths along time, band, y and x, not {len(chunks)} of them")
    return [2**31 if one in (-1, None) else int(one) for one in chunks]


def _data_array(x: Any, labels: dict[str, Any], items: Items, name: str | None) -> Any:
    import xarray as xr

    data = Array(x)
    a, b, c, d, e, f = labels["transform"]
    coords: dict[str, Any] = {
        "time": np.array(labels["time"], "M8[us]"),
        "band": labels["band"],
        "y": f + e * (np.arange(data.shape[2]) + 0.5),
        "x": c + a * (np.arange(data.shape[3]) + 0.5),
    }
    coords["id"] = ("time", [ids[0] for ids in labels["items"]])
    for key in ("common_name", "title"):
        if any(one is not None for one in labels[key]):
            coords[key] = ("band", ["" if one is None else one for one in labels[key]])
    known = dict(zip(items.ids, items.properties))
    first = [known[ids[0]] for ids in labels["items"]]
    for key in sorted({key for one in first for key in one} - {"datetime", *coords}):
        coords[key] = ("time", _property([one.get(key) for one in first]))
    attrs: dict[str, Any] = {"transform": list(labels["transform"]), "resolution": [abs(a), abs(e)]}
    if labels["epsg"] is not None:
        crs = f"EPSG:{labels['epsg']}"
        geo = " ".join(repr(float(number)) for number in (c, a, b, f, d, e))
        coords["spatial_ref"] = ((), labels["epsg"], {"crs_wkt": crs, "spatial_ref": crs, "GeoTransform": geo})
        attrs = {"crs": crs, "grid_mapping": "spatial_ref"} | attrs
    return xr.DataArray(data, coords, ("time", "band", "y", "x"), name=name, attrs=attrs)


def _property(values: list[Any]) -> Any:
    """The values of a property as a coordinate; what is no number, boolean or text becomes JSON text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and kinds:
        whole = kinds == {int} and None not in values
        return np.array([np.nan if value is None else value for value in values], int if whole else float)
    if kinds == {bool} and None not in values:
        return np.array(values)
    return [value if isinstance(value, str) else "" if value is None else json.dumps(value) for value in values]
