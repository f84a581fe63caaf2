"""The peers' side of `graticule bench cluster`, `latency`, `scheduler` and `transfer`: Dask, and Frisky where it is
installed, measured from outside through their public clients.

PEER rate COUNT WORKERS       so many tasks that return a number, each with a future of its own, gathered
PEER latency COUNT            tasks one after another, from the call to the value, on one worker
PEER graph SHAPE COUNT WORKERS
                              a graph of tasks that do nothing, written out edge by edge: merge, tree, stencil, random,
                              elementwise-reduce
PEER transfer MIB TOTAL       chunks of so many MiB, TOTAL MiB at a time, from one worker to another

PEER is `dask` or `frisky`. Scheduler and workers are processes of their own with one thread each, started by the
peer's own commands; their start is not counted. The scheduler's processor time is read from /proc. Each prints one
JSON line. The exit status is 3 where the peer is not installed.
"""

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time

#: How long the scheduler and its workers may take to be there.
START_SECONDS = 60
MIB = 1 << 20
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def number(value):
    return value


def nothing(*_inputs):
    return None


def chunk(mib, place):
    import numpy

    return numpy.full(mib * MIB, place % 256, dtype="uint8")


def received(*chunks):
    return sum(chunk.nbytes for chunk in chunks)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A peer's scheduler and workers, and a client of it."""

    def __init__(self, peer, workers):
        self.peer = peer
        self.address = f"127.0.0.1:{free_port()}"
        self.processes = []
        port = self.address.rsplit(":", 1)[1]
        if peer == "dask":
            self.scheduler = self.start(
                ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
            )
            worker = ["distributed.cli.dask_worker", f"tcp://{self.address}", "--nthreads", "1", "--no-nanny"]
            worker += ["--no-dashboard", "--host", "127.0.0.1"]
        else:
            self.scheduler = self.start(["frisky.cli", "scheduler", "--address", self.address, "--no-dashboard"])
            worker = ["frisky.cli", "worker", self.address, "--nthreads", "1"]
        self.wait_for_scheduler()
        started = [self.start(worker, subprocess.PIPE) for _ in range(workers)]
        self.client = self.connect()
        #: Where each worker is, as the peer names it.
        self.workers = self.wait_for_workers(started)

    def start(self, words, output=subprocess.DEVNULL):
        command = [sys.executable, "-u", "-m", *words]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, text=True)
        self.processes.append(process)
        return process

    def wait_for_scheduler(self):
        host, port = self.address.split(":")
        begin = time.perf_counter()
        while time.perf_counter() - begin < START_SECONDS:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                return
            if self.scheduler.poll() is not None:
                break
            time.sleep(0.05)
        sys.exit(f"the scheduler of {self.peer} does not listen")

    def connect(self):
        if self.peer == "dask":
            from distributed import Client

            return Client(f"tcp://{self.address}")
        from frisky import Client

        return Client(self.address)

    def wait_for_workers(self, started):
        if self.peer == "dask":
            self.client.wait_for_workers(len(started), timeout=START_SECONDS)
            return list(self.client.scheduler_info(n_workers=-1)["workers"])
        # Each says where it is once it is connected.
        lines = [process.stdout.readline().split() for process in started]
        if not all(line[:2] == ["Worker", "started:"] for line in lines):
            sys.exit(f"the workers of {self.peer} do not connect")
        return [line[2] for line in lines]

    def scheduler_seconds(self):
        """Processor time of the scheduler's process so far."""
        with open(f"/proc/{self.scheduler.pid}/stat", encoding="utf8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_SECONDS

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.client.close()
        for process in self.processes:
            process.kill()
            process.wait()


def measured(cluster, count, run):
    """Runs, and says what that took altogether and of the scheduler's process."""
    before, begin = cluster.scheduler_seconds(), time.perf_counter()
    run()
    seconds = time.perf_counter() - begin
    spent = cluster.scheduler_seconds() - before
    return {"seconds": seconds, "tasks_per_second": count / seconds, "scheduler_us": spent / count * 1e6}


def values(cluster, function, count):
    futures = cluster.client.map(function, range(count), pure=False) if cluster.peer == "dask" else (
        cluster.client.map(function, range(count))
    )
    got = cluster.client.gather(futures)
    if list(got) != list(range(count)):
        sys.exit(f"{cluster.peer} gives other values")


def rate(peer, count, workers):
    with Cluster(peer, int(workers)) as cluster:
        values(cluster, number, 64)
        return measured(cluster, int(count), lambda: values(cluster, number, int(count)))


def latency(peer, count):
    samples = []
    with Cluster(peer, 1) as cluster:
        for place in range(int(count) + 50):
            begin = time.perf_counter()
            # Of the same number nothing would be computed a second time.
            got = cluster.client.submit(number, place).result()
            took = time.perf_counter() - begin
            if got != place:
                sys.exit(f"{peer} gives other values")
            if place >= 50:
                samples.append(took * 1e6)
    samples.sort()
    return {"p50_us": samples[len(samples) // 2], "p99_us": samples[len(samples) * 99 // 100]}


def sources(shape, count):
    """What each task needs, as `cli/src/bench/scheduler/shapes.rs` has it."""
    if shape == "merge":
        return [[] for _ in range(count - 1)] + [list(range(count - 1))]
    if shape == "tree":
        leaves = -(-count // 2)
        return [[] for _ in range(leaves)] + [[2 * k, 2 * k + 1] for k in range(leaves - 1)]
    if shape == "stencil":
        width = int(count**0.5)
        rows = []
        for task in range(count):
            step, x = divmod(task, width)
            near = range(max(x - 1, 0), min(x + 2, width)) if step else ()
            rows.append([(step - 1) * width + y for y in near])
        return rows
    if shape == "elementwise-reduce":
        # A read, three operations, and a tree of sums with a fan-in of eight.
        width = max(count * 7 // 29, 1)
        rows = [[] for _ in range(width)] + [[place] for place in range(3 * width)]
        first = 3 * width
        while width > 1:
            groups = range(first, first + width, 8)
            first, width = first + width, len(groups)
            rows += [list(range(start, min(start + 8, first))) for start in groups]
        return rows
    if shape != "random":
        sys.exit(f"no such shape: {shape}")
    state, word, rows = 7, (1 << 64) - 1, []

    def random(below):
        nonlocal state
        state ^= (state << 13) & word
        state ^= state >> 7
        state ^= (state << 17) & word
        return state % below

    for task in range(count):
        window = min(task, 1000)
        wanted = random(5) if window else 0
        rows.append(sorted({task - 1 - random(window) for _ in range(wanted)}))
    return rows


def graph(peer, shape, count, workers):
    rows = sources(shape, int(count))
    needed = {source for row in rows for source in row}
    names = [f"task-{place}" for place in range(len(rows))]
    tasks = {names[place]: (nothing, *(names[source] for source in row)) for place, row in enumerate(rows)}
    ends = [names[place] for place in range(len(rows)) if place not in needed]
    tasks["end"] = (nothing, *ends)
    with Cluster(peer, int(workers)) as cluster:
        values(cluster, number, 64)
        return measured(cluster, len(tasks), lambda: cluster.client.get(tasks, "end"))


def transfer(peer, mib, total):
    mib, count = int(mib), max(int(total) // int(mib), 1)
    with Cluster(peer, 2) as cluster:
        first, second = ({"workers": [name]} for name in cluster.workers)
        best = []
        for turn in range(4):
            offset = turn * count
            made = [cluster.client.submit(chunk, mib, offset + k, **first, **named(peer)) for k in range(count)]
            for future in made:
                wait_for(cluster, future)
            begin = time.perf_counter()
            got = cluster.client.submit(received, *made, **second, **named(peer)).result()
            seconds = time.perf_counter() - begin
            if got != count * mib * MIB:
                sys.exit(f"{peer} moves other bytes")
            best.append(got / seconds)
            del made
        # The first also warms up.
        best = sorted(best[1:])
        return {"bytes_per_second": best[len(best) // 2]}


def named(peer):
    return {"pure": False} if peer == "dask" else {}


def wait_for(cluster, future):
    if cluster.peer == "dask":
        from distributed import wait
    else:
        from frisky import wait
    wait([future])


def main():
    peer, action, *rest = sys.argv[1:]
    needed = "distributed" if peer == "dask" else peer
    if importlib.util.find_spec(needed) is None:
        sys.exit(3)
    actions = {"rate": rate, "latency": latency, "graph": graph, "transfer": transfer}
    print(json.dumps(actions[action](peer, *rest)))


if __name__ == "__main__":
    main()
