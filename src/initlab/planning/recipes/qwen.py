"""`qwen`: one small std for all matrices, biases of q, k and v zero."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Normal

RECIPE = Policy(
    name="qwen",
    about="every matrix and table N(0, 0.02²), biases zero",
    source="Hugging Face transformers, models/qwen2: initializer_range 0.02",
    year=2024,
    laws=(
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
        RoleLaw("embedding", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.02},
    training=Training("adamw", more="the reports state no rate"),
    right="Decoders with RMS norms and biased q, k and v.",
    wrong="As for llama.",
    leaves="The authors' own start, which no report states.",
)
