"""What all lazy arrays are asked for, of numbers or of text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._client import default_client
from ..errors import InvalidType, InvalidValue


class Lazy:
    """A lazy array that knows shape, dtype and chunks, and computes when it is asked for its elements."""

    __slots__ = ()

    shape: tuple[int, ...]
    dtype: np.dtype
    numblocks: tuple[int, ...]
    chunksize: tuple[int, ...]

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def npartitions(self) -> int:
        return math.prod(self.numblocks)

    def __repr__(self) -> str:
        return f"graticule.array<shape={self.shape}, dtype={self.dtype}, chunksize={self.chunksize}>"

    def __len__(self) -> int:
        if not self.shape:
            raise InvalidType("len() of an array without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError

    def compute(self, *, allow_large: bool = False, **_: Any) -> Any:
        """The elements, computed by the default client; of an array without axes a NumPy scalar."""
        elements = default_client().compute(self, allow_large=allow_large)
        return elements[()] if elements.ndim == 0 else elements

    def persist(self, **_: Any) -> Any:
        """The same array, computed and kept in the cluster as long as it, or what is made of it, lives."""
        return default_client().persist(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise InvalidValue("a lazy array has no elements that could be looked at without a copy")
        elements = default_client().compute(self)
        return elements if dtype is None else elements.astype(dtype, copy=False)

    def item(self, *index: int) -> Any:
        return np.asarray(self[index] if index else self).item()

    def tolist(self) -> Any:
        return np.asarray(self).tolist()

    @property
    def T(self) -> Any:
        return self.transpose()

    def transpose(self, *axes: Any) -> Any:
        raise NotImplementedError
