"""Sphinx: `{gallery}` lists pages as cards, each with a picture that the build made from the page's own figure."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import thumbnails
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class cards(nodes.General, nodes.Element):
    """Where a gallery stands; its cards are made when every page has run."""


class Gallery(SphinxDirective):
    """The pages to show, one a line, from the language's own folder."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        language = self.env.docname.partition("/")[0]
        return [cards(pages=[f"{language}/{line.strip()}" for line in self.content if line.strip()])]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_node(cards)
    app.add_directive("gallery", Gallery)
    app.connect("env-updated", lambda app, env: [f"{language}/index" for language in ("en", "ko")])
    app.connect("doctree-resolved", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in list(doctree.findall(cards)):
        made = "".join(_card(app, docname, page) for page in node["pages"])
        node.replace_self(nodes.raw("", f'<div class="gallery">{made}</div>', format="html"))


def _card(app: Sphinx, docname: str, page: str) -> str:
    if page not in app.env.titles:
        raise ValueError(f"{docname}: the gallery names {page}, which is no page")
    path = thumbnails.place(app, page)
    picture = path.read_text(encoding="utf-8") if path.exists() else ""
    if not picture:
        raise ValueError(f"{docname}: the gallery names {page}, which draws no figure")
    link = app.builder.get_relative_uri(docname, page)
    title = html.escape(app.env.titles[page].astext())
    words = html.escape(str(app.env.metadata[page].get("card", "")))
    return f'<a class="card" href="{link}">{picture}<strong>{title}</strong><span>{words}</span></a>'
