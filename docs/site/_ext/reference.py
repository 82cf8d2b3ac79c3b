"""The reference: pages of the public names, in each language, filled from docstrings by autodoc."""

from __future__ import annotations

import inspect
import re
import tomllib
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generated import write_pages

import initlab

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGES: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "reference.toml").read_text(encoding="utf-8"))
HEAD = {
    "en": ("Reference", "Every public name, from its docstring: formula or rule, arguments, result, errors, source."),
    "ko": ("레퍼런스", "공개된 모든 이름의 설명이다. 코드의 독스트링에서 만들기 때문에 본문은 영어로 되어 있다."),
}
ENGLISH = {"en": "", "ko": "설명은 코드의 독스트링 그대로 영어이다."}
CODE = re.compile(r"(`[^`]*`)")
MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)))
    app.connect("autodoc-process-docstring", _as_written, priority=400)  # before napoleon
    return {"parallel_read_safe": True}


def write(site: Path) -> None:
    """The pages below `site`; one that is as it was is left alone."""
    for language, (title, lead) in HEAD.items():
        tree = "\n".join(PAGES)
        pages = {name: page(name, language) for name in PAGES}
        pages["index"] = f"# {title}\n\n{lead}\n\n```{{toctree}}\n{tree}\n```\n"
        write_pages(site / language / "reference", pages)


def page(name: str, language: str) -> str:
    """One page; the names that links lead to are those of the English one."""
    title, lead = PAGES[name][language]
    said = f"{lead} {ENGLISH[language]}".strip()
    return f"# {title}\n\n{said}\n\n" + "\n".join(_entry(public, language) for public in PAGES[name]["names"])


def _entry(public: str, language: str) -> str:
    found = attrgetter(public)(initlab)
    kind = "function" if not inspect.isclass(found) else "exception" if issubclass(found, Exception) else "class"
    options = [":members:"] if kind == "class" else []
    options += [":no-index:"] if language != "en" else []
    lines = [f".. auto{kind}:: initlab.{public}", *(f"   {option}" for option in options)]
    return "```{eval-rst}\n" + "\n".join(lines) + "\n```\n"


def _as_written(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [as_written(line) for line in lines]


def as_written(line: str) -> str:
    """A docstring's line for reStructuredText, with stars and bars of formulas as they are.

    >>> print(as_written("`a*b` is |x| * 2"))
    `a*b` is \\|x\\| \\* 2
    """
    if line.lstrip().startswith((">>>", "...")):
        return line
    return "".join(part if part.startswith("`") else MARKUP.sub(r"\\\g<0>", part) for part in CODE.split(line))
