"""Every block of code of the English pages runs, and the Korean pages hold the same code."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path

import blocks
import executed
import pytest

SITE = Path(__file__).parents[2] / "docs" / "site"
PAGES = sorted(path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.glob("*/**/*.md"))
MADE = re.compile(r"/(schemes|recipes|reference)/")  # pages that the build makes
OWN = [page for page in PAGES if page.startswith(("en/", "ko/")) and not MADE.search(page)]
HELD = [
    page for page in OWN if page.startswith("en/") and blocks.blocks((SITE / f"{page}.md").read_text(encoding="utf-8"))
]


def _text(page: str) -> str:
    return (SITE / f"{page}.md").read_text(encoding="utf-8")


def _marked(page: str) -> object:
    heavy = re.match(r"---\n(?:.*\n)*?nightly: true\n", _text(page))
    # A limit finds what hangs: processes of torchrun take two minutes of a busy machine, and a night keeps it busy.
    return pytest.param(page, marks=[pytest.mark.nightly, pytest.mark.timeout(1200)]) if heavy else page


@pytest.mark.parametrize("page", [_marked(page) for page in HELD])
def test_the_blocks_of_a_page_run_and_show_something(page: str) -> None:
    shown = [output for _, output in blocks.run(_text(page), page)]
    assert any(output.text or output.value is not None for output in shown)


@pytest.mark.parametrize("page", [page for page in OWN if page.startswith("en/")])
def test_a_page_stands_in_both_languages_with_the_same_code(page: str) -> None:
    korean = page.replace("en/", "ko/", 1)
    assert korean in OWN
    assert blocks.code_of(_text(page)) == blocks.code_of(_text(korean))


@pytest.mark.parametrize("page", [page for page in OWN if "```{include}" in _text(page)])
def test_what_a_page_includes_is_there_with_its_marks(page: str) -> None:
    for name, options in re.findall(r"^```\{include\} (\S+)\n(.*?)^```$", _text(page), re.DOTALL | re.MULTILINE):
        source = ((SITE / page).parent / name).read_text(encoding="utf-8")
        for mark in re.findall(r'^:(?:start-after|end-before): "(.*)"$', options, re.MULTILINE):
            assert mark in source


def test_the_korean_page_of_the_verdict_has_no_number_that_the_english_has_not() -> None:
    english, korean = (SITE.parent / "verdict.md").read_text(encoding="utf-8"), _text("ko/explanation/verdict")
    numbers = [{one.rstrip(".,e-") for one in re.findall(r"\d[\d,.e-]*", text)} for text in (english, korean)]
    assert numbers[1] <= numbers[0]
    assert "(/en/" not in korean


def test_no_korean_page_stands_alone() -> None:
    assert {page[3:] for page in OWN if page.startswith("ko/")} == {page[3:] for page in OWN if page.startswith("en/")}


def test_a_block_that_fails_names_its_page_and_line() -> None:
    page = "# Title\n\n```python\nx = 1\n```\n\n```python\nx / 0\n```\n"
    with pytest.raises(RuntimeError, match="some/page, line 7: ZeroDivisionError"):
        list(blocks.run(page, "some/page"))


def test_blocks_share_a_namespace_and_files() -> None:
    page = "```python\n# mine.py\nA = 2\n```\n\n```python\nimport mine\n\nmine.A + A\n```\n"
    assert [output.value for _, output in blocks.run(page, "page")] == [None, 4]
    assert blocks.blocks("```text\nnot run\n```\n") == []


def test_values_in_the_prose_are_those_of_the_blocks_above() -> None:
    page = "# T\n\n```python\nx = 2\n```\n\nIt is {value}`x`.\n\n```python\nx = 3\n```\n\nNow {value}`f'{x:.1f}'`.\n"
    shown = executed.with_outputs(page, executed.executed(page, "page"))
    assert "It is 2." in shown
    assert "Now 3.0." in shown


def test_a_language_may_order_the_values_of_a_sentence_as_it_likes() -> None:
    english = "# T\n\n```python\na, b = 1, 2\n```\n\n{value}`a` before {value}`b`\n"
    korean = "# T\n\n```python\na, b = 1, 2\n```\n\n{value}`b` 앞에 {value}`a`\n"
    assert blocks.code_of(english) == blocks.code_of(korean)
    assert executed.with_outputs(english, executed.executed(english, "en")).endswith("1 before 2\n")
    assert executed.with_outputs(korean, executed.executed(korean, "ko")).endswith("2 앞에 1\n")


def test_the_site_computes_with_one_thread_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    for told, used in ((None, "1"), ("2", "2")):
        monkeypatch.setenv("OMP_NUM_THREADS", told or "")
        if told is None:
            monkeypatch.delenv("OMP_NUM_THREADS")
        runpy.run_path(str(SITE / "conf.py"))
        assert os.environ["OMP_NUM_THREADS"] == used


def test_shell_blocks_hold_commands_of_initlab_alone() -> None:
    with pytest.raises(RuntimeError, match="holds initlab commands"):
        list(blocks.run("```sh\nls\n```\n", "page"))
