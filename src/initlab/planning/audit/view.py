"""What of an audit to show: findings first, then the differences, then every parameter's start."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from initlab.planning.audit.results import Audit, ParameterStart
from initlab.planning.pasted import copied
from initlab.reporting import (
    Block,
    Callout,
    Column,
    Page,
    Section,
    Table,
    Text,
    View,
    clean,
    counted,
    shows,
    table_text,
    wrapped,
)
from initlab.reporting.finding import callout
from initlab.reporting.status import SEVERITIES

_COLUMNS = (
    Column("parameter", kind="code", keep=9),
    Column("shape", kind="text", keep=5),
    Column("law", kind="text", keep=7),
    Column("std", "right", "number", keep=6),
    Column("scheme", kind="text", keep=8),
    Column("sure", "right", "number", keep=3),
)
_FIELDS = ("name", "shape", "dtype", "role", "layer", "law", "mean", "std", "structure", "scheme", "also", "sure")


def audit_table(audit: Audit) -> Table:
    rows = [
        (p.name, "×".join(map(str, p.shape)) or "scalar", _law(p), p.law.std, p.scheme or "not a known one", p.sure)
        for p in audit.parameters
    ]
    return Table(f"The start of {audit.model}", _COLUMNS, rows, _summary(audit))


def _law(parameter: ParameterStart) -> str:
    return parameter.structure or (parameter.law.describe() if parameter.law.count else "no values")


def _summary(audit: Audit) -> str:
    found, against = len(audit.findings), f", against {audit.reference}" if audit.reference else ""
    return f"{len(audit)} parameters{against}; {counted(found, 'finding')}"


def text(audit: Audit, width: int = 80) -> str:
    lines: list[str] = []
    for finding in audit.findings:
        lines += [*wrapped(clean(str(finding), 2000), width, f"{SEVERITIES[finding.severity]} ", "  "), ""]
    lines += [line for note in audit.notes for line in wrapped(clean(note, 2000), width, "note: ", "  ")]
    return "\n".join([*lines, table_text(audit_table(audit), width)])


def page(audit: Audit) -> Page:
    blocks: list[Block] = [*map(callout, audit.findings)] or [Callout("good", "Nothing found.")]
    sections = [Section("Findings", [*blocks, *copied("auto", "Copy the start that a plan gives it")])]
    if audit.notes:
        sections.append(Section("Notes", [Text("\n\n".join(clean(note, 2000) for note in audit.notes))]))
    if audit.differences:
        columns = (Column("parameter", kind="code"), Column("what"), Column("reference"), Column("found"))
        rows = [(d.name, d.what, d.expected, d.found) for d in audit.differences]
        sections.append(Section("Differences", [Table(f"Not as the {audit.reference} says", columns, rows)]))
    sections.append(Section("Parameters", [audit_table(audit)]))
    return Page(f"Audit of {audit.model}", _summary(audit), sections)


def to_dict(audit: Audit) -> dict[str, Any]:
    return {
        "model": audit.model,
        "reference": audit.reference,
        "findings": [asdict(finding) for finding in audit.findings],
        "differences": [asdict(difference) for difference in audit.differences],
        "notes": audit.notes,
        "parameters": _rows(audit),
    }


def _rows(audit: Audit) -> list[dict[str, Any]]:
    return [
        {
            **{name: getattr(parameter, name) for name in _FIELDS if hasattr(parameter, name)},
            "law": _law(parameter),
            "mean": parameter.law.mean,
            "std": parameter.law.std,
        }
        for parameter in audit.parameters
    ]


shows(Audit, View(table=audit_table, text=text, page=page, data=to_dict, rows=_rows, index="name", fields=_FIELDS))
