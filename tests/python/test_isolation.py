"""Functions in child processes of their worker: what one of them does to its process happens to nothing else."""

import ctypes
import os
import signal
import time

import numpy as np
import pytest

import graticule
import graticule.array as ga
from graticule import Client, LocalCluster, get_client, get_worker, wait
from graticule.errors import TaskFailed

CRASHES = {
    "exit code 3": lambda: os._exit(3),
    "ended by itself": lambda: os._exit(0),
    "signal 11 .segmentation fault": lambda: ctypes.string_at(0),
    "signal 9": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def inc(x):
    return x + 1


def fib(n):
    if n < 2:
        return n
    a, b = get_client().map(fib, [n - 1, n - 2], pure=False)
    return a.result() + b.result()


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=1, threads_per_worker=2, memory_limit="1 GiB") as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.parametrize("how", CRASHES)
def test_a_crash_costs_its_task_alone(client, how):
    kept = client.scatter(np.arange(1000))
    x = client.persist(ga.ones((100, 100), chunks=50))
    wait(client.map(inc, range(4), pure=False))
    before = client.info()
    crashing = client.submit(CRASHES[how], pure=False)
    innocent = client.map(lambda x: time.sleep(0.2) or x, range(6), pure=False)
    with pytest.raises(TaskFailed, match=how):
        crashing.result(timeout=60)
    assert client.gather(innocent) == list(range(6))
    after = client.info()
    # The worker is the one that it was, with all that it held.
    assert [worker["name"] for worker in after["workers"]] == [worker["name"] for worker in before["workers"]]
    assert after["tasks_remade"] == before["tasks_remade"]
    assert client.submit(np.sum, kept).result() == 499500 and client.compute(x.sum()) == 10_000


def test_a_crash_is_tried_again_if_retries_say_so(client, tmp_path):
    def crashes_once(path):
        if not os.path.exists(path):
            open(path, "w").close()
            os._exit(7)
        return "well"

    assert client.submit(crashes_once, str(tmp_path / "tried"), retries=1).result(timeout=60) == "well"


def test_a_function_that_does_not_stop_in_its_time_ends_with_its_process(client):
    before = client.nthreads()
    with graticule.annotate(timeout=0.2):
        stubborn = client.submit(time.sleep, 1000)
    with pytest.raises(TaskFailed, match="did not stop in its time"):
        stubborn.result(timeout=60)
    assert client.nthreads() == before
    assert client.submit(inc, 1, pure=False).result(timeout=60) == 2


def test_a_function_that_takes_all_memory_ends_and_is_told_why(client):
    def fills():
        return sum(np.ones(1 << 24).sum() for _ in range(3)) + len([np.ones(1 << 24) for _ in range(16)])

    with pytest.raises(TaskFailed, match=r"ended since it took \d+ MiB.*were given 1024 MiB; use smaller chunks"):
        client.submit(fills).result(timeout=60)
    assert client.submit(inc, 1, pure=False).result(timeout=60) == 2


def test_functions_that_need_too_much_memory_together_run_one_after_the_other(client):
    def needs_much(number):
        held = np.ones(90 << 20)
        time.sleep(0.4)
        return number + int(held[-1])

    def needs_little(number):
        time.sleep(0.05)
        return number

    heavy = client.map(needs_much, range(4))
    light = client.map(needs_little, range(10))
    assert client.gather(heavy) == [1, 2, 3, 4] and client.gather(light) == list(range(10))
    began = time.monotonic()
    assert client.gather(client.map(needs_much, range(10, 12))) == [11, 12]
    assert time.monotonic() - began > 0.8


def test_a_process_that_ends_between_two_calls_is_replaced(client):
    pids = {pid for pid in client.gather(client.map(lambda _: time.sleep(0.1) or os.getpid(), range(4), pure=False))}
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    again = set(client.gather(client.map(lambda _: time.sleep(0.1) or os.getpid(), range(4), pure=False)))
    assert len(again) == 2 and not again & pids


