"""`model.apply(initlab.init_)` and `init_` on layers: the bits of the whole model, and aliases that are said."""

from __future__ import annotations

import warnings
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


def in_turn(model: Any, *, apart: bool = False) -> list[str]:
    """What is warned of when `init_` is called on one layer after another."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for place, layer in enumerate(model):
            if not any(True for _ in layer.parameters()):
                continue
            initlab.init_(layer, "he_normal", prefix=str(place) if apart else "")
    assert all(one.filename == __file__ for one in caught)
    return [str(one.message) for one in caught]


# what is gone over, whether its equals are warned of
GONE_OVER: dict[str, tuple[Callable[[], Any], int]] = {
    "layers of a model": (lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)), 1),
    "blocks of a model": (lambda: nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)), 2),
    "a list": (lambda: [nn.Linear(4, 4), nn.Linear(4, 4)], 1),
    "layers of other shapes": (lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 5)), 0),
    "norms, which are constant": (lambda: nn.Sequential(nn.BatchNorm1d(4), nn.BatchNorm1d(4)), 0),
    "a layer that is used twice": (lambda: [layer := nn.Linear(4, 4), layer], 0),
}


@pytest.mark.parametrize("name", GONE_OVER)
def test_layers_that_get_equal_values_in_turn_are_warned_of(name: str) -> None:
    make, count = GONE_OVER[name]
    said = in_turn(make())
    assert len(said) == count
    assert all("got the same" in line and "model.apply(initlab.init_)" in line for line in said)
    assert in_turn(make(), apart=True) == []


def test_models_that_start_alike_on_purpose_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, other = nn.Linear(4, 4), nn.Linear(4, 4)
        initlab.init_(one)
        initlab.init_(other)
        whole = net()
        initlab.init_(whole)
        initlab.init_(whole)
        whole.apply(initlab.init_)
    assert torch.equal(one.weight, other.weight)


def test_two_models_of_one_script_are_no_list() -> None:
    """A runner of scripts holds their names in a dict."""
    names = {"initlab": initlab, "nn": nn}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec("a, b = nn.Linear(4, 4), nn.Linear(4, 4)\ninitlab.init_(a, seed=0)\ninitlab.init_(b, seed=0)", names)
    assert torch.equal(names["a"].weight, names["b"].weight)


def test_the_whole_model_is_planned_once_for_each_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    from initlab.planning import writer

    model, planned, make_plan = nn.Sequential(*(nn.Linear(4, 4) for _ in range(5))), list[nn.Module](), writer.make_plan
    monkeypatch.setattr(writer, "make_plan", lambda one, *rest: (planned.append(one), make_plan(one, *rest))[1])
    for times in (1, 2):
        model.apply(lambda layer: initlab.init_(layer, "he_normal") if isinstance(layer, nn.Linear) else None)
        assert sum(one is model for one in planned) == times
