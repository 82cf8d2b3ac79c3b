"""The reference names all that is public, in both languages."""

from __future__ import annotations

import inspect
from operator import attrgetter
from pathlib import Path

import pytest
import reference

import initlab

NAMES = [name for page in reference.PAGES.values() for name in page["names"]]
PUBLIC = [name for name in initlab.__all__ if callable(getattr(initlab, name))]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_stands_in_the_reference_once(name: str) -> None:
    assert NAMES.count(name) == 1


@pytest.mark.parametrize("name", NAMES)
def test_what_the_reference_names_is_documented(name: str) -> None:
    found = attrgetter(name)(initlab)
    assert inspect.getdoc(found)


def test_pages_are_written_in_both_languages_and_only_english_ones_are_linked_to(tmp_path: Path) -> None:
    reference.write(tmp_path)
    english, korean = (tmp_path / language / "reference" for language in ("en", "ko"))
    assert {path.name for path in english.iterdir()} == {f"{page}.md" for page in [*reference.PAGES, "index"]}
    assert {path.name for path in english.iterdir()} == {path.name for path in korean.iterdir()}
    assert ":no-index:" in (korean / "verbs.md").read_text(encoding="utf-8")
    assert ":no-index:" not in (english / "verbs.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("q* and |x|", r"q\* and \|x\|"),
        ("glorot_* and snake_case", r"glorot\_\* and snake_case"),
        ("as `a * b` is", "as `a * b` is"),
        (">>> f(*args)", ">>> f(*args)"),
    ],
)
def test_formulas_of_docstrings_show_as_written(line: str, shown: str) -> None:
    assert reference.as_written(line) == shown
