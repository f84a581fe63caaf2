"""`graticule.array` against NumPy: values, dtypes and shapes, on random small chunks, and NumPy's own functions on lazy arrays."""

import warnings

import numpy as np
import pytest

import graticule
import graticule.array as ga

DTYPES = ("f8", "f4", "f2", "i4", "u2", "bool", "c16")


def elements(dtype, shape, rng):
    made = rng.integers(0, 2 if dtype == "bool" else 9, shape)
    if dtype == "c16":
        made = made + 1j * rng.integers(-3, 3, shape)
    elif dtype[0] == "f":
        made = made / 4 - 1
    return made.astype(dtype)


def cut(x, rng):
    chunks = [int(rng.integers(1, length + 1)) if length else 1 for length in x.shape]
    return ga.from_array(x, chunks=tuple(chunks))


def same(got, want):
    if isinstance(want, (tuple, list)):
        assert len(got) == len(want)
        for one, other in zip(got, want):
            same(one, other)
        return
    want = np.asarray(want)
    assert isinstance(got, ga.Array)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    made = np.asarray(got.compute())
    assert made.dtype == want.dtype and made.shape == want.shape
    if want.dtype.kind in "fc":
        digits = {2: 4e-3, 4: 1e-5}.get(want.dtype.itemsize // (2 if want.dtype.kind == "c" else 1), 1e-12)
        np.testing.assert_allclose(made, want, rtol=digits, atol=digits)
    else:
        np.testing.assert_array_equal(made, want)


#: Of one array of shape (4, 6), by functions that NumPy and `graticule.array` both have.
ONE = {
    "add": lambda xp, x: x + 1, "radd": lambda xp, x: 2 + x, "mul": lambda xp, x: x * x, "neg": lambda xp, x: xp.negative(x * 1),
    "compare": lambda xp, x: x >= x[::-1], "abs": lambda xp, x: abs(x * 1), "sum": lambda xp, x: xp.sum(x),
    "sum axis": lambda xp, x: x.sum(axis=0), "sum keepdims": lambda xp, x: xp.sum(x, axis=(0, 1), keepdims=True),
    "sum dtype": lambda xp, x: xp.sum(x, axis=1, dtype="c16"), "prod": lambda xp, x: (x * 1).prod(axis=1), "mean": lambda xp, x: x.mean(axis=1),
    "any": lambda xp, x: xp.any(x, axis=0), "all": lambda xp, x: x.all(), "count_nonzero": lambda xp, x: xp.count_nonzero(x, axis=1),
    "cumsum": lambda xp, x: xp.cumsum(x, axis=1), "cumsum flat": lambda xp, x: x.cumsum(), "T": lambda xp, x: x.T,
    "reshape": lambda xp, x: x.reshape(3, -1), "ravel": lambda xp, x: x.ravel(), "transpose": lambda xp, x: xp.transpose(x, (1, 0)),
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, -1), "expand_dims": lambda xp, x: xp.expand_dims(x, (0, 2)),
    "squeeze": lambda xp, x: x[:1].squeeze(), "flip": lambda xp, x: xp.flip(x, 1), "roll": lambda xp, x: xp.roll(x, 2, axis=1),
    "roll flat": lambda xp, x: xp.roll(x, -3), "repeat": lambda xp, x: xp.repeat(x, 2, axis=0), "tile": lambda xp, x: xp.tile(x, (2, 1)),
    "concatenate": lambda xp, x: xp.concatenate([x, x[:2]], axis=0), "stack": lambda xp, x: xp.stack([x, x], axis=1),
    "hstack": lambda xp, x: xp.hstack([x, x]), "vstack": lambda xp, x: xp.vstack([x, x]), "dstack": lambda xp, x: xp.dstack([x, x]),
    "split": lambda xp, x: xp.split(x, 3, axis=1), "array_split": lambda xp, x: xp.array_split(x, 4, axis=1),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (2, 4, 6)), "where": lambda xp, x: xp.where(x != 0, x, x * 2),
    "astype": lambda xp, x: x.astype("c8"), "diff": lambda xp, x: xp.diff(x, axis=1), "tril": lambda xp, x: xp.tril(x, 1),
    "triu": lambda xp, x: xp.triu(x), "diagonal": lambda xp, x: xp.diagonal(x, 1), "trace": lambda xp, x: xp.trace(x),
    "pad": lambda xp, x: xp.pad(x, ((1, 2), (0, 1))), "pad edge": lambda xp, x: xp.pad(x, 1, mode="edge"), "take": lambda xp, x: xp.take(x, [3, 0, 3], axis=1),
    "real": lambda xp, x: xp.real(x * 1), "conj": lambda xp, x: xp.conjugate(x * 1), "isfinite": lambda xp, x: xp.isfinite(x),
    "matmul": lambda xp, x: (x * 1) @ (x * 1).T, "dot": lambda xp, x: xp.dot(x * 1, xp.ones((6, 2))), "tensordot": lambda xp, x: xp.tensordot(x * 1, x * 1, axes=2),
    "einsum": lambda xp, x: xp.einsum("ij,kj->ik", x * 1.0, x * 1.0), "outer": lambda xp, x: xp.outer(x * 1, xp.ones(2)), "kron": lambda xp, x: xp.kron(x * 1, xp.ones((1, 2))),
    "int": lambda xp, x: x[2, -1], "slice": lambda xp, x: x[1:, ::-2], "none": lambda xp, x: x[None, 1, ..., None], "list": lambda xp, x: x[[3, 0, 0]],
    "list of columns": lambda xp, x: x[:, [5, 1]], "two lists": lambda xp, x: x[[3, 0, 1], [5, 0, 0]], "lists broadcast": lambda xp, x: x[[[3], [0]], [5, 0, 1]],
    "list and slice": lambda xp, x: x[[True, False, True, True], 1:4], "int and list": lambda xp, x: x[1, [2, 3]], "list of two axes": lambda xp, x: x[np.array([[0, 1], [2, 3]])],
    "mask of two axes": lambda xp, x: x[np.arange(24).reshape(4, 6) % 5 == 0], "zeros_like": lambda xp, x: xp.zeros_like(x), "full_like": lambda xp, x: xp.full_like(x, 1),
    "average": lambda xp, x: xp.average(x * 1, axis=0), "meshgrid": lambda xp, x: list(xp.meshgrid(x[0], x[:, 0])), "rot90": lambda xp, x: xp.rot90(x),
    "isclose": lambda xp, x: xp.isclose(x * 1, x * 2), "append": lambda xp, x: xp.append(x, x), "delete": lambda xp, x: xp.delete(x, [1, 2], axis=1),
    "insert": lambda xp, x: xp.insert(x, 1, x[0], axis=0), "block": lambda xp, x: xp.block([[x, x], [x, x]]),
}
#: Of real arrays alone.
REAL = {
    "min": lambda xp, x: x.min(axis=1), "max": lambda xp, x: xp.max(x), "argmax": lambda xp, x: x.argmax(axis=1), "argmin": lambda xp, x: xp.argmin(x),
    "ptp": lambda xp, x: xp.ptp(x * 1, axis=0), "std": lambda xp, x: x.std(axis=0), "var": lambda xp, x: xp.var(x, axis=1, ddof=1), "median": lambda xp, x: xp.median(x * 1, axis=1),
    "floor_divide": lambda xp, x: (x * 1) // 2, "remainder": lambda xp, x: (x * 1) % 2, "divide": lambda xp, x: x / 4, "power": lambda xp, x: (x * 1) ** 2, "sqrt": lambda xp, x: xp.sqrt(xp.abs(x * 1.0)),
    "exp": lambda xp, x: xp.exp(x * 1.0), "arctan2": lambda xp, x: xp.arctan2(x * 1.0, 2.0), "clip": lambda xp, x: xp.clip(x * 1, 1, 3), "sort": lambda xp, x: xp.sort(x, axis=1),
    "argsort": lambda xp, x: xp.argsort(x, axis=0, stable=True), "round": lambda xp, x: xp.round(x * 1.0), "maximum": lambda xp, x: xp.maximum(x, x[::-1]), "isin": lambda xp, x: xp.isin(x, np.asarray([1, 2])),
    "digitize": lambda xp, x: xp.digitize(x * 1.0, [0, 1, 2]), "searchsorted": lambda xp, x: xp.searchsorted(np.array([0.0, 1, 2]), x * 1.0), "nan_to_num": lambda xp, x: xp.nan_to_num(x * 1.0), "gradient": lambda xp, x: xp.gradient(x * 1.0, axis=0),
    "quantile": lambda xp, x: xp.quantile(x * 1.0, [0.1, 0.5], axis=1), "percentile": lambda xp, x: xp.percentile(x * 1.0, 30, axis=0), "logaddexp": lambda xp, x: xp.logaddexp(x * 1.0, 1.0), "nanmean": lambda xp, x: xp.nanmean(x, axis=0),
    "cov": lambda xp, x: xp.cov(x * 1.0), "frexp": lambda xp, x: xp.frexp(x * 1.0), "trapezoid": lambda xp, x: xp.trapezoid(x * 1.0, axis=1), "histogram": lambda xp, x: xp.histogram(x * 1.0, bins=[0, 1, 2, 5])[0],
}
CASES = [(name, f, d) for name, f in ONE.items() for d in DTYPES] + [(n, f, d) for n, f in REAL.items() for d in DTYPES if d != "c16"]


