"""More small models with the structures that recipes need: experts, fields, diffusion, and what is added to a model."""

from __future__ import annotations

import torch
from recipe_zoo import Attention, Block, D, Transformer
from torch import nn
from torch.nn import functional as F


class Experts(nn.Module):
    """A mixture of four experts, of which the router chooses one for each row."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.norm = nn.Linear(D, 4), nn.LayerNorm(D)
        self.up, self.down = (nn.ModuleList(nn.Linear(a, b) for _ in range(4)) for a, b in ((D, 2 * D), (2 * D, D)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(x)
        share, chosen = self.router(h).softmax(-1).topk(1, -1)
        made = torch.stack([down(F.silu(up(h))) for up, down in zip(self.up, self.down, strict=True)], -2)
        picked = made.gather(-2, chosen.unsqueeze(-1).expand(*chosen.shape, D))
        return x + (picked * share.unsqueeze(-1)).sum(-2)


class MixtureOfExperts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.blocks = nn.Embedding(40, D), nn.ModuleList(Experts() for _ in range(2))
        self.head = nn.Linear(D, 40)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Metaformer(nn.Module):
    """Blocks of pooling and an MLP with StarReLU, each branch scaled (PoolFormer) or not."""

    def __init__(self, scaled: bool = True) -> None:
        super().__init__()
        self.patch, self.head = nn.Conv2d(3, D, 4, stride=4), nn.Linear(D, 10)
        self.norm, self.up, self.down = nn.GroupNorm(1, D), nn.Conv2d(D, 4 * D, 1), nn.Conv2d(4 * D, D, 1)
        self.factor, self.shift = nn.Parameter(torch.full((1,), 3.0)), nn.Parameter(torch.full((1,), 3.0))
        self.scale = nn.Parameter(torch.ones(D, 1, 1)) if scaled else 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x)
        h = self.factor * torch.relu(self.up(self.norm(x))) ** 2 + self.shift
        x = x + self.scale * self.down(h)
        return self.head(x.mean((2, 3)))


class GatedBlock(Block):
    """A pre-norm block whose MLP is a gated unit."""

    def __init__(self) -> None:
        super().__init__("pre")
        self.gate = nn.Linear(D, 4 * D, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm_1(x))
        h = self.norm_2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(Transformer):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(GatedBlock() for _ in range(2))


class UNet(nn.Module):
    """One level down and up, residual convolutions that know the step, and the skip that joins."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down, self.up = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, 1), nn.Conv2d(8, 8, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(2, 8) for _ in range(4))
        self.one, self.two = (nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(2)) for _ in range(2))
        self.step, self.join, self.head = nn.Linear(8, 8), nn.Conv2d(16, 8, 1), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        step, x = self.step(t)[..., None, None], self.stem(x)
        x = self.block(0, x, step)
        low = self.up(F.interpolate(self.down(x), scale_factor=2.0))
        x = self.block(1, self.join(torch.cat([x, low], 1)), step)
        return self.head(F.silu(x))

    def block(self, i: int, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        h = self.one[i](F.silu(self.norms[2 * i](x))) + step
        return x + self.two[i](F.silu(self.norms[2 * i + 1](h)))


class Sines(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.head = nn.Linear(2, 64), nn.Linear(64, 64), nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.sin(30 * self.inner(torch.sin(30 * self.first(x)))))


class Field(nn.Module):
    """A radiance field: sines of the coordinates, which join again, density and colour."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(12, 64), nn.Linear(64 + 12, 64)
        self.density, self.colour = nn.Linear(64, 1), nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.two(torch.cat([torch.relu(self.one(x)), x], -1)))
        return torch.cat([self.density(h), self.colour(h)], -1)


class Bottleneck(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(D, 8), nn.Linear(8, D)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h + self.up(F.gelu(self.down(h)))


class AdaptedBlock(Block):
    """A pre-norm block with a bottleneck after each branch."""

    def __init__(self) -> None:
        super().__init__("pre")
        self.first, self.second = Bottleneck(), Bottleneck()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.first(self.attention(self.norm_1(x)))
        return x + self.second(self.down(torch.relu(self.up(self.norm_2(x)))))


class WithAdapters(Transformer):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AdaptedBlock() for _ in range(2))


class WithPrompt(Transformer):
    """Ten learned tokens before the input's."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt = nn.Embedding(10, D)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        tokens = self.prompt(torch.arange(10)).expand(len(ids), -1, -1)
        x = torch.cat([tokens, self.tokens(ids)], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(x[:, 10:])


class PrefixedAttention(Attention):
    """Attention before whose keys and values stand some that an MLP makes of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.prefix = nn.Embedding(10, D)
        self.maps = nn.Sequential(nn.Linear(D, 16), nn.Tanh(), nn.Linear(16, 2 * D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keys, values = self.maps(self.prefix(torch.arange(10))).expand(len(x), -1, -1).chunk(2, -1)
        made = F.scaled_dot_product_attention(
            self.q(x), torch.cat([keys, self.k(x)], 1), torch.cat([values, self.v(x)], 1)
        )
        return self.out(made)


class WithPrefix(Transformer):
    def __init__(self) -> None:
        super().__init__()
        for block in self.blocks:
            block.attention = PrefixedAttention()


PLACES, ENCODED, STEPPED = torch.rand(4, 2) * 2 - 1, torch.rand(4, 12), (torch.randn(2, 3, 8, 8), torch.randn(2, 8))


class Gated(nn.Module):
    """An LSTM or a GRU, and what reads it."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.rnn, self.head = kind(8, 16), nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0])


class SubPixel(nn.Module):
    """Super-resolution: a convolution whose output is shuffled into 2×2 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.up = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shuffle(self.up(torch.relu(self.body(x))))


class StateSpace(nn.Module):
    """A selective state-space block, its decay by number of the state (mamba) or by head (mamba2)."""

    def __init__(self, by_head: bool) -> None:
        super().__init__()
        self.by_head, inner = by_head, 2 * D
        self.norm, self.into, self.out = nn.LayerNorm(D), nn.Linear(D, 2 * inner), nn.Linear(inner, D)
        self.conv = nn.Conv1d(inner, inner, 4, groups=inner, padding=3)
        self.shares, self.step = nn.Linear(inner, 8, bias=False), nn.Linear(inner, inner, bias=not by_head)
        self.log_decay = nn.Parameter(torch.full((inner,) if by_head else (inner, 4), 7.0))
        self.skip = nn.Parameter(torch.full((inner,), 7.0))
        if by_head:
            self.step_bias = nn.Parameter(torch.full((inner,), 7.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, gate = self.into(self.norm(x)).chunk(2, -1)
        h = F.silu(self.conv(h.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
        into, out = self.shares(h).chunk(2, -1)
        step = F.softplus(self.step(h) + self.step_bias if self.by_head else self.step(h))
        decay = -torch.exp(self.log_decay)
        decay = decay.unsqueeze(-1) if self.by_head else decay
        state, made = x.new_zeros(len(x), h.shape[-1], 4), []
        for t in range(x.shape[1]):
            state = torch.exp(step[:, t, :, None] * decay) * state
            state = state + (step[:, t] * h[:, t])[..., None] * into[:, t, None]
            made.append((state * out[:, t, None]).sum(-1))
        y = torch.stack(made, 1) + h * self.skip
        return x + self.out(y * F.silu(gate))


class StateSpaces(Transformer):
    def __init__(self, by_head: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(StateSpace(by_head) for _ in range(2))


class Memory(nn.Module):
    """RWKV's two branches: a past weighed by exponentials, and a squared ReLU, each with a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(D) for _ in range(2))
        self.key, self.value, self.gate, self.out = (nn.Linear(D, D, bias=False) for _ in range(4))
        self.up, self.down, self.second_gate = nn.Linear(D, 4 * D, False), nn.Linear(4 * D, D, False), nn.Linear(D, D)
        self.decay = nn.Parameter(torch.linspace(-5, 3, D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norms[0](x)
        key, value = torch.exp(self.key(h)), self.value(h)
        above, below, made = torch.zeros_like(h[:, 0]), torch.zeros_like(h[:, 0]) + 1e-8, []
        for t in range(x.shape[1]):
            fade = torch.exp(-torch.exp(self.decay))
            above, below = fade * above + key[:, t] * value[:, t], fade * below + key[:, t]
            made.append(above / below)
        x = x + self.out(torch.sigmoid(self.gate(h)) * torch.stack(made, 1))
        h = self.norms[1](x)
        return x + torch.sigmoid(self.second_gate(h)) * self.down(torch.relu(self.up(h)) ** 2)


class Memories(Transformer):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Memory() for _ in range(2))


class Admin(nn.Module):
    """Post-norm blocks with a factor vector on every skip."""

    def __init__(self, depth: int = 3) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(40, D), nn.Linear(D, 40)
        self.attention, self.norms = nn.ModuleList(Attention() for _ in range(depth)), nn.ModuleList()
        self.up, self.down = (nn.ModuleList(nn.Linear(a, b) for _ in range(depth)) for a, b in ((D, 64), (64, D)))
        self.norms = nn.ModuleList(nn.LayerNorm(D) for _ in range(2 * depth))
        self.omega = nn.ParameterList(nn.Parameter(torch.full((D,), 7.0)) for _ in range(2 * depth))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        for i, attention in enumerate(self.attention):
            x = self.norms[2 * i](attention(x) + x * self.omega[2 * i])
            made = self.down[i](torch.relu(self.up[i](x)))
            x = self.norms[2 * i + 1](made + x * self.omega[2 * i + 1])
        return self.head(x)


class LowRank(nn.Module):
    """A frozen loaded weight with an adapter of scaling 2 beside it, under names that no library gives."""

    def __init__(self) -> None:
        super().__init__()
        self.old, self.a, self.b = nn.Linear(24, 16), nn.Linear(24, 4, False), nn.Linear(4, 16, False)
        self.old.requires_grad_(False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.old(x) + self.b(self.a(F.dropout(x, 0.1, self.training))) * 2.0


WIDE = torch.randn(5, 24)
