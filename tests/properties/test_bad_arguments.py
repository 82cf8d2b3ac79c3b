"""Whatever stands for an argument of a public verb, the verb works or says in one line what would be right."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from torch import nn

import initlab
from initlab import experiments, fitting, theory
from initlab.errors import InputError


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("not even its name")


def raising(*methods: str, base: type = object) -> Any:
    """An object whose methods raise."""

    def fails(self: object, *_: object) -> Any:
        raise RuntimeError("not to be asked")

    return type("Raising", (base,), dict.fromkeys(methods, fails))()


VALUES: dict[str, Any] = {
    "an object that cannot be shown": Silent(),
    "a list of one": [Silent()],
    "a mapping from one": {Silent(): 1.0},
    "a mapping to one": {"weight": Silent()},
    "2**64": 2**64,
    "a number of 400 digits": 10**400,
    "below all": -(2**70),
    "nan": math.nan,
    "inf": math.inf,
    "a bool": True,
    "an array": torch.zeros(2).numpy(),
    "one that cannot be iterated": raising("__iter__"),
    "a list that cannot be iterated": raising("__iter__", "__len__", "__getitem__", base=list),
    "one that cannot be compared": raising("__eq__", "__hash__", base=str),
    "one that has no answer": raising("__getattr__", "__bool__"),
    "a list of one that has no answer": [raising("__getattr__", "__array__", "__float__", "__fspath__")],
    "one that answers all": MagicMock(),
}

DRAWS = torch.Generator().manual_seed(0)
X, Y = torch.rand(24, 4, generator=DRAWS), torch.randint(0, 3, (24,), generator=DRAWS)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 3))


def sized(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))


TRAINED: dict[str, Any] = {"steps": 2, "batch_size": 8, "engine": "sequential", "progress": False}
STUDY: dict[str, Any] = {"build": net, "train": (X, Y), "test": (X, Y), **TRAINED}

# Verb -> (what is called, the arguments of a call that works).
CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "plan": (initlab.plan, lambda: {"model": net(), "example_inputs": X}),
    "init_": (initlab.init_, lambda: {"model": net(), "example_inputs": X}),
    "reinit_": (initlab.reinit_, lambda: {"model": net()}),
    "inspect": (initlab.inspect, lambda: {"model": net(), "inputs": X, "targets": Y}),
    "audit": (initlab.audit, lambda: {"model": net(), "example_inputs": X}),
    "compare": (initlab.compare, lambda: {**STUDY, "schemes": ["he_normal"], "seeds": 1, "lr": 0.1}),
    "search": (initlab.search, lambda: {**STUDY, "valid": (X, Y), "trials": 1, "screen": False, "at_once": 1}),
    "coordinate_check": (
        initlab.coordinate_check,
        lambda: {"build": sized, "widths": (8, 16, 32), "steps": 1, "inputs": X, "targets": Y, "seeds": 1},
    ),
    "transfer_check": (
        initlab.transfer_check,
        lambda: {"build": sized, "widths": (8, 16), "lrs": (0.01, 0.1, 1.0), "steps": 1, "inputs": X, "targets": Y},
    ),
    "param_groups": (
        initlab.param_groups,
        lambda: {"model": sized(8), "optimizer": "adam", "lr": 0.1, "base": sized(4), "example_inputs": X},
    ),
    "lsuv_": (fitting.lsuv_, lambda: {"model": net(), "batch": X}),
    "data_dependent_": (fitting.data_dependent_, lambda: {"model": net(), "batch": X}),
    "metainit_": (fitting.metainit_, lambda: {"model": net(), "data": (X, Y), "steps": 1}),
    "gradinit_": (fitting.gradinit_, lambda: {"model": net(), "data": (X, Y), "steps": 1}),
    "finetune_": (fitting.finetune_, lambda: {"model": net(), "train": (X, Y), "epochs": 1}),
    "pretrain_dbn_": (fitting.pretrain_dbn_, lambda: {"model": net(), "data": X, "epochs": 1}),
    "new_rows_": (fitting.new_rows_, lambda: {"model": nn.Embedding(9, 4), "names": "weight", "rows": slice(8, 9)}),
    "propagate": (theory.propagate, lambda: {"fn": "tanh", "depth": 2, "sigma_w": 1.2}),
    "moments": (theory.moments, lambda: {"fn": "tanh"}),
    "activation": (theory.activation, lambda: {"name": "relu"}),
    "get_scheme": (initlab.get_scheme, lambda: {"name": "he_normal", "negative_slope": 0.1}),
    "get_policy": (initlab.get_policy, lambda: {"name": "gpt2", "std": 0.02}),
    "run": (experiments.run, lambda: {"name": "no-such-experiment"}),
}


def weights(model: Any) -> list[torch.Tensor]:
    return [value.clone() for value in model.state_dict().values()] if isinstance(model, nn.Module) else []


@pytest.mark.parametrize("verb", CALLS)
def test_a_bad_argument_is_one_line_and_nothing_is_written(verb: str) -> None:
    function, working = CALLS[verb]
    names = {n for n, p in inspect.signature(function).parameters.items() if p.kind is not p.VAR_KEYWORD}
    wrong = []
    for name in sorted((names | set(working())) - {"build", "note"}):
        for word, value in VALUES.items():
            arguments = working()
            model = arguments.get("model")
            before = weights(model)
            try:
                # One that answers all keeps each answer: used again, it would be walked longer for every call before.
                function(**{**arguments, name: MagicMock() if isinstance(value, MagicMock) else value})
            except InputError as error:
                if "\n" in str(error) or len(str(error)) > 400:
                    wrong.append(f"{name} = {word}: {str(error)[:500]}")
                if not all(map(torch.equal, before, weights(model))):
                    wrong.append(f"{name} = {word}: the model was written to")
            except Exception as error:
                wrong.append(f"{name} = {word}: {type(error).__name__}")
    assert not wrong


def test_what_an_argument_raises_is_told_under_the_name_that_the_user_gave_it() -> None:
    with pytest.raises(
        InputError, match=r"^seeds cannot be read: \S*fails failed: RuntimeError: not to be asked$"
    ) as told:
        initlab.compare(**{**STUDY, "schemes": ["he_normal"], "seeds": raising("__iter__"), "lr": 0.1})
    assert isinstance(told.value.__cause__, RuntimeError)


def test_an_error_that_is_no_arguments_own_stays_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("initlab.planning.planner.walk", fails)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        initlab.plan(net(), X)
