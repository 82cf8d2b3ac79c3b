"""Words and numbers as they are shown: control characters made visible, long strings cut, numbers to four digits."""

from __future__ import annotations

import hashlib
import html
import math
import re
import textwrap
import unicodedata
from typing import Any

# Control, format (bidi marks, joiners), surrogate, private use, unassigned, line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def clean(text: object, limit: int = 200) -> str:
    """`text` on one line, safe to show anywhere: every character is one that can be seen.

    Control characters, bidi marks and other invisible characters become escapes such as `\\x1b` and `\\u202e`; a text
    longer than `limit` characters keeps its two ends. Markup is left as it is: HTML and terminal show it as text.

    Args:
        text: anything; `str(text)` is shown.
        limit: the most characters of `text` that are kept.

    >>> clean("a\\nb")
    'a\\\\nb'
    >>> clean("x" * 500, limit=11)
    'xxxxx…xxxxx (500 characters)'
    """
    whole = str(text)
    if len(whole) <= limit:
        return _visible(whole)
    half = max(1, (limit - 1) // 2)
    return f"{_visible(whole[:half])}…{_visible(whole[-half:])} ({len(whole)} characters)"


def clean_lines(text: object, limit: int = 20_000) -> str:
    """As `clean`, but line feeds stay: for prose that was written in lines."""
    return "\n".join(clean(line, limit) for line in str(text).split("\n"))


def wrapped(line: str, width: int, first: str = "", after: str = "") -> list[str]:
    """Prose as lines of at most `width` characters; a word is broken only where it is longer than a line.

    Args:
        line: the prose, which `clean` has seen.
        width: of a line, with what stands before it.
        first: what stands before the first line.
        after: what stands before each line after it.

    >>> wrapped("no more than twelve", 12, after="  ")
    ['no more than', '  twelve']
    """
    return textwrap.wrap(line, width, initial_indent=first, subsequent_indent=after, break_on_hyphens=False)


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` terminal cells.

    The words of a dotted name become their first letters, from the left, so that its numbers and its last word stay;
    the last word that is cut keeps what there is room for. What is still too long is cut in its middle.

    >>> shorten("encoder.layers.11.attention.weight", 22)
    'e.l.11.attenti….weight'
    >>> shorten("embedding_projection.weight", 20)
    'embedding_pr….weight'
    >>> shorten("extraordinarily_long", 11)
    'extra…_long'
    """
    # lazy: rich costs time and moves Python's random state when it is first imported
    from rich.cells import cell_len

    parts = text.split(".")
    for index, part in enumerate(parts[:-1]):
        if cell_len(text) <= width:
            return text
        if not part.replace("–", "").isdigit():  # a number, or a range of folded blocks, says which
            parts[index] = part[:1]
            text = ".".join(parts)
            room = width - cell_len(text)
            if room >= 2 and cell_len(part) == len(part):
                parts[index] = f"{part[:room]}…"
                return ".".join(parts)
    if cell_len(text) <= width:
        return text
    if width < 3:
        return _head(text, width)
    tail = _head(text[::-1], (width - 1) // 2)[::-1]
    return _head(text, width - 1 - cell_len(tail)) + "…" + tail


def format_number(value: Any, digits: int = 4) -> str:
    """A number as it stands in tables: integers with thousands separators, floats to `digits` significant digits.

    >>> [format_number(v) for v in (60000, 0.141421356, 1e-12, float("nan"), 3.0)]
    ['60,000', '0.1414', '1e-12', 'nan', '3']
    >>> format_number(287.3, 2)
    '290'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else format_number(float(value)) if abs(value) < 10**300 else "huge"
    number = float(value)
    if not math.isfinite(number):
        return "nan" if math.isnan(number) else "inf" if number > 0 else "−inf"
    shown = f"{number:.{digits}g}"
    if "e" in shown:
        if 1 <= abs(number) < 10**4:  # few digits of a number that is read as it stands
            return format_number(round(float(shown)))
        mantissa, exponent = shown.split("e")
        shown = f"{mantissa}e{int(exponent)}"
    return shown.replace("-", "−", 1) if shown.startswith("-") else shown


def counted(count: int, what: str) -> str:
    """How many there are of what.

    >>> counted(1, "run"), counted(2_000, "run")
    ('1 run', '2,000 runs')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def plotly_text(text: object) -> str:
    """`text` for plotly, which reads a subset of HTML: markup is shown as text."""
    return html.escape(clean(text, 120), quote=False)


def cell_text(value: Any, limit: int = 2000) -> str:
    """One table cell as text: None is an em dash, numbers as `format_number`, all else as `clean`."""
    if value is None:
        return "–"
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, bool | int | float):
        return format_number(value)
    return clean(value, limit)


def file_name(text: object, limit: int = 80) -> str:
    """A file name made from any text: letters, digits, dot, dash and underscore; a hash keeps different texts apart.

    >>> file_name("encoder.fc1")
    'encoder.fc1'
    >>> file_name("../../x").startswith("x-")
    True
    """
    whole = str(text)
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", whole).strip(".-_")[:limit]
    if slug == whole and slug:
        return slug
    digest = hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{slug}-{digest}" if slug else digest


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _head(text: str, width: int) -> str:
    # lazy: rich costs time and moves Python's random state when it is first imported
    from rich.cells import cell_len

    if cell_len(text) == len(text):
        return text[:width]
    kept, used = "", 0
    for character in text:
        used += cell_len(character)
        if used > width:
            break
        kept += character
    return kept
