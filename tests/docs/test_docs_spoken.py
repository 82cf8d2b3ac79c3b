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
