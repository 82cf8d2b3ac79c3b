"""Where residual branches end: beside a projection of what they grew from, and in weights that are made from others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from initlab.graph import record
from initlab.graph.branches import Branches

X = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


class Beside(nn.Module):
    """A branch and what stands beside it."""

    def __init__(self, branch: nn.Module, beside: nn.Module) -> None:
        super().__init__()
        self.branch, self.beside = branch, beside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.beside(x) + self.branch(x)


class Divided(nn.Module):
    """Divides its weight before use, as some libraries do with the ends of deep models."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.weight / 2).T


def bent(*last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 6), *last)


def normed(width: int) -> nn.Module:
    return nn.BatchNorm1d(width).eval()


# what stands in the branch, what beside it, the ends of branches beside a projection
PROJECTED: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[str, ...]]] = {
    "a weight": (bent, lambda: nn.Linear(8, 6), ("branch.2.weight",)),
    "norms on both ways": (
        lambda: bent(normed(6)),
        lambda: nn.Sequential(nn.Linear(8, 6), normed(6)),
        ("branch.3.weight",),
    ),
    "a pool before the projection": (
        bent,
        lambda: nn.Sequential(nn.AvgPool1d(2), nn.Linear(4, 6)),
        ("branch.2.weight",),
    ),
    "a weight that is made from another": (
        lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU(), Divided()),
        Divided,
        ("branch.2.weight",),
    ),
    "two matrices without a function (an adapter)": (
        lambda: nn.Sequential(nn.Linear(8, 2), nn.Linear(2, 6)),
        lambda: nn.Linear(8, 6),
        (),
    ),
    "two ways with functions": (bent, bent, ()),
    "two weights beside": (bent, lambda: nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 6)), ()),
}


@pytest.mark.parametrize("case", PROJECTED)
def test_branches_beside_a_projection(case: str) -> None:
    branch, beside, ends = PROJECTED[case]
    graph = record(Beside(branch(), beside()), X)
    assert tuple(name for name in graph.projected_ends() if name.endswith("weight")) == ends
    assert graph.residual_ends() == ()


@pytest.mark.parametrize(
    ("last", "end"),
    [
        (Divided, "branch.1.weight"),
        (lambda: parametrizations.weight_norm(nn.Linear(8, 8)), "branch.1.parametrizations.weight.original1"),
    ],
)
def test_a_weight_that_is_made_from_another_ends_its_branch(last: Callable[[], nn.Module], end: str) -> None:
    graph = record(Beside(nn.Sequential(nn.Linear(8, 8), last()), nn.Identity()), X)
    assert end in graph.residual_ends()
    assert end in {name for branch in graph.residual_branches() for name in branch}


class Taken(nn.Module):
    """Branches that are taken from the stream, as in N-BEATS; `of` is what the difference is taken of."""

    def __init__(self, of: str) -> None:
        super().__init__()
        self.up, self.down, self.of = nn.Linear(8, 16), nn.Linear(16, 8), of

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.down(self.up(x).relu())
        if self.of == "two branches":  # a Siamese difference: neither grew from the other
            return (h - self.down(self.up(x.flip(0)).relu())).abs()
        return x - h if self.of == "stream" else h - x


@pytest.mark.parametrize(
    ("of", "ends"), [("stream", ("down.weight",)), ("branch", ("down.weight",)), ("two branches", ())]
)
def test_a_branch_may_be_taken_from_the_stream(of: str, ends: tuple[str, ...]) -> None:
    assert record(Taken(of), X).residual_ends() == ends


class Weighed(nn.Module):
    """s·x + f(x); `scale` makes s of a row of three numbers."""

    def __init__(self, scale: Callable[[nn.Parameter], object], steps: int = 1) -> None:
        super().__init__()
        self.up, self.down, self.row = nn.Linear(8, 16), nn.Linear(16, 8), nn.Parameter(torch.ones(3))
        self.scale, self.steps = scale, steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.steps):
            x = self.scale(self.row) * x + self.down(self.up(x).relu())
        return x


@pytest.mark.parametrize(
    ("scale", "ends"),
    [
        (lambda row: 1.7, ("down.weight",)),  # DeepNorm's α
        (lambda row: row[0], ("down.weight",)),
        (lambda row: row[1].exp(), ("down.weight",)),
        (lambda row: row.repeat(3)[:8], ()),  # one for each feature: D·x beside a state
    ],
)
def test_a_stream_may_be_weighed_by_one_number(scale: Callable[[nn.Parameter], object], ends: tuple[str, ...]) -> None:
    graph = record(Weighed(scale), X)
    assert graph.residual_ends() == ends
    assert any("down.weight" in branch for branch in graph.residual_branches()) is bool(ends)


