"""`model.apply(initlab.init_)` and `init_` on layers: the bits of the whole model, and aliases that are said."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError


def net() -> nn.Module:
    block = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU())
    return nn.Sequential(nn.Linear(6, 6), nn.Tanh(), block, nn.Linear(6, 6), nn.Linear(6, 3))


def on_linear(policy: Any, **more: Any) -> Callable[[nn.Module], None]:
    def start(layer: nn.Module) -> None:
        if isinstance(layer, nn.Linear):
            initlab.init_(layer, policy, **more)

    return start


def nested(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        layer.apply(initlab.init_)


# what is applied, what the whole model is written with
APPLIED: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "init_ itself": (initlab.init_, {}),
    "with arguments": (
        partial(initlab.init_, policy_or_plan="he_normal", seed=3),
        {"policy_or_plan": "he_normal", "seed": 3},
    ),
    "a lambda": (lambda layer: initlab.init_(layer, seed=2) if [*layer.parameters()] else None, {"seed": 2}),
    "on some layers": (on_linear("xavier_normal", seed=5), {"policy_or_plan": "xavier_normal", "seed": 5}),
    "auto on some layers": (on_linear("auto"), {}),
    "an apply within": (nested, {}),
}


@pytest.mark.parametrize("name", APPLIED)
def test_apply_gives_each_parameter_the_bits_of_the_whole_model(name: str) -> None:
    function, arguments = APPLIED[name]
    model, whole = net(), net()
    model.apply(function)
    initlab.init_(whole, **arguments)
    for key, value in whole.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    weights = [
        layer.weight for layer in model.modules() if isinstance(layer, nn.Linear) and layer.weight.shape == (6, 6)
    ]
    assert len({tuple(weight.flatten().tolist()) for weight in weights}) == len(weights) == 3


def test_a_mapping_speaks_of_the_layers_own_names_and_streams_differ() -> None:
    model = net()
    model.apply(on_linear({"weight": "he_normal"}))
    whole = net()
    initlab.init_(whole, {"@Linear": "he_normal"})
    assert torch.equal(model[3].weight, whole[3].weight)
    assert not torch.equal(model[3].weight, model[0].weight)


def test_a_layer_that_is_tied_to_another_is_left_to_the_whole_model() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    with pytest.raises(InputError, match=r"'2\.weight' is tied to another layer: call init_ on the whole model"):
        model.apply(on_linear("he_normal"))
    model.apply(initlab.init_)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("he", "he_normal"), ("kaiming", "he_normal"), ("glorot", "xavier_normal"), ("xavier", "xavier_normal")],
)
def test_a_plan_says_what_an_alias_means(alias: str, name: str) -> None:
    words = f"('{alias}' means {name})"
    assert words in initlab.plan(net(), policy=alias)["0.weight"].reason
    assert words in initlab.plan(net(), policy={"0.weight": alias})["0.weight"].reason
    assert words not in initlab.plan(net(), policy={"0.weight": name})["0.weight"].reason
