"""The GitHub Action: its step is run as GitHub's runner runs it, on a model that trains and on one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
ROOT = Path(__file__).parents[2]
MODEL = """
from torch import nn

def good():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

def bad():
    model = good()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model
"""


def step() -> dict[str, Any]:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    found: dict[str, Any] = next(step for step in action["runs"]["steps"] if step.get("id") == "inspect")
    return found


@pytest.mark.parametrize(("factory", "status"), [("good", 0), ("bad", 3)])
def test_the_step_fails_where_the_model_will_not_train_and_keeps_the_report(
    factory: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(MODEL)
    command = tmp_path / "bin" / "initlab"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m initlab "$@"\n')
    command.chmod(0o755)
    given = {"MODEL": f"nets:{factory}", "ARGUMENTS": "--input 8 --batch '32'", "REPORT": "page.html"}
    done = run_step(given, command, tmp_path)
    assert done.returncode == status, done.stderr
    assert (tmp_path / "output").read_text() == "report=page.html\n"
    assert ("untrainable" if status else "healthy") in (tmp_path / "summary").read_text()
    assert "<html" in (tmp_path / "page.html").read_text()


def test_no_argument_is_run_by_the_shell(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "initlab"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    command.chmod(0o755)
    arguments = "--data 'my digits.csv' --target \"$(touch stolen)\" `touch stolen`); touch stolen"
    given = {"MODEL": "nets:good", "ARGUMENTS": arguments, "REPORT": "page.html"}
    done = run_step(given, command, tmp_path)
    assert "<--data><my digits.csv><--target><$(touch stolen)><`touch>" in done.stdout
    assert not (tmp_path / "stolen").exists()


def run_step(given: dict[str, str], command: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The step's script in a folder, where `initlab` is a command of one's own."""
    files = {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary"}
    environment = {
        **os.environ,
        **given,
        **{name: str(tmp_path / file) for name, file in files.items()},
        "PATH": f"{command.parent}:{os.environ['PATH']}",
    }
    assert set(given) == set(step()["env"])
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step()["run"]]  # as GitHub runs `shell: bash`
    return subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
