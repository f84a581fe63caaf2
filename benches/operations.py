"""How long xarray's operations take: those of docs/xarray.md, on 24 x 300 x 400 elements in chunks of 6 x 150 x 200.

    python benches/operations.py [--only PART ...]

Each runs with Graticule embedded, with Dask's threads, and with xarray on NumPy's arrays alone, in a process for each of the three;
two threads, the best of two runs, 20 seconds at most. What takes Graticule half a second or more, or longer than Dask, is
listed, and the geometric mean of Dask's time over Graticule's. Operations that some of them cannot do are left out of the mean.
The package must be built with `--release` for figures that mean anything.
"""

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import xarray as xr

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENGINES = ("graticule", "dask", "numpy")
LAT, LON = 300, 400
CHUNKS = {"time": 6, "y": 150, "x": 200}
RUNS = 2
SECONDS_MAX = 20
#: Of shorter ones the time of the machine's other work is too large a part.
SECONDS_MIN = 0.05
SLOW_SECONDS = 0.5


def dataset():
    """As the tests' own (tests/python/xarray_operations.py), but larger."""
    rng = np.random.default_rng(0)
    shape = (24, LAT, LON)
    floats = rng.integers(-40, 40, shape) / 4
    gaps = np.where(rng.random(shape) < 0.2, np.nan, floats)
    stamps = np.datetime64("2020-01-01", "ns") + rng.integers(0, 10**9, (LAT, LON)) * np.timedelta64(10**6, "ns")
    return xr.Dataset(
        {
            "gaps": (("time", "y", "x"), gaps, {"units": "K"}),
            "full": (("time", "y", "x"), floats),
            "single": (("time", "y", "x"), gaps.astype("f4")),
            "counts": (("time", "y", "x"), rng.integers(0, 200, shape).astype("u2")),
            "signed": (("y", "x"), rng.integers(-9, 9, (LAT, LON)).astype("i4")),
            "flags": (("time", "y", "x"), rng.random(shape) < 0.4),
            "stamps": (("y", "x"), stamps),
            "spans": (("y", "x"), stamps - stamps.min()),
            "waves": (("time", "x"), floats[:, 0] + 1j * floats[:, 1]),
            "weights": (("y",), np.tile([0.5, 1.0, 1.5, 2.0, 0.0], LAT // 5)),
        },
        coords={
            "time": pd.date_range("2001-11-15", periods=24, freq="17D"),
            "y": np.linspace(50, 10, LAT),
            "x": np.arange(LON) * 0.5,
            "zone": (("y", "x"), rng.integers(0, 8, (LAT, LON))),
            "letter": ("x", list("abcd") * (LON // 4)),
        },
    )


def best(function, ds):
    """The seconds of the quickest run, or why there is none."""
    seconds = []
    for _ in range(RUNS):
        signal.alarm(SECONDS_MAX)
        try:
            begin = time.perf_counter()
            made = function(ds)
            if hasattr(made, "compute"):
                made.compute()
            seconds.append(time.perf_counter() - begin)
        except TimeoutError:
            return f"more than {SECONDS_MAX} s"
        except Exception as error:
            # Some of the operations fit the small arrays alone.
            return f"{type(error).__name__}: {error}".splitlines()[0]
        finally:
            signal.alarm(0)
    return min(seconds)


def measure(engine, only):
    sys.path.insert(0, os.path.join(ROOT, "tests", "python"))
    from xarray_operations import OPERATIONS

    def out_of_time(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, out_of_time)
    warnings.simplefilter("ignore")
    if engine == "graticule":
        import graticule

        graticule.Client(threads_per_worker=2)
    elif engine == "dask":
        import dask

        dask.config.set(scheduler="threads", num_workers=2)
    ds = dataset()
    if engine != "numpy":
        ds = ds.chunk(CHUNKS, chunked_array_type=engine).assign_coords(ds.coords)
    wanted = {name: one for name, (_, one) in OPERATIONS.items() if not only or any(part in name for part in only)}
    return {name: best(function, ds) for name, function in wanted.items()}


def shown(seconds):
    return f"{seconds:.3f}" if isinstance(seconds, float) else seconds[:60]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="operations with one of these in their names")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(measure(options.engine, options.only)))
        return
    found = {}
    for engine in ENGINES:
        command = [sys.executable, __file__, "--engine", engine, "--only", *options.only]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[engine] = json.loads(done.stdout.splitlines()[-1])
    ratios = []
    print("| operation | Graticule | Dask's threads | NumPy |\n|---|---|---|---|")
    for name, ours in found["graticule"].items():
        dask, numpy = found["dask"][name], found["numpy"][name]
        if isinstance(ours, str):
            continue
        if isinstance(dask, float):
            ratios.append(dask / ours)
        is_slower = isinstance(dask, float) and ours > dask and ours >= SECONDS_MIN
        if is_slower or ours >= SLOW_SECONDS or options.only:
            print(f"| {name} | {ours:.3f} | {shown(dask)} | {shown(numpy)} |")
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"\n{len(ratios)} operations by both; Dask takes {mean:.2f} times as long (geometric mean)")


if __name__ == "__main__":
    main()
