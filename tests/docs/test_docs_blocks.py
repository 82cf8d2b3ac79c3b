"""Every block of code of the English pages runs, and the Korean pages hold the same code."""

from __future__ import annotations

import re
from pathlib import Path

import blocks
import pytest

SITE = Path(__file__).parents[2] / "docs" / "site"
PAGES = sorted(path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.glob("*/**/*.md"))
OWN = [page for page in PAGES if page.startswith(("en/", "ko/")) and "/schemes/" not in page]
HELD = [
    page for page in OWN if page.startswith("en/") and blocks.blocks((SITE / f"{page}.md").read_text(encoding="utf-8"))
]


def _text(page: str) -> str:
    return (SITE / f"{page}.md").read_text(encoding="utf-8")


def _marked(page: str) -> object:
    heavy = re.match(r"---\n(?:.*\n)*?nightly: true\n", _text(page))
    return pytest.param(page, marks=pytest.mark.nightly) if heavy else page


@pytest.mark.parametrize("page", [_marked(page) for page in HELD])
def test_the_blocks_of_a_page_run_and_show_something(page: str) -> None:
    shown = [output for _, output in blocks.run(_text(page), page)]
    assert any(output.text or output.value is not None for output in shown)


@pytest.mark.parametrize("page", [page for page in OWN if page.startswith("en/")])
def test_a_page_stands_in_both_languages_with_the_same_code(page: str) -> None:
    korean = page.replace("en/", "ko/", 1)
    assert korean in OWN
    assert [block.code for block in blocks.blocks(_text(page))] == [
        block.code for block in blocks.blocks(_text(korean))
    ]


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


def test_shell_blocks_hold_commands_of_initlab_alone() -> None:
    with pytest.raises(RuntimeError, match="holds initlab commands"):
        list(blocks.run("```sh\nls\n```\n", "page"))
