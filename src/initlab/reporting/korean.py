"""Pages in Korean: what of a page's text `korean.toml` and `korean_literature.toml`, the claims, say how to put.

An entry pairs an English phrase with its Korean one. In the English, `{}` stands for anything that stays as it is (a
name, a number), `{=}` for one such word, and `{+}` for words that are put into Korean themselves; in the Korean, `{0}`
is the first of them. A text is put sentence by sentence and clause by clause, so that an entry is as short as what the
code says at a time. What has no entry stays English.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_HOLE = re.compile(r"\{[+=]?\}")
_PROSE = re.compile(r"[a-z]{2,} [a-z]{2,}")  # words that, left as they are, would stand in a Korean sentence
READ = ("title", "aria-label", "alt", "data-done", "data-selected")  # attributes that are read out or shown
FIGURE = ("text", "name", "label", "ticktext", "x", "y")  # keys of a figure's JSON whose texts are shown


@dataclass(frozen=True)
class Phrase:
    """One entry: the English as a pattern, which of its holes are put into Korean, and the Korean."""

    pattern: re.Pattern[str]
    literal: str
    spoken: tuple[bool, ...]
    korean: str


@lru_cache(maxsize=20_000)
def korean(text: str) -> str:
    """`text` in Korean as far as the entries go.

    >>> korean("measured 0.81 for 1, std ×1.11")
    '목표 1, 측정값 0.81, std ×1.11'
    >>> korean("encoder.layer.0")
    'encoder.layer.0'
    """
    whole, phrases = _entries()
    for known in (text, text[:1].lower() + text[1:], text[:1].upper() + text[1:]):
        if known in whole:
            return whole[known]
    if text[-1:] in (".", ":", ";") and (inner := korean(text[:-1])) != text[:-1]:
        return inner + ("." if text[-1] == ";" and inner[-1:] == "다" else text[-1])  # sentences of their own in Korean
    of_colons, others = phrases
    return (
        _in_parts(text, ".!?")
        or _in_parts(text, ";")
        or _as_phrase(text, of_colons)
        or _in_parts(text, ":")
        or _as_phrase(text, others)
        or _listed(text)
        or text
    )


def _in_parts(text: str, ends: str) -> str | None:
    """The parts that end in one of `ends`, each in Korean; what stands in brackets is not parted."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and character == " " and text[place - 1 : place] and text[place - 1] in ends:
            parts.append(text[start:place])
            start = place + 1
    return " ".join(map(korean, [*parts, text[start:]])) if parts else None


def _listed(text: str) -> str | None:
    """A list of words and phrases that all have entries."""
    parts = text.split(", ")
    said = [korean(part) for part in parts] if len(parts) > 1 else parts
    return None if any(one == part for one, part in zip(said, parts, strict=True)) else ", ".join(said)


def _as_phrase(text: str, phrases: Sequence[Phrase]) -> str | None:
    for phrase in phrases:
        if phrase.literal in text and (found := phrase.pattern.fullmatch(text)):
            held = list(zip(found.groups(), phrase.spoken, strict=True))
            said = [korean(part) if spoken else part for part, spoken in held]
            if not any(
                s == part and _PROSE.search(part) for s, (part, spoken) in zip(said, held, strict=True) if spoken
            ):
                return phrase.korean.format(*said)
    return None


def dictionary(html: str) -> dict[str, str]:
    """Every text of a page, of its figures too, that reads otherwise in Korean."""
    return {text: said for text in texts(html) if (said := korean(text)) != text}


def texts(html: str) -> list[str]:
    """Every text that a page shows: between tags, in attributes that are read out, in the JSON of its figures."""
    reader = _Texts()
    reader.feed(html)
    return sorted(reader.found)


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.found |= {value.strip() for name, value in attrs if name in READ and value}

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.found |= set(shown_texts(json.loads(data)))
        elif self._inside not in ("style", "pre"):
            self.found |= {data.strip()}


def shown_texts(figure: Any, key: str = "") -> Iterator[str]:
    """Every text that a figure's data shows: those under the keys `FIGURE`, at any depth.

    >>> list(shown_texts({"title": {"text": "loss"}, "type": "scatter"}))
    ['loss']
    """
    if isinstance(figure, str):
        yield from [figure] if key in FIGURE else []
    elif isinstance(figure, dict):
        for name, one in figure.items():
            yield from shown_texts(one, name)
    elif isinstance(figure, list):
        for one in figure:
            yield from shown_texts(one, key)


@cache
def _entries() -> tuple[dict[str, str], tuple[tuple[Phrase, ...], tuple[Phrase, ...]]]:
    """The phrases without a hole by their English; those with holes, the longest first, with a colon and without."""
    files = [
        tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(__file__).parent.glob("korean*.toml"))
    ]
    pairs = [pair for tables in files for table in tables.values() for pair in table.items()]
    whole = {english: said for english, said in pairs if not _HOLE.search(english)}
    holed = sorted((pair for pair in pairs if pair[0] not in whole), key=lambda pair: -len(_HOLE.sub("", pair[0])))
    of_colons = tuple(_phrase(*pair) for pair in holed if ": " in pair[0])
    return whole, (of_colons, tuple(_phrase(*pair) for pair in holed if ": " not in pair[0]))


def _phrase(english: str, said: str) -> Phrase:
    parts = _HOLE.split(english)
    first = f"(?i:{re.escape(parts[0][:1])}){re.escape(parts[0][1:])}" if parts[0] else ""
    holes = _HOLE.findall(english)
    matches = [r"(\S+)" if hole == "{=}" else "(.+?)" for hole in holes]
    pattern = first + "".join(match + re.escape(part) for match, part in zip(matches, parts[1:], strict=True))
    literal = max([parts[0][1:], *parts[1:]], key=len)
    return Phrase(re.compile(pattern, re.DOTALL), literal, tuple(hole == "{+}" for hole in holes), said)
