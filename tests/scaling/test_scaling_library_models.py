"""`param_groups` on models of libraries: every parameter's rate by the growth of its shape, for every optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError

IDS, IMAGE = torch.arange(16).view(2, 8), torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}


def of_transformers(name: str, **settings: Any) -> Callable[[int], nn.Module]:
    def build(width: int) -> nn.Module:
        kind = getattr(pytest.importorskip("transformers"), name)
        sizes = {"hidden_size": width, "num_attention_heads": width // 16, "num_hidden_layers": 2, "vocab_size": 60}
        scaled = {key: value(width) if callable(value) else value for key, value in settings.items()}
        return kind(kind.config_class(**sizes, **scaled)).eval()

    return build


def mixer(width: int) -> nn.Module:
    timm = pytest.importorskip("timm")
    return timm.models.mlp_mixer.MlpMixer(embed_dim=width, num_blocks=2, img_size=32, patch_size=8, num_classes=7)


def convnext(width: int) -> nn.Module:
    timm = pytest.importorskip("timm")
    dims = (width // 2, width, width, 2 * width)
    return timm.models.convnext.ConvNeXt(dims=dims, depths=(1, 1, 1, 1), num_classes=7)


MODELS: dict[str, tuple[Callable[[int], nn.Module], Any]] = {
    "Falcon": (of_transformers("FalconForCausalLM", multi_query=True, parallel_attn=True, bias=False), IDS),
    "Phi": (of_transformers("PhiForCausalLM", intermediate_size=lambda width: 3 * width), IDS),
    "ModernBERT": (
        of_transformers("ModernBertForMaskedLM", intermediate_size=lambda width: 2 * width, **SPECIAL),
        IDS,
    ),
    "OLMoE": (
        of_transformers("OlmoeForCausalLM", intermediate_size=lambda w: w, num_experts=4, num_experts_per_tok=2),
        IDS,
    ),
    "Mixer": (mixer, IMAGE),
    "ConvNeXt": (convnext, IMAGE),
}


def grown(name: str, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[float, float]:
    """(r_in, r_out) from the shapes: a vector and a table grow in their outputs; experts lie along the first axis."""
    ratios = [now / then for now, then in zip(after, before, strict=True)]
    if len(after) == 1 or "embed_tokens" in name or "word_embeddings" in name or "tok_embeddings" in name:
        return 1.0, max(ratios)
    return (ratios[2], ratios[1]) if "experts" in name else (ratios[1], ratios[0])


def rate(optimizer: str, r_in: float, r_out: float, before: tuple[int, ...], after: tuple[int, ...]) -> float:
    """Table 3 of Yang et al. 2022; for Muon the spectral norm's √(r_out/r_in) less its own √max(1, rows/columns)."""
    if optimizer == "muon":
        tall = [math.sqrt(max(1.0, rows / columns)) for rows, columns in (before, after)]
        return math.sqrt(r_out / r_in) * tall[0] / tall[1]
    return r_out / r_in if optimizer == "sgd" else 1 / r_in


@pytest.mark.filterwarnings("ignore:.*is the table and the read-out")
@pytest.mark.parametrize("model", MODELS)
def test_rates_follow_the_growth_of_the_shapes(model: str) -> None:
    build, inputs = MODELS[model]
    small, large = build(32), build(128)
    shapes = {name: tuple(p.shape) for name, p in small.named_parameters()}
    for optimizer in ("sgd", "adamw", "muon", "lion"):
        groups = initlab.param_groups(large, optimizer, 1.0, base=small, weight_decay=0.1, example_inputs=inputs)
        found = {name: group for group in groups for name in group["names"]}
        assert set(found) == set(shapes)
        for name, group in found.items():
            before, after = shapes[name], tuple(large.get_parameter(name).shape)
            r_in, r_out = grown(name, before, after)
            expected = rate(group.get("optimizer", optimizer), r_in, r_out, before, after)
            assert group["lr"] == pytest.approx(expected), (optimizer, name, group["kind"])
            assert group["lr"] * group["weight_decay"] == pytest.approx(0.1)


def test_experts_that_no_pass_shows_are_named() -> None:
    build, _ = MODELS["OLMoE"]
    with pytest.raises(InputError, match=r"growth of 'model\.layers\.0\.mlp\.experts\.\w+' in width is not known"):
        initlab.param_groups(build(128), "adamw", 1.0, base=build(32))
