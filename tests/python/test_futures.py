"""Functions as calls: the examples of distributed's documentation with only the import changed, and what goes wrong."""

import asyncio
import concurrent.futures
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import graticule
from graticule import Client, as_completed, fire_and_forget, get_client, get_worker, wait


def inc(x):
    return x + 1


def add(x, y):
    return x + y


def square(x):
    return x**2


def neg(x):
    return -x


def div(x, y):
    return x / y


def slow(x, delay=0.2):
    time.sleep(delay)
    return x


def run(program, **kwargs):
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **kwargs)


def until(holds):
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


# The examples of distributed's pages "Quickstart", "Client", "Manage computation", "Launch tasks from tasks", "API".


def test_quickstart(client):
    A = client.map(square, range(10))
    B = client.map(neg, A)
    total = client.submit(sum, B)
    assert total.result() == -285
    assert client.gather(A) == [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]


def test_submit(client):
    a = client.submit(add, 1, y=2)
    assert a.result() == 3
    b = client.submit(inc, 10)
    c = client.submit(add, a, b)
    assert c.result() == 14
    assert client.submit(sum, [a, {"k": b}["k"], c]).result() == 28
    assert client.submit(lambda d: d["x"][0] + d["y"], {"x": [a], "y": (b).result()}).result() == 14


def test_map(client):
    L = client.map(inc, range(5))
    assert client.gather(L) == [1, 2, 3, 4, 5]
    assert client.gather(client.map(add, range(3), [10, 20, 30])) == [10, 21, 32]
    assert client.gather(client.map(add, L, y=1)) == [2, 3, 4, 5, 6]
    assert client.gather(client.map(add, [1, 2], y=L[0])) == [2, 3]
    assert client.gather(client.map(inc, iter(range(3)), batch_size=2)) == [1, 2, 3]
    assert [f.key for f in client.map(inc, range(2), key="mine")] == ["mine-0", "mine-1"]


def test_gather(client):
    x = client.submit(add, 1, 2)
    assert client.gather(x) == 3
    assert client.gather([x, [x], x]) == [3, [3], 3]
    assert client.gather({"a": x, "b": (x, 7)}) == {"a": 3, "b": (3, 7)}
    assert client.gather(iter([x, x])) == [3, 3]
    bad = client.submit(div, 1, 0)
    with pytest.raises(ZeroDivisionError):
        client.gather([x, bad])
    assert client.gather([x, bad, x], errors="skip") == [3, 3]
    assert client.gather({"a": x, "b": bad}, errors="skip") == {"a": 3}


def test_scatter(client):
    x = client.scatter(1)
    assert x.result() == 1
    assert [f.result() for f in client.scatter([1, 2, 3])] == [1, 2, 3]
    made = client.scatter({"x": 1, "y": 2, "z": 3})
    assert {name: future.result() for name, future in made.items()} == {"x": 1, "y": 2, "z": 3}
    assert isinstance(client.scatter((1, 2)), tuple)
    assert client.scatter(x.result(), hash=True).key == x.key
    assert client.scatter(1, hash=False).key != x.key
    big = client.scatter(np.arange(100_000.0), broadcast=True)
    assert client.submit(np.sum, big).result() == np.arange(100_000.0).sum()
    assert client.gather(client.map(add, [1, 2], [x, x])) == [2, 3]


def test_as_completed(client):
    x, y, z = client.map(inc, [1, 2, 3])
    assert sorted(future.result() for future in as_completed([x, y, z])) == [2, 3, 4]
    results = {future: result for future, result in as_completed([x, y, z], with_results=True)}
    assert results == {x: 2, y: 3, z: 4}
    # A sequence that grows as it is looked at.
    seq = as_completed([client.submit(inc, 0)])
    seen = []
    for future in seq:
        seen.append(future.result())
        if len(seen) < 4:
            seq.add(client.submit(inc, future))
    assert seen == [1, 2, 3, 4]
    batches = list(as_completed(client.map(inc, range(50))).batches())
    assert sum(len(batch) for batch in batches) == 50
    seq = as_completed(client.map(slow, [1, 2, 3], delay=0.05))
    assert seq.count() == 3 and len(seq.next_batch()) >= 1
    assert seq.next_batch(block=False) is not None
    with pytest.raises(TimeoutError):
        for _ in as_completed([client.submit(slow, 1, delay=0.5)], timeout=0.05):
            pass
    assert list(as_completed([])) == []


