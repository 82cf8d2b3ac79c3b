"""Selectors: what a pattern matches, what a scheme under it claims, and what one that matches nothing says."""

from __future__ import annotations

import pytest
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.planning.parameters.walk import walk
from initlab.planning.selection.selectors import glob_pattern, matched


@pytest.mark.parametrize(
    ("glob", "name", "hit"),
    [
        ("fc1.weight", "fc1.weight", True),
        ("fc1.weight", "fc1xweight", False),
        ("conv*.weight", "conv1.weight", True),
        ("conv*.weight", "conv1.inner.weight", False),
        ("conv?.weight", "conv12.weight", False),
        ("*", "weight", True),
        ("*", "fc.weight", False),
        ("**", "a.b.c", True),
        ("features.**", "features.0.weight", True),
        ("features.**", "features2.0.weight", False),
        ("**.weight", "weight", True),
        ("**.weight", "a.b.weight", True),
        ("**.weight", "a.b.xweight", False),
        ("a.**.weight", "a.weight", True),
        ("a.**.weight", "a.b.c.weight", True),
        ("layers.[02].bias", "layers.2.bias", True),
        ("layers.[!02].bias", "layers.2.bias", False),
        ("layers.[0-3].bias", "layers.4.bias", False),
        ("x.(y+z).weight", "x.(y+z).weight", True),
        ("a[b.weight", "a[b.weight", True),
    ],
)
def test_glob(glob: str, name: str, hit: bool) -> None:
    assert bool(glob_pattern(glob).fullmatch(name)) is hit


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2))
        self.embed = nn.Embedding(10, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16)
        self.head = nn.Linear(8, 4)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("head.*", {"head.weight", "head.bias"}),
        (
            "@Linear.bias",
            {"head.bias", "encoder.linear1.bias", "encoder.linear2.bias", "encoder.self_attn.out_proj.bias"},
        ),
        ("@Conv2d", {"features.0.weight", "features.0.bias", "features.3.weight", "features.3.bias"}),
        ("@_ConvNd.weight", {"features.0.weight", "features.3.weight"}),
        ("@Conv?d.weight", {"features.0.weight", "features.3.weight"}),
        ("@BatchNorm2d", {"features.1.weight", "features.1.bias"}),
        ("@TransformerEncoderLayer.norm?.weight", {"encoder.norm1.weight", "encoder.norm2.weight"}),
        ("@Sequential.**.bias", {"features.0.bias", "features.1.bias", "features.3.bias"}),
        ("@MultiheadAttention", {"encoder.self_attn.in_proj_weight", "encoder.self_attn.in_proj_bias"}),
    ],
)
def test_what_a_selector_matches(selector: str, expected: set[str]) -> None:
    assert {slot.name for slot in matched(selector, walk(Net()))} == expected


@pytest.mark.parametrize(
    ("selector", "claimed"),
    [
        # broad: the weights; where there are none, what is no bias; else the biases
        (
            "@Linear",
            {"head.weight", "encoder.linear1.weight", "encoder.linear2.weight", "encoder.self_attn.out_proj.weight"},
        ),
        ("features.**", {"features.0.weight", "features.3.weight"}),
        ("@BatchNorm2d", {"features.1.weight"}),
        ("@Embedding", {"embed.weight"}),
        ("embed.*", {"embed.weight"}),
        # a pattern whose last part names a parameter: all that it names
        ("head.bias", {"head.bias"}),
        ("features.*.bias", {"features.0.bias", "features.1.bias", "features.3.bias"}),
        ("features.1.weight", {"features.1.weight"}),
    ],
)
def test_what_a_scheme_claims(selector: str, claimed: set[str]) -> None:
    plan = initlab.plan(Net(), policy={selector: initlab.get_scheme("normal", std=0.123)})
    assert {entry.name for entry in plan.entries if entry.std == 0.123} == claimed


def test_a_fan_rule_under_a_pattern_leaves_vectors_to_their_default() -> None:
    plan = initlab.plan(Net(), policy={"*": "auto", "features.*.weight": "he_normal"})
    assert plan["features.0.weight"].scheme == "he_normal"
    assert plan["features.1.weight"].scheme == "ones"
    assert "embed" not in repr([e.name for e in plan.entries if e.scheme == "he_normal"])


