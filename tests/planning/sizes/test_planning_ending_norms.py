"""Norms that end residual branches: their scales are their branch's share of the stream."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import initlab

F = nn.functional
WIDTH, LAYERS = 64, 3
IDS = torch.randint(0, 256, (8, 16), generator=torch.Generator().manual_seed(0))


class Scaled(nn.Module):
    """A norm in arithmetic, whose scale is w or 1 + w, or exp(w), which no pass sizes."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.weight = form, nn.Parameter(torch.full((WIDTH,), 1.0 if form == "w" else 0.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.weight if self.form == "w" else 1 + self.weight if self.form == "1 + w" else self.weight.exp()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * scale


NORMS = {
    "layer norm": lambda: nn.LayerNorm(WIDTH),
    "rms norm": lambda: nn.RMSNorm(WIDTH),
    "written out": lambda: Scaled("w"),
    "1 + w": lambda: Scaled("1 + w"),
}


class Sandwich(nn.Module):
    """Branches between two norms on a stream that begins in a table, which is the head's as well."""

    def __init__(self, norm: Any, times: float = 1.0, shared: bool = False) -> None:
        super().__init__()
        self.times, self.table, self.last = times, nn.Embedding(256, WIDTH), norm()
        self.before, self.after = (nn.ModuleList(norm() for _ in range(LAYERS)) for _ in range(2))
        self.ups = nn.ModuleList(nn.Linear(WIDTH, 2 * WIDTH) for _ in range(LAYERS))
        self.downs = nn.ModuleList(nn.Linear(2 * WIDTH, WIDTH) for _ in range(LAYERS))

    def forward(self, ids: torch.Tensor, seen: list[Any] | None = None) -> Any:
        x = self.table(ids) * self.times
        for before, up, down, after in zip(self.before, self.ups, self.downs, self.after, strict=True):
            branch = after(down(F.silu(up(before(x)))))
            if seen is not None:
                seen.append((branch.square().mean() / x.square().mean()).item())
            x = x + F.dropout(branch, 0.1, self.training)
        return F.linear(self.last(x), self.table.weight)


def started(norm: Any, times: float = 1.0) -> tuple[Sandwich, initlab.Plan]:
    model = Sandwich(norm, times)
    return model, initlab.init_(model, example_inputs=IDS)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("times", [0.2, 1.0])
def test_each_branch_adds_its_share_of_a_small_stream(norm: str, times: float) -> None:
    model, _ = started(NORMS[norm], times)
    seen: list[float] = []
    model.eval()(IDS, seen)
    assert seen == pytest.approx([1 / LAYERS] * LAYERS, rel=0.2)  # dropout adds a ninth in the pass


@pytest.mark.parametrize("norm", NORMS)
def test_beside_a_stream_of_unit_size_norms_are_the_identity(norm: str) -> None:
    _, plan = started(NORMS[norm], 8.0)
    identity = "0" if norm == "1 + w" else "1"
    assert [plan[f"after.{layer}.weight"].law.describe() for layer in range(LAYERS)] == [identity] * LAYERS
    assert "residual" not in plan["after.0.weight"].reason


def test_the_other_norms_stay_as_they_are_and_the_plan_says_why() -> None:
    _, plan = started(NORMS["layer norm"])
    for name in ("before.0.weight", "last.weight"):
        assert plan[name].law.describe() == "1"
    entry = plan["after.0.weight"]
    assert "one of 3 that end residual branches, each a share of the stream" in entry.reason
    assert entry.law.describe() == entry.scheme.split("=")[-1].rstrip(")") or entry.law.value < 0.1
    assert plan["after.0.bias"].law.describe() == "0"


def test_a_scale_of_another_function_is_left_at_one() -> None:
    _, plan = started(lambda: Scaled("exp(w)"))
    assert plan["after.0.weight"].law.describe() == "0"


def test_a_scale_that_is_asked_for_is_what_was_asked() -> None:
    plan = initlab.plan(Sandwich(NORMS["layer norm"]), IDS, {"*": "auto", "after.*.weight": "ones"})
    assert plan["after.0.weight"].law.describe() == "1"


def test_an_audit_finds_nothing_in_such_scales() -> None:
    model, _ = started(NORMS["rms norm"])
    found = initlab.audit(model, example_inputs=IDS).findings
    assert not [one for one in found if one.kind == "norm not identity"]


def test_the_stream_after_it_is_known_to_rules() -> None:
    """What a matrix reads of the stream itself is as large as the stream with its branches."""

    class Read(Sandwich):
        def __init__(self) -> None:
            super().__init__(NORMS["layer norm"])
            self.table = nn.Embedding(256, WIDTH)
            self.out = nn.Linear(WIDTH, 2 * WIDTH)
            self.head = nn.Linear(2 * WIDTH, 10)

        def forward(self, ids: torch.Tensor, seen: list[Any] | None = None) -> Any:
            x = self.table(ids)
            for before, up, down, after in zip(self.before, self.ups, self.downs, self.after, strict=True):
                x = x + after(down(F.silu(up(before(x)))))
            return self.head(F.silu(self.out(x)))

    entry = initlab.plan(Read(), IDS)["out.weight"]
    second, _ = entry.measured
    assert entry.predicted == pytest.approx(second, rel=0.2)
    assert math.isclose(entry.predicted * entry.correction**2, 1.0, rel_tol=0.2)
