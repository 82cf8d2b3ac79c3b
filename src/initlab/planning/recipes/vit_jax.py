"""`vit_jax`: the vision transformer of its authors."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has, has_head
from initlab.planning.recipes.common.given import Normal
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="vit_jax",
    about="Xavier uniform, the patch projection LeCun truncated, positions N(0, 0.02²), read-out and token zero",
    source="Dosovitskiy et al., ViT (2021); google-research/vision_transformer vit_jax/models_vit.py",
    code="google-research/vision_transformer vit_jax/models_vit.py (c6de1e5)",
    year=2021,
    laws=(
        RoleLaw("head", get_scheme("zeros")),
        RoleLaw("first", get_scheme("variance_scaling"), "N(0, 1/fan_in) cut at 2 std, the std after the cut"),
        RoleLaw("weight", get_scheme("xavier_uniform"), "U(±√(6/(fan_in + fan_out))), q, k and v each its own map"),
        RoleLaw("position", Normal("position"), "N(0, position²)"),
        RoleLaw("token", get_scheme("zeros")),
    ),
    numbers={"position": 0.02},
    needs=(
        has_head(),
        has("first", words="a weight that reads the image"),
    ),
    training=Training(
        "adam", 1e-3, (0.9, 0.999), 1e-8, 0.1, "10,000 steps of warm-up, linear", "batch 4,096; clip 1.0"
    ),
    aliases=("vit",),
    right="Vision transformers that are trained on much data or fine-tuned.",
    wrong="A read-out of zero gives the layers below no gradient in the first step.",
    leaves="Biases of MLPs, N(0, 1e-6²) there, are zero here.",
)
