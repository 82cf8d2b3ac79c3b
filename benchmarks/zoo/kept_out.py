"""Models that are in none of the zoo's lists, drawn by a seed before any was tried: where nobody looked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.families import BATCH, Family, both, pictures, shrunk, sound, tokens
from benchmarks.zoo.vision import timm_family, timm_models

SEED, PICTURES, MODELS = 1411, 12, 49  # of the models of transformers 14 were built tiny and ran on inputs as below
LARGE = ("large", "huge", "giant", "gigantic", "so400m", "enormous", "_7b", "_l", "_xl", "_h", "_g")
LOADERS = (
    "CAUSAL_LM", "MASKED_LM", "SEQ_TO_SEQ_CAUSAL_LM", "IMAGE_CLASSIFICATION", "AUDIO_CLASSIFICATION", "CTC",
    "ZERO_SHOT_IMAGE_CLASSIFICATION", "IMAGE_TEXT_TO_TEXT", "OBJECT_DETECTION", "SEMANTIC_SEGMENTATION",
)  # fmt: skip


def kept_out() -> Iterator[Family]:
    """timm's models but the smallest of each kind, and transformers' models that no loader of the zoo's lists makes."""
    import timm
    from transformers.models.auto import modeling_auto as auto

    listed = {family.name.partition("/")[2] for family in timm_models()}
    rest = [name for name in timm.list_models() if name not in listed and not any(word in name for word in LARGE)]
    used = set().union(*(getattr(auto, f"MODEL_FOR_{loader}_MAPPING_NAMES") for loader in LOADERS))
    bare = [name for name in auto.MODEL_MAPPING_NAMES if name not in used]
    for names in (rest, bare):
        random.Random(SEED).shuffle(names)
    for name in rest[:PICTURES]:
        yield timm_family(name, "kept-out-timm")
    for name in bare[:MODELS]:
        yield _bare(name)


class First(nn.Module):
    """A model of transformers whose output is its first tensor alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **given: Any) -> torch.Tensor:
        made = self.model(**given)
        values = [made] if isinstance(made, torch.Tensor) else made.values()
        return next(item for item in values if isinstance(item, torch.Tensor) and item.is_floating_point())


def _drawn(*shape: int) -> torch.Tensor:
    return torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(0))


def _inputs() -> Iterator[dict[str, torch.Tensor]]:
    """What such models read: the first that one takes is what it is given."""
    yield {"input_ids": tokens()}
    yield from ({"pixel_values": pictures(3, side)} for side in (32, 64))
    yield sound()
    yield {"input_values": _drawn(1, 4000)}
    yield from ({"input_features": _drawn(*sides)} for sides in ((16, 64), (64, 16)))
    yield both()
    yield {"input_ids": tokens(), "decoder_input_ids": tokens()}
    yield {"pixel_values": _drawn(2, 3, 32, 32)}
    yield from ({name: _drawn(32, 64)} for name in ("hidden_states", "inputs_embeds"))
    yield {"past_values": _drawn(64, 1)}


def _bare(kind: str) -> Family:
    from transformers import AutoConfig, AutoModel

    taken: list[dict[str, torch.Tensor]] = []

    def build() -> nn.Module:
        model = First(AutoModel.from_config(shrunk(AutoConfig.for_model(kind))))
        taken[:] = [next(given for given in _inputs() if _takes(model.eval(), given))]
        return model.train()

    return Family(f"kept-out-transformers/{kind}", build, lambda: taken[0], 0)


def _takes(model: nn.Module, given: dict[str, torch.Tensor]) -> bool:
    try:
        with torch.no_grad():
            model(**given)
    except Exception:  # whatever a library's model says of inputs that are not its own
        return False
    return True
