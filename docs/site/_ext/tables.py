"""Sphinx: what cells hold is marked, so that the style sheet knows numbers, records of prose, and what never breaks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

NUMBER = re.compile(r"[-+−±×≈<>]?\s*\d[\d,.]*(?:e[-+−]?\d+)?\s*%?")
POWER = re.compile(r"([-−]?\d[\d.]*e[-−]\d+)")
COLUMNS, LONG = 4, 20  # a table of so many columns, two of them with cells of so many letters, is records of prose


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", lambda _, doctree: mark(doctree))
    return {"parallel_read_safe": True}


def mark(doctree: nodes.document) -> None:
    """Cells of a number alone get the class "number", tables of records "records", and 1e-05 "whole" wherever it is.

    The rows of records are read one below the other on a narrow page, where each cell begins with its column's head.
    """
    for table in doctree.findall(nodes.table):
        _records(table)
    for entry in doctree.findall(nodes.entry):
        if NUMBER.fullmatch(entry.astext().strip()):
            entry["classes"].append("number")
    for text in [*doctree.findall(nodes.Text)]:
        if POWER.search(text) and not isinstance(text.parent, nodes.FixedTextElement | nodes.literal | nodes.math):
            text.parent.replace(text, _whole(text))


def _records(table: nodes.table) -> None:
    rows = [[*row.findall(nodes.entry)] for row in table.findall(nodes.row)]
    head, *body = rows
    alike = all(len(row) == len(head) for row in body) and any(table.findall(nodes.thead))
    long = {place for row in body for place, entry in enumerate(row) if len(entry.astext()) >= LONG}
    if not alike or len(head) < COLUMNS or len(long) < 2:
        return
    table["classes"].append("records")
    for row in body:
        for name, entry in zip(head[1:], row[1:], strict=True):
            if entry.children:
                entry[0].insert(0, nodes.inline("", f"{name.astext()}: ", classes=["head"]))


def _whole(text: nodes.Text) -> list[nodes.Node]:
    parts = POWER.split(text)
    return [nodes.inline("", p, classes=["whole"]) if at % 2 else nodes.Text(p) for at, p in enumerate(parts) if p]
