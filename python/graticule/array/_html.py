"""The picture of an array in a notebook; nothing is computed."""

from __future__ import annotations

from typing import Any

from .._html import size

#: Lines that are drawn along an axis, whatever the number of chunks.
_LINES_MAX = 24
_SIDE = 120


def table(array: Any) -> str:
    rows = [
        ("shape", array.shape),
        ("chunks", array.chunksize),
        ("count", array.npartitions),
        ("dtype", array.dtype),
        ("bytes", size(array.nbytes)),
    ]
    cells = "".join(f"<tr><th style='text-align:left'>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f"<table><tr><td><table>{cells}</table></td><td>{_picture(array)}</td></tr></table>"


def _picture(array: Any) -> str:
    """The last two axes, with their chunks."""
    if not array.ndim or not array.size:
        return ""
    shape, counts = array.shape[-2:], array.numblocks[-2:]
    if len(shape) == 1:
        shape, counts = (1, *shape), (1, *counts)
    scale = _SIDE / max(shape)
    height, width = (max(12.0, length * scale) for length in shape)
    lines = []
    for position in range(min(counts[0], _LINES_MAX) + 1):
        y = height * position / min(counts[0], _LINES_MAX)
        lines.append(f"<line x1='0' y1='{y:.1f}' x2='{width:.1f}' y2='{y:.1f}'/>")
    for position in range(min(counts[1], _LINES_MAX) + 1):
        x = width * position / min(counts[1], _LINES_MAX)
        lines.append(f"<line x1='{x:.1f}' y1='0' x2='{x:.1f}' y2='{height:.1f}'/>")
    return (
        f"<svg width='{width + 2:.0f}' height='{height + 2:.0f}' style='stroke:#555;stroke-width:1'>"
        f"<rect width='{width:.1f}' height='{height:.1f}' style='fill:#cfe3f7;stroke-width:0'/>{''.join(lines)}</svg>"
    )
