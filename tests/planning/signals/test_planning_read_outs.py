"""Which weights are read-outs: what is made of their outputs alone is given to the caller."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab

F = nn.functional
X = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))


class Cut(nn.Module):
    """A network whose last weight's outputs are cut in two."""

    def __init__(self, made: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.hidden, self.last, self.made = nn.Linear(16, 64), nn.Linear(64, 8), made

    def forward(self, x: torch.Tensor) -> Any:
        return self.made(self.last(torch.tanh(self.hidden(x))))


def _of_parts(one: torch.Tensor, other: torch.Tensor) -> Any:
    return one, other.clamp(-5, 2).exp()


CUTS: dict[str, tuple[Callable[[torch.Tensor], Any], bool]] = {
    "slices": (lambda y: _of_parts(y[:, :4], y[:, 4:]), True),
    "chunk": (lambda y: _of_parts(*y.chunk(2, -1)), True),
    "split": (lambda y: _of_parts(*y.split([3, 5], -1)), True),
    "unbind": (lambda y: _of_parts(*y.view(-1, 2, 4).unbind(1)), True),
    "one piece alone": (lambda y: y.chunk(2, -1)[0], True),
    "a gated unit": (lambda y: (lambda a, b: a * torch.sigmoid(b))(*y.chunk(2, -1)), False),
}


@pytest.mark.parametrize(("made", "head"), CUTS.values(), ids=CUTS)
def test_a_mean_and_a_scale_in_one_weight_are_a_read_out(made: Callable[[torch.Tensor], Any], head: bool) -> None:
    """Policies and regressors that give a distribution: however its numbers are told apart, they begin small."""
    assert ("read-out" in initlab.plan(Cut(made), X)["last.weight"].reason) is head


class Dueling(nn.Module):
    """Advantages, brought to their mean, beside the value of a state (Wang et al., 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.value, self.advantage = nn.Linear(16, 32), nn.Linear(32, 1), nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.body(x))
        made = self.advantage(h)
        result: torch.Tensor = self.value(h) + made - made.mean(1, keepdim=True)
        return result


class Distributed(Dueling):
    """A distribution of each action's value over 51 numbers (Bellemare et al., 2017), dueling, as Rainbow has it."""

    def __init__(self, given: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.value, self.advantage, self.given = nn.Linear(32, 51), nn.Linear(32, 4 * 51), given

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.body(x))
        made = self.advantage(h).view(-1, 4, 51)
        return self.given(self.value(h).unsqueeze(1) + made - made.mean(1, keepdim=True))


@pytest.mark.parametrize("given", [lambda z: z, lambda z: z.softmax(-1).log(), lambda z: z.log_softmax(-1)])
def test_votes_are_read_outs_whatever_softmax_ends_them(given: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """The mean over actions is a level as one over features is; classes are those of the last axis, not all that a
    weight makes."""
    model = Distributed(given)
    initlab.init_(model, example_inputs=X)
    first = -model(X).log_softmax(-1).mean().item()
    assert math.log(51) < first < 1.05 * math.log(51)


class Policy(nn.Module):
    """Means of actions, which a distribution of learned scales is made of, and an action drawn around them."""

    def __init__(self, entropy: bool) -> None:
        super().__init__()
        self.body, self.mean, self.scale = nn.Linear(16, 32), nn.Linear(32, 4), nn.Linear(32, 4)
        self.log_scale, self.entropy = nn.Parameter(torch.zeros(1, 4)), entropy

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = torch.tanh(self.body(x))
        mean = self.mean(h)
        if self.entropy:
            return mean, torch.distributions.Normal(mean, self.log_scale.expand_as(mean).exp()).entropy().sum(1)
        return mean, torch.tanh(mean + self.scale(h).exp() * torch.randn_like(mean))


class Spiking(nn.Module):
    """Spikes of leaky units, whose read-out leaks and is added up over the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u, v, total = torch.zeros(len(x), 32), torch.zeros(len(x), 4), torch.zeros(len(x), 4)
        for _ in range(5):
            u = 0.9 * u + self.first(x)
            spikes = (u > 1).float()
            u, v = u - spikes, 0.9 * v + self.last(spikes)
            total = total + v
        return total


class Quantised(nn.Linear):
    """A weight of 15 numbers with its gradient passed on: in steps of its largest, or of a step that is learned."""

    def __init__(self, into: int, out: int, learned: bool) -> None:
        super().__init__(into, out)
        self.step = nn.Parameter(self.weight.detach().abs().max() / 7) if learned else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        w = self.weight
        if self.step is not None:
            q = w / self.step
            return F.linear(x, (q + (q.round() - q).detach()) * self.step, self.bias)
        step = w.abs().max() / 7
        return F.linear(x, w + ((w / step).round() * step - w).detach(), self.bias)


LASTS: dict[str, Callable[[], nn.Module]] = {
    "dueling": Dueling,
    "policy with entropy": lambda: Policy(entropy=True),
    "policy with a drawn action": lambda: Policy(entropy=False),
    "spiking": Spiking,
    "quantised": lambda: nn.Sequential(nn.Linear(16, 32), nn.ReLU(), Quantised(32, 4, learned=False)),
    "quantised by a learned step": lambda: nn.Sequential(nn.Linear(16, 32), nn.ReLU(), Quantised(32, 4, learned=True)),
}


@pytest.mark.parametrize("build", LASTS.values(), ids=LASTS)
def test_what_a_model_answers_begins_near_a_constant(build: Callable[[], nn.Module]) -> None:
    model = build()
    initlab.init_(model, example_inputs=X)
    out = model(X)
    answer = (out[0] if isinstance(out, tuple) else out).detach()
    assert 1e-4 < float(answer.square().mean()) < 0.3  # without a read-out of theirs they begin at 0.7 to 250


def test_a_state_that_is_returned_is_no_read_out() -> None:
    class Flow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(16, 32), nn.Linear(32, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(4):
                x = x + self.b(torch.tanh(self.a(x)))
            return x

    assert "read-out" not in str(initlab.plan(Flow(), X)["b.weight"].reason)


class Gated(nn.Module):
    """Messages that a gate of two layers lets through, beside a layer of their own (Bresson & Laurent, 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(16, 32)
        self.key, self.query, self.value, self.skip = (nn.Linear(32, 4) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.body(x))
        gate = torch.sigmoid(self.key(h) + self.query(h).roll(1, 0))
        sums = torch.zeros(len(x), 4).index_add(0, torch.arange(len(x)) // 2, gate * self.value(h))
        return sums + self.skip(h)


def test_gated_messages_and_what_is_added_to_them_are_the_answer() -> None:
    model = Gated()
    plan = initlab.init_(model, example_inputs=X)
    heads = {entry.name for entry in plan.entries if "read-out" in str(entry.reason)}
    assert heads == {"value.weight", "skip.weight"}
    assert float(model(X).detach().square().mean()) < 0.3


BOUNDS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": lambda z: 30 * torch.tanh(z / 30),
    "sigmoid": lambda z: 30 * torch.sigmoid(z / 60),
    "a sigmoid alone": lambda z: 15 * torch.sigmoid(z),
    "a centred sigmoid": lambda z: 30 * (torch.sigmoid(z / 7.5) - 0.5),
    "a hard sigmoid, turned": lambda z: (20 * F.hardsigmoid(z / 5)).flatten(1),
    "softsign": lambda z: 20 * F.softsign(z / 20),
}


@pytest.mark.parametrize("bound", BOUNDS.values(), ids=BOUNDS)
def test_scores_that_a_function_holds_within_bounds_begin_at_a_uniform_guess(
    bound: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    """A sigmoid there was taken for a gate, and the read-out drawn as large as what follows makes it small."""
    model = Cut(bound)
    initlab.init_(model, example_inputs=X)
    labels = torch.arange(256) % 8
    assert F.cross_entropy(model(X), labels).item() == pytest.approx(math.log(8), rel=0.05)
    assert "read-out" in initlab.plan(Cut(bound), X)["last.weight"].reason


def test_a_sigmoid_that_gives_probabilities_or_gates_is_no_bound() -> None:
    assert "0.1" in initlab.plan(Cut(torch.sigmoid), X)["last.weight"].reason
    within = Cut(lambda z: torch.sigmoid(z).clamp(1e-4, 1 - 1e-4))  # as heat maps of points are given
    assert "0.1" in initlab.plan(within, X)["last.weight"].reason
    assert (
        "read-out" not in initlab.plan(Cut(lambda z: 2 * torch.sigmoid(z[:, :4]) * z[:, 4:]), X)["last.weight"].reason
    )


class Levels(nn.Module):
    """One head on three levels of a pyramid, joined along places: scores, and sizes by their exponential."""

    def __init__(self, anchors: int = 1) -> None:
        super().__init__()
        self.body, self.scores, self.sizes = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 9, 1), nn.Conv2d(32, 4, 1)
        self.scale, self.anchors = nn.ParameterList(nn.Parameter(torch.ones(())) for _ in range(3)), anchors

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        levels = [F.relu(self.body(F.avg_pool2d(x, step))) for step in (1, 2, 3)]
        scores = [self.placed(self.scores(level)) for level in levels]
        sizes = [(scale * self.sizes(level)).exp().flatten(2) for scale, level in zip(self.scale, levels, strict=True)]
        return torch.cat(scores, 1 if self.anchors > 1 else -1), torch.cat(sizes, -1)

    def placed(self, scores: torch.Tensor) -> torch.Tensor:
        """Each place's scores; those of anchors are places of their own (Lin et al., RetinaNet, 2017)."""
        if self.anchors == 1:
            return scores.flatten(2)
        parted = scores.unflatten(1, (self.anchors, -1)).permute(0, 3, 4, 1, 2)
        return parted.reshape(len(scores), -1, 9 // self.anchors)


@pytest.mark.parametrize("anchors", [1, 3])
def test_a_head_that_is_applied_to_every_level_is_a_read_out(anchors: int) -> None:
    plan = initlab.plan(Levels(anchors), torch.randn(8, 3, 16, 16))
    assert all("read-out" in plan[f"{name}.weight"].reason for name in ("scores", "sizes"))


class Detector(nn.Module):
    """Scores of places with the prior of the focal loss, or of classes by softmax, and the boxes of the best."""

    def __init__(self, gated: bool = False):
        super().__init__()
        self.trunk, self.gated = nn.Conv2d(3, 16, 3, padding=1), gated
        self.scores, self.boxes, self.centre = nn.Conv2d(16, 3, 1), nn.Conv2d(16, 4, 1), nn.Conv2d(16, 1, 1)
        nn.init.constant_(self.scores.bias, -math.log(99))

    def forward(self, pictures):
        seen = self.trunk(pictures).relu()
        scores = self.scores(seen).flatten(2).transpose(1, 2).sigmoid()
        if self.gated:
            scores = (scores * self.centre(seen).flatten(2).transpose(1, 2).sigmoid()).sqrt()
        best, places = scores.flatten(1).topk(5)
        boxes = self.boxes(seen).flatten(2).transpose(1, 2)
        boxes = torch.cat([boxes[..., :2] + boxes[..., 2:].exp(), boxes[..., 2:].exp()], -1)
        return torch.stack([rows[at // 3] for rows, at in zip(boxes, places, strict=True)]), best, places % 3


@pytest.mark.parametrize("gated", [False, True])
def test_scores_that_pick_answers_and_the_answers_are_read_outs(gated):
    plan = initlab.plan(Detector(gated), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    read_outs = {entry.name for entry in plan if "read-out" in entry.reason}
    assert read_outs == {f"{name}.weight" for name in ("scores", "boxes") + (("centre",) if gated else ())}
    assert plan["scores.bias"].action == "keep"


class Routed(nn.Module):
    """Experts of which a router's best are taken, in the shares that it gives them."""

    def __init__(self):
        super().__init__()
        self.router, self.experts = nn.Linear(16, 4, bias=False), nn.Parameter(torch.randn(4, 16, 16))

    def forward(self, x):
        shares, places = self.router(x).softmax(-1).topk(2)
        made = torch.einsum("bi,eij->bej", x, self.experts)
        return (made.gather(1, places[..., None].expand(-1, -1, 16)) * shares[..., None]).sum(1)


def test_a_router_whose_shares_weigh_experts_is_no_read_out():
    plan = initlab.plan(Routed(), torch.randn(32, 16, generator=torch.Generator().manual_seed(0)))
    assert "read-out" not in plan["router.weight"].reason
