"""Sphinx: below each block of code what it shows, above it the links to the other language and to the notebook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blocks
import notebooks
import plotly
import plotly.graph_objects as go
import shows
import spoken
import thumbnails

import initlab

if TYPE_CHECKING:
    from sphinx.application import Sphinx

OTHER = {"en": ("ko", "한국어"), "ko": ("en", "English")}
PUT: dict[str, spoken.Put] = {"en": str, "ko": spoken.said}
NOTEBOOK = {"en": "Notebook", "ko": "노트북"}
TITLE = re.compile(r"^# .+$", re.MULTILINE)
PACKAGED = (
    Path(plotly.__file__).parent / "package_data" / "plotly.min.js",
    Path(initlab.reporting.__file__).parent / "templates" / "narrow.js",
)
SCRIPTS = (*(path.name for path in PACKAGED), "figures.js")
Ran = list[tuple[blocks.Block, blocks.Output]]
# What pages showed, by their code: the same code in the other language is not run again.
_RAN: dict[tuple[tuple[str, str], ...], Ran] = {}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _read)
    app.connect("html-page-context", _page)
    app.config.html_static_path.extend(map(str, PACKAGED))
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    language = docname.partition("/")[0]
    if language not in OTHER:
        return
    text = source[0]
    ran = executed(text, docname)
    links = [counterpart(docname)]
    if notebooks.wanted(text, docname):
        path = Path(app.outdir) / notebooks.place(docname)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(notebooks.notebook(text, ran), ensure_ascii=False, indent=1), encoding="utf-8")
        up = "../" * docname.count("/")
        links.append(f'<a href="{up}{notebooks.place(docname)}" download>{NOTEBOOK[language]} (.ipynb)</a>')
    picture = thumbnails.of_page((output.value for _, output in ran), PUT[language])
    if picture:
        path = thumbnails.place(app, docname)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(picture, encoding="utf-8")
    source[0] = headed(with_outputs(text, ran, PUT[language]), links, docname)
    if language == "ko":
        from sphinx.util import logging  # lazy: the tests of blocks run without Sphinx

        for words in english(output.value for _, output in ran):
            logging.getLogger(__name__).warning(
                "a figure says %r, which has no Korean in spoken.toml", words, location=docname
            )


def executed(text: str, page: str) -> Ran:
    """What is run of the page, with what it showed, in the page's order."""
    key = tuple(blocks.code_of(text))
    if key not in _RAN:
        _RAN[key] = list(blocks.run(text, page))
    before: dict[tuple[int, str], blocks.Output] = {}
    for place, block, output in _placed(_RAN[key]):
        before[place, block.code] = output
    return [(block, before[place, block.code]) for place, block, _ in _placed([(b, None) for b in blocks.blocks(text)])]


def _placed(ran: Any) -> Any:
    """Each with the number of blocks of code before it: expressions between two of them may stand in any order."""
    place = 0
    for block, output in ran:
        place += block.language != "value"
        yield place, block, output


def english(values: Iterable[Any]) -> list[str]:
    """The texts of figures that have no Korean."""
    specs = [json.loads(value.to_json()) for value in values if isinstance(value, go.Figure)]
    return [words for spec in specs for words in spoken.left(spoken.figure(spec, spoken.said))]


def with_outputs(text: str, ran: Ran, put: spoken.Put = str) -> str:
    """The page with what each block shows below it, and the values of its expressions in the prose."""
    parts, at = [], 0
    for block, output in ran:
        if block.language == "value":
            parts += [text[at : block.start], output.value]
        else:
            parts += [text[at : block.end], "\n", *shows.markdown(output, put)]
        at = block.end
    return "".join([*parts, text[at:]])


def counterpart(docname: str) -> str:
    """The link to the page in the other language."""
    language, _, rest = docname.partition("/")
    other, name = OTHER[language]
    return f"[{name}](/{other}/{rest}.md)"


def headed(text: str, links: list[str], docname: str) -> str:
    """The page with its links below the title."""
    title = TITLE.search(text)
    if title is None:
        raise ValueError(f"{docname} has no title")
    return f"{text[: title.end()]}\n\n{{.language}}\n{' · '.join(links)}\n{text[title.end() :]}"


def _page(app: Sphinx, docname: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["language"] = docname.partition("/")[0] if docname.partition("/")[0] in OTHER else "en"
    if 'class="initlab"' in context.get("body", ""):
        context["metatags"] = context.get("metatags", "") + shows.theme_style()
    if shows.MARK in context.get("body", ""):
        paths = [context["pathto"](f"_static/{name}", resource=True) for name in SCRIPTS]
        context["body"] += "".join(f'\n<script src="{path}"></script>' for path in paths)
