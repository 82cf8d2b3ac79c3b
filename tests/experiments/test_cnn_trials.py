"""The trials of `cnn-optuna`: what TPE is told, when a run ends, who becomes a finalist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from initlab.experiments import cnn_trials as trials
from initlab.experiments.cnn_optuna import CLASSIC, HEADS, PARAMETERS, best_by_pair, finalists, network
from initlab.experiments.lab import Lab
from initlab.schemes import get_scheme


def test_the_network_is_the_sources() -> None:
    assert sum(p.numel() for p in network(HEADS[0]).parameters()) == PARAMETERS
    assert network(HEADS[0])(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert torch.allclose(network(HEADS[1])(torch.randn(2, 1, 28, 28)).sum(1), torch.ones(2))


def _trial(conv: str, linear: str, value: float, **more: float) -> dict[str, Any]:
    return {"params": {"winit_conv": conv, "winit_fc": linear, "lr": 1e-3, **more}, "value": value}


def test_finalists_are_the_best_pairs_and_the_classic_answer() -> None:
    tried = [
        _trial("he_uniform", "he_uniform", 0.8),
        _trial("he_uniform", "he_uniform", 0.9),
        _trial("gaussian", "const_zero", 0.95, winit_conv_std=0.05),
        _trial("const_0.5", "const_zero", 0.1),
    ]
    assert best_by_pair(tried)[("he_uniform", "he_uniform")]["value"] == 0.9
    found = finalists(tried, 2)
    assert list(found) == ["gaussian + const_zero", "he_uniform + he_uniform", " + ".join(CLASSIC)]
    assert trials.policy(found["gaussian + const_zero"]) == {
        "*": "auto",
        "@Conv2d": get_scheme("normal", std=0.05),
        "@Linear": "zeros",
    }


def _images() -> trials.Images:
    """Two classes that one pixel tells apart."""
    x = torch.zeros(96, 1, 4, 4)
    y = torch.arange(96) % 2
    x[:, 0, 0, 0] = y.float()
    part = (x, y)
    return trials.Images(part, part, part, part)


def _small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4), nn.Sigmoid(), nn.Linear(4, 2))


def test_a_search_goes_on_from_its_parts_and_ends_the_same(tmp_path: Path) -> None:
    images = _images()
    whole = trials.search(Lab(), "tiny", _small, images, trials.AT_ONCE + 2, 2)
    notes: list[str] = []
    kept = Lab(folder=tmp_path, note=notes.append)
    trials.search(kept, "tiny", _small, images, trials.AT_ONCE, 2)
    assert trials.search(kept, "tiny", _small, images, trials.AT_ONCE + 2, 2) == whole
    assert [note.endswith("kept from an earlier run") for note in notes] == [False, True, False]
    assert len(whole) == trials.AT_ONCE + 2
    assert all(set(t["params"]) >= {"winit_conv", "winit_fc", "lr"} and 0 <= t["value"] <= 1 for t in whole)


def test_a_run_ends_after_five_epochs_without_gain() -> None:
    images = _images()
    task = images.task(_small, images.test, 12, 0)
    policy = {"*": "auto", "@Conv2d": "zeros", "@Linear": "zeros"}
    run = trials.train_to_plateau(task, [trials.RunSpec("a", "a", policy, 0, 1e-3, 0.0)], 12)["a"]
    assert run["epochs"] == len(run["valid"]) < 12
    assert run["epochs"] == 1 + run["valid"].index(max(run["valid"])) + trials.PATIENCE


def test_the_start_is_measured_before_training() -> None:
    images = _images()
    task = images.task(_small, images.test, 1, 0)

    def start(conv: str, linear: Any) -> dict[str, float]:
        policy = {"*": "auto", "@Conv2d": conv, "@Linear": linear}
        return trials.at_start(task, trials.RunSpec("a", "a", policy, 0, 1e-3, 0.0))

    assert start("zeros", "zeros") == {"saturated": 0.0, "gradient": 0.0}
    assert start("he_normal", "xavier_normal")["gradient"] > 0
    assert start("ones", get_scheme("constant", value=50.0))["saturated"] > 0.4
