"""What of a log to show: the table, the notes, the page, and what JSON holds."""

from __future__ import annotations

from typing import Any

from initlab.planning.named_streams.log import StreamLog, to_dict
from initlab.reporting import Callout, Column, Page, Section, Table, View, clean, shows, table_text, wrapped

_COLUMNS = (
    Column("parameter", kind="code", keep=9),
    Column("shape", kind="text", keep=6),
    Column("calls", kind="text", keep=7),
    Column("law", kind="text", keep=8),
    Column("std", "right", "number", keep=5),
    Column("bytes", "right", "number", keep=3),
)
_FIELDS = ("name", "shape", "dtype", "status", "calls", "draws", "law", "mean", "std", "bytes", "whole", "buffer")


def log_table(log: StreamLog) -> Table:
    rows = [
        (
            record.name,
            "×".join(map(str, record.shape)) or "scalar",
            "; ".join(record.calls) or "untouched",
            record.law,
            record.std,
            record.bytes,
        )
        for record in log.records
    ]
    return Table(f"Named streams of {log.model}, seed {log.seed}", _COLUMNS, rows, summary(log))


def summary(log: StreamLog) -> str:
    """One line: how many parameters were drawn, written and missed, and what was drawn elsewhere."""
    counts = {status: sum(r.status == status for r in log.records) for status in ("drawn", "written", "untouched")}
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    twice = sum(record.draws > 1 for record in log.records)
    parts += [f"{twice} drawn more than once, each time from a stream of its own"] if twice else []
    parts += [f"{log.elsewhere} draws elsewhere, from torch's own generator"] if log.elsewhere else []
    return "; ".join(parts)


def text(log: StreamLog, width: int = 80) -> str:
    notes = [line for note in log.notes for line in wrapped(clean(note, 2000), width, "note: ", "  ")]
    return "\n".join((table_text(log_table(log), width), *notes))


def page(log: StreamLog) -> Page:
    notes = [Callout("warning", clean(note, 2000)) for note in log.notes]
    return Page(f"Named streams of {log.model}", summary(log), [Section("Parameters", [*notes, log_table(log)])])


def _rows(log: StreamLog) -> list[dict[str, Any]]:
    return [{name: getattr(record, name) for name in _FIELDS} for record in log.records]


shows(
    StreamLog,
    View(table=log_table, text=text, page=page, data=to_dict, rows=_rows, index="name", fields=_FIELDS),
)
