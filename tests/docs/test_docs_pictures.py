"""What the site is made of beside its text: notebooks, pictures of the gallery, links that lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import blocks
import executed
import notebooks
import plotly.graph_objects as go
import pytest
import shows
import thumbnails
from dead_links import dead_links

from initlab.reporting import HistogramGrid, Panel

PAGE = """---
card: A card.
---

# Title

Words with [a link](other.md) and [another](https://example.org).

```python
# mine.py
A = 2
```

```python
print(A)
A + 1
```

It is {value}`A`.

```sh
initlab schemes he_normal
```
"""


def test_a_page_becomes_a_notebook_of_its_prose_code_and_outputs() -> None:
    made = notebooks.notebook(PAGE, executed.executed(PAGE, "page"))
    kinds = [(cell["cell_type"], cell["source"]) for cell in made["cells"]]
    assert kinds == [
        ("markdown", "# Title\n\nWords with a link and [another](https://example.org)."),
        ("code", notebooks.THREADS),
        ("code", "%%writefile mine.py\n# mine.py\nA = 2"),
        ("code", "from mine import *"),  # not run as a command, which __main__ would be
        ("code", "print(A)\nA + 1"),
        ("markdown", "It is 2."),
        ("code", "!initlab schemes he_normal"),
    ]
    printed, value = made["cells"][4]["outputs"]
    assert (printed["text"], value["data"]["text/plain"]) == ("2\n", "3")
    assert "he_normal" in made["cells"][6]["outputs"][0]["text"]
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
    json.dumps(made)


def test_pages_without_python_and_pages_of_schemes_are_no_notebooks() -> None:
    assert notebooks.wanted(PAGE, "en/tutorials/page")
    assert not notebooks.wanted(PAGE, "en/schemes/he_normal")
    assert not notebooks.wanted("# Title\n\nWords.\n", "en/index")


def _bars() -> go.Figure:
    return go.Figure([go.Bar(x=[0, 1, 2], y=[1, 3, 0])])


def _lines() -> go.Figure:
    return go.Figure([go.Scatter(x=[1, 10, 100], y=[1.0, None, 1e-6], mode="lines")]).update_yaxes(type="log")


@pytest.mark.parametrize(
    ("figure", "marks"),
    [
        (_bars(), {"rect": 2}),
        (_lines(), {"polyline": 1}),
        (go.Figure([go.Scatter(x=[1, 2], y=[3, 4], mode="markers")]), {"circle": 2}),
        (go.Figure([go.Heatmap(z=[[0, 1], [2, 3]])]), {"image": 1}),
        (go.Figure([go.Bar(x=["a", "b"], y=[1, 2]), go.Bar(x=["a", "b"], y=[2, 1])]), {"rect": 4}),
    ],
)
def test_a_picture_draws_what_the_figure_holds(figure: go.Figure, marks: dict[str, int]) -> None:
    drawn = thumbnails.drawing(figure)
    assert {
        mark: drawn.count(f"<{mark} ") for mark in ("rect", "polyline", "circle", "image") if f"<{mark} " in drawn
    } == marks


def test_a_bar_twice_as_high_is_drawn_twice_as_high() -> None:
    heights = [float(h) for h in re.findall(r'<rect [^>]*height="([\d.]+)"', thumbnails.drawing(_bars()))]
    assert heights[1] == pytest.approx(3 * heights[0], rel=0.01)


def test_the_gallery_takes_the_first_figure_of_a_page() -> None:
    grid = HistogramGrid("Grid", [Panel("one", (0.0, 1.0, 2.0), (1, 2))])
    assert thumbnails.of_page([None, "text", grid, _lines()]) == thumbnails.of_page([grid])
    assert thumbnails.of_page([None, 3]) == ""


def test_a_figure_goes_to_the_page_with_the_colours_of_both_themes() -> None:
    (shown,) = shows.markdown(blocks.Output("", _bars().update_layout(title="<b>Bars</b>")))
    assert shows.MARK in shown
    spec = json.loads(re.search(r'data-for="[^"]+">(.*?)</script>', shown, re.DOTALL)[1])  # type: ignore[index]
    assert spec["data"][0]["type"] == "bar"
    assert set(spec["layout"]["template"]["layout"]["colorway"]) <= set(spec["dark"])
    assert "<b>" not in shown


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="here">A</h1><a href="#here">1</a><a href="#gone">2</a><a href="b.html#there">3</a>'
        '<a href="b.html#gone">4</a><a href="c.html">5</a><a href="https://example.org">6</a><img src="d.png">'
    )
    (tmp_path / "b.html").write_text('<p id="there">B</p><a href="a.html">1</a>')
    assert dead_links(tmp_path) == [
        "a.html: #gone leads to no place of its page",
        "a.html: b.html#gone leads to no place of its page",
        "a.html: c.html leads to no file",
        "a.html: d.png leads to no file",
    ]
