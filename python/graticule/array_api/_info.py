"""What a library may ask about the namespace."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidValue
from ._dtypes import DTYPES, KINDS, complex128, float64, int64

#: The only device: where the workers' chunks are.
DEVICE = "cpu"


def check_device(device: Any) -> None:
    if device is not None and device != DEVICE:
        raise InvalidValue(f"there is no device {device!r}; there is {DEVICE!r}")


class Info:
    """What `__array_namespace_info__()` gives."""

    def capabilities(self) -> dict[str, Any]:
        """Boolean masks and results of unknown shape work; how many elements there are, is computed when they are made."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 16}

    def default_device(self) -> str:
        return DEVICE

    def devices(self) -> tuple[str, ...]:
        return (DEVICE,)

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        check_device(device)
        return {"real floating": float64, "complex floating": complex128, "integral": int64, "indexing": int64}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype]:
        check_device(device)
        if kind is None:
            return dict(DTYPES)
        letters = ""
        for one in kind if isinstance(kind, tuple) else (kind,):
            if one not in KINDS:
                raise InvalidValue(f"there is no kind {one!r} of dtypes; there are {', '.join(KINDS)}")
            letters += KINDS[one]
        return {name: dtype for name, dtype in DTYPES.items() if dtype.kind in letters}


def __array_namespace_info__() -> Info:
    return Info()
