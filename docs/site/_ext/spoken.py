"""Figures and tables of a Korean page in Korean: by the words of this file's table, then by those of the reports."""

from __future__ import annotations

import html
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from initlab.reporting.korean import FIGURE, READ, korean, shown_texts

WORDS: dict[str, str] = tomllib.loads(Path(__file__).with_name("spoken.toml").read_text(encoding="utf-8"))
TAG = re.compile(r"(<[^>]*>)")
READ_OUT = re.compile(rf'(?<= )({"|".join(READ)})="([^"]*)"')
PROSE = re.compile(r"(?<![\w.])(?!log )[a-z]{3,} [a-z]{2,}")
HANGUL = re.compile("[가-힣]")
Put = Callable[[str], str]


def said(text: str) -> str:
    """A text of a figure or a table in Korean; what neither table knows stays."""
    straight = text.replace("\u2019", "'")
    found = WORDS.get(straight) or korean(straight)
    return text if found == straight else found


def figure(spec: Any, put: Put, key: str = "") -> Any:
    """A figure's data with the texts that it shows put into the page's language."""
    if isinstance(spec, str):
        return put(spec) if key in FIGURE else spec
    if isinstance(spec, dict):
        return {name: figure(one, put, name) for name, one in spec.items()}
    return [figure(one, put, key) for one in spec] if isinstance(spec, list) else spec


def fragment(text: str, put: Put) -> str:
    """HTML with its texts put into the page's language; styles, scripts and code stay."""
    parts, inside = TAG.split(text), ""
    for place, part in enumerate(parts):
        if place % 2:
            inside = part[1:].split(maxsplit=1)[0].strip("<>/") if not part.startswith("</") else ""
            parts[place] = READ_OUT.sub(lambda one: f'{one[1]}="{html.escape(put(html.unescape(one[2])))}"', part)
        elif part.strip() and inside not in ("style", "script", "pre", "code"):
            parts[place] = part.replace(part.strip(), html.escape(put(html.unescape(part.strip())), quote=False))
    return "".join(parts)


def bare(text: str) -> bool:
    """Whether a text of a Korean page is English prose still."""
    return bool(PROSE.search(text)) and not HANGUL.search(text)


def left(spec: Any) -> Iterator[str]:
    """The texts of a figure that are English prose still."""
    return filter(PROSE.search, shown_texts(spec))
