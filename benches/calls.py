"""What a call of a Python function costs: `python benches/calls.py [--calls N] [--peer-calls N] [--rounds N] [--processes]`.

An empty call from `submit` to its result, and tiny functions submitted one by one (and by `map`) and gathered, a second; beside
dask.distributed with as many workers and threads in the same run, where it is installed. Starts are not counted. The package must
be built with `--release` for figures that mean anything.
"""

import argparse
import json
import statistics
import time


def increment(number):
    return number + 1


def empty():
    return None


def trips(client, count):
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        client.submit(empty, pure=False).result()
        took.append((time.perf_counter() - begin) * 1e6)
    took.sort()
    return {"p50_us": took[len(took) // 2], "p99_us": took[len(took) * 99 // 100]}


def rates(client, calls, rounds):
    made = {"submit": [], "map": []}
    want = list(range(1, calls + 1))
    for _ in range(rounds):
        begin = time.perf_counter()
        futures = [client.submit(increment, number, pure=False) for number in range(calls)]
        assert client.gather(futures) == want
        made["submit"].append(calls / (time.perf_counter() - begin))
        del futures
        begin = time.perf_counter()
        futures = client.map(increment, range(calls), pure=False)
        assert client.gather(futures) == want
        made["map"].append(calls / (time.perf_counter() - begin))
        del futures
    return {f"{name}_per_s": statistics.median(rate) for name, rate in made.items()}


def measure(client, calls, rounds, trip_count):
    client.gather(client.map(increment, range(100), pure=False))
    return {**rates(client, calls, rounds), **trips(client, trip_count), "calls": calls}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--peer-calls", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trips", type=int, default=2_000)
    parser.add_argument("--processes", action="store_true", help="two worker processes of one thread in place of threads")
    said = parser.parse_args()
    import graticule

    figures = {}
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": said.processes}
    with graticule.Client(**options) as client:
        figures["graticule"] = measure(client, said.calls, said.rounds, said.trips)
    try:
        import distributed
    except ImportError:
        print("dask.distributed is not installed, so it is not measured")
    else:
        with distributed.LocalCluster(dashboard_address=None, **options) as cluster, distributed.Client(cluster) as client:
            figures["distributed"] = measure(client, said.peer_calls, said.rounds, min(said.trips, 200))
    for name, of in figures.items():
        print(
            f"{name}: {of['submit_per_s']:.0f} calls a second by submit, {of['map_per_s']:.0f} by map ({of['calls']} calls); "
            f"an empty call p50 {of['p50_us']:.0f} us, p99 {of['p99_us']:.0f} us"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