def test_as_completed_with_errors(client):
    bad, good = client.submit(div, 1, 0), client.submit(div, 1, 1)
    found = dict(as_completed([bad, good], with_results=True, raise_errors=False))
    assert found[good] == 1 and found[bad][0] is ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        list(as_completed([bad], with_results=True))


def test_wait(client):
    futures = client.map(slow, range(4), delay=0.01)
    done, not_done = wait(futures)
    assert done == set(futures) and not not_done
    quick, long = client.submit(inc, 100), client.submit(slow, 5, delay=0.7)
    done, not_done = wait([quick, long], return_when="FIRST_COMPLETED")
    assert done == {quick} and not_done == {long}
    with pytest.raises(TimeoutError):
        wait([long], timeout="10 ms")


def test_fire_and_forget(client, tmp_path):
    def write(path):
        time.sleep(0.1)
        with open(path, "w") as file:
            file.write("done")

    path = tmp_path / "out"
    fire_and_forget(client.submit(write, str(path)))
    end = time.monotonic() + 5
    while not path.exists() or path.read_text() != "done":
        assert time.monotonic() < end
        time.sleep(0.02)


def test_get_client_and_get_worker(client):
    def f():
        worker = get_worker()  # The worker on which this task is running
        return worker.address

    assert client.submit(f).result() in client.nthreads()
    with pytest.raises(ValueError, match="no worker"):
        get_worker()


def test_a_workers_attributes_stay(client):
    def remember(value):
        get_worker().remembered = value

    def recall():
        return get_worker().remembered

    client.submit(remember, 7).result()
    assert client.submit(recall, pure=False).result() == 7


def test_get(client):
    assert client.get({"x": (add, 1, 2)}, "x") == 3
    dsk = {"x": 1, "y": (inc, "x"), "z": (sum, ["x", "y", (inc, (inc, "y"))]), ("t", 0): (add, "z", "z")}
    assert client.get(dsk, ["x", ["z", ("t", 0)]]) == [1, [7, 14]]
    with pytest.raises(ValueError, match="cycle"):
        client.get({"a": (inc, "b"), "b": (inc, "a")}, "a")
    with pytest.raises(ValueError, match="no key"):
        client.get({"a": 1}, "b")
    deep = {"k0": 0} | {("k", i): (inc, ("k", i - 1) if i > 1 else "k0") for i in range(1, 3000)}
    assert client.get(deep, ("k", 2999)) == 2999


def test_run(client):
    assert client.run(os.getpid) == {name: os.getpid() for name in client.nthreads()}

    def about(dask_worker):
        return dask_worker.name

    assert client.run(about) == {name: name for name in client.nthreads()}
    errors = client.run(div, 1, 0, on_error="return")
    assert all(isinstance(error, ZeroDivisionError) for error in errors.values())
    with pytest.raises(ZeroDivisionError):
        client.run(div, 1, 0)


def test_get_executor(client):
    with client.get_executor() as executor:
        futures = [executor.submit(inc, i) for i in range(5)]
        assert sorted(future.result() for future in concurrent.futures.as_completed(futures)) == [1, 2, 3, 4, 5]
        assert list(executor.map(add, range(3), range(3))) == [0, 2, 4]
        with pytest.raises(ZeroDivisionError):
            executor.submit(div, 1, 0).result()
    with pytest.raises(RuntimeError):
        executor.submit(inc, 1)


def test_published_datasets(client):
    x = client.submit(inc, 41)
    client.publish_dataset(my_dataset=x)
    assert client.list_datasets() == ("my_dataset",)
    assert client.get_dataset("my_dataset").result() == 42
    with pytest.raises(KeyError, match="override=True"):
        client.publish_dataset(x, name="my_dataset")
    client.publish_dataset(x, name="my_dataset", override=True)
    assert client.datasets["my_dataset"].result() == 42 and "my_dataset" in client.datasets
    client.unpublish_dataset("my_dataset")
    for unknown in (client.get_dataset, client.unpublish_dataset):
        with pytest.raises(KeyError, match="no dataset has the name .my_dataset."):
            unknown("my_dataset")
    assert client.get_dataset("my_dataset", default=None) is None


def test_about_the_cluster(client):
    x = client.submit(inc, 1)
    wait(x)
    (name,) = client.nthreads()
    assert client.who_has([x]) == {x.key: (name,)}
    assert x.key in client.has_what()[name]
    info = client.scheduler_info()
    assert info["type"] == "Scheduler" and info["workers"][name]["nthreads"] == client.nthreads()[name]
    client.wait_for_workers(1)
    with pytest.raises(TimeoutError):
        client.wait_for_workers(5, timeout=0.05)
    versions = client.get_versions(check=True)
    assert versions["client"]["packages"]["numpy"] == np.__version__


