"""The peers' side of `graticule bench peers`: make the inputs, or run one array program with one peer.

DIR make                           writes the inputs below DIR, as Zarr arrays and GeoTIFFs; what is there is kept
DIR run PEER PROGRAM COUNT theirs  runs a program with COUNT threads, or worker processes of one thread, and writes what it
                                   gives to .npy files whose names begin with `theirs`
DIR compare ours theirs COUNT      compares these with the .npy files of Graticule's results, in a process of its own, so that
                                   its memory is not the peer's

PEER is `threads` (Dask's threaded scheduler), `distributed` (dask.distributed), `dask-array` (that package on Dask's threaded
scheduler), `frisky` (Frisky with Dask's arrays) or `python` (Graticule's own package, where it is installed). The programs are the functions at PROGRAMS; Graticule's side of them is in
`cli/src/bench/arrays/programs.rs`. Each run prints one JSON line: the seconds from opening the inputs to having the
results in memory (the start of a cluster is not counted), or how far they are from Graticule's. The exit status is 3
where the peer is not installed, and 4 where it does not have the program.
"""

import contextlib
import datetime
import importlib
import importlib.util
import json
import pathlib
import shutil
import sys
import time

import numpy as np

NOT_INSTALLED, NOT_THERE = 3, 4

#: Days of the cube; the first is the first of January 2021.
DAYS = 1460
#: Dates and edge of the scenes.
SCENES, EDGE, TILE = 24, 2048, 512
ZONES = 64
#: What each program takes together, relative to the largest of each value.
TOLERANCES = {"float32": 2e-5, "float64": 1e-9}


# Inputs.


def make(folder):
    random = np.random.default_rng(7)
    y, x = np.mgrid[0:EDGE, 0:EDGE]

    def scene(date, band):
        """A smooth field with noise: it compresses about as reflectances do."""
        field = 3000 + 800 * np.sin(x / 97 + band) * np.cos(y / 61 + date / 5)
        return (field + random.integers(0, 256, field.shape)).astype("uint16")

    def stack(array):
        for date in range(SCENES):
            for band in range(4):
                array[date, band] = scene(date, band)

    def cube(array):
        lat, lon = np.mgrid[0:180, 0:360]
        for day in range(0, DAYS, 73):
            days = np.arange(day, day + 73)[:, None, None]
            season = 15 * np.cos(2 * np.pi * days / 365.25) * np.cos(np.pi * lat / 180)
            field = 280 + season + np.sin(lon / 30) + random.normal(size=(73, 180, 360))
            array[day : day + 73] = field.astype("float32")

    def smooth(array):
        for start in range(0, array.shape[0], array.chunks[0]):
            stop = start + array.chunks[0]
            array[start:stop] = random.random((stop - start, *array.shape[1:]), dtype=array.dtype) + 0.5

    def zones(array):
        array[:] = ((y // 256) * 8 + x // 256).astype("int32")

    zarr_array(folder, "stack", (SCENES, 4, EDGE, EDGE), (1, 1, 1024, 1024), "uint16", stack, level=3)
    zarr_array(folder, "cube", (DAYS, 180, 360), (73, 180, 360), "float32", cube, level=1)
    for name in ("u", "v"):
        zarr_array(folder, name, (240, 361, 720), (12, 361, 720), "float32", smooth, level=1)
    for name in ("a", "b", "c"):
        zarr_array(folder, name, (64, 1024, 1024), (8, 512, 512), "float32", smooth, level=1)
    zarr_array(folder, "slabs", (512, 1024, 1024), (16, 1024, 1024), "float32", smooth, level=None)
    zarr_array(folder, "square", (8192, 8192), (1024, 1024), "float64", smooth, level=None)
    zarr_array(folder, "zones", (EDGE, EDGE), (1024, 1024), "int32", zones, level=1)
    scenes(folder, scene)


def zarr_array(folder, name, shape, chunks, dtype, fill, level):
    """Written aside: an array that is there is whole."""
    import zarr

    whole, aside = pathlib.Path(folder, f"{name}.zarr"), pathlib.Path(folder, f"{name}.zarr.part")
    if whole.exists():
        return
    codec = None if level is None else zarr.codecs.ZstdCodec(level=level)
    array = zarr.create_array(str(aside), shape=shape, chunks=chunks, dtype=dtype, compressors=codec, overwrite=True)
    fill(array)
    shutil.rmtree(whole, ignore_errors=True)
    aside.rename(whole)


def scenes(folder, scene):
    """GeoTIFFs of red and near infrared, tiled and deflated, and a STAC item for each date."""
    import rasterio

    items = pathlib.Path(folder, "scenes.json")
    if items.exists():
        return
    west, north, step = 500_000.0, 5_100_000.0, 10.0
    features = []
    for date in range(SCENES):
        assets = {}
        for band, name in enumerate(["red", "nir"]):
            path = pathlib.Path(folder, f"scene-{date:02}-{name}.tif")
            profile = {
                "driver": "GTiff", "width": EDGE, "height": EDGE, "count": 1, "dtype": "uint16", "crs": "EPSG:32633",
                "transform": rasterio.Affine(step, 0, west, 0, -step, north), "nodata": 0, "tiled": True,
                "blockxsize": TILE, "blockysize": TILE, "compress": "deflate", "predictor": 2,
            }  # fmt: skip
            with rasterio.open(path, "w", **profile) as file:
                file.write(scene(date, band), 1)
            assets[name] = {
                "href": path.name,
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "raster:bands": [{"data_type": "uint16", "nodata": 0}],
            }
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=10 * date)
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "stac_extensions": [],
                "id": f"scene-{date:02}",
                "properties": {
                    "datetime": f"{day}T10:00:00Z",
                    "proj:epsg": 32633,
                    "proj:shape": [EDGE, EDGE],
                    "proj:transform": [step, 0, west, 0, -step, north],
                },
                "geometry": None,
                "links": [],
                "assets": assets,
            }
        )
    items.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