def test_a_fan_rule_on_a_vector_named_in_full_is_refused() -> None:
    with pytest.raises(InputError, match=r"'head.bias'.*he_normal"):
        initlab.plan(Net(), policy={"head.bias": "he_normal"})


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"heat.weight": "zeros"}, r"'heat.weight' matches no parameter; did you mean 'head.weight'"),
        ({"heads.*": "zeros"}, r"did you mean .*head"),
        ({"@Linear.wieght": "zeros"}, r"did you mean '@Linear.weight'"),
        ({"@Linaer": "zeros"}, r"'@Linaer' matches no parameter; did you mean '@Linear'"),
        ({"@TransformerEncoderLayer": "zeros"}, r"holds none itself; '@TransformerEncoderLayer\.\*\*'"),
        ({"zzz": "zeros"}, r"the model has 'embed.weight'"),
        ({"[z-a]": "zeros"}, r"selector '\[z-a\]' cannot be read: bad character range"),
        ({"*a" * 30 + "b": "zeros"}, "more than 12 stars"),
        ({"*" * 3000 + "x": "zeros"}, r"matches no parameter; the model has"),
        ({"a" * 100_000: "zeros"}, r"'a{77}…' matches no parameter"),
        ({}, "empty mapping"),
        ({3: "zeros"}, r"selector must be a string.*got 3"),
        ({"head.weight": 0.5}, r"'head.weight' needs a scheme.*got 0.5"),
        ({"head.weight": "he_norml"}, r"did you mean 'he_normal'"),
        ("he_norml", r"unknown policy or scheme 'he_norml'; did you mean 'he_normal'"),
        ("gtp2", r"did you mean 'gpt2'"),
        ("@Linear", "looks like a selector"),
        (7, "policy must be a name, a Scheme, or a mapping"),
        (None, "policy must be a name"),
    ],
)
def test_bad_policies(policy: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        initlab.plan(Net(), policy=policy)
    assert "\n" not in str(caught.value)


def test_the_later_selector_wins_and_the_plan_says_so() -> None:
    plan = initlab.plan(Net(), policy={"@Linear": "he_normal", "head.weight": "zeros", "encoder.**": "keep"})
    assert plan["head.weight"].scheme == "zeros"
    assert plan["head.weight"].reason == "selector 'head.weight' (over '@Linear')"
    assert plan["encoder.linear1.weight"].action == "keep"
    assert any("'head.weight' and '@Linear' both claim head.weight" in warning for warning in plan.warnings)
    assert any("'encoder.**' and '@Linear' both claim encoder" in warning for warning in plan.warnings)


@pytest.mark.parametrize("name", ["layers[conv]", "[/]", "a*b", "what?"])
def test_a_parameters_own_name_selects_it_whatever_is_in_it(name: str) -> None:
    model = nn.ModuleDict({name: nn.Linear(4, 4), "other": nn.Linear(4, 4)})
    plan = initlab.plan(model, policy={f"{name}.weight": "orthogonal"})
    assert plan[f"{name}.weight"].scheme == "orthogonal"
    assert plan["other.weight"].scheme != "orthogonal"


def test_a_layer_class_is_a_selector() -> None:
    plan = initlab.plan(Net(), policy={nn.Conv2d: "orthogonal"})
    assert plan["features.0.weight"].scheme == "orthogonal"
    assert plan["head.weight"].scheme != "orthogonal"


def test_a_policy_under_a_selector_takes_every_role() -> None:
    plan = initlab.plan(Net(), policy={"**": "torch_default", "head.*": "gpt2"})
    assert plan["features.0.bias"].scheme == "torch_default"
    assert plan["head.bias"].law.std == 0
    assert plan["head.weight"].std == 0.02


def test_tied_weights_answer_to_both_names() -> None:
    net = nn.ModuleDict({"embed": nn.Embedding(10, 8), "out": nn.Linear(8, 10, bias=False)})
    net["out"].weight = net["embed"].weight
    plan = initlab.plan(net, policy={"out.weight": "zeros"})
    assert len(plan.entries) == 1
    assert plan["embed.weight"].scheme == "zeros"
    assert plan["embed.weight"].tied_to == ("out.weight",)
