"""Recipes against the numbers of their sources and the draws of their reference libraries, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from recipe_zoo import (
    DIFFUSION,
    IDS,
    IMAGES,
    ROWS,
    ActorCritic,
    Adapted,
    Conv,
    D,
    DiT,
    Equalised,
    Recurrent,
    Transformer,
    ViT,
)  # fmt: skip
from scipy.stats import chi2
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.planning import get_policy, list_policies

BERT_STD = 0.02 * 0.87962566  # std of a normal law cut at ±2 std
OLMO_STD = 0.02 * 0.98658  # at ±3 std


def xavier(fan_in: float, fan_out: float) -> float:
    return math.sqrt(2 / (fan_in + fan_out))


# recipe -> model, its inputs, {parameter: std of its law, or (its one value,)}, from the source that the recipe names
NUMBERS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "gpt2": (Transformer, IDS, {"blocks.0.up.weight": 0.02, "blocks.0.down.weight": 0.02 / 6**0.5}),
    "gpt3": (Transformer, IDS, {"blocks.0.up.weight": 0.02, "blocks.2.attention.out.weight": 0.02 / 6**0.5}),
    "megatron": (Transformer, IDS, {"tokens.weight": 0.02, "blocks.1.down.weight": 0.02 / (2 * 3) ** 0.5}),
    "llama": (Transformer, IDS, {"tokens.weight": 0.02, "blocks.0.down.weight": 0.02, "head.weight": 0.02}),
    "qwen": (Transformer, IDS, {"blocks.0.attention.q.weight": 0.02, "blocks.0.attention.q.bias": (0.0,)}),
    "gemma": (Transformer, IDS, {"tokens.weight": 0.02, "blocks.0.norm_1.weight": (1.0,)}),
    "olmo2": (Transformer, IDS, {"tokens.weight": OLMO_STD, "blocks.0.down.weight": OLMO_STD}),
    "bert": (Transformer, IDS, {"tokens.weight": BERT_STD, "blocks.0.up.weight": BERT_STD}),
    "roberta": (Transformer, IDS, {"tokens.weight": 0.02, "blocks.0.up.weight": 0.02}),
    "t5": (
        Transformer, IDS,
        {
            "blocks.0.attention.q.weight": (D * D / 2) ** -0.5, "blocks.0.attention.k.weight": D**-0.5,
            "blocks.0.attention.v.weight": D**-0.5, "blocks.0.attention.out.weight": D**-0.5,
            "blocks.0.up.weight": D**-0.5, "blocks.0.down.weight": (4 * D) ** -0.5, "tokens.weight": 1.0,
        },
    ),
    "vit_jax": (
        ViT, IMAGES,
        {
            "patch.weight": (3 * 16) ** -0.5, "position": 0.02, "token": (0.0,), "head.weight": (0.0,),
            "blocks.0.attention.q.weight": xavier(D, D), "blocks.0.up.weight": xavier(D, 4 * D),
        },
    ),
    "vit_timm": (
        ViT, IMAGES,
        {"patch.weight": (3 * 3 * 16) ** -0.5, "position": 0.02, "token": 1e-6, "blocks.0.up.weight": 0.02},
    ),
    "deit": (ViT, IMAGES, {"patch.weight": (3 * 3 * 16) ** -0.5, "position": 0.02, "token": 0.02, "head.weight": 0.02}),
    "mae": (ViT, IMAGES, {"patch.weight": xavier(3 * 16, D), "token": 0.02, "blocks.0.up.weight": xavier(D, 4 * D)}),
    "convnext": (lambda: Conv("scale"), IMAGES, {"scales.0": (1e-6,), "one.0.weight": 0.02, "head.weight": 0.02}),
    "dit": (
        DiT, DIFFUSION,
        {
            "blocks.0.ada.weight": (0.0,), "head.weight": (0.0,), "patch.weight": xavier(3 * 16, D),
            "blocks.0.attention.q.weight": xavier(D, D), "labels.weight": 0.02, "step.weight": 0.02,
        },
    ),
    "nanochat": (
        Transformer, IDS,
        {
            "head.weight": (0.0,), "blocks.0.down.weight": (0.0,), "tokens.weight": 1.0,
            "blocks.0.up.weight": D**-0.5, "blocks.0.attention.q.weight": D**-0.5,
        },
    ),
    "resnet": (
        Conv, IMAGES,
        {
            "stem.weight": math.sqrt(2 / (8 * 9)), "one.0.weight": math.sqrt(2 / (8 * 9)), "norm_2.0.weight": (0.0,),
            "norm_1.0.weight": (1.0,), "head.weight": (3 * 8) ** -0.5,
        },
    ),
    "fixup": (
        lambda: Conv("plain"), IMAGES,
        {
            "stem.weight": math.sqrt(2 / 27), "one.0.weight": math.sqrt(2 / 72) * 4**-0.5, "two.0.weight": (0.0,),
            "head.weight": (0.0,),
        },
    ),
    "skipinit": (lambda: Conv("scale"), IMAGES, {"scales.2": (0.0,), "one.0.weight": math.sqrt(2 / 72)}),
    "rezero": (lambda: Transformer("scale"), IDS, {"blocks.1.scale_2": (0.0,), "blocks.0.up.weight": xavier(D, 4 * D)}),
    "deepnorm": (
        lambda: Transformer("post"), IDS,
        {
            "blocks.0.attention.q.weight": xavier(D, D), "blocks.0.attention.k.weight": xavier(D, D),
            "blocks.0.attention.v.weight": xavier(D, D) * 24**-0.25,
            "blocks.2.down.weight": xavier(D, 4 * D) * 24**-0.25,
            "blocks.0.attention.out.weight": xavier(D, D) * 24**-0.25,
        },
    ),
    "t_fixup": (
        lambda: Transformer("plain"), IDS,
        {
            "blocks.0.attention.q.weight": xavier(D, D), "tokens.weight": 0.67 * 3**-0.25 * D**-0.5,
            "blocks.0.attention.v.weight": xavier(D, D) * 0.67 * 3**-0.25, "head.weight": xavier(D, 40),
        },
    ),
    "lora": (Adapted, torch.randn(2, 16), {"lora_B.weight": (0.0,), "lora_A.weight": (3 * 16) ** -0.5}),
    "irnn": (Recurrent, torch.randn(3, 2, 8), {"rnn.weight_ih_l0": 0.001, "rnn.bias_hh_l0": (0.0,)}),
    "ppo": (
        ActorCritic, ROWS,
        {"body.weight": math.sqrt(2 / D), "actor.weight": 0.01 / math.sqrt(D), "critic.weight": 1 / math.sqrt(D)},
    ),
    "dqn": (Conv, IMAGES, {"stem.weight": 81**-0.5, "stem.bias": 81**-0.5, "head.weight": 24**-0.5}),
    "retinanet": (Conv, IMAGES, {"head.bias": (-math.log(0.99 / 0.01),), "one.0.weight": 0.01, "stem.bias": (0.0,)}),
    "stylegan2": (Equalised, ROWS, {"weight": 1.0}),
    "mamba": (
        Transformer, IDS,
        {"tokens.weight": 0.02, "blocks.0.up.weight": (3 * D) ** -0.5, "blocks.0.down.weight": (3 * 4 * D * 6) ** -0.5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("recipe", NUMBERS)
def test_the_numbers_are_those_of_the_source(recipe: str) -> None:
    """The plan's std for each role, and what `init_` writes: constants exactly, the std within its exact interval."""
    build, inputs, expected = NUMBERS[recipe]
    model = build()
    plan = initlab.init_(model, recipe, example_inputs=inputs)
    values = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for name, number in expected.items():
        if isinstance(number, tuple):
            assert values[name].unique().tolist() == [pytest.approx(number[0])], name
        else:
            assert plan[name].std == pytest.approx(number, rel=1e-4), name
            assert within(values[name], number), name


