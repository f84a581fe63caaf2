"""`graticule.array_api` against NumPy on small chunks, and what the standard wants raised.

The whole suite of data-apis is run by `cargo xtask conformance array-api PATH`.
"""

import numpy as np
import pytest

import graticule.array as ga
import graticule.array_api as xp
from graticule.errors import InvalidIndex, InvalidType, InvalidValue, OutOfBounds


@pytest.fixture(autouse=True)
def chunks_of_two_and_three(client, monkeypatch):
    monkeypatch.setattr("graticule.array_api._creation._FORCED", [2, 3])


def elements(dtype, shape=(5, 7), seed=0):
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 2 if dtype == xp.bool else 9, shape)
    if dtype.kind == "c":
        made = made / 4 + 1j * rng.integers(-3, 3, shape)
    return (made / 4 - 1 if dtype.kind == "f" else made).astype(dtype)


def same(got, want):
    assert isinstance(got, xp.Array) and got.shape == want.shape and got.dtype == want.dtype
    if want.dtype.kind in "fc":
        digits = 1e-5 if want.dtype in (np.float32, np.complex64) else 1e-12
        np.testing.assert_allclose(np.asarray(got), want, rtol=digits, atol=digits)
    else:
        np.testing.assert_array_equal(np.asarray(got), want)


#: Functions that NumPy has under the same names, of an array of any numeric dtype.
ONE = {
    "add": lambda xp, x: xp.add(x, x), "scalar": lambda xp, x: x * 2 + x, "equal": lambda xp, x: x == x[::-1, :], "sum": lambda xp, x: xp.sum(x),
    "sum axis": lambda xp, x: xp.sum(x, axis=(0, 1), keepdims=True), "prod": lambda xp, x: xp.prod(x, axis=1), "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=1),
    "initial": lambda xp, x: xp.cumulative_prod(x, axis=0, include_initial=True), "reshape": lambda xp, x: xp.reshape(x, (7, 5)), "mT": lambda xp, x: x.mT,
    "permute": lambda xp, x: xp.permute_dims(x, (-1, 0)), "concat": lambda xp, x: xp.concat([x, x], axis=1), "stack": lambda xp, x: xp.stack([x, x], axis=-1),
    "roll": lambda xp, x: xp.roll(x, (2, -10**20), axis=(0, 1)) if xp is not np else np.roll(x, (2, -(10**20 % 7)), axis=(0, 1)), "tile": lambda xp, x: xp.tile(x, (2, 1, 2)),
    "repeat": lambda xp, x: xp.repeat(x, 3, axis=1), "flip": lambda xp, x: xp.flip(x), "take": lambda xp, x: xp.take(x, xp.asarray([3, 0, -1]), axis=1),
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, xp.asarray([[0, 2, 4]]), axis=1), "matmul": lambda xp, x: x @ x.mT, "tensordot": lambda xp, x: xp.tensordot(x, x, axes=2),
    "vecdot": lambda xp, x: xp.vecdot(x, x), "outer": lambda xp, x: xp.linalg.outer(x[0, :], x[:, 1]), "trace": lambda xp, x: xp.linalg.trace(x, offset=1), "diff": lambda xp, x: xp.diff(x, axis=0),
    "slice": lambda xp, x: x[1:, ::-2], "newaxis": lambda xp, x: x[None, 2, ...], "list": lambda xp, x: x[xp.asarray([4, 0]), xp.asarray([[1], [2]])], "mask": lambda xp, x: x[x == x],
    "where": lambda xp, x: xp.where(x == x[:1, :], x, x + x), "tril": lambda xp, x: xp.tril(x, k=-1), "count_nonzero": lambda xp, x: xp.count_nonzero(x, axis=0),
    "unique_values": lambda xp, x: xp.unique_values(x), "nonzero": lambda xp, x: xp.nonzero(x)[1], "all": lambda xp, x: xp.all(x, axis=1), "square": lambda xp, x: xp.square(x), "isin": lambda xp, x: xp.isin(x, x[0, :2]),
}
NUMBERS = [dtype for dtype in xp.__array_namespace_info__().dtypes(kind="numeric").values()]


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("name", ONE)
def test_functions_are_numpys(name, dtype):
    x = elements(dtype)
    want = np.asarray(ONE[name](np, x))
    got = ONE[name](xp, xp.asarray(x))
    if name == "unique_values":
        want = np.sort(want)
    same(got, want)


