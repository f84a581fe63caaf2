"""NumPy's functions that neither Dask nor the Array API has, and arguments of theirs: values, dtypes, shapes and errors."""

import numpy as np
import pytest

import graticule.array as ga

RNG = np.random.default_rng(5)
A = RNG.random((60, 50))
B = RNG.integers(0, 9, (60, 50))

SAME = {
    **{f"{name} with initial": lambda a, b, name=name: getattr(np, name)(b % 2 + 1, axis=0, initial=3) for name in ("sum", "prod", "min", "max")},
    **{
        f"{name} of some with initial": lambda a, b, name=name: getattr(np, name)(a, axis=1, initial=0.5, where=a > 0.7)
        for name in ("sum", "prod", "min", "max")
    },
    **{
        f"{name} of some": lambda a, b, name=name: getattr(np, name)(a, axis=1, where=b > 3)
        for name in ("sum", "prod", "any", "all", "mean", "nansum", "nanmean")
    },
    "max of nothing with initial": lambda a, b: np.max(a[:0], axis=0, initial=3),
    "min of nothing with initial": lambda a, b: np.min(a[:, :0], initial=3),
    "max of integers with a fraction": lambda a, b: np.max(b[:2] * 0, axis=0, initial=0.5),
    "mean of some columns": lambda a, b: np.mean(a, where=b[0] > 3, keepdims=True),
    "mean of some integers": lambda a, b: np.mean(b, axis=0, where=a > 0.2),
    "mean of some float32": lambda a, b: np.mean(a.astype("f4"), axis=0, where=a > 0.2),
    "partition": lambda a, b: np.partition(a, 5, axis=0)[5],
    "argpartition": lambda a, b: np.argpartition(a, (3, -1), axis=1)[:, -1],
    "intersect1d": lambda a, b: np.intersect1d(b, [1, 2, 77]),
    "setdiff1d": lambda a, b: np.setdiff1d(b, [1, 2, 77]),
    "setxor1d": lambda a, b: np.setxor1d(b, [1, 2, 77, -3]),
    "multi_dot": lambda a, b: np.linalg.multi_dot([a, a.T, a, a[0]]),
    "multi_dot to a number": lambda a, b: np.linalg.multi_dot([a[:, 0], a, a[0]]),
    "convolve integers": lambda a, b: np.convolve(b[0], [1, 2, 3]),
    **{
        f"convolve {n} and {m}, {mode}": lambda a, b, n=n, m=m, mode=mode: np.convolve(a[0, :m], a[1, :n], mode)
        for n in (1, 2, 5, 50)
        for m in (4, 7, 50)
        for mode in ("full", "same", "valid")
    },
    "unwrap": lambda a, b: np.unwrap(a * 20),
    "unwrap along the first axis": lambda a, b: np.unwrap((a * 20).astype("f4"), axis=0),
    "unwrap integers": lambda a, b: np.unwrap(b, period=8),
    "unwrap an odd period": lambda a, b: np.unwrap(b, period=7, axis=0),
    "unwrap what leaps far": lambda a, b: np.unwrap(a * 20, discont=4, axis=0),
}


@pytest.mark.parametrize("name", SAME)
def test_they_are_numpys(name, client):
    want = SAME[name](A, B)
    got = SAME[name](ga.from_array(A, chunks=(20, 17)), ga.from_array(B, chunks=(13, 50)))
    assert isinstance(got, ga.Array) and (got.shape, got.dtype) == (want.shape, want.dtype)
    near = {"rtol": 1e-4, "atol": 1e-5} if want.dtype == np.float32 else {"rtol": 1e-9}
    np.testing.assert_allclose(got.compute(), want, **near)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda x: np.max(x, where=x > 0.3), "give initial="),
        (lambda x: np.sum(x, where=x), "must be booleans"),
        (lambda x: np.min(x.astype("u1"), initial=-1), "out of bounds for uint8"),
        (lambda x: np.convolve(x, x), "two arrays of one axis"),
        (lambda x: np.convolve(x[0], x[1], "some"), "mode"),
        (lambda x: np.partition(x, 99), "kth=99 is out of bounds"),
        (lambda x: np.linalg.multi_dot([x]), "two arrays at least"),
        (lambda x: np.linalg.multi_dot([x, x[None], x]), "array 1 of multi_dot has 3 axes"),
    ],
)
def test_what_they_do_not_take_is_said(call, words):
    with pytest.raises((ValueError, TypeError, OverflowError), match=words):
        call(ga.from_array(A, chunks=20))
