"""Clusters of processes: functions run in them, and what a crash, a missing module or a lost scheduler costs."""

import ctypes
import gc
import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
import weakref

import numpy as np
import pytest
import xarray as xr

import graticule
import graticule.array as ga
from graticule import Client, LocalCluster, get_client, get_worker, wait


def inc(x):
    return x + 1


def div(x, y):
    return x / y


def fib(n):
    if n < 2:
        return n
    a, b = get_client().map(fib, [n - 1, n - 2])
    return a.result() + b.result()


def until(holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def run(program, **kwargs):
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **kwargs)


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="1 GiB") as cluster:
        yield cluster


@pytest.fixture
def far(cluster):
    with Client(cluster, set_as_default=False) as client:
        yield client


def test_a_closed_client_leaves_nothing_behind_though_its_results_are_held(cluster, far):
    def held():
        return sum(worker["memory"] for worker in far.info()["workers"])

    before = held()
    with Client(cluster, set_as_default=False) as client:
        kept = client.persist(ga.ones((1 << 22,), chunks=1 << 20))
        future = client.submit(np.zeros, 1 << 20)
        wait([future])
        until(lambda: held() > before + (32 << 20))
    until(lambda: held() <= before)
    assert kept.shape == (1 << 22,) and future.done()


def test_functions_run_in_other_processes(far):
    pids = far.run(os.getpid)
    assert len(set(pids.values())) == 2 and os.getpid() not in pids.values()
    assert far.gather(far.map(inc, range(100))) == list(range(1, 101))
    x = far.submit(inc, 1)
    assert far.submit(sum, [x, x]).result() == 4
    with Client(far.cluster.scheduler_address, set_as_default=False) as other:
        assert other.submit(inc, 5).result() == 6


def test_arrays_travel(far):
    x = np.arange(1_000_000.0).reshape(1000, 1000)
    future = far.scatter(x, broadcast=True)
    assert far.submit(np.sum, future).result() == x.sum()
    doubled = far.submit(np.multiply, future, 2)
    np.testing.assert_array_equal(doubled.result(), 2 * x)
    wait(future)
    assert len(far.who_has([future])[future.key]) == 2

    def look(a):
        return a.flags.writeable, type(a) is np.ndarray

    assert far.submit(look, doubled).result() == (False, True)
    pair = far.submit(lambda a: {"whole": a, "row": a[0]}, future).result()
    np.testing.assert_array_equal(pair["row"], x[0])


def test_large_arrays_of_the_client_are_in_expressions(cluster):
    with Client(cluster) as client:
        x = np.arange(12_000_000.0).reshape(60, 200, 1000)
        want = x.mean(0)
        cube = xr.DataArray(x, dims=("time", "y", "x")).chunk(time=7, y=50)
        lazy = cube.data
        assert lazy.chunks == ((7,) * 8 + (4,), (50,) * 4, (1000,))
        gone = weakref.ref(x)
        del x, cube
        gc.collect()
        # The workers have it.
        until(lambda: gone() is None)
        np.testing.assert_allclose(lazy.mean(0).compute(), want)
        np.testing.assert_array_equal(lazy[3:5, ::7, -1].compute(), lazy.compute()[3:5, ::7, -1])

        def held():
            return sum(worker["memory"] for worker in client.info()["workers"])

        # What workers hold is told some time later.
        until(lambda: held() >= lazy.nbytes)
        bytes_held = lazy.nbytes
        del lazy
        until(lambda: held() < bytes_held / 2)


def test_more_arrays_than_a_worker_has_room_for_at_a_time_are_scattered_without_waiting(far):
    arrays = [np.full(1 << 17, float(number)) for number in range(32)]
    began = time.monotonic()
    futures = far.scatter(arrays, hash=False)
    for array, got in zip(arrays, far.gather(futures)):
        np.testing.assert_array_equal(got, array)
    # It had been ten seconds for each eight of them.
    assert time.monotonic() - began < 8


def test_an_exception_of_another_process(far):
    class Odd(Exception):
        pass

    def inner(x):
        raise KeyError(x)

    def outer(x):
        try:
            inner(x)
        except KeyError as error:
            raise Odd("an odd thing") from error

    x = far.submit(outer, 3)
    with pytest.raises(Exception, match="an odd thing") as caught:
        x.result()
    assert type(caught.value).__name__ == "Odd" and type(caught.value.__cause__) is KeyError
    assert caught.traceback[-1].name == "outer"
    assert str(caught.traceback[-1].path).endswith("test_cluster.py")
    assert any("worker" in note for note in caught.value.__notes__)
    with pytest.raises(ZeroDivisionError):
        far.submit(inc, far.submit(div, 1, 0)).result()


