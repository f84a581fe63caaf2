"""What passes between a worker and its child processes beside calls: what functions print, what `client.run` sets, and times."""

import ctypes
import json
import logging
import os
import subprocess
import sys
import threading
import time
import urllib.request
import warnings

import numpy as np
import pytest

import graticule.array as ga
import log_lines
from graticule import Client, LocalCluster, WorkerPlugin, get_worker, wait
from graticule import _pickle
from graticule.errors import TaskFailed
from log_lines import lines


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=1, threads_per_worker=2, memory_limit="1 GiB", dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster, set_as_default=False) as client:
        yield client


def told(client, text, count=1):
    """Those lines as level, target, text and how often, once there are so many."""
    found = lines(client, f"text={text}", lambda found: log_lines.count(found) >= count)
    return [(line["level"], line["target"], line["text"], line["count"]) for line in found]


def test_what_a_function_prints_is_told_of_its_task(client):
    def speaks(word):
        print("out", word, "1")
        sys.stderr.write(f"err {word} 1\nerr {word} 2 ")
        os.write(2, f"system {word}\n".encode())
        ctypes.CDLL(None).puts(f"library {word}".encode())
        subprocess.run(["echo", f"process {word}"])
        for _ in range(20):
            print("again", word)
        warnings.warn(f"old {word}")
        for part in range(100):
            print(f"\rprogress {word} {part}%", end="", file=sys.stderr, flush=True)
        print("end", word, end="")

    wait([client.submit(speaks, "first")])
    found = told(client, "first", 28)
    # They are told each half second, so repeated ones may be two lines.
    assert sum(count for *_, text, count in found if text == "again first") == 20
    once = [line[:3] for line in found if line[2] != "again first"]
    warned = next(line for line in once if "old first" in line[2])
    assert warned[:2] == ("warn", "stderr") and "UserWarning: old first\n  warnings.warn(" in warned[2]
    assert sorted(line for line in once if line != warned) == sorted([
        ("info", "stdout", "out first 1"), ("warn", "stderr", "err first 1"), ("warn", "stderr", "err first 2 system first"),
        ("info", "stdout", "library first"), ("info", "stdout", "process first"), ("info", "stdout", "end first"),
        ("warn", "stderr", "progress first 99%"),
    ])
    for line in lines(client, "text=first"):
        assert line["block"] == 0 and line["layer"] is not None and line["source"] is not None, line


def test_each_task_has_its_own_lines(client):
    def speaks(number):
        print("number", number)
        time.sleep(number % 3 * 0.01)

    futures = client.map(speaks, range(40), pure=False)
    wait(futures)
    found = lines(client, "text=number", lambda found: log_lines.count(found) >= 40)
    blocks = {line["text"]: (line["job"], line["layer"], line["block"]) for line in found}
    assert set(blocks) == {f"number {number}" for number in range(40)} and len(set(blocks.values())) == 40


def test_a_line_is_told_while_its_function_runs(client, tmp_path):
    def speaks(path):
        print("begun and waiting")
        logging.warning("logged and waiting")
        while not os.path.exists(path):
            time.sleep(0.01)

    future = client.submit(speaks, str(tmp_path / "go"))
    try:
        assert {line[1] for line in told(client, "and+waiting", 2)} == {"stdout", "root"}
        assert not future.done()
    finally:
        (tmp_path / "go").touch()
    future.result(timeout=60)


def test_what_a_function_said_before_its_process_crashed_is_told(client):
    def crashes():
        print("said before the crash")
        logging.getLogger("before").warning("logged before the crash")
        ctypes.string_at(0)

    with pytest.raises(TaskFailed, match="segmentation fault"):
        client.submit(crashes, pure=False).result(timeout=60)
    found = told(client, "before+the+crash", 2)
    assert sorted(line[1:3] for line in found) == [("before", "logged before the crash"), ("stdout", "said before the crash")]
    assert told(client, "Fatal+Python+error:+Segmentation")[0][1] == "stderr"


