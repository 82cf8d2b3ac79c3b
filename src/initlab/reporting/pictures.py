"""Pictures drawn in Python: histogram grids and bars as inline SVG, grey images as PNG data."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from initlab.errors import InputError
from initlab.reporting.blocks import ImageGrid, Panel
from initlab.reporting.words import clean, format_number

_WIDTH, _HEIGHT = 160.0, 56.0
MAX_PANELS = 240


@dataclass(frozen=True)
class Drawing:
    """A histogram in a 160 x 56 box.

    Args:
        path: the outline; empty without counts.
        low, high: words at the two ends of the axis.
        zero: where 0 stands on the axis; None when it lies outside.
        cut: (left, right) of a bar that is cut because it towers over all others; None for none.
        share: what share of the counts stands in the bar that is cut.
    """

    path: str = ""
    low: str = ""
    high: str = ""
    zero: float | None = None
    cut: tuple[float, float] | None = None
    share: float = 0.0


def draw_histogram(panel: Panel) -> Drawing:
    """The outline of `panel`. One bar that is more than four times as high as any other is cut, so that they show.

    >>> draw_histogram(Panel("fc1", (-1.0, 0.0, 1.0), (3, 1)))
    Drawing(path='M0 56V0H80V37.3H160V56Z', low='−1', high='1', zero=80.0, cut=None, share=0.0)
    """
    if not panel.counts or len(panel.edges) < 2:
        return Drawing()
    low, high = _finite(panel.edges[0]), _finite(panel.edges[-1])
    counts = [max(0.0, _finite(c)) for c in panel.counts]
    *rest, tallest = sorted(counts)
    towers = bool(rest) and 0 < 4 * rest[-1] < tallest
    top = (1.35 * rest[-1] if towers else tallest) or 1.0
    span = (high - low) or 1.0
    x = [(_finite(edge) - low) / span * _WIDTH for edge in panel.edges]
    heights = [_HEIGHT * (1 - min(1.0, count / top)) for count in counts]
    path = f"M0 {_HEIGHT:g}" + "".join(f"V{_round(h)}H{_round(r)}" for h, r in zip(heights, x[1:], strict=True))
    place = counts.index(tallest)
    return Drawing(
        path=path + f"V{_HEIGHT:g}Z",
        low=format_number(low, 3),
        high=format_number(high, 3),
        zero=round(-low / span * _WIDTH, 1) if low < 0 < high else None,
        cut=(round(x[place], 1), round(x[place + 1], 1)) if towers else None,
        share=tallest / sum(counts) if towers else 0.0,
    )


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
    pictures = image_rows(grid)
    captions = [*grid.captions, *[""] * len(pictures)]
    return [
        (_data_uri(rows, low, high), clean(caption, 60))
        for (rows, (low, high)), caption in zip(pictures, captions, strict=False)
    ]


def image_rows(grid: ImageGrid) -> list[tuple[list[list[float]], tuple[float, float]]]:
    """Each image's rows of numbers, and the values that are black and white."""
    pixels = [_rows(image, grid.title) for image in grid.images]
    spans = [(min(map(min, rows)), max(map(max, rows))) for rows in pixels]
    if grid.shared_scale and spans:
        spans = [(min(s[0] for s in spans), max(s[1] for s in spans))] * len(spans)
    return list(zip(pixels, spans, strict=True))


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
