"""What workers do before they run the calls of a client: files that they can import, and plugins."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cloudpickle

from .errors import ClusterError, InvalidType, InvalidValue


@dataclass(frozen=True)
class Step:
    """A plugin on its way to a worker."""

    name: str
    payload: bytes
    digest: str

    @staticmethod
    def of(plugin: Any, name: str | None) -> Step:
        if not hasattr(plugin, "setup"):
            raise TypeError("a plugin has a method setup(worker); subclass graticule.WorkerPlugin")
        name = name or getattr(plugin, "name", None)
        try:
            payload = cloudpickle.dumps(plugin, protocol=5)
        except Exception as error:
            raise InvalidType(f"the plugin cannot be pickled, so no worker can have it: {error}") from error
        digest = hashlib.sha256(payload).hexdigest()
        return Step(name or f"{type(plugin).__name__}-{digest[:16]}", payload, digest)


@contextlib.contextmanager
def _alone(what: str) -> Iterator[None]:
    """Has the processes of this machine and user that share a Python do something one after the other."""
    place = hashlib.sha256(f"{os.getuid()} {sys.prefix}".encode()).hexdigest()[:16]
    with open(os.path.join(tempfile.gettempdir(), f"graticule-{what}-{place}.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def setup(step: Step, again: bool = False) -> None:
    """Sets a plugin up on the worker that runs this, once; or `again`, if another one has taken its place, or it was taken out."""
    from ._worker import get_worker

    worker = get_worker()
    with worker.lock:
        if worker.digests.get(step.name) == step.digest or (step.digest in worker.done and not again):
            return
        plugin = cloudpickle.loads(step.payload)
        before = worker.plugins.pop(step.name, None)
        if before is not None and hasattr(before, "teardown"):
            before.teardown(worker)
        plugin.setup(worker)
        worker.plugins[step.name], worker.digests[step.name] = plugin, step.digest
        worker.done.add(step.digest)


def teardown(name: str) -> None:
    from ._worker import get_worker

    worker = get_worker()
    with worker.lock:
        worker.digests.pop(name, None)
        plugin = worker.plugins.pop(name, None)
        if plugin is not None and hasattr(plugin, "teardown"):
            plugin.teardown(worker)


class WorkerPlugin:
    """What a worker does when it is set up: override `setup` and `teardown`.

    >>> class ErrorLogger(WorkerPlugin):
    ...     def setup(self, worker):
    ...         self.worker = worker
    """

    name: str | None = None

    def setup(self, worker: Any) -> None:
        """Called once in each process that runs functions (see `LocalCluster(isolate=)`), before the next call there."""

    def teardown(self, worker: Any) -> None:
        """Called when the plugin is taken out or replaced."""


class UploadFile(WorkerPlugin):
    """A file that workers can import: `.py`, `.zip` or `.egg`."""

    def __init__(self, path: str | os.PathLike[str], load: bool = True) -> None:
        self.filename, self.load = os.path.basename(path), load
        with open(path, "rb") as file:
            self.content = file.read()
        self.name = f"upload-file-{self.filename}"

    def setup(self, worker: Any) -> None:
        path = os.path.join(worker.local_directory, self.filename)
        with open(path, "wb") as file:
            file.write(self.content)
        base, extension = os.path.splitext(self.filename)
        names = []
        if extension == ".py":
            names, entry = [base], worker.local_directory
            cached = importlib.util.cache_from_source(path)
            if os.path.exists(cached):
                os.remove(cached)
        elif extension in (".zip", ".egg"):
            with zipfile.ZipFile(path) as archive:
                names, entry = sorted({name.split("/")[0].removesuffix(".py") for name in archive.namelist()}), path
        else:
            return
        if entry not in sys.path:
            sys.path.insert(0, entry)
        importlib.invalidate_caches()
        for name in names:
            for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
                del sys.modules[known]
        if self.load:
            for name in names:
                if name.isidentifier():
                    importlib.import_module(name)


class PipInstall(WorkerPlugin):
    """Packages that each worker installs with pip before it runs a call of this client.

    >>> client.register_plugin(PipInstall(packages=["scikit-learn"]))  # doctest: +SKIP
    """

    def __init__(self, packages: list[str], pip_options: list[str] | None = None, restart_workers: bool = False) -> None:
        if restart_workers:
            raise InvalidValue("PipInstall does not restart workers; call client.restart() when it has run")
        self.packages, self.pip_options = list(packages), list(pip_options or [])
        self.name = f"pip-install-{'-'.join(sorted(self.packages))}"

    def setup(self, worker: Any) -> None:
        command = [sys.executable, "-m", "pip", "install", *self.pip_options, *self.packages]
        with _alone("pip"):
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"pip could not install {', '.join(self.packages)} on {worker.name}: {done.stderr.strip()[-2000:]}")
        importlib.invalidate_caches()


class Environ(WorkerPlugin):
    """Variables of the environment of each worker."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = {str(name): str(value) for name, value in environ.items()}

    def setup(self, worker: Any) -> None:
        os.environ.update(self.environ)