# Programs: what they take is opened by name; `da` is dask.array or a package like it.


def median(da, opened):
    return da.median(opened("stack"), axis=0)


def mean_std(da, opened):
    stack = opened("stack")
    return stack.mean(axis=0), stack.std(axis=0)


def expression(da, opened):
    a, b, c = opened("a"), opened("b"), opened("c")
    return ((a * 2 + b) / (c + 1)).mean(axis=0)


def rechunk_sum(da, opened):
    return opened("slabs").rechunk((512, 64, 256)).sum(axis=0)


def rechunk_median(da, opened):
    return da.median(opened("slabs").rechunk((512, 64, 256)), axis=0)


def months():
    first = datetime.date(2021, 1, 1)
    return np.array([(first + datetime.timedelta(days=day)).month - 1 for day in range(DAYS)])


def anomaly(da, opened):
    cube, codes = opened("cube"), months()
    means = da.stack([cube[codes == month].mean(axis=0) for month in range(12)])
    return (cube - means[codes]).std(axis=0)


def climatology(da, opened):
    cube, codes = opened("cube"), np.arange(DAYS) % 365
    order = np.argsort(codes, kind="stable")
    # Each day has as many years: sorted by day, neighbours are reduced.
    return cube[order].reshape((365, DAYS // 365, *cube.shape[1:])).mean(axis=1)


def rolling_mean(da, opened):
    from numpy.lib.stride_tricks import sliding_window_view

    cube = opened("cube")
    windows = da.map_overlap(
        lambda block: sliding_window_view(block, 7, axis=0).mean(axis=-1),
        cube, depth={0: (6, 0)}, boundary="none", trim=False, dtype="float32",
        chunks=((cube.chunks[0][0] - 6, *cube.chunks[0][1:]), *cube.chunks[1:]),
    )  # fmt: skip
    return windows.mean(axis=(1, 2))


def add_transpose(da, opened):
    square = opened("square")
    return square + square.T


def tensordot(da, opened):
    square = opened("square")
    return da.tensordot(square[:3072, :4096], square[:4096, :3072], axes=([1], [0]))


def vorticity(da, opened):
    u, v = opened("u"), opened("v")
    return (da.gradient(v, axis=2) - da.gradient(u, axis=1)).mean(axis=0)


def quantile(da, opened):
    return da.quantile(opened("stack").rechunk({0: -1}), 0.9, axis=0)


def histogram(da, opened):
    return da.histogram(opened("square"), bins=100, range=(0.0, 2.0))[0]


def focal(da, opened):
    from numpy.lib.stride_tricks import sliding_window_view

    def mean(block):
        return sliding_window_view(block, (5, 5)).mean(axis=(2, 3))

    square = opened("square")[:4096, :4096]
    result = da.map_overlap(
        lambda block: np.pad(mean(block), 2), square, depth=2, boundary="reflect", dtype="float64"
    )
    return result.mean(axis=0)


def zonal(da, opened):
    stack, zones = opened("stack"), opened("zones")

    def sums(block, labels):
        flat = labels.ravel()
        dates, bands = block.shape[:2]
        out = np.empty((dates, bands, 1, 1, ZONES, 2))
        for date in range(dates):
            for band in range(bands):
                out[date, band, 0, 0, :, 0] = np.bincount(flat, block[date, band].ravel(), minlength=ZONES)
                out[date, band, 0, 0, :, 1] = np.bincount(flat, minlength=ZONES)
        return out

    parts = da.map_blocks(
        sums, stack, zones[None, None], dtype="float64", new_axis=[4, 5],
        chunks=(*stack.chunks[:2], (1,) * stack.numblocks[2], (1,) * stack.numblocks[3], (ZONES,), (2,)),
    )  # fmt: skip
    totals = parts.sum(axis=(2, 3))
    return totals[..., 0] / totals[..., 1]


def ndvi(da, opened):
    def band(name):
        return da.stack([opened(f"scene-{date:02}-{name}.tif") for date in range(SCENES)])

    red, nir = band("red"), band("nir")
    clear = (red != 0) & (nir != 0)
    red, nir = red.astype("float32"), nir.astype("float32")
    return da.nanmedian(da.where(clear, (nir - red) / (nir + red), np.float32(np.nan)), axis=0)


PROGRAMS = {
    program.__name__.replace("_", "-"): program
    for program in (
        median, mean_std, expression, rechunk_sum, rechunk_median, anomaly, climatology, rolling_mean, add_transpose,
        tensordot, vorticity, quantile, histogram, focal, zonal, ndvi,
    )
}  # fmt: skip


# What Graticule's package has functions for, where the programs above call NumPy block by block.


def own_anomaly(ga, opened):
    cube, codes = opened("cube"), months()
    return (cube - ga.group_reduce("mean", cube, 0, codes, 12)[codes]).std(axis=0)


def own_climatology(ga, opened):
    return ga.group_reduce("mean", opened("cube"), 0, np.arange(DAYS) % 365, 365)


def own_rolling_mean(ga, opened):
    return ga.move("mean", opened("cube"), 7, axis=0)[6:].mean(axis=(1, 2))


def own_focal(ga, opened):
    around = ga.pad(opened("square")[:4096, :4096], 2, mode="symmetric")
    means = ga.move("mean", ga.move("mean", around, 5, axis=0), 5, axis=1)
    return means[4:, 4:].mean(axis=0)


def own_zonal(ga, opened):
    return ga.group_reduce("mean", opened("stack"), (2, 3), opened("zones").compute(), ZONES)


def own_ndvi(ga, opened):
    scenes = opened("scenes.json")
    red, nir = scenes[:, 0], scenes[:, 1]
    return ga.nanmedian((nir - red) / (nir + red), axis=0)


OWN = {
    "anomaly": own_anomaly, "climatology": own_climatology, "rolling-mean": own_rolling_mean, "focal": own_focal,
    "zonal": own_zonal, "ndvi": own_ndvi,
}  # fmt: skip


def run_own(folder, program, count, theirs):
    if importlib.util.find_spec("graticule") is None:
        sys.exit(NOT_INSTALLED)
    import graticule
    import graticule.array as ga
    import graticule.stac
    import xarray  # noqa: F401  Stacks are its arrays, and to import it is not to compute.

    def opened(name):
        if name.endswith(".json"):
            return graticule.stac.search(f"{folder}/{name}").stack(["red", "nir"]).data
        return ga.from_zarr(f"{folder}/{name}.zarr")

    with graticule.Client(n_workers=1, threads_per_worker=int(count), dashboard_address=None):
        begin = time.perf_counter()
        lazy = OWN.get(program, PROGRAMS[program])(ga, opened)
        results = graticule.compute(*(lazy if isinstance(lazy, tuple) else (lazy,)))
        seconds = time.perf_counter() - begin
    return written(theirs, results, seconds)


# Peers.


def opener(da, folder):
    def opened(name):
        if name.endswith(".tif"):
            return geotiff(da, f"{folder}/{name}")
        import zarr

        array = zarr.open_array(f"{folder}/{name}.zarr", mode="r")
        return da.from_array(array, chunks=array.chunks)

    return opened


def geotiff(da, path):
    """A file's band, block by block; each block is read with a handle of its own, as GDAL's users do with Dask."""
    import rasterio

    size = 2 * TILE

    def read(block_info=None):
        (top, _), (left, _) = block_info[None]["array-location"]
        with rasterio.open(path) as file:
            return file.read(1, window=rasterio.windows.Window(left, top, size, size))

    blocks = (size,) * (EDGE // size)
    return da.map_blocks(read, chunks=(blocks, blocks), dtype="uint16", meta=np.empty((0, 0), "uint16"))


def package(peer):
    name = "dask_array" if peer == "dask-array" else "dask.array"
    needed = {"dask-array": "dask_array", "frisky": "frisky", "distributed": "distributed"}.get(peer, "dask")
    if importlib.util.find_spec(needed) is None:
        sys.exit(NOT_INSTALLED)
    return importlib.import_module(name)


@contextlib.contextmanager
def cluster(peer, count):
    """Has Dask compute with a peer's scheduler meanwhile."""
    import dask

    if peer in ("threads", "dask-array"):
        with dask.config.set(scheduler="threads", num_workers=count):
            yield
    elif peer == "distributed":
        from distributed import Client, LocalCluster

        workers = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": None}
        with LocalCluster(**workers) as local, Client(local):
            yield
    else:
        sys.path.insert(0, str(pathlib.Path(__file__).parent))
        from task_peers import Cluster

        with Cluster("frisky", count) as frisky, dask.config.set(scheduler=frisky.client.get):
            yield


def run(folder, peer, program, count, theirs):
    if peer == "python":
        return run_own(folder, program, count, theirs)
    import dask

    da = package(peer)
    with cluster(peer, int(count)):
        begin = time.perf_counter()
        try:
            lazy = PROGRAMS[program](da, opener(da, folder))
        except (AttributeError, NotImplementedError, TypeError) as why:
            print(f"{peer} does not have it: {why!r}", file=sys.stderr)
            sys.exit(NOT_THERE)
        results = dask.compute(*(lazy if isinstance(lazy, tuple) else (lazy,)))
        seconds = time.perf_counter() - begin
    return written(theirs, results, seconds)


def written(theirs, results, seconds):
    for place, result in enumerate(results):
        np.save(f"{theirs}-{place}.npy", np.asarray(result))
    return {"seconds": seconds, "results": len(results)}


def compare(ours, theirs, count):
    far = 0.0
    for place in range(int(count)):
        path = pathlib.Path(f"{theirs}-{place}.npy")
        mine, other = (np.load(file, mmap_mode="r") for file in (f"{ours}-{place}.npy", path))
        far = max(far, distance(place, mine, other))
        # They are large, and the next peer writes its own.
        path.unlink()
    return {"difference": far}


def distance(place, mine, theirs):
    if mine.shape != theirs.shape:
        sys.exit(f"the peer's result {place} has shape {theirs.shape}, Graticule's {mine.shape}")
    coarser = min(mine.dtype, theirs.dtype, key=lambda dtype: dtype.itemsize if dtype.kind == "f" else 99)
    # A difference of rounding is one beside the values' size, not beside a value that may be 0.
    size = max(float(np.nanmax(np.abs(theirs))), 1e-300)
    far = float(np.nanmax(np.abs(mine.astype("float64") - theirs.astype("float64")))) / size
    same_nan = theirs.dtype.kind != "f" or np.array_equal(np.isnan(mine), np.isnan(theirs))
    if not same_nan or far > TOLERANCES.get(str(coarser), 0.0):
        sys.exit(f"result {place} differs from Graticule's by {far:.2g}: one of them is wrong")
    return far


def main():
    folder, action, *rest = sys.argv[1:]
    if action == "make":
        make(folder)
    else:
        print(json.dumps(compare(*rest) if action == "compare" else run(folder, *rest)))


if __name__ == "__main__":
    main()
