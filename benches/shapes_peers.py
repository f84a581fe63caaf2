"""Tasks of Dask for the programs of `array/examples/shapes.rs`, after its optimisation.

Each graph is built at two reduced lengths of time, in the chunks that are stored, and the count, which grows evenly, is
carried on to the whole length. Nothing is computed. `python benches/shapes_peers.py`
"""

import itertools

import dask
import dask.array as da
import numpy as np

HOURS, LATITUDES, LONGITUDES, LEVELS = 561_264, 721, 1_440, 37


NUMBERS = itertools.count()


def stored(shape, chunks, dtype="f4"):
    """An array of which each chunk is a task, as of a file."""
    chunks = da.core.normalize_chunks(chunks, shape)
    meta = np.empty((0,) * len(shape), dtype)
    return da.map_blocks(lambda block_info=None: None, chunks=chunks, dtype=dtype, meta=meta, name=f"stored-{next(NUMBERS)}")


def count(*arrays):
    made = dask.optimize(*arrays)
    return len(set().union(*(set(dict(x.__dask_graph__())) for x in made)))


def grown(build, whole, lengths):
    (a, b) = lengths
    first, second = count(*build(a)), count(*build(b))
    return round(first + (second - first) / (b - a) * (whole - a))


def rechunking(hours):
    chunks = (1, LATITUDES, LONGITUDES)
    return [stored((hours, LATITUDES, LONGITUDES), chunks).rechunk((-1, 7, 8), method="p2p") for _ in range(2)]


def climatology(hours):
    made = []
    for _ in range(2):
        x = stored((hours, LATITUDES, LONGITUDES), (1, LATITUDES, LONGITUDES))
        pencils = x.rechunk((-1, 7, 8), method="p2p")
        days = pencils.map_blocks(lambda b: b, chunks=((4,), (366,), *pencils.chunks[1:]), drop_axis=0, new_axis=[0, 1], dtype="f4")
        made.append(days.rechunk((1, 1, LATITUDES, LONGITUDES), method="p2p"))
    return made


def circulation(hours):
    shape, chunks = (hours, LEVELS, LATITUDES, LONGITUDES), (1, LEVELS, LATITUDES, LONGITUDES)
    u, v, t, w = (stored(shape, chunks) for _ in range(4))
    anomaly = [x - x.mean(3, keepdims=True) for x in (u, v, t, w)]
    fluxes = [(anomaly[a] * anomaly[b]).mean(3) for a, b in ((0, 1), (1, 2), (0, 3))]
    fields = [x.mean(3) for x in (u, v, t, w)] + fluxes
    return [da.coarsen(np.mean, x.rechunk({0: 24}), {0: 24}) for x in fields]


def regridding(hours):
    x = stored((hours, LATITUDES, LONGITUDES), (1, LATITUDES, LONGITUDES))
    made = x.map_blocks(lambda b: b, chunks=(x.chunks[0], (3_601,), (7_200,)), dtype="f4")
    return [made]


def satellite(days):
    shape, chunks = (days, 32_768, 24_576), (1, 2_048, 2_048)
    bands = []
    for _ in range(2):
        x = stored(shape, chunks, "u2")
        old, new = x[: days // 2], x[days // 2 :]
        bands.append(da.concatenate([old, new.clip(1000) - 1000]))
    humidity = (bands[0] - bands[1]) / (bands[0] + bands[1])

    def step(x, axis, keepdims, **_):
        return x

    # What flox does for means by month: a partial of each chunk, combined in a tree.
    return [da.reduction(humidity, step, step, axis=0, keepdims=True, dtype="f4", concatenate=False)]


def cloud_optimize(files):
    years = [stored((365, 600, 1_440), (365, 600, 1_440)) for _ in range(files)]
    return [da.concatenate(years).rechunk((-1, 10, 6), method="p2p")]


if __name__ == "__main__":
    for name, build, whole, lengths, times in [
        ("rechunking", rechunking, HOURS, (24, 48), 1),
        ("climatology", climatology, HOURS, (24, 48), 1),
        ("circulation", circulation, HOURS, (48, 96), 1),
        ("regridding", regridding, 17_544, (24, 48), 1),
        ("satellite", satellite, 3_200, (64, 128), 1),
        ("cloud-optimize", cloud_optimize, 1_430, (20, 40), 9),
    ]:
        print(name, times * grown(build, whole, lengths), flush=True)
