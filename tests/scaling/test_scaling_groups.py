"""`param_groups`: rates, decays and eps against the tables of the papers and the figures of the mup package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from scaling_zoo import CNN, GPT, IMAGES, ROWS, TOKENS, Experts, mlp
from tests.planning.group import lines_of_rank_0
from torch import nn
from torch.nn import functional as F

import initlab
from initlab.errors import InputError


def settings(groups: list[dict[str, Any]], key: str = "lr") -> dict[str, Any]:
    return {name: group[key] for group in groups for name in group["names"]}


def kinds(groups: list[dict[str, Any]]) -> dict[str, str]:
    return settings(groups, "kind")


MUP = {  # optimizer -> rates of (input, hidden, output), over lr
    "sgd": (8, 1, 1 / 8),
    "adam": (1, 1 / 8, 1 / 8),
    "adamw": (1, 1 / 8, 1 / 8),
    "lion": (1, 1 / 8, 1 / 8),
}


@pytest.mark.parametrize("optimizer", MUP)
def test_mup_has_the_rates_of_table_3(optimizer: str) -> None:
    rates = settings(initlab.param_groups(mlp(512), optimizer, 0.1, base=mlp(64)))
    first, hidden, last = (0.1 * factor for factor in MUP[optimizer])
    vector = 0.8 if optimizer == "sgd" else 0.1
    assert rates == pytest.approx(
        {"0.weight": first, "0.bias": vector, "2.weight": hidden, "2.bias": vector, "4.weight": last, "4.bias": 0.1}
    )


# What MuAdamW and MuSGD of mup 1.0.0 give its own example (3072-512-512-10, base 64) for lr 0.1 and decay 0.01:
# (rate, decay) of fc_1, fc_2 and of MuReadout, whose weight it multiplies by 1/8 in the forward pass.
PACKAGE = {
    "adamw": ((0.1, 0.01), (0.0125, 0.08), (0.1, 0.01)),
    "sgd": ((0.8, 0.00125), (0.1, 0.01), (0.8, 0.00125)),
}


@pytest.mark.parametrize("optimizer", PACKAGE)
def test_the_figures_are_those_of_the_mup_package(optimizer: str) -> None:
    def build(width: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(3072, width, bias=False), nn.Linear(width, width, bias=False), nn.Linear(width, 10, bias=False)
        )

    groups = initlab.param_groups(build(512), optimizer, 0.1, base=build(64), weight_decay=0.01)
    rates, decays = settings(groups), settings(groups, "weight_decay")
    first, second, last = PACKAGE[optimizer]
    assert (rates["0.weight"], decays["0.weight"]) == pytest.approx(first)
    assert (rates["1.weight"], decays["1.weight"]) == pytest.approx(second)
    # W' = W/8: a step of W' is a step of W over 8 for Adam, and a gradient's over 64 for SGD; rate · decay stays
    factor = 8 if optimizer == "adamw" else 64
    assert rates["2.weight"] == pytest.approx(last[0] / factor)
    assert rates["2.weight"] * decays["2.weight"] == pytest.approx(last[0] * last[1])


class Multiplied(nn.Linear):
    """The package's read-out: the output times base width / width."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x / 8)


