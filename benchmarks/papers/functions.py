"""Functions and operators: Kolmogorov-Arnold networks, Fourier and other neural operators, small regressors."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.papers.case import Batch, Case, classes, digits, linear, mse, vectors, waves


class KanLayer(nn.Module):
    """B-splines beside silu, as efficient-kan begins them (Liu et al., KAN, 2024)."""

    def __init__(self, given: int, made: int, grid: int = 5, order: int = 3) -> None:
        super().__init__()
        step = 2 / grid
        self.order = order
        self.register_buffer("grid", (torch.arange(-order, grid + order + 1) * step - 1).expand(given, -1).contiguous())
        self.base = nn.Parameter(torch.empty(made, given))
        self.spline = nn.Parameter(torch.empty(made, given, grid + order))
        self.scaler = nn.Parameter(torch.empty(made, given))
        nn.init.kaiming_uniform_(self.base, a=math.sqrt(5))
        nn.init.kaiming_uniform_(self.scaler, a=math.sqrt(5))
        with torch.no_grad():
            self.spline.uniform_(-0.05 / grid, 0.05 / grid)

    def bases(self, x: torch.Tensor) -> torch.Tensor:
        x, grid = x[..., None], self.grid
        bases = ((x >= grid[:, :-1]) & (x < grid[:, 1:])).to(x.dtype)
        for k in range(1, self.order + 1):
            left = (x - grid[:, : -(k + 1)]) / (grid[:, k:-1] - grid[:, : -(k + 1)]) * bases[..., :-1]
            right = (grid[:, k + 1 :] - x) / (grid[:, k + 1 :] - grid[:, 1:-k]) * bases[..., 1:]
            bases = left + right
        return bases

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.spline * self.scaler[..., None]
        return F.linear(F.silu(x), self.base) + F.linear(self.bases(x).flatten(1), weight.flatten(1))


class FastKanLayer(nn.Module):
    """Gaussians of normalised inputs (Li, FastKAN, 2024): SplineLinear's std 0.1, beside silu."""

    def __init__(self, given: int, made: int, grids: int = 8) -> None:
        super().__init__()
        self.norm, self.base = nn.LayerNorm(given), nn.Linear(given, made)
        self.spline = nn.Linear(given * grids, made, bias=False)
        nn.init.trunc_normal_(self.spline.weight, std=0.1)
        self.register_buffer("grid", torch.linspace(-2, 2, grids))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        basis = torch.exp(-(((self.norm(x)[..., None] - self.grid) / (4 / 7)) ** 2))
        return self.spline(basis.flatten(1)) + self.base(F.silu(x))


