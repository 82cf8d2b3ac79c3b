"""Sphinx: on a Korean page the theme and the tables speak Korean too, and pages lead on within their language."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import spoken
from docutils import nodes
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LOG = logging.getLogger(__name__)
WORDS: Mapping[str, str] = {
    "Next": "다음",
    "Previous": "이전",
    "Home": "처음",
    "Search": "검색",
    "On this page": "이 쪽의 차례",
    "Back to top": "맨 위로",
    "Made with ": "만든 도구: ",
}

FIELDS: Mapping[str, str] = {
    "Parameters": "인수",
    "Returns": "반환값",
    "Return type": "반환형",
    "Raises": "예외",
    "Variables": "속성",
}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", _tables)
    app.connect("doctree-read", lambda app, doctree: app.env.docname.startswith("ko/") and fields(doctree))
    app.connect("html-page-context", _spoken)
    return {"parallel_read_safe": True}


def _tables(app: Sphinx, doctree: nodes.document) -> None:
    """The cells of tables, also of those that a page takes from an English file; prose without Korean is a warning."""
    if not app.env.docname.startswith("ko/"):
        return
    texts = [text for entry in doctree.findall(nodes.entry) for text in entry.findall(nodes.Text)]
    for text in texts:
        if isinstance(text.parent, nodes.literal | nodes.math):
            continue
        words = text.strip()
        if words and (said := spoken.said(words)) != words:
            text.parent.replace(text, nodes.Text(text.replace(words, said)))
        elif spoken.bare(words):
            LOG.warning("a table says %r, which has no Korean in spoken.toml", words, location=app.env.docname)


def fields(doctree: nodes.document) -> None:
    """What a docstring's parts are called: arguments, what is returned, what is raised."""
    for name in doctree.findall(nodes.field_name):
        if said := FIELDS.get(name.astext()):
            name.clear()
            name += nodes.Text(said)


def _spoken(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    language = pagename.partition("/")[0]
    for beside in ("prev", "next"):
        found = context.get(beside)
        if found and not posixpath.normpath(posixpath.join(pagename, "..", found["link"])).startswith(f"{language}/"):
            context[beside] = None
    if language == "ko":
        context["language"] = "ko"
        context["_"] = context["gettext"] = _korean


def _korean(text: str, **values: object) -> str:
    said = WORDS.get(text, text)
    return said % values if values else said
