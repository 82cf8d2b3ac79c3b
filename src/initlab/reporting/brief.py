"""A result in short: what it concludes, its table, and the lines below it; for a terminal and for a notebook."""

from __future__ import annotations

import html as escaping
from collections.abc import Sequence
from dataclasses import dataclass

from initlab.reporting.blocks import Table
from initlab.reporting.html import table_html
from initlab.reporting.terminal import table_text
from initlab.reporting.words import clean, wrapped

MOST = 1000  # characters of a line that are shown


@dataclass(frozen=True)
class Brief:
    """What a result says at a glance.

    Args:
        conclusion: one sentence.
        table: its numbers.
        remarks: lines that explain the table; shown in a terminal.
        warnings: what limits the conclusion; marked with "!" in a terminal, listed in a notebook.
        made: how the numbers were made; the last line in a terminal.
    """

    conclusion: str
    table: Table
    remarks: Sequence[str] = ()
    warnings: Sequence[str] = ()
    made: str = ""

    def text(self, width: int = 80) -> str:
        """For a terminal of `width` cells."""
        lines = [*_wrapped(self.conclusion, width), "", table_text(self.table, width)]
        for remark in self.remarks:
            lines += _wrapped(remark, width, after="  ")
        for warning in self.warnings:
            lines += _wrapped(warning, width, first="! ", after="  ")
        lines += _wrapped(self.made, width)
        return "\n".join(lines)

    def html(self) -> str:
        """For a notebook: a fragment in which every text is escaped."""
        listed = "".join(f"<li>{_escaped(line)}</li>" for line in self.warnings)
        return f"<p>{_escaped(self.conclusion)}</p>{table_html(self.table)}" + (f"<ul>{listed}</ul>" if listed else "")


def _wrapped(line: str, width: int, first: str = "", after: str = "") -> list[str]:
    return wrapped(clean(line, MOST), width, first, after)


def _escaped(line: str) -> str:
    return escaping.escape(clean(line, MOST))
