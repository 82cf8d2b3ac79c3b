"""`llama`: one small std for all matrices."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Normal

RECIPE = Policy(
    name="llama",
    about="every matrix and table N(0, 0.02²)",
    source="Hugging Face transformers, models/llama: initializer_range 0.02 (Touvron et al. 2023 state no start)",
    year=2023,
    laws=(
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
        RoleLaw("embedding", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.02},
    training=Training(
        "adamw",
        3e-4,
        (0.9, 0.95),
        1e-8,
        0.1,
        "2,000 steps of warm-up, cosine to a tenth",
        "clip 1.0",
    ),
    aliases=("mistral",),
    right="Decoders with RMS norms before the branches and gated units.",
    wrong="Deep models: without the 1/√branches of gpt2 the stream grows with depth.",
    leaves="The authors' own start, which no paper states.",
)
