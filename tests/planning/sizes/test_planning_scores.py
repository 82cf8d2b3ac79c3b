"""Scores that are products of tables or projections, and lengths: small, and shared out among their factors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.planning.calibration.terms import Term, as_one

F = nn.functional
GENERATOR = torch.Generator().manual_seed(0)
USERS, ITEMS = (torch.randint(0, 40, (512,), generator=GENERATOR) for _ in range(2))
Score = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class Tables(nn.Module):
    """Rows of three tables of width 24, and a score of them."""

    def __init__(self, score: Score) -> None:
        super().__init__()
        self.a, self.b, self.c, self.score = nn.Embedding(40, 24), nn.Embedding(40, 24), nn.Embedding(40, 24), score

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> Any:
        return self.score(self.a(users), self.b(items), self.c(items))


SCORES: dict[str, tuple[Score, float, str]] = {  # score, its second moment, its tables
    "sum of products": (lambda a, b, c: (a * b).sum(-1), 1e-3, "ab"),
    "bmm": (lambda a, b, c: torch.bmm(a[:, None], b[:, :, None]).view(-1), 1e-3, "ab"),
    "einsum": (lambda a, b, c: torch.einsum("nd,nd->n", a, b), 1e-3, "ab"),
    "all pairs": (lambda a, b, c: a @ b.T, 1e-3, "ab"),
    "rating": (lambda a, b, c: 4 * torch.sigmoid((a * b).sum(-1)) + 1, 1e-3, "ab"),
    "loss within": (lambda a, b, c: -F.logsigmoid((a * b).sum(-1)).mean(), 1e-3, "ab"),
    "interactions": (lambda a, b, c: 0.5 * ((a + a.roll(1, 0)) ** 2 - (a**2 + a.roll(1, 0) ** 2)).sum(-1), 1e-3, "a"),
    "three factors": (lambda a, b, c: (a * b * c).sum(-1), 0.1, "abc"),
    "distance": (lambda a, b, c: 6 - torch.norm(a + b - c, dim=-1), 1.0, "abc"),
    "absolute distance": (lambda a, b, c: (a - b).abs().sum(-1), 1.0, "ab"),
}


@pytest.mark.parametrize("kind", SCORES)
def test_scores_of_tables_are_small_and_their_factors_of_one_size(kind: str) -> None:
    score, target, names = SCORES[kind]
    model = Tables(score)
    plan = initlab.init_(model, example_inputs=(USERS, ITEMS))
    stds = [plan[f"{name}.weight"].std for name in names]
    # of tables that are added, the first holds the tokens and the rest places
    assert stds == pytest.approx([stds[0]] * len(stds), rel=0.1) or kind == "distance"
    assert "scores that are products" in plan[f"{names[0]}.weight"].reason
    made = model(USERS, ITEMS).detach()
    undone = {"distance": lambda s: 6 - s, "rating": lambda s: torch.logit((s - 1) / 4)}.get(kind, lambda s: s)
    if kind == "loss within":
        assert made.item() == pytest.approx(math.log(2), rel=0.01)
    else:
        assert undone(made).square().mean().item() == pytest.approx(target, rel=0.5)


def test_biases_beside_a_product_and_projections_share_the_score() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pairs, self.bias = Tables(SCORES["einsum"][0]), nn.Embedding(40, 1)
            self.deep = nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 1))

        def forward(self, users: torch.Tensor, items: torch.Tensor) -> Any:
            both = torch.cat([self.pairs.a(users), self.pairs.b(items)], -1)
            return self.pairs(users, items) + self.bias(items).squeeze(-1) + self.deep(both).squeeze(-1)

    model = Deep()
    initlab.init_(model, example_inputs=(USERS, ITEMS))
    loss = F.binary_cross_entropy_with_logits(model(USERS, ITEMS), (USERS % 2).float())
    assert loss.item() == pytest.approx(math.log(2), rel=0.05)
    assert 0 < model.pairs(USERS, ITEMS).square().mean().item() < 1e-3 / 3  # of rows that a matrix reads too
    hidden = model.deep[0](torch.cat([model.pairs.a(USERS), model.pairs.b(ITEMS)], -1))
    assert hidden.square().mean().item() == pytest.approx(1.0, rel=0.4)  # of tables as they end up


class Pointer(nn.Module):
    """Which of some things a query points at: a product of two projections."""

    def __init__(self, reads: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.key, self.query, self.reads = nn.Linear(16, 64), nn.Linear(16, 64), reads

    def forward(self, things: torch.Tensor, asked: torch.Tensor) -> Any:
        return self.reads((self.key(things) @ self.query(asked)[..., None]).squeeze(-1))


THINGS, ASKED = torch.randn(256, 12, 16, generator=GENERATOR), torch.randn(256, 16, generator=GENERATOR)
READS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]] = {
    "logits": (lambda z: z, lambda z: z.log_softmax(-1)),
    "temperature": (lambda z: z / 0.07, lambda z: z.log_softmax(-1)),
    "log-softmax": (lambda z: z.log_softmax(-1), lambda z: z),
    "softmax": (lambda z: z.softmax(-1), lambda z: z.log()),
}


@pytest.mark.parametrize("kind", READS)
def test_first_loss_of_a_pointer_is_that_of_a_uniform_guess(kind: str) -> None:
    reads, logs = READS[kind]
    model = Pointer(reads)
    plan = initlab.init_(model, example_inputs=(THINGS, ASKED))
    alike = kind == "softmax" or plan["key.weight"].std == pytest.approx(plan["query.weight"].std, rel=0.2)
    assert alike  # scores of a softmax are brought to unit size first, by the one operand
    loss = F.nll_loss(logs(model(THINGS, ASKED)), torch.arange(256) % 12)
    assert loss.item() == pytest.approx(math.log(12), rel=0.05)


def test_attention_that_is_returned_too_is_no_read_out() -> None:
    class Attends(Pointer):
        def forward(self, things: torch.Tensor, asked: torch.Tensor) -> Any:
            shares = (self.key(things) @ self.query(things).mT / 8).softmax(-1)
            return shares @ things, shares

    plan = initlab.plan(Attends(lambda z: z), (THINGS, ASKED))
    assert plan["key.weight"].std == pytest.approx(0.25, rel=0.2)


class Trunk(nn.Module):
    """A branch times what a trunk makes, summed: as tanh of it, and as a table's rows."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch, self.trunk = branch, nn.Linear(32, 64)

    def forward(self, given: torch.Tensor, x: torch.Tensor) -> Any:
        return (self.branch(given) * torch.tanh(self.trunk(x))).sum(-1, keepdim=True)


