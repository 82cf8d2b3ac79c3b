"""`initlab fit`: every method writes weights that the model takes, and a wrong word writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from initlab import cli
from initlab.cli.fit import METHODS
from initlab.cli.models import builder, built

NETS = """
from torch import nn

def build():
    return nn.Sequential(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 2))
"""
FEW = {"dbn": "dbn(epochs=1)", "rbm": "rbm(epochs=1)", "gradinit": "gradinit(steps=2)",
       "metainit": "metainit(steps=2)", "finetune": "finetune(epochs=1)"}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fitnets.py").write_text(NETS, encoding="utf-8")
    rows = "".join(f"{i % 2},{i % 3},{i % 5},{i % 7},{'ab'[i % 2]}\n" for i in range(100))
    (tmp_path / "rows.csv").write_text("p,q,r,s,label\n" + rows, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "fitnets", raising=False)
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_weights_that_the_model_takes(
    method: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "fit",
        "fitnets:build",
        "--method",
        FEW.get(method, method),
        "--data",
        "rows.csv",
        "--out",
        "w.safetensors",
    ]
    assert run(*words, "--json", "--report", "fit.html") == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert json.loads(said.out)
    assert "targets: 2 labels are coded in sorted order: 'a' = 0, 'b' = 1" in said.err
    assert (folder / "fit.html").stat().st_size
    found, before = load_file(folder / "w.safetensors"), built("fitnets:build", 0)
    moved = [name for name, tensor in before.state_dict().items() if not torch.equal(tensor, found[name])]
    assert moved == ["0.weight", "0.bias"] if method == "rbm" else moved
    builder("fitnets:build")().load_state_dict(found)


def test_what_is_loaded_is_what_is_fitted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """LSUV from loaded weights rescales them; by itself it starts from an orthogonal draw."""
    words = ["fit", "fitnets:build", "--input", "4", "--weights"]
    assert run("init", "fitnets:build", "--out", "start.safetensors", "--policy", "normal(std=0.3)") == 0
    assert run(*words, "start.safetensors", "--out", "w.safetensors") == 0
    start, found = load_file(folder / "start.safetensors"), load_file(folder / "w.safetensors")
    ratio = found["0.weight"] / start["0.weight"]
    assert ratio.min().item() == pytest.approx(ratio.max().item(), rel=1e-4)


REFUSED = [
    (("--method", "lsvu", "--data", "rows.csv"), "did you mean 'lsuv'"),
    (("--method", "lsuv(tolerence=1)", "--data", "rows.csv"), "unknown argument of lsuv 'tolerence'"),
    (("--method", "lsuv(tolerance=-1)", "--data", "rows.csv"), "tolerance must be at least"),
    (("--method", "lsuv(", "--data", "rows.csv"), "name with arguments"),
    (("--method", "gradinit", "--input", "4"), "gradinit learns from data: give --data"),
    ((), "lsuv learns from data"),
    (("--data", "digits"), "failed|takes|shape"),
    (("--data", "rows.csv", "--policy", "he_norml"), "did you mean 'he_normal'"),
    (("--data", "rows.csv", "--input", "4", "--input", "3"), "one --input is right"),
    (("--data", "rows.csv", "--input", "2:5"), "one --input is right"),
    (("--data", "rows.csv", "--input", "5"), "asks for 5"),
    (("--input", "4", "--target", "label"), "give --data too"),
    (("--data", "rows.csv", "--weights", "rows.csv"), "rows.csv"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_cannot_be_meant_is_one_line_and_writes_nothing(
    words: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    code = run("fit", "fitnets:build", *words, "--out", "w.safetensors")
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert re.search(said, err), err
    assert not (folder / "w.safetensors").exists()
