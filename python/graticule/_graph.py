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
    futures: dict[Any, Any] = {}

    def is_key(value: Any) -> bool:
        try:
            return value in dsk
        except TypeError:
            return False

    def needs(value: Any) -> list[Any]:
        if type(value) is list or is_task(value):
            return [key for part in value for key in needs(part)]
        if type(value) is dict:
            return [key for part in value.values() for key in needs(part)]
        return [value] if is_key(value) else []

    def put(value: Any) -> Any:
        if is_task(value):
            return client.submit(_run, value[0], *map(put, value[1:]))
        if type(value) is list:
            return [put(part) for part in value]
        if type(value) is dict:
            return {key: put(part) for key, part in value.items()}
        return futures[value] if is_key(value) else value

    def make(key: Any) -> None:
        value = dsk[key]
        if is_task(value):
            futures[key] = client.submit(value[0], *map(put, value[1:]), key=None)
        else:
            futures[key] = put(value)

    # Depth first, without recursion: graphs are deep.
    waiting = _flat(keys)
    under_way: set[Any] = set()
    while waiting:
        key = waiting[-1]
        if key in futures:
            waiting.pop()
            continue
        if not is_key(key):
            raise InvalidValue(f"the graph has no key {key!r}")
        missing = [other for other in needs(dsk[key]) if other not in futures]
        if not missing:
            make(key)
            under_way.discard(key)
            waiting.pop()
        elif key in under_way:
            raise InvalidValue(f"the graph has a cycle through {key!r}")
        else:
            under_way.add(key)
            waiting.extend(missing)

    def result(wanted: Any) -> Any:
        return [result(part) for part in wanted] if type(wanted) is list else futures[wanted]

    return result(keys)


def _flat(keys: Any) -> list[Any]:
    return [key for part in keys for key in _flat(part)] if type(keys) is list else [keys]
