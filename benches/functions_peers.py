"""The peer's side of `graticule bench functions`: tiny calls through dask.distributed.

CALLS ROUNDS    two worker processes of one thread; CALLS distinct calls submitted and gathered, ROUNDS times, and 200 calls
                one after the other

Prints one JSON line: the middle of the rounds' calls a second, and the middle of the round trips in microseconds. The
cluster's start is not counted.
"""

import json
import statistics
import sys
import time


def increment(number):
    return number + 1


def main(calls, rounds):
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.gather(client.map(increment, range(100), pure=False))
        trips = []
        for number in range(200):
            begin = time.perf_counter()
            assert client.submit(increment, number, pure=False).result() == number + 1
            trips.append((time.perf_counter() - begin) * 1e6)
        rates = []
        for _ in range(rounds):
            begin = time.perf_counter()
            results = client.gather(client.map(increment, range(calls), pure=False))
            rates.append(calls / (time.perf_counter() - begin))
            assert results == list(range(1, calls + 1))
    figures = {"calls_per_second": statistics.median(rates), "round_trip_p50_us": statistics.median(trips)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