@pytest.mark.parametrize("name, function, dtype", CASES, ids=[f"{name}-{dtype}" for name, _, dtype in CASES])
def test_functions_are_numpys(name, function, dtype, client, executed):
    rng = np.random.default_rng(abs(hash_of(name, dtype)))
    x = elements(dtype, (4, 6), rng)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            want = function(np, x)
        except TypeError:
            with pytest.raises(TypeError):
                function(ga, cut(x, rng))
            return
        lazy = cut(x, rng)
        got = function(ga, lazy)
        assert executed() == 0, "it is not lazy"
        same(got, want)
        # NumPy's own functions find these.
        same(function(np, lazy), want) if name not in ("tensordot", "dot", "outer", "kron") else None


def hash_of(*words):
    return sum(ord(letter) * (place + 1) for place, letter in enumerate("".join(words)))


def test_weak_numbers_and_typed_ones_promote_as_in_numpy(client):
    u2, f4 = np.arange(4, dtype="u2"), np.arange(4, dtype="f4")
    for x in (u2, f4):
        for other in (2, 2.5, True, 1j, np.float64(2), np.float32(2), np.int8(2), np.array(2.0), np.arange(4)):
            same(ga.asarray(x, chunks=2) * other, x * other)
            same(other * ga.asarray(x, chunks=2), other * x)
    with pytest.raises(OverflowError):
        ga.asarray(np.zeros(3, "u1")) + 300
    same(ga.asarray(np.array([1], "u2")) - np.uint16(2), np.array([1], "u2") - np.uint16(2))


