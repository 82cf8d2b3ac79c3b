"""Small models with the structures that recipes need, for the tests of recipes."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

D, HEADS = 32, 2


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(D, D) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part(x).view(*x.shape[:2], HEADS, -1).transpose(1, 2) for part in (self.q, self.k, self.v))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    """A transformer block: norms before ("pre"), after ("post"), none with factors ("scale"), or none."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.attention = form, Attention()
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)
        if form in ("pre", "post"):
            self.norm_1, self.norm_2 = nn.LayerNorm(D), nn.LayerNorm(D)
        if form == "scale":
            self.scale_1, self.scale_2 = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def mlp(h: torch.Tensor) -> torch.Tensor:
            return self.down(torch.relu(self.up(h)))

        if self.form == "pre":
            x = x + self.attention(self.norm_1(x))
            return x + mlp(self.norm_2(x))
        if self.form == "post":
            x = self.norm_1(x + self.attention(x))
            return self.norm_2(x + mlp(x))
        if self.form == "scale":
            x = x + self.attention(x) * self.scale_1
            return x + mlp(x) * self.scale_2
        x = x + self.attention(x)
        return x + mlp(x)


class Transformer(nn.Module):
    def __init__(self, form: str = "pre", depth: int = 3) -> None:
        super().__init__()
        self.tokens, self.blocks = nn.Embedding(40, D), nn.ModuleList(Block(form) for _ in range(depth))
        self.head = nn.Linear(D, 40)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, D, 4, stride=4), nn.Parameter(torch.zeros(1, 1, D))
        self.position = nn.Parameter(torch.zeros(1, 5, D))
        self.blocks, self.norm = nn.ModuleList(Block("pre") for _ in range(2)), nn.LayerNorm(D)
        self.head = nn.Linear(D, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.patch(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(len(h), -1, -1), h], 1) + self.position
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h)[:, 0])


class DiTBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(D, elementwise_affine=False)
        self.attention, self.ada = Attention(), nn.Linear(D, 3 * D)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        shift, scale, gate = self.ada(F.silu(c)).chunk(3, -1)
        h = self.norm(x) * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)
        return x + gate.unsqueeze(1) * self.attention(h)


class DiT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.labels, self.step = nn.Conv2d(3, D, 4, stride=4), nn.Embedding(10, D), nn.Linear(8, D)
        self.blocks, self.head = nn.ModuleList(DiTBlock() for _ in range(2)), nn.Linear(D, 48)

    def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        h, c = self.patch(x).flatten(2).transpose(1, 2), self.step(t) + self.labels(y)
        for block in self.blocks:
            h = block(h, c)
        return self.head(h)


class Conv(nn.Module):
    """A residual convolutional network: with norms, with a factor on each branch, or with neither."""

    def __init__(self, form: str = "norm") -> None:
        super().__init__()
        self.form, self.stem, self.head = form, nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Linear(8, 10)
        self.one = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(4))
        self.two = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(4))
        if form == "norm":
            self.norm_1 = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(4))
            self.norm_2 = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(4))
        if form == "scale":
            self.scales = nn.ParameterList(nn.Parameter(torch.ones(8, 1, 1)) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        for i in range(4):
            h = self.one[i](x)
            h = torch.relu(self.norm_1[i](h) if self.form == "norm" else h)
            h = self.two[i](h)
            h = self.norm_2[i](h) if self.form == "norm" else h
            x = torch.relu(x + (h * self.scales[i] if self.form == "scale" else h))
        return self.head(x.mean((2, 3)))


class ActorCritic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.actor, self.critic = nn.Linear(8, D), nn.Linear(D, 4), nn.Linear(D, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = torch.tanh(self.body(x))
        return self.actor(h), self.critic(h)


class Equalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight * (1 / math.sqrt(8)))


class Adapted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(16, 16)
        self.lora_A, self.lora_B = nn.Linear(16, 4, bias=False), nn.Linear(4, 16, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.lora_B(self.lora_A(x))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(8, 16, nonlinearity="relu"), nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0])


IDS, IMAGES, ROWS = torch.arange(12).view(2, 6), torch.randn(2, 3, 8, 8), torch.randn(4, 8)
DIFFUSION = (IMAGES, torch.randn(2, 8), torch.tensor([1, 2]))
