"""Discrete codes: vector quantisation, Gumbel-softmax, rounding, memories that a softmax reads."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.papers.case import Batch, Case, chain, classes, digits, itself, mse, mse_and_more


class Quantiser(nn.Module):
    """Nearest rows of a codebook, straight through (van den Oord et al., 2017, equations 1 to 3)."""

    def __init__(self, codes: int, width: int, beta: float = 0.25) -> None:
        super().__init__()
        self.codes, self.beta = nn.Embedding(codes, width), beta
        self.codes.weight.data.uniform_(-1 / codes, 1 / codes)

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = z.reshape(-1, z.shape[-1])
        table = self.codes.weight
        distances = flat.pow(2).sum(1, keepdim=True) - 2 * flat @ table.t() + table.pow(2).sum(1)
        near = self.codes(distances.argmin(1)).view_as(z)
        loss = F.mse_loss(near, z.detach()) + self.beta * F.mse_loss(z, near.detach())
        return z + (near - z).detach(), loss


class VQMlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(196, 128), nn.ReLU(), nn.Linear(128, 128))
        self.quantiser = Quantiser(64, 16)
        self.decoder = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 196))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z, loss = self.quantiser(self.encoder(x).view(len(x), 8, 16))
        return self.decoder(z.flatten(1)), loss


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width // 2, 3, padding=1), nn.ReLU(), nn.Conv2d(width // 2, width, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x)


class VQConv(nn.Module):
    """The paper's: two strided convolutions, residual blocks, codes at each place, and the same back."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width // 2, 4, 2, 1), nn.ReLU(), nn.Conv2d(width // 2, width, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), Residual(width), Residual(width), nn.ReLU(), nn.Conv2d(width, 16, 1),
        )  # fmt: skip
        self.quantiser = Quantiser(64, 16)
        self.decoder = nn.Sequential(
            nn.Conv2d(16, width, 3, padding=1), Residual(width), Residual(width), nn.ReLU(),
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width // 2, 1, 4, 2, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z, loss = self.quantiser(self.encoder(x).permute(0, 2, 3, 1))
        return self.decoder(z.permute(0, 3, 1, 2)), loss


class ResidualVQ(nn.Module):
    """Codes of what codes left, of waves (Zeghidour et al., SoundStream, 2021, section III C)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv1d(1, 16, 7, padding=3), nn.ELU(), nn.Conv1d(16, 32, 4, 2, 1), nn.ELU(), nn.Conv1d(32, 16, 4, 2, 1)
        )
        self.quantisers = nn.ModuleList(Quantiser(32, 16) for _ in range(3))
        self.decoder = nn.Sequential(
            nn.ConvTranspose1d(16, 32, 4, 2, 1), nn.ELU(), nn.ConvTranspose1d(32, 16, 4, 2, 1), nn.ELU(),
            nn.Conv1d(16, 1, 7, padding=3),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Any]:
        rest, whole, loss = self.encoder(x).transpose(1, 2), 0.0, 0.0
        for quantiser in self.quantisers:
            near, added = quantiser(rest)
            rest, whole, loss = rest - near.detach(), whole + near, loss + added
        return self.decoder(whole.transpose(1, 2)), loss


def tones(drawn: torch.Generator) -> Batch:
    places = torch.linspace(0, 1, 64)
    speed, phase = 2 + 10 * torch.rand(32, 2, 1, generator=drawn), 6.3 * torch.rand(32, 2, 1, generator=drawn)
    wave = torch.sin(6.3 * speed * places + phase).sum(1, keepdim=True)
    return (wave,), wave


class GumbelVae(nn.Module):
    """Categorical latents (Jang, Gu & Poole, 2017): 16 of 8 classes, temperature 1, KL from uniform."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(196, 128), nn.ReLU(), nn.Linear(128, 128))
        self.decoder = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 196))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.encoder(x).view(len(x), 16, 8)
        shares = F.gumbel_softmax(logits, tau=1.0)
        odds = F.log_softmax(logits, -1)
        divergence = (odds.exp() * (odds + math.log(8))).sum((1, 2)).mean()
        return self.decoder(shares.flatten(1)), 1e-3 * divergence


class DVae(nn.Module):
    """DALL·E's: logits of tokens at each place, Gumbel shares of a codebook's rows (Ramesh et al., 2021)."""

    def __init__(self, width: int = 32, tokens: int = 64) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 4, 2, 1), nn.ReLU(), Residual(width),
            nn.Conv2d(width, tokens, 1),
        )  # fmt: skip
        self.codebook = nn.Embedding(tokens, 24)
        self.decoder = nn.Sequential(
            nn.Conv2d(24, width, 1), Residual(width), nn.ConvTranspose2d(width, width, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, 2, 1), nn.ReLU(), nn.Conv2d(width, 1, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = F.gumbel_softmax(self.encoder(x), tau=0.9, dim=1)
        return self.decoder(torch.einsum("bnhw,nd->bdhw", shares, self.codebook.weight))


class BinaryConcrete(nn.Module):
    """Relaxed bits (Maddison, Mnih & Teh, 2017, section 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.to_bits = nn.Linear(196, 128), nn.Linear(128, 64)
        self.from_bits, self.last = nn.Linear(64, 128), nn.Linear(128, 196)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.to_bits(F.relu(self.first(x)))
        u = torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)
        bits = torch.sigmoid((logits + torch.log(u) - torch.log1p(-u)) / 0.66)
        return self.last(F.relu(self.from_bits(bits)))


class Fsq(nn.Module):
    """Finite scalar quantisation (Mentzer et al., 2024, section 3.1), five levels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(196, 128), nn.GELU(), nn.Linear(128, 24))
        self.decoder = nn.Sequential(nn.Linear(24, 128), nn.GELU(), nn.Linear(128, 196))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = 2 * torch.tanh(self.encoder(x))
        return self.decoder((z + (z.round() - z).detach()) / 2)


class Memory(nn.Module):
    """Learned keys and values that a softmax reads, in place of an MLP's second half (Sukhbaatar et al., 2019)."""

    def __init__(self, tokens: int = 64, width: int = 32, slots: int = 128) -> None:
        super().__init__()
        self.table, self.query = nn.Embedding(tokens, width), nn.Linear(width, width)
        self.keys, self.values = nn.Parameter(torch.randn(slots, width)), nn.Parameter(torch.randn(slots, width))
        self.head = nn.Linear(width, tokens)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        query = self.query(self.table(tokens))
        shares = torch.softmax(query @ self.keys.t() / math.sqrt(query.shape[-1]), -1)
        return self.head(shares @ self.values)


CASES = (
    Case("codes/vq_vae_mlp", VQMlp, itself(digits(flat=True)), mse_and_more),
    Case("codes/vq_vae_conv", VQConv, itself(digits(28, 24)), mse_and_more),
    Case("codes/residual_vq", ResidualVQ, tones, mse_and_more),
    Case("codes/gumbel_vae", GumbelVae, itself(digits(flat=True)), mse_and_more),
    Case("codes/dvae", DVae, itself(digits(28, 24)), mse),
    Case("codes/binary_concrete", BinaryConcrete, itself(digits(flat=True)), mse),
    Case("codes/fsq", Fsq, itself(digits(flat=True)), mse),
    Case("codes/memory", partial(Memory), chain(), classes),
)