def test_futures(client):
    x = client.submit(inc, 10)
    assert x.result(timeout=5) == 11 and x.result("5s") == 11
    assert x.status == "finished" and x.done() and not x.cancelled()
    assert x.exception() is None and x.traceback() is None
    assert x.key.startswith("inc-") and x.key in repr(x)
    called = []
    x.add_done_callback(called.append)
    end = time.monotonic() + 5
    while not called and time.monotonic() < end:
        time.sleep(0.01)
    assert called == [x]


def test_a_timeout_of_the_wait_leaves_the_call(client):
    x = client.submit(slow, 3, delay=0.3)
    assert x.status == "pending"
    with pytest.raises(TimeoutError):
        x.result(timeout=0.05)
    assert x.result() == 3


def test_cancel(client):
    block = [client.submit(slow, i, delay=0.3, pure=False) for i in range(8)]
    x = client.submit(inc, block[-1])
    y = client.submit(inc, x)
    client.cancel([x])
    assert x.cancelled() and x.status == "cancelled"
    for future in (x, y):
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()
    for future in block:
        future.cancel()


def test_retry(client):
    attempts = []

    def flaky():
        if len(get_worker().__dict__.setdefault("attempts", [])) < 1:
            get_worker().attempts.append(1)
            raise OSError("try again")
        return 5

    x = client.submit(flaky, pure=False)
    y = client.submit(inc, x)
    with pytest.raises(OSError, match="try again"):
        y.result()
    assert x.status == "error"
    y.retry()
    assert y.result() == 6 and x.result() == 5
    assert not attempts


def test_retries(client):
    def flaky():
        count = get_worker().__dict__.setdefault("flaky_count", 0)
        get_worker().flaky_count = count + 1
        if count < 2:
            raise OSError(f"attempt {count}")
        return count

    assert client.submit(flaky, retries=3, pure=False).result() == 2
    del client  # the annotation does the same


def test_annotate(client):
    def always():
        get_worker().always_count = get_worker().__dict__.get("always_count", 0) + 1
        raise OSError("always")

    with graticule.annotate(retries=2, priority=5):
        x = client.submit(always, pure=False)
    with pytest.raises(OSError):
        x.result()
    assert client.submit(lambda: get_worker().always_count).result() == 3
    with pytest.raises(ValueError, match="annotate"), graticule.annotate(colour="red"):
        pass


def test_resources_and_workers(client):
    (name,) = client.nthreads()
    assert client.submit(inc, 1, workers=name, pure=False).result() == 2
    assert client.submit(inc, 1, workers=["elsewhere"], allow_other_workers=True, pure=False).result() == 2
    x = client.submit(inc, 1, resources={"GPU": 1}, pure=False)
    with pytest.raises(TimeoutError):
        x.result(timeout=0.2)
    x.cancel()
    with pytest.raises(ValueError, match="whole numbers"):
        client.submit(inc, 1, resources={"GPU": 0.5})


def test_priority():
    with Client(threads_per_worker=1, set_as_default=False) as client:
        hold = client.submit(slow, 0, delay=0.3)

        def note(x):
            time.sleep(0.002)
            get_worker().__dict__.setdefault("order", []).append(x)

        low = client.map(note, range(300), priority=-10)
        high = client.submit(note, "high", priority=10)
        wait([hold, *low, high])
        # What a worker has at hand already it runs first.
        assert client.submit(lambda: get_worker().order).result().index("high") < 150


def test_asynchronous():
    async def f():
        async with Client(asynchronous=True, set_as_default=False) as client:
            future = client.submit(inc, 10)
            assert await future == 11
            assert await future.result() == 11
            assert await client.gather(client.map(inc, range(3))) == [1, 2, 3]
            x = await client.scatter(5)
            assert await client.submit(inc, x) == 6
            done = [await future async for future in as_completed(client.map(inc, range(3)))]
            assert sorted(done) == [1, 2, 3]
            bad = client.submit(div, 1, 0)
            with pytest.raises(ZeroDivisionError):
                await bad
            assert isinstance(await bad.exception(), ZeroDivisionError)
            await wait([future])
            return await client.nthreads()

    assert asyncio.run(f())

    async def g():
        client = await Client(asynchronous=True, set_as_default=False)
        assert await client.submit(inc, 1) == 2
        await client.close()

    asyncio.run(g())


