"""What the zoo trains its models on: fresh batches of a token chain, and MNIST, with their usual optimizers.

The chain has four successors a token (probabilities 0.7, 0.15, 0.1, 0.05), every batch drawn anew. Decoders say the
next token, encoders one that is masked, encoder-decoders the rest of a sequence whose beginning they read. Pictures are
the digits at the side that a model takes, by SGD with momentum and by AdamW. All starts of a model see the same data.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.zoo.families import LENGTH, VOCABULARY, Family, Logits, shrunk
from benchmarks.zoo.hugging_face import classifiers
from benchmarks.zoo.small_libraries import decoders, vit_kinds
from benchmarks.zoo.vision import timm_models, torchvision_models
from initlab.data import mnist

ROWS, TOKENS, MASK, MASKED, SIDE = 16, range(3, 67), VOCABULARY - 1, 0.3, 32
RATES = {"adamw": 1e-3, "sgd": 0.01}
Batch = tuple[Any, torch.Tensor]


@dataclass(frozen=True)
class Task:
    """A model and what it is trained on.

    Args:
        name: "causal/gpt2", "masked/bert", "seq2seq/t5", "sgd/timm/resnet18".
        build: () -> the model as its library starts it.
        batches: model's inputs -> endless (inputs, targets); targets of -100 do not count.
        optimizer: "adamw" or "sgd".
        steps: how many at most.
    """

    name: str
    build: Callable[[], nn.Module]
    batches: Callable[[], Iterator[Batch]]
    optimizer: str
    steps: int

    def optimize(self, model: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD(model.parameters(), lr=RATES["sgd"], momentum=0.9)
        return torch.optim.AdamW(model.parameters(), lr=RATES["adamw"])


def tasks(seed: int = 0) -> list[Task]:
    """All of them, tokens and pictures by turns, each in an order drawn by `seed`: the first are a fair sample."""
    parts = [list(_language()), [task for family in _pictures() for task in _of_digits(family)]]
    for part in parts:
        random.Random(seed).shuffle(part)
    return [task for pair in zip_longest(*parts) for task in pair if task is not None]


def _language() -> Iterator[Task]:
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM
    from transformers.models.auto import modeling_auto as auto

    for kind, loader, names, batches in (
        ("causal", AutoModelForCausalLM, auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, next_tokens),
        ("masked", AutoModelForMaskedLM, auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, masked_tokens),
        ("seq2seq", AutoModelForSeq2SeqLM, auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES, rest_of_tokens),
    ):
        for name in names:
            yield Task(f"{kind}/{name}", partial(_built, loader, name, kind == "causal"), batches, "adamw", 200)
    for family in decoders():
        yield Task(f"causal/{family.name}", family.build, next_tokens, "adamw", 200)


def _built(loader: Any, name: str, decoder: bool) -> nn.Module:
    from transformers import AutoConfig

    config = shrunk(AutoConfig.for_model(name))
    if decoder and hasattr(config, "is_decoder"):
        config.is_decoder = True  # an encoder's attention would look at the token that it is to say
    return Logits(loader.from_config(config, attn_implementation="eager"))


def sequences(length: int) -> Iterator[torch.Tensor]:
    """(ROWS, length) tokens of the chain, always the same sequence of batches."""
    drawn = torch.Generator().manual_seed(0)
    after = torch.randint(TOKENS.start, TOKENS.stop, (VOCABULARY, 4), generator=drawn)
    odds = torch.tensor([0.7, 0.15, 0.1, 0.05])
    while True:
        turns = torch.multinomial(odds, ROWS * length, replacement=True, generator=drawn).reshape(length, ROWS)
        made = [torch.randint(TOKENS.start, TOKENS.stop, (ROWS,), generator=drawn)]
        for turn in turns[1:]:
            made.append(after[made[-1], turn])
        yield torch.stack(made, 1)


def next_tokens() -> Iterator[Batch]:
    for tokens in sequences(LENGTH + 1):
        yield tokens[:, :-1], tokens[:, 1:]


def masked_tokens() -> Iterator[Batch]:
    drawn = torch.Generator().manual_seed(1)
    for tokens in sequences(LENGTH):
        hidden = torch.rand(tokens.shape, generator=drawn) < MASKED
        yield {"input_ids": tokens.masked_fill(hidden, MASK)}, tokens.masked_fill(~hidden, -100)


def rest_of_tokens() -> Iterator[Batch]:
    for tokens in sequences(2 * LENGTH):
        given = {"input_ids": tokens[:, :LENGTH], "decoder_input_ids": tokens[:, LENGTH - 1 : -1]}
        yield given, tokens[:, LENGTH:]


def _pictures() -> Iterator[Family]:
    return chain(torchvision_models(SIDE), timm_models(SIDE), classifiers(), vit_kinds())


def _of_digits(family: Family) -> Iterator[Task]:
    for optimizer in RATES:
        yield Task(f"{optimizer}/{family.name}", family.build, partial(digits, family), optimizer, 100)


def digits(family: Family) -> Iterator[Batch]:
    """MNIST at the side and in the form that a built family takes."""
    given = family.inputs()
    shape = (given["pixel_values"] if isinstance(given, dict) else given).shape
    drawn = torch.Generator().manual_seed(0)
    images, labels = _mnist()
    while True:
        rows = torch.randint(len(labels), (2 * ROWS,), generator=drawn)
        made = F.interpolate(F.pad(images[rows], (2, 2, 2, 2)), shape[-2:], mode="bilinear").expand(
            -1, shape[1], -1, -1
        )
        yield ({"pixel_values": made} if isinstance(given, dict) else made), labels[rows]


@cache
def _mnist() -> tuple[torch.Tensor, torch.Tensor]:
    return mnist(flat=False, progress=False).train
