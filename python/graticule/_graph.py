"""Plain graphs: dicts of keys and tasks, as Dask writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import InvalidValue


def _run(func: Callable[..., Any], *args: Any) -> Any:
    """A task within a task."""
    return func(*args)


def is_task(value: Any) -> bool:
    return type(value) is tuple and bool(value) and callable(value[0])


def submit_graph(client: Any, dsk: dict[Any, Any], keys: Any) -> Any:
    """The keys, lists of keys and their nests, with futures in their places."""
    graph = _Graph(client, dsk)
    graph.make(_flat(keys))
    return graph.result(keys)


class _Graph:
    def __init__(self, client: Any, dsk: dict[Any, Any]) -> None:
        self.client, self.dsk = client, dsk
        self.futures: dict[Any, Any] = {}

    def is_key(self, value: Any) -> bool:
        try:
            return value in self.dsk
        except TypeError:
            return False

    def needs(self, value: Any) -> list[Any]:
        if type(value) is list or is_task(value):
            return [key for part in value for key in self.needs(part)]
        if type(value) is dict:
            return [key for part in value.values() for key in self.needs(part)]
        return [value] if self.is_key(value) else []

    def put(self, value: Any) -> Any:
        if is_task(value):
            return self.client.submit(_run, value[0], *map(self.put, value[1:]))
        if type(value) is list:
            return [self.put(part) for part in value]
        if type(value) is dict:
            return {key: self.put(part) for key, part in value.items()}
        return self.futures[value] if self.is_key(value) else value

    def make(self, waiting: list[Any]) -> None:
        # Depth first, without recursion: graphs are deep.
        under_way: set[Any] = set()
        while waiting:
            key = waiting[-1]
            if key in self.futures:
                waiting.pop()
                continue
            if not self.is_key(key):
                raise InvalidValue(f"the graph has no key {key!r}")
            missing = [other for other in self.needs(self.dsk[key]) if other not in self.futures]
            if missing and key in under_way:
                raise InvalidValue(f"the graph has a cycle through {key!r}")
            under_way.add(key)
            waiting.extend(missing)
            if not missing:
                value = self.dsk[key]
                made = self.client.submit(value[0], *map(self.put, value[1:])) if is_task(value) else self.put(value)
                self.futures[key] = made

    def result(self, wanted: Any) -> Any:
        return [self.result(part) for part in wanted] if type(wanted) is list else self.futures[wanted]


def _flat(keys: Any) -> list[Any]:
    return [key for part in keys for key in _flat(part)] if type(keys) is list else [keys]
