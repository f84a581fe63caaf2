"""The peers' side of `graticule bench median`: make the stack, or take its median over time with Dask.

DIR make                     writes DIR/stack.zarr: 24 x 4 x 2048 x 2048 uint16, a chunk per scene, band and 1024 x 1024
                             tile, zstd
DIR threads COUNT OUT        dask's threaded scheduler
DIR distributed COUNT OUT    dask.distributed, worker processes of one thread

The last two print one JSON line with the seconds that the computation took (cluster start not counted) and write the
result to OUT as a .npy file, so that results can be compared.
"""

import json
import pathlib
import shutil
import sys
import time

import numpy as np
import zarr

SHAPE = (24, 4, 2048, 2048)
CHUNKS = (1, 1, 1024, 1024)


def make(folder):
    """Smooth fields with noise: they compress about as reflectances do. Written aside: a stack that is there is whole."""
    whole, aside = pathlib.Path(folder, "stack.zarr"), pathlib.Path(folder, "stack.zarr.part")
    codec = zarr.codecs.ZstdCodec(level=3)
    array = zarr.create_array(
        str(aside), shape=SHAPE, chunks=CHUNKS, dtype="uint16", compressors=codec, overwrite=True
    )
    random = np.random.default_rng(7)
    y, x = np.mgrid[0 : SHAPE[2], 0 : SHAPE[3]]
    for time_index in range(SHAPE[0]):
        for band in range(SHAPE[1]):
            field = 3000 + 800 * np.sin(x / 97 + band) * np.cos(y / 61 + time_index / 5)
            noise = random.integers(0, 256, SHAPE[2:])
            array[time_index, band] = (field + noise).astype("uint16")
    shutil.rmtree(whole, ignore_errors=True)
    aside.rename(whole)


def median(folder):
    import dask.array as da

    return da.median(da.from_zarr(f"{folder}/stack.zarr"), axis=0)


def threads(folder, count):
    import dask

    lazy = median(folder)
    begin = time.perf_counter()
    with dask.config.set(scheduler="threads", num_workers=count):
        result = lazy.compute()
    return result, time.perf_counter() - begin


def distributed(folder, count):
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        lazy = median(folder)
        begin = time.perf_counter()
        result = lazy.compute()
        return result, time.perf_counter() - begin


def main():
    folder, action, *rest = sys.argv[1:]
    if action == "make":
        make(folder)
        return
    count, out = rest
    result, seconds = {"threads": threads, "distributed": distributed}[action](folder, int(count))
    np.save(out, result)
    print(json.dumps({"seconds": seconds, "dtype": str(result.dtype)}))


if __name__ == "__main__":
    main()
