"""The site's kinds of page, built with its own settings and opened: axe-core finds nothing serious."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import headless
import pytest
import recipe_pages
import reference
import scheme_pages
from axe import serious
from headless import browser

from initlab.planning import get_policy
from initlab.schemes import get_scheme

__all__ = ["browser"]
SITE = Path(__file__).parents[2] / "docs" / "site"
EXTENSIONS = [
    "myst_parser",
    "sphinx-mathjax-offline",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "executed",
    "gallery",
    "korean",
    "tables",
]
TUTORIAL = "tutorials/not-training"
WRITTEN = ["start", TUTORIAL, "explanation/why-two-why-six"]  # pages of the site, run as they stand
ROWS = """
| networks of the kinds that were held out | cells | right | passed | accused | uncertain | Brier | macro-F1 |
|---|---|---|---|---|---|---|---|
| at the best learning rate, by the loss along the first step | 3,266 | 0.975 | 0.037 | 0.001 | 0.220 | 0.056 | 0.778 |
"""
WIDE = """
```python
print("wider than a narrow screen", "0123456789 " * 9)
```

| claim | source | verdict | numbers |
|---|---|---|---|
| one two three four five | a textbook's experiment of 2016 | **confirmed** | 0.123456789 [0.123456789, 0.23456789] |
"""
KINDS = ["index", "wide", "rows", "schemes/he_normal", "recipes/gpt2", "reference/errors", *WRITTEN]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for needed in ("furo", "myst_parser", "sphinx"):
        pytest.importorskip(needed, reason=f"{needed}, of the extra `docs`, is not installed")
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(SITE / "_static", folder / "_static")
    listed = "".join(f"{language}/{kind}\n" for language in ("en", "ko") for kind in KINDS)
    (folder / "index.md").write_text(f"# initlab\n\n```{{toctree}}\n{listed}```\n", encoding="utf-8")
    for language in ("en", "ko"):
        pages = {
            "index": f"# initlab\n\n```{{gallery}}\n{TUTORIAL}\n```\n",
            "wide": f"# Wide\n{WIDE}",
            "rows": f"# Rows\n{ROWS}",
            "schemes/he_normal": scheme_pages.page(get_scheme("he_normal"), language),
            "recipes/gpt2": recipe_pages.page(get_policy("gpt2"), language),
            "reference/errors": reference.page("errors", language),
            **{name: (SITE / language / f"{name}.md").read_text(encoding="utf-8") for name in WRITTEN},
        }
        for name, text in pages.items():
            path = folder / language / f"{name}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    settings = ["-c", str(SITE), "-D", f"extensions={','.join(EXTENSIONS)}"]
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", *settings, str(folder), str(folder / "html")],
        check=True,
        capture_output=True,
    )
    return folder / "html"


@pytest.mark.parametrize(("language", "windows"), [("en", [(400, True), (1400, False)]), ("ko", [(400, True)])])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_can_be_read_by_all(
    browser: headless.Browser, site: Path, kind: str, language: str, windows: list[tuple[int, bool]]
) -> None:
    tab = browser.open(site / language / f"{kind}.html", width=400, dark=True)
    for width, dark in windows:
        tab.seen_in(width=width, dark=dark)
        tab.run("new Promise(done => setTimeout(done, 100))")
        assert serious(tab) == []
        assert tab.run("document.documentElement.scrollWidth") <= width
    tab.close()


@pytest.mark.parametrize("width", [400, 1400])
def test_a_figure_s_title_and_legend_stand_apart_within_it(browser: headless.Browser, site: Path, width: int) -> None:
    tab = browser.open(site / "en" / f"{TUTORIAL}.html", width=width)
    tab.run("new Promise(done => setTimeout(done, 200))")
    faults = """[...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => {
        const at = name => plot.querySelector(name)?.getBoundingClientRect(), box = plot.getBoundingClientRect();
        const title = at('.gtitle'), legend = at('.legend'), found = [];
        if (title && title.right > box.right) found.push('title beyond the figure');
        if (title && legend && title.bottom > legend.top && title.right > legend.left) found.push('legend over title');
        if (legend && legend.right > box.right) found.push('legend beyond the figure');
        return found; })"""
    assert tab.run("document.querySelectorAll('.js-plotly-plot .gtitle').length") > 1
    assert tab.run(faults) == []
    tab.close()


def test_columns_of_numbers_leave_room_for_the_last(browser: headless.Browser, site: Path) -> None:
    tab = browser.open(site / "en" / "rows.html", width=1400)
    assert tab.run("document.querySelectorAll('td.number').length") == 7
    assert tab.run("(t => t.scrollWidth - t.clientWidth)(document.querySelector('table').parentElement)") <= 0
    tab.close()


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("kind", [KINDS[0], KINDS[-1]])
def test_pages_lead_on_within_their_language(site: Path, kind: str, language: str) -> None:
    page = (site / language / f"{kind}.html").read_text(encoding="utf-8")
    beside = re.findall(r'<a class="(?:prev|next)-page" href="([^"]*)"', page)
    assert beside
    here = site / language / Path(kind).parent
    assert all((here / link).resolve().is_relative_to((site / language).resolve()) for link in beside)


def test_a_korean_page_is_korean_where_the_theme_speaks(browser: headless.Browser, site: Path) -> None:
    tab = browser.open(site / "ko" / "wide.html")
    assert tab.run("document.documentElement.lang") == "ko"
    said = tab.run("document.querySelector('.related-pages').innerText")
    assert "다음" in said
    assert "이전" in said
    tab.close()
