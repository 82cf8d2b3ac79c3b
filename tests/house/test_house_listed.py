"""What is one file and one line: a file that stands in no list is never found, so every file is listed."""

from __future__ import annotations

from imports import PACKAGE

from initlab.experiments.registry import MODULES
from initlab.schemes.catalogue import CATALOGUE
from initlab.schemes.catalogue import NAMES as SCHEMES


def test_every_experiment_is_listed() -> None:
    files = {path.stem for path in (PACKAGE / "experiments").glob("*.py") if "\nEXPERIMENT = " in path.read_text()}
    assert files == set(MODULES.values())


def test_every_scheme_is_listed() -> None:
    """Each file of the catalogue holds the scheme it is called after."""
    files = {path.stem for path in (PACKAGE / "schemes" / "catalogue").glob("*.py")} - {"__init__"}
    assert files == set(SCHEMES)
    assert len(SCHEMES) == len(set(SCHEMES))
    assert tuple(scheme.name for scheme in CATALOGUE) == SCHEMES


def test_no_scheme_takes_another_ones_name() -> None:
    names = [name for scheme in CATALOGUE for name in (scheme.name, *scheme.aliases)]
    assert len(names) == len(set(names))
