"""What notebooks do, at size: `python benches/notebooks.py PROGRAM... [--rounds N] [--small] [--data DIR] [--no-peer]`.

Programs:
  mosaic       138 scenes of 3 bands of 1024 x 1024 uint16 (cloud-optimised GeoTIFFs over HTTP that answers after 20 ms): stack,
               mask, persist, median over time, median by month; two worker processes of 1 GiB
  months       median by month and quantiles by season of 60 x 2 x 1024 x 1024 float32 in chunks of one time step
  climatology  3650 x 361 x 720 float32: mean by day of the year, anomaly, written to Zarr cut along time; two worker processes
               of 0.5 GiB
  million      an expression over a million chunks: from `compute()` until the first task has run

Each runs in a process of its own, in turn with the peer (xarray on Dask, with odc-stac and flox, where they are installed).
Results are compared; the memory is that of the process tree at its largest, looked at twenty times a second. The package must be
built with `--release` for figures that mean anything. Inputs are made once, below --data.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BANDS = ("B04", "B03", "B02")
GRID = {"epsg": 32633, "origin": (500_000.0, 5_100_000.0), "step": 10.0}


class Size:
    """How large the inputs are."""

    def __init__(self, small):
        self.scenes, self.pixels = (12, 256) if small else (138, 1024)
        self.steps, self.side = (24, 128) if small else (60, 1024)
        self.days, self.lat, self.lon = (730, 37, 72) if small else (3650, 361, 720)
        self.chunks = 10_000 if small else 1_000_000
        self.workers_bytes = ("512MiB", "512MiB") if small else ("1GiB", "512MiB")
        self.name = "small" if small else "full"


# Inputs.


def scene_days(count):
    start = np.datetime64("2023-01-02")
    return [str(start + np.timedelta64(int(at * 360 / count), "D")) for at in range(count)]


def scene(at, band, pixels):
    """Smooth ground, noise, and clouds that are missing pixels (0)."""
    random = np.random.default_rng(1000 * at + band)
    y, x = np.mgrid[0:pixels, 0:pixels].astype("float32") / pixels
    ground = 1500 + 800 * np.sin(6 * x + band) * np.cos(5 * y) + 300 * np.sin(at / 20)
    values = (ground + random.integers(0, 64, ground.shape)).astype("uint16")
    shared = np.random.default_rng(at)
    for _ in range(int(shared.integers(0, 4))):
        cy, cx, radius = shared.random(3) * (1, 1, 0.35)
        values[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = 0
    return values


def make_scenes(folder, size):
    import rasterio
    from rasterio.transform import from_origin

    items = []
    transform = from_origin(*GRID["origin"], GRID["step"], GRID["step"])
    for at, day in enumerate(scene_days(size.scenes)):
        assets = {}
        for number, band in enumerate(BANDS):
            path = os.path.join(folder, f"{at:03}-{band}.tif")
            with rasterio.open(
                path, "w", driver="COG", width=size.pixels, height=size.pixels, count=1, dtype="uint16", nodata=0,
                crs=f"EPSG:{GRID['epsg']}", transform=transform, compress="deflate", predictor=2, blocksize=512,
            ) as file:  # fmt: skip
                file.write(scene(at, number, size.pixels), 1)
            assets[band] = {
                "href": f"{at:03}-{band}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "proj:shape": [size.pixels, size.pixels],
                "proj:transform": list(transform)[:6],
                "raster:bands": [{"nodata": 0, "data_type": "uint16"}],
            }
        items.append(
            {
                "type": "Feature", "stac_version": "1.0.0", "id": f"scene-{at:03}", "collection": "scenes",
                "geometry": {"type": "Polygon", "coordinates": [[[15, 45.9], [15.2, 45.9], [15.2, 46.1], [15, 46.1], [15, 45.9]]]},
                "bbox": [15, 45.9, 15.2, 46.1], "links": [], "assets": assets,
                "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
                "properties": {"datetime": f"{day}T10:00:00Z", "proj:epsg": GRID["epsg"]},
            }
        )  # fmt: skip
    with open(os.path.join(folder, "items.json"), "w") as file:
        json.dump({"type": "FeatureCollection", "features": items}, file)


def make_steps(folder, size):
    import xarray as xr
    import zarr

    group = zarr.open_group(folder, mode="w", zarr_format=3)
    shape = (size.steps, 2, size.side, size.side)
    array = group.create_array("v", shape=shape, chunks=(1, 2, size.side, size.side), dtype="f4", dimension_names=("time", "band", "y", "x"))
    random = np.random.default_rng(5)
    for at in range(size.steps):
        values = random.standard_normal(shape[1:], dtype="f4")
        values[random.random(shape[1:], dtype="f4") < 0.2] = np.nan
        array[at] = values
    months = np.arange("2020-01", np.datetime64("2020-01") + size.steps, dtype="M8[M]").astype("M8[ns]")
    xr.Dataset(coords={"time": months}).to_zarr(folder, mode="a", consolidated=False)


def make_days(folder, size):
    import xarray as xr
    import zarr

    group = zarr.open_group(folder, mode="w", zarr_format=3)
    shape = (size.days, size.lat, size.lon)
    array = group.create_array("t2m", shape=shape, chunks=(10, size.lat, size.lon), dtype="f4", dimension_names=("time", "lat", "lon"))
    random = np.random.default_rng(6)
    season = np.sin(np.arange(size.days, dtype="f4") * np.float32(2 * np.pi / 365.25)) * 10 + 280
    for first in range(0, size.days, 10):
        part = season[first : first + 10]
        noise = random.integers(-512, 512, (len(part), size.lat, size.lon)).astype("f4") / 128
        array[first : first + len(part)] = part[:, None, None] + noise
    days = np.datetime64("2011-01-01", "ns") + np.arange(size.days).astype("m8[D]")
    xr.Dataset(coords={"time": days}).to_zarr(folder, mode="a", consolidated=False)


MAKERS = {"mosaic": ("scenes", make_scenes), "months": ("steps.zarr", make_steps), "climatology": ("days.zarr", make_days)}


def prepare(program, size, data):
    """The folder of a program's input, which is made if it is not there."""
    if program not in MAKERS:
        return data
    name, make = MAKERS[program]
    folder = os.path.join(data, size.name, name)
    done = folder + ".done"
    if not os.path.exists(done):
        os.makedirs(folder, exist_ok=True)
        make(folder, size)
        open(done, "w").close()
    return folder


