"""`olmo2`: N(0, 0.02²) cut at three std."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Cut

RECIPE = Policy(
    name="olmo2",
    about="every matrix and table N(0, 0.02²) cut at 3 std, whatever the width and depth",
    source="Team OLMo, 2 OLMo 2 furious (2024), section 3.2; allenai/OLMo init_std 0.02, init_cutoff_factor 3",
    code="allenai/OLMo configs/official-1124/OLMo2-7B-stage1.yaml (59a53e3)",
    year=2024,
    laws=(
        RoleLaw("weight", Cut("std", 3.0), "N(0, std²) cut at ±3 std"),
        RoleLaw("embedding", Cut("std", 3.0), "N(0, std²) cut at ±3 std"),
    ),
    numbers={"std": 0.02},
    training=Training(
        "adamw", 3e-4, (0.9, 0.95), 1e-8, 0.1, "2,000 steps of warm-up, cosine", "no decay of tables; clip 1.0"
    ),
    right="Decoders with norms after the branches and on queries and keys, which make up for the std.",
    wrong="Norms before the branches alone: gradients grew with depth there, says the paper.",
    leaves="Norms (one).",
)
