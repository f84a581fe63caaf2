"""Clients: what is the default, what arrives, and what happens when something goes wrong."""

import gc
import os
import socket
import subprocess
import sys
import textwrap
import time
import weakref

import numpy as np
import pytest
import xarray as xr

import graticule
import graticule.array as ga


def run(program, **kwargs):
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **kwargs)


def test_a_client_is_the_default_while_it_is_open(client):
    assert graticule.default_client() is client
    with graticule.Client() as inner:
        assert graticule.default_client() is inner
    assert graticule.default_client() is client


def test_a_closed_client_says_so():
    inner = graticule.Client(set_as_default=False)
    inner.close()
    inner.close()
    with pytest.raises(graticule.ClusterError, match="closed"):
        inner.compute(ga.ones(3))


def test_a_cluster_starts_within_300_ms(client):
    started = time.perf_counter()
    graticule.Client(set_as_default=False).close()
    assert time.perf_counter() - started < 0.3


def test_several_arrays_are_computed_in_one_plan(client):
    x = ga.arange(12, chunks=5)
    total, parts = client.compute(x.sum(), {"even": x[::2], "name": "x", "list": [x, 1]})
    assert total == 66
    np.testing.assert_array_equal(parts["even"], np.arange(0, 12, 2))
    assert parts["name"] == "x" and parts["list"][1] == 1


def test_numpys_arrays_live_until_what_is_kept_of_them_is_made(client):
    for lazy in (lambda a: ga.from_array(a, chunks=(6, 50, 100)), lambda a: xr.DataArray(a).chunk(dim_0=6, dim_1=50)):
        elements = np.random.default_rng(7).random((24, 100, 400))
        want, gone = elements.sum(), weakref.ref(elements)
        kept = lazy(elements).persist()
        del elements
        gc.collect()
        assert float(kept.sum()) == pytest.approx(want)
        deadline = time.monotonic() + 30
        while gone() is not None and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.01)
        assert gone() is None


def test_results_can_be_written(client):
    for chunks in (2, 8):
        made = ga.ones(8, chunks=chunks).compute()
        made[0] = 5
        assert made.sum() == 12


def test_persisted_arrays_live_as_long_as_what_is_made_of_them(client, executed):
    x = (ga.arange(1000, chunks=100) * 2).persist()
    total = x.sum()
    del x
    assert total.compute() == 999_000
    before = executed()
    y = (ga.arange(1000, chunks=100) * 2).persist()
    assert (y + 1).sum().compute() == 1_000_000
    made = executed() - before
    assert (y + 1).sum().compute() == 1_000_000
    assert executed() - before - made < made


def test_dependent_iterations_give_their_memory_back(client):
    x = ga.ones(1000, chunks=100)
    for _ in range(30):
        x = (x + 1).persist()
        assert float(x.mean()) > 1
    assert x.sum().compute() == 31_000


def test_blocks_stream_in_any_order(client):
    x = ga.arange(20, chunks=6) + 1
    made = np.zeros(20, int)
    for place, block in client.stream(x):
        made[place] = block
    np.testing.assert_array_equal(made, np.arange(20) + 1)


def test_an_exception_of_a_function_arrives_as_itself(client):
    class Odd(Exception):
        pass

    def fail(block):
        raise Odd("an odd block")

    with pytest.raises(Odd, match="an odd block") as caught:
        ga.map_blocks(fail, ga.ones(4, chunks=2), dtype=float).compute()
    assert any(frame.name == "fail" for frame in caught.traceback)
    assert any("block" in note for note in caught.value.__notes__)


def test_an_exception_is_not_tried_again(client, tmp_path):
    path = str(tmp_path / "calls")

    def fail(block):
        with open(path, "a") as file:
            file.write("x")
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        ga.map_blocks(fail, ga.ones(2, chunks=2), dtype=float).compute()
    with open(path) as file:
        assert file.read() == "x"


def test_what_a_function_gives_is_checked(client):
    x = ga.ones(4, chunks=2)
    with pytest.raises(TypeError, match="gave float32, float64 was declared"):
        ga.map_blocks(lambda block: block.astype("f4"), x, dtype="f8").compute()
    with pytest.raises(ValueError, match="shape"):
        ga.map_blocks(lambda block: block[:1], x, dtype="f8").compute()
    with pytest.raises(TypeError, match="declare the dtype"):
        ga.map_blocks(lambda block: block / {}, x)
    with pytest.raises(TypeError, match="pickled"):
        lock = __import__("threading").Lock()
        ga.map_blocks(lambda block: block if lock else block, x, dtype="f8")


def test_blocks_are_lent_read_only(client):
    def write(block):
        block[0] = 1
        return block

    with pytest.raises(ValueError, match="read-only"):
        ga.map_blocks(write, ga.ones(4, chunks=2), dtype=float).compute()


def test_a_function_on_the_cluster_cannot_wait_for_it(client):
    def nested(block):
        import graticule.array as ga

        return block + float(ga.ones(3).sum())

    with pytest.raises(graticule.ClusterError, match="cannot wait for the cluster"):
        ga.map_blocks(nested, ga.ones(4, chunks=2), dtype=float).compute()


def test_no_scheduler_is_an_error():
    with pytest.raises(graticule.ClusterError, match="no scheduler answers"):
        graticule.Client("grpc://127.0.0.1:1")
    with pytest.raises(graticule.ClusterError, match="grpc://host:port"):
        graticule.Client("somewhere")


