"""Lazy text: what labels and coordinates are asked for is NumPy's, the rest is refused by name."""

import numpy as np
import pytest

import graticule
import graticule.array as ga

WORDS = np.array(["ab", "a", "", "abc", "ü", "zz", "Z", "b\0c", "ab", "sentinel-2a", "日本", "b"]).reshape(3, 4)
BYTES = np.array([b"x", b"yy", b"", b"yyz"])

SAME = {
    "itself": lambda x: x,
    "a row": lambda x: x[1],
    "an element": lambda x: x[1, -1],
    "steps": lambda x: x[::-1, 1::2],
    "an ellipsis": lambda x: x[..., 0],
    "a new axis": lambda x: x[:, None],
    "a list": lambda x: x[:, [3, 0, 0]],
    "points": lambda x: x[[0, 2], [1, 3]],
    "a mask": lambda x: x[np.array([True, False, True])],
    "transposed": lambda x: x.T,
    "moved": lambda x: np.moveaxis(x, 0, 1),
    "in another shape": lambda x: x.reshape(2, -1),
    "flat": lambda x: np.ravel(x),
    "flipped": lambda x: np.flip(x, 1),
    "rolled": lambda x: np.roll(x, 1, axis=0),
    "rolled flat": lambda x: np.roll(x, 5),
    "repeated": lambda x: np.repeat(x, 2, axis=1),
    "taken": lambda x: np.take(x, [2, 0], axis=0),
    "broadcast": lambda x: np.broadcast_to(x[0], (5, 4)),
    "squeezed": lambda x: np.squeeze(x[:1]),
    "joined": lambda x: np.concatenate([x, x[:1]]),
    "joined with wider ones": lambda x: np.concatenate([x, np.array([["something long"] * 4])], axis=0),
    "stacked": lambda x: np.stack([x, x[::-1]], axis=-1),
    "chosen": lambda x: np.where(np.arange(4) > 1, x, "other"),
    "wider": lambda x: x.astype("U20"),
    "cut": lambda x: x.astype("U1"),
    "equal": lambda x: x == "ab",
    "not equal": lambda x: x != x[:, :1],
    "before": lambda x: x < "b",
    "after": lambda x: x > x[0],
    "up to": lambda x: x <= "ab",
    "from": lambda x: "ab" <= x,
    "by a ufunc": lambda x: np.less(np.array(["abc"]), x),
    "in a list": lambda x: np.isin(x, ["ab", "zz", "nothing"]),
    "not in a list": lambda x: np.isin(x, ["ab"], invert=True),
    "in no list": lambda x: np.isin(x, []),
    "equal to a number": lambda x: x == 3,
    "not equal to bytes": lambda x: x != np.array([b"ab"] * 4),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("chunks", [2, (1, 3), -1])
def test_parts_places_and_comparisons_are_numpys(name, chunks, client, executed):
    got = SAME[name](ga.from_array(WORDS, chunks=chunks))
    want = SAME[name](WORDS)
    assert type(got) in (ga.Text, ga.Array) and got.shape == np.shape(want) and executed() == 0
    # A single text has the width of its own.
    assert got.dtype == np.asarray(want).dtype or not got.shape
    np.testing.assert_array_equal(np.asarray(got), want)


def test_bytes_are_text_too(client):
    x = ga.array(BYTES, chunks=2)
    assert x.dtype == np.dtype("S3") and x.chunks == ((2, 2),)
    assert x.compute().tolist() == BYTES.tolist()
    assert (x == b"yy").compute().tolist() == (BYTES == b"yy").tolist()
    assert ga.concatenate([x, BYTES[:1]]).compute().tolist() == [*BYTES.tolist(), b"x"]
    assert not np.asarray(x[:0]).size and np.asarray(ga.array(np.empty(3, "U0"))).tolist() == ["", "", ""]


def test_text_is_kept_computed_with_others_and_selects(client):
    x = ga.from_array(WORDS, chunks=2)
    kept = x.persist()
    numbers = ga.arange(12, chunks=5).reshape(3, 4)
    words, total = graticule.compute(kept, ga.where(kept == "ab", numbers, 0).sum())
    assert words.tolist() == WORDS.tolist() and total == 8
    assert kept[kept[:, 0] < "b"].compute().tolist() == WORDS[WORDS[:, 0] < "b"].tolist()
    assert np.array_equal(kept, WORDS) and not np.array_equal(kept, WORDS[::-1])
    assert kept.rechunk(3).chunks == ((3,), (3, 1)) and kept.rechunk({1: -1}).numblocks[1] == 1
    assert "U11" in repr(kept) and len(kept) == 3 and kept[2, 1].item() == "sentinel-2a"


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda x: x + "s", TypeError),
        (lambda x: np.add(x, x), TypeError),
        (lambda x: np.sort(x), TypeError),
        (lambda x: ga.sum(x), TypeError),
        (lambda x: ga.map_blocks(np.char.upper, x), TypeError),
        (lambda x: ga.argsort(x), TypeError),
        (lambda x: x < 3, TypeError),
        (lambda x: x.astype(float), NotImplementedError),
        (lambda x: x.transpose(0, 5), ValueError),
        (lambda x: np.isin(x, np.arange(300).astype(str)), NotImplementedError),
        (lambda x: ga.concatenate([x, np.zeros((1, 4))]), TypeError),
    ],
)
def test_what_text_does_not_do_is_said(call, error, client):
    with pytest.raises(error):
        call(ga.from_array(WORDS, chunks=2))


def test_text_is_not_written_and_nothing_is_left_of_the_try(client, tmp_path):
    x = ga.from_array(WORDS, chunks=2)
    target = np.empty(WORDS.shape, WORDS.dtype)
    for write in (
        lambda: ga.to_zarr(x, tmp_path / "x.zarr"),
        lambda: ga.store(x, target),
        lambda: ga.store([ga.ones(3), x], [np.empty(3), target]),
        lambda: ga.to_npy_stack(tmp_path / "stack", x),
    ):
        with pytest.raises(TypeError, match="text is not written"):
            write()
    assert not list(tmp_path.iterdir())
