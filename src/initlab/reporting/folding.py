"""Long tables folded: blocks of a model that repeat stand as one row, `layers.0–11.fc.weight` or `0,2…26.weight`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from initlab.reporting.blocks import Table
from initlab.reporting.words import cell_text

FEWEST = 3  # blocks that fold
# A decimal number by itself, or a whole number, also inside a dotted name.
_NUMBER = re.compile(r"(?<![\w.])\d+\.\d+(?:e[-−+]?\d+)?(?!\.?[A-Za-z_\d])|\d+(?:e[-−+]?\d+)?")
_ALONE = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?(?:e[-−+]?\d+)?")


@dataclass
class _Cell:
    """A cell's text between its numbers, and for each number those of all rows that were folded into it."""

    words: tuple[str, ...]
    numbers: tuple[list[str], ...]
    value: Any

    def text(self) -> Any:
        if all(len(set(slot)) == 1 for slot in self.numbers):
            return self.value
        pairs = zip(self.words, [*map(_range, self.numbers), ""], strict=True)
        return "".join(word + number for word, number in pairs)


@dataclass
class _Row:
    name: list[str]
    cells: list[_Cell]
    order: int

    def key(self, level: int) -> tuple[Any, ...]:
        return (*self.name[:level], None, *self.name[level + 1 :], *(cell.words for cell in self.cells))


def folded(table: Table) -> Table:
    """`table`, rows whose names differ by a number and whose words agree drawn together.

    Their numbers are consecutive, or with `table.steps` at equal steps.

    What differs between the rows of a block stands as a range: the number in the name, numbers within words, numbers.
    A table without dotted names in its first column, or of at most `table.unfolded` rows, comes back as it is.

    >>> from initlab.reporting.blocks import Column
    >>> rows = [(f"layers.{i}.weight", 0.1 + i, f"fed by layers.{i}.norm") for i in range(12)]
    >>> table = Table("", (Column("parameter", kind="code"), Column("std"), Column("reason")), rows, unfolded=10)
    >>> folded(table).rows
    (('layers.0–11.weight', '0.1–11.1', 'fed by layers.0–11.norm'),)
    """
    if len(table.rows) <= table.unfolded or not table.columns or table.columns[0].kind != "code":
        return table
    rows = [_Row(str(row[0]).split("."), [_taken(v) for v in row[1:]], i) for i, row in enumerate(table.rows)]
    for level in range(max(len(row.name) for row in rows)):
        rows = _folded_at(rows, level, table.steps)
    if len(rows) == len(table.rows):
        return table
    shown = [(".".join(row.name), *(cell.text() for cell in row.cells)) for row in rows]
    remark = f"Blocks that repeat are folded, {len(table.rows):,} rows to {len(rows):,}: a–b is a range over them."
    return replace(
        table, rows=shown, note=f"{table.note}{'.' if table.note and table.note[-1] != '.' else ''} {remark}".strip()
    )


def _folded_at(rows: Sequence[_Row], level: int, steps: bool) -> list[_Row]:
    groups: dict[tuple[Any, ...], list[_Row]] = defaultdict(list)
    seen: Counter[tuple[Any, ...]] = Counter()
    kept: list[_Row] = []
    for row in rows:
        if level < len(row.name) and row.name[level].isdecimal():
            whole = (tuple(row.name), row.key(level))
            groups[(seen[whole], *row.key(level))].append(row)  # the n-th row of one name stands with other n-th rows
            seen[whole] += 1
        else:
            kept.append(row)
    for group in groups.values():
        for run in _runs(group, level, steps):
            kept += [_together(run, level)] if len(run) >= FEWEST else run
    return sorted(kept, key=lambda row: row.order)


def _runs(group: Sequence[_Row], level: int, steps: bool) -> Iterator[list[_Row]]:
    """The rows of a group in stretches of one step, or with `steps` of any equal ones, as long as they go."""
    run: list[_Row] = []
    for row in sorted(group, key=lambda row: int(row.name[level])):
        while run and not _goes_on(run, row, level, steps):
            kept = len(run) if len(run) >= FEWEST else 1
            yield run[:kept]
            run = run[kept:]
        run.append(row)
    yield run


def _goes_on(run: Sequence[_Row], row: _Row, level: int, steps: bool) -> bool:
    if steps:
        return len(run) == 1 or _step(run[-1], row, level) == _step(run[0], run[1], level)
    return _step(run[-1], row, level) == 1


def _step(row: _Row, following: _Row, level: int) -> int:
    return int(following.name[level]) - int(row.name[level])


def _together(run: Sequence[_Row], level: int) -> _Row:
    first, second, last = (row.name[level] for row in (run[0], run[1], run[-1]))
    steps = f"{first},{second}{',' if len(run) == FEWEST else '…'}{last}"
    numbers = f"{first}–{last}" if _step(run[0], run[1], level) == 1 else steps
    name = [*run[0].name[:level], numbers, *run[0].name[level + 1 :]]
    cells = [
        _Cell(
            column[0].words,
            tuple([*chain(*slots)] for slots in zip(*(c.numbers for c in column), strict=True)),
            column[0].value,
        )
        for column in zip(*(row.cells for row in run), strict=True)
    ]
    return _Row(name, cells, min(row.order for row in run))


def _taken(value: Any) -> _Cell:
    text = cell_text(value)
    if _ALONE.fullmatch(text):
        return _Cell(("", ""), ([text],), value)
    numbers = _NUMBER.findall(text)
    return _Cell(tuple(_NUMBER.split(text)), tuple([number] for number in numbers), value)


def _range(numbers: Sequence[str]) -> str:
    low, high = min(numbers, key=_size), max(numbers, key=_size)
    between = " to " if low[0] in "-−" else "–"
    return low if low == high else f"{low}{between}{high}"


def _size(number: str) -> float:
    return float(number.replace("−", "-").replace(",", ""))