# What is promised beyond.


def test_equal_calls_are_one(client):
    def count(x):
        get_worker().count = get_worker().__dict__.get("count", 0) + 1
        return x

    first = client.submit(count, 1)
    assert client.submit(count, 1) == first
    wait(first)
    assert client.submit(count, 1, pure=False) != first
    assert client.submit(count, 2) != first


def test_a_function_that_is_defined_anew_is_another_one(client):
    scope = {}
    exec("def f(x): return x + offset\noffset = 1", scope)
    first = client.submit(scope["f"], 1)
    assert first.result() == 2
    scope["offset"] = 10
    assert client.submit(scope["f"], 1).result() == 11
    exec("def f(x): return x - offset", scope)
    assert client.submit(scope["f"], 1).result() == -9

    def make(n):
        return lambda x: x * n

    assert client.submit(make(2), 5).result() == 10
    assert client.submit(make(3), 5).result() == 15
    table = [1]

    def look():
        return list(table)

    assert client.submit(look).result() == [1]
    table.append(2)
    assert client.submit(look).result() == [1, 2]


def test_arrays_are_lent_without_a_copy_and_read_only(client):
    x = np.arange(100_000.0)
    future = client.scatter(x)

    def look(a):
        return a.flags.writeable, a.__array_interface__["data"][0]

    assert client.submit(look, future).result() == (False, x.__array_interface__["data"][0])

    def write(a):
        a[0] = 1

    with pytest.raises(ValueError, match="read-only"):
        client.submit(write, future).result()
    back = future.result()
    back[0] = 7
    assert future.result()[0] == 0


@pytest.mark.parametrize("dtype", ["f8", ">f4", "u1", "bool", "c16", "M8[ns]", "O", "U5", [("a", "i4"), ("b", "f8")]])
@pytest.mark.parametrize("shape", [(), (0,), (3, 4), (300, 400)])
def test_arrays_arrive_as_they_are(client, dtype, shape):
    x = np.zeros(shape, dtype)
    if x.dtype.kind in "fucb" and x.size:
        x = np.arange(x.size).reshape(shape).astype(dtype)
    for sent in (x, np.asfortranarray(x), x[::-1] if x.ndim else x):
        made = client.submit(lambda a: a, sent, pure=False).result()
        assert type(made) is np.ndarray or not shape
        # Pickle itself gives native order for views that are not contiguous.
        assert made.dtype == pickle.loads(pickle.dumps(sent, 5)).dtype and made.shape == sent.shape
        np.testing.assert_array_equal(made, sent)


def test_subclasses_and_dtypes_with_metadata_arrive_as_they_are(client):
    masked = np.ma.masked_array(np.arange(50_000.0), np.arange(50_000) % 2 == 0)
    assert type(client.submit(lambda a: a, masked).result()) is np.ma.MaskedArray
    named = np.zeros(50_000, np.dtype("f8", metadata={"a": 1}))
    assert client.submit(lambda a: a, named).result().dtype.metadata == {"a": 1}


def test_results_are_released_with_their_futures(client):
    def held():
        return client._cluster.info()["workers"][0]["memory"]

    x = client.submit(np.ones, 20_000_000, pure=False)
    wait(x)
    until(lambda: held() >= 160_000_000)
    del x
    until(lambda: held() < 160_000_000)


def test_an_intermediate_result_is_released_when_nobody_needs_it(client):
    def big(n):
        return np.ones(n)

    x = client.submit(big, 3_000_000, pure=False)
    y = client.submit(np.sum, x)
    del x
    assert y.result() == 3_000_000
    until(lambda: client._cluster.info()["workers"][0]["memory"] < 24_000_000)


def test_coroutine_functions(client):
    async def f(x):
        await asyncio.sleep(0.01)
        return x + 1

    assert client.submit(f, 1).result() == 2


# What goes wrong.


class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.b = b