def test_a_state_that_leaks_is_no_stream() -> None:
    assert record(Weighed(lambda row: 0.9, steps=2), X).residual_ends() == ()


class Blended(nn.Module):
    """t·h + (1 − t)·x, as a highway has it; `steps` of it with the same weights make a recurrence."""

    def __init__(self, steps: int = 1, of: str = "stream", first: str = "branch") -> None:
        super().__init__()
        self.steps, self.of, self.first = steps, of, first
        self.up, self.gate = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        other = torch.ones(4, 8)
        for _ in range(self.steps):
            t, h = self.gate(x).sigmoid(), self.up(x if self.of == "stream" else other).relu()
            x = t * h + (1 - t) * x if self.first == "branch" else t * x + h * (1 - t)
        return x


@pytest.mark.parametrize(
    ("net", "ends"),
    [
        (Blended(), ("up.weight",)),
        (Blended(first="stream"), ("up.weight",)),
        (Blended(of="another signal"), ()),
        (Blended(steps=3), ()),
    ],
    ids=["gate on the branch", "gate on the stream", "not grown from it", "a recurrence"],
)
def test_a_branch_may_be_blended_with_the_stream(net: nn.Module, ends: tuple[str, ...]) -> None:
    assert record(net, X).residual_ends() == ends


def test_sums_of_a_scan_without_weights_are_not_walked_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of n sums would be a walk of n steps: 10,000 operations took minutes."""

    class Scan(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            state, gate = torch.zeros_like(x), x.sigmoid()
            for _ in range(20):
                state = state * gate + x * (1 - gate)
            made: torch.Tensor = self.last(state)
            return made

    walks: list[int] = []
    within, last = Branches.within, Branches._last
    monkeypatch.setattr(Branches, "within", lambda *args: walks.append(1) or within(*args))
    monkeypatch.setattr(Branches, "_last", lambda *args: walks.append(1) or last(*args))
    graph = record(Scan(), X)
    assert (graph.residual_ends(), graph.residual_branches(), walks) == ((), (), [])


class Parallel(nn.Module):
    """Branches that grew from one stream and are added to it one after the other, as (x + f(x)) + g(x)."""

    def __init__(self, add: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.add = nn.Linear(8, 8), nn.Linear(8, 3), add
        self.branches = nn.ModuleList(bent(nn.Linear(6, 8)) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last(self.add(x, *(branch(x) for branch in self.branches)))


@pytest.mark.parametrize(
    "add",
    [
        lambda x, f, g, h: x + f + g + h,
        lambda x, f, g, h: f + x + g + h,
        lambda x, f, g, h: f + g + h + x,
        lambda x, *branches: sum((x, *branches)),
        lambda x, f, g, h: x - f - g - h,
    ],
    ids=["behind the stream", "around it", "before it", "by sum", "taken away"],
)
def test_branches_beside_each_other_end_each_in_its_last_weight(add: Callable[..., torch.Tensor]) -> None:
    graph = record(Parallel(add), X)
    assert set(graph.residual_ends()) == {f"branches.{branch}.3.weight" for branch in range(3)}


class Conditioned(nn.Module):
    """A projection of the condition that every layer adds to what it makes (Ho et al., 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.condition, self.layers = nn.Linear(8, 8), nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.ends, self.last = nn.ModuleList(nn.Linear(8, 8) for _ in range(3)), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        condition = self.condition(x.flip(0))
        for layer, end in zip(self.layers, self.ends, strict=True):
            x = x + end((layer(x) + condition[:, None].flatten(1)).relu())
        return self.last(x)


def test_a_condition_that_every_layer_adds_is_no_stream() -> None:
    assert set(record(Conditioned(), X).residual_ends()) == {f"ends.{layer}.weight" for layer in range(3)}


class Shifted(nn.Module):
    """A norm written out, then a function without weights of the signal, beside the signal itself."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.embed, self.end, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.g, self.b, self.function = nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(8)), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-5).sqrt() * self.g + self.b
        return self.last(x + self.end(self.function(x).relu()))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - x.mean(1, keepdim=True),
        lambda x: x + x.mean(1, keepdim=True),
        lambda x: x - x.softmax(1),
        lambda x: x.view(-1, 2, 4).mean(1, keepdim=True) + x.view(-1, 2, 4),
    ],
    ids=["centred", "its mean added", "a softmax taken", "rearranged"],
)
def test_what_a_signal_is_centred_by_is_no_branch_that_its_scale_ends(function: Callable[..., torch.Tensor]) -> None:
    model = Shifted(lambda x: function(x).reshape(x.shape))
    assert record(model, X).residual_ends() == ("end.weight",)