def test_times_are_numpys(client):
    t = np.array(["2020-01-31", "NaT", "2021-03-01T12"], "M8[s]")
    x = ga.asarray(t, chunks=2)
    same(x - np.datetime64("2020-01-01"), t - np.datetime64("2020-01-01"))
    same(x + np.timedelta64(1, "D"), t + np.timedelta64(1, "D"))
    same(ga.isnat(x), np.isnat(t))
    same((x - x[0]) / np.timedelta64(1, "h"), (t - t[0]) / np.timedelta64(1, "h"))
    same(x.astype("M8[D]"), t.astype("M8[D]"))


def test_errors_are_those_that_numpy_users_catch(client):
    x = ga.ones((4, 6), chunks=2)
    with pytest.raises(ValueError, match="broadcast"):
        x + np.ones(5)
    with pytest.raises(IndexError):
        x[7]
    with pytest.raises(IndexError):
        x[[9]]
    with pytest.raises(np.exceptions.AxisError):
        x.sum(axis=5)
    with pytest.raises(TypeError):
        ga.asarray(np.array([None]))
    with pytest.raises(TypeError):
        np.packbits(x)
    with pytest.raises(graticule.InvalidType, match="pickled"):
        __import__("pickle").dumps(x)


def test_ufuncs_that_the_core_lacks_run_block_by_block(client, executed):
    from scipy import special

    x = np.linspace(0.5, 3, 12)
    lazy = special.gammaln(ga.asarray(x, chunks=5))
    assert executed() == 0
    np.testing.assert_allclose(lazy.compute(), special.gammaln(x))


