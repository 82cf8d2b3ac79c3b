"""What is one file and one line: a file that stands in no list is never found, so every file is listed."""

from __future__ import annotations

from imports import PACKAGE

from initlab.experiments.registry import MODULES


def test_every_experiment_is_listed() -> None:
    files = {path.stem for path in (PACKAGE / "experiments").glob("*.py") if "\nEXPERIMENT = " in path.read_text()}
    assert files == set(MODULES.values())