def test_an_exception_arrives_with_its_traceback_and_causes(client):
    def inner(x):
        raise KeyError(x)

    def outer(x):
        try:
            inner(x)
        except KeyError as error:
            raise Odd("an odd thing", x) from error

    x = client.submit(outer, 3)
    error = x.exception()
    assert type(error) is Odd and error.b == 3
    assert type(error.__cause__) is KeyError
    assert error.__notes__ == [f"on worker {name}" for name in client.nthreads()]
    with pytest.raises(Odd) as caught:
        x.result()
    names = [frame.name for frame in caught.traceback]
    assert names[-1] == "outer"
    assert not any("graticule" in str(frame.path) for frame in caught.traceback[-1:])
    depth = len(caught.traceback)
    with pytest.raises(Odd) as again:
        x.result()
    assert len(again.traceback) == depth
    with pytest.raises(Odd):
        client.submit(inc, x).result()
    assert x.traceback() is not None and x.status == "error"


def test_an_exception_that_cannot_be_pickled(client):
    def f():
        error = ValueError("has a lock")
        error.lock = threading.Lock()
        raise error

    with pytest.raises(ValueError, match="has a lock"):
        client.submit(f).result()


def test_exceptions_as_they_travel_between_processes():
    from graticule import _errors_far

    def far(error):
        try:
            raise error
        except BaseException as raised:
            return _errors_far.read(_errors_far.write_down(raised).encode())

    locked = ValueError("has a lock")
    locked.lock = threading.Lock()
    read = far(locked)
    assert isinstance(read, graticule.TaskFailed) and "ValueError: has a lock" in str(read) and "pickled" in str(read)
    # Its class takes other arguments than it tells.
    read = far(Odd("an odd thing", 2))
    assert type(read) is Odd and str(read) == "an odd thing" and read.b == 2
    try:
        try:
            raise KeyError("inner")
        except KeyError as cause:
            raise RuntimeError("outer") from cause
    except RuntimeError as raised:
        raised.add_note("a note")
        read = _errors_far.read(_errors_far.write_down(raised).encode())
    assert type(read) is RuntimeError and type(read.__cause__) is KeyError and read.__suppress_context__
    assert read.__notes__ == ["a note"]
    frame = read.__traceback__.tb_frame
    assert frame.f_code.co_filename == __file__


def test_what_cannot_be_pickled_is_told_before_anything_is_sent(client):
    lock = threading.Lock()
    with pytest.raises(TypeError, match="function look cannot be pickled"):

        def look():
            return lock

        client.submit(look)
    with pytest.raises(TypeError, match="arguments cannot be pickled"):
        client.submit(inc, lock)
    with pytest.raises(TypeError, match="lock"):
        client.submit(threading.Lock).result()
    with pytest.raises(TypeError, match="function"):
        client.submit(1, 2)


def test_a_module_that_is_missing_is_named_with_the_fix(client):
    def f():
        import not_there_at_all

        return not_there_at_all

    with pytest.raises(ModuleNotFoundError, match="PipInstall.*not_there_at_all") as caught:
        client.submit(f).result()
    assert caught.value.name == "not_there_at_all"


def test_a_closed_client_says_so():
    client = Client(set_as_default=False)
    future = client.submit(slow, 1, delay=5)
    client.close()
    with pytest.raises(graticule.ClusterError, match="closed"):
        client.submit(inc, 1)
    started = time.monotonic()
    with pytest.raises(graticule.GraticuleError):
        future.result(timeout=10)
    assert time.monotonic() - started < 5


def test_a_future_on_its_own_is_not_pickled(client):
    with pytest.raises(TypeError, match="argument of submit"):
        pickle.dumps(client.submit(inc, 1))


def test_a_forked_process_is_told_to_spawn(client):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            client.submit(inc, 1).result(timeout=5)
        except BaseException as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    assert b"spawn" in os.read(reading, 1000)
    os.close(reading)


def test_actors_are_told_to_be_missing(client):
    with pytest.raises(NotImplementedError, match="actors"):
        client.submit(dict, actor=True)


def test_the_interpreter_ends_with_calls_under_way():
    done = run(
        """
        import time
        from graticule import Client
        client = Client()
        futures = client.map(time.sleep, [0.5] * 50, pure=False)
        futures[0].add_done_callback(print)
        print("ends")
        """
    )
    assert done.returncode == 0 and done.stdout.startswith("ends"), done.stderr


def test_an_interrupt_ends_the_wait_and_keeps_the_client():
    done = run(
        """
        import _thread, signal, threading, time
        from graticule import Client

        # Whoever starts the tests in the background may have signals ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        client = Client()
        threading.Timer(0.3, _thread.interrupt_main).start()
        try:
            client.submit(time.sleep, 3).result()
        except KeyboardInterrupt:
            print(client.submit(sum, [1, 2]).result())
        """
    )
    assert done.stdout.strip() == "3", done.stderr