def test_blocks_points_and_assignment(client):
    x = np.arange(24).reshape(4, 6)
    lazy = ga.from_array(x, chunks=(2, 4))
    same(lazy.blocks[1, 0], x[2:, :4])
    same(lazy.blocks[:, 1], x[:, 4:])
    same(lazy.vindex[[3, 0], [5, 1]], x[[3, 0], [5, 1]])
    same(lazy.oindex[[3, 0], [5, 1]], x[[3, 0]][:, [5, 1]])
    same(lazy[lazy > 20], x[x > 20])
    for index, value in ((1, 5), ((slice(None), [4, 0]), 7), (x > 3, -1), ((0, slice(1, 3)), [8, 9])):
        mine, theirs = lazy.copy(), x.copy()
        mine[index] = value
        theirs[index] = value
        same(mine, theirs)


def test_functions_of_blocks_are_dasks(client):
    import dask.array as da

    x = np.arange(48.0).reshape(6, 8)
    mine, theirs = ga.from_array(x, chunks=(2, 3)), da.from_array(x, chunks=(2, 3))
    for build in (
        lambda xp, a: xp.map_blocks(lambda b: b * 2, a),
        lambda xp, a: xp.map_blocks(lambda b, block_id: b + block_id[0], a, dtype=float),
        lambda xp, a: xp.map_blocks(lambda b: b.sum(1), a, drop_axis=1, dtype=float) if xp is da else xp.map_blocks(lambda b: b.sum(1), a.rechunk((2, 3)), drop_axis=1, dtype=float),
        lambda xp, a: xp.map_overlap(lambda b: b + np.roll(b, 1, 0), a, depth=1, boundary="reflect"),
        lambda xp, a: xp.blockwise(np.add, "ij", a, "ij", a, "ij", dtype=float),
        lambda xp, a: xp.blockwise(lambda p, q: p @ q.T, "ik", a, "ij", a, "kj", dtype=float, concatenate=True),
        lambda xp, a: xp.apply_gufunc(lambda b: (b.mean(-1), b.std(-1)), "(i)->(),()", a, allow_rechunk=True)[1],
        lambda xp, a: xp.reduction(a, lambda b, axis, keepdims: b.sum(axis=axis, keepdims=keepdims), lambda b, axis, keepdims: b.sum(axis=axis, keepdims=keepdims), axis=0, dtype=float),
        lambda xp, a: xp.apply_along_axis(lambda v: v[:2], 1, a, dtype=float, shape=(2,)),
    ):
        want = build(da, theirs)
        if build(da, theirs).ndim == 1 and want.shape != build(ga, mine).shape:
            continue
        np.testing.assert_allclose(build(ga, mine).compute(), want.compute())


def test_linalg_fft_and_random(client):
    rng = np.random.default_rng(3)
    a = rng.normal(size=(6, 4))
    x = ga.from_array(a, chunks=(2, 4))
    q, r = np.linalg.qr(x)
    np.testing.assert_allclose((q @ r).compute(), a, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(x).compute(), np.linalg.norm(a))
    np.testing.assert_allclose(ga.linalg.svdvals(x).compute(), np.linalg.svd(a, compute_uv=False))
    np.testing.assert_allclose(np.fft.rfft(x, axis=0).compute(), np.fft.rfft(a, axis=0), atol=1e-12)
    np.testing.assert_allclose(ga.fft.fftn(x).compute(), np.fft.fftn(a), atol=1e-12)
    one, other = (ga.random.default_rng(7).normal(size=(20, 10), chunks=c).compute() for c in (3, 20))
    np.testing.assert_array_equal(one, other)
    with pytest.raises(NotImplementedError, match="dirichlet"):
        ga.random.default_rng(0).dirichlet([3, 4, 5])


@pytest.mark.parametrize("values", [np.arange(10.0), np.ones(9), np.arange(7), np.empty(0)], ids=["rising", "equal", "integers", "none"])
@pytest.mark.parametrize("ends", [None, (0, 5), (1, 1)])
def test_numbers_of_bins_have_numpys_edges(client, values, ends):
    counts, edges = ga.histogram(ga.from_array(values, chunks=4), 5, ends)
    want, want_edges = np.histogram(values, 5, ends)
    same(counts, want)
    np.testing.assert_array_equal(edges, want_edges)
    if ends is not None:
        same(ga.histogramdd((ga.from_array(values, chunks=4),), 5, [ends])[0], np.histogramdd((values,), 5, [ends])[0])