class ChebyKanLayer(nn.Module):
    """Chebyshev polynomials of tanh (ChebyKAN, 2024): coefficients of std 1 / (n · (degree + 1))."""

    def __init__(self, given: int, made: int, degree: int = 4) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.empty(given, made, degree + 1))
        nn.init.normal_(self.coefficients, std=1 / (given * (degree + 1)))
        self.register_buffer("order", torch.arange(degree + 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        angle = torch.tanh(x).clamp(-1 + 1e-6, 1 - 1e-6).acos()[..., None]
        return torch.einsum("bid,iod->bo", (angle * self.order).cos(), self.coefficients)


def stacked(layer: type[nn.Module], *widths: int) -> nn.Module:
    return nn.Sequential(*(layer(*pair) for pair in pairwise(widths)))


def fields(drawn: torch.Generator) -> Batch:
    """Waves in one dimension, 32 places, and what diffusion and a square make of them."""
    modes = torch.randn(32, 5, generator=drawn) / torch.arange(1, 6)
    places = torch.linspace(0, 2 * math.pi, 33)[:-1]
    turned = torch.randn(32, 5, generator=drawn) / torch.arange(1, 6)
    order = torch.arange(1, 6)[:, None]
    u = modes @ torch.sin(order * places) + turned @ torch.cos(order * places)
    decay = torch.exp(-0.1 * order.squeeze(1) ** 2)
    after = (modes * decay) @ torch.sin(order * places) + (turned * decay) @ torch.cos(order * places)
    return (u[..., None],), (after + 0.3 * after**2 - 0.3)[..., None]


def planes(drawn: torch.Generator) -> Batch:
    """Smooth fields over 16 × 16 places, and what a filter and a bend make of them."""
    noise = torch.randn(16, 16, 16, generator=drawn)
    k = torch.fft.fftfreq(16) * 16
    size = (k[:, None] ** 2 + k[:9] ** 2).float()
    spectrum = torch.fft.rfft2(noise)
    u = torch.fft.irfft2(spectrum * torch.exp(-size / 8)) * 2.5
    after = torch.fft.irfft2(spectrum * torch.exp(-size / 4)) * 2.5
    return (u[..., None],), torch.tanh(after)[..., None]


class Spectral1d(nn.Module):
    """Complex weights on the lowest modes (Li et al., 2021), drawn U(0, 1) / (c·c) as in the authors' code."""

    def __init__(self, width: int, modes: int) -> None:
        super().__init__()
        self.modes = modes
        self.weights = nn.Parameter(torch.rand(width, width, modes, dtype=torch.cfloat) / width**2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(x)
        out = torch.zeros_like(spectrum)
        out[..., : self.modes] = torch.einsum("bix,iox->box", spectrum[..., : self.modes], self.weights)
        return torch.fft.irfft(out, n=x.shape[-1])


class Fno1d(nn.Module):
    def __init__(self, width: int = 24, modes: int = 8, blocks: int = 3) -> None:
        super().__init__()
        self.lift = nn.Linear(2, width)
        self.spectral = nn.ModuleList(Spectral1d(width, modes) for _ in range(blocks))
        self.beside = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(blocks))
        self.fc1, self.fc2 = nn.Linear(width, 64), nn.Linear(64, 1)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        place = torch.linspace(0, 1, u.shape[1])[None, :, None].expand(len(u), -1, -1)
        x = self.lift(torch.cat([u, place], -1)).transpose(1, 2)
        for i, (spectral, beside) in enumerate(zip(self.spectral, self.beside, strict=True)):
            x = spectral(x) + beside(x)
            x = F.gelu(x) if i < len(self.spectral) - 1 else x
        return self.fc2(F.gelu(self.fc1(x.transpose(1, 2))))


class Spectral2d(nn.Module):
    """The same in two dimensions: two corners of the spectrum; or one weight in Tucker's form for each."""

    def __init__(self, width: int, modes: int, rank: int = 0) -> None:
        super().__init__()
        self.modes, self.rank = modes, rank
        shape = (width, width, modes, modes)
        if rank:  # std of the whole as neuralop has it: (2 / (c + c))^½ shared out among factors
            std = (math.sqrt(1 / width) / rank**2) ** (1 / 5)
            self.core = nn.ParameterList(nn.Parameter(std * torch.randn(4 * (rank,), dtype=torch.cfloat)) for _ in "ab")
            self.factors = nn.ParameterList(
                nn.Parameter(std * torch.randn(size, rank, dtype=torch.cfloat)) for _ in "ab" for size in shape
            )
        else:
            self.weights = nn.ParameterList(
                nn.Parameter(torch.rand(*shape, dtype=torch.cfloat) / width**2) for _ in "ab"
            )

    def weight(self, corner: int) -> torch.Tensor:
        if not self.rank:
            return self.weights[corner]
        factors = list(self.factors)[4 * corner : 4 * corner + 4]
        return torch.einsum("abcd,ia,ob,xc,yd->ioxy", self.core[corner], *factors)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum, m = torch.fft.rfft2(x), self.modes
        out = torch.zeros_like(spectrum)
        out[:, :, :m, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, :m, :m], self.weight(0))
        out[:, :, -m:, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, -m:, :m], self.weight(1))
        return torch.fft.irfft2(out, s=x.shape[-2:])


