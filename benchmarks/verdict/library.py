"""Models of timm, torchvision and transformers, built small enough to be judged on a CPU; as built, or started badly.

Labels of the 278 cells that `measure_library` reads are losses of 60 steps on a GPU: MNIST at 64 x 64 for the vision
models, a chain of tokens with four followers each for the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

import initlab
from benchmarks.verdict.tasks import Task, tokens_loss

Tensor = torch.Tensor
TEXT = ("gpt2", "llama", "lstm", "mixtral")
VOCABULARY, LENGTH = 256, 64
STARTS: dict[str, Callable[[Tensor], object]] = {
    "built": lambda p: None,
    "raw255": lambda p: None,
    "x10": lambda p: p.mul_(10),
    "x0.1": lambda p: p.mul_(0.1),
    "zeros": lambda p: p.zero_(),
    "const": lambda p: p.fill_(0.02),
}


class Logits(nn.Module):
    """A transformers model that returns its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.m = model

    def forward(self, x: Tensor) -> Tensor:
        return self.m(x).logits


class TokenLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e = nn.Embedding(VOCABULARY, 128)
        self.r = nn.LSTM(128, 128, 2, batch_first=True)
        self.head = nn.Linear(128, VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.r(self.e(x))[0])


def built(name: str) -> nn.Module:
    """The model with its library's own start, from seed 0."""
    torch.manual_seed(0)
    return _text(name) if name in TEXT else vision(name)


def vision(name: str, classes: int = 10) -> nn.Module:
    """A timm model for images of 64 x 64, or of the size that it insists on."""
    import timm

    for size in ({"img_size": 64}, {"img_size": 56}, {}):
        try:
            return timm.create_model(name, num_classes=classes, **size)
        except TypeError:
            continue
        except Exception:
            if not size:
                raise
    raise ValueError(name)


def _text(name: str) -> nn.Module:
    if name == "lstm":
        return TokenLSTM()
    import transformers as t

    if name == "gpt2":
        sizes = {"vocab_size": VOCABULARY, "n_embd": 128, "n_layer": 4, "n_head": 4, "n_positions": 128}
        return Logits(t.GPT2LMHeadModel(t.GPT2Config(**sizes)))
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
             "intermediate_size": 256, "max_position_embeddings": 128}  # fmt: skip
    if name == "llama":
        return Logits(t.LlamaForCausalLM(t.LlamaConfig(**sizes)))
    return Logits(t.MixtralForCausalLM(t.MixtralConfig(**sizes, num_key_value_heads=2, num_local_experts=4)))


def started(name: str, start: str, x: Tensor) -> nn.Module:
    model = built(name)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        if start in ("auto", "he_normal"):
            initlab.init_(model, start, example_inputs=x[:16], seed=0)
        elif start == "head0":
            nn.init.zeros_([m for m in model.modules() if isinstance(m, nn.Linear)][-1].weight)
        else:
            std = float(start[3:]) if start.startswith("std") else None
            for p in model.parameters():
                if p.ndim > 1:
                    STARTS[start](p) if std is None else p.normal_(std=std, generator=generator)
    return model


def images(start: str = "built", count: int = 4096, size: int = 64) -> Task:
    """MNIST as three channels of `size` x `size`; the start "raw255" leaves it in 0..255."""
    x, y = initlab.data.mnist(normalize=False, flat=False).train
    x = (x[:count] - 0.1307) / 0.3081
    x = F.interpolate(x, size, mode="bilinear").expand(-1, 3, -1, -1).contiguous()
    x = (x * 0.3081 + 0.1307) * 255 if start == "raw255" else x
    return Task(x, y[:count].long(), F.cross_entropy, math.log(10))


def chain(count: int = 2048) -> Task:
    """Sequences of 64 tokens, each with four likely followers; the target is the next token everywhere."""
    import numpy as np

    draw = np.random.default_rng(0)
    followers = draw.integers(0, VOCABULARY, (VOCABULARY, 4))
    likely = np.array([0.7, 0.15, 0.1, 0.05])
    s = np.zeros((count, LENGTH + 1), np.int64)
    s[:, 0] = draw.integers(0, VOCABULARY, count)
    for i in range(LENGTH):
        s[:, i + 1] = followers[s[:, i], draw.choice(4, count, p=likely)]
    tokens = torch.tensor(s)
    return Task(tokens[:, :-1], tokens[:, 1:], tokens_loss, math.log(VOCABULARY))