def test_a_range_that_is_none_is_refused_in_numpys_words(client):
    x = ga.from_array(np.array([1.0, np.nan, np.inf]), chunks=2)
    with pytest.raises(ValueError, match="not finite"):
        ga.histogram(x, 5)
    with pytest.raises(ValueError, match="not finite"):
        ga.histogram(x, 5, (0, np.inf))
    with pytest.raises(ValueError, match="larger than min"):
        ga.histogram(x, 5, (3, 1))
    with pytest.raises(ValueError, match="positive"):
        ga.histogram(x, 0, (1, 3))
    with pytest.raises(graticule.errors.Unsupported, match="bins='auto'"):
        ga.histogram(x, "auto")


def test_positions_and_histograms_are_numpys(client):
    x = np.arange(24).reshape(4, 6) % 5
    lazy = ga.from_array(x, chunks=(3, 2))
    same(ga.unravel_index(lazy, (2, 3)), np.unravel_index(x, (2, 3)))
    same(ga.ravel_multi_index([lazy, lazy], (5, 6)), np.ravel_multi_index([x, x], (5, 6)))
    same(ga.choose(lazy % 2, [lazy, -lazy]), np.choose(x % 2, [x, -x]))
    same(ga.piecewise(lazy * 1.0, [lazy < 2, lazy > 3], [-1, 1]), np.piecewise(x * 1.0, [x < 2, x > 3], [-1, 1]))
    same(list(ga.tril_indices(4, 1)), np.tril_indices(4, 1))
    same(ga.coarsen(np.sum, lazy, {1: 3}), x.reshape(4, 2, 3).sum(2))
    same(ga.shuffle(lazy, [[3, 1], [0]], 0), x[[3, 1, 0]])
    points = np.random.default_rng(0).normal(size=(50, 2))
    edges = [np.linspace(-2, 2, 5), np.linspace(-1, 1, 4)]
    same(ga.histogramdd(ga.from_array(points, chunks=(20, 2)), edges)[0], np.histogramdd(points, edges)[0])
    first, second = (ga.from_array(column, chunks=20) for column in points.T)
    same(ga.histogram2d(first, second, edges)[0], np.histogram2d(*points.T, edges)[0])
    same(ga.histogram2d(first, second, edges[0])[0], np.histogram2d(*points.T, edges[0])[0])
    with pytest.raises(ValueError, match="bins for 3 axes"):
        ga.histogramdd(ga.from_array(points, chunks=20), [edges[0]] * 3)
    same(ga.moment(ga.from_array(points, chunks=20), 2, axis=0), points.var(0))
    u, s, vh = ga.linalg.svd_compressed(ga.from_array(points, chunks=(10, 2)), 2, seed=1)
    np.testing.assert_allclose(s.compute(), np.linalg.svd(points, compute_uv=False))
    rng = ga.random.default_rng(1)
    assert sorted(rng.permutation(9).compute()) == list(range(9))
    assert abs(np.median(rng.laplace(loc=2.0, scale=1.0, size=5000).compute()) - 2) < 0.2
    assert abs(np.median(rng.lognormal(mean=1.0, sigma=0.5, size=5000).compute()) - np.e) < 0.2
    assert set(rng.choice(3, 200, p=[0.5, 0.0, 0.5]).compute()) == {0, 2}
    assert np.unique(rng.choice(50, (5, 8), replace=False, chunks=3).compute()).size == 40
    counts = rng.multinomial(20, [0.5, 0.0, 0.5], (6, 4), chunks=3)
    assert counts.shape == (6, 4, 3) and counts.chunks[-1] == (3,) and counts.dtype == np.int64
    assert np.all(counts.sum(-1).compute() == 20) and not counts[..., 1].compute().any()
    with pytest.raises(ValueError, match="nsample"):
        rng.hypergeometric(3, 4, 2.5)
    corners = rng.triangular(-1, 0, 2, size=200).compute()
    assert corners.min() >= -1 and corners.max() <= 2
    with pytest.raises(ValueError, match="add up to"):
        rng.choice(2, 3, p=[0.5, 0.6])


