"""Sphinx: the cells of a table that hold a number alone are marked: its columns are as narrow as their numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

NUMBER = re.compile(r"[-+−±×≈<>]?\s*\d[\d,.]*(?:e[-+−]?\d+)?\s*%?")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", lambda _, doctree: mark(doctree))
    return {"parallel_read_safe": True}


def mark(doctree: nodes.document) -> None:
    """Each such cell gets the class "number"."""
    for entry in doctree.findall(nodes.entry):
        if NUMBER.fullmatch(entry.astext().strip()):
            entry["classes"].append("number")
