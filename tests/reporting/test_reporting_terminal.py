"""Tables and pages in a terminal: any width, no terminal, NO_COLOR, and names that would command it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from pages import HOSTILE, page_with
from rich.cells import cell_len
from rich.console import Console

from initlab.reporting import (
    Column,
    HistogramGrid,
    LineFigure,
    Page,
    Panel,
    Section,
    Series,
    Table,
    Text,
    clean,
    print_page,
    table_text,
)
from initlab.reporting.terminal import sparkline

COLUMNS = (
    Column("parameter", kind="code", keep=9),
    Column("fans", "right", keep=2),
    Column("law", keep=8),
    Column("std", "right", "number", 7),
    Column("reason", keep=1),
)
ROWS = [
    (f"encoder.layers.{i}.self_attn.in_proj_weight", "512 / 512", "normal", 0.0442, "fed by raw data " * 4)
    for i in range(30)
]
TABLE = Table("Plan", COLUMNS, ROWS)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
def test_table_never_exceeds_its_width(width: int) -> None:
    assert max(cell_len(line) for line in table_text(TABLE, width).split("\n")) <= width


@pytest.mark.parametrize(
    ("width", "shown", "left_out"),
    [
        (200, ["parameter", "fans", "law", "std", "reason"], []),
        (80, ["parameter", "fans", "law", "std", "reason"], []),
        (40, ["parameter", "law", "std"], ["fans", "reason"]),
        (24, ["parameter", "law"], ["fans", "std", "reason"]),
        (12, ["parameter"], ["fans", "law", "std", "reason"]),
    ],
)
def test_columns_with_the_lowest_keep_go_first_and_that_is_said(
    width: int, shown: list[str], left_out: list[str]
) -> None:
    text = table_text(TABLE, width)
    heading = text.split("\n")[1]
    assert heading.split() == shown
    remark = " ".join(text.split()).partition("left out at this width: ")[2]
    assert remark == ", ".join(left_out)


def test_names_stay_distinct_when_cut() -> None:
    lines = table_text(TABLE, 40).split("\n")[3:33]
    assert len({line.split()[0] for line in lines}) == 30


def test_numbers_are_never_cut() -> None:
    for width in (24, 40, 80):
        text = table_text(
            Table("", (Column("name"), Column("std", "right", "number", 9)), [("x" * 99, 1.234e-12)]), width
        )
        assert "1.234e-12" in text


def test_many_rows_show_head_and_tail_and_say_how_many_are_missing() -> None:
    table = Table("", (Column("name", kind="code"),), [(f"layer{i}",) for i in range(10_000)])
    text = table_text(table, 80, max_rows=40)
    assert "layer0\n" in text
    assert text.count("\n") < 50
    assert "layer9999" in text
    assert "9,960 of 10,000 rows are not shown here" in text


@pytest.mark.parametrize("name", HOSTILE, ids=lambda n: ascii(n[:12]))
def test_a_terminal_gets_no_character_that_it_obeys(name: str) -> None:
    out = io.StringIO()
    print_page(page_with((name,) * 3), Console(file=out, width=80, force_terminal=True, color_system="truecolor"))
    text = out.getvalue()
    for style in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;4m", "\x1b[1;31m", "\x1b[33m"):
        text = text.replace(style, "")
    assert "\x1b" not in text
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert not set(text) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200b\u200e\u200f")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[/]", "[/]"),
        ("layers[conv]", "layers[conv]"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
        ("größe ∂x 層", "größe ∂x 層"),
    ],
)
def test_clean_and_table_show_names_as_text(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert shown in table_text(Table("", (Column("name", kind="code"),), [(text,)]), 80)


def test_a_hundred_kilobytes_become_two_ends_and_a_count() -> None:
    assert len(clean("n" * 100_000)) < 250
    assert "(100000 characters)" in clean("n" * 100_000)


@pytest.mark.parametrize(
    ("values", "bars"),
    [([0, 1, 2, 3], "▁▃▆█"), ([5, 5], "▄▄"), ([], ""), ([None, 1, float("nan"), 2], " ▁ █")],
)
def test_sparkline(values: list[float], bars: str) -> None:
    assert sparkline(values) == bars


def test_figures_print_as_rows_of_bars() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80)
    print_page(
        LineFigure("Signal", "layer", "rms", [Series("he", range(4), [1.0, 0.1, 0.01, 0.001])], log_y=True), console
    )
    print_page(HistogramGrid("Outputs", [Panel("fc1", (0, 1, 2), (1, 8))]), console)
    assert "█▆▃▁" in out.getvalue()
    assert "▂█" in out.getvalue() or "▁█" in out.getvalue()


def test_a_section_called_as_its_page_is_not_named_twice() -> None:
    out = io.StringIO()
    print_page(Page("gpt2", "", [Section("gpt2", [Text("first")]), Section("rest", [])]), Console(file=out, width=80))
    assert out.getvalue().split() == ["gpt2", "first", "rest"]


SCRIPT = (
    "from initlab.reporting import *; "
    "print_page(Table('T', (Column('név→'), Column('v', kind='status')), [('é', 'healthy')]))"
)


@pytest.mark.parametrize(
    ("environment", "colour"),
    [
        ({"NO_COLOR": "1"}, False),
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_no_colour_without_a_terminal_or_under_no_color(environment: dict[str, str], colour: bool) -> None:
    base = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")} | {
        "TERM": "xterm",
        "PYTHONUTF8": "1",
    }
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=base | environment, capture_output=True, check=True)
    assert (b"\x1b[32m" in done.stdout) == colour


def test_a_stream_that_knows_only_ascii_loses_a_letter_and_not_the_table() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"},
        capture_output=True,
    )
    assert done.returncode == 0
    assert b"healthy" in done.stdout


def test_table_checks_its_rows() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 columns"):
        Table("T", (Column("a"), Column("b")), [(1, 2), (3,)])


def test_json_of_a_table_is_valid_for_hostile_names() -> None:
    from initlab.reporting import json_text

    names = json.loads(json_text({"rows": list(HOSTILE)}))["rows"]
    assert names == list(HOSTILE)


def test_the_text_of_a_table_is_its_text_in_a_notebook_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """rich shows what it prints in a notebook's cell, whatever file it was to print to."""
    table = Table("std", (Column("name"), Column("std", "right")), (("he_normal", 0.1),))
    print_page(table)
    text, printed = table_text(table), capsys.readouterr().out
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert table_text(table) == text
    print_page(table)
    assert capsys.readouterr().out == printed
    assert "he_normal" in printed
