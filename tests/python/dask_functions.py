"""The functions of `dask.array`, each as a call on small arrays that are NumPy's, Dask's or Graticule's.

Names that are not here are missing. A call is compared with NumPy where NumPy has a function of the name, else with Dask.
"""

import warnings

import numpy as np

#: By name: a function of a namespace (`numpy`, `dask.array`, `graticule.array`) and arrays.
CALLS = {}
#: Compared with Dask, for NumPy has no such function, or none that takes these arguments.
LIKE_DASK = set()
#: What computes when it is called, for shapes depend on the data.
EAGER = set()
#: What a function does beside making an array, in words for the table.
NOTES = {}


def _delayed(*args):
    import dask

    return dask.delayed(np.arange)(*args)


def arrays(rng):
    """Arrays of several dtypes and shapes; floats are multiples of 1/4, so that sums are exact whatever their order."""
    floats = rng.integers(-12, 12, (6, 8)) / 4
    square = rng.normal(size=(6, 6)) + 3 * np.eye(6)
    return {
        "x": floats,
        "y": rng.integers(1, 12, (6, 8)) / 4,
        "gaps": np.where(rng.random((6, 8)) < 0.2, np.nan, floats),
        "unit": rng.integers(-3, 4, (6, 8)) / 4,
        "i": rng.integers(0, 9, (6, 8)),
        "j": rng.integers(1, 5, (6, 8)),
        "b": rng.random((6, 8)) < 0.5,
        "v": rng.integers(0, 9, 12),
        "w": rng.integers(-12, 12, 12) / 4,
        "z": (floats + 1j * floats[::-1]),
        "t": rng.permutation(24).reshape(4, 6),
        "square": square,
        "definite": square @ square.T + np.eye(6),
        "tall": rng.normal(size=(24, 3)),
        "sides": rng.normal(size=(6, 2)),
    }


def calls(table, dask=False):
    for name, function in table.items():
        assert name not in CALLS, name
        CALLS[name] = function
        if dask:
            LIKE_DASK.add(name)


def of(*names, arrays):
    """Functions that are called with arrays alone."""

    def make(name):
        return lambda xp, a: getattr(xp, name)(*(getattr(a, one) for one in arrays.split()))

    calls({name: make(name) for name in names})


of(
    "abs", "absolute", "angle", "any", "all", "around", "ceil", "cbrt", "conj", "cos", "cosh", "deg2rad", "degrees", "exp", "exp2", "expm1", "fabs",
    "fix", "floor", "frexp", "imag", "isfinite", "isinf", "iscomplex", "isreal", "isneginf", "isposinf", "isnan", "logical_not", "max", "mean", "min",
    "modf", "nan_to_num", "nanmax", "nanmean", "nanmin", "nansum", "negative", "positive", "rad2deg", "radians", "ravel", "real", "rint", "round", "sign",
    "signbit", "sin", "sinc", "sinh", "spacing", "square", "std", "sum", "tan", "tanh", "trunc", "var", "ptp", "argmax", "argmin", "transpose",
    "fliplr", "flipud", "flip", "rot90", "diag", "diagonal", "trace", "tril", "triu", "atleast_1d", "atleast_2d", "atleast_3d", "cov", "corrcoef",
    "squeeze", "zeros_like", "ones_like", "array", "asarray", "asanyarray", "ndim", "shape", "ediff1d", "i0",
    arrays="x",
)
of("arccos", "arcsin", "arctan", "arctanh", "arcsinh", arrays="unit")
of("log", "log10", "log1p", "log2", "sqrt", "reciprocal", arrays="y")
of("nanargmax", "nanargmin", "nanmedian", "nanprod", "nanstd", "nanvar", arrays="gaps")
of("invert", "bitwise_not", "prod", "count_nonzero", arrays="i")
of(
    "add", "arctan2", "copysign", "divide", "equal", "floor_divide", "fmax", "fmin", "fmod", "greater", "greater_equal", "hypot", "isclose", "less",
    "less_equal", "logaddexp", "logaddexp2", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply", "nextafter", "not_equal",
    "remainder", "subtract", "true_divide", "divmod", "allclose", "result_type",
    arrays="x y",
)
of("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", arrays="i j")
of("float_power", "power", arrays="y y")
of("ldexp", arrays="x j")
of("vdot", arrays="w v")
of("outer", arrays="v w")
of("broadcast_arrays", arrays="x")

