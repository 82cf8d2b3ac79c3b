"""Pictures drawn in Python: histogram grids and bars as inline SVG, grey images as PNG data."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from initlab.errors import InputError
from initlab.reporting.blocks import ImageGrid, Panel
from initlab.reporting.words import clean, format_number

_WIDTH, _HEIGHT = 160.0, 56.0
MAX_PANELS = 240


def histogram_svg(panel: Panel) -> tuple[str, str, str]:
    """The path of `panel`'s outline in a 160 x 56 box, and the words at the two ends of its axis.

    >>> path, low, high = histogram_svg(Panel("fc1", (-1.0, 0.0, 1.0), (3, 1)))
    >>> path, low, high
    ('M0 56V0H80V37.3H160V56Z', '−1', '1')
    """
    if not panel.counts or len(panel.edges) < 2:
        return "", "", ""
    low, high = float(panel.edges[0]), float(panel.edges[-1])
    counts = [max(0.0, _finite(c)) for c in panel.counts]
    top = max(counts) or 1.0
    span = (high - low) or 1.0
    path = f"M0 {_HEIGHT:g}"
    for count, right in zip(counts, panel.edges[1:], strict=True):
        x = (_finite(right) - low) / span * _WIDTH
        path += f"V{_round(_HEIGHT * (1 - count / top))}H{_round(x)}"
    return path + f"V{_HEIGHT:g}Z", format_number(low, 3), format_number(high, 3)


def zero_position(panel: Panel) -> float | None:
    """Where 0 stands on the axis of `panel`, in the box's units; None when it lies outside."""
    if len(panel.edges) < 2:
        return None
    low, high = float(panel.edges[0]), float(panel.edges[-1])
    return round(-low / (high - low) * _WIDTH, 1) if low < 0 < high else None


def pick_panels(panels: Sequence[Panel], limit: int = MAX_PANELS) -> tuple[list[Panel], int]:
    """At most `limit` panels in order, and how many were left out: those that warn, and the rest evenly spaced."""
    if len(panels) <= limit:
        return list(panels), 0
    marked = [i for i, p in enumerate(panels) if p.tone in ("warning", "error")][: limit // 2]
    even = [round(i * (len(panels) - 1) / (limit - len(marked) - 1)) for i in range(limit - len(marked))]
    kept = sorted({*marked, *even})
    return [panels[i] for i in kept], len(panels) - len(kept)


def image_sources(grid: ImageGrid) -> list[tuple[str, str]]:
    """(data URI, caption) for each image of `grid`, scaled to the full range of greys."""
    pixels = [_rows(image, grid.title) for image in grid.images]
    spans = [(min(map(min, rows)), max(map(max, rows))) for rows in pixels]
    if grid.shared_scale and spans:
        spans = [(min(s[0] for s in spans), max(s[1] for s in spans))] * len(spans)
    captions = [*grid.captions, *[""] * len(pixels)]
    return [
        (_data_uri(rows, low, high), clean(caption, 60))
        for rows, (low, high), caption in zip(pixels, spans, captions, strict=False)
    ]


def png(rows: Sequence[bytes]) -> bytes:
    """An 8-bit grey PNG (RFC 2083) of `rows`, each one byte a pixel."""
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\x00" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _data_uri(rows: list[list[float]], low: float, high: float) -> str:
    scale = 255.0 / (high - low) if high > low else 0.0
    grey = [bytes(round((v - low) * scale) for v in row) for row in rows]
    return "data:image/png;base64," + base64.b64encode(png(grey)).decode("ascii")


def _rows(image: Any, title: str) -> list[list[float]]:
    listed = image.tolist() if hasattr(image, "tolist") else [list(row) for row in image]
    if not listed or not isinstance(listed[0], list) or not listed[0] or isinstance(listed[0][0], list):
        raise InputError(f"image grid {title!r}: each image must be a (height, width) array")
    return [[_finite(v) for v in row] for row in listed]


def _finite(value: Any) -> float:
    number = float(value)
    return number if abs(number) < float("inf") else 0.0


def _round(number: float) -> str:
    return f"{number:.1f}".rstrip("0").rstrip(".")
