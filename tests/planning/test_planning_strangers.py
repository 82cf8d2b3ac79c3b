"""Kinds of structure met in libraries and papers, each as a few lines of plain torch: what `auto` makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab

F = nn.functional


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def excess(logits: torch.Tensor) -> float:
    """By what share of ln C the first loss lies above that of a uniform guess."""
    rows = logits.detach().double()
    return float((rows.logsumexp(-1) - rows.mean(-1)).mean()) / math.log(rows.shape[-1]) - 1


class Pooled(nn.Module):
    """A kernel whose outputs, past relu and a mean over places, are the logits (SqueezeNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(F.relu(self.last(F.relu(self.body(x)))), 1).flatten(1)


class Auxiliary(nn.Module):
    """One read-out of the first token, another's largest over the rest, half of it added (VOLO)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last, self.aside = nn.LayerNorm(32), nn.Linear(32, 10), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        return self.last(x[:, 0]) + 0.5 * self.aside(x[:, 1:]).max(1)[0]


class Turned(nn.Module):
    """Points turned by a matrix that a layer makes: its weight zero and its bias the identity (PointNet, STN)."""

    def __init__(self) -> None:
        super().__init__()
        self.look, self.make, self.read = nn.Linear(3, 32), nn.Linear(32, 9), nn.Linear(3, 10)
        nn.init.zeros_(self.make.weight)
        self.make.bias.data = torch.eye(3).flatten()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turn = self.make(F.relu(self.look(x)).amax(1)).view(-1, 3, 3)
        return self.read((x @ turn).mean(1))


class Steps(nn.Module):
    """An integrator: eight steps y + f(y)/8 of one small network."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up, self.down, self.read = (nn.Linear(*s) for s in ((16, 32), (32, 64), (64, 32), (32, 10)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        for _ in range(8):
            y = y + self.down(torch.tanh(self.up(y))) / 8
        return self.read(y)


class Made(nn.Module):
    """A layer whose weight another layer makes (hypernetworks)."""

    def __init__(self) -> None:
        super().__init__()
        self.code, self.make, self.read = nn.Embedding(1, 8), nn.Linear(8, 64 * 64), nn.Linear(64, 10)

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.make(self.code(torch.tensor(0))).view(64, 64)
        for _ in range(3):
            x = torch.tanh(F.linear(x, weight))
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.read(self.hidden(x))


class MadeOfACode(nn.Module):
    """The same from a code that is a parameter, by a matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.code, self.make, self.read = nn.Parameter(torch.randn(8)), nn.Linear(8, 64 * 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.read(torch.tanh(x @ self.make(self.code).view(64, 64).T))


class Queries(nn.Module):
    """Queries that begin as a norm of zeros, and look at what is given (DETR)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.q, self.k, self.read = nn.LayerNorm(32), nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        queries = self.q(self.norm(torch.zeros(len(x), 5, 32)))
        shares = torch.bmm(queries, self.k(x).transpose(1, 2)).softmax(-1)
        return self.read(torch.bmm(shares, x)).mean(1)


class MaskedByRule(nn.Module):
    """A mask built by `torch.func.vmap` of a rule of two positions (transformers' masks)."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.read = nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        at, length = torch.arange(x.shape[1]), torch.tensor([4.0])
        rule = lambda i, j: (j <= i) & (j - length[0] < 100.0)  # noqa: E731
        mask = torch.func.vmap(torch.func.vmap(rule, (None, 0)), (0, None))(at, at)
        return self.read(F.scaled_dot_product_attention(self.q(x), x, x, attn_mask=mask))


class Graph(nn.Module):
    """Two graph convolutions: the last one's features are sent along the edges, weighed, and summed."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.read = nn.Linear(16, 64), nn.Linear(64, 5)
        self.register_buffer("edges", torch.randint(0, 100, (2, 600), generator=torch.Generator().manual_seed(1)))

    def send(self, x: torch.Tensor) -> torch.Tensor:
        start, end = self.edges
        sent = x.index_select(0, start) * 0.5
        return torch.zeros_like(x).scatter_add(0, end[:, None].expand_as(sent), sent)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.send(self.read(F.relu(self.send(self.hidden(x)))))


class SparseGraph(Graph):
    """The same by a product with a sparse matrix (Kipf & Welling's own code)."""

    def send(self, x: torch.Tensor) -> torch.Tensor:
        edges = torch.sparse_coo_tensor(self.edges, torch.full((600,), 0.5), (100, 100))
        return torch.sparse.mm(edges, x)


class GivenGraph(nn.Module):
    """Graph convolutions whose matrix of edges is an input."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.read = nn.Linear(16, 64), nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        edges = (x @ x.T > 4).float()
        return edges @ self.read(F.relu(edges @ self.hidden(x)))


class Votes(nn.Module):
    """Four read-outs, added one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(16, 64) for _ in range(4))
        self.read = nn.ModuleList(nn.Linear(64, 5) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        votes = torch.zeros(())
        for hidden, read in zip(self.hidden, self.read, strict=True):
            votes = votes + read(F.relu(hidden(x)))
        return votes


class PseudoInverse(nn.Module):
    """A pseudo-inverse by six steps of Newton's method (Nystromformer): products of products of one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = (x @ x.mT).softmax(-1)
        inverse = shares.mT
        for _ in range(6):
            both = shares @ inverse
            inverse = (
                0.25 * inverse @ (13 * torch.eye(16) - both @ (15 * torch.eye(16) - both @ (7 * torch.eye(16) - both)))
            )
        return self.read(inverse @ x)


MODELS: dict[str, tuple[type[nn.Module], torch.Tensor]] = {
    "sums along edges": (Graph, batch(100, 16)),
    "a sparse matrix of edges": (SparseGraph, batch(100, 16)),
    "a given matrix of edges": (GivenGraph, batch(100, 16)),
    "four read-outs": (Votes, batch(64, 16)),
    "a pseudo-inverse": (PseudoInverse, batch(8, 16, 16)),
    "pooled logits": (Pooled, batch(16, 3, 8, 8)),
    "auxiliary read-out": (Auxiliary, batch(32, 9, 32)),
    "a matrix that turns points": (Turned, batch(16, 20, 3)),
    "integrator": (Steps, batch(64, 16)),
    "made weights": (Made, batch(64, 64)),
    "made of a code": (MadeOfACode, batch(64, 64)),
    "queries of zeros": (Queries, batch(8, 12, 32)),
    "mask by a rule": (MaskedByRule, batch(4, 6, 16)),
}


@pytest.mark.parametrize("case", MODELS)
def test_first_loss_is_within_five_percent_of_a_uniform_guess(case: str) -> None:
    kind, x = MODELS[case]
    torch.manual_seed(0)
    model = kind()
    plan = initlab.init_(model, example_inputs=x)
    assert not [entry.name for entry in plan.entries if entry.code == "unknown_role"]
    out = model(x)
    assert 0 < excess(out) < 0.05
    assert float(out.detach().var(0).mean()) > 1e-4  # samples are told apart


@pytest.mark.parametrize("last", [nn.Identity(), nn.Sigmoid()], ids=["a number", "a probability"])
def test_a_single_output_begins_near_a_constant_answer(last: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 1), last)
    initlab.init_(model, example_inputs=batch(256, 16))
    logits = model[:3](batch(256, 16))
    assert 0.02 < float(logits.detach().square().mean()) < 0.14  # E[softplus(z) - z/2] = ln 2 + E[z²]/8


def test_a_bias_beside_a_weight_of_zeros_is_kept() -> None:
    model = Turned()
    plan = initlab.init_(model, example_inputs=batch(16, 20, 3))
    assert torch.equal(model.make.bias.detach(), torch.eye(3).flatten())
    assert plan["make.bias"].code == "special_bias"
    assert plan["look.bias"].code == "spread"


def test_a_small_step_stays_small() -> None:
    model, x = Steps(), batch(64, 16)
    initlab.init_(model, example_inputs=x)
    y = model.first(x)
    assert float(model.down(torch.tanh(model.up(y))).detach().square().mean()) < 1.5


def test_a_made_weight_keeps_the_signal() -> None:
    model = Made()
    initlab.init_(model, example_inputs=batch(64, 64))
    weight = model.make(model.code.weight).detach()
    # eight numbers make the code: their squares spread by half
    assert 0.4 / 64 < float(weight.square().mean()) < 2.5 / 64
    assert 0.01 < float(model.hidden(batch(64, 64)).detach().square().mean()) < 0.9


def test_a_code_is_what_a_layer_is_given() -> None:
    model = MadeOfACode()
    code = model.code.detach().clone()
    plan = initlab.init_(model, example_inputs=batch(64, 64))
    assert torch.equal(model.code.detach(), code)
    assert (plan["make.weight"].role, plan["make.bias"].role) == ("weight", "bias")
    assert 0.3 / 64 < float(model.make(model.code).detach().square().mean()) < 3 / 64


class WideAndDeep(nn.Module):
    """A network's read-out beside scores that are rows of tables of one column."""

    def __init__(self, residual: bool = False) -> None:
        super().__init__()
        self.table, self.wide, self.residual = nn.Embedding(50, 8), nn.Embedding(50, 1), residual
        self.deep, self.last = nn.Linear(32, 64), nn.Linear(64, 1)
        self.back = nn.Linear(64, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.table(x).flatten(1)
        hidden = torch.relu(self.deep(rows))
        if self.residual:
            return rows + self.back(hidden)
        return torch.sigmoid(self.wide(x).sum(1) + self.last(hidden))


def test_a_read_out_beside_other_scores_begins_near_a_constant_answer() -> None:
    x = torch.randint(0, 50, (256, 4), generator=torch.Generator().manual_seed(0))
    net = WideAndDeep()
    plan = initlab.init_(net, example_inputs=x)
    logits = torch.logit(net(x)).detach()
    assert float(logits.square().mean()) < 0.3  # E[softplus(z) - z/2] = ln 2 + E[z²]/8
    assert "read-out" in plan["last.weight"].reason
    assert "read-out" not in initlab.plan(WideAndDeep(residual=True), x)["back.weight"].reason


class Returning(nn.Module):
    """A classifier that returns whatever `give` makes of its logits and of class numbers."""

    def __init__(self, give: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        self.body, self.head, self.give = nn.Linear(16, 32), nn.Linear(32, 10), give

    def forward(self, x: torch.Tensor) -> Any:
        logits = self.head(torch.relu(self.body(x)))
        return self.give(logits, torch.arange(len(x)) % 10)


@pytest.mark.parametrize(
    "give",
    [
        lambda z, y: nn.functional.cross_entropy(z, y),
        lambda z, y: torch.distributions.Categorical(logits=z),
        lambda z, y: torch.distributions.Normal(z[:, :5], nn.functional.softplus(z[:, 5:])),
        lambda z, y: z - z.amax(-1, keepdim=True),
        lambda z, y: (z, z.mean()),
        lambda z, y: (z, -(z.softmax(-1) * z.log_softmax(-1)).sum(-1).mean()),
        lambda z, y: (z, z.norm(), z.topk(2).values),
        lambda z, y: z.softmax(-1),
    ],
    ids=[
        "a loss alone",
        "a Categorical",
        "a Normal",
        "logits at a level",
        "their mean too",
        "their entropy too",
        "their norm and largest too",
        "probabilities alone",
    ],
)
def test_a_read_out_is_one_whatever_is_returned(give: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
    plan = initlab.plan(Returning(give), batch(64, 16))
    plain = initlab.plan(Returning(lambda z, y: z), batch(64, 16))
    assert plan["head.weight"].std == plain["head.weight"].std


def test_a_level_that_is_more_than_subtracted_makes_no_read_out() -> None:
    plan = initlab.plan(Returning(lambda z, y: z / z.amax(-1, keepdim=True)), batch(64, 16))
    assert "read-out" not in plan["head.weight"].reason


def test_a_table_of_no_columns_is_planned() -> None:
    model = nn.Sequential(nn.Embedding(4, 0), nn.Flatten())
    assert initlab.plan(model, torch.zeros(2, 3, dtype=torch.long))["0.weight"].shape == (4, 0)


class Decoder(nn.Module):
    """A cell by hand whose read-out gives one step after the other, put side by side at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(16, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state, steps = x.new_zeros(len(x), 32), []
        for step in range(3):
            state = self.cell(x[:, step], state)
            steps.append(self.head(state))
        return torch.stack(steps, 1)


def test_a_read_out_of_many_steps_is_one() -> None:
    model, x = Decoder(), batch(64, 3, 16)
    initlab.init_(model, example_inputs=x)
    assert 0 < excess(model(x).flatten(0, 1)) < 0.05


class OnBases(nn.Module):
    """N-BEATS: each block's answer is a few numbers on a fixed basis; one of its two is taken from the stream."""

    def __init__(self, frozen: bool, large: float = 3.0) -> None:
        super().__init__()
        self.first, self.last = self._block(6), self._block(3)
        basis = large * batch(3, 24)
        self.register_parameter("basis", nn.Parameter(basis, requires_grad=False)) if frozen else None
        self.register_buffer("basis", basis) if not frozen else None

    def _block(self, numbers: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, numbers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        back, ahead = self.first(x).chunk(2, -1)
        rest = x - torch.einsum("bp,pt->bt", back, self.basis)
        return torch.einsum("bp,pt->bt", ahead, self.basis) + self.last(rest) @ self.basis


@pytest.mark.parametrize("frozen", [True, False])
def test_a_fixed_basis_hides_neither_a_branch_nor_a_read_out(frozen: bool) -> None:
    model, x = OnBases(frozen), batch(256, 24)
    plan = initlab.init_(model, "auto", example_inputs=x)
    taken = torch.einsum("bp,pt->bt", model.first(x)[:, :3], model.basis).detach()
    assert 0.4 < float(taken.square().mean() / x.square().mean()) < 2.5  # one branch, of the stream's size
    assert excess(model(x)) < 0.2  # the first block's answer counts too; 1.5 and more where the last is left alone
    assert "read-out" in str(plan["last.2.weight"].reason)