calls({
    "append": lambda xp, a: xp.append(a.x, a.y, axis=1), "arange": lambda xp, a: xp.arange(3, 17, 2), "arccosh": lambda xp, a: xp.arccosh(a.y + 1),
    "argwhere": lambda xp, a: xp.argwhere(a.b), "average": lambda xp, a: xp.average(a.x, axis=1, weights=a.y), "bincount": lambda xp, a: xp.bincount(a.v, minlength=9),
    "block": lambda xp, a: xp.block([[a.x, a.y], [a.y, a.x]]), "broadcast_to": lambda xp, a: xp.broadcast_to(a.x, (3, 6, 8)),
    "choose": lambda xp, a: xp.choose(a.j - 1, [a.x, a.y, a.i, a.x]), "clip": lambda xp, a: xp.clip(a.x, -1, 1),
    "compress": lambda xp, a: xp.compress(np.arange(8) % 3 == 0, a.x, axis=1), "concatenate": lambda xp, a: xp.concatenate([a.x, a.y]),
    "cumprod": lambda xp, a: xp.cumprod(a.j, axis=1), "cumsum": lambda xp, a: xp.cumsum(a.x, axis=0), "nancumsum": lambda xp, a: xp.nancumsum(a.gaps, axis=0),
    "nancumprod": lambda xp, a: xp.nancumprod(a.gaps, axis=1), "delete": lambda xp, a: xp.delete(a.x, [1, 3], axis=1), "diff": lambda xp, a: xp.diff(a.x, 2, axis=1),
    "digitize": lambda xp, a: xp.digitize(a.w, np.array([-1.0, 0.5, 2.0])), "dot": lambda xp, a: xp.dot(a.x, a.y.T), "dstack": lambda xp, a: xp.dstack([a.x, a.y]),
    "einsum": lambda xp, a: xp.einsum("ij,kj->ik", a.x, a.y), "expand_dims": lambda xp, a: xp.expand_dims(a.x, 1), "extract": lambda xp, a: xp.extract(a.b, a.x),
    "eye": lambda xp, a: xp.eye(6, M=8, k=1), "flatnonzero": lambda xp, a: xp.flatnonzero(a.b), "full": lambda xp, a: xp.full((4, 5), 7.5),
    "full_like": lambda xp, a: xp.full_like(a.x, 3), "gradient": lambda xp, a: xp.gradient(a.w), "histogram": lambda xp, a: xp.histogram(a.w, bins=[-3, -1, 0, 1, 4]),
    "histogram2d": lambda xp, a: xp.histogram2d(a.w, a.w * 2, bins=[[-3, 0, 3], [-7, 0, 7]]), "hstack": lambda xp, a: xp.hstack([a.x, a.y]),
    "indices": lambda xp, a: xp.indices((3, 4)), "insert": lambda xp, a: xp.insert(a.x, 2, 5.0, axis=1), "isin": lambda xp, a: xp.isin(a.i, [1, 3, 5]),
    "linspace": lambda xp, a: xp.linspace(0, 3, 13), "matmul": lambda xp, a: xp.matmul(a.x, a.y.T), "median": lambda xp, a: xp.median(a.x, axis=1),
    "meshgrid": lambda xp, a: xp.meshgrid(a.v, a.w), "moveaxis": lambda xp, a: xp.moveaxis(a.x, 0, 1), "nanpercentile": lambda xp, a: xp.nanpercentile(a.gaps, 30.0, axis=1),
    "nanquantile": lambda xp, a: xp.nanquantile(a.gaps, 0.3, axis=1), "nonzero": lambda xp, a: xp.nonzero(a.b), "ones": lambda xp, a: xp.ones((4, 5)),
    "pad": lambda xp, a: xp.pad(a.x, ((1, 2), (0, 3)), mode="reflect"), "piecewise": lambda xp, a: xp.piecewise(a.x, [a.x < 0, a.x >= 0], [-1, 1]),
    "quantile": lambda xp, a: xp.quantile(a.x, 0.25, axis=1), "ravel_multi_index": lambda xp, a: xp.ravel_multi_index(xp.stack([a.v, a.v]), (9, 9)),
    "repeat": lambda xp, a: xp.repeat(a.x, 2, axis=1), "reshape": lambda xp, a: xp.reshape(a.x, (4, 12)), "roll": lambda xp, a: xp.roll(a.x, 3, axis=1),
    "rollaxis": lambda xp, a: xp.rollaxis(a.x, 1), "searchsorted": lambda xp, a: xp.searchsorted(xp.cumsum(a.v, axis=0), a.w), "select": lambda xp, a: xp.select([a.x < -1, a.x > 1], [a.x, a.y], 9),
    "stack": lambda xp, a: xp.stack([a.x, a.y], axis=1), "swapaxes": lambda xp, a: xp.swapaxes(a.x, 0, 1), "take": lambda xp, a: xp.take(a.x, [3, 0, 3], axis=1),
    "tensordot": lambda xp, a: xp.tensordot(a.x, a.y, axes=((1,), (1,))), "tile": lambda xp, a: xp.tile(a.x, (2, 1)), "tri": lambda xp, a: xp.tri(4, 6, 1),
    "tril_indices": lambda xp, a: xp.tril_indices(4, 1), "triu_indices": lambda xp, a: xp.triu_indices(4, 1), "tril_indices_from": lambda xp, a: xp.tril_indices_from(a.x),
    "triu_indices_from": lambda xp, a: xp.triu_indices_from(a.x), "union1d": lambda xp, a: xp.union1d(a.v, a.v + 2), "unique": lambda xp, a: xp.unique(a.v),
    "unravel_index": lambda xp, a: xp.unravel_index(a.t, (4, 6)), "vstack": lambda xp, a: xp.vstack([a.x, a.y]), "where": lambda xp, a: xp.where(a.b, a.x, a.y),
    "zeros": lambda xp, a: xp.zeros((4, 5)), "apply_over_axes": lambda xp, a: xp.apply_over_axes(xp.sum, a.x, [0, 1]),
    "from_delayed": lambda xp, a: xp.stack([xp.from_delayed(_delayed(4, 7), (3,), dtype="i8") for _ in range(2)]),
    "apply_along_axis": lambda xp, a: xp.apply_along_axis(np.cumsum, 1, a.x), "fromfunction": lambda xp, a: xp.fromfunction(lambda i, j: i * 10 + j, (3, 4)),
    "histogramdd": lambda xp, a: xp.histogramdd(xp.stack([a.w, a.w * 2], axis=1), bins=[[-3, 0, 3], [-7, 0, 7]])[0],
})
calls({
    "argtopk": lambda xp, a: xp.argtopk(a.t, 3, axis=1), "topk": lambda xp, a: xp.topk(a.t, 3, axis=1), "coarsen": lambda xp, a: xp.coarsen(np.mean, a.x, {0: 2, 1: 4}),
    "isnull": lambda xp, a: xp.isnull(a.gaps), "notnull": lambda xp, a: xp.notnull(a.gaps), "moment": lambda xp, a: xp.moment(a.x, 3, axis=0),
    "push": lambda xp, a: xp.push(a.gaps, n=2, axis=1), "rechunk": lambda xp, a: xp.rechunk(a.x, (2, 3)), "reshape_blockwise": lambda xp, a: xp.reshape_blockwise(xp.rechunk(a.x, (-1, -1)), (48,)),
    "shuffle": lambda xp, a: xp.shuffle(a.x, [[1, 3], [0, 5, 2], [4]], axis=0), "percentile": lambda xp, a: xp.percentile(xp.rechunk(a.w, -1), 50.0, method="linear"),
    "empty": lambda xp, a: xp.empty((4, 5), chunks=2) * 0, "empty_like": lambda xp, a: xp.empty_like(a.i) * 0,
    "from_array": lambda xp, a: xp.from_array(np.arange(24).reshape(4, 6), chunks=(2, 3)), "unify_chunks": lambda xp, a: xp.unify_chunks(a.x, "ij", a.y, "ij")[1],
    "apply_gufunc": lambda xp, a: xp.apply_gufunc(lambda block: block.sum(axis=-1), "(i)->()", xp.rechunk(a.x, (2, -1)), output_dtypes=float),
    "as_gufunc": lambda xp, a: xp.as_gufunc(signature="(i)->()", output_dtypes=float)(of_last_axis)(xp.rechunk(a.x, (2, -1))),
    "blockwise": lambda xp, a: xp.blockwise(np.subtract, "ij", a.x, "ij", xp.rechunk(a.y, a.x.chunks), "ij", dtype=float), "map_blocks": lambda xp, a: xp.map_blocks(np.sqrt, a.y, dtype=float),
    "map_overlap": lambda xp, a: xp.map_overlap(shifted, xp.rechunk(a.x, (3, 4)), depth=1, boundary="reflect", dtype=float),
    "reduction": lambda xp, a: xp.reduction(a.x, np.sum, np.sum, axis=0, dtype=float), "compute": lambda xp, a: xp.compute(a.x, a.y),
    "store": lambda xp, a: stored(xp, a), "from_zarr": lambda xp, a: from_zarr(xp, a), "to_zarr": lambda xp, a: to_zarr(xp, a),
    "to_npy_stack": lambda xp, a: npy_stack(xp, a), "from_npy_stack": lambda xp, a: npy_stack(xp, a),
}, dask=True)