# The programs. Each gives the seconds of its steps, and what was computed, to be compared.


def clock(steps, name, begin):
    now = time.perf_counter()
    steps[name] = now - begin
    return now


def cluster_of(engine, memory):
    """Two worker processes of one thread each, and the client that uses them."""
    if engine == "graticule":
        import graticule

        cluster = graticule.LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=memory)
        return graticule.Client(cluster), cluster
    import distributed

    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=memory, dashboard_address=":0", processes=True
    )
    return distributed.Client(cluster), cluster


def mosaic(engine, source, size, out):
    client, cluster = cluster_of(engine, size.workers_bytes[0])
    client.wait_for_workers(2)
    steps = {}
    begin = whole = time.perf_counter()
    if engine == "graticule":
        import graticule.stac

        items = graticule.stac.search(source + "/items.json")
        data = items.stack(list(BANDS), resolution=GRID["step"], crs=GRID["epsg"], dtype="source", chunks=(1, 1, 1024, 1024))
    else:
        import odc.stac
        import pystac
        import urllib.request

        with urllib.request.urlopen(source + "/items.json") as answer:
            found = [pystac.Item.from_dict(item) for item in json.load(answer)["features"]]
        for item in found:
            for asset in item.assets.values():
                asset.href = f"{source}/{asset.href}"
        data = odc.stac.load(found, bands=list(BANDS), resolution=GRID["step"], crs=f"EPSG:{GRID['epsg']}", chunks={"x": 1024, "y": 1024})
        data = data.to_array("band").transpose("time", "band", "y", "x")
    begin = clock(steps, "stack", begin)
    data = data.where(lambda x: x > 0, other=np.nan).astype("float32").persist()
    median = data.median("time").compute()
    begin = clock(steps, "persist, median", begin)
    months = data.groupby("time.month")
    if engine == "dask":
        # Without this Dask's median raises for chunks of one time step.
        months = data.chunk({"time": -1, "y": 256, "x": 256}).groupby("time.month")
    monthly = months.median().compute()
    clock(steps, "median by month", begin)
    steps["all"] = time.perf_counter() - whole
    np.savez(out, median=median.values, monthly=monthly.transpose("month", "band", "y", "x").values)
    client.close()
    cluster.close()
    return steps


