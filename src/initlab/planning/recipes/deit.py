"""`deit`: data-efficient image transformers."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Normal
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="deit",
    about="N(0, 0.02²), positions and tokens alike, the patch projection and its bias as torch draws them",
    source="Touvron et al., DeiT (2021); facebookresearch/deit models.py",
    code="facebookresearch/deit models.py, main.py (7e160fe)",
    year=2021,
    laws=(
        RoleLaw("first", get_scheme("torch_default")),
        RoleLaw("conv_bias", get_scheme("torch_default"), "U(±1/√fan_in): the patch projection's, as torch draws it"),
        RoleLaw("weight", Normal("std"), "N(0, std²): trunc_normal_ cuts at ±2, which is ±100 std"),
        RoleLaw("position", Normal("std"), "N(0, std²)"),
        RoleLaw("token", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.02},
    needs=(has("first", words="a weight that reads the image"),),
    training=Training(
        "adamw",
        5e-4,
        (0.9, 0.999),
        1e-8,
        0.05,
        "5 epochs of warm-up, cosine",
        "rate · batch / 512",
    ),
    right="Vision transformers on ImageNet alone, with a distillation token or without.",
    wrong="Very wide or very narrow ones: one std for all widths.",
    leaves="The other biases zero, norms one.",
)
