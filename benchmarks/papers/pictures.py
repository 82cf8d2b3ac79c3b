"""Classifiers of pictures: CaiT, CoAtNet, GhostNet, SHViT, SigLIP's pooling, MobileNet, heads of angles."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.papers.case import Batch, Case, classes, digits


class Attention(nn.Module):
    """Self-attention; `talking`: heads mixed before and after the softmax (Touvron et al., CaiT, 2021)."""

    def __init__(self, width: int, heads: int = 4, talking: bool = False) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.before = nn.Linear(heads, heads) if talking else nn.Identity()
        self.after = nn.Linear(heads, heads) if talking else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        shares = self.before(scores.permute(0, 2, 3, 1)).softmax(2)
        shares = self.after(shares).permute(0, 3, 1, 2)
        return self.out((shares @ v).transpose(1, 2).flatten(2))


class ClassAttention(nn.Module):
    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.q, self.kv = heads, nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, token: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        q = self.q(token).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def feed(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class CaiT(nn.Module):
    """LayerScale of 10⁻¹, talking heads, class attention in the last two blocks; trunc_normal 0.02 as timm's."""

    def __init__(self, width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, width, 2, 2)
        self.place, self.token = nn.Parameter(torch.zeros(1, 49, width)), nn.Parameter(torch.zeros(1, 1, width))
        self.mixing = nn.ModuleList(Attention(width, talking=True) for _ in range(blocks))
        self.asking = nn.ModuleList(ClassAttention(width) for _ in range(2))
        self.feeds = nn.ModuleList(feed(width) for _ in range(blocks + 2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * blocks + 4))
        self.gammas = nn.ParameterList(nn.Parameter(0.1 * torch.ones(width)) for _ in range(2 * blocks + 4))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)
        for parameter in (self.place, self.token):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2) + self.place
        scaled = list(zip(self.norms, self.gammas, strict=True))
        for i, mixing in enumerate(self.mixing):
            (norm1, gamma1), (norm2, gamma2) = scaled[2 * i : 2 * i + 2]
            x = x + gamma1 * mixing(norm1(x))
            x = x + gamma2 * self.feeds[i](norm2(x))
        token = self.token.expand(len(x), -1, -1)
        for i, asking in enumerate(self.asking, len(self.mixing)):
            (norm1, gamma1), (norm2, gamma2) = scaled[2 * i : 2 * i + 2]
            token = token + gamma1 * asking(norm1(token), norm1(torch.cat([token, x], 1)))
            token = token + gamma2 * self.feeds[i](norm2(token))
        return self.head(self.norm(token[:, 0]))


class SigLip(nn.Module):
    """A pre-norm ViT whose answer a learned probe pools by attention (Zhai et al., 2023), as transformers has it."""

    def __init__(self, width: int = 32, blocks: int = 2) -> None:
        super().__init__()
        self.patch, self.place = nn.Conv2d(1, width, 2, 2), nn.Embedding(49, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * blocks))
        self.mixing, self.feeds = (
            nn.ModuleList(Attention(width) for _ in range(blocks)),
            nn.ModuleList(feed(width) for _ in range(blocks)),
        )
        self.last, self.probe = nn.LayerNorm(width), nn.Parameter(torch.randn(1, 1, width))
        self.pool, self.norm, self.feed = (
            nn.MultiheadAttention(width, 4, batch_first=True),
            nn.LayerNorm(width),
            feed(width),
        )
        self.head = nn.Linear(width, 10)
        nn.init.normal_(self.place.weight, std=1 / math.sqrt(width))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2) + self.place(torch.arange(49))
        for i, mixing in enumerate(self.mixing):
            x = x + mixing(self.norms[2 * i](x))
            x = x + self.feeds[i](self.norms[2 * i + 1](x))
        x = self.last(x)
        pooled, _ = self.pool(self.probe.expand(len(x), -1, -1), x, x)
        return self.head((pooled + self.feed(self.norm(pooled)))[:, 0])