def test_what_handlers_write_of_a_record_is_told_once_and_passed_on():
    script = """
import logging, sys, warnings
from graticule import Client, LocalCluster

def speaks():
    logging.basicConfig(format="as I like it: %(message)s")
    logging.warning("a record\\nof two lines")
    print("then", end=" ", file=sys.stderr)
    logging.info("not told")
    print("a line", file=sys.stderr)
    print("printed")

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit="512 MiB", dashboard_address="127.0.0.1:0") as cluster:
        with Client(cluster) as client:
            client.submit(speaks).result()
            import json, time, urllib.request
            for _ in range(300):
                with urllib.request.urlopen(client.dashboard_link.rstrip("/") + "/api/logs?level=warn") as answer:
                    found = [(line["target"], line["text"]) for line in json.load(answer)["lines"]]
                if len(found) > 1:
                    break
                time.sleep(0.1)
            print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    found = [tuple(line) for line in json.loads(done.stdout)]
    assert sorted(found) == [("root", "a record\nof two lines"), ("stderr", "then a line")], done.stderr
    # What workers print goes where this cluster's errors go, as it is.
    assert sorted(done.stderr.splitlines()) == ["as I like it: a record", "of two lines", "printed", "then a line"], done.stderr
    assert "\x1b" not in done.stderr


def test_what_a_function_forks_speaks_by_its_output_and_harms_nothing(client):
    def forks():
        logging.warning("before the fork")
        pid = os.fork()
        if pid == 0:
            try:
                for number in range(300):
                    logging.warning("forked %s", number)
                print("printed by the forked one")
            finally:
                sys.stdout.flush()
                os._exit(0)
        for number in range(300):
            logging.getLogger("own").warning("own %s", number)
        return os.waitpid(pid, 0)[1], np.ones(1 << 18)

    for _ in range(3):
        status, array = client.submit(forks, pure=False).result(timeout=60)
        assert status == 0 and (array == 1).all()
    assert {line[1] for line in told(client, "forked+299")} == {"stderr"}
    assert {line[1] for line in told(client, "own+299")} == {"own"}
    assert told(client, "printed+by+the+forked+one")


def test_what_is_printed_between_calls_is_of_no_task(client):
    def later():
        def speak():
            time.sleep(0.3)
            print("spoken later")

        threading.Thread(target=speak).start()

    client.submit(later, pure=False).result()
    (line,) = lines(client, "text=spoken+later")
    assert line["layer"] is None and line["block"] is None and line["target"] == "stdout"


def test_a_function_that_prints_much_goes_on_and_holds_up_nobody(client):
    def prints():
        for number in range(100_000):
            print("much", number, "x" * 50)
        return "done"

    futures = [client.submit(prints, pure=False) for _ in range(2)]
    assert client.gather(futures) == ["done"] * 2
    assert client.submit(lambda: 1, pure=False).result(timeout=60) == 1
    assert told(client, "much+99999")


def test_a_function_may_put_other_things_in_place_of_standard_output(client):
    def changes():
        kept = sys.stdout
        sys.stdout = None
        return kept is not None

    def restores():
        sys.stdout = sys.__stdout__
        print("restored")

    assert client.submit(changes, pure=False).result(timeout=60)
    wait(client.map(lambda _: time.sleep(0.05) or None, range(4), pure=False))
    wait([client.submit(lambda _: restores(), n, pure=False) for n in range(6)])
    assert told(client, "restored")


def on_all(client, function):
    """What a function gives in both processes of the worker."""
    seen = {}
    for _ in range(50):
        futures = client.map(lambda _: (time.sleep(0.05), os.getpid(), function())[1:], range(4), pure=False)
        seen.update(client.gather(futures))
        if len(seen) == 2:
            break
    return seen


def set_variable(name, value):
    os.environ[name] = value


def end(pids):
    for pid in pids:
        os.kill(pid, 9)
    for pid in pids:
        while not is_dead(pid):
            time.sleep(0.01)


def is_dead(pid):
    """Whether it has ended with all its threads, though nobody may have waited for it yet."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z" and len(os.listdir(f"/proc/{pid}/task")) == 1
    except FileNotFoundError:
        return True


def test_what_run_sets_is_there_in_each_process_also_in_later_ones(client):
    def sets(value, dask_worker):
        os.environ["SET_BY_RUN"] = value
        logging.getLogger("set.by.run").setLevel(logging.ERROR)
        dask_worker.was_set = value
        return os.getpid()

    def found():
        return os.environ.get("SET_BY_RUN"), logging.getLogger("set.by.run").level, getattr(get_worker(), "was_set", None)

    before = on_all(client, found)
    assert len(before) == 2 and set(before.values()) == {(None, 0, None)}
    (pid,) = client.run(sets, "first").values()
    assert pid in before
    assert on_all(client, found) == {pid: ("first", logging.ERROR, "first") for pid in before}
    # In the order in which they were run, and one that is run again counts as the latest.
    client.run(sets, "second")
    client.run(sets, "first")
    assert set(on_all(client, found).values()) == {("first", logging.ERROR, "first")}
    end(before)
    after = on_all(client, found)
    assert len(after) == 2 and not set(after) & set(before)
    assert set(after.values()) == {("first", logging.ERROR, "first")}


