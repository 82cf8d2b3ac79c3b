"""What to show of the catalogue and of one scheme, in the primitives of reporting."""

from __future__ import annotations

from typing import Any

from initlab.reporting import Column, Section, Table, Text
from initlab.schemes.registry import ALIASES, ENTRIES
from initlab.schemes.scheme import Scheme


def catalogue_table() -> Table:
    """Every scheme of the catalogue in one table: name, law, what it suits, year.

    >>> len(catalogue_table().rows) == len(ENTRIES)
    True
    """
    columns = (
        Column("scheme", kind="code", keep=9),
        Column("law", kind="text", keep=8),
        Column("suits", kind="text", keep=6),
        Column("year", "right", "number", keep=4),
    )
    rows = [(entry.name, entry.formula, ", ".join(entry.suits) or "-", str(entry.year)) for entry in ENTRIES.values()]
    return Table(
        "Schemes", columns, rows, note="initlab schemes NAME explains one; also known by other names: " + _others()
    )


def scheme_section(scheme: Scheme) -> Section:
    """One scheme explained: its law, what it keeps and why, its arguments, its source, and what it is wrong for.

    >>> from initlab.schemes import get_scheme
    >>> scheme_section(get_scheme("he_normal")).title
    'he_normal'
    """
    rows = [
        ("law", scheme.formula),
        ("in LaTeX", scheme.latex),
        ("keeps", scheme.keeps),
        ("why", scheme.why),
        ("suits", ", ".join(scheme.suits) or "no activation in particular"),
        ("outside them", scheme.misuse),
        ("arguments", ", ".join(f"{key}={value!r}" for key, value in scheme.arguments.items()) or "none"),
        ("also known as", ", ".join(alias for alias, name in ALIASES.items() if name == scheme.name) or "-"),
        ("source", f"{scheme.source} ({scheme.year})"),
    ]
    table = Table(scheme.name, (Column("", keep=9), Column(" ", keep=8)), rows)
    return Section(scheme.name, (Text(scheme.formula, mono=True), table))


def scheme_data(scheme: Scheme) -> dict[str, Any]:
    """One scheme as plain data, for --json.

    >>> from initlab.schemes import get_scheme
    >>> scheme_data(get_scheme("zeros"))["formula"]
    'W = 0'
    """
    fields = ("name", "formula", "latex", "keeps", "why", "source", "year", "misuse")
    data: dict[str, Any] = {field: getattr(scheme, field) for field in fields}
    return {**data, "suits": list(scheme.suits), "arguments": dict(scheme.arguments)}


def _others() -> str:
    return ", ".join(f"{alias} ({name})" for alias, name in ALIASES.items())
