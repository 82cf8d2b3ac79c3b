"""The shipped trees come from the recorded cells, by a fit that gives the same trees each time."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import initlab
from initlab.inspection.features import FEATURES
from initlab.inspection.trees import calibration

ROOT = Path(__file__).parents[2]
SHIPPED = json.loads((Path(initlab.__file__).parent / "inspection" / "calibration.json").read_text())
pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="the recorded cells lie in the repository")


def known_lines() -> list[dict[str, Any]]:
    """The cells that may be fitted to."""
    from benchmarks.verdict.cells import architecture_of, held_out, read

    return [line for line in read() if not held_out(architecture_of(line))]


def test_the_shipped_trees_say_which_cells_they_were_made_from() -> None:
    from benchmarks.verdict.cells import fingerprint

    assert SHIPPED["made from"]["cells sha256"] == fingerprint()


def test_the_cells_hold_every_feature() -> None:
    from benchmarks.verdict.cells import examples

    best, given = examples(known_lines())
    assert len(best) == SHIPPED["cells"]
    names = {feature.name for feature in FEATURES}
    assert {frozenset(e.numbers) for e in (*best[:50], *given[:50])} == {frozenset(names)}


def test_a_fit_gives_the_same_trees_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.verdict import fit
    from benchmarks.verdict.cells import examples, read

    monkeypatch.setattr(fit, "TREES", {"best": 5, "given": 5})
    some, names = examples(read()[:150])[0], ["decrease", "window", "between", "unmoved", "told", "pace"]
    first, again = (json.dumps(fit.exported(some, names, 1.3, (0.9, 0.1))) for _ in range(2))
    assert first == again


def test_the_shipped_trees_know_the_cells_that_they_were_made_from() -> None:
    """Of architectures left out they tell three words of four rightly; of those they were fitted to, more."""
    from benchmarks.verdict.cells import examples

    trees, right = calibration().ensembles["best, line"], []
    for example in examples(known_lines())[0][::20]:
        found = trees.probability(example.numbers)
        right.append(max(found, key=lambda word: found[word]) == example.word)
    assert np.mean(right) > 0.8


def test_packing_cells_loses_nothing(tmp_path: Path) -> None:
    from benchmarks.verdict.cells import pack, read

    cells = read()[:20]
    assert pack(cells, tmp_path / "cells.jsonl") == 20
    again = read(tmp_path / "cells.jsonl")
    assert [cell["cell"] for cell in again] == [cell["cell"] for cell in cells]
    for cell, other in zip(cells, again, strict=True):
        assert cell["best"] == other["best"]
        assert {lr: {**cell["best"], **v} for lr, v in cell["given"].items()} == {
            lr: {**other["best"], **v} for lr, v in other["given"].items()
        }
        assert all(value is None or math.isfinite(value) for value in other["best"].values())


# Probabilities of "untrainable" of cells of which T did not train, x did -> the bounds that reach 0.95 and 0.04.
BOUNDS: dict[str, tuple[str, list[float], tuple[float, float]]] = {
    "told apart": ("xxTT", [0.1, 0.2, 0.7, 0.8], (0.21, 0.21)),
    "one wrong above": ("xxTTx", [0.1, 0.2, 0.7, 0.8, 0.75], (0.76, 0.69)),
    "one missed in twenty": ("T" * 19 + "Txxx", [0.9] * 19 + [0.05, 0.3, 0.3, 0.3], (0.31, 0.04)),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_of_the_words_reach_the_aims_on_the_cells(name: str) -> None:
    from benchmarks.verdict.cells import Example
    from benchmarks.verdict.figures import bounds_of

    truth, u, expected = BOUNDS[name]
    words = ["untrainable" if one == "T" else "healthy" for one in truth]
    some = [Example("", "", "", None, {}, word, border=False) for word in words]
    assert bounds_of(np.array([[1 - p, 0, p] for p in u]), some) == expected


def test_no_cell_of_the_architectures_held_out_is_fitted_to() -> None:
    from benchmarks.verdict.cells import HELD_OUT, architecture_of, read

    held = [line for line in read() if architecture_of(line) in HELD_OUT]
    assert len({architecture_of(line) for line in held}) == len(HELD_OUT)
    assert SHIPPED["cells"] <= len(read()) - len(held)


def test_the_tables_of_the_page_are_those_that_the_stored_results_give() -> None:
    from benchmarks.verdict import page

    assert page.PAGE.read_text() == page.written(page.PAGE.read_text()), "run python -m benchmarks.verdict.page"


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    from benchmarks.verdict import page

    with pytest.raises(ValueError, match="not one place for the table of facts"):
        page.written("# The verdict")