@pytest.mark.parametrize("dtype", [xp.float32, xp.float64, xp.complex64, xp.complex128], ids=str)
def test_factors_of_stacks_multiply_to_the_matrices(dtype):
    x = elements(dtype, (2, 3, 3)) + 4 * np.eye(3, dtype=dtype)
    lazy = xp.asarray(x)
    u, s, vh = xp.linalg.svd(lazy)
    same(xp.matmul(u * xp.astype(s, dtype)[:, None, :], vh), x)
    q, r = xp.linalg.qr(lazy)
    same(q @ r, x)
    same(xp.linalg.inv(lazy) @ lazy, np.broadcast_to(np.eye(3, dtype=dtype), x.shape))
    same(xp.linalg.pinv(lazy) @ lazy, np.broadcast_to(np.eye(3, dtype=dtype), x.shape))
    same(lazy @ xp.linalg.solve(lazy, lazy), x)
    same(xp.linalg.det(lazy), np.linalg.det(x))
    same(xp.fft.ifft(xp.fft.fft(xp.astype(lazy, xp.complex128))), x.astype("c16"))


def test_nothing_is_computed_before_it_must_be(executed):
    x = xp.asarray(elements(xp.float64))
    y = xp.linalg.pinv(xp.clip(x, -1, 1)) @ xp.floor_divide(x, 2.0)
    xp.std(y, correction=0.5), xp.expm1(y), repr(y), xp.take(y, xp.asarray([1, 0]), axis=0)
    assert executed() == 0


@pytest.mark.parametrize(
    "first, second",
    [("bool", "int8"), ("int32", "float32"), ("uint64", "int8"), ("uint8", "complex64"), ("bool", "float64")],
)
def test_dtypes_of_different_kinds_do_not_meet(first, second):
    x, y = xp.ones((2, 2), dtype=first), xp.ones((2, 2), dtype=second)
    for function in (xp.add, xp.equal, xp.result_type, lambda a, b: xp.concat([a, b]), lambda a, b: xp.where(a == a, a, b)):
        with pytest.raises(InvalidType, match="astype|booleans|numeric"):
            function(x, y)
    assert not xp.can_cast(first, second)


def test_numbers_of_python_take_the_dtype_of_the_array():
    assert (xp.ones(3, dtype=xp.float32) * 2.5).dtype == xp.float32
    assert (1 - xp.ones(3, dtype=xp.int8)).dtype == xp.int8
    assert (xp.ones(3, dtype=xp.complex64) + 1).dtype == xp.complex64
    for dtype, number in (("int8", 1.5), ("int8", True), ("float32", 1j), ("bool", 1)):
        with pytest.raises(InvalidType):
            xp.ones(3, dtype=dtype) + number
    with pytest.raises(OutOfBounds):
        xp.ones(3, dtype=xp.uint8) + 300
    with pytest.raises(OutOfBounds):
        xp.asarray(2**63)


def test_wrong_arguments_raise_typed_errors_and_compute_nothing(executed):
    x = xp.asarray(elements(xp.float64))
    wrong = [
        (InvalidType, lambda: xp.add(1, 2)), (TypeError, lambda: x + np.ones((5, 7))), (InvalidType, lambda: xp.sin(xp.asarray([1, 2]))),
        (InvalidType, lambda: xp.bitwise_and(x, x)), (InvalidType, lambda: xp.sum(xp.asarray([True]))), (InvalidType, lambda: xp.astype(x + 0, "U3")),
        (InvalidType, lambda: xp.astype(xp.astype(x, xp.complex64), xp.float32)), (InvalidType, lambda: float(x)), (InvalidValue, lambda: x[0, :].T),
        (InvalidIndex, lambda: x[0]), (InvalidIndex, lambda: x[1.0, 2]), (IndexError, lambda: x[9, 0]), (ValueError, lambda: xp.reshape(x, (3, 4))), (ValueError, lambda: xp.squeeze(x, 0)),
        (IndexError, lambda: xp.expand_dims(x, 9)), (ValueError, lambda: xp.ones((2, -1))), (InvalidValue, lambda: xp.ones(3, device="gpu")), (InvalidValue, lambda: x.__array_namespace__(api_version="1999.01")),
        (ValueError, lambda: xp.cumulative_sum(x)), (ValueError, lambda: xp.nonzero(xp.asarray(3))), (InvalidValue, lambda: xp.asarray([1, 2], copy=False)), (ValueError, lambda: xp.linalg.inv(x)),
    ]
    for error, call in wrong:
        with pytest.raises(error):
            call()
    with pytest.raises(InvalidType, match="in place"):
        y = xp.ones((2, 1), dtype=xp.float32)
        y += xp.ones((2, 3), dtype=xp.float32)
    assert executed() == 0