@pytest.mark.parametrize(("optimizer", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_training_is_that_of_the_packages_form_of_the_network(optimizer: str, kind: Any) -> None:
    """The read-out's factor folded into its weight (8 is a power of two): one function after every step."""
    theirs, ours = mlp(512, Multiplied), mlp(512)
    initlab.init_(theirs, "lecun_normal")
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        ours[4].weight /= 8
    first, second, last = PACKAGE[optimizer]
    vector = first if optimizer == "sgd" else (0.1, 0.01)
    rates = {"0.weight": first, "2.weight": second, "4.weight": last, "0.bias": vector, "2.bias": vector}
    given = [
        {"params": [p], "lr": rates.get(n, (0.1, 0.01))[0] / 100, "weight_decay": rates.get(n, (0.1, 0.01))[1]}
        for n, p in theirs.named_parameters()
    ]
    groups = initlab.param_groups(ours, optimizer, 1e-3, base=mlp(64), weight_decay=0.01)
    pairs = [(theirs, kind(given)), (ours, kind(groups))]
    targets = torch.arange(32) % 4
    for _ in range(5):
        for model, stepped in pairs:
            stepped.zero_grad()
            F.cross_entropy(model(ROWS), targets).backward()
            stepped.step()
    assert (theirs(ROWS) - ours(ROWS)).abs().max() < 1e-4
    assert (theirs(ROWS) - mlp(512)(ROWS)).abs().max() > 1e-2


def test_convolutions_by_their_true_fans() -> None:
    groups = initlab.param_groups(CNN(64), "adam", 1.0, base=CNN(16))
    assert kinds(groups) == {
        "first.weight": "input", "first.bias": "input", "second.weight": "hidden", "second.bias": "input",
        "each.weight": "input", "each.bias": "input", "head.weight": "output", "head.bias": "fixed",
    }  # fmt: skip
    assert settings(groups)["second.weight"] == 0.25


def test_groups_that_grow_in_number_are_maps_of_the_size_they_were() -> None:
    rates = settings(initlab.param_groups(CNN(64, groups=8), "adam", 1.0, base=CNN(16, groups=2)))
    assert rates["second.weight"] == 1.0
    rates = settings(initlab.param_groups(CNN(64, groups=2), "adam", 1.0, base=CNN(16, groups=2)))
    assert rates["second.weight"] == 0.25
    rates = settings(initlab.param_groups(CNN(64, groups=8), "sgd", 1.0, base=CNN(16, groups=2)))
    assert rates["second.weight"] == rates["each.weight"] == 4.0  # what MuSGD of mup 1.0.0 gives both


def test_a_depthwise_kernel_changes_its_output_alike_at_every_width_under_sgd() -> None:
    """Of its own step alone; at one rate the change falls as 1/width, three doublings to 1/8."""
    changes = []
    for width in (64, 512):
        model = CNN(width)
        initlab.init_(model, "mup", example_inputs=IMAGES, seed=1)
        nn.init.constant_(model.head.weight, 0.0)
        with torch.no_grad():
            model.head.weight[0] = 1 / width
        rate = settings(initlab.param_groups(model, "sgd", 0.1, base=CNN(32)))["each.weight"]
        seen: list[torch.Tensor] = []
        model.each.register_forward_hook(lambda layer, inputs, output, seen=seen: seen.append(output.detach()))
        F.cross_entropy(model(IMAGES), torch.arange(8) % 4).backward()
        with torch.no_grad():
            model.each.weight -= rate * model.each.weight.grad
            model(IMAGES)
        changes.append(float((seen[1] - seen[0]).square().mean().sqrt()))
    assert 0.5 < changes[1] / changes[0] < 2


def test_a_transformer_with_grouped_queries() -> None:
    groups = initlab.param_groups(GPT(64, kv_heads=1), "adamw", 1.0, base=GPT(32, kv_heads=1))
    found = kinds(groups)
    assert found["blocks.0.key_value.weight"] == "output"  # heads of a fixed number and size
    assert found["blocks.0.query.weight"] == found["blocks.1.down.weight"] == "hidden"
    assert found["tokens.weight"] == found["places"] == found["norm.weight"] == "input"
    assert found["head.weight"] == "output"


def test_experts_in_one_tensor() -> None:
    groups = initlab.param_groups(Experts(64), "adamw", 1.0, base=Experts(16), example_inputs=ROWS)
    assert kinds(groups)["up"] == kinds(groups)["down"] == "hidden"
    assert settings(groups)["up"] == settings(groups)["down"] == 0.25
    assert kinds(groups)["router.weight"] == "output"
    with pytest.raises(InputError, match=r"'up' in width is not known.*example_inputs"):
        initlab.param_groups(Experts(64), "adamw", 1.0, base=Experts(16))


def test_a_base_of_another_depth_is_matched_by_its_blocks() -> None:
    deep = initlab.param_groups(GPT(64, depth=5), "adam", 1.0, base=GPT(32, depth=2))
    assert settings(deep)["blocks.4.up.weight"] == 0.5


def test_a_base_given_as_shapes() -> None:
    shapes = {name: tuple(p.shape) for name, p in GPT(32).named_parameters()}
    assert settings(initlab.param_groups(GPT(64), "adam", 1.0, base=shapes)) == settings(
        initlab.param_groups(GPT(64), "adam", 1.0, base=GPT(32))
    )


def test_a_tied_head_is_a_table_and_said() -> None:
    with pytest.warns(UserWarning, match=r"'tokens\.weight' is the table and the read-out.*base width / width"):
        groups = initlab.param_groups(GPT(64, tied=True), "adam", 1.0, base=GPT(32, tied=True))
    assert settings(groups)["tokens.weight"] == 1.0


def test_every_trainable_parameter_is_in_one_group_and_no_frozen_one() -> None:
    model = GPT(64)
    model.tokens.weight.requires_grad_(False)
    groups = initlab.param_groups(model, "adamw", 1e-3, base=GPT(32))
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    torch.optim.AdamW(groups).step()


def test_compiled_models_are_read_by_their_own_names() -> None:
    compiled = torch.compile(mlp(512))
    assert settings(initlab.param_groups(compiled, "adam", 0.1, base=mlp(64))) == settings(
        initlab.param_groups(mlp(512), "adam", 0.1, base=torch.compile(mlp(64)))
    )


def test_models_without_values_are_read_by_their_shapes() -> None:
    with torch.device("meta"):
        model, base = mlp(512), mlp(64)
    assert settings(initlab.param_groups(model, "adam", 0.1, base=base))["2.weight"] == 0.0125


def test_a_compiled_model_trains_with_its_groups() -> None:
    compiled = torch.compile(mlp(64), backend="eager")
    optimizer = torch.optim.AdamW(initlab.param_groups(compiled, "adamw", 0.01, base=mlp(16), example_inputs=ROWS))
    before = [parameter.detach().clone() for parameter in compiled.parameters()]
    compiled(ROWS).square().mean().backward()
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, compiled.parameters(), strict=True))


