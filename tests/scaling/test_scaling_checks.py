"""Coordinate and transfer checks: flat under mup, not under one rate for all layers; bad arguments; what they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scaling_zoo import CNN, GPT, IMAGES, ROWS, TOKENS, Experts, Llama, mlp

import initlab
from initlab.errors import InputError
from initlab.scaling.coordinates import CoordinateCheck, LayerChange, advice_of

LABELS, NEXT = torch.arange(32) % 4, TOKENS.roll(-1, 1)

# build, widths, inputs, targets, optimizer, starts
CASES: dict[str, tuple[Any, tuple[int, ...], Any, Any, str, int]] = {
    "mlp": (mlp, (128, 256, 512), ROWS, LABELS, "adamw", 6),
    "mlp by sgd": (mlp, (128, 256, 512), ROWS, LABELS, "sgd", 6),
    "mlp by muon": (mlp, (64, 128, 256), ROWS, LABELS, "muon", 6),
    "cnn": (CNN, (64, 128, 256), IMAGES, torch.arange(8) % 4, "adamw", 6),
    "gpt": (GPT, (128, 256), TOKENS, NEXT, "adamw", 4),
    "llama": (Llama, (256, 512), TOKENS, NEXT, "adamw", 3),
    "experts": (Experts, (128, 256, 512), ROWS, LABELS, "adamw", 6),
}


SLOW = ("llama", "experts")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.nightly) if case in SLOW else case for case in CASES]
)
def test_every_layer_changes_alike_at_every_width_under_mup(case: str) -> None:
    build, widths, inputs, targets, optimizer, seeds = CASES[case]
    check = initlab.coordinate_check(
        build, widths, inputs=inputs, targets=targets, optimizer=optimizer, seeds=seeds
    )  # fmt: skip
    assert check.flat, check
    assert max(abs(layer.slope) for layer in check.widths) <= 0.1
    assert check.advice == ""


@pytest.mark.nightly
def test_narrow_models_shrink_by_samples_over_width() -> None:
    """At widths 96 to 384 the slope of 32 tokens fades between the widest two; of 8 tokens there is none."""
    few = torch.arange(8).view(1, 8)
    given: dict[str, Any] = {"widths": (96, 192, 384), "seeds": 2}
    check = initlab.coordinate_check(Llama, inputs=few, targets=few.roll(-1, 1), **given)
    assert check.flat, check
    many = initlab.coordinate_check(Llama, inputs=TOKENS, targets=NEXT, **given)
    assert "blocks.0.key" in {layer.name for layer in many.failing}
    assert all(layer.slope < layer.last < 0.1 for layer in many.failing)
    assert "between 192 and 384 every slope is within ±0.1" in many.advice


def test_advice_is_of_a_layer_that_is_beyond_the_spread() -> None:
    """The first layer's slope may be that of its starts; the second's is not."""
    noisy = LayerChange("noisy", (64, 128), (1.0, 1.1), 0.14, 0.09, False)
    clear = LayerChange("clear", (64, 128), (1.0, 0.8), -0.32, 0.02, False)
    check = CoordinateCheck((noisy, clear), (), 5, "adamw", "mup", "mup", 0.1)
    assert advice_of(check).startswith("'clear' shrinks with width (slope -0.32)")
    assert "average more of them" in advice_of(replace(check, widths=(noisy,)))


def test_a_slope_within_the_spread_of_starts_asks_for_more_of_them() -> None:
    """After two steps the read-out's slope is −0.3 ± 0.5; the first layer's, of 0.02 ± 0.005, is beyond 0.001."""
    given: dict[str, Any] = {"inputs": ROWS, "targets": LABELS, "seeds": 2, "steps": 2}
    assert "average more of them" in initlab.coordinate_check(mlp, (32, 64), **given).advice
    assert "average" not in initlab.coordinate_check(mlp, (32, 64), tolerance=0.001, **given).advice


@pytest.mark.parametrize("case", CASES)
def test_one_rate_for_all_layers_is_shown_to_fail(case: str) -> None:
    build, widths, inputs, targets, optimizer, _ = CASES[case]
    check = initlab.coordinate_check(
        build, widths, inputs=inputs, targets=targets, optimizer=optimizer, seeds=1, rule="standard"
    )  # fmt: skip
    assert not check.flat
    assert max(abs(layer.slope) for layer in check.failing) > 0.4
    assert "start with policy 'mup' and train with param_groups" in check.advice


def test_a_tied_head_without_its_factor_is_found_and_said() -> None:
    check = initlab.coordinate_check(lambda width: GPT(width, tied=True), (128, 256), inputs=TOKENS, targets=NEXT)
    assert not check.flat
    assert "a tied head needs logits × base width / width" in check.advice


@pytest.mark.nightly
def test_completep_is_flat_in_depth_and_mup_is_not() -> None:
    slopes = {}
    for rule in ("completep", "mup"):
        check = initlab.coordinate_check(GPT, (64, 128), (4, 8, 16), inputs=TOKENS, targets=NEXT, rule=rule, seeds=2)
        slopes[rule] = {layer.name: layer.slope for layer in check.depths}
    assert set(slopes["mup"]) == {"tokens", "norm", "head", "output"}
    assert slopes["mup"]["head"] > 0.2
    assert max(map(abs, slopes["completep"].values())) < slopes["mup"]["head"] / 2


def test_build_may_bring_its_batch() -> None:
    check = initlab.coordinate_check(lambda width: (mlp(width), ROWS, LABELS), (32, 64), steps=2, seeds=1)
    assert [layer.name for layer in check.widths] == ["0", "2", "4", "output"]


def test_checks_show_themselves(tmp_path: Path) -> None:
    check = initlab.coordinate_check(mlp, (32, 64), inputs=ROWS, targets=LABELS, steps=2, seeds=2, rule="standard")
    assert "not flat" in repr(check)
    assert "slope" in repr(check)
    assert check.figure() is not None
    assert check.save(tmp_path / "check.html").read_text().count("<html") == 1
    assert list(check.to_frame()["layer"]) == [layer.name for layer in check.widths]
    found = initlab.transfer_check(mlp, (16, 32), (1e-3, 1e-2, 1e30), inputs=ROWS, targets=LABELS, steps=3)
    assert "diverged" in found.to_frame().to_string()
    assert found.save(tmp_path / "transfer.json").exists()


def test_nothing_global_is_touched() -> None:
    before = torch.get_rng_state()
    initlab.coordinate_check(mlp, (16, 32), inputs=ROWS, targets=LABELS, steps=1, seeds=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"build": mlp(4)}, "build must be a function of a width"),
        ({"build": lambda width: None}, "build must return a model"),
        ({"widths": (8,)}, "widths must be at least two different positive numbers"),
        ({"widths": 8}, "widths must be a sequence of whole numbers; got 8"),
        ({"widths": (8, 8)}, "widths must be at least two different"),
        ({"depths": (1,)}, "depths must be at least two"),
        ({"inputs": None}, "pass inputs= and targets="),
        ({"targets": None}, "needs targets"),
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"seeds": True}, "seeds must be"),
        ({"targets": [0, 1, 0]}, "targets must be a tensor.*got list"),
        ({"tolerance": -0.1}, "tolerance must be at least 0"),
        ({"tolerance": float("nan")}, "tolerance must be a finite number"),
        ({"lr": 0.0}, "lr must be greater than 0"),
        ({"lr": float("inf")}, "lr"),
        ({"lr": 1e30}, r"at size \(8,\) .*not finite after 2 steps; lower lr=1e\+30"),
        ({"optimizer": "lion"}, "unknown optimizer 'lion'"),
        ({"rule": "nope"}, "unknown scaling rule"),
        ({"loss": "nope"}, "unknown loss"),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    given = {"build": mlp, "widths": (8, 16), "inputs": ROWS, "targets": LABELS, "seeds": 1, "steps": 2, **change}
    with pytest.raises(InputError, match=message):
        initlab.coordinate_check(**given)


def test_a_model_that_does_not_move_is_no_flat_one() -> None:
    """Equal samples with balanced labels and a zero head: every gradient is zero."""

    def build(width: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Linear(width, 2))

    with pytest.raises(InputError, match="nothing moves"):
        initlab.coordinate_check(build, (32, 64), inputs=torch.ones(4, 4), targets=torch.tensor([0, 1, 0, 1]), seeds=1)
