"""Reports in a terminal: tables that fit any width, figures as sparklines, and no character that a terminal obeys."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Any

from initlab.reporting.blocks import (
    BarFigure,
    Block,
    Callout,
    Code,
    Column,
    Formula,
    HeatmapFigure,
    HistogramGrid,
    ImageGrid,
    LineFigure,
    Page,
    ReadyFigure,
    ScatterFigure,
    Section,
    Series,
    Table,
    Text,
)
from initlab.reporting.folding import folded
from initlab.reporting.layout import fit_columns, numeric
from initlab.reporting.status import tone_of
from initlab.reporting.words import cell_text, clean, clean_lines, shorten

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as RichText

MAX_ROWS = 400
_LEVELS = {
    "info": ("cyan", "note"),
    "good": ("green", "good"),
    "warning": ("yellow", "warning"),
    "error": ("red", "problem"),
}
_DOTTED = re.compile(r"[A-Za-z_][\w–]*(\.[\w–]+)+[,;:)]*")  # a module's name within prose
_BARS = "▁▂▃▄▅▆▇█"


def table_text(table: Table, width: int = 80, *, max_rows: int = MAX_ROWS) -> str:
    """`table` as plain text at most `width` cells wide.

    Prose columns wrap, names are cut in their middle, numbers are never cut; when that is not enough, the columns with
    the lowest `keep` are left out and a line under the table says which. Beyond `max_rows`, head and tail are shown.

    >>> print(table_text(Table("", (Column("name", kind="code"), Column("std", "right")), (("he_normal", 0.1),)), 30))
    name       std
    ──────────────
    he_normal  0.1
    """
    # lazy: rich costs time and moves Python's random state when it is first imported
    from rich.console import Console

    console = Console(
        file=StringIO(),
        width=max(width, 8),
        no_color=True,
        force_terminal=False,
        legacy_windows=False,
        force_jupyter=False,  # else rich shows it in the notebook, and the text is empty
    )
    _print_table(console, table, max_rows)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO made above
    return "\n".join(line.rstrip() for line in text.rstrip("\n").split("\n"))


def print_page(item: Page | Section | Block, console: Console | None = None) -> None:
    """Print a page, a section or one block.

    Args:
        item: what is printed.
        console: a rich Console; the default writes to stdout, which decides width and colour (NO_COLOR, no terminal and
            narrow terminals are heeded).
    """
    console = console or make_console()
    if isinstance(item, Page):
        _line(console, item.title, "bold")
        if item.facts:
            _line(console, " · ".join(f"{name} {value}" for name, value in item.facts), "dim")
        if item.lead:
            _prose(console, item.lead)
        for section in item.sections:
            console.print()
            print_page(replace(section, title="") if section.title == item.title else section, console)
    elif isinstance(item, Section):
        if item.title:
            _line(console, item.title, "bold underline")
        if item.lead:
            _prose(console, item.lead)
        for block in item.blocks:
            print_page(block, console)
    else:
        _print_block(console, item)


def make_console(*, stderr: bool = False) -> Console:
    """A console on stdout (or stderr) that never fails on a character that the stream cannot encode."""
    # lazy: rich costs time and moves Python's random state when it is first imported
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and "utf" not in (getattr(stream, "encoding", None) or "").lower():
        reconfigure(errors="replace")

    class PipeConsole(Console):
        def on_broken_pipe(self) -> None:
            # rich would end the process here; what a closed pipe means is the caller's to say.
            raise BrokenPipeError

    return PipeConsole(file=stream, highlight=False, markup=False, emoji=False, force_jupyter=False)


def sparkline(values: Sequence[Any], width: int = 40, *, log: bool = False) -> str:
    """`values` as a row of bars, resampled to at most `width`; gaps are spaces.

    >>> sparkline([0, 1, 2, 3])
    '▁▃▆█'
    """
    points = [_number(v, log) for v in values]
    if len(points) > width:
        points = [points[round(i * (len(points) - 1) / (width - 1))] for i in range(width)]
    known = [p for p in points if p is not None]
    if not known:
        return " " * len(points)
    low, span = min(known), max(known) - min(known)
    return "".join(" " if p is None else _BARS[round((p - low) / span * 7) if span > 0 else 3] for p in points)


def _print_block(console: Console, block: Block) -> None:
    match block:
        case Text():
            _prose(console, block.body)
        case Callout():
            style, word = _LEVELS[block.level]
            _line(console, f"{word}: {block.title}", f"bold {style}")
            if block.body:
                _prose(console, block.body, indent=2)
        case Code():
            _line(console, block.title, "bold")
            for line in block.code.split("\n"):
                _line(console, f"    {line}", "")
            console.print()
        case Formula():
            _prose(console, block.text, indent=2)
        case Table():
            _print_table(console, block, MAX_ROWS)
            console.print()
        case LineFigure() | ScatterFigure() | BarFigure():
            _print_table(console, _series_table(block, console.width), MAX_ROWS)
            console.print()
        case HistogramGrid():
            rows = [(p.title, _bars(p.counts, max(8, min(24, console.width - 36))), p.note) for p in block.panels]
            columns = (Column("layer", kind="code", keep=9), Column("histogram", keep=8), Column("", keep=3))
            _print_table(console, Table(block.title, columns, rows, block.note), 40)
            console.print()
        case HeatmapFigure() | ImageGrid() | ReadyFigure():
            _line(console, f"{block.title}: see the report (--report FILE.html)", "dim")


def _series_table(figure: LineFigure | ScatterFigure | BarFigure, width: int) -> Table:
    log = figure.log_y
    if isinstance(figure, BarFigure):
        bars = [(s.name, str(x), y) for s in figure.series for x, y in zip(s.x, s.y, strict=True)]
        three = (Column("", keep=9), Column(figure.x_label, keep=9), Column(figure.y_label, "right", "number", 9))
        return Table(figure.title, three, bars, figure.note)
    columns = (
        Column("", kind="code", keep=9),
        Column("first", "right", "number", 8),
        Column("last", "right", "number", 8),
        Column(f"{figure.y_label} against {figure.x_label}", keep=7),
    )
    spark = max(8, min(40, width - 44))
    return Table(figure.title, columns, [_series_row(s, spark, log) for s in figure.series], figure.note)


def _series_row(series: Series, width: int, log: bool) -> tuple[str, Any, Any, str]:
    known = [y for y in series.y if y is not None]
    return series.name, known[0] if known else None, known[-1] if known else None, sparkline(series.y, width, log=log)


def _print_table(console: Console, table: Table, max_rows: int) -> None:
    # lazy: rich costs time and moves Python's random state when it is first imported
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable  # lazy: as above

    if table.title:
        _line(console, table.title, "bold")
    table = folded(table)
    rows, left_out = _head_and_tail(table.rows, max_rows)
    cells = [[cell_text(value) for value in row] for row in rows]
    layout = fit_columns(table.columns, cells, console.width)
    shown = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), highlight=False)
    for index in layout.shown:
        column = table.columns[index]
        right = column.align == "right" or numeric(column)
        heading = _plain(clean(column.name, 80), "bold")
        width = layout.widths[index]
        shown.add_column(heading, justify="right" if right else "left", width=width, overflow="fold")
    for position, row in enumerate(cells):
        if left_out and position == len(cells) - _tail(max_rows):
            shown.add_row(*[_plain("⋮", "dim") for _ in layout.shown])
        shown.add_row(*[_cell(table.columns[i], row[i], layout.widths[i]) for i in layout.shown])
    if not table.rows:
        _line(console, "(no rows)", "dim")
    elif layout.shown:
        console.print(shown)
    for remark in _remarks(table, layout.shown, left_out):
        _line(console, remark, "dim")


def _remarks(table: Table, shown: Sequence[int], left_out: int) -> list[str]:
    remarks = [table.note] if table.note else []
    hidden = [clean(c.name, 40) for i, c in enumerate(table.columns) if i not in shown and c.name]
    if hidden and table.rows:
        remarks.append(f"left out at this width: {', '.join(hidden)}")
    if left_out:
        remarks.append(f"{left_out:,} of {len(table.rows):,} rows are not shown here")
    return remarks


def _head_and_tail(rows: Sequence[Sequence[Any]], limit: int) -> tuple[list[Sequence[Any]], int]:
    if len(rows) <= limit:
        return list(rows), 0
    tail = _tail(limit)
    return [*rows[: limit - tail], *rows[len(rows) - tail :]], len(rows) - limit


def _tail(limit: int) -> int:
    return limit // 4


def _cell(column: Column, text: str, width: int) -> RichText:
    if column.kind == "code":
        return _plain(shorten(text, width))
    if column.kind == "status":
        tone = tone_of(text)
        return _plain(text, {"good": "green", "warning": "yellow", "error": "bold red"}.get(tone, ""))
    return _plain(" ".join(shorten(word, width) if _DOTTED.fullmatch(word) else word for word in text.split(" ")))


def _plain(text: str, style: str = "") -> RichText:
    # lazy: rich costs time and moves Python's random state when it is first imported
    from rich.text import Text as RichText

    return RichText(text, style=style, overflow="fold")


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(_plain(clean(text, 2000), style))


def _prose(console: Console, text: str, indent: int = 0) -> None:
    # lazy: rich costs time and moves Python's random state when it is first imported
    from rich.padding import Padding

    console.print(Padding(_plain(clean_lines(text)), (0, 0, 0, indent)))


def _bars(counts: Sequence[Any], width: int) -> str:
    """A histogram as a row of bars, its bins joined to `width`; an empty bin is a space."""
    joined = [sum(counts[i * len(counts) // width : (i + 1) * len(counts) // width]) for i in range(width)]
    bins = joined if len(counts) > width else list(counts)
    top = max([_number(b, False) or 0.0 for b in bins] + [0.0])
    return "".join(_BARS[min(7, int(8 * b / top))] if top > 0 and b > 0 else " " for b in bins)


def _number(value: Any, log: bool) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number) or (log and number <= 0):
        return None
    return math.log(number) if log else number
