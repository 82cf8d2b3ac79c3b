"""`report.fix()`: the code runs as pasted, the verdict turns, and training agrees."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from healthy import LABELS, REAL, TABLE, mlp
from test_inspection_causes import (
    BINARY,
    CLASSES,
    DIGITS,
    OFF,
    Written,
    bias_at,
    built,
    ended,
    grown,
    norms_at,
    stack,
)
from torch import nn
from torch.nn import functional as F

import initlab

Problem = tuple[Callable[[], nn.Module], Any, Any, Any]
STEPS = 100
TRAINS = {"healthy", "slow"}


def drawn_at(std: float, depth: int = 4) -> nn.Module:
    model = stack(depth)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
    return model


def zeros() -> nn.Module:
    model = stack(3)
    for p in model.parameters():
        nn.init.zeros_(p)
    return model


def as_torch(model: nn.Module) -> nn.Module:
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return model


def xavier(model: nn.Module) -> nn.Module:
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
    return model


LINE = CLASSES[:, :1] - CLASSES[:, 1:2]
# what only the author of the code can change
AUTHORS = {"output times 100", "output times 1e-4"}
# name: (model, inputs, targets, loss)
PROBLEMS: dict[str, Problem] = {
    **{name: (OFF[name][0], CLASSES, DIGITS, F.cross_entropy) for name in OFF if name not in AUTHORS},
    "weights of std 0.001": (lambda: drawn_at(0.001), CLASSES, DIGITS, F.cross_entropy),
    "weights of std 1": (lambda: drawn_at(1.0), CLASSES, DIGITS, F.cross_entropy),
    "weights of zero": (zeros, CLASSES, DIGITS, F.cross_entropy),
    "dropout of nearly everything": (
        lambda: nn.Sequential(stack(3, out=64), nn.ReLU(), nn.Dropout(0.95), nn.Linear(64, 10)), CLASSES, DIGITS,
        F.cross_entropy),
    "8 layers of sigmoid, as torch draws them": (lambda: as_torch(stack(8, act=nn.Sigmoid)), CLASSES, DIGITS,
        F.cross_entropy),
    "8 layers of sigmoid, xavier": (lambda: xavier(stack(8, act=nn.Sigmoid)), CLASSES, DIGITS, F.cross_entropy),
    "inputs 0..255": (lambda: stack(3), 40 * CLASSES + 128, DIGITS, F.cross_entropy),
    "inputs x 1e-4": (lambda: stack(3), 1e-4 * CLASSES, DIGITS, F.cross_entropy),
    "targets (N,), outputs (N, 1)": (lambda: stack(3, out=1), CLASSES, LINE[:, 0], F.mse_loss),
    "house prices": (lambda: stack(3, out=1), CLASSES, 2e5 + 1e5 * LINE, F.mse_loss),
    "house prices in whole dollars": (
        lambda: stack(3, out=1), CLASSES, (2e5 + 1e5 * LINE).long(), lambda o, t: (o - t).square().mean()),
    "a last relu that is off for every sample": (
        lambda: nn.Sequential(bias_at(stack(3, out=1), 6, -30), nn.ReLU()), CLASSES, LINE.abs(), F.mse_loss),
    "softmax before cross-entropy": (
        lambda: nn.Sequential(stack(3), nn.Softmax(-1)), CLASSES, DIGITS, F.cross_entropy),
    "sigmoid before bce with logits": (
        lambda: nn.Sequential(stack(3, out=1), nn.Sigmoid()), CLASSES, (LINE > 0).float(),
        F.binary_cross_entropy_with_logits),
}  # fmt: skip


def trained(model: nn.Module, inputs: Any, targets: Any, loss: Any, lr: float = 2e-3) -> float:
    """Loss over that of a constant answer after a short training."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
    if targets.is_floating_point() and loss is F.mse_loss:
        return float(value) / float(targets.var())
    return float(value) / float(torch.tensor(10.0 if targets.dtype == torch.int64 else 2.0).log())


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_code_runs_as_pasted_the_verdict_turns_and_training_agrees(name: str) -> None:
    build, inputs, targets, loss = PROBLEMS[name]
    model = built(build)
    report = initlab.inspect(model, inputs, targets, loss)
    before = copy.deepcopy(model.state_dict())
    fix = report.fix()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert fix.cured, fix
    names = {"model": copy.deepcopy(model), "inputs": inputs, "targets": targets, "loss": loss}
    exec(fix.code, names)
    after = initlab.inspect(names["model"], names["inputs"], names["targets"], names["loss"])
    assert {after.verdict, fix.after} <= TRAINS
    assert [f for f in after.findings if f.severity != "info"] == []
    share = trained(*(names[key] for key in ("model", "inputs", "targets", "loss")))
    assert share < 0.3, share


