"""Sphinx: on a Korean page the theme speaks Korean too, and the page says that it is Korean."""

from __future__ import annotations

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
    if pagename.partition("/")[0] == "ko":
        context["language"] = "ko"
        context["_"] = context["gettext"] = _korean


def _korean(text: str, **values: object) -> str:
    said = WORDS.get(text, text)
    return said % values if values else said
