"""What functions in child processes of a worker cost, beside the same functions on the worker's own threads.

`python benches/isolation.py [ROUNDS]`, with the package installed: two threads, one worker process. Middle values of all rounds, which
take turns.
"""

import statistics
import sys
import time

import numpy as np

from graticule import Client, LocalCluster, wait

COUNT = 20_000
BYTES = 32 << 20


def inc(x):
    return x + 1


def look(array, number):
    return array.nbytes + number


def make(number):
    array = np.empty(BYTES // 8)
    array[:: 4096 // 8] = number
    return array


def change(array, number):
    return array + number


def timed(what, times):
    taken = []
    for number in range(times):
        began = time.perf_counter()
        what(number)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def waits(client, *call):
    wait([client.submit(*call, pure=False)])


def measure(isolate):
    with LocalCluster(n_workers=1, threads_per_worker=2, memory_limit="2 GiB", isolate=isolate) as cluster, Client(cluster) as client:
        waits(client, inc, 0)
        chunk = client.submit(make, 1)
        wait([chunk])
        alone = timed(lambda n: client.submit(inc, n, pure=False).result(), 500)
        began = time.perf_counter()
        client.gather(client.map(inc, range(COUNT)))
        rate = COUNT / (time.perf_counter() - began)
        reads = timed(lambda n: waits(client, look, chunk, n), 100)
        makes = timed(lambda n: waits(client, make, n), 60)
        changes = timed(lambda n: waits(client, change, chunk, n), 60)
        return alone, rate, reads, makes, changes


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    told = {True: [], False: []}
    for _ in range(rounds):
        for isolate in told:
            told[isolate].append(measure(isolate))
    names = ["one call, there and back, us", "tiny calls a second", "a call that looks at 32 MiB, us", "one that makes 32 MiB, us",
             "one that makes 32 MiB out of 32 MiB, us"]
    here = [timed(change_here, 30) for change_here in [lambda n: make(n), lambda n: change(ARRAY, n)]]
    print(f"{'':42} {'child':>10} {'thread':>10} {'ratio':>7}")
    for place, name in enumerate(names):
        scale = 1 if place == 1 else 1e6
        child, thread = (statistics.median(one[place] for one in told[isolate]) * scale for isolate in (True, False))
        print(f"{name:42} {child:10.0f} {thread:10.0f} {child / thread:7.2f}")
    print(f"without a cluster: makes 32 MiB {here[0] * 1e6:.0f} us, out of 32 MiB {here[1] * 1e6:.0f} us")


if __name__ == "__main__":
    ARRAY = make(0)
    main()
