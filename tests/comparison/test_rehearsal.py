"""A model, loss, data or device that cannot be trained is one line before anything is trained: rows 16 to 24."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest_comparison import tiny_build, tiny_data
from torch import nn

import initlab

DATA = tiny_data()
X, Y = DATA
ONE = tiny_build()


class Forward(nn.Module):
    """Answers with what a function makes of its layer's output."""

    def __init__(self, answer: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.answer = nn.Linear(6, 3), answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(self.layer(x))


@dataclass
class Answer:
    logits: torch.Tensor


def answers(answer: Callable[[torch.Tensor], Any]) -> dict[str, Any]:
    return {"build": lambda: Forward(answer)}


def fails(_: Any, __: Any = None) -> Any:
    raise KeyError("two\nlines")


def embedding() -> nn.Module:
    return nn.Sequential(nn.Embedding(4, 3), nn.Flatten(), nn.Linear(18, 3))


def sparse() -> nn.Module:
    return nn.Sequential(nn.Embedding(9, 3, sparse=True), nn.Flatten(), nn.Linear(18, 3))


WORDS = (torch.arange(9).repeat(96, 1)[:, :6], Y)
# What is wrong -> arguments of compare, and what the line says.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "wrong shape": ({"build": lambda: nn.Linear(7, 3)}, r"Linear\(in_features=7.*\(16, 6\).*cannot be multiplied"),
    "no such device": ({"device": "gpu9"}, r"device must be 'cpu' .*; got 'gpu9'"),
    "data without values": ({"train": (X.to("meta"), Y)}, "train X must hold values; .* meta device"),
    "raises": (answers(fails), "train: the forward pass failed in .*: KeyError: 'two"),
    "exits": (answers(lambda h: sys.exit(3)), "the forward pass failed in .*: SystemExit: 3"),
    "None": (answers(lambda h: None), "the model returned None, which holds no floating-point tensor"),
    "text": (answers(lambda h: {"y": "yes"}), "the model returned dict, which holds no floating-point tensor"),
    "loss raises": ({"loss": fails}, r"loss fails failed on .* \(16, 3\) float32 and targets \(16,\) int64: KeyError"),
    "loss of every sample": ({"loss": lambda o, t: (o[:, 0] - t).square()}, r"scalar tensor; got \(16,\)"),
    "loss detached": ({"loss": lambda o, t: F.cross_entropy(o, t).detach()}, "loss must depend on the model's output"),
    "targets too large": ({"train": (X, Y + 5)}, r"train targets must be class numbers in \[0, 3\).*; got 5 to 7"),
    "targets negative": ({"train": (X, Y - 1)}, r"train targets must be class numbers in \[0, 3\).*; got -1 to 1"),
    "test targets": ({"test": (X, Y + 1)}, r"test targets must be class numbers in \[0, 3\).*; got 1 to 3"),
    "float targets": ({"train": (X, Y.float())}, r"targets \(16,\) of floating-point .* output \(16, 3\)"),
    "whole one-hot": ({"train": (X, F.one_hot(Y, 3))}, r"targets \(16, 3\) int64"),
    "words to Linear": ({"train": WORDS, "test": WORDS}, "failed in module '0' .*same dtype"),
    "numbers to Embedding": ({"build": embedding}, r"failed in module '0' \(Embedding\(4, 3\)\)"),
    "words beyond": ({"build": embedding, "train": WORDS, "test": WORDS}, "Embedding.* index out of range"),
    "one sample of batch norm": (
        {"batch_size": 1, "build": lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))},
        r"failed in module '1' \(BatchNorm1d",
    ),
    "sparse gradients": ({"build": sparse, "train": WORDS, "test": WORDS}, "step of adamw failed: .*sparse"),
    "a model": ({"build": ONE}, "build must be a function that returns a new model; got a Sequential itself"),
    "one model": ({"build": lambda: ONE}, "build must return a new model at each call; it returned the same model"),
    "a shared layer": (
        {"build": lambda: nn.Sequential(ONE, nn.Linear(3, 3))},
        "models that share the parameter '0.0.weight' twice",
    ),
    "build with arguments": ({"build": lambda n: ONE}, r"build\(\) failed: TypeError: .* argument: 'n'"),
    "build fails": ({"build": lambda: 1 / 0}, r"build\(\) failed: ZeroDivisionError"),
    "options": ({"options": {"betas": 0.9}}, "betas must be two numbers"),
    "engine": ({"engine": None}, "unknown engine 'None'"),
    "study": ({"study": ""}, "study must be a name"),
}  # fmt: skip
OF_COMPARE: dict[str, tuple[dict[str, Any], str]] = {
    "budget": ({"budget": 10}, "give race=True with it; got budget=10"),
    "target loss": ({"target_loss": float("nan")}, "target_loss must be a finite number; got nan"),
}
USUAL: dict[str, Any] = {"build": tiny_build, "train": DATA, "test": DATA, "steps": 5, "batch_size": 16}


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(initlab.InputError) as caught:
        call(**{**USUAL, **arguments})
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("what", {**REFUSED, **OF_COMPARE})
def test_compare_refuses_in_one_line(what: str) -> None:
    arguments, says = {**REFUSED, **OF_COMPARE}[what]
    said = refusal(initlab.compare, schemes=["as_built"], seeds=1, **arguments)
    assert re.search(says, said), said


