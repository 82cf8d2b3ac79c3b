"""Pages that the site makes of what the package knows: how they are written, and the page that lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

CODE = re.compile(r"(`[^`|]+`)")
MARKUP = re.compile(r"([\\`*_\[\]<>$|{}#])")


def write_pages(folder: Path, pages: Mapping[str, str]) -> None:
    """The pages by name; one that is as it was is left alone, so that it is not built again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def listing(title: str, lead: str, columns: Sequence[str], rows: Mapping[str, str], beside: Iterable[str] = ()) -> str:
    """A page of one row a page, and of `beside`, pages that no row names.

    Args:
        title, lead: what stands above the table.
        columns: the two heads.
        rows: what is said of each page, by its name.
        beside: further names of the tree, before those of the rows.
    """
    lines = [f"| [`{name}`]({name}.md) | {escaped(said)} |" for name, said in rows.items()]
    head = f"# {title}\n\n{lead}\n\n| {columns[0]} | {columns[1]} |\n|---|---|\n"
    tree = "\n".join((*beside, *rows))
    return f"{head}{chr(10).join(lines)}\n\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n"


def escaped(text: str) -> str:
    """Text of the package as Markdown that shows it as it is, what stands between backticks as code.

    >>> print(escaped("`param_groups` of a_b"))
    `param_groups` of a\\_b
    """
    return "".join(part if part.startswith("`") else MARKUP.sub(r"\\\1", part) for part in CODE.split(text))
