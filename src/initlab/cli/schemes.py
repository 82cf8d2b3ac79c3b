"""`initlab schemes [NAME]`: the catalogue, or one scheme explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from initlab.cli import options, output
from initlab.reporting import Block, Code, Column, Formula, Page, Section, Table, Text
from initlab.schemes import get_scheme, list_schemes, scheme_like
from initlab.schemes.calls import start_code

if TYPE_CHECKING:
    from initlab.schemes import Scheme

_FIELDS = ("name", "formula", "latex", "keeps", "why", "source", "year", "suits", "misuse", "arguments")


def command(
    name: options.Scheme = None,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """List the initialization schemes, or explain one.

    Formula, what it keeps constant and why, source, and what happens where it does not fit.

    Example: initlab schemes he_normal
    """
    target = output.checked_report(report)
    shown: Table | Page
    data: Any
    if name is None:
        schemes = [get_scheme(each) for each in list_schemes()]
        shown, data = _catalogue(schemes), [_record(scheme) for scheme in schemes]
        page = Page("Initialization schemes", "", [Section("All", [shown]), *(explained(s) for s in schemes)])
    else:
        scheme = scheme_like(options.policy_from(name))
        shown = page = Page(scheme.label, scheme.keeps, [explained(scheme)])
        data = _record(scheme)
    output.show(shown, page, data, as_json=as_json, report=target)


def _catalogue(schemes: Sequence[Scheme]) -> Table:
    columns = (
        Column("scheme", kind="code", keep=9),
        Column("formula", keep=8),
        Column("suits", keep=5),
        Column("year", "right", "text", 3),
    )
    rows = [(s.name, s.formula, ", ".join(s.suits), str(s.year)) for s in schemes]
    return Table("Initialization schemes", columns, rows, "initlab schemes NAME explains one.")


def explained(scheme: Scheme) -> Section:
    """All that a scheme says of itself."""
    facts: list[tuple[str, Any]] = [
        ("keeps constant", scheme.keeps),
        ("suits", ", ".join(scheme.suits) or "no activation in particular"),
        ("outside them", scheme.misuse),
        ("arguments", ", ".join(f"{k}={v!r}" for k, v in scheme.arguments.items()) or "none"),
        ("also called", ", ".join(sorted(scheme.aliases)) or "–"),
        ("source", f"{scheme.source} ({scheme.year})"),
    ]
    rows = [(name, value) for name, value in facts if value]
    table = Table("", (Column("", keep=9), Column(scheme.name, keep=9)), rows)
    blocks: list[Block] = [Formula(scheme.latex, scheme.formula), table, Text(scheme.why)]
    return Section(scheme.label, [*blocks, Code("Copy this start", start_code(scheme))])


def _record(scheme: Scheme) -> dict[str, Any]:
    return {field: getattr(scheme, field) for field in _FIELDS} | {"aliases": sorted(scheme.aliases)}
