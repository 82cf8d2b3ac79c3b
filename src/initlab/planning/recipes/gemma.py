"""`gemma`: one small std for all matrices, norms 1 + w with w zero."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Normal

RECIPE = Policy(
    name="gemma",
    about="every matrix and table N(0, 0.02²); the scale of norms one, which is w = 0 in 1 + w",
    source="Hugging Face transformers, models/gemma: initializer_range 0.02, RMSNorm as 1 + weight",
    year=2024,
    laws=(
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
        RoleLaw("embedding", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.02},
    training=Training("adamw", more="the reports state no rate"),
    right="Decoders whose tables are multiplied by √width in the forward pass.",
    wrong="Without example inputs norms of 1 + w are not seen and get w = 1.",
    leaves="The authors' own start, which no report states.",
)