class Fno2d(nn.Module):
    def __init__(self, rank: int = 0, width: int = 16, modes: int = 5, blocks: int = 3) -> None:
        super().__init__()
        self.lift = nn.Linear(1, width)
        self.spectral = nn.ModuleList(Spectral2d(width, modes, rank) for _ in range(blocks))
        self.beside = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(blocks))
        self.fc1, self.fc2 = nn.Linear(width, 64), nn.Linear(64, 1)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        x = self.lift(u).permute(0, 3, 1, 2)
        for i, (spectral, beside) in enumerate(zip(self.spectral, self.beside, strict=True)):
            x = spectral(x) + beside(x)
            x = F.gelu(x) if i < len(self.spectral) - 1 else x
        return self.fc2(F.gelu(self.fc1(x.permute(0, 2, 3, 1))))


def operators(drawn: torch.Generator) -> Batch:
    (u,), after = fields(drawn)
    at = torch.randint(32, (16,), generator=drawn)
    return (u.squeeze(-1), at[:, None] / 32.0), after.squeeze(-1)[:, at]


class DeepONet(nn.Module):
    """A branch of the function times a trunk of the place (Lu et al., 2021)."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, width))
        self.trunk = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, width), nn.Tanh())
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, u: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return self.branch(u) @ self.trunk(at).t() + self.bias


class Ode(nn.Module):
    """dx/dt = f(x), by Euler's steps (Chen et al., 2018)."""

    def __init__(self, width: int = 16, steps: int = 8) -> None:
        super().__init__()
        self.lift, self.steps, self.head = nn.Linear(4, width), steps, nn.Linear(width, 1)
        self.field = nn.Sequential(nn.Linear(width, 48), nn.Tanh(), nn.Linear(48, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.lift(x)
        for _ in range(self.steps):
            x = x + self.field(x) / self.steps
        return self.head(x)


class ResMlp(nn.Module):
    """An MLP with residual branches for tables of numbers (Gorishniy et al., 2021, section 3.2), without norms."""

    def __init__(self, features: int, width: int = 48, blocks: int = 3) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(features, width), nn.Linear(width, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)) for _ in range(blocks)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(F.relu(x))


def mlp(features: int, width: int, depth: int, bend: type[nn.Module], norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(width if i else features, width), *([nn.LayerNorm(width)] if norm else []), bend()]
    return nn.Sequential(*layers, nn.Linear(width, 1))


CASES = (
    Case("kan/pictures", partial(stacked, KanLayer, 196, 32, 10), digits(14, 64, flat=True), classes),
    Case("kan/regression", partial(stacked, KanLayer, 4, 16, 1), vectors(4, waves(4)), mse),
    Case("kan/fast_pictures", partial(stacked, FastKanLayer, 196, 32, 10), digits(14, 64, flat=True), classes),
    Case("kan/chebyshev_pictures", partial(stacked, ChebyKanLayer, 196, 32, 10), digits(14, 64, flat=True), classes),
    Case("kan/chebyshev_regression", partial(stacked, ChebyKanLayer, 4, 16, 1), vectors(4, waves(4)), mse),
    Case("operators/fno_1d", Fno1d, fields, mse),
    Case("operators/fno_2d", Fno2d, planes, mse),
    Case("operators/tucker_fno_2d", partial(Fno2d, 3), planes, mse),
    Case("operators/deep_o_net", DeepONet, operators, mse),
    Case("operators/ode", Ode, vectors(4, waves(4)), mse),
    Case("linear_teacher/relu", partial(mlp, 8, 32, 2, nn.ReLU), vectors(8, linear(8)), mse),
    Case("linear_teacher/gelu", partial(mlp, 32, 128, 1, nn.GELU), vectors(32, linear(32)), mse),
    Case("linear_teacher/tanh", partial(mlp, 16, 64, 3, nn.Tanh), vectors(16, linear(16)), mse),
    Case("linear_teacher/silu", partial(mlp, 12, 64, 2, nn.SiLU), vectors(12, linear(12)), mse),
    Case("linear_teacher/residual", partial(ResMlp, 16), vectors(16, linear(16)), mse),
    Case("linear_teacher/layer_norm", partial(mlp, 16, 48, 2, nn.ReLU, True), vectors(16, linear(16)), mse),
)