def within(values: torch.Tensor, std: float, chance: float = 1e-6) -> bool:
    """Whether the mean square lies in the exact chi-square interval of a normal law (wider than a bounded law's)."""
    count = values.numel()
    low, high = chi2.ppf([chance / 2, 1 - chance / 2], count)
    return bool(low <= float(values.double().square().sum()) / std**2 <= high)


def test_every_recipe_has_its_numbers_tested() -> None:
    elsewhere = {"auto", "torch_default", "gan", "zero_gamma", "mup", "spectral", "completep", "u_mup"}
    assert set(NUMBERS) | elsewhere == set(list_policies())


# -- reference libraries: what they draw is what the recipe states --


def reference(name: str) -> tuple[nn.Module, Any]:
    transformers = pytest.importorskip("transformers")
    small: dict[str, Any] = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "vocab_size": 100,
    }  # fmt: skip
    grouped = {**small, "num_key_value_heads": 2}
    t5 = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 100}
    made = {
        "gpt2": ("GPT2Config", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100}, "GPT2LMHeadModel"),
        "llama": ("LlamaConfig", grouped, "LlamaForCausalLM"),
        "qwen": ("Qwen2Config", grouped, "Qwen2ForCausalLM"),
        "gemma": ("GemmaConfig", {**grouped, "head_dim": 16}, "GemmaForCausalLM"),
        "roberta": ("RobertaConfig", small, "RobertaModel"),
        "t5": ("T5Config", t5, "T5ForConditionalGeneration"),
    }
    config, settings, model = made[name]
    torch.manual_seed(0)
    built = getattr(transformers, model)(getattr(transformers, config)(**settings)).eval()
    ids = torch.arange(12).view(2, 6) + 2
    return built, {"input_ids": ids, "decoder_input_ids": ids} if name == "t5" else {"input_ids": ids}


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen", "gemma", "roberta", "t5"])
def test_the_reference_library_draws_what_the_recipe_states(name: str) -> None:
    """Every tensor of the library's own start within the exact interval of the law that the recipe gives it."""
    model, inputs = reference(name)
    plan = initlab.plan(model, inputs, name)
    drawn = {key: value.detach() for key, value in model.named_parameters()}
    checked = 0
    for entry in plan.entries:
        values = drawn[entry.name]
        if entry.std:
            row = getattr(model.get_submodule(entry.name.rpartition(".")[0]), "padding_idx", None)
            values = values if row is None else torch.cat([values[:row], values[row + 1 :]])
            std = entry.std if row is None else entry.std * math.sqrt(entry.shape[0] / (entry.shape[0] - 1))
            assert within(values, std), (entry, float(values.std()))
            checked += 1
        elif entry.law is not None:
            assert (values == entry.law.mean).all(), entry
    assert checked >= 8


