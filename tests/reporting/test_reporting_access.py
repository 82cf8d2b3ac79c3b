"""Pages can be read by all: axe-core finds nothing serious, the keyboard reaches what moves, code is copied."""

from __future__ import annotations

from pathlib import Path

import headless
import pytest
from axe import serious
from pages import page_with

from initlab.reporting import Code, Column, Formula, Page, Section, Table, save_page

CODE = "import initlab\n\ninitlab.init_(model, 'auto', example_inputs=inputs, seed=0)"


def whole() -> Page:
    page = page_with()
    rows = [(f"layers.{i}.weight", 0.1, "healthy") for i in range(60)]
    columns = (Column("parameter", kind="code"), Column("std", kind="number"), Column("verdict", kind="status"))
    blocks = [Code("Copy the fix", CODE), Formula(r"W \sim \mathcal{N}(0, \tfrac{2}{n})", "W ~ N(0, 2 / n)")]
    return Page(
        page.title, page.lead, [Section("Fix", [*blocks, Table("", columns, rows)]), *page.sections], page.facts
    )


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (400, True)])
def test_axe_finds_nothing_serious(browser: headless.Browser, tmp_path: Path, width: int, dark: bool) -> None:
    tab = browser.open(save_page(whole(), tmp_path / "report.html"), width=width, dark=dark)
    assert serious(tab) == []
    assert tab.run("document.documentElement.scrollWidth") <= width
    tab.close()


def test_axe_finds_what_is_planted(browser: headless.Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<html><body><img src='data:,'><p style='color:#ddd'>pale</p></body></html>", encoding="utf-8")
    tab = browser.open(page)
    assert {line.split(":")[0] for line in serious(tab)} >= {"image-alt", "color-contrast", "html-has-lang"}
    tab.close()


def test_the_code_is_copied_and_it_is_said(browser: headless.Browser, tmp_path: Path) -> None:
    tab = browser.open(save_page(whole(), tmp_path / "report.html"))
    tab.run("document.querySelector('button.copy').click()")
    assert tab.run("window.getSelection().toString()") == CODE
    assert tab.run("document.querySelector('.said').textContent")
    assert tab.trouble() == []
    tab.close()


def test_a_formula_is_typeset_without_a_script(browser: headless.Browser, tmp_path: Path) -> None:
    pytest.importorskip("latex2mathml", reason="latex2mathml sets formulas")
    tab = browser.open(save_page(whole(), tmp_path / "report.html"))
    assert tab.run("document.querySelectorAll('.formula math mfrac').length") == 1
    tab.close()


def test_a_column_that_tells_why_is_read_on_a_narrow_page(browser: headless.Browser, tmp_path: Path) -> None:
    columns = [Column(name) for name in ("parameter", "shape", "fans", "law", "std", "reason")]
    row = ("encoder.layers.11.weight", "1024×1024", "1024 / 1024", "N(0, 0.03125²)", "0.03125", "fed by relu " * 9)
    page = Page("Plan", "", [Section("Plan", [Table("", columns, [row])])])
    tab = browser.open(save_page(page, tmp_path / "plan.html"), width=400)
    box = "document.querySelector('tbody td:last-child').getBoundingClientRect()"
    assert 0 <= tab.run(f"{box}.left") < tab.run(f"{box}.right") <= 400
    assert serious(tab) == []
    tab.close()
