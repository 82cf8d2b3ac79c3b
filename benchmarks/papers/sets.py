"""Sets, graphs and pairs: deep sets, set transformers, neural processes, relations, graph transformers, two towers."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.papers.case import Batch, Case, classes, digits, fixed, mse


def points(drawn: torch.Generator) -> Batch:
    """Sets of 16 points in three dimensions, and a number that hangs on sums, lengths and the farthest."""
    x = torch.randn(64, 16, 3, generator=drawn) * (0.5 + torch.rand(64, 1, 1, generator=drawn))
    return (x,), (torch.sin(2 * x).mean((1, 2)) * 2 + x.norm(dim=-1).amax(1) / 3 - 1)[:, None]


class DeepSets(nn.Module):
    """ρ(Σ φ(x)) (Zaheer et al., 2017, theorem 2)."""

    def __init__(self, pool: str, width: int = 64) -> None:
        super().__init__()
        self.pool = pool
        self.phi = nn.Sequential(
            nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.rho = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.phi(x)
        pooled = made.amax(1) if self.pool == "max" else made.sum(1) if self.pool == "sum" else made.mean(1)
        return self.rho(pooled)


class Equivariant(nn.Module):
    """Layers Γx − Λ·max(x) (Zaheer et al., 2017, section 3.1), as in their code for point clouds."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        sizes = [(3, width), (width, width), (width, width)]
        self.gamma = nn.ModuleList(nn.Linear(*size) for size in sizes)
        self.lam = nn.ModuleList(nn.Linear(*size, bias=False) for size in sizes)
        self.rho = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for gamma, lam in zip(self.gamma, self.lam, strict=True):
            x = torch.tanh(gamma(x) - lam(x.amax(1, keepdim=True)))
        return self.rho(x.amax(1))


class Mab(nn.Module):
    """The authors' attention block of sets: O = Q + attention, O + relu(fc(O)) (Lee et al., 2019, section 3.1)."""

    def __init__(self, query: int, key: int, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = nn.Linear(query, width), nn.Linear(key, width), nn.Linear(key, width)
        self.o = nn.Linear(width, width)

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        q, k, v = self.q(q), self.k(k), self.v(k)
        split = [torch.cat(x.split(x.shape[-1] // self.heads, 2), 0) for x in (q, k, v)]
        shares = torch.softmax(split[0] @ split[1].transpose(1, 2) / math.sqrt(q.shape[-1]), 2)
        made = torch.cat((split[0] + shares @ split[2]).split(len(q), 0), 2)
        return made + F.relu(self.o(made))


class SetTransformer(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.first, self.second = Mab(3, 3, width), Mab(width, width, width)
        self.seed = nn.Parameter(torch.empty(1, 1, width))
        nn.init.xavier_uniform_(self.seed)
        self.pool, self.head = Mab(width, width, width), nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x, x)
        x = self.second(x, x)
        return self.head(self.pool(self.seed.expand(len(x), -1, -1), x)).squeeze(1)


def curves(drawn: torch.Generator) -> Batch:
    """Eight points of a wave as context, eight others whose heights are to be said."""
    speed, phase = 1 + 2 * torch.rand(48, 1, generator=drawn), 6.3 * torch.rand(48, 1, generator=drawn)
    x = 4 * torch.rand(48, 16, generator=drawn) - 2
    y = torch.sin(speed * x + phase)
    return (x[:, :8, None], y[:, :8, None], x[:, 8:, None]), y[:, 8:, None]


class NeuralProcess(nn.Module):
    """A conditional neural process (Garnelo et al., 2018)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.decoder = nn.Sequential(
            nn.Linear(width + 1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, x: torch.Tensor, y: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        known = self.encoder(torch.cat([x, y], -1)).mean(1, keepdim=True)
        return self.decoder(torch.cat([known.expand(-1, at.shape[1], -1), at], -1))


class Relations(nn.Module):
    """f(Σ g(a, b)) over pairs (Santoro et al., 2017)."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.g = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.f = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, :8]
        mine = x[:, :, None].expand(-1, -1, 8, -1)
        return self.f(self.g(torch.cat([mine, mine.transpose(1, 2)], -1)).sum((1, 2)))


def graphs(drawn: torch.Generator) -> Batch:
    """Graphs of 12 nodes with features, and to say of each node a class that its neighbours decide."""
    x = torch.randn(24, 12, 8, generator=drawn)
    near = (torch.rand(24, 12, 12, generator=drawn) < 0.3).float()
    near = ((near + near.transpose(1, 2)) > 0).float() * (1 - torch.eye(12)) + torch.eye(12)
    mean = near @ x / near.sum(-1, keepdim=True)
    return (x, near), (mean @ fixed(8, 4)).argmax(-1)


class TransformerConv(nn.Module):
    """Attention along edges beside a matrix of one's own (Shi et al., UniMP, 2021, equations 3 to 5)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = [(8, width), (width, width), (width, 4)]
        self.q, self.k, self.v, self.skip = (nn.ModuleList(nn.Linear(*size) for size in sizes) for _ in range(4))

    def forward(self, x: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        for i in range(3):
            q, k, v = self.q[i](x), self.k[i](x), self.v[i](x)
            scores = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).masked_fill(near == 0, -1e9)
            x = torch.softmax(scores, -1) @ v + self.skip[i](x)
            x = F.relu(x) if i < 2 else x
        return x


class Gin(nn.Module):
    """(1 + ε)x + Σ x, and an MLP (Xu et al., 2019, equation 4.1)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(2))
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(given, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
            for given in (8, width)
        )
        self.head = nn.Linear(width, 4)

    def forward(self, x: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        for i, mlp in enumerate(self.mlps):
            x = mlp((1 + self.eps[i]) * x + near @ x)
        return self.head(x)


def halves(drawn: torch.Generator) -> Batch:
    (images,), _ = digits(14, 64)(drawn)
    return (images[..., :7].flatten(1), images[..., 7:].flatten(1)), torch.arange(64)


class TwoTowers(nn.Module):
    """Which right half belongs to which left: cosines over a learned temperature (Radford et al., CLIP, 2021)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.left, self.right = (nn.Sequential(nn.Linear(98, 64), nn.ReLU(), nn.Linear(64, width)) for _ in range(2))
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        a, b = F.normalize(self.left(left), dim=-1), F.normalize(self.right(right), dim=-1)
        return self.scale.exp() * a @ b.t()


CASES = (
    Case("sets/deep_sets_sum", partial(DeepSets, "sum"), points, mse),
    Case("sets/deep_sets_mean", partial(DeepSets, "mean"), points, mse),
    Case("sets/deep_sets_max", partial(DeepSets, "max"), points, mse),
    Case("sets/equivariant", Equivariant, points, mse),
    Case("sets/set_transformer", SetTransformer, points, mse),
    Case("sets/neural_process", NeuralProcess, curves, mse),
    Case("sets/relations", Relations, points, mse),
    Case("graphs/transformer_conv", TransformerConv, graphs, classes),
    Case("graphs/gin", Gin, graphs, classes),
    Case("pairs/two_towers", TwoTowers, halves, classes),
)
