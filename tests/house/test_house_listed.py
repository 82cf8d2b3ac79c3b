"""What is one file and one line: a file that stands in no list is never found, so every file is listed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from imports import PACKAGE
from torch import nn

import initlab
from initlab.experiments.registry import MODULES
from initlab.inspection import findings
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


def test_every_finding_is_listed() -> None:
    files = {path.stem for path in (PACKAGE / "inspection" / "findings").glob("*.py")} - {"__init__", "kind"}
    assert sorted(files) == sorted(findings.ORDER)


def test_a_finding_is_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "narrow.py").write_text(
        "from initlab.inspection.findings.kind import Kind\n"
        "from initlab.inspection.results import Finding\n"
        "def find(e):\n"
        "    thin = next((x for x in e.layers if x.shape[-1] == 1), None)\n"
        "    return thin and Finding('narrow', 'warning', thin.name, '1 unit', 'Widen it')\n"
        "FINDING = Kind(find)\n"
    )
    monkeypatch.setattr(findings, "__path__", [*findings.__path__, str(tmp_path)])
    monkeypatch.setattr(findings, "ORDER", (*findings.ORDER, "narrow"))
    x = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    seen = {
        width: [f.kind for f in initlab.inspect(nn.Linear(8, width), x).findings if f.kind == "narrow"]
        for width in (1, 4)
    }
    assert seen == {1: ["narrow"], 4: []}