@pytest.mark.parametrize("name", ["bias -30", "batch norm, bias -5, deep", "weights of std 0.001", "weights of zero"])
def test_apply_writes_what_the_code_writes(name: str) -> None:
    build, inputs, targets, loss = PROBLEMS[name]
    model = built(build)
    fix = initlab.inspect(model, inputs, targets, loss).fix()
    pasted = {"model": copy.deepcopy(model), "inputs": inputs}
    exec(fix.code, pasted)
    written = fix.apply(model)
    assert written.counts == fix.plan.counts
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), pasted["model"].parameters(), strict=True))


def test_only_what_is_at_fault_is_written() -> None:
    model = built(OFF["bias -30"][0])
    fix = initlab.inspect(model, CLASSES, DIGITS).fix()
    assert [e.name for e in fix.plan.entries if e.action == "write"] == ["2.bias"]


def test_a_healthy_start_needs_no_fix() -> None:
    fix = initlab.inspect(built(lambda: stack(3)), CLASSES, DIGITS).fix()
    assert (fix.what, fix.code, fix.plan, fix.cured) == ((), "", None, True)


def test_what_only_the_author_can_change_is_said() -> None:
    fix = initlab.inspect(built(OFF["output times 100"][0]), CLASSES, DIGITS).fix()
    assert any("factor 100" in what for what in fix.what)
    assert "# Leave the factor 100 out" in fix.code
    cut = initlab.inspect(built(lambda: ended(nn.Softmax(-1), out=1)), TABLE, BINARY, F.binary_cross_entropy).fix()
    assert any("one logit" in what for what in cut.what)
    assert not cut.cured


def test_what_is_slow_for_what_only_the_author_can_change_is_not_cured() -> None:
    fix = initlab.inspect(built(lambda: Written(lambda y: 1e-4 * y)), TABLE, LABELS).fix()
    assert fix.what[0] == "Leave the factor 0.0001 out in net.6"
    assert (fix.after, fix.cured) == ("slow", False)


def test_apply_without_a_weight_to_change_is_one_error() -> None:
    fix = initlab.inspect(built(lambda: mlp(nn.ReLU, out=1)), TABLE, REAL[:, 0], F.mse_loss).fix()
    with pytest.raises(initlab.InputError, match=r"unsqueeze"):
        fix.apply(mlp(nn.ReLU, out=1))


def test_a_rate_and_an_optimizer_are_answered_too() -> None:
    model = built(lambda: stack(3))
    rate = initlab.inspect(model, CLASSES, DIGITS, optimizer="sgd", lr=1e3).fix()
    names: dict[str, Any] = {}
    exec(rate.code, names)
    assert rate.cured
    assert initlab.inspect(model, CLASSES, DIGITS, optimizer="sgd", lr=names["lr"]).verdict in TRAINS
    still = {"params": model[0].parameters(), "lr": 0.0}
    last = {"params": model[-1].parameters(), "momentum": 0.5}
    partial = torch.optim.SGD([last, still], lr=0.01, momentum=0.9)
    held = initlab.inspect(model, CLASSES, DIGITS, optimizer=partial).fix()
    names = {"optimizer": partial, "model": model}
    exec(held.code, names)
    assert held.cured
    made = [(len(g["params"]), g["lr"], g["momentum"]) for g in names["optimizer"].param_groups]
    assert made == [(2, 0.01, 0.5), (2, 0.01, 0.9), (4, 0.01, 0.9)]


