"""Sphinx: below each block of code what it shows, and on each page the link to the other language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blocks
import plotly

from initlab.reporting.blocks import HistogramGrid, ImageGrid, LineFigure, Table
from initlab.reporting.figures import to_plotly
from initlab.reporting.html import block_html

if TYPE_CHECKING:
    from sphinx.application import Sphinx

OTHER = {"en": ("ko", "한국어"), "ko": ("en", "English")}
TITLE = re.compile(r"^# .+$", re.MULTILINE)
SCRIPT = "plotly.min.js"
# What the blocks of a page showed: the same code in the other language is not run again.
_SHOWN: dict[tuple[tuple[str, str], ...], list[list[str]]] = {}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _read)
    app.connect("html-page-context", _page)
    app.config.html_static_path.append(str(Path(plotly.__file__).parent / "package_data" / SCRIPT))
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    language = docname.partition("/")[0]
    if language in OTHER:
        source[0] = linked(with_outputs(source[0], docname), docname)


def with_outputs(text: str, page: str) -> str:
    """The page with what each block shows below it."""
    found = blocks.blocks(text)
    code = tuple((block.language, block.code) for block in found)
    if code not in _SHOWN:
        _SHOWN[code] = [shown(output) for _, output in blocks.run(text, page)]
    parts, at = [], 0
    for block, output in zip(found, _SHOWN[code], strict=True):
        parts += [text[at : block.end], "\n", *output]
        at = block.end
    return "".join([*parts, text[at:]])


def shown(output: blocks.Output) -> list[str]:
    """An output as Markdown: what was printed, then the value as a notebook would show it."""
    value, text = output.value, output.text.rstrip("\n")
    html = _html(value)
    if value is not None and html is None:
        text = f"{text}\n{value!r}".lstrip("\n")
    parts = [f"\n```{{code-block}} text\n:class: output\n\n{text}\n```\n"] if text else []
    return [*parts, f"\n```{{raw}} html\n{html}\n```\n"] if html else parts


def _html(value: Any) -> str | None:
    if isinstance(value, HistogramGrid | ImageGrid | Table):
        return block_html(value)
    figure = to_plotly(value) if isinstance(value, LineFigure) else value
    if hasattr(figure, "to_plotly_json"):
        figure.update_layout(height=380, margin={"l": 60, "r": 20, "t": 50, "b": 50})
        made = figure.to_html(full_html=False, include_plotlyjs=False, div_id=None, config={"displaylogo": False})
        return f'<div class="figure">{made}</div>'
    return value._repr_html_() if hasattr(value, "_repr_html_") else None


def linked(text: str, docname: str) -> str:
    """The page with a link to its counterpart below the title."""
    language, _, rest = docname.partition("/")
    other, name = OTHER[language]
    title = TITLE.search(text)
    if title is None:
        raise ValueError(f"{docname} has no title")
    return f"{text[: title.end()]}\n\n{{.language}}\n[{name}](/{other}/{rest}.md)\n{text[title.end() :]}"


def _page(app: Sphinx, docname: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["language"] = docname.partition("/")[0] if docname.partition("/")[0] in OTHER else "en"
    if "plotly-graph-div" in context.get("body", ""):
        # Before the figures, whose own scripts call it; the theme's scripts stand below them.
        source = context["pathto"](f"_static/{SCRIPT}", resource=True)
        context["body"] = f'<script src="{source}"></script>\n{context["body"]}'
