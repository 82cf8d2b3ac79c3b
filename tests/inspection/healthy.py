"""Models as their libraries build them, with data of the usual size: none has a cause of bad training to be named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

N = 32


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


TABLE, IMAGES, GREY = drawn(N, 20), drawn(N, 3, 16, 16), drawn(N, 1, 12, 12).sigmoid()
SERIES, TOKENS = drawn(N, 12, 8), torch.randint(0, 40, (N, 12), generator=torch.Generator().manual_seed(1))
LABELS, REAL = torch.arange(N) % 4, drawn(N, 1)


def mlp(act: type[nn.Module], depth: int = 3, out: int = 4, norm: type[nn.Module] | None = None) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(20 if i == 0 else 48, 48), *([norm(48)] if norm else []), act()]
    return nn.Sequential(*layers, nn.Linear(48, out))


def convolutional(norm: Callable[[int], nn.Module], act: type[nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), norm(16), act(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), norm(32), act(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(32, 4))  # fmt: skip


class Block(nn.Module):
    def __init__(self, width: int, zero: bool) -> None:
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.c2, self.b2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        if zero:
            nn.init.zeros_(self.b2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.b2(self.c2(F.relu(self.b1(self.c1(x))))))


def resnet(blocks: int = 8, zero: bool = False) -> nn.Module:
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *(Block(16, zero) for _ in range(blocks)), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(16, 4))  # fmt: skip


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.low = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up, self.out = nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = F.silu(self.down(x))
        return self.out(torch.cat([skip, F.silu(self.up(F.silu(self.low(skip))))], 1))


class Recurrent(nn.Module):
    def __init__(self, cell: type[nn.RNNBase], layers: int = 1, tokens: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(40, 8) if tokens else nn.Identity()
        self.cell, self.head = cell(8, 32, layers, batch_first=True), nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(self.table(x))[0][:, -1])


class Gated(nn.Module):
    """A transformer's gated feed-forward, pre-normed and residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.pair = nn.RMSNorm(20), nn.Linear(20, 96, bias=False)
        self.out, self.head = nn.Linear(48, 20, bias=False), nn.Linear(20, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, value = self.pair(self.norm(x)).chunk(2, -1)
        return self.head(x + self.out(F.silu(gate) * value))


class PreNorm(nn.Module):
    """A decoder of `depth` blocks with tokens and positions, causal."""

    def __init__(self, depth: int = 6, scale: float | None = None) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(40, 32), nn.Parameter(0.02 * drawn(12, 32))
        self.qkv = nn.ModuleList(nn.Linear(32, 96) for _ in range(depth))
        self.out = nn.ModuleList(nn.Linear(32, 32) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(depth + 1))
        self.scales = nn.ParameterList(torch.full((32,), scale) for _ in range(depth)) if scale is not None else None
        self.head = nn.Linear(32, 40)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.tokens(x) + self.places
        for i, out in enumerate(self.out):
            q, k, v = self.qkv[i](self.norms[i](h)).unflatten(-1, (3, 4, 8)).permute(2, 0, 3, 1, 4)
            branch = out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
            h = h + (branch if self.scales is None else self.scales[i] * branch)
        return self.head(self.norms[-1](h))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.TransformerEncoderLayer(8, 2, 32, batch_first=True), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x).mean(1))


class Adapter(nn.Module):
    """LoRA: A drawn, B zero, the rest frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.a = nn.Linear(20, 32), nn.Linear(20, 4, bias=False)
        self.b, self.head = nn.Linear(4, 32, bias=False), nn.Linear(32, 4)
        self.base.requires_grad_(False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.base(x) + self.b(self.a(x))))


class Siren(nn.Module):
    """sin(30 W x), with the start of its paper."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in ((2, 48), (48, 48), (48, 48)))
        self.head = nn.Linear(48, 1)
        for i, layer in enumerate(self.layers):
            bound = 1 / 2 if i == 0 else (6 / 48) ** 0.5 / 30
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.sin(30 * layer(x))
        return self.head(x)


def autoencoder() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 32), nn.GELU(), nn.Linear(32, 6), nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 20))