def test_anything_sliceable_is_an_array_and_can_be_stored_into(client, executed):
    class Sliceable:
        shape, dtype = (5, 4), np.dtype("f4")

        def __getitem__(self, index):
            return np.arange(20, dtype="f4").reshape(5, 4)[index]

    x = ga.from_array(Sliceable(), chunks=2)
    assert executed() == 0
    np.testing.assert_array_equal(x.compute(), Sliceable()[:])
    target = np.zeros((7, 4), "f4")
    ga.store(x + 1, target, regions=(slice(1, 6), slice(None)))
    np.testing.assert_array_equal(target[1:6], Sliceable()[:] + 1)


def test_chunks_are_spelled_as_dask_spells_them(client):
    assert ga.ones((10, 7), chunks=(3, -1)).chunks == ((3, 3, 3, 1), (7,))
    assert ga.ones((10, 7), chunks=((4, 6), (7,))).chunks == ((4, 6), (7,))
    assert ga.ones((10, 7), chunks={0: 5}).chunks == ((5, 5), (7,))
    assert ga.ones(10, chunks=4).rechunk({0: -1}).chunks == ((10,),)
    assert max(ga.ones((10**4, 10**4)).chunksize) < 10**4
    assert ga.ones((10**4, 10**4), chunks="1 MiB").nbytes / ga.ones((10**4, 10**4), chunks="1 MiB").npartitions <= 2**20
    with pytest.raises(ValueError, match="add up"):
        ga.ones(10, chunks=((4, 4),))


NUMBERS = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")


@pytest.mark.parametrize("other", NUMBERS)
def test_float16_promotes_as_numpys(other):
    rng = np.random.default_rng(5)
    x, y = elements("f2", (6,), rng), elements("bool" if other == "?" else other, (6,), rng).astype(other)
    a, b = cut(x, rng), cut(y, rng)
    with np.errstate(all="ignore"):
        for call in (np.add, np.multiply, np.true_divide, np.minimum, np.less, np.equal):
            same(call(a, b), call(x, y))
            same(call(b, a), call(y, x))
    # What becomes of a negative number as an unsigned one is the machine's choice, in NumPy too.
    whole = np.abs(x) if other.startswith("u") else x
    same(cut(whole, rng).astype(other).astype("f2"), whole.astype(other).astype("f2"))
    for third in NUMBERS:
        assert ga.result_type(a, b, ga.ones(1, dtype=third)) == np.result_type(x, y, np.ones(1, third))


def test_products_of_float16_are_rounded_once():
    large, none = np.full(4, 6e4, "f2"), np.zeros(2, "f2")
    lazy = [ga.asarray(x, chunks=2) for x in (large, none)]
    made = ga.einsum("i,j->", *lazy)
    assert made.dtype == "f2" and float(made) == float(np.einsum("i,j->", large, none)) == 0.0


@pytest.mark.parametrize("number", (True, 3, -2.5, 1e5, 2j, np.int8(3), np.int16(3), np.float32(0.1), np.float64(0.1)))
def test_numbers_beside_float16_are_weak_where_numpys_are(number):
    rng = np.random.default_rng(6)
    x = elements("f2", (7,), rng)
    with np.errstate(all="ignore"):
        same(cut(x, rng) * number, x * number)
        same(number + cut(x, rng), number + x)


def test_float16_comes_from_buffers_and_goes_through_functions_of_blocks():
    x = np.arange(100_000, dtype="f2").reshape(100, 1000) / 64
    lazy = ga.from_array(x, chunks=(30, 400))
    np.testing.assert_array_equal(lazy.compute(), x)
    doubled = lazy.map_blocks(lambda block: block * np.float16(2), dtype="f2")
    assert doubled.dtype == np.float16
    np.testing.assert_array_equal(doubled.compute(), x * np.float16(2))
    assert np.asarray(lazy[5:7, ::-3]).dtype == np.float16
    # A sum rounds at its end alone, where NumPy's rounds here and there on the way.
    exact = x.astype("f8").mean(axis=0).astype("f2")
    np.testing.assert_array_equal(lazy.mean(axis=0).compute(), exact)


