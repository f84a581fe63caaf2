"""Exceptions that go from a worker to a client: what they were, where they were raised, and why."""

from __future__ import annotations

import base64
import pickle
import re
import traceback
import types
from typing import Any

import cloudpickle

from . import _graticule
from .errors import TaskFailed

#: Exceptions whose pickle is larger arrive as their text.
_BYTES_MAX = 64 << 10
_FRAMES_MAX = 64
_CAUSES_MAX = 16


def write_down(error: BaseException) -> str:
    """The exception, its frames and its causes, as text without spaces. What frames held is let go."""
    if isinstance(error, ModuleNotFoundError):
        _advise(error)
    parts: list[dict[str, Any]] = []
    place: BaseException | None = error
    while place is not None and len(parts) < _CAUSES_MAX:
        parts.append(_part(place))
        traceback.clear_frames(place.__traceback__)
        place = place.__cause__ or (None if place.__suppress_context__ else place.__context__)
    return base64.b64encode(pickle.dumps(parts, 5)).decode()


def _advise(error: ModuleNotFoundError) -> None:
    worker, name = _graticule.running_worker(), (error.name or "the module").split(".")[0]
    error.msg = (
        f"{error.msg} on worker {worker}: install {name} there, have workers do it with "
        f"client.register_plugin(graticule.PipInstall([{name!r}])), or send a module of your own with client.upload_file"
    )
    error.args = (error.msg,)


def _part(error: BaseException) -> dict[str, Any]:
    frames = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        frames.append((frame.f_code.co_filename, frame.f_code.co_name, line))
    kind = type(error)
    return {
        "pickle": _pickled(error),
        "class": f"{kind.__module__}.{kind.__qualname__}" if kind.__module__ != "builtins" else kind.__qualname__,
        "text": _text(error),
        "frames": frames[-_FRAMES_MAX:],
        "is_cause": error.__cause__ is not None,
        "suppresses": error.__suppress_context__,
        "notes": [str(note) for note in getattr(error, "__notes__", ())],
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)[:4000]
    except Exception:
        return "(its text cannot be had)"


def _pickled(error: BaseException) -> bytes | None:
    """The exception, if it comes back from its pickle."""
    for write in (_by_name, _by_value, _by_parts):
        try:
            made = write(error)
            if len(made) <= _BYTES_MAX and isinstance(pickle.loads(made), BaseException):
                return made
        except Exception:
            continue
    return None


def _by_name(error: BaseException) -> bytes:
    made = pickle.dumps(error, 5)
    if b"__main__" in made:
        raise ValueError("of a module that others cannot import")
    return made


def _by_value(error: BaseException) -> bytes:
    return cloudpickle.dumps(error, protocol=5)


def _by_parts(error: BaseException) -> bytes:
    """One whose class wants to be called with other arguments than it tells."""
    return cloudpickle.dumps(_Parts(error), protocol=5)


class _Parts:
    def __init__(self, error: BaseException) -> None:
        self.parts = (type(error), error.args, error.__dict__)

    def __reduce__(self) -> Any:
        return _put_together, self.parts


def _put_together(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


def arrived(kept: BaseException | None, written: bytes, text: str) -> BaseException:
    """The exception itself, or what was written down of it, with a note of the worker that stands in the task's text."""
    error = kept if kept is not None else read(written)
    place = re.findall(r"on worker \S+(?=: )", text)
    if place and place[-1] not in getattr(error, "__notes__", ()):
        error.add_note(place[-1])
    return error


def read(written: bytes) -> BaseException:
    """The exception that was written down, with frames that show where it was raised."""
    parts = pickle.loads(base64.b64decode(written))
    made = [_made(part) for part in parts]
    for error, cause, part in zip(made, made[1:], parts):
        if part["is_cause"]:
            error.__cause__ = cause
        else:
            error.__context__ = cause
        error.__suppress_context__ = part["suppresses"]
    return made[0]


def _made(part: dict[str, Any]) -> BaseException:
    error: BaseException | None = None
    why = "it cannot be pickled"
    if part["pickle"] is not None:
        try:
            error = pickle.loads(part["pickle"])
        except Exception as missing:
            why = f"this process does not have its class: {missing}"
    if error is None:
        error = TaskFailed(f"{part['class']}: {part['text']}\n(the exception itself did not come here: {why})")
    for note in part["notes"]:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    return error.with_traceback(_traceback(part["frames"]))


def _traceback(frames: list[tuple[str, str, int]]) -> types.TracebackType | None:
    """A traceback of the frames of another process: each is a raise in code of the same name, file and line."""
    made = None
    for file, name, line in reversed(frames):
        frame = _frame(file, name, line)
        if frame is not None:
            made = types.TracebackType(made, frame, frame.f_lasti, line)
    return made


def _frame(file: str, name: str, line: int) -> types.FrameType | None:
    code = compile("\n" * (max(line, 1) - 1) + "raise _Stop", file, "exec").replace(co_name=name, co_qualname=name)
    try:
        exec(code, {"_Stop": _Stop, "__name__": name, "__file__": file})
    except _Stop as stop:
        there = stop.__traceback__
        return there.tb_next.tb_frame if there is not None and there.tb_next is not None else None
    return None


class _Stop(Exception):
    """Raised to have a frame."""