def test_a_sharded_model_has_the_groups_of_the_whole(tmp_path: Path) -> None:
    lines = lines_of_rank_0([2], tmp_path, Path(__file__).with_name("scaling_worker.py"))[2]
    assert lines == ["ok GPT mup", "ok GPT u_mup", "ok Llama mup", "ok Llama u_mup"]


def test_completep_has_the_factors_of_table_1() -> None:
    """m_N = 2, m_L = 4: hidden rate 1/m_N, decay m_N, eps 1/(m_N m_L); the branch's 1/m_L is in its last layer."""
    groups = initlab.param_groups(
        GPT(64, depth=8), "adamw", 1.0, GPT(32, depth=2), rule="completep", weight_decay=0.1, eps=1e-8,
        example_inputs=TOKENS,
    )  # fmt: skip
    rates, decays, eps = (settings(groups, key) for key in ("lr", "weight_decay", "eps"))
    up, down, norm = "blocks.3.up.weight", "blocks.3.down.weight", "blocks.3.norm_2.weight"
    assert (rates[up], decays[up], eps[up]) == pytest.approx((1 / 2, 0.2, 1e-8 / 8))
    assert (rates[down], decays[down], eps[down]) == pytest.approx((1 / 8, 0.8, 1e-8 / 2))
    assert (rates[norm], decays[norm], eps[norm]) == pytest.approx((1.0, 0.1, 1e-8 / 8))
    assert (rates["tokens.weight"], eps["tokens.weight"]) == pytest.approx((1.0, 1e-8 / 2))
    assert (rates["head.weight"], eps["head.weight"]) == pytest.approx((1 / 2, 1e-8))
    assert rates["blocks.3.down.bias"] == pytest.approx(1 / 4)
    assert initlab.plan(GPT(64, depth=8), TOKENS, initlab.get_policy("completep", base_branches=4))[
        down
    ].std == pytest.approx(initlab.plan(GPT(64, depth=8), TOKENS, "mup")[down].std / 4)