def test_run_is_made_once_in_each_process(client):
    def counts():
        worker = get_worker()
        worker.runs = getattr(worker, "runs", 0) + 1

    client.run(counts)
    for _ in range(3):
        assert set(on_all(client, lambda: get_worker().runs).values()) == {1}
    client.run(counts)
    assert set(on_all(client, lambda: get_worker().runs).values()) == {2}


def test_a_run_beside_busy_processes_is_made_before_their_next_task(client, tmp_path):
    def waits(path):
        while not os.path.exists(path):
            time.sleep(0.01)
        return os.environ.get("BESIDE")

    busy = client.submit(waits, str(tmp_path / "go"))
    time.sleep(0.3)
    client.run(set_variable, "BESIDE", "set")
    (tmp_path / "go").touch()
    assert busy.result(timeout=60) is None
    assert set(on_all(client, lambda: os.environ.get("BESIDE")).values()) == {"set"}


def test_a_run_that_raises_or_crashes_is_not_made_again(client, tmp_path):
    def notes_and_fails(path, how):
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\n")
        how()

    def fails():
        raise KeyError("no")

    with pytest.raises(KeyError):
        client.run(notes_and_fails, str(tmp_path / "raised"), fails)
    with pytest.raises(TaskFailed, match="exit code 4"):
        client.run(notes_and_fails, str(tmp_path / "crashed"), lambda: os._exit(4))
    assert client.run(notes_and_fails, str(tmp_path / "returned"), fails, on_error="return")
    on_all(client, os.getpid)
    for name in ("raised", "crashed", "returned"):
        assert len((tmp_path / name).read_text().split()) == 1


def test_a_run_that_crashes_other_processes_is_given_up(client, tmp_path):
    def first_alone(path):
        if os.path.exists(path):
            os._exit(5)
        open(path, "w").close()

    def raises_next(path):
        assert not os.path.exists(path), "only once"
        open(path, "w").close()

    client.run(first_alone, str(tmp_path / "first"))
    client.run(raises_next, str(tmp_path / "next"))
    client.run(set_variable, "AFTER_CRASH", "set")
    assert set(on_all(client, lambda: os.environ.get("AFTER_CRASH")).values()) == {"set"}
    assert told(client, "crashed+other+processes")[0][0] == "warn"
    assert "only once" in told(client, "failed+in+another+process")[0][2]
    assert client.gather(client.map(lambda n: n, range(20), pure=False)) == list(range(20))


def test_plugins_are_set_up_and_taken_out_in_each_process(client):
    class Named(WorkerPlugin):
        name = "named"

        def __init__(self, value):
            self.value = value

        def setup(self, worker):
            os.environ["NAMED"] = self.value

        def teardown(self, worker):
            os.environ.pop("NAMED")

    def found():
        return os.environ.get("NAMED")

    assert len(on_all(client, found)) == 2
    for value in ("one", "two", "one"):
        client.register_plugin(Named(value))
        assert set(on_all(client, found).values()) == {value}
    # Functions on blocks are not calls of the client's.
    seen = client.compute(ga.ones(40, chunks=1).map_blocks(lambda b: b * (found() == "one"), dtype="f8"))
    assert seen.sum() == 40
    client.unregister_worker_plugin("named")
    assert set(on_all(client, found).values()) == {None}
    end(on_all(client, os.getpid))
    assert set(on_all(client, found).values()) == {None}
    client.register_plugin(Named("one"))
    assert set(on_all(client, found).values()) == {"one"}
    client.unregister_worker_plugin("named")


UNITS = "Y M W D h m s ms us ns ps fs as".split()


