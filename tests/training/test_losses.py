"""Which loss a function is: by identity, by type, by what it computes; never by its name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import initlab
from initlab.errors import InputError
from initlab.training.given_losses import given_loss
from initlab.training.losses import KINDS, NAMES, Loss, constant_loss, named_loss

CLASSES = torch.arange(24) % 4
NUMBERS = torch.randn(24, 4, generator=torch.Generator().manual_seed(1))
SHARES = NUMBERS.sigmoid()
OUTPUT = torch.randn(24, 4, generator=torch.Generator().manual_seed(2))


class Doubled(nn.MSELoss):
    """A module of torch's that computes something else."""

    def forward(self, output: Tensor, targets: Tensor) -> Tensor:
        return (output - targets).abs().pow(1.5).mean()


def own_entropy(output: Tensor, targets: Tensor) -> Tensor:
    return -output.log_softmax(1).gather(1, targets[:, None]).mean()


GIVEN: dict[str, tuple[Callable[..., Any], Tensor, str, float]] = {
    "torch's function": (F.cross_entropy, CLASSES, "cross_entropy", 1.0),
    "torch's module": (nn.BCEWithLogitsLoss(), SHARES, "bce_with_logits", 1.0),
    "smoothed labels are still classes": (nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES, "cross_entropy", 1.0),
    "arguments filled in": (functools.partial(F.cross_entropy, label_smoothing=0.1), CLASSES, "cross_entropy", 1.0),
    "squares written out": (lambda o, t: ((o - t) ** 2).mean(), NUMBERS, "mse", 1.0),
    "half the squares": (lambda o, t: 0.5 * (o - t).square().mean(), NUMBERS, "mse", 0.5),
    "summed squares": (nn.MSELoss(reduction="sum"), NUMBERS, "mse", 96.0),
    "cross-entropy written out": (own_entropy, CLASSES, "cross_entropy", 1.0),
    "binary on probabilities": (lambda o, t: F.binary_cross_entropy(o, t), SHARES, "bce", 1.0),
    "absolute differences": (lambda o, t: (o - t).abs().mean(), NUMBERS, "l1", 1.0),
    "squares and a penalty": (lambda o, t: (o - t).square().mean() + 0.1 * o.abs().mean(), NUMBERS, "other", 1.0),
    "weighted squares": (lambda o, t: (torch.arange(4) * (o - t).square()).mean(), NUMBERS, "other", 1.0),
    "a module changed": (Doubled(), NUMBERS, "other", 1.0),
    "what raises": (lambda o, t: o.no_such, NUMBERS, "other", 1.0),
}


@pytest.mark.parametrize("case", GIVEN)
def test_a_given_function_is_what_it_computes(case: str) -> None:
    function, targets, kind, scale = GIVEN[case]
    found = given_loss(function, OUTPUT, targets)
    assert (found.kind, found.call) == (kind, function)
    assert found.scale == pytest.approx(scale, rel=1e-5)  # float32 sums in another order


@pytest.mark.parametrize("name", NAMES)
def test_every_name_stands_for_the_function_of_its_kind(name: str) -> None:
    assert named_loss(name).call is KINDS[NAMES[name]].call
    assert given_loss(named_loss(name).call).kind == NAMES[name]


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="cross_entropy"):
        named_loss("cross_entropi")


def test_the_constant_prediction_is_scaled_as_the_loss_is() -> None:
    half = given_loss(lambda o, t: 0.5 * (o - t).square().mean(), OUTPUT, NUMBERS)
    assert constant_loss(half, NUMBERS) == pytest.approx(0.5 * float(NUMBERS.var(0, correction=0).mean()), rel=1e-5)
    skewed = torch.tensor([[0.0], [0.0], [0.0], [10.0]])
    assert constant_loss(named_loss("l1"), skewed) == 2.5  # the median's, 0
    assert constant_loss(given_loss(torch.nn.HuberLoss()), skewed.long()) == 2.375  # |10| - 1/2, over four
    assert constant_loss(named_loss("smooth_l1"), torch.ones(4, 1)) is None
    assert constant_loss(named_loss("cross_entropy"), CLASSES) == pytest.approx(math.log(4))
    assert constant_loss(given_loss(lambda o, t: o.abs().mean(), OUTPUT, NUMBERS), NUMBERS) is None


@pytest.mark.parametrize(
    ("loss", "padding"),
    [(named_loss("cross_entropy"), -100), (given_loss(nn.CrossEntropyLoss(ignore_index=3)), 3),
     (given_loss(functools.partial(F.nll_loss, ignore_index=255)), 255)],
)  # fmt: skip
def test_targets_that_a_loss_leaves_out_are_no_class(loss: Loss, padding: int) -> None:
    targets = torch.tensor([0, 1, 1, 0, padding, padding, padding, padding])
    assert constant_loss(loss, targets) == pytest.approx(math.log(2))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32])
def test_each_label_of_several_has_a_share_of_its_own(dtype: torch.dtype) -> None:
    """Labels in whole numbers were taken together, whatever each of them says alone."""
    targets = torch.tensor([[0, 1], [0, 1], [0, 1], [1, 1]]).to(dtype)
    quarter = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert constant_loss(named_loss("bce_with_logits"), targets) == pytest.approx(quarter / 2)


@pytest.mark.parametrize("function", [F.mse_loss, lambda o, t: ((o - t) ** 2).mean()])
def test_one_loss_under_several_names_has_one_verdict(function: Callable[..., Tensor]) -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    initlab.init_(model, initlab.get_scheme("normal", std=2.0), seed=0)
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 64, generator=draw), torch.randn(64, 10, generator=draw)
    reports = []
    for name in ("weighted_mse", "other"):

        def loss(output: Tensor, targets: Tensor) -> Tensor:
            return function(output, targets)

        loss.__name__ = name
        reports.append(initlab.inspect(model, x, y, loss=loss))
    named = initlab.inspect(model, x, y, loss="mse")
    assert {report.verdict for report in reports} == {named.verdict}
    assert len({report.probability["untrainable"] for report in (*reports, named)}) == 1
    assert named.verdict != "healthy"


def test_looking_at_a_loss_draws_nothing() -> None:
    before = torch.get_rng_state()
    given_loss(lambda o, t: (o - t).square().mean() + torch.rand(()), OUTPUT, NUMBERS)
    assert torch.equal(before, torch.get_rng_state())