def test_a_result_too_large_raises_before_anything_runs(client, executed):
    with pytest.raises(MemoryError, match="more than half"):
        ga.ones((10**6, 10**6), chunks=1000).compute()
    assert executed() == 0


def test_a_million_chunks_are_shown_at_once(client, executed):
    x = ga.ones((10**5, 10**5), chunks=100)
    started = time.perf_counter()
    for show in (repr, len, lambda x: x._repr_html_(), lambda x: x.dtype):
        show(x)
    assert time.perf_counter() - started < 0.2
    assert executed() == 0


def test_a_forked_process_is_told_to_spawn(client):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ga.ones(3).compute()
        except graticule.ClusterError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    assert b"spawn" in os.read(reading, 1000)
    os.close(reading)


def test_an_interrupt_cancels_the_work_and_keeps_the_client():
    done = run(
        """
        import _thread, signal, threading, time
        import graticule, graticule.array as ga

        # Whoever starts the tests in the background may have signals ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def slow(block):
            time.sleep(0.2)
            return block

        client = graticule.Client()
        x = ga.map_blocks(slow, ga.ones(200, chunks=1), dtype=float)
        threading.Timer(0.5, _thread.interrupt_main).start()
        started = time.perf_counter()
        try:
            x.compute()
        except KeyboardInterrupt:
            assert time.perf_counter() - started < 3
            print(ga.ones(3).sum().compute())
        """
    )
    assert done.stdout.strip() == "3.0", done.stderr


def test_the_interpreter_ends_with_work_under_way():
    done = run(
        """
        import time
        import graticule.array as ga

        def slow(block):
            time.sleep(0.5)
            return block

        kept = ga.map_blocks(slow, ga.ones(50, chunks=1), dtype=float).persist()
        print("ends")
        """
    )
    assert done.returncode == 0 and done.stdout.strip() == "ends", done.stderr


def test_the_dashboard_has_an_address():
    with graticule.Client(dashboard_address="127.0.0.1:0", set_as_default=False) as client:
        assert client.dashboard_link.startswith("http://127.0.0.1:")


@pytest.fixture
def address(tmp_path):
    """A scheduler and a worker as processes of their own."""
    program = os.environ.get("GRATICULE_BIN", "")
    assert os.path.exists(program), "build the program, and name it: GRATICULE_BIN=target/debug/graticule"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"grpc://127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([program, "scheduler", "--listen", f"127.0.0.1:{port}", "--dashboard", "127.0.0.1:0"], **quiet)
    worker = subprocess.Popen([program, "worker", "--scheduler", url], **quiet)
    yield url
    for process in (worker, scheduler):
        process.kill()
        process.wait(20)


def connect(url):
    for _ in range(100):
        try:
            return graticule.Client(url)
        except graticule.ClusterError:
            time.sleep(0.1)
    return graticule.Client(url)


def test_a_connected_client_computes_elsewhere(address):
    with connect(address) as client:
        x = ga.from_array(np.arange(200_000.0).reshape(400, 500), chunks=(100, 100))
        assert float((x + 1).sum()) == 200_000 * 199_999 / 2 + 200_000
        kept = (x * 2).persist()
        made = kept[:3].compute()
        made[0] = 0
        assert client.info()["tasks_finished"] > 0
        for dtype in (None, float):
            with pytest.raises(graticule.errors.Unsupported, match="not Python, and run no Python functions"):
                ga.map_blocks(lambda block: block, x, dtype=dtype).compute()


def test_what_another_client_keeps_is_not_taken_for_ones_own(client):
    with graticule.Client(set_as_default=False) as other:
        kept = other.persist(ga.ones(4, chunks=2))
        assert other.compute(kept).tolist() == [1.0] * 4
        with pytest.raises(graticule.InvalidValue, match="another|by the client that persisted it"):
            client.compute(kept + 1)
        with pytest.raises(graticule.InvalidValue, match="by the client that persisted it"):
            client.persist(kept + 1)


def test_labelled_arrays_are_computed_and_kept(client):
    lazy = ga.asarray(np.arange(6.0), chunks=2)
    data = xr.Dataset(
        {"t": ("x", lazy + 1), "u": ("x", np.arange(6))}, coords={"far": ("x", lazy * 2)}, attrs={"units": "K"}
    )
    for made in (client.compute(data), client.persist(data).compute()):
        xr.testing.assert_identical(made, data.compute())
        assert isinstance(made.t.data, np.ndarray)
    want = data.t.compute()
    before = client.info()["tasks_finished"]
    kept = client.persist([data.t])[0]
    assert isinstance(kept.data, ga.Array) and isinstance(kept.coords["far"].data, ga.Array)
    xr.testing.assert_identical(kept.compute(), want)
    assert client.info()["tasks_finished"] - before <= 15, "three chunks of three arrays are made once, of two handed over"


def test_what_is_kept_goes_with_its_last_name_without_the_collector(client):
    gc.disable()
    try:
        kept = client.persist(ga.ones((4, 4), chunks=2))
        held = weakref.ref(kept._job)
        client.publish_dataset(kept, name="a")
        client.unpublish_dataset("a")
        del kept
        assert held() is None
    finally:
        gc.enable()
