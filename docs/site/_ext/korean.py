"""Sphinx: on a Korean page the theme speaks Korean too, and pages lead on within their language."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WORDS: Mapping[str, str] = {
    "Next": "다음",
    "Previous": "이전",
    "Home": "처음",
    "Search": "검색",
    "On this page": "이 쪽의 차례",
    "Back to top": "맨 위로",
    "Made with ": "만든 도구: ",
}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", _spoken)
    return {"parallel_read_safe": True}


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