# Files and plugins.


def test_upload_file(client, tmp_path):
    path = tmp_path / "uploaded_module.py"
    path.write_text("def value():\n    return 123\n")
    client.upload_file(path)

    def f():
        import uploaded_module

        return uploaded_module.value()

    assert client.submit(f, pure=False).result() == 123
    path.write_text("def value():\n    return 456\n")
    client.upload_file(str(path))
    assert client.submit(f, pure=False).result() == 456


def test_register_plugin(client):
    class Logger(graticule.WorkerPlugin):
        def setup(self, worker):
            worker.was_set_up = worker.__dict__.get("was_set_up", 0) + 1

        def teardown(self, worker):
            worker.was_set_up = -1

    client.register_plugin(Logger(), name="logger")
    assert client.submit(lambda: get_worker().was_set_up, pure=False).result() == 1
    assert client.submit(lambda: get_worker().was_set_up + 0, pure=False).result() == 1
    client.unregister_worker_plugin("logger")
    assert client.submit(lambda: get_worker().was_set_up, pure=False).result() == -1

    class Broken(graticule.WorkerPlugin):
        def setup(self, worker):
            raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        client.register_plugin(Broken())
    assert client.submit(inc, 1, pure=False).result() == 2


def test_restart(client):
    x = client.submit(slow, 1, delay=0.3, pure=False)
    client.restart()
    assert x.status == "cancelled"
    assert client.submit(inc, 1, pure=False).result() == 2


# Calls within calls.


def fib(n):
    if n < 2:
        return n
    client = get_client()
    a = client.submit(fib, n - 1)
    b = client.submit(fib, n - 2)
    a, b = client.gather([a, b])
    return a + b


def test_tasks_launch_tasks(client):
    def f():
        client = get_client()
        futures = client.map(lambda x: x + 1, range(10))  # spawn many tasks
        results = client.gather(futures)
        return sum(results)

    assert client.submit(f).result() == 55
    assert client.submit(fib, 10).result(timeout=30) == 55


def test_calls_that_wait_for_each_other_leave_no_slot_waiting(client):
    # Each slot waits for what the other runs in its place, in one round of about thirty if waits end by tasks alone.
    for number in range(300):
        assert client.submit(fib, 10).result(timeout=30) == 55
        assert client.submit(inc, number, pure=False).result(timeout=30) == number + 1


def test_a_call_within_a_call_runs_once_wherever_it_runs(client, tmp_path):
    def note(path):
        with open(path, "a") as file:
            file.write("x")

    def f(path):
        inner = get_client()
        inner.gather([inner.submit(note, path, pure=False) for _ in range(5)])

    path = str(tmp_path / "notes")
    for _ in range(100):
        client.gather([client.submit(f, path, pure=False) for _ in range(2)])
    # What is left over of them has ended when these have.
    client.gather(client.map(inc, range(50), pure=False))
    assert len(open(path).read()) == 1000


def test_tasks_launch_tasks_however_they_wait(client):
    def f(n):
        client = get_client()
        first = client.map(inc, range(n), pure=False)
        second = client.map(inc, first, pure=False)
        done, not_done = wait(second)
        assert not not_done and len(done) == n
        total = sum(future.result() for future in as_completed(second))
        with graticule.worker_client() as client:
            bad = client.submit(div, 1, 0)
            assert isinstance(bad.exception(), ZeroDivisionError)
            return total + client.submit(inc, second[0]).result()

    # More of them than slots, each of which waits.
    futures = client.map(f, [5] * 8, pure=False)
    assert [future.result(timeout=30) for future in futures] == [23] * 8


def test_a_function_may_run_for_a_limited_time(client):
    def endless():
        while True:
            time.sleep(0.01)

    with graticule.annotate(timeout=0.2):
        x = client.submit(endless)
        assert client.submit(inc, 1).result() == 2
    with pytest.raises(TimeoutError, match="did not end within 0.2 s"):
        x.result(timeout=20)
    assert client.submit(inc, 2).result() == 3


def test_time_that_ends_within_a_finalizer_ends_all_the_same(client, monkeypatch):
    # The interruption that a finalizer swallows is no news.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    class Slow:
        def __del__(self):
            time.sleep(0.5)

    def endless():
        Slow()
        while True:
            time.sleep(0.01)

    with graticule.annotate(timeout=0.2):
        x = client.submit(endless)
    with pytest.raises(TimeoutError, match="did not end within 0.2 s"):
        x.result(timeout=20)