@pytest.mark.parametrize("seed", range(8))
def test_times_come_and_go_with_their_units_and_gaps(client, seed):
    random = np.random.default_rng(seed)
    for unit in [*UNITS, "25s", "3D", ""]:
        kind = random.choice(["M8", "m8"])
        if unit == "" and kind == "M8":
            kind = "m8"
        dtype = np.dtype(f"{kind}[{unit}]" if unit else kind)
        size = int(random.choice([0, 1, 100, 8191, 8192, 50_000, 131_071, 131_072, 200_000]))
        numbers = random.integers(-(2**62), 2**62, size)
        numbers[random.random(size) < 0.1] = np.iinfo("i8").min
        times = numbers.view(dtype)
        how = random.integers(4)
        if how == 1 and size % 4 == 0:
            times = np.asfortranarray(times.reshape(4, -1))
        elif how == 2:
            times = times[::2]
        elif how == 3:
            times = times.astype(dtype.newbyteorder())
        there = client.submit(lambda a: a.copy(order="K"), times, pure=False)
        # NumPy's own pickles of times have the machine's order of bytes.
        times = times.astype(dtype, copy=False) if how == 3 else times
        told = client.submit(lambda a: (a.dtype, a.shape, int(np.isnat(a).sum()), a.flags.writeable), there, pure=False).result()
        came = client.submit(lambda a: a, there, pure=False).result()
        assert told[:3] == (times.dtype, times.shape, np.isnat(times).sum()), times.dtype
        within = client.submit(lambda a: {"a": (a, a)}, there, pure=False).result()["a"]
        for one in (came, *within):
            assert one.dtype == times.dtype and one.shape == times.shape and one.tobytes() == times.tobytes(), times.dtype
        assert within[0] is within[1] and came.flags.writeable
        if times.nbytes >= 1 << 16 and how == 0 and unit in UNITS[:10]:
            assert not told[3], "a function is lent its worker's elements"


@pytest.mark.parametrize("dtype", ["M8[ns]", "m8[s]", "M8[D]", "f8"])
def test_large_times_of_functions_are_handed_over_where_they_lie(client, tmp_path, dtype):
    def memory_of(array):
        address = array.__array_interface__["data"][0]
        with open("/proc/self/maps") as maps:
            for line in maps:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if start <= address < end:
                    return line.split()[4:]

    def make(path):
        array = np.arange(1 << 18).astype(dtype)
        with open(path, "w") as file:
            json.dump(memory_of(array), file)
        return array

    there = client.submit(make, str(tmp_path / "made"), pure=False)
    lent = client.submit(memory_of, there, pure=False).result(timeout=60)
    # The same pages, by the number and name of their file.
    assert lent == json.loads((tmp_path / "made").read_text()) and "memfd:graticule" in lent[1]


def test_times_in_blocks_come_and_go(client):
    def made_days(numbers):
        days = numbers.astype("M8[D]")
        days[::7] = "NaT"
        return days

    x = ga.arange(1 << 19, chunks=1 << 18, dtype="i8").map_blocks(made_days, dtype="M8[D]")
    later = client.compute(x.map_blocks(lambda b: b + np.timedelta64(1, "D"), dtype="M8[D]"))
    days = np.concatenate([made_days(part) for part in np.split(np.arange(1 << 19), 2)])
    assert later.dtype == days.dtype and later.tobytes() == (days + np.timedelta64(1, "D")).tobytes()


def test_what_a_client_gets_of_a_functions_inputs_may_be_written(client):
    for array in [np.arange(10.0), np.arange(20_000)[::2], np.ones((300, 400), order="F"), np.zeros(3, [("a", "f4")]), np.zeros((2, 0))]:
        there = client.submit(lambda a: a.copy(order="K"), array, pure=False)
        for came in (client.submit(lambda a: a, there).result(), client.submit(lambda a: [a], there).result()[0]):
            assert came.dtype == array.dtype and came.shape == array.shape and (came == array).all()
            assert came.flags.writeable or array.dtype.names or not array.size, array.dtype


def test_times_within_other_objects_are_buffers_of_their_pickle():
    times = np.arange(1 << 16).astype("M8[ns]")
    pickle, buffers = _pickle.dumps({"times": times, "more": [times, np.arange(3).astype("m8[s]")]})
    assert len(pickle) < 1000 and [buffer.raw().nbytes for buffer in buffers] == [times.nbytes]
    _, buffers = _pickle.dumps((lambda: None, times))
    assert [buffer.raw().nbytes for buffer in buffers] == [times.nbytes]