def zero_head() -> nn.Module:
    model = mlp(nn.GELU)
    nn.init.zeros_(model[-1].weight)
    return model


# name: (model, inputs, targets, loss)
MODELS: dict[str, tuple[Callable[[], nn.Module], Any, Any, Any]] = {
    "relu MLP": (lambda: mlp(nn.ReLU), TABLE, LABELS, None),
    "tanh MLP, regression": (lambda: mlp(nn.Tanh, out=1), TABLE, REAL, F.mse_loss),
    "silu MLP, binary": (
        lambda: mlp(nn.SiLU, out=1), TABLE, (REAL > 0).float(), F.binary_cross_entropy_with_logits),
    "sigmoid at the end, bce": (
        lambda: nn.Sequential(mlp(nn.ReLU, out=1), nn.Sigmoid()), TABLE, (REAL > 0).float(), F.binary_cross_entropy),
    "log-softmax, nll": (lambda: nn.Sequential(mlp(nn.ELU), nn.LogSoftmax(-1)), TABLE, LABELS, F.nll_loss),
    "layer-norm MLP": (lambda: mlp(nn.GELU, 5, norm=nn.LayerNorm), TABLE, LABELS, None),
    "batch-norm MLP": (lambda: mlp(nn.ReLU, 5, norm=nn.BatchNorm1d), TABLE, LABELS, None),
    "batch-norm CNN": (lambda: convolutional(nn.BatchNorm2d, nn.ReLU), IMAGES, LABELS, None),
    "group-norm CNN": (lambda: convolutional(lambda c: nn.GroupNorm(4, c), nn.SiLU), IMAGES, LABELS, None),
    "ResNet": (resnet, IMAGES, LABELS, None),
    "ResNet, zero gamma": (lambda: resnet(zero=True), IMAGES, LABELS, None),
    "U-Net": (UNet, GREY, GREY, F.mse_loss),
    "LSTM": (lambda: Recurrent(nn.LSTM, 2), SERIES, LABELS, None),
    "GRU of tokens": (lambda: Recurrent(nn.GRU, tokens=True), TOKENS, LABELS, None),
    "RNN": (lambda: Recurrent(nn.RNN), SERIES, LABELS, None),
    "transformer encoder": (Encoder, SERIES, LABELS, None),
    "pre-norm decoder": (PreNorm, TOKENS, TOKENS, None),
    "LayerScale 1e-5": (lambda: PreNorm(scale=1e-5), TOKENS, TOKENS, None),
    "LayerScale 0": (lambda: PreNorm(scale=0.0), TOKENS, TOKENS, None),
    "gated linear unit": (Gated, TABLE, LABELS, None),
    "autoencoder": (autoencoder, TABLE, TABLE, F.mse_loss),
    "LoRA": (Adapter, TABLE, LABELS, None),
    "zero head": (zero_head, TABLE, LABELS, None),
    "SIREN": (Siren, drawn(N, 2).tanh(), REAL, F.mse_loss),
    "no targets": (lambda: mlp(nn.ReLU), TABLE, None, None),
}  # fmt: skip

FAMILIES = ("GPT2", "Llama", "Bert", "T5", "Mamba", "Mixtral")


def transformer(family: str) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A tiny model of a family of transformers as its library builds it, with a batch that holds its own labels."""
    import transformers as t

    common = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
              "intermediate_size": 64, "max_position_embeddings": 32}  # fmt: skip
    batch = {"input_ids": TOKENS, "labels": TOKENS}
    made: dict[str, Callable[[], nn.Module]] = {
        "GPT2": lambda: t.GPT2LMHeadModel(t.GPT2Config(
            vocab_size=40, n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)),
        "Llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**common)),
        "Bert": lambda: t.BertForMaskedLM(t.BertConfig(**common)),
        "T5": lambda: t.T5ForConditionalGeneration(t.T5Config(
            vocab_size=40, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0)),
        "Mamba": lambda: t.MambaForCausalLM(t.MambaConfig(vocab_size=40, hidden_size=32, num_hidden_layers=2)),
        "Mixtral": lambda: t.MixtralForCausalLM(t.MixtralConfig(
            **common, num_key_value_heads=2, num_local_experts=4)),
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return made[family](), batch
