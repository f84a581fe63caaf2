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


def nanargmax(x, axis=None, keepdims=False):
    """Where the largest element that is no NaN stands. NumPy takes NaN for -inf, and finds it before a -inf."""
    found = np.nanargmax(x, axis=axis, keepdims=True)
    whole = x if axis is not None else x.reshape(-1)
    along = axis if axis is not None else 0
    if axis is None:
        found = found.reshape(1)
    first = np.argmin(np.isnan(whole), axis=along, keepdims=True)
    found = np.where(np.isnan(np.take_along_axis(whole, found, along)), first, found)
    if axis is None:
        return found.reshape((1,) * x.ndim) if keepdims else found[0]
    return found if keepdims else np.squeeze(found, axis)


def nanargmin(x, axis=None, keepdims=False):
    """Where the smallest element that is no NaN stands."""
    return nanargmax(-x, axis, keepdims)


def evaluate(request, stdin):
    arrays = {head["name"]: read_array(stdin, head) for head in request["arrays"]}
    result = np.asarray(eval(request["expression"], NAMES, arrays))
    data = result.astype(result.dtype.newbyteorder("<")).tobytes()
    return {"dtype": result.dtype.name, "shape": list(result.shape), "nbytes": len(data)}, data


NAMES = {"np": np, "nanargmax": nanargmax, "nanargmin": nanargmin}


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