def conv(given: int, made: int, size: int, stride: int = 1, groups: int = 1, bend: bool = True) -> nn.Sequential:
    layers = [nn.Conv2d(given, made, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(made)]
    return nn.Sequential(*layers, *([nn.ReLU()] if bend else []))


class Squeeze(nn.Module):
    """Squeeze and excite (Hu et al., 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, max(4, width // 4), 1), nn.Conv2d(max(4, width // 4), width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * F.hardsigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Ghost(nn.Module):
    """Half of the features by a cheap depthwise kernel of the other half (Han et al., GhostNet, 2020)."""

    def __init__(self, given: int, made: int, bend: bool = True) -> None:
        super().__init__()
        self.main, self.cheap = (
            conv(given, made // 2, 1, bend=bend),
            conv(made // 2, made // 2, 3, groups=made // 2, bend=bend),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.main(x)
        return torch.cat([x, self.cheap(x)], 1)


class GhostBlock(nn.Module):
    def __init__(self, given: int, middle: int, made: int, stride: int) -> None:
        super().__init__()
        self.one = Ghost(given, middle)
        self.down = conv(middle, middle, 3, stride, middle, bend=False) if stride > 1 else nn.Identity()
        self.squeeze, self.two = Squeeze(middle), Ghost(middle, made, bend=False)
        self.short = nn.Identity() if stride == 1 and given == made else nn.Sequential(
            conv(given, given, 3, stride, given, bend=False), conv(given, made, 1, bend=False)
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(self.squeeze(self.down(self.one(x)))) + self.short(x)


def pooled(width: int, *body: nn.Module) -> nn.Module:
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def ghost_net() -> nn.Module:
    blocks = [
        GhostBlock(*sizes)
        for sizes in ((16, 24, 16, 1), (16, 48, 24, 2), (24, 64, 24, 1), (24, 96, 32, 2), (32, 96, 32, 1))
    ]
    return pooled(96, conv(1, 16, 3), *blocks, conv(32, 96, 1))


def mobile_net() -> nn.Module:
    """Depthwise and pointwise kernels in turn (Howard et al., 2017)."""
    sizes = ((16, 32, 1), (32, 48, 2), (48, 48, 1), (48, 64, 2), (64, 64, 1))
    return pooled(64, conv(1, 16, 3), *(m for a, b, s in sizes for m in (conv(a, a, 3, s, a), conv(a, b, 1))))


class SingleHead(nn.Module):
    """Attention of one head over a part of the channels (Yun & Ro, SHViT, 2024)."""

    def __init__(self, width: int, part: int = 12, key: int = 8) -> None:
        super().__init__()
        self.part, self.key, self.norm = part, key, nn.GroupNorm(1, part)
        self.qkv = conv(part, 2 * key + part, 1, bend=False)
        self.out = nn.Sequential(nn.ReLU(), conv(width, width, 1, bend=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        some, rest = x[:, : self.part], x[:, self.part :]
        q, k, v = self.qkv(self.norm(some)).flatten(2).split([self.key, self.key, self.part], 1)
        shares = (q.transpose(1, 2) @ k / math.sqrt(self.key)).softmax(-1)
        made = (v @ shares.transpose(1, 2)).view_as(some)
        return self.out(torch.cat([made, rest], 1))


class ShBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.local, self.mix = conv(width, width, 3, groups=width, bend=False), SingleHead(width)
        self.feed = nn.Sequential(conv(width, 2 * width, 1), conv(2 * width, width, 1, bend=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.local(x)
        x = x + self.mix(x)
        return x + self.feed(x)


def sh_vit() -> nn.Module:
    return pooled(48, conv(1, 24, 3, 2), conv(24, 48, 3, 1), ShBlock(48), ShBlock(48))


class MbConv(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.body = nn.Sequential(
            conv(width, 2 * width, 1), conv(2 * width, 2 * width, 3, groups=2 * width), Squeeze(2 * width)
        )
        self.last = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.last(self.body(self.norm(x)))


class CoAtNet(nn.Module):
    """Convolutional blocks, then relative attention (Dai et al., 2021, section 2)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(1, 16, 3), nn.Conv2d(16, width, 3, 2, 1))
        self.convs = nn.Sequential(MbConv(width), MbConv(width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.mixing, self.feeds = (
            nn.ModuleList(Attention(width) for _ in range(2)),
            nn.ModuleList(feed(width) for _ in range(2)),
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.convs(self.stem(x)).flatten(2).transpose(1, 2)
        for i, mixing in enumerate(self.mixing):
            x = x + mixing(self.norms[2 * i](x))
            x = x + self.feeds[i](self.norms[2 * i + 1](x))
        return self.head(self.norm(x.mean(1)))


def labelled(drawn: torch.Generator) -> Batch:
    (images,), labels = digits(14, 64)(drawn)
    return (images, labels), labels


class Angles(nn.Module):
    """Cosines of features and classes, with a margin to the right one, times s = 16.

    "arc": cos(θ + m) (Deng et al., 2019), "cos": cos θ − m (Wang et al., 2018), "sphere": |x|·ψ(θ) with cos 2θ, blended
    with λ = 5 (Liu et al., 2017).
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.body = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.PReLU(16), nn.Conv2d(16, 32, 3, 2, 1), nn.PReLU(32))
        self.embed = nn.Linear(32 * 16, 32)
        self.norm = nn.BatchNorm1d(32) if kind == "arc" else nn.Identity()
        self.weight = nn.Parameter(torch.empty(10, 32))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.embed(self.body(x).flatten(1)))
        cosine = F.linear(F.normalize(x), F.normalize(self.weight)).clamp(-1 + 1e-6, 1 - 1e-6)
        told = F.one_hot(labels, 10).bool()
        if self.kind == "arc":
            return 16 * torch.where(told, torch.cos(torch.acos(cosine) + 0.2), cosine)
        if self.kind == "cos":
            return 16 * torch.where(told, cosine - 0.2, cosine)
        turn = (cosine < 0).float()
        psi = (1 - 2 * turn) * (2 * cosine**2 - 1) - 2 * turn
        return x.norm(dim=1, keepdim=True) * torch.where(told, (5 * cosine + psi) / 6, cosine)


CASES = (
    Case("pictures/cait", CaiT, digits(14, 32), classes),
    Case("pictures/siglip", SigLip, digits(14, 32), classes),
    Case("pictures/ghostnet", ghost_net, digits(14, 32), classes),
    Case("pictures/mobilenet", mobile_net, digits(14, 32), classes),
    Case("pictures/shvit", sh_vit, digits(14, 32), classes),
    Case("pictures/coatnet", CoAtNet, digits(14, 32), classes),
    Case("angles/arcface", partial(Angles, "arc"), labelled, classes),
    Case("angles/cosface", partial(Angles, "cos"), labelled, classes),
    Case("angles/sphereface", partial(Angles, "sphere"), labelled, classes),
)
