"""A small transformer with the start that nanoGPT gives it, and the faults that public repositories really had."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(dim, 3 * dim), "c_proj": nn.Linear(dim, dim)})
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(dim, 4 * dim), "c_proj": nn.Linear(4 * dim, dim)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.attn["c_attn"](self.ln_1(x)).chunk(3, -1)
        x = x + self.attn["c_proj"](nn.functional.scaled_dot_product_attention(q, k, v))
        out: torch.Tensor = x + self.mlp["c_proj"](nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x))))
        return out


ENDS = ("c_proj.weight",)


class GPT(nn.Module):
    """nanoGPT's start: N(0, 0.02²), biases zero, the ends of branches at 0.02/√(2L)."""

    def __init__(
        self,
        layers: int = 6,
        dim: int = 64,
        *,
        tied: bool = True,
        ends: tuple[str, ...] = ENDS,
        counted: int | None = None,
        each: Callable[[int], float] | None = None,
        skip: type[nn.Module] | None = None,
        embedding_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(97, dim), nn.Embedding(32, dim)
        self.h = nn.ModuleList(Block(dim) for _ in range(layers))
        self.ln_f, self.lm_head = nn.LayerNorm(dim), nn.Linear(dim, 97, bias=False)
        if tied:
            self.lm_head.weight = self.wte.weight
        self.skip, self.embedding_std = skip, embedding_std
        self.apply(self._init_weights)
        if embedding_std != 0.02:
            nn.init.normal_(self.wte.weight, 0.0, embedding_std)
        for name, p in self.named_parameters():
            if name.endswith(ends):
                number = int(name.split(".")[1])
                std = 0.02 / math.sqrt(2 * (layers if counted is None else counted))
                if each is not None and not math.isinf(each(number)):
                    std = 0.02 / math.sqrt(2 * each(number))
                nn.init.normal_(p, 0.0, std if each is None or not math.isinf(each(number)) else 0.02)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear) and self.skip is not nn.Linear:
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding) and self.skip is not nn.Embedding:
            nn.init.normal_(module.weight, 0.0, self.embedding_std)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.h:
            x = block(x)
        out: torch.Tensor = self.lm_head(self.ln_f(x))
        return out


TOKENS = torch.arange(40).view(4, 10)
