"""Networks that others steer or gate: FiLM, hypernetworks, experts, capsules, highways, gated convolutions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.papers.case import Batch, Case, chain, classes, digits, fixed, mse, vectors, waves


def conditional(drawn: torch.Generator) -> Batch:
    """(x, c) and a function of x that c, of four numbers, steers."""
    x, c = torch.randn(64, 8, generator=drawn), torch.randn(64, 4, generator=drawn)
    return (x, c), torch.tanh((x @ fixed(8, 4) / 2.8) * (1 + c)).sum(1, keepdim=True) / 2 + c[:, :1] / 2


class FilmMlp(nn.Module):
    """γ(c) ⊙ h + β(c) before each ReLU (Perez et al., 2018, equation 2)."""

    def __init__(self, width: int = 64, given: int = 8, steer: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(given, width), nn.Linear(width, width)])
        self.films = nn.ModuleList(nn.Linear(steer, 2 * width) for _ in range(2))
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        for layer, film in zip(self.layers, self.films, strict=True):
            gamma, beta = film(c).chunk(2, -1)
            x = F.relu(gamma * layer(x) + beta)
        return self.head(x)


class FilmMade(nn.Module):
    """The same where an MLP makes all γ and β at once, with 1 + γ (as in the authors' later code)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        self.make = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 4 * width))
        self.layers = nn.ModuleList([nn.Linear(8, width), nn.Linear(width, width)])
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        made = self.make(c).view(len(c), 2, 2, self.width)
        for index, layer in enumerate(self.layers):
            x = torch.relu((1 + made[:, index, 0]) * layer(x) + made[:, index, 1])
        return self.head(x)


def asked(drawn: torch.Generator) -> Batch:
    (images,), labels = digits(14, 64)(drawn)
    question = torch.randint(10, (64,), generator=drawn)
    same = torch.rand(64, generator=drawn) < 0.5
    question = torch.where(same, labels, question)
    return (images, question), (question == labels).long()


class FilmConv(nn.Module):
    """Residual blocks: convolution, norm without scale, FiLM, ReLU (Perez et al., 2018, figure 3). This digit?"""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.asked, self.stem = nn.Embedding(10, 32), nn.Conv2d(1, width, 3, 2, 1)
        self.film = nn.ModuleList(nn.Linear(32, 2 * width) for _ in range(2))
        self.conv1 = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(2))
        self.conv2 = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.norm = nn.ModuleList(nn.BatchNorm2d(width, affine=False) for _ in range(2))
        self.head = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, x: torch.Tensor, question: torch.Tensor) -> torch.Tensor:
        x, q = F.relu(self.stem(x)), self.asked(question)
        for film, conv1, conv2, norm in zip(self.film, self.conv1, self.conv2, self.norm, strict=True):
            gamma, beta = film(q)[..., None, None].chunk(2, 1)
            x = F.relu(conv1(x))
            x = x + F.relu(gamma * norm(conv2(x)) + beta)
        return self.head(x.amax((2, 3)))


