"""What is loaded or not named is kept: mappings, Hugging Face's mark, and what `loaded=` takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import initlab
from initlab.errors import InputError


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.BatchNorm1d(12), nn.Linear(12, 3))


def _changed(net: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}


def _before(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


BIASES = {"0.bias", "2.bias", "4.bias"}
WEIGHTS = {"0.weight", "2.weight", "4.weight"}


@pytest.mark.parametrize(
    ("policy", "written"),
    [
        ({"2.weight": "he_normal"}, {"2.weight"}),
        ({"2": "auto"}, {"2.weight", "2.bias"}),
        ({"2": "he_normal"}, {"2.weight"}),
        ({"@Linear": "he_normal"}, WEIGHTS),
        ({"*": "auto"}, WEIGHTS | BIASES),
        ({"*": "he_normal", "2": "keep"}, {"0.weight", "4.weight", "0.bias", "4.bias"}),
        ({"2": "keep", "*": "he_normal"}, {"0.weight", "4.weight", "0.bias", "4.bias"}),
        ({"*": "keep", "4.weight": "normal"}, {"4.weight"}),
    ],
)
@pytest.mark.parametrize("recorded", [False, True])
def test_p17_a_mapping_writes_what_it_names_alone(policy: Any, written: set[str], recorded: bool) -> None:
    net = _net()
    before = _before(net)
    initlab.init_(net, policy, seed=5, example_inputs=torch.randn(16, 6) if recorded else None)
    assert _changed(net, before) == written


def test_a_plan_that_writes_nothing_says_so() -> None:
    assert any("'*' in a mapping" in warning for warning in initlab.plan(_net(), policy={"2": "keep"}).warnings)


def test_a_named_part_gets_the_std_that_the_whole_model_would_give_it() -> None:
    net, inputs = _net(), 3 * torch.randn(64, 6)
    head = initlab.plan(net, inputs, {"4": "auto"})["4.weight"]
    assert head.reason.startswith("selector '4.**'")
    assert head.std == pytest.approx(initlab.plan(net, inputs)["4.weight"].std, rel=0.3)


def test_what_hugging_face_marks_is_kept_unless_it_is_named() -> None:
    net = _net()
    for parameter in (*net[0].parameters(), *net[2].parameters()):
        parameter._is_hf_initialized = True  # type: ignore[attr-defined]
    before = _before(net)
    plan = initlab.init_(net)
    assert _changed(net, before) == {"4.weight", "4.bias"}
    assert any("4 loaded parameters are kept" in warning for warning in plan.warnings)
    initlab.init_(net, {"2.weight": "he_normal"}, seed=1)
    assert _changed(net, before) == {"4.weight", "4.bias", "2.weight"}


def _state(folder: Path) -> Any:
    return {name: value for name, value in _net().state_dict().items() if not name.startswith("4")}


def _safetensors(folder: Path) -> Any:
    save_file(_state(folder), folder / "model.safetensors")
    return folder / "model.safetensors"


def _zipped(folder: Path) -> Any:
    torch.save(_state(folder), folder / "model.pt")
    return str(folder / "model.pt")


def _index(folder: Path) -> Any:
    _safetensors(folder)
    names = dict.fromkeys(_state(folder), "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return folder / "model.safetensors.index.json"


@pytest.mark.parametrize(
    "make",
    [_state, _safetensors, _zipped, _index, list, lambda folder: list(_state(folder))],
    ids=["state", "safetensors", "zipped", "index", "list", "names"],
)
def test_loaded_parameters_are_kept_and_counted(make: Callable[[Path], Any], tmp_path: Path) -> None:
    loaded = [] if make is list else make(tmp_path)
    net = _net()
    before = _before(net)
    plan = initlab.init_(net, "he_normal", loaded=loaded)
    kept = set() if make is list else {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert _changed(net, before) == WEIGHTS | BIASES - kept - (WEIGHTS & kept) if not kept else {"4.weight", "4.bias"}
    assert any(f"{6 if kept else 0} of 8 parameters are kept as loaded" in warning for warning in plan.warnings)


def test_another_shape_was_not_loaded_and_strangers_are_said() -> None:
    net, state = _net(), _state(Path())
    state["2.weight"], state["old.weight"] = torch.zeros(3, 3), torch.zeros(2)
    before = _before(net)
    plan = initlab.init_(net, {"@Linear": "normal"}, loaded=state)
    assert _changed(net, before) == {"2.weight", "4.weight"}
    assert any("another shape in loaded=, '2.weight' first" in warning for warning in plan.warnings)
    assert any("names that the model has not, 'old.weight'" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (3, "loaded must be a state dict"),
        ([3], "loaded must hold parameter names; got 3"),
        ({"backbone.0.weight": None}, "no parameter of this model: 'backbone.0.weight'.*has '0.weight'"),
        ("missing.safetensors", "missing.safetensors"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_nothing_written(loaded: Any, message: str) -> None:
    net = _net()
    before = _before(net)
    with pytest.raises(InputError, match=message):
        initlab.init_(net, loaded=loaded)
    assert _changed(net, before) == set()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"weight_map": {"0.weight": "gone.safetensors"}}', "names 'gone.safetensors', which is not beside it"),
        ('{"weight_map": {"0.weight": "../x.safetensors"}}', "which is not beside it"),
        ("{}", "has no weight_map"),
        ("[1", "has no weight_map"),
    ],
)
def test_an_index_that_names_what_is_not_there_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match=message):
        initlab.init_(_net(), loaded=tmp_path / "model.safetensors.index.json")


class _Adapted(nn.Module):
    """A linear layer with a low-rank adapter, as PEFT lays it out."""

    def __init__(self) -> None:
        super().__init__()
        self.base_layer = nn.Linear(8, 8)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(8, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 8, bias=False)})


def test_a_head_and_adapters_are_added_to_a_pretrained_model() -> None:
    net = nn.ModuleDict({"layers": nn.ModuleList(_Adapted() for _ in range(2)), "head": nn.Linear(8, 3)})
    before = _before(net)
    initlab.init_(net, {"**.lora_A.**": "he_uniform", "**.lora_B.**": "zeros"})
    adapters = {name for name in before if "lora" in name}
    assert _changed(net, before) == adapters
    assert not net["layers"][1].lora_B["default"].weight.any()
    initlab.init_(net, {"head": "auto"})
    assert _changed(net, before) == adapters | {"head.weight", "head.bias"}
