"""What small things cost in the embedded cluster: `python benches/client_latency.py`. The package must be built with `--release`.

A client's start, one element of a persisted series at a time (`isel(time=i).compute()` of xarray does this), a tiny expression, and a Python function
on an array of 32 MiB that a worker holds. Medians.
"""

import statistics
import time


def p50_ms(call, count):
    took = []
    for number in range(count):
        begin = time.perf_counter()
        call(number)
        took.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(took)


def main():
    import numpy as np

    begin = time.perf_counter()
    import graticule
    import graticule.array as ga

    imported = time.perf_counter()
    client = graticule.Client()
    print(f"import {1e3 * (imported - begin):.0f} ms, Client() {1e3 * (time.perf_counter() - imported):.1f} ms")
    series = ga.ones((100, 512, 512), chunks=(1, 512, 512)).persist()
    series.sum().compute()
    print(f"a step of a persisted series {p50_ms(lambda step: series[step].compute(), 100):.2f} ms")
    tiny = ga.ones(4, chunks=2)
    print(f"a tiny expression {p50_ms(lambda _: (tiny + 1).sum().compute(), 200):.2f} ms")
    held = client.scatter(np.ones(4_000_000))
    client.submit(len, held, pure=False).result()
    print(f"a function on 32 MiB {p50_ms(lambda _: client.submit(len, held, pure=False).result(), 200):.3f} ms")
    client.close()


if __name__ == "__main__":
    main()
