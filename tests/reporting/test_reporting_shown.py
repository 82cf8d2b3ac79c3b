"""`Shown`: what every result inherits, shown by a view that registers itself from below."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import initlab.comparison
import initlab.experiments
import initlab.experiments.demo
import initlab.fitting
import initlab.searching
from initlab.errors import InputError
from initlab.reporting import Column, LineFigure, Page, Section, Series, Shown, Table, View, shows

RESULTS = (
    initlab.Plan,
    initlab.Inspection,
    initlab.Comparison,
    initlab.Search,
    initlab.experiments.Outcome,
    initlab.experiments.demo.Demo,
    initlab.fitting.LsuvResult,
    initlab.fitting.DataDependentResult,
    initlab.fitting.DbnResult,
    initlab.fitting.LearnedScales,
)


@dataclass(frozen=True, repr=False)
class Plain(Shown):
    """A result whose table is all that there is of it."""

    name: str = "<b>x</b>"

    def table(self) -> Table:
        return Table("Plain", (Column("name"), Column("std", "right", "number")), ((self.name, 0.5),), note="a note")


@dataclass(frozen=True, repr=False)
class Viewed(Shown):
    """A result with a view."""

    size: int


class Heir(Viewed):
    """Shown as what it inherits from."""


LINE = LineFigure("Loss", "step", "loss", (Series("he_normal", (0, 1), (2.0, 1.0)),))
shows(
    Viewed,
    View(
        table=lambda result: Table("", (Column("size"),), ((result.size,),)),
        text=lambda result, width: f"size {result.size} in {width} columns",
        page=lambda result: Page("Viewed", "", [Section("Loss", [LINE])]),
        data=lambda result: {"size": result.size},
        rows=lambda result: [{"at": i} for i in range(result.size)],
        index="at",
        fields=("at", "value"),
    ),
)


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_every_result_shows_itself_by_what_it_inherits(kind: type) -> None:
    for method in ("__repr__", "_repr_html_", "text", "save", "figure", "to_frame"):
        assert getattr(kind, method) is getattr(Shown, method)


def test_a_table_is_enough_to_print_to_save_and_for_a_notebook(tmp_path: Path) -> None:
    result = Plain()
    assert repr(result) == result.text(80)
    assert "<b>x</b>" in result.text(40)
    assert "&lt;b&gt;x&lt;/b&gt;" in result._repr_html_()
    assert "<b>x" not in result._repr_html_()
    saved = json.loads(result.save(tmp_path / "x.json").read_text())
    assert saved == {"title": "Plain", "rows": [{"name": "<b>x</b>", "std": 0.5}], "note": "a note"}
    assert "&lt;b&gt;x&lt;/b&gt;" in result.save(tmp_path / "x.html").read_text()
    assert result.to_frame().to_dict("list") == {"name": ["<b>x</b>"], "std": [0.5]}
    assert result.figure() is None


@pytest.mark.parametrize("kind", [Viewed, Heir])
def test_a_view_says_what_is_shown(kind: type[Viewed], tmp_path: Path) -> None:
    result = kind(2)
    assert repr(result) == "size 2 in 80 columns"
    assert json.loads(result.save(tmp_path / "x.json").read_text()) == {"size": 2}
    assert [trace.name for trace in result.figure().data] == ["he_normal"]
    assert list(result.to_frame().index) == [0, 1]
    assert list(kind(0).to_frame().columns) == ["value"]


def test_an_ending_that_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="html"):
        Plain().save(tmp_path / "x.pdf")


def test_printing_moves_no_random_state() -> None:
    @dataclass(frozen=True, repr=False)
    class Drawing(Shown):
        pass

    shows(Drawing, View(text=lambda result, width: str(random.random())))
    state = random.getstate()
    repr(Drawing())
    assert random.getstate() == state


def test_a_pickled_result_shows_itself_in_a_process_that_knows_nothing_yet(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    plan = initlab.plan(torch.nn.Linear(3, 2))
    (tmp_path / "plan").write_bytes(pickle.dumps(plan))
    code = "import pathlib, pickle, sys; print(pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()))"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "plan"], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip("\n") == repr(plan)