ROWS = torch.randn(512, 32, generator=GENERATOR)


@pytest.mark.parametrize(("branch", "given"), [(nn.Linear(32, 64), ROWS), (nn.Embedding(40, 64), USERS)])
def test_one_free_side_has_all_of_the_size(branch: nn.Module, given: torch.Tensor) -> None:
    model = Trunk(branch)
    plan = initlab.init_(model, example_inputs=(given, ROWS))
    assert "scores that are products" in plan["branch.weight"].reason
    assert model(given, ROWS).square().mean().item() == pytest.approx(0.1, rel=0.5)  # another draw of both: 2√(2/64)
    assert plan["trunk.weight"].std == pytest.approx(1 / math.sqrt(3 * 32), rel=0.01)


def test_a_gate_of_what_is_given_to_the_caller_is_no_factor() -> None:
    """One number for all features lets them through: nothing grows with how many there are."""

    class Gated(Pointer):
        def forward(self, things: torch.Tensor, asked: torch.Tensor) -> Any:
            return (torch.sigmoid(self.query(things)[..., :1]) * self.key(things)).sum(1)

    plan = initlab.plan(Gated(lambda z: z), (THINGS, ASKED))
    assert plan["key.weight"].std == pytest.approx(1 / math.sqrt(3 * 16), rel=0.2)  # as any without a norm


def test_values_that_shares_mix_keep_their_size_where_it_is_that_of_a_read_out() -> None:
    """Shares of 1/n leave 1/n of a second moment: what is measured decides, and not how many are summed."""

    class Pooled(Pointer):
        def forward(self, things: torch.Tensor, asked: torch.Tensor) -> Any:
            return (0.1 * self.query(things) @ self.query(things).mT / 8).softmax(-1) @ self.key(things)

    plan = initlab.plan(Pooled(lambda z: z), (THINGS, ASKED))
    assert plan["key.weight"].std == pytest.approx(0.25, rel=0.2)


def test_scores_of_rows_among_other_features_are_those_of_rows_that_never_met() -> None:
    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pairs, self.dense = Tables(SCORES["einsum"][0]), nn.Linear(5, 3)

        def forward(self, users: torch.Tensor, items: torch.Tensor, x: torch.Tensor) -> Any:
            return self.dense(torch.cat([self.pairs(users, items)[:, None], x], -1))

    model = Crossed()
    initlab.init_(model, example_inputs=(USERS, ITEMS, torch.randn(512, 4, generator=GENERATOR)))
    assert model.pairs(USERS, ITEMS).square().mean().item() == pytest.approx(1e-3, rel=0.4)


def test_terms_grow_as_their_factors_do() -> None:
    a, b = Term.of(frozenset("a")), Term.of(frozenset("b"))
    product = a.times(b)
    assert product is not None
    assert (product.degree, product.names) == (2, {"a", "b"})
    assert a.times(a, -1.0) is None  # a quotient of one and the same has a size of its own
    assert as_one((product, a)) is None
    assert as_one((a, b)) == Term(((frozenset("ab"), 1.0),))
    square = a.to_the(2.0, even=True)
    assert square is not None
    assert (square.degree, square.even) == (2, True)


