"""Which columns of a table a terminal of some width can show, and how wide each may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from initlab.reporting.blocks import Column
from initlab.reporting.words import shorten

GAP = 2
_LEAST = {"text": 16, "code": 14, "word": 14, "status": 11, "number": 6}


@dataclass(frozen=True)
class Layout:
    """The indices of the columns that are shown, in order, and the width of each."""

    shown: tuple[int, ...]
    widths: dict[int, int]


def fit_columns(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> Layout:
    """Take columns from the highest `keep` down as long as they fit in `width`, then share out what is left.

    A column needs the width of its widest cell if it holds numbers, else at most a fixed least width: it wraps or is
    cut. Of two columns with the same `keep` the left one is taken first. The first that is taken always stands.
    """
    natural = [_natural(column, index, cells) for index, column in enumerate(columns)]
    least = [_least(column, index, cells) for index, column in enumerate(columns)]
    shown: list[int] = []
    for index in sorted(range(len(columns)), key=lambda i: (-columns[i].keep, i)):
        if not shown or sum(least[i] for i in (*shown, index)) + GAP * len(shown) <= width:
            shown.append(index)
    shown.sort()
    room = width - GAP * max(0, len(shown) - 1)
    return Layout(tuple(shown), _share(shown, natural, least, room))


def numeric(column: Column) -> bool:
    """Whether `column` holds numbers, which stand on the right and are never cut."""
    return column.kind == "number" or (column.align == "right" and column.kind == "text")


def _share(shown: Sequence[int], natural: Sequence[int], least: Sequence[int], room: int) -> dict[int, int]:
    """Every column its natural width if that fits; else the widest give way first, down to their least."""
    widths = {i: natural[i] for i in shown}
    while sum(widths.values()) > room:
        able = [i for i in shown if widths[i] > least[i]]
        if not able:
            break
        widths[max(able, key=lambda i: widths[i])] -= 1
    if len(shown) == 1:
        widths[shown[0]] = min(widths[shown[0]], max(1, room))
    return widths


def _least(column: Column, index: int, cells: Sequence[Sequence[str]]) -> int:
    # lazy: rich costs time and moves Python's random state when it is first imported
    from rich.cells import cell_len

    word = max([cell_len(part) for part in column.name[:80].split()] + [1])
    widest = max([min(cell_len(row[index]), 400) for row in cells] + [1])
    if column.kind == "code":
        return max(word, _distinct_width([row[index] for row in cells], widest))
    return max(word, widest if numeric(column) or column.kind == "word" else min(widest, _LEAST[column.kind]))


def _distinct_width(names: Sequence[str], widest: int) -> int:
    """The least width at which names that differ still differ when they are cut, if 32 cells are enough for it."""
    different = len(set(names))
    for width in range(min(widest, _LEAST["code"]), min(widest, 32)):
        if len({shorten(name, width) for name in set(names)}) == different:
            return width
    return min(widest, 32)


def _natural(column: Column, index: int, cells: Sequence[Sequence[str]]) -> int:
    # lazy: rich costs time and moves Python's random state when it is first imported
    from rich.cells import cell_len

    return max([cell_len(column.name[:80]), 1] + [min(cell_len(row[index]), 400) for row in cells])
