"""Many small calls in child processes: whatever one of them does costs that one alone, and each other one runs once, and in time."""

import collections
import ctypes
import os
import pathlib
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest

import graticule
import log_lines
from graticule import Client, LocalCluster, get_client, wait
from graticule.errors import Cancelled, TaskFailed
from log_lines import lines

SLOTS = 2


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=1, threads_per_worker=SLOTS, memory_limit="1 GiB", dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster, set_as_default=False) as client:
        # Both processes are there.
        client.gather(client.map(lambda _: time.sleep(0.1), range(2 * SLOTS), pure=False))
        yield client


class Notes:
    """What calls note of themselves in a file, whichever process runs them."""

    def __init__(self, path):
        self.path = str(path)
        pathlib.Path(path).touch()

    def note(self, what):
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        os.write(file, f"{what}\n".encode())
        os.close(file)

    def counts(self):
        with open(self.path) as file:
            return collections.Counter(int(line) for line in file)


@pytest.fixture
def notes(tmp_path):
    return Notes(tmp_path / "notes")


def outcomes(futures):
    """What became of each: its result, or the exception."""
    made = []
    for future in futures:
        try:
            made.append(future.result(timeout=60))
        except Exception as error:
            made.append(error)
    return made


def until(is_so, seconds=30):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


