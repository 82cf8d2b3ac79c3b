"""Promise 15: a report is one file that opens with no network, and any name in a model is shown as text."""

from __future__ import annotations

import itertools
from pathlib import Path

import headless
import pytest
from pages import HOSTILE, page_with

from initlab.reporting import (
    Column,
    HistogramGrid,
    LineFigure,
    Page,
    Panel,
    ReadyFigure,
    Section,
    Series,
    Table,
    clean,
    save_page,
)


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (600, True)])
def test_opens_with_no_request_no_dialog_no_error(
    browser: headless.Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    tab = browser.open(save_page(page_with(HOSTILE), tmp_path / "report.html"), width=width, dark=dark)
    assert tab.run("document.querySelectorAll('.plot .main-svg').length") >= 5
    assert tab.requests() == []
    assert tab.seen("Page.javascriptDialogOpening") == []
    assert tab.trouble() == []
    assert (
        tab.run(
            "document.querySelectorAll('img[src=x], section script:not([type]), svg[onload], a[href^=http]').length"
        )
        == 0
    )
    assert tab.run("document.documentElement.scrollWidth") <= width
    tab.close()


def test_every_name_is_readable_as_text(browser: headless.Browser, tmp_path: Path) -> None:
    tab = browser.open(save_page(page_with(HOSTILE), tmp_path / "report.html"))
    cells = tab.run("[...document.querySelectorAll('td.code')].map(cell => cell.textContent)")
    assert cells == [clean(name, 2000) for name in HOSTILE]
    legend = tab.run("[...document.querySelector('.plot').querySelectorAll('.legendtext')].map(t => t.textContent)")
    assert legend == [clean(name, 120) for name in HOSTILE]
    assert tab.run("document.querySelectorAll('.plot a, .plot .legendtext [style*=bold]').length") == 0
    tab.close()


def test_a_planted_script_is_caught(browser: headless.Browser, tmp_path: Path) -> None:
    """The checks above can fail: the same page with one unescaped name raises a dialog and asks for a file."""
    page = tmp_path / "bad.html"
    page.write_text("<body><script>alert(1)</script><img src='http://127.0.0.1:9/x.png'></body>", encoding="utf-8")
    tab = browser.open(page)
    assert tab.seen("Page.javascriptDialogOpening")
    assert tab.requests() == ["http://127.0.0.1:9/x.png"]
    tab.close()


def test_policy_stops_a_script_that_got_in(browser: headless.Browser, tmp_path: Path) -> None:
    """Were a name ever unescaped, the page's own policy would still refuse to run it or to ask for anything."""
    html = save_page(page_with(), tmp_path / "report.html").read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    attack = "<script>alert(1)</script><img src='http://127.0.0.1:9/x.png' onerror='alert(2)'>"
    broken.write_text(html.replace("<main>", f"<main>{attack}", 1), encoding="utf-8")
    tab = browser.open(broken)
    assert tab.seen("Page.javascriptDialogOpening") == []
    assert any("Content Security Policy" in line for line in tab.trouble())
    assert tab.run("performance.getEntriesByType('resource').filter(entry => entry.transferSize).length") == 0
    blocked = [event["blockedReason"] for event in tab.seen("Network.loadingFailed")]
    assert blocked == ["csp"] * len(tab.requests())
    tab.close()


@pytest.mark.parametrize("dark", [False, True])
def test_figures_follow_the_theme(browser: headless.Browser, tmp_path: Path, dark: bool) -> None:
    tab = browser.open(save_page(page_with(), tmp_path / "report.html"), dark=dark)
    ground = tab.run("getComputedStyle(document.body).backgroundColor")
    line = tab.run("getComputedStyle(document.querySelector('.plot .scatterlayer .js-line')).stroke")
    assert (ground, line) == (
        ("rgb(18, 22, 29)", "rgb(90, 159, 238)") if dark else ("rgb(255, 255, 255)", "rgb(42, 120, 214)")
    )
    tab.close()


def test_ten_thousand_layers(browser: headless.Browser, tmp_path: Path) -> None:
    names = [f"blocks.{i}.mlp.fc{i % 7}.weight" for i in range(10_000)]
    table = Table("Layers", (Column("layer", kind="code"), Column("std", "right", "number")), [(n, 0.1) for n in names])
    line = LineFigure(
        "Signal", "layer", "rms", [Series("rms", range(10_000), [1.0] * 10_000, labels=names)], log_y=True
    )
    grid = HistogramGrid(
        "Outputs", [Panel(n, range(41), range(40), tone="error" if n == names[777] else "neutral") for n in names]
    )
    path = save_page(Page("Deep", "", [Section("All", [line, grid, table])]), tmp_path / "deep.html")
    assert path.stat().st_size < 20e6
    tab = browser.open(path)
    text = tab.run("document.body.innerText")
    assert "of 10,000 rows are left out here" in text
    assert "of 10,000 panels are left out here" in text
    assert tab.run("document.querySelectorAll('.panel.error').length") == 1
    assert tab.run("document.querySelectorAll('*').length") < 20_000
    tab.close()


def test_the_heads_of_columns_break_in_lines_before_a_table_is_cut(browser: headless.Browser, tmp_path: Path) -> None:
    heads = ("start", "runs", "test accuracy", "95% interval", "against the best", "probability best", "steps to 2.3")
    table = Table(
        "Starts", [Column(heads[0]), *(Column(head, kind="number") for head in heads[1:])], [("auto", *[1] * 6)]
    )
    tab = browser.open(save_page(Page("t", "l", [Section("s", [table])], {}), tmp_path / "table.html"), width=700)
    assert tab.run("document.querySelector('.scroll').scrollWidth <= document.querySelector('.scroll').clientWidth")
    tab.close()


PAINTED = "new Promise(done => setTimeout(() => requestAnimationFrame(() => done(1)), 200))"
TEXTS = """[...document.querySelectorAll('.js-plotly-plot text')].filter(one => one.textContent.trim()).map(one => {
    const box = one.getBoundingClientRect(), of = one.closest('.js-plotly-plot').getBoundingClientRect();
    const ends = [box.left - of.left, box.top - of.top, box.right - of.left, box.bottom - of.top];
    return [one.textContent, ...ends.map(Math.round)];
})"""


def test_a_figure_made_narrow_is_as_one_opened_narrow_and_its_texts_stand_apart(
    browser: headless.Browser, tmp_path: Path
) -> None:
    scale = {
        "color": [0, 1, 2],
        "colorbar": {"title": {"text": "trial"}},
        "colorscale": [[0, "#e06a2b"], [1, "#2a78d6"]],
    }
    traces = [{"type": "scatter", "mode": "markers", "y": [0.1, 0.2, 0.3], "marker": scale, "showlegend": False}]
    traces = [
        traces[0] | {"x": [0.0001, 0.003, 0.1]},
        traces[0] | {"x": [0.065, 0.1, 0.2], "xaxis": "x2", "yaxis": "y2", "marker": {}},
    ]
    axes = {
        f"xaxis{place}": {"type": "log", "title": {"text": f"rate {place}"}, "domain": domain, "anchor": f"y{place}"}
        for place, domain in (("", [0, 0.45]), ("2", [0.55, 1]))
    } | {f"yaxis{place}": {"domain": [0, 1], "anchor": f"x{place}"} for place in ("", "2")}
    figure = ReadyFigure("Slices", traces, axes)
    page = save_page(Page("t", "l", [Section("s", [figure])], {}), tmp_path / "slices.html")
    seen = []
    for widths in ((400,), (1400, 400)):
        tab = browser.open(page, width=widths[0])
        for width in widths:
            tab.seen_in(width=width, dark=False)
            tab.run(PAINTED)
        seen.append(tab.run(TEXTS))
        tab.close()
    texts, made = seen
    assert made == texts
    for (one, *a), (other, *b) in itertools.combinations(texts, 2):
        apart = min(a[2], b[2]) - max(a[0], b[0]) <= 0 or min(a[3], b[3]) - max(a[1], b[1]) <= 1
        assert apart, f"{one} over {other}"
