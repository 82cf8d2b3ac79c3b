"""Atoms and places told by distances: radial functions, whose values matrices read."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.papers.case import Batch, Case, mse, vectors, waves

KINDS, ATOMS = 5, 8


def molecules(drawn: torch.Generator) -> Batch:
    """(kinds, places) and an energy of pairs, standardised by hand."""
    kinds = torch.randint(KINDS, (16, ATOMS), generator=drawn)
    places = 1.2 * torch.randn(16, ATOMS, 3, generator=drawn)
    charge = torch.tensor([-1.0, 0.5, 1.0, 1.5, -0.5])[kinds]
    apart = (places[:, :, None] - places[:, None]).norm(dim=-1)
    pairs = charge[:, :, None] * charge[:, None] * torch.exp(-apart / 1.5) * (1 - torch.eye(ATOMS))
    return (kinds, places), pairs.sum((1, 2))[:, None] / 4 + charge.sum(1, keepdim=True) / 4


def distances(places: torch.Tensor) -> torch.Tensor:
    difference = places[:, :, None] - places[:, None]
    return (difference.pow(2).sum(-1) + 1e-8).sqrt()


class Gaussians(nn.Module):
    def __init__(self, count: int = 24, most: float = 6.0) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(0, most, count))
        self.gamma = 0.5 / (most / (count - 1)) ** 2

    def forward(self, apart: torch.Tensor) -> torch.Tensor:
        return torch.exp(-self.gamma * (apart[..., None] - self.centres) ** 2)


def ssp(x: torch.Tensor) -> torch.Tensor:
    return F.softplus(x) - math.log(2)


class Interaction(nn.Module):
    """A continuous-filter convolution (Schütt et al., SchNet, 2017, section 4.1)."""

    def __init__(self, width: int, basis: int) -> None:
        super().__init__()
        self.filter1, self.filter2 = nn.Linear(basis, width), nn.Linear(width, width)
        self.into = nn.Linear(width, width, bias=False)
        self.out1, self.out2 = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
        made = ssp(self.filter2(ssp(self.filter1(basis))))
        summed = (self.into(x)[:, None] * made).sum(2)
        return x + self.out2(ssp(self.out1(summed)))


class SchNet(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.table, self.basis = nn.Embedding(KINDS, width), Gaussians()
        self.blocks = nn.ModuleList(Interaction(width, 24) for _ in range(2))
        self.out1, self.out2 = nn.Linear(width, width // 2), nn.Linear(width // 2, 1)

    def forward(self, kinds: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x, basis = self.table(kinds), self.basis(distances(places))
        for block in self.blocks:
            x = block(x, basis)
        return self.out2(ssp(self.out1(x))).sum(1)


class Cgcnn(nn.Module):
    """Gated crystal convolutions (Xie & Grossman, 2018, equation 5), batch norms as in the authors' code."""

    def __init__(self, width: int = 24, basis: int = 24) -> None:
        super().__init__()
        self.table, self.basis = nn.Embedding(KINDS, width), Gaussians(basis)
        self.full = nn.ModuleList(nn.Linear(2 * width + basis, 2 * width) for _ in range(2))
        self.norms1 = nn.ModuleList(nn.BatchNorm1d(2 * width) for _ in range(2))
        self.norms2 = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(2))
        self.fc, self.head = nn.Linear(width, width), nn.Linear(width, 1)

    def forward(self, kinds: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x, basis = self.table(kinds), self.basis(distances(places))
        for full, norm1, norm2 in zip(self.full, self.norms1, self.norms2, strict=True):
            mine = x[:, :, None].expand(-1, -1, ATOMS, -1)
            z = full(torch.cat([mine, mine.transpose(1, 2), basis], -1))
            gate, core = norm1(z.flatten(0, 2)).view_as(z).chunk(2, -1)
            summed = (torch.sigmoid(gate) * F.softplus(core)).sum(2)
            x = F.softplus(x + norm2(summed.flatten(0, 1)).view_as(x))
        return self.head(F.softplus(self.fc(F.softplus(x.mean(1)))))


class PaiNN(nn.Module):
    """Scalar messages of PaiNN (Schütt, Unke & Gastegger, 2021, equation 7): sines of distances make filters."""

    def __init__(self, width: int = 32, basis: int = 12, most: float = 5.0) -> None:
        super().__init__()
        self.table, self.most, self.count = nn.Embedding(KINDS, width), most, basis
        self.phi = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(2)
        )
        self.filters = nn.ModuleList(nn.Linear(basis, width) for _ in range(2))
        self.update = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(2)
        )
        self.out = nn.Sequential(nn.Linear(width, width // 2), nn.SiLU(), nn.Linear(width // 2, 1))

    def forward(self, kinds: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x, apart = self.table(kinds), distances(places)[..., None]
        turns = torch.arange(1, self.count + 1) * math.pi / self.most
        basis = torch.sin(apart * turns) / (apart + 1e-2)
        cut = 0.5 * (torch.cos(math.pi * apart / self.most) + 1) * (apart < self.most)
        others = 1 - torch.eye(ATOMS)[..., None]
        for phi, filters, update in zip(self.phi, self.filters, self.update, strict=True):
            x = x + (phi(x)[:, None] * filters(basis) * cut * others).sum(2)
            x = x + update(x)
        return self.out(x).sum(1)


class Egnn(nn.Module):
    """Invariant part of EGNN (Satorras, Hoogeboom & Welling, 2021, equations 3, 5, 6): edges read squared distances."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.table = nn.Embedding(KINDS, width)
        self.edge = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * width + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
            for _ in range(2)
        )
        self.node = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(2)
        )
        self.head = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, kinds: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x, squared = self.table(kinds), distances(places)[..., None] ** 2
        for edge, node in zip(self.edge, self.node, strict=True):
            mine = x[:, :, None].expand(-1, -1, ATOMS, -1)
            message = edge(torch.cat([mine, mine.transpose(1, 2), squared], -1)).sum(2)
            x = x + node(torch.cat([x, message], -1))
        return self.head(x.sum(1))


class Rbf(nn.Module):
    """Centres and widths that are learned, and a matrix (Broomhead & Lowe, 1988; Moody & Darken, 1989)."""

    def __init__(self, features: int = 3, centres: int = 64) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(centres, features))
        self.log_width = nn.Parameter(torch.zeros(centres))
        self.head = nn.Linear(centres, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        apart = (x[:, None] - self.centres).pow(2).sum(-1)
        return self.head(torch.exp(-apart * torch.exp(self.log_width)))


class DeepRbf(nn.Module):
    """Gaussians of each feature, and an MLP that reads them, as soft bins of numbers."""

    def __init__(self, features: int = 3, bins: int = 16) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(-3, 3, bins))
        self.net = nn.Sequential(
            nn.Linear(features * bins, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(torch.exp(-3 * (x[..., None] - self.centres) ** 2).flatten(1))


CASES = (
    Case("radial/schnet", SchNet, molecules, mse),
    Case("radial/cgcnn", Cgcnn, molecules, mse),
    Case("radial/painn_scalar", PaiNN, molecules, mse),
    Case("radial/egnn", Egnn, molecules, mse),
    Case("radial/rbf_network", Rbf, vectors(3, waves(3)), mse),
    Case("radial/soft_bins", DeepRbf, vectors(3, waves(3)), mse),
)
