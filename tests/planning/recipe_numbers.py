"""The numbers that recipes' sources state, for small models with what each recipe needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

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
from recipe_zoo_2 import (
    ENCODED,
    PLACES,
    STEPPED,
    WIDE,
    Admin,
    Field,
    Gated,
    Llama,
    LowRank,
    Memories,
    Metaformer,
    MixtureOfExperts,
    Sines,
    StateSpaces,
    SubPixel,
    UNet,
    WithAdapters,
    WithPrefix,
    WithPrompt,
)  # fmt: skip
from scipy.stats import chi2

import initlab

CUT_2, CUT_3 = 0.87962566, 0.98658  # std of N(0, 1) cut at ±2 and at ±3


def xavier(fan_in: float, fan_out: float) -> float:
    return math.sqrt(2 / (fan_in + fan_out))


# recipe -> model, its inputs, {parameter: std of its law, or (its one value,)}, from the source that the recipe names
NUMBERS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "gpt2": (Transformer, IDS, {"blocks.0.up.weight": 0.02, "blocks.0.down.weight": 0.02 / 6**0.5}),
    "gpt3": (Transformer, IDS, {"blocks.0.up.weight": 0.02, "blocks.2.attention.out.weight": 0.02 / 6**0.5}),
    "megatron": (Transformer, IDS, {"tokens.weight": 0.02, "blocks.1.down.weight": 0.02 / (2 * 3) ** 0.5}),
    "llama": (Transformer, IDS, {"tokens.weight": 0.02, "blocks.0.down.weight": 0.02, "head.weight": 0.02}),
    "llama_depth": (
        Llama, IDS,
        {
            "tokens.weight": 1.0, "head.weight": CUT_3 * D**-0.5, "blocks.0.gate.weight": 0.02,
            "blocks.0.up.weight": 0.02 / 2**0.5, "blocks.1.up.weight": 0.02 / 4**0.5,
            "blocks.1.down.weight": 0.02 / 4**0.5, "blocks.1.attention.out.weight": 0.02 / 4**0.5,
            "blocks.1.attention.q.weight": 0.02,
        },
    ),
    "qwen": (Transformer, IDS, {"blocks.0.attention.q.weight": 0.02, "blocks.0.attention.q.bias": (0.0,)}),
    "gemma": (Transformer, IDS, {"tokens.weight": 0.02, "blocks.0.norm_1.weight": (1.0,)}),
    "olmo2": (Transformer, IDS, {"tokens.weight": 0.02 * CUT_3, "blocks.0.down.weight": 0.02 * CUT_3}),
    "bert": (Transformer, IDS, {"tokens.weight": 0.02 * CUT_2, "blocks.0.up.weight": 0.02 * CUT_2}),
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
        {
            "patch.weight": (3 * 3 * 16) ** -0.5, "patch.bias": (3 * 3 * 16) ** -0.5, "position": 0.02, "token": 1e-6,
            "blocks.0.up.weight": 0.02, "blocks.0.up.bias": (0.0,),
        },
    ),
    "deit": (
        ViT, IMAGES,
        {
            "patch.weight": (3 * 3 * 16) ** -0.5, "patch.bias": (3 * 3 * 16) ** -0.5, "position": 0.02, "token": 0.02,
            "head.weight": 0.02, "head.bias": (0.0,),
        },
    ),
    "mae": (
        ViT, IMAGES,
        {
            "patch.weight": xavier(3 * 16, D), "patch.bias": (3 * 3 * 16) ** -0.5, "token": 0.02,
            "blocks.0.up.weight": xavier(D, 4 * D), "blocks.0.up.bias": (0.0,),
        },
    ),
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
            "norm_1.0.weight": (1.0,), "head.weight": (3 * 8) ** -0.5, "head.bias": (3 * 8) ** -0.5,
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
    "rezero": (
        lambda: Transformer("scale"), IDS,
        {"blocks.1.scale_2": (0.0,), "blocks.0.up.weight": (3 * D) ** -0.5, "blocks.0.up.bias": (3 * D) ** -0.5},
    ),
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
            "blocks.0.attention.q.weight": xavier(D, D), "tokens.weight": (9 * 3) ** -0.25 * D**-0.5,
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
        lambda: StateSpaces(False), IDS,
        {
            "tokens.weight": 0.02, "blocks.0.into.weight": (3 * D) ** -0.5, "blocks.0.conv.bias": 12**-0.5,
            "blocks.0.out.weight": (3 * 2 * D * 2) ** -0.5, "blocks.0.skip": (1.0,), "blocks.1.into.bias": (0.0,),
        },
    ),
    "mamba2": (
        lambda: StateSpaces(True), IDS,
        {
            "tokens.weight": 0.02, "blocks.0.into.weight": (3 * D) ** -0.5, "blocks.0.conv.bias": 12**-0.5,
            "blocks.0.out.weight": (3 * 2 * D * 2) ** -0.5, "blocks.0.skip": (1.0,),
        },
    ),
    "rwkv": (
        Memories, IDS,
        {
            "tokens.weight": 1e-4, "head.weight": 0.5 * math.sqrt(40 / 32) * 40**-0.5, "blocks.0.key.weight": (0.0,),
            "blocks.0.gate.weight": (0.0,), "blocks.1.second_gate.weight": (0.0,), "blocks.0.out.weight": (0.0,),
            "blocks.0.down.weight": (0.0,), "blocks.0.value.weight": D**-0.5, "blocks.1.up.weight": 2 * (4 * D) ** -0.5,
        },
    ),
    "lstm": (
        Gated, torch.randn(3, 2, 8),
        {"rnn.weight_ih_l0": 48**-0.5, "rnn.weight_hh_l0": 48**-0.5, "rnn.bias_hh_l0": (0.0,)},
    ),
    "mimetic": (
        ViT, IMAGES,
        {"patch.weight": (3 * 3 * 16) ** -0.5, "position": 0.02, "token": 1e-6, "blocks.0.up.weight": 0.02},
    ),
    "admin": (
        Admin, IDS,
        {
            "omega.0": (1.0,), "tokens.weight": D**-0.5, "attention.0.q.weight": xavier(D, D),
            "up.1.weight": xavier(D, 64), "norms.0.weight": (1.0,), "down.0.bias": (0.0,),
        },
    ),
    "pissa": (LowRank, WIDE, {}),
    "olora": (LowRank, WIDE, {}),
    "icnr": (SubPixel, IMAGES, {"body.weight": 27**-0.5, "up.bias": (0.0,)}),
    "gan": (Conv, IMAGES, {"stem.weight": 0.02, "one.1.weight": 0.02, "head.weight": 0.02, "stem.bias": (0.0,)}),
    "zero_gamma": (Conv, IMAGES, {"norm_2.0.weight": (0.0,), "norm_1.0.weight": (1.0,), "stem.weight": 27**-0.5}),
    "mup": (
        Transformer, IDS,
        {
            "tokens.weight": 1.0, "blocks.0.up.weight": D**-0.5, "blocks.0.down.weight": math.sqrt(2 / (4 * D)),
            "head.weight": (0.0,),
        },
    ),
    "spectral": (
        Transformer, IDS,
        {"blocks.0.up.weight": D**-0.5, "blocks.0.down.weight": math.sqrt(2 / (4 * D)) / 2},
    ),
    "completep": (
        Transformer, IDS,
        {
            "blocks.0.up.weight": D**-0.5, "blocks.0.down.weight": math.sqrt(2 / (4 * D)) * 4 / 6,
            "head.weight": (0.0,),
        },
    ),
    "u_mup": (
        Transformer, IDS,
        {
            "tokens.weight": 1.0, "blocks.0.up.weight": D**-0.5, "blocks.0.down.weight": (4 * D * 3) ** -0.5,
            "head.weight": 1 / D,
        },
    ),
    "olmo": (
        Transformer, IDS,
        {
            "tokens.weight": CUT_3 * D**-0.5, "head.weight": CUT_3 * D**-0.5, "blocks.0.up.weight": CUT_3 * D**-0.5,
            "blocks.0.attention.out.weight": CUT_3 * (2 * D) ** -0.5,
            "blocks.2.attention.out.weight": CUT_3 * (2 * D * 3) ** -0.5,
            "blocks.2.down.weight": CUT_3 * (2 * 4 * D * 3) ** -0.5,
        },
    ),
    "deepseek": (
        MixtureOfExperts, IDS,
        {
            "tokens.weight": 0.006, "blocks.0.router.weight": 0.006, "blocks.1.up.3.weight": 0.006,
            "head.weight": 0.006, "blocks.0.router.bias": (0.0,), "blocks.0.norm.weight": (1.0,),
        },
    ),
    "metaformer": (
        Metaformer, IMAGES,
        {
            "patch.weight": 0.02, "up.weight": 0.02, "head.weight": 0.02, "scale": (1e-5,), "factor": (1.0,),
            "shift": (0.0,), "up.bias": (0.0,),
        },
    ),
    "unet": (
        UNet, STEPPED,
        {
            "stem.weight": math.sqrt(2 / (11 * 9)), "one.0.weight": math.sqrt(2 / (16 * 9)), "two.0.weight": (0.0,),
            "down.weight": math.sqrt(2 / (16 * 9)), "head.weight": (0.0,), "step.weight": xavier(8, 8),
        },
    ),
    "siren_network": (
        Sines, PLACES,
        {
            "first.weight": 1 / 2 / 3**0.5, "inner.weight": math.sqrt(2 / 64) / 30,
            "head.weight": math.sqrt(2 / 64) / 30, "inner.bias": (3 * 64) ** -0.5,
        },
    ),
    "nerf": (
        Field, ENCODED,
        {"one.weight": xavier(12, 64), "two.weight": xavier(76, 64), "colour.weight": xavier(64, 3)},
    ),
    "adapter": (
        WithAdapters, IDS,
        {
            "blocks.0.first.down.weight": 0.01 * CUT_2, "blocks.1.second.up.weight": 0.01 * CUT_2,
            "blocks.1.second.up.bias": (0.0,),
        },
    ),
    "prompt": (WithPrompt, IDS, {"prompt.weight": 1 / 12**0.5}),
    "prefix": (
        WithPrefix, IDS,
        {
            "blocks.0.attention.prefix.weight": 1.0, "blocks.0.attention.maps.0.weight": (3 * D) ** -0.5,
            "blocks.0.attention.maps.2.bias": (3 * 16) ** -0.5,
        },
    ),
}  # fmt: skip


def within(values: torch.Tensor, std: float, chance: float = 1e-6) -> bool:
    """Whether the mean square lies in the exact chi-square interval of a normal law (wider than a bounded law's)."""
    count = values.numel()
    low, high = chi2.ppf([chance / 2, 1 - chance / 2], count)
    return bool(low <= float(values.double().square().sum()) / std**2 <= high)


@dataclass(frozen=True)
class Case:
    """One comparison of what a recipe writes with what its source states.

    Args:
        name: the parameter.
        expected: the std, or the one value.
        found: the plan's std, or the values that were written.
        exact: whether a constant is compared.
        holds: whether both agree.
    """

    name: str
    expected: float
    found: Any
    exact: bool
    holds: bool


def checks_of(recipe: str) -> list[Case]:
    """Write a recipe into its model: constants are compared exactly, the std by the exact interval of its square."""
    build, inputs, expected = NUMBERS[recipe]
    model = build()
    plan = initlab.init_(model, recipe, example_inputs=inputs)
    values = {name: parameter.detach() for name, parameter in model.named_parameters()}
    cases = []
    for name, number in expected.items():
        if isinstance(number, tuple):
            held = values[name].unique().tolist()
            good = len(held) == 1 and math.isclose(held[0], number[0], rel_tol=1e-6, abs_tol=1e-12)
            cases.append(Case(name, number[0], held, True, good))
        else:
            std = plan[name].std
            good = std is not None and math.isclose(std, number, rel_tol=1e-4) and within(values[name], number)
            cases.append(Case(name, number, std, False, good))
    return cases


# How each recipe's numbers were confirmed: "drawn", by the library whose draws the tests compare; "read", in the code
# that the recipe names as `code` or `source`; "words", in the source's own words; "derived", by theory. The second is
# where, for what the recipe does not say itself.
CONFIRMED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(NUMBERS, ("read", "")),
    "auto": ("derived", "theory, and the passes of tests/planning/calibration/test_planning_calibration.py"),
    "torch_default": ("drawn", "PyTorch's own reset_parameters (tests/planning/test_planning_plan.py)"),
    "gpt2": ("drawn", "transformers GPT2LMHeadModel"),
    "llama": ("drawn", "transformers LlamaForCausalLM"),
    "qwen": ("drawn", "transformers Qwen2ForCausalLM"),
    "gemma": ("drawn", "transformers GemmaForCausalLM"),
    "roberta": ("drawn", "transformers RobertaModel"),
    "t5": ("drawn", "transformers T5ForConditionalGeneration"),
    "mup": ("drawn", "the mup package's figures on its own example (tests/scaling)"),
    "gpt3": ("words", ""),
    "deepseek": ("words", ""),
}
