"""Results by name, for all clients of a cluster: the scheduler keeps the names, and what they stand for.

A name stands for a pickle in which persisted arrays are written as their keys in the cluster, and futures as their results. What is
lazy is persisted first.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import cloudpickle

from . import _graticule
from .errors import InvalidType


class _Pickler(cloudpickle.Pickler):
    def __init__(self, client: Any, out: io.BytesIO) -> None:
        super().__init__(out, protocol=5)
        self._client = client
        #: What the name keeps, in the order of their numbers.
        self.kept: list[Any] = []

    def persistent_id(self, what: Any) -> Any:
        from ._futures import Future
        from .array import Array

        if isinstance(what, Array):
            array = what if getattr(what, "_job", None) is not None else self._client.persist(what)
            self.kept.append(array)
            job = array._job
            lengths = [list(map(int, axis)) for axis in array.chunks]
            return "array", type(what), job.key, lengths, array.dtype.name
        if isinstance(what, Future):
            return "future", cloudpickle.dumps(what.result(), 5)
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, client: Any, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self._client = client

    def persistent_load(self, written: Any) -> Any:
        if written[0] == "array":
            _, kind, key, lengths, dtype = written
            return kind(_graticule.published_array(self._client._cluster, key, lengths, dtype))
        return self._client.scatter(pickle.loads(written[1]))


def publish(client: Any, name: str, what: Any, override: bool) -> None:
    if not isinstance(name, str):
        raise InvalidType(f"a dataset's name is text, not {type(name).__name__}")
    with io.BytesIO() as out:
        pickler = _Pickler(client, out)
        try:
            pickler.dump(what)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise InvalidType(f"the dataset {name!r} cannot be pickled, so no other client can have it: {error}") from error
        finally:
            # It refers to itself: without this, what it met would stay until the collector comes by.
            kept, pickler.kept = pickler.kept, []
            pickler.clear_memo()
        jobs = [array._job for array in kept]
        _graticule.publish(client._cluster, name, out.getvalue(), jobs, override)


def get(client: Any, name: str) -> Any:
    return _Unpickler(client, _graticule.dataset(client._cluster, name)).load()