def test_the_rate_of_an_optimizer_object_is_changed_in_its_groups() -> None:
    """With momentum a third of the best rate along the first step is taken."""
    model = built(lambda: stack(3))
    groups = [{"params": model[:2].parameters(), "lr": 50.0}, {"params": model[2:].parameters()}]
    own = torch.optim.SGD(groups, lr=100.0, momentum=0.9)
    report = initlab.inspect(model, CLASSES, DIGITS, optimizer=own)
    names: dict[str, Any] = {"optimizer": own}
    exec(report.fix().code, names)
    assert names["lr"] == pytest.approx(report.learning_rate.best / 3, rel=0.2)
    assert [group["lr"] for group in own.param_groups] == pytest.approx([names["lr"], 2 * names["lr"]])


@pytest.mark.parametrize("first", [0, 1])
def test_a_group_that_hardly_moves_beside_another_is_named_and_woken(first: int) -> None:
    model = built(lambda: stack(3))
    groups = [{"params": model[:-1].parameters(), "lr": 1e-9}, {"params": model[-1].parameters(), "lr": 1e-3}]
    own = torch.optim.AdamW(groups[first:] + groups[:first])
    report = initlab.inspect(model, CLASSES, DIGITS, optimizer=own)
    assert (report.findings[0].kind, report.findings[0].severity) == ("optimizer", "warning")
    fix = report.fix()
    exec(fix.code, {"optimizer": own, "model": model})
    assert fix.cured
    assert [group["lr"] for group in own.param_groups] == [1e-3, 1e-3]


def test_a_read_out_that_the_optimizer_misses_is_given_to_it() -> None:
    """One matrix of few weights, of one unit too, holds training up; biases do not."""
    one = built(lambda: stack(3, out=1))
    rest = torch.optim.AdamW(one[:-1].parameters(), lr=1e-3)
    found = initlab.inspect(one, CLASSES, CLASSES[:, :1], F.mse_loss, optimizer=rest).findings
    assert ("optimizer", "warning") in [(f.kind, f.severity) for f in found]
    model = built(lambda: stack(3))
    rest = torch.optim.AdamW(model[:-1].parameters(), lr=1e-3)
    report = initlab.inspect(model, CLASSES, DIGITS, optimizer=rest)
    assert [(f.kind, f.severity) for f in report.findings] == [("optimizer", "warning")]
    assert report.fix().what == ("Give the optimizer every parameter of the model",)
    weights = torch.optim.AdamW([p for p in model.parameters() if p.ndim > 1], lr=1e-3)
    found = initlab.inspect(model, CLASSES, DIGITS, optimizer=weights).findings
    assert [(f.kind, f.severity) for f in found] == [("optimizer", "info")]


def test_a_fix_shows_itself(tmp_path: Any) -> None:
    fix = initlab.inspect(built(OFF["bias -30"][0]), CLASSES, DIGITS).fix()
    assert "'2.bias': 'zeros'" in repr(fix)
    assert fix.before in repr(fix)
    assert fix.after in fix._repr_html_()
    for ending in ("html", "json"):
        assert "2.bias" in fix.save(tmp_path / f"fix.{ending}").read_text()


def test_a_report_can_be_pickled_and_then_says_that_it_cannot_be_fixed() -> None:
    report = initlab.inspect(built(lambda: norms_at(stack(3, nn.LayerNorm), gamma=50)), CLASSES, DIGITS)
    loaded = pickle.loads(pickle.dumps(report))
    assert loaded == report
    with pytest.raises(initlab.InputError, match="stored report"):
        loaded.fix()