def test_calls_of_two_slots_do_not_wait_for_each_others_interpreter(client):
    def holds_the_lock(seconds):
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))
        return os.getpid()

    client.gather(client.map(holds_the_lock, [0.01] * 4, pure=False))
    began = time.monotonic()
    pids = client.gather(client.map(holds_the_lock, [0.9] * 2, pure=False))
    assert len(set(pids)) == 2 and time.monotonic() - began < 1.7


def test_a_process_keeps_what_functions_leave_in_it(client):
    def counts():
        worker = get_worker()
        worker.calls = getattr(worker, "calls", 0) + 1
        return os.getpid(), worker.name, worker.calls

    told = [client.submit(counts, pure=False).result() for _ in range(10)]
    assert {name for _, name, _ in told} == set(client.nthreads())
    for process in {pid for pid, _, _ in told}:
        calls = [calls for pid, _, calls in told if pid == process]
        assert calls == list(range(1, len(calls) + 1))


def test_arrays_of_all_sizes_and_kinds_come_and_go(client):
    def back(array):
        assert array.dtype.kind not in "biuf" or not array.flags.writeable
        return array

    random = np.random.default_rng(1)
    arrays = [random.random(size) for size in (0, 1, 1000, 8192, 8193, 131_072, 131_073, 1_000_000)]
    arrays += [np.asfortranarray(random.random((700, 800))), random.random((3, 500, 1000))[:, ::2], np.array(3.5)]
    arrays += [np.array(["a", None], object), np.zeros(3, [("a", "f4"), ("b", "i8")]), np.array(["x", "longer"])]
    arrays += [np.arange(400_000).astype("M8[s]"), random.random(300_000).astype("f2"), np.ones(1 << 21, bool)]
    for array in arrays:
        there = client.submit(lambda a: a.copy(order="K"), array, pure=False)
        came = client.submit(back, there, pure=False).result()
        assert came.dtype == array.dtype and came.shape == array.shape
        assert (came == array).all()


def test_large_arrays_of_functions_lie_in_memory_that_can_be_handed_over(client):
    def mapping_of(array):
        address = array.__array_interface__["data"][0]
        with open("/proc/self/maps") as maps:
            for line in maps:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if start <= address < end:
                    return line

    def make():
        array = np.empty(1 << 20) + 1
        return array, mapping_of(array), mapping_of(array[:10].copy())

    for _ in range(3):
        _, large, small = client.submit(make, pure=False).result()
        assert "memfd:graticule" in large and "memfd:graticule" not in small
    # What a function is lent is its worker's.
    there = client.submit(lambda: np.ones(1 << 20))
    assert "memfd:graticule" in client.submit(mapping_of, there).result()


def test_memory_of_results_is_used_again_only_when_nobody_has_them(client):
    def make(number):
        return np.full(1 << 18, number, "i8")

    kept = {}
    for number in range(120):
        future = client.submit(make, number)
        if number % 3 == 0:
            kept[number] = future
        wait([future])
        if number % 10 == 9:
            for of, future in kept.items():
                assert client.submit(lambda a, of: bool((a == of).all()), future, of, pure=False).result(), of
        if len(kept) > 20:
            del kept[next(iter(kept))]
    for of, future in kept.items():
        assert (future.result() == of).all()