# -- what a recipe needs --


@pytest.mark.parametrize(
    ("recipe", "model", "inputs", "message"),
    [
        ("fixup", Conv("norm"), IMAGES, "needs a model without norms, and Conv has none"),
        ("fixup", nn.Linear(8, 2), ROWS, "needs residual branches that end in a weight, and Linear has none.*Zhang"),
        ("skipinit", Conv("norm"), IMAGES, "needs a factor on every residual branch"),
        ("rezero", Transformer("pre"), IDS, "needs a factor on every residual branch"),
        ("dit", ViT(), IMAGES, r"needs adaptive norms \(adaLN\), and ViT has none"),
        ("stylegan2", nn.Linear(8, 2), ROWS, "needs weights that are scaled when they are used"),
        ("lora", nn.Linear(8, 2), ROWS, "needs adapters"),
        ("irnn", nn.Linear(8, 2), ROWS, "needs a recurrent layer"),
        ("t5", nn.Linear(8, 2), ROWS, "needs attention with queries of their own"),
        ("deepnorm", Transformer("plain"), IDS, "needs the scale of a norm"),
        ("retinanet", ActorCritic(), ROWS, "needs one read-out, the classifier"),
        ("mup", nn.Linear(8, 2), None, "needs a read-out .* only a recorded pass shows: pass example_inputs"),
        ("deepnorm", nn.TransformerEncoderLayer(16, 2, batch_first=True), torch.randn(1, 3, 16), "needs attention"),
    ],
)
def test_a_model_that_lacks_what_a_recipe_needs_is_refused(recipe: str, model: Any, inputs: Any, message: str) -> None:
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(InputError, match=f"policy '{recipe}' {message}"):
        initlab.init_(model, recipe, example_inputs=inputs)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_recipe_asks_only_of_what_it_is_given() -> None:
    model = ActorCritic()
    plan = initlab.plan(model, ROWS, {"actor": "retinanet", "*": "auto"})
    assert plan["actor.bias"].law.mean == pytest.approx(-math.log(99))
    assert plan["critic.bias"].law.mean == 0


def test_the_numbers_of_a_recipe_can_be_set() -> None:
    plan = initlab.plan(ActorCritic(), ROWS, get_policy("ppo", policy=0.1))
    assert plan["actor.weight"].std == pytest.approx(0.1 / math.sqrt(D))
    with pytest.raises(InputError, match=r"unknown policy option 'polciy'; known: .*policy, value"):
        get_policy("ppo", polciy=0.1)


def test_irnn_keeps_the_state() -> None:
    model = Recurrent()
    initlab.init_(model, "irnn")
    assert torch.equal(model.rnn.weight_hh_l0, torch.eye(16))


def test_lora_keeps_all_but_the_adapter() -> None:
    model = Adapted()
    before = model.base.weight.detach().clone()
    plan = initlab.init_(model, "lora")
    assert torch.equal(model.base.weight, before)
    assert plan["base.weight"].code == "not_of_the_recipe"