def test_labels_of_the_standardized_table() -> None:
    from initlab.inspection import standardized

    made = standardized({"x": 5 + 3 * TABLE, "y": LABELS, "pair": (TABLE[:, :1] * 0 + 2,)})
    assert torch.allclose(made["x"].mean(0), torch.zeros(20), atol=1e-5)
    assert torch.allclose(made["x"].std(0, correction=0), torch.ones(20), atol=1e-5)
    assert torch.equal(made["y"], LABELS)
    assert not made["pair"][0].any()
    batch = standardized({"x": 5 + TABLE, "mask": (TABLE > -1).float(), "labels": 7 + REAL})
    assert torch.equal(batch["mask"], (TABLE > -1).float())
    assert torch.equal(batch["labels"], 7 + REAL)
    with pytest.raises(initlab.InputError, match="in its transform"):
        standardized(torch.utils.data.DataLoader(torch.utils.data.TensorDataset(TABLE), batch_size=4))


PRICES = 2e5 + 1e5 * LINE
HANDED: dict[str, tuple[Any, bool]] = {
    "a pair": ((CLASSES, PRICES), True),
    "a mapping": ({"input": CLASSES, "labels": PRICES}, True),
    "a DataLoader": (torch.utils.data.DataLoader(torch.utils.data.TensorDataset(CLASSES, PRICES), 128), False),
}


@pytest.mark.parametrize("name", HANDED)
def test_the_code_changes_targets_that_were_handed_over_with_the_inputs(name: str) -> None:
    """Of what makes its own batches it says where to change them."""
    given, apart = HANDED[name]
    code = initlab.inspect(built(lambda: stack(1, out=1)), given, loss=F.mse_loss).fix().code
    names = {"inputs": given, "targets": None}
    exec(code, names)
    if apart:
        assert torch.allclose(names["targets"].std(0, correction=0), torch.ones(1))
        return
    assert "# of each batch, where it is read:\n# from initlab" in code
    assert (names["inputs"], names["targets"]) == (given, None)


class Twins(nn.Module):
    """The distance of two codes: of a layer of zeros they are equal whatever its biases are, and no gradient comes."""

    def __init__(self) -> None:
        super().__init__()
        self.code = grown(stack(3, out=16), 2, 0)
        nn.init.normal_(self.code[2].bias)
        self.head = nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((self.code(x) - self.code(x.roll(1, 0))).abs())


def test_a_layer_of_zeros_that_plan_keeps_is_drawn_where_nothing_opens_it() -> None:
    model = built(Twins)
    report = initlab.inspect(model, CLASSES, (DIGITS.roll(1, 0) == DIGITS).float()[:, None])
    assert (report.findings[0].kind, report.findings[0].where) == ("symmetric", "code.2.weight")
    fix = report.fix()
    assert fix.cured
    assert [e.name for e in fix.plan.entries if e.action == "write"] == ["code.2.weight"]
    assert f"std {fix.plan['code.2.weight'].std:.3g}" in report.findings[0].advice


def test_a_bias_that_plan_draws_is_drawn_and_not_set_to_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))
    with torch.no_grad():
        model[0].bias.fill_(30.0)
    fix = initlab.inspect(model, torch.randn(64, 4, generator=generator), torch.arange(64) % 3).fix()
    assert fix.after == "healthy"
    assert "'0.bias': 'auto'" in fix.code


def test_zeros_one_of_which_became_no_number_are_drawn_again() -> None:
    model = mlp(nn.ReLU)
    head = [layer for layer in model if isinstance(layer, nn.Linear)][-1]
    nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.weight[0, 0] = torch.nan
    initlab.inspect(model, TABLE, LABELS).fix().apply(model)
    assert initlab.inspect(model, TABLE, LABELS).verdict == "healthy"