def test_what_a_function_keeps_and_gives_again_stays_as_it_is(client):
    def same():
        worker = get_worker()
        if not hasattr(worker, "array"):
            worker.array = np.arange(1 << 18)
        return worker.array

    for _ in range(20):
        futures = [client.submit(same, pure=False) for _ in range(4)]
        sums = client.gather([client.submit(np.sum, future, pure=False) for future in futures])
        assert set(sums) == {(1 << 18) * ((1 << 18) - 1) // 2}
        futures.pop()


def test_what_a_function_changes_after_it_gave_it_stays_as_it_was_given(client):
    def whole(add):
        worker = get_worker()
        worker.sums = getattr(worker, "sums", None)
        if worker.sums is None:
            worker.sums = np.empty(1 << 18)
            worker.sums[:] = 0
        worker.sums += add
        return worker.sums

    def part(add):
        return whole(add)[:-1]

    def block(elements):
        worker = get_worker()
        if not hasattr(worker, "block"):
            worker.block = np.empty(elements.shape)
        worker.block[:] = elements
        return worker.block

    for function in (whole, part):
        given = [client.submit(function, 1, pure=False) for _ in range(6)]
        wait(given)
        before = [client.submit(lambda a: (float(a.min()), float(a.max())), future, pure=False).result() for future in given]
        assert all(low == high for low, high in before) and sum(low for low, _ in before) >= 12
        wait([client.submit(function, 100, pure=False) for _ in range(4)])
        after = [client.submit(lambda a: (float(a.min()), float(a.max())), future, pure=False).result() for future in given]
        assert after == before
    x = ga.arange(6 << 18, chunks=1 << 18, dtype="f8")
    assert (client.compute(x.map_blocks(block, dtype="f8")) == np.arange(6 << 18)).all()


def test_large_blocks_of_arrays_come_and_go(client):
    x = ga.arange(3 << 20, chunks=1 << 20, dtype="f8").map_blocks(lambda b: b * 2, dtype="f8")
    y = x.map_overlap(lambda b: b + 1, depth=2, boundary="reflect", dtype="f8")
    expected = np.arange(3 << 20, dtype="f8") * 2 + 1
    assert (client.compute(y) == expected).all()


def test_exceptions_of_blocks_come_as_they_were_raised(client):
    class Odd(ValueError):
        pass

    def fails(block):
        try:
            return block[1 << 30]
        except IndexError as error:
            raise Odd("no such element") from error

    with pytest.raises(ValueError, match="no such element") as caught:
        client.compute(ga.ones(4, chunks=2).map_blocks(fails, dtype="f8").sum())
    assert type(caught.value).__name__ == "Odd" and isinstance(caught.value.__cause__, IndexError)
    assert any("on block" in note for note in caught.value.__notes__)


def test_a_large_function_is_sent_once(client):
    large = np.random.default_rng(2).random(1 << 19)

    def uses(i):
        return float(large[i])

    assert client.gather(client.map(uses, range(30))) == large[:30].tolist()


def test_calls_within_calls_run_in_several_processes(client):
    assert [client.submit(fib, 8, pure=False).result(timeout=60) for _ in range(3)] == [21] * 3
    futures = [client.submit(fib, 6, pure=False) for _ in range(6)]
    assert client.gather(futures) == [8] * 6


def test_a_call_that_waits_for_another_one_and_crashes_takes_none_with_it(client):
    def waits_and_crashes():
        inner = get_client().submit(inc, 10, pure=False)
        inner.result()
        os._exit(9)

    for _ in range(3):
        with pytest.raises(TaskFailed, match="exit code 9"):
            client.submit(waits_and_crashes, pure=False).result(timeout=60)
    assert client.submit(fib, 5, pure=False).result(timeout=60) == 5


def test_without_isolation_functions_run_in_the_worker():
    with LocalCluster(n_workers=1, threads_per_worker=2, memory_limit="512 MiB", isolate=False) as cluster, Client(cluster) as client:
        pids = set(client.gather(client.map(lambda _: time.sleep(0.05) or os.getpid(), range(6))))
        assert len(pids) == 1
        x = ga.ones(8, chunks=4).map_blocks(lambda b: b + os.getpid() * 0 + 1, dtype="f8")
        assert x.sum().compute() == 16
        with pytest.raises(ZeroDivisionError):
            ga.ones(8, chunks=4).map_blocks(lambda b: 1 / 0, dtype="f8").compute()


def test_processes_end_with_their_worker():
    with LocalCluster(n_workers=1, threads_per_worker=2, memory_limit="512 MiB") as cluster, Client(cluster) as client:
        pids = set(client.gather(client.map(lambda _: time.sleep(0.1) or os.getpid(), range(4))))
        busy = client.submit(time.sleep, 1000)
        time.sleep(0.3)
        del busy
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.05)