def test_biases_beside_a_matrix_of_factors_begin_at_zero() -> None:
    class Factors(Tables):
        def forward(self, users: torch.Tensor, items: torch.Tensor) -> Any:
            return (self.a(users) * self.b(items)).sum(1) + self.c(items)[:, 0]

    model = Factors(lambda a, b, c: a)
    nn.init.zeros_(model.c.weight)
    plan = initlab.init_(model, example_inputs=(USERS, ITEMS))
    assert plan["c.weight"].reason.code == "zero_on_purpose"
    assert not model.c.weight.any()


def test_a_single_output_is_one_logit_of_two() -> None:
    """Both labels evenly: the first loss is within 5% of ln 2, as that of any vocabulary is."""
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1))
    initlab.init_(model, example_inputs=ROWS)
    labels = torch.arange(len(ROWS)).remainder(2).float()
    loss = F.binary_cross_entropy_with_logits(model(ROWS)[:, 0], labels)
    assert loss.item() == pytest.approx(math.log(2), rel=0.05)


def test_scores_of_many_steps_scale_their_factors_once() -> None:
    class Mixed(nn.Module):
        """A product of two projections beside a value, at each of six steps (QMIX)."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.value = nn.Linear(16, 64), nn.Linear(16, 64), nn.Linear(16, 1)

        def forward(self, steps: torch.Tensor) -> torch.Tensor:
            made = [
                (F.elu(self.first(x)) * self.second(x).abs()).sum(-1, keepdim=True) + self.value(x)
                for x in steps.unbind(1)
            ]
            return torch.stack(made, 1)

    model, steps = Mixed(), torch.randn(64, 6, 16, generator=torch.Generator().manual_seed(0))
    initlab.init_(model, example_inputs=steps)
    assert 0.01 < float(model(steps).square().mean().detach()) < 0.4
    assert float(model.second.weight.square().mean().detach()) > 1e-6


def test_rows_that_numbers_weigh_and_places_sum_are_no_scores() -> None:
    class Pooled(nn.Module):
        """A history whose rows an attention unit weighs, beside a row that is asked for (Zhou et al., DIN, 2018)."""

        def __init__(self) -> None:
            super().__init__()
            self.rows, self.unit = nn.Embedding(40, 16), nn.Sequential(nn.Linear(32, 16), nn.PReLU(), nn.Linear(16, 1))
            self.deep = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))

        def forward(self, history: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
            held, one = self.rows(history), self.rows(asked)
            weights = self.unit(torch.cat([held, one[:, None].expand_as(held)], -1))
            return self.deep(torch.cat([(weights * held).sum(1), one], -1))

    history = USERS.view(64, 8)
    model = Pooled()
    plan = initlab.init_(model, example_inputs=(history, ITEMS[:64]))
    assert "scores that are products" not in plan["rows.weight"].reason
    read = torch.cat([model.rows(history), model.rows(ITEMS[:64])[:, None].expand(-1, 8, -1)], -1)
    assert 0.25 < float(model.unit[0](read).square().mean().detach()) < 4


UNIT: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "in one call": lambda x: F.normalize(x, dim=-1),
    "over a length": lambda x: x / x.norm(dim=-1, keepdim=True),
    "over a length in arithmetic": lambda x: x / torch.pow(torch.sum(torch.pow(x, 2), -1, keepdim=True), 0.5),
    "times one over a length": lambda x: x * torch.rsqrt((x * x).sum(-1, keepdim=True)),
}


@pytest.mark.parametrize("unit", UNIT)
def test_projections_that_are_brought_to_unit_length_keep_their_size(unit: str) -> None:
    """As in CLIP (Radford et al., 2021): no size of theirs changes a cosine, and small ones would turn too fast."""

    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(64, 32, bias=False), nn.Linear(64, 32, bias=False)
            self.temperature = nn.Parameter(torch.tensor(2.66))

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return UNIT[unit](self.left(x)) @ UNIT[unit](self.right(y)).T * self.temperature.exp()

    generator = torch.Generator().manual_seed(0)
    plan = initlab.plan(Pairs(), tuple(torch.randn(24, 64, generator=generator) for _ in range(2)))
    for side in ("left", "right"):
        made = plan[f"{side}.weight"].std ** 2 * 64
        assert 0.5 < made < 2


def test_shares_of_scaled_parameters_alone_are_planned() -> None:
    """Soft trees choose features by a softmax of numbers that no signal made (Popov et al., NODE, 2020)."""

    class Trees(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.choice, self.leaf = nn.Parameter(torch.rand(12, 6)), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.leaf((x @ (3 * self.choice).softmax(0)).sigmoid())

    assert initlab.plan(Trees(), torch.randn(16, 12))["leaf.weight"].action == "write"