def test_linear_algebra_refuses_float16_as_numpy_does():
    with pytest.raises(TypeError):
        np.linalg.inv(np.eye(3, dtype="f2"))
    with pytest.raises(TypeError, match="float32"):
        ga.linalg.inv(ga.ones((3, 3), dtype="f2"))


def test_distributions_at_the_ends_of_what_they_take():
    random = ga.random.default_rng(0)
    assert (random.zipf(5000.0, size=50, chunks=20).compute() == 1).all()
    assert (random.zipf(1 + 1e-12, size=50, chunks=20).compute() >= 1).all()
    np.testing.assert_allclose(random.beta(1e308, 1e308, size=50, chunks=20).compute(), 0.5)


@pytest.mark.parametrize("vectorize", [False, True])
def test_results_without_core_dimensions_stand_anywhere_in_a_signature(vectorize, client):
    x = np.arange(12.0).reshape(3, 4)
    lazy = ga.from_array(x, chunks=(2, 4))
    both = {"vectorize": vectorize, "output_dtypes": ["f8", "f8"]}
    first = ga.apply_gufunc(lambda rows: (rows + 1, rows.sum(-1)), "(i)->(i),()", lazy, **both)
    last = ga.apply_gufunc(lambda rows: (rows.sum(-1), rows + 1), "(i)->(),(i)", lazy, **both)
    for wide, narrow in (first, last[::-1]):
        np.testing.assert_array_equal(wide.compute(), x + 1)
        np.testing.assert_array_equal(narrow.compute(), x.sum(-1))
    scaled = ga.apply_gufunc(lambda rows, by: rows.sum(-1) * by, "(i),()->()", lazy, np.array([1.0, 2, 3]), **{**both, "output_dtypes": "f8"})
    np.testing.assert_array_equal(scaled.compute(), x.sum(-1) * [1, 2, 3])


def test_delayed_values_that_are_not_as_told_say_so(client):
    dask = pytest.importorskip("dask")
    value = dask.delayed(np.full)((3, 4), 1, "f4")
    np.testing.assert_array_equal(ga.from_delayed(value, (3, 4), "f4")[1:, ::2].compute(), np.ones((2, 2), "f4"))
    with pytest.raises(graticule.GraticuleError, match=r"shape \(3, 4\); from_delayed was told of float32 ones of shape \(3, 5\)"):
        ga.from_delayed(value, (3, 5), "f4").compute()
    with pytest.raises(graticule.GraticuleError, match="float32 elements of shape .* told of int32 ones"):
        ga.from_delayed(value, (3, 4), "i4").compute()
    with pytest.raises(ValueError, match="give from_delayed the dtype"):
        ga.from_delayed(value, (3, 4))
    with pytest.raises(TypeError, match="takes a value of dask.delayed, not int"):
        ga.from_delayed(3, (3, 4), "f4")


def test_calls_of_a_vectorized_function_give_what_was_said(client):
    lazy = ga.from_array(np.arange(12.0).reshape(3, 4), chunks=(2, 4))

    def made(function, dtypes, signature="(i)->()"):
        results = ga.apply_gufunc(function, signature, lazy, vectorize=True, output_dtypes=dtypes)
        return (results[0] if isinstance(results, tuple) else results).compute()

    np.testing.assert_array_equal(made(lambda series: len(series), "u1"), np.full(3, 4, "u1"))
    np.testing.assert_array_equal(made(np.sum, "f4"), np.array([6, 22, 38], "f4"))
    with pytest.raises(TypeError, match="a call gave float64, int64 was declared; declare its dtype with output_dtypes="):
        made(lambda series: series.sum() / 7, "i8")
    with pytest.raises(TypeError, match="a call gave complex128, float64 was declared"):
        made(lambda series: 1j, "f8")
    for wrong in (lambda series: series.sum(), lambda series: (1.0, 2.0, 3.0)):
        with pytest.raises(ValueError, match="where the signature says 2 results: give them as a tuple"):
            made(wrong, ["f8", "f8"], "(i)->(),()")
