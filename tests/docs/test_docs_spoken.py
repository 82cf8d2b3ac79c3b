"""Figures and tables of the Korean pages: their words, and those for which there are none."""

from __future__ import annotations

import json
import re

import executed
import plotly.graph_objects as go
import pytest
import shows
import spoken

from initlab.reporting import Column, Table

FIGURE = go.Figure(go.Bar(x=["100 labels"], y=[0.5], name="pre-trained"), {"title": {"text": "training loss"}})


def test_a_figure_is_put_into_korean_where_it_shows_text() -> None:
    shown = shows.figure(FIGURE, put=spoken.said)
    found = re.search(r'aria-label="([^"]*)".*?<script[^>]*>(.*)</script>', shown, re.DOTALL)
    assert found
    spec = json.loads(found[2])
    assert (found[1], spec["layout"]["title"]["text"]) == ("학습 손실", "학습 손실")
    assert [spec["data"][0][key] for key in ("name", "x", "type")] == ["사전 학습", ["레이블 100개"], "bar"]


def test_a_table_is_put_into_korean_and_its_style_and_names_stay() -> None:
    table = Table(
        "Plan for Net: auto", (Column("parameter", kind="code"), Column("reason")), [("a<b.weight", "bias: zero")]
    )
    put = shows.page_html(table, spoken.said) or ""
    assert all(words in put for words in ("Net의 계획: auto", "매개변수", "편향: 0", "a&lt;b.weight"))
    assert (shows.page_html(table) or "").count("<") == put.count("<")


@pytest.mark.parametrize(
    ("title", "left"),
    [("Training loss", []), ("A title that nobody put", ["A title that nobody put"]), ("layers.0.weight", [])],
)
def test_a_figure_without_korean_is_named(title: str, left: list[str]) -> None:
    assert executed.english([go.Figure(layout={"title": {"text": title}}), None]) == left


def test_every_entry_is_korean() -> None:
    assert [english for english, said in spoken.WORDS.items() if spoken.PROSE.search(said)] == []


@pytest.mark.parametrize(
    ("text", "put", "bare"),
    [
        ("best rate, line", "가장 좋은 학습률, 첫 스텝의 손실까지", False),
        ("(the model\u2019s own name is left out)", "(모델 자신의 이름은 뺀다)", False),
        ("(out, in, *window)", "(out, in, *window)", False),
        ("words that nobody put", "words that nobody put", True),
        ("nobody\u2019s words stand here", "nobody\u2019s words stand here", True),
    ],
)
def test_cells_of_tables_are_put_or_named(text: str, put: str, bare: bool) -> None:
    assert spoken.said(text) == put
    assert spoken.bare(spoken.said(text)) == bare


def test_what_is_read_out_is_korean_too() -> None:
    table = '<div role="region" aria-label="Training loss"><b title="a&lt;b">x</b></div>'
    expected = '<div role="region" aria-label="학습 손실"><b title="a&lt;b">x</b></div>'
    assert spoken.fragment(table, spoken.said) == expected


def test_log_axes_of_any_figure_have_the_ticks_of_reports() -> None:
    bars = go.Figure(go.Bar(x=["a", "b"], y=[2.0, 60.0]), {"yaxis": {"type": "log"}, "xaxis": {"type": "category"}})
    spec = json.loads(re.findall(r"<script[^>]*>(.*)</script>", shows.figure(bars), re.DOTALL)[0])
    ticks = spec["layout"]["yaxis"]["ticktext"]
    assert [text for text in ticks if text in ("2", "20", "50")] == ["2", "20", "50"]
    assert "ticktext" not in spec["layout"]["xaxis"]


def test_the_parts_of_a_docstring_are_called_in_korean_and_numbers_are_marked_in_tables() -> None:
    pytest.importorskip("sphinx", reason="sphinx, of the extra `docs`, is not installed")
    import korean
    import tables
    from docutils.core import publish_doctree

    page = publish_doctree(":Returns: x\n\n====  =====\nword  0.941\n====  =====\n")
    korean.fields(page)
    tables.mark(page)
    assert "<field_name>반환값</field_name>" in str(page)
    assert [
        cell.astext() for cell in page.findall() if "number" in getattr(cell, "attributes", {}).get("classes", [])
    ] == ["0.941"]


def test_rows_of_prose_carry_their_heads_and_powers_of_ten_stand_whole() -> None:
    pytest.importorskip("sphinx", reason="sphinx, of the extra `docs`, is not installed")
    import tables
    from docutils import nodes
    from docutils.core import publish_doctree

    rule = " ".join(["=" * 24] * 4)
    row = " ".join(
        text.ljust(24)
        for text in ("a claim of so many words", "its source, of as many", "yes", "below 1.5e-9, in words")
    )
    head = " ".join(text.ljust(24) for text in ("claim", "source, in full length", "verdict", "numbers"))
    page = publish_doctree(f"{rule}\n{head}\n{rule}\n{row}\n{row}\n{rule}\n\n=  =  =  =\n1  2  3  4\n=  =  =  =\n")
    tables.mark(page)
    first, second = page.findall(nodes.table)
    assert ("records" in first["classes"], "records" in second["classes"]) == (True, False)
    spans = [(span.astext(), span["classes"]) for span in first.findall(nodes.inline)][:4]
    assert spans == [
        ("source, in full length: ", ["head"]), ("verdict: ", ["head"]), ("numbers: ", ["head"]), ("1.5e-9", ["whole"])
    ]  # fmt: skip
