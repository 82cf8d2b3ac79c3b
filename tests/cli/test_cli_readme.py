"""README's commands run as written, on README's own model file, and its blocks of Python as a newcomer pastes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import initlab
from initlab import cli
from initlab.cli.models import builder
from initlab.cli.samples import example_inputs

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PYTHON, COMMANDS = README.split("## The command line")
FIRST = PYTHON.split("## The first verdict")[1]
NEEDED = ("jax", "keras", "lightning", "tensorboard", "transformers")  # what some of README's blocks import


def _blocks(language: str, text: str = COMMANDS) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


LINES = [
    line.split("  #")[0].split("# ")[0].strip() for line in (_blocks("sh", FIRST)[0] + _blocks("sh")[0]).splitlines()
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mymodel.py").write_text(_blocks("python")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "mymodel", raising=False)
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_readme_runs_as_written(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)
    assert words[0] == "initlab"
    with pytest.raises(SystemExit) as ended:
        cli.main(words[1:])
    assert ended.value.code == 0, capsys.readouterr().err
    said = capsys.readouterr()
    shown = said.out
    assert shown.strip() or said.err.startswith("page: ")  # a page alone is named beside the output
    assert max(map(len, shown.splitlines()), default=0) <= 80
    for flag in ("--out", "--report"):
        if flag in words:
            assert (folder / words[words.index(flag) + 1]).stat().st_size > 0


def test_the_written_weights_are_what_init_gives(folder: Path) -> None:
    """The file holds the bits that the library writes for the same seed, policy and inputs."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["init", "mymodel:build", "--input", "1x8x8", "--out", "start.safetensors", "--seed", "7"])
    assert ended.value.code == 0
    model, found = builder("mymodel:build")(), load_file(folder / "start.safetensors")
    initlab.init_(model, "auto", example_inputs=example_inputs(["1x8x8"], 32, 7), seed=7)
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


REFUSED = [
    (["init", "mymodel:build", "--out", "w.pt"], "--out must end in .safetensors"),
    (["init", "mymodel:build", "--out", "no/folder/w.safetensors"], "folder"),
    (["init", "mymodel:build", "--out", "w.safetensors", "--seed", "-1"], "seed"),
    (["plan", "mymodel:build", "--seed", "-1"], "seed must be an integer in [0, 2^64)"),
    (["reproduce", "why-two-why-six", "--small", "--folder", "mymodel.py"], "'mymodel.py' is a file"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_a_bad_command_is_one_line_and_writes_nothing(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    said = capsys.readouterr().err.strip().splitlines()
    assert (ended.value.code, len(said)) == (2, 1)
    assert words in said[0]
    assert sorted(path.name for path in folder.iterdir() if path.suffix != "") in (["mymodel.py"],)


def _foreign(block: str) -> bool:
    return any(re.search(rf"^import {name}\b", block, re.MULTILINE) for name in NEEDED)


def _pasted(blocks: list[str]) -> dict[str, Any]:
    """What stands after the blocks were run one after another, as in one session."""
    session: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), session)
    return session


def test_the_python_of_the_readme_runs_as_pasted(folder: Path) -> None:
    session = _pasted([block for block in _blocks("python", PYTHON) if not _foreign(block)])
    assert (folder / "report.html").stat().st_size > 0
    assert session["report"].verdict == "healthy"
    assert str(session["plan"]).strip() == _blocks("text", PYTHON)[0].strip()


@pytest.mark.filterwarnings("ignore")  # of the libraries beside initlab
def test_the_readmes_python_for_other_libraries_runs_as_pasted(
    folder: Path, initlab_healthy: Callable[..., Any]
) -> None:
    for name in NEEDED:
        pytest.importorskip(name, reason=f"{name} is not installed")
    first, *others = _blocks("python", PYTHON)
    session = _pasted([first, *filter(_foreign, others)])
    session["test_it_will_train"](initlab_healthy)