def test_what_numpy_leaves_undefined_is_the_standards():
    inf = xp.inf
    x, y = xp.asarray([inf, -inf, 1.0, -1.0, 7.0]), xp.asarray([2.0, 3.0, -inf, inf, 2.0])
    got = np.asarray(x // y)
    np.testing.assert_array_equal(got, [inf, -inf, 0, 0, 3])
    assert np.signbit(got[2]) and np.signbit(got[3])
    z = np.asarray(xp.expm1(xp.asarray([complex(inf, 0), complex(-inf, xp.nan), 1 + 1j])))
    np.testing.assert_array_equal(z[:2], [complex(inf, 0), -1])
    np.testing.assert_allclose(z[2], np.expm1(1 + 1j))
    assert np.asarray(xp.tanh(xp.asarray(complex(inf, 2))))[()].imag == 0.0


def test_assignment_changes_this_array_alone():
    x = xp.asarray(elements(xp.int16))
    y, z = xp.asarray(x, copy=True), xp.asarray(x, copy=False)
    x[1, ::2] = -4
    x[x > 6] = 0
    want = elements(xp.int16)
    same(y, want)
    want[1, ::2] = -4
    want[want > 6] = 0
    same(x, want)
    same(z, want)
    x += xp.asarray(1, dtype=xp.int16)
    same(z, want + 1)
    with pytest.raises(InvalidType):
        x[0, 0] = xp.asarray(1.5)


def test_masks_of_fewer_axes_and_of_none():
    x = elements(xp.float64)
    lazy = xp.asarray(x)
    same(lazy[xp.asarray([True, False, True, True, False])], x[[0, 2, 3]])
    same(lazy[xp.asarray(True)], x[None])
    same(lazy[xp.asarray(False)], x[None][:0])
    with pytest.raises(InvalidIndex):
        lazy[xp.asarray([True, False])]


def test_other_libraries_take_the_elements():
    x = elements(xp.float32)
    lazy = xp.asarray(x)
    np.testing.assert_array_equal(np.from_dlpack(lazy), x)
    same(xp.from_dlpack(x), x)
    same(xp.from_dlpack(lazy), x)
    assert lazy.__dlpack_device__() == (1, 0) and lazy.device == "cpu" and lazy.to_device("cpu") is lazy
    assert lazy.__array_namespace__(api_version="2025.12") is xp
    assert isinstance(lazy.lazy, ga.Array)
    same(xp.asarray(lazy.lazy), x)
    assert lazy.chunks == ((2, 2, 1), (3, 3, 1))


def test_unique_elements_come_with_their_names():
    x = np.asarray([[3.0, 1.0, np.nan], [1.0, np.nan, 3.0]])
    found = xp.unique_all(xp.asarray(x))
    values, counts = np.asarray(found.values), np.asarray(found.counts)
    assert np.isnan(values).sum() == 2 and sorted(values[~np.isnan(values)].tolist()) == [1.0, 3.0]
    assert counts[np.isnan(values)].tolist() == [1, 1] and counts.sum() == 6
    np.testing.assert_array_equal(values[np.asarray(found.inverse_indices)], x)
    np.testing.assert_array_equal(x.reshape(-1)[np.asarray(found.indices)], values)


def test_integers_that_a_float_does_not_hold_stay_exact():
    np.testing.assert_array_equal(np.asarray(xp.arange(2**62 + 1, 2**62 + 20, 3)), np.arange(2**62 + 1, 2**62 + 20, 3))
    assert int(xp.full((), 2**64 - 1, dtype=xp.uint64)) == 2**64 - 1
    assert int(xp.sum(xp.asarray([2**53, 1]))) == 2**53 + 1


def test_the_namespace_has_nothing_but_the_standard():
    info = xp.__array_namespace_info__()
    assert info.capabilities()["boolean indexing"] and info.devices() == ("cpu",)
    assert set(info.dtypes(kind="integral")) == {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    assert all(hasattr(xp, name) for name in xp.__all__)
    assert {"e", "inf", "nan", "newaxis", "pi"} <= set(xp.__all__)


def test_a_client_computes_and_keeps_them(client):
    x = xp.asarray([1.0, 2.0, 3.0])
    computed, both = client.compute(x + 1, [x])
    assert type(computed) is np.ndarray and computed.tolist() == [2, 3, 4]
    assert both[0].tolist() == [1, 2, 3]
    kept = client.persist(x * 2)
    assert type(kept) is type(x) and (kept + 1).lazy.compute().tolist() == [3, 5, 7]
