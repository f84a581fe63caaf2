"""Evaluates NumPy expressions for the Rust tests: requests on stdin, answers on stdout.

A request is a JSON line `{"expression": ..., "arrays": [{"name", "dtype", "shape"}, ...]}`, then the arrays'
little-endian bytes in C order. The answer is a JSON line `{"dtype", "shape"}` and the result's bytes, or
`{"error", "message"}` with the exception's type. The process ends with its stdin.
"""

import json
import sys
import warnings

import numpy as np


def read_array(stdin, head):
    dtype = np.dtype(head["dtype"]).newbyteorder("<")
    count = int(np.prod(head["shape"], dtype=object)) if head["shape"] else 1
    data = stdin.read(count * dtype.itemsize)
    return np.frombuffer(data, dtype).astype(dtype.newbyteorder("=")).reshape(head["shape"])


def evaluate(request, stdin):
    arrays = {head["name"]: read_array(stdin, head) for head in request["arrays"]}
    result = np.asarray(eval(request["expression"], {"np": np}, arrays))
    data = result.astype(result.dtype.newbyteorder("<")).tobytes()
    return {"dtype": result.dtype.name, "shape": list(result.shape), "nbytes": len(data)}, data


def main():
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    for line in stdin:
        try:
            head, data = evaluate(json.loads(line), stdin)
        except Exception as error:
            head, data = {"error": type(error).__name__, "message": str(error)}, b""
        stdout.write(json.dumps(head).encode() + b"\n" + data)
        stdout.flush()


if __name__ == "__main__":
    main()