def test_spectral_needs_no_base() -> None:
    model = nn.Sequential(nn.Linear(64, 16, bias=False), nn.Linear(16, 4))
    assert settings(initlab.param_groups(model, "sgd", 1.0, rule="spectral"))["0.weight"] == 16 / 64
    assert settings(initlab.param_groups(model, "adam", 1.0, rule="spectral"))["1.weight"] == 1 / 16
    assert settings(initlab.param_groups(model, "muon", 1.0, rule="spectral"))["0.weight"] == 0.5


def test_u_mup_has_the_factors_of_table_2() -> None:
    """Two layers: C · A is 1/fan_in for weights, 1/√2 in a branch, once more for what ends it; vectors have 1."""
    rates = settings(initlab.param_groups(GPT(64), "adamw", 1.0, rule="u_mup", example_inputs=TOKENS))
    assert rates["tokens.weight"] == pytest.approx(1 / 8)
    assert rates["places"] == pytest.approx(1 / 8)
    assert rates["blocks.0.up.weight"] == pytest.approx(1 / 64 / 2**0.5)
    assert rates["blocks.0.down.weight"] == pytest.approx(1 / 256 / 2)
    assert rates["head.weight"] == pytest.approx(1 / 64)
    assert rates["norm.weight"] == 1
    assert rates["blocks.0.norm_1.weight"] == rates["blocks.0.up.bias"] == pytest.approx(1 / 2**0.5)
    assert rates["blocks.0.down.bias"] == pytest.approx(1 / 2)


def test_muon_takes_hidden_matrices_and_adamw_the_rest() -> None:
    groups = initlab.param_groups(GPT(64), "muon", 1.0, base=GPT(32))
    by = settings(groups, "optimizer")
    assert by["blocks.0.up.weight"] == "muon"
    assert {by[n] for n in ("tokens.weight", "head.weight", "norm.weight", "blocks.0.up.bias")} == {"adamw"}
    assert settings(groups)["head.weight"] == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base": None}, "needs base: a smaller build"),
        ({"base": 64}, "base must be a smaller build.*got int"),
        ({"base": {"0.weight": "x"}}, "base must hold shapes; '0.weight'"),
        ({"base": {"0.weight": (64, 16)}}, r"growth of '0\.bias' in width is not known: base has no such parameter"),
        ({"base": nn.Sequential(nn.Conv2d(3, 3, 3))}, r"'0\.weight'.*holds it with the shape \(3, 3, 3, 3\)"),
        ({"optimizer": "adamm"}, "unknown optimizer 'adamm'; did you mean 'adam'"),
        ({"rule": "mop"}, "unknown scaling rule 'mop'; did you mean 'mup'"),
        ({"rule": "completep", "optimizer": "sgd"}, "stated for Adam"),
        ({"lr": float("nan")}, "lr"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"params": []}, "settings must not hold"),
    ],
)  # fmt: skip
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    given = {"optimizer": "adam", "lr": 0.1, "base": mlp(8), **change}
    with pytest.raises(InputError, match=message):
        initlab.param_groups(mlp(16), **given)


@pytest.mark.parametrize("rule", ["u_mup", "spectral"])
def test_bare_parameters_without_a_base_are_known_by_their_use(rule: str) -> None:
    """Stacked experts (4, 64, 128) have fans of their own; without a recorded pass they could be anything."""
    rates = settings(initlab.param_groups(Experts(64), "adamw", 1.0, rule=rule, example_inputs=ROWS))
    assert (rates["up"], rates["down"]) == pytest.approx((1 / 64, 1 / 128))
    with pytest.raises(InputError, match=r"growth of 'up' in width is not known.*\(4, 64, 128\); pass example_inputs"):
        initlab.param_groups(Experts(64), "adamw", 1.0, rule=rule)
    assert settings(initlab.param_groups(Experts(64), "adamw", 1.0, rule="standard"))["up"] == 1


def test_the_models_run() -> None:
    """The zoo's models run, or the tests above would say nothing."""
    assert CNN(16)(IMAGES).shape == (8, 4)
    assert GPT(32, kv_heads=1)(TOKENS).shape == (8, 8, 32)
    assert Experts(16)(ROWS).shape == (32, 4)