def rows(xp, x, columns=-1):
    """Cut along the rows alone, evenly."""
    return x if xp is np else x.rechunk((3, columns))


def product(xp, made):
    """What factors multiply to: signs and bases of the factors may differ."""
    made = list(made)
    if len(made) == 3 and made[1].ndim == 1:
        made[:2] = [made[0] * made[1]]
    for one in made[1:]:
        made[0] = xp.matmul(made[0], one)
    return made[0]


calls({
    "linalg.cholesky": lambda xp, a: xp.linalg.cholesky(rows(xp, a.definite, 3)), "linalg.inv": lambda xp, a: xp.linalg.inv(rows(xp, a.square, 3)),
    "linalg.lstsq": lambda xp, a: xp.linalg.lstsq(rows(xp, a.tall), rows(xp, a.tall)[:, 0])[0], "linalg.norm": lambda xp, a: xp.linalg.norm(a.x, axis=1),
    "linalg.qr": lambda xp, a: product(xp, xp.linalg.qr(rows(xp, a.tall))), "linalg.solve": lambda xp, a: xp.linalg.solve(rows(xp, a.square, 3), rows(xp, a.sides)),
    "linalg.svd": lambda xp, a: product(xp, xp.linalg.svd(rows(xp, a.tall), full_matrices=False)), "fft.fftfreq": lambda xp, a: xp.fft.fftfreq(9, 0.5),
    "fft.rfftfreq": lambda xp, a: xp.fft.rfftfreq(9, 0.5), "fft.fftshift": lambda xp, a: xp.fft.fftshift(a.x), "fft.ifftshift": lambda xp, a: xp.fft.ifftshift(a.x),
})
calls({
    "linalg.lu": lambda xp, a: product(xp, xp.linalg.lu(rows(xp, a.square, 3))), "linalg.sfqr": lambda xp, a: product(xp, xp.linalg.sfqr(a.x.rechunk((-1, (6, 2))))),
    "linalg.tsqr": lambda xp, a: product(xp, xp.linalg.tsqr(rows(xp, a.tall))),
    "linalg.solve_triangular": lambda xp, a: xp.linalg.solve_triangular(xp.tril(rows(xp, a.square, 3)), rows(xp, a.sides), lower=True),
    "linalg.svd_compressed": lambda xp, a: product(xp, xp.linalg.svd_compressed(rows(xp, a.tall), 3, n_power_iter=2, seed=1)),
}, dask=True)
calls({f"fft.{name}": lambda xp, a, name=name: getattr(xp.fft, name)(whole(xp, a.x), axis=1) for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")})
calls({f"fft.{name}": lambda xp, a, name=name: getattr(xp.fft, name)(whole(xp, a.x)) for name in ("fft2", "ifft2", "rfft2", "irfft2")})
calls({f"fft.{name}": lambda xp, a, name=name: getattr(xp.fft, name)(whole(xp, a.x), axes=(0, 1)) for name in ("fftn", "ifftn", "rfftn", "irfftn")})


def whole(xp, x):
    return x if xp is np else x.rechunk(-1)


#: Arguments of distributions. The numbers are other ones than NumPy's: dtype, shape and quartiles are compared.
DISTRIBUTIONS = {
    "exponential": (2.0,), "geometric": (0.02,), "gumbel": (1.0, 2.0), "laplace": (1.0, 2.0), "logistic": (1.0, 2.0), "lognormal": (0.5, 0.25), "normal": (3.0, 2.0),
    "beta": (2.0, 3.0), "binomial": (4000, 0.4), "chisquare": (9.0,), "f": (9.0, 30.0), "gamma": (3.0, 2.0), "logseries": (0.7,),
    "negative_binomial": (200, 0.3), "noncentral_chisquare": (9.0, 2.0), "noncentral_f": (9.0, 30.0, 2.0), "standard_gamma": (3.0,),
    "standard_t": (9.0,), "vonmises": (0.5, 4.0), "wald": (2.0, 3.0), "zipf": (5.0,), "pareto": (3.0,), "poisson": (400.0,), "power": (3.0,), "randint": (-500, 500), "random": (), "random_integers": (-500, 500), "random_sample": (), "rayleigh": (2.0,),
    "standard_cauchy": (), "standard_exponential": (), "standard_normal": (), "triangular": (-1.0, 0.5, 2.0), "uniform": (-1.0, 3.0), "weibull": (2.0,),
    "choice": (1000,), "hypergeometric": (3000, 5000, 2000),
}


def drawn(name):
    def quartiles(xp, a):
        chunks = {} if xp is np else {"chunks": (50, 300)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = getattr(xp.random, name)(*DISTRIBUTIONS[name], size=(200, 600), **chunks)
        assert made.shape == (200, 600)
        return Drawn(np.asarray(made))

    return quartiles


class Drawn:
    """Equal to another one of the same distribution, most probably."""

    def __init__(self, numbers):
        self.dtype, self.quartiles = numbers.dtype, np.quantile(numbers, [0.25, 0.5, 0.75])

    def __eq__(self, other):
        near = 0.03 * (other.quartiles[2] - other.quartiles[0]) + (self.dtype.kind in "iu")
        return self.dtype == other.dtype and np.all(np.abs(self.quartiles - other.quartiles) < near)


calls({f"random.{name}": drawn(name) for name in DISTRIBUTIONS})
calls({
    "random.multinomial": lambda xp, a: Drawn(np.asarray(xp.random.multinomial(40, [0.2, 0.3, 0.5], size=(200, 600)))),
    "random.permutation": lambda xp, a: np.sort(np.asarray(xp.random.permutation(24))),
    "random.default_rng": lambda xp, a: Drawn(np.asarray(xp.random.default_rng(3).normal(size=100_000))), "random.seed": lambda xp, a: repeated(xp),
})


def repeated(xp):
    xp.random.seed(7)
    first = np.asarray(xp.random.random(100))
    xp.random.seed(7)
    return bool(np.all(first == np.asarray(xp.random.random(100))))


EAGER |= {name for name in CALLS if name.startswith("random.")}
EAGER |= {
    "argwhere", "extract", "flatnonzero", "nonzero", "union1d", "unique", "compute", "store", "to_zarr", "to_npy_stack", "from_npy_stack", "from_zarr",
}
NOTES |= {name: "counts its result at once" for name in ("argwhere", "extract", "flatnonzero", "nonzero", "union1d", "unique")}
NOTES |= {
    "bincount": "computes the greatest number without `minlength`", "histogram": "computes the range without `range`", "to_zarr": "by the workers, each chunk where it is computed",
    "store": "Zarr in folders by the workers, else block by block into what can be assigned to", "empty": "zeros", "empty_like": "zeros", "compute": "as `graticule.compute`",
    "random.default_rng": "its numbers, and those below, are not NumPy's", "linalg.cholesky": "the lower factor as NumPy's, where Dask's is the upper one",
    "from_array": "what is no NumPy array is sliced by a Python function",
}


def of_last_axis(block):
    return block.max(axis=-1)


def shifted(block):
    return np.roll(block, 1, axis=1)


def stored(xp, a):
    target = np.zeros(a.x.shape)
    xp.store(a.x, target)
    return target


def from_zarr(xp, a):
    import zarr

    zarr.create_array(store=a.folder / "made", data=np.arange(24.0).reshape(4, 6), chunks=(2, 3))
    return xp.from_zarr(str(a.folder / "made"))


def to_zarr(xp, a):
    import zarr

    xp.to_zarr(xp.rechunk(a.x, (2, 3)), str(a.folder / "written"))
    return zarr.open_array(a.folder / "written")[:]


def npy_stack(xp, a):
    xp.to_npy_stack(str(a.folder / "stack"), xp.rechunk(a.x, (4, -1)), axis=0)
    return xp.from_npy_stack(str(a.folder / "stack"))
