"""`transfer_check` on the engines: the losses of torch's own loop by `param_groups`, whichever engine trains."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import loky
import pytest
import torch
from scaling_zoo import GPT, IMAGES, ROWS, TOKENS, Experts, mlp
from torch import nn
from torch.nn import functional as F

import initlab
from initlab.errors import InputError
from initlab.planning import get_policy
from initlab.rng import random_states_kept
from initlab.sampling import derive_seed
from initlab.scaling.rules import RULES
from initlab.training.batches import Order

LABELS, NEXT = torch.arange(32) % 4, TOKENS.roll(-1, 1)
WIDTHS, RATES = (16, 32), (1e-3, 4e-3, 1.6e-2)


class Normed(nn.Module):
    """Batch norm, which reads the batch, and dropout, which drops nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Linear(width, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(torch.relu(self.norm(self.conv(x)))).mean((2, 3)))


class Named(nn.Module):
    """Takes a dict of rows and of what all rows share, and returns a dict."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = mlp(width)

    def forward(self, rows: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.body(rows * scale)}


NAMED = {"rows": ROWS, "scale": torch.linspace(0.5, 1.5, 16)}


def squares(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (F.one_hot(targets, 4) - output).square().mean()


# build, inputs, targets, loss, optimizer, rule, batch, engines that train it
CASES: dict[str, tuple[Callable[[int], nn.Module], Any, Any, Any, str, str, int | None, tuple[str, ...]]] = {
    "rows by adamw": (mlp, ROWS, LABELS, None, "adamw", "mup", 8, ("sequential", "stacked", "auto")),
    "rows by sgd": (mlp, ROWS, LABELS, None, "sgd", "mup", None, ("stacked",)),
    "rows without a base": (mlp, ROWS, LABELS, "cross_entropy", "adam", "spectral", 8, ("stacked",)),
    "a loss of one's own": (mlp, ROWS, LABELS, squares, "adamw", "mup", 8, ("stacked",)),
    "tokens": (GPT, TOKENS, NEXT, None, "adamw", "mup", 2, ("sequential", "stacked")),
    "eps in width": (GPT, TOKENS, NEXT, None, "adamw", "completep", None, ("stacked",)),
    "experts": (Experts, ROWS, LABELS, None, "adamw", "mup", 16, ("auto",)),
    "matrices by muon": (mlp, ROWS, LABELS, None, "muon", "mup", 8, ("sequential",)),
    "modes": (Normed, IMAGES, torch.arange(8) % 4, None, "adamw", "mup", 4, ("sequential", "stacked")),
    "named inputs": (Named, NAMED, LABELS, None, "adamw", "mup", 8, ("sequential", "stacked")),
    "named inputs, whole": (Named, NAMED, LABELS, None, "adamw", "mup", None, ("sequential",)),
}  # fmt: skip


@functools.cache
def by_hand(case: str, width: int, lr: float, seed: int, steps: int) -> float:
    """The loss of all samples after a loop of torch's optimizers over the groups of `param_groups`."""
    build, inputs, targets, loss, optimizer, rule, batch, _ = CASES[case]
    with random_states_kept(derive_seed(0, "build", seed)):
        model = build(width).eval()
    for module in model.modules():
        module.training = isinstance(module, nn.BatchNorm2d)
    base, policy = build(WIDTHS[0]), RULES[rule].policy
    start = get_policy("completep", base_branches=4) if policy == "completep" else policy
    initlab.init_(model, start, example_inputs=inputs, seed=derive_seed(0, "weights", seed))
    groups = initlab.param_groups(model, optimizer, lr, base, rule=rule, example_inputs=inputs)
    optimizers = list(made(groups, optimizer))
    count = len(targets)
    order = Order(count, batch or count, drop_last=True, seed=derive_seed(0, "order", seed))

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        taken = {k: v[rows] if len(v) == count else v for k, v in inputs.items()} if case[:5] == "named" else None
        output = model(**taken)["logits"] if taken else model(inputs[rows])
        return squares(output, targets[rows]) if loss is squares else F.cross_entropy(
            output.reshape(-1, output.shape[-1]), targets[rows].reshape(-1)
        )  # fmt: skip

    for step in range(steps):
        for each in optimizers:
            each.zero_grad()
        loss_of(order.batch(step)).backward()
        for each in optimizers:
            each.step()
    with torch.no_grad():
        return float(loss_of(torch.arange(count)))


def made(groups: list[dict[str, Any]], optimizer: str) -> Iterator[torch.optim.Optimizer]:
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD, "muon": torch.optim.Muon}
    for name, kind in kinds.items():
        held = [group for group in groups if group.get("optimizer", optimizer) == name]
        if held:
            yield kind(held, lr=1.0, weight_decay=0.0)  # type: ignore[operator]  # every group has a rate of its own


@pytest.mark.parametrize(("case", "engine"), [(case, engine) for case, row in CASES.items() for engine in row[-1]])
def test_every_engine_trains_what_the_groups_say(case: str, engine: str) -> None:
    build, inputs, targets, loss, optimizer, rule, batch, _ = CASES[case]
    found = initlab.transfer_check(
        build, WIDTHS, RATES, steps=4, inputs=inputs, targets=targets, loss=loss, optimizer=optimizer, rule=rule,
        seeds=2, batch_size=batch, engine=engine,
    )  # fmt: skip
    for place in (0, -1):
        expected = sum(by_hand(case, WIDTHS[-1], RATES[place], seed, 4) for seed in range(2)) / 2
        assert found.losses[-1][place] == pytest.approx(expected, rel=1e-3)  # what engines may differ by in fp32


