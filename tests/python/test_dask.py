"""Dask's collections, computed by a client. Run with the pinned Dask, and by the last test with one a year older."""

import operator
import os
import subprocess
import sys

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest

import graticule

#: Whether this is the run with Dask of a year ago.
IS_OLDER = "GRATICULE_IS_OLDER_DASK" in os.environ


@pytest.fixture(autouse=True)
def scheduler(client):
    with dask.config.set(scheduler=client):
        yield


def futures_in(collection):
    return [value for value in dict(collection.__dask_graph__()).values() if isinstance(value, graticule.Future)]


def test_arrays_are_computed(client, executed):
    x = np.random.default_rng(1).random((60, 80))
    lazy = da.from_array(x, chunks=(20, 30))
    np.testing.assert_allclose((lazy + 1).mean(axis=0).compute(), (x + 1).mean(axis=0), rtol=1e-12)
    assert executed() > 0
    np.testing.assert_array_equal(lazy.rechunk((60, 7)).T[3:9].compute(), x.T[3:9])
    np.testing.assert_allclose((lazy @ lazy.T).sum().compute(), (x @ x.T).sum(), rtol=1e-12)
    np.testing.assert_allclose(np.asarray(da.linalg.svd(da.from_array(x, chunks=(20, 80)))[1]), np.linalg.svd(x)[1], rtol=1e-9)


def test_several_are_computed_at_once():
    a, b = da.arange(10, chunks=3), da.ones(5, chunks=2)
    total, ones, plain = dask.compute(a.sum(), b, 7)
    assert (total, ones.tolist(), plain) == (45, [1.0] * 5, 7)


def test_large_data_travels_by_itself():
    x = np.arange(3_000_000.0)
    assert da.from_array(x, chunks=1_000_000).sum().compute() == x.sum()
    whole = dask.delayed(x)
    assert dask.delayed(np.sum)(whole).compute() == x.sum()
    # In the node of the call itself.
    assert dask.delayed(np.sum)([x, x[:5]][0]).compute() == x.sum()
    assert dask.delayed(lambda parts: parts[0].sum() + parts[1])([x, 2]).compute() == x.sum() + 2


def test_delayed_functions_are_computed():
    inc, add = dask.delayed(lambda x: x + 1), dask.delayed(operator.add)
    parts = [inc(number) for number in range(10)]
    assert dask.delayed(sum)(parts).compute() == 55
    assert add(inc(1), {"x": 1}["x"]).compute() == 3
    assert dask.delayed({"a": inc(1), "b": [inc(2), (inc(3),)]}).compute() == {"a": 2, "b": [3, (4,)]}


def test_bags_are_computed():
    bag = db.from_sequence(range(100), npartitions=7)
    assert bag.map(lambda x: x * 2).filter(lambda x: x % 3 == 0).sum().compute() == sum(x * 2 for x in range(100) if x * 2 % 3 == 0)
    counted = dict(bag.foldby(lambda x: x % 2, operator.add, 0).compute())
    assert counted == {0: 2450, 1: 2500}


def test_data_frames_are_computed():
    import pandas as pd

    import dask.dataframe as dd
    table = pd.DataFrame({"key": np.arange(100) % 4, "value": np.arange(100.0)})
    lazy = dd.from_pandas(table, npartitions=5)
    pd.testing.assert_series_equal(lazy.groupby("key").value.mean().compute().sort_index(), table.groupby("key").value.mean())
    assert len(lazy[lazy.value > 50]) == 49
    joined = lazy.merge(lazy, on="key").compute()
    assert len(joined) == len(table.merge(table, on="key"))


def test_what_is_persisted_stays_in_the_cluster(client, executed):
    x = da.arange(30, chunks=10) * 2
    kept = client.persist(x)
    futures = futures_in(kept)
    assert len(futures) == 3
    graticule.wait(futures)
    before = executed()
    assert kept.compute().tolist() == list(range(0, 60, 2))
    assert kept.sum().compute() == 870
    # The chunks were not made again: but for what sums them, nothing ran.
    assert executed() - before <= 8
    assert all(future.status == "finished" for future in futures)


@pytest.mark.skipif(IS_OLDER, reason="Dask of then asks only distributed's clients to persist")
def test_persist_of_collections_keeps_them_in_the_cluster():
    kept, frozen = dask.persist(da.ones(20, chunks=5) + 1, dask.delayed(operator.add)(1, 2))
    assert len(futures_in(kept)) == 4
    assert kept.sum().compute() == 40
    assert frozen.compute() == 3
    assert len(futures_in((da.ones(4, chunks=2) + 1).persist())) == 2


def test_compute_of_the_client_gives_futures(client):
    x = da.arange(12, chunks=5)
    total, doubled = client.compute([x.sum(), x * 2])
    assert total.result() == 66
    assert client.gather(doubled).tolist() == list(range(0, 24, 2))
    assert client.compute(x.sum(), sync=True) == 66
    ours = graticule.array.ones(4, chunks=2)
    mixed = client.compute(ours, x.sum())
    assert mixed[0].tolist() == [1.0] * 4 and mixed[1].result() == 66


def test_failures_are_the_functions_own():
    def fail(block):
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        da.ones(4, chunks=2).map_blocks(fail, dtype=float).compute()


def test_graphs_are_computed(client):
    dsk = {"a": 1, "b": (operator.add, "a", 2), "c": (sum, ["a", "b", (operator.mul, "b", 10)])}
    assert client.get(dsk, ["b", ["c", "a"]]) == [3, [34, 1]]
    assert client.get(dsk, "c", sync=False).result() == 34
    with pytest.raises(graticule.errors.InvalidValue, match="no key 'd'"):
        client.get(dsk, "d")


def test_annotations_of_layers_are_heard():
    import builtins

    # In this process functions see what the test sees.
    builtins._graticule_calls = []

    def through(block):
        import builtins

        builtins._graticule_calls.append(1)
        if len(builtins._graticule_calls) == 1:
            raise ValueError("not yet")
        return block

    with dask.annotate(retries=2):
        lazy = da.ones(3, chunks=3).map_blocks(through, dtype=float)
    try:
        assert lazy.compute(optimize_graph=False).tolist() == [1.0] * 3
    finally:
        del builtins._graticule_calls


def test_an_open_client_is_dasks_scheduler():
    code = """
import graticule
with graticule.Client() as client:
    import dask, dask.array as da
    assert dask.config.get("scheduler") is client
    assert da.arange(10, chunks=3).sum().compute() == 45
    assert client.info()["tasks_finished"] > 0
assert dask.config.get("scheduler", None) is None
with graticule.Client() as client:
    assert dask.config.get("scheduler") is client
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(IS_OLDER, reason="this is that run")
def test_all_of_this_goes_with_dask_of_a_year_ago():
    folder = os.environ.get("GRATICULE_OLDER_DASK")
    assert folder, "run by `cargo xtask test --only python`, which installs an older Dask beside the newer one"
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "GRATICULE_IS_OLDER_DASK": "1"}
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.skipif(not IS_OLDER, reason="of that run")
def test_this_is_an_older_dask():
    assert dask.__version__.startswith("2025.")
