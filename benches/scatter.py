"""How fast arrays go from a client into a worker process and back, beside raw TCP, a copy in memory and dask.distributed.

`python benches/scatter.py [ROUNDS]`, with the package installed: float64 arrays of 1, 16 and 64 MiB, 256 MiB together a round, a
worker process of two threads on the same host. `scatter` counts until the worker holds all of them, `gather` until the client does.
Middle values of all rounds, which take turns. Without dask.distributed its columns are missing.
"""

import importlib.util
import socket
import statistics
import sys
import threading
import time

import numpy as np

TOTAL_BYTES = 256 << 20
SIZES = (1 << 20, 16 << 20, 64 << 20)


def timed(run):
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def tcp(arrays):
    """One connection, blocking sockets, from one thread to another."""
    server = socket.create_server(("127.0.0.1", 0))
    into = [np.ones_like(array) for array in arrays]

    def receive():
        connection, _ = server.accept()
        with connection:
            for array in into:
                view = memoryview(array).cast("B")
                while view:
                    view = view[connection.recv_into(view) :]
            connection.sendall(b"!")

    receiver = threading.Thread(target=receive)
    receiver.start()
    with socket.create_connection(server.getsockname()) as connection:
        began = time.perf_counter()
        for array in arrays:
            connection.sendall(memoryview(array).cast("B"))
        connection.recv(1)
        taken = time.perf_counter() - began
    receiver.join()
    server.close()
    return taken


def copied(arrays):
    into = [np.ones_like(array) for array in arrays]
    return timed(lambda: [np.copyto(there, array) for there, array in zip(into, arrays)])[0]


def to_and_fro(client, wait, arrays):
    """The seconds of a scatter and of a gather."""
    there, futures = timed(lambda: held(client, wait, arrays))
    back, got = timed(lambda: client.gather(futures))
    for array, one in zip(arrays, got):
        if one.shape != array.shape or one[0] != array[0] or one[-1] != array[-1]:
            raise SystemExit("what came back is something else")
    return there, back


def held(client, wait, arrays):
    futures = client.scatter(arrays, hash=False)
    wait(futures)
    return futures


def measure(rounds, size):
    random = np.random.default_rng(size)
    taken = {}
    clusters = [opened(name) for name in ("graticule", "distributed") if importlib.util.find_spec(name)]
    try:
        for _ in range(rounds):
            arrays = [random.random(size // 8) for _ in range(TOTAL_BYTES // size)]
            taken.setdefault("TCP", []).append(tcp(arrays))
            taken.setdefault("memcpy", []).append(copied(arrays))
            for name, client, _, wait in clusters:
                there, back = to_and_fro(client, wait, arrays)
                taken.setdefault(f"{name} scatter", []).append(there)
                taken.setdefault(f"{name} gather", []).append(back)
    finally:
        for _, client, cluster, _ in clusters:
            client.close()
            cluster.close()
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def opened(name):
    options = {"n_workers": 1, "threads_per_worker": 2, "memory_limit": "2 GiB"}
    module = importlib.import_module(name)
    if name == "distributed":
        options |= {"processes": True, "dashboard_address": ":0"}
    cluster = module.LocalCluster(**options)
    client = module.Client(cluster)
    client.wait_for_workers(1)
    return name, client, cluster, module.wait


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for size in SIZES:
        taken = measure(rounds, size)
        rates = {name: TOTAL_BYTES / seconds / 1e9 for name, seconds in taken.items()}
        print(f"arrays of {size >> 20} MiB, GB/s: " + ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items()))
        print(
            "  Graticule of TCP: "
            + ", ".join(f"{way} {rates[f'graticule {way}'] / rates['TCP']:.2f}" for way in ("scatter", "gather"))
            + "; of memcpy: "
            + ", ".join(f"{way} {rates[f'graticule {way}'] / rates['memcpy']:.2f}" for way in ("scatter", "gather"))
        )


if __name__ == "__main__":
    main()
