"""Pages as notebooks (nbformat 4.5): prose as Markdown cells, blocks as code cells, with what they showed."""

from __future__ import annotations

import re
from typing import Any

import blocks
import shows

FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")
COLON = re.compile(r"^:::\{?(\w+)\}?[^\n]*\n(.*?)^:::$", re.DOTALL | re.MULTILINE)
# What the site's own build sets in conf.py, before numpy and torch are imported.
THREADS = """import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # models are small here: threads that wait for each other slow them"""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def wanted(text: str, docname: str) -> bool:
    """Whether a page becomes a notebook: it runs Python, and is not one of the catalogue's."""
    return "/schemes/" not in docname and any(block.language == "python" for block in blocks.blocks(text))


def place(docname: str) -> str:
    """Where a page's notebook stands in the site."""
    return f"_notebooks/{docname}.ipynb"


def notebook(text: str, ran: list[tuple[blocks.Block, blocks.Output]]) -> dict[str, Any]:
    """The page as a notebook.

    Args:
        text: the page.
        ran: its blocks in order, with what each showed.
    """
    cells: list[dict[str, Any]] = []
    prose, at = "", 0
    for block, output in ran:
        prose += text[at : block.start]
        at = block.end
        if block.language == "value":
            prose += output.value
            continue
        cells += [*_markdown(prose), *_code(block, output)]
        prose = ""
    cells += _markdown(prose + text[at:])
    first = next((place for place, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    cells.insert(first, _cell(THREADS, []))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": METADATA, "cells": cells}


def _markdown(prose: str) -> list[dict[str, Any]]:
    """Prose as a cell; links within the site keep their words, since a notebook stands alone."""
    source = LINK.sub(r"\1", COLON.sub(r"\2", FRONT_MATTER.sub("", prose))).strip()
    return [{"cell_type": "markdown", "metadata": {}, "source": source}] if source else []


def _code(block: blocks.Block, output: blocks.Output) -> list[dict[str, Any]]:
    source = block.code.rstrip("\n")
    if block.language == "sh":
        source = "\n".join(f"!{line}" for line in source.splitlines() if line)
    file = blocks.FILE.match(source.splitlines()[0])
    if file is None:
        return [_cell(source, shows.cell_outputs(output))]
    # Imported, since a notebook's own name is __main__: what the file does as a command is not done here.
    names = f"from {file[1].removesuffix('.py')} import *"
    return [_cell(f"%%writefile {file[1]}\n{source}", []), _cell(names, shows.cell_outputs(output))]


def _cell(source: str, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "source": source, "outputs": outputs}