def expected_mosaic(folder, size):
    import rasterio

    stack = np.empty((size.scenes, len(BANDS), size.pixels, size.pixels), "f4")
    for at in range(size.scenes):
        for number, band in enumerate(BANDS):
            with rasterio.open(os.path.join(folder, f"{at:03}-{band}.tif")) as file:
                stack[at, number] = file.read(1)
    stack[stack == 0] = np.nan
    months = np.array([int(day[5:7]) for day in scene_days(size.scenes)])
    monthly = [np.nanmedian(stack[months == month], axis=0) for month in np.unique(months)]
    return {"median": np.nanmedian(stack, axis=0), "monthly": np.stack(monthly)}


def months(engine, source, size, out):
    import xarray as xr

    steps = {}
    if engine == "graticule":
        import graticule

        client = graticule.Client(threads_per_worker=2)
        kind = {"engine": "graticule"}
    else:
        import dask

        dask.config.set(scheduler="threads", num_workers=2)
        kind = {"engine": "zarr", "consolidated": False}
    begin = whole = time.perf_counter()
    data = xr.open_dataset(source, chunks={}, **kind)["v"]
    if engine == "dask":
        # flox's medians and quantiles want a chunk for each group at most; without this they raise.
        data = data.chunk({"time": -1, "y": 256, "x": 256})
    by_month = data.groupby("time.month").median()
    by_season = data.groupby("time.season").quantile([0.1, 0.9])
    begin = clock(steps, "expression", begin)
    by_month = by_month.compute()
    begin = clock(steps, "median by month", begin)
    by_season = by_season.compute()
    clock(steps, "quantiles by season", begin)
    steps["all"] = time.perf_counter() - whole
    season = by_season.transpose("season", "quantile", "band", "y", "x").sortby("season")
    np.savez(out, month=by_month.transpose("month", "band", "y", "x").values, season=season.values)
    if engine == "graticule":
        client.close()
    return steps


def expected_months(folder, size):
    import zarr

    values = zarr.open_group(folder, mode="r")["v"][:]
    month = np.arange(size.steps) % 12 + 1
    season = np.array(["DJF", "DJF", "MAM", "MAM", "MAM", "JJA", "JJA", "JJA", "SON", "SON", "SON", "DJF"])[month - 1]
    by_month = np.stack([np.nanmedian(values[month == m], axis=0) for m in range(1, 13)])
    by_season = [np.nanquantile(values[season == s], [0.1, 0.9], axis=0) for s in np.unique(season)]
    return {"month": by_month, "season": np.stack(by_season)}


