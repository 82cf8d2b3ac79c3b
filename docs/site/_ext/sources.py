"""Sources on Korean pages: titles and names of files stay, what is said of them and the places in them are Korean."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

WORDS: dict[str, str] = tomllib.loads(Path(__file__).with_name("sources_ko.toml").read_text(encoding="utf-8"))
PLACES = {"table": "표", "figure": "그림", "equation": "식", "appendix": "부록", "algorithm": "알고리즘", "lines": "행"}
NUMBERS = r"[A-Z]?(?:\.?\d+)*(?:(?:, | and | to )\d+(?:\.\d+)*)*\b"
PLACE = re.compile(rf"\b(sections?|{'|'.join(f'{name}s?' for name in PLACES)}) (?=[A-Z\d])({NUMBERS})")


def said(source: str, language: str) -> str:
    """A source in the page's language.

    >>> said("Wang et al., DeepNet (2022), section 4.2 and figure 2", "ko")
    'Wang et al., DeepNet (2022), 4.2절과 그림 2'
    """
    if language == "en":
        return source
    for english in sorted(WORDS, key=len, reverse=True):
        source = source.replace(english, WORDS[english])
    return PLACE.sub(_place, source).replace("절 and ", "절과 ")


def _place(found: re.Match[str]) -> str:
    numbers = found[2].replace(" and ", ", ").replace(" to ", "–")
    kind = found[1] if found[1] in PLACES else found[1].removesuffix("s")
    return f"{numbers}절" if kind == "section" else f"{PLACES[kind]} {numbers}"
