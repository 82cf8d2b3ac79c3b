"""Reference libraries: what they draw is what the recipe states, by exact intervals, tensor by tensor."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from recipe_numbers import within
from torch import nn

import initlab

IDS = torch.arange(12).view(2, 6) + 2
SMALL: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100,
}  # fmt: skip
GROUPED = {**SMALL, "num_key_value_heads": 2}
GPT = {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100, "bos_token_id": 0, "eos_token_id": 0}
T5 = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 100}
IMAGE: dict[str, Any] = {"num_classes": 11}

# recipe, library, model, what makes it
DRAWN: list[tuple[str, str, str, dict[str, Any]]] = [
    ("gpt2", "transformers", "GPT2LMHeadModel", GPT),
    ("gpt2", "transformers", "GPTBigCodeForCausalLM", GPT),
    ("llama", "transformers", "LlamaForCausalLM", GROUPED),
    ("llama", "transformers", "MistralForCausalLM", GROUPED),
    ("qwen", "transformers", "Qwen2ForCausalLM", GROUPED),
    ("qwen", "transformers", "Qwen3ForCausalLM", {**GROUPED, "head_dim": 16}),
    ("gemma", "transformers", "GemmaForCausalLM", {**GROUPED, "head_dim": 16}),
    ("gemma", "transformers", "Gemma2ForCausalLM", {**GROUPED, "head_dim": 16}),
    ("roberta", "transformers", "RobertaModel", SMALL),
    ("roberta", "transformers", "XLMRobertaForMaskedLM", SMALL),
    ("t5", "transformers", "T5ForConditionalGeneration", T5),
    ("t5", "transformers", "MT5ForConditionalGeneration", T5),
    ("vit_timm", "timm", "vit_tiny_patch16_224", {**IMAGE, "img_size": 64, "depth": 2}),
    ("convnext", "timm", "convnext_atto", IMAGE),
    ("metaformer", "timm", "poolformer_s12", IMAGE),
    ("resnet", "timm", "resnet26d", IMAGE),
    ("resnet", "torchvision", "resnet50", {**IMAGE, "zero_init_residual": True}),
]


def built(library: str, name: str, settings: dict[str, Any]) -> tuple[nn.Module, Any]:
    """The model as its library starts it, with inputs."""
    module = pytest.importorskip(library)
    torch.manual_seed(0)
    if library == "transformers":
        kind = getattr(module, name)
        model = kind(kind.config_class(**settings))
        return model.eval(), {"input_ids": IDS, "decoder_input_ids": IDS} if "d_kv" in settings else {"input_ids": IDS}
    make = module.create_model if library == "timm" else module.models.get_model
    return make(name, **settings).eval(), torch.randn(2, 3, 64, 64)


@pytest.mark.parametrize(("recipe", "library", "name", "settings"), DRAWN, ids=[f"{row[0]}-{row[2]}" for row in DRAWN])
def test_the_reference_library_draws_what_the_recipe_states(
    recipe: str, library: str, name: str, settings: dict[str, Any]
) -> None:
    """Every tensor of the library's own start within the exact interval of the law that the recipe gives it."""
    model, inputs = built(library, name, settings)
    plan = initlab.plan(model, inputs, recipe)
    drawn = {key: value.detach() for key, value in model.named_parameters()}
    checked = 0
    for entry in plan.entries:
        values = drawn.get(entry.name)
        if values is None or entry.law is None:
            continue
        if entry.std:
            row = getattr(model.get_submodule(entry.name.rpartition(".")[0]), "padding_idx", None)
            values = values if row is None else torch.cat([values[:row], values[row + 1 :]])
            std = entry.std if row is None else entry.std * math.sqrt(entry.shape[0] / (entry.shape[0] - 1))
            assert within(values, std), (entry, float(values.std()))
            checked += 1
        else:
            assert torch.allclose(values, torch.full_like(values, entry.law.mean)), entry
    assert checked >= 8


def test_mamba_of_transformers_has_every_role_of_the_recipe() -> None:
    """Its class draws tables and projections otherwise than the authors do; decays, steps and skips are those."""
    transformers = pytest.importorskip("transformers")
    settings = {"hidden_size": 48, "num_hidden_layers": 2, "vocab_size": 60, "state_size": 8}
    model = transformers.MambaForCausalLM(transformers.MambaConfig(**settings)).eval()
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    plan = initlab.init_(model, "mamba", example_inputs=IDS)
    mixer = "backbone.layers.1.mixer."
    for name in ("A_log", "D"):
        assert torch.allclose(model.get_parameter(mixer + name), before[mixer + name])
    assert {
        name: plan[mixer + name].reason.partition(": ")[2].rpartition(":")[0] for name in ("dt_proj.bias", "D")
    } == {
        "dt_proj.bias": "the bias of a state's step",
        "D": "the factor of what goes by a state",
    }
    assert plan[mixer + "out_proj.weight"].std == pytest.approx((3 * 96 * 2) ** -0.5)