def climatology(engine, source, size, out):
    import xarray as xr
    import shutil

    target = out + ".zarr"
    shutil.rmtree(target, ignore_errors=True)
    steps = {}
    if engine == "graticule":
        client, cluster = cluster_of(engine, size.workers_bytes[1])
        client.wait_for_workers(2)
        kind = {"engine": "graticule"}
    else:
        import dask

        # Any memory.
        dask.config.set(scheduler="threads", num_workers=2)
        kind = {"engine": "zarr", "consolidated": False}
    begin = whole = time.perf_counter()
    data = xr.open_dataset(source, chunks={}, **kind)["t2m"]
    days = data.groupby("time.dayofyear")
    anomaly = days - days.mean()
    pencils = anomaly.chunk({"time": -1, "lat": 19, "lon": 24}).rename("anomaly")
    begin = clock(steps, "expression", begin)
    pencils.to_dataset().drop_vars("dayofyear", errors="ignore").to_zarr(target, mode="w", consolidated=False)
    clock(steps, "written", begin)
    steps["all"] = time.perf_counter() - whole
    if engine == "graticule":
        client.close()
        cluster.close()
    import zarr

    written = zarr.open_group(target, mode="r")["anomaly"]
    np.savez(out, some=written[:, :: max(1, size.lat // 6), :: max(1, size.lon // 9)])
    shutil.rmtree(target)
    return steps


def expected_climatology(folder, size):
    import zarr

    array = zarr.open_group(folder, mode="r")["t2m"]
    some = array[:, :: max(1, size.lat // 6), :: max(1, size.lon // 9)].astype("f8")
    days = np.datetime64("2011-01-01") + np.arange(size.days).astype("m8[D]")
    day = (days - days.astype("M8[Y]")).astype(int)
    for one in np.unique(day):
        some[day == one] -= some[day == one].mean(axis=0)
    return {"some": some.astype("f4")}


def million(engine, source, size, out):
    """Every task is a whole chunk's work, so that the first is over long before the last."""
    import xarray as xr

    steps = {}
    if engine == "graticule":
        import graticule
        import graticule.array as module

        client = graticule.Client(threads_per_worker=2)
    else:
        import dask
        import dask.array as module

        dask.config.set(scheduler="threads", num_workers=2)
    side = 100

    def tell(block):
        import sys as shared

        # Threads of one process run the tasks.
        shared.first_task_ran = True
        return block

    begin = time.perf_counter()
    shape = (size.chunks, side, side)
    data = xr.DataArray(module.ones(shape, chunks=(1, side, side), dtype="f4"), dims=("time", "y", "x"))
    told = xr.DataArray(module.map_blocks(tell, data.data, dtype="f4"), dims=data.dims)
    anomaly = ((told * 2 + 1) / (data + 1)).mean(("y", "x"))
    begin = clock(steps, "expression", begin)
    thread = threading.Thread(target=lambda: anomaly.compute(), daemon=True)
    thread.start()
    while not hasattr(sys, "first_task_ran"):
        time.sleep(0.0002)
    clock(steps, "first task", begin)
    np.savez(out, nothing=np.zeros(1))
    sys.stdout.write(json.dumps(steps) + "\n")
    sys.stdout.flush()
    # The rest of the work is not waited for.
    os._exit(0)


PROGRAMS = {
    "mosaic": (mosaic, expected_mosaic),
    "months": (months, expected_months),
    "climatology": (climatology, expected_climatology),
    "million": (million, None),
}


# Measuring.


def tree_bytes(process):
    import psutil

    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            # Pages that several processes share count once.
            total += each.memory_full_info().pss
        except psutil.Error:
            pass
    return total


def run_child(engine, program, source, size, out):
    import psutil

    command = [sys.executable, os.path.abspath(__file__), program, "--child", engine, "--source", source, "--out", out]
    command += ["--small"] if size.name == "small" else []
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process, peak = psutil.Process(child.pid), 0
    reader = {}
    thread = threading.Thread(target=lambda: reader.update(text=child.stdout.read()))
    thread.start()
    while child.poll() is None:
        try:
            peak = max(peak, tree_bytes(process))
        except psutil.Error:
            break
        time.sleep(0.05)
    thread.join()
    lines = reader["text"].strip().splitlines()
    if child.wait() != 0 or not lines:
        return None
    return {**json.loads(lines[-1]), "MiB": peak / 2**20}


def serve(folder):
    """An HTTP server of a folder in a process of its own, which answers after 20 ms."""
    server = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, "benches", "slow_http.py"), folder, "--delay-ms", "20"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return server, server.stdout.readline().strip()


def agrees(engine, got, want):
    """Medians of ours are NumPy's to the bit; all else, and the peer's, to a few digits."""
    for name, values in want.items():
        ours = got[name]
        exact = engine == "graticule" and name in ("median", "monthly", "month") and values.dtype == ours.dtype
        if exact and not np.array_equal(ours, values, equal_nan=True):
            return False
        if not exact and not np.allclose(ours, values, rtol=1e-5, atol=2e-4, equal_nan=True):
            return False
    return True


def measure(program, arguments, size):
    _, expected = PROGRAMS[program]
    folder = prepare(program, size, arguments.data)
    server, source = serve(folder) if program == "mosaic" else (None, folder)
    want = expected(folder, size) if expected else {}
    engines = ["graticule"] + ([] if arguments.no_peer else ["dask"])
    rounds = {engine: [] for engine in engines}
    try:
        for _ in range(arguments.rounds):
            for engine in engines:
                with tempfile.TemporaryDirectory(dir=arguments.data) as scratch:
                    out = os.path.join(scratch, "out.npz")
                    took = run_child(engine, program, source, size, out)
                    if took is None:
                        print(f"{program} on {engine} failed, as told above")
                        continue
                    if want and not agrees(engine, np.load(out), want):
                        raise SystemExit(f"{program} on {engine} gives other values than NumPy")
                    rounds[engine].append(took)
    finally:
        if server:
            server.terminate()
            server.wait()
    return {
        engine: {name: statistics.median(one[name] for one in made) for name in made[0]} for engine, made in rounds.items() if made
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", choices=[*PROGRAMS, []])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--data", default=os.path.join(ROOT, "target", "notebooks"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = Size(arguments.small)
    if arguments.child:
        steps = PROGRAMS[arguments.programs[0]][0](arguments.child, arguments.source, size, arguments.out)
        print(json.dumps(steps))
        return
    os.makedirs(arguments.data, exist_ok=True)
    for program in arguments.programs or PROGRAMS:
        for engine, figures in measure(program, arguments, size).items():
            told = ", ".join(f"{name} {value:.2f} s" for name, value in figures.items() if name != "MiB")
            print(f"{program:12} {engine:10} {told}; {figures['MiB']:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