@pytest.mark.parametrize("make", [lambda: ThreadPoolExecutor(2), lambda: loky.get_reusable_executor(1)])
def test_an_executor_trains_alike(make: Callable[[], Any]) -> None:
    given: dict[str, Any] = {"inputs": ROWS, "targets": LABELS, "steps": 4, "batch_size": 8}
    here = initlab.transfer_check(mlp, WIDTHS, RATES, engine="sequential", **given)
    there = initlab.transfer_check(mlp, WIDTHS, RATES, executor=make(), **given)
    for one, other in zip(here.losses, there.losses, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"engine": "stakced"}, "unknown engine 'stakced'.*'stacked'"),
        ({"executor": 3}, "executor must be a concurrent.futures.Executor; got int"),
        ({"engine": "stacked", "optimizer": "muon"}, "cannot train this model: muon has no stacked update"),
        ({"batch_size": 33}, "at most the number of samples, 32; got 33"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
    ],
)
def test_bad_engines(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        initlab.transfer_check(mlp, WIDTHS, RATES, inputs=ROWS, targets=LABELS, steps=2, **given)


SHARED = mlp(8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": LABELS + 4}, "the loss of the model's output and the targets failed: IndexError: Target"),
        ({"targets": LABELS[:30]}, r"the targets failed: ValueError: Expected input batch_size \(32\) to match"),
        ({"inputs": ROWS[:, :5]}, "the forward pass failed in module '0'"),
        ({"inputs": 3}, "inputs must be a tensor, a tuple .* with rows of samples; got int"),
        ({"inputs": ROWS * float("nan")}, "at width 16 the loss is nan before any step"),
        ({"build": lambda width: SHARED}, "build must return a new model at each call"),
        ({"build": lambda width: mlp(width).requires_grad_(False)}, "every parameter is frozen at width 16"),
        ({"build": lambda width: 1 // 0}, r"build\(16\) failed: ZeroDivisionError"),
        ({"loss": lambda output, targets: output}, r"loss must return a scalar tensor; got \(32, 4\)"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_line(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"build": mlp, "inputs": ROWS, "targets": LABELS, **change}
    with pytest.raises(InputError, match=message):
        initlab.transfer_check(widths=WIDTHS, lrs=RATES, steps=2, **given)


def test_a_model_in_bfloat16_is_trained_in_float32() -> None:
    given: dict[str, Any] = {"targets": LABELS.int(), "steps": 2}
    coarse = initlab.transfer_check(lambda w: mlp(w).bfloat16(), WIDTHS, RATES, inputs=ROWS.bfloat16(), **given)
    fine = initlab.transfer_check(mlp, WIDTHS, RATES, inputs=ROWS.bfloat16().float(), **given)
    assert coarse.losses[1] == pytest.approx(fine.losses[1], rel=1e-2)  # the plan is made on the model as it is built


def test_a_loss_takes_the_models_own_output() -> None:
    """A dict of outputs, of which the loss takes what it wants."""
    given: dict[str, Any] = {"inputs": NAMED, "targets": LABELS, "steps": 2}
    own = initlab.transfer_check(Named, WIDTHS, RATES, loss=lambda out, y: F.cross_entropy(out["logits"], y), **given)
    assert own.losses[0] == pytest.approx(initlab.transfer_check(Named, WIDTHS, RATES, **given).losses[0], rel=1e-4)


def test_runs_that_diverge_count_as_infinite() -> None:
    found = initlab.transfer_check(mlp, WIDTHS, (1e-3, 1e-2, 1e30), inputs=ROWS, targets=LABELS, steps=3)
    assert [[loss == float("inf") for loss in losses] for losses in found.losses] == [[False, False, True]] * 2


@pytest.mark.nightly
def test_the_best_rate_transfers_under_mup_and_not_without() -> None:
    rates = [2.0**k * 1e-3 for k in range(8)]
    given: dict[str, Any] = {"inputs": ROWS, "targets": LABELS, "steps": 20}
    mup = initlab.transfer_check(mlp, (64, 256, 1024), rates, **given)
    standard = initlab.transfer_check(mlp, (64, 256, 1024), rates, rule="standard", **given)
    assert mup.transfers
    assert mup.factor <= 2 < standard.factor
    assert not standard.transfers


def test_batches_hold_every_sample_once_before_any_comes_again() -> None:
    seen: list[list[int]] = []

    class Watched(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.is_grad_enabled():
                seen.append(x[:, 0].long().tolist())
            return super().forward(x)

    rows = torch.arange(12.0)[:, None].expand(12, 3).contiguous()
    given: dict[str, Any] = {"inputs": rows, "targets": torch.arange(12) % 2, "steps": 6, "batch_size": 4}
    initlab.transfer_check(lambda width: torch.nn.Sequential(Watched(3, width), torch.nn.Linear(width, 2)), (4, 8),
                           (1e-3, 2e-3, 4e-3), **given)  # fmt: skip
    trained = seen[-6:]
    assert sorted(chain(*trained[:3])) == sorted(chain(*trained[3:])) == list(range(12))
    assert trained[:3] != trained[3:]


@pytest.mark.parametrize("lrs", [(0.1, 0.2), 0.1, (0.1, -1, 2), (0.0, 0.1, 0.2)])
def test_bad_rates(lrs: Any) -> None:
    with pytest.raises(InputError, match="lrs"):
        initlab.transfer_check(mlp, (8, 16), lrs, inputs=ROWS, targets=LABELS)