class Hyper(nn.Module):
    """A network whose weights another makes of c (Ha, Dai & Le, 2017), in one linear layer each."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.width = width
        self.body = nn.Sequential(nn.Linear(4, 32), nn.ReLU())
        self.weight1, self.bias1 = nn.Linear(32, 8 * width), nn.Linear(32, width)
        self.weight2, self.bias2 = nn.Linear(32, width), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        c = self.body(c)
        hidden = torch.einsum("bi,bio->bo", x, self.weight1(c).view(-1, 8, self.width)) + self.bias1(c)
        return (torch.relu(hidden) * self.weight2(c)).sum(1, keepdim=True) + self.bias2(c)


class Experts(nn.Module):
    """A softmax weighs what experts say (Jacobs et al., 1991)."""

    def __init__(self, experts: int = 4) -> None:
        super().__init__()
        self.gate = nn.Linear(4, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1)) for _ in range(experts)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = torch.softmax(self.gate(x), -1)
        said = torch.stack([expert(x) for expert in self.experts], 1)
        return (shares[..., None] * said).sum(1)


def squash(s: torch.Tensor) -> torch.Tensor:
    squared = s.pow(2).sum(-1, keepdim=True)
    return squared / (1 + squared) * s / (squared + 1e-8).sqrt()


def margins(lengths: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    told = F.one_hot(labels, 10).float()
    return (told * F.relu(0.9 - lengths) ** 2 + 0.5 * (1 - told) * F.relu(lengths - 0.1) ** 2).sum(1).mean()


def routed(votes: torch.Tensor, rounds: int = 3) -> torch.Tensor:
    """Routing by agreement of votes (rows, inputs, outputs, size)."""
    b = torch.zeros(votes.shape[:3])
    for step in range(rounds):
        v = squash((torch.softmax(b, 2)[..., None] * votes).sum(1))
        if step < rounds - 1:
            b = b + (votes.detach() * v.detach()[:, None]).sum(-1)
    return v


class Capsules(nn.Module):
    """Dynamic routing (Sabour, Frosst & Hinton, 2017), small; W is 0.01·N(0, 1), as the well-known PyTorch code has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.primary = nn.Conv2d(1, 32, 5), nn.Conv2d(32, 32, 5, 2)
        self.W = nn.Parameter(0.01 * torch.randn(36, 10, 12, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.primary(F.relu(self.conv(x)))
        u = squash(u.view(len(u), 4, 8, -1).permute(0, 1, 3, 2).reshape(len(u), -1, 8))
        return routed(torch.einsum("iodk,bik->biod", self.W, u)).norm(dim=-1)


class CapsuleMlp(nn.Module):
    """Capsules of a dense layer, and a matrix each as torch's layers begin."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(196, 16 * 8)
        self.votes = nn.ModuleList(nn.Linear(8, 10 * 12, bias=False) for _ in range(16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = squash(self.fc(x).view(-1, 16, 8))
        votes = torch.stack([vote(u[:, i]).view(-1, 10, 12) for i, vote in enumerate(self.votes)], 1)
        return routed(votes).norm(dim=-1)


class Highway(nn.Module):
    """T(x)·H(x) + (1 − T(x))·x, the gate's bias −2 (Srivastava, Greff & Schmidhuber, 2015, section 2)."""

    def __init__(self, width: int, bias: float = -2.0) -> None:
        super().__init__()
        self.plain, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        self.gate.bias.data.fill_(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.gate(x))
        return gate * F.relu(self.plain(x)) + (1 - gate) * x


class HighwayMlp(nn.Sequential):
    def __init__(self, depth: int = 10, width: int = 50) -> None:
        super().__init__(
            nn.Linear(196, width), nn.ReLU(), *(Highway(width) for _ in range(depth)), nn.Linear(width, 10)
        )


class CharHighway(nn.Module):
    """Convolutions of several widths, max over time, highways (Kim et al., 2016), of the last four tokens."""

    def __init__(self, tokens: int = 64) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens, 16)
        self.convs = nn.ModuleList(nn.Conv1d(16, 32, size) for size in (1, 2, 3))
        self.highways, self.head = nn.Sequential(Highway(96), Highway(96)), nn.Linear(96, tokens)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(F.pad(tokens, (3, 0)).unfold(1, 4, 1).flatten(0, 1)).transpose(1, 2)
        made = torch.cat([torch.tanh(conv(x)).amax(2) for conv in self.convs], 1)
        return self.head(self.highways(made)).view(*tokens.shape, -1)


class GatedConv(nn.Module):
    """Gated linear units over tokens (Dauphin et al., 2017), residual."""

    def __init__(self, tokens: int = 64, width: int = 32) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(tokens, width), nn.Linear(width, tokens)
        self.convs = nn.ModuleList(nn.Conv1d(width, 2 * width, 3) for _ in range(3))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens).transpose(1, 2)
        for conv in self.convs:
            x = x + F.glu(conv(F.pad(x, (2, 0))), 1)
        return self.head(x.transpose(1, 2))


class Maxout(nn.Module):
    """The largest of four linear functions (Goodfellow et al., 2013)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(196, 4 * 48), nn.Linear(48, 4 * 48), nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.first, self.second):
            x = layer(x).view(len(x), -1, 4).amax(-1)
        return self.head(x)


CASES = (
    Case("conditioned/film_mlp", FilmMlp, conditional, mse),
    Case("conditioned/film_made", FilmMade, conditional, mse),
    Case("conditioned/film_conv", FilmConv, asked, classes),
    Case("conditioned/hypernetwork", Hyper, conditional, mse),
    Case("conditioned/experts", Experts, vectors(4, waves(4)), mse),
    Case("capsules/routing", Capsules, digits(14, 32), margins),
    Case("capsules/dense", CapsuleMlp, digits(14, 64, flat=True), margins),
    Case("highway/mlp", HighwayMlp, digits(14, 64, flat=True), classes),
    Case("highway/characters", CharHighway, chain(rows=8), classes),
    Case("highway/gated_convolutions", GatedConv, chain(), classes),
    Case("highway/maxout", Maxout, digits(14, 64, flat=True), classes),
)