@pytest.mark.parametrize("what", REFUSED)
def test_search_refuses_in_one_line(what: str) -> None:
    arguments, says = REFUSED[what]
    said = refusal(initlab.search, space={"scheme": ["as_built"]}, valid=DATA, trials=2, **arguments)
    assert re.search(says, said), said


@pytest.mark.parametrize("engine", ["sequential", "stacked"])
@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda h: {"hidden": torch.zeros(3), "logits": h}, "output['logits']"),
        (lambda h: (h, (h.mean(),)), "output[0]"),
        (Answer, "output.logits"),
    ],
    ids=["dict", "tuple", "dataclass"],
)
def test_the_main_one_of_several_outputs_is_trained(answer: Callable[..., Any], where: str, engine: str) -> None:
    usual = {**USUAL, "schemes": ["he_normal"], "seeds": 2, "engine": engine}
    found = initlab.compare(**{**usual, **answers(answer)})
    expected = initlab.compare(**{**usual, **answers(lambda h: h)})
    for one, other in zip(found.runs, expected.runs, strict=True):
        np.testing.assert_allclose(one.tests, other.tests, rtol=1e-5)
    assert [note for note in found.notes if where in note]


@pytest.mark.parametrize("engine", ["sequential", "stacked", "processes"])
def test_what_fails_later_is_one_line_too(engine: str) -> None:
    """A target beyond the classes in a batch that comes late, which no rehearsal of the first samples can meet."""

    def late(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(output, target)

    target = Y.clone()
    target[-1] = 7
    said = refusal(initlab.compare, schemes=["as_built"], seeds=2, train=(X, target), loss=late, engine=engine, steps=9)
    assert "Target 7 is out of bounds" in said


def test_what_works_is_not_refused() -> None:
    """Some parameters or all of them frozen, targets that cross-entropy leaves out, a loss of one's own for a tuple."""
    result = initlab.compare(
        lambda: Forward(lambda h: (h, h)).requires_grad_(True), (X, torch.where(Y == 0, -100, Y)), DATA, ["as_built"],
        seeds=1, steps=5, batch_size=16, loss=lambda o, t: F.cross_entropy(o[0], t),
    )  # fmt: skip
    assert result.runs[0].status == "finished"
    frozen = initlab.compare(lambda: tiny_build().requires_grad_(False), DATA, DATA, ["as_built"], seeds=1, steps=5)
    assert frozen.runs[0].status == "finished"
    assert any("every parameter is frozen" in note for note in frozen.notes)
    assert "every parameter is frozen" in " ".join(repr(frozen).split())


def _half_frozen() -> nn.Module:
    model = tiny_build()
    next(model.parameters()).requires_grad_(False)
    return model


def test_frozen_parameters_are_remarked_on() -> None:
    said = "parameters are frozen and stay at their start"
    compared = initlab.compare(_half_frozen, DATA, DATA, ["as_built"], seeds=1, steps=5)
    assert sum(said in note for note in compared.notes) == 1
    searched = initlab.search(_half_frozen, DATA, DATA, DATA, trials=2, steps=5)
    assert sum(said in note for note in searched.notes) == 1
    assert not any("frozen" in note for note in initlab.compare(tiny_build, DATA, DATA, ["as_built"], seeds=1).notes)


def test_a_search_goes_by_the_loss_where_the_output_tells_no_classes() -> None:
    def loss(output: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(output["y"], target)

    result = initlab.search(
        lambda: Forward(lambda h: {"y": h}), DATA, DATA, DATA, {"scheme": ["he_normal", "orthogonal"]}, 3,
        steps=9, batch_size=16, loss=loss,
    )  # fmt: skip
    assert result.metric == "loss"
    assert 0 < result.best_value < 10


@pytest.mark.filterwarnings("error:Using a target size")
def test_screening_computes_the_loss_that_runs_are_trained_with() -> None:
    """Targets (n,) for an output (n, 1): not every target against every output."""
    data = (X, X[:, 0])
    result = initlab.search(lambda: nn.Linear(6, 1), data, data, data, {"scheme": ["he_normal"]}, 2, steps=9)
    assert len(result.trials) == 2


@pytest.mark.parametrize("selector", ["@Conv2d", "fc9.*"])
def test_a_selector_of_a_search_that_matches_nothing(selector: str) -> None:
    said = refusal(initlab.search, space={selector: ["he_normal"]}, valid=DATA, trials=2)
    assert selector in said


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_runs_learn_whatever_the_mode_outside(mode: Callable[[], Any]) -> None:
    given: dict[str, Any] = {"schemes": ["he_normal"], "seeds": 1, "lr": 0.1, "steps": 9, "batch_size": 16}
    wanted = initlab.compare(tiny_build, DATA, DATA, **given).runs[0].loss
    with mode():
        found = initlab.compare(tiny_build, DATA, DATA, **given).runs[0].loss
    assert found == pytest.approx(wanted, rel=0.02)
