"""Tables of many blocks: what folds, what does not, and what the reader is told."""

from __future__ import annotations

import pytest

from initlab.reporting import Column, Table, folded, table_text, to_html
from initlab.reporting.blocks import Page, Section

COLUMNS = (Column("parameter", kind="code", keep=9), Column("std", "right", "number", 5), Column("reason", keep=8))


def table(rows: list[tuple[str, object, str]], unfolded: int = 30, steps: bool = False) -> Table:
    return Table("Plan", COLUMNS, rows, "all to write", unfolded, steps)


def blocks(count: int, name: str = "layers.{}.{}") -> list[tuple[str, object, str]]:
    return [
        (name.format(i, part), 0.5, f"fed by layers.{i}.norm, gain 1.5")
        for i in range(count)
        for part in ("fc.weight", "fc.bias")
    ]


FOLDS = [
    (blocks(12), [("layers.0–11.fc.weight", 0.5, "fed by layers.0–11.norm, gain 1.5"),
                  ("layers.0–11.fc.bias", 0.5, "fed by layers.0–11.norm, gain 1.5")]),
    ([("head.weight", 1.0, "read-out"), *blocks(3)][:7], ["head.weight", "layers.0–2.fc.weight", "layers.0–2.fc.bias"]),
    ([(f"l.{i}.w", 0.1 * i, "N(0, 0.05²)") for i in range(1, 5)], [("l.1–4.w", "0.1–0.4", "N(0, 0.05²)")]),
    ([(f"l.{i}.w", 1, f"N(0, 0.0{i}²)") for i in range(1, 5)], [("l.1–4.w", 1, "N(0, 0.01–0.04²)")]),
    ([(f"l.{i}.w", (-1) ** i * i, "x") for i in range(4)], [("l.0–3.w", "-3 to 2", "x")]),
    ([(f"l.{i}.w", None, "x") for i in range(4)], [("l.0–3.w", None, "x")]),
    ([(f"l.{i}.e.{j}.w", 1, "x") for i in range(3) for j in range(4)], [("l.0–2.e.0–3.w", 1, "x")]),
    # a block of its own kind, a gap, and too few stay as they are
    ([("l.0.w", 1, "fed by the data"), *[(f"l.{i}.w", 1, "x") for i in range(1, 5)]], ["l.0.w", "l.1–4.w"]),
    ([(f"l.{i}.w", 1, "x") for i in (0, 1, 2, 5, 6, 7)], ["l.0–2.w", "l.5–7.w"]),
    ([(f"l.{i}.w", 1, "x") for i in (0, 1)], ["l.0.w", "l.1.w"]),
    ([(f"l.{i}.w", 1, "x") for i in (0, 3, 6, 9)], ["l.0.w", "l.3.w", "l.6.w", "l.9.w"]),
    ([("layer", 1, "x")] * 5, ["layer"] * 5),
    # a name that stands twice in each block folds into two rows
    ([(f"l.{i}", i, "add") for i in (0, 0, 1, 1, 2, 2)], [("l.0–2", "0–2", "add"), ("l.0–2", "0–2", "add")]),
]  # fmt: skip


STEPS = [
    # blocks of two kinds by turns: as in a Sequential of layers and activations
    ([(f"{i}.w", i, f"fed by relu at {i - 1}") for i in (2, 4, 6, 8)], [("2,4…8.w", "2–8", "fed by relu at 1–7")]),
    ([(f"l.{i}.w", 1, "even" if i % 2 == 0 else "odd") for i in range(7)], ["l.0,2…6.w", "l.1,3,5.w"]),
    ([(f"l.{i}.w", 1, "x") for i in (0, 3, 4, 5, 7, 9)], ["l.0.w", "l.3–5.w", "l.7.w", "l.9.w"]),
    ([(f"l.{i}.w", 1, "x") for i in (0, 3, 6, 9)], ["l.0,3…9.w"]),
    ([(f"l.{i}.w", 1, "x") for i in (0, 1, 2, 5, 6, 7)], ["l.0–2.w", "l.5–7.w"]),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "expected"), STEPS)
def test_blocks_at_equal_steps_fold_where_a_table_says_so(
    rows: list[tuple[str, object, str]], expected: list[object]
) -> None:
    found = folded(table(rows, unfolded=1, steps=True)).rows
    assert [row if isinstance(want, tuple) else row[0] for row, want in zip(found, expected, strict=True)] == expected
    assert len(folded(table(rows, unfolded=1)).rows) >= len(expected)


@pytest.mark.parametrize(("rows", "expected"), FOLDS)
def test_what_repeats_stands_once(rows: list[tuple[str, object, str]], expected: list[object]) -> None:
    found = folded(table(rows, unfolded=1)).rows
    assert [row if isinstance(want, tuple) else row[0] for row, want in zip(found, expected, strict=True)] == expected


def test_short_tables_and_tables_without_names_stay_as_they_are() -> None:
    few, plain = table(blocks(12)), Table("", ("a", "b"), [(f"l.{i}.w", i) for i in range(40)])
    assert folded(few) is few
    assert folded(plain) is plain


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_reason_stays_at_every_width(width: int) -> None:
    text = table_text(table(blocks(40)), width)
    assert "reason" in text
    assert "0–39" in text
    assert "80 rows to 2" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= width


def test_a_page_holds_every_row_below_the_folded_ones() -> None:
    html = to_html(Page("p", "", [Section("s", [table(blocks(40))])]))
    assert "layers.0–39.fc.weight" in html
    assert "All 80 rows" in html
    assert html.count('<td class="code whole">layers.17.fc.bias</td>') == 1


def test_names_within_prose_are_cut_in_their_middle() -> None:
    rows = [("w", 1, "gain 1: fed by transformer.encoder.blocks.11.attention.norm_before")]
    assert "t.e.bloc….11.attention.norm_before" in table_text(table(rows), 50)