def test_an_exception_class_that_the_client_does_not_have(far, tmp_path):
    path = tmp_path / "only_there.py"
    path.write_text("class Odd(Exception):\n    pass\ndef fail():\n    raise Odd('an odd thing')\n")
    far.upload_file(path)

    def f():
        import only_there

        only_there.fail()

    with pytest.raises(graticule.TaskFailed, match=r"only_there.Odd: an odd thing[\s\S]*does not have its class"):
        far.submit(f).result()


def test_an_exception_that_cannot_be_pickled(far):
    def f():
        import threading

        error = ValueError("has a lock")
        error.lock = threading.Lock()
        raise error

    with pytest.raises(graticule.TaskFailed, match="ValueError: has a lock"):
        far.submit(f).result()


def test_a_module_of_the_client_alone(far, tmp_path):
    path = tmp_path / "only_here.py"
    path.write_text("def f(x):\n    return x + 100\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import only_here
    finally:
        sys.path.pop(0)
    with pytest.raises(ModuleNotFoundError, match="only_here.*worker.*upload_file") as caught:
        far.submit(only_here.f, 1).result()
    assert caught.value.name == "only_here"
    far.upload_file(path)
    assert far.submit(only_here.f, 1, pure=False).result() == 101


def test_tasks_launch_tasks(far):
    assert far.submit(fib, 8).result(timeout=60) == 21


@pytest.mark.parametrize(
    ("crash", "how"),
    [(lambda: os._exit(3), "exit code 3"), (lambda: ctypes.string_at(0), "signal 11.*segmentation")],
    ids=["exit", "segfault"],
)
def test_a_crash_costs_the_task_alone(far, crash, how):
    others = far.map(inc, range(1000), pure=False)
    crashing = far.submit(crash, pure=False)
    after = far.map(inc, others)
    assert sum(far.gather(after)) == sum(range(1000)) + 2000
    with pytest.raises(graticule.TaskFailed, match=how):
        crashing.result(timeout=60)
    assert far.submit(inc, 1, pure=False).result(timeout=30) == 2


def test_plugins_are_there_on_workers_that_come_later(far):
    class Mark(graticule.WorkerPlugin):
        def setup(self, worker):
            worker.mark = worker.name

    far.register_plugin(Mark())
    before = set(far.nthreads())
    far.cluster.scale(3)
    far.wait_for_workers(3, timeout=60)
    (new,) = set(far.nthreads()) - before
    assert far.submit(lambda: get_worker().mark, workers=new).result(timeout=30) == new
    far.cluster.scale(2)
    until(lambda: len(far.nthreads()) == 2)


def test_what_is_published_outlives_its_client(cluster, far):
    elements = np.arange(24.0).reshape(4, 6)
    with Client(cluster, set_as_default=False) as publisher:
        lazy = ga.asarray(elements, chunks=(2, 3)) * 2
        kept = publisher.persist(xr.Dataset({"t": (("y", "x"), lazy), "small": ("y", np.arange(4))}, attrs={"units": "K"}))
        publisher.publish_dataset(temperatures=kept)
        publisher.publish_dataset(lazy + 1, name="never persisted")
        publisher.publish_dataset({"deep": [publisher.submit(inc, 1)]}, name="futures")
        publisher.publish_dataset(42, name="a number")
        with pytest.raises(TypeError, match="cannot be pickled"):
            publisher.publish_dataset((i for i in []), name="a generator")
        del kept
    assert far.list_datasets() == ("a number", "futures", "never persisted", "temperatures")
    found = far.get_dataset("temperatures")
    assert isinstance(found.t.data, ga.Array) and found.attrs == {"units": "K"}
    before = far.info()
    assert far.compute(found.t.data).tolist() == (elements * 2).tolist()
    # Four chunks were handed over, and none was made again.
    after = far.info()
    assert after["tasks_finished"] - before["tasks_finished"] <= 4
    assert after["tasks_remade"] == before["tasks_remade"]
    assert far.compute((found.t + 1).sum().data) == elements.sum() * 2 + 24
    assert far.compute(far.get_dataset("never persisted")).tolist() == (elements * 2 + 1).tolist()
    assert far.get_dataset("futures")["deep"][0].result() == 2 and far.datasets["a number"] == 42
    for name in far.list_datasets():
        far.unpublish_dataset(name)
    with pytest.raises(graticule.errors.ClusterError, match="no result is kept"):
        far.compute(found.t.data)


def test_what_is_published_while_it_is_made_is_made_without_its_client(cluster, far):
    def slow(block):
        time.sleep(0.5)
        return block + 1

    with Client(cluster, set_as_default=False) as publisher:
        publisher.publish_dataset(ga.ones(8, chunks=2).map_blocks(slow, dtype="f8"), name="slow")
    assert far.compute(far.get_dataset("slow")).tolist() == [2.0] * 8
    far.unpublish_dataset("slow")


@pytest.mark.parametrize("embedded", [True, False])
def test_a_dashboard_answers_to_the_names_that_a_proxy_passes_on(monkeypatch, embedded):
    monkeypatch.setenv("GRATICULE_DASHBOARD_HOSTS", "hub.example.org, other.example.org")
    options = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": "512 MiB", "dashboard_address": "127.0.0.1:0"}
    with Client(**options, set_as_default=False) if embedded else LocalCluster(**options) as started:
        link = started.dashboard_link
        answers = {}
        for host in ("hub.example.org", "other.example.org", "elsewhere.example.org"):
            asked = urllib.request.Request(f"{link}api/health", headers={"Host": host})
            try:
                answers[host] = urllib.request.urlopen(asked).status
            except urllib.error.HTTPError as error:
                answers[host] = error.code
    assert answers == {"hub.example.org": 200, "other.example.org": 200, "elsewhere.example.org": 403}


def test_restart(far):
    before = set(far.run(os.getpid).values())
    far.restart()
    assert not before & set(far.run(os.getpid).values())


def test_adapt():
    with LocalCluster(n_workers=0, threads_per_worker=1, memory_limit="512 MiB") as cluster, Client(cluster, set_as_default=False) as client:
        cluster.adapt(minimum=0, maximum=2)
        futures = client.map(lambda x: time.sleep(0.3) or x, range(20))
        assert client.gather(futures) == list(range(20))
        del futures
        until(lambda: not client.nthreads(), 60)


def test_a_client_with_processes_of_its_own():
    with Client(processes=True, n_workers=1, threads_per_worker=1, memory_limit="512 MiB", set_as_default=False) as client:
        assert client.submit(os.getpid).result() != os.getpid()
        cluster = client.cluster
    assert cluster.status == "closed"
    with pytest.raises(graticule.ClusterError, match="closed"):
        cluster.scale(1)


@pytest.fixture
def scheduler():
    """The address of a scheduler alone, which leaves the number of workers to others."""
    program = os.environ.get("GRATICULE_BIN", "")
    assert os.path.exists(program), "build the program, and name it: GRATICULE_BIN=target/debug/graticule"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([program, "scheduler", "--listen", address], **quiet)
    until(lambda: _listens(address))
    yield f"grpc://{address}"
    process.kill()
    process.wait(20)


def _listens(address):
    host, port = address.split(":")
    with socket.socket() as line:
        return line.connect_ex((host, int(port))) == 0


def test_another_minor_version_is_refused(scheduler):
    with Client(scheduler, set_as_default=False) as client:
        program = """
            import sys
            from graticule import _graticule
            _graticule.serve_worker(sys.argv[1], "127.0.0.1:0", "old", 1, 1 << 28, {}, None, True, None, "3.99")
        """
        worker = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), scheduler], stdin=subprocess.PIPE
        )
        try:
            client.wait_for_workers(1, timeout=60)
            until(lambda: _refused(client))
        finally:
            worker.stdin.close()
            worker.wait(20)


def _refused(client):
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        client.submit(inc, 1, pure=False).cancel()
    except graticule.VersionMismatch as error:
        assert minor in str(error) and "3.99" in str(error)
        return True
    return False


def test_a_dead_scheduler_is_told_within_seconds_and_the_interpreter_ends():
    done = run(
        """
        import time
        from graticule import Client, LocalCluster, GraticuleError
        cluster = LocalCluster(n_workers=1, threads_per_worker=1, memory_limit="512 MiB")
        client = Client(cluster)
        x = client.submit(time.sleep, 60)
        time.sleep(0.3)
        cluster._process.kill()
        begin = time.monotonic()
        try:
            x.result(timeout=60)
        except GraticuleError as error:
            print("told", type(error).__name__)
        assert time.monotonic() - begin < 30, time.monotonic() - begin
        """
    )
    assert done.returncode == 0 and done.stdout.startswith("told"), done.stdout + done.stderr


def test_a_function_that_does_not_stop_in_its_time_is_ended_with_its_process(far):
    with graticule.annotate(timeout=0.2):
        x = far.submit(time.sleep, 100)
    with pytest.raises(graticule.TaskFailed, match="did not stop in its time"):
        x.result(timeout=100)
