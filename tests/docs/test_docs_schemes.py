"""The pages of schemes: one a scheme in each language, with formula, source, reason, misuse and a picture."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import blocks
import generated
import pytest
import scheme_pages
import sources

from initlab.schemes import get_scheme, list_schemes

# Words of a formula or a picture that a Korean page has words for.
ENGLISH = re.compile(r"\b(?:and|at|but|columns?|else|entries|for|in the|of|or|rows?|so|which|with)\b(?!\()")


def test_every_scheme_is_translated_and_nothing_else_is() -> None:
    assert set(scheme_pages.KOREAN) == set(list_schemes())


@pytest.mark.parametrize("name", list_schemes())
def test_a_translation_renders_the_english_of_today(name: str) -> None:
    """Where this fails, render the changed English in schemes_ko.toml and note its new digest there."""
    assert scheme_pages.KOREAN[name]["of"] == scheme_pages.digest(get_scheme(name))


@pytest.mark.parametrize("language", scheme_pages.WORDS)
@pytest.mark.parametrize("name", list_schemes())
def test_a_page_says_all_that_the_catalogue_knows(name: str, language: str) -> None:
    scheme, page = get_scheme(name), scheme_pages.page(get_scheme(name), language)
    words = scheme_pages.WORDS[language]
    assert page.startswith(f"# `{name}`\n")
    text = scheme_pages.prose(scheme, language)
    for part in (
        text["latex"],
        text["formula"],
        str(scheme.year),
        f"## {words['why']}",
        f"## {words['misuse']}",
        "<svg",
    ):
        assert part in page
    (output,) = [output for _, output in blocks.run(page, name)]
    assert output.value.any() or name == "zeros"
    if language == "ko":
        assert not ENGLISH.search(f"{text['formula']} {text['latex']} {page.partition('<svg')[2]}")


def test_pages_are_written_once_and_left_alone(tmp_path: Path) -> None:
    scheme_pages.write(tmp_path)
    first = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.md")}
    assert len(first) == 2 * (len(list_schemes()) + 1)
    scheme_pages.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.md")} == first


def test_text_of_the_catalogue_shows_as_it_is() -> None:
    assert generated.escaped("a_b* [x] <y> $z$") == r"a\_b\* \[x\] \<y\> \$z\$"


def test_the_playground_says_sources_as_the_korean_pages_do() -> None:
    words = json.loads((files("initlab.playground") / "words.json").read_text(encoding="utf-8"))
    for name in list_schemes():
        source = f"{get_scheme(name).source} ({get_scheme(name).year})"
        assert words.get(f"source.{name}", ["", source]) == ["", sources.said(source, "ko")]
