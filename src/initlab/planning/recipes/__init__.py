"""The recipes for whole models: one file each, holding its laws, numbers, needs, source and uses, as `RECIPE`."""

from __future__ import annotations

import importlib

from initlab.planning.policy import Policy

# The files, in the order in which recipes are listed.
NAMES: tuple[str, ...] = (
    "auto",
    "torch_default",
    "gpt2",
    "gan",
    "zero_gamma",
    "mup",
    "spectral",
    "completep",
    "u_mup",
    "gpt3",
    "megatron",
    "llama",
    "llama_depth",
    "qwen",
    "gemma",
    "olmo2",
    "bert",
    "roberta",
    "t5",
    "vit_jax",
    "vit_timm",
    "deit",
    "mae",
    "convnext",
    "dit",
    "nanochat",
    "resnet",
    "fixup",
    "skipinit",
    "rezero",
    "deepnorm",
    "t_fixup",
    "lora",
    "irnn",
    "ppo",
    "dqn",
    "retinanet",
    "stylegan2",
    "mamba",
    "olmo",
    "deepseek",
    "metaformer",
    "unet",
    "siren_network",
    "nerf",
    "adapter",
    "prompt",
    "prefix",
    "lstm",
    "icnr",
    "mamba2",
    "rwkv",
    "mimetic",
    "admin",
    "pissa",
    "olora",
)


def recipes() -> tuple[Policy, ...]:
    """Every recipe, in order."""
    return tuple(importlib.import_module(f"{__name__}.{name}").RECIPE for name in NAMES)
