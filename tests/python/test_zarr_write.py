"""Zarr arrays that workers write by themselves, against what zarr-python writes and reads."""

import itertools
import os
import pathlib
import signal
import threading
import time

import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr

import graticule
import graticule.array as ga
from graticule import Client, LocalCluster

X = np.random.default_rng(3).normal(size=(10, 13)).astype("f4")


@pytest.fixture
def no_stream(monkeypatch):
    """Nothing of an array may come to the client, and none of it be written by zarr-python."""

    def refused(*_):
        raise AssertionError("the client writes")

    monkeypatch.setattr(Client, "stream", refused)


@pytest.fixture
def streamed(monkeypatch):
    """The arrays that come to the client block by block."""
    arrays, stream = [], Client.stream

    def counted(self, array):
        arrays.append(array)
        return stream(self, array)

    monkeypatch.setattr(Client, "stream", counted)
    return arrays


def raw(array):
    """An array's bytes, so that NaN and -0.0 count."""
    return np.ascontiguousarray(array[...] if isinstance(array, zarr.Array) else array).tobytes()


def chunk_files(folder):
    names = {"zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}
    return sorted(str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*") if path.is_file() and path.name not in names)


SHARDED = {"shards": (4, 6), "chunks": (2, 3)}
STORED = {
    "plain": {"chunks": (4, 6)},
    "uncompressed": {"chunks": (4, 6), "compressors": None},
    "sharded": SHARDED,
    "gzip": {"chunks": (4, 6), "compressors": zarr.codecs.GzipCodec()},
    "blosc": {"chunks": (4, 6), "compressors": zarr.codecs.BloscCodec(typesize=4)},
    "checked": {"chunks": (4, 6), "compressors": (zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec())},
    "big endian": {"chunks": (4, 6), "serializer": zarr.codecs.BytesCodec(endian="big")},
    "transposed": {"chunks": (4, 6), "filters": (zarr.codecs.TransposeCodec(order=(1, 0)),)},
    "version 2": {"chunks": (4, 6), "zarr_format": 2},
    "version 2, big endian": {"chunks": (4, 6), "zarr_format": 2, "dtype": ">f4"},
    "version 2, by columns": {"chunks": (4, 6), "zarr_format": 2, "order": "F"},
    "version 2, one folder": {"chunks": (4, 6), "zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "nan": {"chunks": (4, 6), "fill_value": float("nan")},
    "nan, all stored": {"chunks": (4, 6), "fill_value": float("nan"), "config": {"write_empty_chunks": True}},
    "a million chunks": {"chunks": (1, 1)},
    "one chunk": {"chunks": (100, 100)},
}


@pytest.mark.parametrize("how", STORED)
def test_workers_write_what_zarr_python_writes(how, client, tmp_path, no_stream):
    values = X.copy()
    values[:5] = np.nan
    values[9, 0] = -0.0
    for chunks in ((4, 6), (3, 13)):
        options = {"shape": X.shape, "dtype": "f4", **STORED[how], "overwrite": True}
        theirs = zarr.create_array(store=tmp_path / "theirs", **options)
        theirs[...] = values
        ours = zarr.create_array(store=tmp_path / "ours", **options)
        ga.store(ga.from_array(values, chunks), ours)
        assert raw(ours) == raw(theirs) == raw(values.astype(ours.dtype))
        assert chunk_files(tmp_path / "ours") == chunk_files(tmp_path / "theirs")


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "f2", "f8", "c8", "c16", "M8[ns]", "m8[s]"])
@pytest.mark.parametrize("version", [2, 3])
def test_every_dtype_is_written(dtype, version, client, tmp_path, no_stream):
    values = (np.arange(24) % 7).reshape(4, 6).astype("i8").astype(dtype)
    ga.to_zarr(ga.from_array(values, (2, 4)), tmp_path / "a", zarr_format=version)
    found = zarr.open_array(tmp_path / "a", mode="r")
    assert found.dtype == values.dtype and raw(found) == raw(values)


def test_arrays_without_axes_or_elements_are_written(client, tmp_path, no_stream):
    ga.to_zarr(ga.from_array(np.float32(3.5)), tmp_path / "one")
    assert zarr.open_array(tmp_path / "one")[()] == 3.5
    ga.to_zarr(ga.zeros((0, 3), chunks=(1, 3)), tmp_path / "none")
    assert zarr.open_array(tmp_path / "none").shape == (0, 3)


def test_what_workers_cannot_write_the_client_writes(client, tmp_path, streamed):
    def target(name, **options):
        return zarr.create_array(store=tmp_path / name, shape=(20, 13), chunks=(4, 6), **{"dtype": "f4", **options})

    x = ga.from_array(X, (4, 6))
    memory = zarr.create_array(store={}, shape=(20, 13), chunks=(4, 6), dtype="f4")
    stores = [
        (target("within chunks"), (slice(3, 13), slice(None))),
        (target("to within a chunk"), (slice(4, 14), slice(None))),
        (target("cast", dtype="f8"), (slice(0, 10), slice(None))),
        (target("every other"), (slice(0, 20, 2), slice(None))),
        (target("filtered", zarr_format=2, filters=[numcodecs.Shuffle(4)]), (slice(0, 10), slice(None))),
        (memory, (slice(0, 10), slice(None))),
        (np.zeros((20, 13), "f4"), (slice(0, 10), slice(None))),
    ]
    for count, (array, region) in enumerate(stores, 1):
        ga.store(x, array, region)
        assert len(streamed) == count, array
        np.testing.assert_array_equal(array[region], X)
    ga.store(x, target("by the client"), (slice(0, 10), slice(None)), by_workers=False)
    assert len(streamed) == len(stores) + 1


def test_regions_of_whole_chunks_leave_others_alone(client, tmp_path, no_stream):
    target = zarr.create_array(store=tmp_path / "a", shape=(20, 13), chunks=(5, 6), dtype="f4", fill_value=7)
    ga.store(ga.from_array(X, (4, 6)), target, (slice(5, 15), slice(None)))
    want = np.full((20, 13), 7, "f4")
    want[5:15] = X
    np.testing.assert_array_equal(target[...], want)
    assert len(chunk_files(tmp_path / "a")) == 2 * 3


def test_several_arrays_are_one_job_and_what_they_share_is_made_once(client, executed, tmp_path, no_stream):
    x = ga.from_array(X, (5, 13)).map_blocks(np.sort, dtype="f4")
    targets = [zarr.create_array(store=tmp_path / name, shape=X.shape, chunks=(5, 13), dtype="f4") for name in "ab"]
    late = ga.store([x + 1, x * 2], targets, compute=False)
    assert executed() == 0 and not chunk_files(tmp_path)
    late.compute()
    np.testing.assert_array_equal(targets[0][...], np.sort(X) + 1)
    np.testing.assert_array_equal(targets[1][...], np.sort(X) * 2)
    # Two sorts, and for each array two writes: nothing is made twice.
    assert executed() <= 6


def test_of_arrays_for_one_place_the_last_stays(client, tmp_path):
    target = zarr.create_array(store=tmp_path / "a", shape=X.shape, chunks=(5, 13), dtype="f4")
    x = ga.from_array(X, (5, 13))
    ga.store([x, x + 1, x + 2], [target] * 3)
    np.testing.assert_array_equal(target[...], X + 2)


def test_an_array_that_is_changed_in_place_is_written_by_the_client(client, tmp_path, streamed):
    """A second attempt of a task would read what the first one wrote."""
    targets = [zarr.create_array(store=tmp_path / name, data=X, chunks=(5, 13)) for name in "ab"]
    (tmp_path / "link").symlink_to(tmp_path / "a")
    ga.store(ga.from_zarr(tmp_path / "link") + 1, targets[0])
    np.testing.assert_array_equal(targets[0][...], X + 1)
    assert len(streamed) == 1
    one = ga.from_array(X, (5, 13))
    ga.store([one, ga.from_zarr(tmp_path / "a") * 0 + one], targets)
    assert len(streamed) == 2


@pytest.mark.parametrize("component", [None, "inner"])
def test_what_an_array_is_computed_from_is_not_removed_for_it(component, client, tmp_path):
    where = {"url": str(tmp_path / "a.zarr"), "component": component}
    ga.to_zarr(ga.from_array(np.arange(12.0), chunks=4), **where)
    x = ga.from_zarr(**where)
    with pytest.raises(graticule.errors.InvalidValue, match="computed from .*a.zarr.*another place"):
        ga.to_zarr(x + 1, **where, overwrite=True)
    np.testing.assert_array_equal(ga.from_zarr(**where).compute(), np.arange(12.0))
    ga.to_zarr(ga.from_array(np.ones(12), chunks=4), **where, overwrite=True)
    np.testing.assert_array_equal(ga.from_zarr(**where).compute(), np.ones(12))


def dataset(values=X, **chunks):
    ds = xr.Dataset({"a": (("y", "x"), values), "when": ("y", np.datetime64("2001-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "h"))})
    return ds.chunk(chunks or {"y": 5}, chunked_array_type="graticule")


@pytest.mark.parametrize("version", [2, 3])
def test_datasets_are_written_appended_and_changed_by_workers(version, client, tmp_path, no_stream):
    path = str(tmp_path / "ds.zarr")
    ds = dataset()
    ds.to_zarr(path, mode="w", zarr_format=version)
    xr.testing.assert_identical(xr.open_zarr(path, chunks=None).compute(), ds.compute())
    ds.drop_encoding().to_zarr(path, append_dim="y")
    assert xr.open_zarr(path, chunks=None).sizes["y"] == 20
    xr.testing.assert_equal(xr.open_zarr(path, chunks=None).isel(y=slice(10, 20)).compute(), ds.compute())
    (ds[["a"]] * 2).drop_encoding().to_zarr(path, region={"y": slice(5, 15)}, mode="r+")
    got = xr.open_zarr(path, chunks=None).a
    np.testing.assert_array_equal(got[5:15], X * 2)
    np.testing.assert_array_equal(got[:5], X[:5])
    ds.rename(a="b").drop_encoding()[["b"]].isel(y=[0] * 20).chunk(y=5).to_zarr(path, mode="a")
    np.testing.assert_array_equal(xr.open_zarr(path, chunks=None).b[3], X[0])
    with pytest.raises(ValueError, match="(?i)chunk"):
        (ds[["a"]].isel(y=slice(0, 6)).chunk(y=3)).drop_encoding().to_zarr(path, region={"y": slice(0, 6)})


def test_a_dataset_that_is_written_later_is_written_when_it_is_computed(client, tmp_path, no_stream):
    path = str(tmp_path / "ds.zarr")
    ds = dataset()
    late = ds.to_zarr(path, compute=False)
    assert np.isnan(zarr.open_array(path + "/a")[...]).all()
    late.compute()
    xr.testing.assert_identical(xr.open_zarr(path, chunks=None).compute(), ds.compute())


def test_dask_computes_what_is_written_later(client, tmp_path, no_stream):
    dask = pytest.importorskip("dask")
    late = [dataset(X + number).to_zarr(tmp_path / f"{number}.zarr", compute=False) for number in range(2)]
    dask.compute(late)
    for number in range(2):
        np.testing.assert_array_equal(zarr.open_array(tmp_path / f"{number}.zarr" / "a")[...], X + number)


def test_what_is_written_later_is_written_from_the_client_whoever_computes_it(tmp_path):
    """Also where Dask's graphs go to the client: the lazy array is the client's."""
    ways = {"client": lambda own, late: own.compute(late), "module": lambda own, late: graticule.compute(late)}
    try:
        import dask

        ways |= {"dask": lambda own, late: dask.compute(late), "nested": lambda own, late: dask.compute({"a": [late]})}
    except ImportError:
        pass
    with Client() as own:
        for name, compute in ways.items():
            late = dataset().to_zarr(tmp_path / name, compute=False)
            assert np.isnan(zarr.open_array(tmp_path / name / "a")[...]).all()
            compute(own, late)
            np.testing.assert_array_equal(zarr.open_array(tmp_path / name / "a")[...], X)


def test_a_dataset_can_be_written_by_the_client(client, tmp_path, streamed):
    path = str(tmp_path / "ds.zarr")
    dataset().to_zarr(path, chunkmanager_store_kwargs={"by_workers": False})
    assert len(streamed) == 2
    np.testing.assert_array_equal(zarr.open_array(path + "/a")[...], X)


def test_an_array_that_is_gone_when_it_is_written_is_told(client, tmp_path, no_stream):
    import shutil

    x = ga.from_array(X, (5, 13)).map_blocks(_once_gone(tmp_path / "a"), dtype="f4")
    with pytest.raises(graticule.TaskFailed, match="there is no Zarr array at .*by_workers=False"):
        ga.to_zarr(x, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    shutil.rmtree(tmp_path, ignore_errors=True)


def _once_gone(path):
    def gone(block):
        import shutil

        shutil.rmtree(path, ignore_errors=True)
        return block

    return gone


def test_a_killed_worker_leaves_the_array_whole(tmp_path):
    """A worker is killed once the first chunks are there, and the array is what it would have been."""
    values = np.arange(400 * 50, dtype="f8").reshape(400, 50)
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="1 GiB") as cluster, Client(cluster) as far:

        def slow(block):
            time.sleep(0.02)
            return block

        pids = [int(pid) for pid in far.run(os.getppid).values()]
        x = ga.from_array(values, (4, 50)).map_blocks(slow, dtype="f8")
        failed = []

        def write():
            try:
                ga.to_zarr(x, tmp_path / "a")
            except BaseException as error:
                failed.append(error)

        writing = threading.Thread(target=write)
        writing.start()
        for _ in itertools.count():
            if len(chunk_files(tmp_path)) >= 5 or failed:
                break
            time.sleep(0.01)
        assert len(chunk_files(tmp_path)) < 100
        os.kill(pids[0], signal.SIGKILL)
        writing.join(120)
        assert not failed and not writing.is_alive()
        np.testing.assert_array_equal(zarr.open_array(tmp_path / "a")[...], values)
        # What was written is not computed again: of a hundred blocks only those under way.
        assert far.info()["tasks_finished"] <= 110
