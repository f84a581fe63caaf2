"""Dask's collections on the engine: their graphs are made of calls, a call for each node.

Of Dask only public names are used: collections' `__dask_graph__`, `__dask_keys__`, `__dask_postcompute__` and `__dask_postpersist__`, what a
node of a graph needs (`dependencies`) and what it gives when it is called, and `convert_legacy_graph`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ._futures import Future
from .errors import InvalidValue

#: Annotations of Dask's that say something about how calls run; others are not for us.
_ANNOTATIONS = ("priority", "retries", "workers", "resources", "allow_other_workers")

#: Data of more bytes goes to the cluster once, less goes along with each call that needs it.
INLINE_BYTES_MAX = 65536
#: Nodes with more bytes of data in them go to the cluster before their calls.
CALL_BYTES_MAX = 1 << 20


def is_loaded() -> bool:
    return sys.modules.get("dask") is not None


class AsScheduler:
    """Has a client compute Dask's collections, from when Dask is there until `end`. It imports nothing: it finds what others import."""

    def __init__(self, client: Any) -> None:
        self._client, self._setting = client, None
        if is_loaded():
            self._set(sys.modules["dask.config"])
        else:
            sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """What the import system asks before a module is imported for the first time."""
        if name != "dask.config" or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_set(module: Any) -> None:
                load(module)
                self._set(module)

            spec.loader.exec_module = load_and_set  # type: ignore[method-assign]
        return spec

    def _set(self, config: Any) -> None:
        self._setting = config.set(scheduler=self._client)

    def end(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._setting is not None:
            self._setting.__exit__(None, None, None)


def is_collection(value: Any) -> bool:
    if not is_loaded() or isinstance(value, type):
        return False
    from dask import is_dask_collection

    return is_dask_collection(value)


def submit_graph(client: Any, graph: Any, keys: Any) -> Any:
    """The keys, lists of keys and their nests, with futures in their places."""
    made = Graph(client)
    made.add(graph)
    return made.futures(keys)


def persist(client: Any, collections: list[Any], optimize_graph: bool = True) -> list[Any]:
    """The same collections, of futures."""
    graph, collections = _graph_of(client, collections, optimize_graph)
    persisted = []
    for collection in collections:
        rebuild, args = collection.__dask_postpersist__()
        keys = list(_flat(collection.__dask_keys__()))
        persisted.append(rebuild(dict(zip(keys, graph.futures(keys))), *args))
    return persisted


def compute(client: Any, collections: list[Any], optimize_graph: bool = True) -> list[Future]:
    """Futures of what the collections are."""
    graph, collections = _graph_of(client, collections, optimize_graph)
    computed = []
    for collection in collections:
        finalize, args = collection.__dask_postcompute__()
        parts = graph.futures(collection.__dask_keys__())
        computed.append(client.submit(_finalized, finalize, parts, args))
    return computed


def _graph_of(client: Any, collections: list[Any], optimize_graph: bool) -> tuple[Graph, list[Any]]:
    if optimize_graph:
        import dask

        collections = list(dask.optimize(*collections))
    graph = Graph(client)
    for collection in collections:
        graph.add(collection)
    return graph, collections


class Graph:
    """The calls of a graph; those that are needed are made, and each once."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.made: dict[Any, Any] = {}
        self.nodes: dict[Any, Any] = {}
        self.said: dict[Any, dict[str, Any]] = {}

    def add(self, graph: Any) -> None:
        """Adds a graph, or that of a collection or an expression."""
        try:
            from dask._task_spec import convert_legacy_graph
        except ImportError:
            raise InvalidValue("Dask's graphs are taken from Dask 2024.12 on: install a newer one") from None

        expression, graph = graph, graph.__dask_graph__() if hasattr(graph, "__dask_graph__") else graph
        self._annotated(expression, graph)
        graph = dict(graph)
        for key, value in graph.items():
            if isinstance(value, Future):
                self.made[key] = value
        self.nodes.update(convert_legacy_graph({key: value for key, value in graph.items() if key not in self.made}, set(graph)))

    def _annotated(self, expression: Any, graph: Any) -> None:
        """What `dask.annotate` said of keys."""
        layers = getattr(graph, "layers", None)
        for layer in layers.values() if isinstance(layers, Mapping) else ():
            said = getattr(layer, "annotations", None)
            for key in layer if said else ():
                self.said[key] = {name: of(key) if callable(of) else of for name, of in said.items()}
        told = getattr(expression, "__dask_annotations__", None)
        for name, of_keys in (told() or {}).items() if callable(told) else ():
            for key, value in of_keys.items() if isinstance(of_keys, Mapping) else ():
                self.said.setdefault(key, {})[name] = value

    def futures(self, wanted: Any) -> Any:
        self._make([*_flat(wanted)])
        return _in_place(wanted, self.made)

    def _make(self, waiting: list[Any]) -> None:
        # Depth first, so that what is made for one result is used before the next one is begun; without recursion, since graphs are
        # deep.
        waiting.reverse()
        under_way: set[Any] = set()
        while waiting:
            key = waiting[-1]
            if key in self.made:
                waiting.pop()
                continue
            node = self.nodes.get(key)
            if node is None:
                raise InvalidValue(f"the graph has no key {key!r}")
            missing = [need for need in node.dependencies if need not in self.made]
            if not missing:
                self.made[key] = self._call(key, node)
                continue
            if key in under_way:
                raise InvalidValue(f"the graph has a cycle through {key!r}")
            under_way.add(key)
            waiting.extend(missing)

    def _call(self, key: Any, node: Any) -> Any:
        from dask.sizeof import sizeof

        from .array._store import Delayed

        if isinstance(getattr(node, "func", None), Delayed):
            # It launches a job, of arrays that this process has.
            return node.func(self.client)
        needs = {need: self.made[need] for need in node.dependencies}
        if not hasattr(node, "func"):
            # No call: data, or another name of what is made already.
            value = node(needs)
            is_large = not isinstance(value, Future) and getattr(value, "nbytes", 0) > INLINE_BYTES_MAX
            return self.client.scatter([value])[0] if is_large else value
        if sizeof(node) > CALL_BYTES_MAX:
            node = self.client.scatter([node])[0]
        said = {name: value for name, value in self.said.get(key, {}).items() if name in _ANNOTATIONS}
        return self.client.submit(_called, node, needs, **said)


def _called(node: Any, values: dict[Any, Any]) -> Any:
    return node(values)


def _finalized(finalize: Any, parts: Any, args: tuple[Any, ...]) -> Any:
    return finalize(parts, *args)


def _in_place(wanted: Any, made: dict[Any, Any]) -> Any:
    return [_in_place(part, made) for part in wanted] if type(wanted) is list else made[wanted]


def _flat(keys: Any) -> Iterable[Any]:
    if type(keys) is not list:
        yield keys
        return
    for part in keys:
        yield from _flat(part)