CRASHES = {
    "exit code 3": lambda: os._exit(3),
    "segmentation fault": lambda: ctypes.string_at(0),
    "signal 9": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


@pytest.mark.parametrize("seed", range(2))
def test_crashes_among_many_calls_cost_those_that_crash(client, notes, seed):
    count = 600
    random_numbers = random.Random(seed)
    crashing = {number: random_numbers.choice(list(CRASHES)) for number in random_numbers.sample(range(count), 8)}
    failing = set(random_numbers.sample(range(count), 8)) - set(crashing)
    crashes = CRASHES

    def call(number):
        notes.note(number)
        if number in crashing:
            crashes[crashing[number]]()
        if number in failing:
            raise KeyError(number)
        return number * 7

    made = outcomes(client.map(call, range(count), pure=False))
    for number, outcome in enumerate(made):
        if number in crashing:
            assert isinstance(outcome, TaskFailed) and crashing[number] in str(outcome), (number, outcome)
        elif number in failing:
            assert isinstance(outcome, KeyError) and outcome.args[0] == number, (number, outcome)
        else:
            assert outcome == number * 7
    # None was run twice, nor was one that crashed tried again.
    assert notes.counts() == {number: 1 for number in range(count)}


def test_times_count_from_where_a_call_begins_and_cost_those_that_exceed_them(client, notes):
    slow, stubborn = {50, 90}, {70}

    def call(number):
        notes.note(number)
        if number in slow:
            while True:
                pass
        if number in stubborn:
            time.sleep(1000)
        return number

    # Far more than one time limit passes until the last of them begins.
    with graticule.annotate(timeout=0.5):
        futures = client.map(call, range(120), pure=False)
    waiting = client.map(lambda number: time.sleep(0.005) or number, range(200), pure=False)
    with graticule.annotate(timeout=0.5):
        behind = client.map(call, range(120, 200), pure=False)
    made = outcomes(futures + behind)
    for number, outcome in enumerate(made):
        if number in slow:
            assert isinstance(outcome, TimeoutError), (number, outcome)
        elif number in stubborn:
            assert isinstance(outcome, TaskFailed) and "did not stop in its time" in str(outcome), (number, outcome)
        else:
            assert outcome == number
    assert client.gather(waiting) == list(range(200))
    assert notes.counts() == {number: 1 for number in range(200)}


def waiting_count(client):
    """Calls that the scheduler knows and that have not ended, but for those that hold the slots."""
    return sum(job["tasks"] - job["finished"] for job in client.info()["running"]) - SLOTS


def test_calls_that_are_taken_back_do_not_run_and_the_others_do(client, notes, tmp_path):
    go = str(tmp_path / "go")

    def holds(number):
        notes.note(number)
        while not os.path.exists(go):
            time.sleep(0.002)

    def call(number):
        notes.note(number)
        return number

    blocking = client.map(holds, range(-SLOTS, 0), pure=False)
    until(lambda: len(notes.counts()) == SLOTS)
    futures = client.map(call, range(300), pure=False)
    until(lambda: waiting_count(client) == 300)
    unwanted = [future for number, future in enumerate(futures) if number % 3 == 0]
    client.cancel(unwanted)
    assert all(future.cancelled() for future in unwanted)
    until(lambda: waiting_count(client) == 200)
    # The worker hears of it from the scheduler, and of the file in no time: nobody tells when it has.
    time.sleep(1)
    pathlib.Path(go).touch()
    wait(blocking)
    made = outcomes(futures)
    for number, outcome in enumerate(made):
        assert isinstance(outcome, Cancelled) if number % 3 == 0 else outcome == number
    assert notes.counts() == {number: 1 for number in range(-SLOTS, 300) if number < 0 or number % 3}


def test_a_call_may_wait_for_those_behind_it(client):
    def inner(number):
        return number + 1

    def of_a_task(number):
        return get_client().submit(inner, number, pure=False).result(timeout=60)

    def of_a_thread(number):
        # What a thread of the function submits is a call like those of other clients.
        made = []
        there = get_client()
        thread = threading.Thread(target=lambda: made.append(there.submit(inner, number, pure=False).result(timeout=60)))
        thread.start()
        thread.join()
        return made[0]

    def of_many(number):
        return sum(get_client().gather(get_client().map(inner, range(number), pure=False)))

    for _ in range(3):
        futures = []
        for number in range(60):
            outer = [of_a_task, of_many][number % 2]
            futures += client.map(inner, range(number, number + 5), pure=False)
            futures.append(client.submit(outer, number, pure=False))
        made = outcomes(futures)
        for number in range(60):
            *fast, nested = made[6 * number : 6 * number + 6]
            assert fast == list(range(number + 1, number + 6))
            assert nested == (number * (number + 1) // 2 if number % 2 else number + 1)
    # One at a time, as each takes a slot that what it waits for needs too.
    for number in range(3):
        behind = client.map(inner, range(50), pure=False)
        assert client.submit(of_a_thread, number, pure=False).result(timeout=60) == number + 1
        assert client.gather(behind) == list(range(1, 51))


def test_what_small_calls_print_is_told_of_each(client):
    count = 400

    def speaks(number):
        if number % 4 == 0:
            print("tiny", number)
        elif number % 4 == 1:
            print("tiny", number, end="")
        elif number % 4 == 2:
            os.write(2, f"tiny {number}\n".encode())
        return number

    assert client.gather(client.map(speaks, range(count), pure=False)) == list(range(count))
    wanted = [number for number in range(count) if number % 4 != 3]
    found = lines(client, f"text=tiny&count={count}", lambda found: log_lines.count(found) >= len(wanted))
    numbers = collections.defaultdict(dict)
    for line in found:
        numbers[line["job"], line["layer"]][line["block"]] = int(line["text"].split()[1])
    assert sorted(number for blocks in numbers.values() for number in blocks.values()) == wanted
    # Calls that go out together are blocks of a layer, in their order.
    for blocks in numbers.values():
        assert len({number - block for block, number in blocks.items()}) == 1, blocks


def test_a_slow_call_holds_up_none_of_a_thousand_fast_ones(client, tmp_path):
    go = str(tmp_path / "go")

    def call(number):
        # Nobody can know which one is slow.
        while number == 500 and not os.path.exists(go):
            time.sleep(0.002)
        return number

    futures = client.map(call, range(1000), pure=False)
    slow = futures.pop(500)
    try:
        assert client.gather(futures) == [number for number in range(1000) if number != 500]
        assert not slow.done()
    finally:
        pathlib.Path(go).touch()
    assert slow.result(timeout=60) == 500


def test_each_process_runs_one_call_at_a_time_and_all_of_them_have_work(client):
    def call(number):
        began = time.monotonic()
        end = began + (number % 7) * 1e-4
        while time.monotonic() < end:
            pass
        return os.getpid(), began, time.monotonic()

    times = collections.defaultdict(list)
    for pid, began, ended in client.gather(client.map(call, range(1500), pure=False)):
        times[pid].append((began, ended))
    assert len(times) == SLOTS
    for of_process in times.values():
        of_process.sort()
        assert all(ended <= began for (_, ended), (began, _) in zip(of_process, of_process[1:]))
        assert len(of_process) > 150


def test_arguments_and_results_of_all_sizes_arrive(client):
    random_numbers = np.random.default_rng(3)
    near = [0, 1, 900, 1000, 1024, 15_000, 16_000, 16_384, 16_500, 17_000, 65_535, 65_536, 65_537, 200_000, 1 << 20, (1 << 20) + 1]
    sizes = [int(size) for size in random_numbers.permutation(near * 8)]

    def call(there, number, size):
        assert there.tobytes() == bytes([number % 251]) * len(there)
        return np.full(size, (number + 1) % 251, "u1")

    for of_result in (sizes, sizes[::-1]):
        given = [np.full(size, number % 251, "u1") for number, size in enumerate(sizes)]
        futures = [client.submit(call, there, number, of_result[number], pure=False) for number, there in enumerate(given)]
        for number, (future, size) in enumerate(zip(futures, of_result)):
            made = future.result(timeout=60)
            assert made.shape == (size,) and (made == (number + 1) % 251).all()


def test_functions_that_a_process_has_let_go_of_are_sent_again(client):
    def large(number):
        ballast = bytes([number % 256]) * 3000
        return lambda: (number, len(ballast))

    first = large(-1)
    for _ in range(2):
        assert client.submit(first, pure=False).result(timeout=60) == (-1, 3000)
        # More than a process keeps, in each of them.
        futures = [client.submit(large(number), pure=False) for number in range(1100 * SLOTS)]
        assert [number for number, _ in client.gather(futures)] == list(range(1100 * SLOTS))


def test_processes_that_end_while_they_have_nothing_to_do_cost_no_call(client, notes):
    def call(number):
        notes.note(number)
        return os.getpid()

    known = set()
    for turn in range(5):
        numbers = range(turn * 50, turn * 50 + 50)
        pids = set(client.gather(client.map(call, numbers, pure=False)))
        pids |= set(client.gather(client.map(lambda _: time.sleep(0.1) or os.getpid(), range(2 * SLOTS), pure=False)))
        assert len(pids) == SLOTS and not pids & known
        known |= pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        # Ended, whether or not the worker has looked.
        until(lambda: all(is_gone(pid) for pid in pids))
    assert notes.counts() == {number: 1 for number in range(250)}


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            is_ended = file.read().rsplit(")", 1)[1].split()[0] == "Z"
        # Its first thread may have ended before the others.
        return is_ended and len(os.listdir(f"/proc/{pid}/task")) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_no_thread_of_the_worker_waits_for_small_calls(client):
    worker = client.submit(os.getppid, pure=False).result()

    def switches():
        total = 0
        for thread in pathlib.Path(f"/proc/{worker}/task").iterdir():
            if "-cpu-" in (thread / "comm").read_text():
                status = (thread / "status").read_text()
                total += int(status.split("voluntary_ctxt_switches:")[1].split()[0])
        return total

    before = switches()
    assert sys.platform == "linux" and before > 0
    assert client.gather(client.map(lambda number: number + 1, range(1000), pure=False)) == list(range(1, 1001))
    # Slots' threads are woken at each call if they are to wait for it.
    assert switches() - before < 100
